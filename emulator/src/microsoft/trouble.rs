//! What goes wrong on purpose with windows, rows and links, at either service.

use std::{ops::Range, time::Duration};

use chrono::DateTime;

use crate::{
    TraceRow,
    answer::Answer,
    rows::{Rows, Selection, Slot},
    settings::{FreshLink, Outside, TooWide, Trouble, Unreadable},
    time::{DAY, MILLISECOND, SECOND, Ticks},
    traffic::unit,
    world::World,
};

/// The options of links that are in trouble.
pub(super) const PADDING: &str = "padding";
pub(super) const TURN: &str = "turn";

/// Longer than anybody waits.
const SILENCE: Duration = Duration::from_hours(24 * 30);

/// The refusal of something that only looks like the service.
pub(super) fn foreign(trouble: &Trouble) -> Option<Answer> {
    let reach = trouble.reach.as_ref().filter(|reach| !reach.own)?;
    Some(Answer::new(400, "text/plain", reach.text()))
}

/// Why a window that begins at `from` is refused for reaching back too far.
pub(super) fn reach(trouble: &Trouble, from: Ticks, now: Ticks) -> Option<String> {
    let reach = trouble.reach.as_ref()?;
    let days = i64::try_from(reach.days).unwrap_or(i64::MAX);
    let oldest = now.saturating_sub(days.saturating_mul(DAY));
    (reach.lie || from < oldest).then(|| reach.text())
}

/// What happens to a window that is too wide.
pub(super) enum Refused {
    /// This is the answer of any service.
    Answer(Box<Answer>),
    /// Status 500 with this code, in the service's own envelope.
    Timeout(&'static str),
}

/// What happens to a window from `from` to `to`, both included, if it is too wide.
pub(super) fn wide(
    trouble: &Trouble,
    rows: &mut Rows,
    from: Ticks,
    to: Ticks,
    now: Ticks,
) -> Option<Refused> {
    let wide = trouble.wide.as_ref()?;
    // The service counts the millisecond in which a window ends.
    let longest = |seconds| i64::from(seconds) * SECOND + MILLISECOND;
    let too_long = wide.seconds.is_some_and(|most| to - from > longest(most));
    let too_full = wide.rows.is_some_and(|most| {
        let selection = Selection {
            limit: most as usize,
            ..Selection::plain(from, to)
        };
        rows.select(&selection, now).more
    });
    (too_long || too_full).then(|| match wide.answer {
        TooWide::GatewayTimeout => Refused::Answer(Box::new(gateway_timeout())),
        TooWide::ReportingTimeout => Refused::Timeout("UnifiedReportingTimeout"),
        TooWide::Silence => {
            let mut answer = gateway_timeout();
            answer.latency = SILENCE;
            Refused::Answer(Box::new(answer))
        }
    })
}

fn gateway_timeout() -> Answer {
    let title = "504 Gateway Time-out";
    let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
    Answer::new(504, "text/html", page)
}

/// Whether the service does not heed the window.
pub(super) fn heedless(trouble: &Trouble) -> bool {
    let outside = trouble.outside_window.as_ref();
    outside.is_some_and(|outside| outside.form == Outside::Unfiltered)
}

/// What a link to a further page stands for when links are in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// It is answered as it should be; links on that page have this turn.
    Page(Option<u32>),
    /// It is answered by the same rows, and leads to itself with this turn.
    Same(u32),
    /// It is answered by an empty page, and leads to itself with this turn.
    Empty(u32),
    /// It is answered by an error.
    Error,
}

/// What the request is answered by: `followed` is whether it comes from a link, `turn` the turn of
/// that link.
pub(super) fn following(trouble: &Trouble, followed: bool, turn: Option<u32>) -> Following {
    let Some(links) = &trouble.fresh_links else {
        return Following::Page(None);
    };
    match links.form {
        FreshLink::SameRows => Following::Same(turn.map_or(0, |turn| turn + 1)),
        FreshLink::Failing if followed => Following::Error,
        FreshLink::Failing | FreshLink::Long => Following::Page(None),
        FreshLink::Empty => match turn {
            Some(turn) if turn < links.pages => Following::Empty(turn + 1),
            _ => Following::Page(Some(0)),
        },
    }
}

/// The option that makes a link as long as it shall be.
pub(super) fn padding(trouble: &Trouble) -> String {
    let links = trouble.fresh_links.as_ref();
    match links.filter(|links| links.form == FreshLink::Long) {
        Some(links) => format!("{PADDING}={}&", "x".repeat(links.bytes)),
        None => String::new(),
    }
}

/// A row as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) row: TraceRow,
    /// What is done to its text.
    pub(super) defect: Option<Defect>,
}

/// What is wrong with the text of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    Unreadable(Unreadable),
    /// Its date is null.
    Undated,
}

