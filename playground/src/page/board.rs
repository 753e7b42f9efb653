//! The positions of all switches, and what the emulator has to do for them.

use chrono::{DateTime, Utc};
use emulator::{Action, Changes, Endpoint, Fault};
use serde_json::{Value, json};

use super::switches::Switch;
use crate::arguments::Trigger;

/// A switch that is on, or was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    pub(crate) switch: Switch,
    /// Stands wherever its consequence shows.
    pub(crate) letter: char,
    pub(crate) from: DateTime<Utc>,
    /// None while it is on.
    pub(crate) to: Option<DateTime<Utc>>,
}

/// Turned switches that are remembered, for the timeline.
const REMEMBERED: usize = 40;

/// The positions of all switches.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Those that are on and those that were, oldest first.
    pub(crate) turned: Vec<Turned>,
    next: u8,
}

impl Board {
    /// The switch, if it is on.
    pub(crate) fn on(&self, switch: Switch) -> Option<&Turned> {
        let mut turned = self.turned.iter();
        turned.find(|turned| turned.switch == switch && turned.to.is_none())
    }

    /// Those that are on.
    pub(crate) fn all_on(&self) -> impl Iterator<Item = &Turned> {
        self.turned.iter().filter(|turned| turned.to.is_none())
    }

    /// Turns a switch; false when that changes nothing.
    pub(crate) fn turn(&mut self, switch: Switch, on: bool, now: DateTime<Utc>) -> bool {
        if self.on(switch).is_some() == on {
            return false;
        }
        if on {
            let letter = char::from(b'A' + self.next % 26);
            self.next = self.next.wrapping_add(1);
            self.turned.push(Turned {
                switch,
                letter,
                from: now,
                to: None,
            });
            if self.turned.len() > REMEMBERED
                && let Some(oldest) = self.turned.iter().position(|one| one.to.is_some())
            {
                self.turned.remove(oldest);
            }
        } else {
            for turned in &mut self.turned {
                if turned.switch == switch {
                    turned.to.get_or_insert(now);
                }
            }
        }
        true
    }

    /// What has to happen to the emulator for the switches to be as they are. `base` are its settings
    /// without any switch, `turned` the one that was turned just now.
    pub(crate) fn actions(
        &self,
        base: &Value,
        trigger: Trigger,
        turned: Option<Switch>,
    ) -> Vec<Action> {
        let mut actions = vec![Action::ClearAll];
        let mut settings = json!({});
        for switch in Switch::ALL {
            for (path, value) in switch.changes() {
                // Two switches may turn the same setting: the one that is on counts.
                if self.on(switch).is_some() {
                    put(&mut settings, path, value);
                } else if settings.pointer(path).is_none() {
                    put(
                        &mut settings,
                        path,
                        base.pointer(path).cloned().unwrap_or_default(),
                    );
                }
            }
        }
        if let Ok(changes) = Changes::try_from(settings) {
            actions.push(Action::Settings(changes));
        }
        let mut rules = Vec::new();
        if turned.is_some_and(|one| one.needs_new_token() && self.on(one).is_some())
            && trigger != Trigger::Account
        {
            for endpoint in [Endpoint::Graph, Endpoint::Report] {
                rules.push((endpoint, Fault::status(401).times(1)));
            }
        }
        for on in self.all_on() {
            rules.extend(on.switch.faults(trigger));
        }
        for (endpoint, rule) in rules {
            actions.push(Action::Fault {
                endpoint,
                seconds: None,
                rule,
            });
        }
        actions
    }
}

/// Sets a value in the tree, by its pointer.
fn put(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for name in path.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        let Value::Object(object) = place else { return };
        place = object.entry(name).or_insert(Value::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use emulator::{Emulator, Options};

    use super::*;

    #[test]
    fn every_switch_can_be_turned_and_mended() {
        let emulator = Emulator::new(Options::default());
        let base = json!(emulator.settings());
        let now = emulator.clock().now();
        for trigger in Trigger::ALL {
            for switch in Switch::ALL {
                let mut board = Board::default();
                assert!(board.turn(switch, true, now) && !board.turn(switch, true, now));
                assert_eq!(Switch::named(switch.about().name), Some(switch));
                for action in board.actions(&base, trigger, Some(switch)) {
                    emulator.act(action);
                }
                let broken = json!(emulator.settings());
                assert_eq!(broken == base, switch.changes().is_empty(), "{switch:?}");
                assert!(board.turn(switch, false, now));
                for action in board.actions(&base, trigger, Some(switch)) {
                    emulator.act(action);
                }
                assert_eq!(json!(emulator.settings()), base, "{switch:?}");
            }
        }
    }

    #[test]
    fn two_switches_of_one_setting_do_not_undo_each_other() {
        let emulator = Emulator::new(Options::default());
        let base = json!(emulator.settings());
        let now = emulator.clock().now();
        let mut board = Board::default();
        board.turn(Switch::WrongSecret, true, now);
        board.turn(Switch::IntakeOutage, true, now);
        let letters: String = board.all_on().map(|one| one.letter).collect();
        assert_eq!(letters, "AB");
        for action in board.actions(&base, Trigger::Graph, None) {
            emulator.act(action);
        }
        assert_eq!(emulator.settings().identity.refuse_with, Some(7_000_215));
    }
}
