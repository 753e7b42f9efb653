//! When mail comes, by what the ledger has counted.

use std::io;

use chrono::{DateTime, Utc};

use super::{DAY, Proof};
use crate::{Store, known::hour};

/// So many days are counted.
const DAYS: u32 = 7;

impl Proof {
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
