//! Draws what goes wrong in a scenario.

use emulator::{
    Action, Endpoint, Event, Fault, FaultRule, FreshLink, Outside, OutsideWindow, PAST, Reach,
    RejectionShape, TooWide, Unreadable, UnreadableRow, Wide,
};
use proptest::{prelude::*, sample::Select};
use serde_json::json;

use super::draw::{HOUR, one_of};

/// A fault of an endpoint for so many seconds.
fn lasts(endpoint: Endpoint, seconds: u64, rule: impl Into<FaultRule>) -> Action {
    Event::outage(0, endpoint, seconds, rule).action
}

/// Something that goes wrong. With `graph`, nothing but Graph is asked for rows.
pub(super) fn trouble(graph: bool) -> BoxedStrategy<Action> {
    let of_windows = prop_oneof![
        1 => wide(graph),
        1 => unreadable(graph),
        1 => outside(graph),
        1 => links(graph),
        1 => mass_mail(graph),
        1 => reach(graph),
    ];
    let of_time = prop_oneof![1 => lying_dates(graph), 1 => clock()];
    let of_access = prop_oneof![1 => refusal(graph), 1 => platform(), 1 => no_details(graph)];
    prop_oneof![
        4 => strikes(graph),
        3 => outage(graph),
        2 => flaky(graph),
        // Rows that come while something else is wrong.
        3 => (1_u32..60).prop_map(Action::MassMail),
        1 => filter(),
        6 => of_windows,
        3 => of_time,
        3 => of_access,
    ]
    .boxed()
}

/// Requests that fail, for some of them or for some time.
pub(super) fn failing(graph: bool) -> BoxedStrategy<Action> {
    prop_oneof![2 => strikes(graph), 1 => outage(graph), 1 => flaky(graph)].boxed()
}

/// A fault for some requests.
fn strikes(graph: bool) -> BoxedStrategy<Action> {
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
        Fault::CutGzip,
        Fault::Garble,
        Fault::error_in_success(),
        Fault::DelayAnswer { ms: 200_000 },
        Fault::Stall {
            bytes: 700,
            ms: 200_000,
        },
    ]);
    let throttled = (one_of([429_u16, 503]), wish)
        .prop_map(|(status, wish)| Fault::throttled(status, wish))
        .boxed();
    let theirs = prop_oneof![
        11 => usual,
        1 => odd.prop_map(Fault::status),
        1 => throttled.clone(),
        1 => redirect,
    ];
    let usual = one_of([
        Fault::status(503),
        Fault::key_not_ready(),
        Fault::page(502, "Bad Gateway"),
        Fault::Reset,
        Fault::ResetAfter,
        Fault::ResetMidBody { bytes: 20 },
        Fault::Cut { bytes: 20 },
        Fault::Garble,
        Fault::Hang,
        Fault::DelayRequest { ms: 40_000 },
        Fault::DelayAnswer { ms: 20_000 },
    ]);
    let ours = prop_oneof![6 => usual, 1 => throttled, 1 => uncertain(), 1 => rejection()];
    let struck = prop_oneof![
        3 => (microsoft(graph), theirs, 0_u32..40),
        // A life has few requests to the intake.
        2 => (Just(Endpoint::Intake), ours, 0_u32..8),
    ];
    (struck, 1_u32..4)
        .prop_map(|((endpoint, fault, after), times)| Action::Fault {
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
            let mut rule = match seconds {
                Some(_) => FaultRule::from(fault),
                None => fault.times(times),
            };
            if endpoint == Endpoint::Secrets {
                // The first start begins before it may be killed: that is when the collection begins.
                rule.after = 1;
            }
            Action::Fault {
                endpoint,
                seconds,
                rule,
            }
        })
        .boxed()
}

