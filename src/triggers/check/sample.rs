//! What a page shows of a person's mail: as little as proves that rows can be read.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Damage, Page, RowRef, Window, exclude::Exclusions, privacy::Privacy};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::triggers::{
    exclusions::{self, Taken},
    words::{counted, moment},
};

/// Services look a little beyond a window.
const MARGIN: TimeDelta = TimeDelta::seconds(2);

#[derive(Debug)]
pub(super) struct Sample {
    rows: usize,
    more: bool,
    newest: Option<DateTime<Utc>>,
    row: Option<Row>,
    /// Rows that were not received in the window that was asked for.
    outside: usize,
    /// What of the answer is no strict JSON.
    damaged: usize,
    excluded: Taken,
}

/// The row that was received last, of either service.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(alias = "SenderAddress", alias = "senderAddress")]
    sender: Option<String>,
    #[serde(alias = "RecipientAddress", alias = "recipientAddress")]
    recipient: Option<String>,
    #[serde(alias = "Status", alias = "status")]
    status: Option<String>,
}

impl Sample {
    /// Of the page that was asked for with this window.
    pub(super) fn of<L>(
        page: &Page<L>,
        window: Window,
        rules: Option<Exclusions>,
        privacy: Option<Privacy>,
    ) -> Self {
        let around = Window::new(window.start() - MARGIN, window.end() + MARGIN);
        let is_inside = |row: &RowRef<'_>| {
            let place = around.zip(row.received);
            place.is_some_and(|(around, received)| around.contains(received))
        };
        let inside = page.rows().filter(is_inside);
        let newest = inside.max_by_key(|row| row.received);
        let mut excluded = Taken::new();
        let taken = page.rows().filter_map(|row| rules.as_ref()?.rule(row.json));
        taken.for_each(|rule| *excluded.entry(rule).or_default() += 1);
        let damaged = |damage: &Damage| damage.mended.len() + damage.broken.len();
        Self {
            rows: page.len(),
            more: page.next().is_some(),
            newest: newest.and_then(|row| row.received),
            row: newest.and_then(|row| Row::of(row.json, privacy)),
            outside: page.rows().filter(|row| !is_inside(row)).count(),
            damaged: page.damage().map_or(0, damaged),
            excluded,
        }
    }

    pub(super) fn facts(&self) -> Value {
        let sample = self.row.as_ref().map(|row| {
            let [sender, recipient] = row.addresses();
            json!({"sender": sender, "recipient": recipient, "status": row.status})
        });
        json!({
            "rows": self.rows,
            "more": self.more,
            "newest": self.newest,
            "outside": self.outside,
            "unreadable": self.damaged,
            "sample": sample,
            "excluded": exclusions::taken_out(&self.excluded),
        })
    }

    /// The rules that take out more than half of the rows, in words.
    pub(super) fn greedy(&self) -> Option<String> {
        exclusions::greedy(&self.excluded, self.rows as u64)
    }

    /// What is said when no row is known to be of the last hour. That there was none, only a whole answer
    /// without any row shows.
    fn nothing(&self) -> &'static str {
        if self.more {
            "the first page of the last hour shows no row of it, and further pages follow, which are not read here"
        } else if self.is_empty() {
            "no row was received in the last hour"
        } else {
            "no row that can be read is known to be of the last hour"
        }
    }

    /// Whether it is of a whole answer without any row.
    pub(super) fn is_empty(&self) -> bool {
        !self.more && self.rows + self.damaged == 0
    }

    fn tell_oddities(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outside > 0 {
            let rows = self.outside;
            write!(
                f,
                "; Microsoft does not keep to the window that it is asked for: rows that were not received \
                 in it: {rows}"
            )?;
        }
        if self.damaged > 0 {
            let rows = self.damaged;
            write!(f, "; rows that are no strict JSON: {rows}")?;
        }
        let excluded = self.excluded.values().sum::<u64>();
        if let Some(greedy) = self.greedy() {
            write!(
                f,
                "; {greedy}, which are not sent: change the setting if that is not what is wanted"
            )?;
        } else if excluded > 0 {
            write!(f, "; {excluded} of the rows fit a rule and are not sent")?;
        }
        Ok(())
    }
}

impl Row {
    /// What a row shows without what must not leave.
    fn of(json: &[u8], privacy: Option<Privacy>) -> Option<Self> {
        let Some(mut privacy) = privacy else {
            return serde_json::from_slice(json).ok();
        };
        let mut hidden = Vec::new();
        privacy.hide(json, &mut hidden).ok()?;
        serde_json::from_slice(&hidden).ok()
    }

