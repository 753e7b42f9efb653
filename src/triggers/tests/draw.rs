//! Draws scenarios. A strategy that holds others by value is as large as all of them, and a thread's stack
//! is small: each stands on the heap.

use std::fmt;

use chrono::{DateTime, TimeDelta};
use emulator::{
    Action, Backlog, Canned, Damage, Ending, Endpoint, Event, Fault, FaultRule, FreshLink, Harm,
    Lateness, ModuleLife, Outside, OutsideWindow, PAST, RejectionShape, Resolution, Scenario,
    StatePart, TooWide, Traffic, Unreadable, UnreadableRow, Wide,
};
use proptest::{prelude::*, sample::Select};
use serde_json::{Map, Value, json};

use super::site::{life, members};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// One of these, each as likely.
fn one_of<T: Clone + fmt::Debug + 'static, const N: usize>(values: [T; N]) -> Select<T> {
    prop::sample::select(Vec::from(values))
}

/// A fault of an endpoint for so many seconds.
fn lasts(endpoint: Endpoint, seconds: u64, rule: impl Into<FaultRule>) -> Action {
    Event::outage(0, endpoint, seconds, rule).action
}

/// A scenario that says how it is replayed when a test fails with it.
#[derive(Clone)]
pub(super) struct Drawn(pub(super) Scenario);

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the scenario in the next line, which this command replays with all triggers:\n\
             SCENARIO='{}' cargo test --lib a_scenario_is_replayed\n",
            self.0.to_json()
        )
    }
}

/// Any scenario at whose end everything must have been delivered: no row surfaces or changes later
/// than `settle_time` after its reception, and the last life is long enough to see it.
///
/// Messages are recalled and resolved on Graph only, as in reality. Where they are not, the
/// Reporting Web Service may end at any moment.
pub(super) fn scenario(recalls: bool) -> BoxedStrategy<Drawn> {
    // A short one makes a short scenario, the longest is the default.
    prop_oneof![2 => Just(2_u64), 1 => Just(8), 2 => Just(24)]
        .prop_flat_map(move |settle_time| (settling(settle_time, recalls), ending()))
        .prop_map(move |(Drawn(mut scenario), ending)| {
            if let Some((share, how)) = ending.filter(|_| !recalls) {
                let lives = &scenario.lives;
                let all: u64 = lives.iter().map(|life| life.seconds + life.away).sum();
                // The last life must have time for the change, and to see all rows after it.
                let last = lives.last().map_or(0, |life| life.seconds) - HOUR;
                let at = (all - last) * u64::from(share) / 100;
                let action = Action::Settings(how.try_into().unwrap());
                scenario.timeline.push(Event { at, action });
                scenario.timeline.sort_by_key(|event| event.at);
            }
            Drawn(scenario)
        })
        .boxed()
}

/// How the Reporting Web Service ends for good, and after which share of the time, in percent. The
/// second way is no end for apps.
fn ending() -> BoxedStrategy<Option<(u32, Value)>> {
    let retired = |canned: Canned| json!({ "report": { "retired": canned } });
    let how = one_of([
        retired(Canned::gone()),
        json!({ "report": { "basic_sign_in": false } }),
        retired(Canned::missing_page()),
        retired(Canned::moved("https://learn.example/retired")),
        retired(Canned::page("Retired")),
        retired(Canned::superseded()),
    ]);
    prop_oneof![1 => Just(None), 1 => (0_u32..=100, how).prop_map(Some)].boxed()
}

