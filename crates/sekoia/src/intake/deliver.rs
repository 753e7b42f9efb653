//! A batch on its way: sent as a whole, as one event alone, or in parts.

mod size;

use std::{collections::VecDeque, sync::atomic::Ordering::Relaxed};

use tokio::{sync::MutexGuard, time::Instant};

use super::{
    Batch, Intake, Mood, Outcome, Probed, Receipt, Stopped, Unaccepted,
    answer::{Cause, Fates},
    aside::{Streak, Yielding},
    batch::Parcel,
    case::Case,
    gate::{Acceptances, PACE},
    hand::InHand,
    lock,
    patience::Patience,
    report::Report,
};
use crate::health::{Attempts, Side};

/// Where failures of deliveries are counted.
pub(super) const SIDE: Side = Side::Intake;

/// After so many requests of which nothing may be accepted, as with a 503, one event is tried alone.
const OUTAGES: u32 = 3;

/// What may be done while patience is asked for without end.
const TOO_MANY: &str = ": if this lasts, it may not take so many events in one request. Smaller requests are \
                        tried, and a lower `chunk_size` makes all of them smaller";

/// A batch on its way.
struct Load {
    /// What is not accepted yet, in this order.
    pieces: VecDeque<Parcel>,
    case: Case,
    /// Requests in a row that accepted nothing, and why the last did not.
    failures: u32,
    last: Option<Cause>,
    /// Failures in a row that may be for its events.
    streak: Streak,
    patience: Patience,
    attempts: Attempts,
}

impl Load {
    fn len(&self) -> usize {
        self.pieces.iter().map(Parcel::len).sum()
    }

    /// Whether one event is to be tried alone: so it is found out whether the reason is in others. Of
    /// events that may be accepted already (`unsure`) all the others would come once more each time.
    fn goes_alone(&self, mood: Mood, others_accepted: bool, unsure: bool) -> bool {
        let is_odd = self.failures % 2 == 1;
        match self.last {
            _ if mood == Mood::Doubtful => true,
            Some(Cause::Busy) => self.patience.has_one_next(),
            Some(Cause::Outage) if unsure && self.failures > 0 => true,
            _ if mood == Mood::Open || others_accepted => false,
            Some(Cause::Refused | Cause::TooLarge) => is_odd,
            Some(Cause::Outage) => is_odd && self.failures >= OUTAGES,
            _ => false,
        }
    }

    /// The event to try alone: while nothing is certain the first again and again, for hours, as well as
    /// where it is for none of them, else each time another one.
    fn choice(&self, mood: Mood, is_long: bool, piece: &Parcel) -> usize {
        let is_first = match mood {
            Mood::Doubtful => !is_long,
            _ => self.last == Some(Cause::Busy),
        };
        match is_first {
            true => 0,
            false => piece.choice((self.failures / 2) as usize),
        }
    }

    /// What was sent was not accepted.
    fn put_back(&mut self, mut piece: Parcel, mut sent: Parcel, rest: Vec<Parcel>, unsure: bool) {
        if !unsure || piece.unsure || rest.is_empty() {
            piece.unsure |= unsure;
            self.pieces.push_front(piece);
            return;
        }
        // Of the others nothing has become less certain.
        sent.unsure = true;
        for part in rest.into_iter().rev() {
            self.pieces.push_front(part);
        }
        self.pieces.push_front(sent);
    }
}

/// Whose turn it is while one sends after the other.
pub(super) type Turn<'a> = Option<MutexGuard<'a, ()>>;

impl Intake {
    /// Delivers a batch: again and again, until each of its events is accepted, or is in hand as the
    /// intake does not take it while it accepts others, or while it accepts nothing and is to be tried
    /// with others.
    ///
    /// An empty batch is accepted at once.
    ///
    /// # Errors
    /// Only when the stop comes before any of its events is accepted. When it comes later, the others
    /// stay in hand.
    pub async fn push(&self, batch: Batch) -> Result<Receipt, Stopped> {
        let mut receipt = Receipt::default();
        if batch.is_empty() {
            return Ok(receipt);
        }
        // Some room to spare, for events a little longer; and the last batch of a window may be short.
        let last = self.0.last_body.load(Relaxed);
        let expected = (batch.body_bytes() / 16 * 17).max(last / 8 * 7);
        self.0.last_body.store(expected, Relaxed);
        let started = Instant::now();
        let mut load = Load {
            pieces: [batch.seal()].into(),
            case: Case::default(),
            failures: 0,
            last: None,
            streak: Streak::default(),
            patience: Patience::default(),
            attempts: self.0.around.heartbeat.attempts(SIDE),
        };
        if let Err(stopped) = self.send_all(&mut load, &mut receipt).await {
            if receipt.accepted == 0 {
                return Err(stopped);
            }
            // Were that not told, what is accepted would be sent again after the next start.
            let reason = stopped.to_string();
            self.keep(load.pieces, &Case::default(), &reason, &mut receipt);
            return Ok(receipt);
        }
        let took = started.elapsed().as_secs_f64();
        self.0.metrics.duration.observe(took);
        Ok(receipt)
    }

