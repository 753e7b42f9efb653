//! A tenant, a data directory, and one trigger that is led through a scenario.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use base::{Clock, http::Http};
use chrono::{DateTime, TimeDelta, Utc};
use collect::{letters::FOLDER, order::OrderFile};
use emulator::{
    Action, Damage, Discretion, Emulator, Ending, Endpoint, Event, ModuleLife, Scenario, Scope,
    StatePart, Traffic, Verdict,
};
use sekoia::{Console, Directories, Environment, Host, run_on};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    endpoint,
    memory::{self, PLATFORM, Time},
};
use crate::triggers::registry;

/// The setting `chunk_size`, small so that there are many batches.
const CHUNK: u64 = 50;
/// As many events as can be on their way to the intake.
pub(super) const IN_FLIGHT: u64 = 4 * CHUNK;
/// What is said of rows that the service does not keep any more.
const LOST: &str = "are lost: Microsoft does not keep them";
/// What was accepted longer than this before a kill is filed, unless the intake has made difficulties.
const FILED: TimeDelta = TimeDelta::seconds(1);

/// A tenant, a data directory, and one trigger.
pub(super) struct Site {
    pub(super) emulator: Emulator,
    pub(super) time: Time,
    data: TempDir,
    pub(super) http: Http,
    trigger: &'static str,
    settings: Value,
    /// What of them is another with the second life, the third, and so on.
    restarts: Vec<Map<String, Value>>,
    /// How many lives have ended.
    lived: AtomicUsize,
    /// When requests to the intake fail for the first time, if they ever do.
    intake_fails: Option<DateTime<Utc>>,
    output: Arc<Mutex<Vec<String>>>,
}

/// The members of an object.
pub(super) fn members(object: Value) -> Map<String, Value> {
    serde_json::from_value(object).unwrap()
}

/// A scenario of this traffic from the beginning of a day on, with these switches and settings of the
/// trigger.
pub(super) fn scenario(traffic: Traffic, switches: Value, trigger: Value) -> Scenario {
    let mut scenario = Scenario::new(traffic);
    scenario.start = DateTime::from_timestamp(1_795_000_000, 0);
    scenario.settings = switches.try_into().unwrap();
    scenario.trigger = members(trigger);
    scenario
}

