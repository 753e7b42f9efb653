//! What a bug report needs, in one archive, without secrets and without what identifies people, mails, or
//! the organization.
//!
//! Each part is gathered by itself: what cannot be had is named in the archive, with the reason, and the
//! others are there all the same. Nothing is changed, and the trigger may be running meanwhile.

mod archive;
mod files;
mod redact;
mod settings;

use std::time::Duration;

use base::{Clock, http::chain};
use chrono::{DateTime, SecondsFormat, Utc};
use sekoia::{
    Concealer, Effective, Installation, Judged, LAST_LINES_FILES, ProcessProbe, StorageError,
    effective,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use self::{
    archive::Archive,
    redact::Redactor,
    settings::{NAMES, shown, texts},
};
use crate::triggers::{self, Subject};

/// A disk or a store that hangs costs a part of the archive, and no more time than this.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a file's content is not there.
const LATE: &str = "the file took too long to read";

/// Bytes of the log's last lines that are read at most, of each file.
const LONGEST_LOG: usize = 1 << 20;

struct Part {
    name: String,
    about: &'static str,
    text: String,
}

pub(crate) struct Support {
    /// The name of the folder in it, for its file's name.
    pub(crate) name: String,
    /// The archive: a tar, compressed with gzip.
    pub(crate) content: Vec<u8>,
    /// What it says of itself.
    pub(crate) manifest: String,
}

struct Gathering {
    redactor: Redactor,
    now: DateTime<Utc>,
    parts: Vec<Part>,
    /// What is not in the archive, and why.
    missing: Vec<(String, String)>,
}

/// Puts an archive together. The `trigger` tells whose settings count; the sentence why it is unclear is a
/// part of the archive then. `named` when a person has named it: the status is that of its tenant.
pub(crate) async fn support(
    installation: &Installation<'_>,
    trigger: Result<String, String>,
    named: bool,
) -> anyhow::Result<Support> {
    let now = Clock::system().now();
    let mut gathering = Gathering {
        redactor: Redactor::new(Concealer::of(installation))?,
        now,
        parts: Vec::new(),
        missing: Vec::new(),
    };
    // All names first: each of them may stand anywhere.
    for command in installation.registry.commands() {
        let judged = effective(installation, command.name);
        gathering.names(&judged.map(|judged| judged.values).unwrap_or_default());
    }
    let probe = match ProcessProbe::find(installation).await {
        Ok(probe) => probe,
        Err(error) => {
            gathering.lacks("the process and the place of the files", &chain(&error));
            ProcessProbe::of_directory(installation.directories.data.clone()).await
        }
    };
    let found = in_time(files::find(&probe), "the files took too long to list").await;
    let found = found.unwrap_or_else(|why| {
        gathering.lacks("files.txt and state/", &why);
        files::Found::default()
    });
    gathering.names_in_files(&probe, &found).await;

    gathering.version(trigger.as_deref().ok());
    let judged = match &trigger {
        Ok(trigger) => effective(installation, trigger).map_err(|error| chain(&error)),
        Err(unclear) => Err(unclear.clone()),
    };
    let subject = match (&trigger, &judged) {
        (Ok(trigger), Ok(judged)) if named => Subject::of_settings(trigger, &judged.values),
        _ => None,
    };
    gathering.settings(judged);
    gathering.status(&probe, subject.as_ref()).await;
    gathering.metrics(&probe);
    gathering.log(&probe).await;
    gathering.state(&probe, &found).await;
    gathering.finish()
}

/// What came of some work on the files, or why nothing did; `late` says so of work that hangs.
async fn in_time<T>(
    work: impl Future<Output = Result<T, StorageError>>,
    late: &str,
) -> Result<T, String> {
    match timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(|error| chain(&error)),
        Err(_) => Err(late.to_owned()),
    }
}

