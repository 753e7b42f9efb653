//! The intake against an HTTP service in memory, on virtual time.

use base::{
    Clock,
    delivery::Pushed,
    http::{Http, HttpError, HttpService, Request, Response},
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Configuration, Heartbeat, Metrics, SettingsMap, Side, Storage,
    log::tests::log,
    metrics::tests::scrape,
    storage::MemoryBackend,
    testing::{Doubtful, Fake},
};

mod refusals;
mod throttled;
mod uncertain;

const KEY: &str = "k\"ey-1234";

struct Bench {
    intake: Intake,
    heartbeat: Heartbeat,
    metrics: Metrics,
    stop: CancellationToken,
    lines: Arc<Mutex<Vec<String>>>,
}

fn bench(fake: &Fake) -> Bench {
    bench_over(fake.http())
}

fn bench_over(http: Http) -> Bench {
    let (log, lines) = log();
    let clock = Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
    let heartbeat = Heartbeat::new(clock.clone(), log.clone());
    let metrics = Metrics::new(clock.clone());
    let stop = CancellationToken::new();
    let around = Context {
        http,
        clock,
        log,
        heartbeat: heartbeat.clone(),
        storage: Storage::new(MemoryBackend::default()),
        stop: stop.clone(),
        ending: stop.clone(),
        agent: HeaderValue::from_static("module/1.0.0"),
        metrics: metrics.clone(),
        module_configuration: SettingsMap::default(),
        configuration: Configuration::open("/none", Default::default()).unwrap(),
    };
    let url = address("http://h").unwrap();
    let intake = Intake::new(around, url, &Secret::new(KEY), 100);
    Bench {
        intake,
        heartbeat,
        metrics,
        stop,
        lines,
    }
}

