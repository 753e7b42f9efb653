//! An order about a range, from the wish to the summary: left to a running trigger, or carried out here.

pub(super) mod dates;
mod display;
mod outcome;
mod presence;
mod watching;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use base::clock::Reading;
use chrono::{DateTime, Local, TimeDelta, Utc};
use collect::order::{OrderFile as _, RangeOrder, RangeProgress, RangeWork};
use rows::Window;
use sekoia::{Installation, OfflineSession, Storage};
use serde_json::json;

use self::display::Display;
pub(super) use self::{
    outcome::{OrderOutcome, refuse},
    presence::Presence,
};
use super::{
    offline_session::{self, StoppedBefore},
    screen::print_document,
};
use crate::triggers::{
    backfill::{self, Reach, Task},
    order_time::OrderTime,
};

/// The exit code for dates that cannot be used.
pub(super) const UNUSABLE: u8 = 2;

/// How often the progress is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked whether the trigger is still running.
pub(super) const PRESENCE: Duration = Duration::from_secs(5);

/// A trigger that is gone for so long is not being restarted.
const GONE: Duration = Duration::from_secs(60);

/// For so long after the stop it is looked how far an order is whose files did not come. Not much later the process
/// is cut off.
const SUMMARY: Duration = Duration::from_secs(2);

/// Clocks that differ by more make another range of the same words.
const ANOTHER: TimeDelta = TimeDelta::minutes(5);

/// What is said when the stop comes before an order has ended that is to be given up here.
const NOT_GIVEN_UP: &str = "Stopped before it was given up: the same command goes on with that, and so does the \
                            trigger, once started.";

/// A command that has an order about a range carried out.
pub(super) trait RangeCommand: Sized {
    type Work: RangeWork;

    /// What is done with a range that was ordered.
    const TASK: fn(Window) -> Task;

    const WORDS: OrderWords;

    async fn run(session: OrderSession<'_, Self>) -> anyhow::Result<ExitCode>;

    /// What a person should know before an order is carried out; none when that is nothing.
    fn warning(_order: &RangeOrder<Self::Work>) -> Option<String> {
        None
    }

    fn counted(&self, progress: &RangeProgress<Self::Work>) -> String;

    /// Prints the summary.
    async fn end(
        session: &OrderSession<'_, Self>,
        order: &RangeOrder<Self::Work>,
        outcome: OrderOutcome,
        progress: Option<RangeProgress<Self::Work>>,
        files: &Storage,
    ) -> anyhow::Result<ExitCode>;
}

/// Whether an order stands, as it is now, in the file that a person leaves for the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filed {
    Already,
    NotYet,
}

/// What a command says of its orders, each about a range.
pub(super) struct OrderWords {
    /// Another one is not finished.
    pub(super) unfinished: fn(Window) -> String,
    /// The command does so with the rows.
    pub(super) doing: &'static str,
    /// The trigger does so with the rows.
    pub(super) does: &'static str,
    /// It was stopped here.
    pub(super) stopped: fn() -> String,
    /// How to come back to what a running trigger does.
    pub(super) ways: &'static str,
    /// There is none to cancel.
    pub(super) none: &'static str,
    /// Its progress cannot be read.
    pub(super) unreadable: &'static str,
}

/// Does what is wished of a trigger: of this one, or of the only one that the configuration fits.
pub(super) async fn run<C: RangeCommand>(
    installation: &Installation<'_>,
    trigger: Option<String>,
    wish: C,
    cancel: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let display = Display::new();
    let session = offline_session::prepare(installation, trigger, display.speaker()).await?;
    C::run(OrderSession {
        session: &session,
        display,
        wish,
        cancel,
        json,
        reckoned: None,
    })
    .await
}

/// An order that a person waits for.
pub(super) struct OrderSession<'a, C> {
    pub(super) session: &'a OfflineSession<'a>,
    display: Display,
    pub(super) wish: C,
    /// Whether what is not finished is to be given up.
    pub(super) cancel: bool,
    /// Whether machines read the summary.
    pub(super) json: bool,
    /// What time it was by the clock that dates were reckoned by, and when; none where none were.
    reckoned: Option<(DateTime<Utc>, Reading)>,
}

