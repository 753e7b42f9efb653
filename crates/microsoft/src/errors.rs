//! What can go wrong when a page is asked for, and whether asking again helps.

use std::{sync::Arc, time::Duration};

use base::{
    ErrorClass,
    http::{HttpError, HttpErrorKind},
};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::error::Category;

use super::{identity::SignInError, link::LinkError};

/// What the Reporting Web Service says when a query took it too long (reference A.8).
const TIMED_OUT: &str = "UnifiedReportingTimeout";

/// A window that ends in the service's future is asked for again after so long at most.
const AHEAD: Duration = Duration::from_secs(30);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no whole answer.
    #[error("no answer from Microsoft; asked again later, check network and proxy if it persists")]
    NoAnswer(#[source] HttpError),
    /// The answer was a refusal.
    #[error("{sentence}")]
    Status {
        /// The status of the answer.
        status: StatusCode,
        /// Whether asking again helps.
        class: ErrorClass,
        /// What it is about.
        concern: Concern,
        /// What happened, what it means and what to do, with what the service said.
        sentence: String,
    },
    /// The answer claims success, but is not certain to be a whole page.
    #[error("unreadable answer: {0}; asked again later")]
    Unreadable(#[from] Unreadable),
    /// The same, of no page at all, and it asks for a pause: who answers so has too much to do.
    #[error("unreadable answer: {what}; it asks for a pause, and is asked again after that")]
    Overloaded {
        /// What is wrong with it.
        what: Unreadable,
        /// The pause.
        after: Duration,
    },
    /// The page has a link to the next one that is not followed.
    #[error("the link to the next page is refused")]
    Link(#[from] LinkError),
    /// There is no token to ask with.
    #[error(transparent)]
    SignIn(#[from] Arc<SignInError>),
    /// The service would refuse the window, as it ends in its future.
    #[error(
        "the window ends {} s ahead of the service's clock; asked when it is past, set the clock \
         of this machine right if that is long", by.as_secs() + 1
    )]
    Ahead {
        /// How far.
        by: Duration,
    },
    /// No answer tells the time, and the local clock cannot be right.
    #[error(
        "no answer tells the time, and the clock of this machine shows one before {passed}, up to when \
         rows were delivered: set it right (NTP); until then, or for a day, nothing is asked for"
    )]
    Behind {
        /// What has passed.
        passed: DateTime<Utc>,
    },
    /// The request could not be built.
    #[error("request cannot be made; check the address of the service and the credentials")]
    Request(#[source] http::Error),
}

impl Error {
    /// What follows from it. A refusal of the account or app that asks is one of all pages.
    pub fn class(&self) -> ErrorClass {
        match (self.by_itself(), self.concern()) {
            (ErrorClass::Person, Concern::Query) => ErrorClass::Person,
            (ErrorClass::Person, concern) => ErrorClass::Refused {
                heals: concern == Concern::ServicePrincipal,
            },
            (class, _) => class,
        }
    }

    /// The same of a question for one message, or of a link of its answer. That it is forbidden speaks of who asks,
    /// or of what stands on the way: it is no answer to the question, and may pass.
    pub(crate) fn of_message(mut self) -> Self {
        if let Self::Status {
            status: StatusCode::FORBIDDEN,
            class: class @ (ErrorClass::Person | ErrorClass::Narrow),
            concern: Concern::Query,
            ..
        } = &mut self
        {
            *class = ErrorClass::Transient { after: None };
        }
        self
    }

    /// The same without a look at who asks.
    fn by_itself(&self) -> ErrorClass {
        match self {
            Self::NoAnswer(error) => match error.kind {
                HttpErrorKind::Setup => ErrorClass::Person,
                HttpErrorKind::TooLarge => ErrorClass::Narrow,
                _ => ErrorClass::Outage,
            },
            Self::Status { class, .. } => *class,
            Self::Unreadable(what) if what.may_be_the_pages() => ErrorClass::Unreadable,
            Self::Unreadable(_) => ErrorClass::Transient { after: None },
            Self::Overloaded { after, .. } => ErrorClass::Throttled {
                after: Some(*after),
            },
            Self::SignIn(error) => error.class(),
            // That time may be wrong itself, and is learnt anew meanwhile.
            Self::Ahead { by } => ErrorClass::Transient {
                after: Some((*by).min(AHEAD)),
            },
            // The rest of the window can be asked for without it.
            Self::Link(_) => ErrorClass::Narrow,
            Self::Behind { .. } | Self::Request(_) => ErrorClass::Person,
        }
    }