fn settling(settle_time: u64, recalls: bool) -> BoxedStrategy<Drawn> {
    let lives = prop::collection::vec(a_life(), 0..4);
    let troubles = prop::collection::vec(trouble(), 0..6);
    let traffic = traffic(settle_time * HOUR, recalls);
    (traffic, switches(), lives, troubles, wishes())
        .prop_map(move |(traffic, switches, lives, troubles, wishes)| {
            let mut scenario = Scenario::new(traffic);
            // The beginning of a day, when nobody writes, and with it rows in the last hour.
            scenario.start = DateTime::from_timestamp(1_795_000_000, 0);
            scenario.settings = switches.try_into().unwrap();
            scenario.trigger = wishes;
            let hours = scenario.traffic.backlog.span.num_hours() + 1;
            let times = json!({ "start_time": hours, "settle_time": settle_time });
            scenario.trigger.extend(members(times));
            let quiet: u64 = lives.iter().map(|life| life.seconds + life.away).sum();
            let end = [
                Action::ClearAll,
                Action::ModuleClock(0),
                Action::StopTraffic,
            ];
            let events = troubles.into_iter().chain(end.map(|action| (100, action)));
            let events = events.map(|(share, action)| Event {
                at: quiet * u64::from(share) / 100,
                action,
            });
            scenario.timeline = events.collect();
            scenario.lives = lives;
            let last = life((settle_time + 3) * HOUR, Ending::Stop, 0);
            scenario.lives.push(last);
            Drawn(scenario)
        })
        .boxed()
}

/// Settings of the trigger that differ from the default.
fn wishes() -> BoxedStrategy<Map<String, Value>> {
    let frequency = prop_oneof![3 => Just(300), 3 => Just(900), 1 => Just(60)];
    let frequency = frequency.prop_map(|seconds| members(json!({ "frequency": seconds })));
    (frequency, unwanted(), hidden(), details())
        .prop_map(|(frequency, unwanted, hidden, details)| {
            let all = [frequency, unwanted, hidden, details];
            all.into_iter().flatten().collect()
        })
        .boxed()
}

/// Which rows are not to be sent: mostly none.
fn unwanted() -> BoxedStrategy<Map<String, Value>> {
    let addresses = || {
        let address = one_of([
            "*@contoso.example",
            "*@FABRIKAM.example",
            "*@northwind.example",
            "nobody@contoso.example",
        ]);
        prop::collection::hash_set(address, 0..3)
    };
    let status = one_of([
        "delivered",
        "gettingStatus",
        "pending",
        "failed",
        "filteredAsSpam",
    ]);
    let statuses = prop::collection::hash_set(status, 0..3);
    let rules = (addresses(), addresses(), statuses);
    let rules = rules.prop_map(|(senders, recipients, statuses)| {
        members(json!({
            "exclude_senders": senders,
            "exclude_recipients": recipients,
            "exclude_statuses": statuses,
        }))
    });
    prop_oneof![2 => Just(Map::new()), 1 => rules].boxed()
}

/// What of rows must not leave: mostly nothing.
fn hidden() -> BoxedStrategy<Map<String, Value>> {
    let subject = one_of(["keep", "drop", "hash"]);
    let addresses = one_of(["keep", "hash_external", "hash"]);
    let hidden = (subject, addresses).prop_map(|(subject, addresses)| {
        members(json!({
            "subject": subject,
            "addresses": addresses,
            "own_domains": ["contoso.example", "EU.contoso.example"],
            "hash_key": "a key that nobody else knows",
        }))
    });
    prop_oneof![2 => Just(Map::new()), 1 => hidden].boxed()
}

/// Of which rows details are wanted: mostly of none.
fn details() -> BoxedStrategy<Map<String, Value>> {
    let status = one_of(["failed", "quarantined", "filteredAsSpam", "delivered"]);
    let statuses = prop::collection::hash_set(status, 1..4);
    let details = (statuses, 1_u32..=45).prop_map(|(statuses, quota)| {
        members(json!({"details": statuses, "details_quota": quota}))
    });
    prop_oneof![1 => Just(Map::new()), 1 => details].boxed()
}

