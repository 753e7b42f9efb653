//! Where a collection stands, from its files and from its process.

mod clock;
mod errors;
mod lanes;
mod letters;
mod nightly;
mod pace;

use std::io;

use base::http::chain;
use chrono::{DateTime, Utc};
use sekoia::{Answers, ProcessProbe, Storage};
use serde_json::{Map, Value, json};

pub(crate) use self::letters::SeenLetters;
use super::{
    backfill,
    expiry::{self, Notice},
    formats::Later,
    gaps::Gaps,
    service_choice::Decision,
    state::{Found, ServiceNow},
    tenant,
    words::{moment, span},
    working::Doing,
};

/// Clocks that differ by more disagree: which of them is right is not known.
const DISAGREEING: f64 = 300.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessVerdict {
    Well,
    /// No process works on the data.
    NotRunning,
    /// A process runs, but its loop does not turn any more.
    Stuck,
    /// A process runs, but what it tries fails, or its files cannot be used.
    Failing,
    /// A process works on the data, but it does not answer here.
    NotReached,
    /// A process runs and nothing fails, but rows are missing for longer than its settings explain.
    Behind,
}

impl ProcessVerdict {
    /// All of them, by exit code.
    pub(crate) const ALL: [Self; 6] = [
        Self::Well,
        Self::NotRunning,
        Self::Stuck,
        Self::Failing,
        Self::NotReached,
        Self::Behind,
    ];

    /// Its word for machines, the exit code of `status`, and what it means, for a list. The code for what
    /// does not run is that of service managers.
    pub(crate) const fn told(self) -> (&'static str, u8, &'static str) {
        match self {
            Self::Well => ("well", 0, "running, and nothing fails"),
            Self::NotRunning => ("not running", 3, "not running"),
            Self::Stuck => ("stuck", 4, "running, but stuck"),
            Self::Failing => ("failing", 5, "running, but something fails"),
            Self::NotReached => (
                "not reached",
                6,
                "in use by a process that is not reached at its port",
            ),
            Self::Behind => (
                "behind",
                7,
                "running, and nothing fails, but rows are missing for longer than the settings explain",
            ),
        }
    }

    pub(crate) const fn exit_code(self) -> u8 {
        self.told().1
    }

    fn of(probe: &ProcessProbe, usable: bool) -> Self {
        match &probe.process {
            Some(process) if !process.alive => Self::Stuck,
            Some(process) if process.errors.count > 0 || !usable => Self::Failing,
            Some(process) if process.errors.behind.is_some() => Self::Behind,
            Some(_) => Self::Well,
            None if probe.in_use => Self::NotReached,
            None => Self::NotRunning,
        }
    }
}

#[derive(Debug)]
pub(crate) struct StatusReport {
    pub(crate) verdict: ProcessVerdict,
    /// When it was made, by the service's clock as far as that is known: the timeline goes by that.
    pub(crate) now: DateTime<Utc>,
    pub(crate) lines: Vec<Line>,
}

impl StatusReport {
    pub(crate) fn facts(self) -> Map<String, Value> {
        let lines = self.lines.into_iter().filter(|line| !line.facts.is_null());
        let facts = lines.map(|line| (line.name.to_owned(), line.facts));
        let verdict = ("verdict".to_owned(), self.verdict.told().0.into());
        facts.chain([verdict]).collect()
    }
}

/// One thing that is told of a collection.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its name, the same for people and machines.
    pub(crate) name: &'static str,
    /// What there is to say; empty where it is for machines only.
    pub(crate) text: String,
    /// The same for machines; null where another line has it.
    pub(crate) facts: Value,
    /// Whether it needs somebody.
    pub(crate) bad: bool,
}

