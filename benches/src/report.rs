//! What was measured, as Markdown.

use std::{
    fmt::{self, Display, Write as _},
    fs,
    io::Write as _,
    path::Path,
    process::Command,
};

use benchmark::{
    contestant::{Contestant, Trigger},
    statistics::median,
    stock::{Dialect, Stock},
};
use chrono::{DateTime, Utc};

use crate::{
    backlog,
    bench::Bench,
    chart::{self, Bar},
    idle, paced,
};

const MIB: f64 = 1_048_576.0;

/// Shows a line.
pub(crate) fn say(text: impl Display) {
    // When nobody listens, the files must do.
    _ = writeln!(std::io::stdout(), "{text}");
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    runs: usize,
    begun: DateTime<Utc>,
    /// Mean bytes of a row: of the Reporting Web Service, of Graph.
    row_bytes: Option<(f64, f64)>,
    backlog: Vec<backlog::Sample>,
    days: Vec<paced::Day>,
    starts: Vec<(Contestant, f64)>,
    idle: Vec<idle::Sample>,
    tenants: Vec<paced::Tenant>,
    /// Rows in 5 minutes: in the long run, and in the first.
    quota: Vec<(f64, f64)>,
    /// Bytes of the binary and of the image.
    size: Option<(u64, u64)>,
}

/// A figure of the issue with its target.
struct Figure {
    name: String,
    target: String,
    measured: String,
    met: bool,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "what is counted here is far below 2^52"
)]
impl Report {
    #[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
    pub(crate) fn new(bench: &Bench) -> Self {
        Self {
            runs: bench.runs,
            begun: Utc::now(),
            row_bytes: None,
            backlog: Vec::new(),
            days: Vec::new(),
            starts: Vec::new(),
            idle: Vec::new(),
            tenants: Vec::new(),
            quota: Vec::new(),
            size: None,
        }
    }

    pub(crate) fn stocks(&mut self, reporting: &Stock, graph: &Stock) {
        let mean = |stock: &Stock| stock.bytes() as f64 / stock.len().max(1) as f64;
        self.row_bytes = Some((mean(reporting), mean(graph)));
    }

    pub(crate) fn backlog(&mut self, sample: backlog::Sample) {
        self.backlog.push(sample);
    }

    pub(crate) fn day(&mut self, day: paced::Day) {
        self.days.push(day);
    }

    pub(crate) fn start(&mut self, contestant: Contestant, seconds: f64) {
        self.starts.push((contestant, seconds));
    }

    pub(crate) fn idle(&mut self, sample: idle::Sample) {
        self.idle.push(sample);
    }

    pub(crate) fn tenant(&mut self, tenant: paced::Tenant) {
        self.tenants.push(tenant);
    }

    pub(crate) fn quota(&mut self, steady: f64, first: f64) {
        self.quota.push((steady, first));
    }

    pub(crate) fn size(&mut self, binary: u64, image: u64) {
        self.size = Some((binary, image));
    }

