//! How often a name and password are tried that were refused, so that no account is locked by us.
//!
//! Directories lock an account after some wrong passwords in a row, ten by default in Microsoft
//! Entra, and fewer where an own directory checks them. A refused password is therefore tried three
//! times in the first five minutes, and every 15 minutes from then on, whichever service refused
//! it. A success begins anew.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use base::{
    clock::{Clock, Reading},
    lock,
};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::SignInError;

/// As many refusals in a row come before the long pause.
const QUICK: usize = 3;

/// Between two of these.
const SOON: Duration = Duration::from_secs(120);

/// Between two tries after them.
pub const SELDOM: Duration = Duration::from_secs(15 * 60);

/// The refusals of one name and password in a row: pure, and told the time.
#[derive(Debug, Default)]
struct InARow {
    /// The last of them, the oldest first.
    at: VecDeque<Instant>,
    /// When questions beside pages were refused since the last success. Perhaps it was not for the password:
    /// they count once a page is refused, too.
    beside: VecDeque<Instant>,
    /// Tries whose answer is not known yet.
    under_way: usize,
    /// Whether it was accepted by the last answer.
    proven: bool,
    /// What the last refusal means.
    said: Option<String>,
    /// How often what is to be kept has changed.
    changes: u64,
}

impl InARow {
    /// When the next try may be made; none for at once.
    fn not_before(&self, now: Instant) -> Option<Instant> {
        let pause = if self.at.len() < QUICK { SOON } else { SELDOM };
        let after = self.at.back().map(|last| *last + pause);
        // What is not known to be right is tried by one at a time.
        let busy = (!self.proven && self.under_way > 0).then(|| now + SOON);
        after.max(busy).filter(|until| *until > now)
    }

    fn refused(&mut self, now: Instant) {
        self.proven = false;
        self.changes += 1;
        self.at.append(&mut self.beside);
        self.at.push_back(now);
        while self.at.len() > QUICK {
            self.at.pop_front();
        }
    }

    fn refused_beside(&mut self, now: Instant) {
        self.beside.push_back(now);
        while self.beside.len() > QUICK {
            self.beside.pop_front();
        }
    }

    fn accepted(&mut self) {
        self.changes += u64::from(!self.at.is_empty());
        self.at.clear();
        self.beside.clear();
        self.said = None;
        self.proven = true;
    }
}

/// Watches over one name and password, for all who sign in with them.
#[derive(Debug)]
pub struct PasswordGuard {
    clock: Clock,
    refusals: Mutex<InARow>,
}

impl PasswordGuard {
    /// Of a name and password of which nothing is known.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            refusals: Mutex::default(),
        }
    }

    /// They were refused at these instants before, without a success since.
    pub fn restore(&self, refused: impl IntoIterator<Item = DateTime<Utc>>) {
        let Reading { wall, instant } = self.clock.reading();
        let at = refused.into_iter().map(|refused| {
            // What lies in the future by a clock that was set back counts as just now.
            let age = (wall - refused).to_std().unwrap_or_default();
            instant.checked_sub(age.min(SELDOM)).unwrap_or(instant)
        });
        let mut at = Vec::from_iter(at);
        at.sort_unstable();
        let mut refusals = lock(&self.refusals);
        for at in at {
            refusals.refused(at);
        }
    }

    /// A number that is another one after each change of what is to be kept.
    pub fn changes(&self) -> u64 {
        lock(&self.refusals).changes
    }

    /// The refusals since the last success, as many as count, for the next start.
    pub fn refused(&self) -> Vec<DateTime<Utc>> {
        let now = self.clock.reading();
        let wall = |at: &Instant| now.wall.checked_sub_signed(now.since(*at));
        lock(&self.refusals).at.iter().filter_map(wall).collect()
    }

    /// Leave to try the name and password now.
    pub(super) fn admit(self: &Arc<Self>) -> Result<PasswordTry, SignInError> {
        let now = self.clock.reading();
        let mut refusals = lock(&self.refusals);
        let Some(until) = refusals.not_before(now.instant) else {
            refusals.under_way += 1;
            return Ok(PasswordTry {
                guard: Arc::clone(self),
            });
        };
        let wait = until.saturating_duration_since(now.instant);
        let wait = TimeDelta::from_std(wait).unwrap_or_default();
        let until = now.wall.checked_add_signed(wait).unwrap_or(now.wall);
        Err(SignInError::Held {
            until: until.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            said: refusals.said.clone(),
        })
    }

    /// That they were accepted by the last answer, and refused by none since: only then they are used for what
    /// can be left undone.
    pub(super) fn ensure_proven(&self) -> Result<(), SignInError> {
        let refusals = lock(&self.refusals);
        if refusals.proven && refusals.beside.is_empty() {
            return Ok(());
        }
        Err(SignInError::Held {
            until: "the next query for rows".to_owned(),
            said: refusals.said.clone(),
        })
    }

    /// What the last refusal means, for those who are held back.
    pub(super) fn note(&self, said: String) {
        lock(&self.refusals).said = Some(said);
    }
}

