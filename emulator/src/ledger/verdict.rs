//! What the ledger has to say: which rows were never delivered, twice, or unasked.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Account, EXAMPLES, Ledger, peek};
use crate::{
    Discretion, Status, TraceRow,
    rows::{Life, Rows, Slot},
    time::{Ticks, instant, span, ticks},
};

/// A row with one of its statuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The message.
    pub trace_id: Uuid,
    /// The recipient.
    pub recipient: String,
    /// The status.
    pub status: Status,
    /// When the message was received.
    pub received: DateTime<Utc>,
    /// What else is known, for people.
    pub note: &'static str,
}

/// A delivered event that is no row of the service, or not as the service has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unasked {
    /// What is wrong with it.
    pub reason: String,
    /// The beginning of its text.
    pub event: String,
}

impl Unasked {
    pub(super) fn new(reason: String, event: &str) -> Self {
        Self {
            reason,
            event: event.chars().take(600).collect(),
        }
    }
}

/// A count, and the first few of what was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examples<T> {
    /// How many there are.
    pub count: u64,
    /// The first few of them.
    pub examples: Vec<T>,
}

impl<T> Default for Examples<T> {
    fn default() -> Self {
        Self {
            count: 0,
            examples: Vec::new(),
        }
    }
}

impl<T> Examples<T> {
    pub(super) fn add(&mut self, example: T) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }
}

impl<T: PartialEq> Examples<T> {
    /// Takes back one that was added.
    pub(super) fn take_back(&mut self, example: &T) {
        self.count = self.count.saturating_sub(1);
        let index = self.examples.iter().position(|one| one == example);
        if let Some(index) = index {
            self.examples.remove(index);
        }
    }
}

/// Which rows a verdict expects to have been delivered.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The intake key that they go to; none for the first of the settings.
    pub intake_key: Option<String>,
    /// Only messages received at this time or later.
    pub received_from: Option<DateTime<Utc>>,
    /// Only messages received before this time.
    pub received_before: Option<DateTime<Utc>>,
    /// Only rows that were visible, with the status in question, for at least this long.
    pub visible_for: TimeDelta,
    /// A status that has been followed by another is expected too if it could be seen for this
    /// long (and since the emulator started); none expects only the present one.
    pub superseded_for: Option<TimeDelta>,
    /// How many rows the intake may have refused for good. A collector that drops what was refused
    /// once must not pass for one that tried everything.
    pub rejected: u64,
}

/// The result of comparing what was visible with what was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Rows and statuses that should have been delivered.
    pub expected: u64,
    /// How many of these were.
    pub delivered: u64,
    /// Events of all kinds that the intake accepted.
    pub accepted: u64,
    /// Those that were not delivered.
    pub missing: Examples<Version>,
    /// Those that were not delivered, and that the intake has refused.
    pub rejected: Examples<Version>,
    /// How many of these the scope expects.
    pub rejected_expected: u64,
    /// Those that were not delivered, and were never shown in a form that can be read. Not a fault.
    pub unreadable: Examples<Version>,
    /// Statuses that were followed by another before anybody had to have seen them, and were not
    /// delivered. Not a fault.
    pub superseded: u64,
    /// Deliveries of what the same request had already, or another one whose answer has left.
    pub doubled: Examples<Version>,
    /// Deliveries of what had been accepted before, in a request whose answer got lost. Not a
    /// fault: the sender cannot know.
    pub doubled_unacknowledged: Examples<Version>,
    /// Delivered events that no service has shown like that.
    pub unasked: Examples<Unasked>,
}

impl Verdict {
    /// Whether nothing is missing, doubled or unasked, and no more was refused than was expected.
    pub fn is_clean(&self) -> bool {
        self.missing.count == 0
            && self.doubled.count == 0
            && self.unasked.count == 0
            && self.rejected.count <= self.rejected_expected
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_clean() && self.expected == 0 && self.accepted == 0 {
            "nothing to judge"
        } else if self.is_clean() {
            "clean"
        } else {
            "NOT CLEAN"
        };
        writeln!(f, "verdict: {word}")?;
        writeln!(
            f,
            "  expected   {:>10}  rows and statuses that could be seen",
            self.expected
        )?;
        writeln!(f, "  delivered  {:>10}", self.delivered)?;
        writeln!(f, "  missing    {:>10}", self.missing.count)?;
        writeln!(f, "  doubled    {:>10}", self.doubled.count)?;
        writeln!(
            f,
            "  unasked    {:>10}  unknown or altered events",
            self.unasked.count
        )?;
        for (name, count, meaning) in [
            ("rejected", self.rejected.count, "refused by the intake"),
            (
                "unreadable",
                self.unreadable.count,
                "never shown in a form that can be read",
            ),
            (
                "superseded",
                self.superseded,
                "statuses that passed too fast to be seen",
            ),
            (
                "repeated",
                self.doubled_unacknowledged.count,
                "delivered again because the first answer got lost",
            ),
        ] {
            if count > 0 {
                writeln!(f, "  {name:<10} {count:>10}  {meaning}")?;
            }
        }
        for (name, versions) in [("missing", &self.missing), ("doubled", &self.doubled)] {
            for version in versions.examples.iter().take(5) {
                writeln!(f, "    {name}: {version}")?;
            }
        }
        for unasked in self.unasked.examples.iter().take(5) {
            writeln!(f, "    unasked: {}: {}", unasked.reason, unasked.event)?;
        }
        Ok(())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received = self.received.to_rfc3339_opts(SecondsFormat::Millis, true);
        write!(
            f,
            "{} {} {} {received}",
            self.trace_id, self.recipient, self.status
        )?;
        if !self.note.is_empty() {
            write!(f, " ({})", self.note)?;
        }
        Ok(())
    }
}

