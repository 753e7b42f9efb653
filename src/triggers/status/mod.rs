//! Where a collection stands, from its files and from its process.

mod lanes;
mod order;

use std::collections::BTreeMap;

use base::http::chain;
use chrono::{DateTime, TimeDelta, Utc};
use sekoia::{Answers, Running, Storage};
use serde_json::{Value, json};

use self::lanes::Doing;
use super::{
    backfill,
    decision::Decision,
    expiry::{self, Notice},
    formats::Later,
    gaps::Gaps,
    source::{QUOTA_FILE, UsedQuota},
    state::Found,
    tenant,
    words::{moment, span},
};

/// A clock that is off by more seconds is to be set right.
const CLOCK_OFF: f64 = 60.0;

/// How a collection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
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

impl Verdict {
    /// All of them, by exit code.
    pub(crate) const ALL: [Self; 6] = [
        Self::Well,
        Self::NotRunning,
        Self::Stuck,
        Self::Failing,
        Self::NotReached,
        Self::Behind,
    ];

    /// Its word for machines.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::NotRunning => "not running",
            Self::Stuck => "stuck",
            Self::Failing => "failing",
            Self::NotReached => "not reached",
            Self::Behind => "behind",
        }
    }

    /// The exit code of `status`; for what does not run it is that of service managers.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::NotRunning => 3,
            Self::Stuck => 4,
            Self::Failing => 5,
            Self::NotReached => 6,
            Self::Behind => 7,
        }
    }

    /// What it means, for a list.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Well => "running, and nothing fails",
            Self::NotRunning => "not running",
            Self::Stuck => "running, but stuck",
            Self::Failing => "running, but something fails",
            Self::NotReached => "running, but not reached at its port",
            Self::Behind => {
                "running, and nothing fails, but rows are missing for longer than the settings explain"
            }
        }
    }

    fn of(running: &Running, usable: bool) -> Self {
        match &running.process {
            Some(process) if !process.alive => Self::Stuck,
            Some(process) if process.errors.count > 0 || !usable => Self::Failing,
            Some(process) if process.errors.behind.is_some() => Self::Behind,
            Some(_) => Self::Well,
            None if running.in_use => Self::NotReached,
            None => Self::NotRunning,
        }
    }
}

/// What there is to say of a collection.
#[derive(Debug)]
pub(crate) struct Status {
    /// How it is doing.
    pub(crate) verdict: Verdict,
    /// Everything else.
    pub(crate) lines: Vec<Line>,
}

/// One thing that is told of a collection.
#[derive(Debug)]
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

