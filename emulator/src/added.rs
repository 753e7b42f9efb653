//! Rows that are added through the control interface.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::{Emulator, NewRow, Status};

/// The most recipients of a message.
const MOST_RECIPIENTS: u32 = 5000;

/// A message that is received now, as JSON. Times are in seconds from now.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Added {
    recipient: String,
    #[serde(default)]
    sender: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    status: Option<Status>,
    /// How many recipients it has; `{}` in `recipient` stands for the number of each.
    #[serde(default = "one")]
    recipients: u32,
    /// How long ago it was received.
    #[serde(default)]
    received_ago: u32,
    /// When it can be seen.
    #[serde(default)]
    visible_in: u32,
    /// Its later statuses.
    #[serde(default)]
    then: Vec<Later>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Later {
    r#in: u32,
    status: Status,
}

fn one() -> u32 {
    1
}

impl Added {
    /// Adds its rows; how many these are.
    pub(crate) fn add(&self, emulator: &Emulator) -> Result<u32, &'static str> {
        if !(1..=MOST_RECIPIENTS).contains(&self.recipients) {
            return Err("a message has 1 to 5000 recipients");
        }
        if self.then.len() > 7 {
            return Err("a row has at most 7 later statuses");
        }
        let now = emulator.clock().now();
        let message = Uuid::new_v4();
        for number in 0..self.recipients {
            let recipient = self.recipient.replace("{}", &number.to_string());
            emulator.add_row(self.row(now, message, &recipient));
        }
        Ok(self.recipients)
    }

    fn row(&self, now: DateTime<Utc>, message: Uuid, recipient: &str) -> NewRow {
        let seconds = |count: u32| TimeDelta::seconds(i64::from(count));
        let mut new = NewRow::new(now - seconds(self.received_ago), recipient)
            .trace_id(message)
            .visible_from(now + seconds(self.visible_in));
        new.row.message_id = Some(format!("<{}@contoso.example>", message.simple()));
        if let Some(sender) = &self.sender {
            new.row.sender.clone_from(sender);
        }
        if let Some(subject) = &self.subject {
            new = new.subject(subject);
        }
        if let Some(status) = self.status {
            new = new.status(status);
        }
        for later in &self.then {
            new = new.then(now + seconds(later.r#in), later.status);
        }
        new
    }
}
