//! A world to run in: the emulated services, and the place of the module.

use chrono::{DateTime, Utc};
use emulator::{Clock, Emulator, Endpoint, RecordedRequest, Running, Scenario};

use crate::{
    disk::Apart,
    site::Site,
    status::{Meter, Status},
};

/// The emulator at the beginning of a scenario, on real sockets, and a fresh place for the module.
#[derive(Debug)]
pub(crate) struct World {
    /// What it began with.
    pub(crate) scenario: Scenario,
    /// Microsoft and Sekoia.io.
    pub(crate) emulator: Emulator,
    /// Its sockets.
    pub(crate) running: Running,
    /// Where the module runs.
    pub(crate) site: Site,
    /// Whether this process sees mounts of its own.
    pub(crate) apart: Option<Apart>,
    /// When it began.
    pub(crate) started: DateTime<Utc>,
}

impl World {
    /// Begins a scenario now. The module's state has a disk of its own where mounts can be made.
    pub(crate) async fn begin(scenario: Scenario, apart: Option<Apart>) -> anyhow::Result<Self> {
        let emulator = scenario.begin(Clock::system());
        let started = emulator.clock().now();
        let running = emulator.serve().await?;
        let site = Site::create(&emulator, &running, apart)?;
        Ok(Self {
            scenario,
            emulator,
            running,
            site,
            apart,
            started,
        })
    }

    /// What time it is.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.emulator.clock().now()
    }

    /// How far the module is.
    pub(crate) fn status(&self, meter: &mut Meter) -> Status {
        let delivered = self.emulator.accepted_count(None);
        Status {
            delivered,
            rate: meter.rate(delivered),
            lag: self
                .site
                .checkpoint()
                .map(|checkpoint| self.now() - checkpoint),
            window: self.window(),
        }
    }

    /// The window of the last query that has reached the emulator.
    fn window(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let services = [Endpoint::Graph, Endpoint::Report];
        let latest = services
            .iter()
            .filter_map(|service| self.emulator.latest_request(*service));
        window(&latest.max_by_key(|request| request.at)?)
    }
}

/// The window of time that a request asks for.
pub(crate) fn window(request: &RecordedRequest) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let filter = request.query("$filter")?;
    // Either service takes two dates, the start first; one of them in quotes.
    let mut dates = filter
        .split([' ', '\''])
        .filter_map(|word| DateTime::parse_from_rfc3339(word).ok())
        .map(|date| date.to_utc());
    Some((dates.next()?, dates.next()?))
}
