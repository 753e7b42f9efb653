//! Links to the next page, mostly of Microsoft Graph: also when they are wrong, no row is lost or sent twice.

use chrono::{SubsecRound as _, TimeDelta};
use emulator::{Backlog, Endpoint, Fault, GraphLink, GraphSettings, NewRow, Options, Traffic};
use futures_util::future::join_all;
use serde_json::json;

use crate::world::{Process, Trigger, World};

/// Three pages in one window.
const ROWS: u64 = 1_200;

const PAGE_ROWS: u32 = 500;

/// A world with three pages of mail.
async fn three_pages() -> World {
    let world = World::graph(ROWS).await;
    world.begin_with_the_backlog();
    // One window is all there is to read.
    world.configure(json!({"frequency": 3600}));
    world
        .emulator
        .configure(|settings| settings.graph.page_rows = PAGE_ROWS);
    world
}

/// Everything comes though Graph is like this. The world, and the process before its end.
async fn all_comes(switch: impl FnOnce(&mut GraphSettings)) -> (World, Process) {
    all_comes_to(three_pages().await, switch).await
}

async fn all_comes_to(world: World, switch: impl FnOnce(&mut GraphSettings)) -> (World, Process) {
    world.configure(json!({"quota": 100}));
    world.emulator.configure(|settings| {
        settings.graph.page_rows = PAGE_ROWS;
        switch(&mut settings.graph);
    });
    let process = world.start();
    world.backlog_delivered().await;
    (world, process)
}

/// How many requests followed a link, by the status of their answers.
fn followed(world: &World, status: u16) -> usize {
    let requests = world.emulator.requests(Endpoint::Graph);
    let links = requests
        .iter()
        .filter(|request| request.url.contains("skiptoken"));
    links
        .filter(|request| request.status == Some(status))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_as_they_are() {
    for (keeps_options, padded) in [(false, true), (true, false)] {
        let (world, mut process) = all_comes(|graph| {
            graph.link_keeps_options = keeps_options;
            graph.padded_tokens = padded;
        })
        .await;
        process.stop().await;
        assert_eq!((followed(&world, 200), followed(&world, 400)), (2, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_and_empty_pages_are_read_through() {
    let (_, mut process) = all_comes(|graph| graph.boundary_repeated = true).await;
    process.stop().await;

    // Pages that end between messages, so that an empty one may come in between.
    let traffic = Traffic {
        backlog: Backlog::rows(TimeDelta::hours(1), ROWS),
        max_recipients: 1,
        ..Traffic::default()
    };
    let options = Options {
        traffic,
        ..Options::default()
    };
    let world = World::new(Trigger::Graph, options).await;
    world.begin_with_the_backlog();
    let (world, mut process) = all_comes_to(world, |graph| graph.empty_pages = 1.0).await;
    process.stop().await;
    assert_eq!(followed(&world, 200), 4, "two empty pages in between");
}

/// The service refuses its own links, and that is said once and counted as no failure.
async fn mended(switch: impl FnOnce(&mut GraphSettings)) -> World {
    let (world, mut process) = all_comes(switch).await;
    process
        .prints("refused its own link to the next page")
        .await;
    let repaired = "symphony_module_common_links_repaired_total";
    assert!(process.metric(repaired).await >= Some(2.0));
    assert_eq!(process.health().await.1["error_count"], 0);
    process.stop().await;
    world.platform_log("warning", "no row is lost").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_tokens_are_unwrapped() {
    for padded in [true, false] {
        let world = mended(|graph| {
            graph.poisoned_tokens = 1.0;
            graph.padded_tokens = padded;
        })
        .await;
        assert_eq!((followed(&world, 200), followed(&world, 400)), (2, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_starting_recipient_is_gone_around() {
    let world = mended(|graph| graph.refused_tokens = 1.0).await;
    assert_eq!(followed(&world, 200), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_is_gone_around() {
    let world = mended(|graph| graph.token_seconds = Some(0)).await;
    assert_eq!(followed(&world, 200), 0);
}

/// A world with so many rows in one second.
async fn crowded_second(trigger: Trigger, rows: i64) -> World {
    let world = World::of(trigger, 1, 0).await;
    let second = (world.now() - TimeDelta::minutes(30)).trunc_subsecs(0);
    for n in 0..rows {
        let received = second + TimeDelta::milliseconds(n * 900 / rows);
        let row = NewRow::new(received, &format!("r{n}@contoso.example"));
        world.emulator.add_row(row);
    }
    world.begin_with_the_backlog();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_with_more_rows_than_a_page_is_read_without_links() {
    let graph = crowded_second(Trigger::Graph, 250).await;
    graph.emulator.configure(|settings| {
        settings.graph.page_rows = 100;
        settings.graph.refused_tokens = 1.0;
    });
    let mut worlds = vec![graph];
    for trigger in [Trigger::Oauth, Trigger::Account] {
        let world = crowded_second(trigger, 2_500).await;
        world
            .emulator
            .configure(|settings| settings.report.next_in_verbose = false);
        worlds.push(world);
    }
    for world in worlds {
        let mut process = world.start();
        world.backlog_delivered().await;
        process.stop().await;
    }
}

/// No narrower window has another boundary.
#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_that_links_are_refused_for_hides_nothing_of_one_instant() {
    let world = World::graph(0).await;
    let received = (world.now() - TimeDelta::minutes(30)).trunc_subsecs(0);
    for n in 0..5_300 {
        let row = NewRow::new(received, &format!("r{n:04}@contoso.example"));
        world.emulator.add_row(row);
    }
    // The last of a full page.
    let last = "r4999@contoso.example".to_owned();
    world
        .emulator
        .configure(|settings| settings.graph.refused_recipient = Some(last));
    world.begin_with_the_backlog();
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
    assert!(followed(&world, 400) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeating_link_narrows_the_window() {
    let (world, mut process) = all_comes(|graph| graph.next_link = GraphLink::Repeating).await;
    process.prints("is read in narrower ones").await;
    process.prints("repeats itself").await;
    process.stop().await;
    assert!(followed(&world, 200) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_host_gets_no_token_and_costs_no_row() {
    let elsewhere = World::graph(10).await;
    let world = three_pages().await;
    let foreign = elsewhere.running.login_url();
    world
        .emulator
        .configure(|settings| settings.graph.next_link = GraphLink::Foreign(foreign));
    let mut process = world.start();
    process.prints("no credential is sent there").await;
    // What it leads to is asked for by time.
    world.backlog_delivered().await;
    process.stop().await;
    assert_eq!(elsewhere.count(Endpoint::Graph), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_between_pages_is_renewed() {
    let world = three_pages().await;
    world
        .emulator
        .configure(|settings| settings.identity.token_seconds = 10);
    // The second page is asked for with a token that expires on its way, and not before.
    let slow = Fault::DelayRequest { ms: 11_000 };
    world
        .emulator
        .fault(Endpoint::Graph, slow.after(2).times(1));
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
    assert_eq!((followed(&world, 401), followed(&world, 200)), (1, 2));
    assert!(world.count(Endpoint::Token) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_page_is_asked_for_again() {
    let faults = [
        Fault::status(503),
        Fault::Reset,
        Fault::ResetMidBody { bytes: 20_000 },
        Fault::Garble,
        Fault::CutGzip,
        Fault::error_in_success(),
    ];
    join_all(faults.map(async |fault| {
        let world = three_pages().await;
        world
            .emulator
            .fault(Endpoint::Graph, fault.after(2).times(1));
        let mut process = world.start();
        process
            .prints("The message trace answers again after")
            .await;
        world.backlog_delivered().await;
        process.stop().await;
    }))
    .await;
}
