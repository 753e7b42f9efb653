//! The Office 365 Reporting Web Service: message traces for an account, or for government clouds.

use std::fmt;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use http::{Method, header::AUTHORIZATION};
use url::Url;

use super::{
    Error, Link, PAGE_LIMITS, SignIn,
    advice::{self, Refusal},
    page::Envelope,
    row,
    sign_in::Authorization,
};
use crate::{
    Clock, Page, RowKeyer, Window,
    http::{Http, Response},
};

/// How far below a window's start is asked. Whether the service includes its bounds, and whether
/// it compares parts of seconds, is not known; asked like this, no answer to that loses a row, and
/// rows seen twice are known by their keys.
const START_MARGIN: TimeDelta = TimeDelta::seconds(1);

/// Reads the report `MessageTrace`, in the verbose JSON dialect that `$format=json` without a JSON
/// `Accept` header gives; the light dialect is read as well.
#[derive(Debug)]
pub struct ReportingService {
    http: Http,
    clock: Clock,
    base: Url,
    sign_in: SignIn,
    keyer: RowKeyer,
}

impl ReportingService {
    /// A reader of the service whose address is `base`, e.g.
    /// `https://reports.office365.com/ecp/reportingwebservice/reporting.svc`.
    pub fn new(http: Http, clock: Clock, base: Url, sign_in: SignIn, keyer: RowKeyer) -> Self {
        Self {
            http,
            clock,
            base,
            sign_in,
            keyer,
        }
    }

    /// One page of a window: the first, or the one that a link leads to.
    ///
    /// Rows just outside the window may be among them.
    ///
    /// # Errors
    /// When there is no whole page; [`Error::class`] says whether asking again helps.
    pub async fn page(&self, window: Window, link: Option<&Link>) -> Result<Page<Link>, Error> {
        let url = match link {
            Some(link) => link.on_origin_of(&self.base)?.clone(),
            None => query(&self.base, window),
        };
        let SignIn::Basic { account, password } = &self.sign_in;
        let authorization = Authorization::basic(account, password).map_err(Error::Request)?;
        let request = http::Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(AUTHORIZATION, authorization.header.clone())
            .body(bytes::Bytes::new())
            .map_err(Error::Request)?;
        let response = self
            .http
            .send(request, PAGE_LIMITS)
            .await
            .map_err(Error::NoAnswer)?;
        let secrets = authorization.secrets();
        if response.status() == http::StatusCode::OK {
            self.read(&url, &response, &secrets)
        } else {
            Err(advice::reporting(&Refusal {
                response: &response,
                link,
                secrets: &secrets,
                now: self.clock.now(),
            }))
        }
    }

    fn read(&self, asked: &Url, answer: &Response, secrets: &[&str]) -> Result<Page<Link>, Error> {
        let body = answer.body();
        let envelope = Envelope::read(body, secrets)?;
        let next = envelope
            .next
            .map(|text| Link::resolve(asked, &text))
            .transpose()?
            // Without it, the next page would be an Atom feed.
            .map(|link| link.with_option("$format", "json"));
        Ok(row::reporting_page(
            body,
            &envelope.rows,
            &self.keyer,
            next,
        )?)
    }
}

/// The address of the first page of a window.
fn query(base: &Url, window: Window) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("MessageTrace");
    }
    let start = Bound((window.start() - START_MARGIN).trunc_subsecs(6));
    let end = Bound((window.end() + TimeDelta::nanoseconds(999)).trunc_subsecs(6));
    url.set_query(Some(&format!(
        "$format=json&$filter=StartDate eq {start} and EndDate eq {end}"
    )));
    url
}

/// A bound of the query: whole seconds, or with the fraction it needs (6 digits are known to be
/// accepted, more are not).
struct Bound(DateTime<Utc>);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        write!(f, "datetime'{text}'")
    }
}

#[cfg(test)]
mod tests;
