//! How the clock of this machine stands beside the service's.

use chrono::{DateTime, TimeDelta, Utc};
use sekoia::Answers;
use serde_json::json;

use super::{Line, line};
use crate::triggers::state::ServiceNow;

/// A clock that is off by more seconds is to be set right.
const CLOCK_OFF: f64 = 60.0;

/// By how many seconds the service's clock is ahead of that of this machine; none when nobody has compared them.
fn skew(process: &Answers) -> Option<f64> {
    let figure = |name| process.own_metric(name).unwrap_or(0.0);
    let skew = figure("clock_skew_seconds");
    // Without a page nobody has told the service's time, and the figure stands at nothing.
    let is_known = skew.abs() > 0.0 || figure("lane_requests_total") > 0.0;
    is_known.then_some(skew)
}

/// What time it is by the service when it is `now` here, as a process tells.
pub(super) fn by_service(process: Option<&Answers>, now: DateTime<Utc>) -> ServiceNow {
    #[allow(clippy::cast_possible_truncation, reason = "thousandths do")]
    let ahead = process.and_then(skew).map(|skew| (skew * 1000.0) as i64);
    let ahead = ahead.and_then(TimeDelta::try_milliseconds);
    let told = ahead.and_then(|ahead| now.checked_add_signed(ahead));
    ServiceNow {
        at: told.unwrap_or(now),
        is_told: told.is_some(),
    }
}

pub(super) fn clock(process: &Answers) -> Line {
    let told = skew(process);
    let skew = told.unwrap_or(0.0);
    let steps = process.own_metric("clock_steps_total").unwrap_or(0.0);
    let bad = skew.abs() > CLOCK_OFF;
    let way = if skew > 0.0 { "behind" } else { "ahead of" };
    let mut text = if told.is_none() {
        "not compared with the service's yet: no page was read since the start".to_owned()
    } else if skew.abs() < 2.0 {
        "as the service's, as far as its answers tell".to_owned()
    } else {
        format!("{:.0} s {way} the service's", skew.abs())
    };
    if bad {
        text.push_str(": set it right (NTP)");
    }
    if steps > 0.0 {
        text.push_str(&format!(
            "; set, or stood still, {steps} time{} since its start",
            if steps > 1.0 { "s" } else { "" }
        ));
    }
    let facts = json!({"skew_seconds": told, "steps": steps});
    line("clock", text, facts, bad)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_clock_that_nobody_has_compared_is_not_called_right() {
        let told = |pages: u64| {
            let name = "symphony_module_common_lane_requests_total";
            clock(&Answers {
                alive: true,
                errors: Default::default(),
                metrics: format!("{name}{{lane=\"live\"}} {pages}\n"),
            })
        };
        assert!(told(0).text.starts_with("not compared"));
        assert_eq!(told(0).facts["skew_seconds"], Value::Null);
        assert!(told(1).text.starts_with("as the service's"));
        assert_eq!(told(1).facts["skew_seconds"], 0.0);
    }
}
