//! The module's own `check`: asked by a person, or because something fails. Its lines come one after the
//! other.

use std::time::Duration;

use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{
    Event,
    asked::{Asked, Finding},
    engine::Engine,
    lamp,
    state::{Checks, Life},
    view,
};

/// How long something must fail before the page asks `check` what is the matter.
const DIAGNOSE_AFTER: Duration = Duration::from_millis(1500);

/// How often it asks while it goes on failing.
const DIAGNOSE_EVERY: Duration = Duration::from_secs(20);

impl Engine<'_> {
    /// Asks `check` when something goes on failing: it says what to do.
    pub(super) fn diagnose(&mut self) {
        let long = self
            .failing
            .is_some_and(|since| since.elapsed() >= DIAGNOSE_AFTER);
        let again = self
            .diagnosed
            .is_none_or(|at| at.elapsed() >= DIAGNOSE_EVERY);
        let fresh = self.state.diagnosis.is_none() && self.diagnosed < self.failing;
        if long && (again || fresh) && self.state.life == Life::Running && !self.state.check.running
        {
            self.diagnosed = Some(Instant::now());
            self.check(false, "because something fails");
        }
    }

    /// Begins a `check` of the form or of the process, unless one is at work.
    pub(super) fn check(&mut self, draft: bool, why: &'static str) {
        let Some(asked) = self.asked(draft) else {
            self.say("Choose a trigger first.");
            return;
        };
        if self.state.check.running {
            return;
        }
        let id = Uuid::new_v4();
        self.state.check = Checks {
            running: true,
            id,
            why,
            draft,
            version: self.state.form.version,
            done: self.state.check.done,
            ..Checks::default()
        };
        self.tell_check();
        let events = self.events.clone();
        tokio::spawn(async move {
            let result = each_line(&asked, id, &events).await;
            // The page may have ended.
            _ = events.send(Event::Checked(id, result)).await;
        });
    }

    /// `check` has found something.
    pub(super) fn found(&mut self, id: Uuid, finding: Finding) {
        if id == self.state.check.id {
            self.state.check.findings.push(finding);
            self.tell_check();
        }
    }

    /// `check` has ended.
    pub(super) fn checked(&mut self, id: Uuid, result: anyhow::Result<()>) {
        let check = &mut self.state.check;
        if id != check.id {
            return;
        }
        check.running = false;
        check.done = Some(self.state.now);
        check.failure = result.err().map(|error| format!("{error:#}"));
        // What is wrong with the form says nothing of the process.
        if self.failing.is_some() && !self.state.check.draft {
            let mut findings = self.state.check.findings.iter();
            self.state.diagnosis = findings.find(|one| lamp::needs_a_person(one)).cloned();
        }
        self.tell_check();
    }

    fn tell_check(&self) {
        self.tell(view::check(&self.state));
    }
}

/// Hands on each line of a `check` until its end.
async fn each_line(asked: &Asked, id: Uuid, events: &mpsc::Sender<Event>) -> anyhow::Result<()> {
    let mut checking = asked.check()?;
    while let Some(finding) = checking.next().await? {
        // When nobody takes it any more, the page has ended.
        events.send(Event::Found(id, finding)).await?;
    }
    Ok(())
}
