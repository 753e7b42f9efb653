//! One backfill, from the wish to the summary.

use std::{io::Write as _, pin::pin, process::ExitCode, time::Duration};

use anyhow::Context as _;
use chrono::Local;
use collect::backfill::{ORDER_FILE, Order, Phase, Progress};
use rows::Window;
use sekoia::{Errand, RunError, StartError, Storage, StorageError};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    super::errand::Trouble,
    UNUSABLE, Wish, dates,
    display::Display,
    summary::{self, Outcome},
};
use crate::{
    cli::screen::Screen,
    triggers::backfill::{self, Reach, Standing},
};

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked whether the trigger is still running.
const PRESENCE: Duration = Duration::from_secs(5);

/// A trigger that is gone for so long is not being restarted.
const GONE: Duration = Duration::from_secs(60);

/// How to go on with what is not finished.
const ON: &str = "`message-trace backfill` goes on with it, and `message-trace backfill --cancel` \
                  gives it up.";

/// How to come back to what a running trigger does.
const SHOWN: &str = "`message-trace backfill` shows how far it is, and `message-trace backfill \
                     --cancel` gives it up.";

/// What is wished for cannot be begun.
fn refuse(sentence: &str) -> anyhow::Result<ExitCode> {
    Err(Trouble {
        code: UNUSABLE,
        sentence: sentence.to_owned(),
    }
    .into())
}

/// Tells an order for what was skipped from one for dates.
fn skipped_words() -> (String, String) {
    ("skipped".to_owned(), String::new())
}

/// A backfill that a person waits for.
pub(super) struct Session<'a> {
    errand: &'a Errand<'a>,
    display: Display,
    wish: Wish,
}

