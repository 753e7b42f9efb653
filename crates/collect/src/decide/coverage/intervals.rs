//! The timeline as people look at it.

use rows::Window;

use crate::{
    decide::coverage::{
        Coverage, Phase,
        windows::{joins, without},
    },
    words::words,
};

/// How a part of the timeline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Read for the last time.
    Final,
    /// Read, and read again until nothing can surface any more.
    Settling,
    /// Not read to its end yet.
    Missing,
    /// The source did not keep it until it was asked for.
    Lost,
}

words! {
    Stage: Final = "final", Settling = "settling", Missing = "missing", Lost = "lost"
}

impl Coverage {
    /// What the collection is about, from its beginning to the live edge, oldest first: neighbors
    /// differ in their state. What nobody asked for, or somebody has skipped, is not in it.
    pub fn intervals(&self) -> Vec<(Window, Stage)> {
        let done = Window::new(self.origin, self.floor);
        let done = done.map(|window| (window, Stage::Final));
        let rest = self.stretches.iter().map(|stretch| {
            let state = match stretch.phase {
                Phase::Missing | Phase::Wanted => Stage::Missing,
                Phase::Settling(_) => Stage::Settling,
                Phase::Final => Stage::Final,
            };
            (stretch.window, state)
        });
        let (done, open): (Vec<_>, Vec<_>) = done
            .into_iter()
            .chain(rest)
            .partition(|(_, state)| *state == Stage::Final);
        let is_open = open.iter().map(|(window, _)| *window);
        let lost = without(&self.lost, is_open);
        let other = [&self.unasked, &self.skipped, &lost];
        let other = other.into_iter().flatten().copied();
        let done: Vec<Window> = done.into_iter().map(|(window, _)| window).collect();
        let done = without(&done, other);
        let mut all = open;
        all.extend(done.into_iter().map(|window| (window, Stage::Final)));
        all.extend(lost.into_iter().map(|window| (window, Stage::Lost)));
        all.sort_by_key(|(window, _)| window.start());
        all.dedup_by(|(next, state), (last, before)| before == state && joins(last, *next));
        all
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::{
        decide::evidence::Loss,
        testing::{at_minute as at, minutes as window},
    };

    fn told(coverage: &Coverage) -> Vec<(i64, i64, &'static str)> {
        let minutes = |instant: DateTime<Utc>| (instant - at(0)).num_minutes();
        let all = coverage.intervals().into_iter();
        all.map(|(window, state)| (minutes(window.start()), minutes(window.end()), state.word()))
            .collect()
    }

    #[test]
    fn every_instant_has_its_state() {
        let mut coverage = Coverage::new(at(0));
        assert_eq!(told(&coverage), []);
        coverage.read(window(0, 100), at(100), 9);
        coverage.read(window(100, 101), at(101), 9);
        assert_eq!(
            told(&coverage),
            [(0, 101, "settling")],
            "read twice, or not"
        );
        coverage.settle(TimeDelta::minutes(60), at(1000));
        coverage.reach(at(120));
        coverage.read(window(120, 130), at(130), 0);
        let expected = [
            (0, 40, "final"),
            (40, 101, "settling"),
            (101, 120, "missing"),
            (120, 130, "settling"),
        ];
        assert_eq!(told(&coverage), expected);
        coverage.lose(Loss {
            window: window(5, 10),
            evidence: None,
            asked: at(130),
        });
        coverage.lose(Loss {
            window: window(101, 110),
            evidence: None,
            asked: at(130),
        });
        let lost: Vec<_> = told(&coverage)
            .into_iter()
            .filter(|one| one.2 == "lost")
            .collect();
        assert_eq!(lost, [(5, 10, "lost"), (101, 110, "lost")]);
        // A backfill asks for a part of what was lost, and of what lies before the beginning.
        coverage.backfill(window(-60, 7), false);
        let all = told(&coverage);
        assert_eq!(all[0], (-60, 0, "missing"));
        let before: Vec<_> = all.iter().filter(|one| one.1 <= 10).collect();
        assert_eq!(
            before,
            [
                &(-60, 0, "missing"),
                &(0, 5, "final"),
                &(5, 7, "missing"),
                &(7, 10, "lost")
            ]
        );
    }

    #[test]
    fn what_nobody_asks_for_is_not_in_it() {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(100));
        coverage.read(window(100, 110), at(110), 0);
        coverage.skip_by_position(at(105));
        let all = told(&coverage);
        assert!(all.iter().all(|one| one.0 >= 100), "{all:?}");
        coverage.backfill(window(-120, -60), false);
        let all = told(&coverage);
        assert_eq!(all[0], (-120, -60, "missing"));
        assert!(all.iter().skip(1).all(|one| one.0 >= 100), "{all:?}");
    }
}
