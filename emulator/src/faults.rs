//! Answers that are broken on purpose.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// A part of the emulator that can be broken and whose requests are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The message trace of the Reporting Web Service.
    Report,
    /// The message trace of Microsoft Graph.
    Graph,
    /// The details of a message on Microsoft Graph.
    GraphDetails,
    /// The token endpoint of the identity platform.
    Token,
    /// The OpenID discovery document of the identity platform.
    Discovery,
    /// The managed identity of the machine.
    Imds,
    /// The intake's `/batch`.
    Intake,
    /// The platform's logs.
    Logs,
    /// The platform's callback.
    Callback,
    /// The platform's secrets.
    Secrets,
    /// A stand-in of Sentry that takes envelopes.
    Sentry,
    /// Any other address.
    Other,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Report => "report",
            Self::Graph => "graph",
            Self::GraphDetails => "graph_details",
            Self::Token => "token",
            Self::Discovery => "discovery",
            Self::Imds => "imds",
            Self::Intake => "intake",
            Self::Logs => "logs",
            Self::Callback => "callback",
            Self::Secrets => "secrets",
            Self::Sentry => "sentry",
            Self::Other => "other",
        })
    }
}

/// One way in which an exchange goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The request is not looked at; this is the answer.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Headers of the answer.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// The connection is reset before the request is looked at.
    Reset,
    /// The request is carried out, but the connection is reset instead of an answer.
    ResetAfter,
    /// The request is carried out, and the connection ends after so many bytes of the body.
    ResetMidBody {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// The body ends after so many bytes although the answer is well framed.
    Cut {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// Bytes in the middle of the body are overwritten.
    Garble,
    /// A compressed body ends in the middle of its stream although the answer is well framed.
    CutGzip,
    /// The request is looked at only after this time.
    DelayRequest {
        /// The time in milliseconds.
        ms: u64,
    },
    /// The request is carried out at once and answered after this time.
    DelayAnswer {
        /// The time in milliseconds.
        ms: u64,
    },
    /// The body pauses for this time after so many bytes.
    Stall {
        /// Bytes of the body that are sent before.
        bytes: usize,
        /// The time in milliseconds.
        ms: u64,
    },
    /// The request is carried out, and its answer has another media type.
    ContentType {
        /// The media type.
        value: String,
    },
    /// The request is carried out, and answered by this instead.
    Replace {
        /// The HTTP status.
        status: u16,
        /// The media type.
        content_type: String,
        /// The body.
        body: String,
    },
    /// The intake refuses single events of a batch.
    RejectEvents {
        /// Only events that contain this text.
        #[serde(default)]
        containing: String,
        /// Of those, the first and then every one after so many; 1 for all.
        #[serde(default = "one")]
        every: usize,
        /// How the answer tells it.
        shape: RejectionShape,
    },
}

fn one() -> usize {
    1
}

/// How the intake's answer to a batch tells rejected events from accepted ones. The real form is
/// not documented (contract row W-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionShape {
    /// `event_ids` has null in the place of a rejected event.
    NullIds,
    /// `event_ids` has only those of accepted events.
    ShortIds,
    /// `event_ids` of the accepted events, and `errors` with index and message of the others.
    Errors,
    /// `event_ids` with null, and `statuses` with an HTTP status for each event.
    Statuses,
    /// `results` with an object for each event, and `event_ids` of the accepted events.
    Results,
}

impl Fault {
    /// An answer with this status and no body.
    pub fn status(status: u16) -> Self {
        Self::answer(status, &[], "")
    }

    /// An answer with this status, these headers and this body.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        Self::Answer {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    /// The intake's answer for a key that is not provisioned yet (contract row J-11).
    pub fn key_not_ready() -> Self {
        Self::answer(
            422,
            &[("content-type", "application/json")],
            r#"{"error":"INTAKE_KEY_ERROR","message":"the intake key is not known yet"}"#,
        )
    }

    /// Status 200 with an error in the body.
    pub fn error_in_success() -> Self {
        Self::answer(
            200,
            &[("content-type", "application/json")],
            r#"{"error":{"code":"InternalServerError","message":"An error has occurred."}}"#,
        )
    }

    /// This fault for the next `times` requests only.
    pub fn times(self, times: u32) -> FaultRule {
        FaultRule::from(self).times(times)
    }

    /// This fault, but not for the next `requests` requests.
    pub fn after(self, requests: u32) -> FaultRule {
        FaultRule::from(self).after(requests)
    }

    /// This fault for a share of the requests, from 0 to 1.
    pub fn chance(self, share: f64) -> FaultRule {
        FaultRule::from(self).chance(share)
    }

    /// Its name in the record of requests.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::Reset => "reset",
            Self::ResetAfter => "reset_after",
            Self::ResetMidBody { .. } => "reset_mid_body",
            Self::Cut { .. } => "cut",
            Self::Garble => "garble",
            Self::CutGzip => "cut_gzip",
            Self::DelayRequest { .. } => "delay_request",
            Self::DelayAnswer { .. } => "delay_answer",
            Self::Stall { .. } => "stall",
            Self::ContentType { .. } => "content_type",
            Self::Replace { .. } => "replace",
            Self::RejectEvents { .. } => "reject_events",
        }
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

/// The rules in force. At each request the oldest rule that strikes is the one that counts.
#[derive(Default)]
pub(crate) struct Faults {
    rules: BTreeMap<Endpoint, Vec<(u64, FaultRule)>>,
    added: u64,
    draws: u64,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.rules).finish()
    }
}

impl Faults {
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
            Some(endpoint) => self.rules.remove(&endpoint).map_or((), drop),
            None => self.rules.clear(),
        }
    }

    pub(crate) fn rules(&self) -> BTreeMap<Endpoint, Vec<&FaultRule>> {
        let rules = self.rules.iter();
        rules
            .map(|(endpoint, rules)| (*endpoint, rules.iter().map(|(_, rule)| rule).collect()))
            .collect()
    }

    /// What strikes the request that has come in at `endpoint`.
    pub(crate) fn next(&mut self, endpoint: Endpoint, seed: u64) -> Option<Fault> {
        let rules = self.rules.get_mut(&endpoint)?;
        let mut struck = None;
        for (_, rule) in rules.iter_mut() {
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            if struck.is_some() {
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
            struck = Some(rule.fault.clone());
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
            .map(|_| faults.next(Endpoint::Report, 1).is_some())
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
}
