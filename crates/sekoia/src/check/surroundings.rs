//! What surrounds a trigger: its ports, and the platform.

use std::{io, net::Ipv4Addr};

use base::http::chain;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{CheckFinding, Outcome, Topic};
use crate::{
    config::{LIVENESS_PORT, PORTS},
    process_probe,
    runtime::Start,
    secrets::SecretsError,
    storage::{StorageLocation, find_stamp},
};

impl Start<'_> {
    /// Whether the ports can be listened on; `in_use` when a trigger works on these files, whose ports
    /// they may be. Nothing when the configuration of them is not usable, which is told as that.
    pub(in crate::check) async fn ports(
        &self,
        reader: &StorageLocation,
        in_use: bool,
    ) -> Vec<CheckFinding> {
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for key in PORTS {
            let Ok(port) = self.configuration.port(key) else {
                return Vec::new();
            };
            match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
                // It is held, as each key needs a port of its own.
                Ok(held) => free.push((port.to_string(), held)),
                Err(error) => taken.push((key.0, port, error)),
            }
        }
        if taken.is_empty() {
            let free: Vec<_> = free.iter().map(|(port, _)| port.as_str()).collect();
            let text = format!("{} are free for health and metrics", free.join(" and "));
            let pass = CheckFinding::new(Topic::PORTS, Outcome::Pass, text, json!({}));
            return vec![pass];
        }
        drop(free);
        let is_own = in_use && self.is_own_process(reader).await;
        let taken = taken.iter();
        taken
            .map(|(key, port, error)| of_port(key, *port, error, is_own))
            .collect()
    }

    /// Whether the process that answers at the port for liveness works on these files.
    async fn is_own_process(&self, reader: &StorageLocation) -> bool {
        let id = find_stamp(&reader.storage()).await;
        match (id, self.configuration.port(LIVENESS_PORT)) {
            (Some(id), Ok(port)) => process_probe::works_on(port, id).await,
            _ => false,
        }
    }

    /// Whether the platform takes the token: it is asked for the secrets, which changes nothing.
    pub(in crate::check) async fn platform(&self) -> CheckFinding {
        let asker = self.asker();
        if !asker.has_address() {
            let text = "no `url_callback` is set, so that the log goes to standard error only";
            return CheckFinding::new(Topic::PLATFORM, Outcome::Skipped, text, Value::Null);
        }
        let (outcome, text) = match asker.briefly().await {
            Ok(_) => (
                Outcome::Pass,
                "the platform takes the token (asked for the secrets)".to_owned(),
            ),
            Err(error @ SecretsError::Status(status)) if matches!(status.as_u16(), 401 | 403) => (
                Outcome::Fail,
                format!("{}, or start the trigger again in Sekoia.io", chain(&error)),
            ),
            Err(error) => (
                Outcome::Warn,
                format!(
                    "whether the platform takes the token is not known; without it no log line comes \
                     to Sekoia.io, and the collection goes on: {}",
                    chain(&error)
                ),
            ),
        };
        CheckFinding::new(Topic::PLATFORM, outcome, text, json!({}))
    }
}

fn of_port(key: &str, port: u16, error: &io::Error, is_own: bool) -> CheckFinding {
    let facts = json!({"port": port, "key": key});
    if is_own {
        let text = format!("{port} is the running trigger's");
        return CheckFinding::new(Topic::PORTS, Outcome::Pass, text, facts);
    }
    let text = format!(
        "port {port} cannot be listened on ({error}): choose a free one with the key {key}"
    );
    CheckFinding::new(Topic::PORTS, Outcome::Fail, text, facts)
}
