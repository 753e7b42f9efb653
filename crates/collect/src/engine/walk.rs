//! Walks along links that lead nowhere, and pages that are not readable as a whole.

use std::{collections::HashSet, time::Duration};

use rows::{Damage, Page, RowKey};
use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead},
    known::hour,
    letters::Undelivered,
    proof::Notes,
    reader::{
        DeadEnd,
        doubt::{Doubt, PageJudgement, around, long_pause, traces},
        trail::WalkStep,
    },
};

/// Pages of the live edge after the first few come no faster than this: its windows are short, so
/// that many pages are a sign that something is wrong with their links.
const LIVE_PAUSE: Duration = Duration::from_millis(250);

/// So many pages of the live edge come as fast as they can.
const LIVE_PAGES: u32 = 5;

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// The page after one without certain news is asked for, at once or later, or its walk has ended.
    pub(super) async fn walk_on(&mut self, read: WindowRead<S, K>, step: WalkStep) -> Flow {
        let pause = match step {
            WalkStep::Forward if is_paced(&read) => LIVE_PAUSE,
            WalkStep::Forward => Duration::ZERO,
            WalkStep::Nowhere(pause) => pause,
            WalkStep::Lost => {
                let sentence = "the links to the next pages lead to no further row";
                return self.end_walk(read, sentence).await;
            }
        };
        self.resume(read, pause);
        Ok(())
    }

    /// A reader goes on with its window after a pause.
    pub(super) fn resume(&mut self, read: WindowRead<S, K>, pause: Duration) {
        if !pause.is_zero() {
            self.service.hold(read.reader, pause, Instant::now());
        }
        if let Some(reader) = self.readers.get_mut(read.reader) {
            reader.read = Some(read);
        }
    }

    /// The links of a window, or of an answer for a message of it, lead nowhere.
    async fn end_walk(&mut self, mut read: WindowRead<S, K>, sentence: &str) -> Flow {
        let of_message = read.is_completing();
        if !of_message && self.goes_by_time(&mut read, sentence) {
            self.resume_later(read);
            return Ok(());
        }
        let window = read.window;
        let can_narrow = !of_message && self.schedule.can_narrow(window);
        let is_read_again = !of_message && self.schedule.reads_again(window, read.began.time);
        let dead_end = read.dead_end(can_narrow, is_read_again);
        let is_full = read.has_full_page(self.parts.source.limits().rows_per_page);
        match dead_end {
            DeadEnd::Apart(_) if of_message => self.message_spoilt(read, sentence).await,
            DeadEnd::Read if of_message && is_full => self.message_spoilt(read, sentence).await,
            DeadEnd::On(pause) => {
                self.resume(read, pause);
                Ok(())
            }
            DeadEnd::Again => {
                self.resume_later(read);
                Ok(())
            }
            DeadEnd::Apart(Some(at)) => {
                self.schedule.part(window, at);
                self.narrowed(read, sentence).await
            }
            DeadEnd::Read => {
                self.tell(Event::DeadEnd(window));
                self.walked(read).await
            }
            DeadEnd::Apart(None) => self.cut(read, sentence).await,
        }
    }

    /// Whether a window goes on without its link, by the time of the last row.
    pub(super) fn goes_by_time(&self, read: &mut WindowRead<S, K>, sentence: &str) -> bool {
        let goes_on = read.goes_by_time();
        if goes_on {
            self.tell(Event::Narrowed {
                window: read.window,
                sentence,
            });
        }
        goes_on
    }

    /// The link that a reader follows has failed so often that it is given up, as links may expire.
    pub(super) async fn link_failed(&mut self, mut read: WindowRead<S, K>, sentence: &str) -> Flow {
        let window = read.window;
        if !self.goes_by_time(&mut read, sentence)
            && let DeadEnd::Apart(at) = read.give_up_link(self.schedule.can_narrow(window))
        {
            match at {
                Some(at) => self.schedule.part(window, at),
                None => self.schedule.narrow(window),
            }
            return self.narrowed(read, sentence).await;
        }
        // The pause that the failure asks for goes on.
        self.resume(read, Duration::ZERO);
        Ok(())
    }

    /// A reader goes on with its window after a pause that grows until a window is read.
    pub(super) fn resume_later(&mut self, read: WindowRead<S, K>) {
        self.service
            .window_failed(read.reader, false, Instant::now());
        self.resume(read, Duration::ZERO);
    }

    /// Sends what a window has in hand.
    pub(super) async fn send_rest(&mut self, read: &mut WindowRead<S, K>) -> Flow {
        let draft = self.outflow.draft(read.lane, read.window);
        let rest = std::mem::replace(&mut read.draft, draft);
        self.send(rest).await
    }

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
            self.page_came(read.reader, true);
            read.is_probe = false;
        }
        let damage = page.as_ref().and_then(Page::damage).cloned();
        if let Some(damage) = &damage
            && self.is_known(damage)
            && let Some(page) = page.take()
        {
            if damage.mended.is_empty() {
                // It counts as whole: its damage is known, and did not come on the way.
                self.parking.whole_pages += 1;
            }
            return self.accept(read, page).await;
        }
        let may_rest = read.lane != Lane::Live;
        // Another answer of which nothing can be read shows no more than this one.
        let is_first = read.link.is_none() && page.is_none();
        if may_rest && is_first && self.schedule.has_rested(read.window) {
            self.tell_failed(sentence, "unreadable", false);
            return self.rest(read, sentence).await;
        }
        let whole_pages = self.parking.whole_pages;
        let is_broken = damage
            .as_ref()
            .is_none_or(|damage| !damage.broken.is_empty());
        let traces = damage.as_ref().map_or(0, traces);
        let stands_elsewhere =
            is_broken && damage.is_some() && self.parking.stands_elsewhere(traces, read.window);
        let doubt = read.doubt.get_or_insert_with(|| Doubt::new(whole_pages));
        if let Some(damage) = &damage {
            doubt.mended(&damage.mended);
        }
        let judgement = doubt.judge(traces, whole_pages, stands_elsewhere);
        let mended = damage.iter().flat_map(|damage| &damage.mended).copied();
        let unsteady: HashSet<RowKey> = mended
            .filter(|key| doubt.is_unsteady(*key) && !self.known.knows(*key))
            .collect();
        let can_narrow = self.schedule.can_narrow(read.window);
        let is_suspect = is_broken && can_narrow && self.schedule.is_suspect(read.window);
        let (is_proven, others_are_whole) = match judgement {
            // Where something is known to be, it is looked for without waiting.
            PageJudgement::AskAgain(_) if is_suspect => (false, true),
            PageJudgement::AskAgain(pause) => {
                return self.ask_later(read, pause, sentence).await;
            }
            PageJudgement::Believe {
                is_proven,
                others_are_whole,
            } => (is_proven, others_are_whole),
        };
        let is_certain = !is_broken && unsteady.is_empty();
        if is_certain && let Some((damage, page)) = damage.as_ref().zip(page.take()) {
            self.tell(Event::Mended {
                window: read.window,
                rows: damage.mended.len(),
                sentence: &damage.sentence,
            });
            return self.accept(read, page).await;
        }
        // What stands on all pages need not be looked for in this one.
        let stands_elsewhere = stands_elsewhere && is_proven && !others_are_whole;
        let is_found = !can_narrow || stands_elsewhere;
        if !is_found && self.parking.may_cut(others_are_whole) {
            let certain = match unsteady.is_empty() {
                true => page,
                false => page.map(|page| page.only(|row| !unsteady.contains(&row.key))),
            };
            return self.suspect(read, certain, sentence).await;
        }
        if is_found
            && is_proven
            && let Some(damage) = damage
            // What a verification meets was put aside before, or is said of its hour.
            && (read.lane == Lane::Verify && !self.sends_hours_again()
                || self.put_aside(&read, &damage, stands_elsewhere).await?)
            && let Some(page) = page
        {
            return self.accept(read, page).await;
        }
        if may_rest && !can_narrow && others_are_whole {
            // It may stay like this for ever, and must not take the place of others.
            self.tell_failed(sentence, "unreadable", false);
            return self.rest(read, sentence).await;
        }
        self.ask_later(read, long_pause(), sentence).await
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
        if self.parking.has_place() {
            self.send_rest(&mut read).await?;
            self.parking.park(read, pause);
            self.tell_failed(sentence, "unreadable", false);
            return Ok(());
        }
        // All pages come like this: it is as if there were no answer.
        let retry = ErrorClass::Transient { after: None };
        self.service.failed(read.reader, retry, Instant::now());
        self.tell_failed(sentence, "unreadable", false);
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
            self.page_came(read.reader, read.is_probe);
            self.schedule.paged(read.lane);
            self.take(page, &mut read).await?;
        }
        self.schedule.suspect(window, around.unwrap_or(window));
        self.narrowed(read, sentence).await
    }

    /// Whether all that is damaged was delivered, or put aside, before.
    fn is_known(&mut self, damage: &Damage) -> bool {
        let broken = damage.broken.iter().map(|broken| broken.key);
        let keys: Vec<_> = damage.mended.iter().copied().chain(broken).collect();
        let mut keys = keys.into_iter();
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

/// Whether the next page is not asked for at once.
pub(super) fn is_paced<S: Source, K: Sink>(read: &WindowRead<S, K>) -> bool {
    read.lane == Lane::Live && read.pages >= LIVE_PAGES
}
