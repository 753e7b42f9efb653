//! What of the timeline was never read, for people.

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    coverage::Coverage,
    evidence::{Evidence, Loss},
    timeline::{Found, TIMELINE_FILE},
};
use rows::Window;
use sekoia::{Storage, StorageError};
use serde_json::{Value, json};

use super::{
    state::{known, timeline_in},
    words::{counted, moment, span},
    working::waits,
};

/// What the timeline tells beside the position.
#[derive(Debug)]
pub(super) struct Gaps(Found);

/// That there was no row for so long is told.
const SILENT: TimeDelta = TimeDelta::hours(20);

/// So many intervals are told, the newest of them.
const MOST_INTERVALS: usize = 500;

impl Gaps {
    pub(super) async fn in_storage(storage: &Storage) -> Result<Self, StorageError> {
        timeline_in(storage).await.map(Self)
    }

    fn coverage(&self) -> Option<&Coverage> {
        known(&self.0).map(|timeline| &timeline.coverage)
    }

    /// Up to when anything was asked for; none before a collection has begun.
    fn edge(&self) -> Option<DateTime<Utc>> {
        let begun = self.coverage().filter(|coverage| coverage.has_begun());
        begun.map(Coverage::edge)
    }

    /// What was not read and delivered as a whole yet; none when that is nothing. Where a process `only_waits`
    /// for rows of it, with so many events in hand, there is no more to read.
    pub(super) fn missing(&self, only_waits: Option<usize>) -> Option<String> {
        if let Found::Damaged(reason) = &self.0 {
            return Some(format!(
                "{TIMELINE_FILE} cannot be used ({reason}): a run reads the settling past again"
            ));
        }
        let missing: Vec<Window> = self.coverage()?.missing().collect();
        let first = missing.first()?;
        let all = missing.iter().map(Window::span).sum();
        let outlook = only_waits.map_or_else(|| "read while the trigger runs".to_owned(), waits);
        Some(format!(
            "{} of {} in all, the oldest from {}: {outlook}",
            counted(missing.len() as u64, "interval"),
            span(all),
            moment(first.start())
        ))
    }

    /// Up to when nothing is missing, where nothing is.
    pub(super) fn none(&self) -> String {
        match self.edge() {
            Some(edge) => format!("none until {}", moment(edge)),
            None if self.coverage().is_some() => {
                "none: no collection has begun, only backfills".to_owned()
            }
            None => "nothing has been read yet".to_owned(),
        }
    }

    /// What is gone for good; none when that is nothing.
    pub(super) fn lost(&self) -> Option<String> {
        let coverage = self.coverage()?;
        let lost = coverage.lost();
        let last = lost.last()?;
        let all = lost.iter().map(Window::span).sum();
        Some(format!(
            "{} of mail in {}, the newest until {}: Microsoft did not keep the rows until they were asked \
             for; asked for once more a day{}",
            span(all),
            counted(lost.len() as u64, "interval"),
            moment(last.end()),
            proof(coverage.losses())
        ))
    }

    /// What was skipped as somebody moved the position on; none when that is nothing.
    pub(super) fn skipped(&self) -> Option<String> {
        let skipped = self.coverage()?.skipped();
        let windows: Vec<String> = skipped.iter().map(from_to).collect();
        (!windows.is_empty()).then(|| {
            format!(
                "skipped by position, as somebody has moved it on: rows received from {}. If \
                 nobody else has delivered them, `message-trace backfill --skipped` does, as far as Microsoft \
                 still keeps them",
                windows.join(", and from ")
            )
        })
    }

    /// Since when late rows are being looked for; none when they are not.
    pub(super) fn settling(&self) -> Option<String> {
        let since = self.coverage()?.settling_since()?;
        Some(format!(
            "rows that surface late are looked for among those received since {}",
            moment(since)
        ))
    }

    /// That no row is in what was read, and is read again, although it is long; none else.
    pub(super) fn silent(&self) -> Option<(String, Value)> {
        let coverage = self.coverage()?;
        let read = Window::new(coverage.settling_since()?, coverage.edge())?;
        if read.span() < SILENT || coverage.rows(read) > 0.0 {
            return None;
        }
        let text = format!(
            "none was received from {}, as far as the service shows. If mail was received, it has perhaps \
             ended without saying so: where `service` is a setting, set it to `graph`",
            from_to(&read)
        );
        Some((
            text,
            json!({"none_from": read.start(), "none_to": read.end()}),
        ))
    }

    /// How each part of the timeline stands, oldest first, for machines.
    pub(super) fn timeline(&self) -> Value {
        let intervals = self.coverage().map(Coverage::intervals).unwrap_or_default();
        let excess = intervals.len().saturating_sub(MOST_INTERVALS);
        let told = intervals.iter().skip(excess).map(|(window, state)| {
            json!({"from": window.start(), "to": window.end(), "state": state.word()})
        });
        told.collect()
    }

    pub(super) fn facts(&self) -> Value {
        let coverage = self.coverage();
        let windows = |of: fn(&Coverage) -> Vec<Window>| -> Value {
            let windows = coverage.map(of).unwrap_or_default();
            let pairs = windows.iter().map(|one| json!([one.start(), one.end()]));
            pairs.collect()
        };
        let damage = match &self.0 {
            Found::Damaged(reason) => Some(reason),
            Found::Nothing | Found::Timeline(_) => None,
        };
        json!({
            "missing": windows(|coverage| coverage.missing().collect()),
            "lost": windows(|coverage| coverage.lost().to_vec()),
            "skipped_by_position": windows(|coverage| coverage.skipped().to_vec()),
            "losses": coverage.map(Coverage::losses).unwrap_or_default(),
            "settling_since": coverage.and_then(Coverage::settling_since),
            "asked_until": self.edge(),
            "damage": damage,
        })
    }
}

