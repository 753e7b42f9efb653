//! How one signs in to a service.

use std::sync::Arc;

use base::Secret;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;

use super::{
    Error,
    identity::{Token, TokenCache},
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
    },
    /// As an app, with a token.
    Bearer(Arc<TokenCache>),
}

impl SignIn {
    /// What signs the next request.
    pub(super) async fn authorize(&self) -> Result<Authorization, Error> {
        match self {
            Self::Basic { account, password } => Authorization::basic(account, password),
            Self::Bearer(tokens) => Authorization::bearer(tokens.token().await?),
        }
    }

    /// What signs a request in place of something that has been refused; none when nothing else
    /// can be had.
    pub(super) async fn renew(
        &self,
        refused: &Authorization,
    ) -> Result<Option<Authorization>, Error> {
        match (self, &refused.token) {
            (Self::Bearer(tokens), Some(token)) => {
                Authorization::bearer(tokens.renewed(token).await?).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// The `Authorization` of a request, and what must not be seen of it elsewhere.
#[derive(Debug)]
pub(super) struct Authorization {
    /// The value of the header.
    pub(super) header: HeaderValue,
    /// What an answer could echo.
    secrets: Vec<Secret>,
    token: Option<Arc<Token>>,
}

impl Authorization {
    /// Signs in as the account; RFC 7617, in UTF-8.
    fn basic(account: &str, password: &Secret) -> Result<Self, Error> {
        let pair = Secret::new(BASE64_STANDARD.encode(format!("{account}:{}", password.expose())));
        Ok(Self {
            header: sensitive("Basic", &pair)?,
            secrets: vec![pair, password.clone()],
            token: None,
        })
    }

    fn bearer(token: Arc<Token>) -> Result<Self, Error> {
        Ok(Self {
            header: sensitive("Bearer", &token.value)?,
            secrets: vec![token.value.clone()],
            token: Some(token),
        })
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
