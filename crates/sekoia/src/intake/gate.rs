//! Who may send to an intake at present: a pure state machine that is told the time.
//!
//! As long as batches are accepted, each sender goes ahead. After an answer that accepts nothing, one
//! request is made at a time, with pauses, until one is accepted. After a success that proves nothing,
//! that is one event alone: each further event might be delivered twice.

use std::time::Duration;

use base::retry::Backoff;
use tokio::time::Instant;

use super::answer::Cause;

/// At most one request in this time is refused (W-06 blocks who has more errors).
pub(super) const PACE: Duration = Duration::from_secs(1);

/// So many requests in a row may get no answer or a 5xx before the others wait.
const OUTAGE: u32 = 3;

/// So many refusals in a row are probed quickly, to find out whether the reason is in one event.
const PROBES: u32 = 3;

/// Pauses while an intake is down, while it refuses, and while its answers prove nothing.
const QUICK: (Duration, Duration) = (PACE, Duration::from_secs(15));
const SLOW: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(150));
const DOUBT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// After so long it may be the one event that is tried that no answer is certain of.
pub(super) const LONG_DOUBT: Duration = Duration::from_secs(3 * 3600);

/// And so long where all answers have been alike.
const SOME_DOUBT: Duration = Duration::from_secs(180);

/// More failures in a row than these tell of an outage, not of chance.
const IN_A_ROW: u32 = 10;

/// How far requests to an intake have come: how many were begun, and which of them is the last whose events
/// were accepted, all or some. What is accepted of a request that was begun after some moment is evidence
/// that the intake, its key and the way there are well since then. What was on its way at that moment is
/// none: it may have been accepted before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acceptances {
    begun: u64,
    accepted: u64,
    /// How many requests were accepted, and how many had failed whose events were accepted later.
    successes: u32,
    by_chance: u32,
}

impl Acceptances {
    /// Whether there is such evidence since an earlier moment.
    pub(super) fn prove_since(self, before: Self) -> bool {
        self.accepted > before.begun
    }

    /// The share of requests since an earlier moment that failed by chance.
    pub(super) fn share_by_chance(self, before: Self) -> f64 {
        let by_chance = f64::from(self.by_chance - before.by_chance);
        let successes = f64::from(self.successes - before.successes);
        by_chance / (by_chance + successes).max(1.0)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    /// Each sender.
    #[default]
    Open,
    /// One after the other.
    Troubled,
    /// One event alone.
    Doubtful,
}

/// The state of one intake, which all its senders share.
#[derive(Debug)]
pub(super) struct Gate {
    mood: Mood,
    requests: Acceptances,
    /// Requests in a row that accepted nothing, by what may be the reason.
    outages: u32,
    refusals: u32,
    refused: Option<Instant>,
    next: Option<Instant>,
    /// Until when the intake has asked for patience: what it accepts meanwhile was on its way before.
    patience: Option<Instant>,
    /// Since when nothing is certain.
    doubt_since: Option<Instant>,
    quick: Backoff,
    slow: Backoff,
    doubt: Backoff,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            mood: Mood::Open,
            requests: Acceptances::default(),
            outages: 0,
            refusals: 0,
            refused: None,
            next: None,
            patience: None,
            doubt_since: None,
            quick: Backoff::new(QUICK.0, QUICK.1),
            slow: Backoff::new(SLOW.0, SLOW.1),
            doubt: Backoff::new(DOUBT.0, DOUBT.1),
        }
    }
}

impl Gate {
    pub(super) fn mood(&self) -> Mood {
        self.mood
    }

