//! The vendor's own tools accept the manifests: `synchronize-library` against a stand-in of the
//! Playbook API (contract U), and `generate-documentation`. The vendor's SDK itself runs beside the
//! module, and both do the same but for what `docs/migrate.md` lists.
//!
//! The tools are installed once into a scratch environment below `target/`. Where Python, pip or
//! the package cannot be had, the tests say so and pass.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's helpers may panic, as the test itself may"
)]

mod beside;
mod playbook_api;
mod stand_in;
mod tool;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::playbook_api::{API_KEY, Call, Shared};
use crate::tool::{run, tool};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_json(name: &str) -> Value {
    let text = fs::read(repository().join(name)).expect(name);
    serde_json::from_slice(&text).expect(name)
}

/// The files of the repository's top level with this beginning, sorted.
fn files(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(repository()).expect("top level");
    let names = entries.map(|entry| {
        entry
            .expect("entry")
            .file_name()
            .into_string()
            .expect("UTF-8")
    });
    let mut files: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    files.sort();
    files
}

/// A module library with this module in it, as it is imported, with the items of these
/// beginnings only.
fn library(prefixes: &[&str]) -> TempDir {
    let library = tempfile::tempdir().expect("library");
    let module = library.path().join("message-trace");
    let output = Command::new(repository().join("deploy/sekoia/layout"))
        .args(["--binary", env!("CARGO_BIN_EXE_message-trace")])
        .arg(&module)
        .output()
        .expect("layout starts");
    assert!(output.status.success(), "{output:?}");
    for unwanted in ["trigger_", "connector_"] {
        if !prefixes.contains(&unwanted) {
            for name in files(unwanted) {
                fs::remove_file(module.join(&name)).expect(&name);
            }
        }
    }
    library
}

/// A module or an item, and where the Playbook API has it.
struct Object {
    /// `modules`, `triggers` or `connectors`.
    collection: &'static str,
    /// What the tool sends when it is new.
    body: Value,
}

impl Object {
    fn path(&self) -> String {
        format!(
            "/{}/{}",
            self.collection,
            self.body["uuid"].as_str().expect("uuid")
        )
    }
}

/// What the tool is expected to send of this repository (U-01 to U-05).
fn objects() -> Vec<Object> {
    let image = concat!(
        "ghcr.io/sekoia-io/automation-module-message-trace:",
        env!("CARGO_PKG_VERSION")
    );
    let mut module = read_json("manifest.json");
    let uuid = module["uuid"].clone();
    let logo = fs::read(repository().join("logo.svg")).expect("logo");
    module["docker"] = json!(image);
    module["image"] = json!(format!(
        "data:image/svg+xml;base64,{}",
        STANDARD.encode(logo)
    ));
    module["changelog"] =
        json!(fs::read_to_string(repository().join("CHANGELOG.md")).expect("changelog"));
    let item = |collection, file: String| {
        let mut body = read_json(&file);
        body["docker"] = json!(image);
        body["module_uuid"] = uuid.clone();
        Object { collection, body }
    };
    let triggers = files("trigger_")
        .into_iter()
        .map(|file| item("triggers", file));
    let connectors = files("connector_")
        .into_iter()
        .map(|file| item("connectors", file));
    [Object {
        collection: "modules",
        body: module,
    }]
    .into_iter()
    .chain(triggers)
    .chain(connectors)
    .collect()
}

/// Synchronizes the library and returns the calls that the tool made.
fn synchronize(tool: &Path, library: &Path, api: &Shared, address: SocketAddr) -> Vec<Call> {
    let url = format!("http://{address}");
    run(Command::new(tool)
        .args(["synchronize-library", &url, API_KEY, "--modules-path"])
        .arg(library));
    std::mem::take(&mut api.lock().expect("lock").calls)
}

