//! The keys of the contract that name a bucket (C-20 to C-26).

use object_store::aws::AwsCredential;
use url::Url;

use crate::config::{ConfigError, Configuration};

#[derive(Debug)]
pub(crate) struct ObjectSettings {
    pub(super) bucket: String,
    pub(super) region: String,
    /// Where buckets are found below.
    pub(super) endpoint: Url,
    /// Before every key: empty, or with a slash at the end.
    pub(super) folder: String,
    /// Signs requests; shows no secret.
    pub(super) credential: AwsCredential,
}

impl ObjectSettings {
    /// Reads the keys, which have the Python SDK's names and meanings (M-01 to M-04); none when files
    /// are kept in a directory (C-19).
    pub(crate) fn read(configuration: &Configuration) -> Result<Option<Self>, ConfigError> {
        let backend = configuration.filled_text("file_backend")?;
        if !backend.is_some_and(|backend| backend.eq_ignore_ascii_case("s3")) {
            return Ok(None);
        }
        let must = |key, expected, parse: fn(&str) -> Option<String>| {
            let found = configuration.parsed(key, expected, parse)?;
            found.ok_or_else(|| configuration.missing(key))
        };
        let bucket = must("aws_bucket_name", "the name of a bucket", bucket)?;
        let key_id = must("aws_access_key_id", PLAIN, plain)?;
        let secret_key = must("aws_secret_access_key", PLAIN, plain)?;
        let region = must("aws_default_region", PLAIN, plain)?;
        let expected = "a URL that starts with https:// or http://";
        let endpoint = configuration.parsed("aws_s3_endpoint_url", expected, endpoint)?;
        let endpoint = endpoint.ok_or_else(|| configuration.missing("aws_s3_endpoint_url"))?;
        let token = configuration.parsed("aws_session_token", PLAIN, plain)?;
        let expected = "a relative path without `..`, which an object store needs";
        let folder = configuration.parsed("sub_folder", expected, folder)?;
        Ok(Some(Self {
            bucket,
            region,
            endpoint,
            folder: folder.unwrap_or_default(),
            credential: AwsCredential {
                key_id,
                secret_key,
                token,
            },
        }))
    }

    pub(super) fn secrets(&self) -> impl IntoIterator<Item = &String> {
        let AwsCredential {
            secret_key, token, ..
        } = &self.credential;
        std::iter::once(secret_key).chain(token)
    }

    /// Bucket, folder and endpoint in words.
    pub(super) fn place(&self) -> String {
        let (name, endpoint) = (&self.bucket, self.endpoint.origin().ascii_serialization());
        match self.folder.trim_end_matches('/') {
            "" => format!("bucket {name} at {endpoint}"),
            folder => format!("folder {folder} of bucket {name} at {endpoint}"),
        }
    }
}

/// What a header of a request may hold: anything else would be no key of a store.
const PLAIN: &str = "letters, digits and signs of ASCII";

fn plain(text: &str) -> Option<String> {
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    is_plain.then(|| text.to_owned())
}

/// A name as the Python SDK takes it.
fn bucket(text: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.chars().all(is_name).then(|| text.to_owned())
}

fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "https" | "http").then_some(url)
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
