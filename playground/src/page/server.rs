//! The page's server: loopback only, and only for the one who has its address.
//!
//! It starts processes, so nothing of another origin may reach it: the address holds a token, `Host`
//! must be the loopback address itself (a name that leads here would let a foreign page in), and what
//! changes something must come from a page of this server.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Request, State as Shared},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{Download, Event, Order};

/// The longest order: a certificate as text fits.
const LONGEST_ORDER: usize = 64 << 10;

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; object-src 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Who may come in.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hosts: [String; 2],
    origins: [String; 2],
    token: String,
}

impl Gate {
    /// Those who know the token, at this address.
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        let port = address.port();
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let origins = hosts.clone().map(|host| format!("http://{host}"));
        Self(Arc::new(Inner {
            hosts,
            origins,
            token,
        }))
    }

    fn admits(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), &'static str> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        if !self.0.hosts.iter().any(|known| known == host) {
            return Err("the page is at the loopback address only");
        }
        let is_ours = |origin: &str| self.0.origins.iter().any(|known| known == origin);
        let origin = text(header::ORIGIN);
        if origin.is_some_and(|origin| !is_ours(origin))
            || (method != Method::GET && origin.is_none())
        {
            return Err("another page asks");
        }
        let token = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        if !same(token, &self.0.token) {
            return Err("open the address that the terminal shows");
        }
        Ok(())
    }
}

/// Whether two texts are the same, in a time that does not tell how far they are.
fn same(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    one.len() == other.len() && pairs.fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

type Events = mpsc::Sender<Event>;

/// What a page needs that listens from now on.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Everything there is.
    pub(crate) first: Vec<Arc<str>>,
    /// What comes after it.
    pub(crate) frames: broadcast::Receiver<Arc<str>>,
}

/// The server.
pub(crate) fn router(gate: Gate, events: Events) -> Router {
    Router::new()
        .route("/{token}/", get(page))
        .route("/{token}/events", get(listen))
        .route("/{token}/do", post(order))
        .route("/{token}/row/{number}", get(row))
        .route(
            "/{token}/verdict.json",
            get(|events: Shared<Events>| download(events, Download::Verdict)),
        )
        .route(
            "/{token}/scenario.json",
            get(|events: Shared<Events>| download(events, Download::Scenario)),
        )
        .route("/{token}/page.css", get(style))
        .route("/{token}/page.js", get(script))
        .route("/{token}/logo.svg", get(logo))
        .with_state(events)
        .layer(DefaultBodyLimit::max(LONGEST_ORDER))
        .layer(middleware::from_fn_with_state(gate, guard))
}

async fn guard(Shared(gate): Shared<Gate>, request: Request, next: Next) -> Response {
    let admitted = gate.admits(request.method(), request.uri().path(), request.headers());
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, why).into_response(),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn file(kind: &'static str, text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], text.into()).into_response()
}

/// Asks the engine.
async fn ask<T>(events: &Events, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    events.send(event(sender)).await.ok()?;
    answer.await.ok()
}

fn gone() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the playground is ending").into_response()
}

async fn page(Shared(events): Shared<Events>) -> Response {
    match ask(&events, Event::Page).await {
        Some(page) => file("text/html; charset=utf-8", page),
        None => gone(),
    }
}

async fn order(Shared(events): Shared<Events>, body: axum::body::Bytes) -> Response {
    match serde_json::from_slice::<Order>(&body) {
        Ok(order) => match events.send(Event::Order(order)).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(_) => gone(),
        },
        // The body may hold a secret, so the answer does not repeat it.
        Err(_) => (StatusCode::BAD_REQUEST, "this is no order").into_response(),
    }
}

async fn row(Shared(events): Shared<Events>, Path((_, number)): Path<(String, u64)>) -> Response {
    match ask(&events, |answer| Event::Row(number, answer)).await {
        Some(Some(row)) => file("text/html; charset=utf-8", row),
        Some(None) => (StatusCode::NOT_FOUND, "this row is not kept any more").into_response(),
        None => gone(),
    }
}

async fn download(Shared(events): Shared<Events>, what: Download) -> Response {
    let name = match what {
        Download::Verdict => "attachment; filename=\"verdict.json\"",
        Download::Scenario => "attachment; filename=\"scenario.json\"",
    };
    match ask(&events, |answer| Event::Download(what, answer)).await {
        Some(text) => (
            [(header::CONTENT_DISPOSITION, name)],
            file("application/json", text),
        )
            .into_response(),
        None => gone(),
    }
}

async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("assets/page.css"))
}

async fn script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("assets/page.js"),
    )
}

async fn logo() -> Response {
    file("image/svg+xml", include_str!("../../../logo.svg"))
}

async fn listen(Shared(events): Shared<Events>) -> Response {
    match ask(&events, Event::Join).await {
        Some(joined) => Sse::new(frames(joined))
            .keep_alive(KeepAlive::new().interval(Duration::from_secs(5)))
            .into_response(),
        None => gone(),
    }
}

/// Everything there is, and what comes after it. A page that cannot follow is cut off: it comes again,
/// and gets everything anew.
fn frames(joined: Joined) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let first = stream::iter(joined.first);
    let rest = stream::unfold(joined.frames, |mut frames| async move {
        let frame = frames.recv().await.ok()?;
        Some((frame, frames))
    });
    first
        .chain(rest)
        .map(|frame| Ok(sse::Event::default().data(&*frame)))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn gate() -> Gate {
        Gate::new("127.0.0.1:8080".parse().unwrap(), "abc".to_owned())
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_a_page_of_this_server_may_change_something() {
        let ours = (header::HOST, "127.0.0.1:8080");
        let admits =
            |method, path, pairs: &[_]| gate().admits(&method, path, &headers(pairs)).is_ok();
        assert!(admits(Method::GET, "/abc/", from_ref(&ours)));
        assert!(admits(
            Method::GET,
            "/abc/",
            &[(header::HOST, "localhost:8080")]
        ));
        for path in ["/", "/ab/", "/abcd/", "/abd/do", "//abc", ""] {
            let admitted = admits(Method::GET, path, from_ref(&ours));
            assert_eq!(admitted, path == "//abc", "{path}");
        }
        for host in ["evil.example:8080", "127.0.0.1", "127.0.0.1:80800", ""] {
            assert!(
                !admits(Method::GET, "/abc/", &[(header::HOST, host)]),
                "{host}"
            );
        }
        assert!(!admits(Method::GET, "/abc/", &[]));
        let own = (header::ORIGIN, "http://127.0.0.1:8080");
        assert!(admits(Method::POST, "/abc/do", &[ours.clone(), own]));
        assert!(!admits(Method::POST, "/abc/do", from_ref(&ours)));
        for origin in ["null", "http://evil.example", "https://127.0.0.1:8080"] {
            for method in [Method::GET, Method::POST] {
                let pairs = [ours.clone(), (header::ORIGIN, origin)];
                assert!(!admits(method, "/abc/do", &pairs), "{origin}");
            }
        }
    }
}
