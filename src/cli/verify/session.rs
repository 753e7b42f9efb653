//! What a verification is to read, and what it has found.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use chrono::{DateTime, DurationRound as _, Local, TimeDelta, Utc};
use collect::verify::{Verdict, VerifyCounts, VerifyOrder, VerifyProgress, VerifyWork};
use rows::Window;
use sekoia::Storage;
use uuid::Uuid;

use super::{VerifyWish, known::Known, outcome, page, summary};
use crate::{
    cli::{
        order::{OrderOutcome, OrderSession, OrderWords, RangeCommand, dates, refuse},
        screen::print_document,
    },
    triggers::backfill::{self, Task},
};

/// How to go on with what is not finished.
const ON: &str =
    "`message-trace verify` goes on with it, and `message-trace verify --cancel` gives it up.";

impl RangeCommand for VerifyWish {
    type Work = VerifyWork;

    const TASK: fn(Window) -> Task = Task::Verify;

    const WORDS: OrderWords = OrderWords {
        unfinished: |range| format!("the verification of {range} is not finished: {ON}"),
        doing: "Verifying",
        does: "verifies",
        stopped: || format!("Stopped at a clean point: {ON}"),
        ways: ON,
        none: "There is no verification to cancel.",
        unreadable: "cannot look at the progress of the verification",
        untaken: None,
    };

    async fn run(mut session: OrderSession<'_, Self>) -> anyhow::Result<ExitCode> {
        if let Some(word) = &session.wish.schedule {
            return session.set_schedule(word == "on").await;
        }
        let files = &session.session.context.storage;
        let known = Known::load(files).await;
        let known = known.context("cannot look at the last verification")?;
        if session.wish.last {
            let Some(order) = known.last() else {
                return session.nothing("Nothing has been verified yet.");
            };
            let progress = session.progress(files, &order).await?;
            let outcome = OrderOutcome::of(progress.map(|progress| progress.phase));
            return session.end(&order, outcome, files).await;
        }
        if session.cancel {
            let unfinished = known.unfinished().map(|(order, _)| order);
            return session.give_up(unfinished).await;
        }
        let Some((words, range)) = session.asked_for().await? else {
            return match known.unfinished() {
                Some((order, true)) => session.perform(order, true).await,
                unfinished => session.go_on(unfinished.map(|(order, _)| order)).await,
            };
        };
        let resend = session.wish.resend.is_some();
        match known.asked_for() {
            Some(order) if order.words == words && order.work.resend == resend => {
                session.perform(order, false).await
            }
            Some(order) => session.refuse_beside(&order),
            None => {
                let work = VerifyWork { resend };
                let order = VerifyOrder::new(Uuid::new_v4(), range, words, work);
                session.perform(order, true).await
            }
        }
    }

    fn warning(order: &VerifyOrder) -> Option<String> {
        let warning = || {
            format!(
                "All rows received from {} are sent again: those that were accepted before come a \
                 second time.",
                order.range
            )
        };
        order.work.resend.then(warning)
    }

    fn counted(&self, counts: &VerifyCounts) -> String {
        let VerifyCounts {
            hours,
            judged,
            rows,
            delivered,
        } = counts;
        format!("{judged} of {hours} hours, {rows} rows read, {delivered} delivered")
    }

    async fn end(
        session: &OrderSession<'_, Self>,
        order: &VerifyOrder,
        outcome: OrderOutcome,
        progress: Option<VerifyProgress>,
        files: &Storage,
    ) -> anyhow::Result<ExitCode> {
        let verdicts = Verdict::of_order(files, order.id).await;
        let verdicts = verdicts.context("cannot read the verdicts")?;
        let trigger = session.session.command();
        let (range, progress) = (order.range, progress.as_ref());
        if session.json {
            print_document(&outcome::json(trigger, outcome, range, progress, &verdicts))?;
        } else if session.wish.csv {
            write!(anstream::stdout(), "{}", outcome::csv(&verdicts))?;
        } else {
            summary::tell(order, outcome, progress, &verdicts)?;
        }
        if let Some(report) = &session.wish.opened {
            let now = session.session.context.clock.now();
            let hours = outcome::hours(range, progress);
            let text = page::page(trigger, range, hours, &verdicts, now);
            let path = report.write(&text.into_string())?;
            session.say(&format!("The report is in {path}."));
        }
        let lost = outcome::lost(range, progress, &verdicts);
        let (exit_code, _) = outcome::came_out(outcome, lost, &verdicts);
        Ok(exit_code.into())
    }
}

impl OrderSession<'_, VerifyWish> {
    /// The range in a person's words, and the full hours that it touches; none when none is given.
    async fn asked_for(&self) -> anyhow::Result<Option<((String, String), Window)>> {
        let reach = backfill::reach(self.session).await?;
        let now = self.session.context.clock.now();
        let (words, asked) = match (&self.wish.from, &self.wish.resend) {
            (Some(from), _) => {
                let to = &self.wish.to;
                let range = dates::range((from, to), now, reach, &Local);
                ((from.clone(), to.clone()), range)
            }
            (None, Some(hour)) => {
                let range = dates::range((hour, "now"), now, reach, &Local);
                let range = range.map_err(|sentence| sentence.replace("--from", "--resend"));
                let range = range.map(|range| {
                    let start = range.start();
                    Window::new(start, start + TimeDelta::seconds(1)).unwrap_or(range)
                });
                ((hour.clone(), String::new()), range)
            }
            (None, None) => return Ok(None),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(sentence) => return refuse(&sentence),
        };
        let hour = TimeDelta::hours(1);
        let full = |at: DateTime<Utc>| at.duration_trunc(hour).unwrap_or(at);
        let end = full(asked.end() - TimeDelta::nanoseconds(1)) + hour;
        let range = Window::new(full(asked.start()), end).unwrap_or(asked);
        Ok(Some((words, range)))
    }
}
