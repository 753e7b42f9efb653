//! A playground, and a real browser that looks at its page.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};
use uuid::Uuid;

/// Nothing that a test waits for takes longer, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(150);

/// Browsers at a time: their pages wait for minutes, and are drawn in between.
static PLACES: Semaphore = Semaphore::const_new(3);

/// Says something although the test passes: what is printed otherwise is kept from who runs the tests.
pub(crate) fn say(text: &str) {
    // Nobody may listen.
    _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A playground that serves its page.
pub(crate) struct Playground {
    process: Child,
    /// Its address, with the token.
    pub(crate) address: String,
    /// When it was started.
    pub(crate) since: Instant,
    /// Reads what it prints: it stands still when nobody does.
    screen: Option<JoinHandle<String>>,
}

impl Playground {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_playground"))
            .args(["--port", "0"])
            .args(arguments)
            .env_remove("CARGO")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("The page: ");
        let address = address.unwrap_or_else(|| panic!("no address first, but {line:?}"));
        let address = address.to_owned();
        let screen = std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            lines.collect::<Vec<_>>().join("\n")
        });
        Self {
            address,
            process,
            since: Instant::now(),
            screen: Some(screen),
        }
    }

    /// Ends it as a terminal does that is closed, and returns what it printed.
    pub(crate) fn hang_up(&mut self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.process), Signal::HUP).unwrap();
        let status = self.process.wait().unwrap();
        let screen = self.screen.take().unwrap();
        (status, screen.join().unwrap())
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        // It ends the module in order; killed, it would leave it behind.
        if let Ok(None) = self.process.try_wait() {
            _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        }
        _ = self.process.wait();
    }
}

/// A browser.
pub(crate) struct Browser {
    client: Client,
    driver: Child,
    _profile: TempDir,
    _place: SemaphorePermit<'static>,
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|file| file.exists())
}

/// A port that nobody listens on. It lies below those that a system gives out by itself: one of these
/// could be gone before the driver takes it.
fn free_port() -> u16 {
    let drawn = || 20_000 + u16::try_from(Uuid::new_v4().as_u128() % 10_000).unwrap();
    let mut ports = std::iter::repeat_with(drawn).take(100);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).unwrap()
}

/// What a test needs; none, said aloud, where it is not there.
pub(crate) async fn ready() -> Option<Browser> {
    let place = PLACES.acquire().await.unwrap();
    let module = Path::new(env!("CARGO_BIN_EXE_playground")).with_file_name("message-trace");
    let (Some(driver), Some(chromium), true) = (
        program(&["chromedriver"]),
        program(&["chromium", "google-chrome"]),
        module.exists(),
    ) else {
        say("SKIPPED: no chromium with chromedriver, or no module beside the playground");
        return None;
    };
    let port = free_port();
    let profile = tempfile::tempdir().unwrap();
    let driver = Command::new(driver)
        .arg(format!("--port={port}"))
        // What the browser leaves behind goes with the profile.
        .env("TMPDIR", profile.path())
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = connect(port, &chromium, profile.path()).await;
    Some(Browser {
        client,
        driver,
        _profile: profile,
        _place: place,
    })
}