/// Shows the rows of a page of the window that begins at `from`, with all that goes wrong with them,
/// and tells the ledger.
pub(super) fn show(
    world: &mut World,
    trouble: &Trouble,
    mut rows: Vec<(Slot, TraceRow)>,
    from: Ticks,
    now: Ticks,
) -> Vec<Shown> {
    let own = rows.len();
    if let Some(outside) = &trouble.outside_window
        && outside.form == Outside::Earlier
    {
        let before = i64::from(outside.seconds) * SECOND;
        let earlier = Selection {
            limit: outside.rows as usize,
            ..Selection::plain(from - before, from - before / 2)
        };
        rows.extend(world.rows.select(&earlier, now).rows);
    }
    let rows = rows.into_iter().enumerate();
    rows.map(|(index, (slot, mut row))| {
        let mut defect = unreadable(world, trouble, index, slot, &row).map(Defect::Unreadable);
        let misdated = trouble.outside_window.as_ref();
        let misdated = misdated.filter(|outside| index < own.min(outside.rows as usize));
        match misdated.map(|outside| outside.form) {
            Some(Outside::YearOne) => {
                row.received = DateTime::from_timestamp(-62_135_596_800, 0).unwrap();
                world.ledger.misdated(slot);
            }
            Some(Outside::Null) if defect.is_none() => {
                defect = Some(Defect::Undated);
                world.ledger.misdated(slot);
            }
            _ => {}
        }
        match defect {
            Some(Defect::Unreadable(form)) => world.ledger.unreadable(slot, row.status, form),
            _ => world.ledger.shown(slot, row.status),
        }
        Shown { row, defect }
    })
    .collect()
}

/// What is wrong with this row of a page, if it is one of those that cannot be read.
fn unreadable(
    world: &mut World,
    trouble: &Trouble,
    index: usize,
    slot: Slot,
    row: &TraceRow,
) -> Option<Unreadable> {
    let chosen = trouble.unreadable_row.as_ref()?;
    let subject = row.subject.as_deref();
    if subject.is_none() && chosen.form.raw().is_some() {
        return None;
    }
    let number = u64::from(slot.bucket) << 32 | u64::from(slot.row);
    let by_subject = chosen.subject.as_deref().zip(subject);
    let struck = chosen.index == Some(index)
        || unit(world.seed ^ 4, number) < chosen.share
        || by_subject.is_some_and(|(part, subject)| subject.contains(part));
    if !struck {
        return None;
    }
    let reads = world.unreadable_reads.entry(slot).or_default();
    if chosen.reads.is_some_and(|most| *reads >= most) {
        return None;
    }
    *reads = reads.saturating_add(1);
    Some(chosen.form)
}

/// The text of a page and the rows in it whose text has a defect.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) defects: Vec<(Range<usize>, Defect)>,
}

impl Text {
    /// The page with its defects.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        if self.defects.is_empty() {
            return self.text.into_bytes();
        }
        let text = self.text.as_bytes();
        let (mut bytes, mut end) = (Vec::with_capacity(text.len() + 1024), 0);
        for (range, defect) in &self.defects {
            let row = self.text.get(range.clone()).unwrap_or_default();
            bytes.extend_from_slice(&text[end..range.start]);
            bytes.extend(defect.applied(row));
            end = range.end;
        }
        bytes.extend_from_slice(&text[end..]);
        bytes
    }
}

impl Defect {
    /// The text of a row with this defect.
    fn applied(self, row: &str) -> Vec<u8> {
        let form = match self {
            Self::Unreadable(form) => form,
            Self::Undated => return undated(row),
        };
        let subjects = ["\"subject\":\"", "\"Subject\":\""];
        let found = subjects
            .iter()
            .find_map(|name| Some(row.find(name)? + name.len()));
        match (form.raw(), found, form) {
            (Some(raw), Some(at), _) => {
                [&row.as_bytes()[..at], raw, &row.as_bytes()[at..]].concat()
            }
            (Some(_), None, _) => row.as_bytes().to_vec(),
            (None, _, Unreadable::Null) => b"null".to_vec(),
            (None, _, Unreadable::Html) => {
                let (before, after) = row.split_once(',').unwrap_or((row, ""));
                let page = "<html><body><h1>Service Unavailable</h1></body></html>";
                format!("{before},{page}{after}").into_bytes()
            }
            (None, ..) => row.as_bytes()[..row.len() / 2].to_vec(),
        }
    }
}

/// The text of a row whose date is null.
fn undated(row: &str) -> Vec<u8> {
    let names = ["\"receivedDateTime\":", "\"Received\":"];
    let found = names
        .iter()
        .find_map(|name| Some(row.find(name)? + name.len()));
    let Some(at) = found else {
        return row.as_bytes().to_vec();
    };
    let (before, date) = row.split_at(at);
    let after = date.split_once(',').map_or("", |(_, after)| after);
    format!("{before}null,{after}").into_bytes()
}
