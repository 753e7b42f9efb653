//! Switches of the sign-in of applications and users.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// The switches of the token endpoint and of the managed identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentitySettings {
    /// The tenant's id.
    pub tenant_id: String,
    /// The tenant's domain, which may stand for its id.
    pub tenant_domain: String,
    /// Its further domains.
    pub domains: Vec<String>,
    /// The applications that are registered in the tenant.
    pub apps: Vec<App>,
    /// How long a token is valid, in seconds.
    pub token_seconds: u32,
    /// Refuse every request with this code of Microsoft Entra, such as 53003.
    pub refuse_with: Option<u32>,
    /// The status of refusals, such as 200; none for the one that belongs to the code.
    pub refusal_status: Option<u16>,
    /// What refusals have as their `error_codes`.
    pub error_codes: ErrorCodes,
    /// Whether `trace_id` and `correlation_id` of refusals are null.
    pub null_ids: bool,
    /// Answer with status 200 and the page on which people sign in.
    pub login_page: bool,
    /// Give tokens for this resource, even when another one was asked for.
    pub wrong_audience: Option<String>,
    /// Whether tokens come without the permissions of their app.
    pub roles_withheld: bool,
    /// Answer with status 200, but without a token.
    pub without_token: bool,
    /// The application whose identity the machine has; none for a machine without.
    pub managed_identity: Option<String>,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        let app = App::default();
        Self {
            tenant_id: String::from("7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21"),
            tenant_domain: String::from("contoso.onmicrosoft.com"),
            domains: vec![String::from("contoso.example")],
            managed_identity: Some(app.client_id.clone()),
            apps: vec![app],
            token_seconds: 3599,
            refuse_with: None,
            refusal_status: None,
            error_codes: ErrorCodes::Numbers,
            null_ids: false,
            login_page: false,
            wrong_audience: None,
            roles_withheld: false,
            without_token: false,
        }
    }
}

/// What a refusal has as its `error_codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCodes {
    /// A list with the code.
    Numbers,
    /// A list with the code as text.
    Texts,
    /// A list with a word that is no code.
    Words,
    /// Null.
    Null,
    /// Nothing.
    Absent,
}

/// An application that is registered in the tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Its client id.
    pub client_id: String,
    /// Its client secrets.
    pub secrets: Vec<AppSecret>,
    /// Its certificates, as PEM.
    pub certificates: Vec<String>,
    /// The subject of its federated credential, issued by
    /// [`Emulator::workload_token`](crate::Emulator::workload_token); none for no such credential.
    pub federated_subject: Option<String>,
    /// The application permissions that were granted and consented to.
    pub roles: Vec<String>,
    /// The delegated permissions that were granted and consented to, for all users of the tenant.
    pub scopes: Vec<String>,
    /// Whether it has a service principal in the tenant.
    pub provisioned: bool,
    /// Whether users may sign in through it without its credential ("Allow public client flows").
    pub public_flows: bool,
}

impl Default for App {
    fn default() -> Self {
        Self {
            client_id: String::from("c0ffee00-1d1d-4a4a-8b8b-5eed5eed5eed"),
            secrets: vec![AppSecret {
                value: Secret::from("emulated~client~secret"),
                expired: false,
            }],
            certificates: Vec::new(),
            federated_subject: Some(String::from("system:serviceaccount:symphony:message-trace")),
            roles: vec![
                String::from("ExchangeMessageTrace.Read.All"),
                String::from("ReportingWebService.Read.All"),
            ],
            scopes: vec![
                String::from("ExchangeMessageTrace.Read.All"),
                String::from("User.Read"),
            ],
            provisioned: true,
            public_flows: true,
        }
    }
}

/// A client secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppSecret {
    /// The secret itself.
    pub value: Secret,
    /// Whether its time is over.
    #[serde(default)]
    pub expired: bool,
}
