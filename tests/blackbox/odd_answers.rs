//! Answers that say nothing about the request, that say it in an odd form, or that come from
//! something else than the service.

use emulator::{Endpoint, ErrorCodes, Fault, IdentitySettings};
use futures_util::future::join_all;

use crate::world::{Trigger, World};

const ALL: [(Trigger, Endpoint); 3] = [
    (Trigger::Graph, Endpoint::Graph),
    (Trigger::Oauth, Endpoint::Report),
    (Trigger::Account, Endpoint::Report),
];

const APPS: [(Trigger, Endpoint); 2] = [ALL[0], ALL[1]];

/// Each of these answers comes once, and everything is there soon, without an error.
async fn pass_at_once(trigger: Trigger, struck: Endpoint, faults: Vec<Fault>) {
    let world = World::of(trigger, 1, 100).await;
    world.begin_with_the_backlog();
    for fault in faults {
        world.emulator.fault(struck, fault.times(1));
    }
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
    let output = process.output();
    assert!(!output.contains("ERROR"), "{output}");
    assert!(
        output.contains("tells nothing about the request"),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_tell_nothing_pass_by_themselves() {
    let mut cases = ALL.to_vec();
    cases.extend(APPS.map(|(trigger, _)| (trigger, Endpoint::Token)));
    for statuses in [[204, 206], [409, 423], [425, 449], [499, 400]] {
        let faults = || statuses.map(Fault::status).to_vec();
        let passing = cases
            .iter()
            .map(|(trigger, struck)| pass_at_once(*trigger, *struck, faults()));
        join_all(passing).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_the_same_origin_are_followed() {
    join_all(ALL.map(async |(trigger, service)| {
        let world = World::of(trigger, 1, 100).await;
        world.begin_with_the_backlog();
        for (endpoint, status) in [(service, 307), (service, 308), (Endpoint::Token, 307)] {
            let redirect = Fault::Redirect {
                status,
                to: String::new(),
            };
            world.emulator.fault(endpoint, redirect.times(1));
        }
        let mut process = world.start();
        world.backlog_delivered().await;
        process.stop().await;
        let output = process.output();
        assert!(!output.contains("redirects"), "{output}");
        let statuses = world.emulator.requests(service);
        let statuses: Vec<_> = statuses.iter().map(|request| request.status).collect();
        assert_eq!(statuses[..3], [Some(307), Some(308), Some(200)]);
    }))
    .await;
}

/// One connection answers nothing else any more; a new one is fine.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_ill_for_ever_is_left_at_once() {
    for status in [503, 421, 502, 504, 500] {
        let left = ALL.map(async |(trigger, service)| {
            let world = World::of(trigger, 1, 100).await;
            world.begin_with_the_backlog();
            let ill = Fault::Connection { status };
            world.emulator.fault(service, ill.times(1));
            let mut process = world.start();
            world.backlog_delivered().await;
            process.stop().await;
            let requests = world.emulator.requests(service);
            let ill = requests.iter();
            let ill = ill.filter(|request| request.status == Some(status));
            assert_eq!(ill.count(), 1, "{trigger:?}: {}", process.output());
            let output = process.output();
            assert!(!output.contains("ERROR"), "{output}");
        });
        join_all(left).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_another_origin_get_no_credential() {
    join_all(ALL.map(async |(trigger, service)| {
        let world = World::of(trigger, 1, 10).await;
        let other = World::of(trigger, 1, 10).await;
        let to = other.running.login_url();
        let redirect = Fault::Redirect { status: 307, to };
        world.emulator.fault(service, redirect);
        let mut process = world.start();
        process.prints("redirects to 127.0.0.1").await;
        process.stop().await;
        assert_eq!(other.count(service), 0);
    }))
    .await;
}

/// What Microsoft says about a refused sign-in is said in every form.
async fn is_told(trigger: Trigger, odd: fn(&mut IdentitySettings), mark: bool) {
    let world = World::of(trigger, 1, 10).await;
    world.emulator.configure(|settings| {
        settings.identity.refuse_with = Some(7_000_222);
        odd(&mut settings.identity);
    });
    if mark {
        world.emulator.fault(Endpoint::Token, Fault::ByteOrderMark);
    }
    let mut process = world.start();
    process
        .prints("sign-in of the app is refused (AADSTS7000222): the client secret has expired")
        .await;
    process.stop().await;
    let output = process.output();
    let said = "the answer says: AADSTS7000222: The provided client secret keys are expired.";
    assert!(output.contains(said), "{output}");
    assert!(world.count(Endpoint::Token) < 3, "asked at a slow pace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_is_told_in_every_form() {
    let forms: [fn(&mut IdentitySettings); 5] = [
        |identity| identity.error_codes = ErrorCodes::Null,
        |identity| identity.error_codes = ErrorCodes::Texts,
        |identity| identity.error_codes = ErrorCodes::Words,
        |identity| identity.null_ids = true,
        |identity| identity.refusal_status = Some(200),
    ];
    for (trigger, _) in APPS {
        join_all(forms.map(|form| is_told(trigger, form, false))).await;
        is_told(trigger, |_| {}, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_to_sign_in_is_told_by_its_title() {
    for (trigger, _) in APPS {
        let world = World::of(trigger, 1, 10).await;
        world.begin_with_the_backlog();
        world
            .emulator
            .configure(|settings| settings.identity.login_page = true);
        let mut process = world.start();
        process
            .prints("without a token (the answer says: Sign in to your account)")
            .await;
        world
            .emulator
            .configure(|settings| settings.identity.login_page = false);
        world.emulator.fault(Endpoint::Token, Fault::ByteOrderMark);
        world.backlog_delivered().await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_that_forbids_is_no_missing_permission() {
    for (trigger, service) in APPS {
        let world = World::of(trigger, 1, 10).await;
        let page = Fault::page(403, "Blocked by the gateway");
        world.emulator.fault(service, page);
        let mut process = world.start();
        process
            .prints("a proxy or gateway on the way does not let it pass")
            .await;
        process.stop().await;
        let output = process.output();
        assert!(output.contains("Blocked by the gateway"), "{output}");
        assert!(!output.contains("grant it"), "{output}");
    }
}
