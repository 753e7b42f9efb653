//! What the identity platform and Graph may refuse, and what is said about it.

use emulator::{Endpoint, ServicePrincipal};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::world::{Process, Trigger, World};

/// Refusals that a person must mend: code, and what is said of cause and next step.
const REFUSALS: [(u32, &str, &str); 30] = [
    (7_000_215, "the secret's ID was copied", "`client_secret`"),
    (7_000_222, "has expired", "create a new one"),
    (
        700_016,
        "no app with this client id",
        "check `client_id` and `tenant_id`",
    ),
    (7_000_229, "no service principal", "consent to the app"),
    (90_002, "no such tenant in this cloud", "`login_url`"),
    (
        700_027,
        "certificate is not accepted",
        "upload the certificate",
    ),
    (700_024, "not valid at this time", "set the clock"),
    (700_025, "public client", "Allow public client flows"),
    (700_211, "federated token", "issuer, subject and audience"),
    (700_213, "federated token", "issuer, subject and audience"),
    (500_011, "does not know the service", "Exchange Online"),
    (50_001, "does not know the service", "Exchange Online"),
    (70_011, "service that the token is for", "check the address"),
    (28_002, "service that the token is for", "check the address"),
    (53_003, "Conditional Access", "exempt it"),
    (50_034, "not in this directory", "belong together"),
    (9_001_023, "`common` or `consumers`", "GUID or domain"),
    (900_144, "part of the request is missing", "no setting"),
    (7_000_112, "disabled", "enable its enterprise application"),
    (90_094, "has not consented", "grant admin consent"),
    (
        900_023,
        "neither a GUID nor a domain",
        "directory (tenant) ID",
    ),
    (5_000_224, "the tenant is blocked", "Microsoft's support"),
    (5_000_225, "the tenant is blocked", "Microsoft's support"),
    (
        500_022,
        "tenant restriction",
        "the people who run the network",
    ),
    (
        500_014,
        "is disabled in this tenant",
        "enable the enterprise",
    ),
    (50_196, "for a loop", "what else signs in"),
    (53_000, "managed device", "exempt the app"),
    (530_004, "managed device", "exempt the app"),
    (7_000_218, "without the proof", "check `credential`"),
    (
        4_711,
        "the request for a token is not accepted",
        "check `tenant_id`",
    ),
];

/// The line that says that a sign-in was refused.
fn sentence(process: &Process) -> String {
    let output = process.output();
    let line = output.lines().find(|line| line.contains("AADSTS"));
    line.unwrap().to_owned()
}

/// The id that stands behind these words.
fn id(line: &str, name: &str) -> Uuid {
    let (_, rest) = line.split_once(&format!("{name} ")).expect(line);
    let id: String = rest.chars().take(36).collect();
    id.parse().expect(line)
}

async fn every_refusal_says_what_to_do(trigger: Trigger) {
    let world = World::of(trigger, 1, 10).await;
    world.begin_with_the_backlog();
    for (code, cause, step) in REFUSALS {
        world
            .emulator
            .configure(|settings| settings.identity.refuse_with = Some(code));
        let mut process = world.start();
        process.prints(&format!("AADSTS{code}")).await;
        let health = process.health().await;
        assert_eq!(health.0, 200, "it waits for a person");
        process.stop().await;
        let line = sentence(&process);
        assert!(line.contains(cause) && line.contains(step), "{line}");
        assert_ne!(id(&line, "trace id"), id(&line, "correlation id"));
    }
    world.platform_log("error", "AADSTS7000215").await;
    let asked = world.count(Endpoint::Token);
    assert_eq!(asked, REFUSALS.len(), "asked again at a slow pace");
    assert_eq!(
        world.count(Endpoint::Graph) + world.count(Endpoint::Report),
        0
    );
    world.nothing_was_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_a_sign_in_says_what_to_do() {
    every_refusal_says_what_to_do(Trigger::Graph).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_a_sign_in_says_what_to_do_on_the_other_service() {
    every_refusal_says_what_to_do(Trigger::Oauth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_refusals_are_waited_out() {
    join_all([50_087, 90_055, 90_006, 90_024, 90_033].map(async |code| {
        let world = World::graph(300).await;
        world
            .emulator
            .configure(|settings| settings.identity.refuse_with = Some(code));
        let mut process = world.start();
        process.prints(&format!("AADSTS{code}")).await;
        let line = sentence(&process);
        assert!(line.contains("asked again later"), "{line}");
        world
            .emulator
            .configure(|settings| settings.identity.refuse_with = None);
        process
            .prints("The message trace answers again after")
            .await;
        world.backlog_delivered().await;
        process.stop().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_serve_is_named_before_it_is_used() {
    type Switch = fn(&mut emulator::IdentitySettings);
    let cases: [(Switch, &str); 3] = [
        (
            |identity| identity.apps[0].roles.clear(),
            "lacks the permission `",
        ),
        (
            |identity| identity.apps[0].roles = vec!["Mail.Read".to_owned()],
            "not granted or not consented to",
        ),
        (
            |identity| identity.wrong_audience = Some("https://management.azure.com".to_owned()),
            "`https://management.azure.com` instead of",
        ),
    ];
    for trigger in [Trigger::Graph, Trigger::Oauth] {
        let world = World::of(trigger, 1, 10).await;
        world.begin_with_the_backlog();
        for (switch, said) in cases {
            let before = world.emulator.settings().identity;
            world
                .emulator
                .configure(|settings| switch(&mut settings.identity));
            let mut process = world.start();
            process.prints(said).await;
            process.stop().await;
            world
                .emulator
                .configure(|settings| settings.identity = before);
        }
        let queries = world.count(Endpoint::Graph) + world.count(Endpoint::Report);
        assert_eq!(queries, 0, "{trigger:?}");
        world.nothing_was_passed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_token_is_waited_out() {
    let world = World::graph(300).await;
    world
        .emulator
        .configure(|settings| settings.identity.without_token = true);
    let mut process = world.start();
    process.prints("with success but without a token").await;
    world
        .emulator
        .configure(|settings| settings.identity.without_token = false);
    world.backlog_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_service_principal_gets_the_command_that_creates_it() {
    for missing in [
        ServicePrincipal::Missing,
        ServicePrincipal::MissingForbidden,
    ] {
        let world = World::graph(300).await;
        world.begin_with_the_backlog();
        world
            .emulator
            .configure(|settings| settings.graph.service_principal = missing);
        let mut process = world.start();
        process
            .prints("New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373")
            .await;
        process.prints("which takes hours").await;
        process.prints("client-request-id").await;
        assert_eq!(world.count(Endpoint::Graph), 1);
        assert_eq!(world.count(Endpoint::Token), 1, "no new token helps");
        process.stop().await;
        world.nothing_was_passed();

        let present = ServicePrincipal::PresentFrom(world.now());
        world
            .emulator
            .configure(|settings| settings.graph.service_principal = present);
        let mut process = world.start();
        world.backlog_delivered().await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_taken_away_is_named() {
    let world = World::graph(10).await;
    world.begin_with_the_backlog();
    let answer = r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation."}}"#;
    let forbidden = emulator::Fault::answer(403, &[], answer);
    world.emulator.fault(Endpoint::Graph, forbidden);
    let mut process = world.start();
    process.prints("ExchangeMessageTrace.Read.All").await;
    process.prints("Insufficient privileges").await;
    process.stop().await;
    world.nothing_was_passed();
}