impl Bench {
    fn batch(&self, count: usize) -> Batch {
        let mut batch = self.intake.batch();
        for n in 0..count {
            assert_eq!(batch.push(format!(r#"{{"n":{n}}}"#)), Pushed::Added);
        }
        batch
    }

    /// Delivers a batch, and what stays in hand of it.
    async fn deliver(&self, batch: Batch) {
        let mut work = vec![self.intake.push(batch).await.unwrap()];
        while let Some(receipt) = work.pop() {
            for (_, hand) in receipt.kept {
                work.push(self.intake.insist(hand).await.unwrap());
            }
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let (_, body) = scrape(&self.metrics, "");
        let name = format!("symphony_module_common_{name}{{intake_key=\"k\\\"ey-1234\"");
        let line = body.lines().find(|line| line.starts_with(&name));
        let line = line.unwrap_or_else(|| panic!("{name} in {body}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn said(&self, text: &str) -> usize {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }
}

/// How many events each request had, and when it came.
type Came = Arc<Mutex<Vec<(usize, Instant)>>>;

fn lengths(came: &Came) -> Vec<usize> {
    let came = came.lock().unwrap();
    came.iter().map(|(events, _)| *events).collect()
}

fn lengths_at(fake: &Fake) -> Vec<usize> {
    let requests = fake.requests();
    requests.iter().map(|one| events(one).len()).collect()
}

/// Answers as a function says, which may take its time.
struct Answering<F>(F, Came);

impl<F> fmt::Debug for Answering<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}

impl<F, A> HttpService for Answering<F>
where
    F: Fn(Request, Limits) -> A + Send + Sync,
    A: Future<Output = Result<Response, HttpError>> + Send + 'static,
{
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let count = events(&request).len();
        self.1.lock().unwrap().push((count, Instant::now()));
        Box::pin((self.0)(request, limits))
    }
}

fn bench_answering<F, A>(answer: F) -> (Bench, Came)
where
    F: Fn(Request, Limits) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response, HttpError>> + Send + 'static,
{
    let came = Came::default();
    let service = Answering(answer, Arc::clone(&came));
    (bench_over(Http::new(service)), came)
}

/// The answer of an intake that accepts everything.
fn all_accepted(request: &Request) -> Response {
    Response::new(Bytes::from(accepted(request).1))
}

/// The answer to a batch that is accepted.
fn accepted(request: &Request) -> (u16, String) {
    let ids: Vec<String> = events(request).iter().map(|event| id(event)).collect();
    (200, json!({ "event_ids": ids }).to_string())
}

/// The identifier of an event, which is no other's.
fn id(event: &str) -> String {
    format!("id of {event}")
}

fn events(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    serde_json::from_value(body["jsons"].clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_that_accepts_nothing_the_next_try_is_on_a_new_connection() {
    for (status, body, renewals) in [
        (200, "{}", 1),
        (202, r#"{"event_ids":["a"#, 1),
        (404, "", 1),
        (503, "", 1),
        (429, "", 0),
    ] {
        let is_first = Mutex::new(true);
        let fake =
            Fake::answering(
                move |request| match std::mem::take(&mut *is_first.lock().unwrap()) {
                    true => (status, body.to_owned()),
                    false => accepted(request),
                },
            );
        let bench = bench(&fake);
        let receipt = bench.intake.push(bench.batch(1)).await.unwrap();
        assert_eq!(
            (receipt.accepted, fake.renewals()),
            (1, renewals),
            "{status}"
        );
    }
}

#[test]
fn addresses_are_joined_with_one_slash() {
    for (base, expected) in [
        ("https://intake.sekoia.io", "https://intake.sekoia.io/batch"),
        (
            "https://h/api/v1/intake-http/",
            "https://h/api/v1/intake-http/batch",
        ),
        ("https://h/x//", "https://h/x//batch"),
    ] {
        assert_eq!(address(base).unwrap().to_string(), expected);
    }
    for base in ["", "intake.sekoia.io", "ftp://h", "https://", "https://a b"] {
        assert_eq!(address(base), None, "{base}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_as_the_contract_has_it() {
    let fake = Fake::answering(|_| (200, json!({"event_ids": ["a", "b"]}).to_string()));
    let bench = bench(&fake);
    bench.heartbeat.failed(Side::Run);
    let receipt = bench.intake.push(bench.batch(2)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.kept.len()), (2, 0));
    assert_eq!(format!("{:?}", bench.intake), "Intake(http://h/batch)");
    let request = &fake.requests()[0];
    assert_eq!(
        (request.method(), request.uri().to_string().as_str()),
        (&http::Method::POST, "http://h/batch")
    );
    assert_eq!(request.headers()["user-agent"], "module/1.0.0");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert!(!request.headers().contains_key("authorization"));
    assert_eq!(
        fake.bodies("/batch"),
        [json!({"intake_key": KEY, "jsons": [r#"{"n":0}"#, r#"{"n":1}"#]})]
    );
    assert_eq!(
        (
            bench.metric("forwarded_events_total"),
            bench.heartbeat.errors(Side::Run)
        ),
        (2.0, 0)
    );
    assert_eq!(bench.metric("forward_events_duration_count"), 1.0);
    let empty = bench.intake.push(bench.batch(0)).await.unwrap();
    assert_eq!((empty.accepted, fake.requests().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_event_that_is_offered_has_no_key() {
    let fake = Fake::answering(|request| {
        let echo = String::from_utf8_lossy(request.body()).into_owned();
        (400, echo)
    });
    let bench = bench(&fake);
    let said = bench.intake.offer(br#"{"n":0}"#).await.unwrap();
    let said = said.unwrap_err();
    assert!(said.contains("***") && !said.contains("ey-1234"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn outages_are_waited_out_and_counted() {
    let mut answers = vec![
        (503, "header: retry-after=77\n\n".to_owned()),
        (0, String::new()),
    ];
    answers.extend(vec![(500, String::new()); 6]);
    let turn = Mutex::new(answers.into_iter());
    let fake = Fake::answering(move |request| {
        let next = turn.lock().unwrap().next();
        next.unwrap_or_else(|| accepted(request))
    });
    let bench = bench(&fake);
    let started = Instant::now();
    let receipt = bench.intake.push(bench.batch(3)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.kept.len()), (3, 0));
    let bodies = fake.bodies("/batch");
    // Now and then one event alone, to find out whether it is another one that is not let through.
    let lengths = lengths_at(&fake);
    assert!(
        lengths.iter().all(|length| *length == 3 || *length == 1),
        "{lengths:?}"
    );
    assert_eq!(lengths[..3], [3, 3, 1], "the second may be accepted");
    assert!(bodies.iter().all(|body| body["intake_key"] == KEY));
    assert!(
        started.elapsed() >= Duration::from_secs(77),
        "Retry-After counts"
    );
    assert!(bench.metric("intake_retries_total") >= 8.0);
    assert!(bench.metric("intake_waiting_seconds_total") >= 77.0);
    assert_eq!(bench.metric("forwarded_events_total"), 3.0);
    let begun = "WARNING - Failed to forward 3 events\nthe intake h answers 503";
    assert_eq!(bench.said(begun), 1);
    let lasting = bench.said("ERROR - Failed to forward 3 events");
    assert!(
        (1..4).contains(&lasting),
        "once a minute: {:?}",
        bench.lines
    );
    assert_eq!(
        (
            bench.said("The intake accepts events again"),
            bench.said("CRITICAL")
        ),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_is_an_error_and_asked_slowly() {
    let fake = Fake::answering(|_| (401, format!("key {KEY} is wrong")));
    let bench = bench(&fake);
    let (intake, batch) = (bench.intake.clone(), bench.batch(1));
    let push = tokio::spawn(async move { intake.push(batch).await });
    time::sleep(Duration::from_secs(4499)).await;
    assert_eq!(bench.said("CRITICAL"), 0);
    assert!(bench.said("ERROR - Failed to forward 1 events") > 5);
    assert_eq!(bench.said("ey-1234"), 0, "{:?}", bench.lines);
    assert!(bench.said("compare intake_key") > 1);
    assert!(
        (10..80).contains(&fake.requests().len()),
        "{}",
        fake.requests().len()
    );
    assert!(
        bench.heartbeat.errors(Side::Intake) > 5,
        "an attempt resets nothing"
    );

    let stopped = Instant::now();
    bench.stop.cancel();
    assert_eq!(push.await.unwrap().unwrap_err(), Stopped);
    assert!(stopped.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_provisioned_yet_waits() {
    let turn = AtomicUsize::new(0);
    let fake = Fake::answering(move |request| {
        if turn.fetch_add(1, Relaxed) < 3 {
            (422, json!({"error": "INTAKE_KEY_ERROR"}).to_string())
        } else {
            accepted(request)
        }
    });
    let bench = bench(&fake);
    let started = Instant::now();
    assert_eq!(bench.intake.push(bench.batch(1)).await.unwrap().accepted, 1);
    assert!(started.elapsed() >= Duration::from_secs(15 + 30 + 60));
    assert!(bench.said("WARNING - Failed to forward 1 events") > 0);
    assert!(bench.said("A new intake takes some minutes") > 0);
    assert_eq!(bench.said("ERROR - Failed"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_refused_with_its_address() {
    let fake = Fake::answering(|_| (307, "header: location=https://other.test/x\n\n".to_owned()));
    let bench = bench(&fake);
    let (intake, batch) = (bench.intake.clone(), bench.batch(1));
    let push = tokio::spawn(async move { intake.push(batch).await });
    time::sleep(Duration::from_secs(60)).await;
    assert!(bench.said("it points to https://other.test/x, which is not followed") > 0);
    push.abort();
}

/// An intake that answers after a while.
fn slow(seconds: u64) -> Bench {
    let (bench, _) = bench_answering(move |request, _| async move {
        time::sleep(Duration::from_secs(seconds)).await;
        Ok(all_accepted(&request))
    });
    bench
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_at_a_stop_may_still_be_answered() {
    for (delay, answered) in [(11, true), (20, false)] {
        let bench = slow(delay);
        let (intake, batch) = (bench.intake.clone(), bench.batch(1));
        let push = tokio::spawn(async move { intake.push(batch).await });
        time::sleep(Duration::from_secs(10)).await;
        let stopped = Instant::now();
        bench.stop.cancel();
        assert_eq!(push.await.unwrap().is_ok(), answered, "{delay}");
        assert!(stopped.elapsed() <= STOP_GRACE + Duration::from_millis(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_answered_when_only_the_run_ends() {
    for (process_ends, answered) in [(false, true), (true, false)] {
        let mut bench = slow(25);
        let run = bench.stop.child_token();
        Arc::get_mut(&mut bench.intake.0).unwrap().around.stop = run.clone();
        let (intake, batch) = (bench.intake.clone(), bench.batch(1));
        let push = tokio::spawn(async move { intake.push(batch).await });
        time::sleep(Duration::from_secs(10)).await;
        run.cancel();
        time::sleep(Duration::from_secs(5)).await;
        let stopped = Instant::now();
        if process_ends {
            bench.stop.cancel();
        }
        assert_eq!(push.await.unwrap().is_ok(), answered, "{process_ends}");
        let most = if process_ends {
            STOP_GRACE.as_secs()
        } else {
            10
        };
        assert!(stopped.elapsed() <= Duration::from_secs(most) + Duration::from_millis(10));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_of_a_batch_is_told_when_a_stop_comes_before_the_rest() {
    let fake = Fake::answering(|request| {
        let sent = events(request);
        if sent.len() == 30 {
            // Nothing says which one has no identifier: they are sent again by threes.
            let ids: Vec<String> = (0..29).map(|n| format!("id-{n}")).collect();
            return (200, json!({ "event_ids": ids }).to_string());
        }
        match sent.iter().any(|event| event == r#"{"n":29}"#) {
            true => (429, String::new()),
            false => accepted(request),
        }
    });
    let bench = bench(&fake);
    let (intake, batch) = (bench.intake.clone(), bench.batch(30));
    let push = tokio::spawn(async move { intake.push(batch).await });
    time::sleep(Duration::from_secs(60)).await;
    bench.stop.cancel();
    let mut receipt = push.await.unwrap().unwrap();
    assert_eq!((receipt.accepted, receipt.kept.len()), (27, 1));
    let (range, hand) = receipt.kept.pop().unwrap();
    assert_eq!(range, 27..30);
    assert_eq!(bench.intake.insist(hand).await.unwrap_err(), Stopped);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_heeded_also_when_another_batch_is_accepted_meanwhile() {
    // After a second for each event: 429 to the first request with two of them.
    let pairs = AtomicUsize::new(0);
    let (bench, seen) = bench_answering(move |request, _| {
        let count = events(&request).len();
        let is_busy = count == 2 && pairs.fetch_add(1, Relaxed) == 0;
        async move {
            time::sleep(Duration::from_secs(count as u64)).await;
            if is_busy {
                let busy = http::Response::builder().status(429);
                let busy = busy.header("retry-after", "60");
                return Ok(busy.body(Bytes::new()).unwrap());
            }
            Ok(all_accepted(&request))
        }
    });
    let begun = Instant::now();
    let (busy, others) = tokio::join!(
        bench.intake.push(bench.batch(2)),
        bench.intake.push(bench.batch(3))
    );
    assert_eq!((busy.unwrap().accepted, others.unwrap().accepted), (2, 3));
    assert_eq!(lengths(&seen), [2, 3, 2]);
    let again = seen.lock().unwrap()[2].1 - begun;
    assert!(again >= Duration::from_secs(62), "{again:?}");
}

/// Delivers batches of 1.5 MB, or what a batch takes, over a line that carries so many bytes a second. The
/// bodies that each took.
async fn over_a_line(bytes_a_second: usize, batches: usize) -> Vec<Vec<usize>> {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&bodies);
    let (bench, _) = bench_answering(move |request, limits| {
        let bytes = request.body().len();
        noted.lock().unwrap().push(bytes);
        let upload = Duration::from_secs((bytes / bytes_a_second) as u64);
        async move {
            let limit = limits.first_byte.min(limits.total);
            if time::timeout(limit, time::sleep(upload)).await.is_err() {
                return Err(HttpError::new(HttpErrorKind::Timeout, "h"));
            }
            Ok(all_accepted(&request))
        }
    });
    let row = "x".repeat(15_000);
    let mut taken = Vec::new();
    for _ in 0..batches {
        let mut batch = bench.intake.batch();
        for _ in 0..100 {
            if batch.push(&row) == Pushed::Full {
                break;
            }
        }
        bench.deliver(batch).await;
        taken.push(std::mem::take(&mut *bodies.lock().unwrap()));
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn a_large_body_has_the_time_that_a_slow_line_takes() {
    let bodies = over_a_line(20 << 10, 1).await.concat();
    assert!(bodies.len() == 1 && bodies[0] > 1_500_000, "{bodies:?}");
}

#[tokio::test(start_paused = true)]
async fn bodies_become_smaller_where_the_line_is_too_slow_for_large_ones() {
    let bodies = over_a_line(8 << 10, 6).await;
    assert!(bodies[0].len() > 3, "{bodies:?}");
    let last = bodies.last().unwrap();
    assert!(last.len() == 1, "it is remembered: {bodies:?}");
    assert!(last[0] > LARGE_EVENT, "{bodies:?}");
}

#[tokio::test(start_paused = true)]
async fn several_batches_travel_at_once() {
    let bench = slow(10);
    let started = Instant::now();
    let pushes = (0..4).map(|_| bench.intake.push(bench.batch(1)));
    for result in futures_util::future::join_all(pushes).await {
        assert_eq!(result.unwrap().accepted, 1);
    }
    assert!(started.elapsed() < Duration::from_secs(11));
}

/// Else a disk that hangs would go unseen: the loop that waits for it says nothing.
#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_the_files_does_not_say_that_the_loop_turns() {
    let mut bench = bench(&Fake::answering(accepted));
    let known = Instant::now() + Duration::from_secs(1000);
    let files = Storage::new(Doubtful(MemoryBackend::default(), known));
    Arc::get_mut(&mut bench.intake.0).unwrap().around.storage = files;
    bench.heartbeat.beat(Duration::from_secs(60));
    let (intake, batch) = (bench.intake.clone(), bench.batch(3));
    let pushed = tokio::spawn(async move { intake.push(batch).await });
    time::sleep(Duration::from_secs(130)).await;
    let (request, ()) = http::Request::get("/health").body(()).unwrap().into_parts();
    assert_eq!(bench.heartbeat.answer(&request).status(), 500);
    assert_eq!(pushed.await.unwrap().unwrap().accepted, 3);
}
