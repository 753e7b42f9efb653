//! The Microsoft identity platform: tokens for applications, and for users who give their password.

mod assertion;
mod imds;
mod jwt;
mod refusal;
mod user;

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

pub(super) use imds::answer as managed;
pub(crate) use jwt::SigningKey;
use refusal::Refusal;

use crate::{
    Emulator, IdentitySettings, Settings,
    answer::{Answer, Call},
    settings::App,
};

/// The issuer of the emulator's federated assertions.
pub(crate) const ISSUER: &str = "https://cluster.emulated.example/";
/// The real login host, which certificate assertions may name as their audience.
const LOGIN: &str = "https://login.microsoftonline.com";
/// Resources that exist in every tenant.
const RESOURCES: [&str; 2] = [
    "https://graph.microsoft.com",
    "https://outlook.office365.com",
];

/// The tenant in the path of a token endpoint.
pub(super) fn tenant(path: &str) -> Option<&str> {
    let tenant = path.strip_suffix("/oauth2/v2.0/token")?;
    let tenant = tenant.trim_start_matches('/');
    (!tenant.is_empty() && !tenant.contains('/')).then_some(tenant)
}

/// `POST /{tenant}/oauth2/v2.0/token`
pub(super) fn token(emulator: &Emulator, settings: &Settings, call: &Call, tenant: &str) -> Answer {
    if settings.identity.login_page {
        let page = "<html><head><title>Sign in to your account</title></head><body></body></html>";
        return Answer::new(200, "text/html; charset=utf-8", page);
    }
    let now = emulator.clock().now();
    match grant(emulator, settings, call, tenant, now) {
        Ok(answer) => answer,
        Err(refusal) => refusal.answer(now, &settings.identity),
    }
}

fn grant(
    emulator: &Emulator,
    Settings {
        identity, report, ..
    }: &Settings,
    call: &Call,
    tenant: &str,
    now: DateTime<Utc>,
) -> Result<Answer, Refusal> {
    if let Some(code) = identity.refuse_with {
        return Err(Refusal(code));
    }
    if ["common", "consumers", "organizations"].contains(&tenant) {
        return Err(Refusal(9_001_023));
    }
    if !identity.is_tenant(tenant) {
        return Err(Refusal(90_002));
    }
    let form = Form::read(call)?;
    let app = identity.app(form.client_id()?)?;
    let (resource, claims) = match form.required("grant_type")? {
        "client_credentials" => {
            authenticate(emulator, identity, call, &form, app, now)?;
            (resource(form.required("scope")?)?, identity.claims_of(app))
        }
        "password" => {
            if form.secret().is_some() || form.get("client_assertion").is_some() {
                authenticate(emulator, identity, call, &form, app, now)?;
            } else if !app.public_flows {
                return Err(Refusal(7_000_218));
            }
            let resource = resource(form.required("scope")?)?;
            let account = user::sign_in(emulator, &report.accounts, &form)?;
            (resource, user::claims(account, app)?)
        }
        _ => return Err(Refusal(70_003)),
    };
    if identity.without_token {
        return Ok(Answer::json(200, &json!({ "token_type": "Bearer" })));
    }
    let token = identity.issue(&emulator.world().key, app, &resource, claims, now);
    Ok(Answer::json(
        200,
        &json!({
            "token_type": "Bearer",
            "expires_in": identity.token_seconds,
            "ext_expires_in": identity.token_seconds,
            "access_token": token,
        }),
    )
    .with("cache-control", "no-store, no-cache"))
}

/// The form of a token request, with the credentials of its header.
struct Form {
    fields: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl Form {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let media_type = call.header("content-type");
        if call.method != Method::POST
            || !media_type.starts_with("application/x-www-form-urlencoded")
        {
            return Err(Refusal(900_144));
        }
        let decoded = |text: String| {
            let text = format!("x={text}");
            let mut pairs = url::form_urlencoded::parse(text.as_bytes());
            pairs
                .next()
                .map_or_else(String::new, |(_, value)| value.into_owned())
        };
        Ok(Self {
            fields: url::form_urlencoded::parse(&call.body)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            basic: call
                .basic()
                .map(|(id, secret)| (decoded(id), decoded(secret))),
        })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or(Refusal(900_144))
    }

    fn client_id(&self) -> Result<&str, Refusal> {
        match &self.basic {
            Some((id, _)) => Ok(id),
            None => self.required("client_id"),
        }
    }

    fn secret(&self) -> Option<&str> {
        self.basic
            .as_ref()
            .map(|(_, secret)| secret.as_str())
            .or(self.get("client_secret"))
    }
}

fn authenticate(
    emulator: &Emulator,
    settings: &IdentitySettings,
    call: &Call,
    form: &Form,
    app: &App,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    if !app.provisioned {
        return Err(Refusal(7_000_229));
    }
    if let Some(assertion) = form.get("client_assertion") {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        if form.required("client_assertion_type")? != kind {
            return Err(Refusal(900_144));
        }
        let audiences = settings.audiences(call);
        let key = &emulator.world().key;
        return assertion::check(app, assertion, key, &audiences, now.timestamp());
    }
    let given = form.secret().ok_or(Refusal(900_144))?;
    match app
        .secrets
        .iter()
        .find(|secret| secret.value.expose() == given)
    {
        None => Err(Refusal(7_000_215)),
        Some(secret) if secret.expired => Err(Refusal(7_000_222)),
        Some(_) => Ok(()),
    }
}

