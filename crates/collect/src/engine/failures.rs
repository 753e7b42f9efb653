//! What follows from a request that failed: a pause, a narrower window, a call for help. Nothing is
//! skipped.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    CheckpointStore, Event, Lane, Sink, Source, SourceError, Store,
    engine::{ALMOST_AT_ONCE, Collector, End},
    order::Trouble,
    reader::WindowRead,
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A request failed: the reader pauses, and others with it.
    pub(super) async fn failed(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        error: &SourceError,
    ) -> Result<(), End> {
        let is_link_given_up = read.failed();
        let too_wide = error.may_be_too_wide && !read.is_probe && self.service.is_too_wide(reader);
        self.pause_after(reader, error);
        let source_time = self.time().now;
        if read.pages == 0 && read.window.end() > source_time {
            // The clock was ahead when it was made: the windows are made anew.
            self.schedule.withdraw(read.window, source_time);
            self.pending.abandon(read.id);
            self.service.hold(reader, ALMOST_AT_ONCE, Instant::now());
            return Ok(());
        }
        if read.is_probe {
            return self.put_back(read).await;
        }
        if too_wide {
            return self.relieve(reader, read, &error.sentence).await;
        }
        if is_link_given_up {
            return Box::pin(self.link_failed(reader, read, &error.sentence)).await;
        }
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.read = Some(read);
        }
        Ok(())
    }

    /// A reader pauses after a failure, and it is told.
    pub(super) fn pause_after(&mut self, reader: usize, error: &SourceError) {
        self.last_failed = reader;
        let verdict = self.service.failed(reader, error.class, Instant::now());
        let person = error.class.needs_a_person();
        let sentence = error.sentence.clone();
        self.orders_are_in(Some(Trouble { sentence, person }));
        self.tell_failure(error, verdict.pause, person);
        self.call(verdict.call, &error.sentence);
    }

    /// Has a window that fails while others are answered read in narrower ones.
    pub(super) async fn relieve(
        &mut self,
        reader: usize,
        read: WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> Result<(), End> {
        if !self.schedule.can_narrow(read.window) {
            return self.cut(reader, read, sentence).await;
        }
        let window = read.window;
        self.schedule.relieve(read.lane, window);
        self.pending.abandon(read.id);
        self.service.window_failed(reader, false, Instant::now());
        self.tell(Event::Narrowed { window, sentence });
        self.send(read.draft).await
    }

    pub(super) fn tell_failure(&self, error: &SourceError, pause: Duration, person: bool) {
        self.tell(Event::PageFailed {
            sentence: &error.sentence,
            label: error.label,
            pause,
            person,
        });
    }

    /// Calls for help, when it is time to.
    pub(super) fn call(&self, call: bool, sentence: &str) {
        if call {
            self.tell(Event::Persisting { sentence });
        }
    }

    /// Has a window read in another way.
    pub(super) async fn cut(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> Result<(), End> {
        let window = read.window;
        self.send_rest(&mut read).await?;
        let narrowest = !self.schedule.can_narrow(window);
        // What cannot be read at all keeps one of the readers beside busy, never the live edge.
        let stays = narrowest && read.lane != Lane::Live;
        if !stays {
            self.schedule.narrow(window);
        }
        let pause = self
            .service
            .window_failed(reader, narrowest, Instant::now());
        if narrowest {
            self.tell(Event::PageFailed {
                sentence,
                label: "paging",
                pause,
                person: true,
            });
        } else {
            self.tell(Event::Narrowed { window, sentence });
        }
        if stays {
            read.begin_anew();
            if let Some(reader) = self.readers.get_mut(reader) {
                reader.read = Some(read);
            }
        } else {
            self.pending.abandon(read.id);
        }
        Ok(())
    }
}
