//! The services that contestants talk to: pages from a stock, everything else from the emulator.

mod pages;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::HeaderMap,
    response::Response,
};
use chrono::{DateTime, Utc};
use emulator::{Authority, Emulator, Options, TlsFront, Traffic};
use memchr::memmem;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::stock::Stock;

/// Tells the time of a contestant whose time is not the machine's, in milliseconds since 1970.
pub(crate) const NOW: &str = "x-benchmark-now";
/// Tells how many rows are in a body that is no batch of events.
pub(crate) const ROWS: &str = "x-benchmark-rows";
/// Where the relay finds its pages: the numbers of the first row and of the one after the last follow,
/// as `0-2000`.
pub(crate) const RELAY_PAGE: &str = "/relay/";
const MOST_BYTES: usize = 64 << 20;
/// So many answers of the intake in a row have other identifiers each: an answer that comes again is not believed.
const DIFFERENT: usize = 5000;

/// How contestants and services talk: pages are only compressed in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Tls,
    Production,
}

impl Wire {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP",
            Self::Tls => "TLS",
            Self::Production => "TLS and gzip",
        }
    }

    fn scheme(self) -> &'static str {
        if self == Self::Plain { "http" } else { "https" }
    }
}

/// What was seen of a contestant.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) accepted: watch::Sender<u64>,
    pub(crate) pages: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
}

/// The services, on free ports of the loopback interface, until dropped.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) emulator: Emulator,
    /// The root of Microsoft's services, and that of Sekoia.io's.
    pub(crate) microsoft: String,
    pub(crate) sekoia: String,
    /// Whom contestants are to trust; none without TLS.
    pub(crate) authority: Option<Authority>,
    inner: Arc<Inner>,
    _fronts: Vec<TlsFront>,
    _servers: [AbortOnDropHandle<()>; 2],
}

#[derive(Debug)]
struct Inner {
    wire: Wire,
    stock: Option<Arc<Stock>>,
    emulator: Emulator,
    /// Identifiers for the intake's answers: for the longest batch, and more, so that answers differ.
    ids: Vec<String>,
    seen: Seen,
    /// The contestant's time, in milliseconds since 1970; 0 for the machine's.
    now: Arc<AtomicI64>,
    first: watch::Sender<Option<Instant>>,
}

impl Site {
    /// Shows this mail at the machine's time, or none.
    pub(crate) async fn open(stock: Option<Arc<Stock>>, wire: Wire) -> io::Result<Self> {
        Self::living(stock, wire, Traffic::default(), 0).await
    }

    /// Shows this mail, or what the emulator makes of this traffic, to a contestant for whom it is `now`,
    /// in milliseconds since 1970, and then what it tells itself; 0 for the machine's time.
    pub(crate) async fn living(
        stock: Option<Arc<Stock>>,
        wire: Wire,
        traffic: Traffic,
        now: i64,
    ) -> io::Result<Self> {
        let now = Arc::new(AtomicI64::new(now));
        let told = Arc::clone(&now);
        let emulator = Emulator::new(Options {
            clock: emulator::Clock::new(move || time(&told)),
            traffic,
            ..Options::default()
        });
        let inner = Arc::new(Inner {
            wire,
            stock,
            emulator: emulator.clone(),
            ids: (0..20_000 + DIFFERENT)
                .map(|_| Uuid::new_v4().to_string())
                .collect(),
            seen: Seen::default(),
            now,
            first: watch::Sender::new(None),
        });
        let (microsoft, first) = listen(&inner, Inner::microsoft).await?;
        let (sekoia, second) = listen(&inner, Inner::sekoia).await?;
        let mut addresses = [microsoft, sekoia];
        let authority = (wire != Wire::Plain).then(Authority::new);
        let mut fronts = Vec::new();
        if let Some(authority) = &authority {
            for address in &mut addresses {
                let certificate = authority.certificate(&["127.0.0.1"]);
                let front = TlsFront::start(*address, certificate).await?;
                *address = front.address();
                fronts.push(front);
            }
        }
        let [microsoft, sekoia] = addresses.map(|address| format!("{}://{address}", wire.scheme()));
        Ok(Self {
            emulator,
            microsoft,
            sekoia,
            authority,
            inner,
            _fronts: fronts,
            _servers: [first, second],
        })
    }

