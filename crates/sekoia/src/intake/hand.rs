//! Events in hand: not accepted while others are, tried beside the batches until their fate is
//! certain. So are those of a batch that failed several times while nothing is accepted.

use std::{fmt, time::Duration};

use base::{
    delivery::{GivenUp, HeldEvents},
    retry::Backoff,
};
use tokio::time::{self, Instant};

use super::{
    Intake, MAX_EVENT_BYTES, Mood, Outcome, Receipt, Stopped, Unaccepted,
    answer::Cause,
    batch::Parcel,
    case::{Case, Finding},
    gate::{Acceptances, LONG_DOUBT},
    lock,
    probe::MAYBE_TWICE,
    sizes::LARGE_EVENT,
};
use crate::health::Attempts;

/// Pauses between tries that tell nothing.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// So many times all of them are asked for patience, and others accepted between, before they go on in parts.
const TOO_MANY: u32 = 3;

/// Until what was given up and has no place is tried again.
const NO_ROOM: Duration = Duration::from_secs(300);

/// Events in hand, part of a batch or one alone.
pub struct InHand {
    parcel: Parcel,
    case: Case,
    backoff: Backoff,
    due: Instant,
    /// While nothing is accepted: so many of them failed, each alone; whether the one that is tried now
    /// may be accepted, while the others are not; and since when nothing is certain of it.
    tried: usize,
    doubted: bool,
    doubted_since: Option<Instant>,
    /// Where the last answer was of the key or the address: how far requests had come then.
    barred: Option<Acceptances>,
    /// How far requests had come when all of them were last asked for patience, and how often others were accepted
    /// between two such answers.
    throttled: (Option<Acceptances>, u32),
    reason: String,
    hopeless: bool,
    /// It was counted as one that the intake does not take.
    is_counted: bool,
    /// One of so many bytes might be.
    fits: Option<usize>,
    attempts: Attempts,
}

impl fmt::Debug for InHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InHand({} events, {})", self.parcel.len(), self.reason)
    }
}

impl InHand {
    pub(super) fn new(mut parcel: Parcel, case: Case, reason: String, attempts: Attempts) -> Self {
        parcel.first = 0;
        Self {
            parcel,
            case,
            backoff: Backoff::new(PAUSES.0, PAUSES.1),
            due: Instant::now(),
            tried: 0,
            doubted: false,
            doubted_since: None,
            barred: None,
            throttled: (None, 0),
            reason,
            hopeless: false,
            is_counted: false,
            fits: None,
            attempts,
        }
    }

    /// The one of several events to try while nothing is accepted. One whose answer is not certain is tried
    /// again for hours.
    fn choice(&self) -> Option<usize> {
        (self.parcel.len() > 1).then(|| self.parcel.choice(self.tried))
    }

    /// All of them were asked for patience. Whether they may be too many for one request, as others are accepted
    /// without it.
    fn may_be_too_many(&mut self, accepted: Acceptances) -> bool {
        let (last, times) = &mut self.throttled;
        let before = last.replace(accepted);
        *times += u32::from(before.is_some_and(|before| accepted.prove_since(before)));
        *times >= TOO_MANY
    }

    /// Whether it is another one's turn: what failed has failed for certain, or nothing has been certain
    /// of the one that is tried for hours.
    fn is_done_with(&mut self, is_certain: bool, now: Instant) -> bool {
        if is_certain && !self.doubted {
            self.doubted_since = None;
            return true;
        }
        let since = *self.doubted_since.get_or_insert(now);
        let is_long = now.saturating_duration_since(since) >= LONG_DOUBT;
        if is_long {
            self.doubted_since = None;
        }
        is_long
    }
}

impl HeldEvents for InHand {
    fn bytes(&self) -> usize {
        self.parcel.body.len()
    }

    fn given_up(&self) -> Option<GivenUp> {
        let event = self.parcel.event(0).filter(|_| self.hopeless)?;
        Some(GivenUp {
            fits: self.fits,
            reason: self.reason.clone(),
            event,
        })
    }
}

enum Step {
    Later(Duration),
    Done(Receipt),
}

impl Intake {
    /// The longest event that a batch takes, in bytes.
    pub fn longest_event(&self) -> usize {
        MAX_EVENT_BYTES
    }

    /// Takes one event of any length in hand.
    pub fn alone(&self, event: &[u8]) -> InHand {
        let parcel = self.batch().seal_alone(event);
        let case = Case::since(self.gate().acceptances());
        let attempts = self.0.around.heartbeat.attempts(super::deliver::SIDE);
        InHand {
            // The batch has counted what was too long for it.
            is_counted: event.len() > MAX_EVENT_BYTES,
            ..InHand::new(parcel, case, String::new(), attempts)
        }
    }

