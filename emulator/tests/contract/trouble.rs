//! What goes wrong with clocks, connections, windows, rows and links.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{
    Answer, TRACE, TRACES, basic, deliver, emulator, graph, now, report, send, token,
};
use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use emulator::{
    ConnectionNumber, Emulator, Endpoint, Fault, FaultRule, FreshLink, NewRow, Outside,
    OutsideWindow, PAST, Reach, Scope, TooWide, Unreadable, UnreadableRow, Wide,
};
use serde_json::{Value, json};

/// What is asked of both services.
const BOTH: [Endpoint; 2] = [Endpoint::Graph, Endpoint::Report];

/// Asks for the mail of the last `minutes`.
async fn ask(emulator: &Emulator, endpoint: Endpoint, minutes: i64) -> Answer {
    let form = "%Y-%m-%dT%H:%M:%SZ";
    let from = (now() - TimeDelta::minutes(minutes)).format(form);
    let to = now().format(form);
    if endpoint == Endpoint::Graph {
        let token = token(emulator, "https://graph.microsoft.com").await;
        let filter = format!("receivedDateTime ge {from} and receivedDateTime le {to}");
        graph(emulator, &format!("{TRACES}?$filter={filter}"), &token, &[]).await
    } else {
        let filter = format!("StartDate eq datetime'{from}' and EndDate eq datetime'{to}'");
        report(
            emulator,
            &format!("{TRACE}?$format=json&$filter={filter}"),
            "*/*",
        )
        .await
    }
}

#[tokio::test]
async fn dates_lie_in_each_answer() {
    let emulator = emulator(10);
    for endpoint in BOTH {
        emulator.fault(endpoint, Fault::page(502, "Bad Gateway").times(1));
        emulator.fault(endpoint, Fault::date_ahead(3600).times(2));
        for status in [502, 200] {
            let answer = ask(&emulator, endpoint, 60).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("date"), "Sun, 22 Nov 2026 11:00:00 GMT");
        }
        let fixed = r#"{"kind":"date","at":"2027-03-01T00:00:00Z","times":1}"#;
        emulator.fault(endpoint, serde_json::from_str::<FaultRule>(fixed).unwrap());
        let answer = ask(&emulator, endpoint, 60).await;
        assert_eq!(answer.header("date"), "Mon, 01 Mar 2027 00:00:00 GMT");
        emulator.fault(endpoint, Fault::Age { seconds: 600 }.times(1));
        let answer = ask(&emulator, endpoint, 60).await;
        assert_eq!(answer.header("age"), "600");
        assert_eq!(answer.header("date"), "Sun, 22 Nov 2026 09:50:00 GMT");
        let own = Fault::answer(502, &[("date", PAST)], "");
        emulator.fault(endpoint, own.times(1));
        let answer = ask(&emulator, endpoint, 60).await;
        assert_eq!((answer.status.as_u16(), answer.header("date")), (502, PAST));
        let answer = ask(&emulator, endpoint, 60).await;
        assert_eq!(answer.header("date"), "Sun, 22 Nov 2026 10:00:00 GMT");
        assert!(!answer.headers.contains_key("age"));
    }
}

#[tokio::test]
async fn one_connection_is_ill_in_memory() {
    let emulator = emulator(10);
    let on = async |number: Option<u64>| {
        let mut request = Request::get(TRACE)
            .header("authorization", basic(&emulator))
            .body(Body::empty())
            .unwrap();
        if let Some(number) = number {
            request.extensions_mut().insert(ConnectionNumber(number));
        }
        send(emulator.microsoft_router(), request)
            .await
            .status
            .as_u16()
    };
    emulator.fault(Endpoint::Report, Fault::Connection { status: 503 }.times(1));
    let numbers = [Some(1), Some(2), Some(1), None, Some(1)];
    let mut seen = Vec::new();
    for number in numbers {
        seen.push(on(number).await);
    }
    assert_eq!(seen, [503, 200, 503, 200, 503]);
}

