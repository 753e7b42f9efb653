//! The trigger of the service account on both services: the three settings alone, Microsoft Graph from
//! nothing, the end of the Reporting Web Service, and each refusal of the sign-in.

use emulator::{Canned, Endpoint, Settings};
use serde_json::{Value, json};

use crate::world::{Trigger, World};

/// The settings with which the account reads Microsoft Graph, too.
fn with_client(world: &World) -> Value {
    json!({
        "client_id": world.emulator.settings().identity.apps[0].client_id,
        "login_url": world.running.login_url(),
        "graph_url": world.running.graph_url(),
        "start_time": 3,
    })
}

/// The same, from Microsoft Graph alone.
fn on_graph(world: &World) -> Value {
    let mut settings = with_client(world);
    settings["service"] = json!("graph");
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_settings_alone_collect_as_before() {
    let world = World::with_backlog(2, 500).await;
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    assert_eq!(
        world.count(Endpoint::Graph) + world.count(Endpoint::Token),
        0
    );
    let event = &world.emulator.accepted()[0].text;
    assert!(event.contains("/Date("), "{event}");
    for file in ["service.json", "sign_in.json", "quota.json"] {
        assert!(!world.data().join(file).exists(), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_more_setting_an_account_collects_from_graph() {
    let world = World::of(Trigger::Account, 1, 500).await;
    world.configure(on_graph(&world));
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    assert_eq!(world.count(Endpoint::Report), 0);
    assert_eq!(world.count(Endpoint::Token), 1, "one token for all");
    let event = &world.emulator.accepted()[0].text;
    assert!(
        event.contains("MessageTraceId") && event.contains("/Date("),
        "{event}"
    );
    // No refresh token, and nothing else to sign in with.
    for entry in std::fs::read_dir(world.data()).unwrap().flatten() {
        let content = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&content).into_owned();
        assert!(
            !text.contains("correct horse") && !text.contains("eyJ"),
            "{entry:?}"
        );
    }
    let check = world.says(&["check", world.name()]).await;
    let granted = "the account is granted ExchangeMessageTrace.Read.All";
    assert!(check.stdout.contains(granted), "{check}");
    // What is kept of a change to Microsoft Graph is told.
    let at = world.now();
    let kept =
        json!({"version": 1, "settings": "", "refusals": [at, at], "said": "gone", "since": at});
    std::fs::write(world.data().join("service.json"), kept.to_string()).unwrap();
    let status = world.says(&["status"]).await;
    assert!(status.stdout.contains("Microsoft Graph since"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_the_account_has_its_sentence() {
    let world = World::of(Trigger::Account, 1, 30).await;
    world.configure(on_graph(&world));
    let said = world.says(&["check", world.name()]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stdout
            .contains("Microsoft advises against sign-in with a password"),
        "{said}"
    );
    let account =
        |code| move |settings: &mut Settings| settings.report.accounts[0].refused_with = Some(code);
    type Change = Box<dyn Fn(&mut Settings)>;
    let cases: Vec<(Change, i32, &str, &str)> = vec![
        (
            Box::new(|s| s.report.accounts[0].password = "another".into()),
            14,
            "AADSTS50126",
            "`account_password`",
        ),
        (
            Box::new(|s| s.report.accounts.clear()),
            14,
            "AADSTS50034",
            "no such account",
        ),
        (
            Box::new(account(51_004)),
            14,
            "AADSTS51004",
            "no such account",
        ),
        (Box::new(account(50_053)), 14, "AADSTS50053", "is locked"),
        (Box::new(account(50_055)), 14, "AADSTS50055", "has expired"),
        (
            Box::new(account(50_056)),
            14,
            "AADSTS50056",
            "another sign-in service keeps it",
        ),
        (Box::new(account(50_057)), 14, "AADSTS50057", "is disabled"),
        (
            Box::new(account(50_076)),
            14,
            "AADSTS50076",
            "this way is closed",
        ),
        (
            Box::new(account(50_079)),
            14,
            "AADSTS50079",
            "this way is closed",
        ),
        (
            Box::new(account(50_158)),
            14,
            "AADSTS50158",
            "this way is closed",
        ),
        (
            Box::new(account(53_003)),
            14,
            "AADSTS53003",
            "Conditional Access",
        ),
        (
            Box::new(account(50_020)),
            14,
            "AADSTS50020",
            "no account of the tenant",
        ),
        (
            Box::new(account(50_107)),
            14,
            "AADSTS50107",
            "no account of the tenant",
        ),
        (Box::new(account(50_105)), 14, "AADSTS50105", "assign it"),
        (
            Box::new(account(90_094)),
            14,
            "AADSTS90094",
            "grant admin consent",
        ),
        (
            Box::new(|s| s.identity.apps[0].scopes.clear()),
            14,
            "AADSTS65001",
            "delegated permission",
        ),
        (
            Box::new(|s| s.identity.apps[0].public_flows = false),
            14,
            "AADSTS7000218",
            "Allow public client flows",
        ),
        (
            Box::new(|s| s.identity.apps.clear()),
            14,
            "AADSTS700016",
            "`client_id`",
        ),
        (
            Box::new(|s| s.identity.domains.clear()),
            14,
            "AADSTS90002",
            "`tenant_id`",
        ),
        (
            Box::new(|s| s.identity.apps[0].scopes = vec!["User.Read".into()]),
            15,
            "the delegated permission",
            "grant consent for all accounts",
        ),
        (
            Box::new(|s| s.report.accounts[0].exchange_role = false),
            15,
            "it is the account that may not read",
            "`Exchange Administrator`",
        ),
    ];
    let before = world.emulator.settings();
    for (change, code, first, second) in cases {
        world
            .emulator
            .configure(|settings| *settings = before.clone());
        world.emulator.configure(change);
        let said = world.says(&["check", world.name()]).await;
        assert_eq!(said.code, Some(code), "{first}: {said}");
        for text in [first, second] {
            assert!(said.stdout.contains(text), "`{text}`: {said}");
        }
        assert!(!said.to_string().contains("correct horse"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_graph_belong_together() {
    let world = World::of(Trigger::Account, 1, 1).await;
    for (settings, text) in [
        (json!({"service": "graph"}), "client_id is missing"),
        (json!({"client_secret": "s"}), "client_id is missing"),
        (
            json!({"service": "both"}),
            "service is a text of 4 characters",
        ),
    ] {
        world.configure(settings);
        let said = world.says(&["check", world.name()]).await;
        assert_eq!(said.code, Some(10), "{said}");
        assert!(said.stdout.contains(text), "`{text}`: {said}");
    }
}

/// A check tells what a run would do.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_of_an_end_and_of_what_takes_its_place() {
    let world = World::of(Trigger::Account, 1, 30).await;
    world
        .emulator
        .configure(|settings| settings.report.retired = Some(Canned::missing_page()));
    let said = world.says(&["check", world.name()]).await;
    assert_eq!(said.code, Some(17), "{said}");
    assert!(
        said.stdout
            .contains("Microsoft has retired the Reporting Web Service"),
        "{said}"
    );
    world.configure(with_client(&world));
    let said = world.says(&["check", world.name()]).await;
    assert_eq!(said.code, Some(0), "{said}");
    for text in [
        "the Reporting Web Service seems to have ended",
        "30 rows received in the last hour",
    ] {
        assert!(said.stdout.contains(text), "`{text}`: {said}");
    }
    assert!(!world.data().exists(), "nothing is decided by a check");
}
