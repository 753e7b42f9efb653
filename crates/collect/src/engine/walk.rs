//! Walks along links, also those that lead nowhere.

use std::time::Duration;

use rows::Window;
use tokio::time::Instant;

use crate::{
    CheckpointStore, Event, Lane, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead},
    reader::{DeadEnd, trail::WalkStep},
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
            self.service.paces(read.reader, pause, Instant::now());
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
        let is_full = read.has_full_page();
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
    fn goes_by_time(&self, read: &mut WindowRead<S, K>, sentence: &str) -> bool {
        let goes_on = read.goes_by_time();
        if goes_on {
            self.tell_narrowed(read.window, sentence);
        }
        goes_on
    }

    /// The same for a link that is not answered: within a second by the fraction of the last row.
    pub(super) fn goes_without_link(&self, read: &mut WindowRead<S, K>, sentence: &str) -> bool {
        let goes_on = read.goes_by_time() || read.goes_by_fraction();
        if goes_on {
            self.tell_narrowed(read.window, sentence);
        }
        goes_on
    }

    fn tell_narrowed(&self, window: Window, sentence: &str) {
        self.tell(Event::Narrowed { window, sentence });
    }

    /// The link that a reader follows has failed so often that it is given up, as links may expire.
    pub(super) async fn link_failed(&mut self, mut read: WindowRead<S, K>, sentence: &str) -> Flow {
        let window = read.window;
        if !self.goes_without_link(&mut read, sentence)
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
        self.service.asks_otherwise(read.reader, Instant::now());
        self.resume(read, Duration::ZERO);
    }

    /// Sends what a window has in hand.
    pub(super) async fn send_rest(&mut self, read: &mut WindowRead<S, K>) -> Flow {
        let rest = read.take_draft(&mut self.outflow);
        self.send(rest).await
    }
}

/// Whether the next page is not asked for at once.
pub(super) fn is_paced<S: Source, K: Sink>(read: &WindowRead<S, K>) -> bool {
    read.lane == Lane::Live && read.pages >= LIVE_PAGES
}
