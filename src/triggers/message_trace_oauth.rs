//! The trigger "Message Trace (OAuth)": an app, and the Reporting Web Service.

use serde::Deserialize;
use url::Url;

use super::{
    app::App,
    collection::{self, Collection},
    source::Reporting,
};
use crate::{
    microsoft::{ReportingService, Resource, SignIn},
    sdk::{Context, RunError, Trigger},
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
        let Settings {
            reporting_url,
            app,
            collection,
        } = settings;
        let tokens = app.tokens(Resource::reporting(&reporting_url), &context)?;
        let (http, clock) = (context.http.clone(), context.clock.clone());
        let sign_in = SignIn::Bearer(tokens);
        collection::run(collection, context, async |keyer| {
            let service = ReportingService::new(http, clock.clone(), reporting_url, sign_in, keyer);
            Ok(Reporting { service, clock })
        })
        .await
    }
}
