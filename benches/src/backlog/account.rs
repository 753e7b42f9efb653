//! The figures of a backlog.

use super::{Sample, WIRES};
use crate::{
    contestant::{Contestant, Trigger},
    report::{Figure, Outcome, median, number, table},
    site::Wire,
    stock::Stock,
};

struct Account<'a>(&'a [Sample]);

pub(super) fn outcome(samples: &[Sample], stocks: [&Stock; 2]) -> Outcome {
    let account = Account(samples);
    let [plain, production] = WIRES;
    let figures = [
        account.against_relay(
            "(a) CPU per row against the relay",
            ("at most 2.0x", 2.0, "x"),
            |module, relay| module / relay,
            plain,
        ),
        account.against_python(
            "(a) CPU per row against the Python SDK",
            ("at least 12x less", 12.0),
            plain,
        ),
        account.against_relay(
            "(a) CPU beyond the relay, a million rows",
            ("at most 0.45 s", 0.45, " s"),
            |module, relay| module - relay,
            plain,
        ),
        account.against_relay(
            "(a) in production: CPU beyond the relay, a million rows",
            ("at most 0.40 s", 0.40, " s"),
            |module, relay| module - relay,
            production,
        ),
        account.against_python(
            "(a) in production: CPU per row against the Python SDK",
            ("at least 7x less", 7.0),
            production,
        ),
        account.hiding(production),
        account.peak(),
    ];
    Outcome {
        figures: figures.into_iter().flatten().collect(),
        section: account.section(stocks),
        ..Outcome::default()
    }
}

impl Account<'_> {
    fn of(&self, contestant: Contestant, wire: Wire) -> impl Iterator<Item = &Sample> {
        let samples = self.0.iter();
        samples.filter(move |sample| sample.contestant == contestant && sample.wire == wire)
    }

    /// What comes of the processor time of two contestants in each run, in the median.
    fn compared(
        &self,
        [contestant, other]: [Contestant; 2],
        wire: Wire,
        compare: fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let pairs = self.of(contestant, wire).zip(self.of(other, wire));
        let compared = median(pairs.map(|(one, other)| compare(one.cpu, other.cpu)));
        compared.is_finite().then_some(compared)
    }

    /// Each trigger against the relay under the same conditions; the worst counts.
    fn against_relay(
        &self,
        name: &'static str,
        (target, most, unit): (&'static str, f64, &str),
        compare: fn(f64, f64) -> f64,
        wire: Wire,
    ) -> Option<Figure> {
        let found = Trigger::ALL.into_iter().filter_map(|trigger| {
            let relay = Contestant::Relay(trigger.service());
            let value = self.compared([Contestant::Module(trigger), relay], wire, compare)?;
            Some((value, format!("{value:.2}{unit} `{}`", trigger.command())))
        });
        let (values, shown): (Vec<f64>, Vec<String>) = found.unzip();
        Some(Figure {
            name,
            target,
            measured: shown.join(", "),
            met: values.into_iter().reduce(f64::max)? <= most,
        })
    }

    fn against_account(&self, contestant: Contestant, wire: Wire) -> Option<f64> {
        let both = [contestant, Contestant::Module(Trigger::Account)];
        self.compared(both, wire, |one, account| one / account)
    }

    fn against_python(
        &self,
        name: &'static str,
        (target, least): (&'static str, f64),
        wire: Wire,
    ) -> Option<Figure> {
        let ratio = self.against_account(Contestant::Python, wire)?;
        Some(Figure {
            name,
            target,
            measured: format!("{ratio:.1}x less"),
            met: ratio >= least,
        })
    }

    fn hiding(&self, wire: Wire) -> Option<Figure> {
        let ratio = self.against_account(Contestant::Hiding, wire)?;
        Some(Figure {
            name: "(a) in production: CPU per row, all hashed against nothing hidden",
            target: "at most 30 % more",
            measured: format!("{:.0} % more", (ratio - 1.0) * 100.0),
            met: ratio <= 1.3,
        })
    }

    fn peak(&self) -> Option<Figure> {
        let is_module = |sample: &&Sample| {
            !matches!(sample.contestant, Contestant::Relay(_) | Contestant::Python)
        };
        let peaks = self.0.iter().filter(is_module).map(|sample| sample.peak);
        let most = peaks.reduce(f64::max)?;
        Some(Figure {
            name: "(a) peak resident memory, the worst of all runs",
            target: "at most 24 MiB",
            measured: format!("{most:.1} MiB"),
            met: most <= 24.0,
        })
    }

    fn section(&self, stocks: [&Stock; 2]) -> String {
        let mut runs: Vec<(Contestant, Wire)> = Vec::new();
        for sample in self.0 {
            let run = (sample.contestant, sample.wire);
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
        let rows = runs.into_iter().map(|(contestant, wire)| {
            let of = |value: fn(&Sample) -> f64| median(self.of(contestant, wire).map(value));
            format!(
                "{} | {} | {:.0} | {:.2} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0}",
                contestant.name(),
                wire.name(),
                of(|one| number(one.rows)),
                of(|one| one.cpu),
                of(|one| one.peak),
                of(|one| number(one.rows) / one.wall),
                of(|one| number(one.bytes[0]) / 1e6),
                of(|one| number(one.bytes[1]) / 1e6),
                of(|one| number(one.requests[0])),
                of(|one| number(one.requests[1])),
            )
        });
        let table = table(
            " | services | rows | CPU s per million rows | peak MiB | rows per s | MB in | MB out | \
             pages | batches",
            rows,
        );
        let [reporting, graph] =
            stocks.map(|stock| number(stock.bytes() as u64) / number(stock.len() as u64));
        format!(
            "## (a) A backlog\n\nRows of {reporting:.0} bytes (Graph: {graph:.0}) on average. The \
             time of `message_trace_graph` is that of the quota. What TLS and gzip cost is what the \
             relay takes more with them.\n\n{table}"
        )
    }
}
