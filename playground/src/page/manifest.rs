//! The triggers and connectors as the manifests have them: cards, and the fields of a form.

use serde_json::{Map, Value};

use crate::arguments::Trigger;

const MANIFESTS: [(Trigger, &str, &str); 3] = [
    (
        Trigger::Graph,
        include_str!("../../../trigger_message_trace_graph.json"),
        include_str!("../../../connector_message_trace_graph.json"),
    ),
    (
        Trigger::Oauth,
        include_str!("../../../trigger_message_trace_oauth.json"),
        include_str!("../../../connector_message_trace_oauth.json"),
    ),
    (
        Trigger::Account,
        include_str!("../../../trigger_message_trace.json"),
        include_str!("../../../connector_message_trace.json"),
    ),
];

/// How a trigger is offered; both run the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In a playbook.
    #[default]
    Trigger,
    /// On the page of an intake.
    Connector,
}

/// What a manifest says.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// The trigger.
    pub(crate) trigger: Trigger,
    /// Its name for people.
    pub(crate) name: String,
    /// What it does.
    pub(crate) description: String,
    /// The fields of its form, as the page groups them.
    pub(crate) groups: Vec<(Group, Vec<Field>)>,
    /// Settings that a credential does not take: (credential, setting).
    unfit: Vec<(String, String)>,
}

/// Fields that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Who the module is at Microsoft.
    SignIn,
    /// Where the rows go.
    Intake,
    /// How it collects.
    Collection,
    /// What is not sent, and what is hidden of the rest.
    Selection,
    /// Addresses that differ in national clouds, and here.
    Addresses,
}

impl Group {
    /// Its heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::SignIn => "Sign-in",
            Self::Intake => "Intake",
            Self::Collection => "Collection",
            Self::Selection => "What is not sent or hidden",
            Self::Addresses => "Addresses of Microsoft",
        }
    }
}

/// One setting of the form.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// The setting.
    pub(crate) name: String,
    /// Its title for people.
    pub(crate) title: String,
    /// What it means.
    pub(crate) description: String,
    /// What it is when nothing is given.
    pub(crate) default: Option<String>,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What can be given.
    pub(crate) input: Input,
}

/// What can be given in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Any text.
    Text,
    /// A text that nobody may see.
    Secret,
    /// A whole number of this range.
    Number {
        /// The least.
        least: Option<i64>,
        /// The most.
        most: Option<i64>,
    },
    /// One of these.
    Choice(Vec<String>),
    /// Texts with commas between them, which the module takes for a list.
    List,
}

impl Manifest {
    /// The manifest of a trigger.
    pub(crate) fn of(trigger: Trigger, kind: Kind) -> Option<Self> {
        let (_, as_trigger, as_connector) =
            MANIFESTS.iter().find(|(known, ..)| *known == trigger)?;
        let text = match kind {
            Kind::Trigger => as_trigger,
            Kind::Connector => as_connector,
        };
        let manifest: Value = serde_json::from_str(text).ok()?;
        let schema = manifest.get("arguments")?;
        let names = |key: &str| -> Vec<String> {
            let list = schema.get(key).and_then(Value::as_array);
            let names = list.into_iter().flatten().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        };
        let (required, secrets) = (names("required"), names("secrets"));
        let mut groups: Vec<(Group, Vec<Field>)> = Vec::new();
        for (name, property) in schema.get("properties")?.as_object()? {
            let secret = secrets.contains(name) || is_secret(name);
            let field = Field::read(name, property, required.contains(name), secret);
            let group = group(&field);
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, fields)) => fields.push(field),
                None => groups.push((group, vec![field])),
            }
        }
        groups.sort_by_key(|(group, _)| *group);
        for (_, fields) in &mut groups {
            // In the order of the manifest, which a map of JSON forgets.
            fields.sort_by_key(|field| text.find(&format!("\"{}\": {{", field.name)));
        }
        Some(Self {
            trigger,
            name: text_of(&manifest, "name"),
            description: text_of(&manifest, "description"),
            groups,
            unfit: unfit(schema),
        })
    }

    /// All fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.groups.iter().flat_map(|(_, fields)| fields)
    }

    /// The field of a setting.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|field| field.name == name)
    }

    /// Whether a setting goes with the credential that is chosen.
    pub(crate) fn fits(&self, name: &str, draft: &Map<String, Value>) -> bool {
        let default = self
            .field("credential")
            .and_then(|field| field.default.as_deref());
        let chosen = draft.get("credential").and_then(Value::as_str).or(default);
        !self
            .unfit
            .iter()
            .any(|(credential, setting)| Some(credential.as_str()) == chosen && setting == name)
    }
}

