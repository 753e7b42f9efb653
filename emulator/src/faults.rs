//! Which answers are broken on purpose.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::Fault;

/// A part of the emulator that can be broken and whose requests are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The message trace of the Reporting Web Service.
    Report,
    /// The details of a message on the Reporting Web Service.
    ReportDetails,
    /// The message trace of Microsoft Graph.
    Graph,
    /// The details of a message on Microsoft Graph.
    GraphDetails,
    /// The token endpoint of the identity platform.
    Token,
    /// The managed identity of the machine.
    Imds,
    /// The intake's `/batch`.
    Intake,
    /// The platform's logs.
    Logs,
    /// The platform's secrets.
    Secrets,
    /// A stand-in of Sentry that takes envelopes.
    Sentry,
    /// Any other address.
    Other,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A fault and which requests it strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many requests it strikes; none for as many as come until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many requests pass before it begins to strike.
    #[serde(default)]
    pub after: u32,
    /// The share of requests that it strikes, from 0 to 1.
    #[serde(default = "always")]
    pub chance: f64,
}

fn always() -> f64 {
    1.0
}

impl FaultRule {
    /// This rule for the next `times` requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// This rule, but not for the next `requests` requests.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// This rule for a share of the requests, from 0 to 1.
    #[must_use]
    pub fn chance(mut self, share: f64) -> Self {
        self.chance = share;
        self
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            times: None,
            after: 0,
            chance: 1.0,
        }
    }
}

/// A rule among those in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleId(Endpoint, u64);

/// What strikes a request.
#[derive(Debug, Default)]
pub(crate) struct Struck {
    /// The one that decides about the answer.
    pub(crate) main: Option<Fault>,
    /// Those that add up with it.
    pub(crate) besides: Vec<Fault>,
}

impl Struck {
    /// Its name in the record of requests.
    pub(crate) fn name(&self) -> Option<String> {
        self.main.as_ref().or(self.besides.first()).map(Fault::name)
    }
}

/// The rules in force. At each request the oldest rule that strikes is the one that counts; faults
/// that add up count besides.
#[derive(Default)]
pub(crate) struct Faults {
    rules: BTreeMap<Endpoint, Vec<(u64, FaultRule)>>,
    /// The connections that answer a status for ever, and the endpoint whose fault that was.
    connections: HashMap<u64, (Endpoint, u16)>,
    added: u64,
    draws: u64,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.rules).finish()
    }
}

impl Faults {
    /// Whether there has ever been a fault.
    pub(crate) fn were_any(&self) -> bool {
        self.added > 0
    }

    pub(crate) fn add(&mut self, endpoint: Endpoint, rule: FaultRule) -> RuleId {
        self.added += 1;
        let rules = self.rules.entry(endpoint).or_default();
        rules.push((self.added, rule));
        RuleId(endpoint, self.added)
    }

    /// Clears one rule, if it is still in force.
    pub(crate) fn remove(&mut self, RuleId(endpoint, number): RuleId) {
        if let Some(rules) = self.rules.get_mut(&endpoint) {
            rules.retain(|(other, _)| *other != number);
        }
    }

    /// Clears those of one endpoint, or all.
    pub(crate) fn clear(&mut self, endpoint: Option<Endpoint>) {
        match endpoint {
            Some(endpoint) => {
                self.rules.remove(&endpoint);
                self.connections.retain(|_, (of, _)| *of != endpoint);
            }
            None => {
                self.rules.clear();
                self.connections.clear();
            }
        }
    }

    pub(crate) fn rules(&self) -> BTreeMap<Endpoint, Vec<&FaultRule>> {
        let rules = self.rules.iter();
        rules
            .map(|(endpoint, rules)| (*endpoint, rules.iter().map(|(_, rule)| rule).collect()))
            .collect()
    }

