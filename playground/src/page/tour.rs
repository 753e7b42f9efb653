//! The guided tour: five steps, each with what is to be done and whether it has happened.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    lamp::{Lamp, Light},
    state::{Life, State},
    switches::Switch,
};

/// A step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    /// What is to be done or seen, with the part of the page to look at.
    pub(crate) tasks: &'static [(&'static str, &'static str)],
    /// Something that the page does on demand: its order, and what the button says.
    pub(crate) offer: Option<(&'static str, &'static str)>,
}

/// The steps.
pub(crate) const STEPS: [Step; 5] = [
    Step {
        title: "Your first row",
        text: "An organization with an hour of mail is emulated on this machine. The module is real.",
        tasks: &[
            ("Choose a trigger", "playbook"),
            ("Fill in the emulated organization", "playbook"),
            ("Press Start", "process"),
            ("See rows arrive, and open one", "rows"),
        ],
        offer: None,
    },
    Step {
        title: "A wrong secret",
        text: "See what the module says when Microsoft refuses the sign-in, and what it tells you to do.",
        tasks: &[
            ("Change the secret or password in the form", "playbook"),
            ("Press Check, and read the line that fails", "check"),
            ("Fill in the right one again", "playbook"),
            ("Press Check: everything passes", "check"),
        ],
        offer: None,
    },
    Step {
        title: "An outage of an hour in a minute",
        text: "For a minute Microsoft answers 503, and as much mail comes in as in an hour.",
        tasks: &[
            ("Begin the outage, while the module runs", "tour"),
            ("See the lamp change, and the live edge stop", "timeline"),
            ("When the minute is over, see it catch up", "timeline"),
            ("Nothing is missing, nothing came twice", "ledger"),
        ],
        offer: Some(("outage", "Begin the outage")),
    },
    Step {
        title: "kill -9",
        text: "A crash loses nothing: what was not noted as delivered is asked for again.",
        tasks: &[
            ("Press Kill while rows arrive", "process"),
            ("Press Start", "process"),
            ("See it go on where it was: nothing is missing", "ledger"),
        ],
        offer: None,
    },
    Step {
        title: "Which rows came late",
        text: "Microsoft shows some rows long after their reception. The past is read again until none can come.",
        tasks: &[
            ("Switch on “Rows surface late”", "break"),
            ("See a row with its letter arrive", "rows"),
            ("See it in the histogram of lateness", "lateness"),
            ("Press Stop, and read the verdict", "ledger"),
        ],
        offer: None,
    },
];

/// Where a visitor is on the tour.
#[derive(Debug)]
pub(crate) struct Tour {
    pub(crate) open: bool,
    pub(crate) step: usize,
    /// When each task of the step was done.
    pub(crate) done: Vec<Option<DateTime<Utc>>>,
    /// Since when the step is followed.
    began: DateTime<Utc>,
    /// Whether a row was opened.
    pub(crate) opened_row: bool,
    /// When the outage of the tour began and ends.
    pub(crate) outage: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// When the sign-in was seen to fail in a check.
    failed_check: Option<DateTime<Utc>>,
}

impl Tour {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            open: true,
            step: 0,
            done: vec![None; 4],
            began: now,
            opened_row: false,
            outage: None,
            failed_check: None,
        }
    }

    /// The step that is followed.
    pub(crate) fn present(&self) -> Option<&'static Step> {
        STEPS.get(self.step)
    }

    /// Goes to a step.
    pub(crate) fn go(&mut self, step: usize, now: DateTime<Utc>) {
        self.step = step.min(STEPS.len());
        self.done = vec![None; self.present().map_or(0, |step| step.tasks.len())];
        self.began = now;
        self.opened_row = false;
        self.failed_check = None;
    }

    /// Whether every task of the step is done.
    pub(crate) fn is_done(&self) -> bool {
        self.done.iter().all(Option::is_some)
    }
}

/// Looks which tasks of the present step are done by now.
pub(crate) fn follow(state: &mut State) {
    if !state.tour.open {
        return;
    }
    if let Some(at) = state.check.done
        && at > state.tour.began
        && !state.check.running
        && state.check.findings.iter().any(|one| one.outcome == "fail")
    {
        state.tour.failed_check.get_or_insert(at);
    }
    let facts = facts(state);
    let mut before = true;
    for (done, fact) in state.tour.done.iter_mut().zip(facts) {
        // What comes later is looked at only when what comes before is done.
        if done.is_none() && before && fact {
            *done = Some(state.now);
        }
        before &= done.is_some();
    }
}

fn facts(state: &State) -> Vec<bool> {
    let tour = &state.tour;
    let running = state.life == Life::Running;
    let judgement = state.judgement.as_ref();
    let clean = judgement.is_some_and(|found| found.is_clean() && found.awaited == 0);
    let passes = !state.check.running
        && state.check.done.is_some_and(|at| at > tour.began)
        && !state.check.findings.is_empty()
        && state.check.findings.iter().all(|one| one.outcome != "fail");
    match tour.step {
        0 => vec![
            state.form.manifest.is_some(),
            state.form.draft.len() > 3 && state.form.problems.is_empty(),
            state.lives > 0,
            state.accepted > 0 && tour.opened_row,
        ],
        1 => {
            let applied = state.form.applied.as_ref().map(|(form, _)| form);
            let differs = |name: &str| {
                state.form.draft.contains_key(name)
                    && applied.is_none_or(|form| form.get(name) != state.form.draft.get(name))
            };
            vec![
                differs("client_secret") || differs("account_password"),
                tour.failed_check.is_some(),
                !differs("client_secret") && !differs("account_password"),
                passes && tour.failed_check < state.check.done,
            ]
        }
        2 => {
            let outage = tour.outage.filter(|(from, _)| *from >= tour.began);
            let (began, over) = (
                outage.is_some(),
                outage.is_some_and(|(_, to)| state.now > to),
            );
            let end = outage.map(|(_, to)| to);
            let caught_up = over && state.claim.checkpoint > end && state.errors() == 0;
            vec![
                began,
                began && Lamp::of(state).light == Light::Fails,
                caught_up,
                caught_up && clean && judgement.map(|found| found.at) > end,
            ]
        }
        3 => {
            let killed = state.kills.last().copied().filter(|at| *at > tour.began);
            let again = killed.is_some() && running && state.since > killed;
            let margin = killed.map(|at| at + TimeDelta::seconds(1));
            vec![
                killed.is_some(),
                again,
                again
                    && state.claim.checkpoint > margin
                    && clean
                    && judgement.map(|one| one.at) > state.since,
            ]
        }
        4 => {
            let on = state.board.turned.iter().rev();
            let mut on = on.filter(|one| one.switch == Switch::LateRows);
            let since = on.next().map(|one| one.from);
            let late = state.rows.rows.iter().any(|row| {
                row.letter.is_some() && row.late_by().is_some_and(|late| late.num_seconds() >= 20)
            });
            let shown = state
                .metrics
                .as_ref()
                .is_some_and(|metrics| metrics.lateness().iter().skip(2).sum::<f64>() > 0.0);
            let ended = matches!(state.life, Life::Ended { well: true, .. });
            vec![
                since.is_some(),
                since.is_some() && late,
                late && shown,
                late && ended && judgement.is_some_and(super::verdict::Judgement::is_clean),
            ]
        }
        _ => Vec::new(),
    }
}
