//! The Reporting Web Service against the shapes that others have seen.

use std::collections::HashSet;

use crate::support::{TRACE, emulator, now, report};
use chrono::TimeDelta;
use emulator::{ById, Canned, NewRow, NextLink, SkipToken, Status};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

/// The verbose row of the page from which this project started, with its own names and forms.
#[tokio::test]
async fn verbose_rows_have_the_documented_shape() {
    let emulator = emulator(0);
    let row = NewRow::new(now() - TimeDelta::milliseconds(4), "user@corp.example");
    let id = row.row.trace_id;
    emulator.add_row(row);
    let answer = report(&emulator, &format!("{TRACE}?$format=json"), "*/*").await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(
        text.contains(r#""Received":"\/Date(1795341599996)\/""#),
        "{text}"
    );
    let row = &answer.json()["d"]["results"][0];
    let base = "https://reports.office365.com/ecp/ReportingWebService/Reporting.svc";
    assert_eq!(
        row["__metadata"],
        json!({
            "id": format!("{base}/MessageTrace(0)"),
            "uri": format!("{base}/MessageTrace(0)"),
            "type": "TenantReporting.MessageTrace",
        })
    );
    let keys: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    let mut expected = vec![
        "__metadata",
        "Organization",
        "MessageId",
        "Received",
        "SenderAddress",
        "RecipientAddress",
        "Subject",
        "Status",
        "ToIP",
        "FromIP",
        "Size",
        "MessageTraceId",
        "StartDate",
        "EndDate",
        "Index",
    ];
    expected.sort_unstable();
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(row["MessageTraceId"], id.to_string());
    // Without a window it is the last 48 hours.
    assert_eq!(row["StartDate"], "/Date(1795168800000)/");
    assert_eq!(row["EndDate"], "/Date(1795341600000)/");
}

#[tokio::test]
async fn the_dialect_follows_format_and_accept() {
    let emulator = emulator(3);
    let light = report(&emulator, TRACE, "application/json").await.json();
    let received = light["value"][0]["Received"].as_str().unwrap();
    assert_eq!(received.len(), "2022-09-05T18:10:13.4907658".len());
    assert!(
        light["value"][0]["EndDate"]
            .as_str()
            .unwrap()
            .ends_with(".0000000Z")
    );
    assert!(
        light["odata.metadata"]
            .as_str()
            .unwrap()
            .ends_with("$metadata#MessageTrace")
    );
    assert!(light.get("odata.nextLink").is_none());
    let atom = report(&emulator, TRACE, "*/*").await.text();
    assert!(atom.starts_with("<?xml"));
    let upper = TRACE.replace("reportingwebservice", "ReportingWebService");
    let array = report(&emulator, &format!("{upper}?$format=Json&$top=2"), "*/*").await;
    assert_eq!(array.json()["d"].as_array().unwrap().len(), 2);
}

/// Follows links as a client does and returns the rows in order.
async fn traverse(emulator: &emulator::Emulator, first: &str) -> Vec<Value> {
    let mut url = Url::parse("http://localhost").unwrap().join(first).unwrap();
    let mut rows = Vec::new();
    loop {
        let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let page = report(emulator, &target, "application/json").await.json();
        rows.extend(page["value"].as_array().unwrap().iter().cloned());
        match page["odata.nextLink"].as_str() {
            Some(next) => url = url.join(next).unwrap(),
            None => return rows,
        }
        assert!(rows.len() < 100_000, "no end");
    }
}

#[tokio::test]
async fn relative_links_lead_through_all_rows_newest_first() {
    for skip_token in [SkipToken::LastIndex, SkipToken::Offset] {
        let emulator = emulator(5_000);
        emulator.configure(|settings| settings.report.skip_token = skip_token);
        let filter = "$filter=StartDate eq datetime'2026-11-22T08:30:00Z' and \
                      EndDate eq DateTime'2026-11-22T09:30:00.000000'";
        let rows = traverse(&emulator, &format!("{TRACE}?{filter}")).await;
        let (from, to) = (
            now() - TimeDelta::minutes(90),
            now() - TimeDelta::minutes(30),
        );
        assert_eq!(rows.len(), emulator.rows(from, to).len());
        assert!(rows.len() > 2_000);
        let keys: HashSet<_> = rows
            .iter()
            .map(|row| {
                (
                    row["MessageTraceId"].to_string(),
                    row["RecipientAddress"].to_string(),
                )
            })
            .collect();
        assert_eq!(keys.len(), rows.len());
        for (index, pair) in rows.windows(2).enumerate() {
            assert_eq!(pair[0]["Index"], index);
            let received = |row: &Value| row["Received"].as_str().unwrap()[..23].to_owned();
            assert!(received(&pair[0]) >= received(&pair[1]));
            assert_eq!(pair[0]["StartDate"], "2026-11-22T08:30:00.0000000Z");
        }
    }
}

#[tokio::test]
async fn links_lead_astray_when_told_to() {
    let emulator = emulator(5_000);
    let link = async |url: &str| {
        let page = report(&emulator, url, "application/json").await.json();
        page["odata.nextLink"].as_str().unwrap().to_owned()
    };
    emulator.configure(|settings| {
        settings.report.next_link = NextLink::Foreign(String::from("http://evil.example"));
    });
    assert!(
        link(TRACE)
            .await
            .starts_with("http://evil.example/ecp/reportingwebservice/")
    );
    emulator.configure(|settings| settings.report.next_link = NextLink::Repeating);
    let second = link(TRACE).await;
    assert_eq!(link(&second.replace("../..", "/ecp")).await, second);
    emulator.configure(|settings| settings.report.next_link = NextLink::Endless);
    let beyond = link(&format!("{TRACE}?$skiptoken=900000")).await;
    assert!(beyond.ends_with("$skiptoken=902000"), "{beyond}");
}

#[tokio::test]
async fn a_query_ends_at_a_million_rows() {
    let emulator = emulator(10);
    let answer = report(
        &emulator,
        &format!("{TRACE}?$skiptoken=999998"),
        "application/json",
    )
    .await;
    assert_eq!(answer.status, 200);
    let answer = report(
        &emulator,
        &format!("{TRACE}?$skiptoken=999999"),
        "application/json",
    )
    .await;
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.text(),
        r#"{"odata.error":{"code":"UnknownError","message":{"lang":"","value":"An error has occurred on the server."}}}"#
    );
}