    /// What strikes the request that has come in at `endpoint`, on this connection. A fault that does not
    /// concern it is as if it were not there.
    pub(crate) fn next(
        &mut self,
        endpoint: Endpoint,
        connection: Option<u64>,
        seed: u64,
        concerns: impl Fn(&Fault) -> bool,
    ) -> Struck {
        let ill = connection.and_then(|number| self.connections.get(&number));
        if let Some((_, status)) = ill {
            return Struck {
                main: Some(Fault::Connection { status: *status }),
                besides: Vec::new(),
            };
        }
        let mut struck = Struck::default();
        let Some(rules) = self.rules.get_mut(&endpoint) else {
            return struck;
        };
        for (_, rule) in rules.iter_mut() {
            if !concerns(&rule.fault) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            let adds_up = rule.fault.adds_up();
            if struck.main.is_some() && !adds_up {
                continue;
            }
            if rule.chance < 1.0 {
                self.draws += 1;
                if crate::traffic::unit(seed, self.draws) >= rule.chance {
                    continue;
                }
            }
            if let Some(times) = &mut rule.times {
                *times = times.saturating_sub(1);
            }
            if let (Fault::Connection { status }, Some(number)) = (&rule.fault, connection) {
                self.connections.insert(number, (endpoint, *status));
            }
            if adds_up {
                struck.besides.push(rule.fault.clone());
            } else {
                struck.main = Some(rule.fault.clone());
            }
        }
        rules.retain(|(_, rule)| rule.times != Some(0));
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(rule: FaultRule, requests: usize) -> Vec<bool> {
        let mut faults = Faults::default();
        faults.add(Endpoint::Report, rule);
        (0..requests)
            .map(|_| {
                faults
                    .next(Endpoint::Report, None, 1, |_| true)
                    .main
                    .is_some()
            })
            .collect()
    }

    #[test]
    fn rules_strike_when_they_say() {
        let rule = Fault::Reset.after(1).times(2);
        assert_eq!(strikes(rule, 5), [false, true, true, false, false]);
        assert_eq!(strikes(Fault::Reset.into(), 2), [true, true]);
        let struck = strikes(Fault::Reset.chance(0.3), 1000);
        let count = struck.into_iter().filter(|struck| *struck).count();
        assert!((250..350).contains(&count), "{count}");
    }

    #[test]
    fn rules_read_as_json() {
        let rule: FaultRule =
            serde_json::from_str(r#"{"kind":"stall","bytes":3,"ms":10,"after":5}"#).unwrap();
        assert_eq!(rule, Fault::Stall { bytes: 3, ms: 10 }.after(5));
    }

    #[test]
    fn some_faults_add_up() {
        let mut faults = Faults::default();
        faults.add(Endpoint::Graph, Fault::date_ahead(9).times(2));
        faults.add(Endpoint::Graph, Fault::status(502).times(1));
        faults.add(Endpoint::Graph, Fault::Age { seconds: 5 }.times(1));
        let mut names = || {
            let struck = faults.next(Endpoint::Graph, None, 1, |_| true);
            let besides = struck.besides.iter().map(Fault::name).collect::<Vec<_>>();
            (struck.main.as_ref().map(Fault::name), besides.join(" "))
        };
        let answer = String::from("answer");
        assert_eq!(names(), (Some(answer), String::from("date age")));
        assert_eq!(names(), (None, String::from("date")));
        assert_eq!(names(), (None, String::new()));
    }

    #[test]
    fn a_fault_that_does_not_concern_a_request_hides_no_other() {
        let mut faults = Faults::default();
        faults.add(Endpoint::Intake, Fault::status(403).times(1));
        faults.add(Endpoint::Intake, Fault::status(503).into());
        let mut next = |concerned: bool| {
            let is_other = |fault: &Fault| *fault != Fault::status(403);
            let struck = faults.next(Endpoint::Intake, None, 1, |fault| {
                concerned || is_other(fault)
            });
            struck.main.unwrap()
        };
        assert_eq!(next(false), Fault::status(503));
        assert_eq!(next(true), Fault::status(403));
        assert_eq!(next(true), Fault::status(503));
    }

    #[test]
    fn one_connection_is_ill_until_it_is_cleared() {
        let mut faults = Faults::default();
        faults.add(Endpoint::Graph, Fault::Connection { status: 421 }.times(1));
        let ill = |faults: &mut Faults, endpoint, connection| {
            faults
                .next(endpoint, Some(connection), 1, |_| true)
                .main
                .is_some()
        };
        assert!(ill(&mut faults, Endpoint::Graph, 7));
        assert!(ill(&mut faults, Endpoint::Token, 7));
        assert!(!ill(&mut faults, Endpoint::Graph, 8));
        faults.clear(Some(Endpoint::Token));
        assert!(ill(&mut faults, Endpoint::Graph, 7));
        faults.clear(Some(Endpoint::Graph));
        assert!(!ill(&mut faults, Endpoint::Graph, 7));
    }
}
