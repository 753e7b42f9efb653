//! The message trace of Microsoft Graph against what others have seen.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use crate::support::{Answer, HOST, TRACES, deliver, graph, now, token};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{
    Backlog, ById, Clock, Emulator, GraphLink, NewRow, Options, PAST, Resolution, RetryAfter,
    Scope, ServicePrincipal, Settings, Status, Traffic,
};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

/// An emulator with a clock that can be moved, and a token for Graph.
struct Tenant {
    emulator: Emulator,
    time: Arc<Mutex<DateTime<Utc>>>,
    token: String,
}

impl Tenant {
    async fn new(rows: u64) -> Self {
        let time = Arc::new(Mutex::new(now()));
        let shown = Arc::clone(&time);
        let emulator = Emulator::new(Options {
            clock: Clock::new(move || *shown.lock().unwrap()),
            traffic: Traffic {
                backlog: Backlog::rows(TimeDelta::hours(2), rows),
                resolution: Resolution::Millisecond,
                ..Traffic::default()
            },
            ..Options::default()
        });
        let token = token(&emulator, "https://graph.microsoft.com").await;
        Self {
            emulator,
            time,
            token,
        }
    }

    fn pass(&self, time: TimeDelta) {
        *self.time.lock().unwrap() += time;
    }

    async fn ask(&self, options: &str) -> Answer {
        let url = format!("{TRACES}?{options}");
        graph(&self.emulator, &url, &self.token, &[]).await
    }

    async fn follow(&self, link: &str) -> Answer {
        let url = Url::parse(link).unwrap();
        assert_eq!(url.host_str(), Some(HOST));
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        graph(&self.emulator, &target, &self.token, &[]).await
    }

    /// All rows, by following links; and the number of pages.
    async fn traverse(&self, options: &str) -> (Vec<Value>, usize) {
        let mut answer = self.ask(options).await;
        let (mut rows, mut pages) = (Vec::new(), 1);
        loop {
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page = answer.json();
            rows.extend(page["value"].as_array().unwrap().iter().cloned());
            let Some(next) = page["@odata.nextLink"].as_str() else {
                return (rows, pages);
            };
            answer = self.follow(next).await;
            pages += 1;
            assert!(pages < 1000, "no end");
        }
    }
}

