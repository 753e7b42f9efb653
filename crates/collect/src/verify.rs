//! A verification: a range that is read once more, to show that nothing of it is missing.
//!
//! For each hour of reception the collection writes a [`Verdict`]. An hour with a verdict is not read again.

mod missing;

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Window, privacy::Privacy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

pub(crate) use self::missing::Missing;
use crate::{
    Store,
    order::{RangeOrder, RangeProgress, RangeWork},
    proof::Notes,
    words::words,
};

/// A range of which all hours of reception are to be verified.
pub type VerifyOrder = RangeOrder<VerifyWork>;

/// How far a verification has got.
pub type VerifyProgress = RangeProgress<VerifyWork>;

/// The file with the verdicts of its hours: one JSON object a line.
pub const VERDICTS_FILE: &str = "verify-hours.jsonl";

/// What is to be done with the hours of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyWork {
    /// Whether all rows are to be sent again, also those that were accepted.
    pub resend: bool,
}

/// What is counted of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyCounts {
    /// Hours that it is about.
    pub hours: u64,
    /// Hours that have a verdict.
    pub judged: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that were missing and are delivered now.
    pub delivered: u64,
}

impl RangeWork for VerifyWork {
    const ORDER_FILE: &'static str = "verify.json";
    const PROGRESS_FILE: &'static str = "verify-progress.json";

    type Counts = VerifyCounts;

    fn done_and_left(counts: &VerifyCounts) -> (i64, i64) {
        let left = counts.hours.saturating_sub(counts.judged);
        (counts.judged.cast_signed(), left.cast_signed())
    }
}

/// What was found out about an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// All rows that the source shows were accepted, or went to the dead letters.
    Proven,
    /// Some were missing, and are delivered now.
    Delivered,
    /// Some were missing, and the source does not show them any more.
    Gone,
    /// More differ than can be told apart.
    Many,
    /// All rows were sent again, as a person asked for.
    Resent,
    /// It is read again by the collection itself.
    Open,
    /// Nothing can be said.
    #[default]
    Unprovable,
}

words! {
    Finding: Proven = "proven", Delivered = "delivered", Resent = "resent", Open = "open",
    Gone = "gone", Many = "many", Unprovable = "unprovable"
}

/// A row by what a person finds it by, as far as it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowName {
    /// The id of its message in the trace.
    pub message_trace_id: Option<String>,
    /// Whom it was sent to.
    pub recipient: Option<String>,
}

impl RowName {
    /// Whether it tells this row from all others: a source can be asked for what happened to it.
    pub(crate) fn is_whole(&self) -> bool {
        self.message_trace_id.is_some() && self.recipient.is_some()
    }
}

/// The verdict of an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The order.
    pub order: Uuid,
    /// The hour of reception, from its beginning.
    pub hour: DateTime<Utc>,
    /// When it was found out.
    pub at: DateTime<Utc>,
    /// What.
    pub finding: Finding,
    /// Why nothing can be said, or not of all that is shown; a part of a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The parts of it that were collected and compared.
    pub parts: Vec<Window>,
    /// Rows that were accepted, or went to the dead letters.
    pub accepted: u64,
    /// Rows that the source shows.
    pub shown: u64,
    /// The digest of what was accepted; none when there is no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The rows that were missing. They are delivered now, but for those that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<RowName>,
    /// Rows that were missing, and are not shown any more.
    #[serde(default)]
    pub vanished: u64,
    /// Rows that were accepted, and are not shown any more, or were accepted twice.
    #[serde(default)]
    pub not_shown: u64,
    /// Of the rows that were missing, those that became dead letters instead of being delivered.
    #[serde(default)]
    pub refused: u64,
    /// Whether rows have another status now than the last one that was accepted; none where that was not
    /// found out.
    pub statuses_differ: Option<bool>,
    /// What was noticed while it was collected.
    pub notes: Notes,
}

impl Verdict {
    /// One more reason why nothing can be said, or not of all that is shown.
    pub(crate) fn doubt(&mut self, why: &str) {
        match &mut self.reason {
            Some(reason) if reason.contains(why) => {}
            Some(reason) => {
                reason.push_str("; ");
                reason.push_str(why);
            }
            None => self.reason = Some(why.to_owned()),
        }
    }

    /// Whether all of the hour was collected and compared.
    pub fn is_whole(&self) -> bool {
        self.parts.iter().copied().eq(self.window())
    }

    /// Whether it is not proven although what was missing is delivered now: of other rows nobody knows.
    pub fn is_in_doubt(&self) -> bool {
        self.finding == Finding::Delivered && self.reason.is_some()
    }

    /// How many of the rows that were missing are delivered now.
    pub fn delivered(&self) -> u64 {
        (self.missing.len() as u64).saturating_sub(self.refused)
    }

    /// The verdicts of an order, oldest hour first. What a crash has cut short is not there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of_order(store: &impl Store, order: Uuid) -> io::Result<Vec<Self>> {
        let mut verdicts: Vec<Self> = lines_of(store).await?;
        verdicts.retain(|verdict| verdict.order == order);
        verdicts.sort_by_key(|verdict| verdict.hour);
        verdicts.dedup_by_key(|verdict| verdict.hour);
        Ok(verdicts)
    }

    /// The hour.
    pub fn window(&self) -> Option<Window> {
        Window::new(self.hour, self.hour + TimeDelta::hours(1))
    }
}

