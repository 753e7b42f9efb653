//! How one signs in to the service.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;

use crate::Secret;

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
}

/// The `Authorization` of a request, and what must not be seen of it elsewhere.
pub(super) struct Authorization {
    /// The value of the header.
    pub(super) header: HeaderValue,
    /// What an answer could echo.
    secrets: Vec<Secret>,
}

impl Authorization {
    /// Signs in as the account; RFC 7617, in UTF-8.
    pub(super) fn basic(account: &str, password: &Secret) -> Result<Self, http::Error> {
        let pair = Secret::new(BASE64_STANDARD.encode(format!("{account}:{}", password.expose())));
        Ok(Self {
            header: sensitive(&format!("Basic {}", pair.expose()))?,
            secrets: vec![pair, password.clone()],
        })
    }

    /// What must not appear in a message.
    pub(super) fn secrets(&self) -> Vec<&str> {
        self.secrets.iter().map(Secret::expose).collect()
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, http::Error> {
    let mut header = HeaderValue::from_str(value)?;
    header.set_sensitive(true);
    Ok(header)
}