impl<'a> Session<'a> {
    pub(super) fn new(errand: &'a Errand<'a>, display: Display, wish: Wish) -> Self {
        Self {
            errand,
            display,
            wish,
        }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<ExitCode> {
        let standing = self.standing(&self.errand.storage()).await?;
        let unfinished = standing.unfinished().cloned();
        if self.wish.cancel {
            return match unfinished {
                Some(mut order) => {
                    order.cancelled = true;
                    self.perform(order, true).await
                }
                None => self.nothing("There is no backfill to cancel."),
            };
        }
        if self.wish.skipped {
            return self.take_back(unfinished, &standing).await;
        }
        match (unfinished, self.wish.words.clone()) {
            (Some(order), None) => self.perform(order, false).await,
            (Some(order), Some(words)) if !self.wish.dry_run => {
                if order.words == words && order.again == self.wish.again {
                    return self.perform(order, false).await;
                }
                self.refuse_beside(&order)
            }
            (None, None) => {
                refuse("nothing is to be gone on with: say where to begin, e.g. with --from -7d")
            }
            (_, Some(words)) => self.begin(words, &standing).await,
        }
    }

    /// Begins anew.
    async fn begin(
        &mut self,
        words: (String, String),
        standing: &Standing,
    ) -> anyhow::Result<ExitCode> {
        let reach = backfill::reach(self.errand).await?;
        let now = self.errand.clock().now();
        let range = match dates::range((&words.0, &words.1), now, reach, &Local) {
            Ok(range) => range,
            Err(sentence) => return refuse(&sentence),
        };
        let order = Order::new(Uuid::new_v4(), range, words, self.wish.again);
        if let Some(origin) = standing.origin.filter(|origin| range.start() < *origin) {
            self.display.say(&format!(
                "It is not known what another module has delivered of the rows received before \
                 {}: all of them are sent that this one has not sent.",
                origin.format("%Y-%m-%d %H:%M:%S UTC")
            ));
        }
        if self.wish.dry_run {
            self.count(&order, reach).await
        } else {
            self.perform(order, true).await
        }
    }

    /// Has the oldest window delivered that was skipped as somebody moved the position on.
    async fn take_back(
        &mut self,
        unfinished: Option<Order>,
        standing: &Standing,
    ) -> anyhow::Result<ExitCode> {
        if let Some(order) = unfinished.filter(|_| !self.wish.dry_run) {
            let is_that = order.words == skipped_words();
            return if is_that {
                self.perform(order, false).await
            } else {
                self.refuse_beside(&order)
            };
        }
        let Some((first, others)) = standing.skipped.split_first() else {
            return self.nothing("Nothing is skipped: nobody has moved the saved position on.");
        };
        if !others.is_empty() {
            let count = others.len();
            self.display.say(&format!(
                "{count} more were skipped: give the command again when this one is done."
            ));
        }
        let reach = backfill::reach(self.errand).await?;
        let oldest = reach.oldest(self.errand.clock().now());
        let Some(range) = Window::new(first.start().max(oldest), first.end()) else {
            let Reach { service, kept, .. } = reach;
            return refuse(&format!(
                "{service} keeps rows for {} days: those received from {first} are gone",
                kept.num_days()
            ));
        };
        let order = Order::new(Uuid::new_v4(), range, skipped_words(), false);
        if self.wish.dry_run {
            self.count(&order, reach).await
        } else {
            self.perform(order, true).await
        }
    }

    fn refuse_beside(&self, order: &Order) -> anyhow::Result<ExitCode> {
        refuse(&format!(
            "the backfill of {} is not finished: {ON}",
            order.range
        ))
    }

    /// Nothing is to be done.
    fn nothing(&self, text: &str) -> anyhow::Result<ExitCode> {
        if self.wish.json {
            let trigger = self.errand.command();
            let document = json!({
                "trigger": trigger, "outcome": "nothing", "exit_code": 0, "text": text,
            });
            writeln!(anstream::stdout(), "{document:#}")?;
        } else {
            self.display.say(text);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Counts on a copy of the files.
    async fn count(&mut self, order: &Order, reach: Reach) -> anyhow::Result<ExitCode> {
        let beside = self.errand.is_in_use().await;
        let share = reach.beside.filter(|_| beside);
        if let Some(share) = share {
            self.display.say(&format!(
                "The trigger is running: this makes at most {share} requests in 5 minutes beside it."
            ));
        }
        let copy = backfill::copy(&self.errand.storage(), order, beside).await?;
        let work = backfill::count(self.errand, copy.clone(), order.range, beside);
        let outcome = self.watch(&copy, order, work).await?;
        let outcome = match outcome {
            Outcome::Done => Outcome::Counted,
            other => other,
        };
        self.end(order, outcome, &copy).await
    }

    /// Has an order done, by a running trigger or else here.
    async fn perform(&mut self, order: Order, is_new: bool) -> anyhow::Result<ExitCode> {
        self.errand.works_as_owner()?;
        let text = order.to_json()?;
        if !self.errand.is_in_use().await {
            let here = self.here(&order, is_new.then(|| text.clone())).await;
            match here {
                Err(StartError::Storage(StorageError::Locked { .. })) => {}
                other => return other?.unwrap_or(Ok(Outcome::Unfinished.exit_code().into())),
            }
        }
        if is_new {
            self.errand.leave(ORDER_FILE, text.into()).await?;
        }
        let outcome = self.follow(&order).await?;
        self.end(&order, outcome, &self.errand.storage()).await
    }

    /// Does it itself, as no trigger is running. None when the stop came before the beginning.
    async fn here(
        &mut self,
        order: &Order,
        text: Option<Vec<u8>>,
    ) -> Result<Option<anyhow::Result<ExitCode>>, StartError> {
        let errand = self.errand;
        errand
            .with_files(async |files| {
                let files = backfill::own_files(errand, &files).await?;
                if let Some(text) = text {
                    files.write(ORDER_FILE, text).await?;
                }
                if !order.cancelled {
                    self.display.say(&format!(
                        "Delivering the rows received from {}; the trigger is not running.",
                        order.range
                    ));
                }
                let work = backfill::deliver(errand, files.clone(), order.range);
                let outcome = self.watch(&files, order, work).await?;
                if outcome == Outcome::Unfinished {
                    self.display.say(&format!(
                        "Stopped at a clean point: {ON} The trigger, once started, goes on with it, \
                         too."
                    ));
                }
                self.end(order, outcome, &files).await
            })
            .await
    }

    /// Shows how the work goes, until it ends or a person must act.
    async fn watch(
        &mut self,
        files: &Storage,
        order: &Order,
        work: impl Future<Output = Result<(), RunError>>,
    ) -> anyhow::Result<Outcome> {
        let mut work = pin!(work);
        let mut refused = false;
        loop {
            tokio::select! {
                ended = &mut work => {
                    ended?;
                    break;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(progress) = self.progress(files, order).await? {
                self.display.show(&progress, self.errand.clock().now());
                let trouble = progress.trouble.filter(|trouble| trouble.person);
                refused |= trouble.is_some();
                // The log has said what to do; or the trigger has just done it.
                if refused || progress.phase != Phase::Running {
                    self.errand.stop().cancel();
                }
            }
        }
        let progress = self.progress(files, order).await?;
        Ok(match progress.map(|progress| progress.phase) {
            Some(Phase::Done) => Outcome::Done,
            Some(Phase::Cancelled) => Outcome::Cancelled,
            _ if refused => Outcome::Refused,
            _ => Outcome::Unfinished,
        })
    }

    /// Shows how the running trigger gets on with it.
    async fn follow(&mut self, order: &Order) -> anyhow::Result<Outcome> {
        let files = self.errand.storage();
        if !order.cancelled {
            self.display.say(&format!(
                "The running trigger delivers the rows received from {} beside its own work. \
                 Ctrl-C leaves it at that.",
                order.range
            ));
        }
        let mut trouble = None;
        let mut looked = Instant::now();
        let mut gone: Option<Instant> = None;
        let mut untaken = Some(Instant::now());
        loop {
            if untaken.is_some_and(|since| since.elapsed() >= GONE) {
                untaken = None;
                self.display
                    .say("The trigger has not taken it up yet: its log tells what keeps it.");
            }
            if let Some(progress) = self.progress(&files, order).await? {
                untaken = None;
                self.display.show(&progress, self.errand.clock().now());
                match progress.phase {
                    Phase::Running => {}
                    Phase::Done => return Ok(Outcome::Done),
                    Phase::Cancelled => return Ok(Outcome::Cancelled),
                }
                if trouble != progress.trouble {
                    if let Some(trouble) = &progress.trouble {
                        let sentence = self.errand.masked(&trouble.sentence);
                        self.display.say(&format!("The trigger says: {sentence}"));
                    }
                    trouble = progress.trouble;
                }
            }
            if looked.elapsed() >= PRESENCE {
                looked = Instant::now();
                let is_there = self.errand.is_in_use().await;
                if !is_there && gone.is_none() {
                    self.display
                        .say("The trigger has stopped; once it is started again, it goes on.");
                }
                gone = gone.or(Some(looked)).filter(|_| !is_there);
            }
            let stopped = tokio::time::timeout(LOOK, self.errand.stop().cancelled());
            if stopped.await.is_ok() {
                self.display
                    .say(&format!("The trigger keeps on with it; {SHOWN}"));
                return Ok(Outcome::Unfinished);
            }
            if gone.is_some_and(|gone| gone.elapsed() >= GONE) {
                return Ok(Outcome::Unfinished);
            }
        }
    }

    /// Prints the summary.
    async fn end(
        &self,
        order: &Order,
        outcome: Outcome,
        files: &Storage,
    ) -> anyhow::Result<ExitCode> {
        self.display.end();
        let progress = self.progress(files, order).await?;
        let dry_run = self.wish.dry_run;
        let outcome = match outcome {
            Outcome::Cancelled if self.wish.cancel => Outcome::GivenUp,
            other => other,
        };
        if self.wish.json {
            let trigger = self.errand.command();
            let summary = summary::json(trigger, outcome, order.range, progress.as_ref(), dry_run);
            writeln!(anstream::stdout(), "{summary:#}")?;
        } else if let Some(progress) = progress {
            Screen::new().line("", 0, &summary::text(outcome, &progress, dry_run))?;
        }
        Ok(outcome.exit_code().into())
    }

    async fn progress(&self, files: &Storage, order: &Order) -> anyhow::Result<Option<Progress>> {
        let progress = backfill::progress(files, order).await;
        progress.context("cannot look at the progress of the backfill")
    }

    async fn standing(&self, files: &Storage) -> anyhow::Result<Standing> {
        let standing = Standing::in_storage(files).await;
        standing.context("cannot look at the state of the collection")
    }
}
