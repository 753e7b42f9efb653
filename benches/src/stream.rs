//! A tenant's mail, rendered while it is asked for: as much as one likes, and none of it in memory.

use std::{f64::consts::TAU, io::Write as _, ops::Range};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::stock::{Dialect, Mail, Supply};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;

/// One in so many rows changes its status, once.
const CHANGING: u64 = 10;

/// The longest time until a status changes.
const CHANGES_WITHIN: u64 = 6 * 60 * MINUTE.unsigned_abs();

/// Rows in Graph's form. There are more of them by day than by night, and each is told from all
/// others by its identifier and its time only.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// Milliseconds since 1970.
    begin: i64,
    /// How many rows were received before each minute since then; all of them at last.
    before: Vec<u64>,
}

impl Stream {
    /// As many rows as `mail` has, in the time that it reaches back.
    pub(crate) fn new(mail: Mail) -> Self {
        let begin = (mail.until - mail.span).timestamp_millis();
        let minutes = mail.span.num_minutes().max(1);
        let weights = (0..minutes).scan(0.0, |sum, minute| {
            *sum += weight(begin + minute * MINUTE);
            Some(*sum)
        });
        let sums: Vec<f64> = weights.collect();
        let all = sums.last().copied().unwrap_or(1.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "far below 2^52, and not negative"
        )]
        let rows = |sum: &f64| (sum / all * mail.rows as f64).round() as u64;
        Self {
            begin,
            before: [0].into_iter().chain(sums.iter().map(rows)).collect(),
        }
    }

    /// How many rows were received before an instant.
    pub(crate) fn rows_before(&self, instant: DateTime<Utc>) -> u64 {
        // Rows are received at whole milliseconds.
        let nanos = i64::from(!instant.timestamp_subsec_nanos().is_multiple_of(1_000_000));
        let offset = instant.timestamp_millis() + nanos - self.begin;
        let Ok(minute) = usize::try_from(offset.div_euclid(MINUTE)) else {
            return 0;
        };
        let (Some(first), Some(after)) = (self.before.get(minute), self.before.get(minute + 1))
        else {
            return self.rows();
        };
        let within = offset.rem_euclid(MINUTE).unsigned_abs() * (after - first);
        first + within.div_ceil(MINUTE.unsigned_abs())
    }

    fn rows(&self) -> u64 {
        self.before.last().copied().unwrap_or(0)
    }

    /// When a row was received, counted from the oldest; in milliseconds since 1970.
    fn received(&self, row: u64) -> i64 {
        let minute = self.before.partition_point(|before| *before <= row).max(1) - 1;
        let first = self.before.get(minute).copied().unwrap_or(0);
        let after = self.before.get(minute + 1).copied().unwrap_or(first + 1);
        let within = (row - first) * MINUTE.unsigned_abs() / (after - first);
        self.begin + (minute as u64 * MINUTE.unsigned_abs() + within).cast_signed()
    }

    fn status(row: u64, age: i64) -> &'static str {
        let changes = row.is_multiple_of(CHANGING);
        if changes && age < (spread(row) % CHANGES_WITHIN).cast_signed() {
            "gettingStatus"
        } else {
            "delivered"
        }
    }
}

impl Supply for Stream {
    fn dialect(&self) -> Dialect {
        Dialect::Graph
    }

