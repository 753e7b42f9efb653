//! The module on a time of its own: whenever nothing is left to do, the clock jumps to what is due
//! next. Requests are real, and time stands still during them.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use base::{
    Clock,
    http::{ClientOptions, Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response},
};
use chrono::DateTime;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method};
use message_trace::registry;
use sekoia::{Console, Directories, Environment, Host, run_on};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::site::NOW;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    trigger: String,
    config: PathBuf,
    data: PathBuf,
    /// What time it is at the start, in milliseconds since 1970.
    start: i64,
    /// How long to run, in seconds of its own time.
    seconds: u64,
    /// How long a page takes, in milliseconds of its own time.
    page_takes: u64,
}

/// Runs the module until its time is over.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut real = Builder::new_multi_thread();
    let real = real.worker_threads(1).enable_all().build()?;
    let _inside = real.enter();
    let http = Http::client(&ClientOptions::default())?;
    let mut own = Builder::new_current_thread();
    let own = own.enable_all().start_paused(true).build()?;
    own.block_on(async {
        let start = DateTime::from_timestamp_millis(arguments.start).context("no such instant")?;
        let clock = Clock::virtual_from(start);
        let stop = CancellationToken::new();
        let over = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
            over.cancel();
        });
        let host = Host {
            directories: Directories {
                config: arguments.config,
                data: arguments.data,
            },
            environment: Environment::default(),
            manifest: "manifest.json".into(),
            http: Http::new(Bridge {
                http,
                real: real.handle().clone(),
                clock: clock.clone(),
                page_takes: Duration::from_millis(arguments.page_takes),
            }),
            clock,
            console: Console::stderr(),
            stop,
        };
        run_on(&registry(), &arguments.trigger, host).await?;
        Ok(())
    })
}

/// Sends requests on a runtime with real time, while this one's stands still.
#[derive(Debug)]
struct Bridge {
    http: Http,
    real: Handle,
    clock: Clock,
    page_takes: Duration,
}

impl HttpService for Bridge {
    fn call(
        &self,
        mut request: Request,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response, HttpError>> {
        let path = request.uri().path().to_ascii_lowercase();
        let is_page = request.method() == Method::GET && path.contains("messagetrace");
        Box::pin(async move {
            if is_page {
                tokio::time::sleep(self.page_takes).await;
            }
            let now = self.clock.now().timestamp_millis();
            request.headers_mut().insert(NOW, HeaderValue::from(now));
            let (http, real) = (self.http.clone(), self.real.clone());
            let exchange = real.spawn(async move { http.send(request, limits).await });
            // Time does not jump while a blocking task runs.
            let done = tokio::task::spawn_blocking(move || real.block_on(exchange)).await;
            let broken = |_| Err(HttpError::new(HttpErrorKind::Interrupted, "none"));
            done.flatten().unwrap_or_else(broken)
        })
    }
}
