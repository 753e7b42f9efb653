//! Answers that mostly pass by themselves, and whether they last.
//!
//! Proxies, gateways and front ends give answers that say nothing about the request: a success
//! without a page, a conflict, a lock, an empty 400. The next request is answered as it should be, as
//! a rule. When nothing else comes for long, a person must look.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Mutex,
    time::Duration,
};

use base::{http::Response, lock};
use tokio::time::Instant;

/// Such answers are for a person to look at when they have lasted this long.
pub(super) const LASTING: Duration = Duration::from_secs(10 * 60);

/// As many addresses are kept apart.
const MOST: usize = 64;

/// Whether an answer says nothing about the request, and passes by itself as a rule.
pub(super) fn is_odd(response: &Response) -> bool {
    match response.status().as_u16() {
        201..=299 | 409 | 421 | 423 | 425 | 449 | 499 => true,
        400 => response.body().trim_ascii().is_empty(),
        _ => false,
    }
}

/// Since when there has been no other answer: to anything, and to the same request.
#[derive(Debug, Default)]
pub(super) struct Oddities(Mutex<Since>);

#[derive(Debug, Default)]
struct Since {
    all: Option<Instant>,
    own: HashMap<u64, Instant>,
}

impl Oddities {
    /// Notes an answer to `request`, odd or not. Whether odd ones have lasted too long by `now`.
    pub(super) fn last(&self, request: &str, is_odd: bool, now: Instant) -> bool {
        let request = BuildHasherDefault::<DefaultHasher>::default().hash_one(request);
        let mut since = lock(&self.0);
        if !is_odd {
            since.all = None;
            since.own.remove(&request);
            return false;
        }
        if since.own.len() >= MOST {
            since.own.clear();
        }
        let all = *since.all.get_or_insert(now);
        let own = *since.own.entry(request).or_insert(now);
        now.saturating_duration_since(all.min(own)) >= LASTING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_answers_last_when_nothing_else_comes() {
        let (oddities, start) = (Oddities::default(), Instant::now());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert!(!oddities.last("a", true, at(0)));
        assert!(!oddities.last("b", true, at(9)));
        assert!(
            oddities.last("c", true, at(10)),
            "nothing else for ten minutes"
        );
        assert!(!oddities.last("c", false, at(10)));
        assert!(!oddities.last("c", true, at(11)), "begun anew");
        assert!(
            oddities.last("a", true, at(12)),
            "the same request since the start"
        );
        assert!(!oddities.last("a", false, at(13)));
        assert!(!oddities.last("a", true, at(13)));
    }

    #[test]
    fn few_addresses_are_kept() {
        let (oddities, now) = (Oddities::default(), Instant::now());
        for number in 0..10 * MOST {
            oddities.last(&number.to_string(), true, now);
        }
        assert!(oddities.0.lock().unwrap().own.len() <= MOST);
    }
}
