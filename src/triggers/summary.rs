//! One line a minute that tells a person how the collection stands.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use base::lock;
use chrono::TimeDelta;
use collect::{PageCount, Snapshot};
use microsoft::BOUND;
use rows::exclude::Rule;
use sekoia::Level;
use tokio::time::Instant;

use super::{
    exclusions::{self, Taken},
    words,
    working::{Outlook, waits},
};

/// A line is written at most this often.
const PERIOD: Duration = Duration::from_secs(60);

/// How often nothing is reported when nothing happens.
const QUIET_PERIOD: Duration = Duration::from_secs(600);

/// How often a warning is repeated that has not lost its reason.
const REPEATED: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that is off by more is worth a warning.
const NOTABLE: TimeDelta = TimeDelta::minutes(1);

/// Timers are not exact to the millisecond.
const EARLY: Duration = Duration::from_secs(2);

/// What has happened since the last line. The clock on the wall may be set meanwhile, and tells nothing here.
#[derive(Debug, Default)]
pub(super) struct Summary(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    begun: bool,
    count: PageCount,
    said_coarse: Option<Instant>,
    said_better: Option<Instant>,
    said_skew: Option<Instant>,
    said_small_skew: Option<Instant>,
    said_untold: Option<Instant>,
    said_outside: Option<Instant>,
    /// Rows outside of their window since then.
    outside: usize,
    said_greedy: Option<Instant>,
    /// Rows since then that would have been sent without rules, and what each rule took of them.
    wanted: u64,
    taken: Taken,
    /// Members of rows that nobody knows, of which that was said.
    said_members: BTreeSet<String>,
}

impl Summary {
    pub(super) fn add(&self, page: PageCount) {
        let mut state = lock(&self.0);
        state.count.new += page.new;
        state.count.late += page.late;
        state.count.changed += page.changed;
        state.wanted += page.sent() as u64;
    }

    /// Members of rows were left out: the names that were not told before.
    pub(super) fn left_out(&self, names: &BTreeSet<String>) -> Option<String> {
        /// More names are not told: nobody reads so many.
        const MOST: usize = 50;
        let mut state = lock(&self.0);
        let room = MOST.saturating_sub(state.said_members.len());
        let new = names.difference(&state.said_members).take(room);
        let new: Vec<String> = new.cloned().collect();
        let told = (!new.is_empty()).then(|| new.join(", "));
        state.said_members.extend(new);
        told
    }

    pub(super) fn excluded(&self, rule: Rule, rows: u64) {
        let mut state = lock(&self.0);
        state.count.excluded += usize::try_from(rows).unwrap_or(usize::MAX);
        state.wanted += rows;
        *state.taken.entry(rule).or_default() += rows;
    }

    /// Rows were shown for a window in which they were not received. How many since that was said
    /// last, when it is to be said again.
    pub(super) fn outside(&self, rows: usize, now: Instant) -> Option<usize> {
        let mut state = lock(&self.0);
        state.outside += rows;
        due(&mut state.said_outside, now).then(|| std::mem::take(&mut state.outside))
    }

    /// What there is to say now. The `outlook` is that of what is missing, as far as it is known.
    pub(super) fn lines(
        &self,
        snapshot: &Snapshot,
        outlook: Option<Outlook>,
        now: Instant,
    ) -> Vec<(Level, String)> {
        let mut state = lock(&self.0);
        let state = &mut *state;
        let progress = state.progress(snapshot, outlook, now);
        let warning = |text: String| (Level::Warning, text);
        let mut lines = Vec::from_iter(progress.map(|text| (Level::Info, text)));
        if let Some(factor) = snapshot.coarseness
            && due(&mut state.said_coarse, now)
        {
            lines.push(warning(format!(
                "There are more rows than can be read again in time with what is left of the \
                 quota: some late rows and changed statuses arrive up to about {factor:.0} times \
                 later than they should. Nothing is lost, and new rows are not affected. Raise \
                 `quota` if it is below 90, or lower `settle_time`."
            )));
        }
        if let Some(better) = snapshot.better_settle_time
            && due(&mut state.said_better, now)
        {
            lines.push(warning(format!(
                "Rows still surface when `settle_time` is nearly over: set it to {} so that later \
                 ones are found, too.",
                better.num_hours()
            )));
        }
        lines.extend(snapshot.skew.and_then(|skew| state.skew(skew, now)));
        if let Some(held_back) = snapshot.untold.filter(|held_back| *held_back > NOTABLE)
            && due(&mut state.said_untold, now)
        {
            lines.push(warning(format!(
                "The service tells no time that counts, and refuses later windows as ones of its future: \
                 they end {} before the clock of this machine. Set that right (NTP); if it is right, nothing is lost, and \
                 rows come later by as much.",
                words::span(held_back)
            )));
        }
        lines.extend(state.greedy(now).map(warning));
        lines
    }
}

