//! The handle of the emulator.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::Router;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, Response};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    AcceptedEvent, Action, Clock, Endpoint, FaultRule, Freshness, LogEntry, NewRow,
    RecordedRequest, Scope, Settings, Status, TraceRow, Traffic, Verdict,
    agenda::Agenda,
    exchange,
    faults::Faults,
    journal::Journal,
    ledger::Ledger,
    microsoft::{Quota, SigningKey},
    rows::{Rows, Selection},
    time::{Ticks, ticks},
    world::{self, Bounded, World},
};

/// What an emulator starts with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What time it is.
    pub clock: Clock,
    /// The mail of the tenant.
    pub traffic: Traffic,
    /// How the services behave.
    pub settings: Settings,
}

/// What came in of late.
#[derive(Clone, Debug)]
pub struct Since<T> {
    /// How many there have been so far: the number of the newest.
    pub number: u64,
    /// The newest of those that are new, oldest first.
    pub items: Vec<T>,
}

/// How much of the tenant's quota is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaUse {
    /// Requests that count at present, of all consumers.
    pub used: usize,
    /// How many are allowed.
    pub limit: u32,
    /// In how many seconds.
    pub seconds: u32,
}

/// The emulated services. Clones share the same world.
#[derive(Clone)]
pub struct Emulator {
    clock: Clock,
    world: Arc<Mutex<World>>,
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Emulator {
    /// A new world, whose live traffic begins now.
    pub fn new(options: Options) -> Self {
        let Options {
            clock,
            traffic,
            settings,
        } = options;
        let now = clock.now();
        let world = World {
            seed: traffic.seed,
            started: ticks(now),
            settings,
            rows: Rows::new(traffic, now),
            ledger: Ledger::default(),
            faults: Faults::default(),
            agenda: Agenda::default(),
            module_ahead: 0,
            unreadable_reads: HashMap::new(),
            journal: Journal::default(),
            accepted: VecDeque::new(),
            accepted_bytes: 0,
            accepted_number: 0,
            logs: Bounded::default(),
            envelopes: Bounded::default(),
            key: SigningKey::new(),
            quota: Quota::default(),
            refused_passwords: Vec::new(),
            links: HashMap::new(),
        };
        Self {
            clock,
            world: Arc::new(Mutex::new(world)),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        if !world.agenda.is_empty() {
            world.catch_up(self.ticks());
        }
        world
    }

    pub(crate) fn ticks(&self) -> Ticks {
        ticks(self.clock.now())
    }

    /// What the emulated servers take for the present time.
    pub(crate) fn server_time(&self) -> DateTime<Utc> {
        let skew = self.world().settings.transport.skew_seconds;
        self.clock.now() + TimeDelta::seconds(skew)
    }

    /// What the module takes for the present time: as [`Action::ModuleClock`] has it.
    pub fn module_time(&self) -> DateTime<Utc> {
        let ahead = TimeDelta::try_seconds(self.world().module_ahead);
        let shown = self
            .clock
            .now()
            .checked_add_signed(ahead.unwrap_or_default());
        shown.unwrap_or_else(|| self.clock.now())
    }

    /// The emulator's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Turns switches; holds from the next request on.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.world().settings);
    }

    /// The present position of every switch.
    pub fn settings(&self) -> Settings {
        self.world().settings.clone()
    }

    /// Adds a row to the message trace.
    pub fn add_row(&self, row: NewRow) {
        self.world().rows.add(row);
    }

    /// Ends the generated traffic: no further message is received. Rows that are late still
    /// appear, and statuses still change.
    pub fn stop_traffic(&self) {
        self.act(Action::StopTraffic);
    }

    /// The rows received from `from` to before `to` that are visible now, newest first.
    pub fn rows(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<TraceRow> {
        let selection = Selection::plain(ticks(from), ticks(to) - 1);
        let now = self.ticks();
        let found = self.world().rows.select(&selection, now).rows;
        found.into_iter().map(|(_, row)| row).collect()
    }

    /// Breaks answers of an endpoint from the next request on. Rules add up.
    pub fn fault(&self, endpoint: Endpoint, rule: impl Into<FaultRule>) {
        self.world().faults.add(endpoint, rule.into());
    }

    /// Clears the faults of an endpoint.
    pub fn clear_faults(&self, endpoint: Endpoint) {
        self.world().faults.clear(Some(endpoint));
    }

    /// Clears all faults.
    pub fn clear_all_faults(&self) {
        self.world().faults.clear(None);
    }

    /// Compares what could be seen until now with what was delivered.
    pub fn verdict(&self, scope: &Scope) -> Verdict {
        let now = self.ticks();
        let world = &mut *self.world();
        let key = world.key(scope.intake_key.as_deref());
        world.ledger.verdict(
            &key,
            scope,
            &mut world.rows,
            &world.settings.discretion,
            (world.started, now),
        )
    }

    /// How many events were accepted by answers of the intake that have left at this time or later.
    pub fn acknowledged_since(&self, since: DateTime<Utc>) -> usize {
        self.world().ledger.acknowledged_since(ticks(since))
    }

    /// How soon new rows and statuses were delivered to an intake key (none for the first of the
    /// settings), by a collector that asks with this period.
    pub fn freshness(&self, intake_key: Option<&str>, frequency: TimeDelta) -> Freshness {
        let world = self.world();
        let key = world.key(intake_key);
        Freshness {
            disturbed: world.faults.were_any(),
            ..world.ledger.freshness(&key, frequency)
        }
    }

    /// How often a row was delivered with a status to the first intake key of the settings.
    pub fn times_delivered(&self, trace_id: Uuid, recipient: &str, status: Status) -> u32 {
        let now = self.ticks();
        let world = &mut *self.world();
        let key = world.key(None);
        let found = world.rows.find(trace_id, recipient, now);
        found.map_or(0, |(life, _)| world.ledger.times(&key, life.slot, status))
    }

    /// How many events an intake key has accepted (none for the first of the settings).
    pub fn accepted_count(&self, intake_key: Option<&str>) -> u64 {
        let world = self.world();
        world.ledger.accepted(&world.key(intake_key))
    }

    /// The latest events that the intake has accepted: 64 MiB of them.
    pub fn accepted(&self) -> Vec<AcceptedEvent> {
        self.world().accepted.iter().cloned().collect()
    }

    /// What the intake has accepted since the event with the number `after` (0 for all): the newest
    /// `most` events of it, and the number of the newest.
    pub fn accepted_since(&self, after: u64, most: usize) -> Since<AcceptedEvent> {
        let world = self.world();
        world::since(&world.accepted, world.accepted_number, after, most)
    }

    /// The log entries that the platform has received since the one with the number `after`, as
    /// [`Emulator::accepted_since`] has it.
    pub fn logs_since(&self, after: u64, most: usize) -> Since<LogEntry> {
        self.world().logs.since(after, most)
    }

    /// The requests since the one with the number `after`, as [`Emulator::accepted_since`] has it.
    /// One that is not answered yet has no status.
    pub fn requests_since(&self, after: u64, most: usize) -> Since<RecordedRequest> {
        self.world().journal.since(after, most)
    }

    /// Lets something of a scenario happen now.
    pub fn act(&self, action: Action) {
        let now = self.ticks();
        self.world().act(now, action);
    }

    /// The ledger forgets every delivery, as for a module that begins from nothing.
    pub fn forget_deliveries(&self) {
        self.world().ledger.forget_deliveries();
    }

    /// How much of the tenant's quota is used at present, by everybody.
    pub fn quota_use(&self) -> QuotaUse {
        let now = self.ticks();
        let world = &mut *self.world();
        let settings = &world.settings.graph.quota;
        QuotaUse {
            used: world.quota.used(settings, now),
            limit: settings.requests,
            seconds: settings.seconds,
        }
    }

    /// The latest requests to an endpoint, oldest first.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        self.world().journal.of(endpoint)
    }

    /// The latest request to an endpoint.
    pub fn latest_request(&self, endpoint: Endpoint) -> Option<RecordedRequest> {
        let world = self.world();
        let mut latest = world.journal.all().rev();
        latest.find(|request| request.endpoint == endpoint).cloned()
    }

    /// The latest log entries that the platform has received.
    pub fn logs(&self) -> Vec<LogEntry> {
        self.world().logs.to_vec()
    }

    /// The latest envelopes that the stand-in of Sentry has received.
    pub fn envelopes(&self) -> Vec<Bytes> {
        self.world().envelopes.to_vec()
    }

    /// The answer of Microsoft's services in memory. None when the connection ends before it is whole.
    pub async fn microsoft_answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        exchange::in_memory(self.clone(), exchange::Side::Microsoft, request).await
    }

    /// The answer of Sekoia.io's services, as [`Emulator::microsoft_answer`] has it.
    pub async fn sekoia_answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        exchange::in_memory(self.clone(), exchange::Side::Sekoia, request).await
    }

    /// The services of Microsoft, answering in memory.
    pub fn microsoft_router(&self) -> Router {
        exchange::router(self.clone(), exchange::Side::Microsoft)
    }

    /// The services of Sekoia.io, answering in memory.
    pub fn sekoia_router(&self) -> Router {
        exchange::router(self.clone(), exchange::Side::Sekoia)
    }
}

impl World {
    /// The intake key that is meant.
    fn key(&self, named: Option<&str>) -> String {
        let first = || self.settings.intake.keys.first().map(crate::Secret::expose);
        named.or_else(first).unwrap_or_default().to_owned()
    }
}