#[tokio::test]
async fn wrong_queries_are_refused_in_the_envelope_of_their_dialect() {
    let emulator = emulator(10);
    let refused = async |options: &str| {
        let answer = report(&emulator, &format!("{TRACE}?{options}"), "application/json").await;
        assert_eq!(answer.status, 400, "{options}");
        answer.json()["odata.error"]["message"]["value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        refused("$top=1000]").await,
        "Incorrect format for $top argument '1000]'."
    );
    refused("$top=2001").await;
    refused("$filter=StartDate eq datetime'2026-11-22T08:30:00Z'").await;
    refused("$filter=Nonsense eq 'x'").await;
    let old = "$filter=StartDate eq datetime'2026-10-01T00:00:00Z' and \
               EndDate eq datetime'2026-11-22T00:00:00Z'";
    assert!(refused(old).await.contains("older than 30 days"));
    let verbose = report(&emulator, &format!("{TRACE}?$format=json&$top=x"), "*/*").await;
    assert!(verbose.json()["error"]["message"]["value"].is_string());
}

#[tokio::test]
async fn refusals_look_like_the_real_ones() {
    let emulator = emulator(1);
    let ask = async || report(&emulator, TRACE, "application/json").await;
    emulator.configure(|settings| settings.report.permitted = false);
    let answer = ask().await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.text(),
        r#"{"ErrorCode":"","Message":"No permission to access the report for the organization ."}"#
    );
    emulator.configure(|settings| settings.report.basic_sign_in = false);
    let answer = ask().await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    let title = "<title>401 - Unauthorized: Access is denied due to invalid credentials.</title>";
    assert!(answer.text().contains(title));
    assert_eq!(answer.header("content-type"), "text/html");
    emulator.configure(|settings| {
        settings.report.retired = Some(Canned::gone());
    });
    assert_eq!(ask().await.status, 410);
}

