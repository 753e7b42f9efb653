//! Filling a memory of delivered rows, and using it: each in a process of its own.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use collect::known::KeyRef;
use rows::RowKey;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::segments::Segments;
use crate::size::bytes_below;
use crate::stream::spread;

const PAGE: u64 = 5000;
pub(super) const HOURS: u64 = 24;
/// So many pages give a mean.
const SAMPLE: u64 = 100;

/// What it costs to fill it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Filled {
    /// A page of new rows: the mean, and what 99 of 100 need at most.
    pub(super) page: Taken,
    pub(super) slow_page: Taken,
    /// Bytes resident at the end.
    pub(super) resident: u64,
}

/// What it costs to open and to use it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Used {
    /// Bytes on the disk.
    pub(super) disk: u64,
    pub(super) open: Taken,
    /// Bytes resident when it is open, and at most until then.
    pub(super) resident: u64,
    pub(super) peak: u64,
    /// A page of known rows, and one of new rows, mean.
    pub(super) known: Taken,
    pub(super) new: Taken,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) passed: Duration,
    /// Of all threads.
    pub(super) processor: Duration,
}

/// The rows are those of the 24 hours that begin with `first_hour`, since 1970.
pub(super) fn fill(directory: &Path, rows: u64, first_hour: u64) -> Result<Filled> {
    let day = Day { rows, first_hour };
    let mut ledger = Segments::open(directory)?;
    let pages = (0..rows).step_by(PAGE.try_into()?);
    let mut times = pages
        .map(|first| new_page(&mut ledger, &day, first))
        .collect::<Result<Vec<_>>>()?;
    times.sort();
    let slow_page = times.get(times.len() * 99 / 100).copied();
    Ok(Filled {
        page: mean(&times),
        slow_page: slow_page.unwrap_or_default(),
        resident: memory("VmRSS")?,
    })
}

pub(super) fn open_and_use(directory: &Path, rows: u64, first_hour: u64) -> Result<Used> {
    let day = Day { rows, first_hour };
    let disk = bytes_below(directory)?;
    let begin = Watch::start();
    let mut ledger = Segments::open(directory)?;
    let open = begin.read();
    let (resident, peak) = (memory("VmRSS")?, memory("VmHWM")?);
    let known = (0..SAMPLE).map(|n| {
        let page = day.page(n * (rows - PAGE) / SAMPLE);
        let begin = Watch::start();
        ensure!(ledger.admit(&page)? == 0, "a known row is new");
        Ok(begin.read())
    });
    let known = known.collect::<Result<Vec<_>>>()?;
    let new = (0..SAMPLE).map(|n| new_page(&mut ledger, &day, rows + n * PAGE));
    let new = new.collect::<Result<Vec<_>>>()?;
    Ok(Used {
        disk,
        open,
        resident,
        peak,
        known: mean(&known),
        new: mean(&new),
    })
}

fn new_page(ledger: &mut Segments, day: &Day, first: u64) -> Result<Taken> {
    let page = day.page(first);
    let begin = Watch::start();
    ensure!(ledger.admit(&page)? == page.len(), "a new row is known");
    ledger.deliver(&page)?;
    Ok(begin.read())
}

/// The rows of a day, evenly spread over it.
struct Day {
    rows: u64,
    /// Since 1970.
    first_hour: u64,
}

impl Day {
    /// The page whose first row has this number.
    fn page(&self, first: u64) -> Vec<KeyRef> {
        let row = |n: u64| {
            let hour = self.first_hour + (n * HOURS / self.rows).min(HOURS - 1);
            KeyRef {
                hour: u32::try_from(hour).unwrap_or(u32::MAX),
                key: key(n),
            }
        };
        (first..first + PAGE).map(row).collect()
    }
}

/// As evenly spread as a hash; the status is the same for all.
fn key(n: u64) -> RowKey {
    let [a, b, c, d, e, f, g, h] = spread(n).to_le_bytes();
    let [i, ..] = spread(!n).to_le_bytes();
    RowKey::from_bytes([a, b, c, d, e, f, g, h, i, 1, 2, 3])
}

struct Watch {
    begin: Instant,
    processor: Duration,
}

impl Watch {
    fn start() -> Self {
        Self {
            begin: Instant::now(),
            processor: processor_time(),
        }
    }

    fn read(self) -> Taken {
        Taken {
            passed: self.begin.elapsed(),
            processor: processor_time().saturating_sub(self.processor),
        }
    }
}

/// Of all threads of this process.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn mean(times: &[Taken]) -> Taken {
    let count = u32::try_from(times.len()).unwrap_or(1).max(1);
    Taken {
        passed: times.iter().map(|time| time.passed).sum::<Duration>() / count,
        processor: times.iter().map(|time| time.processor).sum::<Duration>() / count,
    }
}

/// A line of the process's status, which is in KiB; in bytes.
fn memory(line: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|text| text.strip_prefix(line));
    let mut words = line
        .context("a line of /proc/self/status")?
        .split_whitespace();
    let kib: u64 = words.nth(1).context("a number")?.parse()?;
    Ok(kib << 10)
}
