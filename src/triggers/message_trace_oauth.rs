//! The trigger "Message Trace (OAuth)": an app, and the Reporting Web Service.

use std::sync::Arc;

use chrono::TimeDelta;
use microsoft::{ReportingService, Resource, SignIn};
use sekoia::{Context, Findings, RunError, Topic, Trigger};
use serde::Deserialize;
use url::Url;

use super::{
    app::App,
    check::{self, Service},
    collection::{self, Collection, Task, Whose},
    source::Reporting,
    tenant::{Origin, Subject},
};

/// What a person fills in.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    reporting_url: Url,
    #[serde(flatten)]
    app: App,
    #[serde(flatten)]
    pub(super) collection: Collection,
}

/// Collects as an app, where Microsoft Graph has no message trace.
#[derive(Debug)]
pub(crate) struct MessageTraceOauth;

impl Trigger for MessageTraceOauth {
    const MANIFEST: &'static str = include_str!("../../trigger_message_trace_oauth.json");
    const ALIASES: &'static [&'static str] = &["office365_messagetrace_trigger_oauth"];
    type Settings = Settings;

    async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
        settings.perform(context, Task::Collect).await
    }

    const TOPICS: &'static [Topic] = check::TOPICS;

    async fn check(settings: Settings, context: Context, findings: &mut Findings<'_>) {
        let whose = settings.subject();
        let Settings {
            reporting_url: url,
            app,
            collection,
        } = settings;
        let mut servers = Vec::from_iter(app.login().cloned());
        servers.push(url.clone());
        let tokens = app.tokens(Resource::reporting(&url), &context);
        let subject = tokens.map(|tokens| check::Subject {
            servers,
            service: Service::reporting(&context, url, SignIn::Bearer(Arc::clone(&tokens))),
            tokens: Some(tokens),
        });
        check::run(subject, &collection, &whose, &context, findings).await;
    }
}

impl Settings {
    /// Whose mail it is.
    pub(super) fn subject(&self) -> Subject {
        self.app.subject(Origin::Reporting)
    }

    /// How far back the very first collection begins.
    pub(super) fn start_time(&self) -> TimeDelta {
        self.collection.start_time()
    }

    /// Does something with the source of these settings.
    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let subject = self.subject();
        let Self {
            reporting_url,
            app,
            collection,
        } = self;
        let tokens = app.tokens(Resource::reporting(&reporting_url), &context)?;
        let (http, clock) = (context.http.clone(), context.clock.clone());
        let sign_in = SignIn::Bearer(Arc::clone(&tokens));
        let whose = Whose {
            subject,
            tokens: Some(tokens),
        };
        collection::run(collection, context, task, whose, async |keyer, _| {
            let service = ReportingService::new(http, clock.clone(), reporting_url, sign_in, keyer);
            Ok(Reporting { service, clock })
        })
        .await
    }
}
