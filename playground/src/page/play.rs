//! Scenarios: one that is played, and this run as one.

use std::time::Duration;

use anyhow::Context;
use emulator::{Ending, ModuleLife, Scenario};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    Download, Due, Event,
    engine::{Engine, Taken, Then},
    manifest::Input,
    process::Sign,
    state::Played,
};
use crate::{arguments::Trigger, status::Meter, world::World};

/// The scenarios that can be chosen.
pub(super) const SCENARIOS: [(&str, &str); 3] = [
    (
        "two-minutes.json",
        include_str!("../../scenarios/two-minutes.json"),
    ),
    (
        "late-rows.json",
        include_str!("../../scenarios/late-rows.json"),
    ),
    (
        "six-minutes.json",
        include_str!("../../scenarios/six-minutes.json"),
    ),
];

impl Engine<'_> {
    pub(super) async fn play_order(&mut self, name: String) -> anyhow::Result<()> {
        if self.process.is_some() {
            self.sign(Sign::Stop, Then::Play(name));
            return Ok(());
        }
        self.play(&name).await
    }

    /// Begins another world, and leads the module through its lives.
    pub(super) async fn play(&mut self, name: &str) -> anyhow::Result<()> {
        let (name, text) = SCENARIOS
            .into_iter()
            .find(|(known, _)| *known == name)
            .with_context(|| format!("there is no scenario {name:?}"))?;
        let scenario: Scenario = text.parse().context("it is no scenario")?;
        let trigger = self.state.form.trigger().unwrap_or(Trigger::Graph);
        self.world = World::begin(scenario, self.world.apart).await?;
        self.world_number += 1;
        self.base = json!(self.world.emulator.settings());
        self.taken = Taken::default();
        (self.done, self.lived) = (Vec::new(), Vec::new());
        self.marked.clear();
        self.surge = 0;
        self.begin_anew(trigger);
        self.meter = Meter::start(0);
        let scenario = &self.world.scenario;
        let length = scenario
            .lives
            .iter()
            .map(|life| life.seconds + life.away)
            .sum();
        self.state.played = Some(Played {
            name: name.to_owned(),
            began: self.world.started,
            length,
            over: false,
            plan: scenario.plan(),
        });
        self.fill()?;
        self.changed(false)?;
        self.tell_lists();
        self.start()?;
        self.lead();
        Ok(())
    }

    /// What happens in the lives of the module happens when it is due.
    fn lead(&self) {
        let (events, number) = (self.events.clone(), self.world_number);
        let lives = self.world.scenario.lives.clone();
        let begin = Instant::now();
        tokio::spawn(async move {
            let mut at = 0;
            for (index, life) in lives.iter().enumerate() {
                at += life.seconds;
                sleep_until(begin + Duration::from_secs(at)).await;
                _ = events.send(Event::Due(number, Due::End(life.end))).await;
                if index + 1 == lives.len() {
                    return;
                }
                at += life.away;
                sleep_until(begin + Duration::from_secs(at)).await;
                _ = events
                    .send(Event::Due(number, Due::Start(life.damage)))
                    .await;
            }
        });
    }

    /// Something of the scenario is due.
    pub(super) fn due(&mut self, due: Due) -> anyhow::Result<()> {
        if self.state.played.as_ref().is_none_or(|played| played.over) {
            return Ok(());
        }
        match due {
            Due::End(end) => {
                self.sign(
                    match end {
                        Ending::Stop => Sign::Stop,
                        Ending::Kill => Sign::Kill,
                    },
                    Then::Nothing,
                );
                let ends = self.lived.len();
                if ends >= self.world.scenario.lives.len() {
                    self.end_scenario();
                }
            }
            Due::Start(damage) => {
                let harmed = damage.map_or(Ok(()), |damage| self.world.site.damage(damage));
                self.start()?;
                // What was not harmed is no reason not to go on.
                harmed?;
            }
        }
        self.tell_all();
        Ok(())
    }

    /// Whether a scenario is running: then it alone turns switches, and that is said.
    pub(super) fn is_led(&self) -> bool {
        let played = self.state.played.as_ref();
        let is_led = played.is_some_and(|played| !played.over);
        if is_led {
            self.say("A scenario is running: its own faults count.");
        }
        is_led
    }

    pub(super) fn end_scenario(&mut self) {
        if let Some(played) = &mut self.state.played {
            played.over = true;
        }
    }

    /// The text of a download.
    pub(super) fn download(&mut self, what: Download) -> String {
        let value = match what {
            Download::Verdict => self.judge_now().to_json(),
            Download::Scenario => json!(self.scenario()),
        };
        format!("{value:#}\n")
    }

    /// This run as a scenario: what was done, when the module lived, and the settings that differ.
    fn scenario(&self) -> Scenario {
        let mut scenario = self.world.scenario.clone();
        scenario.timeline.extend(self.done.iter().cloned());
        scenario.timeline.sort_by_key(|event| event.at);
        if scenario.lives.is_empty() {
            let now = self.seconds();
            for (index, (start, end)) in self.lived.iter().enumerate() {
                let (end, how) = end.unwrap_or((now, Ending::Stop));
                let next = self.lived.get(index + 1).map(|(next, _)| *next);
                scenario.lives.push(ModuleLife {
                    seconds: end.saturating_sub(*start).max(1),
                    end: how,
                    away: next.map_or(0, |next| next.saturating_sub(end)),
                    damage: None,
                });
            }
        }
        if let (Some(manifest), Some((applied, _))) =
            (&self.state.form.manifest, &self.state.form.applied)
        {
            for field in manifest.fields() {
                let is_number = matches!(field.input, Input::Number { .. });
                if let Some(value) = applied.get(&field.name).filter(|_| is_number) {
                    scenario.trigger.insert(field.name.clone(), value.clone());
                }
            }
        }
        scenario
    }
}