impl Gathering {
    /// Names in settings are taken out of everything.
    fn names(&mut self, values: &[Effective]) {
        for (name, instead) in NAMES {
            let found = values.iter().filter(|one| one.name == name);
            let texts = found.flat_map(|one| texts(one.value.as_ref()));
            for text in texts {
                self.redactor.hide(text, instead);
                // A list has many.
                for one in text.split([',', ';', ' ', '\n']) {
                    let one = one.trim_matches(['*', '@', '.']);
                    self.redactor.hide(one, instead);
                    if let Some((_, domain)) = one.rsplit_once('@') {
                        self.redactor.hide(domain, instead);
                    }
                }
            }
        }
    }

    /// So are those of each tenant that has a state, and the subjects of dead letters.
    async fn names_in_files(&mut self, probe: &ProcessProbe, found: &files::Found) {
        for tenant in &found.tenants {
            self.redactor.hide(tenant, "<tenant>");
        }
        let names = timeout(TIMEOUT, found.names_inside(&probe.storage)).await;
        for (name, instead) in names.unwrap_or_default() {
            self.redactor.hide(&name, instead);
        }
    }

    fn put(&mut self, name: impl Into<String>, about: &'static str, text: String) {
        let name = name.into();
        self.parts.push(Part { name, about, text });
    }

    fn lacks(&mut self, what: impl Into<String>, why: &str) {
        let why = self.redactor.text(why);
        self.missing.push((what.into(), why));
    }