fn traffic(longest: u64, recalls: bool) -> BoxedStrategy<Traffic> {
    let backlog = (0_u64..60, 0_u64..600);
    let recalled = if recalls { 0_u32..40 } else { 0..1 };
    let changes = (0_u32..50, recalled, 0_u32..100, 60..=longest);
    let resolution = one_of([
        Resolution::Millisecond,
        Resolution::Second,
        Resolution::Tick,
    ]);
    let numbers = (0_u64..1_000, 0_u32..10, 1_u32..300, any::<bool>());
    (numbers, backlog, lateness(longest), changes, resolution)
        .prop_map(
            |(
                (seed, rate, max_recipients, daily_shape),
                backlog,
                lateness,
                changes,
                resolution,
            )| {
                let (changing, recalled, released, changes_within) = changes;
                Traffic {
                    seed,
                    rate: f64::from(rate) / 1000.0,
                    backlog: Backlog::rows(hours(backlog.0), backlog.1),
                    daily_shape,
                    lateness,
                    changing: f64::from(changing) / 100.0,
                    recalled: f64::from(recalled) / 100.0,
                    resolved: f64::from(recalled) / 200.0,
                    released: f64::from(released) / 100.0,
                    changes_within: seconds(changes_within),
                    resolution,
                    max_recipients,
                }
            },
        )
        .boxed()
}

/// From rows that are visible at once to some that are as late as this.
fn lateness(longest: u64) -> impl Strategy<Value = Lateness> {
    let lengths = prop::collection::vec(0..=longest, 0..4);
    let small = prop::collection::vec(0..600_u64, 0..3);
    (small, lengths).prop_map(|(small, lengths)| {
        let mut lengths: Vec<u64> = small.into_iter().chain(lengths).collect();
        lengths.sort_unstable();
        let last = lengths.len().saturating_sub(1).max(1);
        let share = |index: usize| (index * 1000 / last) as f64 / 1000.0;
        let points = lengths.into_iter().enumerate();
        let points = points.map(|(index, length)| (share(index), seconds(length)));
        Lateness::quantiles(points.collect::<Vec<_>>())
    })
}

/// Switches of the emulator; answers take time, so that kills fall into their midst.
fn switches() -> impl Strategy<Value = Value> {
    (0_u32..30, 0_u32..30).prop_map(|(poisoned, empty)| {
        json!({
            "report": { "page_rows": 100, "latency_ms": 700, "shown_recipients": 1000 },
            "graph": {
                "page_rows": 100,
                "shown_recipients": 1000,
                "latency_ms": 700,
                "poisoned_tokens": f64::from(poisoned) / 100.0,
                "empty_pages": f64::from(empty) / 100.0,
            },
            "intake": { "latency_ms": 150 },
        })
    })
}

/// Minutes or hours, a stop or a kill, and up to four days away.
fn a_life() -> BoxedStrategy<ModuleLife> {
    let seconds = prop_oneof![3 => 1_u64..2_000, 1 => 1..12 * HOUR];
    let away = prop_oneof![4 => 0_u64..600, 2 => 0..=DAY, 1 => 0..=4 * DAY];
    let end = one_of([Ending::Stop, Ending::Kill]);
    let damage = prop_oneof![3 => Just(None), 1 => damage().prop_map(Some)];
    (seconds, end, away, damage)
        .prop_map(|(seconds, end, away, damage)| ModuleLife {
            damage,
            ..life(seconds, end, away)
        })
        .boxed()
}

/// Harm done to one part of the state.
fn damage() -> impl Strategy<Value = Damage> {
    let to = one_of([
        StatePart::Position,
        StatePart::PositionCopy,
        StatePart::Positions,
        StatePart::Timeline,
        StatePart::KnownRows,
        StatePart::Quota,
        StatePart::Service,
    ]);
    let harm = one_of([
        Harm::Removed,
        Harm::Emptied,
        Harm::Halved,
        Harm::Zeroed,
        Harm::Flipped,
        Harm::Replaced,
    ]);
    // A position with another date is a person's wish.
    let redated = Damage {
        to: StatePart::Timeline,
        harm: Harm::Redated,
    };
    let any = (to, harm).prop_map(|(to, harm)| Damage { to, harm });
    prop_oneof![6 => any, 1 => Just(redated)]
}

