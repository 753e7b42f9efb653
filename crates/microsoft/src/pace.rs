//! How long answers take.

use std::{sync::Mutex, time::Duration};

use base::lock;

/// The weight of all answers before the last, of four parts.
const MEMORY: u32 = 3;

/// A moving mean of the time that whole answers take, without waiting for the quota.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Duration>>);

impl Pace {
    pub(super) fn learn(&self, taken: Duration) {
        let mut mean = lock(&self.0);
        let before = mean.unwrap_or(taken);
        *mean = Some((before * MEMORY + taken) / (MEMORY + 1));
    }

    /// The mean; zero before the first answer.
    pub(super) fn get(&self) -> Duration {
        lock(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_answers_slowly() {
        let pace = Pace::default();
        assert_eq!(pace.get(), Duration::ZERO);
        pace.learn(Duration::from_secs(4));
        assert_eq!(pace.get(), Duration::from_secs(4));
        pace.learn(Duration::ZERO);
        assert_eq!(pace.get(), Duration::from_secs(3));
    }
}
