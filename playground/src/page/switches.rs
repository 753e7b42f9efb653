//! The switches that break something, as faults and settings of the emulator.

use emulator::{Endpoint, Fault, FaultRule};
use serde_json::{Value, json};

use crate::arguments::Trigger;

/// Something that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Switch {
    WrongSecret,
    ExpiredSecret,
    PermissionMissing,
    NoServicePrincipal,
    OtherConsumer,
    SourceOutage,
    PoisonedLinks,
    SlowAnswers,
    LoginPage,
    BrokenConnections,
    DiskFull,
    IntakeOutage,
    UnknownKey,
    ClockAhead,
    LyingClock,
    LateRows,
    ChangingStatuses,
    PhishingWave,
    MemoryLost,
}

/// What a switch is called, what it does, and where its consequence shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// Its name on the wire.
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    /// Parts of the page, each with its name.
    pub(crate) see: See,
}

/// Parts of the page, each with its name.
type See = &'static [(&'static str, &'static str)];

fn about(
    name: &'static str,
    group: &'static str,
    title: &'static str,
    text: &'static str,
    see: See,
) -> About {
    About {
        name,
        group,
        title,
        text,
        see,
    }
}

const LAMP_AND_LOG: See = &[("lamp", "lamp"), ("log", "log")];
const LOG_AND_TIMELINE: See = &[("log", "log"), ("timeline", "timeline")];

impl Switch {
    /// All of them, as the page groups them.
    pub(crate) const ALL: [Self; 19] = [
        Self::WrongSecret,
        Self::ExpiredSecret,
        Self::PermissionMissing,
        Self::NoServicePrincipal,
        Self::SourceOutage,
        Self::OtherConsumer,
        Self::PoisonedLinks,
        Self::SlowAnswers,
        Self::LoginPage,
        Self::BrokenConnections,
        Self::IntakeOutage,
        Self::UnknownKey,
        Self::ClockAhead,
        Self::LyingClock,
        Self::LateRows,
        Self::ChangingStatuses,
        Self::PhishingWave,
        Self::DiskFull,
        Self::MemoryLost,
    ];

