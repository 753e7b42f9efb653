//! What becomes of the orders of a person, and of the module's lives.

use std::process::ExitStatus;

use anyhow::Context;
use emulator::{Discretion, Ending, Event as Planned};

use super::{
    Order,
    engine::{Engine, Then},
    excuse::{Excuse, Past},
    manifest::{Kind, Manifest},
    process::{Process, Sign},
    state::{Life, Sample, State},
    switches::Switch,
    tour::Tour,
    verdict::Claim,
    view,
};
use crate::{arguments::Trigger, site, status::Meter, world::World};

/// Rows of an hour at the rate of 5 a second.
const HOUR: u32 = 18_000;

impl Engine<'_> {
    pub(super) async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        if let Some(words) = order.words() {
            self.screen.line(format_args!("-- {words}"));
        }
        match order {
            Order::Choose { value } => self.choose(&value)?,
            Order::Kind { value } => {
                self.state.form.kind = match value.as_str() {
                    "connector" => Kind::Connector,
                    _ => Kind::Trigger,
                };
                if let Some(trigger) = self.state.form.trigger() {
                    self.state.form.manifest = Manifest::of(trigger, self.state.form.kind);
                }
                self.tell_form();
            }
            Order::Set { name, value } => {
                let manifest = self.state.form.manifest.as_ref();
                let field = manifest.and_then(|manifest| manifest.field(&name));
                let field = field.with_context(|| format!("there is no setting {name:?}"))?;
                match field.value(&value) {
                    Some(value) => self.state.form.draft.insert(name.clone(), value),
                    None => self.state.form.draft.remove(&name),
                };
                self.state.form.touched.insert(name);
                self.changed(false)?;
            }
            Order::Fill => {
                self.fill()?;
                self.changed(false)?;
            }
            Order::Check => {
                self.state.form.asked = true;
                self.check(true, "");
                self.tell_form();
            }
            Order::Start => self.start_order()?,
            Order::Stop => {
                self.end_scenario();
                self.sign(Sign::Stop, Then::Nothing);
            }
            Order::Kill => {
                self.end_scenario();
                self.sign(Sign::Kill, Then::Nothing);
            }
            Order::Restart => {
                self.end_scenario();
                self.sign(Sign::Stop, Then::Start { anew: false });
            }
            Order::Anew => {
                self.end_scenario();
                if self.process.is_some() {
                    self.sign(Sign::Stop, Then::Start { anew: true });
                } else {
                    self.forget()?;
                    self.start_order()?;
                }
            }
            Order::Switch { name, on } => {
                let switch = Switch::named(&name);
                let switch = switch.with_context(|| format!("there is no switch {name:?}"))?;
                self.turn(switch, on);
            }
            Order::Mend if self.is_led() => {}
            Order::Mend => {
                for switch in Switch::ALL {
                    self.turn(switch, false);
                }
            }
            Order::Play { value } => self.play_order(value).await?,
            Order::Tour { value } => self.tour_order(&value),
            Order::Outage => self.outage(),
        }
        self.tell_all();
        Ok(())
    }

    fn choose(&mut self, value: &str) -> anyhow::Result<()> {
        let mut triggers = Trigger::ALL.into_iter();
        let trigger = triggers
            .find(|trigger| trigger.command() == value)
            .with_context(|| format!("there is no trigger {value:?}"))?;
        if self.state.form.trigger() == Some(trigger) {
            return Ok(());
        }
        if self.process.is_some() {
            self.say("Stop the module before another trigger is chosen.");
            return Ok(());
        }
        self.end_scenario();
        // What another trigger has delivered says nothing of this one.
        self.forget()?;
        let board = std::mem::take(&mut self.state.board);
        let played = self.state.played.take();
        self.begin_anew(trigger);
        (self.state.board, self.state.played) = (board, played);
        self.apply_switches(None);
        self.tell_lists();
        self.changed(false)
    }

    /// Nothing is known any more but the tour, how triggers are offered, and how many lives began.
    pub(super) fn begin_anew(&mut self, trigger: Trigger) {
        let (kind, lives) = (self.state.form.kind, self.state.lives);
        let tour = Tour::new(self.state.now);
        let tour = std::mem::replace(&mut self.state.tour, tour);
        self.state = State::blank(&self.world, tour);
        self.state.lives = lives;
        self.state.form.kind = kind;
        self.state.form.manifest = Manifest::of(trigger, kind);
    }

    /// What works in the emulated organization.
    pub(super) fn fill(&mut self) -> anyhow::Result<()> {
        let trigger = self
            .state
            .form
            .trigger()
            .context("no trigger is chosen yet")?;
        let World {
            scenario,
            emulator,
            running,
            ..
        } = &self.world;
        self.state.form.draft = site::form(trigger, scenario, emulator, running)?;
        self.state.form.touched.clear();
        self.state.form.asked = false;
        Ok(())
    }

    fn start_order(&mut self) -> anyhow::Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        self.state
            .form
            .trigger()
            .context("choose a trigger first")?;
        self.state.form.asked = true;
        // The module itself says whether its settings are right.
        self.changed(true)
    }

    /// Starts when the module has nothing to say against the settings.
    pub(super) fn start_if_right(&mut self) -> anyhow::Result<()> {
        match self.state.form.problems.len() {
            0 => self.start(),
            1 => {
                self.say("Not started: one setting is not right yet.");
                Ok(())
            }
            count => {
                self.say(&format!("Not started: {count} settings are not right yet."));
                Ok(())
            }
        }
    }

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let trigger = self
            .state
            .form
            .trigger()
            .context("no trigger is chosen yet")?;
        let site = &self.world.site;
        site.configure(&site.configuration(), &self.state.form.draft)?;
        // What is not to be sent is not missing.
        let discretion = Discretion::of_trigger(&self.state.form.draft).unwrap_or_default();
        let emulator = &self.world.emulator;
        emulator.configure(|settings| settings.discretion = discretion);
        if self.state.board.on(Switch::MemoryLost).is_some() {
            // It may not be there yet.
            _ = std::fs::remove_dir_all(site.data().join("known-rows"));
        }
        self.state.lives += 1;
        let process = Process::start(
            &self.binary,
            trigger.command(),
            site,
            self.state.lives,
            self.events.clone(),
        )?;
        let now = self.world.now();
        if self.state.samples.is_empty() {
            self.state.keep_sample(Sample {
                at: now,
                lag: None,
                accepted: self.state.accepted,
                lanes: Default::default(),
            });
        }
        self.state.pid = process.pid;
        self.state.since = Some(now);
        self.state.life = Life::Running;
        self.state.form.applied = Some((self.state.form.draft.clone(), now));
        self.process = Some(process);
        self.lived.push((self.seconds(), None));
        self.limit_files();
        self.read_files();
        self.tell_all();
        Ok(())
    }

    /// Seconds since the world began.
    pub(super) fn seconds(&self) -> u64 {
        let seconds = (self.world.now() - self.world.started).num_seconds();
        u64::try_from(seconds).unwrap_or(0)
    }

    pub(super) fn sign(&mut self, sign: Sign, then: Then) {
        let Some(process) = &self.process else {
            return;
        };
        process.sign(sign);
        // Where the playground is to end, nothing else comes after the process.
        if self.then != Then::End {
            self.then = then;
        }
        self.state.life = match sign {
            Sign::Stop => Life::Stopping,
            Sign::Kill => Life::Killing,
        };
    }

    /// The process has ended.
    pub(super) async fn ended(
        &mut self,
        status: Option<ExitStatus>,
        complaint: Option<String>,
    ) -> anyhow::Result<()> {
        let now = self.world.now();
        self.process = None;
        let (before, then) = (
            std::mem::take(&mut self.state.life),
            std::mem::take(&mut self.then),
        );
        let seconds = self.seconds();
        let ending = if before == Life::Killing {
            self.state.kills.push(now);
            Ending::Kill
        } else {
            Ending::Stop
        };
        if let Some((_, end)) = self.lived.last_mut() {
            *end = Some((seconds, ending));
        }
        self.state.health = None;
        self.state.pid = None;
        self.state.diagnosis = None;
        self.failing = None;
        let well = before == Life::Stopping
            && complaint.is_none()
            && status.is_some_and(|status| status.success());
        let judgement = self.judge_now();
        self.state.excuse.end_of_life(Past {
            at: now,
            checkpoint: judgement.checkpoint,
            doubled: judgement.verdict.doubled.count,
            in_flight: (ending == Ending::Kill).then(|| self.world.site.in_flight()),
        });
        let how = match (&complaint, before, status) {
            (Some(complaint), ..) => format!("It did not end as it should: {complaint}."),
            (None, Life::Killing, _) => {
                "It was killed. Start it again: it goes on where it was.".to_owned()
            }
            (None, Life::Stopping, Some(status)) if status.success() => {
                view::ledger::meaning(&judgement)
            }
            (None, Life::Stopping, Some(status)) => {
                format!("It was asked to stop, and ended with {status}.")
            }
            (None, _, Some(status)) => format!("It has ended by itself, with {status}."),
            (None, _, None) => "It has ended by itself.".to_owned(),
        };
        self.state.life = Life::Ended { at: now, well, how };
        match then {
            Then::Nothing => {}
            Then::End => self.then = Then::End,
            Then::Start { anew } => {
                if anew {
                    self.forget()?;
                }
                self.start_order()?;
            }
            Then::Play(name) => self.play(&name).await?,
        }
        self.tell_all();
        Ok(())
    }

    /// Empties the state, and the ledger with it.
    pub(super) fn forget(&mut self) -> anyhow::Result<()> {
        self.world.site.forget()?;
        self.world.emulator.forget_deliveries();
        self.state.rows = super::rows::Rows::default();
        self.state.accepted = 0;
        self.state.kills.clear();
        // What the process before has counted says nothing of the next one.
        (self.state.metrics, self.state.status) = (None, None);
        self.state.claim = Claim::default();
        self.state.excuse = Excuse::default();
        self.state.work.clear();
        self.state.judgement = None;
        self.state.samples.clear();
        self.meter = Meter::start(0);
        self.tell_lists();
        Ok(())
    }

    fn turn(&mut self, switch: Switch, on: bool) {
        if self.is_led() {
            return;
        }
        let now = self.world.now();
        if !self.state.board.turn(switch, on, now) {
            return;
        }
        if switch == Switch::PhishingWave {
            self.wave_at = None;
        }
        self.apply_switches(Some(switch));
        if switch == Switch::DiskFull {
            self.limit_files();
        }
    }

    /// Makes the emulator as the switches are.
    pub(super) fn apply_switches(&mut self, turned: Option<Switch>) {
        let trigger = self.state.form.trigger().unwrap_or(Trigger::Graph);
        let at = self.seconds();
        for action in self.state.board.actions(&self.base, trigger, turned) {
            self.done.push(Planned {
                at,
                action: action.clone(),
            });
            self.world.emulator.act(action);
        }
        // A day of pressing is more than anybody wants to replay.
        let surplus = self.done.len().saturating_sub(5000);
        self.done.drain(..surplus);
    }

    fn outage(&mut self) {
        if self.state.life != Life::Running {
            self.say("Start the module first.");
            return;
        }
        self.turn(Switch::SourceOutage, true);
        let Some(from) = self.state.board.on(Switch::SourceOutage).map(|on| on.from) else {
            return;
        };
        self.state.tour.outage = Some((from, from + chrono::TimeDelta::seconds(60)));
        self.surge = HOUR;
    }

    fn tour_order(&mut self, value: &str) {
        let now = self.world.now();
        let tour = &mut self.state.tour;
        match value {
            "close" => tour.open = false,
            "open" => tour.open = true,
            "next" => tour.go(tour.step + 1, now),
            "back" => tour.go(tour.step.saturating_sub(1), now),
            "again" => {
                tour.open = true;
                tour.go(0, now);
            }
            _ => {}
        }
    }
}