/// The lines of one kind in the file of the verdicts.
async fn lines_of<T: DeserializeOwned>(store: &impl Store) -> io::Result<Vec<T>> {
    let text = store
        .read_or_empty(VERDICTS_FILE)
        .await?
        .unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    let kind = lines.filter_map(|line| serde_json::from_slice(line).ok());
    Ok(kind.collect())
}

/// Adds lines to the file of the verdicts. Half of one may be there, of an addition that has failed.
pub(crate) async fn append(store: &impl Store, lines: &[impl Serialize]) -> io::Result<()> {
    store.append(VERDICTS_FILE, text_of(lines)?.into()).await?;
    store.sync(VERDICTS_FILE).await
}

fn text_of(lines: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        text.push(b'\n');
        serde_json::to_writer(&mut text, line).map_err(io::Error::other)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Hides in the file whom rows were sent to, as events are hidden: they may have been named before that was
/// wanted.
pub(crate) async fn hide_names(store: &impl Store, privacy: &mut Privacy) -> io::Result<()> {
    let named: Vec<Value> = lines_of(store).await?;
    let mut hidden = named.clone();
    for line in &mut hidden {
        hide_recipients(line, privacy);
    }
    if hidden == named {
        return Ok(());
    }
    store.write(VERDICTS_FILE, text_of(&hidden)?.into()).await
}

fn hide_recipients(value: &mut Value, privacy: &mut Privacy) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let recipient = value.as_str().filter(|_| name == "recipient");
                match recipient.map(str::to_owned) {
                    Some(recipient) => *value = privacy.hidden_address(&recipient).into(),
                    None => hide_recipients(value, privacy),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                hide_recipients(value, privacy);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rows::{
        RowKeyer,
        privacy::{Addresses, Exposure, KeyedHasher, Subjects},
    };

    use super::*;
    use crate::testing::Files;

    fn verdict(hour: &str) -> Verdict {
        serde_json::from_value(serde_json::json!({
            "order": Uuid::nil(), "hour": hour, "at": "2026-11-11T02:00:00Z",
            "finding": "proven", "parts": [], "accepted": 0, "shown": 0, "statuses_differ": null,
            "notes": {"late": 0, "dead_letters": 0, "first_read": null, "last_read": null},
        }))
        .unwrap()
    }

    /// One that was cut short takes no other with it.
    #[tokio::test]
    async fn verdicts_that_are_kept_together_come_once_also_when_that_has_failed_before() {
        let hours = [
            "2026-11-10T02:00:00Z",
            "2026-11-10T03:00:00Z",
            "2026-11-10T04:00:00Z",
        ];
        let all = hours.map(verdict);
        for verdicts in [&all[..1], &all[..]] {
            let files = Files::default();
            // Half of the addition is there.
            files.breaks_after(Some(0));
            assert!(append(&files, verdicts).await.is_err());
            files.breaks_after(None);
            append(&files, verdicts).await.unwrap();
            let found = Verdict::of_order(&files, Uuid::nil()).await.unwrap();
            assert_eq!(found, verdicts);
        }
    }

    #[tokio::test]
    async fn who_was_named_before_that_was_to_be_hidden_is_hidden() {
        let ada = RowName {
            message_trace_id: Some("7".to_owned()),
            recipient: Some("Ada@contoso.test".to_owned()),
        };
        let mut judged = verdict("2026-11-10T02:00:00Z");
        judged.missing = vec![ada.clone(), RowName::default()];
        let row = RowKeyer::new([3; 16]).key(&["7"], "delivered").message();
        let mut missing = Missing {
            wanted: BTreeSet::from([row]),
            found: BTreeMap::from([(row, ada)]),
        };
        let files = Files::default();
        let verdicts = std::slice::from_ref(&judged);
        append(&files, verdicts).await.unwrap();
        let (order, at) = (judged.order, judged.hour);
        missing.save(&files, order, at).await.unwrap();
        let hasher = KeyedHasher::new(b"0123456789abcdef");
        let plain = |_: &str| Exposure::Plain;
        let privacy = Privacy::new(plain, Subjects::Keep, Addresses::Hash, hasher);
        let mut privacy = privacy.unwrap();
        let hidden = privacy.hidden_address("Ada@contoso.test");
        judged.missing[0].recipient.clone_from(&hidden);
        missing.found.values_mut().next().unwrap().recipient = hidden;
        // The second time nothing is left to hide.
        for _ in 0..2 {
            hide_names(&files, &mut privacy).await.unwrap();
            let text = files.text();
            assert!(!text.to_lowercase().contains("contoso"), "{text}");
            let found = Verdict::of_order(&files, order).await.unwrap();
            assert_eq!(found, std::slice::from_ref(&judged));
            let found = Missing::of_order(&files, order).await.unwrap();
            assert_eq!(found.into_values().collect::<Vec<_>>(), [missing.clone()]);
        }
    }
}
