//! Microsoft Graph's message traces.

mod limiter;
mod quota;
mod repair;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use base::{Clock, ErrorClass, http::Http, lock};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::ACCEPT};
use rows::{Page, Question, RowKeyer, Window};
use tokio::time::Instant;
use url::Url;

pub use self::{
    limiter::Limiter,
    quota::{Allowance, Quota, Share, Urgency},
};
use super::{
    Error, Link, SignIn, advice, below,
    bounds::{self, START_MARGIN},
    details::Details,
    events::EventFormat,
    exchange::{Answer, Exchange},
    identity::TokenCache,
    page::Envelope,
    row::{self, Form},
};

/// Rows on one page; the most that the service allows.
const TOP: u32 = 5000;

/// So many rows less on a page have it end elsewhere; each time more, up to so many times.
const LESS: (u32, u32) = (499, 8);

/// Reads `/admin/exchange/tracing/messageTraces`.
#[derive(Debug)]
pub struct Graph {
    /// What it asks with, and what that tells of time.
    pub exchange: Exchange,
    limiter: Limiter,
    base: Url,
    format: EventFormat,
    repaired: AtomicU64,
    /// How often pages of another size were asked for.
    resized: AtomicU32,
}

impl Graph {
    /// The longest window of one query: 10 days, with the margin below its start.
    pub const LONGEST_WINDOW: TimeDelta =
        TimeDelta::seconds(10 * 86_400 - START_MARGIN.num_seconds());

