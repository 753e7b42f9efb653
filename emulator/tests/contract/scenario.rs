//! Scenarios: what is read from them, and that everything in them happens when it should.

use std::time::Duration;

use crate::support::{TRACE, now, report};
use chrono::TimeDelta;
use emulator::{Clock, Ending, Scenario, Traffic};

const TEXT: &str = r#"{
    "version": 1,
    "start": "2026-11-22T10:00:00Z",
    "traffic": {"seed": 7, "rate": 0.5, "daily_shape": true, "changing": 0.3,
                "lateness": [[0.0, 5], [0.9, 60], [1.0, 3600]],
                "backlog": {"span": 3600, "rows": 500}, "resolution": "millisecond"},
    "settings": {"report": {"page_rows": 50}},
    "trigger": {"frequency": 30},
    "timeline": [
        {"at": 100, "do": {"fault": {"endpoint": "report", "seconds": 50,
                                     "rule": {"kind": "answer", "status": 503}}}},
        {"at": 120, "do": {"settings": {"report": {"permitted": false}}}},
        {"at": 200, "do": {"settings": {"report": {"permitted": true}}}},
        {"at": 300, "do": {"fault": {"endpoint": "report", "rule": {"kind": "reset"}}}},
        {"at": 400, "do": {"clear": "report"}},
        {"at": 450, "do": {"module_clock": -90}},
        {"at": 500, "do": "stop_traffic"}
    ],
    "lives": [{"seconds": 60, "end": "kill", "away": 10}, {"seconds": 600}],
    "restarts": [{"frequency": 60}]
}"#;

fn scenario() -> Scenario {
    TEXT.parse().unwrap()
}

#[test]
fn a_scenario_survives_the_way_through_json() {
    let scenario = scenario();
    assert_eq!(scenario.to_json().parse::<Scenario>().unwrap(), scenario);
    assert_eq!(scenario.lives[0].end, Ending::Kill);
    assert_eq!(scenario.restarts[0]["frequency"], 60);
    assert_eq!(scenario.traffic.backlog.span, TimeDelta::hours(1));
    let told = scenario.to_string();
    for line in [
        "0:01:40  answer at report for 0:00:50",
        "0:01:10  the module starts",
        "0:07:30  the module's clock is 0:01:30 behind",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let (one, other) = (
        scenario.begin(Clock::new(now)),
        scenario.begin(Clock::new(now)),
    );
    let mail = |emulator: &emulator::Emulator| emulator.rows(now() - TimeDelta::hours(2), now());
    assert!(!mail(&one).is_empty());
    assert_eq!(mail(&one), mail(&other));
}

#[test]
fn the_scenario_to_try_is_one() {
    let text = include_str!("../../../playground/scenarios/six-minutes.json");
    let scenario: Scenario = text.parse().unwrap();
    let seconds: u64 = scenario
        .lives
        .iter()
        .map(|life| life.seconds + life.away)
        .sum();
    assert_eq!(seconds, 360);
}

#[test]
fn what_it_does_not_know_is_refused() {
    for (right, wrong, says) in [
        (
            "\"version\": 1",
            "\"version\": 2",
            "a scenario of version 2",
        ),
        ("\"seed\"", "\"sead\"", "unknown field `sead`"),
        ("\"page_rows\"", "\"page_row\"", "unknown field `page_row`"),
        (
            "\"kind\": \"reset\"",
            "\"kind\": \"reset\", \"tims\": 2",
            "unknown field `tims`",
        ),
        (
            "\"kind\": \"reset\"",
            "\"kind\": \"rest\"",
            "unknown variant `rest`",
        ),
        ("\"away\"", "\"asleep\"", "unknown field `asleep`"),
        ("\"at\": 500", "\"at\": -500", "invalid value"),
        ("[0.9, 60]", "[0.9, 2]", "ascending order"),
        ("\"permitted\": true", "\"permitted\": 3", "invalid type"),
    ] {
        assert!(TEXT.contains(right), "{right}");
        let error = TEXT
            .replacen(right, wrong, 1)
            .parse::<Scenario>()
            .unwrap_err();
        assert!(error.to_string().contains(says), "{wrong}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_happens_when_it_should() {
    let emulator = scenario().begin(Clock::accelerated(now(), 1.0));
    let started = tokio::time::Instant::now();
    let at = async |second: u64| {
        tokio::time::sleep_until(started + Duration::from_secs(second)).await;
        let answer = report(&emulator, &format!("{TRACE}?$format=json"), "*/*").await;
        if answer.dropped {
            0
        } else {
            answer.status.as_u16()
        }
    };
    let mut seen = Vec::new();
    for second in [99, 101, 149, 151, 199, 201, 299, 301, 399, 401] {
        seen.push(at(second).await);
    }
    assert_eq!(seen, [200, 503, 503, 403, 403, 200, 200, 0, 0, 200]);
    assert_eq!(emulator.module_time(), emulator.clock().now());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let true_time = emulator.clock().now();
    assert_eq!(emulator.module_time(), true_time - TimeDelta::seconds(90));
    tokio::time::sleep(Duration::from_secs(9 * 3600)).await;
    let end = now() + TimeDelta::seconds(500);
    let last = emulator.rows(now(), now() + TimeDelta::hours(10))[0].received;
    assert!(last < end && end - last < TimeDelta::seconds(60), "{last}");
}

#[test]
fn a_scenario_without_mail_has_none() {
    let emulator = Scenario::new(Traffic::default()).begin(Clock::new(now));
    assert!(emulator.verdict(&emulator::Scope::default()).is_clean());
}
