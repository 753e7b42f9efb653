//! The limit: a program that GETs the same pages and POSTs the same bytes with the same HTTP client,
//! and looks at none of them.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, ensure};
use base::http::{ClientOptions, Http, Limits, Request, Response};
use bytes::Bytes;
use chrono::Utc;
use microsoft::{Quota, Share, Urgency};
use tokio::{task::JoinSet, time::sleep};

use crate::site::{RELAY_PAGE, ROWS};

const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(60),
    total: Duration::from_secs(60),
    max_body: 64 << 20,
};

/// Rows in one request to the intake, as the module's default has it.
const CHUNK: usize = 1000;
/// Requests to the intake under way at once, as the module has them.
const IN_FLIGHT: usize = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    pages: String,
    intake: String,
    rows: usize,
    page_rows: usize,
    /// Requests for pages that are allowed in five minutes; it then asks as the module does.
    #[arg(long)]
    quota: Option<u32>,
}

/// Moves all pages, then waits to be ended.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let environment: HashMap<_, _> = std::env::vars().collect();
    let variable = |name: &str| environment.get(name).map(String::as_str);
    let http = Http::client(&ClientOptions::read(None, variable)?)?;
    let mut under_way = JoinSet::new();
    let share = arguments
        .quota
        .map(|quota| Share::new(quota).context("no quota has as many"));
    let mut quota = share.transpose()?.map(Quota::new);
    for page in 0..arguments.rows.div_ceil(arguments.page_rows) {
        while let Some(wait) = quota.as_mut().and_then(ask) {
            sleep(wait).await;
        }
        let first = page * arguments.page_rows;
        let rows = (arguments.rows - first).min(arguments.page_rows);
        let url = format!("{}{RELAY_PAGE}{first}-{}", arguments.pages, first + rows);
        let page = send(http.clone(), http::Request::get(url).body(Bytes::new())?);
        let body = page.await?.into_body();
        let chunks = rows.div_ceil(CHUNK);
        for chunk in 0..chunks {
            let bytes = body.len() * chunk / chunks..body.len() * (chunk + 1) / chunks;
            let request = http::Request::post(&arguments.intake)
                .header(ROWS, CHUNK.min(rows - chunk * CHUNK))
                .body(body.slice(bytes))?;
            while under_way.len() >= IN_FLIGHT {
                under_way.join_next().await.transpose()?.transpose()?;
            }
            under_way.spawn(send(http.clone(), request));
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    std::future::pending().await
}

/// How long to wait before one more page; none when the quota allows it now.
#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
fn ask(quota: &mut Quota) -> Option<Duration> {
    quota.take(Urgency::Later, Utc::now())
}

async fn send(http: Http, request: Request) -> anyhow::Result<Response> {
    let answer = http.send(request, LIMITS).await.context("no answer")?;
    ensure!(answer.status().is_success(), "answered {}", answer.status());
    Ok(answer)
}
