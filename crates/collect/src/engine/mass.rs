//! Completes windows with mass mail: a message of which a window may not show all recipients is asked
//! for by its id, and the window is not done before. Its rows take the same way as those of any page.
//!
//! A window waits apart from its reader meanwhile, so that no other, and never the live edge, waits for
//! it; readers beside the live edge take it up, with settling's part of the quota.

use std::time::Duration;

use rows::Page;
use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, RowText as _, Sink, Source, SourceError, Store,
    decide::mass::{MOST_PAST, MassMessage},
    engine::{Collector, Flow, WindowRead},
    reader::completion::AskedMessage,
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Looks at the rows of a page before they are taken in: how many recipients its messages have.
    pub(super) fn look_at_recipients(&mut self, page: &Page<S::Link>, read: &mut WindowRead<S, K>) {
        if !read.is_completing() {
            self.mass.pages += 1;
        }
        let (source, window) = (&self.parts.source, read.window);
        let id = |row: &rows::RowRef<'_>| source.text().message_of(row.json);
        read.completion.look_at(page, window, id);
    }

    /// What a reader asks for was read to the end of its links.
    pub(super) async fn walked(&mut self, mut read: WindowRead<S, K>) -> Flow {
        self.send_rest(&mut read).await?;
        if let Some(asked) = read.completion.answered() {
            return self.message_read(read, asked).await;
        }
        let is_last =
            read.lane == Lane::Verify || !self.schedule.reads_again(read.window, read.began.time);
        let may_spend = self.schedule.may_settle(self.time().now);
        let mass = &self.mass;
        read.completion
            .choose(|id| mass.wants(id, is_last, may_spend));
        self.complete_next(read).await
    }

    /// The next message of a window is asked for, or it is read.
    async fn complete_next(&mut self, mut read: WindowRead<S, K>) -> Flow {
        if !read.completion.next(read.first_seen) {
            return self.window_read(&mut read).await;
        }
        read.asks_for_message();
        match read.lane {
            // A verification reads last, and keeps its reader.
            Lane::Verify => self.resume(read, Duration::ZERO),
            _ => self.wait_apart(read, Duration::ZERO),
        }
        Ok(())
    }

    fn wait_apart(&mut self, read: WindowRead<S, K>, pause: Duration) {
        self.completing.park(read, pause);
        self.count_completing();
    }

    fn count_completing(&mut self) {
        let past = self.completing.count(is_past);
        self.schedule.hold_past(past >= MOST_PAST);
    }

    /// A window whose next message this reader is to ask for.
    pub(super) fn take_completing(&mut self, reader: usize) -> Option<WindowRead<S, K>> {
        if !self.schedule.may_settle(self.time().now) {
            return None;
        }
        let read = self.completing.take_due()?;
        self.count_completing();
        self.service.begun(reader);
        Some(read)
    }

    /// All that there is for a message was read.
    async fn message_read(&mut self, read: WindowRead<S, K>, asked: AskedMessage) -> Flow {
        let new = read.first_seen - asked.new_before;
        let Some(has_more) = asked.has_more() else {
            let sentence = "the answer does not show what the window has shown";
            return self.message_useless(read, asked.message, sentence).await;
        };
        let message = asked.message;
        self.mass.completed(&message, has_more || new > 0);
        self.tell(Event::MassMail {
            window: read.window,
            message: &message.id,
            new,
        });
        self.complete_next(read).await
    }

    /// An answer for a message is no use: it is asked for again, or given up.
    async fn message_useless(
        &mut self,
        mut read: WindowRead<S, K>,
        mut message: MassMessage,
        sentence: &str,
    ) -> Flow {
        let pause = self.mass.useless(&mut message, Instant::now());
        self.tell(Event::MassMailDoubted {
            window: read.window,
            message: &message.id,
            sentence,
            gives_up: pause.is_none(),
            verifies: read.lane == Lane::Verify,
        });
        let Some(pause) = pause else {
            read.completion.gave_up = true;
            if read.heals {
                self.heals_without(read.window);
            }
            return self.complete_next(read).await;
        };
        read.completion.again(message);
        read.completion.next(read.first_seen);
        read.asks_for_message();
        self.wait_apart(read, pause);
        Ok(())
    }

    /// An answer has rows of other messages, or its links lead nowhere.
    pub(super) async fn message_spoilt(
        &mut self,
        mut read: WindowRead<S, K>,
        sentence: &str,
    ) -> Flow {
        self.send_rest(&mut read).await?;
        match read.completion.answered() {
            Some(asked) => self.message_useless(read, asked.message, sentence).await,
            None => self.complete_next(read).await,
        }
    }

    pub(super) async fn message_failed(
        &mut self,
        mut read: WindowRead<S, K>,
        error: &SourceError,
    ) -> Flow {
        let is_refused = matches!(
            error.class,
            ErrorClass::Person | ErrorClass::Narrow | ErrorClass::OutOfReach { .. }
        );
        if is_refused {
            return self.message_spoilt(read, &error.sentence).await;
        }
        self.send_rest(&mut read).await?;
        if read.failed() {
            read.begin_anew();
        }
        self.pause_after(read.reader, error);
        if self.makes_way(&mut read, &error.sentence) {
            return Ok(());
        }
        let pause = read.completion.pause();
        self.wait_apart(read, pause);
        Ok(())
    }

    /// A question for a message of a window has failed. Whether the window makes way, as those that wait hold up
    /// what was never read: it rests, and is read once more then. Nothing of it is given up.
    fn makes_way(&mut self, read: &mut WindowRead<S, K>, sentence: &str) -> bool {
        let now = Instant::now();
        let may = self.mass.fails_on(&mut read.completion.failing, now);
        let holds_up = is_past(read) && self.completing.count(is_past) + 1 >= MOST_PAST;
        let id = read.completion.asked().map_or("", |id| id);
        let sentence = format!("the question for the message {id} fails: {sentence}");
        let rests = may && holds_up && self.rests(read, &sentence);
        if rests {
            self.mass.made_way();
        }
        rests
    }
}

fn is_past<S: Source, K: Sink>(read: &WindowRead<S, K>) -> bool {
    matches!(read.lane, Lane::Backlog | Lane::Backfill)
}
