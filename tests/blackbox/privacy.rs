//! What must not leave, with every trigger: neither to the intake nor into any file or log.

use std::{io::Read as _, path::Path};

use chrono::TimeDelta;
use emulator::{Discretion, Endpoint, NewRow};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::world::{Process, Trigger, World};

/// Parts of what must not leave, in lower case.
const CLEAR: [&str; 3] = ["canary", "secret-partner", "gehe\u{ed}m"];

/// What `printf %s TEXT | openssl dgst -sha256 -hmac KEY` gives, its first 16 digits.
const CANARY_SENDER: &str = "a234438066410f03@e927e9a89bb7e23c.invalid";

const KEY: &str = "a key that nobody else knows";

pub(crate) fn hiding() -> Value {
    json!({"subject": "hash", "addresses": "hash", "hash_key": KEY})
}

/// Gives the trigger settings, and tells the ledger what follows from them.
pub(crate) fn configure(world: &World, settings: &Value) {
    world.configure(settings.clone());
    let discretion = Discretion::of_trigger(settings.as_object().unwrap()).unwrap();
    let emulator = &world.emulator;
    emulator.configure(|settings| settings.discretion = discretion);
}

/// A row of which nothing may leave.
pub(crate) fn canary(world: &World, seconds: i64) -> NewRow {
    let at = world.now() - TimeDelta::seconds(seconds);
    let mut row =
        NewRow::new(at, "Canary.Recipient@contoso.example").subject("Geheím: Canary 7731");
    row.row.sender = "Canary.Sender@Secret-Partner.example".to_owned();
    row.row.message_id = Some("<canary-7731@secret-partner.example>".to_owned());
    row
}

/// All that a process and its commands have given away.
pub(crate) async fn given_away(world: &World, process: &mut Process) -> String {
    let mut all = process.output();
    all.push_str(&process.metrics().await);
    all.push_str(&process.health().await.1.to_string());
    for event in world.emulator.accepted() {
        all.push_str(&event.text);
    }
    for entry in world.emulator.logs() {
        all.push_str(&entry.message);
    }
    for arguments in [
        &["check"][..],
        &["status", "--json"],
        &["config", world.name()],
        &["dead-letters"],
    ] {
        all.push_str(&world.says(arguments).await.to_string());
    }
    files(&world.data(), &mut all);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("support.tar.gz");
    let said = world
        .says(&["support", "--output", archive.to_str().unwrap()])
        .await;
    assert_eq!(said.code, Some(0), "{said}");
    let archive = std::fs::read(archive).unwrap();
    let mut inside = Vec::new();
    GzDecoder::new(archive.as_slice())
        .read_to_end(&mut inside)
        .unwrap();
    all.push_str(&String::from_utf8_lossy(&inside));
    all
}

fn files(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
            continue;
        }
        match std::fs::read(path) {
            // A file that is written anew has another name for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            content => all.push_str(&String::from_utf8_lossy(&content.unwrap())),
        }
    }
}

pub(crate) fn assert_nothing_is_clear(text: &str) {
    let text = text.to_lowercase();
    for clear in CLEAR {
        let at = text.find(clear);
        let around = at.map(|at| text.get(at.saturating_sub(80)..(at + 80).min(text.len())));
        assert_eq!(around, None, "{clear}");
    }
    assert!(!text.contains(KEY), "the key");
}

