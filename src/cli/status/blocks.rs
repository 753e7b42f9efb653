//! The last 24 hours as a line of blocks.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// What the line shows.
const SPAN: TimeDelta = TimeDelta::hours(24);

pub(super) const LEGEND: &str =
    "█ final  ▓ settling  ░ missing  × lost  · not asked for; the worst of each block";

/// How bad a state is, and its block.
fn block(state: &str) -> (u8, char) {
    match state {
        "lost" => (4, '×'),
        "missing" => (3, '░'),
        "settling" => (2, '▓'),
        _ => (1, '█'),
    }
}

/// The line for the intervals of a timeline, which ends now.
pub(super) fn line(timeline: &Value, now: DateTime<Utc>, columns: usize) -> String {
    let columns = columns.max(1);
    let begin = now - SPAN;
    let column = |at: DateTime<Utc>| {
        let share = (at - begin).as_seconds_f64() / SPAN.as_seconds_f64();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "between nothing and the columns"
        )]
        let column = (share.clamp(0.0, 1.0) * columns as f64) as usize;
        column.min(columns - 1)
    };
    let mut blocks = vec![(0, '·'); columns];
    for interval in timeline.as_array().into_iter().flatten() {
        let instant =
            |name: &str| -> Option<DateTime<Utc>> { interval.get(name)?.as_str()?.parse().ok() };
        let state = interval.get("state").and_then(Value::as_str);
        let (Some(from), Some(to), Some(state)) = (instant("from"), instant("to"), state) else {
            continue;
        };
        if to <= begin || from >= now {
            continue;
        }
        // The end is not part of it.
        let last = column(to - TimeDelta::milliseconds(1));
        let shown = blocks.get_mut(column(from)..=last).unwrap_or_default();
        for shown in shown {
            *shown = (*shown).max(block(state));
        }
    }
    blocks.into_iter().map(|(_, block)| block).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worst_of_each_block_is_shown() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let ago = |minutes: i64| now - TimeDelta::minutes(minutes);
        let interval = |from, to, state| json!({"from": ago(from), "to": ago(to), "state": state});
        assert_eq!(line(&Value::Null, now, 24), "·".repeat(24));
        let timeline = json!([
            interval(3000, 1200, "final"),
            interval(1200, 1199, "lost"),
            interval(1199, 600, "final"),
            interval(600, 590, "missing"),
            interval(590, 60, "settling"),
        ]);
        let expected = format!("████×█████████░{}·", "▓".repeat(8));
        assert_eq!(line(&timeline, now, 24), expected);
        let odd = json!([{"from": "x"}, 7, interval(-60, -90, "lost")]);
        assert_eq!(line(&odd, now, 5), "·····");
    }
}
