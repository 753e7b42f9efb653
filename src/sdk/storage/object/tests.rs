//! Against a store that checks signatures and conditions, in memory and on virtual time.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use emulator::{ConditionalWrites, ObjectStore};
use futures_util::FutureExt as _;
use tokio::time::{Instant, advance};

use super::*;
use crate::{
    http::{HttpError, HttpErrorKind, HttpService, Limits, Request, Response},
    sdk::{
        config::Configuration,
        log::tests::log,
        storage::{Storage, conformance},
    },
};

/// The store without a socket.
#[derive(Clone, Debug)]
struct InMemory {
    store: ObjectStore,
    /// Whether answers get lost on the way back.
    mute: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl HttpService for InMemory {
    fn call(&self, mut request: Request, _: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        async move {
            let host = request.uri().authority().unwrap().to_string();
            let path = request.uri().path_and_query().unwrap().to_string();
            let note = format!("{} {}", request.method(), request.uri().path());
            self.requests.lock().unwrap().push(note);
            request.headers_mut().insert("host", host.parse().unwrap());
            *request.uri_mut() = path.parse().unwrap();
            let length = request.body().len().into();
            request.headers_mut().insert("content-length", length);
            let mut answer = self.store.answer(request).await;
            // As a server on a socket does.
            let now = httpdate::fmt_http_date(Clock::system().now().into());
            answer.headers_mut().insert("date", now.parse().unwrap());
            match self.mute.load(Ordering::Relaxed) {
                true => Err(HttpError::new(HttpErrorKind::Interrupted, host)),
                false => Ok(answer),
            }
        }
        .boxed()
    }
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
                requests: Arc::default(),
            },
            // The store looks at the real time of a signature.
            clock: Clock::system(),
            lines,
            log,
        }
    }

    async fn try_open(&self, changes: &[(&str, &str)]) -> Result<Option<Instance>, ObjectError> {
        let mut keys = vec![
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
        let settings = ObjectSettings::read(&configuration).unwrap();
        let stop = CancellationToken::new();
        let around = Around {
            http: Http::new(self.net.clone()),
            clock: &self.clock,
            log: &self.log,
            stop: &stop,
            host: "host-1",
        };
        let opened = ObjectBackend::open(settings, around).await?;
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
async fn long_files_are_kept_in_parts_that_a_write_replaces() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    let storage = &first.storage;
    let mut whole = String::new();
    for n in 0..30 {
        let addition = format!("{n:>60000}");
        storage.append("log", addition.clone()).await.unwrap();
        whole += &addition;
    }
    assert_eq!(text(storage, "log").await, whole);
    assert_eq!(storage.list("").await.unwrap(), ["log"]);
    let puts = world.requests();
    let appended = puts.iter().filter(|note| note.starts_with("PUT")).count();
    assert!(appended < 30 + 5, "{puts:#?}");
    first.backend.close().await.unwrap();

    let second = world.open().await;
    second.storage.append("log", "end").await.unwrap();
    whole += "end";
    assert_eq!(text(&second.storage, "log").await, whole);
    second.storage.write("log", "short").await.unwrap();
    second.storage.append("log", "er").await.unwrap();
    assert_eq!(text(&second.storage, "log").await, "shorter");
    let parts = fs::read_dir(world.path("play/book/7/.parts/log")).unwrap();
    let left = parts.flat_map(|generation| fs::read_dir(generation.unwrap().path()).unwrap());
    assert_eq!(left.count(), 0, "old parts are gone");
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
async fn a_second_instance_waits_says_so_and_stops() {
    for conditional_writes in [ConditionalWrites::Checked, ConditionalWrites::Unknown] {
        let world = World::new(conditional_writes);
        let first = world.open().await;
        let begun = Instant::now();
        let refusal = world.refusal(&[]).await;
        assert!(begun.elapsed() > lease::LIFE, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < lease::LIFE * 2, "{:?}", begun.elapsed());
        assert!(
            refusal.contains("another instance on host-1 works on the same files"),
            "{refusal}"
        );
        assert!(world.said("waiting up to 34 s for its end"));
        first.storage.write("context.json", "{}").await.unwrap();
        assert!(!is_lost(&first));
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_is_followed_at_once_and_a_crash_when_the_lease_has_run_out() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.storage.write("context.json", "1").await.unwrap();
    first.backend.close().await.unwrap();
    first.storage.write("context.json", "2").await.unwrap_err();
    let begun = Instant::now();
    let second = world.open().await;
    assert!(begun.elapsed() < lease::LOOK);
    assert_eq!(text(&second.storage, "context.json").await, "1");

    // A crash: no more renewals, and nothing is given back.
    drop(second);
    let begun = Instant::now();
    let third = world.open().await;
    assert!(
        begun.elapsed() > lease::LIFE - lease::RENEWAL,
        "{:?}",
        begun.elapsed()
    );
    assert!(world.said("ended without giving its lease back"));
    third.storage.write("context.json", "3").await.unwrap();
    assert_eq!(text(&third.storage, "context.json").await, "3");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_suspended_too_long_writes_nothing_and_stops() {
    for conditional_writes in [ConditionalWrites::Checked, ConditionalWrites::Ignored] {
        let world = World::new(conditional_writes);
        let first = world.open().await;
        first.storage.append("log", "1").await.unwrap();
        first.storage.write("context.json", "1").await.unwrap();
        // Somebody else takes over: as a file, since the first instance must sleep.
        let note = r#"{"owner": "other", "host": "host-2", "renewal": 1}"#;
        world.replace(".lease", note);
        advance(lease::LIFE).await;
        for _ in 0..2 {
            let error = first.storage.append("log", "2").await.unwrap_err();
            let error = chain(&error);
            assert!(
                error.contains("another instance on host-2 has taken over"),
                "{error}"
            );
            first.storage.write("context.json", "2").await.unwrap_err();
            first.storage.delete("context.json").await.unwrap_err();
        }
        assert_eq!(text(&first.storage, "log").await, "1");
        assert_eq!(text(&first.storage, "context.json").await, "1");
        tokio::time::timeout(lease::RENEWAL * 2, first.stop.cancelled())
            .await
            .unwrap();
        assert!(world.said("Stopping: "));
        let closed = first.backend.close().await.unwrap_err();
        assert!(matches!(*closed.problem, Problem::Lost { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_write_does_not_replace_what_the_next_owner_wrote() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.storage.write("context.json", "old").await.unwrap();
    // The first instance believes that its lease is still alive.
    fs::remove_file(world.path("play/book/7/.lease")).unwrap();
    let second = world.open().await;
    second.storage.write("context.json", "new").await.unwrap();
    first
        .storage
        .write("context.json", "stale")
        .await
        .unwrap_err();
    assert_eq!(text(&second.storage, "context.json").await, "new");
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_lease_is_survived_when_nobody_else_came() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.storage.write("context.json", "1").await.unwrap();
    world.net.store.fail(Some(503));
    tokio::time::sleep(lease::LIFE * 3).await;
    let error = chain(&first.storage.write("context.json", "2").await.unwrap_err());
    assert!(
        error.contains("cannot answer at the moment (status 503"),
        "{error}"
    );
    assert!(!error.contains(ObjectStore::SECRET_KEY));
    world.net.store.fail(None);
    first.storage.write("context.json", "3").await.unwrap();
    tokio::time::sleep(lease::RENEWAL).await;
    assert!(world.said("Cannot renew the lease"));
    assert!(world.said("is renewed again"));
    assert!(!is_lost(&first));
    assert_eq!(text(&first.storage, "context.json").await, "3");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_is_no_loss() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    world.mute(true);
    tokio::time::sleep(lease::RENEWAL + lease::LOOK).await;
    world.mute(false);
    tokio::time::sleep(lease::RENEWAL).await;
    first.storage.write("context.json", "1").await.unwrap();
    assert!(!is_lost(&first));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_later_is_waited_for_and_a_stop_ends_the_wait() {
    let world = World::new(ConditionalWrites::Checked);
    world.net.store.fail(Some(500));
    let comes = async {
        tokio::time::sleep(std::time::Duration::from_secs(100)).await;
        world.net.store.fail(None);
    };
    let (opened, ()) = tokio::join!(world.try_open(&[]), comes);
    opened.unwrap().unwrap();
    assert!(world.said("The object store is not ready, trying again"));
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
    first.backend.close().await.unwrap();

    let world = World {
        clock: Clock::virtual_from(Clock::system().now() + chrono::TimeDelta::hours(2)),
        ..world
    };
    let refusal = world.refusal(&[]).await;
    assert!(
        refusal.contains("120 minutes ahead of the store's: set it right"),
        "{refusal}"
    );
}

#[test]
fn answers_are_explained() {
    let explained = |status: u16, code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let answer = ::http::Response::builder()
            .status(status)
            .body(Bytes::from(body))
            .unwrap();
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
        let text = explained(status, code);
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
    let read = |keys: Vec<(&str, &str)>| {
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
    ] {
        let error = read([&all[..], &[(key, value)]].concat()).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
    let settings = read(all.to_vec()).unwrap();
    assert_eq!(settings.place(), "bucket b at https://store");
    assert!(!format!("{settings:?}").contains("s3cret"));
}
