//! What a scenario has in store for the emulator.
//!
//! Nobody can tell when it happens but by what the emulator does, so it happens just before the
//! emulator does anything that is later: there is no task to run, and it is as exact on a paused
//! clock as on a real one.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    NewRow,
    faults::RuleId,
    scenario::{Action, Event},
    time::{SECOND, Ticks, instant},
    world::World,
};

/// What is still to happen, in its order.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    items: BTreeMap<(Ticks, u64), Item>,
    added: u64,
}

#[derive(Debug)]
enum Item {
    Action(Action),
    /// A fault is over.
    Over(RuleId),
}

impl Agenda {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn add(&mut self, at: Ticks, item: Item) {
        self.added += 1;
        self.items.insert((at, self.added), item);
    }

    /// Takes out what is due first at `now`, and when that was.
    fn next(&mut self, now: Ticks) -> Option<(Ticks, Item)> {
        let first = self.items.first_entry()?;
        let at = first.key().0;
        (at <= now).then(|| (at, first.remove()))
    }
}

impl World {
    /// Takes over the timeline of a scenario that starts with the emulator.
    pub(crate) fn plan(&mut self, timeline: &[Event]) {
        for event in timeline {
            let at = self.started.saturating_add(length(event.at));
            self.agenda.add(at, Item::Action(event.action.clone()));
        }
    }

    /// Lets everything happen that is due at `now`.
    pub(crate) fn catch_up(&mut self, now: Ticks) {
        while let Some((at, item)) = self.agenda.next(now) {
            match item {
                Item::Over(rule) => self.faults.remove(rule),
                Item::Action(action) => self.act(at, action),
            }
        }
    }

    /// Lets this happen, as if at `at`.
    pub(crate) fn act(&mut self, at: Ticks, action: Action) {
        match action {
            Action::Fault {
                endpoint,
                seconds,
                rule,
            } => {
                let rule = self.faults.add(endpoint, rule);
                if let Some(seconds) = seconds {
                    let end = at.saturating_add(length(seconds));
                    self.agenda.add(end, Item::Over(rule));
                }
            }
            Action::Clear(endpoint) => self.faults.clear(Some(endpoint)),
            Action::ClearAll => self.faults.clear(None),
            Action::Settings(changes) => self.settings = changes.laid_over(&self.settings),
            Action::StopTraffic => self.rows.set_traffic(false, at),
            Action::ResumeTraffic => self.rows.set_traffic(true, at),
            Action::MassMail(recipients) => self.receive(at, recipients),
            Action::ModuleClock(ahead) => self.module_ahead = ahead,
            Action::BeginFreshness => self.ledger.begin_freshness(at),
        }
    }

    /// Receives one message to so many recipients at this time. The same run has the same message.
    fn receive(&mut self, at: Ticks, recipients: u32) {
        let message = Uuid::from_u64_pair(self.seed ^ at.unsigned_abs(), self.rows.by_hand());
        for number in 0..recipients {
            let recipient = format!("mass{number}@contoso.example");
            let mut row = NewRow::new(instant(at), &recipient).trace_id(message);
            row.row.message_id = Some(format!("<{}@contoso.example>", message.simple()));
            self.rows.add(row);
        }
    }
}

fn length(seconds: u64) -> Ticks {
    i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(SECOND)
}