    /// Whether each sender may go ahead.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.mood == Mood::Open && self.patience.is_none_or(|until| until <= now)
    }

    /// The intake asks for patience until then.
    pub(super) fn waits_until(&mut self, until: Instant) {
        self.patience = self.patience.max(Some(until));
    }

    pub(super) fn acceptances(&self) -> Acceptances {
        self.requests
    }

    /// A request is begun. How far requests had come just before.
    pub(super) fn begins(&mut self) -> Acceptances {
        let before = self.requests;
        self.requests.begun += 1;
        before
    }

    /// How long the one whose turn it is has to wait, or who sends again what was not accepted.
    pub(super) fn due_in(&self, now: Instant) -> Duration {
        let next = self.next.filter(|_| self.mood != Mood::Open);
        let paced = self.refused.map(|refused| refused + PACE);
        let due = next.max(paced).max(self.patience).unwrap_or(now);
        due.saturating_duration_since(now)
    }

    /// Events were accepted of the request [before](Self::begins) which that was so.
    pub(super) fn accepted(&mut self, before: Acceptances) {
        let (mut requests, refused, patience) = (self.requests, self.refused, self.patience);
        requests.accepted = requests.accepted.max(before.begun + 1);
        requests.successes = requests.successes.saturating_add(1);
        *self = Self {
            requests,
            refused,
            patience,
            ..Self::default()
        };
    }

    /// So many requests had failed whose events are accepted now.
    pub(super) fn failed_by_chance(&mut self, requests: u32) {
        let by_chance = requests.min(IN_A_ROW);
        self.requests.by_chance = self.requests.by_chance.saturating_add(by_chance);
    }

    /// A request accepted nothing. `known` says that others were accepted since its events failed
    /// first. How long its sender waits, if it may go on by itself.
    pub(super) fn failed(
        &mut self,
        cause: Cause,
        known: bool,
        asked: Option<Duration>,
        now: Instant,
    ) -> Duration {
        let pause = match cause {
            Cause::Outage | Cause::Busy => {
                self.outages += 1;
                self.quick.next_pause(asked)
            }
            Cause::Refused | Cause::TooLarge => {
                self.refusals += 1;
                let is_probed = known || self.refusals <= PROBES;
                match is_probed {
                    true => PACE,
                    false => self.slow.next_pause(asked),
                }
            }
            Cause::Barred => self.slow.next_pause(asked),
            Cause::Uncertain => return self.doubted(now),
        };
        self.refused = Some(now);
        if cause == Cause::Outage && self.outages < OUTAGE && self.mood == Mood::Open {
            return pause;
        }
        // An outage proves as little as the answer before it did.
        let is_certain = !matches!(cause, Cause::Outage | Cause::Busy);
        if self.mood == Mood::Open || is_certain {
            self.mood = Mood::Troubled;
        }
        if is_certain {
            // The next doubt is another one.
            self.doubt_since = None;
        }
        self.next = Some(now + pause);
        pause
    }

    /// One of the events that are tried alone beside the others was refused: that says nothing of
    /// the intake.
    pub(super) fn failed_beside(&mut self, now: Instant) {
        self.refused = Some(now);
    }

    /// A success proved nothing. How long the one whose turn it is waits.
    pub(super) fn doubted(&mut self, now: Instant) -> Duration {
        self.mood = Mood::Doubtful;
        self.doubt_since.get_or_insert(now);
        let pause = self.doubt.next_pause(None);
        self.next = Some(now + pause);
        pause
    }

    /// Whether nothing has been certain for so long that the reason may be in the one event that is
    /// tried: now and then it is another one's turn.
    pub(super) fn doubts_the_event(&self, now: Instant) -> bool {
        self.has_doubted_for(LONG_DOUBT, now)
    }

    /// Whether nothing has been certain for so long that what stands on the way would have given another answer.
    pub(super) fn doubts_for_a_while(&self, now: Instant) -> bool {
        self.has_doubted_for(SOME_DOUBT, now)
    }

    fn has_doubted_for(&self, time: Duration, now: Instant) -> bool {
        let since = self.doubt_since.filter(|_| self.mood == Mood::Doubtful);
        since.is_some_and(|since| now.saturating_duration_since(since) >= time)
    }
}