    /// How far back rows are kept.
    pub const RETENTION: TimeDelta = TimeDelta::days(90);

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
                headers: HeaderMap::from_iter(headers),
                limiter: Some(limiter.clone()),
                ..Exchange::new(http, clock, SignIn::Bearer(tokens), keyer)
            },
            limiter,
            base,
            format,
            repaired: AtomicU64::new(0),
            resized: AtomicU32::new(0),
        }
    }

    /// One page of what is asked for: the first, or the one that a link leads to, newest rows first.
    ///
    /// A link that the service refuses is repaired, when its token is of the kind that can be, and
    /// asked for once more. Else the page is asked for without it, by the time of the last row
    /// before it. Where all that is left is of one instant, it is asked for from its beginning once more,
    /// in pages of another size: it may be the row at the boundary that a link is refused for. Rows just
    /// outside the window may be among the page's, and rows of the pages before.
    ///
    /// # Errors
    /// When there is no whole page; [`Error::class`] says whether asking again helps.
    pub async fn page(
        &self,
        question: impl Into<Question>,
        link: Option<&Link>,
        urgency: Urgency,
    ) -> Result<Page<Link>, Error> {
        let question = question.into();
        let of_message = question.message.is_some();
        let result = match link {
            Some(link) => self.next_page(question, link, urgency).await,
            None => self.first_page(&question, TOP, urgency).await,
        };
        result.map_err(|error| match of_message {
            true => error.of_message(),
            false => error,
        })
    }

    async fn next_page(
        &self,
        mut question: Question,
        link: &Link,
        urgency: Urgency,
    ) -> Result<Page<Link>, Error> {
        let mut result = self.ask(&question, Asked::At(link), urgency).await;
        let was_refused = is_refused(&result);
        if was_refused && let Some(sound) = repair::unwrapped(link) {
            result = self.ask(&question, Asked::At(&sound), urgency).await;
        }
        let rest = link
            .reached
            .and_then(|reached| Some((repair::remainder(question.window, reached)?, reached)));
        let mut is_narrowest = rest.is_none() || question.window.span() <= TimeDelta::seconds(1);
        if is_refused(&result)
            && let Some((window, reached)) = rest
        {
            let rest = Question {
                window,
                ..question.clone()
            };
            let page = self.first_page(&rest, TOP, urgency).await;
            match page {
                // The refusal stands.
                Ok(page) if repair::is_cut_off(&page, reached) => {}
                Ok(page) if page.next() == Some(link) => {
                    (question, is_narrowest) = (rest, true);
                }
                page => result = page,
            }
        }
        // What was tried in vain has mended nothing.
        if was_refused && result.is_ok() {
            self.repaired.fetch_add(1, Ordering::Relaxed);
        }
        let has_order = link.reached.is_some();
        // One walk tries it once.
        let resizes = is_refused(&result) && is_narrowest && has_order && !link.is_resized;
        if resizes {
            let top = self.another_size();
            let page = self.first_page(&question, top, urgency).await;
            // A full one, or one without rows, cannot be all when it has no link.
            let is_cut = |page: &Page<Link>| page.is_empty() || page.fills(top);
            if !page
                .as_ref()
                .is_ok_and(|page| page.next().is_none() && is_cut(page))
            {
                result = page;
            }
        }
        match resizes || link.is_resized {
            true => result.map(|page| page.map_next(Link::resized)),
            false => result,
        }
    }

    /// Rows on a page that ends at another row than it would.
    fn another_size(&self) -> u32 {
        let (less, times) = LESS;
        let before = self.resized.fetch_add(1, Ordering::Relaxed);
        TOP - less * (1 + before % times)
    }

    /// Asks the service for its time, with a question that any clock may ask: what it answers is
    /// [`Exchange::time`]'s. Several answers may be needed.
    ///
    /// # Errors
    /// When it does not answer; [`Error::class`] says whether asking again helps.
    pub async fn ask_time(&self) -> Result<(), Error> {
        let address = |window: Option<Window>| match window {
            Some(window) => query(&self.base, &window.into(), 1),
            None => address(&self.base, "$top=1"),
        };
        let refused = |answer: &Answer| self.refused(answer, None);
        self.exchange.ask_time(address, refused).await
    }

    /// Asks for details of messages, beside pages.
    pub fn details(&self) -> Details {
        Details::new(&self.exchange, &self.base)
    }

    /// How many links had to be repaired or replaced.
    pub fn links_repaired(&self) -> u64 {
        self.repaired.load(Ordering::Relaxed)
    }

    /// The first page of what is asked for, with at most so many rows.
    async fn first_page(
        &self,
        question: &Question,
        top: u32,
        urgency: Urgency,
    ) -> Result<Page<Link>, Error> {
        let result = self.ask(question, Asked::First(top), urgency).await;
        if let Err(error) = &result
            && error.label() == "400"
            // A query for a message may be refused for more reasons than its window.
            && question.message.is_none()
        {
            match error.class() {
                // It says that the window ends in its future, and when to ask again.
                ErrorClass::Transient { after: Some(_) } => {
                    lock(&self.exchange.service_clock).is_earlier();
                }
                ErrorClass::OutOfReach { .. } => self.exchange.refused_as_old(question.window),
                // Of its time it says nothing.
                ErrorClass::Narrow
                | ErrorClass::Throttled { .. }
                | ErrorClass::Transient { after: None } => {}
                _ => lock(&self.exchange.service_clock).doubt(Instant::now()),
            }
        }
        result
    }

    async fn ask(
        &self,
        question: &Question,
        page: Asked<'_>,
        urgency: Urgency,
    ) -> Result<Page<Link>, Error> {
        let window = question.window;
        // The rows before the page, newest first, reach down to `before`, if that is known.
        let (url, before, link) = match page {
            Asked::At(link) => {
                let url = link.on_origin_of(&self.base)?.clone();
                (url, link.reached, Some(link))
            }
            Asked::First(top) => {
                self.exchange.check_end(window)?;
                (query(&self.base, question, top), Some(window.end()), None)
            }
        };
        let refused = |answer: &Answer| self.refused(answer, link);
        let form = |url: &Url, body: Bytes, found: Envelope| self.form(url, body, found, before);
        self.exchange
            .page(&url, window, urgency, refused, form)
            .await
    }

    fn refused(&self, answer: &Answer, link: Option<&Link>) -> Error {
        let refusal = self.exchange.refusal(answer, link);
        if answer.response.status() == StatusCode::TOO_MANY_REQUESTS {
            self.limiter.refused(refusal.retry_after);
        }
        advice::graph(&refusal)
    }

    fn form(
        &self,
        url: &Url,
        body: Bytes,
        Envelope { rows, next }: Envelope,
        before: Option<DateTime<Utc>>,
    ) -> Result<Page<Link>, Error> {
        let next = next.map(|text| Link::found(url, &text));
        let form = match self.format {
            EventFormat::Graph => Form::Verbatim,
            EventFormat::Reporting => Form::Renamed,
        };
        let page = row::page(body, rows, next, form)?;
        let reached = before.and_then(|before| repair::reached(&page, before));
        Ok(page.map_next(|next| next.behind(reached)))
    }
}

/// Which page of an answer is asked for.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// The first, with at most so many rows.
    First(u32),
    /// The one that this link leads to.
    At(&'a Link),
}

/// Whether the service has refused a link of its own. One that is not followed is a person's to know of.
fn is_refused(result: &Result<Page<Link>, Error>) -> bool {
    let error = result.as_ref().err();
    error.is_some_and(|error| {
        !matches!(error, Error::Link(_)) && error.class() == ErrorClass::Narrow
    })
}

/// The address of the first page of what is asked for, with at most so many rows.
fn query(base: &Url, question: &Question, top: u32) -> Url {
    let (start, end) = bounds::of(question.window);
    let message = question.message.as_ref();
    let message = message.map_or_else(String::new, |id| format!("id eq '{id}' and "));
    let filter = format!(
        "$filter={message}receivedDateTime ge {start} and receivedDateTime le {end}&$top={top}"
    );
    address(base, &filter)
}

fn address(base: &Url, query: &str) -> Url {
    let mut url = below(base, &["admin", "exchange", "tracing", "messageTraces"]);
    url.set_query(Some(query));
    url
}

#[cfg(test)]
mod tests;
