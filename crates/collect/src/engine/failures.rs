//! What follows from a request that failed: a pause, a narrower window, a call for help. Nothing is
//! skipped.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, Sink, Source, SourceError, Store,
    decide::service::FailureVerdict,
    engine::{ALMOST_AT_ONCE, Collector, Flow},
    order::Trouble,
    reader::WindowRead,
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A request failed: the reader pauses, and others with it.
    pub(super) async fn failed(&mut self, mut read: WindowRead<S, K>, error: &SourceError) -> Flow {
        let is_link_given_up = read.failed();
        let too_wide =
            error.may_be_too_wide && !read.is_probe && self.service.is_too_wide(read.reader);
        let is_live = read.lane == Lane::Live;
        let has_rested = !is_live && self.schedule.has_rested(read.window);
        let verdict = self.pause_window(read.reader, error, has_rested);
        let time = self.time();
        if read.pages == 0 && read.window.end() > time.now {
            // The clock was ahead when it was made: the windows are made anew. What lies after a time that
            // nobody is certain of is not taken back, as only the live edge brings it again.
            if time.certain.is_some() && self.schedule.is_collecting() {
                self.schedule.withdraw(read.window, time.now);
                self.service
                    .hold(read.reader, ALMOST_AT_ONCE, Instant::now());
            } else {
                self.schedule.give_back(read.window);
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
        if read.link.is_none() {
            match remedy(error.class, verdict, is_live, has_rested, read.reader) {
                Remedy::Rest => return self.rest(read, &error.sentence).await,
                Remedy::RestAndLess => {
                    self.schedule.expect_less(read.lane, read.window);
                    return self.rest(read, &error.sentence).await;
                }
                Remedy::Narrower => return self.relieve(read, &error.sentence).await,
                Remedy::NewestAlone => {
                    self.schedule.let_go_of_the_past(read.window);
                    return self.given_back(read).await;
                }
                Remedy::Less if self.schedule.can_narrow(read.window) => {
                    self.schedule.relieve(read.lane, read.window);
                    return self.given_back(read).await;
                }
                Remedy::Less | Remedy::None => {}
            }
        }
        if is_link_given_up {
            return Box::pin(self.link_failed(read, &error.sentence)).await;
        }
        self.resume(read, Duration::ZERO);
        Ok(())
    }

    /// A window is given back without a word: its reader goes on with as little of it as the schedule says.
    async fn given_back(&mut self, read: WindowRead<S, K>) -> Flow {
        self.service.begun(read.reader);
        self.abandon(read).await
    }

    /// A window cannot be read now, and others can: it is left alone for a while. When too many are, its
    /// reader stays with it.
    pub(super) async fn rest(&mut self, mut read: WindowRead<S, K>, sentence: &str) -> Flow {
        self.send_rest(&mut read).await?;
        // It may be as long as the source has wished.
        let held = self.service.held_until(read.reader, Instant::now());
        if !self.rests(&read, sentence) {
            read.begin_anew();
            let now = Instant::now();
            let held = held.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            let pause = self.service.asks_seldom(read.reader, now).max(held);
            self.service.hold(read.reader, pause, now);
            self.resume(read, Duration::ZERO);
        }
        Ok(())
    }

    /// Whether a window is left alone for a while now: not when too many are.
    pub(super) fn rests(&mut self, read: &WindowRead<S, K>, sentence: &str) -> bool {
        let window = read.window;
        let pause = self.service.rests(read.reader, self.schedule.resting());
        let rests = self.schedule.rest(window, Instant::now() + pause);
        if rests {
            self.pending.abandon(read.id);
            self.tell(Event::Rests {
                window,
                sentence,
                pause,
            });
        }
        rests
    }

    /// A reader pauses after a failure, and it is told.
    pub(super) fn pause_after(&mut self, reader: usize, error: &SourceError) -> FailureVerdict {
        self.pause_window(reader, error, false)
    }

    /// The same for a window that may have rested.
    fn pause_window(
        &mut self,
        reader: usize,
        error: &SourceError,
        has_rested: bool,
    ) -> FailureVerdict {
        self.last_failed = reader;
        let now = Instant::now();
        let verdict = self
            .service
            .window_failed(reader, error.class, has_rested, now);
        let person = error.class.needs_a_person();
        let sentence = error.sentence.clone();
        self.set_trouble_of_orders(Some(Trouble { sentence, person }));
        self.tell(Event::PageFailed {
            sentence: &error.sentence,
            label: error.label,
            person,
        });
        if verdict.call {
            self.tell(Event::Persisting(&error.sentence));
        }
        if let Some(until) = verdict.stands_until {
            let pause = until.saturating_duration_since(now);
            self.tell(Event::StandsStill(self.parts.clock.now() + pause));
        }
        verdict
    }

    /// Has a window that fails while others are answered read in narrower ones.
    pub(super) async fn relieve(&mut self, read: WindowRead<S, K>, sentence: &str) -> Flow {
        if !self.schedule.can_narrow(read.window) {
            return self.cut(read, sentence).await;
        }
        self.schedule.relieve(read.lane, read.window);
        self.service.asks_otherwise(read.reader, Instant::now());
        self.narrowed(read, sentence).await
    }

    /// A window is given back, to be asked for in narrower ones.
    pub(super) async fn narrowed(&mut self, read: WindowRead<S, K>, sentence: &str) -> Flow {
        let window = read.window;
        self.tell(Event::Narrowed { window, sentence });
        self.abandon(read).await
    }

    /// There was no page, and no person need act.
    pub(super) fn tell_failed(&self, sentence: &str, label: &'static str) {
        self.tell(Event::PageFailed {
            sentence,
            label,
            person: false,
        });
    }

    /// Has a window read in another way.
    pub(super) async fn cut(&mut self, read: WindowRead<S, K>, sentence: &str) -> Flow {
        let narrowest = !self.schedule.can_narrow(read.window);
        if narrowest && read.lane != Lane::Live {
            return self.rest(read, sentence).await;
        }
        self.schedule.narrow(read.window);
        if !narrowest {
            self.service.asks_otherwise(read.reader, Instant::now());
            return self.narrowed(read, sentence).await;
        }
        self.service.asks_seldom(read.reader, Instant::now());
        self.tell(Event::PageFailed {
            sentence,
            label: "paging",
            person: true,
        });
        self.abandon(read).await
    }
}

/// What becomes of a window whose first page does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// It is asked for again as it is.
    None,
    /// It rests.
    Rest,
    /// It rests, and others are narrower until one of them is answered.
    RestAndLess,
    /// It is asked for in narrower ones, which is said.
    Narrower,
    /// The live edge goes on with its newest part, and is not held up by the past.
    NewestAlone,
    /// The next request asks for less.
    Less,
}

