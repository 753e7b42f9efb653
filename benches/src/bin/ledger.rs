//! Where to keep the keys of delivered rows: segment files and memory, or an embedded store?
//!
//! `ledger [rows]` gives each of the two as many rows of one day (10 million unless told), page by
//! page and durably, opens it in a new process, and prints what that cost as a Markdown table. The
//! processor's time is told beside the time that passed, which says little on a busy machine.

use std::{
    env, fmt, fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use message_trace::{
    RowKey,
    collect::{
        Store,
        journal::{Journal, Remembered},
        known::{Admission, BatchId, Filed},
    },
    sdk::{LocalBackend, Storage, StorageError},
};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use rustix::time::{ClockId, clock_gettime};
use tokio::{runtime::Runtime, time::Instant};

const ROWS: u64 = 10_000_000;
const PAGE: u64 = 5000;
const HOURS: u64 = 24;
/// The first hour, since 1970: in the year 2026.
const FIRST_HOUR: u64 = 498_000;
/// So many pages give a mean.
const SAMPLE: u64 = 100;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => compare(ROWS),
        [rows] => compare(rows.parse().context("the number of rows")?),
        [step, "segments", directory, rows] => run::<Segments>(step, directory, rows),
        [step, "redb", directory, rows] => run::<Redb>(step, directory, rows),
        _ => bail!("usage: ledger [rows]"),
    }
}

/// Measures both, each step in a process of its own, and prints a table.
fn compare(rows: u64) -> Result<()> {
    let mut columns = Vec::new();
    for name in ["segments", "redb"] {
        let directory = tempfile::tempdir()?;
        let path = directory.path().to_str().context("a plain path")?;
        let mut column = Vec::new();
        for step in ["fill", "use"] {
            let output = Command::new(env::current_exe()?)
                .args([step, name, path, &rows.to_string()])
                .stderr(std::process::Stdio::inherit())
                .output()?;
            ensure!(output.status.success(), "{step} {name} failed");
            column.extend(String::from_utf8(output.stdout)?.lines().map(str::to_owned));
        }
        columns.push(column);
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| {rows} rows of {HOURS} hours | segment files | redb |"
    )?;
    writeln!(out, "|---|---:|---:|")?;
    if let [segments, redb] = columns.as_slice() {
        for (one, other) in segments.iter().zip(redb) {
            let (label, one) = one.split_once('\t').context("a measurement")?;
            let (_, other) = other.split_once('\t').context("a measurement")?;
            writeln!(out, "| {label} | {one} | {other} |")?;
        }
    }
    Ok(())
}

/// What is compared.
trait Ledger: Sized {
    /// Opens what is in the directory.
    fn open(directory: &Path) -> Result<Self>;
    /// How many rows of a page are to be sent.
    fn admit(&mut self, page: &[Filed]) -> Result<usize>;
    /// Remembers the rows durably.
    fn deliver(&mut self, page: &[Filed]) -> Result<()>;
}

fn run<L: Ledger>(step: &str, directory: &str, rows: &str) -> Result<()> {
    let (directory, rows) = (Path::new(directory), rows.parse()?);
    match step {
        "fill" => fill::<L>(directory, rows),
        "use" => open_and_use::<L>(directory, rows),
        _ => bail!("no such step: {step}"),
    }
}

fn fill<L: Ledger>(directory: &Path, rows: u64) -> Result<()> {
    let mut ledger = L::open(directory)?;
    let pages = (0..rows).step_by(PAGE.try_into()?);
    let mut times = pages
        .map(|first| new_page(&mut ledger, first, rows))
        .collect::<Result<Vec<_>>>()?;
    times.sort();
    let slow = times.get(times.len() * 99 / 100).copied();
    report("a page of 5000 new rows, mean", mean(&times).to_string())?;
    report(
        "a page of 5000 new rows, 99 of 100 within",
        slow.unwrap_or_default().to_string(),
    )?;
    report("resident when filled", memory("VmRSS")?)
}

