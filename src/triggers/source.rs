//! Fits the Microsoft side to the traits of the fetch loop.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use base::{Store as _, http::chain};
use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    ErrorClass, Lane, PendingRequest, Source, SourceError, SourceLimits, SourceTime,
    verify::RowName,
};
use microsoft::{
    Allowance, Details, Graph, Limiter, Link, Quota, ReportingService, Share, Urgency,
};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use rows::{Page, Question};
use sekoia::{Context, Log, Metrics, RunError, Storage};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, task, time::Instant};

use super::{details, formats::VERSION, row_text::TraceText, words::moment};

/// How far back the Reporting Web Service keeps rows (reference A.6).
pub(super) const REPORTING_RETENTION: TimeDelta = TimeDelta::days(30);

/// Of a message with more recipients Microsoft may show no more in a window (reference B.4).
const RECIPIENTS_SHOWN: u32 = 1000;

/// The Reporting Web Service as a part of a source.
#[derive(Debug)]
pub(super) struct Reporting {
    pub(super) service: ReportingService,
    pub(super) details: Details,
}

impl Reporting {
    pub(super) fn new(service: ReportingService) -> Self {
        let details = service.details();
        Self { service, details }
    }

    /// Pages hold 2000 rows, and a query ends with an error after about 500 of them
    /// (reference A.5).
    pub(super) fn limits(&self) -> SourceLimits {
        SourceLimits {
            longest_window: TimeDelta::days(10),
            retention: REPORTING_RETENTION,
            rows_per_window: 40_000,
            rows_per_page: 2000,
            // No quota is known: about as much as two readers get at 2 s a page.
            share: 270,
            pages_per_window: 250,
            recipients_shown: RECIPIENTS_SHOWN,
            latency: self.service.exchange.latency(),
        }
    }
}

/// What the loop is told of an error. Some of it is kept in files, so that secrets, which an answer may echo,
/// are hidden here.
pub(super) fn source_error(error: &microsoft::Error, log: &Log) -> SourceError {
    SourceError {
        class: error.class(),
        sentence: log.masked(&chain(error)),
        label: error.label(),
        may_be_too_wide: error.may_be_too_wide(),
    }
}

/// Microsoft Graph as a source.
#[derive(Debug)]
pub(super) struct GraphSource {
    graph: Graph,
    details: Details,
    limiter: Limiter,
    storage: Storage,
    log: Log,
    /// How many links had been repaired when that was looked at last.
    repaired: AtomicU64,
    /// The use of the quota is kept.
    remembered: NowAndThen,
    repairs: Counter,
    /// Whether it was said that less than our share is allowed.
    restrained: AtomicBool,
    figures: QuotaFigures,
}

/// Where the instants of requests are kept that count for the quota, as milliseconds since 1970.
pub(super) const QUOTA_FILE: &str = "quota.json";

/// The content of that file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UsedQuota {
    version: u64,
    requests: Vec<i64>,
}

impl UsedQuota {
    /// The instants in the text of the file; none when it is damaged.
    pub(super) fn parse(text: &[u8]) -> Vec<i64> {
        let kept = serde_json::from_slice::<Self>(text);
        // An earlier version has kept them alone.
        kept.map(|kept| kept.requests)
            .or_else(|_| serde_json::from_slice(text))
            .unwrap_or_default()
    }
}

/// They are kept at most this often: pages can come faster than a disk is to be written.
const REMEMBERING: Duration = Duration::from_secs(1);

/// What is done now and then, when it was begun last, and whether that is under way: who finds it so goes on
/// without. A store that does not answer holds up one page then, and no row of the others.
#[derive(Debug, Default)]
struct NowAndThen(Mutex<Option<Instant>>);

impl NowAndThen {
    async fn when_due(&self, every: Duration, work: impl Future<Output = ()>) {
        let Ok(mut last) = self.0.try_lock() else {
            return;
        };
        if last.is_none_or(|last| last.elapsed() >= every) {
            *last = Some(Instant::now());
            work.await;
        }
    }
}

