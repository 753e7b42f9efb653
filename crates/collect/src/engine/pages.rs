//! What came of asking: a page is taken in while the next one is on its way.

use std::time::Duration;

use rows::Page;
use tokio::time::Instant;

use crate::{
    CheckpointStore, ErrorClass, Event, Lane, Newest, Sink, Source, Store,
    decide::pending::Read,
    engine::{Answer, Collector, Flow, walk::is_paced},
    reader::{Reader, WindowRead, doubt::has_rows_of, trail::WalkStep},
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    pub(super) async fn answered(&mut self, answer: Answer<S::Link>) -> Flow {
        let (reader, full_page, page) = match answer {
            Answer::Page(reader, full_page, page) => (reader, full_page, page),
            Answer::Time(told) => {
                self.time_came(told);
                return Ok(());
            }
        };
        let Some(mut read) = self.readers.get_mut(reader).and_then(Reader::answered) else {
            return Ok(());
        };
        read.reader = reader;
        // The source may have become another one meanwhile: the page is of the one or of the other.
        read.full_page = full_page.min(self.parts.source.limits().rows_per_page);
        self.taken_in = Some((read.lane, read.window));
        match page {
            Ok(page) => {
                let damaged = page.damage().map(|damage| {
                    format!("unreadable answer: {}; asked again later", damage.sentence)
                });
                match damaged {
                    Some(sentence) => Box::pin(self.doubt(read, Some(page), &sentence)).await,
                    None => {
                        let has_rows = has_rows_of(&page, read.window);
                        self.damage.was_whole(read.window, has_rows);
                        if has_rows {
                            self.schedule.wake_with_others(Instant::now());
                        }
                        if let Some(doubt) = read.doubt.take() {
                            self.tell(Event::Recovered(doubt.answers));
                        }
                        self.turn_page(read, page).await
                    }
                }
            }
            Err(error) if read.is_completing() => Box::pin(self.message_failed(read, &error)).await,
            Err(error) if error.class == ErrorClass::Unreadable => {
                Box::pin(self.doubt(read, None, &error.sentence)).await
            }
            Err(error) if error.class == ErrorClass::Narrow => {
                self.tell_failed(&error.sentence, error.label);
                match read.link {
                    // Others as wide would be refused, too. The rest of a window says nothing of that.
                    None if !read.is_probe && read.asked == read.window => {
                        Box::pin(self.relieve(read, &error.sentence)).await
                    }
                    _ => Box::pin(self.read_otherwise(read, &error.sentence)).await,
                }
            }
            Err(error) if let ErrorClass::OutOfReach { days } = error.class => {
                self.refused(read, days, &error).await
            }
            Err(error) => Box::pin(self.failed(read, &error)).await,
        }
    }

    /// Takes a page in, while the next one is being fetched.
    pub(super) async fn turn_page(
        &mut self,
        mut read: WindowRead<S, K>,
        page: Page<S::Link>,
    ) -> Flow {
        self.page_came(&read);
        self.schedule.paged(read.asking_lane());
        // Before its rows are looked at: they must not count as foreign.
        if let Some(window) = self.schedule.answered(read.window, Instant::now()) {
            self.tell(Event::Found(window));
        }
        if self.is_of_another_order(&read) {
            return self.put_back(read).await;
        }
        if read.is_cut_off(&page) {
            self.take(&page, &mut read).await?;
            self.resume_later(read);
            return Ok(());
        }
        let most = self.parts.source.limits().pages_per_window;
        let distrust = page.next().and_then(|next| read.follow(next, most));
        let goes_on = page.next().is_some() && distrust.is_none();
        let is_completing = read.is_completing();
        let newest = read.newest(&page).filter(|_| !is_completing);
        if goes_on && self.is_shortened(&read, newest) {
            self.take(&page, &mut read).await?;
            return self.abandon(read).await;
        }
        self.look_at_recipients(&page, &mut read);
        if read.completion.is_foreign() {
            self.take(&page, &mut read).await?;
            let sentence = "the answer has rows of other messages";
            return Box::pin(self.message_spoilt(read, sentence)).await;
        }
        let advances = read.trail.advances(&page);
        // The source may have asked another reader for a pause.
        let is_ahead = goes_on && advances && !is_paced(&read) && self.may_ask(read.reader);
        if is_ahead {
            self.fetch(read.reader, read.asks());
        }
        let is_news = self.take(&page, &mut read).await?;
        if is_ahead {
            self.resume(read, Duration::ZERO);
            return Ok(());
        }
        let step = match advances {
            true => WalkStep::Forward,
            false => read.trail.step(&page, is_news),
        };
        // It may be the last one all the same: then more requests say so.
        let may_lack_a_link = page.fills(read.full_page);
        drop(page);
        match distrust {
            _ if goes_on => Box::pin(self.walk_on(read, step)).await,
            Some(sentence) => self.read_otherwise(read, &sentence).await,
            None if may_lack_a_link => self.link_missing(read).await,
            None => Box::pin(self.walked(read)).await,
        }
    }

    /// A window, or a link of it, cannot be read like this: it goes on by the time of its last row. Before its
    /// first page there is none, and it is cut.
    async fn read_otherwise(&mut self, mut read: WindowRead<S, K>, sentence: &str) -> Flow {
        if read.is_completing() {
            return Box::pin(self.message_spoilt(read, sentence)).await;
        }
        if self.goes_without_link(&mut read, sentence) {
            self.resume_later(read);
            return Ok(());
        }
        Box::pin(self.cut(read, sentence)).await
    }

    /// A full page has no link: it is the last one, or the service has forgotten it.
    async fn link_missing(&mut self, mut read: WindowRead<S, K>) -> Flow {
        if read.is_completing() {
            let sentence = "a full answer has no link to the next page";
            return Box::pin(self.message_spoilt(read, sentence)).await;
        }
        if read.goes_by_time() || read.goes_by_fraction() {
            self.resume(read, Duration::ZERO);
            return Ok(());
        }
        if self.schedule.can_narrow(read.window) {
            // The rows come in another order, or all lie in its last second.
            let sentence = "a full page has no link to the next one";
            return Box::pin(self.cut(read, sentence)).await;
        }
        Box::pin(self.walked(read)).await
    }

    /// Whether a window was given back because it would have far more rows than it should, as the
    /// `newest` of them show.
    pub(super) fn is_shortened(&mut self, read: &WindowRead<S, K>, newest: Option<Newest>) -> bool {
        let Some(newest) = newest else {
            return false;
        };
        self.schedule.see(read.lane, newest);
        read.pages == 0 && self.schedule.shorten(read.lane, read.window, newest)
    }

    /// A page came: what failed before has healed.
    pub(super) fn page_came(&mut self, read: &WindowRead<S, K>) {
        let now = Instant::now();
        let failures = match read.is_probe {
            true => self.service.probe_answered(read.reader, now),
            false => self.service.answered(read.reader, now),
        };
        self.answers_again(failures);
    }

    /// The source has answered after so many failures.
    pub(super) fn answers_again(&mut self, failures: u32) {
        if failures > 0 {
            self.tell(Event::Recovered(failures));
        }
        self.set_trouble_of_orders(None);
    }

    pub(super) async fn window_read(&mut self, read: &mut WindowRead<S, K>) -> Flow {
        self.service.window_read(read.reader);
        if self.is_of_another_order(read) {
            self.pending.abandon(read.id);
            self.schedule.release(read.window);
            return Ok(());
        }
        let WindowRead {
            lane, rows, new, ..
        } = *read;
        self.schedule.learn(lane, read.window, rows);
        if self.schedule.narrows_past(lane) {
            self.service.walks(read.reader, Instant::now());
        }
        if lane == Lane::Backfill
            && let Some(backfill) = &mut self.backfill
        {
            backfill.work.changed().windows += 1;
        }
        self.tell(Event::WindowRead { rows, new });
        if lane == Lane::Verify && !read.heals {
            return Box::pin(self.audited(read)).await;
        }
        let until = self.moment();
        let done = self.pending.read(read.id, Read { rows, until });
        self.windows_done(done).await
    }
}
