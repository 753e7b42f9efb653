//! What is verified every day, and what the last time has found.

use std::io;

use chrono::{DateTime, Utc};
use collect::{
    nightly::{Night, Nights, StandingOrder},
    order::OrderFile as _,
    verify::{Finding, VerifyOrder, VerifyProgress},
};
use sekoia::Storage;
use serde_json::{Value, json};

use super::{super::words::moment, Line, found};

/// What there is to say of a standing order; none when there is none. Nobody follows it when nothing `runs`.
pub(super) async fn nights(storage: &Storage, runs: bool, now: DateTime<Utc>) -> Option<Line> {
    found("verify", told(storage, runs, now).await)
}

async fn told(
    storage: &Storage,
    runs: bool,
    now: DateTime<Utc>,
) -> io::Result<Option<(String, Value, bool)>> {
    let Some(standing) = StandingOrder::in_force(storage).await? else {
        return Ok(None);
    };
    let nights = Nights::load(storage).await?;
    let Some(nights) = nights.filter(|nights| nights.standing == standing.id) else {
        let text = "asked for every day; no trigger has taken that up yet".to_owned();
        let facts = json!({"hours_back": standing.hours_back});
        return Ok(Some((text, facts, false)));
    };
    let progress = VerifyProgress::load(storage).await?;
    let under_way = progress.filter(|progress| {
        let is_its = |order: &VerifyOrder| order.id == progress.id;
        !progress.has_ended() && nights.order.as_ref().is_some_and(is_its)
    });
    let mut text = format!("every day from {:02}:00 UTC", nights.quiet.first);
    let next = match &under_way {
        Some(progress) => {
            text += &format!(
                "; under way: {} of {} hours",
                progress.counts.judged, progress.counts.hours
            );
            None
        }
        None => {
            let next = nights.begins(now);
            text += &format!("; the next one at {}", moment(next));
            Some(next)
        }
    };
    text += match (runs, &under_way) {
        (true, _) => "",
        (false, Some(_)) => ", and goes on once the trigger runs",
        (false, None) => ", once the trigger runs",
    };
    let last = nights.last.as_ref();
    let unproven = last.map_or(0, Night::unproven);
    if let Some(Night {
        order,
        ended,
        hours,
        ..
    }) = last
    {
        let found = Finding::ALL.iter().filter_map(|finding| {
            let hours = hours.get(finding)?;
            Some(format!("{hours} {}", finding.word()))
        });
        let found: Vec<String> = found.collect();
        text += &format!(
            "; the last one ended at {}: of the hours from {}, {}",
            moment(*ended),
            order.range,
            found.join(", ")
        );
    }
    if unproven > 0 {
        text += ": `message-trace verify --last` tells more";
    }
    let facts = json!({
        "hours_back": standing.hours_back,
        "quiet_from": format!("{:02}:00", nights.quiet.first),
        "next": next,
        "percent": under_way.as_ref().map(VerifyProgress::percent),
        "last": last.map(|last| json!({
            "from": last.order.range.start(),
            "to": last.order.range.end(),
            "begun": last.begun,
            "ended": last.ended,
            "hours": last.hours,
            "unproven": last.unproven(),
        })),
    });
    Ok(Some((text, facts, unproven > 0)))
}
