//! What the page knows.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    asked::{Finding, Problem},
    board::Board,
    excuse::Excuse,
    manifest::{Kind, Manifest},
    probe::{LANES, Metrics},
    rows::Rows,
    tour::Tour,
    verdict::{Claim, Judgement},
};
use crate::{arguments::Trigger, world::World};

/// Lines of the log that are kept.
pub(crate) const KEPT_LINES: usize = 1000;

/// Seconds of which samples are kept.
const KEPT_SAMPLES: usize = 600;

/// How the module's process is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Life {
    /// It has not been started.
    #[default]
    None,
    /// It runs.
    Running,
    /// It was asked to stop.
    Stopping,
    /// It is being killed.
    Killing,
    /// It has ended.
    Ended {
        /// When.
        at: DateTime<Utc>,
        /// As it should: after a stop, with exit code 0.
        well: bool,
        /// What there is to say of it.
        how: String,
    },
}

impl Life {
    /// Whether there is a process.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self, Self::Running | Self::Stopping | Self::Killing)
    }
}

/// The form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub(crate) kind: Kind,
    /// What was chosen; none at the first visit.
    pub(crate) manifest: Option<Manifest>,
    /// What is filled in.
    pub(crate) draft: Map<String, Value>,
    /// The settings that somebody has been at: their problems are shown.
    pub(crate) touched: BTreeSet<String>,
    /// Whether all problems are shown, as somebody has asked.
    pub(crate) asked: bool,
    /// What the module says of the draft.
    pub(crate) problems: Vec<Problem>,
    /// What the process was started with, and when; none before.
    pub(crate) applied: Option<(Map<String, Value>, DateTime<Utc>)>,
    /// Counts the changes.
    pub(crate) version: u64,
}

impl Form {
    /// The trigger that was chosen.
    pub(crate) fn trigger(&self) -> Option<Trigger> {
        self.manifest.as_ref().map(|manifest| manifest.trigger)
    }

    /// What the module says of a setting, as far as it is to be shown.
    pub(crate) fn problem(&self, name: &str) -> Option<&str> {
        if !self.asked && !self.touched.contains(name) {
            return None;
        }
        let mut problems = self.problems.iter();
        let problem = problems.find(|problem| problem.field.as_deref() == Some(name));
        problem.map(|problem| problem.text.as_str())
    }

    /// Settings that differ from those of the process.
    pub(crate) fn changed(&self, name: &str) -> bool {
        let applied = self.applied.as_ref();
        applied.is_some_and(|(applied, _)| applied.get(name) != self.draft.get(name))
    }

    /// How many settings differ from those of the process.
    pub(crate) fn changes(&self) -> usize {
        let Some(manifest) = &self.manifest else {
            return 0;
        };
        manifest
            .fields()
            .filter(|field| self.changed(&field.name))
            .count()
    }
}

/// The lines of `check`.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) running: bool,
    /// Which one it is: lines of one before are none of it.
    pub(crate) id: Uuid,
    /// Why it was asked.
    pub(crate) why: &'static str,
    /// Whether it is of the form, with which no process may run.
    pub(crate) draft: bool,
    /// When it ended; none before the first has.
    pub(crate) done: Option<DateTime<Utc>>,
    pub(crate) findings: Vec<Finding>,
    /// The form that it was for.
    pub(crate) version: u64,
    /// Why it was not ended.
    pub(crate) failure: Option<String>,
}

/// A line of the module's log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// As it stands in the line.
    pub(crate) time: String,
    pub(crate) level: Level,
    pub(crate) text: String,
    /// The switches that were on when something went wrong.
    pub(crate) letters: String,
}

/// How bad a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [
            Self::Debug,
            Self::Info,
            Self::Warning,
            Self::Error,
            Self::Critical,
        ]
        .into_iter()
        .find(|level| level.word().eq_ignore_ascii_case(word))
    }
}

impl Line {
    /// `2026-11-18 11:06:40 - item - INFO - started`; what is no line of this form belongs to the one
    /// before.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, " - ");
        let (date, _, level, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            time: date.split_once(' ')?.1.to_owned(),
            level: Level::read(level)?,
            text: text.to_owned(),
            letters: String::new(),
        })
    }
}

/// What was so at one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: DateTime<Utc>,
    /// How far behind now everything is complete; none while nothing is known.
    pub(crate) lag: Option<TimeDelta>,
    /// Rows that the intake has accepted so far.
    pub(crate) accepted: u64,
    /// Requests so far, by lane; of this process.
    pub(crate) lanes: [f64; LANES.len()],
}

/// A lane at work: what it reads, or read last.
#[derive(Clone, Debug)]
pub(crate) struct AtWork {
    /// Its place among the lanes.
    pub(crate) lane: usize,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    /// When it was asked for last.
    pub(crate) asked: DateTime<Utc>,
    /// Whether the answer is still to come.
    pub(crate) waits: bool,
    /// What it waits for, as the module says it, where that is not the answer.
    pub(crate) wait: Option<String>,
}