fn open_and_use<L: Ledger>(directory: &Path, rows: u64) -> Result<()> {
    report("on disk", mebibytes(bytes_on_disk(directory)?))?;
    let begin = Watch::start();
    let mut ledger = L::open(directory)?;
    report("to open", begin.read().to_string())?;
    report("resident when opened", memory("VmRSS")?)?;
    report("at most resident while opening", memory("VmHWM")?)?;
    let known = (0..SAMPLE)
        .map(|n| {
            let page = page(n * (rows - PAGE) / SAMPLE, rows);
            let begin = Watch::start();
            ensure!(ledger.admit(&page)? == 0, "a known row is new");
            Ok(begin.read())
        })
        .collect::<Result<Vec<_>>>()?;
    report("a page of 5000 known rows, mean", mean(&known).to_string())?;
    let new = (0..SAMPLE)
        .map(|n| new_page(&mut ledger, rows + n * PAGE, rows))
        .collect::<Result<Vec<_>>>()?;
    report(
        "a page of 5000 new rows when full, mean",
        mean(&new).to_string(),
    )
}

fn new_page<L: Ledger>(ledger: &mut L, first: u64, rows: u64) -> Result<Taken> {
    let page = page(first, rows);
    let begin = Watch::start();
    ensure!(ledger.admit(&page)? == page.len(), "a new row is known");
    ledger.deliver(&page)?;
    Ok(begin.read())
}

/// The page whose first row has this number; there are as many `rows` in a day.
fn page(first: u64, rows: u64) -> Vec<Filed> {
    let row = |n: u64| {
        let hour = FIRST_HOUR + (n * HOURS / rows).min(HOURS - 1);
        Filed {
            hour: u32::try_from(hour).unwrap_or(u32::MAX),
            key: key(n),
        }
    };
    (first..first + PAGE).map(row).collect()
}

/// As evenly spread as a hash; the status is the same for all.
fn key(n: u64) -> RowKey {
    let [a, b, c, d, e, f, g, h] = spread(n).to_le_bytes();
    let [i, ..] = spread(!n).to_le_bytes();
    RowKey::from_bytes([a, b, c, d, e, f, g, h, i, 1, 2, 3])
}

/// The finalizer of SplitMix64.
const fn spread(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The module's own: known rows in memory, their journal in segment files.
struct Segments {
    remembered: Remembered,
    store: Directory,
    runtime: Runtime,
}

impl Ledger for Segments {
    fn open(directory: &Path) -> Result<Self> {
        let store = Directory(Storage::new(LocalBackend::open(directory)?));
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let remembered = runtime.block_on(Journal::open(&store, [7; 16]))?;
        ensure!(remembered.damage.is_empty(), "{:?}", remembered.damage);
        Ok(Self {
            remembered,
            store,
            runtime,
        })
    }

    fn admit(&mut self, page: &[Filed]) -> Result<usize> {
        let known = &mut self.remembered.known;
        let admissions = page.iter().map(|row| {
            let received = DateTime::UNIX_EPOCH + TimeDelta::hours(row.hour.into());
            known.admit(
                row.key,
                Some(received),
                DateTime::<Utc>::UNIX_EPOCH,
                BatchId(0),
            )
        });
        Ok(admissions
            .filter(|admission| matches!(admission, Admission::New(_)))
            .count())
    }

    fn deliver(&mut self, page: &[Filed]) -> Result<()> {
        let Remembered { journal, known, .. } = &mut self.remembered;
        self.runtime.block_on(journal.append(&self.store, page))?;
        known.deliver(page);
        Ok(())
    }
}

/// The storage of the module as the store of the journal.
struct Directory(Storage);

fn io<T>(result: Result<T, StorageError>) -> io::Result<T> {
    result.map_err(io::Error::other)
}

impl Store for Directory {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        io(self.0.read(name).await)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(self.0.write(name, content).await)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(self.0.append(name, content).await)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        io(self.0.delete(name).await)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        io(self.0.list(prefix).await)
    }
}

/// An embedded store: hour and key in one number, nothing in memory but its cache.
struct Redb(Database);

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

fn report(label: &str, value: String) -> Result<()> {
    Ok(writeln!(io::stdout(), "{label}\t{value}")?)
}

/// How long something took.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    passed: Duration,
    processor: Duration,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let (passed, processor) = (millis(self.passed), millis(self.processor));
        write!(f, "{passed:.1} ms (processor {processor:.1} ms)")
    }
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

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// A line of the process's status, which is in KiB.
fn memory(line: &str) -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|text| text.strip_prefix(line));
    let mut words = line
        .context("a line of /proc/self/status")?
        .split_whitespace();
    let kib: u64 = words.nth(1).context("a number")?.parse()?;
    Ok(mebibytes(kib << 10))
}

fn bytes_on_disk(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_on_disk(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