impl State {
    fn skew(&mut self, skew: TimeDelta, now: Instant) -> Option<(Level, String)> {
        let off = skew.abs();
        if off <= NOTABLE {
            return None;
        }
        let (said, level) = match off > BOUND {
            true => (&mut self.said_skew, Level::Error),
            false => (&mut self.said_small_skew, Level::Warning),
        };
        let way = if skew > TimeDelta::zero() {
            "behind"
        } else {
            "ahead of"
        };
        due(said, now).then(|| {
            let text = format!(
                "The clock of this machine is {} {way} the service's, as several of its answers \
                 agree: set it right (NTP). Rows are asked for by the service's clock; nothing is \
                 called lost or final, and no delivered row is forgotten, before both clocks allow \
                 it.",
                words::span(off)
            );
            (level, text)
        })
    }

    /// Which rules take more than half of the rows.
    fn greedy(&mut self, now: Instant) -> Option<String> {
        let told = exclusions::greedy(&self.taken, self.wanted)?;
        due(&mut self.said_greedy, now).then(|| {
            (self.wanted, self.taken) = Default::default();
            format!(
                "More than half of the rows are not sent: {told}. If that is not what is wanted, change the \
                 setting: what is still read again is delivered then. This is said once a day."
            )
        })
    }

    fn progress(
        &mut self,
        snapshot: &Snapshot,
        outlook: Option<Outlook>,
        now: Instant,
    ) -> Option<String> {
        // The first moment has nothing to tell yet.
        let since = *self.since.get_or_insert(now);
        let passed = now - since;
        let eventful = self.count.sent() + self.count.excluded > 0
            || snapshot.missing.span > TimeDelta::zero();
        let period = match (self.begun, eventful) {
            // The first line comes soon, for the person who has just started it.
            (false, true) => EARLY,
            (_, true) => PERIOD,
            (_, false) => QUIET_PERIOD,
        };
        if passed + EARLY < period {
            return None;
        }
        let lately = if self.begun {
            format!("in the last {}", period_of(passed))
        } else {
            "since the start".to_owned()
        };
        self.begun = true;
        let PageCount {
            late,
            changed,
            excluded,
            ..
        } = self.count;
        let rows = words::counted(self.count.sent() as u64, "row");
        self.count = PageCount::default();
        self.since = Some(now);
        let (state, backlog) = match snapshot.oldest_missing {
            None => ("Up to date", "0".to_owned()),
            Some(oldest) => {
                let outlook = match outlook {
                    None => String::new(),
                    Some(Outlook::Done(left)) => format!(", done in about {}", words::span(left)),
                    Some(Outlook::Waits { in_hand }) => format!(", which {}", waits(in_hand)),
                };
                let missing = words::in_two_units(snapshot.missing.span);
                let oldest = words::moment(oldest);
                (
                    "Catching up",
                    format!("{missing} from {oldest} on{outlook}"),
                )
            }
        };
        let excluded = match excluded {
            0 => String::new(),
            excluded => format!("{excluded} excluded, "),
        };
        Some(format!(
            "{state}: {rows} {lately}, {late} late, {changed} with a changed status, \
             {excluded}backlog {backlog}."
        ))
    }
}

fn due(said: &mut Option<Instant>, now: Instant) -> bool {
    let due = said.is_none_or(|at| now - at >= REPEATED);
    if due {
        *said = Some(now);
    }
    due
}