impl Site {
    /// The beginning of a scenario.
    pub(super) fn new(trigger: &'static str, scenario: &Scenario) -> Self {
        let start = scenario.start;
        let start = start.unwrap_or_else(|| DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let time = Time::at(start);
        let failing = scenario.timeline.iter();
        let failing = failing.filter(|event| is_of_intake(&event.action));
        let failing = failing.map(|event| start + Duration::from_secs(event.at));
        let theirs = time.clone();
        let emulator = scenario.begin(emulator::Clock::new(move || theirs.now()));
        Self {
            http: memory::http(&emulator),
            emulator,
            time,
            data: directory(),
            trigger,
            settings: Value::Object(scenario.trigger.clone()),
            restarts: scenario.restarts.clone(),
            lived: AtomicUsize::new(0),
            intake_fails: failing.min(),
            output: Arc::default(),
        }
    }

    /// The end of a scenario.
    pub(super) fn led_through(trigger: &'static str, scenario: &Scenario) -> Self {
        let site = Self::new(trigger, scenario);
        for life in &scenario.lives {
            site.live(*life);
        }
        site
    }

    /// The configuration, all of it in the environment.
    fn environment(&self) -> Environment {
        let settings = self.emulator.settings();
        let (app, account) = (&settings.identity.apps[0], &settings.report.accounts[0]);
        let mut trigger = json!({
            "account_name": account.name,
            "account_password": account.password.expose(),
            "tenant_id": settings.identity.tenant_id,
            "client_id": app.client_id,
            "client_secret": app.secrets[0].value.expose(),
            "intake_key": "emulated-intake-key",
            "intake_server": format!("https://{PLATFORM}/intake"),
            "reporting_url": "http://127.0.0.1/ecp/reportingwebservice/reporting.svc",
            "graph_url": "http://127.0.0.1/v1.0",
            "login_url": "http://127.0.0.1",
            "start_time": 6,
            "chunk_size": CHUNK,
        });
        let restarts = self.restarts.iter().take(self.lived.load(Relaxed));
        let wanted = self.settings.as_object().unwrap();
        for (name, value) in wanted.iter().chain(restarts.flatten()) {
            trigger[name] = value.clone();
        }
        [
            ("MODULE_CONFIGURATION", "{}".to_owned()),
            ("TRIGGER_CONFIGURATION", trigger.to_string()),
            ("TOKEN", settings.platform.token.expose().to_owned()),
            ("URL_CALLBACK", format!("http://{PLATFORM}/api/callback")),
            ("LIVENESS_PORT", "0".to_owned()),
            ("METRICS_PORT", "0".to_owned()),
        ]
        .into_iter()
        .collect()
    }

    /// Runs the module for this long: to a kill, or else to a clean stop.
    pub(super) async fn run(&self, life: Duration, end: Ending) {
        let stop = CancellationToken::new();
        let lines = Arc::clone(&self.output);
        let emulator = self.emulator.clone();
        let host = Host {
            directories: Directories {
                config: self.data.path().join("none"),
                data: self.data.path().join("data"),
            },
            environment: self.environment(),
            manifest: self.data.path().join("none"),
            http: self.http.clone(),
            clock: Clock::new(move || emulator.module_time()),
            console: Console::new(move |line| lines.lock().unwrap().push(line.to_owned())),
            stop: stop.clone(),
        };
        let registry = registry();
        let module = run_on(&registry, self.trigger, host);
        match end {
            Ending::Kill => {
                let ended = tokio::time::timeout(life, module).await;
                assert!(ended.is_err(), "the module ended by itself: {ended:?}");
            }
            Ending::Stop => {
                let stopping = async {
                    tokio::time::sleep(life).await;
                    stop.cancel();
                };
                let (ended, ()) = tokio::join!(module, stopping);
                ended.unwrap();
            }
        }
    }

    /// One life of the module, and the time after it.
    pub(super) fn live(&self, life: ModuleLife) {
        let length = Duration::from_secs(life.seconds);
        self.time.spend(self.run(length, life.end));
        if let Some(damage) = life.damage {
            self.damage(damage);
        }
        self.lived.fetch_add(1, Relaxed);
        self.time.pass(Duration::from_secs(life.away));
    }

    /// Does harm to the state.
    fn damage(&self, Damage { to, harm }: Damage) {
        for file in to.files(&self.path("")) {
            harm.apply_to(&file).unwrap();
        }
    }

    /// Another setting of the trigger from the next life on.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.settings[name] = value;
        let settings = self.settings.as_object().unwrap();
        let discretion = Discretion::of_trigger(settings).unwrap();
        self.emulator
            .configure(|settings| settings.discretion = discretion);
    }

