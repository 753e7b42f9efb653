//! What a token says about itself, read before it is used, so that a missing permission is named
//! at once instead of being met as a refusal later.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

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
        let (managed, tenant) = match identity {
            Identity::App { tenant, .. } | Identity::User { tenant, .. } => (false, Some(tenant)),
            Identity::Managed { .. } => (true, None),
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
        if let (Some(found), Some(tenant)) = (&self.tid, tenant) {
            let both = uuid::Uuid::parse_str(found)
                .ok()
                .zip(uuid::Uuid::parse_str(tenant).ok());
            if let Some((found, expected)) = both.filter(|(found, expected)| found != expected) {
                return Err(SignInError::WrongTenant { found, expected });
            }
        }
        if let Identity::User { .. } = identity {
            let mut scopes = self.scp.iter().flat_map(|scopes| scopes.split_whitespace());
            return if scopes.any(|scope| scope.eq_ignore_ascii_case(resource.permission)) {
                Ok(())
            } else {
                Err(SignInError::MissingScope {
                    permission: resource.permission,
                    api: resource.api,
                })
            };
        }
        let granted = |role: &String| role.eq_ignore_ascii_case(resource.permission);
        if self.roles.iter().any(granted) {
            Ok(())
        } else {
            Err(SignInError::MissingPermission {
                permission: resource.permission,
                api: resource.api,
                delay: if managed {
                    "; a managed identity's token shows a new grant after up to a day"
                } else {
                    ""
                },
            })
        }
    }
}