impl<C: RangeCommand> OrderSession<'_, C> {
    pub(super) fn say(&self, text: &str) {
        self.display.say(text);
    }

    /// The range that these words mean, reckoned by the clock that is to be believed.
    pub(super) async fn range(
        &mut self,
        words: &(String, String),
        reach: Reach,
    ) -> anyhow::Result<Result<Window, String>> {
        let time = OrderTime::of(self.session).await;
        let time = time.context("cannot look at the state of the collection")?;
        self.reckoned = Some((time.now(), self.session.context.clock.reading()));
        let range = dates::range((&words.0, &words.1), &time, reach, &Local);
        if let Some(remark) = time.remark() {
            self.say(&remark);
        }
        Ok(range)
    }

    /// Says so when the words of an order were reckoned as if it were another time than its `progress` tells: where
    /// no collection has learnt the service's time before, it is known only then.
    fn tell_another_time(
        &self,
        order: &RangeOrder<C::Work>,
        progress: Option<&RangeProgress<C::Work>>,
    ) {
        let reckoned = self.reckoned.filter(|_| dates::depend_on_now(&order.words));
        if let Some((then, read)) = reckoned
            && let Some(progress) = progress
        {
            let now = self.session.context.clock.reading();
            let passed = [now.since(read.instant), now.wall - read.wall];
            if let Some(sentence) = another_time(then, passed, progress.at) {
                self.say(&sentence);
            }
        }
    }

    /// Nothing is to be done.
    pub(super) fn nothing(&self, text: &str) -> anyhow::Result<ExitCode> {
        if self.json {
            let trigger = self.session.command();
            print_document(&json!({
                "trigger": trigger, "outcome": "nothing", "exit_code": 0, "text": text,
            }))?;
        } else {
            self.say(text);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Another order is not finished.
    pub(super) fn refuse_beside(&self, order: &RangeOrder<C::Work>) -> anyhow::Result<ExitCode> {
        refuse(&(C::WORDS.unfinished)(order.range))
    }

    pub(super) async fn give_up(
        &mut self,
        unfinished: Option<RangeOrder<C::Work>>,
    ) -> anyhow::Result<ExitCode> {
        match unfinished {
            Some(mut order) => {
                order.cancelled = true;
                self.perform(order, Filed::NotYet).await
            }
            None => self.nothing(C::WORDS.none),
        }
    }

    /// Goes on with what is not finished, since nothing else is wished for.
    pub(super) async fn go_on(
        &mut self,
        unfinished: Option<RangeOrder<C::Work>>,
    ) -> anyhow::Result<ExitCode> {
        match unfinished {
            Some(order) => self.perform(order, Filed::Already).await,
            None => {
                refuse("nothing is to be gone on with: say where to begin, e.g. with --from -7d")
            }
        }
    }

    /// Has an order done, by a running trigger or else here.
    pub(super) async fn perform(
        &mut self,
        order: RangeOrder<C::Work>,
        filed: Filed,
    ) -> anyhow::Result<ExitCode> {
        if let Some(warning) = C::warning(&order).filter(|_| !order.cancelled) {
            self.say(&warning);
        }
        if filed == Filed::Already {
            // Its dates were reckoned when it was left.
            self.reckoned = None;
        }
        self.session.works_as_owner()?;
        let done = match self.here(&order, filed).await {
            // It is kept, and the trigger goes on with it.
            Err(error) if filed == Filed::Already && error.is::<StoppedBefore>() => {
                Some(self.stopped_before(&order).await?)
            }
            done => done?,
        };
        if let Some(code) = done {
            return Ok(code);
        }
        if filed == Filed::NotYet {
            if let Some(other) = order.other(&self.session.context.storage).await? {
                return self.refuse_beside(&other);
            }
            let name = RangeOrder::<C::Work>::NAME;
            self.session.leave(name, order.to_json()?.into()).await?;
        }
        let outcome = self.follow(&order).await?;
        self.end(&order, outcome, &self.session.context.storage)
            .await
    }

    fn say_stopped(&self, order: &RangeOrder<C::Work>) {
        match order.cancelled {
            true => self.say(NOT_GIVEN_UP),
            false => self.say(&(C::WORDS.stopped)()),
        }
    }

    /// The stop came before the files of an order that is kept.
    async fn stopped_before(&self, order: &RangeOrder<C::Work>) -> anyhow::Result<ExitCode> {
        self.say_stopped(order);
        let outcome = OrderOutcome::Unfinished;
        let files = &self.session.context.storage;
        let ended = async {
            self.progress(files, order).await.ok()?;
            Some(self.end(order, outcome, files).await)
        };
        match tokio::time::timeout(SUMMARY, ended).await {
            Ok(Some(ended)) => ended,
            // What has kept the files back keeps back how far it is.
            Ok(None) | Err(_) => {
                self.display.end();
                let exit_code = outcome.exit_code();
                if self.json {
                    let (trigger, outcome) = (self.session.command(), outcome.word());
                    print_document(&json!({
                        "trigger": trigger, "outcome": outcome, "exit_code": exit_code,
                    }))?;
                }
                Ok(exit_code.into())
            }
        }
    }

    /// Does it itself; none when a trigger is running.
    async fn here(
        &mut self,
        order: &RangeOrder<C::Work>,
        filed: Filed,
    ) -> anyhow::Result<Option<ExitCode>> {
        let session = self.session;
        let done = offline_session::on_own_files(session, async |files| {
            if filed == Filed::NotYet {
                if let Some(other) = order.other(&files).await? {
                    return self.refuse_beside(&other);
                }
                order.save(&files).await?;
            }
            if !order.cancelled {
                let (doing, range) = (C::WORDS.doing, order.range);
                self.say(&format!(
                    "{doing} the rows received from {range}; the trigger is not running."
                ));
            }
            let task = (C::TASK)(order.range);
            let work = backfill::perform(session, files.clone(), task);
            let outcome = self.watch(&files, order, work).await?;
            if outcome == OrderOutcome::Unfinished {
                self.say_stopped(order);
            }
            self.end(order, outcome, &files).await
        });
        done.await
    }

    pub(super) async fn end(
        &self,
        order: &RangeOrder<C::Work>,
        outcome: OrderOutcome,
        files: &Storage,
    ) -> anyhow::Result<ExitCode> {
        self.display.end();
        let progress = self.progress(files, order).await?;
        if outcome == OrderOutcome::Done {
            self.tell_another_time(order, progress.as_ref());
        }
        let outcome = match outcome {
            OrderOutcome::Cancelled if self.cancel => OrderOutcome::GivenUp,
            other => other,
        };
        C::end(self, order, outcome, progress, files).await
    }

    /// How far it has got; none before it is begun.
    pub(super) async fn progress(
        &self,
        files: &Storage,
        order: &RangeOrder<C::Work>,
    ) -> anyhow::Result<Option<RangeProgress<C::Work>>> {
        let progress = order.progress(files).await;
        progress.context(C::WORDS.unreadable)
    }
}

/// What is said when dates were reckoned as if it were `then`, so much has `passed` since by the monotonic clock and
/// by the other one, and by the service it is `told`; none where that is nearly the same by one of them: while a
/// machine sleeps, the first may stand still, and the second may be set.
fn another_time(
    then: DateTime<Utc>,
    passed: [TimeDelta; 2],
    told: DateTime<Utc>,
) -> Option<String> {
    let [reckoned, other] = passed.map(|passed| then.checked_add_signed(passed));
    let (reckoned, other) = reckoned.zip(other)?;
    let is_off = |at: DateTime<Utc>| (told - at).abs() > ANOTHER;
    let [at, told] = [reckoned, told].map(|at| at.format("%Y-%m-%d %H:%M:%S UTC"));
    (is_off(reckoned) && is_off(other)).then(|| {
        format!(
            "The dates were reckoned as if it were {at}, and by the service's clock it is {told}: another \
             range was read than was meant. Set the clock of this machine right (NTP), and give the command again."
        )
    })
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs};

    use collect::verify::{VerifyOrder, VerifyProgress, VerifyWork};
    use sekoia::{Console, Directories, Environment};
    use uuid::Uuid;

    use super::*;
    use crate::triggers;

    /// Keeps as what an order was told to have come out.
    struct Told(Cell<Option<OrderOutcome>>);

    impl RangeCommand for Told {
        type Work = VerifyWork;

        const TASK: fn(Window) -> Task = Task::Verify;

        const WORDS: OrderWords = OrderWords {
            unfinished: |_| String::new(),
            doing: "",
            does: "",
            stopped: String::new,
            ways: "",
            none: "",
            unreadable: "",
        };

        async fn run(session: OrderSession<'_, Self>) -> anyhow::Result<ExitCode> {
            session.nothing("")
        }

        fn counted(&self, _: &VerifyProgress) -> String {
            String::new()
        }

        async fn end(
            session: &OrderSession<'_, Self>,
            _: &VerifyOrder,
            outcome: OrderOutcome,
            _: Option<RangeProgress<VerifyWork>>,
            _: &Storage,
        ) -> anyhow::Result<ExitCode> {
            session.wish.0.set(Some(outcome));
            Ok(outcome.exit_code().into())
        }
    }

    /// As what an order that is kept was told to have come out, when the stop has come before its files.
    async fn told_after_a_stop(is_readable: bool) -> Option<OrderOutcome> {
        let folder = tempfile::tempdir().unwrap();
        let [config, data] = ["config", "data"].map(|name| folder.path().join(name));
        for one in [&config, &data] {
            fs::create_dir(one).unwrap();
        }
        if !is_readable {
            fs::create_dir(data.join(VerifyProgress::NAME)).unwrap();
        }
        let settings = json!({
            "tenant_id": Uuid::from_u128(1), "client_id": Uuid::from_u128(2),
            "client_secret": "a secret of the app", "intake_key": "a key of the intake",
        });
        fs::write(config.join("module_configuration"), "{}").unwrap();
        fs::write(config.join("trigger_configuration"), settings.to_string()).unwrap();
        let registry = triggers::registry();
        let installation = Installation {
            registry: &registry,
            directories: Directories { config, data },
            environment: Environment::default(),
        };
        let console = Console::of_messages(|_, _| {});
        let prepared = OfflineSession::prepare(&installation, "message_trace_graph", console);
        let session = prepared.await.unwrap();
        let mut session = OrderSession {
            session: &session,
            display: Display::new(),
            wish: Told(Cell::new(None)),
            cancel: false,
            json: true,
            reckoned: None,
        };
        session.session.context.stop.cancel();
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let range = Window::new(start, start + TimeDelta::hours(1)).unwrap();
        let work = VerifyWork { resend: false };
        let order = VerifyOrder::new(Uuid::from_u128(3), range, Default::default(), work);
        session.perform(order, Filed::Already).await.unwrap();
        session.wish.0.get()
    }

    /// Else a range that was never asked for seems to be delivered.
    #[test]
    fn dates_that_a_wrong_clock_has_made_are_told() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let told = |passed: [i64; 2], seconds| {
            another_time(at(-60), passed.map(TimeDelta::seconds), at(seconds))
        };
        for seconds in [-300, 0, 300] {
            assert_eq!(told([60; 2], seconds), None);
        }
        for seconds in [-172_800, -301, 301, 172_800] {
            let text = told([60; 2], seconds).unwrap();
            let beginning = "The dates were reckoned as if it were 2027-01-15 08:00:00 UTC, and";
            assert!(text.starts_with(beginning), "{text}");
        }
        // The machine has slept, or its clock was set, meanwhile.
        for passed in [[60, 7260], [7260, 60]] {
            assert_eq!(told(passed, 7200), None);
        }
    }

    #[tokio::test]
    async fn an_order_that_is_kept_has_a_summary_when_the_stop_comes_before_its_files() {
        let told = told_after_a_stop(true).await;
        assert_eq!(told, Some(OrderOutcome::Unfinished));
        assert_eq!(told_after_a_stop(false).await, None, "but it is no failure");
    }
}
