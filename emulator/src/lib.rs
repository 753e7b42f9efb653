//! Microsoft 365 message trace and the SEKOIA.IO platform, on real sockets or in memory.
//!
//! [`Emulator`] holds one world: a tenant whose mail traffic is generated from a seed (and added
//! to by hand), the services that show it, the platform that receives it, and a ledger that knows
//! which rows were delivered how often. [`Emulator::serve`] puts it on real sockets;
//! [`Emulator::microsoft_router`] and [`Emulator::sekoia_router`] answer in memory.
//!
//! Where nobody outside Microsoft or Sekoia.io knows how the real service behaves, a switch in
//! [`Settings`] chooses, so that a collector can be tried with every possibility. A [`Fault`]
//! breaks an answer on purpose.
//!
//! ```
//! use emulator::{Backlog, Emulator, Endpoint, Fault, Options, Traffic};
//!
//! let emulator = Emulator::new(Options {
//!     traffic: Traffic {
//!         backlog: Backlog::rows(chrono::TimeDelta::hours(2), 5_000),
//!         ..Traffic::default()
//!     },
//!     ..Options::default()
//! });
//! emulator.fault(Endpoint::Report, Fault::status(503).times(2));
//! assert_eq!(emulator.verdict(&Default::default()).missing.count, 5_000);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test double: an impossible state shall stop the test that met it, loudly"
)]

mod added;
mod agenda;
mod answer;
mod certificate;
mod clear;
mod clock;
mod connection;
mod control;
mod discretion;
mod emulator;
mod exchange;
mod fault;
mod faults;
mod journal;
mod ledger;
mod microsoft;
mod network;
#[cfg(feature = "object-store")]
mod object_store;
mod rows;
mod scenario;
mod secret;
mod sekoia;
mod server;
mod settings;
mod status;
mod time;
mod traffic;
mod world;

pub use certificate::TestCertificate;
pub use clock::Clock;
pub use connection::{ConnectionDropped, ConnectionNumber};
pub use discretion::{Discretion, HiddenAddresses, HiddenSubject};
pub use emulator::{Emulator, Options, QuotaUse, Since};
pub use fault::{Fault, PAST, RejectionShape};
pub use faults::{Endpoint, FaultRule};
pub use journal::RecordedRequest;
pub use ledger::{Delays, Examples, Freshness, Scope, Unasked, Verdict, Version};
pub use network::{Authority, ConnectProxy, Passed, ServerCertificate, TlsFront};
#[cfg(feature = "object-store")]
pub use object_store::{ConditionalWrites, Flaws, ObjectStore, RunningStore};
pub use rows::{NewRow, TraceRow};
pub use scenario::{Action, Changes, Damage, Ending, Event, Harm, ModuleLife, Scenario, StatePart};
pub use secret::Secret;
pub use sekoia::{AcceptedEvent, LogEntry};
pub use server::{Ports, Running};
pub use settings::{
    Account, App, AppSecret, ById, Canned, Dialect, ErrorCodes, FreshLink, FreshLinks, GraphLink,
    GraphSettings, IdentitySettings, IntakeSettings, NextLink, Outside, OutsideWindow,
    PlatformSettings, QuotaSettings, Reach, ReportSettings, RetryAfter, ServicePrincipal, Settings,
    SkipToken, TooWide, Transport, Trouble, Unreadable, UnreadableRow, Wide,
};
pub use status::Status;
pub use traffic::{Backlog, Lateness, Resolution, Traffic};
