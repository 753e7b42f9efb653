//! `verify`: shows that nothing of a past range is missing, and delivers what is.

mod outcome;
mod page;
mod report;
mod schedule;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use clap::{ArgGroup, Args};
use collect::{
    nightly::Nights,
    order::OrderFile as _,
    verify::{Verdict, VerifyCounts, VerifyOrder, VerifyProgress, VerifyWork},
};
use rows::Window;
use sekoia::{Installation, Storage};
use uuid::Uuid;

use self::report::Report;
use super::{
    order::{
        self, Filed, OrderOutcome, OrderSession, OrderWords, RangeCommand, dates::RangeArguments,
        refuse,
    },
    screen::print_document,
};
use crate::triggers::{
    backfill::{self, Task},
    order_time::OrderTime,
    words::least,
};

/// Shows that nothing of a past range is missing, and delivers what is.
#[derive(Debug, Args)]
#[command(
    long_about = "Reads a past range once more, hour by hour of reception, and compares it with what was \
                  accepted. Up to 40 rows that differ are named, and those that are missing are delivered. A \
                  trigger that runs on the same data does it beside its own work, with what that leaves of the \
                  quota; else this command does it itself. It goes on where it was when it is given again after \
                  a stop. Without --from it goes on with what is not finished.\n\nA DATE is written as for \
                  `backfill`; the range is widened to full hours of UTC. Hours that the collection is not \
                  done with are not verified.",
    after_help = outcome::exit_codes(),
    group(ArgGroup::new("wish").args(["from", "resend", "cancel", "last"]))
)]
pub(super) struct VerifyWish {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    #[command(flatten)]
    range: RangeArguments,
    /// Send all rows of an hour again, also those that were accepted.
    #[arg(long, value_name = "HOUR", allow_hyphen_values = true)]
    resend: Option<String>,
    /// Have the trigger verify every day, in the quiet hours, what has become final: at least as
    /// far back as --from says, -3d when it is left out; `off` takes it back.
    #[arg(
        long,
        value_name = "off",
        value_parser = ["on", "off"],
        num_args = 0..=1,
        default_missing_value = "on",
        conflicts_with_all = ["to", "resend", "cancel", "last", "report", "csv"]
    )]
    schedule: Option<String>,
    /// Give up the one that is not finished.
    #[arg(long)]
    cancel: bool,
    /// Print what the last one has found, and ask nothing.
    #[arg(long)]
    last: bool,
    /// Write a page with a picture of all hours, which can be handed on.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    // The same, opened before hours of work.
    #[arg(skip)]
    opened: Option<Report>,
    /// Print a line of values for each hour.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    installation: &Installation<'_>,
    mut wish: VerifyWish,
) -> anyhow::Result<ExitCode> {
    wish.opened = wish.report.as_deref().map(Report::open).transpose()?;
    let (trigger, cancel, json) = (wish.trigger.clone(), wish.cancel, wish.json);
    order::run(installation, trigger, wish, cancel, json).await
}

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
    };

    async fn run(mut session: OrderSession<'_, Self>) -> anyhow::Result<ExitCode> {
        if let Some(word) = &session.wish.schedule {
            return session.set_schedule(word == "on").await;
        }
        let files = &session.session.context.storage;
        let known = Known::load(files).await;
        let known = known.context("cannot look at the last verification")?;
        if session.wish.last {
            let Some(order) = known.last else {
                return session.nothing("Nothing has been verified yet.");
            };
            let progress = session.progress(files, &order).await?;
            let outcome = OrderOutcome::of(progress.map(|progress| progress.phase));
            return session.end(&order, outcome, files).await;
        }
        if session.cancel {
            return session.give_up(known.asked_for.or(known.of_night)).await;
        }
        let Some((words, range)) = session.asked_for().await? else {
            return match (known.asked_for, known.of_night) {
                // The person's file does not name it yet.
                (None, Some(of_night)) => session.perform(of_night, Filed::NotYet).await,
                (asked_for, _) => session.go_on(asked_for).await,
            };
        };
        let resend = session.wish.resend.is_some();
        match known.asked_for {
            Some(order) if order.words == words && order.work.resend == resend => {
                session.perform(order, Filed::Already).await
            }
            Some(order) => session.refuse_beside(&order),
            None => {
                let work = VerifyWork { resend };
                let order = VerifyOrder::new(Uuid::new_v4(), range, words, work);
                session.perform(order, Filed::NotYet).await
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

    fn counted(&self, progress: &VerifyProgress) -> String {
        let VerifyCounts {
            hours,
            judged,
            rows,
            delivered,
        } = &progress.counts;
        if *hours == 0 {
            return "nothing read yet".to_owned();
        }
        let rows = least(*rows, progress.at_least);
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
            outcome::tell(order, outcome, progress, &verdicts)?;
        }
        if let Some(report) = &session.wish.opened {
            let time = OrderTime::of(session.session).await;
            let now = time.map_or_else(|_| session.session.context.clock.now(), |time| time.now());
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

/// What is known of verifications from their files.
struct Known {
    /// What a person has asked for, and has not ended.
    asked_for: Option<VerifyOrder>,
    /// What the trigger has begun by itself, and has not ended.
    of_night: Option<VerifyOrder>,
    /// What there is to tell of, when nothing else is asked for.
    last: Option<VerifyOrder>,
}

impl Known {
    async fn load(files: &Storage) -> io::Result<Self> {
        let order = VerifyOrder::load(files).await?;
        let nights = Nights::load(files).await?;
        let progress = VerifyProgress::load(files).await?;
        let progress = progress.as_ref();
        let asked_for = order.clone();
        let asked_for = asked_for.filter(|order| !order.has_ended(progress));
        let begun = progress.zip(nights.as_ref());
        let of_night = begun.and_then(|(progress, nights)| nights.order_of(progress.id).cloned());
        Ok(Self {
            last: asked_for.clone().or(of_night.clone()).or(order),
            of_night: of_night.filter(|_| !progress.is_some_and(VerifyProgress::has_ended)),
            asked_for,
        })
    }
}

impl OrderSession<'_, VerifyWish> {
    /// The range in a person's words, and the full hours that it touches; none when none is given.
    async fn asked_for(&mut self) -> anyhow::Result<Option<((String, String), Window)>> {
        let reach = backfill::reach(self.session).await?;
        let resend = self.wish.resend.clone();
        let (words, range, last) = match (self.wish.range.words(), resend) {
            (Some(words), _) => {
                let range = self.range(&words, reach).await?;
                let range = range.or_else(|sentence| refuse(&sentence))?;
                (words, range, range.end() - TimeDelta::nanoseconds(1))
            }
            (None, Some(hour)) => {
                let range = self.range(&(hour.clone(), "now".to_owned()), reach).await?;
                let range = range.map_err(|sentence| sentence.replace("--from", "--resend"));
                let range = range.or_else(|sentence| refuse(&sentence))?;
                ((hour, String::new()), range, range.start())
            }
            (None, None) => return Ok(None),
        };
        let hour = TimeDelta::hours(1);
        let full = |at: DateTime<Utc>| at.duration_trunc(hour).unwrap_or(at);
        let hours = Window::new(full(range.start()), full(last) + hour);
        Ok(Some((words, hours.unwrap_or(range))))
    }
}