/// One try of a name and password; without a word on how it ended, nothing is known of it.
#[derive(Debug)]
pub(super) struct PasswordTry {
    guard: Arc<PasswordGuard>,
}

impl PasswordTry {
    pub(super) fn refused(self) {
        let now = self.guard.clock.reading();
        lock(&self.guard.refusals).refused(now.instant);
    }

    /// A question beside pages was refused, perhaps for another reason.
    pub(super) fn refused_beside(self) {
        let now = self.guard.clock.reading();
        lock(&self.guard.refusals).refused_beside(now.instant);
    }

    pub(super) fn accepted(self) {
        lock(&self.guard.refusals).accepted();
    }
}

impl Drop for PasswordTry {
    fn drop(&mut self) {
        let mut refusals = lock(&self.guard.refusals);
        refusals.under_way = refusals.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn guard(refused: &[i64]) -> Arc<PasswordGuard> {
        let at = |seconds: &i64| now() + TimeDelta::seconds(*seconds);
        let guard = PasswordGuard::new(Clock::virtual_from(now()));
        guard.restore(refused.iter().map(at));
        Arc::new(guard)
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Seconds at which a refused password is tried by one who would try it every ten seconds.
    async fn tries(guard: &Arc<PasswordGuard>, seconds: u64) -> Vec<u64> {
        let mut tries = Vec::new();
        for second in (0..seconds).step_by(10) {
            if let Ok(attempt) = guard.admit() {
                tries.push(second);
                attempt.refused();
            }
            pass(10).await;
        }
        tries
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_password_is_tried_three_times_and_then_every_quarter_of_an_hour() {
        assert_eq!(
            tries(&guard(&[]), 3600).await,
            [0, 120, 240, 1140, 2040, 2940]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_changes_nothing_and_a_success_everything() {
        let first = guard(&[]);
        tries(&first, 250).await;
        let kept: Vec<i64> = first
            .refused()
            .iter()
            .map(|at| (*at - now()).num_seconds())
            .collect();
        assert_eq!(kept, [0, 120, 240]);
        // 10 s after the last of them.
        let again = guard(&[-250, -130, -10]);
        assert_eq!(tries(&again, 1800).await, [890, 1790]);
        pass(900).await;
        again.admit().unwrap().accepted();
        assert!(again.refused().is_empty());
        assert_eq!(tries(&again, 300).await, [0, 120, 240]);
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_that_were_set_only_make_it_wait_for_the_usual_time() {
        assert_eq!(tries(&guard(&[90_000, 90_000, 90_000]), 1800).await, [900]);
        assert_eq!(tries(&guard(&[-90_000; 3]), 900).await, [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_beside_pages_count_once_a_page_is_refused() {
        let guard = guard(&[]);
        let beside = |guard: &Arc<PasswordGuard>| guard.admit().unwrap().refused_beside();
        guard.admit().unwrap().accepted();
        guard.ensure_proven().unwrap();
        beside(&guard);
        assert!(guard.ensure_proven().is_err(), "nothing else beside pages");
        assert!(guard.refused().is_empty(), "pages are asked for");
        guard.admit().unwrap().accepted();
        guard.ensure_proven().unwrap();
        beside(&guard);
        beside(&guard);
        assert_eq!(tries(&guard, 1_000).await, [0, 900]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_tries_what_is_not_known_to_be_right() {
        let guard = guard(&[]);
        let first = guard.admit().unwrap();
        assert!(guard.admit().is_err());
        // No answer.
        drop(first);
        guard.admit().unwrap().accepted();
        let many: Vec<_> = (0..5).map(|_| guard.admit().unwrap()).collect();
        for attempt in many {
            attempt.refused();
        }
        guard.note("it is wrong".to_owned());
        let held = guard.admit().unwrap_err().to_string();
        assert!(held.contains("it is wrong"), "{held}");
        assert!(held.contains("2026-11-18 11:21:40 UTC"), "{held}");
    }
}
