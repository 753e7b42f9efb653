//! The files of the state: which there are, and what of them may leave.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use chrono::{DateTime, SecondsFormat, Utc};
use sekoia::{ProcessProbe, Storage, StorageError};
use serde_json::Value;

/// Files that are listed at most.
const MOST_FILES: usize = 5_000;

/// Files of which the content is read at most.
const MOST_STATES: usize = 200;

/// A longer file is left out.
const LONGEST: usize = 2 << 20;

/// Files of dead letters that are searched for subjects at most, the newest of them.
const MOST_LETTER_FILES: usize = 2;

const TENANTS: &str = "tenants/";

const LETTERS: &str = "dead-letters/";

/// Files whose content is a part of the archive, and what each says.
const STATES: [(&str, &str); 18] = [
    (
        "context.json",
        "the position, where the Python module keeps it, too",
    ),
    ("context.json.previous", "a copy of the position"),
    (
        "coverage.json",
        "the timeline, and the evidence of lost times",
    ),
    ("quota.json", "requests of the last minutes"),
    ("tenant.json", "which service the state is of"),
    ("first_start.json", "when the very first run was started"),
    (
        "service.json",
        "why Microsoft Graph is read in place of the Reporting Web Service",
    ),
    ("backfill.json", "the last order of a backfill"),
    ("backfill-progress.json", "how far it has got"),
    ("verify.json", "the last order of a verification"),
    ("verify-progress.json", "how far it has got"),
    (
        "verify-schedule.json",
        "the standing order for verifications",
    ),
    (
        "verify-nights.json",
        "when the next of them is due, and what the last has found",
    ),
    ("dead-letters-order.json", "the last order for dead letters"),
    ("dead-letters-outcome.json", "what came of it"),
    (
        "outside.json",
        "until when rows outside of their windows are looked out for",
    ),
    ("last_error.json", "the last error"),
    (
        "process.json",
        "the id of the process that works on the files",
    ),
];

/// What is in no archive, and why.
const LEFT_OUT: [(&str, &str, &str); 5] = [
    (
        LETTERS,
        "the content of dead letters",
        "it is what is in mails",
    ),
    (
        "sign_in.json",
        "the content of sign_in.json",
        "it is about a refused password",
    ),
    (
        "known-rows/",
        "the content of the known rows",
        "hashes of rows, which tell nothing without the rows",
    ),
    (
        "proof/",
        "the content of the proof's ledger",
        "it holds the key of the hashes of rows",
    ),
    (
        "verify-hours.jsonl",
        "what each hour was found to be",
        "it names rows by their recipients",
    ),
];

#[derive(Debug)]
pub(super) struct State {
    /// Its name in the storage.
    pub(super) name: String,
    /// The same without the name of a tenant.
    pub(super) shown: String,
    pub(super) about: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    /// A line for each, with what the file system says of it.
    pub(super) listed: Vec<String>,
    more: usize,
    /// Those whose content may leave.
    pub(super) states: Vec<State>,
    /// The names of the tenants that have a folder.
    pub(super) tenants: Vec<String>,
    /// Files of dead letters, oldest first.
    letters: Vec<String>,
    /// Files that say whose the state is.
    owners: Vec<String>,
    /// Which of those that are left out there are.
    left_out: [bool; LEFT_OUT.len()],
}

pub(super) async fn find(probe: &ProcessProbe) -> Result<Found, StorageError> {
    let names = probe.storage.list("").await?;
    let mut found = Found::default();
    for name in names {
        if let Some((tenant, _)) = tenant_in(&name)
            && !found.tenants.iter().any(|known| known == tenant)
        {
            found.tenants.push(tenant.to_owned());
        }
        let shown = found.shown(&name);
        // Below the folder of a tenant there is one for each service.
        let inside = match shown.strip_prefix(TENANTS) {
            Some(rest) => rest.splitn(3, '/').nth(2).unwrap_or(rest),
            None => &shown,
        };
        for ((file, ..), is_there) in LEFT_OUT.iter().zip(&mut found.left_out) {
            *is_there |= inside.starts_with(file);
        }
        if inside.starts_with(LETTERS) {
            found.letters.push(name.clone());
        }
        if ["tenant.json", "tenant.json.copy"].contains(&inside) {
            found.owners.push(name.clone());
        }
        let state = STATES.iter().find(|(file, _)| *file == inside);
        if let Some((_, about)) = state.filter(|_| found.states.len() < MOST_STATES) {
            found.states.push(State {
                name: name.clone(),
                shown: shown.clone(),
                about,
            });
        }
        if found.listed.len() < MOST_FILES {
            let facts = probe.root.as_ref().map(|root| facts(&root.join(&name)));
            let facts = facts.unwrap_or_default();
            found.listed.push(format!("{facts}{shown}\n"));
        } else {
            found.more += 1;
        }
    }
    Ok(found)
}