/// Everything there is to say of the state of a subject, or else of the one that was in use last. Who asks
/// again and again keeps what was `seen` of dead letters.
pub(crate) async fn status(
    probe: &ProcessProbe,
    subject: Option<&tenant::Subject>,
    now: DateTime<Utc>,
    seen: &mut SeenLetters,
) -> StatusReport {
    let all = &probe.storage;
    // What cannot be looked for is told with the position.
    let in_use = tenant::folder_in_use(all).await.unwrap_or_default();
    let folder = match subject {
        Some(subject) => tenant::look(all, subject).await.unwrap_or_default(),
        None => in_use.clone(),
    };
    let storage = &all.inside(&folder);
    // A process that works in another folder tells nothing of this one, which nobody works on.
    let elsewhere = (folder != in_use).then(|| ProcessProbe {
        storage: all.clone(),
        place: probe.place.clone(),
        root: probe.root.clone(),
        in_use: false,
        process: None,
        // It may be about the tenant that is collected.
        kept_error: None,
        ..*probe
    });
    let is_elsewhere = elsewhere.is_some();
    let works_elsewhere = is_elsewhere && probe.in_use;
    let probe = elsewhere.as_ref().unwrap_or(probe);
    let taken_over = match subject {
        Some(subject) => tenant::would_begin(all, subject).await.ok().flatten(),
        None => None,
    };
    let service_now = clock::by_service(probe.process.as_ref(), now);
    let (position, is_usable) = position(storage, taken_over.as_deref(), service_now).await;
    let later = Later::in_use(all, &folder).await.ok().flatten();
    let verdict = ProcessVerdict::of(probe, is_usable && later.is_none());
    let doing = probe.process.as_ref().map(Doing::of);
    let runs = probe.in_use || probe.process.is_some();
    let mut lines = vec![process(probe, works_elsewhere, now)];
    lines.extend(later.map(|later| line("format", later.to_string(), json!({}), true)));
    lines.extend(tenant(probe, &folder, (is_elsewhere, works_elsewhere)).await);
    lines.extend(service(storage).await);
    lines.push(position);
    lines.extend(probe.process.as_ref().and_then(behind));
    lines.extend(timeline(storage, doing.as_ref(), runs, now).await);
    lines.extend(backfill(storage, probe.in_use, now).await);
    lines.extend(nightly::nights(storage, runs, service_now.at).await);
    if let Some(doing) = &doing {
        lines.extend(doing.lines(now, service_now));
        lines.extend(doing.excluded());
        lines.extend(doing.mass_mail());
        lines.extend(doing.hidden());
        lines.extend(doing.details());
    }
    // Without its metrics there would be nothing but zeros, which mean something else.
    let measured = probe.process.as_ref();
    let measured = measured.filter(|process| !process.metrics.is_empty());
    lines.extend(measured.map(clock::clock));
    lines.extend(measured.and_then(|process| certificate(process, service_now.at)));
    lines.extend(measured.map(|process| pace::rate(process, now)));
    lines.extend(measured.and_then(pace::in_hand));
    lines.extend(pace::quota(probe.process.as_ref(), doing.as_ref(), storage, now).await);
    lines.extend(seen.line(storage, now).await);
    lines.push(errors::errors(probe, now));
    StatusReport {
        verdict,
        now: service_now.at,
        lines,
    }
}

/// When the app's certificate ends, as the process tells; none when it has none.
fn certificate(process: &Answers, now: DateTime<Utc>) -> Option<Line> {
    #[allow(clippy::cast_possible_truncation, reason = "seconds are whole")]
    let end = process.own_metric(expiry::METRIC)? as i64;
    let end = DateTime::from_timestamp(end, 0).filter(|_| end > 0)?;
    let facts = json!({"end": end.to_rfc3339()});
    let bad = Notice::of(end, now).is_some_and(Notice::is_urgent);
    Some(line("certificate", expiry::sentence(end, now), facts, bad))
}

fn process(probe: &ProcessProbe, works_elsewhere: bool, now: DateTime<Utc>) -> Line {
    let ProcessProbe { place, port, .. } = probe;
    let started = probe.process.as_ref().and_then(started);
    let (text, bad) = match &probe.process {
        Some(process) => {
            let since = started.map_or_else(String::new, |started| {
                format!(" since {} ({})", moment(started), span(now - started))
            });
            let stuck = if process.alive {
                ""
            } else {
                ", but stuck: it is to be restarted"
            };
            (format!("running{since} on {place}{stuck}"), !process.alive)
        }
        None if works_elsewhere => (
            format!("not running for this tenant: the process on {place} collects another one"),
            true,
        ),
        None => {
            let answer = if probe.is_untold {
                format!(
                    "the trigger at port {port} of this machine does not tell on which files it works: \
                     it may wait for them, see its log"
                )
            } else if probe.other_answers {
                format!(
                    "what answers at port {port} of this machine does not work on these files: \
                     give each trigger a `liveness_port` and a `metrics_port` of its own"
                )
            } else {
                format!("no answer at port {port} of this machine")
            };
            match probe.in_use {
                true => (
                    format!(
                        "{place} is in use, by a trigger or by a command such as `backfill`, but not reached: \
                         {answer}"
                    ),
                    false,
                ),
                false => (format!("not running on {place}, and {answer}"), true),
            }
        }
    };
    let facts = json!({
        "running": probe.process.is_some() || probe.in_use,
        "reached": probe.process.is_some(),
        "alive": probe.process.as_ref().map(|process| process.alive),
        "started": started,
        "data": place,
    });
    line("process", text, facts, bad)
}