    /// Tries events in hand until something is certain: they are accepted, or taken apart, or there
    /// is one that will not be accepted ([`InHand::given_up`]). What is kept then is to be insisted on
    /// again.
    ///
    /// # Errors
    /// Only when the stop comes first.
    pub async fn insist(&self, mut hand: InHand) -> Result<Receipt, Stopped> {
        if std::mem::take(&mut hand.hopeless) {
            // There was no place for it: it stays in hand.
            hand.due = Instant::now() + NO_ROOM;
        }
        loop {
            self.until_due(hand.due, hand.case.unproven_since()).await?;
            match self.try_in_hand(&mut hand).await? {
                Step::Later(pause) => hand.due = Instant::now() + pause,
                Step::Done(mut receipt) => {
                    if hand.hopeless {
                        receipt.kept.push((0..1, hand));
                    }
                    return Ok(receipt);
                }
            }
        }
    }

    /// Waits until events in hand are due. Those that failed while nothing was accepted since that moment
    /// are due as soon as something is.
    async fn until_due(&self, due: Instant, since: Option<Acceptances>) -> Result<(), Stopped> {
        let opened = self.0.opened.notified();
        let waits = since.is_some_and(|before| !self.gate().acceptances().prove_since(before));
        let first = async {
            tokio::select! {
                () = opened, if waits => {}
                () = time::sleep_until(due) => {}
            }
        };
        self.until_stopped(first).await
    }

    /// One request with events in hand: one at a time, and after all others have had their turn.
    async fn try_in_hand(&self, hand: &mut InHand) -> Result<Step, Stopped> {
        let _one = self.until_stopped(self.0.hand.lock()).await?;
        let _turn = self.turn(None).await?;
        let (is_doubtful, is_long) = {
            let gate = self.gate();
            let is_long = gate.doubts_the_event(Instant::now());
            (gate.mood() == Mood::Doubtful, is_long)
        };
        if is_doubtful && !is_long {
            // Nothing else is sent than the one event of the batch that has met the doubt. After hours no such
            // batch may be left: all may be in hand, and no other may come.
            return Ok(Step::Later(PAUSES.0));
        }
        let paced = self.gate().due_in(Instant::now());
        self.until_stopped(time::sleep(paced)).await?;
        self.0.metrics.retries.inc();
        let others_accepted = hand.case.others_accepted(self.gate().acceptances());
        // Until then one event speaks for all: if its answer is not certain, no other comes twice. So it does
        // where the key is refused to all of them, and not to others.
        let speaks = is_doubtful || !others_accepted || hand.doubted || hand.barred.is_some();
        let alone = hand.choice().filter(|_| speaks);
        let alone = alone.and_then(|choice| hand.parcel.take_out(choice));
        let (mut parcel, rest) = alone.unwrap_or_else(|| (hand.parcel.clone(), Vec::new()));
        parcel.unsure |= hand.doubted;
        let before = self.gate().begins();
        let unaccepted = match self.attempt(&parcel).await? {
            Outcome::Failed(unaccepted) => unaccepted,
            Outcome::Told(fates) => {
                if rest.is_empty() && fates.accepted(parcel.len()) == parcel.len() {
                    self.gate().failed_by_chance(hand.case.failed_by_chance());
                }
                let mut receipt = Receipt::default();
                self.take_in((&parcel, before), fates, &hand.case, &mut receipt);
                self.keep(rest, &hand.case, &hand.reason, &mut receipt);
                return Ok(Step::Done(receipt));
            }
            Outcome::Short(ids) => {
                self.accepted(ids, before);
                let parts = hand.parcel.cut_as_named(ids);
                return Ok(Step::Done(self.kept_in(parts, hand, true)));
            }
        };
        if rest.is_empty() || hand.parcel.unsure {
            hand.parcel.unsure |= unaccepted.unsure;
        } else {
            hand.doubted |= unaccepted.unsure;
        }
        hand.attempts.failed();
        Ok(self.failed_in_hand(hand, unaccepted, rest.is_empty()))
    }

