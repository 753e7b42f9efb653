//! Why there is no token.

use std::{path::PathBuf, time::Duration};

use base::{
    ErrorClass,
    http::{HttpError, HttpErrorKind},
};
use http::StatusCode;
use uuid::Uuid;

use super::certificate::CertificateError;
use crate::Concern;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The identity platform gave no answer.
    #[error(
        "no answer from the sign-in service of Microsoft; asked again later, check `login_url`, \
         network and proxy if it persists"
    )]
    NoAnswer(#[source] HttpError),
    /// The machine's metadata service gave no answer.
    #[error(
        "no answer from the metadata service of the machine, which managed identities need: they \
         work on machines and containers of Azure only; use another credential elsewhere"
    )]
    NoMetadata(#[source] HttpError),
    /// The sign-in is refused.
    #[error("{sentence}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// Whether asking again helps.
        class: ErrorClass,
        /// Whether the answer tells nothing about the request.
        is_odd: bool,
        /// What happened, what it means and what to do, with what the service said.
        sentence: String,
    },
    /// The answer claims success, but holds no token.
    #[error(
        "the sign-in service answered with success but without a token{said}; asked again later, \
         check `login_url` and any proxy in between if it persists"
    )]
    NoToken {
        /// What it says instead, as a part of the sentence.
        said: String,
        /// Whether that has lasted.
        lasts: bool,
        /// The pause that it asks for.
        after: Option<Duration>,
    },
    /// The app lacks the permission.
    #[error(
        "the app has signed in but lacks the permission `{permission}`: it is not granted or not \
         consented to; add `{permission}` of the API `{api}` as an application permission to the \
         app registration, and have an administrator grant consent{delay}"
    )]
    MissingPermission {
        /// The permission.
        permission: &'static str,
        /// The API that has it.
        api: &'static str,
        /// How long granting may take, when that is longer than a moment.
        delay: &'static str,
    },
    /// The user's token lacks the permission.
    #[error(
        "the account has signed in, but its token lacks the delegated permission `{permission}`: add \
         `{permission}` of the API `{api}` as a delegated permission to the app registration that \
         `client_id` names, and have an administrator grant consent for all accounts"
    )]
    MissingScope {
        /// The permission.
        permission: &'static str,
        /// The API that has it.
        api: &'static str,
    },
    /// A name and password that were refused are not tried again yet.
    #[error(
        "the name and password of the account were refused, and are tried again at {until}, so that the \
         account is not locked, or at once after a start with other settings{}",
        refusal(said)
    )]
    Held {
        /// When.
        until: String,
        /// What the refusal means, when that is known.
        said: Option<String>,
    },
    /// The token is for something else.
    #[error(
        "the token is for `{found}` instead of `{expected}`, so that the service would refuse it; \
         check that the addresses in the settings belong to one cloud"
    )]
    WrongAudience {
        /// What it is for.
        found: String,
        /// What it should be for.
        expected: String,
    },
    /// The token is of another tenant.
    #[error("the token is of tenant {found} instead of {expected}; check `tenant_id`")]
    WrongTenant {
        /// Whose it is.
        found: Uuid,
        /// Whose it should be.
        expected: Uuid,
    },
    /// The federated token cannot be read.
    #[error(
        "the federated token cannot be read from {}; check that the workload identity is mounted \
         there (`AZURE_FEDERATED_TOKEN_FILE`)", path.display()
    )]
    TokenFile {
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The assertion cannot be signed.
    #[error("the app cannot prove itself with its certificate")]
    Certificate(#[from] CertificateError),
    /// The request could not be built.
    #[error("the request for a token cannot be made; check `login_url` and `tenant_id`")]
    Request(#[source] http::Error),
}

fn refusal(said: &Option<String>) -> String {
    said.as_ref()
        .map_or_else(String::new, |said| format!("; the refusal: {said}"))
}

impl SignInError {
    /// Whether the answer tells nothing about the request, which passes by itself as a rule.
    pub(super) fn is_odd(&self) -> bool {
        matches!(
            self,
            Self::NoToken { .. } | Self::Refused { is_odd: true, .. }
        )
    }

    /// The same when it has lasted for long: a person must act, unless it asks for a pause.
    pub(super) fn lasting(mut self) -> Self {
        match &mut self {
            Self::NoToken { lasts, .. } => *lasts = true,
            Self::Refused {
                class: ErrorClass::Throttled { .. },
                ..
            } => {}
            Self::Refused { class, .. } => *class = ErrorClass::Person,
            _ => {}
        }
        self
    }

    /// What it is about.
    pub fn concern(&self) -> Concern {
        match self {
            Self::MissingPermission { .. } | Self::MissingScope { .. } => Concern::Permission,
            _ => Concern::SignIn,
        }
    }

    /// Whether asking again helps.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoAnswer(error) | Self::NoMetadata(error) => match error.kind {
                HttpErrorKind::Setup => ErrorClass::Person,
                _ => ErrorClass::Outage,
            },
            Self::Refused { class, .. } => *class,
            Self::NoToken {
                after: Some(after), ..
            } => ErrorClass::Throttled {
                after: Some(*after),
            },
            Self::NoToken { lasts: true, .. } => ErrorClass::Person,
            // The file may be about to be replaced.
            Self::NoToken { .. } | Self::TokenFile { .. } => ErrorClass::Transient { after: None },
            Self::MissingPermission { .. }
            | Self::MissingScope { .. }
            | Self::Held { .. }
            | Self::WrongAudience { .. }
            | Self::WrongTenant { .. }
            | Self::Certificate(_)
            | Self::Request(_) => ErrorClass::Person,
        }
    }
}