    /// Whether a narrower window might be answered: services are known to fail or to take too long
    /// when a window holds more than they can look through in time, although it is within all
    /// limits.
    pub fn may_be_too_wide(&self) -> bool {
        match self {
            Self::NoAnswer(error) => error.kind == HttpErrorKind::Timeout,
            Self::Status {
                status, sentence, ..
            } => matches!(status.as_u16(), 500 | 504) || sentence.contains(TIMED_OUT),
            Self::Unreadable(Unreadable::ErrorInside(said)) => said.contains(TIMED_OUT),
            _ => false,
        }
    }

    /// Whether nothing was asked, as a password that was refused is not tried again yet.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::SignIn(error) if matches!(**error, SignInError::Held { .. }))
    }

    /// What the failure is about.
    pub fn concern(&self) -> Concern {
        match self {
            Self::Status { concern, .. } => *concern,
            Self::SignIn(error) => error.concern(),
            _ => Concern::Query,
        }
    }

    /// A word for metrics labels: the status of a refusal, or the kind of failure.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoAnswer(error) => error.kind.label(),
            Self::Status { status, .. } => status_label(*status),
            Self::Unreadable(_) | Self::Overloaded { .. } => "unreadable",
            Self::Link(_) => "link",
            Self::SignIn(_) => "sign_in",
            Self::Ahead { .. } => "ahead",
            Self::Behind { .. } => "behind",
            Self::Request(_) => "request",
        }
    }
}

/// Statuses that tell something by themselves.
const TELLING: [&str; 11] = [
    "400", "401", "403", "404", "408", "410", "429", "500", "502", "503", "504",
];

/// The status where it tells something by itself, else its hundred, so that labels stay few.
fn status_label(status: StatusCode) -> &'static str {
    let told = TELLING.into_iter().find(|told| *told == status.as_str());
    told.unwrap_or(match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    })
}

/// What a failure is about. What comes before it in this list has worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Who asks.
    SignIn,
    /// What they may do.
    Permission,
    /// What the tenant needs besides.
    ServicePrincipal,
    /// The question or its answer.
    Query,
}

/// What an answer means that passes by itself, by its status and its `Retry-After`.
pub(crate) fn passing(status: StatusCode, retry_after: Option<Duration>) -> ErrorClass {
    match (status.as_u16(), retry_after) {
        (429, _) | (_, Some(_)) => ErrorClass::Throttled { after: retry_after },
        (408 | 500..=599, None) => ErrorClass::Outage,
        _ => ErrorClass::Transient { after: None },
    }
}

/// Why an answer that claims success is not taken for a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not text.
    #[error("it is not UTF-8 text")]
    NotUtf8,
    /// It ends too early.
    #[error("its JSON breaks off after {bytes} bytes")]
    Cut {
        /// Its length.
        bytes: usize,
    },
    /// It is garbled.
    #[error("it is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// It is JSON of another shape.
    #[error("its JSON is not a page of rows (line {line}, column {column})")]
    NotAPage {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// It is a web page or feed, with this title.
    #[error(
        "it is markup ({}) instead of JSON: check the address of the service in the settings and \
         any proxy in between", title.as_deref().unwrap_or("without a title")
    )]
    Markup {
        /// Its title.
        title: Option<String>,
    },
    /// It has no list of rows; what it says instead.
    #[error("it has no list of rows{}", said(.0))]
    NoRows(String),
    /// It reports an error beside or instead of rows.
    #[error("it reports an error with status 200{}", said(.0))]
    ErrorInside(String),
    /// It has a link to more of what is only told as a whole.
    #[error("it is only the first of several pages")]
    NotAll,
    /// One of its rows is not a JSON object.
    #[error("one of its rows is not a JSON object")]
    RowNotAnObject,
    /// Its rows would take far more memory in the form in which they are delivered.
    #[error("its rows say the same over and over")]
    Swollen,
}

impl Unreadable {
    /// Why a text of so many bytes is not the JSON that it should be.
    pub(super) fn json(error: &serde_json::Error, bytes: usize) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => Self::Cut { bytes },
            Category::Data => Self::NotAPage { line, column },
            Category::Io | Category::Syntax => Self::NotJson { line, column },
        }
    }

    /// Whether it may be this page that cannot be read, and no other. Else another service has
    /// answered, or the service as a whole has failed.
    pub(super) fn may_be_the_pages(&self) -> bool {
        match self {
            Self::NotUtf8
            | Self::Cut { .. }
            | Self::NotJson { .. }
            | Self::NotAPage { .. }
            | Self::RowNotAnObject
            | Self::Swollen => true,
            Self::Markup { .. } | Self::NoRows(_) | Self::ErrorInside(_) | Self::NotAll => false,
        }
    }
}

fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" (it says: {text})")
    }
}
