//! What a token says about itself, read before it is used, so that a missing permission is named
//! at once instead of being met as a refusal later.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use uuid::Uuid;

use super::{Identity, Resource, errors::SignInError};

/// The claims that matter. The signature is for the service to check, not for its client.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Claims {
    /// What the token is for.
    pub(super) aud: Option<String>,
    /// The permissions that the app has been granted; absent when it has none.
    #[serde(default)]
    pub(super) roles: Vec<String>,
    /// The permissions that the app has in the name of an account, between blanks; absent in a token
    /// of the app itself.
    pub(super) scp: Option<String>,
    /// The tenant.
    pub(super) tid: Option<String>,
    /// When it expires, in seconds since 1970.
    pub(super) exp: Option<i64>,
}

impl Claims {
    /// Reads a token; none when it is not a JWT, which a client may not count on.
    pub(super) fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .ok()?;
        serde_json::from_slice(&json).ok()
    }

    pub(super) fn permissions(self) -> Vec<String> {
        match self.scp {
            Some(scopes) => scopes.split_whitespace().map(str::to_owned).collect(),
            None => self.roles,
        }
    }

    /// Whether the token can serve.
    pub(super) fn check(
        &self,
        resource: &Resource,
        identity: &Identity,
    ) -> Result<(), SignInError> {
        let tenant = match identity {
            Identity::App { tenant, .. } | Identity::User { tenant, .. } => Some(tenant),
            Identity::Managed { .. } => None,
        };
        if let Some(found) = &self.aud {
            let found = found.trim_end_matches('/');
            let fits = [resource.audience.as_str(), resource.app_id]
                .iter()
                .any(|expected| found.eq_ignore_ascii_case(expected));
            if !fits {
                return Err(SignInError::WrongAudience {
                    found: found.chars().take(100).collect(),
                    expected: resource.audience.clone(),
                });
            }
        }
        if let (Some(found), Some(tenant)) = (&self.tid, tenant)
            && let (Ok(found), Ok(expected)) = (Uuid::parse_str(found), Uuid::parse_str(tenant))
            && found != expected
        {
            return Err(SignInError::WrongTenant { found, expected });
        }
        let (permission, api) = (resource.permission, resource.api);
        let is_needed = |name: &str| name.eq_ignore_ascii_case(permission);
        let scopes = self.scp.as_deref().unwrap_or_default();
        let is_granted = match identity {
            Identity::User { .. } => scopes.split_whitespace().any(is_needed),
            _ => self.roles.iter().any(|role| is_needed(role)),
        };
        if is_granted {
            return Ok(());
        }
        let delay = match identity {
            Identity::User { .. } => return Err(SignInError::MissingScope { permission, api }),
            Identity::App { .. } => "",
            Identity::Managed { .. } => {
                "; a managed identity's token shows a new grant after up to a day"
            }
        };
        Err(SignInError::MissingPermission {
            permission,
            api,
            delay,
        })
    }
}