/// The tenant whose folder a file is in, and its name there; none for the first tenant's.
fn tenant_in(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(TENANTS)?.split_once('/')
}

/// Bytes, permissions, owner and date of a file.
fn facts(path: &Path) -> String {
    match fs::symlink_metadata(path) {
        Ok(file) => {
            let changed = DateTime::<Utc>::from_timestamp(file.mtime(), 0).unwrap_or_default();
            format!(
                "{:>10} {:06o} {}:{} {} ",
                file.len(),
                file.mode(),
                file.uid(),
                file.gid(),
                changed.to_rfc3339_opts(SecondsFormat::Secs, true)
            )
        }
        // Its name says enough.
        Err(error) => format!("({error}) "),
    }
}

/// The content of a file as JSON.
///
/// # Errors
/// A sentence on why it is left out, which has nothing of the content.
pub(super) fn parsed(text: &[u8]) -> Result<Value, String> {
    if text.len() > LONGEST {
        return Err(format!("its {} bytes are too many", text.len()));
    }
    serde_json::from_slice(text).map_err(|error| {
        format!(
            "its {} bytes are not valid JSON (line {}, column {}), and could be anything",
            text.len(),
            error.line(),
            error.column()
        )
    })
}

impl Found {
    /// A name in which a number stands for each tenant.
    fn shown(&self, name: &str) -> String {
        let Some((tenant, rest)) = tenant_in(name) else {
            return name.to_owned();
        };
        let number = self.tenants.iter().position(|known| known == tenant);
        format!("{TENANTS}{}/{rest}", number.map_or(0, |number| number + 1))
    }

    /// All files, a line each.
    pub(super) fn list(&self) -> String {
        let listed = self.listed.concat();
        match self.more {
            0 => listed,
            more => format!("{listed}and {more} more\n"),
        }
    }

    /// What is left out whole, and why.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = LEFT_OUT.into_iter().zip(self.left_out);
        all.filter_map(|((_, what, why), is_there)| is_there.then_some((what, why)))
    }

    /// Names of tenants and subjects of mails that stand in the files, and what takes their place.
    pub(super) async fn names_inside(&self, storage: &Storage) -> Vec<(String, &'static str)> {
        let mut names = Vec::new();
        for owner in &self.owners {
            let Ok(Some(text)) = storage.read(owner).await else {
                continue;
            };
            let binding: Value = serde_json::from_slice(&text).unwrap_or_default();
            for key in ["tenant", "tenant_id"] {
                let name = binding.get(key).and_then(Value::as_str);
                let name = name.filter(|name| !name.is_empty());
                names.extend(name.map(|name| (name.to_owned(), "<tenant>")));
            }
        }
        for letters in self.letters.iter().rev().take(MOST_LETTER_FILES) {
            let Ok(Some(text)) = storage.read(letters).await else {
                continue;
            };
            let lines = text.split(|byte| *byte == b'\n');
            let letters = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
            for letter in letters {
                let event = letter.get("event").and_then(Value::as_str);
                let event = event.and_then(|event| serde_json::from_str::<Value>(event).ok());
                let members = event.as_ref().and_then(Value::as_object);
                for (name, value) in members.into_iter().flatten() {
                    let is_subject = name.to_ascii_lowercase().contains("subject");
                    let subject = value.as_str().filter(|_| is_subject);
                    names.extend(subject.map(|subject| (subject.to_owned(), "<subject>")));
                }
            }
        }
        names
    }
}
