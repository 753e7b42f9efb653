//! The ledger's verdict at any moment.
//!
//! A row that surfaced after the module last asked for its time is no miss where the module says itself
//! that this time is settling, since it asks again. So each of these stretches is judged by what could be
//! seen when it was read last. Everywhere else before the checkpoint nothing may be missing.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Emulator, Scope, Verdict};
use serde_json::{Value, json};

use super::excuse::Excuse;

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

/// What the module says of its work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim {
    /// Everything received before it is delivered; none before the first window is done.
    pub(crate) checkpoint: Option<DateTime<Utc>>,
    /// What was received earlier, it was never to read; none where it is to read everything.
    pub(crate) reaches: Option<DateTime<Utc>>,
    /// Its timeline, oldest first, no older than the checkpoint.
    pub(crate) timeline: Vec<Stretch>,
}

/// A time before the checkpoint.
#[derive(Debug, PartialEq)]
struct Part {
    from: Option<DateTime<Utc>>,
    to: DateTime<Utc>,
    /// When it was read, where it is to be read again.
    read: Option<DateTime<Utc>>,
}

impl Claim {
    /// The whole time before the checkpoint in parts: the stretches, and what lies between them.
    fn parts(&self, before: DateTime<Utc>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut from = self.reaches;
        let hole = |from: Option<DateTime<Utc>>, to: DateTime<Utc>| {
            let read = None;
            let is_one = from.is_none_or(|from| from < to);
            is_one.then_some(Part { from, to, read })
        };
        for stretch in &self.timeline {
            let start = stretch.from.max(from.unwrap_or(stretch.from)).min(before);
            let end = stretch.to.min(before);
            parts.extend(hole(from, start));
            if start < end {
                parts.push(Part {
                    from: Some(start),
                    to: end,
                    read: match stretch.state {
                        Reading::Settling(read) => Some(read),
                        _ => None,
                    },
                });
            }
            from = Some(start.max(end));
        }
        parts.extend(hole(from, before));
        parts
    }
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
    /// Rows before the checkpoint that were not delivered, although no further reading is to find them.
    pub(crate) missing: u64,
    /// Rows that have surfaced since their time was read last, and that is to be read again.
    pub(crate) awaited: u64,
    /// How often the module was killed since it began from nothing.
    pub(crate) kills: u32,
    /// Rows that came twice without a kill that explains it.
    pub(crate) unexcused: u64,
}

impl Judgement {
    /// Whether there is nothing to judge.
    pub(crate) fn is_empty(&self) -> bool {
        self.verdict.accepted == 0 && self.missing == 0 && self.verdict.rejected.count == 0
    }

    /// Whether every row came, and once: a kill may come between the intake's answer and the note that
    /// is made of it. A row that the intake has refused did not come; whether the module has tried
    /// enough, nobody can tell here.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing == 0
            && self.verdict.unasked.count == 0
            && self.verdict.rejected.count == 0
            && self.unexcused == 0
    }

    /// Whether rows were delivered, and all is clean: what exit code 0 says.
    pub(crate) fn passes(&self) -> bool {
        self.is_clean() && self.verdict.accepted > 0 && self.checkpoint.is_some()
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
            "unexcused": self.unexcused,
            "ledger": self.verdict,
        })
    }
}

