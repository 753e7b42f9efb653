//! Requests to one folder of a bucket, by `object_store`: it signs them, and tries them again for a while.

use std::{fmt, sync::Arc, time::Duration};

use base::{Clock, http::Http};
use bytes::Bytes;
use object_store::{
    Attribute, AttributeValue, BackoffConfig, GetOptions, GetResult, ObjectStore as _,
    ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, StaticCredentialProvider, UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder},
    list::{PaginatedListOptions, PaginatedListStore as _},
    path::Path,
};

use super::{
    error::{ObjectError, Problem},
    settings::ObjectSettings,
    transport::{Age, Failure, Transport},
};

/// How a request is tried again. All pauses together are at most twelve seconds long: a lease is renewed
/// in time for all that.
pub(super) const PATIENTLY: RetryConfig = RetryConfig {
    backoff: PAUSES,
    max_retries: 7,
    retry_timeout: Duration::from_secs(9),
};

/// The same for a look: somebody waits for the answer at a screen.
pub(super) const BRIEFLY: RetryConfig = RetryConfig {
    backoff: PAUSES,
    max_retries: 3,
    retry_timeout: Duration::from_secs(1),
};

/// The pauses double at most.
const PAUSES: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(200),
    max_backoff: Duration::from_secs(3),
    base: 2.0,
};

/// A folder has no more objects: a state has some hundred, and a long journal some thousand.
const MOST_KEYS: usize = 100_000;

/// Carries the [generation](super::files) of an object.
const GENERATION: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("generation"));

/// A write that takes the place of the version with this ETag, and of no other.
pub(super) fn in_place_of(etag: &str) -> PutMode {
    PutMode::Update(UpdateVersion {
        e_tag: Some(etag.to_owned()),
        version: None,
    })
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) etag: String,
    pub(super) length: u64,
    /// None when another program has written it.
    pub(super) generation: Option<String>,
    /// By the store's clock; none when it does not tell.
    pub(super) age: Option<Duration>,
}

impl From<&GetResult> for Head {
    fn from(found: &GetResult) -> Self {
        Self {
            etag: found.meta.e_tag.clone().unwrap_or_default(),
            length: found.meta.size,
            generation: found
                .attributes
                .get(&GENERATION)
                .map(|text| text.to_string()),
            age: found.extensions.get::<Age>().map(|age| age.0),
        }
    }
}

/// One folder of a bucket. Keys are below the folder.
#[derive(Clone)]
pub(super) struct Client {
    store: AmazonS3,
    folder: String,
    /// Bucket and endpoint in words.
    pub(super) place: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.place)
    }
}

impl Client {
    pub(super) fn new(
        settings: ObjectSettings,
        http: Http,
        clock: Clock,
        retries: RetryConfig,
    ) -> Result<Self, ObjectError> {
        let place = settings.place();
        let store = AmazonS3Builder::new()
            .with_http_connector(Transport { http, clock })
            .with_credentials(Arc::new(StaticCredentialProvider::new(settings.credential)))
            // With an endpoint of its own, the Python SDK puts the bucket in the path.
            .with_virtual_hosted_style_request(false)
            .with_endpoint(settings.endpoint.as_str())
            .with_bucket_name(settings.bucket)
            .with_region(settings.region)
            // Some stores cannot delete many at once.
            .with_disable_bulk_delete(true)
            .with_retry(retries)
            .build();
        match store {
            Ok(store) => Ok(Self {
                store,
                folder: settings.folder,
                place,
            }),
            Err(error) => Err(ObjectError {
                place,
                problem: Arc::new(error.into()),
            }),
        }
    }

    pub(super) fn error(&self, problem: impl Into<Arc<Problem>>) -> ObjectError {
        ObjectError {
            place: self.place.clone(),
            problem: problem.into(),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<(Head, Bytes)>, ObjectError> {
        let Some(found) = self.find(key, GetOptions::new()).await? else {
            return Ok(None);
        };
        let head = Head::from(&found);
        let content = found.bytes().await.map_err(|error| self.failed(error))?;
        Ok(Some((head, content)))
    }

    /// What is known of an object; None when there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>, ObjectError> {
        let found = self.find(key, GetOptions::new().with_head(true)).await?;
        Ok(found.as_ref().map(Head::from))
    }

    async fn find(&self, key: &str, options: GetOptions) -> Result<Option<GetResult>, ObjectError> {
        match self.store.get_opts(&self.path(key)?, options).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Writes an object when the condition of `mode` is met. The ETag of the new version; None when it is
    /// not met.
    pub(super) async fn put(
        &self,
        key: &str,
        content: Bytes,
        mode: PutMode,
        generation: Option<&str>,
    ) -> Result<Option<String>, ObjectError> {
        let generation = generation.map(|text| (GENERATION, AttributeValue::from(text.to_owned())));
        let options = PutOptions {
            mode,
            attributes: generation.into_iter().collect(),
            ..PutOptions::default()
        };
        let path = self.path(key)?;
        match self.store.put_opts(&path, content.into(), options).await {
            Ok(done) => Ok(Some(done.e_tag.unwrap_or_default())),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Takes an object away; no error when it is not there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let deleted = self.store.delete(&self.path(key)?).await;
        deleted.map_err(|error| self.failed(error))
    }

    /// The keys that start with a prefix, sorted.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let prefix = format!("{}{prefix}", self.folder);
        let mut keys = Vec::new();
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                page_token: page_token.clone(),
                ..PaginatedListOptions::default()
            };
            let page = self.store.list_paginated(Some(&prefix), options).await;
            let page = page.map_err(|error| self.failed(error))?;
            let below = |key: &Path| key.as_ref().strip_prefix(&self.folder).map(str::to_owned);
            let found = page.result.objects.iter();
            keys.extend(found.filter_map(|object| below(&object.location)));
            // A store that begins its list again and again would never end.
            let next = page.page_token;
            if keys.len() > MOST_KEYS || (next.is_some() && next == page_token) {
                return Err(self.failed(object_store::Error::Generic {
                    store: "S3",
                    source: "its list of objects has no end".into(),
                }));
            }
            page_token = next;
            if page_token.is_none() {
                break;
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    fn path(&self, key: &str) -> Result<Path, ObjectError> {
        let path = Path::parse(format!("{}{key}", self.folder));
        path.map_err(|error| self.failed(error.into()))
    }

    /// What our [`Transport`] has told of it, or `object_store` itself.
    fn failed(&self, error: object_store::Error) -> ObjectError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(one) = cause {
            if let Some(Failure(problem)) = one.downcast_ref() {
                return self.error(Arc::clone(problem));
            }
            cause = one.source();
        }
        self.error(Problem::from(error))
    }
}
