//! No secret leaves by any way but the one it is meant for.

use emulator::{Account, Endpoint, Fault, Secret};
use serde_json::json;

use crate::world::{World, get, until};

const PASSWORD: &str = "planted-password-7e1f";
const TOKEN: &str = "planted-token-93ab";
const INTAKE_KEY: &str = "planted-intake-key-c04d";

/// What would give a secret away: itself, or in the form of basic sign-in.
fn betrayals() -> Vec<String> {
    let basic = "c3ZjQGNvbnRvc28uZXhhbXBsZTpwbGFudGVkLXBhc3N3b3JkLTdlMWY";
    [PASSWORD, TOKEN, INTAKE_KEY, basic]
        .map(str::to_owned)
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_shows_a_secret() {
    let world = World::with_backlog(2, 500).await;
    world.emulator.configure(|settings| {
        let name = "svc@contoso.example".to_owned();
        settings.report.accounts = vec![Account {
            name,
            password: Secret::from(PASSWORD),
        }];
        settings.intake.keys = vec![Secret::from(INTAKE_KEY)];
        settings.platform.token = Secret::from(TOKEN);
    });
    world.write("token", TOKEN);
    world.write("sentry_dsn", &world.running.sentry_dsn());
    // Answers that echo what was sent, as proxies and debug pages do.
    let echo = format!("bad credentials {PASSWORD} {INTAKE_KEY} {TOKEN}");
    let basic = format!("{echo} {}=", betrayals()[3]);
    for fault in [
        Fault::answer(401, &[], &basic),
        Fault::answer(500, &[], &basic),
    ] {
        world.emulator.fault(Endpoint::Report, fault.times(1));
    }
    world
        .emulator
        .fault(Endpoint::Intake, Fault::answer(500, &[], &echo).times(4));
    world
        .emulator
        .fault(Endpoint::Logs, Fault::answer(400, &[], &echo).times(1));
    // First settings that are refused, with the secrets in the wrong places.
    let password_and_key = json!({
        "account_password": [PASSWORD],
        "intake_key": INTAKE_KEY,
        "frequency": PASSWORD,
        "reporting_url": PASSWORD,
    });
    world.configure(password_and_key);
    let mut refused = world.start();
    refused.prints("Configuration error").await;
    refused.stop().await;

    world.configure(json!({"account_password": PASSWORD, "intake_key": INTAKE_KEY}));
    let mut process = world.start();
    process.prints("account_password").await;
    let command_line = std::fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
    let title = std::fs::read(format!("/proc/{}/comm", process.id())).unwrap();
    let health = process.health().await.1.to_string();
    let metrics = process.metrics().await;
    until("Sentry has an event", || {
        !world.emulator.envelopes().is_empty()
    })
    .await;
    process.stop().await;

    let mut outputs = vec![
        ("output".to_owned(), process.output()),
        ("output of the refused start".to_owned(), refused.output()),
        (
            "command line".to_owned(),
            String::from_utf8_lossy(&command_line).into_owned(),
        ),
        (
            "title".to_owned(),
            String::from_utf8_lossy(&title).into_owned(),
        ),
        ("health".to_owned(), health),
        // The contract's dashboards need this label.
        (
            "metrics".to_owned(),
            metrics.replace(&format!("intake_key=\"{INTAKE_KEY}\""), ""),
        ),
    ];
    for entry in world.emulator.logs() {
        outputs.push(("platform log".to_owned(), entry.message));
    }
    for envelope in world.emulator.envelopes() {
        outputs.push((
            "Sentry".to_owned(),
            String::from_utf8_lossy(&envelope).into_owned(),
        ));
    }
    for endpoint in [
        Endpoint::Report,
        Endpoint::Intake,
        Endpoint::Logs,
        Endpoint::Sentry,
    ] {
        for request in world.emulator.requests(endpoint) {
            let agent = request.header("user-agent").unwrap_or_default();
            if endpoint != Endpoint::Sentry {
                assert!(agent.starts_with("message-trace/"), "{endpoint:?}: {agent}");
            }
            outputs.push((
                format!("{endpoint:?} request"),
                format!("{} {agent}", request.url),
            ));
        }
    }
    for file in files(&world.data()) {
        let content = std::fs::read(&file).unwrap();
        outputs.push((
            file.display().to_string(),
            String::from_utf8_lossy(&content).into_owned(),
        ));
    }
    for (name, output) in outputs {
        for secret in betrayals() {
            assert!(
                !output.contains(&secret),
                "{name} shows {secret}:\n{output}"
            );
        }
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let (folders, mut found): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_answer_only_what_they_should() {
    let world = World::with_backlog(1, 10).await;
    let mut process = world.start();
    world.all_delivered().await;
    process.prints("Liveness server listening on port ").await;
    let output = process.output();
    let (_, rest) = output
        .split_once("Liveness server listening on port ")
        .unwrap();
    let port: u16 = rest.lines().next().unwrap().parse().unwrap();
    assert_eq!(get(port, "/health?x=1").await.0, 404);
    assert_eq!(get(port, "/metrics").await.0, 404);
    assert_eq!(get(port, "/health").await.0, 200);
    process.stop().await;
}
