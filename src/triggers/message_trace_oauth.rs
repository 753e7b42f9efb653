//! The trigger "Message Trace (OAuth)": an app, and the Reporting Web Service.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::{
    app::App,
    check::{self, Service, Subject},
    collection::{self, Collection, Task},
    source::Reporting,
};
use crate::{
    microsoft::{ReportingService, Resource, SignIn},
    sdk::{Context, Findings, RunError, Topic, Trigger},
};

/// What a person fills in.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    reporting_url: Url,
    #[serde(flatten)]
    app: App,
    #[serde(flatten)]
    collection: Collection,
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
        let Settings {
            reporting_url: url,
            app,
            collection,
        } = settings;
        let mut servers = Vec::from_iter(app.login().cloned());
        servers.push(url.clone());
        let tokens = app.tokens(Resource::reporting(&url), &context);
        let subject = tokens.map(|tokens| Subject {
            servers,
            service: Service::reporting(&context, url, SignIn::Bearer(Arc::clone(&tokens))),
            tokens: Some(tokens),
        });
        check::run(subject, &collection, &context, findings).await;
    }
}

impl Settings {
    /// Does something with the source of these settings.
    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let Self {
            reporting_url,
            app,
            collection,
        } = self;
        let tokens = app.tokens(Resource::reporting(&reporting_url), &context)?;
        let (http, clock) = (context.http.clone(), context.clock.clone());
        let sign_in = SignIn::Bearer(tokens);
        collection::run(collection, context, task, async |keyer| {
            let service = ReportingService::new(http, clock.clone(), reporting_url, sign_in, keyer);
            Ok(Reporting { service, clock })
        })
        .await
    }
}