    /// Makes requests until nothing of a batch is left.
    async fn send_all(&self, load: &mut Load, receipt: &mut Receipt) -> Result<(), Stopped> {
        let mut turn = None;
        while !load.pieces.is_empty() {
            turn = self.turn(turn).await?;
            if load.failures > 0 {
                let paced = self.gate().due_in(Instant::now());
                self.pause(paced).await?;
            }
            self.send_next(load, receipt).await?;
            turn = turn.filter(|_| {
                let gate = self.gate();
                gate.mood() == Mood::Doubtful && !gate.doubts_the_event(Instant::now())
            });
        }
        Ok(())
    }

    /// Waits until a request may be made. While one sends after the other, the turn is given, or kept
    /// as long as the one who has it does not let go.
    pub(super) async fn turn<'a>(&'a self, mut held: Turn<'a>) -> Result<Turn<'a>, Stopped> {
        loop {
            if self.gate().is_open(Instant::now()) {
                return Ok(None);
            }
            let turn = match held.take() {
                Some(turn) => turn,
                None => self.until_stopped(self.0.turn.lock()).await?,
            };
            let opened = self.0.opened.notified();
            let due = {
                let (gate, now) = (self.gate(), Instant::now());
                if gate.is_open(now) {
                    continue;
                }
                gate.due_in(now)
            };
            if due.is_zero() {
                return Ok(Some(turn));
            }
            tokio::select! {
                () = opened => {}
                paused = self.pause(due) => paused?,
            }
            held = Some(turn);
        }
    }

    async fn send_next(&self, load: &mut Load, receipt: &mut Receipt) -> Result<(), Stopped> {
        let Some(piece) = load.pieces.pop_front() else {
            return Ok(());
        };
        let (mood, is_long, acceptances) = {
            let gate = self.gate();
            let is_long = gate.doubts_the_event(Instant::now());
            (gate.mood(), is_long, gate.acceptances())
        };
        let others_accepted = load.case.others_accepted(acceptances);
        let choice = load.choice(mood, is_long, &piece);
        let alone = load
            .goes_alone(mood, others_accepted, piece.unsure)
            .then(|| piece.take_out(choice))
            .flatten();
        let (mut sent, rest) = alone.unwrap_or_else(|| (piece.clone(), Vec::new()));
        if load.failures > 0 {
            self.0.metrics.retries.inc();
        }
        let before = self.gate().begins();
        let mut unaccepted = match self.attempt(&sent).await {
            Ok(Outcome::Failed(unaccepted)) => unaccepted,
            Ok(Outcome::Told(fates)) => {
                // Of what may be accepted already single events are tried so often that else an intake which
                // fails at random would seem to fail seldom.
                let is_chance = rest.is_empty() || sent.unsure;
                if is_chance && fates.accepted(sent.len()) == sent.len() {
                    let by_chance = load.case.failed_by_chance();
                    self.gate().failed_by_chance(by_chance);
                }
                self.take_in((&sent, before), fates, &Case::since(before), receipt);
                (load.failures, load.streak) = (0, Streak::default());
                load.patience.accepted(!rest.is_empty());
                load.pieces.extend(rest);
                return Ok(());
            }
            Ok(Outcome::Short(ids)) => {
                // What fails from now on fails while others are accepted.
                load.case = Case::since(before);
                self.accepted(ids, before);
                (load.failures, load.streak) = (0, Streak::default());
                load.patience.accepted(false);
                sent.unsure = true;
                load.pieces.extend(sent.cut_as_named(ids));
                load.pieces.extend(rest);
                return Ok(());
            }
            Err(stopped) => {
                load.pieces.push_front(piece);
                return Err(stopped);
            }
        };
        let is_alone = !rest.is_empty();
        load.put_back(piece, sent, rest, unaccepted.unsure);
        load.patience.failed(unaccepted.cause, Instant::now());
        if load.patience.is_long() && load.len() > 1 {
            unaccepted.sentence.push_str(TOO_MANY);
        }
        if unaccepted.cause == Cause::Busy && !is_alone {
            self.may_be_too_large(load, &unaccepted.sentence);
        }
        if is_long {
            load.pieces.rotate_left(1);
        }
        self.failed(load, receipt, unaccepted).await
    }

