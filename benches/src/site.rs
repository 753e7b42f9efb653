//! The services that contestants talk to: pages from the stock, everything else from the emulator.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use emulator::{Emulator, Options, Traffic};
use futures_util::stream;
use memchr::memmem;
use percent_encoding::percent_decode_str;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::stock::{Dialect, Stock};

/// Tells the time of a contestant whose time is not the machine's, in milliseconds since 1970.
pub const NOW: &str = "x-benchmark-now";

/// Tells how many rows are in a body that is no batch of events.
pub const ROWS: &str = "x-benchmark-rows";

/// Where the relay finds its pages: the number of a page follows.
pub const RELAY_PAGE: &str = "/relay/";

/// More bytes than any body has.
const MOST_BYTES: usize = 64 << 20;

/// What was seen of a contestant.
#[derive(Debug, Default)]
pub struct Seen {
    /// Rows that the intake has accepted.
    pub accepted: AtomicU64,
    /// Requests for pages.
    pub pages: AtomicU64,
    /// Requests to the intake.
    pub batches: AtomicU64,
    /// Bytes of the pages.
    pub bytes_out: AtomicU64,
    /// Bytes of the batches.
    pub bytes_in: AtomicU64,
    /// Contestant's time of the latest request, in milliseconds since 1970; 0 for the machine's.
    now: AtomicI64,
}

/// The services, on free ports of the loopback interface, until dropped.
#[derive(Debug)]
pub struct Site {
    inner: Arc<Inner>,
    microsoft: u16,
    sekoia: u16,
    _closing: DropGuard,
}

#[derive(Debug)]
struct Inner {
    stock: Option<Arc<Stock>>,
    emulator: Emulator,
    microsoft: Router,
    sekoia: Router,
    /// Identifiers for the intake's answers; as long as the longest batch.
    ids: Vec<String>,
    seen: Seen,
    first: watch::Sender<Option<Instant>>,
    progress: watch::Sender<u64>,
    /// Contestant's time in milliseconds since 1970, and how many rows were accepted until then.
    timeline: Mutex<Vec<(i64, u64)>>,
}

impl Site {
    /// Serves this stock; without one, the emulator shows this traffic.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open(stock: Option<Arc<Stock>>, traffic: Traffic) -> io::Result<Self> {
        Self::open_with(stock, traffic, None).await
    }

    /// The same, when it is `now` for the contestant.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open_at(
        stock: Option<Arc<Stock>>,
        traffic: Traffic,
        now: DateTime<Utc>,
    ) -> io::Result<Self> {
        Self::open_with(stock, traffic, Some(now)).await
    }

    /// Where no time of the contestant's own is begun with, the machine's counts.
    async fn open_with(
        stock: Option<Arc<Stock>>,
        traffic: Traffic,
        begun: Option<DateTime<Utc>>,
    ) -> io::Result<Self> {
        let inner = Arc::new_cyclic(|inner: &std::sync::Weak<Inner>| {
            let weak = std::sync::Weak::clone(inner);
            let clock = emulator::Clock::new(move || {
                let told = weak
                    .upgrade()
                    .map_or(0, |inner| inner.seen.now.load(Relaxed));
                let told = DateTime::from_timestamp_millis(told).filter(|_| told > 0);
                told.or(begun).unwrap_or_else(now)
            });
            let emulator = Emulator::new(Options {
                clock,
                traffic,
                ..Options::default()
            });
            Inner {
                stock,
                microsoft: emulator.microsoft_router(),
                sekoia: emulator.sekoia_router(),
                emulator,
                ids: (0..20_000).map(|_| Uuid::new_v4().to_string()).collect(),
                seen: Seen::default(),
                first: watch::Sender::new(None),
                progress: watch::Sender::new(0),
                timeline: Mutex::default(),
            }
        });
        let closing = CancellationToken::new();
        let microsoft = listen(&inner, &closing, Inner::microsoft).await?;
        let sekoia = listen(&inner, &closing, Inner::sekoia).await?;
        Ok(Self {
            inner,
            microsoft,
            sekoia,
            _closing: closing.drop_guard(),
        })
    }

    /// The emulator behind it.
    pub fn emulator(&self) -> &Emulator {
        &self.inner.emulator
    }

    /// What was seen so far.
    pub fn seen(&self) -> &Seen {
        &self.inner.seen
    }

    /// The root of Microsoft's services.
    pub fn microsoft(&self) -> String {
        format!("http://127.0.0.1:{}", self.microsoft)
    }

    /// The root of Sekoia.io's services.
    pub fn sekoia(&self) -> String {
        format!("http://127.0.0.1:{}", self.sekoia)
    }

    /// When the first request came; none when it did not come in time.
    pub async fn first_request(&self, patience: Duration) -> Option<Instant> {
        let mut first = self.inner.first.subscribe();
        let found = timeout(patience, first.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.as_ref().copied()
    }

    /// How many rows were accepted until this instant of the contestant's time.
    pub fn accepted_until(&self, instant: DateTime<Utc>) -> u64 {
        let timeline = self
            .inner
            .timeline
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let until = timeline
            .iter()
            .filter(|(at, _)| *at <= instant.timestamp_millis());
        until.map(|(_, accepted)| *accepted).max().unwrap_or(0)
    }

    /// The contestant's time when so many rows were accepted.
    pub fn reached(&self, rows: u64) -> DateTime<Utc> {
        let timeline = self
            .inner
            .timeline
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut reached = timeline.iter().filter(|(_, accepted)| *accepted >= rows);
        let first = reached.next().map_or(0, |(at, _)| *at);
        DateTime::from_timestamp_millis(first).unwrap_or_default()
    }

    /// When so many rows were accepted; none when that took too long.
    pub async fn accepted(&self, rows: u64, patience: Duration) -> Option<Instant> {
        let mut progress = self.inner.progress.subscribe();
        let found = timeout(patience, progress.wait_for(|accepted| *accepted >= rows)).await;
        found.ok()?.ok().map(|_| Instant::now())
    }
}

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