    /// The switch of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|switch| switch.about().name == name)
    }

    #[rustfmt::skip]
    pub(crate) fn about(self) -> About {
        match self {
            Self::WrongSecret => about("wrong-secret", "Sign-in", "Wrong secret", "Microsoft refuses the secret or password.", LAMP_AND_LOG),
            Self::ExpiredSecret => about("expired-secret", "Sign-in", "Expired secret", "The time of the client secret is over.", LAMP_AND_LOG),
            Self::PermissionMissing => about("permission", "Sign-in", "Permission missing", "It signs in, and may not read the message trace.", LAMP_AND_LOG),
            Self::NoServicePrincipal => about("principal", "Sign-in", "Service principal missing", "The tenant lacks Microsoft’s own app.", LAMP_AND_LOG),
            Self::SourceOutage => about("source-outage", "Microsoft", "Outage", "Every question is answered with 503.", LOG_AND_TIMELINE),
            Self::OtherConsumer => about("other-consumer", "Microsoft", "Another tool takes requests", "It uses all of the tenant’s quota that it can get: 429.", &[("requests", "requests"), ("log", "log")]),
            Self::PoisonedLinks => about("poisoned", "Microsoft", "Poisoned links", "Small pages, and one link in three to the next is refused.", &[("requests", "requests"), ("log", "log")]),
            Self::SlowAnswers => about("slow", "Microsoft", "Slow answers", "A page takes 8 s.", &[("freshness", "freshness"), ("timeline", "timeline")]),
            Self::LoginPage => about("login-page", "Network", "Login page of a proxy", "HTML with status 200 comes instead of rows.", LAMP_AND_LOG),
            Self::BrokenConnections => about("broken", "Network", "Broken connections", "One exchange in three ends with a reset.", LAMP_AND_LOG),
            Self::IntakeOutage => about("intake-outage", "Intake", "Outage", "It answers 503; rows wait.", LOG_AND_TIMELINE),
            Self::UnknownKey => about("unknown-key", "Intake", "Unknown key", "It answers 422 to every batch.", LAMP_AND_LOG),
            Self::ClockAhead => about("clock-ahead", "Time", "Clock is wrong", "This machine is 5 min behind Microsoft’s clock.", &[("timeline", "timeline"), ("log", "log")]),
            Self::LyingClock => about("lying-clock", "Time", "Lying clocks", "One answer in three is dated 2 h ahead.", &[("timeline", "timeline"), ("log", "log")]),
            Self::LateRows => about("late-rows", "Mail", "Rows surface late", "One more row a second, shown 20 s to 2 min late.", &[("lateness", "lateness"), ("rows", "rows")]),
            Self::ChangingStatuses => about("changing", "Mail", "Statuses change", "One more row a second, with another status later.", &[("rows", "rows")]),
            Self::PhishingWave => about("wave", "Mail", "Phishing wave", "One message to 1 500 recipients, each minute.", &[("rows", "rows"), ("rate", "rate")]),
            Self::DiskFull => about("disk-full", "State", "Disk full", "Nothing can be written to the disk of the state: it is a small one of its own.", LAMP_AND_LOG),
            Self::MemoryLost => about("memory-lost", "State", "Known rows deleted", "Before each start: rows come twice, and the verdict says so.", &[("ledger", "ledger")]),
        }
    }

    /// What it does, in one sentence; `has_disk` when the state has a disk of its own.
    pub(crate) fn text(self, has_disk: bool) -> &'static str {
        match self {
            Self::DiskFull if !has_disk => {
                "Files may not grow: a file-size limit of the process stands for it, as no disk can be \
                 mounted here."
            }
            _ => self.about().text,
        }
    }

    /// Whether it makes a difference to a trigger.
    pub(crate) fn fits(self, trigger: Trigger) -> bool {
        match self {
            Self::ExpiredSecret => trigger != Trigger::Account,
            Self::NoServicePrincipal | Self::OtherConsumer | Self::PoisonedLinks => {
                trigger == Trigger::Graph
            }
            _ => true,
        }
    }

    /// What goes wrong with answers while it is on.
    pub(super) fn faults(self, trigger: Trigger) -> Vec<(Endpoint, FaultRule)> {
        let sources = [Endpoint::Graph, Endpoint::Report];
        let everywhere = [Endpoint::Graph, Endpoint::Report, Endpoint::Intake];
        let at = |endpoints: &[Endpoint], rule: FaultRule| {
            let rules = endpoints.iter().map(|endpoint| (*endpoint, rule.clone()));
            rules.collect()
        };
        match self {
            Self::WrongSecret if trigger == Trigger::Account => {
                let basic = [("www-authenticate", "Basic realm=\"\"")];
                at(&[Endpoint::Report], Fault::answer(401, &basic, "").into())
            }
            Self::PermissionMissing if trigger == Trigger::Account => {
                at(&[Endpoint::Report], Fault::status(403).into())
            }
            Self::SourceOutage => at(&sources, Fault::status(503).into()),
            Self::LoginPage => at(
                &[Endpoint::Graph, Endpoint::Report, Endpoint::Token],
                Fault::page(200, "Sign in to the network").into(),
            ),
            Self::BrokenConnections => at(&everywhere, Fault::Reset.chance(0.33)),
            Self::IntakeOutage => at(&[Endpoint::Intake], Fault::status(503).into()),
            Self::UnknownKey => at(&[Endpoint::Intake], Fault::key_not_ready().into()),
            Self::LyingClock => at(&everywhere, Fault::date_ahead(7200).chance(0.33)),
            _ => Vec::new(),
        }
    }

    /// Settings of the emulator that are different while it is on.
    pub(super) fn changes(self) -> Vec<(&'static str, Value)> {
        match self {
            Self::WrongSecret => vec![("/identity/refuse_with", json!(7_000_215))],
            Self::ExpiredSecret => vec![("/identity/refuse_with", json!(7_000_222))],
            Self::PermissionMissing => vec![("/identity/roles_withheld", json!(true))],
            Self::NoServicePrincipal => vec![("/graph/service_principal", json!("missing"))],
            Self::OtherConsumer => vec![("/graph/quota/other_consumer", json!(120.0))],
            Self::PoisonedLinks => vec![
                ("/graph/poisoned_tokens", json!(0.33)),
                ("/graph/page_rows", json!(20)),
            ],
            Self::SlowAnswers => vec![
                ("/graph/latency_ms", json!(8000)),
                ("/report/latency_ms", json!(8000)),
            ],
            Self::ClockAhead => vec![("/transport/skew_seconds", json!(300))],
            _ => Vec::new(),
        }
    }

    /// Whether a token from before would hide it.
    pub(super) fn needs_new_token(self) -> bool {
        matches!(
            self,
            Self::WrongSecret | Self::ExpiredSecret | Self::PermissionMissing
        )
    }
}
