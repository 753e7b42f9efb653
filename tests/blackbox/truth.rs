//! What `status`, `check`, `/health`, metrics, log and the emulator's ledger say of one and the same
//! moment, in drawn situations: none contradicts another.

use chrono::{DateTime, Utc};
use emulator::{Endpoint, Fault, Scope};
use futures_util::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::world::{Process, World, until};

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    /// Nothing is wrong.
    Well,
    /// The app cannot sign in.
    SignInRefused,
    /// The intake does not know the key.
    KeyRefused,
    /// Microsoft fails.
    Outage,
    /// There are few requests for much mail.
    ShortOfQuota,
    /// It has been killed.
    Killed,
    /// It has been stopped.
    Stopped,
}

const ALL: [Situation; 7] = [
    Situation::Well,
    Situation::SignInRefused,
    Situation::KeyRefused,
    Situation::Outage,
    Situation::ShortOfQuota,
    Situation::Killed,
    Situation::Stopped,
];

fn at(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

/// Leads a world into a situation.
async fn arrive(world: &World, situation: Situation) -> Process {
    match situation {
        Situation::SignInRefused => world.configure(json!({"client_secret": "another~secret"})),
        Situation::KeyRefused => world.configure(json!({"intake_key": "another-key"})),
        Situation::ShortOfQuota => world.configure(json!({"quota": 3, "frequency": 10})),
        Situation::Outage => {
            let outage = Fault::status(503).after(2);
            world.emulator.fault(Endpoint::Graph, outage);
            world.configure(json!({"frequency": 10}));
        }
        Situation::Well | Situation::Killed | Situation::Stopped => {}
    }
    let mut process = world.start();
    match situation {
        Situation::SignInRefused => process.prints("the client secret is wrong").await,
        Situation::KeyRefused => process.prints("it does not know the intake key").await,
        Situation::Outage => process.prints("the service fails for the moment").await,
        Situation::ShortOfQuota => {
            until("a first window is kept", || {
                world.data().join("context.json.previous").exists()
            })
            .await;
        }
        Situation::Well | Situation::Killed | Situation::Stopped => {
            world.all_delivered().await;
        }
    }
    world.tell_ports(&mut process).await;
    match situation {
        Situation::Killed => process.kill().await,
        Situation::Stopped => process.stop().await,
        _ => {}
    }
    process
}

/// Compares what is said of this moment.
async fn compare(world: &World, process: &mut Process, is_running: bool, told: &str) {
    let moment = async |process: &mut Process| match is_running {
        true => Some((process.health().await, process.metrics().await)),
        false => None,
    };
    let is_behind = |told: &Value| told.get("behind").is_some();
    let mut tries = 0;
    let (before, accepted_before, said, status, checked, after, accepted_after) = loop {
        let before = moment(process).await;
        let accepted_before = world.emulator.accepted_count(None);
        let said = world.says(&["status", "--json"]).await;
        let status = parsed(&said.stdout);
        let checked = world.says(&["check", "--json"]).await;
        let after = moment(process).await;
        let accepted_after = world.emulator.accepted_count(None);
        // At its beginning a process is behind for a moment that may lie between two questions.
        let both = [&before, &after].map(|one| one.as_ref().map(|((_, told), _)| is_behind(told)));
        let agree = both
            .iter()
            .flatten()
            .all(|told| *told == is_behind(&status));
        tries += 1;
        if agree || tries == 10 {
            break (
                before,
                accepted_before,
                said,
                status,
                checked,
                after,
                accepted_after,
            );
        }
    };
    let check = parsed(&checked.stdout);
    let context = format!("{told}\n{status:#}\n{check:#}\n{}", process.output());

    assert_eq!(status["process"]["running"], is_running, "{context}");
    assert_eq!(status["process"]["reached"], is_running, "{context}");
    assert_eq!(
        said.code,
        status["exit_code"].as_i64().map(|code| code as i32)
    );
    let checks = check["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|one| one["check"] == name).unwrap();
    assert_eq!(of("data")["facts"]["in_use"], is_running, "{context}");

    // What failed, as the process itself tells it.
    if let (Some(((_, first), _)), Some(((_, last), _))) = (&before, &after) {
        let count = status["errors"]["since_last_success"].as_u64().unwrap();
        let bounds = [first, last].map(|health| health["error_count"].as_u64().unwrap());
        let is_between = (bounds[0].min(bounds[1])..=bounds[0].max(bounds[1])).contains(&count);
        assert!(is_between, "{count} of {bounds:?}: {context}");
        let is_behind = is_behind(&status);
        let said = [first, last].map(|health| health.get("behind").is_some());
        assert!(said.contains(&is_behind), "{context}");
        let verdict = status["verdict"].as_str().unwrap();
        assert_eq!(verdict == "well", count == 0 && !is_behind, "{context}");
        assert_eq!(verdict == "behind", count == 0 && is_behind, "{context}");
    } else {
        assert_eq!(status["verdict"], "not running", "{context}");
    }

    // How many events were delivered: metrics and ledger.
    if after.is_some() {
        let events = status["delivered"]["events"].as_f64().unwrap() as u64;
        assert!(events <= accepted_after, "{context}");
        let quiet = accepted_before == accepted_after;
        let metric = |text: &str| -> f64 {
            let name = "symphony_module_common_forwarded_events_total";
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines
                .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
                .sum()
        };
        let metrics = [&before, &after].map(|one| metric(&one.as_ref().unwrap().1));
        if quiet && metrics[0] == metrics[1] {
            assert_eq!(events as f64, metrics[0], "{context}");
        }
    }

    // What is called delivered is in the ledger.
    let position = &status["position"];
    let now = position["complete_until"].is_string() && position["complete_from"].is_string();
    if now {
        let scope = Scope {
            received_from: Some(at(&position["complete_from"])),
            received_before: Some(at(&position["complete_until"])),
            ..Scope::default()
        };
        let verdict = world.emulator.verdict(&scope);
        assert_eq!(verdict.missing.count, 0, "{verdict}: {context}");
    }
    let facts = &of("state")["facts"];
    if !is_running {
        assert_eq!(
            facts["complete_until"], position["complete_until"],
            "{context}"
        );
    }

    // Each interval that counts as read is in the ledger, too, and they follow one another.
    let mut last: Option<DateTime<Utc>> = None;
    for one in status["timeline"].as_array().unwrap() {
        let (from, to) = (at(&one["from"]), at(&one["to"]));
        assert!(
            from < to && last.is_none_or(|last| last <= from),
            "{context}"
        );
        last = Some(to);
        if matches!(one["state"].as_str().unwrap(), "final" | "settling") {
            let scope = Scope {
                received_from: Some(from),
                received_before: Some(to),
                ..Scope::default()
            };
            let verdict = world.emulator.verdict(&scope);
            assert_eq!(verdict.missing.count, 0, "{one}: {verdict}: {context}");
        }
    }
    let has_missing = status["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .any(|one| one["state"] == "missing");
    let gaps = status["gaps"]["missing"].as_array().unwrap();
    assert_eq!(has_missing, !gaps.is_empty(), "{context}");

    // The last error that is told is in the log.
    if let Some(text) = status["errors"]["text"].as_str() {
        let first = text.split("; ").next().unwrap();
        assert!(process.output().contains(first), "{first:?}: {context}");
    }
    assert!(!said.stdout.contains("another~secret") && !said.stdout.contains("another-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_said_of_a_moment_agrees() {
    let seed = std::env::var("MESSAGE_TRACE_SEED").ok();
    let seed = seed.map_or_else(
        || StdRng::from_os_rng().random(),
        |seed| seed.parse::<u64>().unwrap(),
    );
    let mut random = StdRng::seed_from_u64(seed);
    join_all(ALL.map(|situation| {
        let (rows, times) = (random.random_range(0..120), random.random_range(1..3));
        let told = format!("MESSAGE_TRACE_SEED={seed}: {situation:?} with {rows} rows");
        agrees(situation, rows, times, told)
    }))
    .await;
}

/// Leads a world into a situation, and compares so many times what is said of it.
async fn agrees(situation: Situation, rows: u64, times: usize, told: String) {
    // Without rows the intake refuses nothing.
    if rows == 0 && situation == Situation::KeyRefused {
        return;
    }
    let world = World::graph(rows).await;
    let mut process = arrive(&world, situation).await;
    let is_running = !matches!(situation, Situation::Killed | Situation::Stopped);
    for _ in 0..times {
        compare(&world, &mut process, is_running, &told).await;
    }
    if is_running {
        process.stop().await;
        compare(&world, &mut process, false, &told).await;
    }
}