/// A session, as soon as the driver listens.
async fn connect(port: u16, chromium: &Path, profile: &Path) -> Client {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--window-size=1440,900",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let options = json!({ "args": arguments, "binary": chromium });
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
    let address = format!("http://127.0.0.1:{port}");
    let start = Instant::now();
    loop {
        let mut builder =
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        match builder
            .capabilities(capabilities.clone())
            .connect(&address)
            .await
        {
            Ok(client) => return client,
            Err(error) if start.elapsed() > PATIENCE => panic!("no browser: {error}"),
            // The driver takes a moment to listen.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Browser {
    pub(crate) async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    pub(crate) async fn js(&self, script: &str) -> Value {
        let script = format!("return (async () => {{ {script} }})()");
        let value = self.client.execute(&script, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits in the page until this expression is true there.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!(
            "const [limit, done] = arguments; const end = performance.now() + limit;
             (function look() {{
                 let is = false; try {{ is = !!({expression}); }} catch (error) {{ }}
                 if (is) done('yes'); else if (performance.now() > end) done('no');
                 else setTimeout(look, 50);
             }})();"
        );
        self.timeouts().await;
        let limit = json!(PATIENCE.as_millis());
        let found = self
            .client
            .execute_async(&script, vec![limit])
            .await
            .unwrap();
        if found != "yes" {
            let text = self.js("return document.body.innerText").await;
            panic!("never: {expression}\n{}", text.as_str().unwrap_or_default());
        }
    }

    /// Waits until what was laid out anew is drawn.
    pub(crate) async fn drawn(&self) {
        let script = "const done = arguments[0];
            requestAnimationFrame(() => requestAnimationFrame(() => done(true)));";
        self.client.execute_async(script, Vec::new()).await.unwrap();
    }

    async fn timeouts(&self) {
        let limits = fantoccini::wd::TimeoutConfiguration::new(
            Some(PATIENCE + Duration::from_secs(10)),
            None,
            None,
        );
        self.client.update_timeouts(limits).await.unwrap();
    }

    /// Presses something.
    pub(crate) async fn press(&self, selector: &str) {
        self.until(&format!(
            "document.querySelector({selector:?}) && !document.querySelector({selector:?}).disabled"
        ))
        .await;
        self.js(&format!("document.querySelector({selector:?}).click()"))
            .await;
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        let active = self.client.active_element().await.unwrap();
        active.send_keys(keys).await.unwrap();
    }

    /// Types into a setting and leaves it.
    pub(crate) async fn set(&self, name: &str, value: &str) {
        // The form may be on its way.
        self.until(&format!("document.getElementById({name:?})"))
            .await;
        self.js(&format!(
            "const field = document.getElementById({name:?}); field.value = {value:?};
             field.dispatchEvent(new Event('change', {{ bubbles: true }}))"
        ))
        .await;
    }

    /// Waits until a part of the page has this text.
    pub(crate) async fn sees(&self, id: &str, text: &str) {
        self.until(&format!(
            "document.getElementById({id:?}).innerText.includes({text:?})"
        ))
        .await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.client
            .issue_cmd(Devtools {
                command: command.to_owned(),
                parameters,
            })
            .await
            .unwrap();
    }

    /// The size of the window, and whether it is dark.
    pub(crate) async fn window(&self, width: u32, height: u32, dark: bool) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme },
                              { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }

    /// A picture of the window.
    pub(crate) async fn picture(&self, file: &Path) {
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(file, picture).unwrap();
    }

    /// Another tab, in front.
    pub(crate) async fn new_tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }

    /// The tab of this place, in front.
    pub(crate) async fn tab(&self, index: usize) {
        let tabs = self.client.windows().await.unwrap();
        self.client
            .switch_to_window(tabs[index].clone())
            .await
            .unwrap();
    }

    /// Nothing has gone wrong in the page so far.
    pub(crate) async fn no_errors(&self) {
        let log = self.client.issue_cmd(BrowserLog).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        let errors: Vec<&Value> = entries
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    /// `axe` finds nothing, as far as it is there.
    pub(crate) async fn accessible(&self, view: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = root.join("target/ci-tools/node_modules/axe-core/axe.min.js");
        let Ok(axe) = std::fs::read_to_string(file) else {
            say(&format!(
                "SKIPPED: no axe-core in target/ci-tools, so {view} is not looked at by it"
            ));
            return;
        };
        self.timeouts().await;
        self.js(&format!("if (!window.axe) {{ {axe} }}")).await;
        let script = "const done = arguments[0];
            axe.run(document, { resultTypes: ['violations'] }).then(
                (found) => done(found.violations.map((one) => `${one.id}: ${one.help}: ` +
                    one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' ' +
                        node.failureSummary.slice(0, 200)).join(' | '))),
                (error) => done([String(error)]));";
        let found = self.client.execute_async(script, Vec::new()).await.unwrap();
        assert_eq!(found, json!([]), "{view}: {found:#}");
    }

    pub(crate) async fn close(self) {
        // The session may have ended with its window.
        _ = self.client.clone().close().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is of its group.
        if let Ok(None) = self.driver.try_wait() {
            _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        }
        _ = self.driver.wait();
    }
}

/// A command of the developer tools.
#[derive(Debug)]
struct Devtools {
    command: String,
    parameters: Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for Devtools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}

/// The lines of the browser's console since the last time.
#[derive(Debug)]
struct BrowserLog;

impl fantoccini::wd::WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (
            http::Method::POST,
            Some(json!({ "type": "browser" }).to_string()),
        )
    }
}
