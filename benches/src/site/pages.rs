//! Pages, put together from rows that are rendered already.

use std::{
    io::{self, Write as _},
    ops::Range,
};

use axum::{
    body::Body,
    extract::Request,
    http::{Error, header},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use emulator::Endpoint;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use percent_encoding::percent_decode_str;
use tokio::task::block_in_place;

use super::{RELAY_PAGE, Wire};
use crate::{contestant::page_rows, stock::Stock};

/// What is sent at once of a compressed page.
const PIECE: usize = 16 << 10;

/// The answer with a page; in production compressed, as a server does it that makes its answers on the
/// way: fast, and in pieces.
pub(super) fn answer(page: Bytes, wire: Wire, now: DateTime<Utc>) -> Result<Response, Error> {
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let head = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::DATE, date);
    if wire != Wire::Production {
        return head.body(Body::from(page));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let compress = || encoder.write_all(&page).and_then(|()| encoder.finish());
    // Writing to memory cannot fail.
    let whole = Bytes::from(block_in_place(compress).unwrap_or_default());
    let pieces: Vec<_> = (0..whole.len())
        .step_by(PIECE)
        .map(|start| Ok::<_, io::Error>(whole.slice(start..whole.len().min(start + PIECE))))
        .collect();
    let head = head.header(header::CONTENT_ENCODING, "gzip");
    head.body(Body::from_stream(stream::iter(pieces)))
}

/// The page that a request asks for: of a query as many rows of its window as a page has, from where its
/// token says; for the relay the rows that its path names. None when it asks for no page.
pub(super) fn asked(stock: &Stock, request: &Request, wire: Wire) -> Option<Bytes> {
    let path = request.uri().path();
    if let Some(rows) = path.strip_prefix(RELAY_PAGE) {
        let (first, after) = rows.split_once('-')?;
        let rows = first.parse().ok()?..after.parse().ok()?;
        return Some(rendered(stock, rows, None));
    }
    if !path.ends_with("essageTraces") && !path.ends_with("/MessageTrace") {
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    let plain = percent_decode_str(query).decode_utf8_lossy();
    let words = plain.split([' ', '\'', '&', '=']);
    let mut instants = words.filter_map(|word| word.parse::<DateTime<Utc>>().ok());
    let window = stock.window(instants.next()?, instants.next()?);
    let window = match message(&plain) {
        Some(id) => rows_of(stock, window, id),
        None => window,
    };
    let mut options = plain.split('&');
    let skip = options.find_map(|option| option.strip_prefix("$skiptoken=")?.parse().ok());
    let first = window.start.max(skip.unwrap_or(0)).min(window.end);
    let last = (first + page_rows(stock.service)).min(window.end);
    let next = (last < window.end).then(|| next_link(request, query, wire, last));
    Some(rendered(stock, first..last, next.as_deref()))
}

/// The id of the message that a query asks for; none when it asks for all.
fn message(query: &str) -> Option<&str> {
    let (_, id) = query
        .split_once("MessageTraceId eq guid'")
        .or_else(|| query.split_once("id eq '"))?;
    Some(id.split_once('\'')?.0)
}

/// The rows of a message in a window: they follow each other.
fn rows_of(stock: &Stock, window: Range<usize>, id: &str) -> Range<usize> {
    let is_of = |row: &usize| {
        let text = stock.text(*row..row + 1);
        text.windows(id.len()).any(|part| part == id.as_bytes())
    };
    let first = window.clone().find(is_of).unwrap_or(window.end);
    let after = (first..window.end).find(|row| !is_of(row));
    first..after.unwrap_or(window.end)
}

fn next_link(request: &Request, query: &str, wire: Wire, token: usize) -> String {
    let options = query.split('&');
    let others: Vec<_> = options
        .filter(|option| !option.contains("skiptoken"))
        .collect();
    let host: String = super::header(request.headers(), "host").unwrap_or_default();
    let (scheme, path) = (wire.scheme(), request.uri().path());
    format!(
        "{scheme}://{host}{path}?{}&$skiptoken={token}",
        others.join("&")
    )
}

fn rendered(stock: &Stock, rows: Range<usize>, next: Option<&str>) -> Bytes {
    let (head, link, tail) = match stock.service {
        Endpoint::Graph => ("{\"value\":[", "@odata.nextLink", "}"),
        _ => ("{\"d\":{\"results\":[", "__next", "}}"),
    };
    let link = next.map(|next| format!(",\"{link}\":\"{next}\""));
    let tail = format!("]{}{tail}", link.unwrap_or_default());
    let rows = stock.text(rows);
    [head.as_bytes(), &rows, tail.as_bytes()].concat().into()
}
