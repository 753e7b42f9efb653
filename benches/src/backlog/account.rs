//! The figures of a backlog.

use benchmark::{
    contestant::{Contestant, Trigger},
    statistics::median,
    stock::{Dialect, Stock},
};

use super::Sample;
use crate::{
    chart::{self, Bar},
    report::{Figure, Outcome, Table, mib, number},
};

/// All samples, and what was moved.
#[derive(Debug)]
pub(super) struct Account {
    samples: Vec<Sample>,
    /// Mean bytes of a row: of the Reporting Web Service, of Graph.
    row_bytes: [f64; 2],
}

impl Account {
    pub(super) fn new(samples: Vec<Sample>, stocks: [&Stock; 2]) -> Self {
        let mean = |stock: &Stock| number(stock.bytes() as u64) / number(stock.len() as u64);
        Self {
            samples,
            row_bytes: stocks.map(mean),
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let figures = [self.against_relay(), self.against_python(), self.peak()];
        Outcome {
            figures: figures.into_iter().flatten().collect(),
            section: self.section(),
            chart: Some(("backlog.svg", chart::svg(&self.bars()))),
        }
    }

    fn of(&self, contestant: Contestant) -> impl Iterator<Item = &Sample> {
        let samples = self.samples.iter();
        samples.filter(move |sample| sample.contestant == contestant)
    }

    /// CPU per row of a contestant against another one, run by run.
    fn ratio(&self, contestant: Contestant, other: Contestant) -> Option<f64> {
        let ratios = self.of(contestant).zip(self.of(other));
        let ratio = median(ratios.map(|(one, other)| one.cpu_per_row() / other.cpu_per_row()));
        ratio.is_finite().then_some(ratio)
    }

    fn against_relay(&self) -> Option<Figure> {
        let ratios = Contestant::MODULES.into_iter().filter_map(|module| {
            // Under the same conditions: for Graph with the same quota.
            let relay = match module.trigger().dialect() {
                Dialect::Reporting => Contestant::Relay(Dialect::Reporting),
                Dialect::Graph => Contestant::PacedRelay,
            };
            Some((module, self.ratio(module, relay)?))
        });
        let ratios: Vec<_> = ratios.collect();
        let worst = ratios.iter().map(|(_, ratio)| *ratio).reduce(f64::max)?;
        let all = ratios
            .iter()
            .map(|(module, ratio)| format!("{ratio:.2}x {}", module.name()));
        let without_a_quota = self
            .ratio(
                Contestant::Module(Trigger::Graph),
                Contestant::Relay(Dialect::Graph),
            )
            .map(|ratio| format!(" ({ratio:.2}x one that has no quota)"));
        Some(Figure {
            name: "(a) CPU per row against the relay",
            target: "at most 2.0x",
            measured: all.collect::<Vec<_>>().join(", ") + &without_a_quota.unwrap_or_default(),
            met: worst <= 2.0,
        })
    }

    fn against_python(&self) -> Option<Figure> {
        let ratio = self.ratio(Contestant::Python, Contestant::Module(Trigger::Account))?;
        Some(Figure {
            name: "(a) CPU per row against the Python SDK",
            target: "at least 12x less",
            measured: format!("{ratio:.1}x less"),
            met: ratio >= 12.0,
        })
    }

    fn peak(&self) -> Option<Figure> {
        let module = |sample: &&Sample| matches!(sample.contestant, Contestant::Module(_));
        let peaks = self.samples.iter().filter(module);
        let most = peaks.map(|sample| mib(sample.peak)).reduce(f64::max)?;
        Some(Figure {
            name: "(a) peak resident memory, the worst of all runs",
            target: "at most 24 MiB",
            measured: format!("{most:.1} MiB"),
            met: most <= 24.0,
        })
    }

    fn contestants(&self) -> Vec<Contestant> {
        let mut found = Vec::new();
        for sample in &self.samples {
            if !found.contains(&sample.contestant) {
                found.push(sample.contestant);
            }
        }
        found
    }

    fn median(&self, contestant: Contestant, value: fn(&Sample) -> f64) -> f64 {
        median(self.of(contestant).map(value))
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |contestant: Contestant| Bar {
            name: contestant.name().replace('`', ""),
            value: self.median(contestant, |sample| sample.cpu_per_row() * 1e6),
            ours: matches!(contestant, Contestant::Module(_)),
        };
        self.contestants().into_iter().map(bar).collect()
    }

    fn section(&self) -> String {
        let mut table = Table::new([
            "",
            "rows",
            "CPU s per million rows",
            "peak MiB",
            "rows per s",
            "MB in",
            "MB out",
            "pages",
            "batches",
        ]);
        for contestant in self.contestants() {
            let of = |value| self.median(contestant, value);
            table.row([
                contestant.name(),
                format!("{:.0}", of(|sample| number(sample.rows))),
                format!("{:.2}", of(|sample| sample.cpu_per_row() * 1e6)),
                format!("{:.1}", of(|sample| mib(sample.peak))),
                format!("{:.0}", of(|sample| number(sample.rows) / sample.wall)),
                format!("{:.0}", of(|sample| number(sample.bytes.0) / 1e6)),
                format!("{:.0}", of(|sample| number(sample.bytes.1) / 1e6)),
                format!("{:.0}", of(|sample| number(sample.requests.0))),
                format!("{:.0}", of(|sample| number(sample.requests.1))),
            ]);
        }
        let [reporting, graph] = self.row_bytes;
        format!(
            "## (a) A backlog\n\nRows of {reporting:.0} bytes (Graph: {graph:.0}) on average. The \
             time of `message_trace_graph` is that of the quota.\n\n\
             ![CPU per million rows](backlog.svg)\n\n{table}"
        )
    }
}

impl Sample {
    fn cpu_per_row(&self) -> f64 {
        self.cpu / number(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(contestant: Contestant, cpu: f64) -> Sample {
        Sample {
            contestant,
            rows: 1_000_000,
            cpu,
            peak: 20 << 20,
            wall: 2.0,
            bytes: (1, 1),
            requests: (1, 1),
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_those_within_a_turn() {
        let relay = Contestant::Relay(Dialect::Reporting);
        let module = Contestant::Module(Trigger::Account);
        // A slow turn is slow for both.
        let turns = [(1.0, 1.9), (10.0, 19.0), (1.0, 3.0)];
        let samples = turns
            .iter()
            .flat_map(|(theirs, ours)| [sample(relay, *theirs), sample(module, *ours)]);
        let account = Account {
            samples: samples.collect(),
            row_bytes: [700.0, 400.0],
        };
        let outcome = account.outcome();
        let names: Vec<_> = outcome.figures.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), 2, "Python has not run: {names:?}");
        let [ratio, peak] = outcome.figures.try_into().unwrap();
        assert_eq!(
            (ratio.measured.as_str(), ratio.met),
            ("1.90x `message_trace`", true)
        );
        assert_eq!((peak.measured.as_str(), peak.met), ("20.0 MiB", true));
        let row = "| `message_trace` | 1000000 | 3.00 | 20.0 | 500000 |";
        assert!(outcome.section.contains(row), "{}", outcome.section);
    }

    #[test]
    fn graph_is_compared_under_its_quota() {
        let samples = [
            (Contestant::Module(Trigger::Graph), 1.5),
            (Contestant::PacedRelay, 1.0),
            (Contestant::Relay(Dialect::Graph), 0.5),
        ];
        let account = Account {
            samples: samples
                .map(|(contestant, cpu)| sample(contestant, cpu))
                .into(),
            row_bytes: [700.0, 400.0],
        };
        let figure = account.against_relay().unwrap();
        assert_eq!(
            figure.measured,
            "1.50x `message_trace_graph` (3.00x one that has no quota)"
        );
        assert!(figure.met);
    }
}