#[cfg(test)]
impl Gate {
    /// A request is begun, and accepted.
    pub(super) fn accepts(&mut self) {
        let before = self.begins();
        self.accepted(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_makes_the_others_wait_until_something_is_accepted() {
        let mut gate = Gate::default();
        let now = Instant::now();
        assert_eq!((gate.mood(), gate.due_in(now)), (Mood::Open, seconds(0)));
        gate.failed(Cause::Refused, false, None, now);
        assert_eq!((gate.mood(), gate.due_in(now)), (Mood::Troubled, PACE));
        let acceptances = gate.acceptances();
        assert!(!gate.acceptances().prove_since(acceptances));
        gate.accepts();
        assert_eq!(gate.mood(), Mood::Open);
        assert!(gate.acceptances().prove_since(acceptances));
        assert_eq!(gate.due_in(now), PACE, "one refusal a second");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_without_end_is_asked_slowly() {
        let mut gate = Gate::default();
        let now = Instant::now();
        let mut pauses = (0..9).map(|_| gate.failed(Cause::Refused, false, None, now));
        assert!(pauses.by_ref().take(3).all(|pause| pause == PACE));
        assert!(pauses.all(|pause| pause >= seconds(15) && pause <= seconds(300)));
        let quick = gate.failed(Cause::Refused, true, None, now);
        assert_eq!(quick, PACE, "others are accepted meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_failure_of_the_way_stops_nobody_else() {
        let mut gate = Gate::default();
        let now = Instant::now();
        for _ in 0..2 {
            gate.failed(Cause::Outage, false, None, now);
            assert_eq!(gate.mood(), Mood::Open);
        }
        gate.failed(Cause::Outage, false, None, now);
        assert_eq!(gate.mood(), Mood::Troubled);
        gate.accepts();
        gate.failed(Cause::Busy, false, Some(seconds(77)), now);
        assert_eq!(
            (gate.mood(), gate.due_in(now)),
            (Mood::Troubled, seconds(77))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn patience_lasts_also_when_others_are_accepted_meanwhile() {
        let mut gate = Gate::default();
        let now = Instant::now();
        gate.waits_until(now + seconds(60));
        gate.failed(Cause::Busy, false, Some(seconds(60)), now);
        gate.accepts();
        assert_eq!((gate.mood(), gate.is_open(now)), (Mood::Open, false));
        assert_eq!(gate.due_in(now), seconds(60));
        assert!(gate.is_open(now + seconds(60)));
        assert_eq!(gate.due_in(now + seconds(60)), seconds(0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_intake_that_is_down_is_asked_again_within_a_quarter_of_a_minute() {
        let mut gate = Gate::default();
        let now = Instant::now();
        for _ in 0..100 {
            let pause = gate.failed(Cause::Outage, false, None, now);
            assert!(pause >= PACE && pause <= seconds(15), "{pause:?}");
            assert!(gate.due_in(now) <= seconds(15));
        }
        assert!(gate.due_in(now) >= Duration::from_millis(7500));
    }

    #[tokio::test(start_paused = true)]
    async fn doubt_lasts_until_an_answer_is_certain() {
        let mut gate = Gate::default();
        let now = Instant::now();
        gate.doubted(now);
        assert!(!gate.doubts_the_event(now + seconds(10_000)));
        let for_a_while = [179, 180].map(|after| gate.doubts_for_a_while(now + seconds(after)));
        assert_eq!(for_a_while, [false, true]);
        assert!(gate.doubts_the_event(now + seconds(10_800)));
        for cause in [Cause::Outage, Cause::Busy] {
            gate.failed(cause, false, None, now);
            assert_eq!(gate.mood(), Mood::Doubtful, "{cause:?}");
        }
        let pauses = (0..20).map(|_| {
            gate.doubted(now);
            gate.due_in(now)
        });
        assert!(pauses.last().unwrap() <= seconds(600));
        gate.failed(Cause::Refused, false, None, now);
        assert_eq!(gate.mood(), Mood::Troubled);
        let later = now + seconds(10_800);
        gate.doubted(later);
        assert!(!gate.doubts_the_event(later), "it has begun anew");
        assert!(gate.doubts_the_event(later + seconds(10_800)));
    }
}