    /// Writes the report and the chart.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::write(folder.join("RESULTS.md"), self.markdown())?;
        if !self.backlog.is_empty() {
            fs::write(folder.join("backlog.svg"), chart::svg(&self.bars()))?;
        }
        Ok(())
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("# Results\n\n");
        _ = self.head(&mut text);
        _ = self.figures(&mut text);
        _ = self.backlog_table(&mut text);
        _ = self.day_table(&mut text);
        _ = self.other_tables(&mut text);
        text
    }

    fn head(&self, text: &mut String) -> fmt::Result {
        let date = self.begun.format("%Y-%m-%d %H:%M UTC");
        let machine = machine();
        writeln!(text, "{date}, commit {}, {machine}.\n", commit())?;
        writeln!(
            text,
            "Medians of {} runs, contestants in turn; ratios are those of one run. `README.md` \
             beside this file says what is measured and how.\n",
            self.runs
        )
    }

    fn figures(&self, text: &mut String) -> fmt::Result {
        let figures: Vec<Figure> = [
            self.against_relay(),
            self.against_python(),
            self.peak(),
            self.first_request(),
            self.at_rest(),
            self.requests(),
            self.quota_share(),
            self.sizes(),
        ]
        .into_iter()
        .flatten()
        .collect();
        if figures.is_empty() {
            return Ok(());
        }
        writeln!(text, "| Figure | Target | Measured | |\n|---|---|---|---|")?;
        for Figure {
            name,
            target,
            measured,
            met,
        } in figures
        {
            let met = if met { "met" } else { "**missed**" };
            writeln!(text, "| {name} | {target} | {measured} | {met} |")?;
        }
        writeln!(text)
    }

    fn of(&self, contestant: Contestant) -> impl Iterator<Item = &backlog::Sample> {
        self.backlog
            .iter()
            .filter(move |sample| sample.contestant == contestant)
    }

    /// CPU per row of a contestant against another one, run by run.
    fn ratio(&self, contestant: Contestant, other: Contestant) -> Option<f64> {
        let per_row = |sample: &backlog::Sample| sample.cpu / sample.rows as f64;
        let ratios = self.of(contestant).zip(self.of(other));
        let ratio = median(ratios.map(|(one, other)| per_row(one) / per_row(other)));
        ratio.is_finite().then_some(ratio)
    }

    fn against_relay(&self) -> Option<Figure> {
        let reporting = Contestant::Relay(Dialect::Reporting);
        let ratios = [
            (Trigger::Account, reporting),
            (Trigger::Oauth, reporting),
            (Trigger::Graph, Contestant::Relay(Dialect::Graph)),
        ]
        .map(|(trigger, relay)| (trigger, self.ratio(Contestant::Module(trigger), relay)));
        let worst = ratios
            .iter()
            .filter_map(|(_, ratio)| *ratio)
            .reduce(f64::max)?;
        let all = ratios.iter().filter_map(|(trigger, ratio)| {
            ratio.map(|ratio| format!("{ratio:.2}x `{}`", trigger.command()))
        });
        Some(Figure {
            name: "(a) CPU per row against the relay".to_owned(),
            target: "at most 2.0x".to_owned(),
            measured: all.collect::<Vec<_>>().join(", "),
            met: worst <= 2.0,
        })
    }

    fn against_python(&self) -> Option<Figure> {
        let module = Contestant::Module(Trigger::Account);
        let ratio = self.ratio(Contestant::Python, module)?;
        Some(Figure {
            name: "(a) CPU per row against the Python SDK".to_owned(),
            target: "at least 12x less".to_owned(),
            measured: format!("{ratio:.1}x less"),
            met: ratio >= 12.0,
        })
    }

    fn peak(&self) -> Option<Figure> {
        let module = |sample: &&backlog::Sample| matches!(sample.contestant, Contestant::Module(_));
        let peaks = self
            .backlog
            .iter()
            .filter(module)
            .map(|sample| sample.peak as f64 / MIB);
        let most = peaks.reduce(f64::max)?;
        Some(Figure {
            name: "(a) peak resident memory, the worst of all runs".to_owned(),
            target: "at most 24 MiB".to_owned(),
            measured: format!("{most:.1} MiB"),
            met: most <= 24.0,
        })
    }

    fn started(&self, contestant: Contestant) -> f64 {
        let starts = self.starts.iter().filter(|(who, _)| *who == contestant);
        median(starts.map(|(_, seconds)| seconds * 1000.0))
    }

    fn first_request(&self) -> Option<Figure> {
        let triggers = [Trigger::Account, Trigger::Oauth, Trigger::Graph];
        let each = triggers.map(|trigger| self.started(Contestant::Module(trigger)));
        let worst = each
            .into_iter()
            .filter(|millis| millis.is_finite())
            .reduce(f64::max)?;
        let python = self.started(Contestant::Python);
        let beside = if python.is_finite() {
            format!(" (Python SDK: {python:.0} ms)")
        } else {
            String::new()
        };
        Some(Figure {
            name: "(c) start to first request, the slowest trigger".to_owned(),
            target: "at most 30 ms".to_owned(),
            measured: format!("{worst:.1} ms{beside}"),
            met: worst <= 30.0,
        })
    }

    fn at_rest(&self) -> Option<Figure> {
        let modules = || {
            let module =
                |sample: &&idle::Sample| matches!(sample.contestant, Contestant::Module(_));
            self.idle.iter().filter(module)
        };
        let most = modules()
            .map(|sample| sample.resident as f64 / MIB)
            .reduce(f64::max)?;
        let share = median(modules().map(|sample| sample.share * 100.0));
        Some(Figure {
            name: "(d) idle for a minute".to_owned(),
            target: "at most 0.02 % of a core, 12 MiB resident".to_owned(),
            measured: format!("{share:.4} % of a core, {most:.1} MiB resident"),
            met: share <= 0.02 && most <= 12.0,
        })
    }

    fn requests(&self) -> Option<Figure> {
        let most = self.tenants.iter().map(|tenant| tenant.pages).max()?;
        let minutes = median(
            self.tenants
                .iter()
                .map(|tenant| tenant.took.as_seconds_f64() / 60.0),
        );
        Some(Figure {
            name: "(e) requests for 90 days, 300 000 rows".to_owned(),
            target: "at most 120".to_owned(),
            measured: format!("{most}, in {minutes:.1} minutes under the quota"),
            met: most <= 120,
        })
    }

    fn quota_share(&self) -> Option<Figure> {
        if self.quota.is_empty() {
            return None;
        }
        let steady = median(self.quota.iter().map(|(steady, _)| *steady));
        let first = median(self.quota.iter().map(|(_, first)| *first));
        let share = steady / paced::CEILING * 100.0;
        Some(Figure {
            name: "(f) share of the ceiling of 500 000 rows in 5 minutes".to_owned(),
            target: "at least 95 %".to_owned(),
            measured: format!("{share:.1} % ({steady:.0} rows; the first 5 minutes: {first:.0})"),
            met: share >= 95.0,
        })
    }

    fn sizes(&self) -> Option<Figure> {
        let (binary, image) = self.size?;
        let (binary, image) = (binary as f64 / MIB, image as f64 / MIB);
        Some(Figure {
            name: "release binary, static, stripped; image layout".to_owned(),
            target: "at most 11 MiB; 12 MiB".to_owned(),
            measured: format!("{binary:.2} MiB; {image:.2} MiB"),
            met: binary <= 11.0 && image <= 12.0,
        })
    }

    fn contestants(&self) -> Vec<Contestant> {
        let mut found = Vec::new();
        for sample in &self.backlog {
            if !found.contains(&sample.contestant) {
                found.push(sample.contestant);
            }
        }
        found
    }

    fn cpu(&self, contestant: Contestant) -> f64 {
        median(
            self.of(contestant)
                .map(|sample| sample.cpu / sample.rows as f64 * 1e6),
        )
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |contestant: Contestant| Bar {
            name: contestant.name().replace('`', ""),
            value: self.cpu(contestant),
            ours: matches!(contestant, Contestant::Module(_)),
        };
        self.contestants().into_iter().map(bar).collect()
    }

    fn backlog_table(&self, text: &mut String) -> fmt::Result {
        let Some((reporting, graph)) = self.row_bytes.filter(|_| !self.backlog.is_empty()) else {
            return Ok(());
        };
        writeln!(
            text,
            "## (a) A backlog\n\nRows of {reporting:.0} bytes (Graph: {graph:.0}) on average. The \
             time of `message_trace_graph` is that of the quota.\n\n\
             ![CPU per million rows](backlog.svg)\n\n\
             | | rows | CPU s per million rows | peak MiB | rows per s | MB in | MB out | \
             pages | batches |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for contestant in self.contestants() {
            let of = |value: fn(&backlog::Sample) -> f64| median(self.of(contestant).map(value));
            writeln!(
                text,
                "| {} | {} | {:.2} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
                contestant.name(),
                of(|sample| sample.rows as f64),
                self.cpu(contestant),
                of(|sample| sample.peak as f64 / MIB),
                of(|sample| sample.rows as f64 / sample.wall),
                of(|sample| sample.bytes.0 as f64 / 1e6),
                of(|sample| sample.bytes.1 as f64 / 1e6),
                of(|sample| sample.requests.0 as f64),
                of(|sample| sample.requests.1 as f64),
            )?;
        }
        writeln!(text)
    }

    fn day_table(&self, text: &mut String) -> fmt::Result {
        if self.days.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "## (b) A day of 100 000 rows\n\nLate rows and changing statuses included; in \
             accelerated time.\n\n| | delivered | missing | doubled | pages asked | CPU s | peak \
             MiB |\n|---|--:|--:|--:|--:|--:|--:|"
        )?;
        for trigger in [Trigger::Account, Trigger::Graph] {
            let of = |value: fn(&paced::Day) -> f64| {
                median(
                    self.days
                        .iter()
                        .filter(|day| day.trigger == trigger)
                        .map(value),
                )
            };
            writeln!(
                text,
                "| `{}` | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.1} |",
                trigger.command(),
                of(|day| day.accepted as f64),
                of(|day| day.missing as f64),
                of(|day| day.doubled as f64),
                of(|day| day.pages as f64),
                of(|day| day.usage.cpu.as_secs_f64()),
                of(|day| day.usage.peak as f64 / MIB),
            )?;
        }
        writeln!(text)
    }

    fn other_tables(&self, text: &mut String) -> fmt::Result {
        let triggers = [Trigger::Account, Trigger::Oauth, Trigger::Graph];
        let all = triggers
            .map(Contestant::Module)
            .into_iter()
            .chain([Contestant::Python]);
        if !self.starts.is_empty() {
            writeln!(text, "## (c) Start to first request\n\n| | ms |\n|---|--:|")?;
            for contestant in all.clone() {
                let millis = self.started(contestant);
                if millis.is_finite() {
                    writeln!(text, "| {} | {millis:.1} |", contestant.name())?;
                }
            }
            writeln!(text)?;
        }
        if self.idle.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "## (d) Idle for a minute\n\n| | % of a core | MiB resident |\n|---|--:|--:|"
        )?;
        for contestant in all {
            let of = |value: fn(&idle::Sample) -> f64| {
                median(
                    self.idle
                        .iter()
                        .filter(|one| one.contestant == contestant)
                        .map(value),
                )
            };
            let (share, resident) = (
                of(|one| one.share * 100.0),
                of(|one| one.resident as f64 / MIB),
            );
            if share.is_finite() {
                writeln!(
                    text,
                    "| {} | {share:.4} | {resident:.1} |",
                    contestant.name()
                )?;
            }
        }
        writeln!(text)
    }
}

fn commit() -> String {
    let output = Command::new("git")
        .args([
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
        ])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names = || {
        information
            .lines()
            .filter_map(|line| line.strip_prefix("model name"))
    };
    let name = names()
        .next()
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("{} cores of {name}, Linux {kernel}", names().count())
}
