//! Clocks that are wrong, set, or lie: no row is lost, doubled or late for it, on any trigger.

use chrono::TimeDelta;
use emulator::{
    Action, Backlog, Ending, Event, Fault, FaultRule, Lateness, NewRow, Reach, Scenario, Traffic,
};
use serde_json::json;

use super::{
    ACCOUNT, ALL, GRAPH, OAUTH, endpoint,
    site::{Site, at, life, scenario, unharmed},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: i64 = 86_400;

/// So many hours after the last mail, all of [`mail`] has its last status at the intake.
const SETTLED: u64 = 7;

/// Some mail all the time, after a backlog of six hours. The last rows surface after three hours and not
/// after a day, as those of a tenant do: the quiet day would cost each of these many lives more than all
/// before it. `living` has rows that are a day late.
fn mail() -> Scenario {
    let lateness = [
        (0.0, TimeDelta::seconds(20)),
        (0.5, TimeDelta::minutes(2)),
        (0.9, TimeDelta::minutes(10)),
        (0.99, TimeDelta::hours(1)),
        (1.0, TimeDelta::hours(3)),
    ];
    let traffic = Traffic {
        backlog: Backlog::span(TimeDelta::hours(6)),
        lateness: Lateness::quantiles(lateness),
        changes_within: TimeDelta::hours(3),
        ..Traffic::living(0.01)
    };
    let trigger = json!({ "start_time": 7, "frequency": 240, "settle_time": 5 });
    scenario(traffic, json!({}), trigger)
}

/// Mail at an even pace, after a backlog of an hour.
fn even_mail(rate: f64, frequency: u32, settle_time: u32) -> Scenario {
    let traffic = Traffic {
        rate,
        backlog: Backlog::span(TimeDelta::hours(1)),
        ..Traffic::default()
    };
    let trigger = json!({ "start_time": 2, "frequency": frequency, "settle_time": settle_time });
    scenario(traffic, json!({}), trigger)
}

/// No mail but what is added.
fn no_mail() -> Scenario {
    scenario(Traffic::default(), json!({}), json!({ "start_time": 24 }))
}

/// Adds a row that was received so long ago.
fn add_row(site: &Site, ago: TimeDelta) {
    let recipient = format!("h{}@contoso.example", ago.num_hours());
    let row = NewRow::new(site.time.now() - ago, &recipient);
    site.emulator.add_row(row);
}

fn strikes(seconds: u64, trigger: &str, rule: impl Into<FaultRule>) -> Event {
    let fault = Action::Fault {
        endpoint: endpoint(trigger),
        seconds: None,
        rule: rule.into(),
    };
    at(seconds, fault)
}

/// Everything is delivered once; what is received while it runs, within minutes.
#[track_caller]
fn is_unharmed(trigger: &'static str, scenario: &Scenario, case: &str) -> Site {
    let site = unharmed(trigger, scenario, case);
    let verdict = site.verdict();
    assert!(verdict.expected > 100, "{case} on {trigger}: {verdict}");
    site
}

/// Hours of mail, which then ends, so that all of it is there in the end.
fn hours(scenario: &mut Scenario, hours: u64) {
    let end = hours * HOUR;
    scenario.timeline.push(at(end, Action::StopTraffic));
    scenario.lives = vec![life(end + SETTLED * HOUR, Ending::Stop, 0)];
}

#[test]
fn one_answer_with_a_wrong_date_changes_nothing() {
    for trigger in ALL {
        for ahead in [120 * DAY, 100 * DAY, -6 * 3600, -90, 2 * 3600] {
            for after in [0, 1, 3, 5] {
                let mut scenario = mail();
                let lie = FaultRule::from(Fault::date_ahead(ahead))
                    .after(after)
                    .times(1);
                scenario.timeline = vec![strikes(0, trigger, lie)];
                if ahead == 120 * DAY {
                    // A proxy's page.
                    let page = FaultRule::from(Fault::status(502)).after(after).times(1);
                    scenario.timeline.push(strikes(0, trigger, page));
                }
                scenario.lives = vec![life(40 * MINUTE, Ending::Stop, 0)];
                let site = Site::led_through(trigger, &scenario);
                let verdict = site.verdict();
                let case = format!("{ahead} s at answer {after} on {trigger}: {verdict}");
                site.says_not("are lost");
                assert_eq!(verdict.doubled.count, 0, "{case}");
                let silent = site.time.now() - *site.asked().last().unwrap();
                assert!(silent < TimeDelta::minutes(5), "{case}: {silent}");
            }
        }
    }
}

#[test]
fn a_clock_that_is_ahead_for_a_moment_costs_nothing() {
    for trigger in ALL {
        for (ahead, seconds) in [
            (7200, 25),
            (90, 25),
            (100 * DAY, 300),
            (-7200, 25),
            (-90, 600),
        ] {
            let mut scenario = mail();
            scenario.timeline = vec![
                at(HOUR, Action::ModuleClock(ahead)),
                at(HOUR + seconds, Action::ModuleClock(0)),
            ];
            hours(&mut scenario, 2);
            // Long enough to see that it goes on.
            scenario.lives = vec![life(14 * HOUR, Ending::Stop, 0)];
            let case = format!("{ahead} s for {seconds} s");
            let site = is_unharmed(trigger, &scenario, &case);
            let output = site.output();
            assert!(output.contains("was due: it was set"), "{case}: it is said");
            // How it goes on is said all the time, and of the time that has passed.
            let (_, since) = output.rsplit_once("was due: it was set").unwrap();
            let lines = since.matches(" rows in the last ").count();
            assert!(lines > 50, "{case}: {lines} lines");
            assert!(!output.contains(" rows in the last 100 d"), "{case}");
            assert!(!output.contains(" rows in the last 2 h"), "{case}");
            let times = site.asked();
            let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
            let longest = pauses.max().unwrap();
            assert!(
                longest <= TimeDelta::minutes(5),
                "{case}: silent for {longest}"
            );
        }
    }
}

/// The answers agree on a time that is wrong, for half an hour; the clock of this machine is right.
#[test]
fn dates_that_run_ahead_for_a_while_lose_nothing_when_they_are_right_again() {
    for trigger in ALL {
        for ahead in [600, 90_000] {
            for restarts in [false, true] {
                let mut scenario = mail();
                scenario.trigger.insert("frequency".into(), 60.into());
                let lie = Fault::date_ahead(ahead);
                scenario.timeline = vec![Event::outage(HOUR, endpoint(trigger), 30 * MINUTE, lie)];
                hours(&mut scenario, 2);
                if restarts {
                    // Once while the dates lie, and once when they are right.
                    let all = scenario.lives.remove(0);
                    scenario.lives = vec![
                        life(HOUR + 10 * MINUTE, Ending::Stop, MINUTE),
                        life(19 * MINUTE + 30, Ending::Stop, MINUTE),
                        life(all.seconds, Ending::Stop, 0),
                    ];
                }
                let case = format!("{ahead} s ahead, restarts: {restarts}");
                let site = is_unharmed(trigger, &scenario, &case);
                site.says_not("are lost");
            }
        }
    }
}

/// The Reporting Web Service answers for windows in its future, and nothing is read again.
#[test]
fn dates_that_are_minutes_ahead_from_the_first_on_lose_nothing_that_is_read_once() {
    for trigger in [OAUTH, ACCOUNT] {
        let mut scenario = even_mail(0.05, 60, 0);
        let lie = Event::outage(0, endpoint(trigger), HOUR, Fault::date_ahead(240));
        scenario.timeline = vec![lie, at(2 * HOUR, Action::StopTraffic)];
        scenario.lives = vec![life(2 * HOUR + 20 * MINUTE, Ending::Stop, 0)];
        is_unharmed(trigger, &scenario, "four minutes ahead");
    }
}

/// What was read in that time is final by the local clock before the dates are right again.
#[test]
fn dates_that_run_ahead_for_longer_than_rows_settle_lose_nothing() {
    for trigger in [OAUTH, ACCOUNT] {
        let mut scenario = even_mail(0.02, 60, 1);
        let lie = Event::outage(HOUR, endpoint(trigger), 3 * HOUR, Fault::date_ahead(7200));
        scenario.timeline = vec![lie, at(5 * HOUR, Action::StopTraffic)];
        // Also with a restart while they run ahead, and just when they are right again.
        let (early, late) = (HOUR + 30 * MINUTE, 4 * HOUR + MINUTE);
        for lives in [
            vec![life(8 * HOUR, Ending::Stop, 0)],
            vec![
                life(early, Ending::Kill, MINUTE),
                life(7 * HOUR, Ending::Stop, 0),
            ],
            vec![
                life(late, Ending::Stop, MINUTE),
                life(4 * HOUR, Ending::Stop, 0),
            ],
        ] {
            scenario.lives = lives;
            is_unharmed(trigger, &scenario, "two hours ahead");
        }
    }
}

/// No time was seen before: it began too late, and read all of it before it had happened.
#[test]
fn dates_that_run_ahead_from_the_very_first_start_on_lose_nothing() {
    for trigger in [OAUTH, ACCOUNT] {
        let mut scenario = even_mail(0.02, 60, 1);
        let lie = Event::outage(0, endpoint(trigger), 3 * HOUR, Fault::date_ahead(7200));
        scenario.timeline = vec![lie, at(5 * HOUR, Action::StopTraffic)];
        let (early, late) = (30 * MINUTE, 3 * HOUR + MINUTE);
        for lives in [
            vec![life(8 * HOUR, Ending::Stop, 0)],
            vec![
                life(early, Ending::Kill, MINUTE),
                life(7 * HOUR, Ending::Stop, 0),
            ],
            vec![
                life(late, Ending::Stop, MINUTE),
                life(4 * HOUR, Ending::Stop, 0),
            ],
        ] {
            scenario.lives = lives;
            is_unharmed(trigger, &scenario, "two hours ahead");
        }
    }
}

/// They never become right: rows come as soon and as late as the service shows them nevertheless.
#[test]
fn dates_that_run_ahead_for_good_lose_nothing() {
    let late = [
        (0.0, TimeDelta::seconds(20)),
        (0.7, TimeDelta::minutes(1)),
        (1.0, TimeDelta::minutes(54)),
    ];
    for (trigger, restarts) in [(OAUTH, false), (ACCOUNT, true)] {
        for settle_time in [0, 1] {
            let mut scenario = even_mail(0.05, 60, settle_time);
            if settle_time > 0 {
                scenario.traffic.lateness = Lateness::quantiles(late);
            }
            let lie = Fault::date_ahead(1200);
            scenario.timeline = vec![strikes(0, trigger, lie), at(2 * HOUR, Action::StopTraffic)];
            scenario.lives = match restarts {
                true => vec![
                    life(80 * MINUTE, Ending::Kill, 0),
                    life(3 * HOUR, Ending::Stop, 0),
                ],
                false => vec![life(4 * HOUR, Ending::Stop, 0)],
            };
            let case = format!("read for {settle_time} h");
            is_unharmed(trigger, &scenario, &case);
        }
    }
}

/// The first rows that it was to read have come long before.
#[test]
fn dates_that_run_ahead_at_the_very_first_start_for_longer_than_that_lose_no_hour_of_it() {
    for (ahead, seconds) in [(130, 200), (3600, 75 * MINUTE)] {
        let mut scenario = even_mail(0.1, 60, 1);
        scenario.traffic.backlog = Backlog::span(TimeDelta::minutes(119));
        let lie = Event::outage(0, endpoint(OAUTH), seconds, Fault::date_ahead(ahead));
        scenario.timeline = vec![lie, at(2 * HOUR, Action::StopTraffic)];
        scenario.lives = vec![life(4 * HOUR, Ending::Stop, 0)];
        is_unharmed(OAUTH, &scenario, &format!("{ahead} s ahead"));
    }
}

/// Graph refuses windows that end in its future.
#[test]
fn without_dates_a_clock_that_is_ahead_asks_for_what_has_passed() {
    let mut scenario = mail();
    let silent = Fault::Date {
        ahead: 0,
        at: None,
        empty: true,
    };
    scenario.timeline = vec![at(0, Action::ModuleClock(600)), strikes(0, GRAPH, silent)];
    hours(&mut scenario, 1);
    // More than a day, as refusals are counted.
    scenario.lives = vec![life(28 * HOUR, Ending::Stop, 0)];
    let site = is_unharmed(GRAPH, &scenario, "ten minutes ahead");
    let refused = site
        .output()
        .matches("ends in the service's future")
        .count();
    assert!(refused < 20, "{refused} windows were refused");
    let told = "refuses later windows as ones of its future: they end";
    assert!(site.output().contains(told), "{}", site.output());
}

#[test]
fn a_start_with_a_wrong_clock_loses_and_doubles_nothing() {
    for trigger in ALL {
        for ahead in [100 * DAY, 7200, 90, -90, -2 * DAY, -100 * DAY] {
            let mut scenario = mail();
            // The second life begins with the wrong clock, the third with a right one.
            scenario.timeline = vec![
                at(HOUR + 1, Action::ModuleClock(ahead)),
                at(2 * HOUR, Action::ModuleClock(0)),
                at(2 * HOUR, Action::StopTraffic),
            ];
            scenario.lives = vec![
                life(HOUR, Ending::Stop, MINUTE),
                life(30 * MINUTE, Ending::Stop, 30 * MINUTE),
                life(SETTLED * HOUR, Ending::Stop, 0),
            ];
            let case = format!("started {ahead} s ahead");
            let site = is_unharmed(trigger, &scenario, &case);
            site.says_not("are lost");
            site.says_not("cannot be used");
        }
    }
}

#[test]
fn the_very_first_start_with_a_wrong_clock_begins_where_it_should() {
    for trigger in ALL {
        for ahead in [100 * DAY, 7200, -2 * DAY] {
            let mut scenario = mail();
            scenario.timeline = vec![at(0, Action::ModuleClock(ahead))];
            hours(&mut scenario, 1);
            // It stays wrong: rows come nevertheless, and a person is told.
            let case = format!("{ahead} s ahead for good");
            let site = is_unharmed(trigger, &scenario, &case);
            site.says("set it right (NTP)");
        }
    }
}

/// The service's clock says when the first start was, and nobody has asked for what lies further back.
#[test]
fn a_clock_that_is_behind_at_the_very_first_start_asks_for_no_more_of_the_past() {
    for trigger in ALL {
        let mut scenario = no_mail();
        scenario.timeline = vec![at(0, Action::ModuleClock(-2 * DAY))];
        let site = Site::new(trigger, &scenario);
        for hours in [30, 20] {
            add_row(&site, TimeDelta::hours(hours));
        }
        site.live(life(20 * MINUTE, Ending::Stop, 0));
        assert_eq!(site.emulator.accepted_count(None), 1, "{trigger}");
    }
}

#[test]
fn a_reach_that_is_a_lie_loses_nothing() {
    for trigger in ALL {
        for days in [0, 1, 4_294_967_295, 4_294_967_296] {
            for own in [true, false] {
                let mut scenario = mail();
                let lie = Reach {
                    days,
                    lie: true,
                    own,
                };
                let rule = FaultRule::from(Fault::Reach(lie)).after(2).times(1);
                scenario.timeline = vec![strikes(0, trigger, rule)];
                hours(&mut scenario, 1);
                let case = format!("{days} days, {own}");
                let site = is_unharmed(trigger, &scenario, &case);
                site.says_not("are lost");
            }
        }
    }
}

/// Rows older than the service keeps are lost with evidence, and nothing else waits for that.
#[test]
fn what_is_older_than_the_service_keeps_is_lost_with_evidence() {
    for (trigger, kept) in [(GRAPH, 90), (OAUTH, 30), (ACCOUNT, 30)] {
        let site = Site::new(trigger, &no_mail());
        for days in [kept + 5, kept - 2] {
            add_row(&site, TimeDelta::days(days));
        }
        let checkpoint = (site.time.now() - TimeDelta::days(kept + 10)).to_rfc3339();
        let state = json!({ "most_recent_date_requested": checkpoint }).to_string();
        std::fs::create_dir_all(site.path("")).unwrap();
        std::fs::write(site.path("context.json"), state).unwrap();
        site.live(life(9 * MINUTE, Ending::Stop, 0));
        // That would be too soon.
        site.says_not("are lost");
        assert_eq!(
            site.emulator.accepted_count(None),
            1,
            "nothing waits for it"
        );
        site.live(life(HOUR, Ending::Stop, 0));
        site.says("are lost: Microsoft does not keep");
        site.says("It refused");
        let timeline = site.file("coverage.json").unwrap();
        let loss = &timeline["coverage"]["losses"][0];
        for fact in ["refused", "refusals", "answered", "local", "source"] {
            assert!(!loss["evidence"][fact].is_null(), "{fact}: {loss}");
        }
        let asked = site.asked().len();
        assert!(asked < 200, "{asked} requests");
    }
}

/// What is taken back would come twice, as its rows are forgotten.
#[test]
fn dates_of_last_year_at_a_start_take_nothing_back() {
    for trigger in ALL {
        let mut scenario = even_mail(0.01, 240, 1);
        let lie = FaultRule::from(Fault::date_ahead(-365 * DAY)).times(12);
        scenario.timeline = vec![
            strikes(4 * HOUR + 30, trigger, lie),
            at(5 * HOUR, Action::StopTraffic),
        ];
        scenario.lives = vec![
            life(4 * HOUR, Ending::Stop, MINUTE),
            life(4 * HOUR, Ending::Stop, 0),
        ];
        let site = is_unharmed(trigger, &scenario, "last year");
        site.says_not("counted as read");
        site.says_not("has not come yet");
    }
}

/// While the clock of this machine is a day ahead, a proxy writes the same `Date` of last year on
/// answer after answer.
#[test]
fn a_date_of_last_year_takes_nothing_back_that_rows_have_shown() {
    let text = json!({
        "version": 1,
        "traffic": { "rate": 0.003, "backlog": { "span": 3600, "rows": 600 } },
        "settings": { "report": { "page_rows": 100 }, "graph": { "page_rows": 100 } },
        "trigger": { "settle_time": 2, "start_time": 2, "frequency": 900 },
        "timeline": [
            { "at": 0, "do": { "module_clock": 104_711 } },
            { "at": 20_000, "do": { "module_clock": 0 } },
        ],
        "lives": [
            { "seconds": 7000, "end": "stop", "away": 160 },
            { "seconds": 18_000, "end": "stop", "away": 0 },
        ],
    });
    let lie = json!({
        "kind": "date", "ahead": -32_184_460, "after": 6, "times": 5, "chance": 1.0,
        "at": null, "empty": false,
    });
    for (trigger, endpoint) in [(ACCOUNT, "report"), (GRAPH, "graph")] {
        let mut text = text.clone();
        let fault = json!({ "at": 1, "do": { "fault": { "endpoint": endpoint, "rule": lie } } });
        text["timeline"].as_array_mut().unwrap().insert(1, fault);
        let scenario: Scenario = text.to_string().parse().unwrap();
        unharmed(trigger, &scenario, "last year").says_not("counted as read");
    }
}

/// By such a time Microsoft refuses all that is asked for as too old, and no page would tell it any more.
#[test]
fn a_time_by_which_nothing_is_answered_is_learnt_anew() {
    for trigger in ALL {
        let mut scenario = no_mail();
        let lie = Action::Fault {
            endpoint: endpoint(trigger),
            seconds: Some(HOUR),
            rule: Fault::date_ahead(-226 * DAY).into(),
        };
        scenario.timeline = vec![at(HOUR, lie), at(3 * HOUR, Action::MassMail(7))];
        scenario.lives = vec![life(4 * HOUR, Ending::Stop, 0)];
        let site = unharmed(trigger, &scenario, "no rows");
        assert_eq!(site.verdict().expected, 7, "{trigger}");
    }
}
