//! The Microsoft identity platform: tokens for an app or an account, cached, and what a refusal means.
//!
//! An app signs in by the client credentials flow. An account signs in with its name and password, by
//! the resource owner password grant
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth-ropc>), which Microsoft advises
//! against where anything else is possible: a second factor or a policy closes it. No refresh token is
//! asked for, and nothing is kept on the disk.

mod aadsts;
mod assertion;
mod cache;
mod certificate;
mod claims;
mod errors;
mod request;

use std::{path::PathBuf, sync::Arc};

use base::Secret;
use url::Url;

pub(super) use self::cache::Token;
pub use self::{
    cache::{Grant, TokenCache},
    certificate::{Certificate, CertificateError},
    errors::SignInError,
};
use crate::password::PasswordGuard;

/// Who signs in, and where.
#[derive(Debug)]
pub enum Identity {
    /// An app registration, at the identity platform.
    App {
        /// Base of the identity platform, e.g. `https://login.microsoftonline.com`.
        login: Url,
        /// The tenant: a GUID or a domain.
        tenant: String,
        /// The app's (client) id.
        client: String,
        /// What proves that it is this app.
        credential: Credential,
    },
    /// An account of the tenant, which gives an app its name and password.
    User {
        /// Base of the identity platform.
        login: Url,
        /// The tenant: a GUID or a domain.
        tenant: String,
        /// The (client) id of the app.
        client: String,
        /// The app's own secret; none for an app that allows public client flows.
        secret: Option<Secret>,
        /// The sign-in name of the account.
        account: String,
        /// Its password.
        password: Secret,
        /// Sees to it that the account is not locked.
        guard: Arc<PasswordGuard>,
    },
    /// The managed identity of the Azure machine that this runs on.
    Managed {
        /// Base of the machine's metadata service, [`METADATA_SERVICE`] outside of tests.
        endpoint: Url,
        /// The client id of a user-assigned identity; none for the machine's own.
        client: Option<String>,
    },
}

impl Identity {
    /// The address of who gives it tokens.
    fn server(&self) -> &Url {
        match self {
            Self::App { login, .. } | Self::User { login, .. } => login,
            Self::Managed { endpoint, .. } => endpoint,
        }
    }

    /// Whether it is an account, with its name and password, and not an app itself.
    fn is_an_account(&self) -> bool {
        matches!(self, Self::User { .. })
    }
}

/// Where a machine's metadata service is, as
/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
/// has it. It is not to be asked through a proxy.
pub const METADATA_SERVICE: &str = "http://169.254.169.254";

/// What proves that an app is itself.
#[derive(Debug)]
pub enum Credential {
    /// A client secret.
    ClientSecret(Secret),
    /// A certificate whose private key signs an assertion.
    Certificate(Box<Certificate>),
    /// A token of another issuer that the app trusts (workload identity federation), in a file
    /// that is read anew for every token, as it rotates.
    Federated {
        /// The file, usually named by `AZURE_FEDERATED_TOKEN_FILE`.
        token_file: PathBuf,
    },
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The resource as its tokens name it, e.g. `https://graph.microsoft.com`.
    pub(super) audience: String,
    /// The application id under which tokens may name it as well.
    pub(super) app_id: &'static str,
    /// The API's name in the list of permissions.
    pub(super) api: &'static str,
    /// The permission that reading message traces takes, of an app or delegated by an account.
    pub(super) permission: &'static str,
}

impl Resource {
    /// Microsoft Graph at this address. An address of plain http (a loopback one) stands in for
    /// the global service.
    pub fn graph(base: &Url) -> Self {
        let audience = match base.scheme() {
            "https" => base.origin().ascii_serialization(),
            _ => "https://graph.microsoft.com".to_owned(),
        };
        Self {
            audience,
            app_id: "00000003-0000-0000-c000-000000000000",
            api: "Microsoft Graph",
            permission: "ExchangeMessageTrace.Read.All",
        }
    }

    /// The Reporting Web Service at this address. Its tokens are those of Outlook: an `outlook`
    /// host is its own resource, and other hosts have the one of their cloud.
    pub fn reporting(base: &Url) -> Self {
        let host = base.host_str().unwrap_or_default();
        let audience = if base.scheme() == "https" && host.starts_with("outlook") {
            base.origin().ascii_serialization()
        } else if host.ends_with(".us") {
            "https://outlook.office365.us".to_owned()
        } else {
            "https://outlook.office365.com".to_owned()
        };
        Self {
            audience,
            app_id: "00000002-0000-0ff1-ce00-000000000000",
            api: "Office 365 Exchange Online",
            permission: "ReportingWebService.Read.All",
        }
    }
}

#[cfg(test)]
mod tests;