fn keys(rows: &[Value]) -> HashSet<(String, String)> {
    let key = |row: &Value| (row["id"].to_string(), row["recipientAddress"].to_string());
    rows.iter().map(key).collect()
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn rows_have_exactly_the_documented_properties() {
    let tenant = Tenant::new(0).await;
    let row = NewRow::new(now() - TimeDelta::milliseconds(500), "b@contoso.example");
    let mut expected = row.row.clone();
    expected.subject = Some(String::from("Subject"));
    tenant.emulator.add_row(row);
    let page = tenant.ask("").await.json();
    let context = format!("http://{HOST}/v1.0/$metadata#admin/exchange/tracing/messageTraces");
    assert_eq!(page["@odata.context"], context);
    assert!(page.get("@odata.nextLink").is_none());
    assert_eq!(
        page["value"][0],
        json!({
            "id": expected.trace_id,
            "senderAddress": expected.sender,
            "recipientAddress": "b@contoso.example",
            "messageId": expected.message_id,
            "receivedDateTime": "2026-11-22T09:59:59.500Z",
            "subject": "Subject",
            "size": expected.size,
            "fromIP": expected.from_ip,
            "toIP": "",
            "status": "delivered",
        })
    );
    tenant.emulator.configure(|settings| {
        settings.graph.unknown_as_null = true;
        settings.graph.odata_type = true;
        settings.graph.fraction_digits = 7;
    });
    let row = &tenant.ask("").await.json()["value"][0];
    assert_eq!(row["toIP"], Value::Null);
    assert_eq!(row["@odata.type"], "#microsoft.graph.exchangeMessageTrace");
    assert_eq!(row["receivedDateTime"], "2026-11-22T09:59:59.5000000Z");
}

#[tokio::test]
async fn links_lead_through_all_rows_in_every_form() {
    for (keeps, padded, empty) in [(false, true, 0.0), (true, false, 0.0), (false, false, 0.5)] {
        let tenant = Tenant::new(9_000).await;
        tenant.emulator.configure(|settings| {
            settings.graph.link_keeps_options = keeps;
            settings.graph.padded_tokens = padded;
            settings.graph.empty_pages = empty;
        });
        let (mut rows, pages) = tenant.traverse("$top=300").await;
        rows.dedup();
        assert_eq!((rows.len(), keys(&rows).len()), (9_000, 9_000));
        assert_eq!(pages > 31, empty > 0.0, "{pages}");
        let order = |row: &Value| {
            let received = row["receivedDateTime"].as_str().unwrap().to_owned();
            (
                std::cmp::Reverse(received),
                row["recipientAddress"].to_string(),
            )
        };
        assert!(rows.is_sorted_by_key(order));
        let events: Vec<_> = rows.iter().map(Value::to_string).collect();
        deliver(&tenant.emulator, &events).await;
        let verdict = tenant.emulator.verdict(&Scope::default());
        assert!(
            verdict.is_clean() && verdict.delivered == 9_000,
            "{verdict}"
        );
    }
}

#[tokio::test]
async fn filters_survive_in_the_token_or_in_the_link() {
    for keeps in [true, false] {
        let tenant = Tenant::new(2_000).await;
        tenant
            .emulator
            .configure(|settings| settings.graph.link_keeps_options = keeps);
        let filter = "$top=10&$filter=status eq 'quarantined' and \
                      receivedDateTime ge 2026-11-22T08:30:00Z and \
                      receivedDateTime le 2026-11-22T09:59:00.123456Z";
        let (rows, pages) = tenant.traverse(filter).await;
        assert!(pages > 1 && rows.iter().all(|row| row["status"] == "quarantined"));
    }
}

#[tokio::test]
async fn tokens_can_be_rebuilt_from_the_last_row() {
    let tenant = Tenant::new(500).await;
    let page = tenant.ask("$top=100").await.json();
    let last = &page["value"][99];
    let token = json!({
        "StartDate": "2026-11-20T10:00:00.0000000Z",
        "EndDate": last["receivedDateTime"],
        "StartingRecipientAddress": last["recipientAddress"],
        "ResultSize": "100",
    });
    let own = format!("$skiptoken={}", STANDARD_NO_PAD.encode(token.to_string()));
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(
        tenant.ask(&own).await.json()["value"],
        tenant.follow(next).await.json()["value"]
    );
}

#[tokio::test]
async fn a_poisoned_token_is_refused_until_it_is_unwrapped() {
    let tenant = Tenant::new(500).await;
    tenant
        .emulator
        .configure(|settings| settings.graph.poisoned_tokens = 1.0);
    let page = tenant.ask("$top=100").await.json();
    let next = page["@odata.nextLink"].as_str().unwrap();
    for _ in 0..2 {
        let answer = tenant.follow(next).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (400, &json!("BadRequest"))
        );
        assert!(message(&answer).contains("Cannot process argument transformation on parameter"));
    }
    let url = Url::parse(next).unwrap();
    let token = url
        .query_pairs()
        .find(|(name, _)| name == "$skiptoken")
        .unwrap()
        .1
        .into_owned();
    let text = String::from_utf8(STANDARD.decode(token).unwrap()).unwrap();
    let healed = STANDARD.encode(text.replace("\\\"", ""));
    let answer = tenant.ask(&format!("$skiptoken={healed}")).await;
    assert_eq!(answer.json()["value"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn links_expire_repeat_are_refused_or_lead_elsewhere() {
    let tenant = Tenant::new(500).await;
    let next = async || {
        let page = tenant.ask("$top=100").await.json();
        page["@odata.nextLink"].as_str().unwrap().to_owned()
    };
    tenant
        .emulator
        .configure(|settings| settings.graph.token_seconds = Some(60));
    let link = next().await;
    assert_eq!(tenant.follow(&link).await.status, 200);
    tenant.pass(TimeDelta::seconds(61));
    assert_eq!(tenant.follow(&link).await.status, 400);
    tenant.emulator.configure(|settings| {
        settings.graph.token_seconds = None;
        settings.graph.next_link = GraphLink::Repeating;
    });
    let link = next().await;
    assert_eq!(tenant.follow(&link).await.json()["@odata.nextLink"], link);
    tenant
        .emulator
        .configure(|settings| settings.graph.refused_tokens = 1.0);
    assert!(message(&tenant.follow(&link).await).ends_with("Invalid starting recipient address"));
    tenant.emulator.configure(|settings| {
        settings.graph.next_link = GraphLink::Foreign(String::from("https://evil.example"));
    });
    assert!(next().await.starts_with("https://evil.example/v1.0/admin/"));
    let page = tenant.ask("$top=100").await.json();
    let last = page["value"].as_array().unwrap().last().unwrap();
    let last = last["recipientAddress"].as_str().unwrap();
    for (recipient, status) in [(last, 400), ("nobody@contoso.example", 200)] {
        tenant.emulator.configure(|settings| {
            settings.graph.refused_tokens = 0.0;
            settings.graph.next_link = GraphLink::Own;
            settings.graph.refused_recipient = Some(recipient.to_owned());
        });
        assert_eq!(tenant.follow(&next().await).await.status, status);
    }
}

#[tokio::test]
async fn pages_repeat_their_boundary_or_do_not() {
    let tenant = Tenant::new(500).await;
    let (rows, _) = tenant.traverse("$top=100").await;
    assert_eq!((rows.len() > 500, keys(&rows).len()), (true, 500));
    tenant
        .emulator
        .configure(|settings| settings.graph.boundary_repeated = false);
    let (rows, _) = tenant.traverse("$top=100").await;
    assert_eq!((rows.len(), keys(&rows).len()), (500, 500));
}

#[tokio::test]
async fn a_mail_to_1500_people_has_1500_rows_with_one_id() {
    let tenant = Tenant::new(100).await;
    let id = Uuid::new_v4();
    for number in 0..1500 {
        let recipient = format!("user{number}@contoso.example");
        let row = NewRow::new(now() - TimeDelta::minutes(10), &recipient).trace_id(id);
        tenant.emulator.add_row(row);
    }
    let (rows, _) = tenant.traverse("$top=400").await;
    assert_eq!(keys(&rows).len(), 1600);
    let by_id = format!("$top=400&$filter=id eq '{id}'");
    tenant
        .emulator
        .configure(|settings| settings.graph.shown_recipients = Some(1000));
    assert_eq!(keys(&tenant.traverse("$top=400").await.0).len(), 1100);
    for (how, rows) in [
        (ById::Answered, 1500),
        (ById::Overlooked, 1100),
        (ById::Empty, 0),
    ] {
        let change = |settings: &mut Settings| settings.graph.by_id = how;
        tenant.emulator.configure(change);
        let found = keys(&tenant.traverse(&by_id).await.0).len();
        assert_eq!(found, rows, "{how:?}");
    }
    for (how, status) in [(ById::Refused, 400), (ById::Failing, 503)] {
        tenant
            .emulator
            .configure(|settings| settings.graph.by_id = how);
        assert_eq!(tenant.ask(&by_id).await.status, status);
        assert_eq!(tenant.ask("$top=400").await.status, 200);
    }
}

#[tokio::test]
async fn bad_queries_are_refused_in_the_envelope() {
    let tenant = Tenant::new(0).await;
    let refused = async |options: &str| {
        let answer = tenant.ask(options).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (400, &json!("BadRequest"))
        );
        message(&answer)
    };
    let long = "$filter=receivedDateTime ge 2026-11-01T00:00:00Z and \
                receivedDateTime le 2026-11-22T00:00:00Z";
    assert!(refused(long).await.contains("can't be longer than 10 days"));
    let half = "$filter=receivedDateTime ge 2026-11-22T00:00:00Z";
    assert!(refused(half).await.starts_with("EndDate is required"));
    assert_eq!(refused("$top=5001").await, "ResultSize is invalid");
    assert_eq!(tenant.ask("$top=0").await.status, 200);
    let url = format!("$filter=subject eq '{}'", "x".repeat(9000));
    assert_eq!(tenant.ask(&url).await.status, 404);
    assert_eq!(
        tenant
            .ask("$orderby=size&$select=id&$count=true")
            .await
            .status,
        200
    );
    let headers = [("client-request-id", "me")];
    let url = format!("{TRACES}?$top=x");
    let answer = graph(&tenant.emulator, &url, &tenant.token, &headers).await;
    assert_eq!(answer.header("client-request-id"), "me");
    let inner = answer.json()["error"]["innerError"].clone();
    assert_eq!(
        (&inner["client-request-id"], &inner["date"]),
        (&json!("me"), &json!("2026-11-22T10:00:00"))
    );
    assert_eq!(inner["request-id"], answer.header("request-id"));
}

#[tokio::test]
async fn refusals_of_tokens_and_missing_rights_are_told_apart() {
    let tenant = Tenant::new(1).await;
    let code = |answer: &Answer| answer.json()["error"]["code"].as_str().unwrap().to_owned();
    tenant.emulator.configure(|settings| {
        settings.graph.service_principal =
            ServicePrincipal::PresentFrom(now() + TimeDelta::minutes(30));
    });
    let answer = tenant.ask("").await;
    assert_eq!(
        (answer.status.as_u16(), code(&answer)),
        (401, String::from("Unauthorized"))
    );
    assert!(message(&answer).contains("8bd644d1-64a1-4d4b-ae52-2e0cbf64e373"));
    tenant.pass(TimeDelta::minutes(30));
    assert_eq!(tenant.ask("").await.status, 200);
    tenant.pass(TimeDelta::minutes(30));
    let answer = tenant.ask("").await;
    assert_eq!(code(&answer), "InvalidAuthenticationToken");
    assert!(message(&answer).contains("expired") && answer.status == 401);
    let outlook = token(&tenant.emulator, "https://outlook.office365.com").await;
    let answer = graph(&tenant.emulator, TRACES, &outlook, &[]).await;
    assert!(message(&answer).contains("audience"));
    tenant
        .emulator
        .configure(|settings| settings.identity.apps[0].roles.clear());
    let token = token(&tenant.emulator, "https://graph.microsoft.com").await;
    let answer = graph(&tenant.emulator, TRACES, &token, &[]).await;
    assert_eq!(
        (answer.status.as_u16(), code(&answer)),
        (403, String::from("Authorization_RequestDenied"))
    );
}

#[tokio::test]
async fn the_quota_is_the_tenants() {
    let tenant = Tenant::new(0).await;
    tenant.emulator.consume_quota(98);
    assert_eq!(tenant.ask("").await.status, 200);
    let details = format!("{TRACES}/x/getDetailsByRecipient(recipientAddress='a%40b.c')");
    let answer = graph(&tenant.emulator, &details, &tenant.token, &[]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["value"]),
        (200, &json!([]))
    );
    let answer = tenant.ask("").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (429, "300")
    );
    assert!(message(&answer).starts_with("Your recent queries have surpassed"));
    tenant
        .emulator
        .configure(|settings| settings.graph.quota.retry_after = RetryAfter::Date);
    let date = tenant.ask("").await.header("retry-after").to_owned();
    assert_eq!(date, "Sun, 22 Nov 2026 10:05:00 GMT");
    tenant
        .emulator
        .configure(|settings| settings.graph.quota.retry_after = RetryAfter::Past);
    assert_eq!(tenant.ask("").await.header("retry-after"), PAST);
    tenant
        .emulator
        .configure(|settings| settings.graph.quota.retry_after = RetryAfter::Absent);
    assert!(!tenant.ask("").await.headers.contains_key("retry-after"));
    tenant.pass(TimeDelta::seconds(301));
    assert_eq!(tenant.ask("").await.status, 200);
    assert_eq!(tenant.emulator.quota_use().used, 1);
}