/// The status of a request on this connection, which stays open.
fn status_on(stream: &mut TcpStream, emulator: &Emulator) -> String {
    let request = format!(
        "GET {TRACE}?$format=json HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n",
        basic(emulator)
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let whole = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split_once("content-length: ")?.1;
        let length: usize = length.split("\r\n").next()?.parse().ok()?;
        (body.len() >= length).then(|| head[9..12].to_owned())
    };
    loop {
        if let Some(status) = whole(&bytes) {
            return status;
        }
        let mut part = [0; 4096];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the connection ended");
        bytes.extend(&part[..read]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_is_ill_on_sockets() {
    let emulator = emulator(1);
    let running = emulator.serve().await.unwrap();
    emulator.fault(Endpoint::Report, Fault::Connection { status: 421 }.times(1));
    let address = ("127.0.0.1", running.microsoft().port().unwrap());
    let seen = tokio::task::spawn_blocking(move || {
        let [mut one, mut other] = [0; 2].map(|_| TcpStream::connect(address).unwrap());
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push(status_on(&mut one, &emulator));
            seen.push(status_on(&mut other, &emulator));
        }
        seen
    });
    assert_eq!(seen.await.unwrap(), ["421", "200", "421", "200"]);
}

#[tokio::test(start_paused = true)]
async fn wide_windows_are_not_answered() {
    let emulator = emulator(1_000);
    for endpoint in BOTH {
        emulator.fault(
            endpoint,
            Fault::Wide(Wide::minutes(10, TooWide::GatewayTimeout)),
        );
        assert_eq!(ask(&emulator, endpoint, 11).await.status, 504);
        assert_eq!(ask(&emulator, endpoint, 10).await.status, 200);
        emulator.clear_faults(endpoint);
        emulator.fault(
            endpoint,
            Fault::Wide(Wide::rows(100, TooWide::ReportingTimeout)),
        );
        let answer = ask(&emulator, endpoint, 60).await;
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("UnifiedReportingTimeout"));
        assert_eq!(ask(&emulator, endpoint, 5).await.status, 200);
        emulator.clear_faults(endpoint);
        emulator.fault(endpoint, Fault::Wide(Wide::minutes(10, TooWide::Silence)));
        let silent = ask(&emulator, endpoint, 11);
        let waited = tokio::time::timeout(Duration::from_hours(24), silent).await;
        assert!(waited.is_err());
        assert_eq!(ask(&emulator, endpoint, 10).await.status, 200);
        emulator.clear_faults(endpoint);
    }
    emulator.configure(|settings| {
        settings.graph.trouble.wide = Some(Wide::minutes(1, TooWide::GatewayTimeout));
    });
    assert_eq!(ask(&emulator, Endpoint::Graph, 2).await.status, 504);
    assert_eq!(ask(&emulator, Endpoint::Report, 2).await.status, 200);
}

#[tokio::test]
async fn the_reach_is_a_lie_or_short() {
    let emulator = emulator(10);
    let says = |answer: &Answer, days: u64| {
        let text = format!("The StartDate can't be older than {days} days from today.");
        answer.status == 400 && answer.text().contains(&text)
    };
    for endpoint in BOTH {
        for days in [0, 3, 4_294_967_295, u64::MAX] {
            emulator.fault(endpoint, Fault::Reach(Reach::lie(days)).times(1));
            let answer = ask(&emulator, endpoint, 1).await;
            assert!(says(&answer, days) && answer.headers.contains_key("request-id"));
        }
        let foreign = json!({ "kind": "reach", "days": 3, "own": false, "times": 1 });
        emulator.fault(
            endpoint,
            serde_json::from_value::<FaultRule>(foreign).unwrap(),
        );
        let answer = ask(&emulator, endpoint, 1).await;
        assert!(says(&answer, 3) && !answer.headers.contains_key("request-id"));
        assert!(serde_json::from_str::<Value>(&answer.text()).is_err());
        let short = Reach {
            days: 1,
            lie: false,
            own: true,
        };
        emulator.fault(endpoint, Fault::Reach(short));
        assert_eq!(ask(&emulator, endpoint, 24 * 60).await.status, 200);
        assert!(says(&ask(&emulator, endpoint, 24 * 60 + 1).await, 1));
        emulator.clear_faults(endpoint);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_never_come_lead_elsewhere_or_begin_with_a_mark() {
    let emulator = emulator(10);
    for endpoint in BOTH {
        emulator.fault(endpoint, Fault::Hang.times(1));
        let silent = ask(&emulator, endpoint, 1);
        let waited = tokio::time::timeout(Duration::from_hours(24), silent).await;
        assert!(waited.is_err());
        for (to, begins) in [("", "/"), ("https://x.example", "https://x.example/")] {
            let redirect = Fault::Redirect {
                status: 308,
                to: to.into(),
            };
            emulator.fault(endpoint, redirect.times(1));
            let answer = ask(&emulator, endpoint, 1).await;
            assert_eq!(answer.status, 308);
            let location = answer.header("location");
            assert!(
                location.starts_with(begins) && location.contains("filter="),
                "{location}"
            );
        }
        emulator.fault(endpoint, Fault::ByteOrderMark.times(1));
        let answer = ask(&emulator, endpoint, 1).await;
        assert!(answer.text().starts_with("\u{feff}{"));
        emulator.fault(endpoint, Fault::throttled(503, Some(PAST)).times(1));
        let answer = ask(&emulator, endpoint, 1).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, PAST)
        );
        emulator.fault(endpoint, Fault::throttled(429, None).times(1));
        let answer = ask(&emulator, endpoint, 1).await;
        assert!(answer.status == 429 && !answer.headers.contains_key("retry-after"));
        assert_eq!(ask(&emulator, endpoint, 1).await.status, 200);
    }
}

#[tokio::test]
async fn switches_are_turned_for_some_requests() {
    let emulator = emulator(10);
    let rule = json!({
        "kind": "settings", "times": 1,
        "changes": { "report": { "permitted": false }, "graph": { "service_principal": "missing" } },
    });
    let rule: FaultRule = serde_json::from_value(rule).unwrap();
    assert_eq!(
        serde_json::from_value::<FaultRule>(json!(rule)).unwrap(),
        rule
    );
    for (endpoint, status) in [(Endpoint::Graph, 401), (Endpoint::Report, 403)] {
        emulator.fault(endpoint, rule.clone());
        assert_eq!(ask(&emulator, endpoint, 1).await.status, status);
        assert_eq!(ask(&emulator, endpoint, 1).await.status, 200);
    }
}

/// The rows of a page of either service.
fn rows(page: &Value) -> Vec<Value> {
    let rows = page["value"].as_array().or(page["d"]["results"].as_array());
    rows.unwrap().clone()
}

fn dates(page: &Value) -> Vec<Value> {
    let date = |row: &Value| match row.get("Received") {
        Some(date) => date.clone(),
        None => row["receivedDateTime"].clone(),
    };
    rows(page).iter().map(date).collect()
}

/// The link to the next page of either service.
fn link(page: &Value) -> Option<&str> {
    let link = page["@odata.nextLink"].as_str();
    link.or(page["d"]["__next"].as_str())
}

/// One page of a link.
async fn follow(emulator: &Emulator, endpoint: Endpoint, page: &Value) -> Option<Answer> {
    let link = link(page)?;
    let answer = if endpoint == Endpoint::Graph {
        let token = token(emulator, "https://graph.microsoft.com").await;
        let (_, path) = link.split_once("example").unwrap();
        graph(emulator, path, &token, &[]).await
    } else {
        let path = link.replace("../../", "/ecp/");
        report(emulator, &path, "*/*").await
    };
    Some(answer)
}

/// The forms of a row that is no JSON, and whether a page with it is none either.
const FORMS: [(Unreadable, bool); 7] = [
    (Unreadable::RawNewline, true),
    (Unreadable::Byte, true),
    (Unreadable::Forged, true),
    (Unreadable::Quote, true),
    (Unreadable::Null, false),
    (Unreadable::Html, true),
    (Unreadable::Cut, true),
];

#[tokio::test]
async fn rows_are_no_strict_json() {
    for endpoint in BOTH {
        for (form, breaks) in FORMS {
            let emulator = emulator(0);
            for (minute, subject) in [(1, "a fine row"), (2, "a broken row"), (3, "a third")] {
                let at = now() - TimeDelta::minutes(minute);
                emulator.add_row(NewRow::new(at, "b@contoso.example").subject(subject));
            }
            let chosen = UnreadableRow {
                reads: Some(2),
                ..UnreadableRow::with_subject("broken", form)
            };
            emulator.fault(endpoint, Fault::UnreadableRow(chosen));
            for _ in 0..2 {
                let body = ask(&emulator, endpoint, 60).await.body.unwrap();
                let read = serde_json::from_slice::<Value>(&body);
                assert_eq!(read.is_err(), breaks, "{form:?}");
                if form == Unreadable::Null {
                    assert_eq!(rows(&read.unwrap())[1], Value::Null);
                }
            }
            let unread = emulator.verdict(&Scope::default());
            assert_eq!((unread.missing.count, unread.unreadable.count), (2, 1));
            let page = ask(&emulator, endpoint, 60).await.json();
            assert_eq!(rows(&page).len(), 3, "{form:?}");
            // From now on it is known as it is: who does not deliver it has lost it.
            let read = emulator.verdict(&Scope::default());
            assert_eq!((read.missing.count, read.unreadable.count), (3, 0));
        }
    }
}

#[tokio::test]
async fn rows_are_chosen_by_place_or_by_share() {
    let emulator = emulator(400);
    let broken = async |row: UnreadableRow| {
        emulator.fault(Endpoint::Graph, Fault::UnreadableRow(row).times(1));
        let page = ask(&emulator, Endpoint::Graph, 120).await.json();
        let rows = rows(&page);
        assert_eq!(rows.len(), 400);
        let broken = (0..400).filter(|index| rows[*index].is_null());
        broken.collect::<Vec<_>>()
    };
    let null = || UnreadableRow {
        form: Unreadable::Null,
        ..UnreadableRow::default()
    };
    let fifth = UnreadableRow {
        index: Some(5),
        ..null()
    };
    assert_eq!(broken(fifth).await, [5]);
    let share = UnreadableRow {
        share: 0.1,
        ..null()
    };
    let some = broken(share.clone()).await;
    assert!((20..60).contains(&some.len()), "{some:?}");
    assert_eq!(broken(share).await, some);
    assert!(broken(null()).await.is_empty());
}

/// What can be read of a row is no fault, and is not the row itself.
#[tokio::test]
async fn what_can_be_read_of_a_row_is_forgiven() {
    for (form, subject) in [
        (Unreadable::RawNewline, "\nbroken"),
        (Unreadable::Byte, "\u{fffd}broken"),
        (Unreadable::Forged, "\"},{\"id\":\"\nbroken"),
    ] {
        let emulator = emulator(0);
        emulator.add_row(NewRow::new(now(), "b@contoso.example").subject("broken"));
        let mut row = rows(&ask(&emulator, Endpoint::Graph, 60).await.json()).remove(0);
        row["subject"] = json!(subject);
        deliver(&emulator, &[row.to_string()]).await;
        assert_eq!(emulator.verdict(&Scope::default()).unasked.count, 1);
        let chosen = UnreadableRow::with_subject("broken", form);
        emulator.fault(Endpoint::Graph, Fault::UnreadableRow(chosen));
        ask(&emulator, Endpoint::Graph, 60).await;
        deliver(&emulator, &[row.to_string()]).await;
        let verdict = emulator.verdict(&Scope::default());
        assert_eq!(
            (verdict.unasked.count, verdict.missing.count),
            (1, 0),
            "{verdict}"
        );
        assert_eq!(verdict.doubled.count, 0);
        deliver(&emulator, &[row.to_string()]).await;
        assert_eq!(emulator.verdict(&Scope::default()).doubled.count, 1);
    }
}

#[tokio::test]
async fn rows_lie_outside_the_window() {
    let emulator = emulator(1_000);
    emulator.add_row(NewRow::new(
        now() - TimeDelta::hours(20),
        "b@contoso.example",
    ));
    for endpoint in BOTH {
        let graph = endpoint == Endpoint::Graph;
        let show = async |form: Outside| {
            let outside = OutsideWindow {
                rows: 2,
                form,
                ..OutsideWindow::default()
            };
            emulator.fault(endpoint, Fault::OutsideWindow(outside).times(1));
            dates(&ask(&emulator, endpoint, 60).await.json())
        };
        let own = dates(&ask(&emulator, endpoint, 60).await.json());
        let earlier = show(Outside::Earlier).await;
        assert_eq!(
            (&earlier[..own.len()], earlier.len()),
            (&own[..], own.len() + 1)
        );
        let first = show(Outside::YearOne).await;
        let year_one = if graph {
            "0001-01-01T00:00:00.000Z"
        } else {
            "/Date(-62135596800000)/"
        };
        assert_eq!(
            (&first[0], &first[1], &first[2]),
            (&json!(year_one), &json!(year_one), &own[2])
        );
        let null = show(Outside::Null).await;
        assert_eq!(
            (&null[0], &null[1], &null[2]),
            (&Value::Null, &Value::Null, &own[2])
        );
        let all = show(Outside::Unfiltered).await;
        assert!(all.len() >= 1_000 && all.len() > own.len(), "{}", all.len());
    }
}

#[tokio::test]
async fn links_are_always_new() {
    for endpoint in BOTH {
        let emulator = emulator(100);
        emulator.configure(|settings| {
            settings.graph.page_rows = 40;
            settings.graph.boundary_repeated = false;
            settings.report.page_rows = 40;
        });
        let play = async |form: FreshLink, pages: usize| {
            emulator.fault(endpoint, Fault::FreshLinks(form.into()));
            let mut answer = ask(&emulator, endpoint, 120).await;
            let mut seen = Vec::new();
            let mut links = Vec::new();
            while answer.status == 200 {
                let page = answer.json();
                seen.push(rows(&page));
                links.extend(link(&page).map(str::to_owned));
                if seen.len() == pages {
                    break;
                }
                let Some(next) = follow(&emulator, endpoint, &page).await else {
                    break;
                };
                answer = next;
            }
            emulator.clear_faults(endpoint);
            (seen, links, answer.status.as_u16())
        };
        let (pages, mut links, _) = play(FreshLink::SameRows, 6).await;
        assert!(pages.len() == 6 && pages.iter().all(|page| page == &pages[0]));
        links.dedup();
        assert_eq!(links.len(), 6, "{links:?}");
        let (pages, _, status) = play(FreshLink::Failing, 6).await;
        assert_eq!((pages.len(), status), (1, 500));
        let (pages, links, _) = play(FreshLink::Long, 1).await;
        assert!(pages.len() == 1 && links[0].len() > 70_000);
        let (pages, mut links, _) = play(FreshLink::Empty, 99).await;
        let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(lengths, [40, 0, 0, 0, 40, 0, 0, 0, 20]);
        links.dedup();
        assert_eq!(links.len(), 8);
    }
}
