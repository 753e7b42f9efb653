//! Two days of a living tenant.

use chrono::TimeDelta;
use emulator::{Action, Backlog, Ending, Endpoint, Event, Fault, Scenario, Traffic};
use serde_json::json;

use super::{
    ACCOUNT, GRAPH, OAUTH,
    site::{at, life, members, scenario, unharmed},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Mail as a tenant has it: rows that are minutes to a day late, statuses that move.
pub(super) fn living() -> Scenario {
    let traffic = Traffic {
        backlog: Backlog::span(TimeDelta::hours(12)),
        changes_within: TimeDelta::hours(20),
        max_recipients: 100,
        ..Traffic::living(0.02)
    };
    let switches = json!({
        "report": { "latency_ms": 700 },
        "graph": { "latency_ms": 700 },
        "intake": { "latency_ms": 150 },
    });
    scenario(traffic, switches, json!({ "start_time": 13 }))
}

/// 48 hours with two restarts, a kill, an hour of outage on each side, and a day of being stopped;
/// then mail ends, and what is under way may settle.
fn two_days(recalled: f64) -> Scenario {
    let mut scenario = living();
    scenario.traffic.recalled = recalled;
    scenario.trigger.insert("frequency".to_owned(), json!(240));
    let outage = |at, endpoint| Event::outage(at, endpoint, HOUR, Fault::status(503));
    scenario.timeline = vec![
        outage(2 * HOUR, Endpoint::Token),
        outage(2 * HOUR, Endpoint::Graph),
        outage(2 * HOUR, Endpoint::Report),
        outage(9 * HOUR, Endpoint::Intake),
        at(48 * HOUR, Action::StopTraffic),
    ];
    scenario.lives = vec![
        life(6 * HOUR, Ending::Stop, 10 * MINUTE),
        life(6 * HOUR, Ending::Kill, 2 * MINUTE),
        life(4 * HOUR, Ending::Stop, 24 * HOUR),
        life((8 + 26) * HOUR, Ending::Stop, 0),
    ];
    scenario
}

fn ends_clean(trigger: &'static str, recalled: f64) {
    let site = unharmed(trigger, &two_days(recalled), "two days");
    site.is_clean();
    let verdict = site.verdict();
    assert!(verdict.expected > 3_500, "{verdict}");
}

#[test]
fn two_days_on_graph_end_with_nothing_missing_and_nothing_doubled() {
    ends_clean(GRAPH, 0.2);
}

#[test]
fn two_days_as_an_app_end_with_nothing_missing_and_nothing_doubled() {
    ends_clean(OAUTH, 0.0);
}

#[test]
fn two_days_with_an_account_end_with_nothing_missing_and_nothing_doubled() {
    ends_clean(ACCOUNT, 0.0);
}

/// Longer than any `settle_time`: what was under observation before is looked at for the last time,
/// in many pages, while the live edge goes on.
#[test]
fn a_stop_of_three_days_in_the_midst_of_settling_loses_and_doubles_nothing() {
    let mut scenario = living();
    scenario.traffic.rate = 0.0;
    scenario.traffic.backlog = Backlog::rows(TimeDelta::hours(24), 1_500);
    scenario.traffic.changing = 0.3;
    let settings = json!({
        "report": { "page_rows": 100, "latency_ms": 700 },
        "graph": { "page_rows": 100, "latency_ms": 700 },
    });
    scenario.settings = settings.try_into().unwrap();
    scenario.trigger = members(json!({ "start_time": 25, "frequency": 300 }));
    scenario.lives = vec![
        life(HOUR, Ending::Stop, 72 * HOUR),
        life(27 * HOUR, Ending::Stop, 0),
    ];
    for trigger in [GRAPH, OAUTH] {
        unharmed(trigger, &scenario, "three days");
    }
}
