//! Where a collection goes on: decided at a start from everything that can be read of its state.
//!
//! Three files tell how far it has come: the position, which the Python module and people change,
//! too; the timeline, which says what has been read; and the delivered rows. Each may be missing,
//! damaged, or older than the others. To go on too late skips rows for good, to go on too early
//! costs requests, and rows that are known are not sent again. So the earliest of what can be read
//! counts, and only a person's wish, or the work of another module, moves the collection on.

mod without;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use crate::{
    decide::{coverage::Coverage, lateness::Lateness, spans::whole_second},
    ledger::timeline::{Found, TIMELINE_FILE, Timeline, comparable},
};

/// A position may lie after now by this: another machine's clock has written it.
const LEEWAY: TimeDelta = TimeDelta::minutes(5);

/// A position that lies back further is no wish, but damage: nobody keeps mail's traces for so long.
const LONG_AGO: TimeDelta = TimeDelta::days(3650);

/// What the file with the position tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// Nobody has ever kept one.
    Absent,
    /// There was one, but it cannot be used; why.
    Unusable(String),
    /// Everything received before it was delivered, as the file says.
    At(DateTime<Utc>),
}

/// Everything that can be read of the state of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Witnesses {
    /// The position.
    pub position: Position,
    /// The position that this module wrote last, which nobody else changes; none when there is none
    /// that can be read.
    pub copy: Option<DateTime<Utc>>,
    /// The timeline.
    pub timeline: Found,
    /// The beginning of the newest hour of which delivered rows are remembered; none when there are
    /// none.
    pub newest_known: Option<DateTime<Utc>>,
}

/// What a start depends on beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Now, by the source's clock, which several of its answers agree on.
    pub now: DateTime<Utc>,
    /// Where the very first collection begins.
    pub first: DateTime<Utc>,
    /// How long after its reception a row may surface: as much is read again where it is not known
    /// what has been read.
    pub settle_time: TimeDelta,
}

/// Where the very first collection begins: `start_time` before its first start, which was `begun`
/// by an earlier process when that has never come so far as to keep a position, else `started` by
/// this one. What the source was down for is not skipped then. A clock that was wrong moves it by
/// no more than the source's `reach` before `now`.
pub fn first_collected(
    started: DateTime<Utc>,
    begun: DateTime<Utc>,
    start_time: TimeDelta,
    reach: TimeDelta,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let earlier = (begun - start_time).max(now - reach);
    whole_second((started - start_time).min(earlier))
}

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// As it should be.
    Info,
    /// Worth knowing.
    Warning,
    /// Somebody should look.
    Error,
}

/// What there is to say about a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// How much it matters.
    pub weight: Weight,
    /// What was found, and what is done about it.
    pub sentence: String,
}

/// Where a collection stands at its start, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct StartDecision {
    /// What has been read.
    pub coverage: Coverage,
    /// How late rows are.
    pub lateness: Lateness,
    /// What there is to say.
    pub remarks: Vec<Remark>,
}

