//! The platform accepts the module's files: manifests, changelog, logo (contract R, S and T).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's helpers may panic, as the test itself may"
)]

mod changelog;
mod formatting;
mod items;

use std::path::Path;

use jsonschema::draft7;
use serde_json::Value;
use uuid::Uuid;

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

/// The manifest of a trigger or a connector.
#[derive(Debug)]
struct Item {
    /// Its file's name.
    file: String,
    manifest: Value,
}

/// All items at the top level, by the prefixes of contract U-04.
fn items() -> Vec<Item> {
    let entries = std::fs::read_dir(root()).expect("top level");
    let names = entries.map(|entry| {
        entry
            .expect("entry")
            .file_name()
            .into_string()
            .expect("UTF-8")
    });
    let prefixes = ["trigger_", "action_", "connector_"];
    let is_item = |name: &String| {
        name.ends_with(".json") && prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let read = |file: String| Item {
        manifest: json(&file),
        file,
    };
    let items: Vec<_> = names.filter(is_item).map(read).collect();
    assert!(!items.is_empty(), "no manifest was found");
    items
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

/// What a reader is told to run is what is checked before every change.
#[test]
fn the_readme_and_the_checks_run_the_same_tests() {
    const COMMAND: &str = "cargo test --workspace";
    assert!(text("README.md").contains(&format!("\n$ {COMMAND}\n")));
    assert_eq!(text(".ci/run").lines().last(), Some(COMMAND));
}
