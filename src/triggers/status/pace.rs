//! How fast rows come, what of them is in hand, and what the quota allows.

use chrono::{DateTime, TimeDelta, Utc};
use sekoia::{Answers, Storage};
use serde_json::json;

use super::{Line, line, moment, started};
use crate::triggers::{
    source::{QUOTA_FILE, UsedQuota},
    words::counted,
    working::Doing,
};

pub(super) fn rate(process: &Answers, now: DateTime<Utc>) -> Line {
    let delivered = process.own_metric("forwarded_events_total").unwrap_or(0.0);
    // So the metric is called: none of them was dropped.
    let dead_letters = process.own_metric("discarded_events_total").unwrap_or(0.0);
    let lag = process.own_metric("events_lags");
    let seconds = started(process).map(|started| (now - started).num_seconds());
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = seconds.map(|seconds| delivered / seconds.max(1) as f64);
    let events = if delivered == 1.0 { "event" } else { "events" };
    let mut text = format!("{delivered} {events} since its start");
    if let Some(rate) = rate {
        text.push_str(&format!(", {rate:.1} a second"));
    }
    if let Some(lag) = lag {
        text.push_str(&format!("; the newest is {lag:.0} s old"));
    }
    if dead_letters > 0.0 {
        text.push_str(&format!("; {dead_letters} went to the dead letters"));
    }
    let facts = json!({
        "events": delivered,
        "dead_letters": dead_letters,
        // The same under its earlier name.
        "dropped": dead_letters,
        "events_per_second": rate,
        "newest_event_age_seconds": lag,
    });
    // Those that still wait for a person are told by a line of their own.
    line("delivered", text, facts, false)
}

/// What the process has in hand, as the intake does not accept it; none when that is nothing.
pub(super) fn in_hand(process: &Answers) -> Option<Line> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let events = process.own_metric("events_in_hand")? as u64;
    let text = format!(
        "{}: not accepted while others are, or failed again and again; tried on and on, while the windows stay \
         open",
        counted(events, "event")
    );
    (events > 0).then(|| line("in hand", text, json!({"events": events}), true))
}

/// How much of the tenant's quota was used; none where there is no quota.
pub(super) async fn quota(
    process: Option<&Answers>,
    doing: Option<&Doing>,
    storage: &Storage,
    now: DateTime<Utc>,
) -> Option<Line> {
    let text = storage.read(QUOTA_FILE).await.ok()??;
    let stamps = UsedQuota::parse(&text);
    let since = (now - TimeDelta::minutes(5)).timestamp_millis();
    let kept = stamps.iter().filter(|stamp| **stamp > since).count();
    // What is kept lags behind what the process knows.
    let told = doing.and_then(|doing| doing.allowance.as_ref());
    let used = told.map_or(kept, |told| told.used as usize);
    let mut text =
        format!("{used} of the tenant's 100 requests in 5 minutes are used by this trigger");
    let figure = |name| process.and_then(|process| process.own_metric(name));
    #[allow(clippy::cast_possible_truncation, reason = "a date")]
    let until = figure("quota_restored_timestamp_seconds")
        .and_then(|second| DateTime::from_timestamp(second as i64, 0))
        .filter(|until| *until > now);
    let allowed = figure("quota_allowed_requests").filter(|_| until.is_some());
    if let (Some(allowed), Some(until)) = (allowed, until) {
        text.push_str(&format!(
            "; {allowed} of ours are allowed until {}, as Microsoft has refused one",
            moment(until)
        ));
    }
    let facts = json!({
        "requests_in_5_minutes": used,
        "allowed_in_5_minutes": allowed,
        "allowed_until": until,
    });
    Some(line("quota", text, facts, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_to_the_dead_letters_is_told_and_needs_nobody_by_itself() {
        let process = Answers {
            alive: true,
            errors: Default::default(),
            metrics: "symphony_module_common_forwarded_events_total{intake_key=\"k\"} 7\n\
                      symphony_module_common_discarded_events_total{intake_key=\"k\"} 2\n"
                .to_owned(),
        };
        let line = rate(&process, DateTime::UNIX_EPOCH);
        assert_eq!(
            line.text,
            "7 events since its start; 2 went to the dead letters"
        );
        assert_eq!(line.facts["dead_letters"], 2.0);
        assert_eq!(line.facts["dropped"], 2.0, "its earlier name");
        assert!(!line.bad);
    }

    #[test]
    fn one_event_is_no_plural() {
        let process = Answers {
            alive: true,
            errors: Default::default(),
            metrics: "symphony_module_common_forwarded_events_total{intake_key=\"k\"} 1\n"
                .to_owned(),
        };
        let line = rate(&process, DateTime::UNIX_EPOCH);
        assert_eq!(line.text, "1 event since its start");
    }
}
