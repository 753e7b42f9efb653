//! What happened to a message on its way to one recipient: Graph's `getDetailsByRecipient`, and
//! `MessageTraceDetail` of the Reporting Web Service, in one form.

mod answer;

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{DETAILS_LIMITS, Error, Limiter, SignIn, Urgency, advice, below, exchange::Exchange};

/// What stands as it is in an address.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'\'');

/// Something may have happened to a message before the service says that it has received it.
const BEFORE: TimeDelta = TimeDelta::hours(1);

/// The longest time that the Reporting Web Service is asked about.
const LONGEST: TimeDelta = TimeDelta::days(10);

/// Asks what happened to messages. What it is answered changes nothing for pages: it is no witness of the
/// service's time and pace. A password that it refuses is tried for nothing else than pages, until one shows
/// that it is right.
#[derive(Debug)]
pub struct Details {
    exchange: Exchange,
    base: Url,
    /// Of Graph, the quota in which calls for details count besides; the other service has none.
    limiter: Option<Limiter>,
}

impl Details {
    /// Of the service whose pages are asked for like this. Calls count in the quota of these, and do not wait
    /// for it: who asks keeps calls few.
    pub(super) fn new(exchange: &Exchange, base: &Url) -> Self {
        Self {
            exchange: Exchange {
                headers: exchange.headers.clone(),
                limits: DETAILS_LIMITS,
                is_beside: true,
                ..Exchange::new(
                    exchange.http.clone(),
                    exchange.clock.clone(),
                    exchange.sign_in.clone(),
                    exchange.keyer,
                )
            },
            base: base.clone(),
            limiter: exchange.limiter.clone(),
        }
    }

    /// The events of a message, which was received then, and a recipient: a JSON list of objects, the oldest
    /// event first, with such of `dateTime`, `event`, `action`, `description` and `data` as the service tells.
    /// None when it knows of none.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn ask(
        &self,
        trace_id: &str,
        recipient: &str,
        received: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, Error> {
        if let SignIn::Basic { guard, .. } = &self.exchange.sign_in {
            guard.ensure_proven().map_err(Arc::new)?;
        }
        let url = match &self.limiter {
            Some(limiter) => {
                limiter.sends_beside();
                graph_address(&self.base, trace_id, recipient)
            }
            None => {
                let now = self.exchange.clock.now();
                reporting_address(&self.base, trace_id, recipient, received, now)
            }
        };
        let mut answer = self.exchange.get(&url, Urgency::Now).await?;
        let status = answer.response.status();
        if status != StatusCode::OK {
            let refusal = self.exchange.refusal(&answer, None);
            if status == StatusCode::NOT_FOUND {
                // It knows no such message or recipient, and tells it of others.
                if refusal.is_own() {
                    return Ok(None);
                }
                self.exchange.leave_connection(&answer.url);
            }
            let setting = match self.limiter {
                Some(_) => "graph_url",
                None => "reporting_url",
            };
            return Err(advice::details(&refusal, setting));
        }
        self.exchange.read(&url, &mut answer, |answer| {
            let body = answer.response.body();
            Ok(answer::read(body, &self.exchange.keyer, &answer.secrets())?)
        })
    }
}

fn graph_address(base: &Url, trace_id: &str, recipient: &str) -> Url {
    let mut url = base.clone();
    let path = format!(
        "{}/admin/exchange/tracing/messageTraces/{}/getDetailsByRecipient(recipientAddress='{}')",
        base.path().trim_end_matches('/'),
        utf8_percent_encode(trace_id, PLAIN),
        quoted(recipient),
    );
    url.set_path(&path);
    url
}

fn reporting_address(
    base: &Url,
    trace_id: &str,
    recipient: &str,
    received: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Url {
    let mut url = below(base, &["MessageTraceDetail"]);
    let mut filter = format!(
        "MessageTraceId eq guid'{}' and RecipientAddress eq '{}'",
        quoted(trace_id),
        quoted(recipient)
    );
    // Without a window it looks through the last two days.
    if let Some(received) = received {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let start = received - BEFORE;
        let end = now.min(start + LONGEST).max(received);
        filter.push_str(&format!(
            " and StartDate eq datetime'{}' and EndDate eq datetime'{}'",
            text(start),
            text(end)
        ));
    }
    url.set_query(Some(&format!("$format=json&$filter={filter}")));
    url
}

/// A text inside of quotes.
fn quoted(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    utf8_percent_encode(&doubled, PLAIN).to_string()
}

#[cfg(test)]
mod tests;
