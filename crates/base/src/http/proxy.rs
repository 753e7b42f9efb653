//! The proxies of the environment.

use std::{fmt, sync::Arc};

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::SetupError;

/// Lower case counts first, as for the Python module.
const HTTPS: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const HTTP: [&str; 2] = ["http_proxy", "HTTP_PROXY"];
const ALL: [&str; 2] = ["all_proxy", "ALL_PROXY"];
const NONE: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The variables that may name a proxy.
pub const PROXY_VARIABLES: [&str; 6] = [HTTPS[0], HTTPS[1], HTTP[0], HTTP[1], ALL[0], ALL[1]];

/// Which requests pass which proxy. `Debug` shows no credentials.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    /// Intercepts what may pass a proxy at all.
    allowed: Option<Arc<Matcher>>,
}

impl Proxies {
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in either case.
    pub(super) fn read<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Result<Self, SetupError> {
        let first = |names: [&'static str; 2]| {
            let mut names = names.into_iter();
            names.find_map(|name| Some((name, variable(name)?)))
        };
        let proxy = |names| {
            let found = first(names).or_else(|| first(ALL));
            found
                .map(|(name, value)| Proxy::read(name, value))
                .transpose()
        };
        let none = first(NONE).map_or("", |(_, list)| list).split(',');
        let none: Vec<_> = none.map(plain).collect();
        let none = none.join(",");
        let allowed = Matcher::builder().all("http://any").no(none).build();
        Ok(Self {
            http: proxy(HTTP)?.map(Arc::new),
            https: proxy(HTTPS)?.map(Arc::new),
            allowed: Some(Arc::new(allowed)),
        })
    }

    /// The proxy on the way to a server.
    pub(super) fn on_the_way_to(&self, server: &::http::Uri) -> Option<&Proxy> {
        let proxy = match server.scheme_str() {
            Some("https") => self.https.as_deref(),
            _ => self.http.as_deref(),
        };
        proxy.filter(|_| {
            let allowed = self.allowed.as_ref();
            allowed.is_some_and(|allowed| allowed.intercept(server).is_some())
        })
    }

    /// The same for reqwest.
    pub(super) fn into_reqwest(self) -> reqwest::Proxy {
        reqwest::Proxy::custom(move |server| {
            let server = server.as_str().parse().ok()?;
            self.on_the_way_to(&server).map(|proxy| proxy.url.clone())
        })
    }
}

/// An exception as the matcher knows it: without the brackets of an IPv6 address, without a port, of which it
/// knows nothing, and with a leading dot in the place of the leading asterisk that is often written.
fn plain(exception: &str) -> &str {
    let exception = exception.trim();
    let host = match exception.rsplit_once(':') {
        // Where more colons come before it, the last part belongs to an IPv6 address.
        Some((host, port))
            if !port.is_empty()
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => exception,
    };
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = inside.unwrap_or(host);
    match host.strip_prefix('*') {
        Some(domain) if domain.starts_with('.') => domain,
        _ => host,
    }
}

/// A proxy, and where it was named.
pub(super) struct Proxy {
    url: Url,
    pub(super) via: Via,
}

impl Proxy {
    fn read(variable: &'static str, value: &str) -> Result<Self, SetupError> {
        let unusable = || SetupError::Proxy { variable };
        let value = value.trim();
        let url = if value.contains("://") {
            Url::parse(value)
        } else {
            Url::parse(&format!("http://{value}"))
        };
        let url = url.map_err(|_| unusable())?;
        let port = url.port_or_known_default();
        let (Some(host), Some(port), "http" | "https") = (url.host_str(), port, url.scheme())
        else {
            return Err(unusable());
        };
        let via = Via {
            address: format!("{host}:{port}"),
            variable,
            credentials: !url.username().is_empty() || url.password().is_some(),
        };
        Ok(Self { url, via })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.via.fmt(f)
    }
}

/// The proxy that a request passed, without its credentials; displayed as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    address: String,
    /// The environment variable that names the proxy.
    pub variable: &'static str,
    /// Whether the variable holds a user or a password.
    pub credentials: bool,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&'static str, &'static str)]) -> Result<Proxies, SetupError> {
        Proxies::read(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| *value)
        })
    }

    fn way(variables: &[(&'static str, &'static str)], server: &'static str) -> Option<String> {
        let proxies = proxies(variables).unwrap();
        let proxy = proxies.on_the_way_to(&::http::Uri::from_static(server));
        proxy.map(|proxy| format!("{} of {}", proxy.via, proxy.via.variable))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_lower_case_counts_first() {
        let both = [
            ("https_proxy", "http://one:3128"),
            ("HTTPS_PROXY", "http://two:3128"),
            ("HTTP_PROXY", "three:8080"),
        ];
        assert_eq!(
            way(&both, "https://h/").as_deref(),
            Some("one:3128 of https_proxy")
        );
        assert_eq!(
            way(&both, "http://h/").as_deref(),
            Some("three:8080 of HTTP_PROXY")
        );
        let all = [
            ("ALL_PROXY", "https://four"),
            ("http_proxy", "http://five/"),
        ];
        assert_eq!(
            way(&all, "https://h/").as_deref(),
            Some("four:443 of ALL_PROXY")
        );
        assert_eq!(
            way(&all, "http://h/").as_deref(),
            Some("five:80 of http_proxy")
        );
        assert_eq!(way(&[], "https://h/"), None);
    }

    #[test]
    fn exceptions_go_directly() {
        let none = "localhost, 127.0.0.0/8,[::1],fd00::5,[fd00::6]:443,fd01::/16,ported.example:8443, \
                    10.0.0.1:80, *.corp.example,.intern.example,exact.example";
        for variable in ["no_proxy", "NO_PROXY"] {
            let variables = [("HTTPS_PROXY", "http://p:3128"), (variable, none)];
            for direct in [
                "https://localhost:8443/",
                "https://127.0.0.1/",
                "https://[::1]/",
                "https://[fd00::5]/",
                "https://[fd00::6]:8443/",
                "https://[fd01::7]/",
                "https://ported.example/",
                "https://10.0.0.1/",
                "https://a.corp.example/",
                "https://b.intern.example/",
                "https://exact.example/",
            ] {
                assert_eq!(way(&variables, direct), None, "{direct}");
            }
            for proxied in [
                "https://128.0.0.1/",
                "https://notexact.example/",
                "https://[fd00::7]/",
                "https://[fd00::]/",
            ] {
                assert!(way(&variables, proxied).is_some(), "{proxied}");
            }
        }
        let variables = [("HTTPS_PROXY", "http://p:3128"), ("NO_PROXY", "*")];
        assert_eq!(way(&variables, "https://h/"), None);
    }

    #[test]
    fn an_unusable_proxy_is_named_by_its_variable_only() {
        for value in [
            "socks5://hunter2@p:1080",
            "http://",
            "http://hunter2@:3128",
            "::hunter2",
        ] {
            let error = proxies(&[("https_proxy", value)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("https_proxy names no usable proxy"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn credentials_are_used_but_never_shown() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://user:hunter2@p:3128")]).unwrap();
        let text = format!("{proxies:?} {:?}", proxies.clone().into_reqwest());
        assert!(
            !text.contains("hunter2") && !text.contains("user"),
            "{text}"
        );
        let proxy = proxies
            .on_the_way_to(&::http::Uri::from_static("https://h/"))
            .unwrap();
        assert_eq!(proxy.url.password(), Some("hunter2"));
        assert!(proxy.via.credentials);
    }
}
