//! The whole module in memory, on virtual time, against the emulator: for any faults, kills and
//! late rows, the ledger shows every row once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{
    Backlog, Emulator, Endpoint, Fault, FaultRule, Lateness, Options, Resolution, Scope,
    ServicePrincipal, Traffic, Verdict,
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::registry;
use crate::{
    Clock,
    http::{Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response},
    sdk::{Console, Directories, Environment, Host, run_on},
};

/// The settings `chunk_size` and the number of batches under way bound what a kill may double.
const CHUNK: u64 = 50;
const IN_FLIGHT: u64 = 4 * CHUNK;

/// The emulator called in memory, with the limits of a real client.
#[derive(Debug)]
struct InMemory {
    microsoft: axum::Router,
    sekoia: axum::Router,
}

impl HttpService for InMemory {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let error = |kind| HttpError::new(kind, host.clone());
            let router = if host == "sekoia.test" {
                &self.sekoia
            } else {
                &self.microsoft
            };
            let exchange = async {
                let mut request = request.map(axum::body::Body::from);
                let value = host.parse().map_err(|_| error(HttpErrorKind::Setup))?;
                request.headers_mut().insert(http::header::HOST, value);
                let (head, body) = match router.clone().oneshot(request).await {
                    Ok(answer) => answer.into_parts(),
                    Err(never) => match never {},
                };
                if head
                    .extensions
                    .get::<emulator::ConnectionDropped>()
                    .is_some()
                {
                    return Err(error(HttpErrorKind::Interrupted));
                }
                let body = body
                    .collect()
                    .await
                    .map_err(|_| error(HttpErrorKind::Interrupted))?;
                Ok(Response::from_parts(head, body.to_bytes()))
            };
            let limited = tokio::time::timeout(limits.total, exchange).await;
            limited.map_err(|_| error(HttpErrorKind::Timeout))?
        })
    }
}

/// Time that goes on from one life of the module to the next: each has a runtime of its own, so that
/// a kill ends whatever the module has started.
#[derive(Clone)]
struct Time(Arc<Mutex<(DateTime<Utc>, Option<tokio::time::Instant>)>>);

impl Time {
    fn now(&self) -> DateTime<Utc> {
        let (at, running) = *self.0.lock().unwrap();
        let elapsed = running.map_or(Duration::ZERO, |since| since.elapsed());
        at + TimeDelta::from_std(elapsed).unwrap()
    }

    /// Runs something in a runtime of its own, on virtual time, and drops all that it leaves.
    fn spend<F: Future>(&self, work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            self.0.lock().unwrap().1 = Some(tokio::time::Instant::now());
            let output = work.await;
            let now = self.now();
            *self.0.lock().unwrap() = (now, None);
            output
        })
    }
}

/// A tenant, a data directory, and one trigger.
struct Site {
    emulator: Emulator,
    time: Time,
    http: Http,
    data: TempDir,
    trigger: &'static str,
    output: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn new(trigger: &'static str, traffic: Traffic) -> Self {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let time = Time(Arc::new(Mutex::new((start, None))));
        let theirs = time.clone();
        let emulator = Emulator::new(Options {
            clock: emulator::Clock::new(move || theirs.now()),
            traffic,
            ..Options::default()
        });
        emulator.configure(|settings| {
            settings.report.page_rows = 100;
            settings.graph.page_rows = 100;
            settings.report.latency_ms = 700;
            settings.graph.latency_ms = 700;
            settings.intake.latency_ms = 150;
        });
        let http = Http::new(InMemory {
            microsoft: emulator.microsoft_router(),
            sekoia: emulator.sekoia_router(),
        });
        let data = TempDir::new().unwrap();
        Self {
            emulator,
            time,
            http,
            data,
            trigger,
            output: Arc::default(),
        }
    }

    /// The configuration, all of it in the environment.
    fn environment(&self) -> Environment {
        let settings = self.emulator.settings();
        let (app, account) = (&settings.identity.apps[0], &settings.report.accounts[0]);
        let trigger = json!({
            "account_name": account.name,
            "account_password": account.password.expose(),
            "tenant_id": settings.identity.tenant_id,
            "client_id": app.client_id,
            "client_secret": app.secrets[0].value.expose(),
            "intake_key": "emulated-intake-key",
            "intake_server": "http://sekoia.test/intake",
            "reporting_url": "http://127.0.0.1/ecp/reportingwebservice/reporting.svc",
            "graph_url": "http://127.0.0.1/v1.0",
            "login_url": "http://127.0.0.1",
            "timedelta": 5,
            "start_time": 6,
            "chunk_size": CHUNK,
        });
        [
            ("MODULE_CONFIGURATION", "{}".to_owned()),
            ("TRIGGER_CONFIGURATION", trigger.to_string()),
            ("TOKEN", settings.platform.token.expose().to_owned()),
            ("URL_CALLBACK", "http://sekoia.test/api/callback".to_owned()),
            ("LIVENESS_PORT", "0".to_owned()),
            ("METRICS_PORT", "0".to_owned()),
        ]
        .into_iter()
        .collect()
    }

