//! What reaches the intake is what its format "Message Trace" reads.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Dialect, Endpoint, Fault, NewRow, TraceRow};
use serde_json::Value;

use crate::{
    source::blocks,
    world::{World, repository},
};

/// What the intake format reads from an event.
#[derive(Debug, PartialEq)]
pub(crate) struct Normalized {
    timestamp: DateTime<Utc>,
    action: String,
    message_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    pub(crate) subject: Option<String>,
    source_ip: Option<String>,
    size: Option<u64>,
    trace_id: Option<String>,
    pub(crate) organization: Option<String>,
}

impl From<TraceRow> for Normalized {
    fn from(row: TraceRow) -> Self {
        Self {
            timestamp: DateTime::from_timestamp_millis(row.received.timestamp_millis()).unwrap(),
            action: row.status.to_string(),
            message_id: row.message_id,
            from: Some(row.sender),
            to: Some(row.recipient),
            subject: row.subject,
            source_ip: row.from_ip,
            size: Some(row.size.into()),
            trace_id: Some(row.trace_id.to_string()),
            organization: Some(row.organization),
        }
    }
}

/// Reads an event as the format does; an error where it would leave the event without a date or an
/// action.
pub(crate) fn normalize(text: &str) -> Result<Normalized, String> {
    let event: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let field = |name: &str| match &event[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(format!("{name} is {other}")),
    };
    let received = field("Received")?.ok_or("no Received")?;
    let millis = received.replace("/Date(", "").replace(")/", "");
    let millis = millis
        .parse()
        .map_err(|_| format!("Received is {received}"))?;
    for name in ["StartDate", "EndDate"] {
        let Some(date) = field(name)? else {
            continue;
        };
        let digits = date
            .strip_prefix("/Date(")
            .and_then(|rest| rest.strip_suffix(")/"));
        digits
            .and_then(|digits| digits.parse::<i64>().ok())
            .ok_or(format!("{name} is {date}"))?;
    }
    Ok(Normalized {
        timestamp: DateTime::from_timestamp_millis(millis).ok_or("no instant")?,
        action: field("Status")?.ok_or("no Status")?,
        message_id: field("MessageId")?,
        from: field("SenderAddress")?,
        to: field("RecipientAddress")?,
        subject: field("Subject")?,
        source_ip: field("FromIP")?.filter(|ip| ip.parse::<std::net::IpAddr>().is_ok()),
        size: event["Size"].as_u64(),
        trace_id: field("MessageTraceId")?,
        organization: field("Organization")?,
    })
}

async fn every_row_is_read_by_the_format(dialect: Dialect) {
    let world = World::with_backlog(4, 3_000).await;
    world
        .emulator
        .configure(|settings| settings.report.always = Some(dialect));
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    let truth = world
        .emulator
        .rows(world.now() - TimeDelta::hours(5), world.now());
    let events = world.emulator.accepted();
    assert_eq!(events.len(), 3_000);
    for event in &events {
        let event: Value = serde_json::from_str(&event.text).unwrap();
        assert!(event["StartDate"].is_string() && event["EndDate"].is_string());
    }
    let seen = events.iter().map(|event| normalize(&event.text).unwrap());
    assert_same(seen.collect(), truth.into_iter().map(Into::into).collect());
}

/// That the same rows were read, in any order.
pub(crate) fn assert_same(mut seen: Vec<Normalized>, mut expected: Vec<Normalized>) {
    let order = |row: &Normalized| (row.timestamp, row.trace_id.clone(), row.to.clone());
    seen.sort_by_key(order);
    expected.sort_by_key(order);
    for (seen, expected) in seen.iter().zip(&expected) {
        assert_eq!(seen, expected);
    }
    assert_eq!(seen.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn verbose_rows() {
    every_row_is_read_by_the_format(Dialect::Verbose).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn light_rows() {
    every_row_is_read_by_the_format(Dialect::Light).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_the_vendor_s_page_goes_byte_for_byte() {
    let world = World::with_backlog(1, 0).await;
    let sample = repository().join("tests/samples/reporting-verbose.json");
    let body = std::fs::read_to_string(sample).unwrap();
    let answer = Fault::Replace {
        status: 200,
        content_type: "application/json;odata=verbose".to_owned(),
        body: body.clone(),
    };
    world
        .emulator
        .fault(Endpoint::Report, answer.after(1).times(1));
    let mut process = world.start();
    process.prints("Forwarding 1 records").await;
    crate::world::until("the row is accepted", || world.count(Endpoint::Intake) == 1).await;
    process.stop().await;
    let events = world.emulator.accepted();
    let [event] = events.as_slice() else {
        panic!("{events:#?}")
    };
    assert!(body.contains(&event.text), "{}", event.text);
    let normalized = normalize(&event.text).unwrap();
    assert_eq!(normalized.timestamp.timestamp_millis(), 1_659_020_996_164);
    assert_eq!(normalized.action, "Delivered");
    assert_eq!(
        normalized.trace_id.as_deref(),
        Some("579cd25c-9b30-4ce4-d5eb-08da70ab3b38")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_to_many_gives_an_event_for_each() {
    let world = World::with_backlog(1, 0).await;
    let received = world.now() - TimeDelta::minutes(10);
    let first = NewRow::new(received, "r0@contoso.example");
    let id = first.row.trace_id;
    world.emulator.add_row(first);
    for n in 1..1_500 {
        let row = NewRow::new(received, &format!("r{n}@contoso.example")).trace_id(id);
        world.emulator.add_row(row);
    }
    world
        .emulator
        .configure(|settings| settings.report.page_rows = 1_000);
    let mut process = world.start();
    let verdict = world.all_delivered().await;
    process.stop().await;
    assert_eq!(verdict.delivered, 1_500);
}

/// The names and kinds of the values of an event, in their order.
fn form(event: &str) -> Vec<(String, &'static str)> {
    let event: serde_json::Map<String, Value> = serde_json::from_str(event).unwrap();
    let kinds = event.into_iter().map(|(name, value)| {
        let kind = match value {
            Value::String(_) => "text",
            Value::Number(_) => "number",
            _ => "something else",
        };
        (name, kind)
    });
    kinds.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_shows_an_event_as_the_intake_gets_it() {
    let world = World::graph(30).await;
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    let events = world.emulator.accepted();
    let forms: Vec<_> = events.iter().map(|event| form(&event.text)).collect();
    for page in ["README.md", "docs/integration.md"] {
        let text = std::fs::read_to_string(repository().join(page)).unwrap();
        let shown = blocks(&text, "json");
        let [shown] = shown.as_slice() else {
            panic!("{page}: {shown:?}")
        };
        assert!(
            forms.contains(&form(shown)),
            "{page}: {shown} and {:?}",
            forms[0]
        );
    }
}