async fn listen<F>(
    inner: &Arc<Inner>,
    closing: &CancellationToken,
    answer: impl Fn(Arc<Inner>, Request) -> F + Clone + Send + Sync + 'static,
) -> io::Result<u16>
where
    F: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let inner = Arc::clone(inner);
    let router = Router::new().fallback(move |request: Request| {
        let told = request
            .headers()
            .get(NOW)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        inner.seen.now.fetch_max(told.unwrap_or(0), Relaxed);
        answer(Arc::clone(&inner), request)
    });
    let closed = closing.clone().cancelled_owned();
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            () = closed => {}
        }
    });
    Ok(port)
}

impl Inner {
    async fn microsoft(self: Arc<Self>, request: Request) -> Response {
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(Instant::now);
            is_first
        });
        let path = request.uri().path();
        let is_page = path.ends_with("essageTraces") || path.ends_with("/MessageTrace");
        if is_page {
            self.seen.pages.fetch_add(1, Relaxed);
        }
        match &self.stock {
            Some(stock) if is_page => self.page(stock, &request),
            Some(stock) => match path.strip_prefix(RELAY_PAGE) {
                Some(number) => self.relay_page(stock, number.parse().unwrap_or(usize::MAX)),
                None => forward(&self.microsoft, request).await,
            },
            None => forward(&self.microsoft, request).await,
        }
    }

    async fn sekoia(self: Arc<Self>, request: Request) -> Response {
        if !request.uri().path().ends_with("/batch") {
            return forward(&self.sekoia, request).await;
        }
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
        self.seen.batches.fetch_add(1, Relaxed);
        self.seen.bytes_in.fetch_add(body.len() as u64, Relaxed);
        let rows = rows_in(&parts.headers, &body);
        let answer = if self.stock.is_some() {
            text(self.confirmation(rows))
        } else {
            forward(&self.sekoia, Request::from_parts(parts, Body::from(body))).await
        };
        if answer.status().is_success() {
            let accepted = self.seen.accepted.fetch_add(rows as u64, Relaxed) + rows as u64;
            let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
            timeline.push((self.seen.now.load(Relaxed), accepted));
            self.progress
                .send_modify(|progress| *progress = accepted.max(*progress));
        }
        answer
    }

    fn confirmation(&self, rows: usize) -> String {
        let ids = self.ids.get(..rows).unwrap_or(&self.ids);
        format!("{{\"event_ids\":[\"{}\"]}}", ids.join("\",\""))
    }

    /// The page that a query asks for: as many rows of its window as a page has, from where its
    /// token says.
    fn page(&self, stock: &Stock, request: &Request) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let plain = percent_decode_str(query).decode_utf8_lossy();
        let mut instants = plain
            .split([' ', '\'', '&', '='])
            .filter_map(|word| word.parse::<DateTime<Utc>>().ok());
        let (Some(start), Some(end)) = (instants.next(), instants.next()) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let window = stock.window(start, end);
        let skip = plain
            .split('&')
            .find_map(|option| option.strip_prefix("$skiptoken=")?.parse().ok());
        let first = window.start.max(skip.unwrap_or(0));
        let last = (first + stock.dialect().page_rows()).min(window.end);
        let next = (last < window.end).then(|| {
            let others = query
                .split('&')
                .filter(|option| !option.contains("skiptoken"));
            let host = request.headers().get(header::HOST);
            let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
            format!(
                "http://{host}{}?{}&$skiptoken={last}",
                request.uri().path(),
                others.collect::<Vec<_>>().join("&")
            )
        });
        self.rendered(
            stock,
            first..last.max(first),
            next.as_deref(),
            request.headers(),
        )
    }

    fn relay_page(&self, stock: &Stock, number: usize) -> Response {
        self.seen.pages.fetch_add(1, Relaxed);
        let rows = stock.dialect().page_rows();
        let first = number.saturating_mul(rows).min(stock.len());
        let last = first.saturating_add(rows).min(stock.len());
        self.rendered(stock, first..last, None, &HeaderMap::new())
    }

    fn rendered(
        &self,
        stock: &Stock,
        rows: std::ops::Range<usize>,
        next: Option<&str>,
        asked: &HeaderMap,
    ) -> Response {
        let (head, tail) = match stock.dialect() {
            Dialect::Reporting => (
                "{\"d\":{\"results\":[",
                next.map(|next| format!("],\"__next\":\"{next}\"}}}}")),
            ),
            Dialect::Graph => (
                "{\"value\":[",
                next.map(|next| format!("],\"@odata.nextLink\":\"{next}\"}}")),
            ),
        };
        let tail = tail.unwrap_or_else(|| match stock.dialect() {
            Dialect::Reporting => "]}}".to_owned(),
            Dialect::Graph => "]}".to_owned(),
        });
        let parts = [
            Bytes::from(head),
            stock.rows(rows.clone()),
            Bytes::from(tail),
        ];
        let length: usize = parts.iter().map(Bytes::len).sum();
        self.seen.bytes_out.fetch_add(length as u64, Relaxed);
        let parts = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(Ok::<_, io::Error>);
        let mut response = Response::new(Body::from_stream(stream::iter(parts)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        );
        if asked.contains_key(NOW) {
            let told =
                DateTime::from_timestamp_millis(self.seen.now.load(Relaxed)).unwrap_or_default();
            let date = told.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(date) = date.parse() {
                headers.insert(header::DATE, date);
            }
        }
        response
    }
}

