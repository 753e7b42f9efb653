//! What cannot be read as a row, and where it was put aside: it is known in its place alone.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rows::{Damage, Page, RowKey, Window};

use crate::{
    CheckpointStore, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead},
    known::hour,
    letters::Undelivered,
    proof::Notes,
    reader::MARGIN,
};

/// Where what a page shows of a window may be: services look a little beyond it.
fn near(window: Window) -> Window {
    Window::new(window.start() - MARGIN, window.end() + MARGIN).unwrap_or(window)
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Where what was put aside lies that is met in a window for so many times before; none when it was not.
    pub(super) fn place_of(
        &mut self,
        key: RowKey,
        window: Window,
        before: usize,
    ) -> Option<DateTime<Utc>> {
        self.known.aside_in(key, near(window)).get(before).copied()
    }

    pub(super) fn was_put_aside(&mut self, key: RowKey, window: Window, before: usize) -> bool {
        self.place_of(key, window, before).is_some()
    }

    /// How many of what stands on every page a page may have of this.
    fn everywhere(&mut self, key: RowKey) -> usize {
        match self.damage.may_stand(key) {
            true => self.known.everywhere(key),
            false => 0,
        }
    }

    /// Counts the things on a page that cannot be read. The page was taken in.
    pub(super) fn count_unreadable(&mut self, page: &Page<S::Link>, read: &mut WindowRead<S, K>) {
        let Some(damage) = page.damage() else {
            return;
        };
        for (key, before) in self.places(read, damage) {
            if let Some(before) = before {
                read.unreadable.insert(key, before + 1);
            }
        }
    }

    /// For each thing on the next page of a window that cannot be read, how many equal ones the window has shown
    /// before; none for what stands on every page.
    pub(super) fn places(
        &mut self,
        read: &WindowRead<S, K>,
        damage: &Damage,
    ) -> Vec<(RowKey, Option<usize>)> {
        let mut same = HashMap::<RowKey, (usize, usize)>::new();
        let broken = damage.broken.iter().map(|broken| broken.key);
        let places = broken.map(|key| {
            let (everywhere, before) = same.entry(key).or_insert_with(|| {
                let before = read.unreadable.get(&key).copied().unwrap_or(0);
                (self.everywhere(key), before)
            });
            if *everywhere > 0 {
                *everywhere -= 1;
                return (key, None);
            }
            *before += 1;
            (key, Some(*before - 1))
        });
        places.collect()
    }

    /// Puts aside what cannot be read of the narrowest window there is, or `stands_elsewhere`, too. On
    /// return it is safe; false when there is no room for it.
    pub(super) async fn put_aside(
        &mut self,
        read: &WindowRead<S, K>,
        damage: &Damage,
        stands_elsewhere: bool,
    ) -> Flow<bool> {
        let window = read.window;
        if stands_elsewhere {
            // It may be known that it has stood on every page before.
            let broken = damage.broken.iter();
            broken.for_each(|broken| self.damage.stands(broken.key));
        }
        let places = self.places(read, damage);
        for (broken, (key, before)) in damage.broken.iter().zip(places) {
            let Some(before) = before else {
                continue;
            };
            if !stands_elsewhere && self.was_put_aside(key, window, before) {
                continue;
            }
            let reason = format!(
                "it cannot be read as a row: number {} on a page of the rows received from \
                 {window}, where {}",
                broken.position, damage.sentence
            );
            let undelivered = Undelivered {
                reason,
                copy_sent: false,
                content: self.kept_of(&broken.bytes, key),
            };
            if !self.keep_undelivered(undelivered).await? {
                return Ok(false);
            }
            // A verification does not find it among the rows of the hour, so that it is none of them here.
            let rows = match stands_elsewhere {
                // It is none of the hour either, and remembered as seen now: that may be forgotten soon.
                true => self.known.put_aside_everywhere(key, read.began.time),
                false => {
                    let note = |notes: &mut Notes| notes.dead_letters += 1;
                    self.ledger.proof.note(hour(window.start()), note);
                    self.known.put_aside_at(key, window.start(), before)
                }
            };
            self.remember(rows).await?;
        }
        Ok(true)
    }
}
