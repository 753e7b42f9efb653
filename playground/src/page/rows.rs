//! A row as it arrived at the intake, and what the intake's format reads from it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::AcceptedEvent;
use serde_json::Value;

/// Rows that are kept to be looked at.
pub(crate) const KEPT: usize = 500;

/// Rows whose earlier status is remembered.
const KNOWN: usize = 20_000;

/// A row that the intake has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The number of its event.
    pub(crate) number: u64,
    /// When it was accepted.
    pub(crate) at: DateTime<Utc>,
    /// When the message was received; none where that cannot be read.
    pub(crate) received: Option<DateTime<Utc>>,
    /// The message.
    pub(crate) trace_id: String,
    /// Who sent it.
    pub(crate) sender: String,
    /// To whom.
    pub(crate) recipient: String,
    /// Its subject; empty for none.
    pub(crate) subject: String,
    /// What became of it.
    pub(crate) status: String,
    /// The status with which the row came before, and when; none for the first time.
    pub(crate) before: Option<(String, DateTime<Utc>)>,
    /// The letter of the switch that it is due to.
    pub(crate) letter: Option<char>,
    /// The event as it was sent.
    pub(crate) text: String,
}

impl Row {
    /// How long after its reception it was accepted.
    pub(crate) fn late_by(&self) -> Option<TimeDelta> {
        Some(self.at - self.received?)
    }
}

/// The rows of late, bounded.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The newest last.
    pub(crate) rows: VecDeque<Row>,
    /// How many came since the beginning.
    pub(crate) number: u64,
    known: HashMap<(String, String), (String, DateTime<Utc>)>,
    order: VecDeque<(String, String)>,
}

