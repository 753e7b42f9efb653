//! How the clock of this machine stands beside the service's.

use chrono::{DateTime, TimeDelta, Utc};
use sekoia::Answers;
use serde_json::json;

use super::{Line, line};
use crate::triggers::{
    state::ServiceNow,
    working::{Doing, WhichClock, WindowsGoBy},
};

/// A clock that is off by more seconds is to be set right.
const CLOCK_OFF: f64 = 60.0;

/// The same of windows that end so many seconds before the time by which they go.
const HELD_BACK: i64 = 60;

/// A service's time is told in seconds: so much earlier is its time.
const TOLD_ROUGHLY: i64 = 1;

/// Which clock windows go by, as a process tells.
fn windows_go_by(process: &Answers) -> Option<WindowsGoBy> {
    Doing::of(process).windows_go_by
}

/// By how many seconds the service's clock is ahead of that of this machine; none when nobody has compared them.
fn skew(process: &Answers) -> Option<f64> {
    if windows_go_by(process).is_some_and(|by| by.clock != WhichClock::Service) {
        return None;
    }
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
    let by = windows_go_by(process);
    let held_back = by.map_or(0, |by| by.held_back_seconds);
    let is_alone = by.is_some_and(|by| by.clock == WhichClock::Machine);
    let is_wrong = skew.abs() > CLOCK_OFF || is_alone && held_back > HELD_BACK;
    let bad = is_wrong || held_back > HELD_BACK;
    let way = if skew > 0.0 { "behind" } else { "ahead of" };
    let has_read = process
        .own_metric("lane_requests_total")
        .is_some_and(|pages| pages > 0.0);
    let mut text = match by.map(|by| by.clock) {
        Some(WhichClock::Machine) => {
            "not compared with the service's: it does not tell its time, or each answer another one"
                .to_owned()
        }
        Some(WhichClock::Unknown) if has_read => {
            "not compared with the service's at present: no answer has told which is right"
                .to_owned()
        }
        _ if told.is_none() => {
            "not compared with the service's yet: no page was read since the start".to_owned()
        }
        _ if skew.abs() < 2.0 => "as the service's, as far as its answers tell".to_owned(),
        _ => format!("{:.0} s {way} the service's", skew.abs()),
    };
    if held_back > TOLD_ROUGHLY {
        let clock = match is_alone {
            true => "this clock",
            false => "its time",
        };
        text.push_str(&format!(
            "; as the service refuses later windows as ones of its future, they end {held_back} s before {clock}"
        ));
    }
    if is_wrong {
        text.push_str(": set it right (NTP)");
    }
    if steps > 0.0 {
        text.push_str(&format!(
            "; set, or stood still, {steps} time{} since its start",
            if steps > 1.0 { "s" } else { "" }
        ));
    }
    let facts = json!({"skew_seconds": told, "steps": steps, "windows_go_by": by});
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

    /// Else rows come later, and nothing tells by how much and why.
    #[test]
    fn a_service_that_does_not_tell_its_time_is_told() {
        let told = |clock: &str, held_back: i64, skew: i64| {
            let name = "symphony_module_common";
            let mut process = Answers {
                alive: true,
                errors: Default::default(),
                metrics: format!(
                    "{name}_lane_requests_total 1\n{name}_clock_skew_seconds {skew}\n"
                ),
            };
            let by = json!({"clock": clock, "held_back_seconds": held_back});
            process.errors.work = json!({"windows_go_by": by});
            assert_eq!(
                clock == "service",
                by_service(Some(&process), DateTime::UNIX_EPOCH).is_told
            );
            let line = super::clock(&process);
            assert_eq!(line.facts["windows_go_by"], by);
            assert_eq!(line.facts["skew_seconds"].is_null(), clock != "service");
            (line.text, line.bad)
        };
        let untold = "not compared with the service's: it does not tell its time, or each answer another one";
        assert_eq!(told("machine", 0, 0), (untold.to_owned(), false));
        let early = "; as the service refuses later windows as ones of its future, they end";
        let (text, bad) = told("machine", 32, -32);
        assert_eq!(
            (text, bad),
            (format!("{untold}{early} 32 s before this clock"), false)
        );
        let (text, bad) = told("machine", 128, -128);
        let right = ": set it right (NTP)";
        assert_eq!(
            (text, bad),
            (
                format!("{untold}{early} 128 s before this clock{right}"),
                true
            )
        );
        let (text, bad) = told("service", 900, 0);
        let known = "as the service's, as far as its answers tell";
        assert_eq!(
            (text, bad),
            (format!("{known}{early} 900 s before its time"), true)
        );
        let (text, bad) = told("unknown", 0, 0);
        assert!(
            text.starts_with("not compared with the service's at present") && !bad,
            "{text}"
        );
    }
}
