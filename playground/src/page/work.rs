//! What the lanes of the module are at.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::Endpoint;
use serde_json::Value;

use super::{engine::Engine, probe::LANES, state::AtWork, verdict::Reading};
use crate::world;

/// Requests of five minutes that are counted; a service without a quota may see more.
const MOST_ASKED: usize = 10_000;

/// What a lane of `status` waits for, where that is not the answer.
fn waits_for(lane: &Value) -> Option<String> {
    let what = lane
        .get("waits_for")?
        .as_str()
        .filter(|what| *what != "answer")?;
    let until = lane.get("until").and_then(Value::as_str);
    let until = until.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    Some(match (what, until) {
        ("quota", Some(until)) => format!("the quota until {}", until.format("%H:%M:%S")),
        ("pause", Some(until)) => format!("another try at {}", until.format("%H:%M:%S")),
        ("intake", _) => "the intake".to_owned(),
        ("turn", _) => "its turn".to_owned(),
        (other, _) => format!("the {other}"),
    })
}

impl Engine<'_> {
    /// The windows that are asked for, by lane: as `status` says it, or as the requests show it.
    pub(super) fn work(&mut self) {
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
                    "verification" => "verify",
                    other => other,
                };
                let date = |key: &str| {
                    let text = one.pointer(&format!("/window/{key}"))?.as_str()?;
                    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
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
    pub(super) fn forget_asked(&mut self) {
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
    fn lane_of(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> usize {
        let edge = self.state.claim.timeline.last().map(|stretch| stretch.to);
        let touches = edge.is_none_or(|edge| from > edge - TimeDelta::seconds(90));
        if self.state.now - to < TimeDelta::seconds(8) && touches {
            return 0;
        }
        let middle = from + (to - from) / 2;
        let mut stretches = self.state.claim.timeline.iter();
        let stretch = stretches.find(|stretch| stretch.from <= middle && middle < stretch.to);
        match stretch.map(|stretch| stretch.state) {
            Some(Reading::Missing) => 2,
            Some(Reading::Wanted) => 3,
            Some(_) => 1,
            // Before the first window is done, the past is backlog.
            None if self.state.claim.timeline.is_empty() => 2,
            None => 0,
        }
    }
}
