//! No secret leaves by any way but the one it is meant for.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use emulator::{Account, Endpoint, Fault, Secret, TestCertificate};
use serde_json::json;

use crate::world::{Process, World, get, until};

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
            ..Account::default()
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
    let mut outputs = shown(&world, process).await;
    outputs.push(("output of the refused start".to_owned(), refused.output()));
    assert_hidden(&outputs, &betrayals());
}

/// Everything that leaves a process, which is stopped.
async fn shown(world: &World, mut process: Process) -> Vec<(String, String)> {
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
        Endpoint::Graph,
        Endpoint::Token,
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
    outputs
}

fn assert_hidden(outputs: &[(String, String)], secrets: &[String]) {
    for (name, output) in outputs {
        for secret in secrets {
            assert!(!output.contains(secret), "{name} shows {secret}:\n{output}");
        }
    }
}

/// How tokens and assertions begin.
const JWT: &str = "eyJ";

#[tokio::test(flavor = "multi_thread")]
async fn no_output_shows_how_an_app_signs_in() {
    let world = World::graph(500).await;
    world.emulator.configure(|settings| {
        settings.intake.keys = vec![Secret::from(INTAKE_KEY)];
        settings.platform.token = Secret::from(TOKEN);
    });
    world.write("token", TOKEN);
    world.write("sentry_dsn", &world.running.sentry_dsn());
    let key = TestCertificate::generate().key;
    let line = key.lines().nth(1).unwrap().to_owned();
    let claims = json!({
        "aud": "https://graph.microsoft.com",
        "roles": ["ExchangeMessageTrace.Read.All"],
    });
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let token = format!("eyJhbGciOiJub25lIn0.{claims}.planted");
    let mut secrets = betrayals();
    secrets.extend([JWT.to_owned(), line, "planted-~+/&=".to_owned()]);
    let mut outputs = Vec::new();

    // A key without its certificate, and a secret in the wrong place.
    for change in [
        json!({"credential": "certificate", "certificate": key, "client_secret": null}),
        json!({"client_id": [key], "client_secret": "planted-~+/&="}),
    ] {
        world.configure(change);
        let mut refused = world.start();
        refused.prints("Configuration error").await;
        refused.stop().await;
        outputs.push(("output of a refused start".to_owned(), refused.output()));
    }

    // Answers that echo what was sent.
    world.configure(json!({"client_secret": "planted-~+/&=", "intake_key": INTAKE_KEY}));
    let refusal = json!({
        "error": "invalid_client",
        "error_description": "AADSTS7000215: planted-~+/&= is no secret",
        "trace_id": "planted-~+/&=",
    });
    let refusal = Fault::answer(401, &[], &refusal.to_string());
    world.emulator.fault(Endpoint::Token, refusal.times(1));
    let mut refused = world.start();
    refused.prints("AADSTS7000215").await;
    refused.stop().await;
    outputs.push(("output of a refused sign-in".to_owned(), refused.output()));

    let answer = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token});
    let answer = Fault::answer(200, &[], &answer.to_string());
    world.emulator.fault(Endpoint::Token, answer);
    let echo = format!("bad token {token} of {TOKEN}");
    for status in [500, 403] {
        let echo = Fault::answer(status, &[], &echo);
        world.emulator.fault(Endpoint::Graph, echo.times(1));
    }
    let mut process = world.start();
    process.prints("403 Forbidden").await;
    process.prints("bad token *** of ***").await;
    outputs.extend(shown(&world, process).await);
    assert_hidden(&outputs, &secrets);
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