    /// Where a file of the state is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.data.path().join("data").join(name)
    }

    /// A file of the state.
    pub(super) fn file(&self, name: &str) -> Option<Value> {
        let text = fs::read(self.path(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Up to when everything is delivered, as the state has it.
    pub(super) fn checkpoint(&self) -> DateTime<Utc> {
        let state = self.file("context.json").unwrap();
        let checkpoint = state["most_recent_date_requested"].as_str().unwrap();
        checkpoint.parse().unwrap()
    }

    /// Leaves a file with an order for the trigger.
    pub(super) fn leave<T: OrderFile>(&self, order: &T) {
        fs::create_dir_all(self.path("")).unwrap();
        fs::write(self.path(T::NAME), order.to_json().unwrap()).unwrap();
    }

    /// A life of so many hours that ends with a stop.
    pub(super) fn live_hours(&self, hours: u64) {
        self.live(life(hours * 3600, Ending::Stop, 0));
    }

    /// The same of so many seconds, while something else happens.
    pub(super) fn live_while(&self, seconds: u64, other: impl Future<Output = ()>) {
        let life = self.run(Duration::from_secs(seconds), Ending::Stop);
        self.time.spend(async { tokio::join!(life, other) });
    }

    /// What was delivered, compared with everything that could be seen until now.
    pub(super) fn verdict(&self) -> Verdict {
        self.emulator.verdict(&Scope::default())
    }

    /// When it was asked for rows.
    pub(super) fn asked(&self) -> Vec<DateTime<Utc>> {
        let requests = self.emulator.requests(endpoint(self.trigger));
        requests.iter().map(|request| request.at).collect()
    }

    /// What the module has said.
    pub(super) fn output(&self) -> String {
        self.output.lock().unwrap().join("\n")
    }

    /// How often the module has said this.
    pub(super) fn said(&self, text: &str) -> usize {
        self.output().matches(text).count()
    }

    /// All that it has said, and all that it has kept.
    fn told(&self) -> String {
        let mut told = self.output();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            let found = fs::read_dir(folder).into_iter().flatten().flatten();
            for path in found.map(|entry| entry.path()) {
                match path.is_dir() {
                    true => folders.push(path),
                    false => told.push_str(&text(&path)),
                }
            }
        }
        told
    }

    /// Whether anything lies among the dead letters.
    fn has_letters(&self) -> bool {
        let files = fs::read_dir(self.path(FOLDER)).into_iter().flatten();
        let mut texts = files.flatten().map(|file| text(&file.path()));
        texts.any(|text| !text.trim().is_empty())
    }

    /// What it has said or kept that it must not tell anybody: a secret, or what it was to hide.
    pub(super) fn leak(&self) -> Option<String> {
        let settings = self.emulator.settings();
        let (app, account) = (&settings.identity.apps[0], &settings.report.accounts[0]);
        let secrets = [
            Some(account.password.expose()),
            Some(app.secrets[0].value.expose()),
            self.settings["hash_key"].as_str(),
        ];
        let told = self.told();
        let mut secrets = secrets.into_iter().flatten();
        let secret = secrets.find(|secret| told.contains(secret));
        secret
            .map(str::to_owned)
            .or_else(|| self.emulator.in_clear(&told))
    }

    /// How many rows may come twice after a life that has just ended: at a kill what was not filed yet, and
    /// all that was accepted so far once more, when one of `memories` is damaged.
    pub(super) fn excused(&self, life: &ModuleLife, memories: &[StatePart]) -> u64 {
        let damage = life.damage;
        if damage.is_some_and(|damage| memories.contains(&damage.to)) {
            return self.emulator.accepted_count(None);
        }
        let end = self.emulator.clock().now() - Duration::from_secs(life.away);
        match life.end {
            Ending::Stop => 0,
            // Parts of a batch may wait for the others, however long that takes.
            Ending::Kill if self.intake_fails.is_some_and(|from| from <= end) => IN_FLIGHT,
            Ending::Kill => {
                let recent = self.emulator.acknowledged_since(end - FILED);
                IN_FLIGHT.min(recent as u64)
            }
        }
    }

    /// The module has said this.
    #[track_caller]
    pub(super) fn says(&self, text: &str) {
        let (trigger, output) = (self.trigger, self.output());
        assert!(output.contains(text), "{trigger} lacks `{text}`: {output}");
    }

    /// The module has not said this.
    #[track_caller]
    pub(super) fn says_not(&self, text: &str) {
        let (trigger, output) = (self.trigger, self.output());
        assert!(!output.contains(text), "{trigger} says `{text}`: {output}");
    }

    /// Every row was delivered once.
    #[track_caller]
    pub(super) fn is_clean(&self) {
        let (trigger, verdict, output) = (self.trigger, self.verdict(), self.output());
        assert!(verdict.is_clean(), "{trigger}: {verdict}\n{output}");
    }
}

/// A directory in memory, where there is such a place: days of virtual time sync thousands of files.
fn directory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

/// Something that happens so many seconds after the start.
pub(super) fn at(at: u64, action: Action) -> Event {
    Event { at, action }
}

/// So many seconds, this end, and so many seconds away.
pub(super) fn life(seconds: u64, end: Ending, away: u64) -> ModuleLife {
    ModuleLife {
        seconds,
        end,
        away,
        damage: None,
    }
}

/// A fault of the intake.
pub(super) fn is_of_intake(action: &Action) -> bool {
    let Action::Fault { endpoint, .. } = action else {
        return false;
    };
    *endpoint == Endpoint::Intake
}

/// What a file has of text.
fn text(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Leads a trigger through a scenario: nothing may be missing at its end, nothing may have come twice but
/// what was on its way at a kill, and nothing be told that is to be hidden. Where the scenario says from
/// when on all is well, nothing may be late from then on.
pub(super) fn every_row_once(trigger: &'static str, scenario: &Scenario) -> Result<Site, String> {
    let site = Site::new(trigger, scenario);
    let mut may_double = 0;
    for life in &scenario.lives {
        site.live(*life);
        may_double += site.excused(life, &[StatePart::KnownRows]);
        let verdict = site.verdict();
        if verdict.doubled.count > may_double {
            return Err(format!("rows came twice: {verdict}\n{}", site.output()));
        }
    }
    let verdict = site.verdict();
    if verdict.missing.count + verdict.rejected.count + verdict.unasked.count > 0 {
        return Err(format!("{verdict}\n{}", site.output()));
    }
    if let Some(leak) = site.leak() {
        return Err(format!("`{leak}` is told\n{}", site.output()));
    }
    let mut events = scenario.timeline.iter();
    if events.any(|event| event.action == Action::BeginFreshness) {
        is_up_to_date(&site, scenario).map_err(|late| format!("{late}\n{}", site.output()))?;
    }
    Ok(site)
}

/// All has been well for hours: nothing was late, the state says so, and nothing was ever called lost.
fn is_up_to_date(site: &Site, scenario: &Scenario) -> Result<(), String> {
    let settings = [&scenario.trigger].into_iter().chain(&scenario.restarts);
    let longest = |name: &str| {
        let lengths = settings.clone().filter_map(|some| some.get(name)?.as_i64());
        lengths.max().unwrap_or_default()
    };
    let period =
        TimeDelta::seconds(longest("frequency")) + TimeDelta::minutes(longest("timedelta"));
    let most = period * 2 + TimeDelta::minutes(15);
    let freshness = site.emulator.freshness(None, period);
    // What is left out with one status is first sent with another, however old it is then.
    let is_all_wanted = settings.clone().all(|some| {
        let statuses = some.get("exclude_statuses").and_then(Value::as_array);
        statuses.is_none_or(Vec::is_empty)
    });
    if is_all_wanted && freshness.slowest > most.as_seconds_f64() {
        let slowest = freshness.slowest;
        return Err(format!("rows were late, by {slowest} s: {freshness}"));
    }
    let (end, position) = (site.emulator.clock().now(), site.checkpoint());
    // A second that is shown over a link that is refused for good is never read to its end.
    let are_links_followed = site.emulator.settings().graph.poisoned_tokens <= 0.0;
    if are_links_followed && position < end - most || position > end {
        return Err(format!("at {end} the position is {position}"));
    }
    // By dates of last year a time is asked for that nobody keeps, and nobody was to collect.
    let do_dates_lie = scenario.to_json().contains("\"kind\":\"date\"");
    if site.said(LOST) > 0 && !do_dates_lie {
        return Err(String::from("rows were called lost that were not"));
    }
    let verdict = site.verdict();
    if verdict.unreadable.count > 0 && !site.has_letters() {
        return Err(format!("what cannot be read is not kept: {verdict}"));
    }
    Ok(())
}

/// The same, or the test has failed.
#[track_caller]
pub(super) fn unharmed(trigger: &'static str, scenario: &Scenario, case: &str) -> Site {
    every_row_once(trigger, scenario)
        .unwrap_or_else(|finding| panic!("{case} on {trigger}: {finding}"))
}
