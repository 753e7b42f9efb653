//! Pages, put together from rows that are rendered already.

use std::{io, ops::Range};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use percent_encoding::percent_decode_str;

use crate::stock::{Dialect, Supply};

/// A page, and how many bytes it has.
pub(super) struct Rendered {
    pub(super) response: Response,
    pub(super) bytes: u64,
}

/// The page that a query asks for: as many rows of its window as a page has, from where its token
/// says. None when it is no such query.
pub(super) fn asked(
    supply: &dyn Supply,
    request: &Request,
    now: DateTime<Utc>,
) -> Option<Rendered> {
    let query = request.uri().query().unwrap_or_default();
    let plain = percent_decode_str(query).decode_utf8_lossy();
    let mut instants = plain
        .split([' ', '\'', '&', '='])
        .filter_map(|word| word.parse::<DateTime<Utc>>().ok());
    let window = supply.window(instants.next()?, instants.next()?);
    let skip = plain
        .split('&')
        .find_map(|option| option.strip_prefix("$skiptoken=")?.parse().ok());
    let first = window.start.max(skip.unwrap_or(0)).min(window.end);
    let last = (first + supply.dialect().page_rows()).min(window.end);
    let next = (last < window.end).then(|| next_link(request, query, last));
    Some(rendered(supply, first..last, next.as_deref(), now))
}

/// The page that the relay asks for, as in `0-2000`. None when it is no such page.
pub(super) fn relayed(supply: &dyn Supply, rows: &str, now: DateTime<Utc>) -> Option<Rendered> {
    let (first, after) = rows.split_once('-')?;
    Some(rendered(
        supply,
        first.parse().ok()?..after.parse().ok()?,
        None,
        now,
    ))
}

fn next_link(request: &Request, query: &str, token: usize) -> String {
    let others = query
        .split('&')
        .filter(|option| !option.contains("skiptoken"));
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!(
        "http://{host}{}?{}&$skiptoken={token}",
        request.uri().path(),
        others.collect::<Vec<_>>().join("&")
    )
}

/// A page with these rows.
pub(super) fn rendered(
    supply: &dyn Supply,
    rows: Range<usize>,
    next: Option<&str>,
    now: DateTime<Utc>,
) -> Rendered {
    let (head, tail) = match (supply.dialect(), next) {
        (Dialect::Reporting, None) => ("{\"d\":{\"results\":[", "]}}".to_owned()),
        (Dialect::Reporting, Some(next)) => (
            "{\"d\":{\"results\":[",
            format!("],\"__next\":\"{next}\"}}}}"),
        ),
        (Dialect::Graph, None) => ("{\"value\":[", "]}".to_owned()),
        (Dialect::Graph, Some(next)) => (
            "{\"value\":[",
            format!("],\"@odata.nextLink\":\"{next}\"}}"),
        ),
    };
    let parts = [Bytes::from(head), supply.text(rows, now), Bytes::from(tail)];
    let length: usize = parts.iter().map(Bytes::len).sum();
    let parts = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(Ok::<_, io::Error>);
    let mut response = Response::new(Body::from_stream(stream::iter(parts)));
    response.headers_mut().extend(headers(length, now));
    Rendered {
        response,
        bytes: length as u64,
    }
}

fn headers(length: usize, now: DateTime<Utc>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    if let Ok(date) = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string().parse() {
        headers.insert(header::DATE, date);
    }
    headers
}

/// An answer that is a status only.
pub(super) fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
