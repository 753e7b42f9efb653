//! The module in this process, on virtual time, with the services in memory.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::contestant::Trigger;
use anyhow::{Context as _, bail};
use axum::{Router, body};
use base::{
    Clock,
    http::{Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response},
};
use chrono::{DateTime, TimeDelta};
use emulator::{Backlog, Emulator, Endpoint, Fault, Scenario, Secret, Traffic};
use futures_util::future::BoxFuture;
use http::{HeaderValue, header::HOST};
use message_trace::registry;
use sekoia::{Console, Directories, Environment, Host, run_on};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The host of the platform; every other one is Microsoft's.
const PLATFORM: &str = "sekoia.test";

/// When it begins: 2026-06-01T00:00:00Z.
const BEGIN: i64 = 1_780_272_000;

/// More bytes than any answer has.
const MOST_BYTES: usize = 64 << 20;

/// How often it is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(100);

/// Nothing that is waited for takes longer, in virtual time.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// A tenant, and how it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    /// Rows of the five hours before the start.
    pub(crate) backlog: u64,
    /// New rows per second.
    pub(crate) rate: f64,
    /// How long a page takes.
    pub(crate) latency: Duration,
    /// Rows of a page.
    pub(crate) page_rows: u32,
    /// The setting `frequency`, in seconds.
    pub(crate) frequency: u32,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            backlog: 0,
            rate: 0.0,
            latency: Duration::from_millis(700),
            page_rows: 500,
            frequency: 60,
        }
    }
}

/// The module and its services.
#[derive(Debug)]
pub(crate) struct Stage {
    trigger: Trigger,
    frequency: u32,
    pub(crate) emulator: Emulator,
    clock: Clock,
    data: TempDir,
    output: Arc<Mutex<Vec<String>>>,
}

/// Runs the module until the script is over.
pub(crate) fn perform<O>(
    trigger: Trigger,
    play: Play,
    script: impl AsyncFnOnce(&Stage) -> anyhow::Result<O>,
) -> anyhow::Result<O> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        let stage = Stage::new(trigger, play)?;
        let module = Box::pin(stage.module());
        let outcome = tokio::select! {
            outcome = script(&stage) => outcome,
            ended = module => match ended {
                Ok(()) => bail!("the module ended by itself"),
                Err(error) => Err(error),
            },
        };
        outcome.with_context(|| format!("{}:\n{}", trigger.command(), stage.said()))
    })
}

