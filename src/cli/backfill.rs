//! `backfill`: delivers a past range once.

mod summary;

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args};
use collect::backfill::{BackfillOrder, BackfillProgress, BackfillWork};
use rows::Window;
use sekoia::{Installation, Storage};
use uuid::Uuid;

use super::{
    order::{
        self, Filed, OrderOutcome, OrderSession, OrderWords, RangeCommand, dates::RangeArguments,
        refuse,
    },
    screen::{Screen, print_document},
};
use crate::triggers::{
    backfill::{self, BackfillStanding, Reach, Task},
    order_time::OrderTime,
    words::least,
};

/// Delivers the rows of a past range, each once.
#[derive(Debug, Args)]
#[command(
    long_about = "Delivers the rows that were received in a past range, but those that are delivered \
                  already. A trigger that runs on the same data does it beside its own work, with what \
                  that leaves of the quota; else this command does it itself. It goes on where it was \
                  when it is given again after a stop. Without --from it goes on with what is not \
                  finished.\n\nA DATE is a day (2026-11-01, in UTC), a time (2026-11-01T08:30:00+01:00, \
                  without a zone in UTC), a month or a day in \
                  your time zone (2026-11, yesterday, today), or how long ago (-7d, -36h, -1d12h).",
    after_help = summary::exit_codes(),
    group(ArgGroup::new("range").args(["from", "skipped"]))
)]
pub(super) struct BackfillWish {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    #[command(flatten)]
    range: RangeArguments,
    /// What was skipped as somebody moved the saved position on.
    #[arg(long, conflicts_with_all = ["to", "again"])]
    skipped: bool,
    /// Read and count, but deliver nothing and change nothing.
    #[arg(long, requires = "range")]
    dry_run: bool,
    /// Also read what was delivered before: rows that are forgotten are delivered again.
    #[arg(long, requires = "from")]
    again: bool,
    /// Give up the one that is not finished.
    #[arg(long, conflicts_with_all = ["from", "skipped", "dry_run", "again"])]
    cancel: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    installation: &Installation<'_>,
    wish: BackfillWish,
) -> anyhow::Result<ExitCode> {
    let (trigger, cancel, json) = (wish.trigger.clone(), wish.cancel, wish.json);
    order::run(installation, trigger, wish, cancel, json).await
}

/// How to go on with what is not finished.
const ON: &str = "`message-trace backfill` goes on with it, and `message-trace backfill --cancel` \
                  gives it up.";

/// Tells an order for what was skipped from one for dates.
fn skipped_words() -> (String, String) {
    ("skipped".to_owned(), String::new())
}

impl RangeCommand for BackfillWish {
    type Work = BackfillWork;

    const TASK: fn(Window) -> Task = Task::Backfill;

    const WORDS: OrderWords = OrderWords {
        unfinished: |range| format!("the backfill of {range} is not finished: {ON}"),
        doing: "Delivering",
        does: "delivers",
        stopped: || {
            format!(
                "Stopped at a clean point: {ON} The trigger, once started, goes on with it, too."
            )
        },
        ways: "`message-trace backfill` shows how far it is, and `message-trace backfill --cancel` \
               gives it up.",
        none: "There is no backfill to cancel.",
        unreadable: "cannot look at the progress of the backfill",
    };

    async fn run(mut session: OrderSession<'_, Self>) -> anyhow::Result<ExitCode> {
        let standing = BackfillStanding::in_storage(&session.session.context.storage).await;
        let standing = standing.context("cannot look at the state of the collection")?;
        let unfinished = standing.unfinished.clone();
        if session.cancel {
            return session.give_up(unfinished).await;
        }
        let Self {
            again,
            dry_run,
            skipped,
            ..
        } = session.wish;
        let words = match skipped {
            true => Some(skipped_words()),
            false => session.wish.range.words(),
        };
        let Some(words) = words else {
            return session.go_on(unfinished).await;
        };
        match unfinished.filter(|_| !dry_run) {
            Some(order) if order.words == words && order.work.again == again => {
                session.perform(order, Filed::Already).await
            }
            Some(order) => session.refuse_beside(&order),
            None if skipped => session.take_back(&standing).await,
            None => session.begin(words, &standing).await,
        }
    }

    fn counted(&self, progress: &BackfillProgress) -> String {
        let counts = &progress.counts;
        let (count, word) = match self.dry_run {
            true => (counts.new, "new"),
            false => (counts.accepted, "accepted"),
        };
        let count = least(count, progress.at_least);
        let known = counts.known;
        let until = counts.complete_until.format("%m-%d %H:%M:%S");
        format!("{count} {word}, {known} known, until {until}")
    }

