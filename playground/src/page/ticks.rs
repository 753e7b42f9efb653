//! What is looked at again and again, and what the pages are told of it.

use std::time::Duration;

use chrono::TimeDelta;
use emulator::{Endpoint, LogEntry};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Event,
    asked::Finding,
    engine::Engine,
    lamp, mail,
    probe::{LANES, Probe, look},
    state::{AtWork, Level, Life, Line, Sample},
    switches::Switch,
    tour,
    verdict::{Reading, judge, stretches},
    view,
};
use crate::world;

/// Rows that are shown of one frame.
const ROWS_A_FRAME: usize = 20;

/// How long something must fail before the page asks `check` what is the matter.
const DIAGNOSE_AFTER: Duration = Duration::from_millis(1500);

/// How often it asks while it goes on failing.
const DIAGNOSE_EVERY: Duration = Duration::from_secs(20);

/// Rows that are remembered as brought by a switch.
const MARKED: usize = 20_000;

/// Requests of five minutes that are counted; a service without a quota may see more.
const MOST_ASKED: usize = 10_000;

/// What a lane of `status` waits for, where that is not the answer.
fn waits_for(lane: &Value) -> Option<String> {
    let what = lane
        .get("waits_for")?
        .as_str()
        .filter(|what| *what != "answer")?;
    let until = lane.get("until").and_then(Value::as_str);
    let until = until.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    Some(match (what, until) {
        ("quota", Some(until)) => format!("the quota until {}", until.format("%H:%M:%S")),
        ("pause", Some(until)) => format!("another try at {}", until.format("%H:%M:%S")),
        ("intake", _) => "the intake".to_owned(),
        ("turn", _) => "its turn".to_owned(),
        (other, _) => format!("the {other}"),
    })
}