impl Stage {
    fn new(trigger: Trigger, play: Play) -> anyhow::Result<Self> {
        let clock = Clock::virtual_from(DateTime::from_timestamp(BEGIN, 0).unwrap_or_default());
        let mut scenario = Scenario::new(Traffic {
            rate: play.rate,
            backlog: Backlog::rows(TimeDelta::hours(5), play.backlog),
            ..Traffic::default()
        });
        let pages = json!({
            "page_rows": play.page_rows,
            "latency_ms": u64::try_from(play.latency.as_millis())?,
        });
        scenario.settings = json!({
            "report": pages,
            "graph": pages,
            "intake": { "latency_ms": 150 },
        })
        .try_into()?;
        let theirs = clock.clone();
        Ok(Self {
            trigger,
            frequency: play.frequency,
            emulator: scenario.begin(emulator::Clock::new(move || theirs.now())),
            clock,
            // In memory, where there is such a place.
            data: TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())?,
            output: Arc::default(),
        })
    }

    /// Where the rows come from.
    pub(crate) fn service(&self) -> Endpoint {
        match self.trigger {
            Trigger::Graph => Endpoint::Graph,
            Trigger::Account | Trigger::Oauth => Endpoint::Report,
        }
    }

    /// How often the service was asked for rows.
    pub(crate) fn requests(&self) -> usize {
        self.emulator.requests(self.service()).len()
    }

    /// From now on this share of the requests for rows fails, in one of three ways.
    pub(crate) fn fails(&self, share: f64) {
        // Together as many as wanted.
        let each = 1.0 - (1.0 - share).cbrt();
        for fault in [Fault::status(503), Fault::Reset, Fault::status(500)] {
            self.emulator.fault(self.service(), fault.chance(each));
        }
    }

    /// Waits until the intake has accepted so many rows. How long that took.
    pub(crate) async fn accepted(&self, rows: u64) -> anyhow::Result<Duration> {
        self.until("the rows are accepted", || {
            self.emulator.accepted_count(None) >= rows
        })
        .await
    }

    /// Waits until the service was asked so often. How long that took.
    pub(crate) async fn asked(&self, requests: usize) -> anyhow::Result<Duration> {
        self.until("the requests are made", || self.requests() >= requests)
            .await
    }

    async fn until(&self, what: &str, has_come: impl Fn() -> bool) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        while !has_come() {
            sleep(LOOK).await;
            if begun.elapsed() > PATIENCE {
                bail!("it takes more than {PATIENCE:?} until {what}");
            }
        }
        Ok(begun.elapsed())
    }

    async fn module(&self) -> anyhow::Result<()> {
        let lines = Arc::clone(&self.output);
        let nowhere = self.data.path().join("none");
        let host = Host {
            directories: Directories {
                config: nowhere.clone(),
                data: self.data.path().join("data"),
            },
            environment: self.environment(),
            manifest: nowhere,
            http: Http::new(InMemory {
                microsoft: self.emulator.microsoft_router(),
                sekoia: self.emulator.sekoia_router(),
            }),
            clock: self.clock.clone(),
            console: Console::new(move |line| {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(line.to_owned());
            }),
            stop: CancellationToken::new(),
        };
        run_on(&registry(), self.trigger.command(), host).await?;
        Ok(())
    }

    /// The configuration, all of it in the environment.
    fn environment(&self) -> Environment {
        let settings = self.emulator.settings();
        let account = settings.report.accounts.first();
        let app = settings.identity.apps.first();
        let secret = app.and_then(|app| app.secrets.first());
        let trigger = json!({
            "account_name": account.map(|account| &account.name),
            "account_password": account.map(|account| account.password.expose()),
            "tenant_id": settings.identity.tenant_id,
            "client_id": app.map(|app| &app.client_id),
            "client_secret": secret.map(|secret| secret.value.expose()),
            "intake_key": settings.intake.keys.first().map(Secret::expose),
            "intake_server": format!("https://{PLATFORM}/intake"),
            "reporting_url": "http://127.0.0.1/ecp/reportingwebservice/reporting.svc",
            "graph_url": "http://127.0.0.1/v1.0",
            "login_url": "http://127.0.0.1",
            "start_time": 6,
            "frequency": self.frequency,
        });
        [
            ("MODULE_CONFIGURATION", "{}".to_owned()),
            ("TRIGGER_CONFIGURATION", trigger.to_string()),
            ("TOKEN", settings.platform.token.expose().to_owned()),
            ("URL_CALLBACK", format!("http://{PLATFORM}/api/callback")),
            ("LIVENESS_PORT", "0".to_owned()),
            ("METRICS_PORT", "0".to_owned()),
        ]
        .into_iter()
        .collect()
    }

    fn said(&self) -> String {
        let lines = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        lines.join("\n")
    }
}

/// The services, without sockets.
#[derive(Debug)]
struct InMemory {
    microsoft: Router,
    sekoia: Router,
}

impl HttpService for InMemory {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let router = if host == PLATFORM {
            self.sekoia.clone()
        } else {
            self.microsoft.clone()
        };
        Box::pin(async move {
            match timeout(limits.total, exchange(router, request, &host)).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(HttpError::new(HttpErrorKind::Interrupted, host)),
                Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, host)),
            }
        })
    }
}

/// The answer; none when the connection is reset before its end.
async fn exchange(router: Router, request: Request, host: &str) -> Option<Response> {
    let mut request = request.map(body::Body::from);
    let host = HeaderValue::from_str(host).ok()?;
    request.headers_mut().insert(HOST, host);
    let (head, body) = match router.oneshot(request).await {
        Ok(answer) => answer.into_parts(),
        Err(never) => match never {},
    };
    if head
        .extensions
        .get::<emulator::ConnectionDropped>()
        .is_some()
    {
        return None;
    }
    let body = body::to_bytes(body, MOST_BYTES).await.ok()?;
    Some(Response::from_parts(head, body))
}