#[tokio::test]
async fn statuses_change_and_recalled_wants_the_preference() {
    let tenant = Tenant::new(0).await;
    let row = NewRow::new(now() - TimeDelta::minutes(5), "a@contoso.example")
        .status(Status::GettingStatus)
        .visible_from(now() + TimeDelta::minutes(1))
        .then(now() + TimeDelta::minutes(2), Status::Delivered)
        .then(now() + TimeDelta::minutes(3), Status::Recalled);
    let (id, recipient) = (row.row.trace_id, row.row.recipient.clone());
    tenant.emulator.add_row(row);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = tenant.ask("").await.json();
        seen.push(
            page["value"][0]["status"]
                .as_str()
                .unwrap_or("none")
                .to_owned(),
        );
        tenant.pass(TimeDelta::minutes(1));
    }
    assert_eq!(
        seen,
        ["none", "gettingStatus", "delivered", "unknownFutureValue"]
    );
    let prefer = [("prefer", "include-unknown-enum-members")];
    let answer = graph(&tenant.emulator, TRACES, &tenant.token, &prefer).await;
    assert_eq!(answer.json()["value"][0]["status"], "recalled");
    let details = format!("{TRACES}/{id}/getDetailsByRecipient(recipientAddress='{recipient}')");
    let events = graph(&tenant.emulator, &details, &tenant.token, &[])
        .await
        .json();
    let names: Vec<_> = events["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["event"])
        .collect();
    assert_eq!(names, ["Submit", "Receive", "Deliver", "Recall"]);
}

#[tokio::test]
async fn resolved_is_shown_to_those_who_prefer_it() {
    let tenant = Tenant::new(0).await;
    let at = now() - TimeDelta::minutes(5);
    let row = NewRow::new(at, "a@contoso.example").status(Status::Resolved);
    tenant.emulator.add_row(row);
    let mut events = Vec::new();
    for (prefer, status) in [
        ("", "unknownFutureValue"),
        ("include-unknown-enum-members", "resolved"),
    ] {
        let prefer = [("prefer", prefer)];
        let answer = graph(&tenant.emulator, TRACES, &tenant.token, &prefer).await;
        let row = answer.json()["value"][0].clone();
        assert_eq!(row["status"], status);
        events.push(row.to_string());
    }
    deliver(&tenant.emulator, &events).await;
    let verdict = tenant.emulator.verdict(&Scope::default());
    assert_eq!(
        (verdict.unasked.count, verdict.missing.count),
        (0, 0),
        "{verdict}"
    );
    assert_eq!(verdict.doubled.count, 1, "{verdict}");
}
