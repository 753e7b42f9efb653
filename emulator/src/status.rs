//! What became of a message for one recipient.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The delivery status of a row.
///
/// The Reporting Web Service spells it in PascalCase, Microsoft Graph in camelCase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// No status; only known to the Reporting Web Service.
    None,
    /// The service does not know yet.
    GettingStatus,
    /// Under way, or deferred and tried again.
    Pending,
    /// Not delivered.
    Failed,
    /// Delivered.
    Delivered,
    /// A group whose members have rows of their own.
    Expanded,
    /// Kept in quarantine.
    Quarantined,
    /// Marked as spam.
    FilteredAsSpam,
    /// Taken back by its sender; only known to Microsoft Graph.
    Recalled,
    /// Sent on to another address, which has a row of its own; not documented, but seen.
    Resolved,
}

impl Status {
    const ALL: [Self; 10] = [
        Self::None,
        Self::GettingStatus,
        Self::Pending,
        Self::Failed,
        Self::Delivered,
        Self::Expanded,
        Self::Quarantined,
        Self::FilteredAsSpam,
        Self::Recalled,
        Self::Resolved,
    ];

    /// The spelling of Microsoft Graph.
    pub fn camel(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::GettingStatus => "gettingStatus",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Expanded => "expanded",
            Self::Quarantined => "quarantined",
            Self::FilteredAsSpam => "filteredAsSpam",
            Self::Recalled => "recalled",
            Self::Resolved => "resolved",
        }
    }

    /// The status with this name, compared without regard to letter case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.camel().eq_ignore_ascii_case(name))
    }

    /// Whether Graph shows it only to those who ask for members of an enumeration that they may not
    /// know; others see `unknownFutureValue`.
    pub(crate) fn is_future(self) -> bool {
        matches!(self, Self::Recalled | Self::Resolved)
    }

    /// Its bit in a set of statuses.
    pub(crate) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The spelling of the Reporting Web Service.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