    /// Runs the module for this long: to a kill, or else to a clean stop.
    async fn run(&self, life: Duration, kill: bool) {
        let stop = CancellationToken::new();
        let lines = Arc::clone(&self.output);
        let time = self.time.clone();
        let host = Host {
            directories: Directories {
                config: self.data.path().join("none"),
                data: self.data.path().join("data"),
            },
            environment: self.environment(),
            manifest: self.data.path().join("none"),
            http: self.http.clone(),
            clock: Clock::new(move || time.now()),
            console: Console::new(move |line| lines.lock().unwrap().push(line.to_owned())),
            stop: stop.clone(),
        };
        let registry = registry();
        let module = run_on(&registry, self.trigger, host);
        if kill {
            let ended = tokio::time::timeout(life, module).await;
            assert!(ended.is_err(), "the module ended by itself: {ended:?}");
        } else {
            let stopping = async {
                tokio::time::sleep(life).await;
                stop.cancel();
            };
            let (ended, ()) = tokio::join!(module, stopping);
            ended.unwrap();
        }
    }

    fn live(&self, life: Duration, kill: bool) {
        self.time.spend(self.run(life, kill));
    }

    fn verdict(&self) -> Verdict {
        self.emulator.verdict(&Scope::default())
    }

    fn output(&self) -> String {
        self.output.lock().unwrap().join("\n")
    }
}

/// One fault, for some requests.
fn fault() -> impl Strategy<Value = (Endpoint, FaultRule)> {
    let microsoft = prop_oneof![
        Just(Endpoint::Report),
        Just(Endpoint::Graph),
        Just(Endpoint::Token)
    ];
    let theirs = prop_oneof![
        Just(Fault::status(500)),
        Just(Fault::status(401)),
        Just(Fault::answer(429, &[("retry-after", "7")], "")),
        Just(Fault::Reset),
        Just(Fault::ResetMidBody { bytes: 700 }),
        Just(Fault::Cut { bytes: 700 }),
        Just(Fault::Garble),
        Just(Fault::error_in_success()),
        Just(Fault::DelayAnswer { ms: 200_000 }),
    ];
    let ours = prop_oneof![
        Just(Fault::status(503)),
        Just(Fault::key_not_ready()),
        Just(Fault::Reset),
        Just(Fault::DelayRequest { ms: 40_000 }),
    ];
    let at_microsoft = (microsoft, theirs);
    let at_sekoia = (Just(Endpoint::Intake), ours);
    let strikes = (0_u32..40, 1_u32..4);
    (prop_oneof![2 => at_microsoft, 1 => at_sekoia], strikes)
        .prop_map(|((endpoint, fault), (after, times))| (endpoint, fault.after(after).times(times)))
}

#[derive(Clone, Debug)]
struct Story {
    seed: u64,
    rows: u64,
    /// Rows of live mail in a second.
    rate: f64,
    faults: Vec<(Endpoint, FaultRule)>,
    poisoned: f64,
    empty: f64,
    /// Seconds of each life before the last, and whether it ends with a kill.
    lives: Vec<(u64, bool)>,
}

fn story() -> impl Strategy<Value = Story> {
    let lives = prop::collection::vec((1_u64..2_000, any::<bool>()), 0..5);
    let faults = prop::collection::vec(fault(), 0..8);
    (
        0..1_000_u64,
        0..1_500_u64,
        0.0..0.1_f64,
        faults,
        0.0..0.3_f64,
        0.0..0.3_f64,
        lives,
    )
        .prop_map(|(seed, rows, rate, faults, poisoned, empty, lives)| Story {
            seed,
            rows,
            rate,
            faults,
            poisoned,
            empty,
            lives,
        })
}

