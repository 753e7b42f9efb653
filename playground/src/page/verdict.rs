//! The ledger's verdict at any moment.
//!
//! A row that surfaced after the module last asked for its time is no miss: the module says itself
//! that this time is settling, and asks again. So each stretch of the module's timeline is judged by
//! what could be seen when it was read last.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Emulator, Scope, Verdict};
use serde_json::{Value, json};

/// A stretch of the module's timeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// From when.
    pub(crate) from: DateTime<Utc>,
    /// To when.
    pub(crate) to: DateTime<Utc>,
    /// How far it has got.
    pub(crate) state: Reading,
}

/// How far a stretch has got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    /// Never read to its end.
    Missing,
    /// Missing, and only a backfill asks for it.
    Wanted,
    /// Read by a query of this instant, and to be read again.
    Settling(DateTime<Utc>),
    /// Read for the last time.
    Final,
    /// Gone before it could be read.
    Lost,
}

/// The timeline of `coverage.json`, oldest first.
pub(crate) fn stretches(coverage: &Value) -> Vec<Stretch> {
    let list = coverage
        .pointer("/coverage/stretches")
        .and_then(Value::as_array);
    let mut stretches: Vec<Stretch> = list.into_iter().flatten().filter_map(stretch).collect();
    let lost = coverage.pointer("/coverage/lost").and_then(Value::as_array);
    for window in lost.into_iter().flatten() {
        if let Some((from, to)) = window_of(window) {
            stretches.push(Stretch {
                from,
                to,
                state: Reading::Lost,
            });
        }
    }
    stretches.sort_by_key(|stretch| stretch.from);
    stretches
}

fn stretch(value: &Value) -> Option<Stretch> {
    let (from, to) = window_of(value.get("window")?)?;
    let phase = value.get("phase")?;
    let state = match phase.as_str() {
        Some("missing") => Reading::Missing,
        Some("wanted") => Reading::Wanted,
        Some("final") => Reading::Final,
        _ => Reading::Settling(date(phase.get("settling")?)?),
    };
    Some(Stretch { from, to, state })
}

fn window_of(value: &Value) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    Some((date(value.get(0)?)?, date(value.get(1)?)?))
}

fn date(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}

/// What the ledger finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Everything received before it is delivered, says the module.
    pub(crate) checkpoint: Option<DateTime<Utc>>,
    /// The ledger's own verdict of what was received before the checkpoint.
    pub(crate) verdict: Verdict,
    /// Rows that could be seen when their time was read last, and were not delivered.
    pub(crate) missing: u64,
    /// Rows that have surfaced since, or lie after the checkpoint: the module will read them.
    pub(crate) awaited: u64,
    /// How often the module was killed since it began from nothing.
    pub(crate) kills: u32,
}

impl Judgement {
    /// Whether there is anything to judge.
    pub(crate) fn is_empty(&self) -> bool {
        self.verdict.accepted == 0 && self.missing == 0
    }

    /// Whether the module did all that it can: a kill may come between the intake's answer and the
    /// note that is made of it.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing == 0
            && self.verdict.unasked.count == 0
            && (self.verdict.doubled.count == 0 || self.kills > 0)
    }

    /// For a download.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "at": self.at,
            "received_before": self.checkpoint,
            "clean": self.is_clean(),
            "missing": self.missing,
            "awaited": self.awaited,
            "kills": self.kills,
            "ledger": self.verdict,
        })
    }
}

/// Judges what is delivered by what the module says of its timeline.
pub(crate) fn judge(
    emulator: &Emulator,
    checkpoint: Option<DateTime<Utc>>,
    timeline: &[Stretch],
    kills: u32,
) -> Judgement {
    let at = emulator.clock().now();
    // The module may go by the clock of the service.
    let skew = emulator.settings().transport.skew_seconds.max(0);
    let latest = at + TimeDelta::seconds(skew);
    let verdict = emulator.verdict(&Scope {
        received_before: checkpoint,
        ..Scope::default()
    });
    // Before the first window is done the module claims nothing.
    let Some(before) = checkpoint else {
        return Judgement {
            at,
            verdict: Verdict {
                missing: emulator::Examples::default(),
                ..verdict
            },
            kills,
            ..Judgement::default()
        };
    };
    let mut missing = 0;
    if verdict.missing.count > 0 {
        for stretch in timeline {
            let seen = match stretch.state {
                Reading::Settling(read) => read,
                Reading::Final => stretch.to,
                _ => continue,
            };
            let scope = Scope {
                received_from: Some(stretch.from),
                received_before: Some(stretch.to.min(before)),
                visible_for: (latest - seen).max(TimeDelta::zero()),
                ..Scope::default()
            };
            missing += emulator.verdict(&scope).missing.count;
        }
    }
    Judgement {
        at,
        checkpoint,
        awaited: verdict.missing.count.saturating_sub(missing),
        missing,
        verdict,
        kills,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use emulator::{Clock, NewRow, Options};

    use super::*;

    #[test]
    fn the_timeline_is_read_from_its_file() {
        let text = r#"{"coverage":{"lost":[["2026-11-01T00:00:00Z","2026-11-02T00:00:00Z"]],
            "stretches":[
            {"window":["2026-11-02T00:00:00Z","2026-11-03T00:00:00Z"],"phase":"final","rows":1.0},
            {"window":["2026-11-03T00:00:00Z","2026-11-04T00:00:00Z"],
             "phase":{"settling":"2026-11-04T00:00:00Z"},"rows":0.0},
            {"window":["2026-11-04T00:00:00Z","2026-11-05T00:00:00Z"],"phase":"missing","rows":0.0}]}}"#;
        let states: Vec<_> = stretches(&serde_json::from_str(text).unwrap())
            .iter()
            .map(|stretch| stretch.state)
            .collect();
        let read = "2026-11-04T00:00:00Z".parse().unwrap();
        let expected = [
            Reading::Lost,
            Reading::Final,
            Reading::Settling(read),
            Reading::Missing,
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn a_row_that_surfaced_after_its_time_was_read_is_awaited_and_another_is_missing() {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let seconds = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&seconds);
        let emulator = Emulator::new(Options {
            clock: Clock::new(move || start + TimeDelta::seconds(shown.load(Ordering::Relaxed))),
            ..Options::default()
        });
        seconds.store(300, Ordering::Relaxed);
        let now = emulator.clock().now();
        let ago = |seconds| now - TimeDelta::seconds(seconds);
        let late = NewRow::new(ago(100), "late@contoso.example").visible_from(ago(10));
        emulator.add_row(late);
        let timeline = |read| {
            [Stretch {
                from: ago(200),
                to: ago(50),
                state: Reading::Settling(read),
            }]
        };
        let found = judge(&emulator, Some(ago(50)), &timeline(ago(40)), 0);
        assert_eq!((found.missing, found.awaited), (0, 1));
        assert!(found.is_clean() && found.is_empty());
        let found = judge(&emulator, Some(ago(50)), &timeline(ago(5)), 0);
        assert_eq!((found.missing, found.awaited), (1, 0));
        assert!(!found.is_clean());
        let found = judge(&emulator, None, &[], 0);
        assert_eq!((found.missing, found.awaited), (0, 0));
    }
}
