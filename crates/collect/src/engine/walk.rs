//! Walks along links that lead nowhere, and pages that are not readable as a whole.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rows::{Broken, Damage};
use rows::{Page, Window};
use tokio::time::Instant;

use crate::{
    Checkpoint, Event, Lane, Remedy, Sink, Source, Store,
    engine::{Collector, End, WindowRead},
    known::Admission,
    letters::{Content, Undelivered},
    reader::{
        DeadEnd,
        doubt::{Doubt, Judgement, long_pause},
        trail::Step,
    },
};

/// Windows that wait with a page that came damaged, at most. When more pages come so, something between
/// here and the service damages all of them.
const MOST_PARKED: usize = 4;

/// Pages of the live edge behind the first few come no faster than this: its windows are short, so that
/// many pages are a sign that something is wrong with their links.
const LIVE_PAUSE: Duration = Duration::from_millis(250);

/// So many pages of the live edge come as fast as they can.
const LIVE_PAGES: u32 = 5;

/// A window whose page came damaged: it waits, and its reader goes on with others.
pub(super) struct Parked<P> {
    read: P,
    until: Instant,
}

impl<P> std::fmt::Debug for Parked<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parked({:?})", self.until)
    }
}

/// Windows that wait.
#[derive(Debug)]
pub(super) struct Parking<P> {
    parked: Vec<Parked<P>>,
    /// How many pages have come whole.
    whole_pages: u64,
    /// That number when the last was parked.
    at_last: Option<u64>,
    /// That number when a window was cut although no other page had come whole.
    at_blind_cut: Option<u64>,
}

impl<P> Default for Parking<P> {
    fn default() -> Self {
        Self {
            parked: Vec::new(),
            whole_pages: 0,
            at_last: None,
            at_blind_cut: None,
        }
    }
}

impl<P> Parking<P> {
    /// Whether one more may wait: pages still come whole.
    fn has_place(&self) -> bool {
        let others_are_whole = self.at_last != Some(self.whole_pages);
        self.parked.is_empty() || (self.parked.len() < MOST_PARKED && others_are_whole)
    }

    fn park(&mut self, read: P, pause: Duration) {
        self.at_last = Some(self.whole_pages);
        let until = Instant::now() + pause;
        self.parked.push(Parked { read, until });
    }

    /// One that has waited long enough.
    fn take_due(&mut self) -> Option<P> {
        let now = Instant::now();
        let due = self.parked.iter().position(|one| one.until <= now)?;
        Some(self.parked.swap_remove(due).read)
    }

