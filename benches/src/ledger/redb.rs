//! An embedded store, for comparison.

use std::path::Path;

use anyhow::Result;
use collect::known::Filed;
use redb::{Database, ReadableDatabase as _, TableDefinition};
use rows::RowKey;

use super::steps::Ledger;

/// An embedded store: hour and key in one number, nothing in memory but its cache.
pub(super) struct Redb(Database);

const TABLE: TableDefinition<'_, u128, ()> = TableDefinition::new("delivered");

/// As much as keeps a process of this size within 256 MiB.
const REDB_CACHE: usize = 64 << 20;

fn number(row: Filed, key: RowKey) -> u128 {
    let mut bytes = [0; 16];
    let (hour, rest) = bytes.split_at_mut(4);
    hour.copy_from_slice(&row.hour.to_be_bytes());
    rest.copy_from_slice(&key.to_bytes());
    u128::from_be_bytes(bytes)
}

impl Ledger for Redb {
    fn open(directory: &Path) -> Result<Self> {
        let database = Database::builder()
            .set_cache_size(REDB_CACHE)
            .create(directory.join("known-rows.redb"))?;
        let begin = database.begin_write()?;
        begin.open_table(TABLE)?;
        begin.commit()?;
        Ok(Self(database))
    }

    fn admit(&mut self, page: &[Filed]) -> Result<usize> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let mut new = 0;
        for row in page {
            let mut lowest = row.key.to_bytes();
            let mut highest = lowest;
            for (low, high) in lowest.iter_mut().zip(&mut highest).skip(9) {
                (*low, *high) = (0, u8::MAX);
            }
            let range = number(*row, RowKey::from_bytes(lowest))
                ..=number(*row, RowKey::from_bytes(highest));
            new += usize::from(table.range(range)?.next().is_none());
        }
        Ok(new)
    }

    fn deliver(&mut self, page: &[Filed]) -> Result<()> {
        let mut numbers: Vec<u128> = page.iter().map(|row| number(*row, row.key)).collect();
        numbers.sort_unstable();
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for number in numbers {
                table.insert(number, ())?;
            }
        }
        write.commit()?;
        Ok(())
    }
}
