//! Against a store that checks signatures and conditions, in memory and on virtual time.

mod growth;
mod lease;

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use base::http::{HttpError, HttpErrorKind, HttpService, Limits, Request, Response};
use chrono::{NaiveDateTime, TimeDelta};
use emulator::{ConditionalWrites, Flaws, ObjectStore};
use futures_util::{FutureExt as _, future::BoxFuture};

use super::*;
use crate::{
    config::Configuration,
    log::tests::log,
    storage::{Storage, conformance},
};

/// The store without a socket.
#[derive(Clone, Debug)]
struct InMemory {
    store: ObjectStore,
    /// Whether answers get lost on the way back.
    mute: Arc<AtomicBool>,
    /// So many seconds the next request takes.
    delay: Arc<AtomicU64>,
    /// So many requests arrive, nothing after them.
    arriving: Arc<AtomicUsize>,
    /// By how many minutes its clock is behind ours.
    behind: Arc<AtomicI64>,
    /// Whether its list of objects begins again and again.
    endless: Arc<AtomicBool>,
    /// Whether it refuses every write with an ETag.
    refusing: Arc<AtomicBool>,
    /// The page with which a proxy answers the next request of this method.
    page: Arc<Mutex<Option<(::http::Method, &'static str)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl HttpService for InMemory {
    fn call(&self, mut request: Request, _: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        async move {
            let host = request.uri().authority().unwrap().to_string();
            let path = request.uri().path_and_query().unwrap().to_string();
            let note = format!("{} {}", request.method(), request.uri().path());
            self.requests.lock().unwrap().push(note);
            let delay = self.delay.swap(0, Ordering::Relaxed);
            if delay > 0 {
                tokio::time::sleep(Duration::from_secs(delay)).await;
            }
            let one_less = |left: usize| left.checked_sub(1);
            if let Some(page) = self.page_for(request.method()) {
                return Ok(Response::new(Bytes::from(page)));
            }
            let order = Ordering::Relaxed;
            if self.arriving.fetch_update(order, order, one_less).is_err() {
                return Err(HttpError::new(HttpErrorKind::Connect, host));
            }
            request.headers_mut().insert("host", host.parse().unwrap());
            *request.uri_mut() = path.parse().unwrap();
            let length = request.body().len().into();
            request.headers_mut().insert("content-length", length);
            let behind = TimeDelta::minutes(self.behind.load(order));
            let now = Clock::system().now() - behind;
            let signed = &request.headers()["x-amz-date"];
            let signed = NaiveDateTime::parse_from_str(signed.to_str().unwrap(), "%Y%m%dT%H%M%SZ");
            let is_list = request
                .uri()
                .query()
                .is_some_and(|query| query.contains("list-type"));
            if is_list && self.endless.load(order) {
                return Ok(begun_again());
            }
            let accepted = request.headers().get("accept-encoding");
            let is_packed = accepted.is_none_or(|accepted| accepted != "identity");
            let has_etag = request.headers().contains_key("if-match");
            if has_etag && self.refusing.load(order) {
                let refused = ::http::Response::builder().status(412);
                return Ok(refused.body(Bytes::new()).unwrap());
            }
            let mut answer = match signed.unwrap().and_utc() - now {
                skew if skew.abs() > TimeDelta::minutes(15) => too_skewed(),
                _ => self.store.answer(request).await,
            };
            // As a proxy does that compresses what it may.
            if is_packed && let Some(etag) = answer.headers_mut().get_mut("etag") {
                *etag = format!("W/{}", etag.to_str().unwrap()).parse().unwrap();
            }
            // As a server on a socket does.
            let now = httpdate::fmt_http_date(now.into());
            answer.headers_mut().insert("date", now.parse().unwrap());
            match self.mute.load(Ordering::Relaxed) {
                true => Err(HttpError::new(HttpErrorKind::Interrupted, host)),
                false => Ok(answer),
            }
        }
        .boxed()
    }
}

impl InMemory {
    fn page_for(&self, asked: &::http::Method) -> Option<&'static str> {
        let mut page = self.page.lock().unwrap();
        page.take_if(|(method, _)| method == asked)
            .map(|(_, page)| page)
    }
}