impl Rows {
    /// Takes one in, and returns it as it is shown.
    pub(crate) fn add(&mut self, number: u64, event: AcceptedEvent) -> &mut Row {
        let mut row = read(number, event);
        let key = (row.trace_id.clone(), row.recipient.clone());
        let present = (row.status.clone(), row.at);
        row.before = self.known.insert(key.clone(), present);
        if row.before.is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.rows.len() == KEPT {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
        let newest = self.rows.len() - 1;
        #[allow(clippy::indexing_slicing, reason = "it was pushed just before")]
        &mut self.rows[newest]
    }

    /// The row with this number, while it is kept.
    pub(crate) fn find(&self, number: u64) -> Option<&Row> {
        self.rows.iter().find(|row| row.number == number)
    }
}

fn read(number: u64, event: AcceptedEvent) -> Row {
    let json: Value = serde_json::from_str(&event.text).unwrap_or(Value::Null);
    let text = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| json.get(name)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    let received = json
        .get("receivedDateTime")
        .or_else(|| json.get("Received"));
    Row {
        number,
        at: event.at,
        received: received.and_then(Value::as_str).and_then(date),
        trace_id: text(["id", "MessageTraceId"]),
        sender: text(["senderAddress", "SenderAddress"]),
        recipient: text(["recipientAddress", "RecipientAddress"]),
        subject: text(["subject", "Subject"]),
        status: text(["status", "Status"]),
        before: None,
        letter: None,
        text: event.text,
    }
}

/// `/Date(1658751973240)/`, or RFC 3339.
fn date(text: &str) -> Option<DateTime<Utc>> {
    match text
        .strip_prefix("/Date(")
        .and_then(|rest| rest.strip_suffix(")/"))
    {
        Some(millis) => DateTime::from_timestamp_millis(millis.parse().ok()?),
        None => Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
    }
}

/// A field of the intake's format: its name, and its value or why it is left out.
pub(crate) type Parsed = (&'static str, Result<String, String>);

/// What the intake's format reads from an event: its name, and each field with its value or with the
/// reason why it is left out.
pub(crate) fn parsed(text: &str) -> (&'static str, Vec<Parsed>) {
    let json: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let graph = json.get("id").is_some();
    let plain = |name: &str| match json.get(name) {
        None => Err(format!("left out: there is no {name}")),
        Some(Value::Null) => Err(format!("left out: {name} is null")),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
    };
    let address = |name: &str| match plain(name) {
        Ok(text) if text.parse::<IpAddr>().is_ok() => Ok(text),
        Ok(text) if text.is_empty() => Err(format!("left out: {name} is empty")),
        Ok(_) => Err(format!("left out: {name} is no IP address")),
        Err(why) => Err(why),
    };
    let message = |name: &str| plain(name).map(|id| id.trim_matches(['<', '>']).to_owned());
    let fixed = |text: &str| Ok(text.to_owned());
    if graph {
        let fields = vec![
            ("@timestamp", plain("receivedDateTime")),
            ("event.action", plain("status")),
            ("event.category", fixed("email")),
            ("event.type", fixed("info")),
            ("email.message_id", message("messageId")),
            ("email.from.address", plain("senderAddress")),
            ("email.to.address", plain("recipientAddress")),
            ("email.subject", plain("subject")),
            ("source.ip", address("fromIP")),
            ("destination.ip", address("toIP")),
            ("network.bytes", plain("size")),
        ];
        return ("Message Trace (Graph API)", fields);
    }
    let received = plain("Received").and_then(|text| {
        let date = date(&text).map(|date| date.to_rfc3339());
        date.ok_or_else(|| "left out: Received is no /Date(…)/".to_owned())
    });
    let fields = vec![
        ("@timestamp", received),
        ("event.action", plain("Status")),
        ("event.category", fixed("email")),
        ("event.type", fixed("info")),
        ("email.message_id", message("MessageId")),
        ("email.from.address", plain("SenderAddress")),
        ("email.to.address", plain("RecipientAddress")),
        ("email.subject", plain("Subject")),
        ("source.ip", address("FromIP")),
        ("office365.message_trace.Size", plain("Size")),
        (
            "office365.message_trace.MessageTraceId",
            plain("MessageTraceId"),
        ),
        ("organization.name", plain("Organization")),
    ];
    ("Message Trace", fields)
}

/// An event in lines, in the order in which it was sent.
pub(crate) fn indented(text: &str) -> String {
    let (mut lines, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for c in text.chars() {
        let opens = matches!(c, '{' | '[') && !quoted;
        let closes = matches!(c, '}' | ']') && !quoted;
        if closes {
            depth -= 1;
            new_line(&mut lines, depth);
        }
        if quoted || !c.is_whitespace() {
            lines.push(c);
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            ':' if !quoted => lines.push(' '),
            ',' if !quoted => new_line(&mut lines, depth),
            _ => {}
        }
        if opens {
            depth += 1;
            new_line(&mut lines, depth);
        }
        escaped = quoted && c == '\\' && !escaped;
    }
    lines
}

fn new_line(lines: &mut String, depth: i32) {
    lines.push('\n');
    (0..depth).for_each(|_| lines.push_str("  "));
}

#[cfg(test)]
mod tests {
    use emulator::Secret;

    use super::*;

    fn event(text: &str) -> AcceptedEvent {
        AcceptedEvent {
            at: DateTime::from_timestamp(1_795_000_060, 0).unwrap(),
            intake_key: Secret::new("k"),
            text: text.to_owned(),
        }
    }

    #[test]
    fn rows_of_either_format_are_read() {
        let mut rows = Rows::default();
        let graph = r#"{"id":"1","senderAddress":"a@x","recipientAddress":"b@y","status":"pending",
            "receivedDateTime":"2026-11-18T11:06:40Z","subject":null,"fromIP":"","toIP":"::1"}"#;
        let row = rows.add(1, event(graph));
        assert_eq!(row.late_by(), Some(TimeDelta::seconds(60)));
        assert_eq!((row.subject.as_str(), &row.before), ("", &None));
        let again = rows.add(2, event(&graph.replace("pending", "delivered")));
        assert_eq!(again.before.as_ref().unwrap().0, "pending");
        let (name, fields) = parsed(graph);
        assert_eq!(name, "Message Trace (Graph API)");
        let field = |name: &str| {
            let found = fields.iter().find(|(known, _)| *known == name);
            found.unwrap().1.clone()
        };
        assert_eq!(
            field("source.ip"),
            Err("left out: fromIP is empty".to_owned())
        );
        assert_eq!(
            field("email.subject"),
            Err("left out: subject is null".to_owned())
        );
        assert_eq!(field("destination.ip").unwrap(), "::1");

        let report =
            r#"{"MessageTraceId":"1","Received":"/Date(1795000000000)/","Status":"Failed"}"#;
        let row = rows.add(3, event(report));
        assert_eq!(
            (row.status.as_str(), row.late_by().unwrap().num_seconds()),
            ("Failed", 60)
        );
        assert_eq!(parsed(report).0, "Message Trace");
    }

    #[test]
    fn an_event_is_shown_in_its_own_order() {
        let text = r#"{"b":"x\",{ y","a":1}"#;
        assert_eq!(indented(text), "{\n  \"b\": \"x\\\",{ y\",\n  \"a\": 1\n}");
    }

    #[test]
    fn no_more_than_some_are_kept() {
        let mut rows = Rows::default();
        for number in 0..KEPT as u64 + 10 {
            rows.add(number, event(&format!(r#"{{"id":"{number}"}}"#)));
        }
        assert_eq!(rows.rows.len(), KEPT);
        assert!(rows.find(9).is_none() && rows.find(10).is_some());
    }
}
