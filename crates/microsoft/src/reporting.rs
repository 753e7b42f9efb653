//! The Office 365 Reporting Web Service: message traces for an account, or for government clouds.

use base::{Clock, ErrorClass, http::Http};
use bytes::Bytes;
use rows::{Page, Question, RowKeyer, Window};
use url::Url;

use super::{
    Error, Link, SignIn, Unreadable, Urgency, advice, below, bounds,
    details::Details,
    exchange::{Answer, Exchange},
    page::Envelope,
    row::{self, Form},
};

/// Reads the report `MessageTrace`, in the verbose JSON dialect that `$format=json` without a JSON
/// `Accept` header gives; the light dialect is read as well.
#[derive(Debug)]
pub struct ReportingService {
    /// What it asks with, and what that tells of time.
    pub exchange: Exchange,
    base: Url,
}

impl ReportingService {
    /// A reader of the service whose address is `base`, e.g.
    /// `https://reports.office365.com/ecp/reportingwebservice/reporting.svc`.
    pub fn new(http: Http, clock: Clock, base: Url, sign_in: SignIn, keyer: RowKeyer) -> Self {
        Self {
            exchange: Exchange::new(http, clock, sign_in, keyer),
            base,
        }
    }

    /// One page of what is asked for: the first, or the one that a link leads to.
    ///
    /// Rows just outside the window may be among them.
    ///
    /// # Errors
    /// When there is no whole page; [`Error::class`] says whether asking again helps.
    pub async fn page(
        &self,
        question: impl Into<Question>,
        link: Option<&Link>,
    ) -> Result<Page<Link>, Error> {
        let question = question.into();
        let window = question.window;
        let url = match link {
            Some(link) => link.on_origin_of(&self.base)?.clone(),
            None => {
                self.exchange.check_end(window)?;
                query(&self.base, &question, "")
            }
        };
        let refused = |answer: &Answer| self.refused(answer, link);
        let page = self
            .exchange
            .page(&url, window, Urgency::Now, refused, form);
        let page = page.await;
        if let Err(error) = &page
            && let ErrorClass::OutOfReach { .. } = error.class()
            && link.is_none()
            && question.message.is_none()
        {
            self.exchange.refused_as_old(window);
        }
        page.map_err(|error| match question.message {
            Some(_) => error.of_message(),
            None => error,
        })
    }

    /// Asks the service for its time, with a question that any clock may ask: what it answers is
    /// [`Exchange::time`]'s. Several answers may be needed.
    ///
    /// # Errors
    /// When it does not answer; [`Error::class`] says whether asking again helps.
    pub async fn ask_time(&self) -> Result<(), Error> {
        let address = |window: Option<Window>| match window {
            Some(window) => query(&self.base, &window.into(), "&$top=1"),
            None => address(&self.base, "$format=json&$top=1"),
        };
        let refused = |answer: &Answer| self.refused(answer, None);
        self.exchange.ask_time(address, refused).await
    }

    /// Asks for details of messages, beside pages.
    pub fn details(&self) -> Details {
        Details::new(&self.exchange, &self.base)
    }

    /// Whether an error says that this service has ended for the organization, or takes no passwords
    /// any more. One such answer proves nothing: an address may be wrong, a proxy in the way, or a
    /// password mistyped.
    pub fn seems_ended(&self, error: &Error) -> bool {
        let has_ended = match error {
            // What asks for a pause has not ended.
            Error::Status {
                class: ErrorClass::Throttled { .. },
                ..
            } => false,
            Error::Status {
                status, sentence, ..
            } => {
                matches!(status.as_u16(), 404 | 410 | 300..=399)
                    || sentence.contains(advice::NAMES_SUCCESSOR)
            }
            Error::Unreadable(Unreadable::Markup { .. }) => true,
            // A status is sent before it is known how the answer ends.
            Error::Unreadable(Unreadable::ErrorInside(said) | Unreadable::NoRows(said)) => {
                advice::successor_is_named(said)
            }
            _ => false,
        };
        has_ended || self.refuses_passwords(error)
    }

    /// Whether an error says that the password was refused. It says so at every address: of a link or of
    /// a message, too, it is no word.
    pub fn refuses_passwords(&self, error: &Error) -> bool {
        matches!(self.exchange.sign_in, SignIn::Basic { .. }) && error.label() == "401"
    }

    fn refused(&self, answer: &Answer, link: Option<&Link>) -> Error {
        let error = advice::reporting(&self.exchange.refusal(answer, link));
        self.exchange.sign_in.note(&error);
        error
    }
}

fn form(url: &Url, body: Bytes, Envelope { rows, next }: Envelope) -> Result<Page<Link>, Error> {
    let next = next
        .map(|text| Link::found(url, &text))
        // Without it, the next page would be an Atom feed.
        .map(|link| link.with_option("$format", "json"));
    Ok(row::page(body, rows, next, Form::VerboseDates)?)
}

/// The address of the first page of what is asked for, with more options.
fn query(base: &Url, question: &Question, options: &str) -> Url {
    let (start, end) = bounds::of(question.window);
    let message = question.message.as_ref();
    let message = message.map_or_else(String::new, |id| {
        format!(" and MessageTraceId eq guid'{id}'")
    });
    let filter = format!("StartDate eq datetime'{start}' and EndDate eq datetime'{end}'{message}");
    address(base, &format!("$format=json&$filter={filter}{options}"))
}

fn address(base: &Url, query: &str) -> Url {
    let mut url = below(base, &["MessageTrace"]);
    url.set_query(Some(query));
    url
}

#[cfg(test)]
mod tests;
