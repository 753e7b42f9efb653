//! What is secret in the addresses of proxies.

use base::http::PROXY_VARIABLES;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    config::{Environment, text},
    log::Log,
};

/// Hides user and password of each proxy that the environment names: a proxy may send back the request that
/// carries them.
pub(super) fn hide(log: &Log, environment: &Environment) {
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
        hide(&log, &environment.into_iter().collect());
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