    async fn end(
        session: &OrderSession<'_, Self>,
        order: &BackfillOrder,
        outcome: OrderOutcome,
        progress: Option<BackfillProgress>,
        _files: &Storage,
    ) -> anyhow::Result<ExitCode> {
        let dry_run = session.wish.dry_run;
        if session.json {
            let trigger = session.session.command();
            let progress = progress.as_ref();
            let range = order.range;
            print_document(&summary::json(trigger, outcome, range, progress, dry_run))?;
        } else if let Some(progress) = progress {
            Screen::new().line("", 0, &summary::text(outcome, &progress, dry_run))?;
        }
        Ok(outcome.exit_code().into())
    }
}

impl OrderSession<'_, BackfillWish> {
    async fn begin(
        &mut self,
        words: (String, String),
        standing: &BackfillStanding,
    ) -> anyhow::Result<ExitCode> {
        let reach = backfill::reach(self.session).await?;
        let range = self.range(&words, reach).await?;
        let range = range.or_else(|sentence| refuse(&sentence))?;
        let again = self.wish.again;
        let order = BackfillOrder::new(Uuid::new_v4(), range, words, BackfillWork { again });
        if let Some(origin) = standing.origin.filter(|origin| range.start() < *origin) {
            self.say(&format!(
                "It is not known what another module has delivered of the rows received before \
                 {}: all of them are sent that this one has not sent.",
                origin.format("%Y-%m-%d %H:%M:%S UTC")
            ));
        }
        self.deliver_or_count(order, reach).await
    }

    /// Has the oldest window delivered that was skipped as somebody moved the position on.
    async fn take_back(&mut self, standing: &BackfillStanding) -> anyhow::Result<ExitCode> {
        if standing.skipped.is_empty() {
            return self.nothing("Nothing is skipped: nobody has moved the saved position on.");
        }
        let reach = backfill::reach(self.session).await?;
        let time = OrderTime::of(self.session).await;
        let time = time.context("cannot look at the state of the collection")?;
        // What is older by one of two clocks alone may be there.
        let oldest = reach.oldest(time.earliest());
        let (gone, kept) = gone_and_kept(&standing.skipped, oldest);
        let told = gone.iter().map(Window::to_string).collect::<Vec<_>>();
        let Reach {
            service,
            kept: span,
            ..
        } = reach;
        let told = format!(
            "{service} keeps rows for {} days: those received from {} are gone{}",
            span.num_days(),
            told.join(", and from "),
            time.doubt()
        );
        let Some((range, others)) = kept.split_first() else {
            return refuse(&told);
        };
        if !gone.is_empty() {
            self.say(&format!("{told}."));
        }
        if !others.is_empty() {
            let count = others.len();
            self.say(&format!(
                "{count} more were skipped: give the command again when this one is done."
            ));
        }
        let work = BackfillWork { again: false };
        let order = BackfillOrder::new(Uuid::new_v4(), *range, skipped_words(), work);
        self.deliver_or_count(order, reach).await
    }

    /// Has a new order done, or in a dry run counts on a copy of the files.
    async fn deliver_or_count(
        &mut self,
        order: BackfillOrder,
        reach: Reach,
    ) -> anyhow::Result<ExitCode> {
        if !self.wish.dry_run {
            return self.perform(order, Filed::NotYet).await;
        }
        let beside = self.session.is_in_use().await;
        let share = reach.beside.filter(|_| beside);
        if let Some(share) = share {
            self.say(&format!(
                "The trigger is running: this makes at most {share} requests in 5 minutes beside it."
            ));
        }
        let copy = backfill::copy(&self.session.context.storage, &order, beside).await?;
        let task = Task::Count {
            range: order.range,
            beside,
        };
        let work = backfill::perform(self.session, copy.clone(), task);
        let outcome = self.watch(&copy, &order, work).await?;
        self.end(&order, outcome, &copy).await
    }
}

/// Which windows lie before all that is kept, from `oldest` on, and what of the others is kept.
fn gone_and_kept(windows: &[Window], oldest: DateTime<Utc>) -> (Vec<Window>, Vec<Window>) {
    let (kept, gone): (Vec<Window>, Vec<Window>) =
        windows.iter().partition(|window| window.end() > oldest);
    let kept = kept.into_iter();
    let kept = kept.filter_map(|one| Window::new(one.start().max(oldest), one.end()));
    (gone, kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_does_not_stand_before_what_is_kept() {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let window = |start, end| Window::new(at(start), at(end)).unwrap();
        let windows = [window(0, 10), window(20, 30), window(40, 50)];
        let (gone, kept) = gone_and_kept(&windows, at(25));
        assert_eq!(gone, [window(0, 10)]);
        assert_eq!(kept, [window(25, 30), window(40, 50)]);
        let (gone, kept) = gone_and_kept(&windows, at(30));
        assert_eq!(gone, windows[..2]);
        assert_eq!(kept, windows[2..]);
    }
}
