//! Rows that are not wanted. [`Excluded`] owns the rules, and what is known of the rows that they took out.
//!
//! A row that a rule takes out counts as read, and nothing of it is kept on the disk: it is judged anew each
//! time that it is read. So a rule that is taken away delivers what is still read again. In memory its key is
//! kept for as long as those of delivered rows, so that it is counted once however often it is read.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, Utc};
use rows::{
    RowKey, RowKeyer,
    exclude::{Exclusions, Rule},
};
use serde::{Deserialize, Serialize};

use crate::{
    Store,
    event::Novelty,
    known::{BatchId, DedupDecision, KnownRows},
    order::FormatVersion,
};

/// The file that tells since when the rules are what they are.
pub const EXCLUSIONS_FILE: &str = "exclusions.json";

/// The content of the file. It has no rule in clear text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    version: FormatVersion,
    /// A keyed hash of the rules.
    rules: String,
    /// When rows were first read under them.
    since: DateTime<Utc>,
}

/// Which rows are not wanted, and what is known of them.
#[derive(Debug, Default)]
pub struct Excluded {
    rules: Option<Exclusions>,
    fingerprint: String,
    /// What is on the disk; none when that is of other rules.
    kept: Option<Kept>,
    /// Whether other rules were in force before, or may have been.
    is_changed: bool,
    /// When the first page was taken in.
    begun: Option<DateTime<Utc>>,
    /// The rows that were taken out.
    seen: KnownRows,
    /// Names the page at hand.
    page: BatchId,
    /// Rows of the page at hand that were never seen before.
    count: BTreeMap<Rule, RuleCount>,
}

/// Rows that a rule took out of a page, and that this run has not seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleCount {
    /// All of them.
    pub(crate) rows: usize,
    /// Those of a time that a run before has read, which has counted them.
    pub(crate) again: usize,
}

impl Excluded {
    /// These rules; none for none. `keyer` is the one that makes the keys of the rows.
    ///
    /// # Errors
    /// When the store cannot be read. A damaged file counts as one of other rules.
    pub async fn open(
        store: &impl Store,
        rules: Option<Exclusions>,
        keyer: &RowKeyer,
    ) -> io::Result<Self> {
        let text = rules.as_ref().map(Exclusions::text).unwrap_or_default();
        let fingerprint = format!("{:?}", keyer.opaque(text.as_bytes()));
        let found = store.read_or_empty(EXCLUSIONS_FILE).await?;
        let is_there = found.is_some();
        let kept = found.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let kept = kept.filter(|kept| kept.rules == fingerprint);
        Ok(Self {
            is_changed: kept.is_none() && (is_there || rules.is_some()),
            rules,
            fingerprint,
            kept,
            ..Self::default()
        })
    }

    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    pub(crate) fn rule(&self, row: &[u8]) -> Option<Rule> {
        self.rules.as_ref()?.rule(row)
    }

    /// Whether a row that falls under a rule was seen before.
    pub(crate) fn has_seen(&mut self, key: RowKey) -> bool {
        self.seen.knows(key)
    }

    /// A rule took this row out, for the first time in this run; `again` when it was counted before.
    pub(crate) fn take_out(
        &mut self,
        key: RowKey,
        received: DateTime<Utc>,
        rule: Rule,
        again: bool,
    ) {
        let decision = self.seen.admit(key, Some(received), received, self.page);
        if matches!(decision, DedupDecision::New(_) | DedupDecision::Changed(_)) {
            let count = self.count.entry(rule).or_default();
            count.rows += 1;
            count.again += usize::from(again);
        }
    }

    /// Whether a run before has read a time that was read last at `read`: it has counted what it took out of
    /// it, of which this one knows nothing.
    pub(crate) fn was_counted(&self, read: Option<DateTime<Utc>>) -> bool {
        read.zip(self.begun)
            .is_some_and(|(read, begun)| read < begun)
    }

    /// A page is taken in, which was asked for at this time of the source.
    pub(crate) fn begin_page(&mut self, now: DateTime<Utc>) {
        self.begun.get_or_insert(now);
    }

    /// The page is taken in: how many rows each rule took out for the first time.
    pub(crate) fn end_page(&mut self) -> BTreeMap<Rule, RuleCount> {
        if !self.count.is_empty() {
            self.seen.arrived(self.page);
            self.page = self.page.next();
        }
        std::mem::take(&mut self.count)
    }

    /// Whether there are rules, or may have been.
    pub(crate) fn is_in_play(&self) -> bool {
        self.rules.is_some() || self.is_changed || self.kept.is_some()
    }

    /// What a row is that is not known, when that is due to a rule and not to a row that surfaces late.
    /// `read` tells when its time was read last.
    pub(crate) fn explains(
        &mut self,
        key: RowKey,
        received: DateTime<Utc>,
        read: Option<DateTime<Utc>>,
    ) -> Option<Novelty> {
        if self.seen.has_message(key, received) {
            return Some(Novelty::Changed);
        }
        // What this process has not read itself it cannot tell from a row whose status was excluded.
        let has_statuses = self.rules.as_ref().is_some_and(Exclusions::has_statuses);
        let kept = self.kept.as_ref().map(|kept| kept.since);
        let since = match self.is_changed || has_statuses {
            true => self.begun,
            false => kept,
        };
        (read? < since?).then_some(Novelty::New)
    }

    /// Forgets rows that were received in the hours before that of `horizon`.
    pub(crate) fn forget_before(&mut self, horizon: DateTime<Utc>) {
        self.seen.forget_before(horizon);
    }

    /// Keeps since when the rules are in force, if that is not kept. After an error, call it again.
    pub(crate) async fn keep(&mut self, store: &impl Store) -> io::Result<()> {
        let Some(since) = self
            .begun
            .filter(|_| self.is_changed && self.kept.is_none())
        else {
            return Ok(());
        };
        let kept = Kept {
            version: FormatVersion,
            rules: self.fingerprint.clone(),
            since,
        };
        let text = serde_json::to_vec(&kept).map_err(io::Error::other)?;
        store.write(EXCLUSIONS_FILE, text.into()).await?;
        self.kept = Some(kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rows::exclude::List;

    use super::*;
    use crate::testing::Files;

    /// Else a rule seems to take most rows out after each start, when much of the past is read again.
    #[test]
    fn what_a_run_before_has_counted_is_told_apart() {
        let begun = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let ago = |minutes| begun - TimeDelta::minutes(minutes);
        let mut excluded = Excluded::default();
        assert!(!excluded.was_counted(Some(ago(5))), "nothing was read yet");
        excluded.begin_page(begun);
        assert!(excluded.was_counted(Some(ago(5))));
        assert!(!excluded.was_counted(Some(begun)), "by this run");
        assert!(!excluded.was_counted(None), "by none");
        let rule = Rule {
            list: List::Senders,
            number: 1,
        };
        let keyer = RowKeyer::new([3; 16]);
        for (name, again) in [("a", true), ("b", false), ("b", false)] {
            let key = keyer.key(&[name], "");
            excluded.take_out(key, ago(10), rule, again);
        }
        let count = RuleCount { rows: 2, again: 1 };
        assert_eq!(excluded.end_page(), BTreeMap::from([(rule, count)]));
        assert!(excluded.end_page().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_file_counts_as_one_of_other_rules() {
        let keyer = RowKeyer::new([3; 16]);
        let files = Files::default();
        files.has_no_file(Some(EXCLUSIONS_FILE));
        let excluded = Excluded::open(&files, None, &keyer).await.unwrap();
        assert!(excluded.is_changed);
    }
}
