//! The requests that are under way.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use base::{PendingRequest, lock};
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    under_way: BTreeMap<u64, PendingRequest>,
}

/// Is dropped when its request has ended, however that is.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    requests: &'a Requests,
    number: u64,
}

impl Requests {
    /// A request that may take as long is sent now.
    pub(super) fn begin(&self, limit: Duration) -> Ending<'_> {
        let mut known = lock(&self.0);
        known.last += 1;
        let number = known.last;
        let since = Instant::now();
        known
            .under_way
            .insert(number, PendingRequest { since, limit });
        Ending {
            requests: self,
            number,
        }
    }

    pub(super) fn oldest(&self) -> Option<PendingRequest> {
        let known = lock(&self.0);
        known.under_way.first_key_value().map(|(_, one)| *one)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(&self.requests.0).under_way.remove(&self.number);
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
