//! Validation errors as sentences: which setting, what was found, what is allowed.

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::Value;

use super::Schema;
use crate::config::kind;

/// One sentence for one error. Texts are described, never shown; secrets not even that.
pub(super) fn sentence(schema: &Schema, error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    let path = path.strip_prefix('/').unwrap_or(path).replace('/', ".");
    if let ValidationErrorKind::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or("a setting");
        let name = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        return with_allowed(format!("{name} is missing"), schema.property(&name));
    }
    let Some(name) = path.split('.').next().filter(|name| !name.is_empty()) else {
        return together(schema, error);
    };
    let found = if schema.secrets().contains(name) {
        "has a value that is not shown".to_owned()
    } else {
        format!("is {}", found(error.instance()))
    };
    let property = if path == name {
        schema.property(name)
    } else {
        None
    };
    match property {
        Some(_) => with_allowed(format!("{path} {found}"), property),
        None => format!(
            "{path} {found}, which breaks the rule {}",
            error.kind().keyword()
        ),
    }
}

/// An error of several settings: the description beside the broken rule says what is wrong.
fn together(schema: &Schema, error: &ValidationError<'_>) -> String {
    let mut pointer = error.schema_path().as_str();
    while let Some((parent, _)) = pointer.rsplit_once('/') {
        let rule = schema
            .document
            .pointer(parent)
            .filter(|_| !parent.is_empty());
        if let Some(text) = rule.and_then(|rule| rule.get("description")?.as_str()) {
            return format!("the settings do not fit together: {text}");
        }
        pointer = parent;
    }
    format!(
        "the settings do not fit together: they break the rule {}",
        error.kind().keyword()
    )
}

fn found(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => format!("a text of {} characters", text.chars().count()),
        other => kind(other).to_owned(),
    }
}

fn with_allowed(start: String, property: Option<&Value>) -> String {
    match property {
        Some(property) => format!("{start}, allowed is {}", allowed(property)),
        None => start,
    }
}

/// What a property's schema allows, in words.
fn allowed(property: &Value) -> String {
    let get = |key: &str| property.get(key);
    let text = |key: &str| property.get(key).and_then(Value::as_str);
    if let Some(options) = get("enum").and_then(Value::as_array) {
        let options: Vec<String> = options.iter().map(Value::to_string).collect();
        return format!("one of {}", options.join(", "));
    }
    match text("type") {
        Some("integer") => range("a whole number", "", get("minimum"), get("maximum")),
        Some("number") => range("a number", "", get("minimum"), get("maximum")),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => "an object".to_owned(),
        Some("string") => {
            let length = range("a text", " characters", get("minLength"), get("maxLength"));
            let form = match (text("format"), text("pattern")) {
                (Some(format), _) => format!(" in the form {format}"),
                (None, Some(pattern)) => format!(" that matches {pattern}"),
                (None, None) => String::new(),
            };
            length + &form
        }
        _ => "something else, see the manifest".to_owned(),
    }
}

fn range(what: &str, unit: &str, least: Option<&Value>, most: Option<&Value>) -> String {
    match (least, most) {
        (Some(least), Some(most)) if unit.is_empty() => format!("{what} from {least} to {most}"),
        (Some(least), Some(most)) => format!("{what} of {least} to {most}{unit}"),
        (Some(least), None) if least == 1 && !unit.is_empty() => {
            format!("{what} that is not empty")
        }
        (Some(least), None) => format!("{what} of at least {least}{unit}"),
        (None, Some(most)) => format!("{what} of at most {most}{unit}"),
        (None, None) => what.to_owned(),
    }
}