/// A scenario that leads the module through its lives.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) name: String,
    pub(crate) began: DateTime<Utc>,
    /// How long it takes, in seconds.
    pub(crate) length: u64,
    /// Whether it has come to its end.
    pub(crate) over: bool,
    /// What happens when, for people.
    pub(crate) plan: Vec<(u64, String)>,
}

/// Everything that the page shows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: DateTime<Utc>,
    pub(crate) form: Form,
    pub(crate) check: Checks,
    pub(crate) life: Life,
    /// When it started last.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) pid: Option<u32>,
    /// Times it was killed since it began from nothing, the newest last.
    pub(crate) kills: Vec<DateTime<Utc>>,
    /// Lives that began.
    pub(crate) lives: u32,
    pub(crate) health: Option<(bool, Value)>,
    pub(crate) status: Option<Value>,
    pub(crate) metrics: Option<Metrics>,
    /// What a check has found because something fails.
    pub(crate) diagnosis: Option<Finding>,
    /// What it has delivered and read, says the module.
    pub(crate) claim: Claim,
    /// What kills explain.
    pub(crate) excuse: Excuse,
    pub(crate) work: Vec<AtWork>,
    pub(crate) rows: Rows,
    pub(crate) accepted: u64,
    /// Rows a second, of late.
    pub(crate) rate: f64,
    pub(crate) samples: VecDeque<Sample>,
    /// Requests of the tenant that count: used, allowed.
    pub(crate) quota: (usize, u32),
    /// When the module asked for rows, in the last five minutes.
    pub(crate) asked: VecDeque<DateTime<Utc>>,
    pub(crate) lines: VecDeque<Line>,
    pub(crate) board: Board,
    pub(crate) judgement: Option<Judgement>,
    pub(crate) tour: Tour,
    pub(crate) played: Option<Played>,
    /// The files that the platform lays, secrets masked: name and content.
    pub(crate) files: Vec<(String, String)>,
    /// Where they lie.
    pub(crate) place: String,
    /// Whether the state has a disk of its own.
    pub(crate) has_disk: bool,
    /// The name of the emulated organization.
    pub(crate) organization: String,
}

impl State {
    /// What is known at the beginning of a world.
    pub(crate) fn blank(world: &World, tour: Tour) -> Self {
        let settings = world.emulator.settings();
        Self {
            now: world.now(),
            form: Form::default(),
            check: Checks::default(),
            life: Life::None,
            since: None,
            pid: None,
            kills: Vec::new(),
            lives: 0,
            health: None,
            status: None,
            metrics: None,
            diagnosis: None,
            claim: Claim::default(),
            excuse: Excuse::default(),
            work: Vec::new(),
            rows: Rows::default(),
            accepted: 0,
            rate: 0.0,
            samples: VecDeque::new(),
            quota: (0, settings.graph.quota.requests),
            asked: VecDeque::new(),
            lines: VecDeque::new(),
            board: Board::default(),
            judgement: None,
            tour,
            played: None,
            files: Vec::new(),
            place: world.site.path().display().to_string(),
            has_disk: world.site.disk.is_some(),
            organization: settings.identity.tenant_domain.clone(),
        }
    }

    /// Keeps a line of the log.
    pub(crate) fn keep_line(&mut self, line: Line) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Keeps what is so this second.
    pub(crate) fn keep_sample(&mut self, sample: Sample) {
        if self.samples.len() == KEPT_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Whether Microsoft Graph is read: by its own trigger, or by one that was told to, or has gone over to
    /// it. Only then the process has a quota to tell of.
    pub(crate) fn reads_graph(&self) -> bool {
        let trigger = self.form.trigger();
        let metrics = self.metrics.as_ref();
        trigger.is_none_or(|one| one == Trigger::Graph)
            || metrics.is_some_and(|metrics| metrics.get("quota_allowed_requests") > 0.0)
    }

    /// How many days the service looks back.
    pub(crate) fn reach_days(&self) -> i64 {
        if self.reads_graph() { 90 } else { 30 }
    }

    /// Failures of the process since its last success, as `/health` has them.
    pub(crate) fn errors(&self) -> u64 {
        let body = self.health.as_ref().map(|(_, body)| body);
        let count = body.and_then(|body| body.get("error_count")?.as_u64());
        count.unwrap_or(0)
    }

    /// Requests of the last five minutes, by lane.
    pub(crate) fn requests(&self) -> [f64; LANES.len()] {
        let mut sums = [0.0; LANES.len()];
        let since = self
            .samples
            .back()
            .map(|last| last.at - TimeDelta::minutes(5));
        for (before, sample) in self.samples.iter().zip(self.samples.iter().skip(1)) {
            if Some(sample.at) <= since {
                continue;
            }
            for ((sum, new), old) in sums.iter_mut().zip(sample.lanes).zip(before.lanes) {
                // The counters of a new process begin at 0.
                *sum += if new >= old { new - old } else { new };
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read() {
        let line = Line::read("2026-11-18 11:06:40 - message_trace - WARNING - a - b").unwrap();
        assert_eq!(
            (line.time.as_str(), line.level),
            ("11:06:40", Level::Warning)
        );
        assert_eq!(line.text, "a - b");
        assert!(Line::read("its cause").is_none());
    }
}
