//! `deploy/grafana/message-trace.json` on a real Prometheus that scrapes the real binary: every query
//! of every panel returns data, and every metric is on the dashboard or named as left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::PathBuf,
};

use chrono::TimeDelta;
use emulator::{Backlog, Endpoint, Fault, NewRow, Options, TestCertificate, Traffic};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    source::{page, spans},
    world::{Process, Trigger, World, get, repository},
};

/// The dashboard.
fn dashboard() -> Value {
    let file = repository().join("deploy/grafana/message-trace.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The title of each panel and its queries, as they stand in the file.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter();
    let annotations = annotations.map(|one| {
        let name = one["name"].as_str().unwrap().to_owned();
        (name, one["expr"].as_str().unwrap().to_owned())
    });
    queries.chain(annotations).collect()
}

/// The metrics that a query names.
fn metrics(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
    let begins = ["symphony_module_common_", "process_"];
    words.filter(move |word| begins.iter().any(|begin| word.starts_with(begin)))
}

#[test]
fn every_metric_is_on_the_dashboard_or_named_as_left_out() {
    let page = page("metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let full = |name: String| match name.starts_with("process_") {
        true => name,
        false => format!("symphony_module_common_{name}"),
    };
    let documented: BTreeSet<String> = rows.map(|row| full(spans(row).remove(0))).collect();
    let (_, left_out) = page.split_once("The dashboard leaves out ").unwrap();
    let (left_out, _) = left_out.split_once("\n\n").unwrap();
    let left_out: BTreeSet<String> = spans(&left_out.replace('\n', " "))
        .into_iter()
        .map(full)
        .collect();
    let queries = queries(&dashboard());
    let shown: BTreeSet<String> = queries
        .iter()
        .flat_map(|(_, query)| metrics(query))
        .map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned())
        .collect();
    let told: BTreeSet<_> = shown.union(&left_out).cloned().collect();
    assert_eq!(told, documented);
    assert!(shown.is_disjoint(&left_out));
}

#[test]
fn panels_stand_apart_from_one_another() {
    let dashboard = dashboard();
    let mut taken = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{panel}");
        for x in of("x")..of("x") + of("w") {
            for y in of("y")..of("y") + of("h") {
                let other = taken.insert((x, y), panel["title"].clone());
                assert_eq!(other, None, "lies under {}", panel["title"]);
            }
        }
        let says_what = panel["type"] == "row" || panel["description"].is_string();
        assert!(says_what, "{}", panel["title"]);
    }
}

/// Debian's package, as it is installed or as `.ci/check-prometheus` has unpacked it.
fn prometheus() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("prometheus"));
    let unpacked = repository().join("target/ci-tools/prometheus/usr/bin/prometheus");
    installed.chain([unpacked]).find(|file| file.is_file())
}

/// A Prometheus that scrapes a process every second.
struct Prometheus {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    async fn scraping(binary: PathBuf, metrics: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let configuration = folder.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: message-trace\n  scrape_interval: 1s\n  \
             scrape_timeout: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{metrics}']\n"
        );
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0");
        let mut process = Process::start(command);
        let listening = "\"Listening on\" address=127.0.0.1:";
        process.prints(listening).await;
        process.prints("Server is ready").await;
        let output = process.output();
        let (_, port) = output.split_once(listening).unwrap();
        let port = port.lines().next().unwrap().parse().unwrap();
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    /// The values of a query at this moment that are numbers.
    async fn values(&self, query: &str) -> Vec<f64> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, body) = get(self.port, &format!("/api/v1/query?query={query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        // A short answer comes in one piece, whether it is chunked or not.
        let json = body.lines().find(|line| line.starts_with('{')).unwrap();
        let answer: Value = serde_json::from_str(json).unwrap();
        let values = answer["data"]["result"].as_array().unwrap().iter();
        let values = values.map(|one| one["value"][1].as_str().unwrap().parse::<f64>().unwrap());
        values.filter(|value| !value.is_nan()).collect()
    }
}

/// What Grafana fills in.
fn filled(query: &str) -> String {
    let filled = query
        .replace("$__rate_interval", "1m")
        .replace("$instance", ".*");
    assert!(!filled.contains('$'), "{filled}");
    filled
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_returns_data() {
    let Some(binary) = prometheus() else {
        // Straight to standard error: the harness keeps what a test that passes says otherwise.
        let word = "SKIPPED: no prometheus here; .ci/run takes it from Debian's packages";
        writeln!(std::io::stderr(), "{word}").unwrap();
        return;
    };
    let options = Options {
        traffic: Traffic {
            rate: 20.0,
            backlog: Backlog::rows(TimeDelta::hours(1), 500),
            ..Traffic::default()
        },
        ..Options::default()
    };
    let world = World::new(Trigger::Graph, options).await;
    let huge = NewRow::new(world.now() - TimeDelta::minutes(5), "huge@contoso.example");
    world.emulator.add_row(huge.subject(&"x".repeat(251_000)));
    let TestCertificate { certificate, key } = TestCertificate::generate();
    let pem = format!("{certificate}{key}");
    world.configure(
        json!({"credential": "certificate", "client_secret": null, "certificate": pem,
            "exclude_recipients": ["*@eu.contoso.example"], "details": ["failed"]}),
    );
    world
        .emulator
        .configure(|settings| settings.identity.apps[0].certificates.push(certificate));
    let mut process = world.start();
    let prometheus = Prometheus::scraping(binary, process.port("Metrics").await).await;

    let mut waiting = queries(&dashboard());
    let restarts = waiting.pop().unwrap();
    assert_eq!(restarts.0, "Restarts", "it is the only annotation");
    let failing = Fault::status(503).times(2);
    world.emulator.fault(Endpoint::Graph, failing);
    let deadline = tokio::time::Instant::now() + crate::world::PATIENCE;
    while !waiting.is_empty() {
        let mut still = Vec::new();
        for (title, query) in waiting {
            if prometheus.values(&filled(&query)).await.is_empty() {
                still.push((title, query));
            }
        }
        waiting = still;
        let waited = tokio::time::Instant::now() < deadline;
        assert!(waited, "no data: {waiting:#?}\n{}", process.output());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    process.stop().await;
    drop(prometheus.process);
}
