//! What is looked at again and again, and what the pages are told of it.

use std::time::Duration;

use emulator::LogEntry;
use maud::Markup;
use tokio::time::Instant;

use super::{
    Event,
    engine::Engine,
    probe::{Metrics, Probe, look},
    state::{Level, Line, Sample},
    tour,
    verdict::{Reading, judge, stretches},
    view,
};

/// Rows that are shown of one frame.
const ROWS_A_FRAME: usize = 20;

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
            let row = self.state.rows.add(number, event);
            row.letter = self.marked.get(&row.trace_id).copied();
            // The newest stands first.
            html.insert_str(0, &view::row::line(row, true).into_string());
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
        let now = Instant::now();
        if self.state.lives > 0 && now >= self.status_from {
            self.status_from = now + self.screen.interval();
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
        self.tell(view::quarter(&self.state));
    }

    /// Once a second: timeline, charts, ledger.
    pub(super) fn second(&mut self) {
        if self.process.is_some() {
            self.read_state();
            self.work();
        }
        self.keep_full();
        self.forget_asked();
        let quota = self.world.emulator.quota_use();
        self.state.quota = (quota.used, quota.limit);
        if self.state.lives > 0 {
            let lanes = self.state.metrics.as_ref().map(Metrics::lanes);
            self.state.keep_sample(Sample {
                at: self.state.now,
                lag: self
                    .state
                    .claim
                    .checkpoint
                    .map(|checkpoint| self.state.now - checkpoint),
                accepted: self.state.accepted,
                lanes: lanes.unwrap_or_default(),
            });
        }
        if !self.judging && self.state.lives > 0 && Instant::now() >= self.judge_from {
            self.ask_ledger();
        }
        self.tell(view::second(&self.state));
    }

    /// Asks the ledger aside, and not so often that it would hold up the emulator.
    fn ask_ledger(&mut self) {
        self.judging = true;
        let (emulator, events) = (self.world.emulator.clone(), self.events.clone());
        let (claim, excuse) = (self.state.claim.clone(), self.state.excuse.clone());
        let number = self.world_number;
        // It grows with the mail: as long as it took before, so much longer is the pause.
        let rows = self.state.accepted / 100_000;
        self.judge_from = Instant::now() + Duration::from_millis(900 + rows * 2000);
        tokio::task::spawn_blocking(move || {
            let judgement = judge(&emulator, &claim, &excuse);
            _ = events.blocking_send(Event::Judged(number, Box::new(judgement)));
        });
    }

    /// Reads where the module is from its files.
    pub(super) fn read_state(&mut self) {
        let claim = &mut self.state.claim;
        // It is written after the timeline, so that one read after it is no older.
        claim.checkpoint = self.world.site.checkpoint();
        if let Some(coverage) = self.world.site.state("coverage.json") {
            claim.timeline = stretches(&coverage);
        }
        // A timeline that begins anew, later, is no excuse for what was to be read before.
        let mut begun = claim.timeline.iter();
        let first = begun.find(|stretch| stretch.state != Reading::Wanted);
        let first = first.map(|stretch| stretch.from);
        claim.reaches = claim.reaches.into_iter().chain(first).min();
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

    /// Parts of the page, of which only what has changed is told.
    pub(super) fn tell(&self, parts: Vec<(&'static str, Markup)>) {
        for (id, html) in parts {
            self.hub.publish(id, html.into_string());
        }
    }

    pub(super) fn tell_form(&self) {
        self.tell(view::form(&self.state));
    }

    /// Everything but the lists.
    pub(super) fn tell_all(&self) {
        self.tell(view::quarter(&self.state));
        self.tell(view::second(&self.state));
        self.tell_form();
    }

    /// The lists, anew.
    pub(super) fn tell_lists(&self) {
        for (id, html) in view::lists(&self.state) {
            self.hub.replace(id, &html);
        }
    }
}
