//! What Microsoft may answer, and what is made of it.

use emulator::{Canned, Dialect, Endpoint, Fault, FaultRule, NextLink, SkipToken};

use crate::world::{World, until};

/// Strikes the first requests, and nothing is lost or doubled by it.
async fn passes(rule: impl Into<FaultRule>, said: &str) {
    let world = World::with_backlog(2, 3_000).await;
    world.begin_with_the_backlog();
    // One window is all there is to read.
    world.configure(serde_json::json!({"frequency": 3600}));
    world.emulator.fault(Endpoint::Report, rule);
    let mut process = world.start();
    process.prints(said).await;
    world.all_delivered().await;
    process
        .prints("The message trace answers again after")
        .await;
    assert!(
        process
            .metric("symphony_module_common_source_retries_total")
            .await
            >= Some(1.0)
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_with_seconds() {
    let rule = Fault::answer(429, &[("retry-after", "2")], "").times(1);
    passes(rule, "asks for fewer requests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_with_a_date() {
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    let rule = Fault::answer(503, &[("retry-after", date)], "").times(1);
    passes(rule, "503").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors() {
    passes(Fault::status(500).times(1), "500").await;
    passes(
        Fault::answer(502, &[], "<html><title>Bad Gateway</title>").times(1),
        "Bad Gateway",
    )
    .await;
    passes(Fault::status(408).times(1), "408").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections() {
    passes(Fault::Reset.times(2), "no answer from Microsoft").await;
    passes(
        Fault::ResetMidBody { bytes: 5_000 }.after(1).times(1),
        "connection broke",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_answers() {
    passes(Fault::Cut { bytes: 5_000 }.after(1).times(1), "answer").await;
    passes(Fault::Garble.after(1).times(1), "answer").await;
    passes(Fault::CutGzip.after(1).times(1), "no answer from Microsoft").await;
    passes(
        Fault::error_in_success().times(1),
        "reports an error with status 200",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_page_fails_until_the_window_is_begun_anew() {
    let world = World::with_backlog(2, 5_000).await;
    world
        .emulator
        .fault(Endpoint::Report, Fault::status(502).after(2).times(3));
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
}

/// Fails until a person acts, and says what to do; nothing is skipped meanwhile.
async fn needs_a_person(prepare: impl FnOnce(&mut emulator::ReportSettings), said: &[&str]) {
    let world = World::with_backlog(2, 100).await;
    world.begin_with_the_backlog();
    world
        .emulator
        .configure(|settings| prepare(&mut settings.report));
    let mut process = world.start();
    for text in said {
        process.prints(text).await;
    }
    world.platform_log("error", said[0]).await;
    let (status, health) = process.health().await;
    assert_eq!(status, 200, "the loop turns");
    assert!(health["error_count"].as_u64() >= Some(1), "{health}");
    assert_eq!(
        process
            .metric("symphony_module_common_forwarded_events_total")
            .await
            .unwrap_or(0.0),
        0.0
    );
    process.stop().await;
    assert!(world.count(Endpoint::Report) < 3, "asked at a slow pace");
    world.nothing_was_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password() {
    needs_a_person(
        |report| report.accounts.clear(),
        &[
            "401",
            "`account_name` and `account_password`",
            "sign-in log",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_sign_in_switched_off() {
    needs_a_person(
        |report| report.basic_sign_in = false,
        &[
            "switched off sign-in with a password",
            "message_trace_graph",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right() {
    needs_a_person(
        |report| report.permitted = false,
        &[
            "403",
            "Reports reader",
            "Security reader",
            "No permission to access the report",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_service() {
    for status in [404, 410] {
        let gone = Canned {
            status,
            content_type: "text/html".to_owned(),
            body: String::new(),
            location: None,
        };
        needs_a_person(
            |report| report.retired = Some(gone),
            &["retired the Reporting Web Service", "message_trace_graph"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_host_gets_no_credential() {
    let elsewhere = World::with_backlog(1, 10).await;
    let world = World::with_backlog(1, 5_000).await;
    world.begin_with_the_backlog();
    let foreign = elsewhere
        .running
        .microsoft()
        .as_str()
        .trim_end_matches('/')
        .to_owned();
    world
        .emulator
        .configure(|settings| settings.report.next_link = NextLink::Foreign(foreign));
    let mut process = world.start();
    process.prints("no credential is sent there").await;
    process.stop().await;
    assert_eq!(elsewhere.count(Endpoint::Report), 0);
    world.nothing_was_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_lead_nowhere_are_refused_and_cost_no_row() {
    for (link, said) in [
        (NextLink::Repeating, "repeats itself"),
        (NextLink::Endless, "lead to no further row"),
    ] {
        let world = World::with_backlog(1, 5_000).await;
        world.begin_with_the_backlog();
        world
            .emulator
            .configure(|settings| settings.report.next_link = link);
        let mut process = world.start();
        process.prints(said).await;
        world
            .emulator
            .configure(|settings| settings.report.next_link = NextLink::Relative);
        world.all_delivered().await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_near_the_service_s_cap_is_cut() {
    let world = World::with_backlog(1, 6_000).await;
    world.begin_with_the_backlog();
    world.emulator.configure(|settings| {
        settings.report.page_rows = 100;
        settings.report.skip_token_cap = 1_000;
    });
    let mut process = world.start();
    // Far from the real cap its answer is an error like any other: retried, then the window is
    // begun anew. What counts is that pages before the cap are delivered and nothing is passed.
    process.prints("answered 500").await;
    process.stop().await;
    world.nothing_was_passed();
    assert!(world.emulator.accepted_count(None) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_the_service_may_work_is_understood() {
    type Switch = fn(&mut emulator::ReportSettings);
    let switches: [(&str, Switch); 10] = [
        ("bounds excluded", |r| {
            (r.start_included, r.end_included) = (false, false)
        }),
        ("start excluded", |r| r.start_included = false),
        ("end excluded", |r| r.end_included = false),
        ("ascending", |r| r.ascending = true),
        ("offsets", |r| r.skip_token = SkipToken::Offset),
        ("plain slashes", |r| r.escaped_slashes = false),
        ("the light dialect", |r| r.always = Some(Dialect::Light)),
        ("short pages", |r| r.page_rows = 97),
        // The first page is full, and nothing says that there is another.
        ("no links", |r| r.next_in_verbose = false),
        ("rows in an object", |r| r.array_with_top = false),
    ];
    for (name, switch) in switches {
        let world = World::with_backlog(2, 2_500).await;
        world
            .emulator
            .configure(|settings| switch(&mut settings.report));
        let mut process = world.start();
        until(name, || {
            world.emulator.verdict(&Default::default()).missing.count == 0
        })
        .await;
        let verdict = world.emulator.verdict(&Default::default());
        assert!(verdict.is_clean(), "{name}: {verdict}");
        process.stop().await;
    }
}
