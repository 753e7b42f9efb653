//! The schedule of settling, over six simulated days: what it costs, and when late rows are seen.

mod model;

use std::{collections::HashMap, thread};

use collect::Lane;

use self::model::{DAY, Service, Tenant, at};
use crate::report::{Figure, Outcome, number, say, table};

/// The two services with their quota; the Reporting Web Service's is an estimate.
const SERVICES: [Service; 2] = [
    Service {
        name: "Graph",
        rows_per_page: 5000,
        share: 90,
    },
    Service {
        name: "Reporting Web Service",
        rows_per_page: 2000,
        share: 270,
    },
];

/// Rows a day.
const TENANTS: [f64; 6] = [1e3, 1e5, 3e5, 1e6, 3e6, 1e7];

/// For tenants of as many rows a day the promise must be kept.
const PROMISED: f64 = 1e6;

/// What is found out about a tenant.
#[derive(Clone, Copy, Debug)]
struct Case {
    service: Service,
    rows_per_day: f64,
    /// Requests on the second day.
    live: u64,
    settling: u64,
    /// How often an instant is read.
    readings: f64,
    /// The share of late rows that are seen within a quarter of their lateness and one `frequency`.
    in_time: f64,
    /// How many times later than that the last one is seen.
    slowest: f64,
    never_seen: usize,
    /// The most intervals that the timeline had.
    intervals: usize,
}

pub(crate) fn measure() -> Outcome {
    say("The schedule of settling ...");
    let cases = thread::scope(|scope| {
        let of = |service: Service| move || TENANTS.map(|rows| Case::of(service, rows));
        let threads = SERVICES.map(|service| scope.spawn(of(service)));
        let cases = threads.into_iter().flat_map(|thread| thread.join().ok());
        cases.flatten().collect::<Vec<_>>()
    });
    outcome(&cases)
}

impl Case {
    fn of(service: Service, rows_per_day: f64) -> Self {
        let mut tenant = Tenant::new(rows_per_day, &service);
        let mut before = (HashMap::new(), 0.0);
        let mut day = before.clone();
        let mut intervals = 0;
        for minute in 0..6 * DAY / 60 {
            let so_far = || (tenant.requests.clone(), tenant.rows_read);
            match minute * 60 / DAY {
                0 => before = so_far(),
                1 => day = so_far(),
                _ => {}
            }
            tenant.turn(at(minute * 60));
            intervals = intervals.max(tenant.schedule.coverage().stretches().len());
        }
        let requests = |lane| {
            let count = |requests: &HashMap<Lane, u64>| requests.get(&lane).copied().unwrap_or(0);
            count(&day.0) - count(&before.0)
        };
        let delays = tenant.delays();
        let seen: Vec<f64> = delays.iter().copied().flatten().collect();
        let in_time = seen.iter().filter(|delay| **delay <= 1.0).count();
        Self {
            service,
            rows_per_day,
            live: requests(Lane::Live),
            settling: requests(Lane::Settle),
            readings: (day.1 - before.1) / rows_per_day,
            in_time: number(in_time as u64) / number(seen.len() as u64),
            slowest: seen.iter().copied().fold(0.0, f64::max),
            never_seen: delays.len() - seen.len(),
            intervals,
        }
    }

    /// The part of all requests that may be made.
    fn part(&self) -> f64 {
        // Our share is 90 of 100.
        let a_day = f64::from(self.service.share) / 0.9 * 86_400.0 / 300.0;
        number(self.settling) / a_day
    }
}

fn outcome(cases: &[Case]) -> Outcome {
    let table = table(
        cases,
        &[
            ("Service", &|case| case.service.name.to_owned()),
            ("Rows a day", &|case| case.rows_per_day.to_string()),
            ("Live requests a day", &|case| case.live.to_string()),
            ("Settling requests a day", &|case| case.settling.to_string()),
            ("of all that may be made", &|case| {
                format!("{:.1} %", case.part() * 100.0)
            }),
            ("An instant is read", &|case| {
                format!("{:.0} times", case.readings)
            }),
            ("Late rows in time", &|case| {
                format!("{:.2} %", case.in_time * 100.0)
            }),
            ("Slowest", &|case| {
                format!("{:.1} times the promise", case.slowest)
            }),
            ("Never seen", &|case| case.never_seen.to_string()),
            ("Intervals", &|case| case.intervals.to_string()),
        ],
    );
    let promised = || cases.iter().filter(|case| case.rows_per_day <= PROMISED);
    let in_time = promised().map(|case| case.in_time).fold(1.0, f64::min);
    let part = promised().map(Case::part).fold(0.0, f64::max);
    let never_seen: usize = cases.iter().map(|case| case.never_seen).sum();
    Outcome {
        figures: vec![Figure {
            name: "settling, up to a million rows a day: late rows in time; part of the quota",
            target: "at least 99 %; at most 25 %",
            measured: format!("{:.2} %; {:.1} %", in_time * 100.0, part * 100.0),
            met: in_time >= 0.99 && part <= 0.25 && never_seen == 0,
        }],
        section: format!("## Settling\n\n`docs/settling.md` explains it.\n\n{table}"),
        ..Outcome::default()
    }
}
