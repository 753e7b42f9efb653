//! How contestants and services talk.

/// How contestants and services talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Plain HTTP; pages are not compressed.
    #[default]
    Plain,
    /// TLS with both services; pages are not compressed.
    Tls,
    /// As in production: TLS with both services, and compressed pages.
    Production,
}

impl Wire {
    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP",
            Self::Tls => "TLS",
            Self::Production => "TLS and gzip",
        }
    }

    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls | Self::Production => "https",
        }
    }
}
