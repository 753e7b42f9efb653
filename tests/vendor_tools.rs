//! The vendor's own tools accept the manifests: `synchronize-library` against a stand-in of the
//! Playbook API (contract U), and `generate-documentation`.
//!
//! The tools are installed once into a scratch environment below `target/`. Where Python, pip or
//! the package cannot be had, the tests say so and pass.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's helpers may panic and say why they skip, as the test itself may"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

const PACKAGE: &str = "sekoia-automation-sdk==1.27.0";
const API_KEY: &str = "key-of-the-playbook-api";
const FILES: [&str; 5] = [
    "manifest.json",
    "trigger_message_trace.json",
    "CHANGELOG.md",
    "logo.svg",
    "logo.png",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_json(name: &str) -> Value {
    let text = fs::read(repository().join(name)).expect(name);
    serde_json::from_slice(&text).expect(name)
}

/// The vendor's command line tool; `None`, saying why, where it cannot be had.
fn tool() -> Option<&'static Path> {
    static TOOL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || install().inspect_err(|reason| skip(reason)).ok();
    TOOL.get_or_init(install).as_deref()
}

/// Straight to stderr: the test harness keeps what `eprintln!` says in a test that passes.
fn skip(reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {reason}").expect("stderr");
}

fn install() -> Result<PathBuf, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let tool = environment.join("bin/sekoia-automation");
    let complete = environment.join("complete");
    if complete.exists() {
        return Ok(tool);
    }
    let python = [
        "python3",
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
    ]
    .into_iter()
    .find(|python| is_recent(python))
    .ok_or("no Python 3.11 or later")?;
    succeed(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    succeed(pip.arg(PACKAGE))?;
    fs::write(complete, "").map_err(|error| error.to_string())?;
    Ok(tool)
}

fn is_recent(python: &str) -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 11))";
    Command::new(python)
        .args(["-c", check])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// A module library with this module in it.
fn library() -> TempDir {
    let library = tempfile::tempdir().expect("library");
    let module = library.path().join("message-trace");
    fs::create_dir(&module).expect("module");
    for name in FILES {
        fs::copy(repository().join(name), module.join(name)).expect(name);
    }
    library
}