    /// Events of a request were accepted; the others stay in hand, with what speaks against them.
    pub(super) fn take_in(
        &self,
        (sent, before): (&Parcel, Acceptances),
        fates: Fates,
        case: &Case,
        receipt: &mut Receipt,
    ) {
        let accepted = fates.accepted(sent.len());
        self.accepted(accepted, before);
        receipt.accepted += accepted;
        let unclear = fates.unclear.into_iter();
        let unclear = unclear.map(|index| (index, "its answer is not understood".to_owned(), true));
        let refused = fates.refused.into_iter();
        let refused = refused.map(|(index, reason)| (index, reason, false));
        for (index, reason, unsure) in refused.chain(unclear) {
            if let Some((mut single, _)) = sent.take_out(index) {
                single.unsure |= unsure;
                self.keep([single], case, &reason, receipt);
            }
        }
    }

    /// A request accepted nothing: the next one waits, or the events are taken apart.
    async fn failed(
        &self,
        load: &mut Load,
        receipt: &mut Receipt,
        unaccepted: Unaccepted,
    ) -> Result<(), Stopped> {
        let Unaccepted { cause, asked, .. } = unaccepted;
        let sentence = unaccepted.sentence.as_str();
        load.failures += 1;
        load.last = Some(cause);
        load.attempts.failed();
        let log = &self.0.around.log;
        let accepted = self.gate().acceptances();
        let known = load.case.others_accepted(accepted);
        let mut is_suspect = load.case.counts(cause, accepted);
        if is_suspect
            && cause == Cause::Outage
            && matches!(self.ask_without_events().await?, Probed::Refused { .. })
        {
            // An outage has begun: what was accepted before proves no more.
            load.case = Case::default();
            is_suspect = false;
        }
        let now = Instant::now();
        if is_suspect {
            self.gate().failed_beside(now);
            Report::suspected(log, load.len(), sentence);
            let pieces = std::mem::take(&mut load.pieces).into_iter();
            let parts = pieces.flat_map(|piece| piece.cut());
            self.keep(parts, &load.case, sentence, receipt);
            return Ok(());
        }
        lock(&self.0.report).failed(log, cause, load.len(), sentence);
        let pause = {
            let mut gate = self.gate();
            let pause = gate.failed(cause, known, asked, now);
            (gate.mood() == Mood::Open).then_some(pause)
        };
        if self.goes_aside(load, cause, now).await? {
            Report::set_aside(log, load.len(), sentence);
            let known = load.case.acceptances().map(|_| load.case.clone());
            let case = known.unwrap_or_else(|| Case::since(accepted));
            self.keep(std::mem::take(&mut load.pieces), &case, sentence, receipt);
            return Ok(());
        }
        match pause {
            // The gate has its own pauses for those who wait at it.
            None => Ok(()),
            Some(pause) => self.pause(pause).await,
        }
    }

    /// Whether the events have failed for so long that others go before them.
    async fn goes_aside(
        &self,
        load: &mut Load,
        cause: Cause,
        now: Instant,
    ) -> Result<bool, Stopped> {
        let (mood, is_long) = {
            let gate = self.gate();
            (gate.mood(), gate.doubts_the_event(now))
        };
        Ok(match load.streak.failed(cause, now) {
            Yielding::Yes => true,
            Yielding::IfAnswered if mood == Mood::Troubled => {
                // Which of them it may be, another one shows.
                load.pieces.rotate_left(1);
                !matches!(self.ask_without_events().await?, Probed::Refused { .. })
            }
            Yielding::IfAccepted => self.ask_without_events().await? == Probed::Accepted,
            _ if cause == Cause::Uncertain && is_long => {
                self.ask_without_events().await? == Probed::Accepted
            }
            Yielding::IfAnswered | Yielding::No => false,
        })
    }

    /// What the intake answers to a request without events. If it takes that, the reason why it does not
    /// take others may be in their events; else nothing speaks against these.
    async fn ask_without_events(&self) -> Result<Probed, Stopped> {
        self.pause(PACE).await?;
        // It is large, and seldom needed.
        self.until_stopped(Box::pin(self.probe())).await
    }

    /// Events stay in hand.
    pub(super) fn keep(
        &self,
        parcels: impl IntoIterator<Item = Parcel>,
        case: &Case,
        reason: &str,
        receipt: &mut Receipt,
    ) {
        // It is kept in files, and may echo the key.
        let reason = self.0.around.log.masked(reason);
        for parcel in parcels {
            let range = parcel.first..parcel.first + parcel.len();
            let mut attempts = self.0.around.heartbeat.attempts(SIDE);
            attempts.failed();
            let events = InHand::new(parcel, case.of_part(), reason.clone(), attempts);
            receipt.kept.push((range, events));
        }
    }
}
