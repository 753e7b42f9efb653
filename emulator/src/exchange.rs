//! The way of every request: recorded, struck by a fault perhaps, answered.

use std::{convert::Infallible, io, io::Write, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};

use crate::{
    Emulator, Endpoint, Fault, RecordedRequest,
    answer::{Answer, Call, Receipt},
    connection::{ConnectionDropped, ConnectionNumber, Peer},
    control,
    faults::Struck,
    journal::{masked, masked_form},
    microsoft, sekoia,
};

/// The most bytes of a request that are read.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Smaller bodies are not compressed.
const LEAST_COMPRESSED: usize = 1024;

/// Whose services a router stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Microsoft,
    Sekoia,
}

/// The answer to a request to this host, in memory. None when the connection ends before it is whole.
pub(crate) async fn in_memory(
    emulator: Emulator,
    side: Side,
    request: http::Request<Bytes>,
) -> Option<http::Response<Bytes>> {
    let mut request = request.map(Body::from);
    let host = HeaderValue::from_str(request.uri().host().unwrap_or_default()).ok()?;
    request.headers_mut().insert(header::HOST, host);
    let (head, body) = exchange(emulator, side, request).await.into_parts();
    if head.extensions.get::<ConnectionDropped>().is_some() {
        return None;
    }
    let body = to_bytes(body, MOST_BYTES).await.ok()?;
    Some(http::Response::from_parts(head, body))
}

pub(crate) fn router(emulator: Emulator, side: Side) -> Router {
    Router::new().fallback(move |request: Request| {
        let emulator = emulator.clone();
        async move { Ok::<_, Infallible>(exchange(emulator, side, request).await) }
    })
}

async fn exchange(emulator: Emulator, side: Side, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<Peer>>().cloned();
    let connection = match &peer {
        Some(ConnectInfo(peer)) => Some(peer.number()),
        None => parts.extensions.get::<ConnectionNumber>().copied(),
    };
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return sent(Answer::new(413, "", ""), &Struck::default(), &emulator);
    };
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    if let Some(rest) = call.path.strip_prefix("/_emulator") {
        let answer = control::answer(&emulator, rest, &call);
        return sent(answer, &Struck::default(), &emulator);
    }
    let endpoint = match side {
        Side::Microsoft => microsoft::endpoint(&call),
        Side::Sekoia => sekoia::endpoint(&call),
    };
    let (number, struck) = record(&emulator, endpoint, &call, connection);
    let note = |answer: &Answer| {
        let (status, at) = (answer.status.as_u16(), emulator.clock().now());
        emulator.world().journal.answered(number, status, at);
    };
    if let Some(answer) = struck.main.as_ref().and_then(|fault| instead(fault, &call)) {
        note(&answer);
        return sent(answer, &struck, &emulator);
    }
    match &struck.main {
        Some(Fault::Reset | Fault::Filter { status: 0, .. }) => return dropped(peer).await,
        Some(Fault::DelayRequest { ms }) => pause(Duration::from_millis(*ms)).await,
        Some(Fault::Hang) => std::future::pending::<()>().await,
        _ => {}
    }
    let mut answer = match side {
        Side::Microsoft => microsoft::answer(&emulator, &call, &struck),
        Side::Sekoia => sekoia::answer(&emulator, endpoint, &call, struck.main.as_ref()),
    };
    pause(answer.latency).await;
    if struck.main == Some(Fault::ByteOrderMark) {
        answer.body = [b"\xef\xbb\xbf", answer.body.as_ref()].concat().into();
    }
    if side == Side::Microsoft {
        compress(&emulator, &call, &mut answer, struck.main.as_ref());
    }
    note(&answer);
    match &struck.main {
        Some(Fault::ResetAfter) => dropped(peer).await,
        fault => {
            if let Some(Fault::DelayAnswer { ms }) = fault {
                pause(Duration::from_millis(*ms)).await;
            }
            sent(answer, &struck, &emulator)
        }
    }
}

/// The answer of a fault that strikes before the request is looked at.
fn instead(fault: &Fault, call: &Call) -> Option<Answer> {
    match fault {
        Fault::Answer {
            status,
            headers,
            body,
        } => {
            let answer = Answer::new(*status, "", body.clone());
            let headers = headers.iter();
            Some(headers.fold(answer, |answer, (name, value)| answer.with(name, value)))
        }
        Fault::Filter {
            status: status @ 1..,
            body,
            ..
        } => Some(Answer::new(*status, "text/html", body.clone())),
        Fault::Connection { status } => Some(Answer::new(*status, "", "")),
        Fault::Redirect { status, to } => {
            let query = if call.query.is_empty() { "" } else { "?" };
            let location = format!("{to}{}{query}{}", call.path, call.query);
            Some(Answer::new(*status, "", "").with("location", &location))
        }
        _ => None,
    }
}

fn record(
    emulator: &Emulator,
    endpoint: Endpoint,
    call: &Call,
    connection: Option<ConnectionNumber>,
) -> (u64, Struck) {
    let at = emulator.clock().now();
    let world = &mut *emulator.world();
    let connection = connection.map(|ConnectionNumber(number)| number);
    let concerns = |fault: &Fault| match fault {
        Fault::Filter { containing, .. } => call.contains(containing),
        _ => true,
    };
    let struck = world
        .faults
        .next(endpoint, connection, world.seed, concerns);
    let body = match endpoint {
        Endpoint::Logs | Endpoint::Sentry => call.body.clone(),
        Endpoint::Token => masked_form(&call.body),
        _ => Bytes::new(),
    };
    let url = match call.query.as_str() {
        "" => call.path.clone(),
        query => format!("{}?{query}", call.path),
    };
    let number = world.journal.add(RecordedRequest {
        at,
        endpoint,
        method: call.method.to_string(),
        url,
        headers: masked(&call.headers),
        size: call.body.len(),
        body,
        status: None,
        answered: None,
        fault: struck.name(),
    });
    (number, struck)
}