    /// Sender and recipient, shortened.
    fn addresses(&self) -> [String; 2] {
        [&self.sender, &self.recipient].map(|address| shortened(address.as_deref()))
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(newest) = self.newest else {
            write!(f, "{}", self.nothing())?;
            return self.tell_oddities(f);
        };
        let more = if self.more { " and more" } else { "" };
        write!(
            f,
            "{}{more} received in the last hour, the newest at {}: ",
            counted(self.rows.saturating_sub(self.outside) as u64, "row"),
            moment(newest)
        )?;
        match &self.row {
            Some(row) => {
                let [sender, recipient] = row.addresses();
                let status = row.status.as_deref().unwrap_or("without a status");
                write!(f, "{sender} to {recipient}, {status}")?;
            }
            None => write!(f, "what it says cannot be shown")?,
        }
        self.tell_oddities(f)
    }
}

/// `a…@example.org` for `alice@example.org`.
fn shortened(address: Option<&str>) -> String {
    let Some((local, domain)) = address.unwrap_or_default().rsplit_once('@') else {
        return "…".to_owned();
    };
    let first = local.chars().next().map(String::from).unwrap_or_default();
    format!("{first}…@{domain}")
}

#[cfg(test)]
mod tests {

    use super::*;
    use rows::{RowKeyer, RowSpan};

    #[test]
    fn addresses_are_shortened() {
        let shortened = |address| shortened(Some(address));
        assert_eq!(shortened("alice@example.org"), "a…@example.org");
        assert_eq!(shortened("\"a@b\"@example.org"), "\"…@example.org");
        assert_eq!(shortened("@example.org"), "…@example.org");
        assert_eq!(shortened("alice"), "…");
    }

    #[test]
    fn the_newest_row_is_shown_without_its_subject() {
        let text = r#"{"senderAddress":"alice@a.test","recipientAddress":"bob@b.test","status":"delivered","subject":"hunter2"}"#;
        let at = |second: i64| DateTime::from_timestamp(1_795_000_000 + second, 0);
        let page = |received: &[Option<DateTime<Utc>>]| {
            let rows = received.iter().enumerate().map(|(n, received)| {
                let range = if n == 0 { 0..text.len() } else { 0..2 };
                let key = RowKeyer::new([1; 16]).key(&[n.to_string()], "");
                RowSpan::new(range, key, *received).unwrap()
            });
            let next = (!received.is_empty()).then_some(());
            Page::of(text, rows.collect(), next).unwrap()
        };
        let start = at(-3000).unwrap();
        let hour = Window::new(start, start + TimeDelta::hours(1)).unwrap();
        let sample = Sample::of(&page(&[at(40), at(0)]), hour, None, None);
        assert_eq!(
            sample.to_string(),
            "2 rows and more received in the last hour, the newest at 2026-11-18 11:07:20 UTC: \
             a…@a.test to b…@b.test, delivered"
        );
        let facts = sample.facts().to_string();
        assert!(
            facts.contains("b…@b.test") && !facts.contains("hunter2"),
            "{facts}"
        );
        let empty = Sample::of(&page(&[]), hour, None, None);
        assert_eq!(empty.to_string(), "no row was received in the last hour");
        assert!(empty.is_empty() && !sample.is_empty());
        let odd = [at(40), at(0), at(-100_000), None];
        let odd = Sample::of(&page(&odd), hour, None, None);
        assert!(
            odd.to_string()
                .starts_with("2 rows and more received in the last hour")
        );
        assert!(odd.to_string().ends_with("not received in it: 2"), "{odd}");
        assert_eq!(odd.facts()["outside"], 2);
    }

    #[test]
    fn that_there_was_no_mail_is_said_only_when_it_is_so() {
        let at = |second: i64| DateTime::from_timestamp(1_795_000_000 + second, 0);
        let start = at(-3000).unwrap();
        let hour = Window::new(start, start + TimeDelta::hours(1)).unwrap();
        let said = |row: &str, received: &[Option<DateTime<Utc>>], next: Option<()>| {
            let rows = received.iter().map(|received| {
                let key = RowKeyer::new([1; 16]).key(&["1".to_owned()], "");
                RowSpan::new(0..row.len(), key, *received).unwrap()
            });
            let page = Page::of(row.to_owned(), rows.collect(), next).unwrap();
            Sample::of(&page, hour, None, None).to_string()
        };
        let none = "no row was received in the last hour";
        assert_eq!(said("", &[], None), none);
        assert!(said("", &[], Some(())).contains("further pages follow"));
        assert!(said("{}", &[None], None).starts_with("no row that can be read is known"));
        let strange = said(r#"{"senderAddress":7}"#, &[at(0)], None);
        assert_eq!(
            strange,
            "1 row received in the last hour, the newest at 2026-11-18 11:06:40 UTC: what it says cannot be \
             shown"
        );
    }
}
