//! What goes wrong with windows, rows and links of the message trace, at either service.

use serde::{Deserialize, Serialize};

/// What goes wrong at a service; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trouble {
    /// Wide windows are not answered.
    pub wide: Option<Wide>,
    /// Queries are refused for reaching back too far.
    pub reach: Option<Reach>,
}

/// The service cannot answer windows that are too wide, or that hold too much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wide {
    /// Windows that are longer than this.
    pub seconds: Option<u32>,
    /// Windows that hold more rows than this.
    pub rows: Option<u32>,
    /// What happens to them.
    pub answer: TooWide,
}

impl Wide {
    /// Windows that are longer than this get this answer.
    pub fn minutes(minutes: u32, answer: TooWide) -> Self {
        Self {
            seconds: Some(minutes * 60),
            rows: None,
            answer,
        }
    }

    /// Windows that hold more rows than this get this answer.
    pub fn rows(rows: u32, answer: TooWide) -> Self {
        Self {
            seconds: None,
            rows: Some(rows),
            answer,
        }
    }
}

/// What happens to a window that is too wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooWide {
    /// Status 504 with the page of a gateway.
    #[default]
    GatewayTimeout,
    /// Status 500 and `UnifiedReportingTimeout`, as the Reporting Web Service says it.
    ReportingTimeout,
    /// The answer never comes.
    Silence,
}

/// The service refuses queries with the text that says how far back they may reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// The number of days in the text.
    pub days: u64,
    /// Whether every query is refused, however short it reaches back; otherwise only those that
    /// reach back farther than the text says.
    pub lie: bool,
    /// Whether the refusal is the service's own, with its envelope and request id; otherwise it is
    /// bare text, and every query gets it.
    pub own: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            days: 10,
            lie: true,
            own: true,
        }
    }
}

impl Reach {
    /// Every query is refused with this number of days.
    pub fn lie(days: u64) -> Self {
        Self {
            days,
            ..Self::default()
        }
    }

    /// What the refusal says.
    pub(crate) fn text(&self) -> String {
        format!(
            "Invalid StartDate value. The StartDate can't be older than {} days from today.",
            self.days
        )
    }
}