/// A page of a list after which the same page comes.
fn begun_again() -> Response {
    let page = "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
    Response::new(Bytes::from(page))
}

/// As Amazon answers when the clocks differ.
fn too_skewed() -> Response {
    let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
    let answer = ::http::Response::builder().status(403);
    answer.body(body.into()).unwrap()
}

/// A store and what instances of it say.
struct World {
    net: InMemory,
    clock: Clock,
    lines: Arc<Mutex<Vec<String>>>,
    log: Log,
}

/// An instance, and what stops it.
struct Instance {
    backend: ObjectBackend,
    storage: Storage,
    stop: CancellationToken,
}

impl World {
    fn new(conditional_writes: ConditionalWrites) -> Self {
        let (log, lines) = log();
        Self {
            net: InMemory {
                store: ObjectStore::new(conditional_writes).unwrap(),
                mute: Arc::default(),
                delay: Arc::default(),
                arriving: Arc::new(AtomicUsize::new(usize::MAX)),
                behind: Arc::default(),
                endless: Arc::default(),
                refusing: Arc::default(),
                page: Arc::default(),
                requests: Arc::default(),
            },
            // Signatures tell the real time.
            clock: Clock::system(),
            lines,
            log,
        }
    }

    fn settings(changes: &[(&str, &str)]) -> ObjectSettings {
        let mut keys = vec![
            ("FILE_BACKEND", "S3"),
            ("AWS_BUCKET_NAME", ObjectStore::BUCKET),
            ("AWS_ACCESS_KEY_ID", ObjectStore::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", ObjectStore::SECRET_KEY),
            ("AWS_DEFAULT_REGION", "eu-west-3"),
            ("AWS_S3_ENDPOINT_URL", "http://store.example:9000"),
            ("SUB_FOLDER", "play//book/./7"),
        ];
        keys.extend(changes);
        let keys = keys.into_iter().collect();
        let configuration = Configuration::open("/nowhere", keys).unwrap();
        ObjectSettings::read(&configuration).unwrap().unwrap()
    }

    async fn try_open(&self, changes: &[(&str, &str)]) -> Result<Option<Instance>, ObjectError> {
        let settings = Self::settings(changes);
        let stop = CancellationToken::new();
        let http = Http::new(self.net.clone());
        let opened =
            ObjectBackend::open(settings, http, &self.clock, &self.log, &stop, "host-1").await?;
        Ok(opened.map(|backend| Instance {
            storage: Storage::new(backend.clone()),
            backend,
            stop,
        }))
    }

    async fn open(&self) -> Instance {
        self.try_open(&[]).await.unwrap().unwrap()
    }

    async fn refusal(&self, changes: &[(&str, &str)]) -> String {
        match self.try_open(changes).await {
            Err(error) => chain(&error),
            Ok(_) => panic!("it was opened"),
        }
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.net.store.files().as_ref().join(key)
    }

    /// Another program writes a file.
    fn replace(&self, name: &str, content: &str) {
        let key = format!("play/book/7/{name}");
        self.net.store.replace(&key, content);
    }

    fn said(&self, text: &str) -> bool {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains(text))
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.net.requests.lock().unwrap())
    }

    fn mute(&self, mute: bool) {
        self.net.mute.store(mute, Ordering::Relaxed);
    }
}

fn is_lost(instance: &Instance) -> bool {
    instance.stop.is_cancelled()
}

