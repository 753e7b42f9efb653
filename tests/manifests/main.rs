//! The platform accepts the module's files: manifests, changelog, logo (contract R, S and T).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's helpers may panic, as the test itself may"
)]

mod changelog;
mod formatting;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jsonschema::draft7;
use serde_json::Value;
use uuid::Uuid;

const TRIGGER: &str = "trigger_message_trace.json";
const CATEGORIES: [&str; 9] = [
    "Applicative",
    "Cloud Providers",
    "Collaboration Tools",
    "Email",
    "Endpoint",
    "Generic",
    "IAM",
    "Network",
    "Threat Intelligence",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn settings() -> Value {
    json(TRIGGER)["arguments"].clone()
}

/// The manifests of all items at the top level, by the prefixes of contract U-04.
fn items() -> Vec<PathBuf> {
    let is_item = |name: &str| {
        name.ends_with(".json")
            && ["trigger_", "action_", "connector_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    std::fs::read_dir(root())
        .expect("top level")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(is_item)
        })
        .collect()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("array")
        .iter()
        .map(|item| item.as_str().expect("string"))
        .collect()
}

/// R-01, R-02, S-10 to S-15.
#[test]
fn the_module_manifest_is_complete() {
    let manifest = json("manifest.json");
    for key in ["name", "description", "uuid", "slug", "version"] {
        assert!(
            manifest[key]
                .as_str()
                .is_some_and(|value| !value.is_empty()),
            "{key}"
        );
    }
    for key in ["docker", "labels"] {
        assert!(manifest.get(key).is_none(), "`{key}` is not ours to set");
    }
    assert!(
        manifest["uuid"]
            .as_str()
            .expect("text")
            .parse::<Uuid>()
            .is_ok()
    );
    let slug = manifest["slug"].as_str().expect("text");
    assert!(slug.starts_with(|c: char| c.is_ascii_lowercase()));
    let may_follow = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    assert!(slug.chars().all(may_follow), "{slug}");
    let categories = strings(&manifest["categories"]);
    assert!(!categories.is_empty());
    assert!(
        categories
            .iter()
            .all(|category| CATEGORIES.contains(category)),
        "{categories:?}"
    );
    let configuration = &manifest["configuration"];
    assert!(draft7::meta::is_valid(configuration));
    assert_eq!(
        configuration["$schema"],
        "http://json-schema.org/draft-07/schema#"
    );
    for key in ["properties", "required", "secrets"] {
        assert!(configuration.get(key).is_some(), "{key}");
    }
}

/// R-03, S-24 to S-26.
#[test]
fn items_are_complete() {
    assert!(!items().is_empty());
    for path in items() {
        let item: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        for key in ["name", "uuid", "description", "docker_parameters"] {
            assert!(
                item[key].as_str().is_some_and(|value| !value.is_empty()),
                "{key}"
            );
        }
        assert!(item["uuid"].as_str().expect("text").parse::<Uuid>().is_ok());
        for key in ["arguments", "results"] {
            assert!(item[key].is_object(), "{key}");
            assert!(draft7::meta::is_valid(&item[key]), "{key}");
        }
    }
}

/// R-05, S-31 to S-33; one file per item, so nothing may repeat.
#[test]
fn identifiers_and_commands_are_unique() {
    let mut uuids = HashSet::from([json("manifest.json")["uuid"].to_string()]);
    let mut commands = HashSet::new();
    for path in items() {
        let item: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        assert!(uuids.insert(item["uuid"].to_string()), "{}", path.display());
        assert!(
            commands.insert(item["docker_parameters"].to_string()),
            "{}",
            path.display()
        );
    }
}

/// R-03, D-04: what is secret is declared as secret, and declared things exist.
#[test]
fn secrets_and_required_settings_are_declared() {
    let settings = settings();
    let properties = settings["properties"].as_object().expect("properties");
    assert_eq!(strings(&settings["secrets"]), ["account_password"]);
    assert_eq!(
        strings(&settings["required"]),
        ["account_name", "account_password", "intake_key"]
    );
    for name in strings(&settings["required"])
        .into_iter()
        .chain(strings(&settings["secrets"]))
    {
        assert!(properties.contains_key(name), "{name}");
        assert_eq!(properties[name]["minLength"], 1, "{name} may not be empty");
    }
}

#[test]
fn every_setting_says_what_it_is_and_what_it_may_be() {
    let settings = settings();
    let required = strings(&settings["required"]);
    for (name, setting) in settings["properties"].as_object().expect("properties") {
        for key in ["title", "description", "type"] {
            assert!(setting[key].is_string(), "{name}: {key}");
        }
        let default = setting.get("default");
        assert_eq!(
            default.is_none(),
            required.contains(&name.as_str()),
            "{name}: default"
        );
        if let Some(default) = default {
            assert!(draft7::is_valid(setting, default), "{name}: default");
        }
        if setting["type"] == "integer" {
            assert!(
                setting["minimum"].is_u64() && setting["maximum"].is_u64(),
                "{name}: bounds"
            );
        }
    }
}

#[test]
fn the_reporting_url_is_https_unless_it_stays_on_this_machine() {
    let settings = settings();
    let schema = &settings["properties"]["reporting_url"];
    let accepts = |url: &str| draft7::is_valid(schema, &Value::from(url));
    for url in [
        "https://reports.office365.com/ecp/reportingwebservice/reporting.svc",
        "https://example.com:8443",
        "http://localhost:8080/reporting.svc",
        "http://127.0.0.1:40000/ecp/reportingwebservice/reporting.svc",
        "http://[::1]:8080",
    ] {
        assert!(accepts(url), "{url}");
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
        assert!(!accepts(url), "{url}");
    }
}

/// S-16 to S-19, T-03.
#[test]
fn the_logo_is_square_and_small() {
    const LIMIT: usize = 51_200;
    let png = std::fs::read(root().join("logo.png")).expect("logo.png");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && &png[12..16] == b"IHDR");
    assert_eq!(png[16..20], png[20..24], "width and height");
    assert!(png.len() <= LIMIT);
    let svg = text("logo.svg");
    assert!(svg.starts_with("<svg ") && svg.contains(r#"viewBox="0 0 256 256""#));
    assert!(svg.len() <= LIMIT);
}

/// The README is what a person has in hand while filling in the form.
#[test]
fn the_readme_has_every_setting_with_its_bounds_and_default() {
    let readme = text("README.md");
    for (name, setting) in settings()["properties"].as_object().expect("properties") {
        let start = format!("| `{name}` |");
        let row = readme.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("the README does not explain {name}"));
        let mut facts = Vec::new();
        if let Some(default) = setting.get("default") {
            let default = default
                .as_str()
                .map_or_else(|| default.to_string(), str::to_owned);
            facts.push(format!("| `{default}` |"));
        }
        if let (Some(least), Some(most)) = (setting.get("minimum"), setting.get("maximum")) {
            facts.push(format!("| {least} to {most} |"));
        }
        assert!(
            facts.iter().all(|fact| row.contains(fact)),
            "{facts:?} in: {row}"
        );
    }
}

/// What a reader is told to run is what is checked before every change.
#[test]
fn the_readme_and_the_checks_run_the_same_tests() {
    const COMMAND: &str = "cargo test --workspace";
    assert!(text("README.md").contains(&format!("\n$ {COMMAND}\n")));
    assert_eq!(text(".ci/run").lines().last(), Some(COMMAND));
}
