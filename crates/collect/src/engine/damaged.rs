//! Answers that are not readable as a whole: what of them is believed, and what becomes of the rest.

use std::{collections::HashSet, time::Duration};

use rows::{Damage, Page, RowKey};
use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead},
    reader::doubt::{DamagedAnswer, Doubt, PageFate, around, has_rows_of, long_pause, traces},
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// An answer is not readable as a whole. `page` is what can be read of it, if anything can.
    pub(super) async fn doubt(
        &mut self,
        mut read: WindowRead<S, K>,
        mut page: Option<Page<S::Link>>,
        sentence: &str,
    ) -> Flow {
        if self.is_of_another_order(&read) {
            return self.put_back(read).await;
        }
        if read.is_probe {
            if page.is_none() {
                let retry = ErrorClass::Transient { after: None };
                self.service.failed(read.reader, retry, Instant::now());
                return self.put_back(read).await;
            }
            // It answers: what is no row may stand on each of its pages, and no probe would get another.
            self.page_came(&read);
            read.is_probe = false;
        }
        let has_rows = page
            .as_ref()
            .is_some_and(|page| has_rows_of(page, read.window));
        if has_rows && let Some(damage) = page.as_ref().and_then(Page::damage) {
            damage
                .broken
                .iter()
                .for_each(|broken| self.damage.shows(broken.key));
        }
        if let Some(page) = page.take_if(|page| {
            let damage = page.damage();
            damage.is_some_and(|damage| self.is_known(&read, damage, has_rows))
        }) {
            if has_rows && page.damage().is_some_and(|one| one.mended.is_empty()) {
                // It counts as whole: its damage is known, and did not come on the way.
                self.damage.whole_pages += 1;
                self.schedule.wake_with_others(Instant::now());
            }
            return self.accept(read, page).await;
        }
        // Another answer of which nothing can be read shows no more than this one.
        let is_first = read.link.is_none() && page.is_none();
        if read.lane != Lane::Live && is_first && self.schedule.has_rested(read.window) {
            let none_is_whole = self.damage.none_is_whole();
            return self.let_rest(read, sentence, none_is_whole).await;
        }
        let damage = page.as_ref().and_then(Page::damage);
        let is_bare = !has_rows && damage.is_some_and(|damage| self.is_on_all(&read, damage));
        let (fate, unsteady) = self.fate_of(&mut read, damage, has_rows, is_bare);
        if is_bare && !matches!(fate, PageFate::AskAgain(_)) {
            return self.leave(read, sentence).await;
        }
        self.believe(read, page, fate, &unsteady, sentence).await
    }

    /// What becomes of an answer by what it and those before it have shown, and the mended rows that may be
    /// others in the next one. `is_bare` tells whether it has nothing but what has stood on every page.
    fn fate_of(
        &mut self,
        read: &mut WindowRead<S, K>,
        damage: Option<&Damage>,
        has_rows: bool,
        is_bare: bool,
    ) -> (PageFate, HashSet<RowKey>) {
        let whole_pages = self.damage.whole_pages;
        let is_broken = damage.is_none_or(|damage| !damage.broken.is_empty());
        let traces = damage.map_or(0, traces);
        let (window, began) = (read.window, read.began.instant);
        // All pages come alike in some outages: one with rows is to show that the service answers.
        let stands_elsewhere = is_broken
            && damage.is_some_and(|damage| {
                let stands = self.damage.stands_elsewhere(traces, window);
                stands && (has_rows || self.is_on_others(damage, began))
            });
        let doubt = read.doubt.get_or_insert_with(|| Doubt::new(whole_pages));
        if let Some(damage) = damage {
            doubt.mended(&damage.mended);
        }
        let mended = damage.iter().flat_map(|damage| &damage.mended).copied();
        let unsteady: HashSet<RowKey> = mended
            .filter(|key| doubt.is_unsteady(*key) && !self.known.knows(*key))
            .collect();
        let answer = DamagedAnswer {
            traces,
            is_broken,
            is_steady: unsteady.is_empty(),
            stands_elsewhere,
            can_narrow: self.schedule.can_narrow(read.window),
            is_suspect: !is_bare && self.schedule.is_suspect(read.window),
        };
        let fate = doubt.judge(answer, whole_pages);
        (fate, unsteady)
    }

    /// Does with an answer what was judged. `page` is what can be read of it.
    async fn believe(
        &mut self,
        read: WindowRead<S, K>,
        page: Option<Page<S::Link>>,
        fate: PageFate,
        unsteady: &HashSet<RowKey>,
        sentence: &str,
    ) -> Flow {
        // What stands on all pages may be found out on others only.
        let damage = page.as_ref().and_then(Page::damage);
        let holds_up = damage.is_some_and(|damage| !damage.broken.is_empty())
            && !self.damage.may_park(self.damaged.len());
        match (fate, page) {
            (PageFate::AskAgain(_), _) if holds_up && read.lane == Lane::Live => {
                self.leave(read, sentence).await
            }
            (PageFate::AskAgain(pause), _) => self.ask_later(read, pause, sentence).await,
            (PageFate::Mended, Some(page)) => {
                if let Some(damage) = page.damage() {
                    self.tell(Event::Mended {
                        window: read.window,
                        rows: damage.mended.len(),
                        sentence: &damage.sentence,
                    });
                }
                self.accept(read, page).await
            }
            (PageFate::Narrower { others_are_whole }, page)
                if self.damage.may_cut(others_are_whole) =>
            {
                let certain = page.filter(|page| !page.is_empty());
                let certain = certain.map(|page| match unsteady.is_empty() {
                    true => page,
                    false => page.only(|row| !unsteady.contains(&row.key)),
                });
                self.suspect(read, certain, sentence).await
            }
            (
                PageFate::Located {
                    is_proven,
                    others_are_whole,
                    stands_elsewhere,
                },
                page,
            ) => {
                // What is another thing in each answer cannot be proven, and would hold its window for ever.
                let is_in_vain = !is_proven
                    && others_are_whole
                    && page.is_some()
                    && !matches!(read.lane, Lane::Live | Lane::Verify)
                    && self.damage.is_in_vain(read.window);
                let page = page.map(|page| match is_in_vain {
                    true => page.broken_at(|row| unsteady.contains(&row.key)),
                    false => page,
                });
                if (is_proven || is_in_vain)
                    && let Some(page) = page
                    && let Some(damage) = page.damage()
                    // What a verification meets was put aside before, or is said of its hour.
                    && (read.lane == Lane::Verify && !stands_elsewhere && !self.sends_hours_again()
                        || self.put_aside(&read, damage, stands_elsewhere).await?)
                {
                    return self.accept(read, page).await;
                }
                if read.lane != Lane::Live && (others_are_whole || holds_up) {
                    // It may stay like this for ever, and must not take the place of others.
                    return self.let_rest(read, sentence, !others_are_whole).await;
                }
                self.ask_later(read, long_pause(), sentence).await
            }
            (PageFate::Narrower { .. }, _) if holds_up => self.leave(read, sentence).await,
            (PageFate::Mended | PageFate::Narrower { .. }, _) => {
                self.ask_later(read, long_pause(), sentence).await
            }
        }
    }

    /// Takes in what can be read of a damaged page, and goes on after it.
    async fn accept(&mut self, mut read: WindowRead<S, K>, page: Page<S::Link>) -> Flow {
        read.doubt = None;
        self.turn_page(read, page).await
    }

    /// A window is left for a while, as its page says no more than an answer without rows, or others may say more.
    async fn leave(&mut self, read: WindowRead<S, K>, sentence: &str) -> Flow {
        if read.lane != Lane::Live {
            return self.let_rest(read, sentence, true).await;
        }
        self.tell_failed(sentence, "unreadable");
        // The live edge goes on: else it would wait with a window in which there may be no row.
        let retry = ErrorClass::Transient { after: None };
        self.service.failed(read.reader, retry, Instant::now());
        self.schedule.give_back(read.window);
        self.abandon(read).await
    }

    /// A window rests, for itself or because `none_is_whole` of all pages.
    async fn let_rest(
        &mut self,
        read: WindowRead<S, K>,
        sentence: &str,
        none_is_whole: bool,
    ) -> Flow {
        self.tell_failed(sentence, "unreadable");
        let window = read.window;
        self.rest(read, sentence).await?;
        if none_is_whole {
            self.schedule.rests_with_others(window);
        }
        Ok(())
    }

    /// The same page is asked for again after a pause, in which others are read.
    async fn ask_later(
        &mut self,
        mut read: WindowRead<S, K>,
        pause: Duration,
        sentence: &str,
    ) -> Flow {
        if self.damage.may_park(self.damaged.len()) {
            self.send_rest(&mut read).await?;
            self.damage.parks();
            self.damaged.park(read, pause);
            self.tell_failed(sentence, "unreadable");
            return Ok(());
        }
        // All pages come like this: it is as if there were no answer.
        let retry = ErrorClass::Transient { after: None };
        self.service.failed(read.reader, retry, Instant::now());
        self.tell_failed(sentence, "unreadable");
        self.resume(read, Duration::ZERO);
        Ok(())
    }

    /// Narrows the search for what cannot be read: everything else of the page is delivered, and the
    /// window is cut around it.
    async fn suspect(
        &mut self,
        mut read: WindowRead<S, K>,
        page: Option<Page<S::Link>>,
        sentence: &str,
    ) -> Flow {
        let window = read.window;
        let around = page
            .as_ref()
            .and_then(|page| around(page.damage()?, window));
        if let Some(page) = &page {
            self.page_came(&read);
            self.schedule.paged(read.lane);
            self.take(page, &mut read).await?;
        }
        self.schedule.suspect(window, around.unwrap_or(window));
        self.narrowed(read, sentence).await
    }

    /// Whether all that is damaged was delivered, or put aside, before, or stands on every page: on this one, too,
    /// when it has rows, or when another one that had some has shown it since its window was asked for.
    fn is_known(&mut self, read: &WindowRead<S, K>, damage: &Damage, has_rows: bool) -> bool {
        let mut mended = damage.mended.iter().copied();
        mended.all(|key| self.known.knows(key) || self.parts.excluded.has_seen(key))
            && self
                .places(read, damage)
                .into_iter()
                .all(|place| match place {
                    (key, None) => has_rows || self.damage.was_shown_since(key, read.began.instant),
                    (key, Some(before)) => self.was_put_aside(key, read.window, before),
                })
    }

    /// Whether all that is damaged is what has stood on every page.
    fn is_on_all(&mut self, read: &WindowRead<S, K>, damage: &Damage) -> bool {
        let places = self.places(read, damage);
        damage.mended.is_empty() && places.iter().all(|(_, before)| before.is_none())
    }

    /// Whether a page with rows has shown the same since then.
    fn is_on_others(&self, damage: &Damage, since: Instant) -> bool {
        let mut broken = damage.broken.iter();
        broken.all(|broken| self.damage.was_shown_since(broken.key, since))
    }
}
