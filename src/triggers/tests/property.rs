//! Any scenario ends with every row delivered once.
//!
//! The same few scenarios are drawn in each run, and with `PROPTEST_CASES` as many new ones for each trigger.
//! A failing test prints the smallest scenario that it has found, with the command that replays it.

use std::{collections::BTreeSet, env, fs};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Action, Clock, Event, ModuleLife, Scenario, TraceRow};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngSeed, TestRunner},
};
use serde_json::json;

use super::{
    ACCOUNT, ALL, GRAPH, OAUTH,
    draw::{Drawn, scenario},
    site::{Site, every_row_once, unharmed},
};

/// Scenarios drawn for each trigger, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 4;
/// Of these scenarios.
const SEED: u64 = 2026;
/// Steps towards a smaller scenario: each takes about a second.
const SHRINKING: u32 = 150;

pub(super) fn config() -> ProptestConfig {
    let asked = env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: if asked { default.cases } else { CASES },
        // Always the same scenarios, unless new ones are asked for: a run that draws them may take hours.
        rng_seed: if asked {
            default.rng_seed
        } else {
            RngSeed::Fixed(SEED)
        },
        max_shrink_iters: SHRINKING,
        ..default
    }
}

fn check(trigger: &'static str, Drawn(scenario): &Drawn) -> Result<(), TestCaseError> {
    every_row_once(trigger, scenario).map_err(TestCaseError::fail)?;
    Ok(())
}

/// All mail of the first days, as it stands in the end.
fn mail(scenario: &Scenario) -> Vec<TraceRow> {
    let start = scenario.start.unwrap();
    let end = start + TimeDelta::days(5);
    let emulator = scenario.begin(Clock::new(move || start));
    let later = scenario.begin(Clock::new(move || end));
    let mut rows = emulator.rows(DateTime::<Utc>::UNIX_EPOCH, start);
    rows.extend(later.rows(DateTime::<Utc>::UNIX_EPOCH, end));
    rows
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn graph_shows_every_row_once(scenario in scenario(true)) {
        check(GRAPH, &scenario)?;
    }

    #[test]
    fn oauth_shows_every_row_once(scenario in scenario(false)) {
        check(OAUTH, &scenario)?;
    }

    #[test]
    fn the_account_trigger_shows_every_row_once(scenario in scenario(false)) {
        check(ACCOUNT, &scenario)?;
    }

    /// What a failing test prints is the scenario that has failed.
    #[test]
    fn a_printed_scenario_is_the_same_again(drawn in scenario(true)) {
        let printed = format!("{drawn:?}");
        let json = printed.split('\'').nth(1).unwrap();
        let again: Scenario = json.parse().unwrap();
        prop_assert_eq!(&again, &drawn.0);
        prop_assert_eq!(mail(&again), mail(&drawn.0));
    }
}

fn is_lived(lives: &[ModuleLife], second: u64) -> bool {
    let mut start = 0;
    lives.iter().any(|life| {
        let lived = start..=start + life.seconds;
        start += life.seconds + life.away;
        lived.contains(&second)
    })
}

/// What is drawn has an effect: it happens while the module runs, and to a service that it asks.
#[test]
fn every_trouble_meets_a_running_module() {
    let mut runner = TestRunner::deterministic();
    for graph in [true, false] {
        let (drawn, mut kinds) = (scenario(graph), BTreeSet::new());
        for _ in 0..300 {
            let Drawn(scenario) = drawn.new_tree(&mut runner).unwrap().current();
            for event in &scenario.timeline {
                let action = json!(event.action);
                assert!(is_lived(&scenario.lives, event.at), "{scenario}");
                let endpoint = action["fault"]["endpoint"].as_str().unwrap_or_default();
                assert!(!graph || !endpoint.starts_with("report"), "{action}");
                let kind = &action["fault"]["rule"]["kind"];
                kinds.extend(kind.as_str().map(str::to_owned));
            }
        }
        for kind in [
            "age",
            "answer",
            "date",
            "filter",
            "fresh_links",
            "hang",
            "outside_window",
            "reach",
            "reject_events",
            "reset",
            "settings",
            "unreadable_row",
            "wide",
        ] {
            assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
        }
    }
}

