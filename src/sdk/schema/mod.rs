//! Manifests and the check of configurations against their JSON Schema.

mod manifest;
mod problem;

use std::{collections::BTreeSet, sync::OnceLock};

use jsonschema::Validator;
use serde_json::{Map, Value};

pub use self::manifest::{ManifestError, ModuleManifest, TriggerManifest};
use super::config::SettingsMap;

/// A configuration that fits its schema.
#[derive(Debug)]
pub struct Checked {
    /// The settings with defaults filled in and numeric texts made numbers.
    pub settings: SettingsMap,
    /// Sentences about what fits but looks wrong.
    pub suspicions: Vec<String>,
}

/// A JSON Schema (draft 7) of settings, with the platform's extra list `secrets`.
#[derive(Debug)]
pub struct Schema {
    name: String,
    document: Value,
    /// Compiled when it is needed first: with its regular expressions that takes half a millisecond.
    validator: OnceLock<Result<Validator, String>>,
    required: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Schema {
    fn new(name: &str, document: Map<String, Value>) -> Self {
        let names = |key: &str| -> BTreeSet<String> {
            let list = document.get(key).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let (required, secrets) = (names("required"), names("secrets"));
        Self {
            name: name.to_owned(),
            document: Value::Object(document),
            validator: OnceLock::new(),
            required,
            secrets,
        }
    }

    fn validator(&self) -> Result<&Validator, ManifestError> {
        let validator = self.validator.get_or_init(|| {
            jsonschema::draft7::options()
                .should_validate_formats(true)
                .build(&self.document)
                .map_err(|error| error.to_string())
        });
        validator.as_ref().map_err(|reason| ManifestError::Schema {
            name: self.name.clone(),
            reason: reason.clone(),
        })
    }

    /// Makes sure that settings can be checked.
    ///
    /// # Errors
    /// When the schema itself is invalid.
    pub fn verify(&self) -> Result<(), ManifestError> {
        self.validator().map(|_| ())
    }

    /// Names of the settings that must not be shown.
    pub fn secrets(&self) -> &BTreeSet<String> {
        &self.secrets
    }

    /// The texts in `settings` that must not be shown.
    pub fn secret_values<'a>(&'a self, settings: &'a SettingsMap) -> impl Iterator<Item = &'a str> {
        self.secrets
            .iter()
            .filter_map(|name| settings.0.get(name)?.as_str())
    }

    /// Fills in defaults, makes numbers of numeric texts (O-01) and checks the result.
    ///
    /// Extra keys are kept; `null` and empty texts count as absent.
    ///
    /// # Errors
    /// One sentence for each problem, or for that of an invalid schema.
    pub fn check(&self, settings: SettingsMap) -> Result<Checked, Vec<String>> {
        let settings = self.prepare(settings.0);
        let suspicions = self.placeholders(&settings);
        let instance = Value::Object(settings);
        let mut problems: Vec<String> = self
            .validator()
            .map_err(|error| vec![error.to_string()])?
            .iter_errors(&instance)
            .map(|error| problem::sentence(self, &error))
            .collect();
        problems.sort_unstable();
        problems.dedup();
        match instance {
            Value::Object(settings) if problems.is_empty() => Ok(Checked {
                settings: SettingsMap(settings),
                suspicions,
            }),
            _ => {
                problems.extend(suspicions);
                Err(problems)
            }
        }
    }

    /// Whether settings fit, and hold nothing that is not in the schema.
    pub fn describes(&self, settings: &SettingsMap) -> bool {
        let known = settings.0.keys().all(|name| self.knows(name));
        let settings = Value::Object(self.prepare(settings.0.clone()));
        known
            && self
                .validator()
                .is_ok_and(|validator| validator.is_valid(&settings))
    }

    /// Whether there is a setting of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// The settings with defaults filled in and numeric texts made numbers, fit or not.
    pub fn completed(&self, settings: SettingsMap) -> SettingsMap {
        SettingsMap(self.prepare(settings.0))
    }

    fn prepare(&self, mut settings: Map<String, Value>) -> Map<String, Value> {
        for (name, property) in self.properties() {
            let wants = |kind: &str| property.get("type").and_then(Value::as_str) == Some(kind);
            let given = settings.get(name).cloned();
            let value = match given {
                Some(Value::String(text)) if wants("integer") || wants("number") => {
                    number(text.trim(), wants("integer")).unwrap_or(Value::String(text))
                }
                Some(Value::Number(value)) if wants("integer") => whole(&value),
                Some(value) => value,
                None => Value::Null,
            };
            let absent = value.is_null() || value.as_str() == Some("");
            match property.get("default").filter(|_| absent) {
                Some(default) => settings.insert(name.clone(), default.clone()),
                None if absent => settings.remove(name),
                None => settings.insert(name.clone(), value),
            };
        }
        settings
    }

    /// Required secrets made of asterisks only, as the platform shows secrets in forms.
    fn placeholders(&self, settings: &Map<String, Value>) -> Vec<String> {
        self.secrets
            .intersection(&self.required)
            .filter(|name| {
                let value = settings.get(*name).and_then(Value::as_str).unwrap_or("");
                !value.is_empty() && value.bytes().all(|byte| byte == b'*')
            })
            .map(|name| {
                format!(
                    "{name} consists of asterisks only, which looks like a placeholder: \
                     enter the real value in the configuration again"
                )
            })
            .collect()
    }

    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        let properties = self.document.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten()
    }

    fn property(&self, name: &str) -> Option<&Value> {
        self.document.get("properties")?.get(name)
    }
}

/// The number in a text.
fn number(text: &str, integer: bool) -> Option<Value> {
    match text.parse::<i64>() {
        Ok(value) => Some(value.into()),
        Err(_) if integer => None,
        Err(_) => serde_json::Number::from_f64(text.parse().ok()?).map(Value::Number),
    }
}

/// `60.0` as `60`: both are integers to JSON Schema, but only one is to a Rust type.
fn whole(value: &serde_json::Number) -> Value {
    let fraction = value.as_f64().filter(|_| value.is_f64());
    match fraction {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "only whole numbers below 2^53 get here"
        )]
        Some(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => (float as i64).into(),
        _ => Value::Number(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let document = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 3},
                "password": {"type": "string", "minLength": 1, "maxLength": 8},
                "server": {"type": "string", "default": "https://intake.example"},
                "frequency": {"type": "integer", "default": 60, "minimum": 10, "maximum": 86400},
                "format": {"type": "string", "enum": ["graph", "reporting"]},
                "debug": {"type": "boolean"}
            },
            "required": ["name", "password"],
            "secrets": ["password"],
            "allOf": [{
                "description": "debug needs a server",
                "not": {"required": ["debug"], "properties": {"server": {"const": "none"}}}
            }]
        });
        let Value::Object(document) = document else {
            unreachable!()
        };
        Schema::new("test", document)
    }

    fn check(settings: Value) -> Result<Checked, Vec<String>> {
        let Value::Object(settings) = settings else {
            unreachable!()
        };
        schema().check(SettingsMap(settings))
    }

    #[test]
    fn defaults_are_filled_in_and_numeric_texts_become_numbers() {
        let checked = check(json!({
            "name": "abc", "password": "x", "frequency": " 30 ", "server": "", "format": null, "extra": 1
        }))
        .unwrap();
        assert_eq!(
            Value::Object(checked.settings.0),
            json!({
                "name": "abc", "password": "x", "frequency": 30,
                "server": "https://intake.example", "extra": 1
            })
        );
        let checked = check(json!({"name": "abc", "password": "x", "frequency": 20.0})).unwrap();
        assert!(checked.settings.0["frequency"].is_i64());
        assert!(checked.suspicions.is_empty());
    }

    #[test]
    fn each_problem_is_a_sentence() {
        let problems = check(json!({
            "name": 12, "password": "hunter2hunter2", "frequency": "5", "format": "verbose", "debug": "yes"
        }))
        .unwrap_err();
        assert_eq!(
            problems,
            [
                "debug is a text of 3 characters, allowed is true or false",
                "format is a text of 7 characters, allowed is one of \"graph\", \"reporting\"",
                "frequency is 5, allowed is a whole number from 10 to 86400",
                "name is 12, allowed is a text of at least 3 characters",
                "password has a value that is not shown, allowed is a text of 1 to 8 characters",
            ]
        );
        let problems = check(json!({"name": "", "frequency": 20.5})).unwrap_err();
        assert_eq!(
            problems,
            [
                "frequency is 20.5, allowed is a whole number from 10 to 86400",
                "name is missing, allowed is a text of at least 3 characters",
                "password is missing, allowed is a text of 1 to 8 characters",
            ]
        );
    }

    #[test]
    fn rules_over_several_settings_speak_with_their_description() {
        let problems =
            check(json!({"name": "abc", "password": "x", "debug": true, "server": "none"}))
                .unwrap_err();
        assert_eq!(
            problems,
            ["the settings do not fit together: debug needs a server"]
        );
    }

    #[test]
    fn asterisks_are_suspicious() {
        let checked = check(json!({"name": "abc", "password": "*****"})).unwrap();
        assert!(checked.suspicions[0].starts_with("password consists of asterisks only"));
    }
}
