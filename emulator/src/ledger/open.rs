//! Deliveries whose answer has not left: of what comes again, which is the sender's fault.
//!
//! An answer that never leaves excuses a repetition, since the sender cannot know. One that leaves
//! later excuses none: the sender did not wait for it. And nothing excuses what one request has twice.

use super::{Accepted, Account, Identified, Version};

/// The deliveries of a row and status since its last acknowledgement.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The request of the newest.
    newest: u64,
    /// Whether the answer to one of them has left.
    acknowledged: bool,
    /// The repetitions that are excused so far, with their requests.
    excused: Vec<(u64, Version)>,
}

impl Account {
    /// Notes a delivery, which may be a repetition.
    pub(super) fn note(&mut self, found: &Identified, request: u64, again: bool) {
        let key: Accepted = (found.life.slot, found.status);
        let before = self.open.get(&key);
        let excused = before.is_some_and(|open| !open.acknowledged && open.newest != request);
        let open = self.open.entry(key).or_default();
        (open.newest, open.acknowledged) = (request, false);
        if !again {
            return;
        }
        if excused {
            open.excused.push((request, found.version.clone()));
            self.doubled_unacknowledged.add(found.version.clone());
        } else {
            self.doubled.add(found.version.clone());
        }
    }

    /// Notes that the answer to a request has left: what came again meanwhile is doubled.
    pub(super) fn acknowledge(&mut self, request: u64, key: Accepted) {
        let Some(open) = self.open.get_mut(&key) else {
            return;
        };
        open.acknowledged = true;
        let later = |(repeating, _): &mut (u64, Version)| *repeating > request;
        for (_, version) in open.excused.extract_if(.., later) {
            self.doubled_unacknowledged.take_back(&version);
            self.doubled.add(version);
        }
        if open.excused.is_empty() {
            self.open.remove(&key);
        }
    }
}
