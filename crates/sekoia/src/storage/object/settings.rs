//! The keys of the contract that name a bucket (C-20 to C-26).

use rusty_s3::{Bucket, Credentials, UrlStyle};
use url::Url;

use crate::config::{ConfigError, Configuration};

/// Where files are kept in an object store.
#[derive(Debug)]
pub(crate) struct ObjectSettings {
    pub(super) bucket: Bucket,
    pub(super) credentials: Credentials,
    /// Before every key: empty, or with a slash at the end.
    pub(super) folder: String,
    /// Scheme, host and port.
    endpoint: String,
}

impl ObjectSettings {
    /// Reads the keys, which have the Python SDK's names and meanings (M-01 to M-04).
    ///
    /// # Errors
    /// When a key is missing or not usable.
    pub(crate) fn read(configuration: &Configuration) -> Result<Self, ConfigError> {
        let text = |key| {
            let text = configuration.filled_text(key)?;
            text.ok_or_else(|| configuration.missing(key))
        };
        let name = text("aws_bucket_name")?;
        let access_key = text("aws_access_key_id")?;
        let secret_key = text("aws_secret_access_key")?;
        let region = text("aws_default_region")?;
        let expected = "a URL that starts with https:// or http://";
        let parsed = configuration.parsed("aws_s3_endpoint_url", expected, |text| {
            let url = Url::parse(text).ok()?;
            // With an endpoint of its own, the Python SDK puts the bucket in the path.
            let bucket = Bucket::new(url.clone(), UrlStyle::Path, name, region).ok()?;
            Some((bucket, url.origin().ascii_serialization()))
        })?;
        let (bucket, endpoint) =
            parsed.ok_or_else(|| configuration.missing("aws_s3_endpoint_url"))?;
        let token = configuration.filled_text("aws_session_token")?;
        let credentials = match token {
            Some(token) => Credentials::new_with_token(access_key, secret_key, token),
            None => Credentials::new(access_key, secret_key),
        };
        let expected = "a relative path without `..`, which an object store needs";
        let folder = configuration.parsed("sub_folder", expected, folder)?;
        Ok(Self {
            bucket,
            credentials,
            folder: folder.unwrap_or_default(),
            endpoint,
        })
    }

    /// What must not be printed.
    pub(super) fn secrets(&self) -> impl IntoIterator<Item = &str> {
        std::iter::once(self.credentials.secret()).chain(self.credentials.token())
    }

    /// Bucket, folder and endpoint in words.
    pub(super) fn place(&self) -> String {
        let name = self.bucket.name();
        match self.folder.trim_end_matches('/') {
            "" => format!("bucket {name} at {}", self.endpoint),
            folder => format!("folder {folder} of bucket {name} at {}", self.endpoint),
        }
    }
}

/// A folder as Python's `pathlib` joins it: `a//b/./` is `a/b`.
fn folder(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return None;
    }
    let parts: Vec<_> = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return None;
    }
    Some(parts.iter().map(|part| format!("{part}/")).collect())
}