impl Field {
    fn read(name: &str, property: &Value, required: bool, secret: bool) -> Self {
        let options = property.get("enum").and_then(Value::as_array);
        let number = |key: &str| property.get(key).and_then(Value::as_i64);
        let input = if let Some(options) = options {
            let options = options.iter().filter_map(Value::as_str);
            Input::Choice(options.map(str::to_owned).collect())
        } else if property.get("type").and_then(Value::as_str) == Some("array") {
            Input::List
        } else if secret {
            Input::Secret
        } else if property.get("type").and_then(Value::as_str) == Some("integer") {
            Input::Number {
                least: number("minimum"),
                most: number("maximum"),
            }
        } else {
            Input::Text
        };
        Self {
            name: name.to_owned(),
            title: text_of(property, "title"),
            description: text_of(property, "description"),
            default: property.get("default").map(plain),
            required,
            input,
        }
    }

    /// What somebody has typed, as the setting takes it; none for nothing. What is no number in the
    /// place of one stays a text: the module says what is wrong with it.
    pub(crate) fn value(&self, typed: &str) -> Option<Value> {
        if typed.is_empty() {
            return None;
        }
        let number = match self.input {
            Input::Number { .. } => typed.trim().parse::<i64>().ok(),
            _ => None,
        };
        Some(number.map_or_else(|| typed.into(), Value::from))
    }
}

/// The key of an intake lets anybody send to it, although no manifest calls it a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    matches!(name, "intake_key" | "hash_key")
        || name.ends_with("password")
        || name.ends_with("secret")
}

/// A value as a person would type it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn text_of(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn group(field: &Field) -> Group {
    let name = field.name.as_str();
    if name.starts_with("intake_") || name == "event_format" {
        Group::Intake
    } else if name.starts_with("exclude_")
        || matches!(name, "subject" | "addresses" | "own_domains" | "hash_key")
    {
        Group::Selection
    } else if name.ends_with("_url") {
        Group::Addresses
    } else if field.required
        || matches!(field.input, Input::Secret)
        || matches!(name, "credential" | "tenant_id" | "client_id" | "service")
    {
        Group::SignIn
    } else {
        Group::Collection
    }
}

/// Which settings do not go with which credential, from the conditions of the schema.
fn unfit(schema: &Value) -> Vec<(String, String)> {
    let clauses = schema.get("allOf").and_then(Value::as_array);
    let mut pairs = Vec::new();
    for clause in clauses.into_iter().flatten() {
        let credential = clause.pointer("/if/properties/credential/const");
        let Some(credential) = credential.and_then(Value::as_str) else {
            continue;
        };
        let refused = clause.pointer("/then/not/anyOf").and_then(Value::as_array);
        for one in refused.into_iter().flatten() {
            let names = one.get("required").and_then(Value::as_array);
            for name in names.into_iter().flatten().filter_map(Value::as_str) {
                pairs.push((credential.to_owned(), name.to_owned()));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manifest_makes_a_form() {
        for trigger in Trigger::ALL {
            for kind in [Kind::Trigger, Kind::Connector] {
                let manifest = Manifest::of(trigger, kind).unwrap();
                assert!(!manifest.name.is_empty() && !manifest.description.is_empty());
                let first = manifest.groups.first().unwrap();
                assert_eq!(first.0, Group::SignIn, "{}", manifest.name);
                for field in manifest.fields() {
                    assert!(!field.title.is_empty() && !field.description.is_empty());
                }
                assert_eq!(manifest.field("intake_key").unwrap().input, Input::Secret);
            }
        }
    }

    #[test]
    fn fields_that_do_not_go_with_a_credential_are_known() {
        let manifest = Manifest::of(Trigger::Graph, Kind::Trigger).unwrap();
        let mut draft = Map::new();
        assert!(manifest.fits("client_secret", &draft));
        assert!(!manifest.fits("certificate", &draft));
        draft.insert("credential".to_owned(), "certificate".into());
        assert!(manifest.fits("certificate_password", &draft));
        assert!(!manifest.fits("client_secret", &draft));
    }

    #[test]
    fn what_is_typed_becomes_a_setting() {
        let manifest = Manifest::of(Trigger::Graph, Kind::Trigger).unwrap();
        let frequency = manifest.field("frequency").unwrap();
        assert_eq!(frequency.value("5"), Some(5.into()));
        assert_eq!(frequency.value("60s"), Some("60s".into()));
        assert_eq!(frequency.value(""), None);
        let tenant = manifest.field("tenant_id").unwrap();
        assert_eq!(tenant.value("12"), Some("12".into()));
        let list = manifest.field("exclude_senders").unwrap();
        assert_eq!(
            (&list.input, list.default.as_deref()),
            (&Input::List, Some(""))
        );
        assert_eq!(
            list.value("a@b.test, *@c.test"),
            Some("a@b.test, *@c.test".into())
        );
        let texts = serde_json::json!(["a@b.test", "*@c.test"]);
        assert_eq!(plain(&texts), "a@b.test, *@c.test");
    }
}