/// What follows from the failure of a window.
///
/// When others are answered between, again and again, it is the window that fails, also when the answer speaks
/// of all requests: a source may ask for a pause, or refuse, whenever one window is too much for it. For one that
/// has rested because of that, one more failure is enough. When nothing else is asked for that would show
/// whether it is the source or the window, the live edge goes on with less. And when nothing is answered but
/// with a wish for a pause, the first reader asks for less, too: else windows that are all too much would be
/// asked for without end.
fn remedy(
    class: ErrorClass,
    verdict: FailureVerdict,
    is_live: bool,
    has_rested: bool,
    reader: usize,
) -> Remedy {
    if let ErrorClass::Unreadable | ErrorClass::Narrow | ErrorClass::OutOfReach { .. } = class {
        // Something else is done about it.
        return Remedy::None;
    }
    if has_rested {
        return Remedy::Rest;
    }
    if verdict.is_stubborn {
        return match class {
            _ if is_live => Remedy::Narrower,
            ErrorClass::Person | ErrorClass::Refused { .. } => Remedy::Rest,
            ErrorClass::Throttled { .. } => Remedy::RestAndLess,
            _ => Remedy::Narrower,
        };
    }
    match class {
        ErrorClass::Person | ErrorClass::Transient { after: None }
            if is_live && verdict.is_lasting =>
        {
            Remedy::NewestAlone
        }
        // Halves of the live edge are for later, and later is long when the quota is what there is too little of.
        ErrorClass::Throttled { .. } if reader == 0 && verdict.is_general => {
            match is_live && !verdict.is_long {
                true => Remedy::NewestAlone,
                false => Remedy::Less,
            }
        }
        _ => Remedy::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICT: FailureVerdict = FailureVerdict {
        call: false,
        is_stubborn: false,
        is_lasting: false,
        is_general: false,
        is_long: false,
        stands_until: None,
    };

    const THROTTLED: ErrorClass = ErrorClass::Throttled {
        after: Some(Duration::ZERO),
    };

    const REFUSED: ErrorClass = ErrorClass::Refused { heals: true };

    const TRANSIENT: ErrorClass = ErrorClass::Transient { after: None };

    const PAUSING: ErrorClass = ErrorClass::Transient {
        after: Some(Duration::ZERO),
    };

    #[test]
    fn what_fails_while_others_are_answered_is_the_window_also_when_all_are_spoken_of() {
        let stubborn = FailureVerdict {
            is_stubborn: true,
            ..VERDICT
        };
        for (class, of_the_past) in [
            (ErrorClass::Outage, Remedy::Narrower),
            (TRANSIENT, Remedy::Narrower),
            (PAUSING, Remedy::Narrower),
            (ErrorClass::Person, Remedy::Rest),
            (REFUSED, Remedy::Rest),
            (THROTTLED, Remedy::RestAndLess),
        ] {
            let told = |is_live, has_rested| remedy(class, stubborn, is_live, has_rested, 0);
            assert_eq!(told(true, false), Remedy::Narrower, "{class:?}");
            assert_eq!(told(false, false), of_the_past, "{class:?}");
            let again = remedy(class, VERDICT, false, true, 1);
            assert_eq!(again, Remedy::Rest, "{class:?}");
            assert_eq!(
                remedy(class, VERDICT, false, false, 1),
                Remedy::None,
                "{class:?}"
            );
        }
        for class in [
            ErrorClass::Unreadable,
            ErrorClass::Narrow,
            ErrorClass::OutOfReach { days: None },
        ] {
            assert_eq!(remedy(class, stubborn, false, true, 0), Remedy::None);
        }
    }

    #[test]
    fn the_live_edge_and_the_first_reader_ask_for_less_when_nothing_is_answered() {
        let lasting = FailureVerdict {
            is_lasting: true,
            ..VERDICT
        };
        let general = FailureVerdict {
            is_general: true,
            ..VERDICT
        };
        let live = |class, verdict| remedy(class, verdict, true, false, 0);
        for class in [TRANSIENT, ErrorClass::Person] {
            assert_eq!(live(class, lasting), Remedy::NewestAlone, "{class:?}");
            assert_eq!(live(class, general), Remedy::None, "{class:?}");
        }
        for class in [ErrorClass::Outage, PAUSING, REFUSED, THROTTLED] {
            assert_eq!(live(class, lasting), Remedy::None, "{class:?}");
        }
        let long = FailureVerdict {
            is_long: true,
            ..general
        };
        assert_eq!(live(THROTTLED, general), Remedy::NewestAlone);
        assert_eq!(live(THROTTLED, long), Remedy::Less);
        for verdict in [general, long] {
            let of_the_past = |class, reader| remedy(class, verdict, false, false, reader);
            assert_eq!(of_the_past(THROTTLED, 0), Remedy::Less);
            assert_eq!(of_the_past(THROTTLED, 1), Remedy::None);
            assert_eq!(of_the_past(REFUSED, 0), Remedy::None);
            assert_eq!(live(REFUSED, verdict), Remedy::None);
        }
    }
}
