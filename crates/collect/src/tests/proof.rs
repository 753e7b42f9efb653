//! What the proof's ledger has kept of a collection.

use rows::sums::Sums;

use super::*;
use crate::{
    known::hour,
    proof::{Provable, window_of},
};

/// Every hour since `first` that was read for the last time has a record, and the rows of the record are those
/// that there are, each with its last status. Dead letters count: they are dealt with.
pub(super) async fn holds(
    world: &World,
    disk: &Disk,
    first: DateTime<Utc>,
) -> Result<(), TestCaseError> {
    let expected = Inventory::new();
    let remembered = Journal::open(disk, [9; 16], &expected).await.unwrap();
    let mut proof = remembered.proof;
    let coverage = timeline(disk).await.unwrap().coverage;
    let horizon = coverage.floor() - TimeDelta::hours(1);
    proof.begin(&coverage, horizon);
    let intervals = coverage.intervals();
    let mut hours = 0;
    for hour in hour(first)..hour(horizon) {
        let found = proof.of_hour(disk, hour, &intervals).await.unwrap();
        let Provable::Yes(record) = found else {
            return Err(TestCaseError::fail(format!("hour {hour}: {found:?}")));
        };
        hours += 1;
        let hour = window_of(hour).unwrap();
        let collected = Window::new(first.max(hour.start()), hour.end()).unwrap();
        prop_assert_eq!(&record.parts, &[collected], "of {}", hour);
        let rows = world.rows.iter().enumerate();
        let rows = rows.filter(|(_, row)| collected.contains(row.received));
        // After a kill nobody knows which of two statuses was seen last, but which came last.
        let overtaken = world.overtaken.lock().unwrap();
        let in_order = !rows.clone().any(|(n, _)| overtaken.contains(&n));
        let keys = rows.map(|(n, row)| {
            let status = row.changes.map_or(0, |_| CHANGED);
            key(&remembered.keyer, n + status)
        });
        let sums = Sums::of(keys, &[]);
        prop_assert_eq!(record.sums.rows(), sums.rows(), "rows of {}", hour);
        prop_assert!(record.sums.has_messages_of(&sums), "messages of {hour}");
        let has_last = record.sums.has_statuses_of(&sums);
        prop_assert!(has_last || !in_order, "statuses of {hour}");
        prop_assert!(record.notes.first_read <= record.notes.last_read);
        // A kill forgets what was noticed of late.
        let first_read = record.notes.first_read;
        prop_assert!(first_read.is_none_or(|first| first >= hour.start()));
    }
    prop_assert!(hours >= 4);
    Ok(())
}
