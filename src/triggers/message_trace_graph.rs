//! The trigger "Message Trace (Graph API)": an app, and Microsoft Graph.

use std::sync::Arc;

use chrono::TimeDelta;
use microsoft::{EventFormat, Graph, Limiter, Quota, Resource, Share};
use sekoia::{Context, Findings, RunError, Topic, Trigger};
use serde::Deserialize;
use url::Url;

use super::{
    app::App,
    check::{self, Service},
    collection::{self, Collection, Task, Whose},
    source::Tracing,
    tenant::{self, Origin, Subject},
};

/// What a person fills in.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    graph_url: Url,
    event_format: Form,
    /// Requests in 5 minutes.
    quota: u32,
    #[serde(flatten)]
    app: App,
    #[serde(flatten)]
    pub(super) collection: Collection,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Graph,
    Reporting,
}

/// Collects as an app from Microsoft Graph.
#[derive(Debug)]
pub(crate) struct MessageTraceGraph;

impl Trigger for MessageTraceGraph {
    const MANIFEST: &'static str = include_str!("../../trigger_message_trace_graph.json");
    const ALIASES: &'static [&'static str] = &["office365_messagetrace_trigger_graph_api"];
    type Settings = Settings;

    async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
        settings.perform(context, Task::Collect).await
    }

    const TOPICS: &'static [Topic] = check::TOPICS;

    async fn check(settings: Settings, context: Context, findings: &mut Findings<'_>) {
        let mut servers = Vec::from_iter(settings.app.login().cloned());
        servers.push(settings.graph_url.clone());
        let share = settings.share();
        let whose = settings.subject();
        let Settings {
            graph_url: url,
            app,
            collection,
            ..
        } = settings;
        // What a run has used counts; what cannot be read now is told elsewhere.
        let quota = async |share| {
            let folder = tenant::look(&context.storage, &whose).await;
            let storage = context.storage.inside(&folder.unwrap_or_default());
            let quota = Tracing::remembered_quota(&storage, share).await;
            quota.unwrap_or_else(|_| Quota::restored(share, []))
        };
        let subject = match (share, app.tokens(Resource::graph(&url), &context)) {
            (Ok(share), Ok(tokens)) => {
                let limiter = Limiter::new(quota(share).await, context.clock.clone());
                Ok(check::Subject {
                    servers,
                    service: Service::graph(&context, url, Arc::clone(&tokens), limiter),
                    tokens: Some(tokens),
                })
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        check::run(subject, &collection, &whose, &context, findings).await;
    }
}

impl Settings {
    /// Whose mail it is.
    pub(super) fn subject(&self) -> Subject {
        self.app.subject(Origin::Graph)
    }

    /// How far back the very first collection begins.
    pub(super) fn start_time(&self) -> TimeDelta {
        self.collection.start_time()
    }

    /// Does something with the source of these settings.
    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let share = match task {
            Task::Count { beside: true, .. } => share(self.quota_beside())?,
            _ => self.share()?,
        };
        let subject = self.subject();
        let Self {
            graph_url,
            event_format,
            app,
            collection,
            ..
        } = self;
        let format = match event_format {
            Form::Graph => EventFormat::Graph,
            Form::Reporting => EventFormat::Reporting,
        };
        let tokens = app.tokens(Resource::graph(&graph_url), &context)?;
        let surroundings = context.clone();
        let whose = Whose {
            subject,
            tokens: Some(Arc::clone(&tokens)),
        };
        collection::run(collection, context, task, whose, async |keyer, storage| {
            let Context {
                http,
                clock,
                log,
                metrics,
                ..
            } = surroundings;
            let quota = Tracing::remembered_quota(&storage, share).await?;
            let limiter = Limiter::new(quota, clock.clone());
            let graph = Graph::new(
                http,
                clock.clone(),
                graph_url,
                tokens,
                keyer,
                format,
                limiter.clone(),
            );
            Ok(Tracing::new(graph, limiter, clock, storage, log, &metrics))
        })
        .await
    }

    fn share(&self) -> Result<Share, RunError> {
        share(self.quota)
    }

    /// What a running trigger leaves of the tenant's quota, and at least a little.
    pub(super) fn quota_beside(&self) -> u32 {
        100_u32.saturating_sub(self.quota).clamp(5, 20)
    }
}

fn share(quota: u32) -> Result<Share, RunError> {
    Share::new(quota).ok_or_else(|| RunError::configuration("quota is not from 1 to 100"))
}
