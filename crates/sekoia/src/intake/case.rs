//! What speaks against a request's events: a pure state machine that is told the time.
//!
//! A batch is suspected only when it fails although others are accepted that were sent after it had failed
//! first, and taken apart then. An event is given up only after it *alone* was refused three times over at
//! least ten minutes while others were sent and accepted in between. What says little of it counts a
//! quarter as much. Where an intake fails at random, as requests show whose events it accepts later, it
//! takes as many more as no chance would bring.

use std::time::Duration;

use tokio::time::Instant;

use super::{answer::Cause, gate::Acceptances};

/// Refusals of an event alone before it is given up.
const REFUSALS: u32 = 3;

/// From the first of them to the last at least.
const OVER: Duration = Duration::from_secs(600);

/// The pause between two of them.
const BETWEEN: Duration = Duration::from_secs(300);

/// An event that is given up has failed so often as chance would bring in fewer cases than this.
const CHANCE: f64 = 1e-9;

/// A request without an answer, or with a 5xx, says little, and so does a success of an event alone
/// that proves nothing: so many of them count as one refusal.
const OUTAGES: u32 = 4;

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing: it may be the intake.
    Nothing,
    /// Others are accepted, these are not.
    Suspect,
    /// This one event will not be accepted.
    Hopeless,
}

/// What is known of events that fail together, or of one that fails alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Case {
    /// How far requests had come when they failed first.
    began: Option<Acceptances>,
    /// The same, or when that last counted.
    acceptances: Option<Acceptances>,
    /// Failures of just these events, and those of the event alone while others were accepted.
    failures: u32,
    alone: u32,
    outages: u32,
    /// Refusals of the event alone that count, and since when.
    refusals: u32,
    since: Option<Instant>,
}

impl Case {
    /// Events that were found not to be accepted while others were.
    pub(super) fn since(accepted: Acceptances) -> Self {
        Self {
            began: Some(accepted),
            acceptances: Some(accepted),
            ..Self::default()
        }
    }

    /// What is known of a part of the events: which of them have failed is not.
    pub(super) fn of_part(&self) -> Self {
        Self {
            failures: 0,
            alone: 0,
            ..self.clone()
        }
    }

    /// The events are accepted after all: so many failures were not for their sake.
    pub(super) fn failed_by_chance(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }

    /// The moment after which others must have been sent and accepted.
    pub(super) fn acceptances(&self) -> Option<Acceptances> {
        self.acceptances
    }

    /// Whether that is so by now.
    pub(super) fn others_accepted(&self, now: Acceptances) -> bool {
        self.acceptances
            .is_some_and(|before| now.prove_since(before))
    }

    /// The same moment while no refusal has counted yet: each further one has its own pause.
    pub(super) fn unproven_since(&self) -> Option<Acceptances> {
        self.acceptances.filter(|_| self.refusals == 0)
    }

    /// An event failed that was sent alone.
    pub(super) fn failed_alone(
        &mut self,
        cause: Cause,
        accepted: Acceptances,
        now: Instant,
    ) -> Finding {
        // It was sent again often enough: each time it may come once more.
        let cause = match cause {
            Cause::Uncertain => Cause::Outage,
            certain => certain,
        };
        self.alone += u32::from(is_for_events(cause) && self.others_accepted(accepted));
        if !self.counts(cause, accepted) {
            return Finding::Nothing;
        }
        self.acceptances = Some(accepted);
        self.outages = 0;
        self.refusals += 1;
        let since = *self.since.get_or_insert(now);
        let began = *self.began.get_or_insert(accepted);
        let is_hopeless = self.refusals >= REFUSALS
            && now.saturating_duration_since(since) >= OVER
            && accepted.share_by_chance(began).powf(f64::from(self.alone)) < CHANCE;
        match is_hopeless {
            true => Finding::Hopeless,
            false => Finding::Suspect,
        }
    }

    /// Whether a failure, when requests had come so far, says something of the events: those that failed
    /// together are suspect then. The count stays, as the evidence holds for the parts, too.
    pub(super) fn counts(&mut self, cause: Cause, accepted: Acceptances) -> bool {
        if !is_for_events(cause) {
            return false;
        }
        self.failures += 1;
        self.began.get_or_insert(accepted);
        let before = *self.acceptances.get_or_insert(accepted);
        if !accepted.prove_since(before) {
            return false;
        }
        if cause == Cause::Outage {
            self.outages += 1;
            return self.outages >= OUTAGES;
        }
        true
    }

    pub(super) fn pause_alone(finding: Finding, cause: Cause, others: Duration) -> Duration {
        match (finding, cause) {
            (Finding::Suspect | Finding::Hopeless, _) => BETWEEN,
            // Other events must be accepted before the next refusal counts.
            (Finding::Nothing, Cause::Refused | Cause::TooLarge) => {
                others.max(Duration::from_secs(30))
            }
            (Finding::Nothing, _) => others,
        }
    }
}

