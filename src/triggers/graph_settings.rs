//! Microsoft Graph as a source: the settings of all triggers that read it.

use std::sync::Arc;

use microsoft::{EventFormat, Graph, Limiter, Resource, Share, TokenCache};
use rows::RowKeyer;
use sekoia::{Context, RunError, Storage};
use serde::Deserialize;
use url::Url;

use super::{
    collection::{Collection, Task},
    details::Inquiry,
    source::GraphSource,
    words::moment,
};

/// What a person fills in about Microsoft Graph; bounds and defaults are in the manifests.
#[derive(Debug, Deserialize)]
pub(super) struct GraphSettings {
    pub(super) graph_url: Url,
    event_format: EventFormat,
    /// Requests in 5 minutes.
    quota: u32,
}

impl GraphSettings {
    pub(super) fn resource(&self) -> Resource {
        Resource::graph(&self.graph_url)
    }

    /// How much of the tenant's quota a task may use for rows: all that is not for details.
    pub(super) fn share(&self, task: Task, inquiry: &Inquiry) -> Result<Share, RunError> {
        let (quota, calls) = match task {
            Task::Count { beside: true, .. } => (self.quota_beside(), 0),
            Task::Count { beside: false, .. } => (self.quota, 0),
            _ => (self.quota, inquiry.calls()),
        };
        if calls > quota / 2 {
            return Err(RunError::configuration(format!(
                "details_quota is {calls}, which leaves too little of `quota` {quota} for the rows themselves: \
                 set it to half of `quota` at most (docs/details.md)"
            )));
        }
        Share::new(quota - calls)
            .ok_or_else(|| RunError::configuration("quota is not from 1 to 100"))
    }

    /// Whether a run could begin with these settings.
    pub(super) fn validate(&self, collection: &Collection) -> Result<(), RunError> {
        self.share(Task::Collect, &collection.inquiry)?;
        collection.hiding.privacy().map(|_| ())
    }

    /// What a running trigger leaves of the tenant's quota, and at least a little.
    pub(super) fn quota_beside(&self) -> u32 {
        100_u32.saturating_sub(self.quota).clamp(5, 20)
    }

    /// The source, with what the last run has used of the quota.
    pub(super) async fn source(
        self,
        share: Share,
        tokens: Arc<TokenCache>,
        keyer: RowKeyer,
        storage: &Storage,
        context: &Context,
    ) -> Result<GraphSource, RunError> {
        let Context {
            http, clock, log, ..
        } = context;
        let mut quota = GraphSource::remembered_quota(storage, share).await?;
        let now = clock.now();
        if let Some(until) = quota.used_up_until(now) {
            log.warning(format!(
                "The quota is used up by earlier runs: {} requests were made in the last 5 minutes, and \
                 {} are allowed. The first one of this run is made at {}; nothing is lost.",
                quota.used_at(now),
                quota.share(),
                moment(until)
            ));
        }
        let limiter = Limiter::new(quota, clock.clone());
        let graph = Graph::new(
            http.clone(),
            clock.clone(),
            self.graph_url,
            tokens,
            keyer,
            self.event_format,
            limiter.clone(),
        );
        Ok(GraphSource::new(graph, limiter, storage.clone(), context))
    }
}
