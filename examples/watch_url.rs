//! Another trigger, in one file: it starts a playbook whenever a web page changes.
//!
//! ```sh
//! mkdir -p /tmp/watch/config && cd /tmp/watch/config
//! echo '{}' > module_configuration
//! echo '{"url": "https://example.org/", "frequency": 10}' > trigger_configuration
//! echo 'https://platform.example/callback' > url_callback && echo 'the-token' > token
//! cargo run --example watch_url -- watch_url /tmp/watch/config /tmp/watch/data
//! ```
use std::{process::ExitCode, time::Duration};

use base::http::{Limits, chain};
use sekoia::{Context, Directories, Environment, Registry, RunError, Trigger, run};

struct WatchUrl;

#[derive(serde::Deserialize)]
struct Settings {
    url: url::Url,
    frequency: u64,
}

impl Trigger for WatchUrl {
    const MANIFEST: &'static str = include_str!("watch_url/trigger_watch_url.json");
    type Settings = Settings;

    async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
        let second = Duration::from_secs(1);
        let limits = Limits {
            first_byte: 20 * second,
            total: 30 * second,
            max_body: 1 << 20,
        };
        let mut state = context.state_file("context.json").await?;
        while context.pause(Duration::from_secs(settings.frequency)).await {
            context.heartbeat.beat(limits.total);
            let request = http::Request::get(settings.url.as_str()).body(bytes::Bytes::new());
            let answer = context
                .http
                .send(request.map_err(RunError::failed)?, limits)
                .await;
            let answer = answer.map_err(RunError::unavailable)?;
            let fingerprint = crc32fast::hash(answer.body());
            if state.get("fingerprint") != Some(fingerprint) {
                context.log.info(format!("{} has changed", settings.url));
                let event =
                    serde_json::json!({"url": settings.url, "status": answer.status().as_u16()});
                context.callback.send_event("Page changed", &event).await?;
                state.set("fingerprint", fingerprint);
                state.save().await?;
            }
        }
        Ok(())
    }
}

#[tokio::main]
#[allow(
    clippy::print_stderr,
    reason = "a program says on stderr why it cannot start"
)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().unwrap_or_default();
    let command = next();
    let directories = Directories {
        config: next().into(),
        data: next().into(),
    };
    let registry = Registry::new(include_str!("watch_url/manifest.json")).register::<WatchUrl>();
    match run(&registry, &command, directories, Environment::process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}
