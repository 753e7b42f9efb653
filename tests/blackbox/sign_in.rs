//! Every way in which an app proves that it is itself.

use std::path::PathBuf;

use emulator::{Endpoint, Fault, TestCertificate};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::{Process, Trigger, World, repository, until};

/// The triggers that sign in as an app.
const BOTH: [Trigger; 2] = [Trigger::Graph, Trigger::Oauth];

/// A world whose app proves itself in another way than with a client secret.
async fn world_with(trigger: Trigger, settings: Value) -> World {
    let world = World::of(trigger, 1, 300).await;
    // Not even the right secret helps.
    world
        .emulator
        .configure(|settings| settings.identity.apps[0].secrets.clear());
    let mut changes = json!({"client_secret": null});
    for (key, value) in settings.as_object().unwrap() {
        changes[key] = value.clone();
    }
    world.configure(changes);
    world
}

async fn works(world: &World) {
    let mut process = world.start();
    world.backlog_delivered().await;
    process.stop().await;
}

/// The form of the latest request for a token.
fn form(world: &World) -> String {
    let request = world.emulator.latest_request(Endpoint::Token).unwrap();
    String::from_utf8(request.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_client_secret() {
    for trigger in BOTH {
        let world = World::of(trigger, 1, 300).await;
        // The tenant's domain stands for its id.
        world.configure(json!({"tenant_id": "Contoso.onmicrosoft.com"}));
        works(&world).await;
        let resource = match trigger {
            Trigger::Graph => "graph.microsoft.com",
            _ => "outlook.office365.com",
        };
        let form = form(&world);
        assert!(form.contains(&format!("{resource}%2F.default")), "{form}");
        assert!(form.contains("client_secret=***"), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_as_pem() {
    for trigger in BOTH {
        let certificate = TestCertificate::generate();
        let pem = format!("{}{}", certificate.key, certificate.certificate);
        let settings = json!({"credential": "certificate", "certificate": pem});
        let world = world_with(trigger, settings).await;
        world.emulator.configure(|settings| {
            settings.identity.apps[0].certificates = vec![certificate.certificate];
        });
        works(&world).await;
        assert!(form(&world).contains("jwt-bearer"), "{}", form(&world));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_as_pfx() {
    let folder = repository().join("crates/microsoft/src/identity/tests");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let settings = json!({
        "credential": "certificate",
        "certificate": read("modern.pfx.b64"),
        "certificate_password": "hunter2",
    });
    let world = world_with(Trigger::Graph, settings).await;
    world.emulator.configure(|settings| {
        settings.identity.apps[0].certificates = vec![read("cert.pem")];
    });
    works(&world).await;
    assert!(form(&world).contains("jwt-bearer"), "{}", form(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_is_a_configuration_error() {
    let certificate = TestCertificate::generate().certificate;
    for text in [certificate.as_str(), "not one!"] {
        let settings = json!({"credential": "certificate", "certificate": text});
        let world = world_with(Trigger::Graph, settings).await;
        let mut process = world.start();
        process.prints("certificate: ").await;
        process.prints("Configuration error").await;
        process.stop().await;
        assert_eq!(world.count(Endpoint::Token), 0);
    }
}

/// The file with the token of the platform, which rotates.
fn token_file(world: &World) -> PathBuf {
    world.data().with_file_name("federated-token")
}

/// The platform gives the workload another identity, and so another token.
fn rotate(world: &World, subject: &str) {
    let token = world.emulator.workload_token(subject);
    std::fs::write(token_file(world), token + "\n").unwrap();
    world.emulator.configure(|settings| {
        settings.identity.apps[0].federated_subject = Some(subject.to_owned());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_workload_identity_whose_token_rotates() {
    let settings = json!({"credential": "workload_identity"});
    let world = world_with(Trigger::Graph, settings).await;
    rotate(&world, "system:serviceaccount:a:b");
    // The first answer takes its time, and the second request's token is refused.
    let slow = Fault::DelayAnswer { ms: 500 };
    world.emulator.fault(Endpoint::Graph, slow.times(1));
    let refused = Fault::answer(401, &[], "the token is expired");
    world
        .emulator
        .fault(Endpoint::Graph, refused.after(1).times(1));
    let mut command = world.command();
    command.env("AZURE_FEDERATED_TOKEN_FILE", token_file(&world));
    let mut process = Process::start(command);
    until("the first page is asked for", || {
        world.count(Endpoint::Graph) == 1
    })
    .await;
    rotate(&world, "system:serviceaccount:c:d");
    world.backlog_delivered().await;
    process.stop().await;
    let statuses = world.emulator.requests(Endpoint::Token);
    let statuses: Vec<_> = statuses.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_workload_identity_at_the_platform_s_authority() {
    let settings = json!({"credential": "workload_identity", "login_url": null});
    let world = world_with(Trigger::Oauth, settings).await;
    rotate(&world, "system:serviceaccount:a:b");
    let mut command = world.command();
    command
        .env("AZURE_FEDERATED_TOKEN_FILE", token_file(&world))
        .env("AZURE_AUTHORITY_HOST", world.running.login_url() + "/");
    let mut process = Process::start(command);
    world.backlog_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_identity_waits_for_its_token() {
    let settings = json!({"credential": "workload_identity"});
    let world = world_with(Trigger::Graph, settings).await;
    let mut process = world.start();
    process
        .prints("needs the environment variable AZURE_FEDERATED_TOKEN_FILE")
        .await;
    process.stop().await;

    let mut command = world.command();
    command.env("AZURE_FEDERATED_TOKEN_FILE", token_file(&world));
    let mut process = Process::start(command);
    process
        .prints("the federated token cannot be read from")
        .await;
    rotate(&world, "system:serviceaccount:a:b");
    world.backlog_delivered().await;
    process.stop().await;
}

/// On a machine whose metadata service is the emulator's.
fn on_azure(world: &World) -> Command {
    let mut command = world.command();
    let service = world.running.login_url();
    command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", service);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_managed_identity_that_is_not_ready() {
    let cases = [(Trigger::Graph, Some("system")), (Trigger::Oauth, None)];
    join_all(cases.map(async |(trigger, client)| {
        let mut settings = json!({"credential": "managed_identity"});
        if let Some(client) = client {
            settings["client_id"] = json!(client);
        }
        let world = world_with(trigger, settings).await;
        for status in [404, 429] {
            world
                .emulator
                .fault(Endpoint::Imds, Fault::status(status).times(1));
        }
        let mut process = Process::start(on_azure(&world));
        process.prints("answered 404").await;
        process.prints("answered 429").await;
        world.backlog_delivered().await;
        process.stop().await;
        assert_eq!(world.count(Endpoint::Token), 0);
        for request in world.emulator.requests(Endpoint::Imds) {
            assert_eq!(request.header("metadata"), Some("true"));
            assert_eq!(request.query("client_id").is_none(), client.is_some());
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_identity_is_not_asked_for_through_a_proxy() {
    let settings = json!({"credential": "managed_identity", "client_id": "other"});
    let world = world_with(Trigger::Graph, settings).await;
    let mut command = on_azure(&world);
    command
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("NO_PROXY", "localhost");
    let mut process = Process::start(command);
    process.prints("not the one that `client_id` names").await;
    process.stop().await;
    assert_eq!(world.count(Endpoint::Graph), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_do_not_belong_together_are_refused() {
    let secret = "`client_secret` and neither `certificate` nor `certificate_password`";
    let certificate = "takes `certificate` (with `certificate_password` for a PFX file that has \
                       one) and no `client_secret`";
    let workload = "`workload_identity` takes no `client_secret`";
    let managed = "`managed_identity` takes no `client_secret`";
    for trigger in BOTH {
        let world = World::of(trigger, 1, 10).await;
        for (change, said) in [
            (json!({"client_secret": null}), "client_secret is missing"),
            (json!({"tenant_id": null}), "tenant_id is missing"),
            (json!({"client_id": null}), "client_id is missing"),
            (json!({"tenant_id": "a/b"}), "tenant_id"),
            (json!({"certificate": "x"}), secret),
            (
                json!({"credential": "client_secret", "certificate_password": "x"}),
                secret,
            ),
            (json!({"credential": "certificate"}), certificate),
            (
                json!({"credential": "certificate", "certificate": "x"}),
                certificate,
            ),
            (json!({"credential": "workload_identity"}), workload),
            (json!({"credential": "managed_identity"}), managed),
            (json!({"credential": "password"}), "credential"),
            (json!({"login_url": "http://login.example"}), "login_url"),
            (json!({"start_time": 2161}), "start_time is 2161"),
        ] {
            world.configure(change.clone());
            let mut process = world.start();
            process.prints(said).await;
            process.prints("Configuration error").await;
            process.stop().await;
        }
        assert_eq!(world.count(Endpoint::Token), 0);
    }
    let world = World::graph(10).await;
    for (change, said) in [
        (
            json!({"quota": 0}),
            "quota is 0, allowed is a whole number from 1 to 100",
        ),
        (json!({"event_format": "csv"}), "event_format"),
        (
            json!({"graph_url": "http://graph.example/v1.0"}),
            "graph_url",
        ),
    ] {
        world.configure(change.clone());
        let mut process = world.start();
        process.prints(said).await;
        process.stop().await;
    }
    assert_eq!(world.count(Endpoint::Graph), 0);
}
