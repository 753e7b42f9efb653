//! Mass mail, while the questions for it fail, hang or are refused.

use emulator::{Scenario, Unreadable};

use super::{
    ALL, endpoint,
    pages::some_rows,
    site::{IN_FLIGHT, Site, unharmed},
};

/// A window shows a thousand of 1300 recipients; questions for a message are answered like this for so
/// many seconds of the first life.
fn scenario(by_id: &str, seconds: u64) -> Scenario {
    let by_id = format!(r#"{{"graph":{{"by_id":"{by_id}"}},"report":{{"by_id":"{by_id}"}}}}"#);
    let text = r#"{
        "version": 1,
        "traffic": { "seed": 4, "rate": 0.0, "backlog": { "span": 3600, "rows": 100 } },
        "settings": { "graph": { "shown_recipients": 1000, "latency_ms": 500 },
                      "report": { "shown_recipients": 1000, "latency_ms": 500 } },
        "trigger": { "frequency": 300, "start_time": 2, "settle_time": 2 },
        "timeline": [
            { "at": 0, "do": { "settings": BY_ID } },
            { "at": 30, "do": { "mass_mail": 1300 } },
            { "at": SECONDS, "do": { "settings": { "graph": { "by_id": "answered" },
                                                   "report": { "by_id": "answered" } } } }
        ],
        "lives": [
            { "seconds": 2000, "end": "kill", "away": 60 },
            { "seconds": 18000, "end": "stop" }
        ]
    }"#;
    let text = text.replace("BY_ID", &by_id);
    text.replace("SECONDS", &seconds.to_string())
        .parse()
        .unwrap()
}

#[test]
fn what_windows_hide_is_delivered_however_questions_for_it_fail() {
    for trigger in ALL {
        for (by_id, seconds) in [
            ("answered", 1),
            ("failing", 4000),
            ("slow", 8000),
            // It is asked again before it is given up, or at the last reading.
            ("refused", 700),
            ("overlooked", 5000),
            ("empty", 5000),
        ] {
            unharmed(trigger, &scenario(by_id, seconds), by_id);
        }
    }
}

/// Pages come damaged, those that answer a question for a message, too. What can be read of them is
/// delivered, and the question is neither given up nor asked for ever.
#[test]
fn a_damaged_answer_for_a_message_costs_only_what_is_damaged() {
    for trigger in ALL {
        for (form, reads) in [
            (Unreadable::RawNewline, None),
            (Unreadable::Null, Some(2)),
            (Unreadable::Null, None),
            (Unreadable::Cut, None),
        ] {
            let scenario = scenario("answered", 1);
            let site = Site::new(trigger, &scenario);
            site.emulator
                .fault(endpoint(trigger), some_rows(form, reads));
            for life in &scenario.lives {
                site.live(*life);
            }
            let (name, verdict) = (format!("{trigger}, {form:?} {reads:?}"), site.verdict());
            assert_eq!(verdict.missing.count, 0, "{name}: {verdict}");
            assert!(verdict.doubled.count <= IN_FLIGHT, "{name}: {verdict}");
            let stays = form != Unreadable::RawNewline && reads.is_none();
            assert_eq!(verdict.unreadable.count > 0, stays, "{name}: {verdict}");
            let asked = site.asked().len();
            // Cut rows beside each other count as one, which each width of a window shows anew.
            let most = if form == Unreadable::Cut { 600 } else { 400 };
            assert!(asked < most, "{name}: {asked} requests");
        }
    }
}

#[test]
fn what_is_hidden_for_ever_is_said_and_keeps_nothing_back() {
    for trigger in ALL {
        for by_id in ["refused", "overlooked", "empty"] {
            let site = Site::led_through(trigger, &scenario(by_id, 10_000_000));
            let verdict = site.verdict();
            assert_eq!(verdict.missing.count, 300, "{trigger} {by_id}: {verdict}");
            site.says("is no use");
            site.says("what it hides cannot be known");
            let end = site.emulator.clock().now();
            let position = site.checkpoint();
            assert!(end - position < chrono::TimeDelta::hours(3), "{position}");
            let asked = site.asked().len();
            assert!(asked < 220, "{asked} requests in five and a half hours");
        }
    }
}
