//! How fresh the events of a living tenant are, and what that costs.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Ending, Endpoint, RecordedRequest, Scenario};

use super::{
    GRAPH,
    living::living,
    site::{Site, life},
};

const FREQUENCY: TimeDelta = TimeDelta::seconds(60);

/// Runs without a break for so many hours.
fn steady(rate: f64, hours: u64) -> Scenario {
    let mut scenario = living();
    scenario.traffic.rate = rate;
    scenario.lives = vec![life(hours * 3600, Ending::Stop, 0)];
    scenario
}

fn run(trigger: &'static str, scenario: &Scenario) -> Site {
    let site = Site::new(trigger, scenario);
    for life in &scenario.lives {
        site.live(*life);
    }
    site
}

/// The window of a query; none for a page that a link leads to.
fn window(request: &RecordedRequest) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let url = request.url.to_lowercase();
    if url.contains("skiptoken") {
        return None;
    }
    let filter = request.query("$filter")?;
    let mut dates = filter
        .split([' ', '\''])
        .filter_map(|word| DateTime::parse_from_rfc3339(word).ok())
        .map(|date| date.to_utc());
    Some((dates.next()?, dates.next()?))
}

/// How far behind the time of the request the window of a query ended, as a lane of the fetch loop
/// may choose it.
fn age(request: &RecordedRequest) -> Option<&'static str> {
    let (_, end) = window(request)?;
    Some(match (request.at - end).num_minutes() {
        ..2 => "0 live edge, up to 2 min",
        2..10 => "1 up to 10 min",
        10..60 => "2 up to 1 h",
        60..360 => "3 up to 6 h",
        360..1440 => "4 up to 24 h",
        _ => "5 older",
    })
}

/// Requests of the last 24 hours: queries by the age of what they ask for, and further pages.
fn requests(site: &Site) -> String {
    let since: DateTime<Utc> = site.time.now() - TimeDelta::hours(24);
    let all = [Endpoint::Graph, Endpoint::Report].map(|endpoint| site.emulator.requests(endpoint));
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut read = TimeDelta::zero();
    for request in all.iter().flatten().filter(|request| request.at >= since) {
        *counts
            .entry(age(request).unwrap_or("6 further pages"))
            .or_default() += 1;
        read += window(request).map_or(TimeDelta::zero(), |(start, end)| end - start);
    }
    let total: u32 = counts.values().sum();
    let times = read.as_seconds_f64() / 86_400.0;
    let mut text = format!(
        "requests in 24 h: {total} of 28,800; every instant was read {times:.0} times on average\n"
    );
    for (name, count) in counts {
        writeln!(text, "  {:<28} {count:>7}", name.get(2..).unwrap_or(name)).unwrap();
    }
    text
}

/// The requirement: 99 % of late rows come within a quarter of their lateness and one period.
#[test]
fn late_rows_come_soon_after_they_can_be_seen() {
    let site = run(GRAPH, &steady(0.015, 26));
    let freshness = site.emulator.freshness(None, FREQUENCY);
    assert!(freshness.late.count > 600, "{freshness}");
    assert!(
        freshness.late.in_time >= 0.99,
        "{freshness}{}",
        requests(&site)
    );
}
