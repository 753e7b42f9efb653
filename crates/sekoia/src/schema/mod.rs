//! Manifests and the check of configurations against their JSON Schema.

mod manifest;
mod problem;
mod words;

use std::{collections::BTreeSet, sync::OnceLock};

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

pub(crate) use self::manifest::{ManifestError, ModuleManifest, TriggerManifest};
use super::config::{SettingsMap, text};

/// The setting with the key of the intake. It is secret, although manifests do not list it as such.
const INTAKE_KEY: &str = "intake_key";

/// The setting with a certificate, which may have lines.
const CERTIFICATE: &str = "certificate";

#[derive(Debug)]
pub(crate) struct Checked {
    /// The settings with defaults filled in and numeric texts made numbers.
    pub(crate) settings: SettingsMap,
    /// Sentences about what fits but looks wrong.
    pub(crate) suspicions: Vec<String>,
}

/// A JSON Schema (draft 7) of settings, with the platform's extra list `secrets`.
#[derive(Debug, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub(crate) struct Schema {
    document: Value,
    /// Compiled when it is needed first: with its regular expressions that takes half a millisecond.
    validator: OnceLock<Result<Validator, String>>,
    secrets: BTreeSet<String>,
}

impl From<Map<String, Value>> for Schema {
    fn from(document: Map<String, Value>) -> Self {
        let secrets = document.get("secrets").and_then(Value::as_array);
        let secrets = secrets.into_iter().flatten().filter_map(Value::as_str);
        let secrets = secrets.map(str::to_owned).collect();
        Self {
            document: Value::Object(document),
            validator: OnceLock::new(),
            secrets,
        }
    }
}

impl Default for Schema {
    /// Without a rule.
    fn default() -> Self {
        Map::new().into()
    }
}

impl Schema {
    fn validator(&self) -> Result<&Validator, &String> {
        let validator = self.validator.get_or_init(|| {
            jsonschema::draft7::options()
                .should_validate_formats(true)
                .build(&self.document)
                .map_err(|error| error.to_string())
        });
        validator.as_ref()
    }

    /// Makes sure that settings can be checked. The error calls the manifest by this name.
    pub(crate) fn verify(&self, name: &str) -> Result<(), ManifestError> {
        match self.validator() {
            Ok(_) => Ok(()),
            Err(reason) => Err(ManifestError::Schema {
                name: name.to_owned(),
                reason: reason.clone(),
            }),
        }
    }

    /// Whether the value of a setting must not be shown: that of a secret, and the key of an intake.
    pub(crate) fn hides(&self, name: &str) -> bool {
        self.secrets.contains(name) || name == INTAKE_KEY
    }

    pub(crate) fn secrets(&self) -> &BTreeSet<String> {
        &self.secrets
    }

    /// Fills in defaults, makes numbers of numeric texts (O-01) and lists of texts where a list is wanted,
    /// and checks the result.
    ///
    /// Extra keys are kept; `null` and empty texts count as absent. So does a placeholder once the
    /// platform was `asked` for what belongs in its place.
    ///
    /// Without success, one sentence for each problem.
    pub(crate) fn check(&self, settings: SettingsMap, asked: bool) -> Result<Checked, Vec<String>> {
        let mut settings = self.completed(settings).0;
        let mut suspicions = self.blanks(&settings);
        suspicions.extend(self.misplaced(&settings));
        suspicions.extend(self.unknown(&settings));
        let placeholders = self.placeholders(&settings);
        for name in placeholders.iter().filter(|_| asked) {
            settings.remove(name);
        }
        suspicions.extend(placeholders.iter().map(|name| match asked {
            true => format!(
                "{name} consists of asterisks only, a placeholder that the platform has not filled: \
                 enter the real value in the configuration again"
            ),
            false => format!(
                "{name} consists of asterisks only, a placeholder that the platform is to fill at \
                 the start"
            ),
        }));
        let instance = Value::Object(settings);
        let mut problems: Vec<String> = self
            .validator()
            .map_err(|reason| vec![reason.clone()])?
            .iter_errors(&instance)
            .map(|error| problem::sentence(self, &error))
            .collect();
        match instance {
            Value::Object(settings) if problems.is_empty() => Ok(Checked {
                settings: SettingsMap(settings),
                suspicions,
            }),
            _ => {
                problems.sort_unstable();
                problems.dedup();
                // What is said of a placeholder says more.
                problems.retain(|sentence| {
                    let is_missing =
                        |name: &String| sentence.starts_with(&format!("{name} is missing"));
                    !placeholders.iter().any(is_missing)
                });
                problems.extend(suspicions);
                Err(problems)
            }
        }
    }