fn every_row_once(trigger: &'static str, story: Story) -> Result<(), TestCaseError> {
    let site = Site::new(
        trigger,
        Traffic {
            seed: story.seed,
            rate: story.rate,
            backlog: Backlog::rows(TimeDelta::hours(5), story.rows),
            // As late as `timedelta` allows for.
            lateness: Lateness::quantiles([
                (0.0, TimeDelta::zero()),
                (0.5, TimeDelta::seconds(30)),
                (1.0, TimeDelta::seconds(290)),
            ]),
            resolution: Resolution::Millisecond,
            max_recipients: 250,
            ..Traffic::default()
        },
    );
    site.emulator.configure(|settings| {
        settings.graph.poisoned_tokens = story.poisoned;
        settings.graph.empty_pages = story.empty;
    });
    for (endpoint, rule) in &story.faults {
        site.emulator.fault(*endpoint, rule.clone());
    }
    let mut excused = 0;
    for (seconds, kill) in story.lives {
        site.live(Duration::from_secs(seconds), kill);
        excused += if kill { IN_FLIGHT } else { 0 };
        let doubled = site.verdict().doubled.count;
        prop_assert!(
            doubled <= excused,
            "{doubled} rows came twice:\n{}",
            site.output()
        );
    }
    site.emulator.stop_traffic();
    site.emulator.clear_all_faults();
    site.live(Duration::from_secs(2 * 3600), false);
    let verdict = site.verdict();
    prop_assert_eq!(verdict.missing.count, 0, "{}\n{}", &verdict, site.output());
    prop_assert_eq!(verdict.unasked.count, 0, "{}", &verdict);
    prop_assert!(
        verdict.doubled.count <= excused,
        "{verdict}\n{}",
        site.output()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn graph_shows_every_row_once(story in story()) {
        every_row_once("message_trace_graph", story)?;
    }

    #[test]
    fn oauth_shows_every_row_once(story in story()) {
        every_row_once("message_trace_oauth", story)?;
    }

    #[test]
    fn the_account_trigger_shows_every_row_once(story in story()) {
        every_row_once("message_trace", story)?;
    }
}

/// A failure that a person must mend is critical once, after a quarter of an hour, and mended it
/// goes on by itself.
#[test]
fn a_lasting_refusal_is_critical_once_and_heals_by_itself() {
    let backlog = Backlog::rows(TimeDelta::hours(5), 100);
    let site = Site::new(
        "message_trace",
        Traffic {
            backlog,
            ..Traffic::default()
        },
    );
    site.emulator
        .configure(|settings| settings.report.permitted = false);
    let criticals = || {
        let logs = site.emulator.logs();
        logs.iter()
            .filter(|entry| entry.level == "critical")
            .count()
    };
    let checks = async {
        tokio::time::sleep(Duration::from_secs(14 * 60)).await;
        assert_eq!(criticals(), 0);
        tokio::time::sleep(Duration::from_secs(6 * 60)).await;
        assert_eq!(criticals(), 1);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(criticals(), 1, "once");
        let asked = site.emulator.requests(Endpoint::Report).len();
        assert!(asked < 90, "{asked} requests in 80 minutes");
        site.emulator
            .configure(|settings| settings.report.permitted = true);
    };
    site.time.spend(async {
        tokio::join!(site.run(Duration::from_secs(2 * 3600), false), checks);
    });
    assert!(site.verdict().is_clean(), "{}", site.verdict());
    assert!(
        site.output().contains("nothing was skipped"),
        "{}",
        site.output()
    );
}

/// Provisioning takes hours: the trigger waits, without a new start.
#[test]
fn a_service_principal_that_comes_hours_later_is_waited_for() {
    let backlog = Backlog::rows(TimeDelta::hours(5), 100);
    let site = Site::new(
        "message_trace_graph",
        Traffic {
            backlog,
            ..Traffic::default()
        },
    );
    let provisioned = site.time.now() + TimeDelta::hours(4);
    site.emulator.configure(|settings| {
        settings.graph.service_principal = ServicePrincipal::PresentFrom(provisioned);
    });
    site.live(Duration::from_secs(5 * 3600), false);
    assert!(site.verdict().is_clean(), "{}", site.verdict());
    let command = "New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373";
    assert!(site.output().contains(command), "{}", site.output());
}

/// What an operator wants to see of a day: the mark follows the clock.
#[test]
fn a_quiet_day_costs_one_request_a_minute() {
    let site = Site::new("message_trace_graph", Traffic::default());
    site.live(Duration::from_secs(86_400), false);
    let asked = site.emulator.requests(Endpoint::Graph).len();
    assert!((1_430..=1_450).contains(&asked), "{asked}");
    let state = std::fs::read(site.data.path().join("data/context.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let mark = state["most_recent_date_requested"].as_str().unwrap();
    let mark = mark.parse::<DateTime<Utc>>().unwrap();
    let behind = site.time.now() - mark;
    assert!(behind <= TimeDelta::minutes(7), "{behind}");
}