fn run(command: &mut Command) -> String {
    for variable in ["REGISTRY", "NAMESPACE", "REGISTRY_PAT"] {
        command.env_remove(variable);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("the tool starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

#[derive(Debug, Clone, PartialEq)]
struct Call {
    request: String,
    body: Value,
}

/// The part of the Playbook API that the tool uses: modules and triggers, kept in memory.
#[derive(Debug, Default)]
struct PlaybookApi {
    objects: BTreeMap<String, Value>,
    calls: Vec<Call>,
}

type Shared = Arc<Mutex<PlaybookApi>>;

impl PlaybookApi {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> Response {
        self.calls.push(Call {
            request: format!("{method} {path}"),
            body: body.clone(),
        });
        match *method {
            Method::GET => match self.objects.get(path) {
                Some(object) => Json(object).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            Method::POST => {
                let uuid = body["uuid"].as_str().expect("uuid");
                self.objects.insert(format!("{path}/{uuid}"), body);
                StatusCode::OK.into_response()
            }
            Method::PATCH => {
                let object = self.objects.get_mut(path).and_then(Value::as_object_mut);
                let changes = body.as_object().expect("object").clone();
                object.expect("a known object").extend(changes);
                StatusCode::OK.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }
}

async fn handle(
    State(api): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let bearer = format!("Bearer {API_KEY}");
    if headers
        .get("authorization")
        .is_none_or(|value| value.as_bytes() != bearer.as_bytes())
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = serde_json::from_slice(&body).unwrap_or_default();
    api.lock().expect("lock").answer(&method, uri.path(), body)
}

async fn start_playbook_api() -> (Shared, SocketAddr) {
    let api = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("address");
    let router = Router::new().fallback(handle).with_state(Arc::clone(&api));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (api, address)
}

/// Synchronizes the library and returns the calls that the tool made.
fn synchronize(tool: &Path, library: &Path, api: &Shared, address: SocketAddr) -> Vec<Call> {
    let url = format!("http://{address}");
    run(Command::new(tool)
        .args(["synchronize-library", &url, API_KEY, "--modules-path"])
        .arg(library));
    std::mem::take(&mut api.lock().expect("lock").calls)
}

fn requests(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.request.as_str()).collect()
}

/// U-01 to U-06.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_is_synchronized() {
    let Some(tool) = tool() else { return };
    let (api, address) = start_playbook_api().await;
    let library = library();
    let synchronize = || synchronize(tool, library.path(), &api, address);
    let mut module = read_json("manifest.json");
    let mut trigger = read_json("trigger_message_trace.json");
    let module_path = format!("/modules/{}", module["uuid"].as_str().expect("uuid"));
    let trigger_path = format!("/triggers/{}", trigger["uuid"].as_str().expect("uuid"));
    let (get_module, get_trigger) = (format!("GET {module_path}"), format!("GET {trigger_path}"));

    let first = synchronize();
    assert_eq!(
        requests(&first),
        [&get_module, "POST /modules", &get_trigger, "POST /triggers"]
    );
    let image = concat!(
        "ghcr.io/sekoia-io/automation-module-message-trace:",
        env!("CARGO_PKG_VERSION")
    );
    let logo = first[1].body["image"].as_str().expect("logo");
    assert!(logo.starts_with("data:image/svg+xml;base64,"), "{logo}");
    module["docker"] = json!(image);
    module["image"] = json!(logo);
    module["changelog"] =
        json!(fs::read_to_string(repository().join("CHANGELOG.md")).expect("text"));
    assert_eq!(first[1].body, module);
    trigger["docker"] = json!(image);
    trigger["module_uuid"] = module["uuid"].clone();
    assert_eq!(first[3].body, trigger);

    let unchanged = synchronize();
    assert_eq!(requests(&unchanged), [&get_module, &get_trigger]);

    for path in [&module_path, &trigger_path] {
        api.lock()
            .expect("lock")
            .objects
            .get_mut(path)
            .expect("stored")["name"] = json!("Old name");
    }
    let changed = synchronize();
    let (patch_module, patch_trigger) = (
        format!("PATCH {module_path}"),
        format!("PATCH {trigger_path}"),
    );
    let expected = [&get_module, &patch_module, &get_trigger, &patch_trigger];
    assert_eq!(requests(&changed), expected);
    assert_eq!(changed[1].body, json!({ "name": module["name"] }));
    assert_eq!(changed[3].body, json!({ "name": trigger["name"] }));
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

#[test]
fn the_documentation_is_generated() {
    let Some(tool) = tool() else { return };
    let (library, site) = (library(), tempfile::tempdir().expect("site"));
    let pages = site.path().join("_shared_content/automate/library");
    let logos = site.path().join("docs/assets/playbooks/library");
    fs::create_dir_all(&pages).expect("pages");
    fs::create_dir_all(&logos).expect("logos");
    fs::write(site.path().join("mkdocs.yml"), MENU).expect("menu");

    run(Command::new(tool)
        .arg("generate-documentation")
        .args([library.path(), site.path()]));

    let slug = "microsoft-365-message-trace";
    let page = fs::read_to_string(pages.join(format!("{slug}.md"))).expect("page");
    let trigger = read_json("trigger_message_trace.json");
    for (name, setting) in trigger["arguments"]["properties"]
        .as_object()
        .expect("settings")
    {
        let description = setting["description"].as_str().expect("description");
        assert!(
            page.contains(&format!("| `{name}` |")) && page.contains(description),
            "{name}"
        );
    }
    assert!(logos.join(format!("{slug}.png")).exists());
    let menu = fs::read_to_string(site.path().join("mkdocs.yml")).expect("menu");
    assert!(menu.contains(&format!("{slug}.md")), "{menu}");
}
