//! How an order came out.

use collect::order::OrderPhase;

/// How an order came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum OrderOutcome {
    /// All of it is done.
    Done,
    /// Given up, as asked.
    GivenUp,
    /// Somebody else has given it up.
    Cancelled,
    /// This command ended before it was done.
    Unfinished,
    /// A person must act.
    Refused,
}

impl OrderOutcome {
    #[cfg(test)]
    pub(in crate::cli) const ALL: [Self; 5] = [
        Self::Done,
        Self::GivenUp,
        Self::Cancelled,
        Self::Unfinished,
        Self::Refused,
    ];

    /// How an order stands that nobody works on here any more.
    pub(in crate::cli) fn of(phase: Option<OrderPhase>) -> Self {
        match phase {
            Some(OrderPhase::Done) => Self::Done,
            Some(OrderPhase::Cancelled) => Self::Cancelled,
            Some(OrderPhase::Running) | None => Self::Unfinished,
        }
    }

    /// The exit code, from those that `--help` lists.
    pub(in crate::cli) fn exit_code(self) -> u8 {
        match self {
            Self::Done | Self::GivenUp => 0,
            Self::Unfinished => 3,
            Self::Refused => 4,
            Self::Cancelled => 5,
        }
    }

    /// Its word for machines.
    pub(in crate::cli) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::GivenUp | Self::Cancelled => "cancelled",
            Self::Unfinished => "unfinished",
            Self::Refused => "refused",
        }
    }

    /// The head of its summary.
    pub(in crate::cli) fn head(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::GivenUp | Self::Cancelled => "Cancelled",
            Self::Unfinished | Self::Refused => "Not finished",
        }
    }
}
