//! Graph's pages as text.

use chrono::SecondsFormat;

use super::super::{
    render::json,
    trouble::{Shown, Text},
};
use crate::{GraphSettings, TraceRow};

impl TraceRow {
    /// The row as Microsoft Graph shows it by default.
    pub fn graph(&self) -> String {
        let form = Form {
            settings: &GraphSettings::default(),
            root: "",
            all_statuses: true,
        };
        let mut text = String::new();
        form.row(&mut text, self);
        text
    }
}

/// Who asks, as far as it changes the form of the answer.
pub(super) struct Form<'a> {
    pub(super) settings: &'a GraphSettings,
    /// The address up to the version, as the client knows it.
    pub(super) root: &'a str,
    /// Whether statuses beyond the documented ones are shown as they are.
    pub(super) all_statuses: bool,
}

impl Form<'_> {
    pub(super) fn page(&self, rows: &[Shown], next: Option<&str>) -> Vec<u8> {
        let mut defects = Vec::new();
        let mut text = String::with_capacity(512 + rows.len() * 450);
        text.push_str(&format!(
            "{{\"@odata.context\":\"{}/$metadata#admin/exchange/tracing/messageTraces\",\"value\":[",
            self.root
        ));
        for (position, shown) in rows.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            let start = text.len();
            self.row(&mut text, &shown.row);
            defects.extend(shown.defect.map(|defect| (start..text.len(), defect)));
        }
        text.push(']');
        if let Some(next) = next {
            text.push_str(&format!(",\"@odata.nextLink\":{}", json(next)));
        }
        text.push('}');
        Text { text, defects }.into_bytes()
    }

    fn row(&self, text: &mut String, row: &TraceRow) {
        text.push('{');
        if self.settings.odata_type {
            text.push_str("\"@odata.type\":\"#microsoft.graph.exchangeMessageTrace\",");
        }
        let id = row.trace_id.to_string();
        let received = self.received(row);
        let status = match row.status {
            status if status.is_future() && !self.all_statuses => "unknownFutureValue",
            status => status.camel(),
        };
        for (name, value) in [
            ("id", Some(id.as_str())),
            ("senderAddress", Some(&row.sender)),
            ("recipientAddress", Some(&row.recipient)),
            ("messageId", row.message_id.as_deref()),
            ("receivedDateTime", Some(&received)),
            ("subject", row.subject.as_deref()),
        ] {
            self.field(text, name, value);
        }
        text.push_str(&format!("\"size\":{},", row.size));
        self.field(text, "fromIP", row.from_ip.as_deref());
        self.field(text, "toIP", row.to_ip.as_deref());
        text.push_str(&format!("\"status\":\"{status}\"}}"));
    }

    fn field(&self, text: &mut String, name: &str, value: Option<&str>) {
        let value = match value {
            None if self.settings.unknown_as_null => String::from("null"),
            value => json(value.unwrap_or_default()),
        };
        text.push_str(&format!("\"{name}\":{value},"));
    }

    fn received(&self, row: &TraceRow) -> String {
        match self.settings.fraction_digits {
            0 => row.received.to_rfc3339_opts(SecondsFormat::Secs, true),
            7 => row
                .received
                .format("%Y-%m-%dT%H:%M:%S%.3f0000Z")
                .to_string(),
            _ => row.received.to_rfc3339_opts(SecondsFormat::Millis, true),
        }
    }
}