/// Everything there is to say of the state of a subject, or else of the one that was in use last.
pub(crate) async fn status(
    running: &Running,
    subject: Option<&tenant::Subject>,
    now: DateTime<Utc>,
) -> Status {
    let all = &running.storage;
    // What cannot be looked for is told with the position.
    let in_use = tenant::folder_in_use(all).await.unwrap_or_default();
    let folder = match subject {
        Some(subject) => tenant::look(all, subject).await.unwrap_or_default(),
        None => in_use.clone(),
    };
    let storage = &all.inside(&folder);
    // A process that works in another folder tells nothing of this one.
    let elsewhere = (folder != in_use).then(|| Running {
        storage: all.clone(),
        place: running.place.clone(),
        process: None,
        kept_error: running.kept_error.clone(),
        ..*running
    });
    let is_elsewhere = elsewhere.is_some();
    let running = elsewhere.as_ref().unwrap_or(running);
    let position = position(storage, now).await;
    let later = Later::in_storage(storage).await.ok().flatten();
    let verdict = Verdict::of(running, !position.bad && later.is_none());
    let doing = running.process.as_ref().map(Doing::of);
    let mut lines = vec![process(running, now)];
    lines.extend(later.map(|later| line("format", later.to_string(), json!({}), true)));
    lines.extend(tenant(running, &folder, is_elsewhere).await);
    lines.extend(service(storage).await);
    lines.push(position);
    lines.extend(running.process.as_ref().and_then(behind));
    lines.extend(timeline(storage, doing.as_ref(), now).await);
    lines.extend(backfill(storage, running.in_use, now).await);
    if let Some(doing) = &doing {
        lines.extend(doing.lines(now));
    }
    lines.extend(running.process.as_ref().map(clock));
    lines.extend(
        running
            .process
            .as_ref()
            .and_then(|process| certificate(process, now)),
    );
    lines.extend(running.process.as_ref().map(|process| rate(process, now)));
    lines.extend(quota(running, storage, now).await);
    lines.extend(letters(storage, now).await);
    lines.push(errors(running, now));
    Status { verdict, lines }
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

fn process(running: &Running, now: DateTime<Utc>) -> Line {
    let Running { place, port, .. } = running;
    let started = running.process.as_ref().and_then(started);
    let (text, bad) = match &running.process {
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
        None => {
            let answer = if running.other_answers {
                format!(
                    "what answers at port {port} of this machine does not work on these files: \
                     give each trigger a `liveness_port` and a `metrics_port` of its own"
                )
            } else {
                format!("no answer at port {port} of this machine")
            };
            match running.in_use {
                true => (
                    format!("running on {place}, but not reached: {answer}"),
                    false,
                ),
                false => (format!("not running on {place}, and {answer}"), true),
            }
        }
    };
    let facts = json!({
        "running": running.process.is_some() || running.in_use,
        "reached": running.process.is_some(),
        "alive": running.process.as_ref().map(|process| process.alive),
        "started": started,
        "data": place,
    });
    line("process", text, facts, bad)
}

/// Whose mail it is; none before the first run.
async fn tenant(running: &Running, folder: &str, is_elsewhere: bool) -> Option<Line> {
    let states = tenant::States::in_storage(&running.storage).await.ok()?;
    let (mut text, facts) = states.tell(folder)?;
    if is_elsewhere {
        text.push_str("; another one was collected last, and only that one has a process");
    }
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

/// Where the collection has come to.
async fn position(storage: &Storage, now: DateTime<Utc>) -> Line {
    match Found::in_storage(storage).await {
        Ok(found) => {
            let (is_well, text, facts) = found.tell(now, "begins as far back as `start_time` says");
            line("position", text, facts, !is_well)
        }
        Err(error) => line("position", chain(&error), json!({}), true),
    }
}

/// What should have been delivered long ago; none when there is nothing.
fn behind(process: &Answers) -> Option<Line> {
    let behind = process.errors.behind.as_ref()?;
    let since = behind.missing_since.and_utc();
    let text = format!(
        "what was received from {} on is missing for longer than `timedelta` and `frequency` explain",
        moment(since)
    );
    let facts = json!({"missing_since": since, "seconds": behind.seconds});
    Some(line("behind", text, facts, true))
}

/// What lies behind the live edge, and is not done with. `doing` is what a process tells that reads it.
async fn timeline(storage: &Storage, doing: Option<&Doing>, now: DateTime<Utc>) -> Vec<Line> {
    let gaps = match Gaps::in_storage(storage).await {
        Ok(gaps) => gaps,
        Err(error) => return vec![line("gaps", chain(&error), json!({}), true)],
    };
    let (mut text, bad) = match gaps.missing() {
        Some(missing) => (missing, true),
        None => (gaps.none(), false),
    };
    let eta = doing.and_then(|doing| doing.eta(now)).filter(|_| bad);
    text.extend(eta.map(|left| format!(", done in about {}", span(left))));
    let mut lines = vec![line("gaps", text, gaps.facts(), bad)];
    lines.extend(
        gaps.lost()
            .map(|text| line("lost", text, Value::Null, true)),
    );
    lines.extend(
        gaps.skipped()
            .map(|text| line("skipped", text, Value::Null, true)),
    );
    let settling = gaps.settling().unwrap_or_else(|| "none".to_owned());
    lines.push(line("settling", settling, Value::Null, false));
    lines.push(line("timeline", String::new(), gaps.timeline(), false));
    lines
}

/// What a person has asked for besides; none when that has ended, or there was nothing.
async fn backfill(storage: &Storage, in_use: bool, now: DateTime<Utc>) -> Option<Line> {
    let name = "backfill";
    match backfill::Standing::in_storage(storage).await {
        Ok(standing) => {
            let (text, facts, bad) = standing.tell(Some(in_use), now)?;
            Some(line(name, text, facts, bad))
        }
        Err(error) => Some(line(name, error.to_string(), json!({}), true)),
    }
}

/// What the process knows of the time.
fn clock(process: &Answers) -> Line {
    let figure = |name| process.own_metric(name).unwrap_or(0.0);
    let (skew, steps) = (figure("clock_skew_seconds"), figure("clock_steps_total"));
    let bad = skew.abs() > CLOCK_OFF;
    let way = if skew > 0.0 { "behind" } else { "ahead of" };
    let mut text = if skew.abs() < 2.0 {
        "as the service's, as far as its answers tell".to_owned()
    } else {
        format!("{:.0} s {way} the service's", skew.abs())
    };
    if bad {
        text.push_str(": set it right (NTP)");
    }
    if steps > 0.0 {
        text.push_str(&format!(
            "; set, or stood still, {steps} times since its start"
        ));
    }
    let facts = json!({"skew_seconds": skew, "steps": steps});
    line("clock", text, facts, bad)
}

/// What could not be delivered and waits for a person; none when there is nothing.
async fn letters(storage: &Storage, now: DateTime<Utc>) -> Option<Line> {
    let name = "letters";
    match super::letters::stock(storage).await {
        Ok(stock) => {
            let text = super::letters::told(&stock, now)?;
            let facts = json!({
                "letters": stock.letters,
                "bytes": stock.bytes,
                "oldest": stock.oldest,
            });
            Some(line(name, text, facts, true))
        }
        Err(error) => Some(line(name, chain(&error), json!({}), true)),
    }
}

/// How many events the process has delivered.
fn rate(process: &Answers, now: DateTime<Utc>) -> Line {
    let delivered = process.own_metric("forwarded_events_total").unwrap_or(0.0);
    let dropped = process.own_metric("discarded_events_total").unwrap_or(0.0);
    let lag = process.own_metric("events_lags");
    let seconds = started(process).map(|started| (now - started).num_seconds());
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = seconds.map(|seconds| delivered / seconds.max(1) as f64);
    let mut text = format!("{delivered} events since its start");
    if let Some(rate) = rate {
        text.push_str(&format!(", {rate:.1} a second"));
    }
    if let Some(lag) = lag {
        text.push_str(&format!("; the newest is {lag:.0} s old"));
    }
    if dropped > 0.0 {
        text.push_str(&format!("; {dropped} not accepted, see its log"));
    }
    let facts = json!({
        "events": delivered,
        "dropped": dropped,
        "events_per_second": rate,
        "newest_event_age_seconds": lag,
    });
    line("delivered", text, facts, dropped > 0.0)
}

/// How much of the tenant's quota was used; none where there is no quota.
async fn quota(running: &Running, storage: &Storage, now: DateTime<Utc>) -> Option<Line> {
    let text = storage.read(QUOTA_FILE).await.ok()??;
    let stamps = UsedQuota::parse(&text);
    let since = (now - TimeDelta::minutes(5)).timestamp_millis();
    let kept = stamps.iter().filter(|stamp| **stamp > since).count();
    // What is kept lags behind what the process knows.
    let told = running.process.as_ref().and_then(|process| {
        let told = process
            .errors
            .work
            .get("allowance")?
            .get("used_in_5_minutes");
        usize::try_from(told?.as_u64()?).ok()
    });
    let used = told.unwrap_or(kept);
    let mut text =
        format!("{used} of the tenant's 100 requests in 5 minutes are used by this trigger");
    let process = running.process.as_ref();
    let figure = |name| process.and_then(|process| process.own_metric(name));
    #[allow(clippy::cast_possible_truncation, reason = "a date")]
    let until = figure("quota_restored_timestamp_seconds")
        .and_then(|second| DateTime::from_timestamp(second as i64, 0))
        .filter(|until| *until > now);
    let allowed = figure("quota_allowed_requests").filter(|_| until.is_some());
    if let (Some(allowed), Some(until)) = (allowed, until) {
        text.push_str(&format!(
            "; {allowed} of ours are allowed until {}, as Microsoft has refused one",
            moment(until)
        ));
    }
    let facts = json!({
        "requests_in_5_minutes": used,
        "allowed_in_5_minutes": allowed,
        "allowed_until": until,
    });
    Some(line("quota", text, facts, false))
}

/// What went wrong lately, or in an earlier life.
fn errors(running: &Running, now: DateTime<Utc>) -> Line {
    let process = running.process.as_ref();
    let count = process.map(|process| process.errors.count);
    let sides = process.map(|process| &process.errors.sides);
    let failing = sides.map_or_else(String::new, failing);
    let own = process.and_then(|process| process.errors.last());
    let last = own.or(running.kept_error.as_ref());
    let told = last.map(|line| {
        let age = span(now - line.time.and_utc());
        (age, flat(&line.text))
    });
    let text = match (count, &told) {
        (Some(0), None) => "none since its start".to_owned(),
        (Some(0), Some((age, text))) if own.is_some() => {
            format!("none now; the last one was {age} ago: {text}")
        }
        (Some(0), Some((age, text))) => {
            format!("none since its start; the last one before was {age} ago: {text}")
        }
        (Some(count), None) => format!("{count} since the last success{failing}"),
        (Some(count), Some((age, text))) => {
            format!("{count} since the last success{failing}, the last one {age} ago: {text}")
        }
        (None, Some((age, text))) => format!("the last one was {age} ago: {text}"),
        (None, None) => "none kept: see its log, in Sekoia.io or on its standard error".to_owned(),
    };
    let facts = json!({
        "since_last_success": count,
        "by_side": sides,
        "last": last.map(|line| line.time.and_utc()),
        "text": told.map(|(_, text)| text),
    });
    line("errors", text, facts, count.is_some_and(|count| count > 0))
}

/// Which sides fail, in brackets.
fn failing(sides: &BTreeMap<String, u64>) -> String {
    let sides: Vec<String> = sides
        .iter()
        .map(|(side, count)| format!("{side} {count}"))
        .collect();
    match sides.is_empty() {
        true => String::new(),
        false => format!(" ({})", sides.join(", ")),
    }
}

/// A text of the log in one line.
fn flat(text: &str) -> String {
    let parts = text.split(char::is_control).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("; ")
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
