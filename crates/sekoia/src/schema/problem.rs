//! Validation errors as sentences: which setting, what was found, what is allowed.

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::Value;

use super::{
    Schema,
    words::{self, Form},
};
use crate::config::kind;

/// One sentence for one error. What is found is shown, unless it is secret or looks like a secret; no
/// regular expression is.
pub(super) fn sentence(schema: &Schema, error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    let path = path.strip_prefix('/').unwrap_or(path).replace('/', ".");
    if let Some(name) = missing(error) {
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
    let property = schema.property(name);
    // The items of a list are counted from 1, as people do.
    let item = path
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('.'));
    let (path, property) = match item.map(str::parse::<usize>) {
        None => (path.clone(), property),
        Some(Ok(index)) => {
            let items = property.and_then(|property| property.get("items"));
            (format!("{name} {}", index.saturating_add(1)), items)
        }
        Some(Err(_)) => (path.clone(), None),
    };
    let found = match schema.hides(name) {
        true => "has a value that is not shown".to_owned(),
        false => format!("is {}", found(error.instance(), property)),
    };
    let Some(property) = property else {
        return format!("{path} {found}, which the manifest does not allow");
    };
    let sentence = with_allowed(format!("{path} {found}"), Some(property));
    match odd(error.instance(), property) {
        Some(oddity) => format!("{sentence}; {oddity}"),
        None => sentence,
    }
}

pub(super) fn missing<'a>(error: &'a ValidationError<'_>) -> Option<&'a str> {
    match error.kind() {
        ValidationErrorKind::Required { property } => property.as_str(),
        _ => None,
    }
}

/// The setting that an error is about, when its text is not what people make of its form: it may be a secret
/// in the wrong place.
pub(super) fn doubtful(schema: &Schema, error: &ValidationError<'_>) -> Option<String> {
    let path = error.instance_path().as_str().strip_prefix('/')?;
    let name = path.split('/').next()?;
    let property = schema.property(name)?;
    let of_text = match name == path {
        true => Some(property),
        false => property.get("items"),
    };
    let may_be_shown = match &**error.instance() {
        Value::String(text) => may_be_shown(text, of_text),
        // Where a list belongs, each of its items has its own error.
        Value::Array(_) => {
            name == path && property.get("type").and_then(Value::as_str) == Some("array")
        }
        // Nothing is told of what is in it.
        Value::Object(_) => false,
        _ => true,
    };
    (!may_be_shown).then(|| name.to_owned())
}

fn may_be_shown(text: &str, property: Option<&Value>) -> bool {
    property
        .is_some_and(|property| words::may_be_shown(text, Form::of(property), &options(property)))
}

/// What is odd about a value, beside that it is not allowed.
fn odd(value: &Value, property: &Value) -> Option<String> {
    words::oddity(value.as_str()?, Form::of(property), &options(property))
}

fn options(property: &Value) -> Vec<&str> {
    let options = property.get("enum").and_then(Value::as_array);
    let options = options.into_iter().flatten();
    options.filter_map(Value::as_str).collect()
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
    "the settings do not fit together, as the manifest wants them to".to_owned()
}

fn found(value: &Value, property: Option<&Value>) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) if may_be_shown(text, property) => value.to_string(),
        Value::String(text) => format!("a text of {} characters", text.chars().count()),
        Value::Array(items) => format!("a list of {}", items.len()),
        other => kind(other).to_owned(),
    }
}

fn with_allowed(start: String, property: Option<&Value>) -> String {
    match property {
        Some(property) => format!("{start}, allowed is {}", allowed(property)),
        None => start,
    }
}

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
        Some("array") => match get("maxItems") {
            Some(most) => format!("a list of at most {most} different items"),
            None => "a list".to_owned(),
        },
        Some("object") => "an object".to_owned(),
        Some("string") => {
            let length = range("a text", " characters", get("minLength"), get("maxLength"));
            match (text("format"), text("pattern")) {
                (Some(format), _) => format!("{length} in the form {format}"),
                (None, Some(pattern)) => words::of_pattern(pattern, property),
                (None, None) => length,
            }
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
