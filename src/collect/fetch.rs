//! The async shell of the fetch loop: one task that reads pages in order while batches are
//! delivered beside it, a bounded number at a time.

use std::{collections::HashSet, future::Future, io, pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Checkpoint, Event, Observer, Pushed, Receipt, Remedy, Sink, Source, SourceError, Store,
    journal::Journal,
    known::{Admission, Filed, KnownRows, ReadingId},
    patience::Patience,
    plan::{Next, Plan},
    progress::{Progress, WindowId},
};
use crate::{Clock, Page, Window, http::Backoff, row::RowRef};

/// Batches under way at once (contract J-07).
const IN_FLIGHT: usize = 4;

/// How long a stop waits for batches that may be accepted any moment. Ending them sooner would make
/// the intake get their rows a second time after the next start.
const DRAIN: Duration = Duration::from_millis(2500);

/// Delivered rows are remembered for this long behind the mark: a source may show a row again
/// whose time lies behind everything read so far.
const REMEMBER: TimeDelta = TimeDelta::hours(24);

/// How far beyond its window a source may look to be on the safe side.
const MARGIN: TimeDelta = TimeDelta::seconds(2);

/// Pauses while the data directory cannot be written.
const STORE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What a collector works with.
pub struct Parts<S, K, T, C> {
    /// Where rows come from.
    pub source: Arc<S>,
    /// Where rows go.
    pub sink: Arc<K>,
    /// Where delivered rows are remembered.
    pub store: Arc<T>,
    /// Where the mark is kept.
    pub checkpoint: C,
    /// Who hears of it.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
    /// Ends the collection.
    pub stop: CancellationToken,
}

impl<S, K, T, C> std::fmt::Debug for Parts<S, K, T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The fetch loop.
#[derive(Debug)]
pub struct Collector<S: Source, K: Sink, T, C> {
    parts: Parts<S, K, T, C>,
    plan: Plan,
    progress: Progress,
    known: KnownRows,
    journal: Journal,
    /// Rows received just before the very first window are not ours: the module that ran before has
    /// sent them, or nobody asked for them. There is none when rows of our own are known.
    before_the_first: Option<Window>,
    deliveries: JoinSet<Delivery>,
    /// Failures of single pages.
    page_patience: Patience,
    /// Failures of whole windows: links that lead nowhere.
    window_patience: Patience,
}

/// A batch that is no longer under way.
#[derive(Debug)]
struct Delivery {
    window: WindowId,
    rows: Vec<Filed>,
    newest: Option<DateTime<Utc>>,
    /// None when it was given up because of a stop.
    receipt: Option<Receipt>,
}

/// A batch being filled.
struct Draft<B> {
    window: WindowId,
    /// Rows without a date are filed under this one.
    otherwise: DateTime<Utc>,
    batch: B,
    rows: Vec<Filed>,
    newest: Option<DateTime<Utc>>,
}

/// Why the loop ended.
enum End {
    Stopped,
    Failed(JoinError),
}