impl GraphSource {
    pub(super) fn new(graph: Graph, limiter: Limiter, storage: Storage, context: &Context) -> Self {
        Self {
            restrained: AtomicBool::new(false),
            figures: QuotaFigures::new(&context.metrics),
            details: graph.details(),
            graph,
            limiter,
            storage,
            log: context.log.clone(),
            repaired: AtomicU64::new(0),
            remembered: NowAndThen::default(),
            repairs: context.metrics.figure(
                "links_repaired",
                "Links to the next page that Microsoft refused itself and that were mended",
            ),
        }
    }

    /// Asks for a page of one row: whether the service answers.
    pub(super) async fn ask(&self) -> Result<(), microsoft::Error> {
        let told = self.graph.ask_time().await;
        self.remember_quota().await;
        self.say_allowance();
        told
    }

    /// The quota as the last run left it; unused when that is not known.
    pub(super) async fn remembered_quota(
        storage: &Storage,
        share: Share,
    ) -> Result<Quota, RunError> {
        // What was used is not known where something else is in its place, which the service's 429 sets right.
        let text = storage.read_or_empty(QUOTA_FILE).await?;
        let stamps = UsedQuota::parse(&text.unwrap_or_default())
            .into_iter()
            .filter_map(DateTime::from_timestamp_millis);
        Ok(Quota::restored(share, stamps))
    }

    /// Keeps what of the quota is used, now and then. Between, and when that fails, a restart may use
    /// some of it twice, which the service's 429 sets right.
    async fn remember_quota(&self) {
        let keeping = self.keep_quota();
        self.remembered.when_due(REMEMBERING, keeping).await;
    }

    async fn keep_quota(&self) {
        let stamps = self.limiter.stamps();
        let used = UsedQuota {
            version: VERSION,
            requests: stamps.iter().map(DateTime::timestamp_millis).collect(),
        };
        let Ok(text) = serde_json::to_vec(&used) else {
            return;
        };
        if let Err(error) = self.storage.write_lightly(QUOTA_FILE, text).await {
            self.log
                .exception("The use of the quota cannot be kept", &error);
        }
    }

    /// Says, once until that is over, that less than our share is allowed.
    fn say_allowance(&self) {
        let allowance = self.limiter.allowance();
        let until = allowance.as_ref().map(|one| one.until);
        self.figures.tell(self.limiter.allowed(), until);
        let before = self.restrained.swap(allowance.is_some(), Relaxed);
        if let Some(Allowance {
            allowed,
            share,
            until,
        }) = allowance.filter(|_| !before)
        {
            self.log.warning(format!(
                "Microsoft has refused a request for the quota's sake, which others may use, too: {allowed} \
                 instead of {share} requests in 5 minutes are made from now on, and all again from \
                 {} on, unless it refuses more.",
                moment(until)
            ));
        }
    }

    fn say_repairs(&self) {
        let now = self.graph.links_repaired();
        // Readers beside each other may look in another order than they have counted.
        let new = now.saturating_sub(self.repaired.fetch_max(now, Relaxed));
        if new > 0 {
            self.repairs.inc_by(new);
            self.log.warning(
                "Microsoft refused its own link to the next page; it was mended, and no row is \
                 lost.",
            );
        }
    }
}

impl Source for GraphSource {
    type Link = Link;
    type Text = TraceText;

    fn text(&self) -> &TraceText {
        &TraceText
    }

    async fn page(
        &self,
        lane: Lane,
        question: Question,
        link: Option<Link>,
    ) -> Result<Page<Link>, SourceError> {
        let urgency = match lane {
            Lane::Live => Urgency::Now,
            Lane::Settle | Lane::Backlog | Lane::Backfill | Lane::Verify => Urgency::Later,
        };
        let page = self.graph.page(question, link.as_ref(), urgency).await;
        self.remember_quota().await;
        self.say_repairs();
        self.say_allowance();
        page.map_err(|error| source_error(&error, &self.log))
    }

    fn oldest_request(&self) -> Option<PendingRequest> {
        self.graph.exchange.oldest_request()
    }

    fn limits(&self) -> SourceLimits {
        SourceLimits {
            longest_window: Graph::LONGEST_WINDOW,
            retention: Graph::RETENTION,
            // Just below 50 pages: each query ends with a page that is not full, so there should be
            // few queries, and a full page at the end when the estimate is right. But the rows of a
            // window are remembered until all of it is delivered.
            rows_per_window: 249_000,
            rows_per_page: 5000,
            share: self.limiter.share(),
            pages_per_window: 300,
            recipients_shown: RECIPIENTS_SHOWN,
            latency: self.graph.exchange.latency(),
        }
    }

