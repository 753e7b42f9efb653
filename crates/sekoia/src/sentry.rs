//! Optional reports to Sentry: errors, critical messages and panics, without configuration.
//!
//! Messages come from the log, already without secrets, and leave through [`Http`] like everything
//! else.

use std::{sync::Arc, time::Duration};

use base::http::Http;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use sentry::{Client, ClientOptions, Envelope, Scope, Transport, protocol::Event, types::Dsn};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    config::{ConfigError, Configuration},
    deadline::{Background, Step},
    log::Level,
    platform::LIMITS,
    schema::ModuleManifest,
};

/// Reports kept at most while Sentry does not take them.
const CAPACITY: usize = 100;

/// What the last reports at the end of the process may take.
const LAST_REPORTS: Duration = Duration::from_millis(1000);

/// Keys whose values become tags.
const TAGS: [(&str, &str); 7] = [
    ("community", "community_uuid"),
    ("playbook_uuid", "playbook_uuid"),
    ("playbook_run_uuid", "playbook_run_uuid"),
    ("node_run_uuid", "node_run_uuid"),
    ("trigger_configuration_uuid", "trigger_configuration_uuid"),
    (
        "connector_configuration_uuid",
        "connector_configuration_uuid",
    ),
    ("environment", "environment"),
];

#[derive(Debug)]
pub(super) struct Reporter {
    client: Arc<Client>,
    scope: Scope,
}

impl Reporter {
    /// Starts the reporter, and the delivery of what it reports, when the key `sentry_dsn` is set.
    pub(super) fn start(
        configuration: &Configuration,
        module: &ModuleManifest,
        item: &str,
        http: &Http,
    ) -> Result<Option<(Self, Background)>, ConfigError> {
        let dsn = configuration.parsed("sentry_dsn", "a Sentry DSN", |text| {
            text.parse::<Dsn>().ok()
        });
        let Some(dsn) = dsn? else {
            return Ok(None);
        };
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let mut options = ClientOptions::new()
            .release(format!("{}@{}", module.slug, module.version))
            .add_integration(sentry::integrations::contexts::ContextIntegration::default())
            .transport(Arc::new(Queue(sender)));
        options.dsn = Some(dsn.clone());
        options.environment = configuration.filled_text("environment")?.map(Into::into);
        let mut scope = Scope::default();
        scope.set_tag("module", &module.name);
        scope.set_tag("name", item);
        scope.set_tag("item_type", "trigger");
        for (tag, key) in TAGS {
            if let Some(value) = configuration.filled_text(key)? {
                scope.set_tag(tag, value);
            }
        }
        let http = http.clone();
        let delivery = Background::start(Step::Reports, LAST_REPORTS, |finish| {
            deliver(dsn, http, receiver, finish)
        });
        let client = Arc::new(Client::with_options(options));
        Ok(Some((Self { client, scope }, delivery)))
    }

    /// Queues a report; never blocks.
    pub(super) fn report(&self, level: Level, message: &str) {
        let level = match level {
            Level::Critical => sentry::Level::Fatal,
            _ => sentry::Level::Error,
        };
        let event = Event {
            level,
            message: Some(message.to_owned()),
            ..Event::default()
        };
        self.client.capture_event(event, Some(&self.scope));
    }
}

struct Queue(mpsc::Sender<Envelope>);

impl Transport for Queue {
    fn send_envelope(&self, envelope: Envelope) {
        // A full queue means that Sentry does not keep up; the log has the message anyway.
        _ = self.0.try_send(envelope);
    }
}

async fn deliver(
    dsn: Dsn,
    http: Http,
    mut queue: mpsc::Receiver<Envelope>,
    finish: CancellationToken,
) {
    loop {
        let envelope = tokio::select! {
            biased;
            envelope = queue.recv() => envelope,
            () = finish.cancelled() => return,
        };
        let Some(envelope) = envelope else { return };
        let mut body = Vec::new();
        if envelope.to_writer(&mut body).is_err() {
            continue;
        }
        let request = http::Request::post(dsn.envelope_api_url().as_str())
            .header("X-Sentry-Auth", dsn.to_auth(None).to_string())
            .header(CONTENT_TYPE, "application/x-sentry-envelope")
            .body(Bytes::from(body));
        if let Ok(request) = request {
            // Reports are a courtesy: the log has the message anyway.
            _ = http.send(request, LIMITS).await;
        }
    }
}
