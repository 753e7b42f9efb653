//! How the module asks again: after outages, when it is asked for fewer requests, when many requests
//! fail, and when wide windows do.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use emulator::{
    Backlog, Ending, Endpoint, Fault, FaultRule, NewRow, Status, TooWide, Traffic, Trouble, Wide,
};
use serde_json::json;

use super::{
    ALL, GRAPH, OAUTH, endpoint,
    site::{Site, scenario},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A tenant with so many rows in the last hours, and a few more every minute.
fn tenant(trigger: &'static str, backlog: u64, rate: f64) -> Site {
    let traffic = Traffic {
        rate,
        backlog: Backlog::rows(TimeDelta::hours(5), backlog),
        ..Traffic::default()
    };
    let switches = json!({
        "report": { "page_rows": 500, "latency_ms": 700 },
        "graph": { "page_rows": 500, "latency_ms": 700 },
        "intake": { "latency_ms": 150 },
    });
    let scenario = scenario(traffic, switches, json!({ "chunk_size": 1000 }));
    Site::new(trigger, &scenario)
}

/// Runs the module for so long at most, beside something else and no longer than that.
fn beside<O>(site: &Site, life: u64, other: impl Future<Output = O>) -> O {
    site.time.spend(async {
        tokio::select! {
            output = other => output,
            () = site.run(seconds(life), Ending::Stop) => panic!("{}", site.output()),
        }
    })
}

/// Waits until so many rows are delivered. How long that took.
async fn delivered(site: &Site, rows: u64) -> Option<Duration> {
    let start = tokio::time::Instant::now();
    while site.emulator.accepted_count(None) < rows {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if start.elapsed() > seconds(7200) {
            return None;
        }
    }
    Some(start.elapsed())
}

/// The time that a backlog takes, for each request, when a share of them fails.
fn pace(trigger: &'static str, rows: u64, failing: f64) -> f64 {
    let site = tenant(trigger, rows, 0.0);
    for fault in [Fault::status(503), Fault::Reset, Fault::status(500)] {
        if failing > 0.0 {
            // Together as many as wanted.
            let each = 1.0 - (1.0 - failing).powf(1.0 / 3.0);
            site.emulator.fault(endpoint(trigger), fault.chance(each));
        }
    }
    let (taken, requests) = beside(&site, 7300, async {
        let taken = delivered(&site, rows).await;
        (taken, site.asked().len())
    });
    let taken = taken.unwrap_or_else(|| panic!("{}", site.output()));
    assert!(site.verdict().doubled.count == 0, "{}", site.verdict());
    taken.as_secs_f64() / f64::from(u32::try_from(requests).unwrap())
}

#[test]
fn with_two_of_five_requests_failing_a_backlog_takes_less_than_three_times_as_long() {
    for trigger in ALL {
        // As many requests in both cases, since the quota lets the first ones go at once.
        let (well, failing) = (pace(trigger, 33_000, 0.0), pace(trigger, 20_000, 0.4));
        assert!(
            failing <= 3.0 * well,
            "{trigger}: {failing} s instead of {well} s"
        );
    }
}

#[test]
fn with_four_of_five_requests_failing_rows_still_flow() {
    for trigger in ALL {
        let site = tenant(trigger, 20_000, 0.0);
        site.emulator
            .fault(endpoint(trigger), Fault::status(503).chance(0.8));
        let rows = beside(&site, 300, async {
            tokio::time::sleep(seconds(270)).await;
            site.emulator.accepted_count(None)
        });
        assert!(rows >= 500, "{trigger}: {rows} rows\n{}", site.output());
    }
}

/// How long after the end of an outage of ten minutes the first new row is accepted, and how often
/// the service was asked in its last five.
fn recovery(trigger: &'static str, rule: impl Into<FaultRule>, extra: u64) -> (Duration, usize) {
    let site = tenant(trigger, 100, 0.5);
    let rule = rule.into();
    beside(&site, 1000 + extra, async {
        tokio::time::sleep(seconds(200)).await;
        site.emulator.fault(endpoint(trigger), rule);
        tokio::time::sleep(seconds(300)).await;
        let half = site.asked().len();
        tokio::time::sleep(seconds(300) + Duration::from_millis(extra * 100)).await;
        let all = site.asked().len();
        let rows = site.emulator.accepted_count(None);
        site.emulator.clear_all_faults();
        let taken = delivered(&site, rows + 1).await.unwrap();
        (taken, all - half)
    })
}

#[test]
fn after_an_outage_the_first_row_comes_within_seconds() {
    for trigger in ALL {
        for (fault, extra) in [
            (Fault::status(503), 0),
            (Fault::Reset, 17),
            (Fault::status(504), 34),
        ] {
            let (taken, requests) = recovery(trigger, fault, extra);
            assert!(taken <= seconds(20), "{trigger}: {taken:?}");
            assert!(
                (20..=30).contains(&requests),
                "{trigger}: {requests} probes"
            );
        }
    }
}

#[test]
fn a_service_that_wants_fewer_requests_is_not_probed() {
    for trigger in ALL {
        for fault in [
            Fault::answer(429, &[], ""),
            Fault::answer(503, &[("retry-after", "0")], ""),
            Fault::answer(500, &[("retry-after", "Thu, 01 Jan 2026 00:00:00 GMT")], ""),
        ] {
            let (_, requests) = recovery(trigger, fault, 100);
            assert!((3..=11).contains(&requests), "{trigger}: {requests}");
        }
    }
}

#[test]
fn windows_that_are_too_wide_for_the_service_are_read_in_narrower_ones() {
    let minutes = Wide::minutes(10, TooWide::GatewayTimeout);
    let rows = Wide::rows(300, TooWide::ReportingTimeout);
    for (trigger, wide) in [(GRAPH, minutes), (OAUTH, rows)] {
        let site = tenant(trigger, 3_000, 0.5);
        let trouble = Trouble {
            wide: Some(wide),
            ..Trouble::default()
        };
        site.emulator.configure(|settings| {
            settings.graph.trouble = trouble.clone();
            settings.report.trouble = trouble.clone();
        });
        site.live_hours(2);
        let verdict = site.verdict();
        assert!(
            verdict.missing.count <= 300 && verdict.doubled.count == 0,
            "{trigger}: {verdict}\n{}",
            site.output()
        );
        // The live edge went on.
        let newest = site.time.now() - TimeDelta::minutes(8);
        let rows = site.emulator.rows(newest - TimeDelta::minutes(2), newest);
        assert!(!rows.is_empty());
        site.says("is read in narrower ones");
    }
}

#[test]
fn an_outage_narrows_nothing() {
    let site = tenant(GRAPH, 2_000, 0.5);
    beside(&site, 1500, async {
        tokio::time::sleep(seconds(100)).await;
        site.emulator.fault(Endpoint::Graph, Fault::status(504));
        tokio::time::sleep(seconds(600)).await;
        site.emulator.clear_all_faults();
    });
    site.says_not("narrower");
}

#[test]
fn the_smallest_quota_serves_all_lanes() {
    for quota in [1, 2] {
        let traffic = Traffic {
            backlog: Backlog::rows(TimeDelta::hours(5), 300),
            ..Traffic::living(0.01)
        };
        let trigger = json!({ "quota": quota, "settle_time": 2 });
        let site = Site::new(GRAPH, &scenario(traffic, json!({}), trigger));
        site.live_hours(1);
        let all = site
            .emulator
            .rows(DateTime::UNIX_EPOCH, site.time.now() - TimeDelta::hours(2));
        assert!(all.len() >= 100);
        let delivered = site.emulator.accepted_count(None);
        assert!(
            delivered >= all.len() as u64,
            "{quota}: {delivered} of {}\n{}",
            all.len(),
            site.output()
        );
        let output = site.output();
        assert!(
            output.contains("instead of") || !output.contains(" 429"),
            "{output}"
        );
    }
}

/// What surfaces before the checkpoint is found only by reading the past again, as there is no new
/// start.
#[test]
fn the_smallest_quota_serves_settling() {
    for quota in [1, 2] {
        let traffic = Traffic {
            rate: 0.4,
            backlog: Backlog::rows(TimeDelta::hours(5), 300),
            ..Traffic::default()
        };
        let trigger = json!({ "quota": quota, "settle_time": 6 });
        let switches = json!({ "graph": { "page_rows": 500 } });
        let site = Site::new(GRAPH, &scenario(traffic, switches, trigger));
        let hour = seconds(3600);
        let id = beside(&site, 7 * 3600, async {
            tokio::time::sleep(hour).await;
            let received = site.time.now() - TimeDelta::minutes(55);
            assert!(site.checkpoint() > received, "{}", site.output());
            let late = NewRow {
                visible_from: site.time.now(),
                ..NewRow::new(received, "late@contoso.example")
            };
            let id = late.row.trace_id;
            site.emulator.add_row(late);
            tokio::time::sleep(5 * hour).await;
            id
        });
        let times = site
            .emulator
            .times_delivered(id, "late@contoso.example", Status::Delivered);
        assert_eq!(times, 1, "{quota}: {}", site.output());
        site.says_not(HANGS);
    }
}

#[test]
fn a_token_that_expires_during_the_wait_for_the_quota_is_not_sent() {
    let traffic = Traffic {
        backlog: Backlog::rows(TimeDelta::hours(5), 300),
        ..Traffic::default()
    };
    // The quota lets one request through in 300 s.
    let switches = json!({ "identity": { "token_seconds": 240 } });
    let site = Site::new(GRAPH, &scenario(traffic, switches, json!({ "quota": 1 })));
    site.live_hours(1);
    let requests = site.emulator.requests(Endpoint::Graph);
    let statuses: Vec<_> = requests.iter().map(|request| request.status).collect();
    assert!(statuses.len() >= 10, "{statuses:?}");
    assert!(
        statuses.iter().all(|status| *status == Some(200)),
        "{statuses:?}"
    );
    // Each had its own, and none was got in vain.
    let tokens = site.emulator.requests(Endpoint::Token).len();
    assert_eq!(tokens, statuses.len());
}

/// The warning of a request that hangs.
const HANGS: &str = "has been waiting for its answer for a minute";

#[test]
fn a_request_that_hangs_for_over_a_minute_is_said_once() {
    for trigger in ALL {
        let site = tenant(trigger, 100, 0.5);
        let said = || site.said(HANGS);
        beside(&site, 2000, async {
            tokio::time::sleep(seconds(200)).await;
            let slow = Fault::DelayAnswer { ms: 50_000 };
            site.emulator.fault(endpoint(trigger), slow.times(1));
            tokio::time::sleep(seconds(200)).await;
            assert_eq!(said(), 0, "{trigger}: 50 s are not worth a word");

            site.emulator.fault(endpoint(trigger), Fault::Hang.times(1));
            let struck = || {
                let requests = site.emulator.requests(endpoint(trigger));
                requests.iter().any(|request| request.status.is_none())
            };
            let hung = || async {
                while !struck() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::time::timeout(seconds(120), hung()).await.unwrap();
            tokio::time::sleep(seconds(59)).await;
            assert_eq!(said(), 0, "{trigger}: too early");
            tokio::time::sleep(seconds(16)).await;
            assert_eq!(said(), 1, "{trigger}: {}", site.output());
            let limit = "it is given up after 180 s and made again";
            site.says(limit);
            // Given up after three minutes, and made again.
            tokio::time::sleep(seconds(300)).await;
            assert_eq!(said(), 1, "{trigger}: {}", site.output());
        });
        assert!(site.verdict().doubled.count == 0, "{}", site.verdict());
    }
}

/// The loop waits for the intake then, with a page in hand that it cannot take in.
#[test]
fn a_request_that_hangs_is_said_also_while_the_intake_takes_nothing() {
    let traffic = Traffic {
        backlog: Backlog::rows(TimeDelta::hours(5), 5000),
        ..Traffic::default()
    };
    let switches = json!({ "graph": { "page_rows": 500, "latency_ms": 700 } });
    let trigger = json!({ "start_time": 6, "chunk_size": 100 });
    let site = Site::new(GRAPH, &scenario(traffic, switches, trigger));
    let refuses = Fault::answer(503, &[], "no");
    site.emulator.fault(Endpoint::Intake, refuses);
    // Two of the three readers are answered, or one and the question for the time.
    let hangs = Fault::Hang.times(1).after(2);
    site.emulator.fault(Endpoint::Graph, hangs);
    beside(&site, 200, async {
        tokio::time::sleep(seconds(100)).await;
    });
    assert_eq!(site.said(HANGS), 1, "{}", site.output());
}

#[test]
fn one_refusal_for_the_quota_s_sake_is_said_and_costs_little() {
    let traffic = Traffic {
        backlog: Backlog::rows(TimeDelta::hours(48), 40),
        ..Traffic::default()
    };
    let trigger = json!({ "start_time": 49 });
    let site = Site::new(GRAPH, &scenario(traffic, json!({}), trigger));
    let rule = Fault::answer(429, &[("retry-after", "5")], "").times(1);
    site.emulator.fault(Endpoint::Graph, rule);
    let taken = beside(&site, 400, delivered(&site, 40));
    assert!(taken.unwrap() <= seconds(30), "{taken:?}");
    let said = "89 instead of 90 requests in 5 minutes";
    assert_eq!(site.said(said), 1, "{}", site.output());
}
