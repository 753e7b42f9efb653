//! The trigger "Message Trace": a service account, and the Reporting Web Service.

use serde::Deserialize;
use url::Url;

use super::{
    collection::{self, Collection},
    source::Reporting,
};
use crate::{
    Secret,
    microsoft::{ReportingService, SignIn},
    sdk::{Context, RunError, Trigger},
};

/// What a person fills in.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    account_name: String,
    account_password: Secret,
    reporting_url: Url,
    #[serde(flatten)]
    collection: Collection,
}

/// Collects with the name and password of a service account.
#[derive(Debug)]
pub(crate) struct MessageTrace;

impl Trigger for MessageTrace {
    const MANIFEST: &'static str = include_str!("../../trigger_message_trace.json");
    const ALIASES: &'static [&'static str] = &["office365_messagetrace_trigger"];
    type Settings = Settings;

    async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
        let Settings {
            account_name,
            account_password,
            reporting_url,
            collection,
        } = settings;
        let sign_in = SignIn::Basic {
            account: account_name,
            password: account_password,
        };
        let (http, clock) = (context.http.clone(), context.clock.clone());
        collection::run(collection, context, async |keyer| {
            let service = ReportingService::new(http, clock.clone(), reporting_url, sign_in, keyer);
            Ok(Reporting { service, clock })
        })
        .await
    }
}