/// Compresses the body where both sides agree to it.
fn compress(emulator: &Emulator, call: &Call, answer: &mut Answer, fault: Option<&Fault>) {
    let accepted = call.header(header::ACCEPT_ENCODING).contains("gzip");
    let forced = matches!(fault, Some(Fault::CutGzip));
    let wanted = emulator.world().settings.transport.gzip && answer.body.len() >= LEAST_COMPRESSED;
    if !accepted || !(wanted || forced) {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let compressed = encoder
        .write_all(&answer.body)
        .and_then(|()| encoder.finish());
    if let Ok(compressed) = compressed {
        answer.body = compressed.into();
        answer
            .headers
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// The connection ends without an answer.
async fn dropped(peer: Option<ConnectInfo<Peer>>) -> Response {
    if let Some(ConnectInfo(peer)) = peer {
        peer.reset();
        // The connection's end drops this future.
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Body::from_stream(stream::iter([broken()])));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.extensions_mut().insert(ConnectionDropped);
    response
}

fn broken() -> io::Result<Bytes> {
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Sends an answer, broken by those faults that strike on the way.
fn sent(mut answer: Answer, struck: &Struck, emulator: &Emulator) -> Response {
    let mut stall = None;
    let mut breaks = false;
    let length = answer.body.len();
    match &struck.main {
        // An answer that is no longer than that comes whole, and excuses nothing.
        Some(Fault::Cut { bytes }) if *bytes < length => {
            answer.receipt = None;
            answer.body.truncate(*bytes);
        }
        Some(Fault::CutGzip) => {
            answer.receipt = None;
            answer.body.truncate(length / 2);
        }
        Some(Fault::Garble) => {
            answer.receipt = None;
            answer.body = garbled(&answer.body);
        }
        Some(Fault::ContentType { value }) => answer = answer.with("content-type", value),
        Some(Fault::Replace {
            status,
            content_type,
            body,
        }) => {
            // Who gets it cannot know what was accepted.
            answer = Answer::new(*status, content_type, body.clone());
        }
        Some(Fault::ResetMidBody { bytes }) => {
            breaks = true;
            stall = Some((*bytes, Duration::from_millis(5)));
        }
        Some(Fault::Stall { bytes, ms }) => stall = Some((*bytes, Duration::from_millis(*ms))),
        _ => {}
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, answer.body.len().into());
    date(response.headers_mut(), &struck.besides, emulator);
    let (first, second) = match stall {
        Some((bytes, _)) => {
            let first = answer.body.split_to(bytes.min(answer.body.len()));
            (first, answer.body)
        }
        None => (answer.body, Bytes::new()),
    };
    let wait = stall.map_or(Duration::ZERO, |(_, wait)| wait);
    let receipt = answer.receipt.filter(|_| !breaks);
    *response.body_mut() = body(first, second, wait, breaks, receipt);
    response
}

/// The body in two parts with a pause between them, perhaps without its second.
///
/// The receipt is confirmed when the last part is asked for: then the answer is on its way.
fn body(
    first: Bytes,
    second: Bytes,
    wait: Duration,
    breaks: bool,
    receipt: Option<Receipt>,
) -> Body {
    let confirm = move || receipt.map_or((), Receipt::confirm);
    if second.is_empty() && !breaks {
        if first.is_empty() {
            confirm();
            return Body::empty();
        }
        return Body::from_stream(stream::once(async move {
            confirm();
            Ok::<_, io::Error>(first)
        }));
    }
    let rest = stream::once(async move {
        pause(wait).await;
        if breaks {
            return broken();
        }
        confirm();
        Ok(second)
    });
    Body::from_stream(stream::iter([Ok(first)]).chain(rest))
}

/// Waits; without the detour over the timer when there is nothing to wait for.
async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

/// Overwrites bytes in the middle with some that are neither text nor JSON.
fn garbled(body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    let middle = bytes.len() / 2;
    let rest = bytes.iter_mut().skip(middle);
    rest.take(16).for_each(|byte| *byte = 0xff);
    bytes.into()
}

/// A time as headers have it.
pub(crate) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Sets `Date` where the answer does not have its own, as true as the faults allow.
fn date(headers: &mut HeaderMap, faults: &[Fault], emulator: &Emulator) {
    let mut date = Some(emulator.server_time());
    for fault in faults {
        date = match fault {
            Fault::Date { empty: true, .. } => None,
            Fault::Date { at: Some(at), .. } => Some(*at),
            Fault::Date { ahead, .. } => {
                date.and_then(|date| date.checked_add_signed(TimeDelta::try_seconds(*ahead)?))
            }
            Fault::Age { seconds } => {
                headers.insert(header::AGE, (*seconds).into());
                date.map(|date| date - TimeDelta::seconds(i64::from(*seconds)))
            }
            _ => date,
        };
    }
    let struck = faults
        .iter()
        .any(|fault| matches!(fault, Fault::Date { .. }));
    if headers.contains_key(header::DATE) && !struck {
        return;
    }
    match date.map(http_date).map(|text| HeaderValue::from_str(&text)) {
        Some(Ok(value)) => headers.insert(header::DATE, value),
        _ => headers.insert(header::DATE, HeaderValue::from_static("")),
    };
}