/// The resource of a scope.
fn resource(scope: &str) -> Result<String, Refusal> {
    let scopes: Vec<_> = scope.split_whitespace().collect();
    let [scope] = scopes.as_slice() else {
        return Err(Refusal(28_002));
    };
    let resource = scope.strip_suffix("/.default").ok_or(Refusal(70_011))?;
    known_resource(resource).ok_or(Refusal(500_011))
}

/// A resource that exists in the tenant: Microsoft's own, or this emulator under its address.
fn known_resource(resource: &str) -> Option<String> {
    let resource = resource.trim_end_matches('/');
    let is_local = |resource: &str| {
        let host = resource.split_once("://").map(|(_, host)| host);
        let local = ["127.0.0.1", "localhost", "[::1]"];
        host.is_some_and(|host| local.iter().any(|local| host.starts_with(local)))
    };
    let known = RESOURCES.contains(&resource) || is_local(resource);
    known.then(|| resource.to_owned())
}

impl IdentitySettings {
    fn is_tenant(&self, name: &str) -> bool {
        [&self.tenant_id, &self.tenant_domain]
            .into_iter()
            .chain(&self.domains)
            .any(|known| known.eq_ignore_ascii_case(name))
    }

    fn app(&self, client_id: &str) -> Result<&App, Refusal> {
        let mut apps = self.apps.iter();
        apps.find(|app| app.client_id.eq_ignore_ascii_case(client_id))
            .ok_or(Refusal(700_016))
    }

    /// What an assertion may name as its audience.
    fn audiences(&self, call: &Call) -> Vec<String> {
        let tenants = [&self.tenant_id, &self.tenant_domain];
        // This server, as the client knows it, or the real one.
        [format!("http://{}", call.header("host")), LOGIN.to_owned()]
            .iter()
            .flat_map(|base| tenants.map(|tenant| format!("{base}/{tenant}/oauth2/v2.0/token")))
            .collect()
    }

    /// What a token says about what `app` itself may do.
    fn claims_of(&self, app: &App) -> Value {
        let mut claims = json!({ "idtyp": "app" });
        if !app.roles.is_empty() && !self.roles_withheld {
            claims["roles"] = json!(app.roles);
        }
        claims
    }

    /// A token for `resource` that says what `claims` say besides.
    fn issue(
        &self,
        key: &SigningKey,
        app: &App,
        resource: &str,
        mut claims: Value,
        now: DateTime<Utc>,
    ) -> String {
        let since = now.timestamp();
        let common = json!({
            "aud": self.wrong_audience.as_deref().unwrap_or(resource),
            "iss": format!("https://sts.windows.net/{}/", self.tenant_id),
            "iat": since,
            "nbf": since,
            "exp": since + i64::from(self.token_seconds),
            "appid": app.client_id,
            "tid": self.tenant_id,
            "uti": STANDARD.encode(uuid::Uuid::new_v4().as_bytes()),
            "ver": "1.0",
        });
        for (name, value) in common.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        key.issue(&claims)
    }
}

/// Why a bearer token does not open a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is none, or it is not one of ours.
    Invalid,
    /// Its time is over.
    Expired,
    /// It is for another resource.
    WrongAudience,
    /// It lacks the permission.
    NoRole,
    /// It has the permission, and its user has no role in Exchange.
    NoExchangeRole,
}

/// Checks that the request's bearer token opens `resource` for `role`, be it an application's or a
/// user's.
pub(super) fn admit(
    emulator: &Emulator,
    call: &Call,
    resource: &str,
    role: &str,
) -> Result<(), Denied> {
    let now = emulator.clock().now().timestamp();
    let token = call.bearer().ok_or(Denied::Invalid)?;
    let claims = emulator.world().key.verify(token).ok_or(Denied::Invalid)?;
    if claims["exp"].as_i64().is_none_or(|until| until <= now) {
        return Err(Denied::Expired);
    }
    let audience = claims["aud"].as_str().unwrap_or_default();
    if audience != resource && (RESOURCES.contains(&audience) || known_resource(audience).is_none())
    {
        return Err(Denied::WrongAudience);
    }
    if let Some(scopes) = claims["scp"].as_str() {
        return user::admit(emulator, &claims, scopes, role);
    }
    let roles = claims["roles"].as_array();
    let granted = roles.is_some_and(|roles| roles.contains(&Value::from(role)));
    if granted { Ok(()) } else { Err(Denied::NoRole) }
}

impl Emulator {
    /// What a workload outside of Azure gets from its own platform and exchanges for a token: to
    /// be written to the file that `AZURE_FEDERATED_TOKEN_FILE` names. Valid for an hour.
    pub fn workload_token(&self, subject: &str) -> String {
        let now = self.clock().now().timestamp();
        self.world().key.issue(&json!({
            "iss": ISSUER,
            "sub": subject,
            "aud": "api://AzureADTokenExchange",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }))
    }
}
