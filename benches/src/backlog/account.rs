//! The figures of a backlog.

use crate::{
    contestant::{Contestant, Trigger},
    site::Wire,
    statistics::median,
    stock::{Dialect, Stock},
};

use super::Sample;
use crate::report::{Figure, Outcome, Table, mib, number};

/// All samples, and what was moved.
#[derive(Debug)]
pub(super) struct Account {
    samples: Vec<Sample>,
    /// Mean bytes of a row: of the Reporting Web Service, of Graph.
    row_bytes: [f64; 2],
}

/// The module may take so many seconds of processor more than the relay for a million rows: over plain HTTP
/// and in production.
const MORE: [f64; 2] = [0.45, 0.40];

/// In production the vendor's SDK takes as many times the processor time of the module, or more.
const LESS: f64 = 7.0;

/// To hide all may take so much more than to hide nothing.
const HIDING: f64 = 1.3;

impl Account {
    /// How the services are talked to; all of a turn is compared over the same one.
    pub(super) const WIRES: [Wire; 2] = [Wire::Plain, Wire::Production];

    pub(super) fn new(samples: Vec<Sample>, stocks: [&Stock; 2]) -> Self {
        let mean = |stock: &Stock| number(stock.bytes() as u64) / number(stock.len() as u64);
        Self {
            samples,
            row_bytes: stocks.map(mean),
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let mut figures = vec![self.against_relay(), self.against_python()];
        for (wire, most) in Self::WIRES.into_iter().zip(MORE) {
            figures.push(self.beyond_relay(wire, most));
        }
        figures.extend([
            self.against_python_in_production(),
            self.hiding(),
            self.peak(),
        ]);
        Outcome {
            figures: figures.into_iter().flatten().collect(),
            section: self.section(),
            ..Outcome::default()
        }
    }

    fn of(&self, contestant: Contestant, wire: Wire) -> impl Iterator<Item = &Sample> {
        let samples = self.samples.iter();
        samples.filter(move |sample| sample.contestant == contestant && sample.wire == wire)
    }

    /// What comes of the processor time per row of two contestants in each run, in the median.
    fn compared(
        &self,
        [contestant, other]: [Contestant; 2],
        wire: Wire,
        compare: fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let pairs = self.of(contestant, wire).zip(self.of(other, wire));
        let compared =
            median(pairs.map(|(one, other)| compare(one.cpu_per_row(), other.cpu_per_row())));
        compared.is_finite().then_some(compared)
    }

    /// Processor time per row of a contestant against another one.
    fn ratio(&self, contestant: Contestant, other: Contestant, wire: Wire) -> Option<f64> {
        self.compared([contestant, other], wire, |one, other| one / other)
    }

    /// The relay that a trigger of the module is compared with: under the same conditions, so for Graph with
    /// the same quota.
    const fn relay_of(trigger: Trigger) -> Contestant {
        match trigger.dialect() {
            Dialect::Reporting => Contestant::Relay(Dialect::Reporting),
            Dialect::Graph => Contestant::PacedRelay,
        }
    }

    fn beyond_relay(&self, wire: Wire, most: f64) -> Option<Figure> {
        let more = Contestant::MODULES.into_iter().filter_map(|module| {
            let both = [module, Self::relay_of(module.trigger())];
            let more = self.compared(both, wire, |one, other| one - other)? * 1e6;
            Some((module, more))
        });
        let more: Vec<_> = more.collect();
        let worst = more.iter().map(|(_, more)| *more).reduce(f64::max)?;
        let all = more
            .iter()
            .map(|(module, more)| format!("{more:.2} s {}", module.name()));
        let (name, target) = match wire {
            Wire::Production => (
                "(a) in production: CPU beyond the relay, a million rows",
                "at most 0.40 s",
            ),
            _ => ("(a) CPU beyond the relay, a million rows", "at most 0.45 s"),
        };
        Some(Figure {
            name,
            target,
            measured: all.collect::<Vec<_>>().join(", "),
            met: worst <= most,
        })
    }

    fn against_python_in_production(&self) -> Option<Figure> {
        let module = Contestant::Module(Trigger::Account);
        let ratio = self.ratio(Contestant::Python, module, Wire::Production)?;
        Some(Figure {
            name: "(a) in production: CPU per row against the Python SDK",
            target: "at least 7x less",
            measured: format!("{ratio:.1}x less"),
            met: ratio >= LESS,
        })
    }

    fn hiding(&self) -> Option<Figure> {
        let module = Contestant::Module(Trigger::Account);
        let ratio = self.ratio(Contestant::Hiding, module, Wire::Production)?;
        Some(Figure {
            name: "(a) in production: CPU per row, all hashed against nothing hidden",
            target: "at most 30 % more",
            measured: format!("{:.0} % more", (ratio - 1.0) * 100.0),
            met: ratio <= HIDING,
        })
    }

    fn against_relay(&self) -> Option<Figure> {
        let ratios = Contestant::MODULES.into_iter().filter_map(|module| {
            let relay = Self::relay_of(module.trigger());
            Some((module, self.ratio(module, relay, Wire::Plain)?))
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
                Wire::Plain,
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
        let ratio = self.ratio(
            Contestant::Python,
            Contestant::Module(Trigger::Account),
            Wire::Plain,
        )?;
        Some(Figure {
            name: "(a) CPU per row against the Python SDK",
            target: "at least 12x less",
            measured: format!("{ratio:.1}x less"),
            met: ratio >= 12.0,
        })
    }

    fn peak(&self) -> Option<Figure> {
        let module = |sample: &&Sample| {
            matches!(
                sample.contestant,
                Contestant::Module(_) | Contestant::Hiding
            )
        };
        let peaks = self.samples.iter().filter(module);
        let most = peaks.map(|sample| mib(sample.peak)).reduce(f64::max)?;
        Some(Figure {
            name: "(a) peak resident memory, the worst of all runs",
            target: "at most 24 MiB",
            measured: format!("{most:.1} MiB"),
            met: most <= 24.0,
        })
    }

    fn contestants(&self) -> Vec<(Contestant, Wire)> {
        let mut found = Vec::new();
        for sample in &self.samples {
            let found_again = (sample.contestant, sample.wire);
            if !found.contains(&found_again) {
                found.push(found_again);
            }
        }
        found
    }

    fn median(&self, (contestant, wire): (Contestant, Wire), value: fn(&Sample) -> f64) -> f64 {
        median(self.of(contestant, wire).map(value))
    }

    fn section(&self) -> String {
        let mut table = Table::new([
            "",
            "services",
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
                contestant.0.name(),
                contestant.1.name().to_owned(),
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
             time of `message_trace_graph` is that of the quota. What TLS and gzip cost is what the \
             relay takes more with them.\n\n{table}"
        )
    }
}

impl Sample {
    fn cpu_per_row(&self) -> f64 {
        self.cpu / number(self.rows)
    }
}