/// What asking for a page came to.
enum Asked<L> {
    Page(Page<L>),
    /// The link was given up.
    BeginAnew,
    /// The window cannot be read like this.
    Cut(Remedy, String),
}

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// A collector that follows `plan` and knows the `known` rows.
    pub fn new(parts: Parts<S, K, T, C>, plan: Plan, known: KnownRows, journal: Journal) -> Self {
        Self {
            progress: Progress::new(plan.edge()),
            before_the_first: before_the_first(&known, &plan),
            parts,
            plan,
            known,
            journal,
            deliveries: JoinSet::new(),
            page_patience: Patience::new(),
            window_patience: Patience::new(),
        }
    }

    /// Collects until stopped.
    ///
    /// # Errors
    /// Only when a delivery panicked; everything that can be waited out is.
    pub async fn run(mut self) -> io::Result<()> {
        let end = match self.collect().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.drain().await;
        match end {
            End::Stopped => Ok(()),
            End::Failed(error) => Err(io::Error::other(error)),
        }
    }

    async fn collect(&mut self) -> Result<std::convert::Infallible, End> {
        self.save_mark().await?;
        loop {
            match self.plan.next(self.source_time()) {
                Next::Read(window) => self.read(window).await?,
                Next::Lost(window) => self.lose(window).await?,
                Next::Wait(until) => {
                    let pause = (until - self.source_time()).to_std();
                    self.pause(pause.unwrap_or_default()).await?;
                }
            }
        }
    }

    fn source_time(&self) -> DateTime<Utc> {
        self.parts.source.now(self.parts.clock.now())
    }

    /// Reads one window to its end, or cuts it.
    async fn read(&mut self, window: Window) -> Result<(), End> {
        self.tell(Event::Asking { window });
        let id = self.progress.begin(window);
        let mut draft = self.draft(id, window);
        let mut seen = HashSet::new();
        let mut link: Option<S::Link> = None;
        let (mut pages, mut rows, mut new) = (0, 0, 0);
        let cut = loop {
            let page = match self.ask(window, link.clone()).await? {
                Asked::Page(page) => page,
                Asked::BeginAnew => {
                    seen.clear();
                    link = None;
                    continue;
                }
                Asked::Cut(remedy, sentence) => break Some((remedy, sentence)),
            };
            let fresh = self.take(&page, &mut draft).await?;
            self.tell(Event::PageRead {
                rows: page.len(),
                new: fresh,
            });
            pages += 1;
            rows += page.len() as u64;
            new += fresh as u64;
            let Some(next) = page.into_next() else {
                break None;
            };
            if let Some(sentence) = self.distrust(&next, &mut seen) {
                break Some((Remedy::Narrow, sentence));
            }
            link = Some(next);
        };
        self.send(draft).await?;
        if let Some((remedy, sentence)) = cut {
            return self.cut(window, id, remedy, &sentence).await;
        }
        self.window_patience.succeeded();
        self.plan.learn(window, rows);
        self.tell(Event::WindowRead {
            window,
            pages,
            rows,
            new,
        });
        if self.progress.read(id) {
            self.moved().await?;
        }
        Ok(())
    }

    /// Why a link is not followed, when it is not: it was followed before, or links go on for ever.
    fn distrust(&self, link: &S::Link, seen: &mut HashSet<S::Link>) -> Option<String> {
        let most = self.parts.source.limits().pages_per_window;
        if !seen.insert(link.clone()) {
            Some(format!(
                "the link to the next page repeats itself after {} pages",
                seen.len()
            ))
        } else if seen.len() >= most as usize {
            Some(format!("more than {most} pages in one query"))
        } else {
            None
        }
    }

    /// Asks for a page until there is one or asking again makes no sense.
    async fn ask(&mut self, window: Window, link: Option<S::Link>) -> Result<Asked<S::Link>, End> {
        loop {
            let source = Arc::clone(&self.parts.source);
            self.tell(Event::Turning {
                within: source.limits().longest_call,
            });
            let error = match self
                .beside_deliveries(source.page(window, link.clone()))
                .await?
            {
                Ok(page) => {
                    let failures = self.page_patience.succeeded();
                    if failures > 0 {
                        self.tell(Event::Recovered { failures });
                    }
                    return Ok(Asked::Page(page));
                }
                Err(error) => error,
            };
            if matches!(error.remedy, Remedy::Narrow | Remedy::TooOld { .. }) {
                return Ok(Asked::Cut(error.remedy, error.sentence));
            }
            if self.failed(&error).await? && link.is_some() {
                return Ok(Asked::BeginAnew);
            }
        }
    }

    /// Waits after a failed page. Whether its link should be given up.
    async fn failed(&mut self, error: &SourceError) -> Result<bool, End> {
        let verdict = self
            .page_patience
            .failed(error.remedy, self.parts.clock.now());
        let SourceError {
            remedy,
            sentence,
            label,
        } = error;
        let person = *remedy == Remedy::Person;
        self.tell(Event::PageFailed {
            sentence,
            label,
            pause: verdict.pause,
            person,
        });
        if verdict.call {
            self.tell(Event::Persisting { sentence });
        }
        self.pause(verdict.pause).await?;
        Ok(verdict.begin_anew)
    }

    /// Gives a window back to the plan, to be asked for in another way.
    async fn cut(
        &mut self,
        window: Window,
        id: WindowId,
        remedy: Remedy,
        sentence: &str,
    ) -> Result<(), End> {
        self.progress.abandon(id);
        if let Remedy::TooOld { oldest } = remedy
            && let Some(lost) = self.plan.forget_before(window, oldest)
        {
            let verdict = self.window_patience.failed(remedy, self.parts.clock.now());
            self.lose(lost).await?;
            return self.pause(verdict.pause).await;
        }
        let narrower = self.plan.narrow(window);
        let remedy = if narrower {
            Remedy::Narrow
        } else {
            Remedy::Person
        };
        let verdict = self.window_patience.failed(remedy, self.parts.clock.now());
        if narrower {
            self.tell(Event::Narrowed { window, sentence });
        } else {
            let (label, pause) = ("paging", verdict.pause);
            self.tell(Event::PageFailed {
                sentence,
                label,
                pause,
                person: true,
            });
        }
        if verdict.call {
            self.tell(Event::Persisting { sentence });
        }
        self.pause(verdict.pause).await
    }

    /// Moves past rows that are gone for good.
    async fn lose(&mut self, window: Window) -> Result<(), End> {
        self.tell(Event::Lost { window });
        let id = self.progress.begin(window);
        if self.progress.read(id) {
            self.moved().await?;
        }
        Ok(())
    }

    /// Puts the new rows of a page into batches. How many there were.
    async fn take(
        &mut self,
        page: &Page<S::Link>,
        draft: &mut Draft<K::Batch>,
    ) -> Result<usize, End> {
        let mut new = 0;
        for row in page.rows() {
            if self.is_foreign(row.received) {
                continue;
            }
            // One window is read at a time, so it does not matter which one carries a row.
            let admission = self
                .known
                .admit(row.key, row.received, draft.otherwise, ReadingId(0));
            if let Admission::New(filed) | Admission::Changed(filed) = admission {
                self.add(row, filed, draft).await?;
                new += 1;
            }
        }
        Ok(new)
    }

    fn is_foreign(&self, received: Option<DateTime<Utc>>) -> bool {
        let before = self.before_the_first;
        before.is_some_and(|before| received.is_some_and(|received| before.contains(received)))
    }

    async fn add(
        &mut self,
        row: RowRef<'_>,
        filed: Filed,
        draft: &mut Draft<K::Batch>,
    ) -> Result<(), End> {
        let mut pushed = draft.batch.push(row.json);
        if pushed == Pushed::Full && !draft.rows.is_empty() {
            let full = std::mem::replace(draft, self.draft_after(draft));
            self.send(full).await?;
            pushed = draft.batch.push(row.json);
        }
        if pushed == Pushed::Added {
            draft.rows.push(filed);
            draft.newest = draft.newest.max(row.received);
            return Ok(());
        }
        let reason = "it is longer than the intake accepts";
        self.tell(Event::Dropped {
            event: row.json,
            reason,
        });
        self.remember(&[filed]).await
    }

    fn draft(&self, window: WindowId, span: Window) -> Draft<K::Batch> {
        let batch = self.parts.sink.batch();
        Draft {
            window,
            otherwise: span.start(),
            batch,
            rows: Vec::new(),
            newest: None,
        }
    }

    fn draft_after(&self, draft: &Draft<K::Batch>) -> Draft<K::Batch> {
        let batch = self.parts.sink.batch();
        Draft {
            batch,
            rows: Vec::new(),
            newest: None,
            ..*draft
        }
    }

    /// Sends a batch on its way, when there is room for one more.
    async fn send(&mut self, draft: Draft<K::Batch>) -> Result<(), End> {
        let Draft {
            window,
            batch,
            rows,
            newest,
            ..
        } = draft;
        if rows.is_empty() {
            return Ok(());
        }
        while self.deliveries.len() >= IN_FLIGHT {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return Err(End::Stopped),
                Some(done) = self.deliveries.join_next() => self.delivered(done).await?,
            }
        }
        self.progress.sent(window);
        let sink = Arc::clone(&self.parts.sink);
        self.deliveries.spawn(async move {
            let receipt = sink.deliver(batch).await;
            Delivery {
                window,
                rows,
                newest,
                receipt,
            }
        });
        Ok(())
    }

    async fn delivered(&mut self, done: Result<Delivery, JoinError>) -> Result<(), End> {
        let Delivery {
            window,
            rows,
            newest,
            receipt,
        } = done.map_err(End::Failed)?;
        let Some(receipt) = receipt else {
            return Ok(());
        };
        let accepted = rows.len().saturating_sub(receipt.rejected.len());
        self.tell(Event::Accepted {
            rows: accepted,
            newest,
        });
        for rejected in &receipt.rejected {
            self.tell(Event::Dropped {
                event: &rejected.event,
                reason: &rejected.reason,
            });
        }
        self.remember(&rows).await?;
        if self.progress.accepted(window) {
            self.moved().await?;
        }
        Ok(())
    }

    /// Makes sure that rows are not sent again.
    async fn remember(&mut self, rows: &[Filed]) -> Result<(), End> {
        self.known.deliver(rows);
        let mut backoff = store_backoff();
        while let Err(error) = self.journal.append(self.parts.store.as_ref(), rows).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        Ok(())
    }

    /// The mark has moved: keep it, and forget what lies far behind it.
    async fn moved(&mut self) -> Result<(), End> {
        self.save_mark().await?;
        let mark = self.progress.mark();
        self.tell(Event::Marked { mark });
        let horizon = mark - REMEMBER;
        self.known.forget_before(horizon);
        if let Err(error) = self
            .journal
            .forget_before(self.parts.store.as_ref(), horizon)
            .await
        {
            // Harmless: it is tried again when the mark moves again.
            self.tell(Event::StoreFailed {
                error: &error,
                pause: Duration::ZERO,
            });
        }
        Ok(())
    }

    async fn save_mark(&mut self) -> Result<(), End> {
        let mark = self.progress.mark();
        let mut backoff = store_backoff();
        while let Err(error) = self.parts.checkpoint.save(mark).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        Ok(())
    }

    async fn store_failed(&self, error: &io::Error, backoff: &mut Backoff) -> Result<(), End> {
        let pause = backoff.next_pause(None);
        self.tell(Event::StoreFailed { error, pause });
        self.tell(Event::Turning { within: pause });
        let waited = self
            .parts
            .stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        waited.ok_or(End::Stopped)
    }

    /// Waits, while batches are delivered.
    async fn pause(&mut self, pause: Duration) -> Result<(), End> {
        self.tell(Event::Turning { within: pause });
        self.beside_deliveries(tokio::time::sleep(pause)).await
    }

    /// Runs something while batches are delivered, until stopped.
    async fn beside_deliveries<O>(&mut self, work: impl Future<Output = O>) -> Result<O, End> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return Err(End::Stopped),
                Some(done) = self.deliveries.join_next() => self.delivered(done).await?,
                output = &mut work => return Ok(output),
            }
        }
    }

    /// Takes in what is accepted shortly after a stop, and gives up the rest.
    async fn drain(&mut self) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while let Ok(Some(done)) =
            tokio::time::timeout_at(deadline, self.deliveries.join_next()).await
        {
            // Only a stop ends it, which is under way already.
            if self.delivered(done).await.is_err() {
                break;
            }
        }
        self.deliveries.abort_all();
    }

    fn tell(&self, event: Event<'_>) {
        self.parts.observer.on(event);
    }
}

fn before_the_first(known: &KnownRows, plan: &Plan) -> Option<Window> {
    let first = plan.edge();
    Window::new(first - MARGIN, first).filter(|_| known.is_empty())
}

fn store_backoff() -> Backoff {
    Backoff::new(STORE_PAUSES.0, STORE_PAUSES.1)
}
