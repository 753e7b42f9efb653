//! The Reporting Web Service's pages as text.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::trouble::{Shown, Text};
use crate::{TraceRow, settings::Dialect};

/// Base of the ids and metadata in answers.
const SERVICE: &str = "https://reports.office365.com/ecp/ReportingWebService/Reporting.svc";

/// The media type of what is no JSON.
pub(super) const ATOM_TYPE: &str = "application/atom+xml;type=feed;charset=utf-8";
/// Only what a client needs to see that this is not JSON.
pub(super) const ATOM: &str = r#"<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title type="text">MessageTrace</title></feed>"#;

/// A page before it is text.
pub(super) struct Page<'a> {
    pub(super) rows: &'a [Shown],
    /// `Index` of the first row.
    pub(crate) first: u64,
    /// The window of the query.
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    pub(crate) next: Option<String>,
    /// Whether `d` is the array itself.
    pub(crate) array: bool,
    pub(crate) escaped_slashes: bool,
}

impl Page<'_> {
    pub(super) fn text(&self, dialect: Dialect) -> Vec<u8> {
        let mut page = Text::default();
        page.text.reserve(512 + self.rows.len() * 900);
        match dialect {
            Dialect::Light => self.light(&mut page),
            Dialect::Verbose => self.verbose(&mut page),
            Dialect::Atom => page.text.push_str(ATOM),
        }
        page.into_bytes()
    }

    fn light(&self, page: &mut Text) {
        let text = &mut page.text;
        text.push_str(&format!(
            "{{\"odata.metadata\":\"{SERVICE}/$metadata#MessageTrace\",\"value\":["
        ));
        let window = Window {
            start: format!("\"{}\"", fraction(self.start, true)),
            end: format!("\"{}\"", fraction(self.end, true)),
        };
        self.objects(page, |text, row, index| {
            text.push('{');
            let received = format!("\"{}\"", fraction(row.received, false));
            fields(text, row, &received, &window, index);
        });
        let text = &mut page.text;
        text.push(']');
        if let Some(next) = &self.next {
            text.push_str(&format!(",\"odata.nextLink\":{}", json(next)));
        }
        text.push('}');
    }

    fn verbose(&self, page: &mut Text) {
        page.text.push_str(if self.array {
            "{\"d\":["
        } else {
            "{\"d\":{\"results\":["
        });
        let slash = if self.escaped_slashes { "\\/" } else { "/" };
        let window = Window::verbose(self.start, self.end, slash);
        self.objects(page, |text, row, index| {
            verbose(text, row, slash, &window, index);
        });
        let text = &mut page.text;
        text.push(']');
        if !self.array {
            if let Some(next) = &self.next {
                text.push_str(&format!(",\"__next\":{}", json(next)));
            }
            text.push('}');
        }
        text.push('}');
    }

    fn objects(&self, page: &mut Text, mut object: impl FnMut(&mut String, &TraceRow, u64)) {
        let Text { text, defects } = page;
        for (position, shown) in self.rows.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            let start = text.len();
            object(text, &shown.row, self.first + position as u64);
            defects.extend(shown.defect.map(|defect| (start..text.len(), defect)));
        }
    }
}

impl TraceRow {
    /// The row as the Reporting Web Service shows it in verbose JSON, as number `index` of the rows of a
    /// window, without escaped slashes.
    pub fn reporting(&self, index: u64, start: DateTime<Utc>, end: DateTime<Utc>) -> String {
        let mut text = String::new();
        verbose(
            &mut text,
            self,
            "/",
            &Window::verbose(start, end, "/"),
            index,
        );
        text
    }
}

/// `StartDate` and `EndDate` as JSON.
struct Window {
    start: String,
    end: String,
}

impl Window {
    fn verbose(start: DateTime<Utc>, end: DateTime<Utc>, slash: &str) -> Self {
        Self {
            start: date(start, slash),
            end: date(end, slash),
        }
    }
}

/// A date of verbose JSON.
fn date(at: DateTime<Utc>, slash: &str) -> String {
    format!("\"{slash}Date({}){slash}\"", at.timestamp_millis())
}

/// A row in verbose JSON.
fn verbose(text: &mut String, row: &TraceRow, slash: &str, window: &Window, index: u64) {
    let id = format!("\"{SERVICE}/MessageTrace({index})\"");
    text.push_str("{\"__metadata\":{\"id\":");
    text.push_str(&id);
    text.push_str(",\"uri\":");
    text.push_str(&id);
    text.push_str(",\"type\":\"TenantReporting.MessageTrace\"},");
    fields(text, row, &date(row.received, slash), window, index);
}

/// The fields of a row up to the end of its object.
fn fields(text: &mut String, row: &TraceRow, received: &str, window: &Window, index: u64) {
    text.push_str(&format!(
        "\"Organization\":{},\"MessageId\":{},\"Received\":{received},\"SenderAddress\":{},\
         \"RecipientAddress\":{},\"Subject\":{},\"Status\":\"{}\",\"ToIP\":{},\"FromIP\":{},\
         \"Size\":{},\"MessageTraceId\":\"{}\",\"StartDate\":{},\"EndDate\":{},\"Index\":{index}}}",
        json(&row.organization),
        json(&row.message_id),
        json(&row.sender),
        json(&row.recipient),
        json(&row.subject),
        row.status,
        json(&row.to_ip),
        json(&row.from_ip),
        row.size,
        row.trace_id,
        window.start,
        window.end
    ));
}

/// Seven fraction digits, with or without the `Z`.
pub(super) fn fraction(at: DateTime<Utc>, zone: bool) -> String {
    let mut text = at.to_rfc3339_opts(SecondsFormat::Nanos, true);
    text.truncate(text.len() - 3);
    if zone {
        text.push('Z');
    }
    text
}

/// A value as JSON, in which other than ASCII is left as it is.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_seven_digits() {
        let at = "2022-09-05T18:10:13.4907658Z".parse().unwrap();
        assert_eq!(fraction(at, false), "2022-09-05T18:10:13.4907658");
        let at = "2022-09-05T18:10:13Z".parse().unwrap();
        assert_eq!(fraction(at, true), "2022-09-05T18:10:13.0000000Z");
    }
}
