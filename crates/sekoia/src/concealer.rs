//! Hides the secrets of a configuration in texts, also when the configuration cannot be used.

use base::{Clock, http::PROXY_VARIABLES};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::Url;

use super::{
    Installation,
    config::{Environment, text},
    effective::TEXTS,
    log::{Console, Log},
    settings::{CONNECTOR, MODULE, TRIGGER},
};

/// The secrets of a configuration, as far as it can be read.
#[derive(Debug)]
pub struct Concealer(Log);

impl Concealer {
    /// Of this configuration. A setting that no trigger has counts as a secret: its
    /// name may be misspelled. What cannot be read hides nothing.
    pub fn of(installation: &Installation<'_>) -> Self {
        let log = Log::new("", Clock::system(), Console::new(|_| {}));
        hide_proxies(&log, &installation.environment);
        if let Ok(configuration) = installation.configuration() {
            for (key, _) in TEXTS.into_iter().filter(|(_, is_secret)| *is_secret) {
                if let Ok(Some(text)) = configuration.filled_text(key) {
                    log.hide_text(&text);
                }
            }
            for key in [MODULE, TRIGGER, CONNECTOR] {
                let Ok(Some(settings)) = configuration.object(key) else {
                    continue;
                };
                for (name, value) in &settings.0 {
                    if key == MODULE || !installation.registry.shows(name) {
                        hide(&log, value);
                    }
                }
            }
        }
        Self(log)
    }

    /// The text with each secret replaced by `***`, in all spellings that the log knows, and with what the
    /// eye does not see made visible.
    pub fn apply(&self, text: &str) -> String {
        self.0.masked(text)
    }
}

/// Hides all texts in a value, each line of one too: a key may be quoted by the line.
fn hide(log: &Log, value: &Value) {
    match value {
        Value::String(text) => {
            log.hide_text(text);
            text.lines().for_each(|line| log.hide_text(line));
        }
        Value::Array(values) => values.iter().for_each(|value| hide(log, value)),
        Value::Object(members) => members.values().for_each(|value| hide(log, value)),
        _ => {}
    }
}

/// Hides user and password of each proxy that the environment names: a proxy may send back the request that
/// carries them.
pub(super) fn hide_proxies(log: &Log, environment: &Environment) {
    for value in PROXY_VARIABLES.map(|name| environment.get(name)) {
        for secret in credentials(value.unwrap_or_default()) {
            log.hide_text(&secret);
        }
    }
}

/// What is secret in an address, as it stands there and decoded.
fn credentials(address: &str) -> Vec<String> {
    let address = text::bare(address);
    let url = match address.contains("://") {
        true => Url::parse(address),
        false => Url::parse(&format!("http://{address}")),
    };
    let Ok(url) = url else {
        return Vec::new();
    };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = url.username();
    match url.password() {
        // It is a token then.
        None => vec![user.to_owned(), decoded(user)],
        Some(password) => vec![
            format!("{user}:{password}"),
            format!("{}:{}", decoded(user), decoded(password)),
            password.to_owned(),
            decoded(password),
        ],
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;
    use crate::log::tests::log;

    #[test]
    fn credentials_of_proxies_are_hidden_in_all_forms() {
        let (log, _) = log();
        let environment = [
            ("HTTP_PROXY", "http://svc:Pa55%2Dw%C3%B6rd@p:3128"),
            ("https_proxy", "token-0f-one@p:3128"),
            ("ALL_PROXY", "http://p:3128"),
            ("NO_PROXY", "in-tern"),
        ];
        hide_proxies(&log, &environment.into_iter().collect());
        for secret in [
            "svc:Pa55-w\u{f6}rd",
            "svc:Pa55%2Dw%C3%B6rd",
            "Pa55-w\u{f6}rd",
            "token-0f-one",
        ] {
            assert_eq!(log.masked(secret), "***", "{secret}");
        }
        let sent = BASE64_STANDARD.encode("svc:Pa55-w\u{f6}rd");
        let masked = log.masked(&format!("Proxy-Authorization: Basic {sent}"));
        assert!(
            masked.starts_with("Proxy-Authorization: Basic ***"),
            "{masked}"
        );
        assert_eq!(
            log.masked("http://p:3128 in-tern svc"),
            "http://p:3128 in-tern svc"
        );
    }
}
