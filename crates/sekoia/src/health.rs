//! Liveness: alive while the loop turns, also without traffic (H-01 to H-04).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use base::{Clock, lock};
use chrono::{DateTime, TimeDelta, Utc};
use http::{Response, StatusCode, request::Parts};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    log::{Latest, Log, Said, naive},
    serve::text,
};

/// How late a beat may come before the trigger counts as stuck.
const GRACE: Duration = Duration::from_secs(60);

/// Where something may fail. The failures of each side are counted apart, so that what works on one
/// side does not hide what fails on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A run of the trigger as a whole (E-03).
    Run,
    /// Where the events come from.
    Source,
    /// The files that must survive a restart.
    Checkpoint,
    /// The intake, which takes the events.
    Intake,
}

/// One thing that is tried again and again, such as the delivery of one batch. Its failures count
/// from the first until it is dropped, which says that it is done: they do not end because another
/// one like it has worked.
#[derive(Debug)]
pub(super) struct Attempts {
    heartbeat: Heartbeat,
    side: Side,
    /// Those that the side's last success has not forgotten.
    failures: u32,
    /// How many successes the side had had by then.
    successes: u64,
}

impl Attempts {
    pub(super) fn failed(&mut self) {
        let successes = self.heartbeat.count(self.side);
        if successes != self.successes {
            (self.failures, self.successes) = (0, successes);
        }
        self.failures = self.failures.saturating_add(1);
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.heartbeat.forget(self);
    }
}

/// What a run tells of its work, for machines.
type Told = Arc<dyn Fn() -> Value + Send + Sync>;

/// Tells the liveness server that the trigger's loop turns; cheap to clone.
#[derive(Clone)]
pub struct Heartbeat {
    clock: Clock,
    log: Log,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Asked when the body of `/health` is made.
    work: Option<Told>,
    data: Option<Uuid>,
    metrics_port: Option<u16>,
    /// When the next beat was promised; None while nothing was promised.
    due: Option<Instant>,
    promised: Duration,
    last_beat: DateTime<Utc>,
    last_events: DateTime<Utc>,
    last_success: Instant,
    /// When a request that is being answered must have ended.
    request_due: Option<Instant>,
    progress: Option<Progress>,
    /// The files that the work is about, of those that this process has.
    folder: Option<String>,
    /// Failures since the last success of each side that fails.
    errors: BTreeMap<Side, u32>,
    /// How often each side was said to work.
    successes: BTreeMap<Side, u64>,
    dead_letters: usize,
    stuck: bool,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heartbeat")
    }
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    missing: DateTime<Utc>,
    age: TimeDelta,
    behind_from: TimeDelta,
    told: Instant,
}

impl Progress {
    /// How old the oldest missing instant is by now, when the work is behind.
    fn behind(self) -> Option<TimeDelta> {
        let since = TimeDelta::from_std(self.told.elapsed()).unwrap_or(TimeDelta::MAX);
        let age = self.age.checked_add(&since).unwrap_or(TimeDelta::MAX);
        (age > self.behind_from).then_some(age)
    }
}

impl State {
    /// How long a request has been under way beyond its own limit.
    fn overdue(&self) -> Duration {
        self.request_due.map_or(Duration::ZERO, |due| due.elapsed())
    }

    fn successes(&self, side: Side) -> u64 {
        self.successes.get(&side).copied().unwrap_or(0)
    }

    fn succeeded(&mut self, side: Side) {
        self.errors.remove(&side);
        *self.successes.entry(side).or_default() += 1;
    }
}