fn period_of(passed: Duration) -> String {
    match (passed.as_secs() + 30) / 60 {
        ..=1 => "minute".to_owned(),
        minutes => words::in_two_units(TimeDelta::minutes(minutes.cast_signed())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use chrono::DateTime;
    use collect::MissingTime;

    use super::*;

    fn at(minutes: u64) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_secs(minutes * 60)
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            oldest_missing: None,
            missing: MissingTime {
                age: TimeDelta::zero(),
                span: TimeDelta::zero(),
                gaps: 0,
            },
            known: 0,
            coarseness: None,
            better_settle_time: None,
            skew: None,
            untold: None,
            refused: TimeDelta::zero(),
        }
    }

    fn rows(new: usize, late: usize) -> PageCount {
        PageCount {
            new,
            late,
            ..PageCount::default()
        }
    }

    #[test]
    fn says_one_line_a_minute_when_rows_come() {
        let summary = Summary::default();
        let lines = |minute| summary.lines(&snapshot(), None, at(minute));
        assert_eq!(lines(0), []);
        summary.add(rows(1, 0));
        let text = "Up to date: 1 row since the start, 0 late, 0 with a changed status, backlog 0.";
        assert_eq!(lines(0), [(Level::Info, text.to_owned())]);
        summary.add(rows(7, 2));
        let text = "Up to date: 9 rows in the last minute, 2 late, 0 with a changed status, \
                    backlog 0.";
        assert_eq!(lines(1), [(Level::Info, text.to_owned())]);
        for minute in 2..11 {
            assert_eq!(lines(minute), [], "quiet");
        }
        let text = "Up to date: 0 rows in the last 10 min, 0 late, 0 with a changed status, \
                    backlog 0.";
        assert_eq!(lines(11), [(Level::Info, text.to_owned())]);
    }

    /// What is said of a clock that is off by so many seconds.
    fn of_clock(summary: &Summary, minutes: u64, seconds: i64) -> Option<(Level, String)> {
        let skew = Some(TimeDelta::seconds(seconds));
        let lines = summary.lines(&Snapshot { skew, ..snapshot() }, None, at(minutes));
        let mut lines = lines.into_iter();
        lines.find(|(level, _)| *level > Level::Info)
    }

    #[test]
    fn a_clock_that_is_far_off_is_an_error_once_a_day() {
        let summary = Summary::default();
        let lines = |minutes, seconds| of_clock(&summary, minutes, seconds);
        assert!(matches!(lines(0, 300), Some((Level::Warning, _))));
        assert_eq!(lines(1, -300), None);
        let Some((Level::Error, text)) = lines(2, 2 * 86_400) else {
            panic!("nothing was said");
        };
        assert!(text.contains("is 2 days behind the service's"), "{text}");
        assert_eq!(lines(24 * 60 + 1, 2 * 86_400), None);
        let Some((Level::Error, text)) = lines(24 * 60 + 2, -301) else {
            panic!("nothing was said");
        };
        assert!(text.contains("is 5 min ahead of the service's"), "{text}");
    }

    #[test]
    fn a_clock_that_is_off_by_more_than_a_minute_is_a_warning() {
        let summary = Summary::default();
        let lines = |minutes, seconds| of_clock(&summary, minutes, seconds);
        assert_eq!((lines(0, 60), lines(1, -60)), (None, None));
        let Some((Level::Warning, text)) = lines(2, -61) else {
            panic!("nothing was said");
        };
        assert!(text.contains("is 61 s ahead of the service's"), "{text}");
        assert_eq!(lines(3, 90), None, "once a day");
    }

    /// Else nobody learns why rows come later.
    #[test]
    fn windows_that_end_early_as_the_service_tells_no_time_are_told_once_a_day() {
        let summary = Summary::default();
        let told = |minutes, seconds| {
            let untold = Some(TimeDelta::seconds(seconds));
            let lines = summary.lines(
                &Snapshot {
                    untold,
                    ..snapshot()
                },
                None,
                at(minutes),
            );
            let mut lines = lines.into_iter();
            lines.find(|(level, _)| *level > Level::Info)
        };
        assert_eq!((told(0, 0), told(1, 60)), (None, None));
        let Some((Level::Warning, text)) = told(2, 128) else {
            panic!("nothing was said");
        };
        let end = "they end 2 min before the clock of this machine";
        assert!(text.contains(end), "{text}");
        assert_eq!(told(3, 512), None);
    }

    #[test]
    fn says_what_is_missing_and_what_to_change() {
        let summary = Summary::default();
        let snapshot = Snapshot {
            oldest_missing: DateTime::from_timestamp(1_800_000_000 - 1600 * 60, 0),
            missing: MissingTime {
                span: TimeDelta::minutes(1500),
                gaps: 1,
                ..snapshot().missing
            },
            coarseness: Some(3.2),
            better_settle_time: Some(TimeDelta::hours(36)),
            ..snapshot()
        };
        let first = summary.lines(&snapshot, None, at(0));
        assert!(
            matches!(first.as_slice(), [(Level::Info, _), (Level::Warning, a), (Level::Warning, b)]
            if a.contains("3 times later") && b.contains("set it to 36"))
        );
        let left = Outlook::Done(TimeDelta::minutes(12));
        let later = summary.lines(&snapshot, Some(left), at(1));
        let expected = "Catching up: 0 rows in the last minute, 0 late, 0 with a changed status, \
                        backlog 1 d 1 h from 2027-01-14 05:20:00 UTC on, done in about 12 min.";
        assert_eq!(
            later,
            [(Level::Info, expected.to_owned())],
            "warnings once a day"
        );
        let waits = Outlook::Waits { in_hand: 2 };
        let lines = summary.lines(&snapshot, Some(waits), at(2));
        let [(Level::Info, text)] = lines.as_slice() else {
            panic!("one line is said");
        };
        let expected =
            "on, which waits until all that was read of it is accepted (2 events in hand).";
        assert!(text.ends_with(expected), "{text}");
    }
}