/// Something that goes wrong, and after which share of the time before the last life, in percent.
fn trouble() -> BoxedStrategy<(u32, Action)> {
    let fault = prop_oneof![
        4 => strikes(),
        4 => outage(),
        1 => wide(),
        1 => filter(),
        1 => lying_dates(),
        1 => clock(),
        1 => rows(),
        1 => links(),
        1 => mass_mail(),
        2 => platform(),
        1 => no_details(),
    ];
    (0_u32..100, fault).boxed()
}

/// A fault for some requests.
fn strikes() -> BoxedStrategy<Action> {
    let odd = one_of([204_u16, 206, 409, 421, 423, 425, 449, 499, 400]);
    let wish = one_of([None, Some("0"), Some("7"), Some(PAST)]);
    let redirect = one_of([307_u16, 308]).prop_map(|status| Fault::Redirect {
        status,
        to: String::new(),
    });
    let usual = one_of([
        Fault::status(500),
        Fault::status(401),
        Fault::page(403, "Forbidden"),
        Fault::ByteOrderMark,
        Fault::Hang,
        Fault::Reset,
        Fault::ResetMidBody { bytes: 700 },
        Fault::Cut { bytes: 700 },
        Fault::Garble,
        Fault::error_in_success(),
        Fault::DelayAnswer { ms: 200_000 },
    ]);
    let theirs = prop_oneof![
        11 => usual,
        1 => odd.prop_map(Fault::status),
        1 => (one_of([429_u16, 503]), wish).prop_map(|(status, wish)| Fault::throttled(status, wish)),
        1 => redirect,
    ];
    let usual = one_of([
        Fault::status(503),
        Fault::key_not_ready(),
        Fault::Reset,
        Fault::ResetAfter,
        Fault::DelayRequest { ms: 40_000 },
    ]);
    let ours = prop_oneof![5 => usual, 1 => uncertain(), 1 => rejection()];
    let struck = prop_oneof![2 => (microsoft(), theirs), 1 => (Just(Endpoint::Intake), ours)];
    (struck, 0_u32..40, 1_u32..4)
        .prop_map(|((endpoint, fault), after, times)| Action::Fault {
            endpoint,
            seconds: None,
            rule: fault.after(after).times(times),
        })
        .boxed()
}

/// A success of the intake that proves nothing, whether the events were accepted or not.
fn uncertain() -> BoxedStrategy<Fault> {
    let bodies = one_of([
        "<html><title>Sign in</title></html>",
        "",
        "{}",
        r#"{"event_ids":[]}"#,
        r#"{"error":"INTAKE_KEY_ERROR"}"#,
    ]);
    let status = prop_oneof![2 => Just(200_u16), 1 => Just(202), 1 => Just(204)];
    (bodies, status, any::<bool>())
        .prop_map(|(body, status, accepted)| {
            if accepted {
                Fault::Replace {
                    status,
                    content_type: "text/html".to_owned(),
                    body: body.to_owned(),
                }
            } else {
                Fault::answer(status, &[], body)
            }
        })
        .boxed()
}

/// The platform's secrets or its logs endpoint refuse, point elsewhere, hang or say something odd. No
/// event depends on either.
fn platform() -> BoxedStrategy<Action> {
    let statuses = one_of([204_u16, 302, 400, 401, 413, 422, 429, 500]);
    let odd = one_of([
        "{}",
        "[]",
        "null",
        r#"{"value":null,"node_value":[]}"#,
        r#"{"node_value":{"client_secret":null,"account_password":null}}"#,
    ]);
    let redirect = Fault::Redirect {
        status: 307,
        to: String::new(),
    };
    let slow = Fault::DelayRequest { ms: 40_000 };
    let fault = prop_oneof![
        3 => statuses.prop_map(Fault::status),
        2 => odd.prop_map(|body| Fault::answer(200, &[], body)),
        1 => uncertain(),
        4 => one_of([redirect, slow, Fault::Hang, Fault::Reset]),
    ];
    let endpoint = one_of([Endpoint::Secrets, Endpoint::Logs]);
    let seconds = prop_oneof![Just(None), (60..6 * HOUR).prop_map(Some)];
    (endpoint, fault, seconds, 1_u32..6)
        .prop_map(|(endpoint, fault, seconds, times)| {
            let rule = match seconds {
                Some(_) => FaultRule::from(fault),
                None => fault.times(times),
            };
            Action::Fault {
                endpoint,
                seconds,
                rule,
            }
        })
        .boxed()
}

