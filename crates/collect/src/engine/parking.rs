//! Windows that wait while their readers go on with others, and what damaged pages have shown.

use std::{collections::HashMap, time::Duration};

use rows::{RowKey, Window};
use tokio::time::Instant;

/// Windows that wait with a page that came damaged, at most. When more pages come so, something
/// between here and the service damages all of them.
const MOST_PARKED: usize = 4;

/// What stands on the pages of two windows for so long is put there by the service, and not by accident.
const PROVING: Duration = Duration::from_secs(120);

/// So many kinds of damage are remembered.
const MOST_KINDS: usize = 16;

/// Of so many things it is remembered when rows stood beside them.
const MOST_SHOWN: usize = 1024;

/// What has been another thing in each answer for so long, while so many other pages came whole, will not come
/// otherwise.
const IN_VAIN: (Duration, u64) = (Duration::from_secs(24 * 60 * 60), 24);

/// So many windows with such a thing are remembered: more than rest.
const MOST_IN_VAIN: usize = 64;

/// A window that is as narrow as can be, and when it was asked for in vain first.
#[derive(Clone, Copy, Debug)]
struct InVain {
    window: Window,
    since: Instant,
    whole_pages: u64,
}

#[derive(Clone, Copy, Debug)]
struct SeenDamage {
    traces: u64,
    window: Window,
    since: Instant,
}

/// Windows that wait, each until then.
pub(super) struct Parking<P>(Vec<(P, Instant)>);

impl<P> Default for Parking<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P> Parking<P> {
    pub(super) fn park(&mut self, read: P, pause: Duration) {
        self.0.push((read, Instant::now() + pause));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn count(&self, of_kind: impl Fn(&P) -> bool) -> usize {
        self.0.iter().filter(|(read, _)| of_kind(read)).count()
    }

    /// One that has waited long enough.
    pub(super) fn take_due(&mut self) -> Option<P> {
        let now = Instant::now();
        let due = self.0.iter().position(|(_, until)| *until <= now)?;
        Some(self.0.swap_remove(due).0)
    }

    /// When the next has waited long enough.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let until = self.0.iter().map(|(_, until)| *until).min()?;
        // One that is due waits for a reader, which ends the waiting, too.
        let due = until.saturating_duration_since(Instant::now());
        Some(due).filter(|due| !due.is_zero())
    }
}

/// What pages that came damaged have shown, beside those that came whole.
#[derive(Debug, Default)]
pub(super) struct DamageRecord {
    /// How many pages have come whole.
    pub(super) whole_pages: u64,
    /// That number when a window was parked last because of damage.
    at_last: Option<u64>,
    /// That number when a window was cut although no other page had come whole.
    at_blind_cut: Option<u64>,
    /// Each kind in the first two windows that lie apart.
    seen: Vec<SeenDamage>,
    /// When a page with rows has shown each thing last.
    shown: HashMap<RowKey, Instant>,
    /// What was found to stand on every page.
    standing: Vec<RowKey>,
    /// Whether a page with rows has come whole: what stood on every page before that is to be found out anew.
    is_clean: bool,
    in_vain: Vec<InVain>,
}

impl DamageRecord {
    /// A page of this window came whole.
    pub(super) fn was_whole(&mut self, window: Window, has_rows: bool) {
        self.whole_pages += 1;
        self.in_vain.retain(|one| one.window != window);
        if has_rows {
            self.is_clean = true;
            self.seen.clear();
            self.shown.clear();
            self.standing.clear();
        }
    }

    /// A page with rows has shown this, too, which cannot be read as a row.
    pub(super) fn shows(&mut self, key: RowKey) {
        if self.shown.len() >= MOST_SHOWN {
            self.shown.clear();
        }
        self.shown.insert(key, Instant::now());
    }

    /// Whether a page with rows has shown it since this instant.
    pub(super) fn was_shown_since(&self, key: RowKey, instant: Instant) -> bool {
        self.shown.get(&key).is_some_and(|shown| *shown >= instant)
    }

    /// This was found to stand on every page.
    pub(super) fn stands(&mut self, key: RowKey) {
        if !self.standing.contains(&key) {
            self.standing.push(key);
        }
    }

    /// Whether what is known to have stood on every page may still do so.
    pub(super) fn may_stand(&self, key: RowKey) -> bool {
        !self.is_clean || self.standing.contains(&key)
    }

    /// What is damaged on the page of a window that is as narrow as can be is another thing in each answer. Whether
    /// that has been so for long enough, beside others that came whole.
    pub(super) fn is_in_vain(&mut self, window: Window) -> bool {
        if let Some(known) = self.in_vain.iter().find(|one| one.window == window) {
            let whole_pages = self.whole_pages - known.whole_pages;
            return known.since.elapsed() >= IN_VAIN.0 && whole_pages >= IN_VAIN.1;
        }
        if self.in_vain.len() == MOST_IN_VAIN {
            self.in_vain.remove(0);
        }
        self.in_vain.push(InVain {
            window,
            since: Instant::now(),
            whole_pages: self.whole_pages,
        });
        false
    }

    /// Whether one more window may wait beside so many: pages still come whole.
    pub(super) fn may_park(&self, parked: usize) -> bool {
        parked == 0 || (parked < MOST_PARKED && !self.none_is_whole())
    }

    /// Whether no page has come whole since a window waited because of its damaged page.
    pub(super) fn none_is_whole(&self) -> bool {
        self.at_last == Some(self.whole_pages)
    }