    /// Whether there are placeholders, or secrets are missing that are required, also by a rule over several
    /// settings.
    pub(crate) fn lacks_secrets(&self, settings: &SettingsMap) -> bool {
        if !self.placeholders(&settings.0).is_empty() {
            return true;
        }
        let Ok(validator) = self.validator() else {
            return false;
        };
        let instance = Value::Object(self.completed(settings.clone()).0);
        let mut errors = validator.iter_errors(&instance);
        errors.any(|error| problem::missing(&error).is_some_and(|name| self.secrets.contains(name)))
    }

    /// How many settings are not in the schema, when the others fit it.
    pub(crate) fn strangers(&self, settings: &SettingsMap) -> Option<usize> {
        let strange = settings.0.keys().filter(|name| !self.knows(name)).count();
        let settings = Value::Object(self.completed(settings.clone()).0);
        let fits = self
            .validator()
            .is_ok_and(|validator| validator.is_valid(&settings));
        fits.then_some(strange)
    }

    /// Names of the settings whose value does not have its form, and may be a secret in the wrong place.
    pub(crate) fn doubtful(&self, settings: &SettingsMap) -> BTreeSet<String> {
        let Ok(validator) = self.validator() else {
            return BTreeSet::new();
        };
        let instance = Value::Object(settings.0.clone());
        let errors = validator.iter_errors(&instance);
        errors
            .filter_map(|error| problem::doubtful(self, &error))
            .collect()
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// The settings with defaults filled in and numeric texts made numbers, fit or not.
    pub(crate) fn completed(&self, SettingsMap(mut settings): SettingsMap) -> SettingsMap {
        for (name, property) in self.properties() {
            let wants = |kind: &str| property.get("type").and_then(Value::as_str) == Some(kind);
            let given = settings.get(name).cloned();
            let given = given.map(|value| match value {
                Value::String(text) if is_password(name) => text::without_line_ends(&text).into(),
                Value::String(text) => text::bare(&text).into(),
                other => other,
            });
            let value = match given {
                Some(Value::String(text)) if wants("integer") || wants("number") => {
                    number(&text, wants("integer")).unwrap_or(Value::String(text))
                }
                Some(Value::String(text)) if wants("array") && !text.is_empty() => list(&text),
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
        SettingsMap(settings)
    }

    /// The names of texts made of asterisks only, as the platform writes in the place of secrets.
    fn placeholders(&self, settings: &Map<String, Value>) -> Vec<String> {
        let is_placeholder = |name: &&String| {
            let text = settings.get(*name).and_then(Value::as_str);
            let text = text.unwrap_or_default().trim();
            !text.is_empty() && text.bytes().all(|byte| byte == b'*')
        };
        let names = self.properties().map(|(name, _)| name);
        names.filter(is_placeholder).cloned().collect()
    }

    /// Sentences about passwords that begin or end with a blank.
    fn blanks(&self, settings: &Map<String, Value>) -> Vec<String> {
        let names = self.secrets.iter().filter(|name| is_password(name));
        let with_blanks = names.filter(|name| {
            let text = settings.get(*name).and_then(Value::as_str);
            text.is_some_and(|text| text != text::bare(text))
        });
        let sentence = |name: &String| {
            format!(
                "{name} begins or ends with a blank, which is taken as a part of it: remove it if it \
                 does not belong there"
            )
        };
        with_blanks.map(sentence).collect()
    }

    /// Sentences about secrets that cannot be what they should be. Their values are not shown.
    fn misplaced(&self, settings: &Map<String, Value>) -> Vec<String> {
        let mut sentences = Vec::new();
        for (name, property) in self.properties() {
            let text = settings.get(name).and_then(Value::as_str);
            let Some(text) = text.filter(|_| self.hides(name) && !is_password(name)) else {
                continue;
            };
            if text.contains("-----BEGIN") {
                continue;
            }
            let bare = text::bare(text);
            let is_guid = bare.contains('-') && Uuid::try_parse(bare).is_ok();
            if name.ends_with("_secret") && is_guid {
                sentences.push(format!(
                    "{name} is a GUID, as the ID of a secret is: put the secret's value into it, which is \
                     shown only once, when the secret is made"
                ));
            } else if name != CERTIFICATE
                && let Some(oddity) = words::oddity(text, words::Form::of(property), &[])
            {
                sentences.push(format!("{name} looks wrong: {oddity}"));
            }
        }
        sentences
    }

    /// Sentences about settings that nothing reads: misspelt, or those of another trigger.
    fn unknown(&self, settings: &Map<String, Value>) -> Vec<String> {
        let strange = settings.keys().filter(|name| !self.knows(name));
        let sentence = |name: &String| {
            let names = self.properties().map(|(name, _)| name.as_str());
            let shown = shown_name(name);
            match words::nearest(name, names) {
                Some(nearest) => format!(
                    "{shown} is no setting of this trigger, so it counts for nothing: did you mean \
                     {nearest}?"
                ),
                None => format!(
                    "{shown} is no setting of this trigger, so it counts for nothing: take it out, or \
                     see whether another trigger is meant"
                ),
            }
        };
        strange.map(sentence).collect()
    }

    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        let properties = self.document.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten()
    }

    fn property(&self, name: &str) -> Option<&Value> {
        self.document.get("properties")?.get(name)
    }
}

/// The name of a setting as it may be told: what is long is no name, and may be anything.
pub(super) fn shown_name(name: &str) -> &str {
    match name.chars().count() <= 40 {
        true => name,
        false => "one of the names",
    }
}

/// Whether a setting is a password that a person has chosen, which may begin or end with a blank.
fn is_password(name: &str) -> bool {
    name.ends_with("password")
}

/// The texts in a text: between commas, semicolons and blanks. Brackets and quotes around them, as of a list
/// that somebody has made a text, are no part of them: they would be one of a rule that never fits.
fn list(text: &str) -> Value {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let parts = inside.unwrap_or(text);
    let parts = parts.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    let parts = parts.map(unquoted).filter(|part| !part.is_empty());
    parts.map(Value::from).collect()
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

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
                "debug": {"type": "boolean"},
                "rules": {
                    "type": "array", "maxItems": 2, "uniqueItems": true,
                    "items": {"type": "string", "maxLength": 5}
                }
            },
            "required": ["name", "password"],
            "secrets": ["password"],
            "allOf": [{
                "description": "debug needs a server",
                "not": {"required": ["debug"], "properties": {"server": {"const": "none"}}}
            }]
        });
        settings(document).0.into()
    }

    fn settings(object: Value) -> SettingsMap {
        SettingsMap(object.as_object().unwrap().clone())
    }

    fn check(given: Value) -> Result<Checked, Vec<String>> {
        schema().check(settings(given), true)
    }

    #[test]
    fn defaults_are_filled_in_and_numeric_texts_become_numbers() {
        let checked = check(json!({
            "name": "abc", "password": "x", "frequency": " 30 ", "server": "", "format": null
        }))
        .unwrap();
        assert_eq!(
            Value::Object(checked.settings.0),
            json!({
                "name": "abc", "password": "x", "frequency": 30,
                "server": "https://intake.example"
            })
        );
        let checked = check(json!({"name": "abc", "password": "x", "frequency": 20.0})).unwrap();
        assert!(checked.settings.0["frequency"].is_i64());
        assert!(checked.suspicions.is_empty());
    }

    #[test]
    fn a_list_may_be_a_text_and_its_items_are_told_by_their_place() {
        let with = |rules: Value| check(json!({"name": "abc", "password": "x", "rules": rules}));
        let rules = |given: Value| with(given).unwrap().settings.0.get("rules").cloned();
        assert_eq!(rules(json!(" a, b ")), Some(json!(["a", "b"])));
        assert_eq!(rules(json!("a;\n")), Some(json!(["a"])));
        assert_eq!(rules(json!("[\"a\", 'b']")), Some(json!(["a", "b"])));
        assert_eq!(rules(json!("\"a\"")), Some(json!(["a"])));
        assert_eq!(rules(json!("[]")), Some(json!([])));
        assert_eq!(rules(json!(["a"])), Some(json!(["a"])));
        assert_eq!(rules(json!("")), None);
        for (given, said) in [
            (
                json!(["a", "toolong"]),
                "rules 2 is a text of 7 characters, allowed is a text of at most 5 characters",
            ),
            (
                json!("a b c"),
                "rules is a list of 3, allowed is a list of at most 2 different items",
            ),
            (
                json!(["a", "a"]),
                "rules is a list of 2, allowed is a list of at most 2 different items",
            ),
            (
                json!(5),
                "rules is 5, allowed is a list of at most 2 different items",
            ),
        ] {
            assert_eq!(with(given).unwrap_err(), [said]);
        }
    }

    #[test]
    fn a_setting_that_nothing_reads_is_told_with_the_nearest_name() {
        let checked = check(json!({
            "name": "abc", "password": "x", "fromat": "graph", "tenant_id": "t",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x": 1,
        }));
        let said = checked.unwrap().suspicions;
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(
            said[0].starts_with("one of the names is no setting"),
            "{said:?}"
        );
        assert!(
            said[1].starts_with("fromat is no setting")
                && said[1].ends_with("did you mean format?")
        );
        assert!(said[2].starts_with("tenant_id is no setting") && said[2].contains("take it out"));
    }

    #[test]
    fn a_secret_that_cannot_be_one_is_told_without_its_value() {
        let schema = json!({
            "properties": {
                "client_secret": {"type": "string"}, "intake_key": {"type": "string"},
                "certificate": {"type": "string"},
            },
            "secrets": ["client_secret", "certificate"],
        });
        let schema = Schema::from(settings(schema).0);
        let guid = "7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21";
        for (given, said) in [
            (json!({"client_secret": guid}), "client_secret is a GUID"),
            (
                json!({"client_secret": "“value”"}),
                "typographic quotation marks",
            ),
            (json!({"intake_key": "the value"}), "there is a blank in it"),
        ] {
            let checked = schema.check(settings(given), true).unwrap();
            let found = checked.suspicions.concat();
            assert!(
                found.contains(said) && !found.contains("value”") && !found.contains(guid),
                "{found}"
            );
        }
        let fine = json!({"client_secret": "a~b", "intake_key": "k", "certificate": "a\nb"});
        assert!(
            schema
                .check(settings(fine), true)
                .unwrap()
                .suspicions
                .is_empty()
        );
    }

    #[test]
    fn each_problem_is_a_sentence() {
        let problems = check(json!({
            "name": 12, "password": "hunter2hunter2", "frequency": "5", "format": "Graph", "debug": "yes"
        }))
        .unwrap_err();
        assert_eq!(
            problems,
            [
                "debug is a text of 3 characters, allowed is true or false",
                "format is \"Graph\", allowed is one of \"graph\", \"reporting\"; did you mean \"graph\"?",
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
    fn a_placeholder_that_nobody_filled_is_no_value() {
        let problems = check(json!({"name": "abc", "password": "*****"})).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("password consists of asterisks only, a placeholder"));
        // One that is not needed does no harm.
        let checked = check(json!({"name": "abc", "password": "x", "server": " ** "})).unwrap();
        assert!(checked.suspicions[0].starts_with("server consists of asterisks only"));
        assert!(!checked.settings.0.contains_key("server"));
        // Before the platform was asked, it may still be filled.
        let given = settings(json!({"name": "abc", "password": "*****"}));
        assert!(schema().lacks_secrets(&given));
        let checked = schema().check(given, false).unwrap();
        assert!(checked.suspicions[0].ends_with("the platform is to fill at the start"));
        for (given, lacks) in [
            (json!({"name": "abc", "password": "x"}), false),
            (json!({"name": "abc", "password": ""}), true),
            (json!({"name": "abc"}), true),
            (json!({"name": "***", "password": "x"}), true),
        ] {
            let lacking = schema().lacks_secrets(&settings(given.clone()));
            assert_eq!(lacking, lacks, "{given}");
        }
    }

    #[test]
    fn what_is_nothing_like_its_form_may_be_a_secret() {
        let doubtful = |given: Value| Vec::from_iter(schema().doubtful(&settings(given)));
        let given = json!({
            "name": ["hunter2"], "password": "x", "format": "hunter2", "frequency": "5 s",
            "rules": ["hunter2"], "server": ["hunter2"],
        });
        assert_eq!(doubtful(given), ["format", "name", "rules", "server"]);
        for inside in [json!({"value": "hunter2"}), json!(["hunter2"])] {
            let given = json!({
                "name": inside, "password": "x", "rules": ["a", inside], "server": inside,
            });
            assert_eq!(doubtful(given), ["name", "rules", "server"]);
        }
        let many = json!({"name": "abc", "password": "x", "rules": ["a", "b", "c"]});
        assert!(doubtful(many).is_empty());
    }

    #[test]
    fn a_secret_that_other_settings_ask_for_is_lacking_too() {
        let document = json!({
            "properties": {
                "credential": {"type": "string", "default": "client_secret"},
                "client_secret": {"type": "string"},
                "client_id": {"type": "string"},
            },
            "required": ["client_id"],
            "secrets": ["client_secret"],
            "allOf": [{
                "if": {"properties": {"credential": {"const": "client_secret"}}},
                "then": {"required": ["client_secret"]},
            }],
        });
        let schema = Schema::from(settings(document).0);
        for (given, lacks) in [
            (json!({"client_id": "c"}), true),
            (json!({"client_id": "c", "client_secret": null}), true),
            (json!({"client_secret": "x"}), false),
            (json!({"credential": "managed_identity"}), false),
        ] {
            let lacking = schema.lacks_secrets(&settings(given.clone()));
            assert_eq!(lacking, lacks, "{given}");
        }
    }

    #[test]
    fn texts_lose_line_ends_and_blanks_and_passwords_only_line_ends() {
        let checked = check(json!({
            "name": "\u{feff} abc\r\n", "password": " pass \n", "server": "\nhttps://h\u{a0}\n",
            "frequency": "\n60\r\n",
        }));
        let checked = checked.unwrap();
        assert_eq!(
            Value::Object(checked.settings.0),
            json!({"name": "abc", "password": " pass ", "server": "https://h", "frequency": 60})
        );
        assert_eq!(checked.suspicions.len(), 1);
        assert!(checked.suspicions[0].starts_with("password begins or ends with a blank"));
        let checked = check(json!({"name": "abc", "password": "x\n"})).unwrap();
        assert_eq!(checked.settings.0["password"], "x");
        assert!(checked.suspicions.is_empty());
    }
}
