//! Sign-in as an app: the settings that the Graph and OAuth triggers share.

use std::{path::PathBuf, sync::Arc};

use base::{
    Secret,
    http::{ClientOptions, Http, chain},
};
use microsoft::{Certificate, Credential, Identity, METADATA_SERVICE, Resource, TokenCache};
use sekoia::{Context, RunError};
use serde::Deserialize;
use url::Url;

use super::tenant::{Origin, Subject};

/// The identity platform of the global cloud, the default of `login_url`.
const GLOBAL_LOGIN: &str = "https://login.microsoftonline.com/";

/// The client that stands for the machine's own managed identity.
const SYSTEM: &str = "system";

/// Names the file with the platform's token, e.g. in Azure Kubernetes Service.
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// Tells where that platform's tokens are taken, when `login_url` does not.
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";

/// Tells where the machine's metadata service is, when it is not in its usual place.
const METADATA: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

/// What a person fills in about the app; which settings belong together is in the manifests.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct App {
    tenant_id: String,
    client_id: String,
    credential: Kind,
    client_secret: Option<Secret>,
    certificate: Option<Secret>,
    certificate_password: Option<Secret>,
    login_url: Url,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ClientSecret,
    Certificate,
    WorkloadIdentity,
    ManagedIdentity,
}

impl App {
    pub(super) fn subject(&self, origin: Origin) -> Subject {
        Subject::new(&self.tenant_id, origin)
    }

    /// Tenant, client and identity platform, as the settings name them.
    pub(super) fn names(&self) -> [&str; 3] {
        [&self.tenant_id, &self.client_id, self.login_url.as_str()]
    }

    /// Where a token comes from; none for a managed identity, whose service is on the machine's
    /// own link.
    pub(super) fn login(&self) -> Option<&Url> {
        match self.credential {
            Kind::ManagedIdentity => None,
            _ => Some(&self.login_url),
        }
    }

    pub(super) fn tokens(
        self,
        resource: Resource,
        context: &Context,
    ) -> Result<Arc<TokenCache>, RunError> {
        let http = match self.credential {
            // The metadata service is on the machine's own link: no proxy reaches it.
            Kind::ManagedIdentity => {
                Http::client(&ClientOptions::default()).map_err(RunError::failed)?
            }
            _ => context.http.clone(),
        };
        let (clock, identity) = (context.clock.clone(), self.identity(context)?);
        Ok(Arc::new(TokenCache::new(http, clock, identity, resource)))
    }

    fn identity(self, context: &Context) -> Result<Identity, RunError> {
        let missing = |setting: &str| RunError::configuration(format!("{setting} is missing"));
        let mut login = self.login_url;
        let credential = match self.credential {
            Kind::ManagedIdentity => {
                let endpoint = from_environment(context, METADATA)?;
                let usual = || METADATA_SERVICE.parse().map_err(RunError::failed);
                return Ok(Identity::Managed {
                    endpoint: endpoint.map_or_else(usual, Ok)?,
                    client: Some(self.client_id).filter(|client| client != SYSTEM),
                });
            }
            Kind::Certificate => {
                let text = self.certificate.ok_or_else(|| missing("certificate"))?;
                let certificate = Certificate::read(&text, self.certificate_password.as_ref())
                    .map_err(|error| {
                        RunError::configuration(format!("certificate: {}", chain(&error)))
                    })?;
                Credential::Certificate(Box::new(certificate))
            }
            Kind::WorkloadIdentity => {
                if login.as_str() == GLOBAL_LOGIN {
                    login = from_environment(context, AUTHORITY)?.unwrap_or(login);
                }
                let file = context.environment(TOKEN_FILE).ok_or_else(|| {
                    RunError::configuration(format!(
                        "the credential `workload_identity` needs the environment variable \
                         {TOKEN_FILE}, which the platform sets where workload identity is \
                         switched on for this workload"
                    ))
                })?;
                Credential::Federated {
                    token_file: PathBuf::from(file),
                }
            }
            Kind::ClientSecret => Credential::ClientSecret(
                self.client_secret.ok_or_else(|| missing("client_secret"))?,
            ),
        };
        let (tenant, client) = (self.tenant_id, self.client_id);
        Ok(Identity::App {
            login,
            tenant,
            client,
            credential,
        })
    }
}

fn from_environment(context: &Context, name: &str) -> Result<Option<Url>, RunError> {
    let url = context.environment(name).map(Url::parse).transpose();
    url.map_err(|error| RunError::configuration(format!("{name} is not a URL: {error}")))
}