impl Heartbeat {
    pub(super) fn new(clock: Clock, log: Log) -> Self {
        let now = clock.now();
        let state = State {
            work: None,
            data: None,
            metrics_port: None,
            due: None,
            promised: Duration::ZERO,
            last_beat: now,
            last_events: now,
            last_success: Instant::now(),
            request_due: None,
            progress: None,
            folder: None,
            errors: BTreeMap::new(),
            successes: BTreeMap::new(),
            dead_letters: 0,
            stuck: false,
        };
        Self {
            clock,
            log,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The loop turns, and will do so again within this time.
    ///
    /// Beats of concurrent work do not shorten one another's promise: the latest one counts.
    /// A trigger that never beats always counts as alive.
    pub fn beat(&self, next_within: Duration) {
        let mut state = lock(&self.state);
        state.due = state.due.max(Some(Instant::now() + next_within));
        state.promised = next_within;
        state.last_beat = self.clock.now();
        state.stuck &= state.overdue() > GRACE;
    }

    /// A request is under way that ends at this instant by its own limits; none when there is none.
    /// When it has not ended a minute later, the trigger counts as stuck.
    pub fn awaits(&self, request_due: Option<Instant>) {
        lock(&self.state).request_due = request_due;
    }

    /// The oldest instant that is missing has this age, and from `behind_from` on the work is behind,
    /// which the body of `/health` tells. It never makes a trigger count as stuck.
    pub fn progress(&self, missing: DateTime<Utc>, age: TimeDelta, behind_from: TimeDelta) {
        lock(&self.state).progress = Some(Progress {
            missing,
            age,
            behind_from,
            told: Instant::now(),
        });
    }

    /// The work is about the files in this folder from now on. Whether it was about others before: how far
    /// that had come does not hold any more.
    pub fn turns_to(&self, folder: &str) -> bool {
        let mut state = lock(&self.state);
        let before = state.folder.replace(folder.to_owned());
        let is_other = before.is_some_and(|before| before != folder);
        if is_other {
            state.progress = None;
        }
        is_other
    }

    /// Something that was tried failed. `error_count` of `/health` shows how often since the last
    /// success of that side, and `errors` shows it for each side.
    pub fn failed(&self, side: Side) {
        self.count(side);
    }

    /// Counts a failure. How many successes of that side it comes after.
    fn count(&self, side: Side) -> u64 {
        let mut state = lock(&self.state);
        let errors = state.errors.entry(side).or_default();
        *errors = errors.saturating_add(1);
        state.successes(side)
    }

    /// Something that was tried on this side is done, even if there was nothing to deliver: its error
    /// count starts over, and that of no other side.
    pub fn succeeded(&self, side: Side) {
        lock(&self.state).succeeded(side);
    }

    /// Something begins that will be tried until it works.
    pub(super) fn attempts(&self, side: Side) -> Attempts {
        Attempts {
            heartbeat: self.clone(),
            side,
            failures: 0,
            successes: 0,
        }
    }

    /// Events were delivered: a run that does so works. The intake says this by itself.
    pub fn delivered(&self) {
        let mut state = lock(&self.state);
        state.succeeded(Side::Run);
        state.last_events = self.clock.now();
        state.last_success = Instant::now();
    }

    /// The failures of these attempts are over. Those before a success are not counted any more, and the others
    /// are somebody else's.
    fn forget(&self, done: &Attempts) {
        let mut state = lock(&self.state);
        if state.successes(done.side) != done.successes {
            return;
        }
        if let Some(errors) = state.errors.get_mut(&done.side) {
            *errors = errors.saturating_sub(done.failures);
        }
        state.errors.retain(|_, errors| *errors > 0);
    }

    /// Failures of a side since its last success.
    pub(super) fn errors(&self, side: Side) -> u32 {
        lock(&self.state).errors.get(&side).copied().unwrap_or(0)
    }

    /// Time since events were last delivered, or since the start.
    pub(super) fn since_delivery(&self) -> Duration {
        lock(&self.state).last_success.elapsed()
    }

    /// So much could not be delivered and waits for a person: the body of `/health` says so.
    pub fn dead_letters(&self, count: usize) {
        lock(&self.state).dead_letters = count;
    }

    /// The body of `/health` tells this id as `data`, which lies among the files that this process
    /// works on, so that it is not taken for another one.
    pub(super) fn works_on(&self, data: Uuid) {
        lock(&self.state).data = Some(data);
    }

    /// The body of `/health` tells as `metrics_port` where the metrics of this process are.
    pub(super) fn serves_metrics_on(&self, port: u16) {
        lock(&self.state).metrics_port = Some(port);
    }

    /// The body of `/health` has what this tells as `work`, until the run ends. It must be small, hold
    /// no secret, and be told at once.
    pub fn works(&self, told: impl Fn() -> Value + Send + Sync + 'static) {
        lock(&self.state).work = Some(Arc::new(told));
    }

    /// Takes back every promise: nothing runs that could beat.
    pub(super) fn rest(&self) {
        let mut state = lock(&self.state);
        state.work = None;
        state.due = None;
        state.request_due = None;
    }

    /// The answer of the liveness server: only the exact path `/health` exists.
    pub(super) fn answer(&self, request: &Parts) -> Response<String> {
        if request.uri.path_and_query().map(|path| path.as_str()) != Some("/health") {
            let body = json!({"status_code": 404, "reason": "Endpoint doesn't exist"});
            return text(StatusCode::NOT_FOUND, "application/json", body.to_string());
        }
        let (alive, body) = self.report();
        let status = if alive {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        text(status, "application/json", body)
    }

    fn report(&self) -> (bool, String) {
        // It may have locks of its own.
        let work = lock(&self.state).work.clone();
        let work = work.map(|told| told());
        let mut state = lock(&self.state);
        let silence = state.due.map_or(Duration::ZERO, |due| due.elapsed());
        let overdue = state.overdue();
        let alive = silence <= GRACE && overdue <= GRACE;
        let behind = state.progress.and_then(|progress| {
            let age = progress.behind()?.num_seconds();
            Some(json!({"missing_since": naive(progress.missing), "seconds": age}))
        });
        let said = |said: Said| json!({"time": naive(said.at), "text": said.text});
        let Latest { error, warning } = self.log.latest();
        let mut body = json!({
            "last_events_time": naive(state.last_events),
            "last_heartbeat": naive(state.last_beat),
            "seconds_without_events_threshold": 0,
            "last_heartbeat_threshold": (state.promised + GRACE).as_secs(),
            "error_count": state.errors.values().sum::<u32>(),
        });
        // What there is nothing to tell of is left out.
        let more: [(&str, Option<Value>); 8] = [
            (
                "errors",
                (!state.errors.is_empty()).then(|| json!(state.errors)),
            ),
            ("data", state.data.map(|id| id.to_string().into())),
            ("metrics_port", state.metrics_port.map(Value::from)),
            ("behind", behind),
            (
                "dead_letters",
                (state.dead_letters > 0).then(|| state.dead_letters.into()),
            ),
            ("work", work),
            ("last_error", error.map(said)),
            ("last_warning", warning.map(said)),
        ];
        let present = more
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        if let Some(body) = body.as_object_mut() {
            body.extend(present);
        }
        let newly_stuck = !alive && !std::mem::replace(&mut state.stuck, !alive);
        let seconds = (state.promised + silence).as_secs();
        drop(state);
        if newly_stuck && silence <= GRACE {
            self.log.error(format!(
                "A request has not ended {} seconds after its own limit, the trigger will be restarted.",
                overdue.as_secs()
            ));
        } else if newly_stuck {
            self.log.error(format!(
                "The trigger didn't produce heartbeat for {seconds} seconds, it will be restarted."
            ));
        }
        (alive, body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::log;

    fn ask(heartbeat: &Heartbeat, path: &str) -> (u16, Value) {
        let (parts, ()) = http::Request::get(path).body(()).unwrap().into_parts();
        let answer = heartbeat.answer(&parts);
        (
            answer.status().as_u16(),
            serde_json::from_str(answer.body()).unwrap(),
        )
    }

    fn heartbeat() -> (Heartbeat, Arc<Mutex<Vec<String>>>) {
        let (log, lines) = log();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        (Heartbeat::new(Clock::virtual_from(start), log), lines)
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_loop_is_alive_and_a_stuck_one_is_not() {
        let (heartbeat, lines) = heartbeat();
        tokio::time::advance(Duration::from_secs(100_000)).await;
        assert_eq!(ask(&heartbeat, "/health").0, 200, "nothing was promised");
        heartbeat.beat(Duration::from_secs(300));
        heartbeat.beat(Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(360)).await;
        assert_eq!(
            ask(&heartbeat, "/health").0,
            200,
            "the longer promise counts"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ask(&heartbeat, "/health").0, 500);
        assert_eq!(ask(&heartbeat, "/health").0, 500);
        assert_eq!(lines.lock().unwrap().len(), 1, "said once");
        heartbeat.beat(Duration::from_secs(10));
        assert_eq!(ask(&heartbeat, "/health").0, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn fields_and_error_count_are_truthful() {
        let (heartbeat, _) = heartbeat();
        heartbeat.failed(Side::Source);
        heartbeat.failed(Side::Run);
        tokio::time::advance(Duration::from_millis(1500)).await;
        heartbeat.beat(Duration::from_secs(30));
        let (_, body) = ask(&heartbeat, "/health");
        assert_eq!(
            body,
            json!({
                "last_events_time": "2026-11-18T11:06:40",
                "last_heartbeat": "2026-11-18T11:06:41.500000",
                "seconds_without_events_threshold": 0,
                "last_heartbeat_threshold": 90,
                "error_count": 2,
                "errors": {"source": 1, "run": 1}
            })
        );
        heartbeat.succeeded(Side::Source);
        heartbeat.succeeded(Side::Run);
        let (_, body) = ask(&heartbeat, "/health");
        assert_eq!(
            (&body["error_count"], &body["last_events_time"]),
            (&json!(0), &json!("2026-11-18T11:06:40"))
        );
        heartbeat.failed(Side::Run);
        heartbeat.delivered();
        let (_, body) = ask(&heartbeat, "/health");
        assert_eq!(
            (&body["error_count"], &body["last_events_time"]),
            (&json!(0), &json!("2026-11-18T11:06:41.500000"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_side_does_not_hide_another() {
        let (heartbeat, _) = heartbeat();
        let errors = || ask(&heartbeat, "/health").1["errors"].clone();
        let (mut refused, mut accepted) = (
            heartbeat.attempts(Side::Intake),
            heartbeat.attempts(Side::Intake),
        );
        refused.failed();
        refused.failed();
        accepted.failed();
        heartbeat.failed(Side::Source);
        assert_eq!(errors(), json!({"source": 1, "intake": 3}));
        heartbeat.succeeded(Side::Checkpoint);
        heartbeat.delivered();
        drop(accepted);
        assert_eq!(
            errors(),
            json!({"source": 1, "intake": 2}),
            "neither a saved position nor a batch that was accepted hides one that is refused"
        );
        heartbeat.succeeded(Side::Source);
        drop(refused);
        assert_eq!(errors(), json!(null));
        assert_eq!(ask(&heartbeat, "/health").1["error_count"], 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_takes_no_failure_with_it_that_is_not_its_own() {
        let (heartbeat, _) = heartbeat();
        let errors = || heartbeat.errors(Side::Checkpoint);
        let mut waiting = heartbeat.attempts(Side::Checkpoint);
        (0..3).for_each(|_| waiting.failed());
        heartbeat.succeeded(Side::Checkpoint);
        heartbeat.failed(Side::Checkpoint);
        drop(waiting);
        assert_eq!(errors(), 1, "its own were forgotten before");
        let mut waiting = heartbeat.attempts(Side::Checkpoint);
        waiting.failed();
        heartbeat.succeeded(Side::Checkpoint);
        heartbeat.failed(Side::Checkpoint);
        (0..2).for_each(|_| waiting.failed());
        assert_eq!(errors(), 3);
        drop(waiting);
        assert_eq!(errors(), 1, "but two were its own");
    }

    #[tokio::test(start_paused = true)]
    async fn it_tells_what_went_wrong_last() {
        let (heartbeat, _) = heartbeat();
        heartbeat.log.warning("slow");
        heartbeat.log.error("refused");
        let (_, body) = ask(&heartbeat, "/health");
        let time = "2026-11-18T11:06:40";
        assert_eq!(body["last_error"], json!({"time": time, "text": "refused"}));
        assert_eq!(body["last_warning"], json!({"time": time, "text": "slow"}));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_stuck_however_the_loop_turns() {
        let (heartbeat, lines) = heartbeat();
        let due = Instant::now() + Duration::from_secs(180);
        let turn = async |seconds| {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            heartbeat.beat(Duration::from_secs(60));
            heartbeat.awaits(Some(due));
            ask(&heartbeat, "/health").0
        };
        for _ in 0..4 {
            assert_eq!(turn(60).await, 200);
        }
        assert_eq!(turn(1).await, 500);
        for _ in 0..10 {
            assert_eq!(turn(10).await, 500, "it stays so");
        }
        assert_eq!(lines.lock().unwrap().len(), 1, "said once");
        heartbeat.awaits(None);
        assert_eq!(ask(&heartbeat, "/health").0, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn it_tells_what_is_missing_for_too_long_and_is_alive() {
        let (heartbeat, _) = heartbeat();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let minutes = TimeDelta::minutes;
        heartbeat.progress(start - minutes(10), minutes(10), minutes(11));
        assert_eq!(ask(&heartbeat, "/health").1.get("behind"), None);
        tokio::time::advance(Duration::from_secs(61)).await;
        let (status, body) = ask(&heartbeat, "/health");
        let behind = json!({"missing_since": "2026-11-18T10:56:40", "seconds": 661});
        assert_eq!((status, &body["behind"]), (200, &behind));
        heartbeat.progress(start, minutes(1), minutes(11));
        assert_eq!(ask(&heartbeat, "/health").1.get("behind"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn work_on_other_files_is_not_behind_with_those_before() {
        let (heartbeat, _) = heartbeat();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let is_behind = || ask(&heartbeat, "/health").1.get("behind").is_some();
        assert!(!heartbeat.turns_to(""), "the first");
        heartbeat.progress(start, TimeDelta::minutes(12), TimeDelta::minutes(11));
        heartbeat.rest();
        assert!(!heartbeat.turns_to(""), "the same, with other settings");
        assert!(is_behind());
        assert!(heartbeat.turns_to("tenants/other/graph"));
        assert!(!is_behind());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_exact_path_exists() {
        let (heartbeat, _) = heartbeat();
        for path in ["/", "/health/", "/health?x=1"] {
            let (status, body) = ask(&heartbeat, path);
            assert_eq!((status, &body["status_code"]), (404, &json!(404)), "{path}");
        }
    }
}
