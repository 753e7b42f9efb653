//! Equal lines go to the platform once a minute (G-03).

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::Level;

const QUIET: Duration = Duration::from_secs(60);
const MEMORY: usize = 4096;

/// Remembers which lines were let through lately.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    hasher: RandomState,
    seen: HashMap<u64, Instant>,
}

impl Limiter {
    /// Whether this line was not let through in the last minute; critical lines always pass.
    pub(super) fn is_fresh(&mut self, level: Level, message: &str) -> bool {
        if level == Level::Critical {
            return true;
        }
        let now = Instant::now();
        let key = self.hasher.hash_one((level.word(), message));
        if self.seen.get(&key).is_some_and(|&at| now - at < QUIET) {
            return false;
        }
        if self.seen.len() >= MEMORY {
            self.seen.retain(|_, at| now - *at < QUIET);
        }
        if self.seen.len() >= MEMORY {
            self.seen.clear();
        }
        self.seen.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn equal_lines_pass_once_a_minute() {
        let mut limiter = Limiter::default();
        assert!(limiter.is_fresh(Level::Info, "a"));
        assert!(!limiter.is_fresh(Level::Info, "a"));
        assert!(
            limiter.is_fresh(Level::Error, "a"),
            "another level is another line"
        );
        assert!(limiter.is_fresh(Level::Critical, "c") && limiter.is_fresh(Level::Critical, "c"));
        tokio::time::advance(QUIET).await;
        assert!(limiter.is_fresh(Level::Info, "a"));
        for n in 0..3 * MEMORY {
            limiter.is_fresh(Level::Info, &n.to_string());
        }
        assert!(limiter.seen.len() <= MEMORY);
    }
}