async fn text(storage: &Storage, name: &str) -> String {
    let content = storage.read(name).await.unwrap().unwrap();
    String::from_utf8(content.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn conforms() {
    for conditional_writes in [
        ConditionalWrites::Checked,
        ConditionalWrites::Ignored,
        ConditionalWrites::Unknown,
    ] {
        let world = World::new(conditional_writes);
        let instance = world.open().await;
        conformance::check(instance.storage.clone()).await;
        let warned = world.said("has no conditional writes");
        assert_eq!(warned, conditional_writes != ConditionalWrites::Checked);
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_where_the_python_sdk_looks_for_them() {
    let world = World::new(ConditionalWrites::Checked);
    let instance = world.open().await;
    instance.storage.write("context.json", "{}").await.unwrap();
    let path = world.path("play/book/7/context.json");
    assert_eq!(fs::read_to_string(path).unwrap(), "{}");
    world.replace("context.json", "foreign");
    assert_eq!(text(&instance.storage, "context.json").await, "foreign");
}

#[tokio::test(start_paused = true)]
async fn a_write_replaces_all_parts() {
    let world = World::new(ConditionalWrites::Checked);
    let storage = world.open().await.storage;
    for n in 0..3 {
        storage.append("log", format!("{n:>60000}")).await.unwrap();
    }
    assert_eq!(storage.list("").await.unwrap(), ["log"]);
    storage.write("log", "short").await.unwrap();
    storage.append("log", "er").await.unwrap();
    assert_eq!(text(&storage, "log").await, "shorter");
    let parts = fs::read_dir(world.path("play/book/7/.parts/log")).unwrap();
    let left = parts.flat_map(|generation| fs::read_dir(generation.unwrap().path()).unwrap());
    assert_eq!(left.count(), 0, "old parts are gone");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_no_end_is_not_followed() {
    let world = World::new(ConditionalWrites::Checked);
    let storage = world.open().await.storage;
    let addition = "x".repeat(1 << 20);
    for _ in 0..17 {
        storage.append("log", addition.clone()).await.unwrap();
    }
    let error = storage.read("log").await.unwrap_err();
    let damage = error.is_damage().unwrap();
    assert!(
        damage.contains("more than the 16777216 that it may have"),
        "{damage}"
    );
    world.net.endless.store(true, Ordering::Relaxed);
    let error = chain(&storage.list("").await.unwrap_err());
    assert!(error.contains("its list of objects has no end"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_success_that_no_store_gives_is_asked_for_again() {
    let world = World::new(ConditionalWrites::Checked);
    let storage = world.open().await.storage;
    let login = "<html xmlns=\"http://www.w3.org/1999/xhtml\"><title>Sign in</title></html>";
    // The older form of the list.
    let cut = "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated></ListBucketResult>";
    for page in [login, cut, ""] {
        let next = |method| *world.net.page.lock().unwrap() = Some((method, page));
        let is_used = || world.net.page.lock().unwrap().is_none();
        next(::http::Method::PUT);
        storage.write("log", "content").await.unwrap();
        assert!(is_used());
        next(::http::Method::GET);
        assert_eq!(text(&storage, "log").await, "content", "{page}");
        assert!(is_used());
        next(::http::Method::GET);
        assert_eq!(storage.list("").await.unwrap(), ["log"], "{page}");
        assert!(is_used());
    }
    *world.net.page.lock().unwrap() = Some((::http::Method::DELETE, login));
    storage.delete("log").await.unwrap();
    assert_eq!(storage.read("log").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_written_is_tried_for_ever_but_seldom() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.backend.close(&Deadline::default()).await.unwrap();
    world.net.refusing.store(true, Ordering::Relaxed);
    world.requests();
    let hour = Duration::from_secs(3600);
    assert!(
        tokio::time::timeout(hour, world.try_open(&[]))
            .await
            .is_err()
    );
    let asked = world.requests().len();
    assert!((100..3000).contains(&asked), "{asked}");
    assert!(world.said("an object was changed by another program"));
    world.net.refusing.store(false, Ordering::Relaxed);
    assert!(world.try_open(&[]).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_third_of_the_answers_failing_costs_neither_time_nor_content() {
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    println!("seed {seed}");
    for conditional_writes in [
        ConditionalWrites::Checked,
        ConditionalWrites::Ignored,
        ConditionalWrites::Unknown,
    ] {
        let world = World::new(conditional_writes);
        world.net.store.flaws(Flaws {
            failing: 0.35,
            seed,
            ..Flaws::default()
        });
        let begun = tokio::time::Instant::now();
        let first = world.open().await;
        let mut whole = String::new();
        for n in 0..40 {
            let addition = format!("{n:>60000}");
            first.storage.append("log", addition.clone()).await.unwrap();
            whole += &addition;
            let state = n.to_string();
            first.storage.write("context.json", state).await.unwrap();
        }
        assert_eq!(text(&first.storage, "log").await, whole, "nothing twice");
        assert_eq!(text(&first.storage, "context.json").await, "39");
        let a_request = begun.elapsed() / 120;
        assert!(a_request < Duration::from_secs(2), "{a_request:?}");
        first.backend.close(&Deadline::default()).await.unwrap();
    }
}

/// Changes a file in every way, until one fails. What the file may hold then.
async fn change(storage: &Storage) -> Vec<Option<String>> {
    let long = |n: u32| n.to_string().repeat(200_000);
    let mut now: Option<String> = None;
    for step in 0..9 {
        let (done, after) = match step {
            5 => (
                storage.write("log", "short").await,
                Some("short".to_owned()),
            ),
            8 => (storage.delete("log").await, None),
            _ => {
                let after = now.clone().unwrap_or_default() + &long(step);
                (storage.append("log", long(step)).await, Some(after))
            }
        };
        if done.is_err() {
            // A deletion may have come to the point where the file is empty.
            let emptied = (step == 8).then(|| Some(String::new()));
            return [now, after].into_iter().chain(emptied).collect();
        }
        now = after;
    }
    vec![now]
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_requests_loses_nothing() {
    let mut crashes = 0;
    for requests in 0.. {
        let world = World::new(ConditionalWrites::Checked);
        let instance = world.open().await;
        world.net.arriving.store(requests, Ordering::Relaxed);
        let possible = change(&instance.storage).await;
        drop(instance);
        let crashed = world.net.arriving.swap(usize::MAX, Ordering::Relaxed) == 0;
        let storage = world.open().await.storage;
        let found = storage.read("log").await.unwrap();
        let found = found.map(|found| String::from_utf8(found.to_vec()).unwrap());
        let lengths = (found.as_ref().map(String::len), possible.len());
        assert!(
            possible.contains(&found),
            "after {requests} requests: {lengths:?}"
        );
        if !crashed {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 15, "{crashes}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_part_is_told_and_the_file_can_be_deleted() {
    let world = World::new(ConditionalWrites::Checked);
    let storage = world.open().await.storage;
    for _ in 0..3 {
        let long = "x".repeat(files::PART);
        storage.append("log", long).await.unwrap();
    }
    let generation = fs::read_dir(world.path("play/book/7/.parts/log")).unwrap();
    let generation = generation
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    fs::remove_file(generation.join("00000001")).unwrap();
    let error = chain(&storage.read("log").await.unwrap_err());
    assert!(error.contains("00000001 is missing"), "{error}");
    storage.delete("log").await.unwrap();
    assert_eq!(storage.read("log").await.unwrap(), None);
    storage.append("log", "new").await.unwrap();
    assert_eq!(text(&storage, "log").await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_long_file_of_another_program_can_be_appended_to() {
    let world = World::new(ConditionalWrites::Checked);
    let storage = world.open().await.storage;
    let long = "x".repeat(files::PART + 1);
    world.replace("log", &long);
    storage.append("log", "1").await.unwrap();
    storage.append("log", "2").await.unwrap();
    assert_eq!(text(&storage, "log").await, long + "12");
}

#[tokio::test(start_paused = true)]
async fn an_addition_whose_answer_was_lost_is_there_once_or_twice_but_not_torn() {
    let world = World::new(ConditionalWrites::Checked);
    let storage = world.open().await.storage;
    storage.append("log", "a").await.unwrap();
    storage.write("context.json", "1").await.unwrap();
    world.mute(true);
    storage.append("log", "b").await.unwrap_err();
    storage.write("context.json", "2").await.unwrap_err();
    world.mute(false);
    storage.append("log", "c").await.unwrap();
    assert_eq!(text(&storage, "log").await, "abc");
    storage.write("context.json", "3").await.unwrap();
    assert_eq!(text(&storage, "context.json").await, "3");
}

#[tokio::test(start_paused = true)]
async fn refusals_say_what_to_do() {
    let world = World::new(ConditionalWrites::Checked);
    let place = "folder play/book/7 of bucket playbook-data at http://store.example:9000: ";
    for (key, value, said) in [
        ("AWS_ACCESS_KEY_ID", "wrong", "check aws_access_key_id"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wr0ng-secret",
            "check aws_secret_access_key",
        ),
        (
            "AWS_BUCKET_NAME",
            "no-such-bucket",
            "there is no such bucket",
        ),
    ] {
        let refusal = world.refusal(&[(key, value)]).await;
        assert!(refusal.contains(said), "{refusal}");
        assert!(
            refusal.contains("at http://store.example:9000: "),
            "{refusal}"
        );
        assert!(!refusal.contains("wr0ng-secret"), "{refusal}");
    }
    let first = world.open().await;
    assert!(world.refusal(&[]).await.starts_with(place));
    first.backend.close(&Deadline::default()).await.unwrap();

    world.net.behind.store(120, Ordering::Relaxed);
    let refusal = world.refusal(&[]).await;
    assert!(
        refusal.contains("120 minutes ahead of the store's: set it right"),
        "{refusal}"
    );
}

#[test]
fn answers_are_explained() {
    let explained = |status: u16, code: &str, region: Option<&str>| {
        let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let mut answer = ::http::Response::builder().status(status);
        if let Some(region) = region {
            answer = answer.header("x-amz-bucket-region", region);
        }
        let answer = answer.body(Bytes::from(body)).unwrap();
        error::explain("write", &answer, None).to_string()
    };
    for (status, code, said) in [
        (403, "AccessDenied", "may not write objects"),
        (400, "ExpiredToken", "renew aws_session_token"),
        (
            400,
            "AuthorizationHeaderMalformed",
            "set aws_default_region",
        ),
        (301, "PermanentRedirect", "set aws_default_region"),
        (503, "SlowDown", "cannot answer at the moment (status 503"),
        (
            409,
            "ConditionalRequestConflict",
            "cannot answer at the moment",
        ),
        (501, "NotImplemented", "no conditional writes"),
        (404, "<html>", "check that aws_s3_endpoint_url"),
        (403, "RequestTimeTooSkewed", "set it right"),
    ] {
        let text = explained(status, code, None);
        assert!(text.contains(said), "{text}");
    }
    let here = "of the bucket, which is eu-west-3";
    for (status, code, said) in [
        (301, "PermanentRedirect", here),
        (400, "AuthorizationHeaderMalformed", here),
        (400, "", here),
        // The region stands in answers that are not about it, too.
        (
            400,
            "RequestTimeout",
            "cannot answer at the moment (status 400",
        ),
        (400, "InvalidArgument", "an unexpected answer"),
    ] {
        let text = explained(status, code, Some("eu-west-3"));
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn settings_are_checked_and_named() {
    let all = [
        ("AWS_BUCKET_NAME", "b"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("AWS_DEFAULT_REGION", "r"),
        ("AWS_S3_ENDPOINT_URL", "https://store/s3"),
    ];
    let read = |mut keys: Vec<(&str, &str)>| {
        keys.push(("FILE_BACKEND", "s3"));
        let configuration = Configuration::open("/nowhere", keys.into_iter().collect()).unwrap();
        ObjectSettings::read(&configuration)
    };
    for (missing, _) in all {
        let keys = all.into_iter().filter(|(key, _)| *key != missing);
        let error = read(keys.collect()).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
    for (key, value) in [
        ("SUB_FOLDER", "/absolute"),
        ("SUB_FOLDER", "a/../b"),
        ("AWS_S3_ENDPOINT_URL", "store:9000"),
        ("AWS_BUCKET_NAME", "b/c"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr\u{e9}t"),
        ("AWS_SESSION_TOKEN", "two\nlines"),
    ] {
        let error = read([&all[..], &[(key, value)]].concat()).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
        assert!(!error.to_string().contains("s3cr"), "{error}");
    }
    let settings = read(all.to_vec()).unwrap().unwrap();
    assert_eq!(settings.place(), "bucket b at https://store");
    assert!(!format!("{settings:?}").contains("s3cret"));
}
