//! The manifests of triggers and connectors (contract, S-24 to S-33).

use std::collections::HashSet;

use jsonschema::draft7;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Item, items, json, strings, text};

impl Item {
    /// `trigger` or `connector`, and what comes behind it.
    fn kind_and_name(&self) -> (&str, &str) {
        self.file.split_once('_').expect("a prefix")
    }

    fn settings(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.manifest["arguments"]["properties"]
            .as_object()
            .expect("properties")
            .iter()
    }

    fn required(&self) -> Vec<&str> {
        strings(&self.manifest["arguments"]["required"])
    }

    fn secrets(&self) -> Vec<&str> {
        strings(&self.manifest["arguments"]["secrets"])
    }
}

/// S-24 to S-26.
#[test]
fn items_are_complete() {
    for item in items() {
        let (file, manifest) = (&item.file, &item.manifest);
        for key in ["name", "uuid", "description", "docker_parameters"] {
            assert!(
                manifest[key]
                    .as_str()
                    .is_some_and(|value| !value.is_empty()),
                "{file}: {key}"
            );
        }
        assert!(
            manifest["uuid"]
                .as_str()
                .expect("text")
                .parse::<Uuid>()
                .is_ok(),
            "{file}"
        );
        assert!(draft7::meta::is_valid(&manifest["arguments"]), "{file}");
        // One writer for a state: a second instance waits for the first.
        let labels = json!({"scalable_horizontally": false, "scalable_vertically": true});
        assert_eq!(manifest["labels"], labels, "{file}");
        let results = manifest.get("results");
        assert_eq!(
            results.is_none(),
            item.kind_and_name().0 == "connector",
            "{file}: results"
        );
        assert!(
            results.is_none_or(draft7::meta::is_valid),
            "{file}: results"
        );
    }
}

/// S-31, S-32.
#[test]
fn identifiers_and_commands_are_unique_within_their_kind() {
    let module = json("manifest.json")["uuid"].to_string();
    let mut seen = HashSet::new();
    for item in items() {
        let (kind, _) = item.kind_and_name();
        for key in ["uuid", "docker_parameters", "name"] {
            let value = item.manifest[key].to_string();
            assert_ne!(value, module, "{}", item.file);
            let new = seen.insert((kind.to_owned(), key, value));
            assert!(new, "{}: {key} is that of another {kind}", item.file);
        }
    }
}

/// R-05, S-33.
#[test]
fn every_trigger_has_a_connector_as_its_twin() {
    let items = items();
    for item in &items {
        let (kind, name) = item.kind_and_name();
        let other = if kind == "trigger" {
            "connector"
        } else {
            "trigger"
        };
        let twin = format!("{other}_{name}");
        let twin = items.iter().find(|item| item.file == twin);
        let twin = twin.unwrap_or_else(|| panic!("{} has no twin", item.file));
        for key in [
            "uuid",
            "name",
            "docker_parameters",
            "description",
            "labels",
            "arguments",
        ] {
            assert_eq!(
                item.manifest[key], twin.manifest[key],
                "{}: {key}",
                item.file
            );
        }
    }
}

/// what is secret is declared as secret, and what is declared exists. The intake key is
/// none, as everywhere in the library.
#[test]
fn secrets_and_required_settings_are_declared() {
    for item in items() {
        let file = &item.file;
        let (required, secrets) = (item.required(), item.secrets());
        assert!(required.contains(&"intake_key"), "{file}");
        let names: Vec<_> = item.settings().map(|(name, _)| name.as_str()).collect();
        for name in required.iter().chain(&secrets) {
            assert!(names.contains(name), "{file}: {name}");
        }
        for (name, setting) in item.settings() {
            let sounds_secret = ["password", "secret", "certificate", "hash_key"]
                .iter()
                .any(|word| name.contains(word));
            assert_eq!(
                sounds_secret,
                secrets.contains(&name.as_str()),
                "{file}: {name}"
            );
            if required.contains(&name.as_str()) {
                assert_eq!(setting["minLength"], 1, "{file}: {name} may not be empty");
            }
        }
    }
}

#[test]
fn every_setting_says_what_it_is_and_what_it_may_be() {
    for item in items() {
        for (name, setting) in item.settings() {
            let place = format!("{}: {name}", item.file);
            for key in ["title", "description", "type"] {
                assert!(setting[key].is_string(), "{place}: {key}");
            }
            let filled_in =
                item.required().contains(&name.as_str()) || item.secrets().contains(&name.as_str());
            let default = setting.get("default");
            // What may be left out and has no default says what holds without it.
            let text = setting["description"].as_str().expect("text");
            let may_lack = filled_in || text.contains("; without it");
            assert_eq!(default.is_none(), may_lack, "{place}: default");
            assert!(
                default.is_none_or(|default| draft7::is_valid(setting, default)),
                "{place}"
            );
            if setting["type"] == "integer" {
                assert!(
                    setting["minimum"].is_u64() && setting["maximum"].is_u64(),
                    "{place}"
                );
            }
        }
    }
}

/// Credentials go to these addresses.
#[test]
fn addresses_of_microsoft_are_https_unless_they_stay_on_this_machine() {
    let addresses = ["reporting_url", "graph_url", "login_url"];
    for item in items() {
        for (name, setting) in item
            .settings()
            .filter(|(name, _)| addresses.contains(&name.as_str()))
        {
            let accepts = |url: &str| draft7::is_valid(setting, &Value::from(url));
            for url in [
                "https://reports.office365.com/ecp/reportingwebservice/reporting.svc",
                "https://example.com:8443",
                "http://localhost:8080/reporting.svc",
                "http://127.0.0.1:40000/ecp/reportingwebservice/reporting.svc",
                "http://[::1]:8080",
            ] {
                assert!(accepts(url), "{}: {name}: {url}", item.file);
            }
            for url in [
                "",
                "reports.office365.com",
                "http://reports.office365.com/",
                "http://localhost.example.com/",
                "http://127.0.0.1.example.com/",
                "http://localhost@example.com/",
                "https://user:secret@example.com/",
                "https://example.com/?$format=json",
                "https://example.com/ path",
                "ftp://localhost/",
            ] {
                assert!(!accepts(url), "{}: {name}: {url}", item.file);
            }
        }
    }
}

/// The README is what a person has in hand while filling in the form.
#[test]
fn the_readme_has_every_setting_with_its_bounds_and_default() {
    let readme = text("README.md");
    for item in items() {
        for (name, setting) in item.settings() {
            let start = format!("| `{name}` |");
            let rows = readme.lines().filter(|line| line.starts_with(&start));
            let rows: Vec<_> = rows.collect();
            assert!(!rows.is_empty(), "the README does not explain {name}");
            let facts = facts(setting);
            let tells = |row: &&str| facts.iter().all(|fact| row.contains(fact));
            assert!(rows.iter().any(tells), "{facts:?} are missing in: {rows:?}");
        }
    }
}

/// What the README's table has to say of a setting: its default and its bounds.
fn facts(setting: &Value) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(default) = setting.get("default") {
        let default = default
            .as_str()
            .map_or_else(|| default.to_string(), str::to_owned);
        facts.push(format!("| `{default}` |"));
    }
    if let (Some(least), Some(most)) = (setting.get("minimum"), setting.get("maximum")) {
        facts.push(format!("{least} to {most}"));
    }
    facts
}