    fn failed_in_hand(&self, hand: &mut InHand, unaccepted: Unaccepted, is_whole: bool) -> Step {
        let Unaccepted {
            cause,
            sentence,
            asked,
            ..
        } = unaccepted;
        let now = Instant::now();
        let (accepted, is_doubt) = {
            let mut gate = self.gate();
            gate.failed_beside(now);
            let is_doubt = cause == Cause::Uncertain && gate.mood() == Mood::Doubtful;
            if is_doubt {
                // It is asked as slowly as by a batch on its way.
                gate.doubted(now);
            }
            (gate.acceptances(), is_doubt)
        };
        hand.reason = self.0.around.log.masked(&sentence);
        let is_barred = cause == Cause::Barred;
        let before = std::mem::replace(&mut hand.barred, is_barred.then_some(accepted));
        if is_barred && before.is_some_and(|before| accepted.prove_since(before)) {
            lock(&self.0.report).barred(&self.0.around.log, hand.parcel.len(), &sentence);
        }
        let pause = |hand: &mut InHand| hand.backoff.next_pause(asked);
        let is_refused = matches!(cause, Cause::Refused | Cause::TooLarge);
        if hand.parcel.len() > 1 {
            if cause == Cause::Busy && is_whole && hand.may_be_too_many(accepted) {
                return Step::Done(self.taken_apart(hand, hand.parcel.unsure));
            }
            // What was accepted before the doubt began says nothing of these: no other comes twice for it.
            let is_suspect = !is_doubt && hand.case.counts(cause, accepted);
            if !is_suspect {
                self.still_fails(hand, cause, &sentence);
                let mut gate = self.gate();
                if is_refused && gate.mood() == Mood::Troubled {
                    // It is asked as slowly as by a batch on its way.
                    _ = gate.failed(cause, false, asked, now);
                }
            }
            let is_certain = is_suspect || is_refused;
            if hand.doubted && is_certain {
                return Step::Done(self.without_doubted(hand));
            }
            if is_suspect {
                return Step::Done(self.taken_apart(hand, hand.parcel.unsure));
            }
            let is_certain = is_refused || cause == Cause::Outage || is_barred;
            let is_done = hand.is_done_with(is_certain, now);
            if hand.doubted && is_done {
                return Step::Done(self.without_doubted(hand));
            }
            hand.tried += usize::from(is_done);
            return Step::Later(pause(hand));
        }
        let finding = hand.case.failed_alone(cause, accepted, now);
        if finding == Finding::Nothing {
            self.still_fails(hand, cause, &sentence);
        }
        if finding == Finding::Hopeless {
            let bytes = hand.parcel.event(0).map_or(0, |event| event.len());
            let is_too_large = cause == Cause::TooLarge && bytes >= LARGE_EVENT;
            hand.fits = is_too_large.then_some(LARGE_EVENT - 1);
            hand.hopeless = true;
            if hand.parcel.unsure {
                hand.reason.push_str(MAYBE_TWICE);
            }
            // While there is no place for it, it is given up again and again.
            if !std::mem::replace(&mut hand.is_counted, true) {
                self.0.metrics.discarded.inc();
            }
            return Step::Done(Receipt::default());
        }
        Step::Later(Case::pause_alone(finding, cause, pause(hand)))
    }

    /// Says so while nothing is accepted: there may be no batch on its way that would.
    fn still_fails(&self, hand: &InHand, cause: Cause, sentence: &str) {
        let mood = self.gate().mood();
        if cause != Cause::Uncertain && mood == Mood::Troubled {
            let log = &self.0.around.log;
            lock(&self.0.report).failed(log, cause, hand.parcel.len(), sentence);
        }
    }

    /// The event that may be accepted goes on by itself: of the others nothing has become less certain.
    fn without_doubted(&self, hand: &InHand) -> Receipt {
        let choice = hand.choice();
        let Some((mut single, rest)) = choice.and_then(|choice| hand.parcel.take_out(choice))
        else {
            return self.taken_apart(hand, true);
        };
        single.unsure = true;
        let mut receipt = Receipt::default();
        let parts = rest.into_iter().chain([single]);
        self.keep(parts, &hand.case, &hand.reason, &mut receipt);
        receipt
    }

    /// The events in smaller parts.
    fn taken_apart(&self, hand: &InHand, unsure: bool) -> Receipt {
        self.kept_in(hand.parcel.cut(), hand, unsure)
    }

    fn kept_in(&self, mut parts: Vec<Parcel>, hand: &InHand, unsure: bool) -> Receipt {
        for part in &mut parts {
            part.unsure |= unsure;
        }
        let mut receipt = Receipt::default();
        self.keep(parts, &hand.case, &hand.reason, &mut receipt);
        receipt
    }
}
