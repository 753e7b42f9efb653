//! The module in this process, on virtual time, with the services in memory.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use base::{
    Clock,
    http::{Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response},
};
use chrono::{DateTime, TimeDelta};
use emulator::{Backlog, Emulator, Fault, Scenario, Traffic};
use futures_util::future::BoxFuture;
use message_trace::registry;
use sekoia::{Console, Directories, Host, run_on};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::contestant::{Trigger, inputs};

/// The host of the platform; every other one is Microsoft's.
const PLATFORM: &str = "sekoia.test";
/// When it begins: 2026-06-01T00:00:00Z.
const BEGIN: i64 = 1_780_272_000;
/// How often it is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(100);
/// Nothing that is waited for takes longer, in virtual time.
const TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// A tenant, and how it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    /// Rows of the five hours before the start.
    pub(crate) backlog: u64,
    pub(crate) rate: f64,
    /// How long a page takes, in milliseconds.
    pub(crate) latency: u64,
    pub(crate) page_rows: usize,
    pub(crate) frequency: u32,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            backlog: 0,
            rate: 0.0,
            latency: 700,
            page_rows: 500,
            frequency: 60,
        }
    }
}

/// The module and its services.
#[derive(Debug)]
pub(crate) struct Stage {
    trigger: Trigger,
    pub(crate) emulator: Emulator,
}

/// Runs the module until the script is over.
pub(crate) fn perform<O>(
    trigger: Trigger,
    play: Play,
    script: impl AsyncFnOnce(&Stage) -> anyhow::Result<O>,
) -> anyhow::Result<O> {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let clock = Clock::virtual_from(DateTime::from_timestamp(BEGIN, 0).unwrap_or_default());
        let emulator = emulator(play, clock.clone())?;
        let stage = Stage { trigger, emulator };
        let said = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&said);
        let console = Console::new(move |line| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line.to_owned());
        });
        let module = Box::pin(stage.module(play.frequency, clock, console));
        let outcome = tokio::select! {
            outcome = script(&stage) => outcome,
            ended = module => ended.and_then(|()| bail!("the module ended by itself")),
        };
        outcome.with_context(|| {
            let lines = said.lock().unwrap_or_else(PoisonError::into_inner);
            format!("{}:\n{}", trigger.command(), lines.join("\n"))
        })
    })
}

fn emulator(play: Play, clock: Clock) -> anyhow::Result<Emulator> {
    let mut scenario = Scenario::new(Traffic {
        rate: play.rate,
        backlog: Backlog::rows(TimeDelta::hours(5), play.backlog),
        ..Traffic::default()
    });
    let pages = json!({ "page_rows": play.page_rows, "latency_ms": play.latency });
    let intake = json!({ "latency_ms": 150 });
    scenario.settings = json!({"report": pages, "graph": pages, "intake": intake}).try_into()?;
    Ok(scenario.begin(emulator::Clock::new(move || clock.now())))
}

impl Stage {
    pub(crate) fn accepted(&self) -> u64 {
        self.emulator.accepted_count(None)
    }

    /// How often the service was asked for rows.
    pub(crate) fn requests(&self) -> usize {
        self.emulator.requests(self.trigger.service()).len()
    }

    /// From now on this share of the requests for rows fails, in one of three ways.
    pub(crate) fn fails(&self, share: f64) {
        // Together as many as wanted.
        let each = 1.0 - (1.0 - share).cbrt();
        for fault in [Fault::status(503), Fault::Reset, Fault::status(500)] {
            let rule = fault.chance(each);
            self.emulator.fault(self.trigger.service(), rule);
        }
    }

    /// Waits until something has come to pass. How many seconds that took.
    pub(crate) async fn until(&self, has_come: impl Fn(&Self) -> bool) -> anyhow::Result<f64> {
        let begun = Instant::now();
        while !has_come(self) {
            sleep(LOOK).await;
            if begun.elapsed() > TIMEOUT {
                bail!("what is waited for takes more than {TIMEOUT:?}");
            }
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    async fn module(&self, frequency: u32, clock: Clock, console: Console) -> anyhow::Result<()> {
        // In memory, where there is such a place.
        let data = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())?;
        let nowhere = data.path().join("none");
        let settings = json!({ "start_time": 6, "frequency": frequency });
        let sekoia = format!("https://{PLATFORM}");
        let inputs = inputs("http://127.0.0.1", &sekoia, &settings);
        let variables = inputs.map(|(name, content)| (name.to_uppercase(), content));
        let host = Host {
            directories: Directories {
                config: nowhere.clone(),
                data: data.path().join("data"),
            },
            environment: variables.into_iter().collect(),
            manifest: nowhere,
            http: Http::new(InMemory(self.emulator.clone())),
            clock,
            console,
            stop: CancellationToken::new(),
        };
        run_on(&registry(), self.trigger.command(), host).await?;
        Ok(())
    }
}

#[derive(Debug)]
struct InMemory(Emulator);

impl HttpService for InMemory {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        Box::pin(async move {
            let answer = async {
                match host.as_str() {
                    PLATFORM => self.0.sekoia_answer(request).await,
                    _ => self.0.microsoft_answer(request).await,
                }
            };
            match timeout(limits.total, answer).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(HttpError::new(HttpErrorKind::Interrupted, host)),
                Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, host)),
            }
        })
    }
}
