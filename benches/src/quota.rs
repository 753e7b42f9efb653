//! (f) The full quota, with answers that take 2 s.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use benchmark::{
    contestant::Trigger,
    site::{Shown, Site},
    statistics::median,
    stock::Mail,
    stream::Stream,
};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    bench::Bench,
    paced::{Course, june},
    report::{Figure, Outcome, Table, number, say},
};

/// The quota counts requests in this time.
pub(crate) const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// As many rows can be had in it.
const CEILING: f64 = 500_000.0;

/// Requests that the service answers in it.
const MOST_REQUESTS: u64 = 100;

/// How long the tenant was not collected.
const STOPPED: TimeDelta = TimeDelta::hours(24);

const LENGTH: TimeDelta = TimeDelta::minutes(21);

/// Rows in all that time: more than the quota lets through.
const ROWS: u64 = 2_400_000;

/// Settings that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    quota: u64,
    settle_time: u64,
}

/// What is new only, with all of the quota; the same with what is read again; the defaults.
const FORMS: [Form; 3] = [
    Form {
        quota: 100,
        settle_time: 0,
    },
    Form {
        quota: 100,
        settle_time: 24,
    },
    Form {
        quota: 90,
        settle_time: 24,
    },
];

/// What the quota gives.
#[derive(Clone, Copy, Debug)]
struct Pace {
    form: Form,
    /// New rows in five minutes: in the long run, and in the first, which find out how dense the
    /// mail is.
    rows: f64,
    first: f64,
    /// The most requests in five minutes.
    requests: u64,
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(f) The full quota ...");
    let mail = Mail {
        rows: ROWS,
        span: STOPPED + LENGTH,
        until: june() + LENGTH,
    };
    let stream = Arc::new(Stream::new(mail));
    let mut paces = Vec::new();
    for _ in 0..bench.runs {
        for form in FORMS {
            paces.push(run(bench, form, &stream).await?);
        }
    }
    Ok(outcome(&paces))
}

async fn run(bench: &Bench, form: Form, stream: &Arc<Stream>) -> anyhow::Result<Pace> {
    let shown = Shown::Supply(Arc::<Stream>::clone(stream));
    let site = Site::open_at(shown, june()).await?;
    let course = Course {
        trigger: Trigger::Graph,
        site: &site,
        settings: json!({
            "start_time": STOPPED.num_hours(),
            "quota": form.quota,
            "settle_time": form.settle_time,
        }),
        start: june(),
        length: LENGTH,
        page_takes: Duration::from_secs(2),
    };
    course.run(bench).await?;
    let seen = site.seen();
    let requests = seen.requests.most_within(PERIOD);
    ensure!(
        requests <= MOST_REQUESTS,
        "the service would refuse some of {requests} requests in 5 minutes"
    );
    let until = |periods| number(seen.acceptance.until(june() + PERIOD * periods));
    Ok(Pace {
        form,
        rows: (until(4) - until(1)) / 3.0,
        first: until(1),
        requests,
    })
}

fn outcome(paces: &[Pace]) -> Outcome {
    let mut table = Table::new([
        "`quota`",
        "`settle_time`",
        "new rows in 5 minutes",
        "of the ceiling",
        "in the first 5 minutes",
        "most requests in 5 minutes",
    ]);
    let mut figures = Vec::new();
    for form in FORMS {
        let of = |value: fn(&Pace) -> f64| {
            let paces = paces.iter().filter(|pace| pace.form == form);
            median(paces.map(value))
        };
        let rows = of(|pace| pace.rows);
        let share = rows / CEILING * 100.0;
        table.row([
            form.quota.to_string(),
            form.settle_time.to_string(),
            format!("{rows:.0}"),
            format!("{share:.1} %"),
            format!("{:.0}", of(|pace| pace.first)),
            format!("{:.0}", of(|pace| number(pace.requests))),
        ]);
        if figures.is_empty() {
            figures.push(Figure {
                name: "(f) share of the ceiling of 500 000 rows in 5 minutes",
                target: "at least 95 %",
                measured: format!("{share:.1} % (new rows, nothing read again)"),
                met: share >= 95.0,
            });
        }
    }
    Outcome {
        figures,
        section: format!(
            "## (f) The full quota\n\nA tenant of 2 400 000 rows a day that was not collected for \
             a day; its newest rows are read every minute beside the backlog. Pages of 5000 rows, \
             answers after 2 s. What is read again for late rows and changed statuses takes its \
             part of the quota.\n\n{table}"
        ),
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_new_rows_with_all_of_the_quota() {
        let pace = |(form, rows)| Pace {
            form,
            rows,
            first: 1000.0,
            requests: 100,
        };
        let paces = FORMS.into_iter().zip([475_000.0, 400_000.0, 350_000.0]);
        let paces: Vec<_> = paces.map(pace).collect();
        let outcome = outcome(&paces);
        let [figure] = outcome.figures.try_into().unwrap();
        assert!(
            figure.met && figure.measured.starts_with("95.0 %"),
            "{figure:?}"
        );
        assert!(
            outcome
                .section
                .contains("| 90 | 24 | 350000 | 70.0 % | 1000 | 100 |")
        );
    }
}
