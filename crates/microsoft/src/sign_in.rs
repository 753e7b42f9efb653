//! How one signs in to a service.

use std::sync::Arc;

use base::{Secret, http::Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode};

use super::{
    Error,
    complaint::is_markup,
    identity::{Token, TokenCache},
    password::{PasswordGuard, PasswordTry},
};

/// How one signs in to the Reporting Web Service.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// With the name and password of a service account.
    Basic {
        /// The name of the account, an address.
        account: String,
        /// Its password.
        password: Secret,
        /// Sees to it that the account is not locked.
        guard: Arc<PasswordGuard>,
    },
    /// As an app or an account, with a token.
    Bearer(Arc<TokenCache>),
}

impl SignIn {
    pub(super) async fn authorize(&self) -> Result<Authorization, Error> {
        match self {
            Self::Basic {
                account,
                password,
                guard,
            } => {
                let attempt = guard.admit().map_err(Arc::new)?;
                Authorization::basic(account, password, attempt)
            }
            Self::Bearer(tokens) => Authorization::bearer(tokens.token().await?),
        }
    }

    pub(super) fn is_by_app(&self) -> bool {
        matches!(self, Self::Bearer(tokens) if !tokens.is_of_an_account())
    }

    /// What the refusal of a name and password means, for those who are held back by it.
    pub(super) fn note(&self, error: &Error) {
        if let Self::Basic { guard, .. } = self
            && error.label() == "401"
        {
            guard.note(error.to_string());
        }
    }

    /// Has something else sign the next request than what was refused. Whether there is anything else.
    pub(super) async fn renew(&self, refused: &Authorization) -> Result<bool, Error> {
        if let (Self::Bearer(tokens), Some(token)) = (self, &refused.token) {
            tokens.renewed(token).await?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// The `Authorization` of a request, and what must not be seen of it elsewhere.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    /// What an answer could echo.
    secrets: Vec<Secret>,
    token: Option<Arc<Token>>,
    /// What is to be told how the sign-in with a password ended.
    attempt: Option<PasswordTry>,
}

impl Authorization {
    /// Signs in as the account; RFC 7617, in UTF-8.
    fn basic(account: &str, password: &Secret, attempt: PasswordTry) -> Result<Self, Error> {
        let pair = Secret::new(BASE64_STANDARD.encode(format!("{account}:{}", password.expose())));
        Ok(Self {
            header: sensitive("Basic", &pair)?,
            secrets: vec![pair, password.clone()],
            token: None,
            attempt: Some(attempt),
        })
    }

    fn bearer(token: Arc<Token>) -> Result<Self, Error> {
        Ok(Self {
            header: sensitive("Bearer", &token.value)?,
            secrets: vec![token.value.clone()],
            token: Some(token),
            attempt: None,
        })
    }

    /// The service has answered like this. Whether a success is a page is not known yet; what is asked beside
    /// pages may be refused for another reason, too.
    pub(super) fn answered(&mut self, response: &Response, is_beside: bool) {
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                if let Some(attempt) = self.attempt.take() {
                    match is_beside {
                        true => attempt.refused_beside(),
                        false => attempt.refused(),
                    }
                }
            }
            // Only those who are signed in may lack a right; but a web page may come from anything on the way.
            StatusCode::FORBIDDEN if !is_beside && !is_markup(response.body()) => self.accepted(),
            _ => {}
        }
    }

    /// The service has answered as it does only to those who are signed in.
    pub(super) fn accepted(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.accepted();
        }
    }

    /// The permission to read message traces that the token is known to have.
    pub(super) fn permitted(&self) -> Option<&'static str> {
        self.token.as_ref()?.permitted
    }

    /// What must not appear in a message.
    pub(super) fn secrets(&self) -> Vec<&str> {
        self.secrets.iter().map(Secret::expose).collect()
    }
}

fn sensitive(scheme: &str, value: &Secret) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::try_from(format!("{scheme} {}", value.expose()))
        .map_err(|error| Error::Request(error.into()))?;
    header.set_sensitive(true);
    Ok(header)
}
