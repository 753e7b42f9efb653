//! Mail traffic generated from a seed: lazily, and the same on every run.

mod content;
mod draw;
mod generate;
mod lateness;
mod plan;

pub(crate) use generate::{Bucket, Generator, Timeline};
pub use lateness::Lateness;
pub(crate) use plan::Slice;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::time::seconds;

/// The draw number `count` of a stream, from 0 (included) to 1 (excluded).
pub(crate) fn unit(seed: u64, count: u64) -> f64 {
    draw::Draw::new(draw::mix(seed, count)).unit()
}

/// The traffic of the emulated tenant.
///
/// The default has no traffic at all and rows that are visible at once and never change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// The same seed gives the same mail.
    pub seed: u64,
    /// Rows per second from the start of the emulator on, on average.
    pub rate: f64,
    /// Mail from before the start of the emulator.
    pub backlog: Backlog,
    /// Whether there is less mail by night than by day.
    pub daily_shape: bool,
    /// How long after its reception a row becomes visible.
    pub lateness: Lateness,
    /// The share of rows, from 0 to 1, whose status changes after they were received.
    pub changing: f64,
    /// The share of delivered rows whose status changes, from 0 to 1, that are recalled in the end.
    /// Only Microsoft Graph knows recalled messages.
    pub recalled: f64,
    /// The share of quarantined rows whose status changes, from 0 to 1, that are released and
    /// delivered in the end.
    pub released: f64,
    /// The share of delivered rows, from 0 to 1, that are resolved instead: sent on to another
    /// address.
    pub resolved: f64,
    /// The longest time from reception to the last change of status.
    #[serde(with = "seconds")]
    pub changes_within: TimeDelta,
    /// How finely times of reception are told apart.
    pub resolution: Resolution,
    /// The most recipients of one generated message, up to 5000.
    pub max_recipients: u32,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            seed: 1,
            rate: 0.0,
            backlog: Backlog::default(),
            daily_shape: false,
            lateness: Lateness::none(),
            changing: 0.0,
            recalled: 0.0,
            released: 0.0,
            resolved: 0.0,
            changes_within: TimeDelta::hours(6),
            resolution: Resolution::Tick,
            max_recipients: 1500,
        }
    }
}

impl Traffic {
    /// Traffic as a real tenant has it: a daily shape, late rows and changing statuses.
    pub fn living(rate: f64) -> Self {
        Self {
            rate,
            daily_shape: true,
            lateness: Lateness::realistic(),
            changing: 0.1,
            released: 0.3,
            resolved: 0.05,
            ..Self::default()
        }
    }
}

/// Mail from before the start of the emulator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backlog {
    /// How far back it reaches.
    #[serde(with = "seconds")]
    pub span: TimeDelta,
    /// Exactly how many rows it has; none for as many as [`Traffic::rate`] gives.
    pub rows: Option<u64>,
}

impl Backlog {
    /// A backlog that reaches back `span` and has exactly `rows` rows.
    pub fn rows(span: TimeDelta, rows: u64) -> Self {
        Self {
            span,
            rows: Some(rows),
        }
    }

    /// A backlog that reaches back `span` at the rate of the traffic.
    pub fn span(span: TimeDelta) -> Self {
        Self { span, rows: None }
    }
}

/// How finely times of reception are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Whole seconds.
    Second,
    /// Whole milliseconds.
    Millisecond,
    /// 100 ns, which the light dialect of the Reporting Web Service shows.
    Tick,
}
