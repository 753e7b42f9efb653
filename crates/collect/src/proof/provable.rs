//! What the ledger tells: what can be proven of an hour, and when mail comes.

use std::io;

use chrono::{DateTime, Utc};
use rows::Window;

use super::{DAY, HourRecord, Proof, name_of, window_of};
use crate::{Store, coverage::Stage, known::hour};

/// So many days are counted.
const DAYS: u32 = 7;

/// What there is of an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provable {
    /// Its record.
    Yes(Box<HourRecord>),
    /// It may still get rows.
    Open,
    /// There is no record, and why: a part of a sentence.
    No(String),
}

impl Proof {
    /// What there is of an hour, when the timeline stands like this. All that was folded is kept.
    pub(crate) async fn of_hour(
        &mut self,
        store: &impl Store,
        hour: u32,
        timeline: &[(Window, Stage)],
    ) -> io::Result<Provable> {
        let window = window_of(hour);
        let is = |stages: &[Stage]| {
            let mut parts = timeline.iter().filter(|(_, stage)| stages.contains(stage));
            parts.any(|(part, _)| window.is_some_and(|hour| part.intersection(hour).is_some()))
        };
        // What was read again of an hour counts in its sums at once, and in its parts when it is folded.
        if is(&[Stage::Settling, Stage::Missing]) || self.open.reopened.contains(&hour) {
            return Ok(Provable::Open);
        }
        let day = self.day(store, hour / DAY).await?;
        let record = day.as_ref().and_then(|day| day.hours.get(&hour));
        let is_of_these_keys = day.as_ref().is_some_and(|day| day.head.seed == self.seed);
        if let Some(record) = record.filter(|_| is_of_these_keys) {
            return Ok(Provable::Yes(Box::new(record.clone())));
        }
        if self.until.is_none_or(|until| hour >= until) {
            return Ok(Provable::Open);
        }
        let name = name_of(hour / DAY);
        Ok(Provable::No(match &day {
            Some(_) if record.is_some() => format!("{name} was made with keys that are lost"),
            _ if !is(&[Stage::Final]) => "this module has not collected it".to_owned(),
            Some(day) if day.head.is_damaged => format!("{name} is damaged where it was"),
            None if self.days.contains_key(&(hour / DAY)) => format!("{name} is damaged"),
            _ => format!(
                "it has no record in {name}: the file was taken away, sending the hour again was given \
                 up, or it was collected by a version that kept none"
            ),
        }))
    }

    /// Of each hour of the day, in UTC: how many such hours of the last seven days have a record, and how many
    /// rows they had.
    pub(crate) async fn by_hour_of_day(
        &mut self,
        store: &impl Store,
        now: DateTime<Utc>,
    ) -> io::Result<[(u64, u64); DAY as usize]> {
        let mut counts = [(0, 0); DAY as usize];
        let end = hour(now);
        let since = end.saturating_sub(DAYS * DAY);
        for day in since / DAY..=end / DAY {
            let Some(found) = self.day(store, day).await? else {
                continue;
            };
            for (hour, record) in found.hours.range(since..end) {
                if let Some((hours, rows)) = counts.get_mut((hour % DAY) as usize) {
                    *hours += 1;
                    *rows += record.sums.rows();
                }
            }
        }
        Ok(counts)
    }
}