/// Details of messages are refused, late or damaged. No row depends on them.
fn no_details() -> BoxedStrategy<Action> {
    let fault = one_of([
        Fault::status(403),
        Fault::status(401),
        Fault::throttled(429, Some("7")),
        Fault::status(503),
        Fault::Hang,
        Fault::Reset,
        Fault::Cut { bytes: 50 },
        Fault::page(200, "Sign in"),
        Fault::DelayAnswer { ms: 45_000 },
        Fault::DelayAnswer { ms: 200_000 },
    ]);
    let endpoint = one_of([Endpoint::ReportDetails, Endpoint::GraphDetails]);
    (endpoint, fault, 60..12 * HOUR)
        .prop_map(|(endpoint, fault, seconds)| lasts(endpoint, seconds, fault))
        .boxed()
}

/// Some events of a batch are refused, or told of in a word that nobody knows.
fn rejection() -> BoxedStrategy<Fault> {
    let shape = one_of([
        RejectionShape::NullIds,
        RejectionShape::ShortIds,
        RejectionShape::UnknownWords,
        RejectionShape::Errors,
        RejectionShape::Statuses,
        RejectionShape::Results,
    ]);
    (shape, 1_usize..9, 0_u8..16)
        .prop_map(|(shape, every, digit)| Fault::RejectEvents {
            containing: format!("{digit:x}"),
            every,
            shape,
        })
        .boxed()
}

/// A filter on the way to the intake that refuses some events, for less time than it takes to give one
/// up.
fn filter() -> BoxedStrategy<Action> {
    let status = one_of([403_u16, 406, 413, 500, 400, 0]);
    (status, 1_u64..590, 0_u8..=255)
        .prop_map(|(status, seconds, byte)| {
            let filter = Fault::Filter {
                containing: format!("{byte:02x}"),
                status,
                body: "<title>Blocked</title>".to_owned(),
            };
            lasts(Endpoint::Intake, seconds, filter)
        })
        .boxed()
}

/// An endpoint that is down for minutes or hours.
fn outage() -> BoxedStrategy<Action> {
    let endpoint = prop_oneof![microsoft(), Just(Endpoint::Intake)];
    let fault = one_of([Fault::status(503), Fault::Reset]);
    (endpoint, 60..3 * HOUR, fault)
        .prop_map(|(endpoint, seconds, fault)| lasts(endpoint, seconds, fault))
        .boxed()
}

/// Windows that are too wide are not answered, for hours.
fn wide() -> BoxedStrategy<Action> {
    let answer = one_of([
        TooWide::GatewayTimeout,
        TooWide::ReportingTimeout,
        TooWide::Silence,
    ]);
    let limit = prop_oneof![
        (1_u32..60).prop_map(|minutes| Wide::minutes(minutes, TooWide::default())),
        (30_u32..600).prop_map(|rows| Wide::rows(rows, TooWide::default())),
    ];
    (service(), limit, answer, HOUR..12 * HOUR)
        .prop_map(|(endpoint, limit, answer, seconds)| {
            lasts(endpoint, seconds, Fault::Wide(Wide { answer, ..limit }))
        })
        .boxed()
}

