//! Addresses and token of the platform: logs and secrets (C-04 to C-07).

use std::time::Duration;

use base::{
    Secret,
    http::{Limits, Request},
};
use bytes::Bytes;
use http::{
    HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};

use super::config::{ConfigError, Configuration};

/// What one request to the platform may cost: 30 s (G-01, D-03, F-02, J-05). One that carries events gets
/// more, by their bytes.
pub(super) const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(30),
    total: Duration::from_secs(30),
    max_body: 4 << 20,
};

#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub(super) token: Option<Secret>,
    pub(super) logs: Option<String>,
    pub(super) secrets: Option<String>,
}

impl Platform {
    /// Reads the keys; logs and secrets stand beside the callback unless they have keys of their
    /// own.
    pub(super) fn read(configuration: &Configuration) -> Result<Self, ConfigError> {
        let callback = configuration.url("url_callback")?;
        let beside = |name: &str| {
            let base = callback.as_deref()?;
            Some(base.replace("/callback", name))
        };
        Ok(Self {
            token: configuration.secret("token")?,
            logs: configuration.url("url_logs")?.or_else(|| beside("/logs")),
            secrets: configuration
                .url("url_secrets")?
                .or_else(|| beside("/secrets")),
        })
    }

    /// A request with the token; a body is JSON.
    pub(super) fn request(
        &self,
        method: Method,
        url: &str,
        user_agent: &HeaderValue,
        body: Bytes,
    ) -> Result<Request, http::Error> {
        let mut builder = http::Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, user_agent);
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        if !body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        builder.body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Platform {
        let environment = variables.iter().copied().collect();
        Platform::read(&Configuration::open("/nowhere", environment).unwrap()).unwrap()
    }

    #[test]
    fn logs_and_secrets_stand_beside_the_callback() {
        let platform = read(&[("URL_CALLBACK", "https://h/t/1/callback\n")]);
        assert_eq!(platform.logs.as_deref(), Some("https://h/t/1/logs"));
        assert_eq!(platform.secrets.as_deref(), Some("https://h/t/1/secrets"));
        let platform = read(&[
            ("URL_CALLBACK", "https://h/callback"),
            ("URL_LOGS", "https://l/x"),
        ]);
        assert_eq!(platform.logs.as_deref(), Some("https://l/x"));
    }

    #[test]
    fn requests_carry_the_token() {
        let platform = read(&[("TOKEN", " t1\n")]);
        let agent = HeaderValue::from_static("a/1");
        let request = platform
            .request(
                Method::POST,
                "https://h/logs",
                &agent,
                Bytes::from_static(b"{}"),
            )
            .unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer t1");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        assert!(!format!("{request:?} {platform:?}").contains("t1"));
    }
}