/// What the newest loss was called lost for.
fn proof(losses: &[Loss]) -> String {
    let known = losses.iter().rev().find_map(|loss| loss.evidence);
    known.map_or_else(String::new, |evidence| {
        let Evidence {
            refused,
            refusals: [first, second],
            answered,
            ..
        } = evidence;
        format!(
            "; {refused} was refused at {} and {}, and {answered} answered between",
            moment(first),
            moment(second)
        )
    })
}

fn from_to(window: &Window) -> String {
    format!("{} to {}", moment(window.start()), moment(window.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use collect::{lateness::Lateness, timeline::Timeline};
    use sekoia::MemoryBackend;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + minutes * 60, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    /// A service that has ended may answer with empty pages for ever.
    #[test]
    fn a_day_in_which_no_row_was_received_is_told() {
        let told = |end, rows: &[(i64, i64, u64)]| {
            let mut coverage = Coverage::new(at(0));
            coverage.reach(at(end));
            for (start, end, rows) in rows {
                coverage.read(window(*start, *end), at(*end), *rows);
            }
            let timeline = Timeline::new(at(end), coverage, Lateness::default());
            Gaps(Found::Timeline(Box::new(timeline))).silent()
        };
        let (text, facts) = told(1200, &[(0, 1200, 0)]).unwrap();
        assert!(
            text.contains("2026-11-18 11:06:40 UTC to 2026-11-19 "),
            "{text}"
        );
        assert_eq!(facts["none_to"], json!(at(1200)));
        assert_eq!(told(1199, &[(0, 1199, 0)]), None);
        assert_eq!(told(1300, &[(0, 1300, 0), (900, 901, 1)]), None);
        assert_eq!(told(1300, &[]), None, "nothing was read");
    }

    #[tokio::test]
    async fn intervals_are_told_from_the_file() {
        let storage = Storage::new(MemoryBackend::default());
        let nothing = Gaps::in_storage(&storage).await.unwrap();
        assert_eq!((nothing.missing(None), nothing.settling()), (None, None));

        let mut coverage = Coverage::new(at(0));
        coverage.lose(Loss {
            window: window(0, 10),
            evidence: Some(Evidence {
                refused: window(9, 10),
                refusals: [at(70), at(80)],
                answered: window(70, 71),
                local: at(80),
                source: at(81),
            }),
            asked: at(81),
        });
        coverage.reach(at(70));
        coverage.read(window(70, 90), at(90), 5);
        let mut moved = coverage.clone();
        moved.skip_by_position(at(100));
        let moved = Timeline::new(at(91), moved, Lateness::default());
        let moved = Gaps(Found::Timeline(Box::new(moved)));
        let skipped = moved.skipped().unwrap();
        assert!(
            skipped.contains("2026-11-18 11:16:40 UTC to 2026-11-18 12:16:40 UTC, and from "),
            "{skipped}"
        );
        // It is listed also when they are gone.
        assert!(
            skipped.ends_with("as far as Microsoft still keeps them"),
            "{skipped}"
        );
        let facts = moved.facts();
        let skipped = facts["skipped_by_position"].as_array().unwrap();
        assert_eq!(skipped.len(), 2);
        let timeline = Timeline::new(at(91), coverage, Lateness::default());
        let text = serde_json::to_vec(&timeline).unwrap();
        storage.write(TIMELINE_FILE, text).await.unwrap();
        let gaps = Gaps::in_storage(&storage).await.unwrap();
        assert_eq!(
            gaps.missing(None).unwrap(),
            "1 interval of 60 min in all, the oldest from 2026-11-18 11:16:40 UTC: read while the \
             trigger runs"
        );
        let missing = gaps.missing(Some(1)).unwrap();
        assert!(
            missing.ends_with(
                " UTC: waits until all that was read of it is accepted (1 event in hand)"
            ),
            "{missing}"
        );
        let lost = gaps.lost().unwrap();
        assert!(lost.starts_with("10 min of mail in 1 interval,"), "{lost}");
        let proof = "; 2026-11-18T11:15:40Z to 2026-11-18T11:16:40Z was refused at 2026-11-18 \
                     12:16:40 UTC and 2026-11-18 12:26:40 UTC, and 2026-11-18T12:16:40Z to \
                     2026-11-18T12:17:40Z answered between";
        assert!(lost.ends_with(proof), "{lost}");
        let losses = &gaps.facts()["losses"];
        assert_eq!(losses[0]["evidence"]["source"], "2026-11-18T12:27:40Z");
        let settling = gaps.settling().unwrap();
        assert!(
            settling.ends_with("since 2026-11-18 12:16:40 UTC"),
            "{settling}"
        );
        assert_eq!(gaps.facts()["missing"].as_array().unwrap().len(), 1);
        assert_eq!(gaps.skipped(), None);

        storage.write(TIMELINE_FILE, "{").await.unwrap();
        let gaps = Gaps::in_storage(&storage).await.unwrap();
        assert!(gaps.missing(None).unwrap().contains("cannot be used (EOF"));
    }
}
