//! Links to the next page, which never lead a credential away from the service.

use std::fmt;

use url::{Host, Url};

/// Where the next page of a window is: an address on the service's own origin.
///
/// It is printed without its query, apart from a number as `$skiptoken`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Link(Url);

impl Link {
    /// Resolves the text of a link found in the answer to `asked`.
    ///
    /// # Errors
    /// When it leaves the origin (scheme, host, port) of `asked`, or carries user information.
    pub(super) fn resolve(asked: &Url, text: &str) -> Result<Self, LinkError> {
        let mut url = asked.join(text).map_err(LinkError::Malformed)?;
        if url.origin() != asked.origin() || !asked.origin().is_tuple() {
            return Err(LinkError::Foreign {
                found: origin(&url),
                expected: origin(asked),
            });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LinkError::UserInfo);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The same link, refused when it does not lie on the origin of `base`.
    pub(super) fn on_origin_of(&self, base: &Url) -> Result<&Url, LinkError> {
        if self.0.origin() == base.origin() {
            Ok(&self.0)
        } else {
            Err(LinkError::Foreign {
                found: origin(&self.0),
                expected: origin(base),
            })
        }
    }

    /// The same link with `name=value` in front of its query, unless it has that option already.
    pub(super) fn with_option(mut self, name: &str, value: &str) -> Self {
        if self.option(name).is_none() {
            let rest = self.0.query().unwrap_or_default();
            let query = format!("{name}={value}&{rest}");
            self.0.set_query(Some(query.trim_end_matches('&')));
        }
        self
    }

    /// How deep into the result the link leads, when it says so as a number.
    pub(super) fn depth(&self) -> Option<u64> {
        self.option("$skiptoken")?.parse().ok()
    }

    fn option(&self, name: &str) -> Option<String> {
        self.0
            .query_pairs()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into_owned())
    }
}

/// Scheme, host and port, as people write them.
fn origin(url: &Url) -> String {
    let host = url
        .host()
        .map_or_else(|| "no host".to_owned(), |host: Host<&str>| host.to_string());
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", origin(&self.0), self.0.path())?;
        match self.depth() {
            Some(depth) => write!(f, "?$skiptoken={depth}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

/// Why a link to the next page is not followed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It leads to another scheme, host or port.
    #[error(
        "it leads to {found} instead of {expected}, and no credential is sent there; check the \
         address of the service in the settings and any proxy in between"
    )]
    Foreign {
        /// Where it leads.
        found: String,
        /// Where it should stay.
        expected: String,
    },
    /// It carries a user name or a password.
    #[error("it carries a user name or password; check any proxy in between")]
    UserInfo,
    /// It is no address.
    #[error("it is not an address")]
    Malformed(#[source] url::ParseError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str =
        "https://reports.test/ecp/reportingwebservice/reporting.svc/MessageTrace?$format=json";

    fn resolve(text: &str) -> Result<Link, LinkError> {
        Link::resolve(&ASKED.parse().unwrap(), text)
    }

    #[test]
    fn relative_links_are_resolved() {
        let link = resolve(
            "../../reportingwebservice/reporting.svc/MessageTrace?$filter=a%20eq%20'b'&$skiptoken=1999",
        )
        .unwrap();
        assert_eq!(
            link.to_string(),
            "https://reports.test/ecp/reportingwebservice/reporting.svc/MessageTrace?$skiptoken=1999"
        );
        assert_eq!(link.depth(), Some(1999));
        let link = link.with_option("$format", "json");
        assert!(
            link.0
                .query()
                .unwrap()
                .starts_with("$format=json&$filter=a%20eq%20")
        );
        assert_eq!(link.clone().with_option("$format", "json"), link);
    }

    #[test]
    fn links_that_leave_the_origin_are_refused() {
        for text in [
            "http://reports.test/x",
            "https://reports.test:444/x",
            "https://elsewhere.test/x",
            "//elsewhere.test/x",
            "https://reports.test.elsewhere.test/x",
            r"\\elsewhere.test\x",
            "data:text/plain,x",
        ] {
            let error = resolve(text).unwrap_err();
            assert!(
                matches!(error, LinkError::Foreign { .. }),
                "{text}: {error}"
            );
        }
        assert!(matches!(
            resolve("https://a:b@reports.test/x"),
            Err(LinkError::UserInfo)
        ));
        assert!(matches!(
            resolve("https://[x"),
            Err(LinkError::Malformed(_))
        ));
        assert!(resolve("https://reports.test:443/x").is_ok());
    }

    #[test]
    fn queries_are_not_printed() {
        let link =
            resolve("?$skiptoken=eyJTdGFydGluZ1JlY2lwaWVudEFkZHJlc3MiOiJhQGIifQ&k=secret").unwrap();
        let printed = format!("{link} {link:?}");
        assert!(
            !printed.contains("eyJ") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
