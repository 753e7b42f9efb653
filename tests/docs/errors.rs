//! `docs/errors.md` has every error that the module can print, and no other.

use std::collections::BTreeSet;

use crate::source::{self, Literal, entries, page, product_files};

/// Calls and attributes whose texts are no errors: what is fine, what explains a command, and forms of figures.
const OTHERWISE: [&str; 17] = [
    "about",
    "after_help",
    "allow",
    "arg",
    "command",
    "debug",
    "debug_assert",
    "figure",
    "help",
    "info",
    "long_about",
    "matches",
    "override_usage",
    "pass",
    "register",
    "skip",
    "with_template",
];

/// Calls whose texts are errors, however short.
const ALARMS: [&str; 10] = [
    "anyhow",
    "bail",
    "configuration",
    "context",
    "critical",
    "error",
    "exception",
    "fail",
    "refuse",
    "warning",
];

/// Files without errors: what metrics mean, and what an archive says of itself, which `docs/support.md`
/// explains.
const WITHOUT: [&str; 3] = [
    "crates/sekoia/src/metrics",
    "src/support",
    "src/cli/verify/page.rs",
];

/// Texts that are no errors, or only a part of one that has its own entry.
const NOT_ERRORS: [&str; 96] = [
    "RecipientAddress eq '…'",
    "the next query for rows",
    "StartDate eq datetime'…'",
    " and MessageTraceId eq guid'…'",
    "id eq '…' and ",
    "; … was refused at … and …",
    "tunnel error: ",
    "through the proxy …",
    "No saved position: the collection begins",
    "The collection goes on with rows received at ….",
    "the last good copy",
    " in the folder …",
    "; the states of … are kept beside it",
    "filter=",
    "the answer says: …",
    "Office 365 Exchange Online",
    "it holds no token",
    "only GET is supported",
    "the configuration fits the trigger's manifest",
    "the data directory can be written, and has free",
    "all … fit …",
    ", to be created",
    "; a trigger is running on it",
    "a text of … characters",
    " in the form …",
    "something else, see the manifest",
    "… from … to …",
    "… of … to ……",
    "… that is not empty",
    "… of at least ……",
    "… of at most ……",
    "that is compiled in",
    "log lines are delivered again",
    ", which is …",
    "bucket … at …",
    "Batch(… events, … bytes)",
    "Number of events ",
    "Number of requests sent to the intake again",
    "… is not a date",
    "none yet: the first run …",
    "of …: the collection goes on at …",
    "of …: somebody has set it to …",
    ", but for what is lost, was skipped, or nobody asked for",
    "is delivered",
    "nothing has been read yet",
    "none: no collection has begun, only backfills",
    "; a backfill is not finished: …",
    ", done in about …",
    ", and … are kept as dead letters",
    "the ports for health and metrics are free, or the running trigger's",
    "the platform is reached and takes the token; nothing is started",
    "the user with uid …",
    "sudo -u '…' …",
    "give all files to the user of the trigger with",
    "… are free for health and metrics",
    "no `url_callback` is set, so that the log goes",
    "the platform takes the token (asked for the secrets)",
    "… is the running trigger's",
    "in all, the oldest from …: …",
    "did not keep the rows until they were asked for",
    "rows that surface late are looked for",
    "in the last …",
    "one of the names",
    "a text of letters, digits, hyphens and dots",
    "an address that begins with https://",
    "an address such as name@example.org",
    "a list of …",
    " but those of …",
    "subjects are left out",
    "external addresses are hashed",
    "a domain such as example.org",
    "a list of at most … different items",
    "a text with this meaning: …",
    "a text of another form",
    "… from … on",
    "with a changed status, …backlog …",
    ", … excluded by rules",
    ", … are excluded by rules",
    "since the run began, by …",
    "… h … min",
    "… d … h",
    "within … s of …",
    "… answers in … ms",
    "each server answers, through the proxy",
    "the clock of this machine agrees with",
    "Microsoft accepts the account or app",
    "it may read the message trace",
    "the tenant has the one of Microsoft's",
    "the message trace of the last hour can be read",
    "the intake is reached and takes the key",
    "where a collection would go on",
    "accepts the key (asked with an empty batch)",
    "received in the last hour, the newest at …",
    "the … is granted …",
    "; Microsoft advises against sign-in with a password",
    "at … and at … …",
];

