//! Answers that are not readable as a whole: what of them is believed, and what becomes of the rest.

use std::{collections::HashSet, time::Duration};

use rows::{Damage, Page, RowKey};
use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead},
    known::hour,
    letters::Undelivered,
    proof::Notes,
    reader::doubt::{DamagedAnswer, Doubt, PageFate, around, long_pause, traces},
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
        if let Some(page) = page.take_if(|page| page.damage().is_some_and(|one| self.is_known(one)))
        {
            if page.damage().is_some_and(|damage| damage.mended.is_empty()) {
                // It counts as whole: its damage is known, and did not come on the way.
                self.damage.whole_pages += 1;
            }
            return self.accept(read, page).await;
        }
        // Another answer of which nothing can be read shows no more than this one.
        let is_first = read.link.is_none() && page.is_none();
        if read.lane != Lane::Live && is_first && self.schedule.has_rested(read.window) {
            self.tell_failed(sentence, "unreadable");
            return self.rest(read, sentence).await;
        }
        let damage = page.as_ref().and_then(Page::damage);
        let (fate, unsteady) = self.fate_of(&mut read, damage);
        self.believe(read, page, fate, &unsteady, sentence).await
    }

    /// What becomes of an answer by what it and those before it have shown, and the mended rows that may be
    /// others in the next one.
    fn fate_of(
        &mut self,
        read: &mut WindowRead<S, K>,
        damage: Option<&Damage>,
    ) -> (PageFate, HashSet<RowKey>) {
        let whole_pages = self.damage.whole_pages;
        let is_broken = damage.is_none_or(|damage| !damage.broken.is_empty());
        let traces = damage.map_or(0, traces);
        let stands_elsewhere =
            is_broken && damage.is_some() && self.damage.stands_elsewhere(traces, read.window);
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
            is_suspect: self.schedule.is_suspect(read.window),
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
        match (fate, page) {
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
                let certain = page.map(|page| match unsteady.is_empty() {
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
                    && (read.lane == Lane::Verify && !self.sends_hours_again()
                        || self.put_aside(&read, damage, stands_elsewhere).await?)
                {
                    return self.accept(read, page).await;
                }
                if read.lane != Lane::Live && others_are_whole {
                    // It may stay like this for ever, and must not take the place of others.
                    self.tell_failed(sentence, "unreadable");
                    return self.rest(read, sentence).await;
                }
                self.ask_later(read, long_pause(), sentence).await
            }
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

    /// Whether all that is damaged was delivered, or put aside, before.
    fn is_known(&mut self, damage: &Damage) -> bool {
        let broken = damage.broken.iter().map(|broken| broken.key);
        let mut keys = damage.mended.iter().copied().chain(broken);
        keys.all(|key| self.known.knows(key) || self.parts.excluded.has_seen(key))
    }

    /// Puts aside what cannot be read of the narrowest window there is, or `stands_elsewhere`, too. On
    /// return it is safe; false when there is no room for it.
    async fn put_aside(
        &mut self,
        read: &WindowRead<S, K>,
        damage: &Damage,
        stands_elsewhere: bool,
    ) -> Flow<bool> {
        let window = read.window;
        // What is shown for any window is remembered as seen now: its own may be forgotten soon.
        let filed = match stands_elsewhere {
            true => read.began.time,
            false => window.start(),
        };
        for broken in &damage.broken {
            if self.known.knows(broken.key) {
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
                content: self.kept_of(&broken.bytes, broken.key),
            };
            if !self.keep_undelivered(undelivered).await? {
                return Ok(false);
            }
            let note = |notes: &mut Notes| notes.dead_letters += 1;
            self.ledger.proof.note(hour(window.start()), note);
            // A verification does not find it among the rows of the hour, so that it is none of them here.
            let row = self.known.put_aside(broken.key, filed);
            self.remember(vec![row]).await?;
        }
        Ok(true)
    }
}