    /// When the next has waited long enough.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let until = self.parked.iter().map(|one| one.until).min()?;
        // One that is due waits for a reader, which ends the waiting, too.
        let due = until.saturating_duration_since(Instant::now());
        Some(due).filter(|due| !due.is_zero())
    }

    pub(super) fn page_is_whole(&mut self) {
        self.whole_pages += 1;
    }

    /// Whether a window may be cut: other pages came whole, or none was cut in vain since.
    fn may_cut(&mut self, others_are_whole: bool) -> bool {
        if !others_are_whole && self.at_blind_cut == Some(self.whole_pages) {
            return false;
        }
        self.at_blind_cut = Some(self.whole_pages);
        true
    }
}

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// The page behind one without certain news is asked for, at once or later, or its walk has ended.
    pub(super) async fn walk_on(
        &mut self,
        reader: usize,
        read: WindowRead<S::Link, K::Batch>,
        step: Step,
    ) -> Result<(), End> {
        let pause = match step {
            Step::Forward if is_paced(&read) => LIVE_PAUSE,
            Step::Forward => Duration::ZERO,
            Step::Nowhere(pause) => pause,
            Step::Lost => {
                let sentence = "the links to the next pages lead to no further row";
                return self.end_walk(reader, read, sentence).await;
            }
        };
        self.resume(reader, read, pause);
        Ok(())
    }

    /// A reader goes on with its window after a pause.
    fn resume(&mut self, reader: usize, read: WindowRead<S::Link, K::Batch>, pause: Duration) {
        if !pause.is_zero() {
            self.service.hold(reader, pause, Instant::now());
        }
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.read = Some(read);
        }
    }

    /// The links of a window lead nowhere.
    async fn end_walk(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> Result<(), End> {
        if self.goes_by_time(&mut read, sentence) {
            self.resume_later(reader, read);
            return Ok(());
        }
        let window = read.window;
        let is_read_again = self.schedule.reads_again(window, read.began.time);
        match read.dead_end(self.schedule.can_narrow(window), is_read_again) {
            DeadEnd::On(pause) => {
                self.resume(reader, read, pause);
                Ok(())
            }
            DeadEnd::Again => {
                self.resume_later(reader, read);
                Ok(())
            }
            DeadEnd::Apart(Some(at)) => {
                self.send_rest(&mut read).await?;
                self.schedule.part(window, at);
                self.tell(Event::Narrowed { window, sentence });
                self.pending.abandon(read.id);
                Ok(())
            }
            DeadEnd::Read => {
                self.tell(Event::DeadEnd { window });
                self.send_rest(&mut read).await?;
                self.read(reader, &read).await
            }
            DeadEnd::Apart(None) => self.cut(reader, read, sentence).await,
        }
    }

    /// Whether a window goes on without its link, by the time of the last row.
    pub(super) fn goes_by_time(
        &self,
        read: &mut WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> bool {
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
    pub(super) async fn link_failed(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> Result<(), End> {
        let window = read.window;
        if !self.goes_by_time(&mut read, sentence)
            && let DeadEnd::Apart(at) = read.give_up_link(self.schedule.can_narrow(window))
        {
            self.send_rest(&mut read).await?;
            match at {
                Some(at) => self.schedule.part(window, at),
                None => self.schedule.narrow(window),
            }
            self.tell(Event::Narrowed { window, sentence });
            self.pending.abandon(read.id);
            return Ok(());
        }
        // The pause that the failure asks for goes on.
        self.resume(reader, read, Duration::ZERO);
        Ok(())
    }

    /// A reader goes on with its window after a pause that grows until a window is read.
    pub(super) fn resume_later(&mut self, reader: usize, read: WindowRead<S::Link, K::Batch>) {
        self.service.window_failed(reader, false, Instant::now());
        self.resume(reader, read, Duration::ZERO);
    }

    /// Sends what a window has in hand.
    pub(super) async fn send_rest(
        &mut self,
        read: &mut WindowRead<S::Link, K::Batch>,
    ) -> Result<(), End> {
        let draft = self.outflow.draft(read.lane, read.window);
        let rest = std::mem::replace(&mut read.draft, draft);
        self.send(rest).await
    }

    /// Gives a reader without a window one whose page came damaged and that has waited long enough.
    /// Whether there is one.
    pub(super) fn unpark(&mut self, reader: usize) -> bool {
        let most = self
            .parts
            .source
            .limits()
            .readers()
            .min(crate::engine::BESIDE);
        let may_read = match reader {
            0 => !self.schedule.is_collecting(),
            _ => self.reading_beside() < most,
        };
        let Some(reader) = self
            .readers
            .get_mut(reader)
            .filter(|reader| may_read && reader.is_idle())
        else {
            return false;
        };
        reader.read = self.parking.take_due();
        reader.read.is_some()
    }

    /// An answer is not readable as a whole. `page` is what can be read of it, if anything can.
    pub(super) async fn doubt(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        page: Option<Page<S::Link>>,
        sentence: &str,
    ) -> Result<(), End> {
        if read.is_probe {
            let retry = Remedy::Retry { after: None };
            self.service.failed(reader, retry, Instant::now());
            return self.put_back(read).await;
        }
        let damage = page.as_ref().and_then(Page::damage).cloned();
        if let Some(damage) = &damage
            && self.is_known(damage)
        {
            return self.accept(reader, read, page).await;
        }
        let whole_pages = self.parking.whole_pages;
        let doubt = read.doubt.get_or_insert_with(|| Doubt::new(whole_pages));
        let judgement = doubt.judge(damage.as_ref().map_or(0, traces), whole_pages);
        let can_narrow = self.schedule.can_narrow(read.window);
        let is_broken = damage
            .as_ref()
            .is_none_or(|damage| !damage.broken.is_empty());
        let is_suspect = is_broken && can_narrow && self.schedule.is_suspect(read.window);
        let (is_proven, others_are_whole) = match judgement {
            // Where something is known to be, it is looked for without waiting.
            Judgement::AskAgain(_) if is_suspect => (false, true),
            Judgement::AskAgain(pause) => {
                return self.ask_later(reader, read, pause, sentence).await;
            }
            Judgement::Believe {
                is_proven,
                others_are_whole,
            } => (is_proven, others_are_whole),
        };
        if let Some(damage) = damage.as_ref().filter(|_| !is_broken) {
            self.tell(Event::Mended {
                window: read.window,
                rows: damage.mended.len(),
                sentence: &damage.sentence,
            });
            return self.accept(reader, read, page).await;
        }
        if can_narrow && self.parking.may_cut(others_are_whole) {
            return self.suspect(reader, read, page, sentence).await;
        }
        if !can_narrow
            && is_proven
            && let Some(damage) = damage
            && self.put_aside(&read, &damage).await?
        {
            return self.accept(reader, read, page).await;
        }
        self.ask_later(reader, read, long_pause(), sentence).await
    }

    /// Takes in what can be read of a damaged page, and goes on behind it.
    async fn accept(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        page: Option<Page<S::Link>>,
    ) -> Result<(), End> {
        read.doubt = None;
        match page {
            Some(page) => self.turn_page(reader, read, page).await,
            None => Ok(()),
        }
    }

    /// The same page is asked for again after a pause, in which others are read.
    async fn ask_later(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        pause: Duration,
        sentence: &str,
    ) -> Result<(), End> {
        if self.parking.has_place() {
            self.send_rest(&mut read).await?;
            self.parking.park(read, pause);
            self.tell(Event::PageFailed {
                sentence,
                label: UNREADABLE,
                pause,
                person: false,
            });
            return Ok(());
        }
        // All pages come like this: it is as if there were no answer.
        let retry = Remedy::Retry { after: None };
        let verdict = self.service.failed(reader, retry, Instant::now());
        self.tell(Event::PageFailed {
            sentence,
            label: UNREADABLE,
            pause: verdict.pause,
            person: false,
        });
        self.resume(reader, read, Duration::ZERO);
        Ok(())
    }

    /// Narrows the search for what cannot be read: everything else of the page is delivered, and the
    /// window is cut around it.
    async fn suspect(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        page: Option<Page<S::Link>>,
        sentence: &str,
    ) -> Result<(), End> {
        let window = read.window;
        let around = page
            .as_ref()
            .and_then(|page| around(page.damage()?, window));
        if let Some(page) = &page {
            self.page_came(reader, read.is_probe);
            self.schedule.paged(read.lane);
            self.take(page, &mut read).await?;
        }
        self.send_rest(&mut read).await?;
        self.pending.abandon(read.id);
        self.schedule.suspect(window, around.unwrap_or(window));
        self.tell(Event::Narrowed { window, sentence });
        Ok(())
    }

    /// Whether all that is damaged was delivered, or put aside, before.
    fn is_known(&mut self, damage: &Damage) -> bool {
        let broken = damage.broken.iter().map(|broken| broken.key);
        let keys: Vec<_> = damage.mended.iter().copied().chain(broken).collect();
        keys.into_iter().all(|key| self.known.knows(key))
    }

    /// Puts aside what cannot be read of the narrowest window there is. On return it is safe; false when
    /// there is no room for it.
    async fn put_aside(
        &mut self,
        read: &WindowRead<S::Link, K::Batch>,
        damage: &Damage,
    ) -> Result<bool, End> {
        let window = read.window;
        for Broken {
            bytes,
            key,
            position,
            ..
        } in &damage.broken
        {
            if self.known.knows(*key) {
                continue;
            }
            let reason = format!(
                "it cannot be read as a row: number {position} on a page of the rows received from \
                 {window}, where {}",
                damage.sentence
            );
            let undelivered = Undelivered {
                reason,
                copy_sent: false,
                content: Content::bytes(bytes),
            };
            if !self.keep_undelivered(undelivered).await? {
                return Ok(false);
            }
            let batch = read.draft.id();
            let admission = self
                .known
                .admit(*key, Some(window.start()), window.start(), batch);
            if let Admission::New(filed) | Admission::Changed(filed) = admission {
                self.known.give_up(filed, batch);
                self.remember(vec![filed]).await?;
            }
        }
        Ok(true)
    }

    /// A page came whole, perhaps for a window that had been in doubt.
    pub(super) fn tell_healed(&mut self, read: &mut WindowRead<S::Link, K::Batch>) {
        self.parking.page_is_whole();
        if let Some(doubt) = read.doubt.take() {
            self.tell(Event::Recovered {
                failures: doubt.answers(),
            });
        }
    }
}

/// Whether the next page is not asked for at once.
pub(super) fn is_paced<L, B>(read: &WindowRead<L, B>) -> bool {
    read.lane == Lane::Live && read.pages >= LIVE_PAGES
}

/// A word for metrics labels.
const UNREADABLE: &str = "unreadable";

/// Tells damage from other damage.
fn traces(damage: &Damage) -> u64 {
    let mut hasher = DefaultHasher::new();
    damage.mended.hash(&mut hasher);
    let broken = damage.broken.iter().map(|broken| broken.key);
    broken.for_each(|key| key.hash(&mut hasher));
    hasher.finish()
}

/// The seconds of a window that the unreadable rows of a page lie in, by the rows beside them; none when
/// that is not narrower.
fn around(damage: &Damage, window: Window) -> Option<Window> {
    let second = |at: DateTime<Utc>| at.duration_trunc(TimeDelta::seconds(1)).ok();
    let newest = damage.broken.iter().map(|broken| broken.newer);
    let newest = newest.map(|newer| Some(second(newer?)? + TimeDelta::seconds(1)));
    let newest = newest.max_by_key(|end| end.unwrap_or(window.end()))?;
    let oldest = damage.broken.iter().map(|broken| second(broken.older?));
    let oldest = oldest.min_by_key(|start| start.unwrap_or(window.start()))?;
    let start = oldest.unwrap_or(window.start()).max(window.start());
    let end = newest.unwrap_or(window.end()).min(window.end());
    Window::new(start, end).filter(|around| *around != window)
}