    /// A window waits because of its damaged page.
    pub(super) fn parks(&mut self) {
        self.at_last = Some(self.whole_pages);
    }

    /// The damage that `traces` tell of is on a page of this window. Whether it has long been seen on one of
    /// another window, too.
    pub(super) fn stands_elsewhere(&mut self, traces: u64, window: Window) -> bool {
        let same = self.seen.iter().copied();
        let same = same.filter(|one| one.traces == traces);
        let (here, apart): (Vec<_>, Vec<_>) =
            same.partition(|one| one.window.intersection(window).is_some());
        if here.is_empty() && apart.len() < 2 {
            if self.seen.len() == 2 * MOST_KINDS {
                self.seen.remove(0);
            }
            self.seen.push(SeenDamage {
                traces,
                window,
                since: Instant::now(),
            });
        }
        apart.iter().any(|one| one.since.elapsed() >= PROVING)
    }

    /// Whether a window may be cut: other pages came whole, or none was cut in vain since.
    pub(super) fn may_cut(&mut self, others_are_whole: bool) -> bool {
        if !others_are_whole && self.at_blind_cut == Some(self.whole_pages) {
            return false;
        }
        self.at_blind_cut = Some(self.whole_pages);
        true
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn damage_stands_elsewhere_when_a_window_apart_has_had_it_for_two_minutes() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let window = |start, end| Window::new(at(start), at(end)).unwrap();
        let (first, inside, second) = (window(0, 60), window(20, 30), window(60, 120));
        let mut record = DamageRecord::default();
        assert!(!record.stands_elsewhere(7, first));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!record.stands_elsewhere(7, second), "for a minute only");
        assert!(!record.stands_elsewhere(8, second), "other damage");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(record.stands_elsewhere(7, second));
        assert!(
            !record.stands_elsewhere(7, inside),
            "the same page, perhaps"
        );
        assert!(!record.stands_elsewhere(8, second), "itself");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(record.stands_elsewhere(7, inside));
        // Much other damage makes it forgotten, which costs time.
        for traces in 100..132 {
            assert!(!record.stands_elsewhere(traces, second));
        }
        assert!(!record.stands_elsewhere(7, second));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stood_on_every_page_is_found_out_anew_when_one_with_rows_came_whole() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let window = Window::new(at(0), at(60)).unwrap();
        let [key, other] = [1, 2].map(|byte| RowKey::from_bytes([byte; 12]));
        let mut record = DamageRecord::default();
        let before = Instant::now();
        assert!(record.may_stand(key), "as a start finds it");
        assert!(!record.stands_elsewhere(7, window));
        tokio::time::advance(PROVING).await;
        assert!(!record.was_shown_since(key, before));
        record.shows(key);
        assert!(record.was_shown_since(key, before));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!record.was_shown_since(key, Instant::now()));
        let apart = Window::new(at(60), at(120)).unwrap();
        record.was_whole(window, false);
        assert!(record.may_stand(key) && record.stands_elsewhere(7, apart));
        record.was_whole(window, true);
        assert!(!record.may_stand(key) && !record.was_shown_since(key, before));
        assert!(!record.stands_elsewhere(7, apart));
        record.stands(key);
        assert!(record.may_stand(key) && !record.may_stand(other));
    }

    /// Else all readers would wait where something on the way damages every page.
    #[tokio::test(start_paused = true)]
    async fn windows_wait_apart_as_long_as_others_come_whole() {
        let (mut parking, mut record) = (Parking::default(), DamageRecord::default());
        let pause = Duration::from_secs(60);
        parking.park(0, pause);
        assert!(!record.none_is_whole(), "none was damaged");
        record.parks();
        assert!(record.none_is_whole());
        assert!(!record.may_park(1), "none has come whole since");
        for window in 1..MOST_PARKED {
            record.whole_pages += 1;
            assert!(record.may_park(window) && !record.none_is_whole());
            parking.park(window, pause);
            record.parks();
        }
        record.whole_pages += 1;
        assert!(!record.may_park(parking.len()), "they are enough");
        assert_eq!((parking.due_in(), parking.take_due()), (Some(pause), None));
        tokio::time::advance(pause).await;
        assert_eq!(parking.due_in(), None, "one that is due waits for a reader");
        while parking.take_due().is_some() {}
        record.parks();
        assert!(record.may_park(parking.len()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_asked_for_in_vain_after_a_day_beside_whole_ones() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let window = |start| Window::new(at(start), at(start + 1)).unwrap();
        let mut record = DamageRecord::default();
        assert!(!record.is_in_vain(window(7)));
        tokio::time::advance(IN_VAIN.0).await;
        assert!(!record.is_in_vain(window(7)), "nothing was answered");
        for _ in 0..IN_VAIN.1 {
            record.was_whole(window(8), true);
        }
        assert!(record.is_in_vain(window(7)) && !record.is_in_vain(window(9)));
        record.was_whole(window(7), true);
        assert!(!record.is_in_vain(window(7)), "it begins anew");
    }

    #[test]
    fn a_window_is_cut_once_although_no_other_comes_whole() {
        let mut record = DamageRecord::default();
        assert!(record.may_cut(false) && !record.may_cut(false));
        assert!(record.may_cut(true), "others are whole");
        assert!(!record.may_cut(false));
        record.whole_pages += 1;
        assert!(record.may_cut(false));
    }
}