/// A small scenario with something of everything.
const SMALL: &str = r#"{
    "version": 1,
    "traffic": {
        "seed": 3, "rate": 0.005, "backlog": { "span": 7200, "rows": 300 },
        "lateness": [[0.0, 0], [0.5, 60], [1.0, 7200]], "changing": 0.2, "changes_within": 7200
    },
    "trigger": { "frequency": 300, "start_time": 3 },
    "timeline": [
        { "at": 60, "do": { "fault": { "endpoint": "intake", "seconds": 600,
                                       "rule": { "kind": "answer", "status": 503 } } } },
        { "at": 9000, "do": "stop_traffic" }
    ],
    "lives": [
        { "seconds": 1000, "end": "kill", "away": 3600 },
        { "seconds": 97200, "end": "stop" }
    ]
}"#;

/// Both services are down for the whole first life, which lasts an hour: what it was to read is
/// read by the second.
const DOWN_AT_FIRST: &str = r#"{
    "version": 1,
    "traffic": { "seed": 5, "rate": 0.0, "backlog": { "span": 7000, "rows": 40 } },
    "trigger": { "frequency": 900, "start_time": 2 },
    "timeline": [
        { "at": 0, "do": { "fault": { "endpoint": "report", "seconds": 4000,
                                      "rule": { "kind": "answer", "status": 503 } } } },
        { "at": 0, "do": { "fault": { "endpoint": "graph", "seconds": 4000,
                                      "rule": { "kind": "answer", "status": 503 } } } },
        { "at": 4200, "do": "stop_traffic" }
    ],
    "lives": [
        { "seconds": 3900, "end": "END", "away": 500 },
        { "seconds": 97200, "end": "stop" }
    ]
}"#;

#[test]
fn a_service_that_is_down_at_the_first_start_costs_no_row() {
    for end in ["stop", "kill"] {
        let scenario: Scenario = DOWN_AT_FIRST.replace("END", end).parse().unwrap();
        for trigger in ALL {
            unharmed(trigger, &scenario, end);
        }
    }
}

/// By that clock the first start lies in the future.
#[test]
fn a_clock_that_is_behind_at_the_second_start_costs_no_row_either() {
    let mut scenario: Scenario = DOWN_AT_FIRST.replace("END", "stop").parse().unwrap();
    let action = Action::ModuleClock(-2 * 86_400);
    scenario.timeline.push(Event { at: 4000, action });
    scenario.timeline.sort_by_key(|event| event.at);
    for trigger in [GRAPH, OAUTH, ACCOUNT] {
        if let Err(finding) = every_row_once(trigger, &scenario) {
            panic!("{trigger}: {finding}");
        }
    }
}

/// The first of two starts puts it aside, so that the second finds none.
#[test]
fn a_position_that_is_lost_while_a_service_is_down_costs_no_row() {
    let scenario: Scenario = DOWN_AT_FIRST.replace("END", "stop").parse().unwrap();
    for trigger in ALL {
        let site = Site::new(trigger, &scenario);
        let position = site.path("context.json");
        fs::create_dir_all(position.parent().unwrap()).unwrap();
        fs::write(position, "null").unwrap();
        for life in &scenario.lives {
            site.live(*life);
        }
        let verdict = site.verdict();
        let bad = verdict.missing.count + verdict.doubled.count;
        assert!(
            bad == 0 && verdict.expected >= 40,
            "{trigger}: {verdict}\n{}",
            site.output()
        );
    }
}

/// Replays the scenario in the environment's `SCENARIO`.
#[test]
fn a_scenario_is_replayed() {
    let text = env::var("SCENARIO").unwrap_or_else(|_| SMALL.to_owned());
    let scenario: Scenario = text.parse().unwrap();
    for trigger in ALL {
        unharmed(trigger, &scenario, "a scenario");
    }
}
