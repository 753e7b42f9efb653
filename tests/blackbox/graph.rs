//! The trigger for Microsoft Graph: start, restart, stop, and what reaches the intake.

use std::collections::HashSet;

use chrono::{SubsecRound, TimeDelta};
use emulator::{
    Backlog, Clock, Endpoint, Fault, NewRow, Options, Resolution, Scope, Status, Traffic,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    events::{Normalized, assert_same, normalize},
    lifecycle::restarts,
    world::{Process, Trigger, World, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn first_start_delivers_what_is_there_and_what_comes() {
    let world = World::graph(3_000).await;
    let mut process = world.start();
    process
        .prints("Office365 MessageTrace Trigger has started.")
        .await;
    world.backlog_delivered().await;
    world
        .emulator
        .add_row(NewRow::new(world.now(), "new@contoso.example"));
    world.all_delivered().await;

    let (status, health) = process.health().await;
    assert_eq!(
        (status, &health["error_count"]),
        (200, &json!(0)),
        "{health}"
    );
    let forwarded = "symphony_module_common_forwarded_events_total{intake_key=";
    process.reaches(forwarded, 3_001.0).await;
    process.stop().await;

    let requests = world.emulator.requests(Endpoint::Graph);
    let ids: HashSet<_> = requests
        .iter()
        .map(|request| request.header("client-request-id").unwrap())
        .collect();
    assert_eq!(ids.len(), requests.len(), "every request has its own id");
    for request in &requests {
        // What is under way at the stop has no answer.
        assert!(matches!(request.status, None | Some(200)), "{request:#?}");
        assert!(request.header("accept-encoding").unwrap().contains("gzip"));
        let prefer = request.header("prefer").unwrap();
        assert_eq!(prefer, "include-unknown-enum-members");
    }
    let requests = world.requests(Endpoint::Graph);
    let first = requests[0].query("$filter").unwrap();
    assert!(first.contains(" ge ") && first.contains(" le "), "{first}");
    assert_eq!(requests[0].query("$top").as_deref(), Some("5000"));
    assert_eq!(world.count(Endpoint::Token), 1, "one token for all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_sends_nothing_twice_and_misses_nothing() {
    let world = World::graph(3_000).await;
    world.begin_with_the_backlog();
    restarts(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alias_and_the_connector_s_configuration_work() {
    let world = World::graph(500).await;
    let settings = std::fs::read_to_string(world.config().join("trigger_configuration")).unwrap();
    world.write("connector_configuration", &settings);
    std::fs::remove_file(world.config().join("trigger_configuration")).unwrap();
    let alias = "office365_messagetrace_trigger_graph_api";
    let mut process = Process::start(world.command_named(alias));
    world.backlog_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_module_s_state_is_taken_over() {
    let world = World::graph(4_000).await;
    let checkpoint = (world.now() - TimeDelta::minutes(20)).trunc_subsecs(6);
    let text = checkpoint.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string();
    // That module has seen a recipient of these messages, which says nothing of the others.
    let rows = world.emulator.rows(checkpoint, world.now());
    let cache: Vec<_> = rows.iter().map(|row| row.trace_id.to_string()).collect();
    world.write_state(
        &json!({"most_recent_date_requested": text, "events_cache": cache}).to_string(),
    );
    let mut process = world.start();
    let scope = Scope {
        received_from: Some(checkpoint),
        received_before: Some(world.now() - TimeDelta::seconds(1)),
        ..Scope::default()
    };
    until("all behind the checkpoint is delivered", || {
        world.emulator.verdict(&scope).missing.count == 0
    })
    .await;
    until("the checkpoint moves", || world.checkpoint() > checkpoint).await;
    process.stop().await;

    assert!(rows.len() > 1_000, "{}", rows.len());
    let accepted = world.emulator.accepted_count(None);
    assert!(
        accepted <= rows.len() as u64,
        "nothing before the checkpoint"
    );
    assert_eq!(world.state()["events_cache"], json!(cache));
}

#[tokio::test(flavor = "multi_thread")]
async fn ninety_days_back_is_asked_for_in_windows_of_ten() {
    let world = World::graph(0).await;
    world.configure(json!({"start_time": 2160}));
    let old = NewRow::new(world.now() - TimeDelta::days(89), "old@contoso.example");
    world.emulator.add_row(old);
    let mut process = world.start();
    until("windows have grown", || world.count(Endpoint::Graph) >= 16).await;
    let lost = "symphony_module_common_lost_seconds_total";
    assert_eq!(process.metric(lost).await, Some(0.0));
    process.stop().await;
    let mut longest = TimeDelta::zero();
    for request in world.emulator.requests(Endpoint::Graph) {
        assert!(matches!(request.status, None | Some(200)), "{request:#?}");
        let filter = request.query("$filter").unwrap();
        let dates: Vec<chrono::DateTime<chrono::Utc>> = filter
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        longest = longest.max(dates[1] - dates[0]);
    }
    assert!(longest <= TimeDelta::days(10), "{longest}");
    assert!(longest > TimeDelta::days(9), "{longest}");
    assert_eq!(world.emulator.accepted_count(None), 1);
}

/// The clock of Microsoft's servers is this far ahead of ours.
pub(crate) async fn skewed(ahead: TimeDelta) -> World {
    let clock = Clock::new(move || Clock::system().now() + ahead);
    let backlog = Backlog::rows(TimeDelta::hours(1), 500);
    let traffic = Traffic {
        backlog,
        ..Traffic::default()
    };
    let options = Options {
        clock,
        traffic,
        ..Options::default()
    };
    World::new(Trigger::Graph, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_window_ends_in_the_future_of_the_service() {
    join_all([-240, 240].map(async |ahead| {
        let world = skewed(TimeDelta::seconds(ahead)).await;
        let mut process = world.start();
        world.backlog_delivered().await;
        world
            .emulator
            .add_row(NewRow::new(world.now(), "new@contoso.example"));
        world.all_delivered().await;
        process.stop().await;
        // The first answer tells the service's time.
        for request in world.emulator.requests(Endpoint::Graph).iter().skip(1) {
            // What is under way at the stop has no answer.
            assert!(
                matches!(request.status, None | Some(200)),
                "{ahead}: {request:#?}"
            );
        }
    }))
    .await;
}

async fn stops_while(world: &World, sign: impl AsyncFnOnce(&mut Process)) {
    let mut process = world.start();
    sign(&mut process).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_microsoft_is_slow() {
    for endpoint in [Endpoint::Token, Endpoint::Graph] {
        let world = World::graph(10).await;
        world
            .emulator
            .fault(endpoint, Fault::DelayAnswer { ms: 90_000 });
        stops_while(&world, async |_| {
            until("it waits for an answer", || world.count(endpoint) == 1).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_it_backs_off() {
    let world = World::graph(10).await;
    world.begin_with_the_backlog();
    for (endpoint, status, sign) in [
        (Endpoint::Token, 401, "sign-in of the app is refused"),
        (Endpoint::Token, 503, "sign-in service fails"),
        (Endpoint::Graph, 403, "ExchangeMessageTrace.Read.All"),
        (Endpoint::Graph, 404, "message_trace_oauth"),
        (Endpoint::Graph, 503, "fails for the moment"),
    ] {
        world.emulator.clear_all_faults();
        world.emulator.fault(endpoint, Fault::status(status));
        stops_while(&world, async |process| process.prints(sign).await).await;
        world.nothing_was_passed();
    }
}

/// What a row looks like changes nothing about its delivery.
#[tokio::test(flavor = "multi_thread")]
async fn rows_in_every_form_are_delivered_as_they_are() {
    for (digits, unknown_as_null, odata_type) in
        [(0, false, true), (3, true, false), (7, false, false)]
    {
        let traffic = Traffic {
            backlog: Backlog::rows(TimeDelta::hours(1), 1_000),
            resolution: Resolution::Second,
            ..Traffic::default()
        };
        let options = Options {
            traffic,
            ..Options::default()
        };
        let world = World::new(Trigger::Graph, options).await;
        let received = world.now() - TimeDelta::minutes(5);
        let recalled = NewRow::new(received.trunc_subsecs(0), "Recalled@contoso.example");
        world.emulator.add_row(recalled.status(Status::Recalled));
        world.emulator.configure(|settings| {
            settings.graph.fraction_digits = digits;
            settings.graph.unknown_as_null = unknown_as_null;
            settings.graph.odata_type = odata_type;
        });
        let mut process = world.start();
        world.backlog_delivered().await;
        process.stop().await;
        let events = world.emulator.accepted();
        let recalled = events.iter().find(|event| event.text.contains("Recalled@"));
        let recalled: Value = serde_json::from_str(&recalled.unwrap().text).unwrap();
        assert_eq!(recalled["status"], "recalled");
        assert_eq!(recalled["toIP"].is_null(), unknown_as_null);
        let date = recalled["receivedDateTime"].as_str().unwrap();
        let expected = "2026-01-21T14:12:34Z".len() + usize::from(digits) + usize::from(digits > 0);
        assert_eq!(date.len(), expected, "{date}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_byte_for_byte() {
    let world = World::graph(0).await;
    let rows = [
        r#"{"id":"9dd1","senderAddress":"A@x.test", "recipientAddress" : "B@y.test","messageId":"<m1@x.test>","receivedDateTime":"2026-01-21T14:12:34.1090000Z","subject":"\u00e9 \/ ü","size":51234,"fromIP":"2001:db8::1","toIP":"","status":"delivered","new":{"b":[1.0, 1e3]}}"#,
        r#"{"status":"Delivered","size":0,"id":"9dd1","recipientAddress":"c@y.test","receivedDateTime":"2026-01-21T14:12:34Z","subject":null,"fromIP":null}"#,
    ];
    let answer = Fault::Replace {
        status: 200,
        content_type: "application/json".to_owned(),
        body: format!("{{\"value\":[{}\n,\t{}]}}", rows[0], rows[1]),
    };
    world
        .emulator
        .fault(Endpoint::Graph, answer.after(1).times(1));
    let mut process = world.start();
    until("the rows are accepted", || {
        world.emulator.accepted_count(None) == 2
    })
    .await;
    process.stop().await;
    let events = world.emulator.accepted();
    let texts: Vec<_> = events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn reporting_rows_are_read_by_the_first_trigger_s_format() {
    let world = World::graph(3_000).await;
    world.configure(json!({"event_format": "reporting"}));
    world
        .emulator
        .configure(|settings| settings.graph.odata_type = true);
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
    let events = world.emulator.accepted();
    let seen: Vec<_> = events
        .iter()
        .map(|event| normalize(&event.text).unwrap())
        .collect();
    assert!(seen.len() > 2_900, "{}", seen.len());
    let rows = world
        .emulator
        .rows(world.now() - TimeDelta::hours(2), world.now());
    let expected = rows.into_iter().map(|row| {
        let mut row = Normalized::from(row);
        // Graph does not tell it, nor an absent subject from an empty one.
        row.organization = None;
        row.subject.get_or_insert_default();
        row
    });
    // The newest row comes first; those of the last second may have been due later.
    let late = 3_000 - seen.len();
    assert_same(seen, expected.skip(late).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_to_many_gives_an_event_for_each() {
    let world = World::graph(300).await;
    world
        .emulator
        .configure(|settings| settings.graph.page_rows = 400);
    let received = world.now() - TimeDelta::minutes(30);
    let first = NewRow::new(received, "r0@contoso.example");
    let id = first.row.trace_id;
    world.emulator.add_row(first);
    for n in 1..1_500 {
        let row = NewRow::new(received, &format!("r{n}@contoso.example")).trace_id(id);
        world.emulator.add_row(row);
    }
    world.begin_with_the_backlog();
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
    let requests = world.emulator.requests(Endpoint::Graph);
    let pages = requests
        .iter()
        .filter(|request| request.url.contains("skiptoken"));
    assert!(pages.count() >= 4);
    let delivered = |n| {
        let recipient = format!("r{n}@contoso.example");
        world
            .emulator
            .times_delivered(id, &recipient, Status::Delivered)
    };
    assert!((0..1_500).all(|n| delivered(n) == 1));
}