    async fn details(
        &self,
        name: RowName,
        received: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, SourceError> {
        if self.limiter.allowance().is_some() {
            return Err(SourceError {
                class: ErrorClass::Throttled { after: None },
                sentence: "Microsoft has refused requests for the quota's sake, and what it allows is for \
                           rows"
                    .to_owned(),
                label: "quota",
                may_be_too_wide: false,
            });
        }
        let told = details::ask(&self.details, name, received, &self.log).await;
        self.remember_quota().await;
        told
    }

    fn time(&self, _local: DateTime<Utc>) -> SourceTime {
        self.graph.exchange.time()
    }

    fn has_passed(&self, at: DateTime<Utc>) {
        self.graph.exchange.has_passed(at);
    }

    async fn ask_time(&self) -> Result<(), SourceError> {
        self.ask()
            .await
            .map_err(|error| source_error(&error, &self.log))
    }

    fn leave_in(&self, task: task::Id) -> Option<Duration> {
        self.limiter.leave_in(task)
    }

    fn quota_use(&self) -> Option<collect::QuotaUse> {
        Some(collect::QuotaUse {
            share: self.limiter.share(),
            allowed: self.limiter.allowed(),
            used: self.limiter.used(),
            restored: self.limiter.allowance().map(|allowance| allowance.until),
        })
    }

    async fn close(&self) {
        self.keep_quota().await;
    }
}

/// A figure without labels that is gone while there is nothing to tell.
type Passing = Family<[(&'static str, &'static str); 0], Gauge>;

/// Metrics outlive a run, and the next one may read another service, of which no quota is known.
#[derive(Clone, Debug)]
pub(super) struct QuotaFigures {
    allowed: Passing,
    restored: Passing,
}

impl QuotaFigures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            allowed: metrics.figure(
                "quota_allowed_requests",
                "Requests to the message trace in 5 minutes that are allowed at present",
            ),
            restored: metrics.figure(
                "quota_restored_timestamp_seconds",
                "When all of `quota` is allowed again; 0 when it is",
            ),
        }
    }

    /// So many requests are allowed, and all of them again from then on.
    pub(super) fn tell(&self, allowed: u32, restored: Option<DateTime<Utc>>) {
        self.allowed.get_or_create(&[]).set(allowed.into());
        let restored = restored.map_or(0, |at| at.timestamp());
        self.restored.get_or_create(&[]).set(restored);
    }

    /// What the run before has told does not hold any more.
    pub(super) fn forget(&self) {
        self.allowed.clear();
        self.restored.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use base::Clock;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_holds_up_one_page_alone() {
        let kept = NowAndThen::default();
        let mut hangs = pin!(kept.when_due(REMEMBERING, pending()));
        assert!(timeout(3 * REMEMBERING, &mut hangs).await.is_err());
        let twice = async { panic!("it is under way") };
        kept.when_due(REMEMBERING, twice).await;
        // One that has ended is done again when it is time.
        let kept = NowAndThen::default();
        let times = AtomicU64::new(0);
        for _ in 0..9 {
            let work = async { _ = times.fetch_add(1, Relaxed) };
            kept.when_due(REMEMBERING, work).await;
            sleep(REMEMBERING / 2).await;
        }
        assert_eq!(times.load(Relaxed), 5);
    }

    /// As when the settings change from Microsoft Graph to the Reporting Web Service.
    #[test]
    fn the_next_run_tells_nothing_of_the_quota_of_the_one_before() {
        let metrics = Metrics::new(Clock::system());
        let before = QuotaFigures::new(&metrics);
        before.tell(60, DateTime::from_timestamp(1_800_000_000, 0));
        assert_eq!(before.allowed.get_or_create(&[]).get(), 60);
        QuotaFigures::new(&metrics).forget();
        assert!(before.allowed.get(&[]).is_none() && before.restored.get(&[]).is_none());
        before.tell(90, None);
        assert_eq!(before.restored.get_or_create(&[]).get(), 0);
    }
}
