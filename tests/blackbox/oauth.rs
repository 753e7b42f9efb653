//! The trigger for the Reporting Web Service with sign-in as an app. How it signs in is tested
//! with the other trigger that does so.

use emulator::{Endpoint, Fault, NewRow};

use crate::world::{Process, Trigger, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn first_start_and_restart_deliver_everything_once() {
    let world = World::of(Trigger::Oauth, 2, 5_000).await;
    world.begin_with_the_backlog();
    let mut first = world.start();
    world.all_delivered().await;
    first.stop_by("INT").await;
    for request in world.emulator.requests(Endpoint::Report) {
        let authorization = request.header("authorization").unwrap();
        assert_eq!(authorization, "Bearer ***");
    }

    world
        .emulator
        .add_row(NewRow::new(world.now(), "meanwhile@contoso.example"));
    let alias = "office365_messagetrace_trigger_oauth";
    let mut second = Process::start(world.command_named(alias));
    world.all_delivered().await;
    second.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 5_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_between_pages_is_renewed() {
    let world = World::of(Trigger::Oauth, 1, 5_000).await;
    world.begin_with_the_backlog();
    world
        .emulator
        .configure(|settings| settings.identity.token_seconds = 6);
    // It expires on the way of the second page, not before, and not on that of the live edge after 10 s.
    let slow = Fault::DelayRequest { ms: 7_000 };
    world
        .emulator
        .fault(Endpoint::Report, slow.after(2).times(1));
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
    let requests = world.emulator.requests(Endpoint::Report);
    let refused = requests
        .iter()
        .filter(|request| request.status == Some(401));
    assert_eq!(refused.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_microsoft_is_slow_or_refuses() {
    for endpoint in [Endpoint::Token, Endpoint::Report] {
        let world = World::of(Trigger::Oauth, 1, 10).await;
        let slow = Fault::DelayAnswer { ms: 90_000 };
        world.emulator.fault(endpoint, slow);
        let mut process = world.start();
        until("it waits for an answer", || world.count(endpoint) == 1).await;
        process.stop().await;
    }
    let world = World::of(Trigger::Oauth, 1, 10).await;
    world
        .emulator
        .fault(Endpoint::Report, Fault::answer(403, &[], ""));
    let mut process = world.start();
    process.prints("403").await;
    process.stop().await;
}
