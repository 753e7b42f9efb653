//! The playbook in miniature: a page on which one adds, starts, watches, breaks and stops the trigger.
//!
//! One task, the [`Engine`], owns all that is known. The server hands it orders, the module's process,
//! its commands and the ledger hand it events, and it tells every open page what has changed.

mod asked;
mod board;
mod checking;
mod engine;
pub(crate) mod excuse;
mod full;
mod hub;
mod lamp;
mod mail;
mod manifest;
mod orders;
mod play;
mod probe;
mod process;
mod rows;
mod server;
mod state;
mod switches;
mod ticks;
mod tour;
pub(crate) mod verdict;
pub(crate) mod view;
mod work;

use std::process::ExitStatus;

use anyhow::{Context, bail};
use emulator::{Damage, Ending, Scenario};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use uuid::Uuid;

use self::{
    asked::{Finding, Problem},
    engine::Engine,
    hub::Hub,
    probe::Probe,
    verdict::Judgement,
};
use crate::{
    arguments::Arguments, disk::Apart, module, run, screen::Screen, signals::Signals, world::World,
};

/// Events that wait for the engine at most.
const WAITING: usize = 1024;

/// What a person asks for on the page.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Another trigger.
    Choose {
        value: String,
    },
    /// Trigger or connector.
    Kind {
        value: String,
    },
    /// A setting.
    Set {
        name: String,
        value: String,
    },
    /// The settings of the emulated organization.
    Fill,
    Check,
    Start,
    Stop,
    Kill,
    Restart,
    /// Start without any state.
    Anew,
    /// Turns a switch.
    Switch {
        name: String,
        on: bool,
    },
    /// Turns all switches off.
    Mend,
    /// Runs a scenario.
    Play {
        value: String,
    },
    /// Steps of the tour.
    Tour {
        value: String,
    },
    /// The outage of the tour.
    Outage,
}

/// What happens to the engine.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody wants something.
    Order(Order),
    /// The whole page is asked for.
    Page(oneshot::Sender<String>),
    /// A page listens from now on.
    Join(oneshot::Sender<server::Joined>),
    /// A row is opened.
    Row(u64, oneshot::Sender<Option<String>>),
    /// A file is downloaded.
    Download(Download, oneshot::Sender<String>),
    /// A line of the module's log.
    Line(String),
    /// The module has ended.
    Ended {
        life: u32,
        status: Option<ExitStatus>,
        complaint: Option<String>,
    },
    /// What `config` says of a version of the form; whether to start when it says nothing.
    Problems {
        version: u64,
        problems: anyhow::Result<Vec<Problem>>,
        start: bool,
    },
    /// A line of the `check` with this id.
    Found(Uuid, Finding),
    /// It has ended.
    Checked(Uuid, anyhow::Result<()>),
    /// What the module says of itself.
    Probed(Box<Probe>),
    /// What the ledger says of the world with this number.
    Judged(u64, Box<Judgement>),
    /// Something of the scenario of a world is due.
    Due(u64, Due),
}

/// What is due in a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// The module starts, perhaps with a state that was harmed.
    Start(Option<Damage>),
    /// It ends.
    End(Ending),
}

/// What can be downloaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Download {
    Verdict,
    Scenario,
}

/// Serves the page until a signal ends it; true when the verdict is clean and the module stopped as it
/// should, or never ran.
pub(crate) async fn run(
    arguments: &Arguments,
    screen: &Screen,
    apart: Option<Apart>,
) -> anyhow::Result<bool> {
    let mut signals = Signals::catch()?;
    let port = arguments.port.unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener
        .with_context(|| format!("port {port} is not free; choose another one with --port"))?;
    let address = listener.local_addr()?;
    let token = Uuid::new_v4().simple().to_string();
    let binary = tokio::select! {
        binary = module::build() => binary?,
        () = signals.any() => bail!("asked to end before the module was built"),
    };
    screen.line(format_args!("The page: http://{address}/{token}/\n"));
    let world = World::begin(Scenario::new(run::traffic(arguments)), apart).await?;
    screen.line(introduction());

    let hub = Hub::new();
    let (events, inbox) = mpsc::channel(WAITING);
    let service = server::router(server::Gate::new(address, token), events.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });
    let mut engine = Engine::new(binary, world, hub, events, screen, arguments.trigger)?;
    let result = engine.run(inbox, &mut signals).await;
    serving.abort();
    result
}

fn introduction() -> &'static str {
    "  Open it in a browser of this machine: there the trigger is added, started, watched, broken and
  stopped. Microsoft 365 and Sekoia.io are emulated, the module is the real binary.
  Ctrl-C, or closing this terminal, ends everything. What follows is the module's own log.
"
}
