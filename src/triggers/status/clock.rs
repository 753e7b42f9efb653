//! How the clock of this machine stands beside the service's.

use sekoia::Answers;
use serde_json::json;

use super::{Line, line};

/// A clock that is off by more seconds is to be set right.
const CLOCK_OFF: f64 = 60.0;

pub(super) fn clock(process: &Answers) -> Line {
    let figure = |name| process.own_metric(name).unwrap_or(0.0);
    let (skew, steps) = (figure("clock_skew_seconds"), figure("clock_steps_total"));
    // Without a page nobody has told the service's time, and the figure stands at nothing.
    let is_known = skew.abs() > 0.0 || figure("lane_requests_total") > 0.0;
    let bad = skew.abs() > CLOCK_OFF;
    let way = if skew > 0.0 { "behind" } else { "ahead of" };
    let mut text = if !is_known {
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
    let skew = is_known.then_some(skew);
    let facts = json!({"skew_seconds": skew, "steps": steps});
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