/// Texts of commands that tell what is so, and nothing is wrong with it.
const NO_TROUBLE: [&str; 85] = [
    "… missing: … … delivered now, … became dead letters",
    "; … became dead letters instead",
    "not asked after a refusal",
    "too many rows waited",
    "too long with them",
    "… asked for by id since the run began",
    "; windows that wait for that: …",
    "Look into it before you give it away",
    "the worst of each block",
    "the commands are: …",
    "… would be sent",
    ", … not accepted yet",
    "… min … s",
    "… …, … known, until …",
    ", … min left",
    "The trigger says: …",
    ", beside the collection",
    "when the least mail comes",
    "as long as it is not known when the least mail comes",
    "every day from …:00 UTC",
    "; under way: … of … hours",
    "; the next one at …",
    "; the last one ended at …: of the hours from …, …",
    "… s … the service's",
    ", … a second",
    "waits for the …",
    "… reads … to … and …",
    "There are no dead letters.",
    "bytes of an answer",
    "; a copy with the subject cut goes in its place",
    "Ctrl-C leaves it at that.",
    "keys of the platform",
    "(not a setting of this trigger)",
    "everything passes",
    "… accepted by the intake",
    "…: of the rows received from …, … were read in …",
    "had been read and delivered before, and was not read again",
    ", quota: next request in … s",
    "The trigger is running: this makes at most",
    "… the rows received from …; the trigger is not running.",
    "of the rows received from …, … % are read",
    "the rows received from … are asked for",
    "; quota: next request in …",
    "running, and nothing fails",
    "as the Reporting Web Service has ended for this organization",
    "begins as far back as `start_time` says",
    "as the service's, as far as its answers tell",
    "not compared with the service's yet: no page was read since the start",
    "once the trigger runs",
    ": set it right (NTP)",
    "; set, or stood still, … time… since its start",
    "… … since its start",
    "; the newest is … s old",
    "of the tenant's 100 requests in 5 minutes",
    "none since its start",
    "none at work; the newest rows are asked for in …",
    "none at work; the newest rows are asked for at …",
    "waits for the quota: next request in …",
    "pauses after a failure: next request in …",
    "waits for the answer",
    "read while the trigger runs",
    "waits for its turn",
    "without a title",
    "with rows that were missing and are delivered now, or with the dead letters",
    "with rows that were missing and that Microsoft does not show any more",
    "with more than 40 rows that differ",
    "not final yet, as the collection is not done with them",
    "not final yet: the collection is not done with it",
    "more than 40 rows differ: …",
    "no reason is known",
    "sent again: … rows were accepted",
    "… missing, and … delivered now",
    "; … missing that Microsoft does not show any more",
    "; … accepted that Microsoft does not show any more, or a rule leaves out now, or accepted twice",
    "; … went to the dead letters",
    "; some have another status now than the last one that was accepted",
    "; collected from …",
    "… of … hours, … rows read, … delivered",
    "The report is in ….",
    "… more are listed with --json and --csv.",
    "…: of the … from …",
    "none has a verdict",
    "; of these Microsoft does not show … any more",
    "all hours that are read for the last time are proven",
    "none now; the last one was",
];

/// The texts of the module that may be errors: sentences, however short.
fn sentences() -> Vec<Literal> {
    let files = product_files().into_iter();
    let without = WITHOUT.map(|path| source::root().join(path));
    let files = files.filter(|(path, _)| !without.iter().any(|other| path.starts_with(other)));
    let texts = files.flat_map(|(_, code)| source::literals(&code));
    texts
        .filter(|literal| {
            let parts = literal.text.split_whitespace();
            let words = parts
                .clone()
                .filter(|part| part.contains(char::is_alphabetic));
            let is_alarm = |call: &String| ALARMS.contains(&call.as_str());
            let is_sentence = parts.count() >= 4 || literal.calls.iter().any(is_alarm);
            is_sentence && words.count() >= 2
        })
        .filter(|literal| {
            !literal
                .calls
                .iter()
                .any(|call| OTHERWISE.contains(&call.as_str()))
        })
        .collect()
}

#[test]
fn every_error_has_an_entry_and_every_entry_is_an_error() {
    let entries: BTreeSet<String> = entries(&page("errors.md")).into_iter().collect();
    let sentences = sentences();
    let has = |text: &str, entry: &str| text.contains(entry);
    let missing: Vec<_> = sentences
        .iter()
        .map(|literal| literal.text.as_str())
        .filter(|text| !entries.iter().any(|entry| has(text, entry)))
        .filter(|text| {
            !NOT_ERRORS
                .iter()
                .chain(&NO_TROUBLE)
                .any(|part| has(text, part))
        })
        .collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:#?}");
    let known = |entry: &str| sentences.iter().any(|literal| has(&literal.text, entry));
    let stale: Vec<_> = entries.iter().filter(|entry| !known(entry)).collect();
    assert!(stale.is_empty(), "no error says {stale:#?}");
    let parts = NOT_ERRORS.iter().chain(&NO_TROUBLE);
    let stale: Vec<_> = parts.filter(|part| !known(part)).collect();
    assert!(stale.is_empty(), "no text says {stale:#?}");
}

/// Codes of Microsoft Entra, at least five digits; ranges are written out.
fn codes(text: &str) -> BTreeSet<u32> {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '=');
    let ranges = numbers
        .filter(|number| number.len() >= 5)
        .flat_map(|number| {
            let (first, last) = number.split_once("..=").unwrap_or((number, number));
            first.parse().unwrap_or(0)..=last.parse().unwrap_or(0)
        });
    // A status is no code of Microsoft Entra.
    ranges.filter(|code| *code >= 10_000).collect()
}

#[test]
fn every_code_of_a_sign_in_that_is_explained_has_an_entry_and_no_other() {
    let folder = source::root().join("crates/microsoft/src/identity");
    let files = ["aadsts.rs", "aadsts/meaning.rs"].map(|name| folder.join(name));
    let code = files.map(|file| source::product(&std::fs::read_to_string(file).unwrap()).code);
    let code = code.concat();
    let page = page("errors.md");
    let named = page.split("AADSTS").skip(1);
    let named = named.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap());
    let named: BTreeSet<u32> = named.flat_map(codes).collect();
    assert_eq!(named, codes(&code));
}
