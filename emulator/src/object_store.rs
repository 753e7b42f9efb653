//! An S3-compatible object store (crate `s3s`), which checks signatures as Amazon does.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use s3s::{
    S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    auth::SimpleAuth,
    dto::PutObjectInput,
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::server::listen;

/// What becomes of the conditions of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConditionalWrites {
    /// They are checked.
    #[default]
    Checked,
    /// They are passed over.
    Ignored,
    /// They are answered with 501.
    Unknown,
}

/// A store with one bucket and one access key. It is gone when it is dropped; clones share it.
#[derive(Clone, Debug)]
pub struct ObjectStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: TempDir,
    service: S3Service,
    /// One request at a time: what a condition was checked against is what is replaced.
    turn: Mutex<()>,
    /// The status that is answered instead; 0 for none.
    outage: AtomicU16,
    /// What becomes of every single request.
    flaws: std::sync::Mutex<Flaws>,
    requests: AtomicU64,
}

/// How an object store is unreliable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flaws {
    /// The share of requests that fail, from 0 to 1: in turn with 500, 503 (before and after the
    /// request is carried out), 429, and 409, with which Amazon answers conditions that meet; at most
    /// five in a row.
    pub failing: f64,
    /// Whether no request is ever answered.
    pub hanging: bool,
    /// Which requests fail.
    pub seed: u64,
}

/// What becomes of one request.
#[derive(Clone, Copy)]
enum Fate {
    Answered,
    /// Refused with this status, after it was carried out or without.
    Failed {
        status: http::StatusCode,
        done: bool,
    },
    Hanging,
}

/// How many requests may fail one after the other.
const MOST_IN_A_ROW: u64 = 5;

impl Flaws {
    /// What becomes of the request with this number.
    fn fate(self, request: u64) -> Fate {
        use http::StatusCode;
        if self.hanging {
            return Fate::Hanging;
        }
        // A client that gives up after some tries must not meet a run of bad luck without end.
        let answered = request.is_multiple_of(MOST_IN_A_ROW + 1);
        if answered || crate::traffic::unit(self.seed, request) >= self.failing {
            return Fate::Answered;
        }
        let (status, done) = match request % 5 {
            0 => (StatusCode::INTERNAL_SERVER_ERROR, false),
            1 => (StatusCode::SERVICE_UNAVAILABLE, false),
            2 => (StatusCode::SERVICE_UNAVAILABLE, true),
            3 => (StatusCode::TOO_MANY_REQUESTS, false),
            _ => (StatusCode::CONFLICT, false),
        };
        Fate::Failed { status, done }
    }
}

/// A served store. When it is dropped, all connections are reset and the port is free.
#[derive(Debug)]
pub struct RunningStore {
    url: Url,
    _closing: DropGuard,
}

impl ObjectStore {
    /// The name of the bucket.
    pub const BUCKET: &str = "playbook-data";
    /// The access key.
    pub const ACCESS_KEY: &str = "emulated-access-key";
    /// The secret key.
    pub const SECRET_KEY: &str = "emulated-secret-key";

    /// A store with an empty bucket.
    ///
    /// # Errors
    ///
    /// When there is no room for temporary files.
    pub fn new(conditional_writes: ConditionalWrites) -> io::Result<Self> {
        let folder = TempDir::new()?;
        std::fs::create_dir(folder.path().join(Self::BUCKET))?;
        let files = FileSystem::new(folder.path())
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        builder.set_access(Access(conditional_writes));
        Ok(Self(Arc::new(Inner {
            folder,
            service: builder.build(),
            turn: Mutex::new(()),
            outage: AtomicU16::new(0),
            flaws: std::sync::Mutex::default(),
            requests: AtomicU64::new(0),
        })))
    }

    /// The folder that holds the objects of the bucket as files.
    pub fn files(&self) -> impl AsRef<Path> {
        self.0.folder.path().join(Self::BUCKET)
    }

    /// Puts an object there as another program does.
    ///
    /// # Panics
    ///
    /// When the folder is gone.
    pub fn replace(&self, key: &str, content: &str) {
        let root = self.0.folder.path();
        // What `s3s_fs` knows of the object that is replaced.
        let about = format!(
            ".bucket-{}.object-{}.",
            URL_SAFE_NO_PAD.encode(Self::BUCKET),
            URL_SAFE_NO_PAD.encode(key)
        );
        for kind in ["internal", "metadata"] {
            std::fs::remove_file(root.join(format!("{about}{kind}.json"))).ok();
        }
        std::fs::write(root.join(Self::BUCKET).join(key), content).expect("the folder is there");
    }

    /// Answers everything with this status from now on; with none, as usual.
    pub fn fail(&self, status: Option<u16>) {
        self.0.outage.store(status.unwrap_or(0), Ordering::Relaxed);
    }

    /// Is unreliable in this way from now on.
    ///
    /// # Panics
    ///
    /// When another thread has panicked with the store in hand.
    pub fn flaws(&self, flaws: Flaws) {
        *self.0.flaws.lock().expect("nobody panics with it") = flaws;
    }

    /// Answers a request in memory.
    pub async fn answer(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let response = self.call(request.map(s3s::Body::from)).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("in memory");
        http::Response::from_parts(head, body)
    }

    /// Serves the store on a port of the loopback interface; 0 for any that is free.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound.
    pub async fn serve_on(&self, port: u16) -> io::Result<RunningStore> {
        let closing = CancellationToken::new();
        let store = self.clone();
        let router = Router::new().fallback(move |request: Request| {
            let store = store.clone();
            async move { store.call(request.map(s3s::Body::http_body_unsync)).await }
        });
        Ok(RunningStore {
            url: listen(port, router, &closing).await?,
            _closing: closing.drop_guard(),
        })
    }

    fn call(&self, request: http::Request<s3s::Body>) -> BoxFuture<'static, Response> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let outage = inner.outage.load(Ordering::Relaxed);
            if let Ok(status) = http::StatusCode::from_u16(outage) {
                return status.into_response();
            }
            let number = inner.requests.fetch_add(1, Ordering::Relaxed);
            let flaws = *inner.flaws.lock().expect("nobody panics with it");
            let fate = flaws.fate(number);
            match fate {
                Fate::Answered | Fate::Failed { done: true, .. } => {}
                Fate::Failed { status, .. } => return status.into_response(),
                Fate::Hanging => std::future::pending().await,
            }
            let _turn = inner.turn.lock().await;
            let answer = inner.service.call(request).await;
            if let Fate::Failed { status, .. } = fate {
                return status.into_response();
            }
            match answer {
                Ok(response) => response.map(Body::new),
                Err(error) => (http::StatusCode::BAD_REQUEST, format!("{error:?}")).into_response(),
            }
        })
    }
}

impl RunningStore {
    /// The contract's `aws_s3_endpoint_url`.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

struct Access(ConditionalWrites);

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied));
        }
        match context.s3_path().get_bucket_name() {
            Some(ObjectStore::BUCKET) => Ok(()),
            _ => Err(s3_error!(NoSuchBucket)),
        }
    }

    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        let input = &mut request.input;
        match self.0 {
            ConditionalWrites::Checked => {}
            ConditionalWrites::Ignored => (input.if_match, input.if_none_match) = (None, None),
            ConditionalWrites::Unknown => {
                if input.if_match.is_some() || input.if_none_match.is_some() {
                    return Err(s3_error!(NotImplemented));
                }
            }
        }
        Ok(())
    }
}
