//! Rows of Graph in the form of the Reporting Web Service. Annotations (`@odata...`) are left out; fields
//! without a counterpart stay as they are.

use std::borrow::Cow;

use rows::{
    date,
    json::{Raw, Scanner},
};
use serde::Deserialize;

use super::errors::Unreadable;

/// What Graph does not tell.
const UNKNOWN: [&str; 4] = ["Organization", "StartDate", "EndDate", "Index"];

/// Which form events have; read from settings by these words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventFormat {
    /// Rows as Graph gives them, byte for byte, for the intake format "Message Trace (Graph
    /// API)".
    #[default]
    Graph,
    /// Rows as the Reporting Web Service would give them, for the intake format "Message Trace".
    Reporting,
}

/// Appends a row in the form of the Reporting Web Service.
pub(crate) fn rewrite(row: &str, to: &mut String) -> Result<(), Unreadable> {
    to.push('{');
    let passed = Scanner::new(row).object(|scanner, name| {
        let value = scanner.value()?;
        if name.starts_with('@') || UNKNOWN.contains(&name) {
            return Some(());
        }
        let (name, value) = counterpart(name, value);
        // A text always has a JSON form.
        to.push_str(&serde_json::to_string(name).unwrap_or_default());
        to.push(':');
        to.push_str(&value);
        to.push(',');
        Some(())
    });
    passed.ok_or(Unreadable::RowNotAnObject)?;
    let unknown = UNKNOWN.map(|name| format!("\"{name}\":null"));
    to.push_str(&unknown.join(","));
    to.push('}');
    Ok(())
}

/// Name and value, as JSON, of a field.
fn counterpart<'a>(name: &'a str, value: Raw<'a>) -> (&'a str, Cow<'a, str>) {
    let same = Cow::Borrowed(value.json);
    let unless_empty = || match value.json {
        "\"\"" => Cow::Borrowed("null"),
        json => Cow::Borrowed(json),
    };
    match name {
        "id" => ("MessageTraceId", same),
        "messageId" => ("MessageId", unless_empty()),
        "receivedDateTime" => ("Received", date_value(value).map_or(same, Cow::Owned)),
        "senderAddress" => ("SenderAddress", same),
        "recipientAddress" => ("RecipientAddress", same),
        "subject" => ("Subject", same),
        "status" => ("Status", capitalized(value).map_or(same, Cow::Owned)),
        "toIP" => ("ToIP", unless_empty()),
        "fromIP" => ("FromIP", unless_empty()),
        "size" => ("Size", same),
        other => (other, same),
    }
}

fn date_value(value: Raw<'_>) -> Option<String> {
    let at = date::instant(value.text()?.as_bytes())?;
    Some(format!("\"{}\"", date::verbose_text(at)))
}

fn capitalized(value: Raw<'_>) -> Option<String> {
    let status = value.text()?;
    let mut letters = status.chars();
    let first = letters.next()?.to_ascii_uppercase();
    serde_json::to_string(&format!("{first}{}", letters.as_str())).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rewritten(row: &str) -> Value {
        let mut text = String::new();
        rewrite(row, &mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn rows_get_the_names_dates_and_statuses_of_the_first_trigger() {
        let row = r##"{"@odata.type":"#microsoft.graph.exchangeMessageTrace","id":"579c","senderAddress":"a@x.test","recipientAddress":"b@y.test","messageId":"<m1@x.test>","receivedDateTime":"2026-01-21T14:12:34.109Z","subject":"\u00e9 \"s\"","size":51234,"fromIP":"203.0.113.25","toIP":"","status":"filteredAsSpam"}"##;
        assert_eq!(
            rewritten(row),
            json!({
                "Organization": null,
                "MessageId": "<m1@x.test>",
                "Received": "/Date(1769004754109)/",
                "SenderAddress": "a@x.test",
                "RecipientAddress": "b@y.test",
                "Subject": "é \"s\"",
                "Status": "FilteredAsSpam",
                "ToIP": null,
                "FromIP": "203.0.113.25",
                "Size": 51234,
                "MessageTraceId": "579c",
                "StartDate": null,
                "EndDate": null,
                "Index": null,
            })
        );
    }

    #[test]
    fn odd_rows_lose_nothing() {
        let row = r#"{"receivedDateTime":"soon","status":null,"messageId":null,"new\u0061":{"b":[1.0]},"subject":"\ud83d"}"#;
        let mut text = String::new();
        rewrite(row, &mut text).unwrap();
        assert_eq!(
            text,
            r#"{"Received":"soon","Status":null,"MessageId":null,"newa":{"b":[1.0]},"Subject":"\ud83d","Organization":null,"StartDate":null,"EndDate":null,"Index":null}"#
        );
        assert_eq!(
            rewritten(r#"{"status":"Delivered"}"#)["Status"],
            "Delivered"
        );
        assert_eq!(rewritten("{}").as_object().unwrap().len(), 4);
        assert!(rewrite("[]", &mut String::new()).is_err());
    }
}
