//! What goes wrong on purpose with windows, rows and links, at either service.

use std::time::Duration;

use crate::{
    answer::Answer,
    rows::{Rows, Selection},
    settings::{TooWide, Trouble},
    time::{DAY, MILLISECOND, SECOND, Ticks},
};

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
    /// This is the answer, whatever the service is.
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
            from,
            to,
            ascending: false,
            after: None,
            filter: None,
            most_recipients: None,
            offset: 0,
            limit: most as usize,
            whole_ties: false,
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