/// `Date` headers that lie, or are old as they come from a cache: for some answers, or for hours, in
/// which all answers agree.
fn lying_dates() -> BoxedStrategy<Action> {
    let ahead = prop_oneof![
        -120_i64..120,
        -20_000_i64..20_000,
        -40_000_000_i64..40_000_000
    ];
    let fault = prop_oneof![
        ahead.prop_map(Fault::date_ahead),
        (1_u32..100_000).prop_map(|seconds| Fault::Age { seconds }),
    ];
    let some = (microsoft(), fault.clone(), 0_u32..40, 1_u32..6).prop_map(
        |(endpoint, fault, after, times)| Action::Fault {
            endpoint,
            seconds: None,
            rule: fault.after(after).times(times),
        },
    );
    let all = (microsoft(), fault, 60..12 * HOUR)
        .prop_map(|(endpoint, fault, seconds)| lasts(endpoint, seconds, fault));
    prop_oneof![some, all].boxed()
}

/// The module's clock makes a step.
fn clock() -> BoxedStrategy<Action> {
    let step = prop_oneof![
        Just(0_i64),
        -90_i64..90,
        -7_200_i64..7_200,
        -200_000_i64..200_000
    ];
    step.prop_map(Action::ModuleClock).boxed()
}

/// Rows that are no strict JSON, for some reads or for ever, and rows outside the window.
fn rows() -> BoxedStrategy<Action> {
    let form = one_of([
        Unreadable::RawNewline,
        Unreadable::Byte,
        Unreadable::Forged,
        Unreadable::Quote,
        Unreadable::Null,
        Unreadable::Html,
        Unreadable::Cut,
    ]);
    let reads = one_of([Some(1_u32), Some(3), None]);
    let unreadable = (1_u32..30, form, reads).prop_map(|(share, form, reads)| {
        Fault::UnreadableRow(UnreadableRow {
            share: f64::from(share) / 1000.0,
            form,
            reads,
            ..UnreadableRow::default()
        })
    });
    // Not `unfiltered`, nor what is older: rows whose keys are forgotten, since their time is not
    // read any more, come once more when they are shown all the same.
    let outside = one_of([Outside::Earlier, Outside::YearOne, Outside::Null]);
    let outside = (outside, 1_u32..5, 60_u32..1_800).prop_map(|(form, rows, seconds)| {
        Fault::OutsideWindow(OutsideWindow {
            form,
            rows,
            seconds,
        })
    });
    lasting(prop_oneof![unreadable, outside]).boxed()
}

/// A message to more recipients than a window shows, or questions for such messages that fail or take
/// long. They are never refused for long: what is hidden from both nobody can know.
fn mass_mail() -> BoxedStrategy<Action> {
    let troubled = one_of(["failing", "slow"]).prop_map(|how| {
        let changes = json!({ "graph": { "by_id": how }, "report": { "by_id": how } });
        let changes = changes.try_into().unwrap();
        Fault::Settings { changes }
    });
    let troubled = lasting(troubled);
    prop_oneof![2 => (990_u32..1_400).prop_map(Action::MassMail), 1 => troubled].boxed()
}

/// Links to further pages that are always new.
fn links() -> BoxedStrategy<Action> {
    let form = one_of([
        FreshLink::SameRows,
        FreshLink::Failing,
        FreshLink::Long,
        FreshLink::Empty,
    ]);
    lasting(form.prop_map(|form| Fault::FreshLinks(form.into()))).boxed()
}

/// A fault of either service for up to some hours.
fn lasting(fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Action> {
    (service(), fault, 60..6 * HOUR)
        .prop_map(|(endpoint, fault, seconds)| lasts(endpoint, seconds, fault))
}

fn service() -> impl Strategy<Value = Endpoint> {
    one_of([Endpoint::Report, Endpoint::Graph])
}

fn microsoft() -> impl Strategy<Value = Endpoint> {
    one_of([Endpoint::Report, Endpoint::Graph, Endpoint::Token])
}

fn seconds(count: u64) -> TimeDelta {
    TimeDelta::seconds(count.cast_signed())
}

fn hours(count: u64) -> TimeDelta {
    TimeDelta::hours(count.cast_signed())
}