    fn version(&mut self, trigger: Option<&str>) {
        let facts = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "trigger": trigger,
            "made": self.now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "system": std::env::consts::OS,
            "processor": std::env::consts::ARCH,
        });
        let about = "the version of the program, the trigger, and the machine's kind";
        self.put("version.json", about, format!("{facts:#}\n"));
    }

    fn settings(&mut self, judged: Result<Judged, String>) {
        let Judged {
            values,
            problems,
            suspicions,
        } = match judged {
            Ok(judged) => judged,
            Err(why) => return self.lacks("settings.json", &why),
        };
        let values: Vec<Value> = values.into_iter().map(shown).collect();
        let facts = json!({"settings": values, "problems": problems, "warnings": suspicions});
        let facts = self.redactor.told(facts);
        let about =
            "the settings that count, and where each comes from, with what `check` says of them";
        self.put("settings.json", about, format!("{facts:#}\n"));
    }

    async fn status(&mut self, probe: &ProcessProbe, subject: Option<&Subject>) {
        let mut seen = triggers::SeenLetters::default();
        let status = triggers::status(probe, subject, self.now, &mut seen);
        let status = timeout(TIMEOUT, status).await;
        let Ok(report) = status else {
            return self.lacks("status.json", "the files took too long to read");
        };
        let facts = self.redactor.told(report.facts().into());
        let about = "what `status --json` says: position, timeline, gaps, lost times, errors";
        self.put("status.json", about, format!("{facts:#}\n"));
    }

    fn metrics(&mut self, probe: &ProcessProbe) {
        match &probe.process {
            Some(process) if !process.metrics.is_empty() => {
                let text = self.redactor.own(&process.metrics);
                let about = "the metrics of the running process";
                self.put("metrics.txt", about, text);
            }
            Some(_) => self.lacks("metrics.txt", "the process has not told its metrics"),
            None => self.lacks(
                "metrics.txt",
                "no process that works on these files answers here",
            ),
        }
    }

    async fn log(&mut self, probe: &ProcessProbe) {
        let mut text = String::new();
        let mut trouble = None;
        for name in LAST_LINES_FILES {
            match in_time(probe.storage.read(name), LATE).await {
                Ok(lines) => {
                    let lines = lines.unwrap_or_default();
                    let lines = lines.get(..LONGEST_LOG).unwrap_or(&lines);
                    text.push_str(&String::from_utf8_lossy(lines));
                }
                Err(why) => trouble = Some(why),
            }
        }
        if let Some(trouble) = &trouble {
            self.lacks("lines of the log", trouble);
        }
        if text.is_empty() {
            let why = match probe.root {
                Some(_) if trouble.is_some() => "none of its lines could be read",
                Some(_) => "there are no lines of it among these files",
                None => "they are not kept in an object store: see the log in Sekoia.io",
            };
            return self.lacks("log.txt", why);
        }
        let mut clean = String::new();
        for entry in entries(&text) {
            clean.push_str(&self.redactor.text(&entry));
            clean.push('\n');
        }
        let about = "the last lines of the log, those for the platform included";
        self.put("log.txt", about, clean);
    }

    async fn state(&mut self, probe: &ProcessProbe, found: &files::Found) {
        if !found.listed.is_empty() {
            let text = found.list();
            let text = self.redactor.own(&text);
            let about =
                "all files of the state: bytes, permissions, owner, time of the last change, name";
            self.put("files.txt", about, text);
        }
        for file in &found.states {
            let name = format!("state/{}", file.shown);
            let read = in_time(probe.storage.read(&file.name), LATE).await;
            // It may have gone meanwhile.
            let Some(text) = read.transpose() else {
                continue;
            };
            match text.and_then(|text| files::parsed(&text)) {
                Ok(value) => {
                    let value = self.redactor.state(value);
                    self.put(name, file.about, format!("{value:#}\n"));
                }
                Err(why) => self.lacks(name, &why),
            }
        }
        for (what, why) in found.left_out() {
            self.missing.push((what.to_owned(), why.to_owned()));
        }
    }

    fn finish(mut self) -> anyhow::Result<Support> {
        let folder = self.now.format("message-trace-support-%Y%m%d-%H%M%S");
        let folder = folder.to_string();
        let mut archive = Archive::new(folder.clone(), self.now);
        let mut kept = Vec::new();
        for Part { name, about, text } in std::mem::take(&mut self.parts) {
            // A name may hold what a person has called a file.
            let name = self.redactor.own(&name);
            if archive.add(&name, text.as_bytes())? {
                kept.push(format!("{name} ({} bytes): {about}", text.len()));
            } else {
                self.missing
                    .push((name, "there is no room for it".to_owned()));
            }
        }
        let manifest = self.manifest(kept);
        archive.add("manifest.txt", manifest.as_bytes())?;
        Ok(Support {
            name: folder,
            content: archive.finish()?,
            manifest,
        })
    }

    fn manifest(&self, mut kept: Vec<String>) -> String {
        kept.push("manifest.txt: this list".to_owned());
        let missing = self.missing.iter();
        let missing = missing.map(|(what, why)| format!("{what}: {why}"));
        let counts = self.redactor.counts().iter();
        let counts = counts.map(|(what, count)| format!("{what}: {count}"));
        let mut taken_out: Vec<String> = counts.collect();
        if taken_out.is_empty() {
            taken_out.push("nothing was found".to_owned());
        }
        let mut text = format!(
            "Support archive of message-trace {}, made at {}\n",
            env!("CARGO_PKG_VERSION"),
            self.now.format("%Y-%m-%d %H:%M:%S UTC"),
        );
        for (title, lines) in [
            ("What is in it", kept),
            ("What is not in it", missing.collect()),
            ("What was taken out of the texts, and how often", taken_out),
        ] {
            text += &format!("\n{title}\n");
            text.extend(lines.iter().map(|line| format!("  {line}\n")));
        }
        text
    }
}

/// The entries of a log: lines that begin without a date belong to the one before.
fn entries(text: &str) -> Vec<String> {
    let begins = |line: &str| {
        let date = line.get(..19).unwrap_or_default();
        DateTime::parse_from_str(&format!("{date} +0000"), "%Y-%m-%d %H:%M:%S %z").is_ok()
            || line.starts_with('(')
    };
    let mut entries: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match entries.last_mut() {
            Some(entry) if !begins(line) => entry.push_str(line),
            _ => entries.push(line.to_owned()),
        }
    }
    let entries = entries.iter().map(|entry| entry.trim_end_matches('\n'));
    entries.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_date_belong_to_the_entry_before() {
        let text = "2026-11-18 11:06:40 - item - ERROR - a\nits cause\n2026-11-18 11:06:41 - b\n";
        let expected = [
            "2026-11-18 11:06:40 - item - ERROR - a\nits cause",
            "2026-11-18 11:06:41 - b",
        ];
        assert_eq!(entries(text), expected);
        assert_eq!(entries("broken"), ["broken"]);
        assert!(entries("").is_empty());
    }
}
