//! Links to the next page, which never lead a credential away from the service.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// Longer links are not followed: servers refuse addresses of a quarter of that, and a client cannot ask for
/// longer ones.
const MAX_BYTES: usize = 60_000;

/// Where the next page of a window is: an address on the service's own origin.
///
/// Links to the same address are equal. A link is printed without its query, apart from a number
/// as `$skiptoken`.
#[derive(Clone)]
pub struct Link {
    pub(super) url: Url,
    /// Why it is not kept, and cannot be followed.
    refused: Option<LinkError>,
    /// When the last row before it was received, if all rows so far came newest first.
    pub(super) reached: Option<DateTime<Utc>>,
    /// Whether a link of this walk was refused, and it has begun anew with pages of another size.
    pub(super) is_resized: bool,
}

impl Link {
    /// The link that stands in the answer to `asked`. One that is refused is an error when it is followed: the
    /// rows before it are sound.
    pub(super) fn found(asked: &Url, text: &str) -> Self {
        Self::resolve(asked, text).unwrap_or_else(|refused| Self {
            url: asked.clone(),
            refused: Some(refused),
            reached: None,
            is_resized: false,
        })
    }

    /// Resolves the text of a link found in the answer to `asked`.
    /// An error when it leaves the origin (scheme, host, port) of `asked`, carries user information, or is too
    /// long.
    pub(super) fn resolve(asked: &Url, text: &str) -> Result<Self, LinkError> {
        if text.len() > MAX_BYTES {
            return Err(LinkError::TooLong);
        }
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
        if url.as_str().len() > MAX_BYTES {
            return Err(LinkError::TooLong);
        }
        Ok(Self {
            url,
            refused: None,
            reached: None,
            is_resized: false,
        })
    }

    /// The same link with how far back the rows before it reach.
    pub(super) fn behind(self, reached: Option<DateTime<Utc>>) -> Self {
        Self { reached, ..self }
    }

    /// The same link of a walk with pages of another size.
    pub(super) fn resized(self) -> Self {
        Self {
            is_resized: true,
            ..self
        }
    }

    /// The address of the link, refused when it does not lie on the origin of `base`.
    pub(super) fn on_origin_of(&self, base: &Url) -> Result<&Url, LinkError> {
        if let Some(refused) = &self.refused {
            Err(refused.clone())
        } else if self.url.origin() == base.origin() {
            Ok(&self.url)
        } else {
            Err(LinkError::Foreign {
                found: origin(&self.url),
                expected: origin(base),
            })
        }
    }

    /// The same link with `name=value` in front of its query, unless it has that option already.
    pub(super) fn with_option(mut self, name: &str, value: &str) -> Self {
        if self.option(name).is_none() {
            let rest = self.url.query().unwrap_or_default();
            let query = format!("{name}={value}&{rest}");
            self.url.set_query(Some(query.trim_end_matches('&')));
        }
        self
    }

    /// The same link with the value of an option changed, everything else as it was; none when
    /// there is no such option or `change` has nothing to change.
    pub(super) fn with_changed(
        &self,
        name: &str,
        change: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let mut changed = false;
        let decode = |text| percent_decode_str(text).decode_utf8().ok();
        let parts = self.url.query()?.split('&').map(|part| {
            let new = part
                .split_once('=')
                .filter(|(key, _)| decode(key).is_some_and(|key| key.eq_ignore_ascii_case(name)))
                .and_then(|(key, value)| Some((key, change(&decode(value)?)?)));
            match new {
                Some((key, value)) => {
                    changed = true;
                    format!("{key}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
                }
                None => part.to_owned(),
            }
        });
        let query = parts.collect::<Vec<_>>().join("&");
        let mut url = self.url.clone();
        url.set_query(Some(&query));
        changed.then(|| Self {
            url,
            ..self.clone()
        })
    }

    /// How deep into the result the link leads, when it says so as a number.
    pub(super) fn depth(&self) -> Option<u64> {
        self.option("$skiptoken")?.parse().ok()
    }

    fn option(&self, name: &str) -> Option<String> {
        self.url
            .query_pairs()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into_owned())
    }
}

/// Scheme, host and port, as people write them.
fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or("no host");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url && self.refused == other.refused
    }
}

impl Eq for Link {}

impl Hash for Link {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.url.hash(state);
        // One that is refused stands at the address of the page that it was found on.
        self.refused.is_some().hash(state);
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", origin(&self.url), self.url.path())?;
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// It is longer than any server takes.
    #[error("it is longer than 60 kB: what comes after it is asked for by time")]
    TooLong,
    /// It carries a user name or a password.
    #[error("it carries a user name or password; check any proxy in between")]
    UserInfo,
    /// It is no address.
    #[error("it is not an address")]
    Malformed(#[source] url::ParseError),
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

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
            link.url
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
    fn links_that_are_too_long_are_neither_kept_nor_followed() {
        let long = |bytes: usize| format!("?a={}", "x".repeat(bytes - 3));
        let base: Url = ASKED.parse().unwrap();
        assert!(
            resolve(&long(MAX_BYTES - ASKED.len()))
                .unwrap()
                .on_origin_of(&base)
                .is_ok()
        );
        let quotes = format!("?a={}", "\"".repeat(MAX_BYTES / 2));
        for text in [long(MAX_BYTES + 1), long(MAX_BYTES), quotes] {
            assert!(matches!(resolve(&text), Err(LinkError::TooLong)));
        }
        let link = Link::found(&base, &long(MAX_BYTES + 1));
        assert!(link.url.as_str().len() < 100);
        assert!(matches!(link.on_origin_of(&base), Err(LinkError::TooLong)));
        assert_ne!(link, resolve("").unwrap());
    }

    #[test]
    fn a_refused_link_is_not_taken_for_that_of_the_page_it_was_found_on() {
        let followed = resolve("?$skiptoken=1999").unwrap();
        let refused = Link::found(&followed.url, "https://elsewhere.test/x");
        assert_eq!(refused.url, followed.url);
        let hashes = RandomState::new();
        assert_ne!(hashes.hash_one(&refused), hashes.hash_one(&followed));
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