/// How many events a batch holds. Inside of an event every quote is escaped, so the end of one and
/// the beginning of the next are seen nowhere else.
fn rows_in(headers: &HeaderMap, body: &[u8]) -> usize {
    if let Some(told) = headers.get(ROWS) {
        return told
            .to_str()
            .ok()
            .and_then(|told| told.parse().ok())
            .unwrap_or(0);
    }
    let dense = memmem::find_iter(body, b"}\",\"{").count();
    let spaced = if dense == 0 {
        memmem::find_iter(body, b"}\", \"{").count()
    } else {
        0
    };
    dense + spaced + usize::from(memmem::find(body, b"\"{").is_some())
}

async fn forward(router: &Router, request: Request) -> Response {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn text(body: String) -> Response {
    Response::new(Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_batch_are_counted_whatever_they_hold() {
        let events = [r#"{"a":"}\",\"{"}"#, r#"{"b":[{},{}]}"#, "{}"];
        for count in 0..=3 {
            let body = serde_json::json!({"jsons": events.get(..count), "intake_key": "k"});
            assert_eq!(
                rows_in(&HeaderMap::new(), body.to_string().as_bytes()),
                count
            );
        }
        let spaced = br#"{"intake_key": "k", "jsons": ["{\"a\": 1}", "{}"]}"#;
        assert_eq!(rows_in(&HeaderMap::new(), spaced), 2);
    }
}