async fn nothing_leaves(trigger: Trigger, changes: Value) {
    let world = World::of(trigger, 1, 60).await;
    world.emulator.add_row(canary(&world, 30));
    // It is a dead letter where subjects stay; hashed it is short.
    let long = format!("Canary {}", "x".repeat(251_000));
    world.emulator.add_row(canary(&world, 40).subject(&long));
    let mut settings = hiding();
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    configure(&world, &settings);
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    world.backlog_delivered().await;
    let mut sent = world.emulator.accepted().into_iter();
    let sent = sent.find(|event| event.text.contains(CANARY_SENDER));
    let sent: Value = serde_json::from_str(&sent.unwrap().text).unwrap();
    let trace = sent.get("id").or(sent.get("MessageTraceId"));
    assert!(trace.unwrap().is_string() && sent.to_string().contains("203.0.113.5"));
    assert_nothing_is_clear(&given_away(&world, &mut process).await);
    let said = world.says(&["status"]).await;
    assert!(said.stdout.contains("hidden     subjects are"), "{said}");
    assert!(said.stdout.contains("addresses are hashed"), "{said}");
    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    let hidden = json!({"subject": settings["subject"], "addresses": settings["addresses"]});
    assert_eq!(status["hidden"], hidden, "{said}");
    let said = world.says(&["config", world.name()]).await;
    for setting in ["subject", "addresses", "own_domains", "hash_key"] {
        assert!(said.stdout.contains(setting), "{setting}: {said}");
    }
    let said = world.says(&["check"]).await;
    assert!(said.stdout.contains("of the fingerprint"), "{said}");
    let told = "symphony_module_common_privacy_info{subject=";
    assert_eq!(process.metric(told).await, Some(1.0));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_account() {
    nothing_leaves(Trigger::Account, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_app() {
    nothing_leaves(Trigger::Oauth, json!({"subject": "drop"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_graph() {
    nothing_leaves(Trigger::Graph, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_graph_in_the_form_of_the_reporting_web_service() {
    nothing_leaves(Trigger::Graph, json!({"event_format": "reporting"})).await;
}

/// Only others are hashed; switched on later, nothing is sent again.
async fn switched_on_it_sends_nothing_again(trigger: Trigger, form: Value) {
    let world = World::of(trigger, 1, 40).await;
    world.emulator.add_row(canary(&world, 20));
    configure(&world, &form);
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    let before = world.emulator.accepted_count(None);

    let mut settings = hiding();
    for (name, value) in form.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings["addresses"] = "hash_external".into();
    settings["own_domains"] = "Contoso.example, contoso.onmicrosoft.com".into();
    configure(&world, &settings);
    let mut process = world.start();
    let known = "symphony_module_common_source_rows_total{kind=\"known\"}";
    process.comes_to(known, 1.0).await;
    assert_eq!(
        world.emulator.accepted_count(None),
        before,
        "nothing came again"
    );
    let new = canary(&world, 5);
    world.emulator.add_row(new);
    crate::world::until("the new row is delivered", || {
        world.emulator.accepted_count(None) == before + 1
    })
    .await;
    assert!(world.all_delivered().await.is_clean());
    let last = world.emulator.accepted().pop().unwrap().text;
    assert!(last.contains("Canary.Recipient@contoso.example"), "{last}");
    assert!(
        last.contains(CANARY_SENDER) && !last.contains("secret-partner"),
        "{last}"
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_with_an_account() {
    switched_on_it_sends_nothing_again(Trigger::Account, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_with_an_app() {
    switched_on_it_sends_nothing_again(Trigger::Oauth, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_with_graph() {
    switched_on_it_sends_nothing_again(Trigger::Graph, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_in_the_form_of_the_reporting_web_service() {
    let form = json!({"event_format": "reporting"});
    switched_on_it_sends_nothing_again(Trigger::Graph, form).await;
}

/// Letters that were kept in clear text leave hidden: sent by the command and by the running trigger.
#[tokio::test(flavor = "multi_thread")]
async fn letters_of_before_leave_hidden() {
    let world = World::with_backlog(1, 3).await;
    for seconds in [50, 60] {
        let long = format!("Canary {}", "x".repeat(251_000));
        world
            .emulator
            .add_row(canary(&world, seconds).subject(&long));
    }
    configure(&world, &json!({}));
    let mut process = world.start();
    process
        .reaches("symphony_module_common_dead_letters", 2.0)
        .await;
    // The other rows, and a copy of each of the two with its subject cut.
    let forwarded = "symphony_module_common_forwarded_events_total{";
    process.reaches(forwarded, 5.0).await;
    process.stop().await;
    let ids = world.says(&["dead-letters", "--json"]).await;
    let ids: Value = serde_json::from_str(&ids.stdout).unwrap();
    let id = |n: usize| ids["letters"][n]["id"].as_str().unwrap().to_owned();

    configure(&world, &hiding());
    let emulator = &world.emulator;
    emulator.configure(|settings| settings.intake.max_event_bytes = 400_000);
    let before = world.emulator.accepted().len();
    let retry = async |id: &str| {
        let said = world
            .says(&["dead-letters", "retry", id, "--also-cut"])
            .await;
        assert_eq!(said.code, Some(0), "{said}");
    };
    retry(&id(0)).await;
    let mut process = world.start();
    process
        .prints("Office365 MessageTrace Trigger has started")
        .await;
    retry(&id(1)).await;
    process.stop().await;
    let sent = world.emulator.accepted().split_off(before);
    let sent: Vec<String> = sent.into_iter().map(|event| event.text).collect();
    let hidden = sent.iter().filter(|text| text.contains(CANARY_SENDER));
    assert_eq!(hidden.count(), 2, "{sent:?}");
    sent.iter().for_each(|text| assert_nothing_is_clear(text));
}

/// What Microsoft adds to rows some day is left out, and said.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_left_out() {
    let world = World::graph(0).await;
    configure(&world, &hiding());
    let at = (world.now() - TimeDelta::seconds(20)).to_rfc3339();
    let row = json!({
        "canaryAddress": "canary@secret-partner.example", "id": uuid::Uuid::new_v4(),
        "senderAddress": "a@b.example", "recipientAddress": "c@d.example", "messageId": "<e@f.example>",
        "receivedDateTime": at.replace("+00:00", "Z"), "subject": "Geheím", "size": 5,
        "fromIP": "", "toIP": "", "status": "delivered",
    });
    let page = json!({"value": [row]}).to_string();
    let answer = emulator::Fault::answer(200, &[("content-type", "application/json")], &page);
    world.emulator.fault(Endpoint::Graph, answer);
    let mut process = world.start();
    let told = "Microsoft shows members of rows that this version does not know: canaryAddress.";
    process.prints(told).await;
    crate::world::until("the row is delivered", || {
        !world.emulator.accepted().is_empty()
    })
    .await;
    let sent = world.emulator.accepted().remove(0).text;
    assert!(!sent.contains("canaryAddress"), "{sent}");
    assert_nothing_is_clear(&sent);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_do_not_fit_together_are_refused_with_what_to_do() {
    for (trigger, settings, told) in [
        (
            Trigger::Graph,
            json!({"subject": "hash"}),
            "hash_key is missing, which `subject` `hash` needs",
        ),
        (
            Trigger::Oauth,
            json!({"addresses": "hash"}),
            "hash_key is missing, which `addresses` `hash` needs",
        ),
        (
            Trigger::Account,
            json!({"addresses": "hash_external", "hash_key": KEY}),
            "own_domains is empty, which `addresses` `hash_external` needs",
        ),
        (
            Trigger::Graph,
            json!({"subject": "hash", "hash_key": "too short"}),
            "hash_key has a value that is not shown",
        ),
        (
            Trigger::Graph,
            json!({"addresses": "hash_external", "hash_key": KEY, "own_domains": ["*@contoso.example"]}),
            "allowed is a domain such as example.org",
        ),
    ] {
        let world = World::of(trigger, 1, 0).await;
        world.configure(settings);
        let said = world.says(&["check", world.name()]).await;
        assert_eq!(said.code, Some(10), "{said}");
        let text = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(told), "{told}: {said}");
        assert!(!said.to_string().contains(KEY), "{said}");
        let mut process = world.start();
        process.prints(told).await;
        process.stop().await;
    }
}