/// Judges what is delivered by what the module says of its work.
pub(crate) fn judge(emulator: &Emulator, claim: &Claim, excuse: &Excuse) -> Judgement {
    let at = emulator.clock().now();
    let verdict = emulator.verdict(&Scope {
        received_from: claim.reaches,
        received_before: claim.checkpoint,
        ..Scope::default()
    });
    let mut found = Judgement {
        at,
        checkpoint: claim.checkpoint,
        kills: excuse.kills,
        unexcused: excuse.unexcused(verdict.doubled.count),
        verdict,
        ..Judgement::default()
    };
    let Some(before) = claim.checkpoint else {
        // Before the first window is done the module claims nothing.
        found.verdict.missing = emulator::Examples::default();
        found.verdict.rejected = emulator::Examples::default();
        return found;
    };
    if found.verdict.missing.count == 0 {
        return found;
    }
    // The module may go by the clock of the service.
    let skew = TimeDelta::seconds(emulator.settings().transport.skew_seconds.max(0));
    for Part { from, to, read } in claim.parts(before) {
        let missing = |visible_for| {
            let scope = Scope {
                received_from: from,
                received_before: Some(to),
                visible_for,
                ..Scope::default()
            };
            emulator.verdict(&scope).missing.count
        };
        let all = missing(TimeDelta::zero());
        match read {
            Some(read) if all > 0 => {
                let ago = emulator.clock().now() + skew - read;
                let seen = missing(ago.max(TimeDelta::zero()));
                found.missing += seen;
                found.awaited += all.saturating_sub(seen);
            }
            _ => found.missing += all,
        }
    }
    found
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

    /// An emulator 300 seconds after its start, with a row that was received 100 seconds ago and surfaced
    /// 10 seconds ago.
    fn with_a_late_row() -> (Emulator, DateTime<Utc>) {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let seconds = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&seconds);
        let emulator = Emulator::new(Options {
            clock: Clock::new(move || start + TimeDelta::seconds(shown.load(Ordering::Relaxed))),
            ..Options::default()
        });
        seconds.store(300, Ordering::Relaxed);
        let now = emulator.clock().now();
        let late = NewRow::new(now - TimeDelta::seconds(100), "late@contoso.example");
        emulator.add_row(late.visible_from(now - TimeDelta::seconds(10)));
        (emulator, now)
    }

    #[test]
    fn a_row_that_surfaced_after_its_time_was_read_is_awaited_and_another_is_missing() {
        let (emulator, now) = with_a_late_row();
        let ago = |seconds| now - TimeDelta::seconds(seconds);
        let judged = |checkpoint: Option<DateTime<Utc>>, read| {
            let timeline = vec![Stretch {
                from: ago(200),
                to: ago(50),
                state: Reading::Settling(read),
            }];
            let claim = Claim {
                checkpoint,
                timeline,
                reaches: None,
            };
            judge(&emulator, &claim, &Excuse::default())
        };
        let found = judged(Some(ago(50)), ago(40));
        assert_eq!((found.missing, found.awaited), (0, 1));
        assert!(found.is_clean() && found.is_empty());
        let found = judged(Some(ago(50)), ago(5));
        assert_eq!((found.missing, found.awaited), (1, 0));
        assert!(!found.is_clean());
        let found = judged(None, ago(5));
        assert_eq!((found.missing, found.awaited), (0, 0));
    }

    #[test]
    fn nothing_may_be_missing_where_the_module_does_not_read_again() {
        let (emulator, now) = with_a_late_row();
        let ago = |seconds| now - TimeDelta::seconds(seconds);
        let stretch = |from, to, state| Stretch {
            from: ago(from),
            to: ago(to),
            state,
        };
        let beside = Reading::Settling(ago(40));
        let hole = vec![stretch(200, 150, beside), stretch(90, 50, beside)];
        let timelines = [
            Reading::Missing,
            Reading::Wanted,
            Reading::Final,
            Reading::Lost,
        ]
        .map(|state| vec![stretch(200, 50, state)])
        .into_iter()
        .chain([hole, Vec::new(), vec![stretch(200, 110, beside)]]);
        for timeline in timelines {
            let claim = |reaches| Claim {
                checkpoint: Some(ago(50)),
                reaches,
                timeline: timeline.clone(),
            };
            let found = judge(&emulator, &claim(Some(ago(200))), &Excuse::default());
            assert_eq!((found.missing, found.awaited), (1, 0), "{timeline:?}");
            assert!(!found.is_clean());
            let found = judge(&emulator, &claim(None), &Excuse::default());
            assert_eq!(found.missing, 1, "{timeline:?}");
        }
        // What it was never to read is no miss.
        let claim = Claim {
            checkpoint: Some(ago(50)),
            reaches: Some(ago(90)),
            timeline: Vec::new(),
        };
        assert!(judge(&emulator, &claim, &Excuse::default()).is_clean());
    }

    #[test]
    fn the_time_before_the_checkpoint_is_judged_once_and_without_a_gap() {
        let at = |minute: i64| DateTime::from_timestamp(1_795_000_000 + 60 * minute, 0).unwrap();
        let stretch = |from, to, state| Stretch {
            from: at(from),
            to: at(to),
            state,
        };
        let claim = Claim {
            checkpoint: Some(at(50)),
            reaches: Some(at(5)),
            timeline: vec![
                stretch(0, 20, Reading::Final),
                stretch(10, 15, Reading::Lost),
                stretch(30, 60, Reading::Settling(at(61))),
                stretch(60, 70, Reading::Missing),
            ],
        };
        let part = |from, to, read: Option<i64>| Part {
            from: Some(at(from)),
            to: at(to),
            read: read.map(at),
        };
        let expected = [
            part(5, 20, None),
            part(20, 30, None),
            part(30, 50, Some(61)),
        ];
        assert_eq!(claim.parts(at(50)), expected);
    }
}