/// Whose mail it is; none before the first run. Whether another one was collected last, and whether a process
/// works for that.
async fn tenant(
    probe: &ProcessProbe,
    folder: &str,
    (is_elsewhere, works_elsewhere): (bool, bool),
) -> Option<Line> {
    let told = tenant::told(&probe.storage, folder).await;
    let (mut text, facts) = told.ok()??;
    text.push_str(match (is_elsewhere, works_elsewhere) {
        (_, true) => "; another one was collected last, and only that one has a process",
        (true, false) => "; another one was collected last",
        (false, false) => "",
    });
    Some(line("tenant", text, facts, is_elsewhere))
}

/// Which service is read, when another one has ended.
async fn service(storage: &Storage) -> Option<Line> {
    let decision = Decision::kept(storage).await.ok()??;
    let text = format!(
        "Microsoft Graph since {}, as the Reporting Web Service has ended for this organization",
        moment(decision.since)
    );
    let facts = json!({"service": "graph", "since": decision.since});
    Some(line("service", text, facts, false))
}

/// Where it stands, and whether nothing speaks against it but, at most, the clock of this machine. `begins` says
/// how a run begins that takes over what another state has.
async fn position(storage: &Storage, begins: Option<&str>, now: ServiceNow) -> (Line, bool) {
    match Found::in_storage(storage).await {
        Ok(found) => {
            let begins = begins.unwrap_or("begins as far back as `start_time` says");
            let (is_well, text, facts) = found.tell(now, begins);
            let is_usable = is_well || found.is_doubted_by_us(now);
            (line("position", text, facts, !is_well), is_usable)
        }
        Err(error) => (line("position", chain(&error), json!({}), true), false),
    }
}

/// What should have been delivered long ago; none when there is nothing.
fn behind(process: &Answers) -> Option<Line> {
    let behind = process.errors.behind.as_ref()?;
    let since = behind.missing_since.and_utc();
    let skew = process.own_metric("clock_skew_seconds").unwrap_or(0.0);
    let text = match skew < -DISAGREEING {
        true => format!(
            "what was received from {} on is not asked for, if the clock of this machine is right: the \
             service's is behind it",
            moment(since)
        ),
        false => format!(
            "what was received from {} on is missing for longer than `timedelta` and `frequency` explain",
            moment(since)
        ),
    };
    let facts = json!({"missing_since": since, "seconds": behind.seconds});
    Some(line("behind", text, facts, true))
}

/// What lies before the live edge, and is not done with. `doing` is what a process tells that reads
/// it; nobody does when nothing `runs`.
async fn timeline(
    storage: &Storage,
    doing: Option<&Doing>,
    runs: bool,
    now: DateTime<Utc>,
) -> Vec<Line> {
    let gaps = match Gaps::in_storage(storage).await {
        Ok(gaps) => gaps,
        Err(error) => return vec![line("gaps", chain(&error), json!({}), true)],
    };
    let only_waits = doing.and_then(|doing| doing.only_waits);
    let (mut text, bad) = match gaps.missing(only_waits) {
        Some(missing) => (missing, true),
        None => (gaps.none(), false),
    };
    let eta = doing.and_then(|doing| doing.eta(now)).filter(|_| bad);
    text.extend(eta.map(|left| format!(", done in about {}", span(left))));
    let mut lines = vec![line("gaps", text, gaps.facts(), bad)];
    let gone = |name, text| line(name, text, Value::Null, true);
    lines.extend(gaps.lost().map(|text| gone("lost", text)));
    lines.extend(gaps.skipped().map(|text| gone("skipped", text)));
    let silent = gaps.silent();
    lines.extend(silent.map(|(text, facts)| line("rows", text, facts, false)));
    let settling = match gaps.settling() {
        Some(settling) if runs => settling,
        Some(settling) => format!("{settling}, once the trigger runs"),
        None => "none".to_owned(),
    };
    lines.push(line("settling", settling, Value::Null, false));
    lines.push(line("timeline", String::new(), gaps.timeline(), false));
    lines
}

/// What a person has asked for besides; none when that has ended, or there was nothing.
async fn backfill(storage: &Storage, in_use: bool, now: DateTime<Utc>) -> Option<Line> {
    let standing = backfill::BackfillStanding::in_storage(storage).await;
    let told = standing.map(|standing| standing.tell(Some(in_use), now));
    found("backfill", told)
}

/// What was found of something, or why that cannot be read.
fn found(name: &'static str, told: io::Result<Option<(String, Value, bool)>>) -> Option<Line> {
    let unreadable = |error: io::Error| Some((chain(&error), json!({}), true));
    let (text, facts, bad) = told.unwrap_or_else(unreadable)?;
    Some(line(name, text, facts, bad))
}

fn started(process: &Answers) -> Option<DateTime<Utc>> {
    #[allow(clippy::cast_possible_truncation, reason = "a date")]
    let second = process.metric("process_start_time_seconds")? as i64;
    DateTime::from_timestamp(second, 0)
}

