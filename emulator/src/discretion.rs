//! What the module was told not to send: the ledger expects nothing else.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{Secret, Status, TraceRow};

/// The settings of the module's trigger that say what it does not send, by the same names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discretion {
    /// Senders whose rows are not sent: addresses, or `*@` and a domain.
    #[serde(deserialize_with = "list")]
    pub exclude_senders: Vec<String>,
    /// Recipients whose rows are not sent.
    #[serde(deserialize_with = "list")]
    pub exclude_recipients: Vec<String>,
    /// Statuses with which rows are not sent, as Graph spells them.
    #[serde(deserialize_with = "list")]
    pub exclude_statuses: Vec<String>,
    /// What becomes of subjects.
    pub subject: HiddenSubject,
    /// What becomes of addresses and message ids.
    pub addresses: HiddenAddresses,
    /// Domains whose addresses stay with [`HiddenAddresses::HashExternal`].
    #[serde(deserialize_with = "list")]
    pub own_domains: Vec<String>,
    /// The key of the hashes.
    pub hash_key: Option<Secret>,
    /// Statuses with which rows may carry details, as Graph spells them.
    #[serde(deserialize_with = "list")]
    pub details: Vec<String>,
}

/// What becomes of subjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenSubject {
    /// They stay.
    #[default]
    Keep,
    /// They are left out.
    Drop,
    /// They are hashed.
    Hash,
}

/// What becomes of addresses and message ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAddresses {
    /// They stay.
    #[default]
    Keep,
    /// Those of others are hashed.
    HashExternal,
    /// All are hashed.
    Hash,
}

impl Discretion {
    /// What the settings of a trigger say of it; what they do not say is as by default. None when it cannot
    /// be understood.
    pub fn of_trigger(settings: &Map<String, Value>) -> Option<Self> {
        let known = serde_json::to_value(Self::default()).ok()?;
        let names = known.as_object()?.keys();
        let told = names.filter_map(|name| Some((name.clone(), settings.get(name)?.clone())));
        serde_json::from_value(Value::Object(told.collect())).ok()
    }

    /// Whether there is nothing that is not sent.
    pub(crate) fn excludes_nothing(&self) -> bool {
        let addresses = [&self.exclude_senders, &self.exclude_recipients];
        addresses.iter().all(|rules| rules.is_empty()) && self.exclude_statuses.is_empty()
    }

    /// Whether rows are delivered as they are.
    pub(crate) fn hides_nothing(&self) -> bool {
        self.subject == HiddenSubject::Keep && self.addresses == HiddenAddresses::Keep
    }

    /// A row as it is to be delivered.
    pub(crate) fn hidden(&self, mut row: TraceRow) -> TraceRow {
        row.sender = self.address(&row.sender);
        row.recipient = self.address(&row.recipient);
        row.message_id = row.message_id.map(|id| self.message_id(&id));
        row.subject = row.subject.and_then(|subject| self.subject(&subject));
        row
    }

    /// A subject as it is to be delivered, if it is.
    pub(crate) fn subject(&self, subject: &str) -> Option<String> {
        match self.subject {
            HiddenSubject::Drop => None,
            HiddenSubject::Hash if !subject.is_empty() => Some(self.hash(subject)),
            HiddenSubject::Keep | HiddenSubject::Hash => Some(subject.to_owned()),
        }
    }

    /// An address as it is to be delivered.
    pub(crate) fn address(&self, address: &str) -> String {
        let text = address.to_lowercase();
        let stays = match (self.addresses, text.rsplit_once('@')) {
            (HiddenAddresses::Keep, _) => true,
            (HiddenAddresses::Hash, _) | (_, None) => false,
            (HiddenAddresses::HashExternal, Some((_, domain))) => {
                let mut own = self.own_domains.iter();
                own.any(|own| own.eq_ignore_ascii_case(domain))
            }
        };
        match text.rsplit_once('@') {
            _ if stays || text.is_empty() || text == "<>" => address.to_owned(),
            None => self.hash(&text),
            Some((local, domain)) => format!("{}@{}.invalid", self.hash(local), self.hash(domain)),
        }
    }

    fn message_id(&self, id: &str) -> String {
        match id.strip_prefix('<').and_then(|id| id.strip_suffix('>')) {
            Some("") => id.to_owned(),
            Some(inside) => {
                let hidden = self.address(inside);
                format!("<{hidden}>")
            }
            None => self.address(id),
        }
    }

    /// The first half of what `openssl dgst -sha256 -hmac KEY` gives for a text in lower case, and half of
    /// that again.
    fn hash(&self, text: &str) -> String {
        let key = self.hash_key.as_ref().map_or("", Secret::expose);
        let key = Key::new(HMAC_SHA256, key.as_bytes());
        let tag = sign(&key, text.to_lowercase().as_bytes());
        let bytes = tag.as_ref().iter().take(8);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a row with this status may carry details.
    pub(crate) fn wants_details(&self, status: Status) -> bool {
        self.details.iter().any(|wanted| wanted == status.camel())
    }

    /// Whether a row with this status is not sent.
    pub(crate) fn excludes(&self, row: &TraceRow, status: Status) -> bool {
        let fits = |rules: &[String], address: &str| rules.iter().any(|rule| fits(rule, address));
        fits(&self.exclude_senders, &row.sender)
            || fits(&self.exclude_recipients, &row.recipient)
            || self
                .exclude_statuses
                .iter()
                .any(|excluded| excluded == status.camel())
    }
}

/// A list of texts, or one text with commas, semicolons or blanks between them, as people type it.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::List(list) => list,
        Given::Text(text) => text
            .split([',', ';', ' ', '\n', '\t', '\r'])
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

fn fits(rule: &str, address: &str) -> bool {
    let (rule, address) = (rule.to_lowercase(), address.to_lowercase());
    match rule.strip_prefix('*') {
        Some(domain) => address.ends_with(domain),
        None => rule == address,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::NewRow;

    #[test]
    fn rules_of_a_trigger_are_understood_as_lists_and_as_texts() {
        let of = |settings: Value| Discretion::of_trigger(settings.as_object().unwrap()).unwrap();
        assert!(of(json!({"frequency": 60})).excludes_nothing());
        let rules =
            of(json!({"exclude_senders": "a@b.test, *@C.test", "exclude_statuses": ["failed"]}));
        let row = |sender: &str| {
            let mut row = NewRow::new(DateTime::UNIX_EPOCH, "x@y.test").row;
            row.sender = sender.to_owned();
            row
        };
        assert!(rules.excludes(&row("A@b.test"), Status::Delivered));
        assert!(rules.excludes(&row("any@c.test"), Status::Delivered));
        assert!(!rules.excludes(&row("any@b.test"), Status::Delivered));
        assert!(rules.excludes(&row("any@b.test"), Status::Failed));
        let wrong = json!({"exclude_senders": 5});
        assert!(Discretion::of_trigger(wrong.as_object().unwrap()).is_none());
    }

    #[test]
    fn the_key_outlives_a_change_of_other_settings() {
        let mut settings = crate::Settings::default();
        settings.discretion.addresses = HiddenAddresses::Hash;
        settings.discretion.hash_key = Some(Secret::new("a key"));
        let before = settings.discretion.address("a@b.test");
        let changed = settings.merged(&json!({"report": {"basic_sign_in": false}}));
        let discretion = changed.unwrap().discretion;
        assert_eq!(discretion.address("a@b.test"), before);
        assert!(before.ends_with(".invalid"), "{before}");
    }
}
