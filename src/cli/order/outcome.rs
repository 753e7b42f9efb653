//! How an order came out.

use collect::order::{OrderPhase, RangeOrder, RangeProgress, RangeWork};

use super::UNUSABLE;
use crate::cli::offline_session::CommandError;

/// What is wished for cannot be begun.
pub(in crate::cli) fn refuse<T>(sentence: &str) -> anyhow::Result<T> {
    Err(CommandError {
        code: UNUSABLE,
        sentence: sentence.to_owned(),
    }
    .into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum OrderOutcome {
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

    /// How an order stands by the last progress there is. That of a later one only says that it has ended.
    pub(in crate::cli) fn of_order<W: RangeWork>(
        order: &RangeOrder<W>,
        last: Option<&RangeProgress<W>>,
    ) -> Self {
        match last {
            Some(own) if own.id == order.id => Self::of(Some(own.phase)),
            later if !order.has_ended(later) => Self::Unfinished,
            _ if order.cancelled => Self::Cancelled,
            _ => Self::Done,
        }
    }

    /// Its exit code, from those that `--help` lists, its word for machines, and the head of its summary.
    fn told(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Done => (0, "done", "Done"),
            Self::GivenUp => (0, "cancelled", "Cancelled"),
            Self::Cancelled => (5, "cancelled", "Cancelled"),
            Self::Unfinished => (3, "unfinished", "Not finished"),
            Self::Refused => (4, "refused", "Not finished"),
        }
    }

    pub(in crate::cli) fn exit_code(self) -> u8 {
        self.told().0
    }

    pub(in crate::cli) fn word(self) -> &'static str {
        self.told().1
    }

    pub(in crate::cli) fn head(self) -> &'static str {
        self.told().2
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use collect::verify::{VerifyCounts, VerifyOrder, VerifyProgress, VerifyWork};
    use rows::Window;
    use uuid::Uuid;

    use super::*;

    /// A night may begin as soon as a verification has ended, and there is one file for what is told.
    #[test]
    fn an_order_has_ended_also_when_another_one_has_begun_since() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let range = Window::new(now - TimeDelta::hours(1), now).unwrap();
        let (id, work) = (Uuid::from_u128(1), VerifyWork { resend: false });
        let order = VerifyOrder::new(id, range, Default::default(), work);
        let mut later = VerifyProgress::new(Uuid::from_u128(2), VerifyCounts::default(), now);
        let of = |last: Option<&VerifyProgress>| OrderOutcome::of_order(&order, last);
        assert_eq!(of(None), OrderOutcome::Unfinished);
        assert_eq!(of(Some(&later)), OrderOutcome::Unfinished);
        later.after = Some(id);
        assert_eq!(of(Some(&later)), OrderOutcome::Done);
        let mut own = VerifyProgress::new(id, VerifyCounts::default(), now);
        assert_eq!(of(Some(&own)), OrderOutcome::Unfinished);
        own.phase = OrderPhase::Cancelled;
        assert_eq!(of(Some(&own)), OrderOutcome::Cancelled);
    }
}