impl StartDecision {
    /// Goes on where the most cautious of the witnesses says.
    ///
    /// What a wrong clock has left after now, the source's time, is cut off, and nothing before it.
    pub fn new(witnesses: Witnesses, terms: Terms) -> Self {
        let Witnesses {
            position,
            mut copy,
            mut timeline,
            newest_known,
        } = witnesses;
        copy = copy.filter(|copy| !is_long_ago(*copy, terms.now));
        let mut written = vec![copy];
        if let Found::Timeline(timeline) = &timeline {
            written.extend([Some(timeline.checkpoint), timeline.before]);
        }
        let mut position = plausible(position, &written, terms.now);
        let mut ahead = None;
        if let Found::Timeline(timeline) = &mut timeline {
            ahead = timeline.coverage.retract_all(terms.now, None);
            if ahead.is_some() {
                // The same clock has written all of them.
                let checkpoint = terms.now.min(timeline.coverage.checkpoint());
                timeline.checkpoint = timeline.checkpoint.min(comparable(checkpoint));
                copy = copy.map(|copy| copy.min(checkpoint));
                if let Position::At(at) = &mut position {
                    *at = checkpoint.min(*at);
                }
            }
        }
        // None of them speaks of the future any more.
        let start = match timeline {
            Found::Timeline(timeline) if timeline.coverage.has_begun() => {
                Self::go_on(*timeline, position, copy, terms)
            }
            Found::Timeline(timeline) => Self::begin_after_backfills(*timeline, &position, terms),
            Found::Nothing => {
                let ran_before = copy.is_some() || newest_known.is_some();
                let missing = ran_before.then(|| "it is missing".to_owned());
                Self::without_timeline(missing, &position, copy, newest_known, terms)
            }
            Found::Damaged(reason) => {
                Self::without_timeline(Some(reason), &position, copy, newest_known, terms)
            }
        };
        match ahead {
            None => start,
            Some(ahead) => start.saying(
                Weight::Warning,
                format!(
                    "The file {TIMELINE_FILE} says that {ahead} has been read, at a time that has not \
                     come yet by the service's clock: it is read once more, when it has happened."
                ),
            ),
        }
    }

    /// Where a backfill of a range from `start` on stands at its start: beside no collection, when
    /// none has begun.
    pub fn of_backfill(start: DateTime<Utc>, witnesses: Witnesses, terms: Terms) -> Self {
        let nobody_collects = witnesses.position == Position::Absent && witnesses.copy.is_none();
        let has_not_begun = match &witnesses.timeline {
            Found::Timeline(timeline) => !timeline.coverage.has_begun(),
            Found::Nothing | Found::Damaged(_) => witnesses.newest_known.is_none(),
        };
        if nobody_collects && has_not_begun {
            Self::for_backfills(start, witnesses.timeline)
        } else {
            Self::new(witnesses, terms)
        }
    }

    fn for_backfills(start: DateTime<Utc>, found: Found) -> Self {
        match found {
            Found::Timeline(timeline) => Self::of(*timeline),
            Found::Nothing => Self::fresh(Coverage::for_backfills(start)),
            Found::Damaged(reason) => Self::fresh(Coverage::for_backfills(start)).saying(
                Weight::Warning,
                format!(
                    "The file {TIMELINE_FILE} cannot be used ({reason}): what backfills have \
                     delivered so far is not known any more."
                ),
            ),
        }
    }

    /// The timeline is whole: it says how far this module has come.
    fn go_on(
        timeline: Timeline,
        position: Position,
        copy: Option<DateTime<Utc>>,
        terms: Terms,
    ) -> Self {
        let (kept, before) = (timeline.checkpoint, timeline.before);
        let copy = copy.map(comparable);
        let mut start = Self::of(timeline);
        let at = match position {
            Position::At(at) => comparable(at),
            position => return start.go_on_instead(&position, copy, kept, terms.first),
        };
        let Some(moved) = Moved::between(kept, at) else {
            return start.going_on(kept);
        };
        let is_ours = copy == Some(at);
        match moved {
            // A crash came between the timeline and the position.
            Moved::Back(window) if is_ours => {
                start.coverage.want(window);
                start.going_on(at)
            }
            Moved::Back(window) => {
                start.coverage.want(window);
                start.saying(
                    Weight::Warning,
                    format!(
                        "The saved position was moved back since the last run, from {kept} to \
                         {at}: rows received from {window} are read again."
                    ),
                )
            }
            // The same, when the timeline takes back what counted as read.
            Moved::On(_) if before == Some(at) => start.going_on(kept),
            Moved::On(_) if is_ours => start.saying(
                Weight::Error,
                format!(
                    "The file {TIMELINE_FILE} is older than the saved position: it says that rows \
                     received before {kept} are delivered, and the position, which this module \
                     wrote, too, says {at}. The collection goes on at {kept}: rows that are known \
                     are not sent again."
                ),
            ),
            Moved::On(window) => {
                // Nobody can have delivered what has not happened yet.
                let end = window.end().min(terms.now);
                let Some(window) = Window::new(kept, end) else {
                    return start.going_on(kept);
                };
                start.coverage.skip_by_position(end);
                start.saying(
                    Weight::Warning,
                    format!(
                        "The saved position was moved from {kept} to {at} since the last run, as \
                         the Python module or a person does: rows received from {window} that were \
                         not read are skipped. If nobody else has delivered them, `message-trace \
                         backfill --skipped` does."
                    ),
                )
            }
        }
    }

