//! The trigger "Message Trace (OAuth)": an app, and the Reporting Web Service, or Microsoft Graph once
//! that has ended.

use std::sync::Arc;

use microsoft::{ReportingService, Resource, SignIn};
use sekoia::{Context, Findings, RunError, Topic, Trigger};
use serde::Deserialize;
use url::Url;

use super::{
    app_settings::App,
    check::{self, Service},
    collection::{self, Collection, Task, Whose},
    graph_settings::GraphSettings,
    service_choice::{Choice, DecidedUnder},
    services::{Services, TwoServices},
    source::Reporting,
    tenant::{Origin, Subject},
};

#[derive(Debug, Deserialize)]
pub(crate) struct OauthSettings {
    reporting_url: Url,
    pub(super) service: Choice,
    #[serde(flatten)]
    pub(super) graph: GraphSettings,
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
    const SIGNS: &'static [&'static str] = &["reporting_url", "service"];
    type Settings = OauthSettings;

    async fn run(settings: OauthSettings, context: Context) -> Result<(), RunError> {
        Box::pin(settings.perform(context, Task::Collect)).await
    }

    fn validate(settings: OauthSettings, context: &Context) -> Result<(), RunError> {
        settings.graph.validate(&settings.collection)?;
        let resource = Resource::reporting(&settings.reporting_url);
        settings.app.tokens(resource, context).map(|_| ())
    }

    const TOPICS: &'static [Topic] = check::TOPICS;

    async fn check(settings: OauthSettings, context: Context, findings: &mut Findings<'_>) {
        let whose = settings.subject();
        let terms = settings.terms();
        let OauthSettings {
            reporting_url: url,
            service,
            graph,
            app,
            collection,
        } = settings;
        let login = app.login().cloned();
        let subject = async {
            let tokens = app.clone().tokens(Resource::reporting(&url), &context)?;
            let sign_in = SignIn::Bearer(Arc::clone(&tokens));
            let reporting = Service::reporting(&context, url, sign_in, Some(tokens), login.clone());
            let tokens = app.tokens(graph.resource(), &context)?;
            let share = graph.share(Task::Collect, &collection.inquiry)?;
            let around = (&context, &whose);
            let successor = Some(Service::graph(around, &graph, share, tokens, login).await);
            check::Subject::of_both(service, &terms, reporting, successor, around).await
        };
        check::run(subject.await, &collection, &whose, &context, findings).await;
    }
}

impl OauthSettings {
    pub(super) fn subject(&self) -> Subject {
        self.app.subject(Origin::Reporting)
    }

    /// The settings under which it is found out which service is read.
    pub(super) fn terms(&self) -> DecidedUnder {
        let [tenant, client, login] = self.app.names();
        DecidedUnder::of(&[
            self.service.word(),
            tenant,
            client,
            login,
            self.reporting_url.as_str(),
            self.graph.graph_url.as_str(),
        ])
    }

    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let (subject, terms) = (self.subject(), self.terms());
        let Self {
            reporting_url,
            service: choice,
            graph,
            app,
            collection,
        } = self;
        let share = graph.share(task, &collection.inquiry)?;
        let tokens = app
            .clone()
            .tokens(Resource::reporting(&reporting_url), &context)?;
        let sign_in = SignIn::Bearer(Arc::clone(&tokens));
        let of_graph = app.tokens(graph.resource(), &context)?;
        let around = context.clone();
        let whose = Whose {
            subject,
            tokens: vec![tokens, Arc::clone(&of_graph)],
        };
        collection::run(collection, context, task, whose, async |keyer, storage| {
            let (http, clock) = (around.http.clone(), around.clock.clone());
            let service = ReportingService::new(http, clock, reporting_url, sign_in, keyer);
            let graph = graph.source(share, of_graph, keyer, &storage, &around);
            let parts = TwoServices {
                choice,
                terms,
                reporting: Reporting::new(service),
                graph: Some(graph.await?),
                passwords: None,
            };
            Services::new(parts, storage, &around).await
        })
        .await
    }
}
