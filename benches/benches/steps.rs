//! The steps of the hot path, one by one.

#![allow(clippy::unwrap_used, reason = "a broken step shall stop its benchmark")]

use std::{hint::black_box, io::Write as _, sync::Arc};

use base::{
    Clock, Secret,
    http::{Http, HttpError, HttpService, Limits, Request, Response},
};
use benchmark::stock::{Dialect, Mail, Stock};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use collect::known::{BatchId, DedupDecision, KeyRef, KnownRows};
use divan::{Bencher, counter::ItemsCount};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::BoxFuture;
use microsoft::{Link, PasswordGuard, ReportingService, SignIn};
use rows::{Page, RowKeyer, RowRef, Window};
use sekoia::{Batch, BatchLimits};

const ROWS: u64 = 2000;

fn main() {
    divan::main();
}

fn until() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_272_000, 0).unwrap()
}

fn stock() -> Stock {
    let mail = Mail {
        rows: ROWS,
        span: TimeDelta::hours(1),
        until: until(),
    };
    Stock::new(mail, Dialect::Reporting).unwrap()
}

/// Answers every request with the same page.
#[derive(Debug)]
struct Always(Bytes);

impl HttpService for Always {
    fn call(&self, _: Request, _: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let answer = Response::new(self.0.clone());
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn read_page(stock: &Stock) -> impl Fn() -> Page<Link> + use<> {
    let rows = stock.rows(0..stock.len());
    let body = [b"{\"d\":{\"results\":[", &*rows, b"]}}"].concat();
    let service = ReportingService::new(
        Http::new(Always(body.into())),
        Clock::system(),
        "https://reports.example/reporting.svc".parse().unwrap(),
        SignIn::Basic {
            account: "a".to_owned(),
            password: Secret::new("b"),
            guard: Arc::new(PasswordGuard::new(Clock::system())),
        },
        RowKeyer::new([7; 16]),
    );
    let window = Window::new(until() - TimeDelta::hours(1), until()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    move || runtime.block_on(service.page(window, None)).unwrap()
}

fn encode(page: &Page<Link>) -> Batch {
    let limits = BatchLimits {
        events: 1000,
        body_bytes: 10 << 20,
    };
    let mut batch = Batch::new(
        limits,
        1 << 20,
        Bytes::from_static(b"]}"),
        Default::default(),
    );
    for row in page.rows().take(1000) {
        _ = black_box(batch.push(row.json));
    }
    batch
}

/// A page of 2000 rows: its boundaries, the fields and keys of its rows.
#[divan::bench]
fn page(bencher: Bencher<'_, '_>) {
    let stock = stock();
    let read = read_page(&stock);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(&read);
}

/// The key of one row, its fields being known.
#[divan::bench]
fn key(bencher: Bencher<'_, '_>) {
    let keyer = RowKeyer::new([7; 16]);
    let parts = [
        "579cd25c-9b30-4ce4-d5eb-08da70ab3b38",
        "user.name1234@contoso.example",
    ];
    bencher.bench_local(|| keyer.key(black_box(&parts), black_box("Delivered")));
}

fn admit(known: &mut KnownRows, row: RowRef<'_>) -> Option<KeyRef> {
    match known.admit(row.key, row.received, until(), BatchId(1)) {
        DedupDecision::New(filed) | DedupDecision::Changed(filed) => Some(filed),
        DedupDecision::Delivered | DedupDecision::OnItsWay(_) => None,
    }
}

/// Known or new: the rows of a page of which half are known.
#[divan::bench]
fn known(bencher: Bencher<'_, '_>) {
    let page = read_page(&stock())();
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| {
            let mut known = KnownRows::default();
            let half = page.rows().take(page.len() / 2);
            half.filter_map(|row| admit(&mut known, row)).for_each(drop);
            known.arrived(BatchId(1));
            known
        })
        .bench_local_refs(|known| {
            let new = page.rows().filter_map(|row| admit(known, row));
            new.count()
        });
}

/// A chunk of 1000 rows as the intake's JSON.
#[divan::bench]
fn chunk(bencher: Bencher<'_, '_>) {
    let page = read_page(&stock())();
    bencher
        .counter(ItemsCount::new(1000_u64))
        .bench_local(|| encode(&page));
}

/// The same chunk compressed, at the levels that might pay.
#[divan::bench(args = [1, 3, 6])]
fn gzip(bencher: Bencher<'_, '_>, level: u32) {
    let page = read_page(&stock())();
    let rows: Vec<&[u8]> = page.rows().take(1000).map(|row| row.json).collect();
    let body = serde_json::to_vec(&rows).unwrap();
    bencher.counter(ItemsCount::new(1000_u64)).bench_local(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(&body).unwrap();
        encoder.finish().unwrap()
    });
}
