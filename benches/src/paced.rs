//! What goes by the clock: the module on a time of its own, and then its binary on the machine's.

use std::time::Duration;

use crate::{
    contestant::{Seat, Trigger},
    process::Usage,
    site::Site,
};
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::bench::Bench;

/// How long the binary goes on where a course has ended.
const GOES_ON: Duration = Duration::from_secs(30);

/// A while of the module's own time.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    pub(crate) trigger: Trigger,
    pub(crate) site: &'a Site,
    pub(crate) settings: Value,
    pub(crate) start: DateTime<Utc>,
    pub(crate) length: TimeDelta,
    /// How long a page takes.
    pub(crate) page_takes: Duration,
}

impl Course<'_> {
    /// Runs the module for this while; where it ran, and what that has cost.
    pub(crate) async fn run(&self, bench: &Bench) -> anyhow::Result<(Seat, Usage)> {
        let seat = Seat::new(self.trigger, self.site, &self.settings)?;
        let numbers = [
            self.start.timestamp_millis().to_string(),
            self.length.num_seconds().to_string(),
            self.page_takes.as_millis().to_string(),
        ];
        let process = seat.accelerated(&bench.programs.own, self.trigger, &numbers)?;
        let usage = process.end().await;
        let usage = usage.with_context(|| self.whose(&seat))?;
        Ok((seat, usage))
    }

    /// Starts the binary on what the module has left, and lets it go on at the machine's time. The
    /// course should have ended about now.
    pub(crate) async fn go_on(&self, bench: &Bench, seat: &Seat) -> anyhow::Result<Usage> {
        self.site.follow_the_machine();
        let process = seat.module(&bench.programs.module, self.trigger)?;
        tokio::time::sleep(GOES_ON).await;
        let usage = process.stop().await;
        usage.with_context(|| self.whose(seat))
    }

    fn whose(&self, seat: &Seat) -> String {
        format!("{}:\n{}", self.trigger.command(), seat.log())
    }
}

/// The memory of the module over a course, in bytes, as if its binary had run it: what the module
/// has allocated at most, and what the binary that went on has of its own file.
pub(crate) fn memory(course: Usage, binary: Usage) -> u64 {
    (course.anonymous + binary.peak.saturating_sub(binary.anonymous)).max(binary.peak)
}

/// Now, to the second, as a course should have ended by then.
#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap_or_default()
}
