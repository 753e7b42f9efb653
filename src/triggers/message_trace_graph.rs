//! The trigger "Message Trace (Graph API)": an app, and Microsoft Graph.

use std::sync::Arc;

use sekoia::{Context, Findings, RunError, Topic, Trigger};
use serde::Deserialize;

use super::{
    app_settings::App,
    check::{self, Service},
    collection::{self, Collection, Task, Whose},
    graph_settings::GraphSettings,
    tenant::{Origin, Subject},
};

#[derive(Debug, Deserialize)]
pub(crate) struct AppSettings {
    #[serde(flatten)]
    pub(super) graph: GraphSettings,
    #[serde(flatten)]
    app: App,
    #[serde(flatten)]
    pub(super) collection: Collection,
}

/// Collects as an app from Microsoft Graph.
#[derive(Debug)]
pub(crate) struct MessageTraceGraph;

impl Trigger for MessageTraceGraph {
    const MANIFEST: &'static str = include_str!("../../trigger_message_trace_graph.json");
    const ALIASES: &'static [&'static str] = &["office365_messagetrace_trigger_graph_api"];
    const SIGNS: &'static [&'static str] = &["graph_url", "event_format", "quota"];
    type Settings = AppSettings;

    async fn run(settings: AppSettings, context: Context) -> Result<(), RunError> {
        settings.perform(context, Task::Collect).await
    }

    fn validate(settings: AppSettings, context: &Context) -> Result<(), RunError> {
        settings.graph.validate(&settings.collection)?;
        let resource = settings.graph.resource();
        settings.app.tokens(resource, context).map(|_| ())
    }

    const TOPICS: &'static [Topic] = check::TOPICS;

    async fn check(settings: AppSettings, context: Context, findings: &mut Findings<'_>) {
        let whose = settings.subject();
        let AppSettings {
            graph,
            app,
            collection,
        } = settings;
        let login = app.login().cloned();
        let subject = async {
            let tokens = app.tokens(graph.resource(), &context)?;
            let share = graph.share(Task::Collect, &collection.inquiry)?;
            let service = Service::graph((&context, &whose), &graph, share, tokens, login).await;
            Ok::<_, RunError>(check::Subject::of(service))
        };
        check::run(subject.await, &collection, &whose, &context, findings).await;
    }
}

impl AppSettings {
    pub(super) fn subject(&self) -> Subject {
        self.app.subject(Origin::Graph)
    }

    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let subject = self.subject();
        let Self {
            graph,
            app,
            collection,
        } = self;
        let share = graph.share(task, &collection.inquiry)?;
        let tokens = app.tokens(graph.resource(), &context)?;
        let around = context.clone();
        let whose = Whose {
            subject,
            tokens: vec![Arc::clone(&tokens)],
        };
        collection::run(collection, context, task, whose, async |keyer, storage| {
            graph.source(share, tokens, keyer, &storage, &around).await
        })
        .await
    }
}