fn line(name: &'static str, text: String, facts: Value, bad: bool) -> Line {
    Line {
        name,
        text,
        facts,
        bad,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use collect::{
        coverage::Coverage,
        lateness::Lateness,
        timeline::{TIMELINE_FILE, Timeline},
    };
    use rows::Window;
    use sekoia::MemoryBackend;

    use super::*;

    #[tokio::test]
    async fn a_tenant_that_was_collected_last_need_not_have_a_process() {
        let storage = Storage::new(MemoryBackend::default());
        let id = "11111111-aaaa-4aaa-8aaa-111111111111";
        let binding = json!({"version": 1, "tenant": id, "tenant_id": id, "service": "graph"});
        let written = storage.write("tenant.json", binding.to_string()).await;
        written.unwrap();
        let probe = ProcessProbe {
            storage,
            place: "here".to_owned(),
            root: None,
            in_use: false,
            is_untold: false,
            port: 8000,
            process: None,
            other_answers: false,
            kept_error: None,
        };
        for works in [true, false] {
            let line = tenant(&probe, "", (true, works)).await.unwrap();
            let text = &line.text;
            assert!(text.contains("another one was collected last"), "{text}");
            assert_eq!(text.contains("has a process"), works, "{text}");
        }
    }

    /// What there is to say where the clock is behind the service's by as many seconds, and the service's time.
    async fn behind_by(seconds: i64, is_told: bool) -> (StatusReport, DateTime<Utc>) {
        let service = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let second = |seconds| service + TimeDelta::seconds(seconds);
        let storage = Storage::new(MemoryBackend::default());
        let position =
            json!({"most_recent_date_requested": second(-10), "message_trace_format": 1});
        let written = storage.write("context.json", position.to_string()).await;
        written.unwrap();
        let name = "symphony_module_common";
        let metrics = match is_told {
            true => format!("{name}_lane_requests_total 1\n{name}_clock_skew_seconds {seconds}\n"),
            false => String::new(),
        };
        let mut process = Answers {
            alive: true,
            errors: Default::default(),
            metrics,
        };
        process.errors.work = json!({"next_query": second(50)});
        let probe = ProcessProbe {
            storage,
            place: "here".to_owned(),
            root: None,
            in_use: true,
            is_untold: false,
            port: 8000,
            process: Some(process),
            other_answers: false,
            kept_error: None,
        };
        let report = status(&probe, None, second(-seconds), &mut SeenLetters::default()).await;
        (report, service)
    }

    fn text<'a>(report: &'a StatusReport, name: &str) -> &'a str {
        let line = report.lines.iter().find(|line| line.name == name);
        &line.unwrap().text
    }

    /// Else it says that something fails, while all is delivered.
    #[tokio::test]
    async fn what_goes_by_the_clock_of_the_service_is_told_by_it() {
        for seconds in [-86_400 * 400, -3600, 0, 3600, 86_400 * 400] {
            let (report, service) = behind_by(seconds, true).await;
            assert_eq!(report.verdict, ProcessVerdict::Well, "{seconds}");
            assert_eq!(report.now, service, "{seconds}");
            let lanes = text(&report, "lanes");
            assert!(lanes.ends_with("asked for in 50 s"), "{seconds}: {lanes}");
            let position = text(&report, "position");
            assert!(position.ends_with("(10 s ago)"), "{seconds}: {position}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_nobody_has_compared_makes_nothing_fail() {
        let (report, _) = behind_by(3600, false).await;
        assert_eq!(report.verdict, ProcessVerdict::Well);
        let lanes = text(&report, "lanes");
        let at = "asked for at 2026-11-18 11:07:30 UTC of the service's clock";
        assert!(lanes.ends_with(at), "{lanes}");
        let position = text(&report, "position");
        let doubt = ", if the clock of this machine is right: check that clock";
        assert!(position.ends_with(doubt), "{position}");
    }

    #[tokio::test]
    async fn what_nobody_works_on_waits_for_the_trigger() {
        let at = |minutes: i64| DateTime::from_timestamp(1_795_000_000 + minutes * 60, 0).unwrap();
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(10));
        coverage.read(Window::new(at(10), at(20)).unwrap(), at(20), 5);
        let kept = Timeline::new(at(21), coverage, Lateness::default());
        let storage = Storage::new(MemoryBackend::default());
        let text = serde_json::to_vec(&kept).unwrap();
        storage.write(TIMELINE_FILE, text).await.unwrap();
        for (runs, end) in [(true, "UTC"), (false, "UTC, once the trigger runs")] {
            let lines = timeline(&storage, None, runs, at(22)).await;
            let settling = lines.iter().find(|line| line.name == "settling");
            let text = &settling.unwrap().text;
            assert!(text.ends_with(end), "{text}");
        }
    }
}
