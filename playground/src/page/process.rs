//! The module's process, as the page has it: its log and its end are events, signals are sent to it.

use std::{path::Path, process::ExitStatus};

use tokio::{sync::mpsc, time::Instant};

use crate::{
    module::{Module, STOP_TIMEOUT},
    page::Event,
    site::Site,
};

/// What can be done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// SIGTERM, as the platform does it.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A running process; it is killed when the task that holds it ends.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: Option<u32>,
    signs: mpsc::Sender<Sign>,
}

impl Process {
    /// Starts the module. Its lines and its end come as events of this life.
    pub(crate) fn start(
        binary: &Path,
        command: &str,
        site: &Site,
        life: u32,
        events: mpsc::Sender<Event>,
    ) -> anyhow::Result<Self> {
        let module = Module::start(binary, command, site)?;
        let pid = module.id();
        let (signs, inbox) = mpsc::channel(4);
        tokio::spawn(live(module, life, inbox, events));
        Ok(Self { pid, signs })
    }

    /// Sends a signal.
    pub(crate) fn sign(&self, sign: Sign) {
        // One that has ended needs none, and the queue holds more than a person can press.
        _ = self.signs.try_send(sign);
    }
}

async fn live(
    mut module: Module,
    life: u32,
    mut signs: mpsc::Receiver<Sign>,
    events: mpsc::Sender<Event>,
) {
    let mut deadline = None;
    let mut complaint = None;
    let mut at_once = false;
    loop {
        let too_late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            line = module.log_line() => match line {
                Ok(Some(line)) => _ = events.send(Event::Line(line)).await,
                Ok(None) => break,
                Err(error) => {
                    complaint = Some(format!("{error:#}"));
                    break;
                }
            },
            sign = signs.recv() => match sign {
                Some(Sign::Stop) if deadline.is_none() => {
                    deadline = Some(Instant::now() + STOP_TIMEOUT);
                    if let Err(error) = module.ask_to_stop() {
                        complaint = Some(format!("{error:#}"));
                    }
                }
                Some(Sign::Stop) => {}
                // The page has gone: nothing may stay behind.
                Some(Sign::Kill) | None => {
                    at_once = true;
                    break;
                }
            },
            () = too_late => {
                complaint = Some(format!(
                    "it did not stop within {} s and was killed",
                    STOP_TIMEOUT.as_secs()
                ));
                at_once = true;
                break;
            }
        }
    }
    let status: anyhow::Result<ExitStatus> = module.end(at_once).await;
    if let Err(error) = &status {
        complaint = Some(format!("{error:#}"));
    }
    let ended = Event::Ended {
        life,
        status: status.ok(),
        complaint,
    };
    // The page may have ended, too.
    _ = events.send(ended).await;
}