/// Details of messages are refused, late or damaged. No row depends on them.
fn no_details(graph: bool) -> BoxedStrategy<Action> {
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
    let endpoint = service(graph).prop_map(|service| match service {
        Endpoint::Graph => Endpoint::GraphDetails,
        _ => Endpoint::ReportDetails,
    });
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
fn outage(graph: bool) -> BoxedStrategy<Action> {
    let fault = one_of([
        Fault::status(503),
        Fault::Reset,
        Fault::Hang,
        Fault::throttled(429, Some("7")),
    ]);
    let ours = one_of([Fault::status(503), Fault::Reset, Fault::key_not_ready()]);
    let broken = prop_oneof![(microsoft(graph), fault), (Just(Endpoint::Intake), ours),];
    (broken, 60..3 * HOUR)
        .prop_map(|((endpoint, fault), seconds)| lasts(endpoint, seconds, fault))
        .boxed()
}

/// A share of all requests fails, for minutes or hours.
fn flaky(graph: bool) -> BoxedStrategy<Action> {
    let endpoint = prop_oneof![2 => microsoft(graph), 1 => Just(Endpoint::Intake)];
    let fault = one_of([
        Fault::status(503),
        Fault::status(500),
        Fault::Reset,
        Fault::ResetAfter,
    ]);
    (endpoint, fault, 10_u32..80, 60..6 * HOUR)
        .prop_map(|(endpoint, fault, share, seconds)| {
            lasts(endpoint, seconds, fault.chance(f64::from(share) / 100.0))
        })
        .boxed()
}

/// A sign-in, or a right, that is refused for minutes or hours.
fn refusal(graph: bool) -> BoxedStrategy<Action> {
    let sign_in = one_of([
        json!({ "refuse_with": 50_087 }),
        json!({ "refuse_with": 90_033 }),
        json!({ "refuse_with": 7_000_215 }),
        json!({ "refuse_with": 53_003, "error_codes": "null", "null_ids": true }),
        json!({ "login_page": true }),
        json!({ "without_token": true }),
        json!({ "roles_withheld": true }),
    ]);
    let sign_in = sign_in.prop_map(|identity| (Endpoint::Token, json!({ "identity": identity })));
    let right = service(graph).prop_map(|service| match service {
        Endpoint::Graph => {
            let changes = json!({ "graph": { "service_principal": "missing" } });
            (service, changes)
        }
        _ => (service, json!({ "report": { "permitted": false } })),
    });
    (prop_oneof![2 => sign_in, 1 => right], 60..3 * HOUR)
        .prop_map(|((endpoint, changes), seconds)| {
            let changes = changes.try_into().unwrap();
            lasts(endpoint, seconds, Fault::Settings { changes })
        })
        .boxed()
}

/// The service says that it does not look back as far as it does: for so short a time that nothing is asked
/// for rarely.
fn reach(graph: bool) -> BoxedStrategy<Action> {
    let reach = (0_u64..12, any::<bool>(), any::<bool>());
    let reach = reach.prop_map(|(days, lie, own)| Fault::Reach(Reach { days, lie, own }));
    (service(graph), reach, 60..1_500_u64)
        .prop_map(|(endpoint, fault, seconds)| lasts(endpoint, seconds, fault))
        .boxed()
}

/// Windows that are too wide are not answered, for hours.
fn wide(graph: bool) -> BoxedStrategy<Action> {
    let answer = one_of([
        TooWide::GatewayTimeout,
        TooWide::ReportingTimeout,
        TooWide::Silence,
    ]);
    let limit = prop_oneof![
        (1_u32..60).prop_map(|minutes| Wide::minutes(minutes, TooWide::default())),
        (30_u32..600).prop_map(|rows| Wide::rows(rows, TooWide::default())),
    ];
    (service(graph), limit, answer, HOUR..12 * HOUR)
        .prop_map(|(endpoint, limit, answer, seconds)| {
            lasts(endpoint, seconds, Fault::Wide(Wide { answer, ..limit }))
        })
        .boxed()
}

/// `Date` headers that lie, or are old as they come from a cache: for some answers, or for hours, in
/// which all answers agree.
fn lying_dates(graph: bool) -> BoxedStrategy<Action> {
    let ahead = prop_oneof![
        -120_i64..120,
        -20_000_i64..20_000,
        -40_000_000_i64..40_000_000
    ];
    let fault = prop_oneof![
        ahead.prop_map(Fault::date_ahead),
        (1_u32..100_000).prop_map(|seconds| Fault::Age { seconds }),
    ];
    let none = Fault::Date {
        ahead: 0,
        at: None,
        empty: true,
    };
    let some = prop_oneof![4 => fault.clone(), 1 => Just(none)];
    let some = (microsoft(graph), some, 0_u32..40, 1_u32..6).prop_map(
        |(endpoint, fault, after, times)| Action::Fault {
            endpoint,
            seconds: None,
            rule: fault.after(after).times(times),
        },
    );
    let all = (microsoft(graph), fault, 60..12 * HOUR)
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

/// Rows that are no strict JSON, for some reads or for ever.
fn unreadable(graph: bool) -> BoxedStrategy<Action> {
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
    lasting(graph, unreadable).boxed()
}

/// Rows outside the window.
fn outside(graph: bool) -> BoxedStrategy<Action> {
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
    lasting(graph, outside).boxed()
}

/// A message to more recipients than a window shows, or questions for such messages that fail or take
/// long. They are never refused for long: what is hidden from both nobody can know.
fn mass_mail(graph: bool) -> BoxedStrategy<Action> {
    let troubled = one_of(["failing", "slow"]).prop_map(|how| {
        let changes = json!({ "graph": { "by_id": how }, "report": { "by_id": how } });
        let changes = changes.try_into().unwrap();
        Fault::Settings { changes }
    });
    let troubled = lasting(graph, troubled);
    prop_oneof![2 => (990_u32..1_400).prop_map(Action::MassMail), 1 => troubled].boxed()
}

/// Links to further pages that are always new.
fn links(graph: bool) -> BoxedStrategy<Action> {
    let form = one_of([
        FreshLink::SameRows,
        FreshLink::Failing,
        FreshLink::Long,
        FreshLink::Empty,
    ]);
    lasting(graph, form.prop_map(|form| Fault::FreshLinks(form.into()))).boxed()
}

/// A fault of a service for up to some hours.
fn lasting(graph: bool, fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Action> {
    (service(graph), fault, 60..6 * HOUR)
        .prop_map(|(endpoint, fault, seconds)| lasts(endpoint, seconds, fault))
}

/// A service that is asked for rows. Graph is also asked when the other one has ended.
fn service(graph: bool) -> Select<Endpoint> {
    let other = if graph {
        Endpoint::Graph
    } else {
        Endpoint::Report
    };
    one_of([other, other, Endpoint::Graph])
}

/// The same, and where one signs in.
fn microsoft(graph: bool) -> BoxedStrategy<Endpoint> {
    prop_oneof![3 => service(graph), 1 => Just(Endpoint::Token)].boxed()
}
