//! The requests that are under way.

use std::{sync::Mutex, time::Duration};

use base::{PendingRequest, lock};
use tokio::time::Instant;

/// The oldest first.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Vec<PendingRequest>>);

/// Is dropped when its request has ended, however that is.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    requests: &'a Requests,
    request: PendingRequest,
}

impl Requests {
    /// A request that may take as long is sent now.
    pub(super) fn begin(&self, limit: Duration) -> Ending<'_> {
        let mut under_way = lock(&self.0);
        let since = Instant::now();
        let request = PendingRequest { since, limit };
        under_way.push(request);
        Ending {
            requests: self,
            request,
        }
    }

    pub(super) fn oldest(&self) -> Option<PendingRequest> {
        lock(&self.0).first().copied()
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.requests.0);
        // Of two that are the same, either may go.
        if let Some(place) = under_way.iter().position(|one| *one == self.request) {
            under_way.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_is_known_until_it_ends() {
        let requests = Requests::default();
        assert_eq!(requests.oldest(), None);
        let start = Instant::now();
        let first = requests.begin(Duration::from_secs(9));
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = requests.begin(Duration::from_secs(3));
        let since = |requests: &Requests| requests.oldest().map(|one| one.since);
        assert_eq!(since(&requests), Some(start));
        drop(first);
        assert_eq!(since(&requests), Some(start + Duration::from_secs(1)));
        drop(second);
        assert_eq!(requests.oldest(), None);
    }
}
