//! A request that waits for its answer, as the source tells the loop.

use std::time::Duration;

use tokio::time::Instant;

/// A request that is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRequest {
    /// Since when, without its wait for the quota.
    pub since: Instant,
    /// The longest that it may take.
    pub limit: Duration,
}