/// Whether the reason of a failure may be in the events.
fn is_for_events(cause: Cause) -> bool {
    !matches!(cause, Cause::Busy | Cause::Barred)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::gate::Gate;

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_suspect_only_when_others_are_accepted() {
        for cause in [Cause::Refused, Cause::Uncertain, Cause::TooLarge] {
            let (mut gate, mut case) = (Gate::default(), Case::default());
            for _ in 0..9 {
                assert!(!case.counts(cause, gate.acceptances()));
            }
            gate.accepts();
            assert!(case.counts(cause, gate.acceptances()));
            let mut part = case.clone();
            assert!(part.counts(cause, gate.acceptances()));
        }
        let (mut gate, mut case) = (Gate::default(), Case::default());
        for cause in [Cause::Barred, Cause::Busy] {
            for _ in 0..9 {
                assert!(!case.counts(cause, gate.acceptances()));
                gate.accepts();
            }
        }
        for n in 0..OUTAGES {
            assert!(!case.counts(Cause::Outage, gate.acceptances()), "{n}");
            gate.accepts();
        }
        assert!(case.counts(Cause::Outage, gate.acceptances()));
    }

    /// Else a key that is refused from now on would have whole batches sent in single events.
    #[tokio::test(start_paused = true)]
    async fn what_was_on_its_way_when_a_batch_failed_is_no_evidence() {
        let (mut gate, mut case) = (Gate::default(), Case::default());
        let on_its_way = gate.begins();
        assert!(!case.counts(Cause::Refused, gate.acceptances()));
        gate.accepted(on_its_way);
        assert!(!case.counts(Cause::Refused, gate.acceptances()));
        gate.accepts();
        assert!(case.counts(Cause::Refused, gate.acceptances()));
        // What others come to later takes nothing of it back.
        gate.accepted(on_its_way);
        assert!(case.counts(Cause::Refused, gate.acceptances()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_hopeless_after_three_refusals_over_ten_minutes_with_others_between() {
        let now = Instant::now();
        let (mut gate, mut case) = (Gate::default(), Case::default());
        let mut ask = |accepted: usize, seconds: u64| {
            (0..accepted).for_each(|_| gate.accepts());
            case.failed_alone(Cause::Refused, gate.acceptances(), after(now, seconds))
        };
        assert_eq!(ask(0, 0), Finding::Nothing, "no other was accepted");
        assert_eq!(ask(5, 10), Finding::Suspect, "the first");
        assert_eq!(ask(0, 100), Finding::Nothing, "none in between");
        assert_eq!(ask(1, 310), Finding::Suspect, "the second");
        assert_eq!(ask(1, 320), Finding::Suspect, "the third, too soon");
        assert_eq!(ask(1, 609), Finding::Suspect, "a second too soon");
        assert_eq!(ask(0, 9000), Finding::Nothing, "no other in between");
        assert_eq!(ask(1, 9001), Finding::Hopeless);
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_of_an_event_never_counts_against_it() {
        let now = Instant::now();
        let (mut gate, mut case) = (Gate::default(), Case::default());
        let barred = [Cause::Barred, Cause::Busy];
        for n in 0..99 {
            gate.accepts();
            for cause in barred {
                let finding = case.failed_alone(cause, gate.acceptances(), after(now, n * 100));
                assert_eq!(finding, Finding::Nothing);
            }
        }
        // Of requests without an answer, or with one that proves nothing, it takes many.
        for cause in [Cause::Outage, Cause::Uncertain] {
            let mut case = Case::default();
            let mut ask = |seconds: u64| {
                gate.accepts();
                case.failed_alone(cause, gate.acceptances(), after(now, seconds))
            };
            let mut asked = 0;
            while ask(asked * 300) != Finding::Hopeless {
                asked += 1;
            }
            assert!(asked >= 3 * u64::from(OUTAGES), "{cause:?} {asked}");
            let mut case = Case::default();
            let mut alone =
                (0..99).map(|n| case.failed_alone(cause, gate.acceptances(), after(now, n * 300)));
            assert!(alone.all(|finding| finding == Finding::Nothing));
        }
    }

    /// An outage that was long says no more of chance than a short one.
    #[tokio::test(start_paused = true)]
    async fn after_an_outage_an_event_is_hopeless_as_soon_as_after_a_short_one() {
        let now = Instant::now();
        let asked = [20, 200].map(|failures| {
            let (mut gate, mut case) = (Gate::default(), Case::since(Acceptances::default()));
            gate.failed_by_chance(failures);
            let mut alone = (1..).map(|asked| {
                gate.accepts();
                case.failed_alone(Cause::Refused, gate.acceptances(), after(now, asked * 300))
            });
            alone.position(|finding| finding == Finding::Hopeless)
        });
        assert_eq!(asked[0], asked[1]);
        assert!(asked[0].is_some_and(|asked| asked < 20), "{asked:?}");
    }

    /// Two of three requests fail, and their events are accepted all the same when they are sent again.
    #[tokio::test(start_paused = true)]
    async fn no_event_is_hopeless_by_a_chance_that_others_have_met() {
        let now = Instant::now();
        for cause in [Cause::Refused, Cause::Outage, Cause::Uncertain] {
            let (mut gate, mut case) = (Gate::default(), Case::since(Acceptances::default()));
            let mut asked = 0;
            loop {
                asked += 1;
                let mut other = Case::default();
                (0..2).for_each(|_| _ = other.counts(cause, gate.acceptances()));
                gate.accepts();
                gate.failed_by_chance(other.failed_by_chance());
                assert_eq!(other.failed_by_chance(), 0, "it counts once");
                let at = after(now, asked * 300);
                if case.failed_alone(cause, gate.acceptances(), at) == Finding::Hopeless {
                    break;
                }
            }
            // 2/3 to the power of 52 is less than 1 in 10^9; of outages, each fourth is judged.
            assert!((52..56).contains(&asked), "{cause:?} {asked}");
            assert_eq!(case.of_part().failed_by_chance(), 0);
        }
    }
}
