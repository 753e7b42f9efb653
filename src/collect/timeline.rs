//! Keeps the timeline between restarts, in a file beside the mark.

use std::io;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Store,
    coverage::{Coverage, Phase},
    lateness::Lateness,
};
use crate::Window;

/// The file in the store.
pub const TIMELINE_FILE: &str = "coverage.json";

/// The version of its format.
const VERSION: u32 = 1;

/// What is kept of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    version: u32,
    /// When it was kept.
    pub kept_at: DateTime<Utc>,
    /// The mark that was kept with it: everything received before it was delivered.
    pub mark: DateTime<Utc>,
    /// What has been read, and when.
    pub coverage: Coverage,
    /// How late rows are.
    pub lateness: Lateness,
}

/// What is found at a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing: it is the first start, or another module ran before.
    Nothing,
    /// A file that cannot be read, and why.
    Damaged(String),
    /// The timeline as it was kept.
    Timeline(Box<Timeline>),
}

/// Where a collection stands at its start, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// What has been read.
    pub coverage: Coverage,
    /// How late rows are.
    pub lateness: Lateness,
    /// What is unusual about it.
    pub remark: Option<String>,
}

impl Timeline {
    /// What is to be kept now.
    pub fn new(kept_at: DateTime<Utc>, coverage: Coverage, lateness: Lateness) -> Self {
        Self {
            version: VERSION,
            kept_at,
            mark: comparable(coverage.mark()),
            coverage,
            lateness,
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When the store cannot be read; damage is no error.
    pub async fn load(store: &impl Store) -> io::Result<Found> {
        Ok(store
            .read(TIMELINE_FILE)
            .await?
            .map_or(Found::Nothing, |text| Self::parse(&text)))
    }

    /// Reads the content of the file.
    pub fn parse(text: &[u8]) -> Found {
        match serde_json::from_slice::<Self>(text) {
            Err(error) => Found::Damaged(error.to_string()),
            Ok(timeline) if timeline.version != VERSION => Found::Damaged(format!(
                "it has the format version {}, and this program knows {VERSION}",
                timeline.version
            )),
            Ok(timeline) if !timeline.coverage.is_sound() => {
                Found::Damaged("its intervals do not follow one another".to_owned())
            }
            Ok(timeline) => Found::Timeline(Box::new(timeline)),
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn save(&self, store: &impl Store) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        store.write(TIMELINE_FILE, text.into()).await
    }
}

impl Start {
    /// Goes on from what was `found` beside the `mark`, which another module or a person may have
    /// moved since. What is looked for again when the file is damaged depends on `settle_time`; a
    /// file that reaches beyond `now` was kept by a wrong clock, and counts as damaged.
    pub fn new(
        mark: DateTime<Utc>,
        found: Found,
        settle_time: TimeDelta,
        now: DateTime<Utc>,
    ) -> Self {
        let fresh = |coverage, remark| Self {
            coverage,
            lateness: Lateness::default(),
            remark,
        };
        let found = match found {
            Found::Timeline(timeline) if timeline.coverage.edge() > now => Found::Damaged(format!(
                "it ends in the future, at {}",
                timeline.coverage.edge()
            )),
            found => found,
        };
        match found {
            Found::Nothing => fresh(Coverage::new(mark), None),
            Found::Damaged(reason) => {
                let since = mark - settle_time;
                let mut coverage = Coverage::new(since);
                coverage.reach(mark);
                let remark = format!(
                    "The file {TIMELINE_FILE} cannot be used ({reason}). Rows received since \
                     {since} are read again: what is known is not sent again, and nothing is lost."
                );
                fresh(coverage, Some(remark))
            }
            Found::Timeline(timeline) => Self::from_timeline(mark, *timeline),
        }
    }

    /// Where a backfill stands at its start, when no collection has begun; the first is to read from
    /// `start` on.
    pub fn for_backfills(start: DateTime<Utc>, found: Found) -> Self {
        let (coverage, lateness, remark) = match found {
            Found::Timeline(timeline) => (timeline.coverage, timeline.lateness, None),
            Found::Nothing => (Coverage::for_backfills(start), Lateness::default(), None),
            Found::Damaged(reason) => {
                let remark = format!(
                    "The file {TIMELINE_FILE} cannot be used ({reason}): what backfills have \
                     delivered so far is not known any more."
                );
                let coverage = Coverage::for_backfills(start);
                (coverage, Lateness::default(), Some(remark))
            }
        };
        Self {
            coverage,
            lateness,
            remark,
        }
    }

    fn from_timeline(mark: DateTime<Utc>, timeline: Timeline) -> Self {
        let Timeline {
            mark: kept,
            mut coverage,
            lateness,
            ..
        } = timeline;
        let mut remark = None;
        if !coverage.has_begun() {
            coverage.begin(mark);
        } else if comparable(mark) > kept {
            coverage.delivered_before(mark);
            remark = Some(format!(
                "The saved position was moved from {kept} to {mark} since the last run, as the \
                 Python module does: what lies before it counts as delivered."
            ));
        } else if let Some(moved) = Window::new(mark, kept)
            && comparable(mark) < kept
        {
            coverage.want(moved);
            remark = Some(format!(
                "The saved position was moved back since the last run: rows received from {moved} \
                 are read again."
            ));
        }
        Self {
            coverage,
            lateness,
            remark,
        }
    }
}

/// The mark with the digits that are kept of it.
fn comparable(mark: DateTime<Utc>) -> DateTime<Utc> {
    mark.trunc_subsecs(6)
}

impl Coverage {
    /// Whether the stretches follow one another, as they always do.
    fn is_sound(&self) -> bool {
        let mut at = self.floor();
        self.stretches().iter().all(|stretch| {
            let follows = stretch.window.start() == at;
            at = stretch.window.end();
            follows && stretch.rows.is_finite()
        })
    }

    /// Since when rows are being looked for that surface late; none when nothing is settling.
    pub fn settling_since(&self) -> Option<DateTime<Utc>> {
        let settling = |phase| matches!(phase, Phase::Settling(_));
        let mut stretches = self.stretches().iter();
        let oldest = stretches.find(|stretch| settling(stretch.phase))?;
        Some(oldest.window.start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    fn timeline() -> Timeline {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(10));
        coverage.read(window(10, 20), at(20), 7);
        Timeline::new(at(21), coverage, Lateness::default())
    }

    fn reloaded() -> Found {
        Timeline::parse(&serde_json::to_vec(&timeline()).unwrap())
    }

    #[test]
    fn is_found_as_it_was_kept() {
        assert_eq!(reloaded(), Found::Timeline(Box::new(timeline())));
        let start = Start::new(at(0), reloaded(), TimeDelta::hours(24), at(30));
        assert_eq!((start.coverage, start.remark), (timeline().coverage, None));
    }

    #[test]
    fn what_is_not_sound_is_damaged() {
        let good = serde_json::to_string(&timeline()).unwrap();
        let second = "[\"2027-01-15T08:10:00Z\",\"2027-01-15T08:20:00Z\"]";
        assert!(good.contains(second), "{good}");
        for broken in [
            good.replace(
                second,
                "[\"2027-01-15T08:11:00Z\",\"2027-01-15T08:20:00Z\"]",
            ),
            good.replace(
                second,
                "[\"2027-01-15T08:10:00Z\",\"2027-01-15T08:09:00Z\"]",
            ),
            good.replace("\"version\":1", "\"version\":2"),
            good.trim_end_matches('}').to_owned(),
            String::new(),
        ] {
            let found = Timeline::parse(broken.as_bytes());
            assert!(matches!(found, Found::Damaged(_)), "{broken}");
        }
        let damaged = Found::Damaged("why".to_owned());
        let start = Start::new(at(0), damaged, TimeDelta::minutes(30), at(30));
        assert_eq!(start.coverage.mark(), at(-30), "all that may surface still");
        assert!(start.remark.is_some_and(|remark| remark.contains("why")));
    }

    #[test]
    fn a_mark_moved_by_others_is_followed() {
        let settle = TimeDelta::hours(24);
        let later = Start::new(at(100), reloaded(), settle, at(200));
        let later_on = (later.coverage.floor(), later.coverage.edge());
        assert_eq!(later_on, (at(100), at(100)), "all before it is delivered");
        assert!(later.remark.is_some());
        let earlier = Start::new(at(-5), reloaded(), settle, at(200));
        assert_eq!(earlier.coverage.mark(), at(-5));
        assert_eq!(earlier.coverage.origin(), at(-5));
        let missing: Vec<_> = earlier.coverage.missing().collect();
        assert_eq!(missing, [window(-5, 10)]);
        let early = Start::new(at(5), reloaded(), TimeDelta::minutes(15), at(5));
        assert_eq!(early.coverage.mark(), at(-10), "kept by a wrong clock");
    }
}