#[tokio::test]
async fn bounds_and_conditions_decide_which_rows_are_seen() {
    let emulator = emulator(0);
    for (second, status) in [
        (0, Status::Failed),
        (10, Status::Delivered),
        (20, Status::Pending),
    ] {
        let at = now() - TimeDelta::minutes(5) + TimeDelta::seconds(second);
        emulator.add_row(NewRow::new(at, "o'neil@corp.example").status(status));
    }
    let window = "StartDate eq datetime'2026-11-22T09:55:00Z' and \
                  EndDate eq datetime'2026-11-22T09:55:20Z'";
    let statuses = async |filter: &str| {
        let url = format!("{TRACE}?$filter={filter}");
        let page = report(&emulator, &url, "application/json").await.json();
        let rows = page["value"].as_array().unwrap().clone();
        let statuses = rows
            .iter()
            .map(|row| row["Status"].as_str().unwrap().to_owned());
        statuses.collect::<Vec<_>>()
    };
    assert_eq!(statuses(window).await, ["Pending", "Delivered", "Failed"]);
    emulator.configure(|settings| settings.report.ascending = true);
    assert_eq!(statuses(window).await, ["Failed", "Delivered", "Pending"]);
    emulator.configure(|settings| {
        settings.report.start_included = false;
        settings.report.end_included = false;
    });
    assert_eq!(statuses(window).await, ["Delivered"]);
    let condition = format!("{window} and RecipientAddress eq 'O''Neil@corp.example'");
    assert_eq!(statuses(&condition).await, ["Delivered"]);
    let none = format!("{window} and Status eq 'Failed'");
    assert_eq!(statuses(&none).await, [""; 0]);
}

#[tokio::test]
async fn details_are_those_of_one_recipient_within_the_window() {
    let emulator = emulator(0);
    let row = NewRow::new(now() - TimeDelta::minutes(5), "o'neil@corp.example")
        .then(now() - TimeDelta::minutes(4), Status::Failed);
    let id = row.row.trace_id;
    emulator.add_row(row);
    let address = |id: &str, window: &str| {
        format!(
            "{TRACE}Detail?$format=json&$filter=MessageTraceId eq guid'{id}' and RecipientAddress eq \
             'o''neil@corp.example'{window}"
        )
    };
    let events = async |address: String| {
        let answer = report(&emulator, &address, "*/*").await.json();
        let events = answer["d"]["results"].as_array().unwrap().clone();
        let name = |event: &Value| event["Event"].as_str().unwrap().to_owned();
        events.iter().map(name).collect::<Vec<_>>()
    };
    let id = id.to_string();
    assert_eq!(
        events(address(&id, "")).await,
        ["Submit", "Receive", "Deliver", "Fail"]
    );
    let text = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339().replace("+00:00", "Z");
    let (start, end) = (now() - TimeDelta::minutes(4), now());
    let window = format!(
        " and StartDate eq datetime'{}' and EndDate eq datetime'{}'",
        text(start),
        text(end)
    );
    assert_eq!(events(address(&id, &window)).await, ["Fail"]);
    assert!(
        events(address(&uuid::Uuid::nil().to_string(), ""))
            .await
            .is_empty()
    );
    let answer = report(&emulator, &format!("{TRACE}Detail?$format=json"), "*/*").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_mail_to_1500_people_is_shown_whole_by_its_id() {
    let emulator = emulator(0);
    let id = Uuid::new_v4();
    for number in 0..1500 {
        let recipient = format!("user{number}@contoso.example");
        let row = NewRow::new(now() - TimeDelta::minutes(10), &recipient).trace_id(id);
        emulator.add_row(row);
    }
    let rows = async |options: &str| {
        let url = format!("{TRACE}?$format=json&$top=2000{options}");
        let answer = report(&emulator, &url, "*/*").await;
        assert_eq!(answer.status, 200);
        answer.json()["d"].as_array().unwrap().len()
    };
    emulator.configure(|settings| settings.report.shown_recipients = Some(1000));
    let by_id = format!("&$filter=MessageTraceId eq guid'{id}'");
    assert_eq!((rows("").await, rows(&by_id).await), (1000, 1500));
    emulator.configure(|settings| settings.report.by_id = ById::Overlooked);
    assert_eq!(rows(&by_id).await, 1000);
    emulator.configure(|settings| settings.report.by_id = ById::Empty);
    assert_eq!(rows(&by_id).await, 0);
}
