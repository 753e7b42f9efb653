//! Settings without what identifies anybody.

use sekoia::Effective;
use serde_json::{Value, json};

/// Settings that name people or organizations, and what takes their place.
pub(super) const NAMES: [(&str, &str); 5] = [
    ("account_name", "<account>"),
    ("tenant_id", "<tenant>"),
    ("exclude_senders", "<excluded>"),
    ("exclude_recipients", "<excluded>"),
    ("own_domains", "<tenant>"),
];

/// The text of a setting, or those of a list.
pub(super) fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A setting for machines. One that names people or organizations is left out whole.
pub(super) fn shown(setting: Effective) -> Value {
    let instead = NAMES.iter().find(|(name, _)| *name == setting.name);
    let value = match (setting.value, instead) {
        (Some(named), Some((_, instead))) if !texts(Some(&named)).concat().is_empty() => {
            Some(Value::from(*instead))
        }
        _ if setting.doubtful => None,
        (value, _) => value,
    };
    json!({
        "object": setting.object,
        "name": setting.name,
        "hidden": value.is_none(),
        "value": value,
        "known": setting.known,
        "origin": setting.origin.word(),
    })
}

#[cfg(test)]
mod tests {
    use sekoia::Origin;

    use super::*;

    #[test]
    fn what_may_be_a_secret_in_the_wrong_place_is_left_out() {
        let of = |name: &str, doubtful| {
            let setting = Effective {
                object: Some("trigger_configuration"),
                name: name.to_owned(),
                value: Some("abc8Q~planted".into()),
                doubtful,
                origin: Origin::Default,
                known: true,
            };
            shown(setting)
        };
        assert_eq!(of("client_id", false)["value"], "abc8Q~planted");
        let hidden = of("client_id", true);
        assert_eq!(
            (&hidden["value"], &hidden["hidden"]),
            (&Value::Null, &json!(true))
        );
        assert_eq!(of("tenant_id", true)["value"], "<tenant>");
    }
}
