//! Networks as companies have them: a proxy as the only way out, and a private certificate
//! authority.

use std::net::SocketAddr;

use emulator::{Authority, ConnectProxy, TlsFront};
use serde_json::json;
use tokio::process::Command;
use url::Url;

use crate::world::{Process, Trigger, World};

const CREDENTIALS: &str = "user:hunter2";

/// The servers as they are seen from outside: with TLS, at names that only the proxy knows.
struct Outside {
    authority: Authority,
    microsoft: TlsFront,
    sekoia: TlsFront,
}

impl Outside {
    async fn of(world: &World) -> Self {
        let authority = Authority::new();
        let microsoft =
            authority.certificate(&["login.test", "reports.test", "graph.microsoft.com"]);
        let sekoia = authority.certificate(&["intake.test", "platform.test"]);
        Self {
            microsoft: front(world.running.microsoft(), microsoft).await,
            sekoia: front(world.running.sekoia(), sekoia).await,
            authority,
        }
    }

    async fn proxy(&self) -> ConnectProxy {
        let (microsoft, sekoia) = (self.microsoft.address(), self.sekoia.address());
        let known = [
            ("login.test", microsoft),
            ("reports.test", microsoft),
            ("graph.microsoft.com", microsoft),
            ("intake.test", sekoia),
            ("platform.test", sekoia),
        ];
        ConnectProxy::start(known, Some(CREDENTIALS)).await.unwrap()
    }
}

async fn front(server: &Url, certificate: emulator::ServerCertificate) -> TlsFront {
    let address: SocketAddr = server.authority().parse().unwrap();
    TlsFront::start(address, certificate).await.unwrap()
}

/// The configuration of a trigger that reaches everything by name.
fn configure(world: &World) {
    world.write("url_callback", "https://platform.test/api/callback");
    world.configure(json!({
        "login_url": "https://login.test",
        "graph_url": "https://graph.microsoft.com/v1.0",
        "reporting_url": "https://reports.test/ecp/reportingwebservice/reporting.svc",
        "intake_server": "https://intake.test/intake",
    }));
}

fn proxied(world: &World, credentials: &str, proxy: &ConnectProxy) -> Command {
    let mut command = world.command();
    command.env(
        "HTTPS_PROXY",
        format!("http://{credentials}@{}", proxy.address()),
    );
    command
}

fn shows_no_credentials(world: &World, process: &Process) {
    let shipped = world.emulator.logs().into_iter().map(|entry| entry.message);
    for text in shipped.chain([process.output()]) {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// All rows arrive, and each of these hosts was reached through the proxy only.
async fn delivers_through_the_proxy(trigger: Trigger, hosts: &[&str]) {
    let world = World::of(trigger, 1, 300).await;
    let outside = Outside::of(&world).await;
    let proxy = outside.proxy().await;
    configure(&world);
    world.write("ca_cert", outside.authority.pem());
    let mut process = Process::start(proxied(&world, CREDENTIALS, &proxy));
    world.backlog_delivered().await;
    process.stop().await;
    let passed = proxy.passed();
    assert!(
        passed.iter().all(|passed| passed.status == 200),
        "{passed:?}"
    );
    for host in hosts {
        let server = format!("{host}:443");
        assert!(
            passed.iter().any(|passed| passed.server == server),
            "{server}: {passed:?}"
        );
    }
    shows_no_credentials(&world, &process);
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_is_collected_through_a_proxy_and_a_private_authority() {
    let hosts = [
        "login.test",
        "graph.microsoft.com",
        "intake.test",
        "platform.test",
    ];
    delivers_through_the_proxy(Trigger::Graph, &hosts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_collected_through_a_proxy_and_a_private_authority() {
    let hosts = ["login.test", "reports.test", "intake.test", "platform.test"];
    delivers_through_the_proxy(Trigger::Oauth, &hosts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_pass_no_proxy() {
    let proxy = ConnectProxy::start([], None).await.unwrap();
    for (proxies, exceptions) in [("HTTP_PROXY", "NO_PROXY"), ("all_proxy", "no_proxy")] {
        let world = World::with_backlog(1, 100).await;
        let mut command = world.command();
        command
            .env(proxies, proxy.address().to_string())
            .env(exceptions, "127.0.0.0/8");
        let mut process = Process::start(command);
        world.all_delivered().await;
        process.stop().await;
    }
    assert_eq!(proxy.passed(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_explained() {
    let world = World::of(Trigger::Oauth, 1, 10).await;
    let outside = Outside::of(&world).await;
    let proxy = outside.proxy().await;
    world.configure(json!({"login_url": "https://login.test"}));
    let process = Process::start(proxied(&world, CREDENTIALS, &proxy));
    let host = format!("login.test through the proxy {}", proxy.address());
    let text = format!(
        "cannot connect to host: {host}: its certificate is from an authority that is not trusted \
         here: add the authority's certificate as ca_cert"
    );
    world.platform_log("warning", &text).await;
    shows_no_credentials(&world, &process);
    world.nothing_was_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_explained() {
    let world = World::of(Trigger::Oauth, 1, 10).await;
    let outside = Outside::of(&world).await;
    let proxy = outside.proxy().await;
    world.configure(json!({"login_url": "https://login.test"}));
    let mut wrong = Process::start(proxied(&world, "user:hunter22", &proxy));
    let text = "the proxy does not accept the user and the password in HTTPS_PROXY";
    world.platform_log("warning", text).await;
    shows_no_credentials(&world, &wrong);
    // Dropped only, it may hold the lock on the data still when the next one starts.
    wrong.kill().await;

    world.configure(json!({"login_url": "https://unlisted.test"}));
    let refused = Process::start(proxied(&world, CREDENTIALS, &proxy));
    let text =
        "the proxy refuses to connect to the host, or cannot reach it itself: allow it there";
    world.platform_log("warning", text).await;
    shows_no_credentials(&world, &refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_network_setting_ends_the_start() {
    let world = World::with_backlog(1, 1).await;
    let mut command = world.command();
    command.env("HTTPS_PROXY", format!("socks5://{CREDENTIALS}@proxy.test"));
    let mut process = Process::start(command);
    assert_eq!(process.ends().await.code(), Some(1));
    let output = process.output();
    assert!(
        output.contains("HTTPS_PROXY names no usable proxy: write http://"),
        "{output}"
    );
    assert!(!output.contains("hunter2"), "{output}");

    world.write("ca_cert", "no certificate");
    let mut process = world.start();
    assert_eq!(process.ends().await.code(), Some(1));
    let output = process.output();
    assert!(
        output.contains("ca_cert holds no usable certificate: write"),
        "{output}"
    );
}