/// Asserts that these calls were made: the module's first, then the triggers', then the
/// connectors'; within a kind the order is that of the directory, which is any.
fn assert_calls(made: &[Call], expected: &[Call]) {
    let collection = |call: &Call| call.request.split('/').nth(1).map(str::to_owned);
    let mut collections: Vec<_> = made.iter().map(collection).collect();
    collections.dedup();
    let mut expected_collections: Vec<_> = expected.iter().map(collection).collect();
    expected_collections.dedup();
    assert_eq!(collections, expected_collections, "the order of kinds");
    let sorted = |calls: &[Call]| {
        let mut calls = calls.to_vec();
        calls.sort_by_key(|call| (call.request.clone(), call.body.to_string()));
        calls
    };
    assert_eq!(sorted(made), sorted(expected));
}

fn call(request: String, body: Value) -> Call {
    Call { request, body }
}

/// U-01 to U-06.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_is_synchronized() {
    let Some(tool) = tool() else { return };
    let (api, address) = playbook_api::start().await;
    let library = library(&["trigger_", "connector_"]);
    let synchronize = || synchronize(tool, library.path(), &api, address);
    let objects = objects();
    let looked_up = |object: &Object| call(format!("GET {}", object.path()), Value::Null);

    let created = objects.iter().flat_map(|object| {
        let post = call(format!("POST /{}", object.collection), object.body.clone());
        [looked_up(object), post]
    });
    assert_calls(&synchronize(), &created.collect::<Vec<_>>());

    let unchanged: Vec<_> = objects.iter().map(looked_up).collect();
    assert_calls(&synchronize(), &unchanged);

    for object in api.lock().expect("lock").objects.values_mut() {
        object["name"] = json!("Old name");
    }
    let changed = objects.iter().flat_map(|object| {
        let name = json!({ "name": object.body["name"] });
        [
            looked_up(object),
            call(format!("PATCH {}", object.path()), name),
        ]
    });
    assert_calls(&synchronize(), &changed.collect::<Vec<_>>());
}

const MENU: &str = "\
nav:
- Sekoia.io TIP:
  - Features:
    - Automate:
      - Actions Library: []
- Integrations:
  - List of Playbooks Actions: []
";

/// A documentation repository that has nothing yet.
fn site() -> TempDir {
    let site = tempfile::tempdir().expect("site");
    for folder in [PAGES, LOGOS] {
        fs::create_dir_all(site.path().join(folder)).expect(folder);
    }
    fs::write(site.path().join("mkdocs.yml"), MENU).expect("menu");
    site
}

const PAGES: &str = "_shared_content/automate/library";
const LOGOS: &str = "docs/assets/playbooks/library";
const SLUG: &str = "microsoft-365-message-trace";

#[test]
fn the_documentation_of_triggers_is_generated() {
    let Some(tool) = tool() else { return };
    let (library, site) = (library(&["trigger_"]), site());
    run(Command::new(tool)
        .arg("generate-documentation")
        .args([library.path(), site.path()]));

    let page =
        fs::read_to_string(site.path().join(PAGES).join(format!("{SLUG}.md"))).expect("page");
    for file in files("trigger_") {
        let trigger = read_json(&file);
        assert!(page.contains(&format!("### {}", trigger["name"].as_str().expect("name"))));
        let settings = trigger["arguments"]["properties"]
            .as_object()
            .expect("settings");
        for (name, setting) in settings {
            let description = setting["description"].as_str().expect("description");
            let told = page.contains(&format!("| `{name}` |")) && page.contains(description);
            assert!(told, "{file}: {name}");
        }
    }
    assert!(site.path().join(LOGOS).join(format!("{SLUG}.png")).exists());
    let menu = fs::read_to_string(site.path().join("mkdocs.yml")).expect("menu");
    assert!(menu.contains(&format!("{SLUG}.md")), "{menu}");
}

/// The tool leaves out triggers that are connectors too: their page is that of the intake format.
#[test]
fn the_documentation_takes_twins_for_connectors() {
    let Some(tool) = tool() else { return };
    let (library, site) = (library(&["trigger_", "connector_"]), site());
    let said = run(Command::new(tool)
        .arg("generate-documentation")
        .args([library.path(), site.path()]));
    assert_eq!(
        said.matches(" ignored because ").count(),
        files("connector_").len(),
        "{said}"
    );
}
