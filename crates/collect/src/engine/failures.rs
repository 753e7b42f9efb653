//! What follows from a request that failed: a pause, a narrower window, a call for help. Nothing is
//! skipped.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, Sink, Source, SourceError, Store,
    decide::service::FailureVerdict,
    engine::{ALMOST_AT_ONCE, Collector, End},
    order::Trouble,
    reader::WindowRead,
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A request failed: the reader pauses, and others with it.
    pub(super) async fn failed(
        &mut self,
        mut read: WindowRead<S, K>,
        error: &SourceError,
    ) -> Result<(), End> {
        let is_link_given_up = read.failed();
        let too_wide =
            error.may_be_too_wide && !read.is_probe && self.service.is_too_wide(read.reader);
        let verdict = self.pause_after(read.reader, error);
        let time = self.time();
        if read.pages == 0 && read.window.end() > time.now {
            // The clock was ahead when it was made: the windows are made anew. What lies after a time that
            // nobody is certain of is not taken back, as only the live edge brings it again.
            let certain = time.certain.filter(|_| self.schedule.is_collecting());
            match certain {
                Some(_) => {
                    self.schedule.withdraw(read.window, time.now);
                    self.service
                        .hold(read.reader, ALMOST_AT_ONCE, Instant::now());
                }
                None => self.schedule.give_back(read.window),
            }
            self.pending.abandon(read.id);
            return Ok(());
        }
        if read.is_probe {
            return self.put_back(read).await;
        }
        if too_wide {
            return self.relieve(read, &error.sentence).await;
        }
        if read.link.is_none() && is_about_a_window(error.class) {
            if read.lane != Lane::Live && self.schedule.has_rested(read.window) {
                return self.rest(read, &error.sentence).await;
            }
            if verdict.is_stubborn {
                // Others are answered: narrower ones may be, and what only a person mends must not hold up the others.
                return match error.class.needs_a_person() && read.lane != Lane::Live {
                    true => self.rest(read, &error.sentence).await,
                    false => self.relieve(read, &error.sentence).await,
                };
            }
            if verdict.is_lasting && read.lane == Lane::Live && error.class != ErrorClass::Outage {
                return self.let_go_of_the_past(read).await;
            }
        }
        if is_link_given_up {
            return Box::pin(self.link_failed(read, &error.sentence)).await;
        }
        self.resume(read, Duration::ZERO);
        Ok(())
    }

    /// The live edge fails again and again, and nothing else is asked for that would show whether it is the
    /// source that fails, or this window. It goes on with its newest part, and is not held up by the past.
    async fn let_go_of_the_past(&mut self, read: WindowRead<S, K>) -> Result<(), End> {
        self.schedule.let_go_of_the_past(read.window);
        self.pending.abandon(read.id);
        self.service.begun(read.reader);
        self.send(read.draft).await
    }

    /// A window cannot be read now, and others can: it is left alone for a while. When too many are, its
    /// reader stays with it.
    pub(super) async fn rest(
        &mut self,
        mut read: WindowRead<S, K>,
        sentence: &str,
    ) -> Result<(), End> {
        let window = read.window;
        self.send_rest(&mut read).await?;
        let pause = self.service.rests(read.reader, self.schedule.resting());
        if self.schedule.rest(window, Instant::now() + pause) {
            self.pending.abandon(read.id);
            self.tell(Event::Rests {
                window,
                sentence,
                pause,
            });
        } else {
            read.begin_anew();
            let pause = self
                .service
                .window_failed(read.reader, true, Instant::now());
            self.resume(read, pause);
        }
        Ok(())
    }

    /// A reader pauses after a failure, and it is told.
    pub(super) fn pause_after(&mut self, reader: usize, error: &SourceError) -> FailureVerdict {
        self.last_failed = reader;
        let verdict = self.service.failed(reader, error.class, Instant::now());
        let person = error.class.needs_a_person();
        let sentence = error.sentence.clone();
        self.orders_are_in(Some(Trouble { sentence, person }));
        self.tell_failed(&error.sentence, error.label, person);
        if verdict.call {
            self.tell(Event::Persisting(&error.sentence));
        }
        verdict
    }

    /// Has a window that fails while others are answered read in narrower ones.
    pub(super) async fn relieve(
        &mut self,
        read: WindowRead<S, K>,
        sentence: &str,
    ) -> Result<(), End> {
        if !self.schedule.can_narrow(read.window) {
            return self.cut(read, sentence).await;
        }
        self.schedule.relieve(read.lane, read.window);
        self.service
            .window_failed(read.reader, false, Instant::now());
        self.narrowed(read, sentence).await
    }

    /// A window is given back, to be asked for in narrower ones: what was read of it is sent.
    pub(super) async fn narrowed(
        &mut self,
        read: WindowRead<S, K>,
        sentence: &str,
    ) -> Result<(), End> {
        let window = read.window;
        self.pending.abandon(read.id);
        self.tell(Event::Narrowed { window, sentence });
        self.send(read.draft).await
    }

    pub(super) fn tell_failed(&self, sentence: &str, label: &'static str, person: bool) {
        self.tell(Event::PageFailed {
            sentence,
            label,
            person,
        });
    }

    /// Has a window read in another way.
    pub(super) async fn cut(&mut self, read: WindowRead<S, K>, sentence: &str) -> Result<(), End> {
        let narrowest = !self.schedule.can_narrow(read.window);
        if narrowest && read.lane != Lane::Live {
            return self.rest(read, sentence).await;
        }
        self.schedule.narrow(read.window);
        self.service
            .window_failed(read.reader, narrowest, Instant::now());
        if !narrowest {
            return self.narrowed(read, sentence).await;
        }
        self.pending.abandon(read.id);
        self.tell_failed(sentence, "paging", true);
        self.send(read.draft).await
    }
}

/// Whether a failure may be one of this window alone.
fn is_about_a_window(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Outage | ErrorClass::Person | ErrorClass::Transient { after: None } => true,
        ErrorClass::Transient { after: Some(_) }
        | ErrorClass::Throttled { .. }
        | ErrorClass::Refused { .. }
        | ErrorClass::Unreadable
        | ErrorClass::Narrow
        | ErrorClass::OutOfReach { .. } => false,
    }
}