    /// The timeline is whole, and the position is not.
    fn go_on_instead(
        mut self,
        position: &Position,
        copy: Option<DateTime<Utc>>,
        kept: DateTime<Utc>,
        first: DateTime<Utc>,
    ) -> Self {
        let mut at = kept;
        if let Some(copy) = copy
            && let Some(Moved::Back(window)) = Moved::between(kept, copy)
        {
            self.coverage.want(window);
            at = copy;
        }
        self.saying(
            Weight::Error,
            format!(
                "The saved position cannot be used ({position}). The collection goes on with rows \
                 received at {at}, as {TIMELINE_FILE} tells, and not at {first}, where a first \
                 collection would begin: nothing is lost."
            ),
        )
    }

    /// There is a timeline of backfills, and no collection has begun by it.
    fn begin_after_backfills(timeline: Timeline, position: &Position, terms: Terms) -> Self {
        let mut start = Self::of(timeline);
        if let Position::At(at) = position {
            let at = terms.now.min(*at);
            start.coverage.begin(at);
            return start.going_on(at);
        }
        start.coverage.begin(terms.first);
        start.beginning(position, false, terms)
    }

    fn of(timeline: Timeline) -> Self {
        Self {
            coverage: timeline.coverage,
            lateness: timeline.lateness,
            remarks: Vec::new(),
        }
    }

    fn fresh(coverage: Coverage) -> Self {
        Self {
            coverage,
            lateness: Lateness::default(),
            remarks: Vec::new(),
        }
    }

    fn going_on(self, checkpoint: DateTime<Utc>) -> Self {
        self.saying(
            Weight::Info,
            format!("The collection goes on with rows received at {checkpoint}."),
        )
    }

    fn saying(mut self, weight: Weight, sentence: String) -> Self {
        self.remarks.push(Remark { weight, sentence });
        self
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is none"),
            Self::Unusable(reason) => f.write_str(reason),
            Self::At(at) => write!(f, "{at}"),
        }
    }
}

/// How a position differs from what was kept.
enum Moved {
    On(Window),
    Back(Window),
}

impl Moved {
    fn between(kept: DateTime<Utc>, at: DateTime<Utc>) -> Option<Self> {
        let on = Window::new(kept, at).map(Self::On);
        on.or_else(|| Window::new(at, kept).map(Self::Back))
    }
}

/// Nobody can have delivered the future: a position in it is no wish, unless this module wrote it,
/// so that the clock was set back since. One bit of a year makes a position of the distant past.
fn plausible(
    position: Position,
    written: &[Option<DateTime<Utc>>],
    now: DateTime<Utc>,
) -> Position {
    match position {
        Position::At(at) if at > now + LEEWAY && !written.contains(&Some(comparable(at))) => {
            Position::Unusable(format!("{at} is in the future: check the clock"))
        }
        Position::At(at) if is_long_ago(at, now) => Position::Unusable(format!(
            "{at} lies further back than rows are kept anywhere"
        )),
        position => position,
    }
}

/// Whether a position lies back further than rows are kept anywhere: no start goes by it.
pub fn is_long_ago(position: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - position > LONG_AGO
}

#[cfg(test)]
mod tests;