impl Ledger {
    /// Compares what could be seen from `started` to `now` with what was delivered to `key`. Nothing is
    /// expected that the module was told not to send.
    pub(crate) fn verdict(
        &self,
        key: &str,
        scope: &Scope,
        rows: &mut Rows,
        discretion: &Discretion,
        (started, now): (Ticks, Ticks),
    ) -> Verdict {
        let none = Account::default();
        let account = self.accounts.get(key).unwrap_or(&none);
        let from = scope.received_from.map_or(Ticks::MIN / 2, ticks);
        let to = scope
            .received_before
            .map_or(now, |before| (ticks(before) - 1).min(now));
        let mut verdict = Verdict {
            accepted: account.accepted,
            doubled: account.doubled.clone(),
            doubled_unacknowledged: account.doubled_unacknowledged.clone(),
            unasked: account.unasked.clone(),
            rejected_expected: scope.rejected,
            ..Verdict::default()
        };
        let texts = match discretion.excludes_nothing() {
            true => HashMap::new(),
            false => texts(rows, (from, to), now),
        };
        let is_unwanted = |slot: Slot, status: Status| {
            let row = texts.get(&slot);
            row.is_some_and(|row| discretion.excludes(row, status))
        };
        let (missing, rejected, unreadable) = (0, 1, 2);
        let mut found = [
            (&mut verdict.missing, Vec::new()),
            (&mut verdict.rejected, Vec::new()),
            (&mut verdict.unreadable, Vec::new()),
        ];
        rows.lives(from, to, |life| {
            let marks = peek(&account.marks, life.slot);
            let shown = peek(&self.shown, life.slot);
            let odd = self.odd.get(&life.slot).map_or(0, |odd| odd.unreadable);
            for seen in seen(life, started, now) {
                let bit = seen.status.bit();
                if is_unwanted(life.slot, seen.status) {
                    continue;
                }
                let enough = if seen.present {
                    Some(span(scope.visible_for))
                } else {
                    scope
                        .superseded_for
                        .map(|least| span(least.max(scope.visible_for)))
                };
                let delivered = (marks.delivered | marks.forgiven) & bit != 0;
                if enough.is_none_or(|enough| seen.length < enough) {
                    verdict.superseded += u64::from(!seen.present && !delivered);
                    continue;
                }
                verdict.expected += 1;
                if delivered {
                    verdict.delivered += 1;
                    continue;
                }
                let (kind, note) = if marks.rejected & bit != 0 {
                    (rejected, "refused by the intake")
                } else if odd & !shown & bit != 0 {
                    (unreadable, "no strict JSON")
                } else if shown & bit == 0 {
                    (missing, "never asked for")
                } else {
                    (missing, "was shown to the collector")
                };
                let (findings, examples) = &mut found[kind];
                findings.count += 1;
                if examples.len() < EXAMPLES {
                    examples.push((life.slot, seen.status, note));
                }
            }
        });
        for (findings, examples) in found {
            let examples = examples.into_iter().filter_map(|(slot, status, note)| {
                let (life, row) = rows.at(slot, now)?;
                Some(Version {
                    trace_id: row.trace_id,
                    recipient: row.recipient,
                    status,
                    received: instant(life.received),
                    note,
                })
            });
            findings.examples.extend(examples);
        }
        verdict
    }
}

/// The rows of a time, as they stand now.
fn texts(rows: &mut Rows, (from, to): (Ticks, Ticks), now: Ticks) -> HashMap<Slot, TraceRow> {
    let mut slots = Vec::new();
    rows.lives(from, to, |life| slots.push(life.slot));
    let texts = slots.into_iter();
    texts
        .filter_map(|slot| Some((slot, rows.at(slot, now)?.1)))
        .collect()
}

/// A status with which a row could be seen.
struct Seen {
    status: Status,
    length: Ticks,
    /// Whether it still has it.
    present: bool,
}

/// The statuses with which a row could be seen between `started` and `now`.
fn seen(life: &Life, started: Ticks, now: Ticks) -> impl Iterator<Item = Seen> {
    let first = life.visible.max(started);
    let steps = life.timeline.steps();
    (0..steps.len()).filter_map(move |index| {
        let (since, status) = steps[index];
        let since = if index == 0 { first } else { since.max(first) };
        let until = steps.get(index + 1).map_or(Ticks::MAX, |(next, _)| *next);
        let present = since <= now && now < until;
        (since <= now && since < until).then(|| Seen {
            status,
            length: until.min(now) - since,
            present,
        })
    })
}
