//! The trigger "Message Trace": a service account, and the Reporting Web Service.

use base::Secret;
use chrono::TimeDelta;
use microsoft::{ReportingService, SignIn};
use sekoia::{Context, Findings, RunError, Topic, Trigger};
use serde::Deserialize;
use url::Url;

use super::{
    check::{self, Service},
    collection::{self, Collection, Task, Whose},
    source::Reporting,
    tenant::Subject,
};

/// What a person fills in.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    account_name: String,
    account_password: Secret,
    reporting_url: Url,
    #[serde(flatten)]
    pub(super) collection: Collection,
}

/// Collects with the name and password of a service account.
#[derive(Debug)]
pub(crate) struct MessageTrace;

impl Trigger for MessageTrace {
    const MANIFEST: &'static str = include_str!("../../trigger_message_trace.json");
    const ALIASES: &'static [&'static str] = &["office365_messagetrace_trigger"];
    type Settings = Settings;

    async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
        settings.perform(context, Task::Collect).await
    }

    const TOPICS: &'static [Topic] = check::TOPICS;

    async fn check(settings: Settings, context: Context, findings: &mut Findings<'_>) {
        let sign_in = settings.sign_in();
        let whose = settings.subject();
        let url = settings.reporting_url;
        let subject = check::Subject {
            servers: vec![url.clone()],
            tokens: None,
            service: Service::reporting(&context, url, sign_in),
        };
        check::run(
            Ok(subject),
            &settings.collection,
            &whose,
            &context,
            findings,
        )
        .await;
    }
}

impl Settings {
    /// Does something with the source of these settings.
    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let (sign_in, subject) = (self.sign_in(), self.subject());
        let Self {
            reporting_url,
            collection,
            ..
        } = self;
        let (http, clock) = (context.http.clone(), context.clock.clone());
        let whose = Whose {
            subject,
            tokens: None,
        };
        collection::run(collection, context, task, whose, async |keyer, _| {
            let service = ReportingService::new(http, clock.clone(), reporting_url, sign_in, keyer);
            Ok(Reporting { service, clock })
        })
        .await
    }

    /// Whose mail it is.
    pub(super) fn subject(&self) -> Subject {
        Subject::of_account(&self.account_name)
    }

    /// How far back the very first collection begins.
    pub(super) fn start_time(&self) -> TimeDelta {
        self.collection.start_time()
    }

    fn sign_in(&self) -> SignIn {
        SignIn::Basic {
            account: self.account_name.clone(),
            password: self.account_password.clone(),
        }
    }
}