impl Engine<'_> {
    /// Twenty times a second: new rows.
    pub(super) fn frame(&mut self) {
        self.state.now = self.world.now();
        let new = self
            .world
            .emulator
            .accepted_since(self.taken.accepted, ROWS_A_FRAME);
        if new.number == self.taken.accepted {
            return;
        }
        self.taken.accepted = new.number;
        let first = new.number + 1 - new.items.len() as u64;
        let mut html = String::new();
        for (number, event) in (first..).zip(new.items) {
            self.state.rows.add(number, event);
            let marked = &self.marked;
            if let Some(row) = self.state.rows.newest() {
                row.letter = marked.get(&row.trace_id).copied();
                // The newest stands first.
                html.insert_str(0, &view::row::line(row, true).into_string());
            }
        }
        self.state.rows.number = new.number;
        self.hub.prepend("row-list", &html);
    }

    /// Four times a second: lamp, counts, health.
    pub(super) fn quarter(&mut self) {
        self.send_mail();
        self.debug_lines();
        let status = self.world.status(&mut self.meter);
        self.state.accepted = status.delivered;
        self.state.rate = status.rate;
        if self.state.lives > 0 {
            self.screen.status(&status);
        }
        if self
            .state
            .tour
            .outage
            .is_some_and(|(_, end)| self.state.now >= end)
        {
            self.end_outage();
        }
        self.diagnose();
        tour::follow(&mut self.state);
        if self.process.is_some() && !self.probing {
            self.probing = true;
            self.looks += 1;
            // Everything once a second, health each time.
            let all = self.looks % 4 == 1;
            let asked = self.asked(false).filter(|_| all);
            let site = &self.world.site;
            let looking = look(self.client.clone(), site.health, site.metrics, asked);
            let events = self.events.clone();
            tokio::spawn(async move {
                let probe = looking.await;
                _ = events.send(Event::Probed(Box::new(probe))).await;
            });
        }
        self.tell_quarter();
    }

    /// Once a second: timeline, charts, ledger.
    pub(super) fn second(&mut self) {
        if self.process.is_some() {
            self.read_state();
            self.work();
        }
        self.forget_asked();
        let quota = self.world.emulator.quota_use();
        self.state.quota = (quota.used, quota.limit);
        if self.state.lives > 0 {
            let lanes = self
                .state
                .metrics
                .as_ref()
                .map(super::probe::Metrics::lanes);
            self.state.keep_sample(Sample {
                at: self.state.now,
                lag: self.state.mark.map(|mark| self.state.now - mark),
                accepted: self.state.accepted,
                lanes: lanes.unwrap_or_default(),
            });
        }
        if !self.judging && self.state.lives > 0 && Instant::now() >= self.judge_from {
            self.ask_ledger();
        }
        self.tell_second();
    }

    /// Asks the ledger aside, and not so often that it would hold up the emulator.
    fn ask_ledger(&mut self) {
        self.judging = true;
        let (emulator, events) = (self.world.emulator.clone(), self.events.clone());
        let (mark, timeline) = (self.world.site.mark(), self.state.timeline.clone());
        let kills = u32::try_from(self.state.kills.len()).unwrap_or(u32::MAX);
        let number = self.world_number;
        // It grows with the mail: as long as it took before, so much longer is the pause.
        let rows = self.state.accepted / 100_000;
        self.judge_from = Instant::now() + Duration::from_millis(900 + rows * 2000);
        tokio::task::spawn_blocking(move || {
            let judgement = judge(&emulator, mark, &timeline, kills);
            _ = events.blocking_send(Event::Judged(number, Box::new(judgement)));
        });
    }

    /// Reads where the module is from its files.
    pub(super) fn read_state(&mut self) {
        self.state.mark = self.world.site.mark();
        if let Some(coverage) = self.world.site.state("coverage.json") {
            self.state.timeline = stretches(&coverage);
        }
    }

    /// What the module says of itself has come.
    pub(super) fn probed(&mut self, probe: Probe) {
        self.probing = false;
        if self.process.is_none() {
            return;
        }
        self.state.health = probe.health;
        if probe.metrics.is_some() {
            self.state.metrics = probe.metrics;
        }
        if probe.status.is_some() {
            self.state.status = probe.status;
        }
        match (self.state.errors(), self.failing) {
            (0, _) => {
                self.failing = None;
                self.state.diagnosis = None;
            }
            (_, None) => self.failing = Some(Instant::now()),
            _ => {}
        }
    }

    /// Asks `check` when something goes on failing: it says what to do.
    fn diagnose(&mut self) {
        let long = self
            .failing
            .is_some_and(|since| since.elapsed() >= DIAGNOSE_AFTER);
        let again = self
            .diagnosed
            .is_none_or(|at| at.elapsed() >= DIAGNOSE_EVERY);
        let fresh = self.state.diagnosis.is_none() && self.diagnosed < self.failing;
        if long && (again || fresh) && self.state.life == Life::Running && !self.state.check.running
        {
            self.diagnosed = Some(Instant::now());
            self.check(false, "because something fails");
        }
    }

    /// Runs `check`, of the form or of the process.
    pub(super) fn check(&mut self, draft: bool, why: &'static str) {
        let Some(asked) = self.asked(draft) else {
            self.say("Choose a trigger first.");
            return;
        };
        if self.state.check.running {
            return;
        }
        self.state.check.running = true;
        self.state.check.findings.clear();
        let (events, version) = (self.events.clone(), self.state.form.version);
        tokio::spawn(async move {
            let findings = asked.check().await;
            let event = Event::Checked {
                version,
                why,
                findings,
            };
            _ = events.send(event).await;
        });
    }

    /// `check` has an answer.
    pub(super) fn checked(
        &mut self,
        version: u64,
        why: &'static str,
        findings: anyhow::Result<Vec<Finding>>,
    ) {
        let check = &mut self.state.check;
        check.running = false;
        check.done = Some((self.state.now, why));
        check.version = version;
        (check.findings, check.failure) = match findings {
            Ok(findings) => (findings, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        if self.failing.is_some() {
            let mut findings = self.state.check.findings.iter();
            self.state.diagnosis = findings.find(|one| lamp::needs_a_person(one)).cloned();
        }
        self.tell_form();
    }

    /// The lines that go to the platform alone.
    fn debug_lines(&mut self) {
        let new = self.world.emulator.logs_since(self.taken.logs, 100);
        self.taken.logs = new.number;
        for LogEntry {
            date,
            level,
            message,
        } in new.items
        {
            if level != Level::Debug.word() {
                continue;
            }
            let time = date.split(['T', ' ']).nth(1).unwrap_or_default();
            let line = Line {
                time: time.chars().take(8).collect(),
                level: Level::Debug,
                text: message,
                letters: String::new(),
            };
            self.hub
                .prepend("lines", &view::log::line(&line).into_string());
            self.state.keep_line(line);
        }
    }

    /// The windows that are asked for, by lane: as `status` says it, or as the requests show it.
    fn work(&mut self) {
        let told = self
            .state
            .status
            .as_ref()
            .and_then(|status| status.get("lanes"));
        let told: Vec<AtWork> = told
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|one| {
                let lane = one.get("lane")?.as_str()?;
                let lane = match lane {
                    "settling" => "settle",
                    other => other,
                };
                let date = |key: &str| {
                    let text = one.pointer(&format!("/window/{key}"))?.as_str()?;
                    Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.to_utc())
                };
                Some(AtWork {
                    lane: LANES.iter().position(|known| *known == lane)?,
                    from: date("from")?,
                    to: date("to")?,
                    asked: self.state.now,
                    waits: true,
                    wait: waits_for(one),
                })
            })
            .collect();
        let new = self.world.emulator.requests_since(self.taken.requests, 200);
        self.taken.requests = new.number;
        for request in &new.items {
            if !matches!(request.endpoint, Endpoint::Graph | Endpoint::Report) {
                continue;
            }
            if self.state.asked.len() == MOST_ASKED {
                self.state.asked.pop_front();
            }
            self.state.asked.push_back(request.at);
            // A link to the next page has no window: it belongs to the one before.
            let Some((from, to)) = world::window(request) else {
                continue;
            };
            self.note_work(AtWork {
                lane: self.lane_of(from, to),
                from,
                to,
                asked: request.at,
                waits: request.status.is_none(),
                wait: None,
            });
        }
        for work in told {
            self.note_work(work);
        }
        let old = self.state.now - TimeDelta::seconds(3);
        for work in &mut self.state.work {
            work.waits &= work.asked > old;
        }
    }

    /// Forgets the requests that do not count any more.
    fn forget_asked(&mut self) {
        let since = self.state.now - TimeDelta::minutes(5);
        while self.state.asked.front().is_some_and(|at| *at < since) {
            self.state.asked.pop_front();
        }
    }

    fn note_work(&mut self, work: AtWork) {
        self.state.work.retain(|one| one.lane != work.lane);
        self.state.work.push(work);
    }

    /// The lane that asks for such a window.
    fn lane_of(
        &self,
        from: chrono::DateTime<chrono::Utc>,
        to: chrono::DateTime<chrono::Utc>,
    ) -> usize {
        let edge = self.state.timeline.last().map(|stretch| stretch.to);
        let touches = edge.is_none_or(|edge| from > edge - TimeDelta::seconds(90));
        if self.state.now - to < TimeDelta::seconds(8) && touches {
            return 0;
        }
        let middle = from + (to - from) / 2;
        let mut stretches = self.state.timeline.iter();
        let stretch = stretches.find(|stretch| stretch.from <= middle && middle < stretch.to);
        match stretch.map(|stretch| stretch.state) {
            Some(Reading::Missing) => 2,
            Some(Reading::Wanted) => 3,
            Some(_) => 1,
            // Before the first window is done, the past is backlog.
            None if self.state.timeline.is_empty() => 2,
            None => 0,
        }
    }

    /// The mail of the switches that are on.
    fn send_mail(&mut self) {
        let now = self.state.now;
        self.mails += 1;
        let number = self.mails;
        let letter = |board: &super::switches::Board, switch| board.on(switch).map(|on| on.letter);
        let mut rows = Vec::new();
        if number.is_multiple_of(4) {
            if let Some(letter) = letter(&self.state.board, Switch::LateRows) {
                rows.push((mail::late(now, number / 4), letter));
            }
            if let Some(letter) = letter(&self.state.board, Switch::ChangingStatuses) {
                rows.push((mail::changing(now, number / 4), letter));
            }
        }
        if let Some(letter) = letter(&self.state.board, Switch::PhishingWave)
            && self.wave_at.is_none_or(|at| Instant::now() >= at)
        {
            self.wave_at = Some(Instant::now() + Duration::from_secs(60));
            rows.extend(mail::wave(now).map(|row| (row, letter)));
        }
        if self.surge > 0 {
            let part = self.surge.min(75);
            self.surge -= part;
            for row in mail::surge(now, part) {
                self.world.emulator.add_row(row);
            }
        }
        if self.marked.len() > MARKED {
            self.marked.clear();
        }
        for (row, letter) in rows {
            self.marked.insert(row.row.trace_id.to_string(), letter);
            self.world.emulator.add_row(row);
        }
    }

    /// Ends the outage of the tour when its minute is over.
    fn end_outage(&mut self) {
        let on = self.state.board.on(Switch::SourceOutage).map(|on| on.from);
        let of_tour = self.state.tour.outage.map(|(from, _)| from);
        if on.is_some() && on == of_tour {
            let now = self.state.now;
            self.state.board.turn(Switch::SourceOutage, false, now);
            self.apply_switches(None);
        }
    }

    pub(super) fn tell_quarter(&self) {
        for (id, html) in view::quarter(&self.state) {
            self.hub.publish(id, html.into_string());
        }
    }

    pub(super) fn tell_second(&self) {
        for (id, html) in view::second(&self.state) {
            self.hub.publish(id, html.into_string());
        }
    }

    pub(super) fn tell_form(&self) {
        for (id, html) in view::form(&self.state) {
            self.hub.publish(id, html.into_string());
        }
    }

    /// Everything but the lists.
    pub(super) fn tell_all(&self) {
        self.tell_quarter();
        self.tell_second();
        self.tell_form();
    }

    /// The lists, anew.
    pub(super) fn tell_lists(&self) {
        for (id, html) in view::lists(&self.state) {
            self.hub.replace(id, &html);
        }
    }
}
