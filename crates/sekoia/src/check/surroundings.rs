//! What surrounds a trigger: its ports, and the platform.

use std::{io, net::Ipv4Addr};

use base::http::chain;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{CheckFinding, Outcome, Topic};
use crate::{
    config::{LIVENESS_PORT, PORTS},
    process_probe::{self, AtPort},
    runtime::Start,
    secrets::SecretsError,
    storage::{StorageLocation, find_stamp},
};

/// Whose a port is that cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// The trigger's that works on these files.
    Own,
    /// Perhaps that one's, which does not say so: it stands still, or could not write its id.
    Untold,
    Other,
}

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
        let holder = match in_use {
            true => self.holder(reader).await,
            false => Holder::Other,
        };
        let taken = taken.iter();
        taken
            .map(|(key, port, error)| of_port(key, *port, error, holder))
            .collect()
    }

    /// Whose the ports are while a trigger works on these files, by what answers at the one for liveness.
    async fn holder(&self, reader: &StorageLocation) -> Holder {
        let Ok(port) = self.configuration.port(LIVENESS_PORT) else {
            return Holder::Other;
        };
        let id = find_stamp(&reader.storage()).await;
        let told = process_probe::at(port).await;
        holder(id, told, reader.root().is_some())
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

/// By the id among the files and what answers; `is_here` when who works on them does so on this machine.
fn holder(id: Option<Uuid>, told: AtPort, is_here: bool) -> Holder {
    match (id, told) {
        (Some(id), AtPort::Trigger(Some(told))) if id == told => Holder::Own,
        (Some(_), AtPort::Trigger(Some(_))) | (_, AtPort::Stranger) => Holder::Other,
        _ if is_here => Holder::Untold,
        _ => Holder::Other,
    }
}

fn of_port(key: &str, port: u16, error: &io::Error, holder: Holder) -> CheckFinding {
    let facts = json!({"port": port, "key": key});
    let (outcome, text) = match holder {
        Holder::Own => (Outcome::Pass, format!("{port} is the running trigger's")),
        Holder::Untold => (
            Outcome::Warn,
            format!(
                "port {port} cannot be listened on ({error}): it is probably that of the trigger that runs \
                 on these files, which does not answer there, or could not write process.json; if \
                 another program has it, choose a free one with the key {key}"
            ),
        ),
        Holder::Other => (
            Outcome::Fail,
            format!(
                "port {port} cannot be listened on ({error}): choose a free one with the key {key}"
            ),
        ),
    };
    CheckFinding::new(Topic::PORTS, outcome, text, facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a trigger that stands still, or runs on a full disk, is said to be in its own way.
    #[test]
    fn a_port_of_the_trigger_that_runs_is_no_other_program_s() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for (id, told, of_directory, of_objects) in [
            (
                Some(own),
                AtPort::Trigger(Some(own)),
                Holder::Own,
                Holder::Own,
            ),
            (
                Some(own),
                AtPort::Trigger(Some(other)),
                Holder::Other,
                Holder::Other,
            ),
            (
                Some(own),
                AtPort::Trigger(None),
                Holder::Untold,
                Holder::Other,
            ),
            (Some(own), AtPort::Silence, Holder::Untold, Holder::Other),
            (None, AtPort::Silence, Holder::Untold, Holder::Other),
            (
                None,
                AtPort::Trigger(Some(own)),
                Holder::Untold,
                Holder::Other,
            ),
            (None, AtPort::Stranger, Holder::Other, Holder::Other),
        ] {
            assert_eq!(holder(id, told, true), of_directory, "{id:?} {told:?}");
            // Who works in an object store may be on another machine.
            assert_eq!(holder(id, told, false), of_objects, "{id:?} {told:?}");
        }
        let error = io::Error::from(io::ErrorKind::AddrInUse);
        let found = of_port("liveness_port", 8000, &error, Holder::Untold);
        assert_eq!(found.outcome, Outcome::Warn);
        assert!(found.text.contains("runs on these files"), "{}", found.text);
        let found = of_port("liveness_port", 8000, &error, Holder::Other);
        assert_eq!(found.outcome, Outcome::Fail);
    }
}