    /// From here on the machine's time counts.
    pub(crate) fn follow_the_machine(&self) {
        self.inner.now.store(0, Relaxed);
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.inner.seen
    }

    /// When the first request came; none when it did not come in time.
    pub(crate) async fn first_request(&self, limit: Duration) -> Option<Instant> {
        let mut first = self.inner.first.subscribe();
        let found = timeout(limit, first.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.as_ref().copied()
    }

    /// The next request counts as the first.
    pub(crate) fn forget_first_request(&self) {
        self.inner.first.send_replace(None);
    }

    pub(crate) fn accepted(&self) -> u64 {
        *self.seen().accepted.borrow()
    }

    /// When so many rows were accepted; none when that took too long.
    pub(crate) async fn has_accepted(&self, rows: u64, limit: Duration) -> Option<Instant> {
        let mut progress = self.seen().accepted.subscribe();
        let found = timeout(limit, progress.wait_for(|accepted| *accepted >= rows)).await;
        found.ok()?.ok().map(|_| Instant::now())
    }
}

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
fn time(told: &AtomicI64) -> DateTime<Utc> {
    let told = Some(told.load(Relaxed)).filter(|told| *told > 0);
    told.and_then(DateTime::from_timestamp_millis)
        .unwrap_or_else(Utc::now)
}

async fn listen<F>(
    inner: &Arc<Inner>,
    answer: impl Fn(Arc<Inner>, Request) -> F + Clone + Send + Sync + 'static,
) -> io::Result<(SocketAddr, AbortOnDropHandle<()>)>
where
    F: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let inner = Arc::clone(inner);
    let router = Router::new().fallback(move |request: Request| {
        if let Some(told) = header(request.headers(), NOW) {
            inner.now.fetch_max(told, Relaxed);
        }
        answer(Arc::clone(&inner), request)
    });
    let server = tokio::spawn(async move { _ = axum::serve(listener, router).await });
    Ok((address, AbortOnDropHandle::new(server)))
}

fn header<T: FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

impl Inner {
    async fn microsoft(self: Arc<Self>, request: Request) -> Response {
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(Instant::now);
            is_first
        });
        let stock = self.stock.as_deref();
        let page = stock.and_then(|stock| pages::asked(stock, &request, self.wire));
        let Some(page) = page else {
            return forward(self.emulator.microsoft_router(), request).await;
        };
        self.seen.pages.fetch_add(1, Relaxed);
        self.seen.bytes_out.fetch_add(page.len() as u64, Relaxed);
        pages::answer(page, self.wire, time(&self.now)).unwrap_or_default()
    }

    async fn sekoia(self: Arc<Self>, request: Request) -> Response {
        if self.stock.is_none() || !request.uri().path().ends_with("/batch") {
            return forward(self.emulator.sekoia_router(), request).await;
        }
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
        let rows = header(&parts.headers, ROWS).unwrap_or_else(|| rows_in(&body));
        let batch = self.seen.batches.fetch_add(1, Relaxed);
        self.seen.bytes_in.fetch_add(body.len() as u64, Relaxed);
        let accepted = &self.seen.accepted;
        accepted.send_modify(|accepted| *accepted += rows as u64);
        let first = usize::try_from(batch).unwrap_or_default() % DIFFERENT;
        let ids = self.ids.get(first..first + rows).unwrap_or(&self.ids);
        let answer = format!("{{\"event_ids\":[\"{}\"]}}", ids.join("\",\""));
        Response::new(Body::from(answer))
    }
}

/// How many events a batch holds. Inside of an event every quote is escaped, so that the end of one is
/// seen nowhere else.
fn rows_in(body: &[u8]) -> usize {
    memmem::find_iter(body, b"}\"").count()
}

async fn forward(router: Router, request: Request) -> Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
