//! The lamp: one word and one sentence on how it is, from what the module says of itself.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    asked::Finding,
    state::{Life, State},
    verdict::Reading,
};

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Light {
    /// Nothing runs.
    Off,
    /// It collects.
    Good,
    /// Something fails, and is asked again.
    Fails,
    /// A person must act.
    Act,
}

/// The lamp.
#[derive(Clone, Debug)]
pub(crate) struct Lamp {
    pub(crate) light: Light,
    /// What screen readers and the title say.
    pub(crate) word: &'static str,
    /// The rest of the sentence, without the time that changes each second.
    pub(crate) text: String,
    /// Until when everything is complete; none where that is not the point.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl Lamp {
    fn new(light: Light, word: &'static str, text: impl Into<String>) -> Self {
        Self {
            light,
            word,
            text: text.into(),
            until: None,
        }
    }

    /// The lamp of this state.
    pub(crate) fn of(state: &State) -> Self {
        match &state.life {
            Life::None => Self::new(
                Light::Off,
                "Not started",
                match state.form.manifest {
                    None => "Choose a trigger, fill in its form, and press Start.",
                    Some(_) => "Fill in the form, and press Start.",
                },
            ),
            Life::Ended {
                well: true, how, ..
            } => Self::new(Light::Off, "Stopped", how.clone()),
            Life::Ended { how, .. } => Self::new(Light::Off, "Ended", how.clone()),
            Life::Stopping => Self::new(Light::Off, "Stopping", "It delivers what it has in hand."),
            Life::Killing => Self::new(Light::Off, "Killing", ""),
            Life::Running => Self::running(state),
        }
    }

    fn running(state: &State) -> Self {
        let Some((alive, body)) = &state.health else {
            return Self::new(Light::Off, "Starting", "");
        };
        if !alive {
            return Self::new(
                Light::Act,
                "Stuck",
                "Its loop does not turn any more: restart it.",
            );
        }
        if state.errors() > 0 {
            if let Some(finding) = &state.diagnosis
                && needs_a_person(finding)
            {
                return Self::new(Light::Act, "A person must act", sentence(&finding.text));
            }
            let text = latest(body).unwrap_or("It is asked again.");
            return Self::new(Light::Fails, "Failing, asked again", sentence(text));
        }
        if state.claim.checkpoint.is_none() {
            return Self::new(Light::Good, "Starting", "The first window is under way.");
        }
        let mut lamp = Self::new(Light::Good, "Collecting", "");
        lamp.until = state.claim.checkpoint;
        let timeline = state.claim.timeline.iter();
        let missing = timeline.filter(|one| one.state == Reading::Missing);
        // Many short stretches are long together.
        let seconds: i64 = missing.map(|one| (one.to - one.from).num_seconds()).sum();
        if seconds >= 60 {
            lamp.text = format!("{} min of the past are still to be read.", seconds / 60);
        }
        lamp
    }
}

/// The last error or warning of `/health`, the later of the two.
fn latest(body: &Value) -> Option<&str> {
    let said = ["/last_error", "/last_warning"].map(|path| body.pointer(path));
    let time = |said: &&Value| said.get("time").and_then(Value::as_str).map(str::to_owned);
    let latest = said.into_iter().flatten().max_by_key(time)?;
    latest.get("text")?.as_str()
}

/// Whether asking again will not help.
pub(crate) fn needs_a_person(finding: &Finding) -> bool {
    if finding.outcome != "fail" {
        return false;
    }
    let passes = [
        "for the moment",
        "no answer",
        "asked again",
        "answers 5",
        "answered 5",
    ];
    let passing = passes.iter().any(|words| finding.text.contains(words));
    match finding.check.as_str() {
        "settings" | "data" | "permission" | "service principal" => true,
        "sign-in" | "intake" => !passing,
        _ => false,
    }
}

/// The longest sentence, in characters.
const LONGEST: usize = 480;

/// What matters of a text of the module: all of it, in one line, and not for ever.
pub(crate) fn sentence(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let text = lines.join(" ");
    // The ids by which Microsoft finds the request are in the log.
    let text = text.split(" (the answer says:").next().unwrap_or_default();
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, text: &str) -> Finding {
        Finding {
            check: check.to_owned(),
            outcome: "fail".to_owned(),
            text: text.to_owned(),
            facts: Value::Null,
        }
    }

    #[test]
    fn what_passes_by_itself_needs_nobody() {
        assert!(needs_a_person(&finding(
            "sign-in",
            "the client secret is wrong"
        )));
        assert!(!needs_a_person(&finding(
            "sign-in",
            "no answer from the sign-in service"
        )));
        assert!(!needs_a_person(&finding(
            "intake",
            "the intake answers 503 Service"
        )));
        assert!(needs_a_person(&finding(
            "intake",
            "it does not know the intake key"
        )));
        assert!(!needs_a_person(&finding(
            "query",
            "Microsoft Graph answered 503"
        )));
    }

    #[test]
    fn a_sentence_is_short() {
        assert_eq!(sentence("a\n b (the answer says: c)"), "a b");
        assert_eq!(sentence(&"é".repeat(600)).chars().count(), LONGEST + 1);
    }
}
