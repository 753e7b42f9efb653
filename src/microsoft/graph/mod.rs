//! Microsoft Graph's message traces.

mod events;
mod limiter;
mod quota;
mod repair;
mod skew;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, DATE},
};
use url::Url;

pub(super) use self::events::rewrite;
use self::skew::Skew;
pub use self::{
    events::EventFormat,
    limiter::Limiter,
    quota::{Quota, Share},
    repair::remainder,
};
use super::{
    Error, Link, SignIn, advice,
    bounds::{self, START_MARGIN},
    exchange::{Answer, Exchange},
    identity::TokenCache,
    page::Envelope,
    row::{self, Form},
};
use crate::{Clock, Page, RowKeyer, Window, http::Http};

/// Rows on one page; the most that the service allows.
const TOP: u32 = 5000;

/// Reads `/admin/exchange/tracing/messageTraces`.
#[derive(Debug)]
pub struct Graph {
    exchange: Exchange,
    base: Url,
    keyer: RowKeyer,
    format: EventFormat,
    skew: Mutex<Skew>,
    repaired: AtomicU64,
}

impl Graph {
    /// The widest window of one query: 10 days, with the margin below its start.
    pub const MAX_SPAN: TimeDelta = TimeDelta::seconds(10 * 86_400 - START_MARGIN.num_seconds());

    /// A reader of the Graph whose address is `base`, e.g. `https://graph.microsoft.com/v1.0`.
    /// Every request waits for the limiter.
    pub fn new(
        http: Http,
        clock: Clock,
        base: Url,
        tokens: Arc<TokenCache>,
        keyer: RowKeyer,
        format: EventFormat,
        limiter: Limiter,
    ) -> Self {
        let headers = [
            (ACCEPT, "application/json"),
            // Else the status `recalled` comes as `unknownFutureValue`.
            (
                HeaderName::from_static("prefer"),
                "include-unknown-enum-members",
            ),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self {
            exchange: Exchange {
                http,
                clock,
                sign_in: SignIn::Bearer(tokens),
                headers: HeaderMap::from_iter(headers),
                limiter: Some(limiter),
            },
            base,
            keyer,
            format,
            skew: Mutex::default(),
            repaired: AtomicU64::new(0),
        }
    }

    /// One page of a window: the first, or the one that a link leads to, newest rows first.
    ///
    /// A link that the service refuses is repaired and asked for once more, when its token is one
    /// of the kind that can be repaired. Rows just outside the window may be among the page's.
    ///
    /// # Errors
    /// When there is no whole page; [`Error::class`] says whether asking again helps. After
    /// [`Class::Narrow`](super::Class::Narrow) for a link, [`remainder`] is the window to ask for.
    pub async fn page(&self, window: Window, link: Option<&Link>) -> Result<Page<Link>, Error> {
        let Some(link) = link else {
            self.check_end(window)?;
            let result = self.ask(&query(&self.base, window), None).await;
            return match result {
                // The answer has told the service's time.
                Err(
                    error @ Error::Status {
                        status: StatusCode::BAD_REQUEST,
                        ..
                    },
                ) => self.check_end(window).and(Err(error)),
                other => other,
            };
        };
        let result = self.ask(link.on_origin_of(&self.base)?, Some(link)).await;
        if let Err(Error::Status {
            status: StatusCode::BAD_REQUEST,
            ..
        }) = &result
            && let Some(sound) = repair::unwrapped(link)
        {
            self.repaired.fetch_add(1, Ordering::Relaxed);
            return self
                .ask(sound.on_origin_of(&self.base)?, Some(&sound))
                .await;
        }
        result
    }

    /// The time by the service's clock, as far as its answers tell: it shows at least this.
    pub fn now(&self) -> DateTime<Utc> {
        let skew = *self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        self.exchange.clock.now() + skew.known()
    }

    /// The earliest start of a window that the service answers: it keeps 90 days, counted from
    /// midnight (UTC).
    pub fn earliest(&self) -> DateTime<Utc> {
        let today = self.now().date_naive().and_time(NaiveTime::MIN).and_utc();
        today - TimeDelta::days(90) + START_MARGIN
    }

    /// How many links have had to be repaired.
    pub fn links_repaired(&self) -> u64 {
        self.repaired.load(Ordering::Relaxed)
    }

    /// The service refuses windows that end in its future.
    fn check_end(&self, window: Window) -> Result<(), Error> {
        match (window.end() - self.now()).to_std() {
            Ok(by) if !by.is_zero() => Err(Error::Ahead { by }),
            _ => Ok(()),
        }
    }

    async fn ask(&self, url: &Url, link: Option<&Link>) -> Result<Page<Link>, Error> {
        let sent = self.exchange.clock.now();
        let answer = self.exchange.get(url).await?;
        self.learn(&answer, sent);
        if answer.response.status() == StatusCode::OK {
            return self.read(url, &answer);
        }
        let refusal = self.exchange.refusal(&answer, link);
        if answer.response.status() == StatusCode::TOO_MANY_REQUESTS
            && let Some(limiter) = &self.exchange.limiter
        {
            limiter.refused(refusal.retry_after());
        }
        Err(advice::graph(&refusal))
    }

    fn learn(&self, answer: &Answer, sent: DateTime<Utc>) {
        let date = answer
            .response
            .headers()
            .get(DATE)
            .and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
        if let Some(date) = date {
            let mut skew = self.skew.lock().unwrap_or_else(PoisonError::into_inner);
            skew.learn(date.to_utc(), sent, self.exchange.clock.now());
        }
    }

    fn read(&self, asked: &Url, answer: &Answer) -> Result<Page<Link>, Error> {
        let body = answer.response.body();
        let envelope = Envelope::read(body, &answer.secrets())?;
        let next = envelope
            .next
            .map(|text| Link::resolve(asked, &text))
            .transpose()?;
        let form = match self.format {
            EventFormat::Graph => Form::Verbatim,
            EventFormat::Reporting => Form::Renamed,
        };
        Ok(row::page(body, &envelope.rows, &self.keyer, next, form)?)
    }
}

/// The address of the first page of a window.
fn query(base: &Url, window: Window) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty()
            .extend(["admin", "exchange", "tracing", "messageTraces"]);
    }
    let (start, end) = bounds::of(window);
    url.set_query(Some(&format!(
        "$filter=receivedDateTime ge {start} and receivedDateTime le {end}&$top={TOP}"
    )));
    url
}

#[cfg(test)]
mod tests;
