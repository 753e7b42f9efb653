//! Where a collection goes on when there is no usable timeline.

use chrono::{DateTime, Utc};
use rows::Window;

use super::{LEEWAY, Position, StartDecision, Terms, Weight};
use crate::{decide::coverage::Coverage, ledger::timeline::TIMELINE_FILE};

impl StartDecision {
    /// There is no timeline, which `damage` explains; nothing is wrong without it.
    pub(super) fn without_timeline(
        damage: Option<String>,
        position: &Position,
        copy: Option<DateTime<Utc>>,
        newest_known: Option<DateTime<Utc>>,
        terms: Terms,
    ) -> Self {
        let told = match (position, copy) {
            (Position::At(at), _) => Some(*at),
            (_, copy) => copy.filter(|copy| *copy <= terms.now + LEEWAY),
        };
        let Some(checkpoint) = told else {
            return Self::without_position(damage, position, newest_known, terms);
        };
        let checkpoint = match newest_known {
            _ if checkpoint <= terms.now + LEEWAY => checkpoint,
            // A clock that ran ahead has written it: how far the collection had come, its rows tell, or nothing.
            Some(newest) => newest,
            None => terms.first,
        };
        let checkpoint = checkpoint.min(terms.now);
        let mut start = match damage {
            None => Self::fresh(Coverage::new(checkpoint)).going_on(checkpoint),
            Some(reason) => {
                let since = checkpoint - terms.settle_time;
                match copy.and_then(|written| Window::new(written, since)) {
                    Some(between) => Self::moved_on(&reason, checkpoint, between, terms),
                    None => Self::reading_from(&reason, checkpoint, since),
                }
            }
        };
        if !matches!(position, Position::At(_)) {
            start = start.saying(
                Weight::Error,
                format!(
                    "The saved position cannot be used ({position}). The collection goes on at \
                     {checkpoint}, as its copy tells, and not at {}, where a first collection would \
                     begin.",
                    terms.first
                ),
            );
        }
        start
    }

    /// The timeline cannot be used, and the position is as this module has written it, or is about as late.
    fn reading_from(reason: &str, checkpoint: DateTime<Utc>, since: DateTime<Utc>) -> Self {
        let mut coverage = Coverage::new(since);
        coverage.reach(checkpoint);
        Self::fresh(coverage).saying(
            Weight::Warning,
            format!(
                "The file {TIMELINE_FILE} cannot be used ({reason}). The collection goes on with rows \
                 received at {checkpoint}, and those received since {since} are read again: what is \
                 known is not sent again, and nothing is lost."
            ),
        )
    }

    /// The timeline cannot be used, and the position is later than this module has written it: somebody has
    /// moved it on, or damage has. What lies `between` its copy and what is read again is skipped, and kept as such.
    fn moved_on(reason: &str, checkpoint: DateTime<Utc>, between: Window, terms: Terms) -> Self {
        let (written, since) = (between.start(), between.end());
        let from = written - terms.settle_time;
        let mut coverage = Coverage::new(from);
        coverage.skip_by_position(since);
        // Nobody else reads the rows that surface late in what this module had read.
        if let Some(settling) = Window::new(from, written) {
            coverage.want(settling);
        }
        coverage.reach(checkpoint);
        Self::fresh(coverage).saying(
            Weight::Error,
            format!(
                "The file {TIMELINE_FILE} cannot be used ({reason}), and the saved position, \
                 {checkpoint}, is later than the copy of what this module wrote, {written}. The collection \
                 goes on with rows received at {checkpoint}, as the Python module or a person may wish. \
                 Those received since {since}, and from {from} until {written}, are read again; those \
                 received from {between} are skipped: if nobody else has delivered them, `message-trace \
                 backfill --skipped` does."
            ),
        )
    }

    /// Neither timeline nor position nor its copy can be used.
    fn without_position(
        damage: Option<String>,
        position: &Position,
        newest_known: Option<DateTime<Utc>>,
        terms: Terms,
    ) -> Self {
        let first = terms.first;
        if let Some(newest) = newest_known.filter(|newest| *newest <= terms.now) {
            let since = newest - terms.settle_time;
            let damage = damage.unwrap_or_default();
            return Self::fresh(Coverage::new(since)).saying(
                Weight::Error,
                format!(
                    "Neither the saved position ({position}) nor {TIMELINE_FILE} ({damage}) can be \
                     used. The newest row that is known was received in the hour from {newest}: \
                     the collection goes on with rows received at {since}, and not at {first}, \
                     where a first collection would begin. What is known is not sent again; what \
                     had not been read before {since} is read on request, with `message-trace \
                     backfill`."
                ),
            );
        }
        Self::fresh(Coverage::new(first)).beginning(position, damage.is_some(), terms)
    }

    /// The very first collection begins, where nothing tells how far one has come.
    pub(super) fn beginning(mut self, position: &Position, is_damaged: bool, terms: Terms) -> Self {
        let first = terms.first;
        self.coverage.starts_first(first, terms.now);
        if *position == Position::Absent && !is_damaged {
            return self.saying(
                Weight::Info,
                format!("No saved position: the collection begins with rows received at {first}."),
            );
        }
        self.saying(
            Weight::Error,
            format!(
                "The saved position cannot be used ({position}), and nothing else tells how far \
                 the collection had come: it begins with rows received at {first}, as far back as \
                 `start_time` says. To go on elsewhere, stop the trigger, set the position to a \
                 date such as 2026-05-04T09:00:00+00:00, and start it."
            ),
        )
    }
}