    fn window(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Range<usize> {
        let number = |rows: u64| usize::try_from(self.rows() - rows).unwrap_or(usize::MAX);
        let after = number(self.rows_before(start));
        let first = number(self.rows_before(end + TimeDelta::nanoseconds(1)));
        first.min(after)..after
    }

    fn text(&self, rows: Range<usize>, now: DateTime<Utc>) -> Bytes {
        let mut text = Vec::with_capacity(rows.len() * 400);
        let now = now.timestamp_millis();
        let mut second = Second::default();
        for number in rows {
            let row = self.rows().saturating_sub(number as u64 + 1);
            let received = self.received(row);
            let status = Self::status(row, now - received);
            if !text.is_empty() {
                text.push(b',');
            }
            // Writing to memory cannot fail.
            _ = write!(
                text,
                "{{\"id\":\"{}\",\"senderAddress\":\"no-reply@newsletter.example\",\
                 \"recipientAddress\":\"recipient.{}@contoso.example\",\
                 \"messageId\":\"<{row:020}@mail.newsletter.example>\",\
                 \"receivedDateTime\":\"{}.{:03}Z\",\
                 \"subject\":\"Your weekly summary, and what is new in the service\",\
                 \"size\":48211,\"fromIP\":\"203.0.113.42\",\"toIP\":\"\",\
                 \"status\":\"{status}\"}}",
                Uuid::from_u64_pair(spread(row), spread(!row)).hyphenated(),
                row % 5000,
                second.text(received),
                received.rem_euclid(1000),
            );
        }
        text.into()
    }
}

/// The text of the second that was asked for last: neighbors share it.
#[derive(Debug, Default)]
struct Second {
    number: Option<i64>,
    text: String,
}

impl Second {
    fn text(&mut self, millis: i64) -> &str {
        let number = millis.div_euclid(1000);
        if self.number != Some(number) {
            let instant = DateTime::from_timestamp(number, 0).unwrap_or_default();
            self.text = instant.format("%Y-%m-%dT%H:%M:%S").to_string();
            self.number = Some(number);
        }
        &self.text
    }
}

/// How much mail there is at some time of the day, in parts of the mean.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn weight(millis: i64) -> f64 {
    let turn = millis.rem_euclid(DAY) as f64 / DAY as f64 * TAU;
    1.0 + 0.5 * turn.sin()
}

/// As evenly spread as a hash: the finalizer of SplitMix64.
pub(crate) const fn spread(number: u64) -> u64 {
    let n = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn until() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn stream(rows: u64) -> Stream {
        Stream::new(Mail {
            rows,
            span: TimeDelta::days(2),
            until: until(),
        })
    }

    fn rows(stream: &Stream, range: Range<usize>, now: DateTime<Utc>) -> Vec<Value> {
        let text = [b"[", &*stream.text(range, now), b"]"].concat();
        serde_json::from_slice(&text).unwrap()
    }

    fn received(row: &Value) -> DateTime<Utc> {
        row["receivedDateTime"].as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn windows_side_by_side_hold_every_row_once() {
        let stream = stream(10_007);
        let mut ids = HashSet::new();
        let mut end = until();
        while end > until() - TimeDelta::days(2) {
            let start = end - TimeDelta::milliseconds(7_654_321);
            // The end is included.
            let window = stream.window(start, end - TimeDelta::milliseconds(1));
            for row in rows(&stream, window, until()) {
                assert!(start <= received(&row) && received(&row) < end, "{row}");
                assert!(ids.insert(row["id"].to_string()));
            }
            end = start;
        }
        assert_eq!(ids.len(), 10_007);
    }

    #[test]
    fn rows_are_newest_first_and_an_instant_belongs_to_its_window() {
        let stream = stream(5000);
        let all = rows(&stream, 0..5000, until());
        assert!(all.is_sorted_by(|newer, older| received(newer) >= received(older)));
        let one = received(&all[1234]);
        let window = stream.window(one, one);
        assert!(window.contains(&1234), "{window:?}");
        assert!(stream.window(one, one - TimeDelta::days(1)).is_empty());
    }

    #[test]
    fn a_tenth_changes_its_status_once() {
        let stream = stream(5000);
        let pending = |now| {
            let rows = rows(&stream, 0..5000, now);
            let pending = rows.iter().filter(|row| row["status"] == "gettingStatus");
            pending.count()
        };
        let before = until() - TimeDelta::days(3);
        assert_eq!(
            (pending(before), pending(until() + TimeDelta::hours(6))),
            (500, 0)
        );
    }
}
