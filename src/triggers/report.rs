//! What happens in the fetch loop, told to people, dashboards and the orchestrator.

mod asked;
mod figures;
mod orders;
mod snapshot;

use base::{Clock, clock::Step};
use chrono::{DateTime, Utc};
use collect::{Event, Lane, Observer, PageCount, evidence::Loss};
use rows::{Window, exclude::Rule};
use sekoia::{Context, Heartbeat, Intake, Log, Metrics, Side};
use tokio::time::Instant;

use self::figures::{ByRule, Figures};
use super::{
    exclusions,
    privacy::Hidden,
    summary::Summary,
    words::{counted, moment},
    working::Working,
};

/// Turns events of the fetch loop into log lines, metrics and heartbeats.
#[derive(Debug)]
pub(super) struct Report {
    log: Log,
    clock: Clock,
    heartbeat: Heartbeat,
    intake: Intake,
    metrics: Metrics,
    figures: Figures,
    summary: Summary,
    working: Working,
}

impl Report {
    pub(super) fn new(
        context: &Context,
        intake: &Intake,
        working: Working,
        hidden: Hidden,
    ) -> Self {
        Self {
            log: context.log.clone(),
            clock: context.clock.clone(),
            heartbeat: context.heartbeat.clone(),
            intake: intake.clone(),
            metrics: context.metrics.clone(),
            figures: Figures::new(&context.metrics, hidden),
            summary: Summary::default(),
            working,
        }
    }

    fn page_read(&self, lane: Lane, page: PageCount) {
        self.summary.add(page);
        let figures = &self.figures;
        figures.lanes.get_or_create(&[("lane", lane.word())]).inc();
        figures.requests.get_or_create(&[("status", "200")]).inc();
        for (kind, rows) in [
            ("new", page.new),
            ("late", page.late),
            ("changed", page.changed),
            ("known", page.known),
            ("excluded", page.excluded),
        ] {
            let figure = figures.rows.get_or_create(&[("kind", kind)]);
            figure.inc_by(rows as u64);
        }
    }

    fn excluded(&self, rule: Rule, rows: usize, again: usize) {
        let Rule { list, number } = rule;
        let label = ByRule {
            setting: exclusions::setting(list),
            rule: number,
        };
        let figure = self.figures.excluded.get_or_create(&label);
        figure.inc_by(rows as u64);
        self.working.excludes(rule, rows as u64);
        // Beside rows that are sent now, what was counted before would look like most of them.
        let lately = rows.saturating_sub(again);
        self.summary.excluded(rule, lately as u64);
    }

    fn page_failed(&self, sentence: &str, label: &'static str, person: bool) {
        let figures = &self.figures;
        figures.requests.get_or_create(&[("status", label)]).inc();
        figures.retries.inc();
        self.heartbeat.failed(Side::Source);
        // Without the pause, which changes: equal lines are shown once a minute.
        if person {
            self.log.error(sentence);
        } else {
            self.log.warning(sentence);
        }
    }

    fn undeliverable(&self, id: &str, message_id: Option<&str>, reason: &str, copy_sent: bool) {
        let copy = if copy_sent {
            " A copy with its subject cut goes in its place."
        } else {
            ""
        };
        self.log.error(format!(
            "Something cannot be delivered ({reason}) and is kept as dead letter {id}, message id \
             {}: `message-trace dead-letters` lists all of them.{copy}",
            message_id.unwrap_or("unknown")
        ));
    }

    fn mended(&self, window: Window, rows: usize, sentence: &str) {
        self.figures.mended.inc_by(rows as u64);
        self.log.warning(format!(
            "{rows} rows received from {window} are no JSON as Microsoft sends them ({sentence}): \
             control characters in them were escaped, bytes that are no text replaced. They are \
             delivered like this, and once more should Microsoft mend them."
        ));
    }

    fn outside(&self, window: Window, rows: usize) {
        self.figures.outside.inc_by(rows as u64);
        if let Some(rows) = self.summary.outside(rows, Instant::now()) {
            self.log.warning(format!(
                "Microsoft does not keep to the window that it is asked for: {rows} rows were \
                 received outside of it, the last of them shown for {window}. Each is delivered \
                 once. This is said once a day."
            ));
        }
    }

    fn lost(&self, loss: &Loss) {
        let Loss {
            window, evidence, ..
        } = loss;
        self.figures.lost.inc_by(window.span().as_seconds_f64());
        let proof = evidence.map_or_else(String::new, |evidence| {
            let [first, second] = evidence.refusals;
            format!(
                " It refused {} at {} and at {}, and answered for {} between.",
                evidence.refused,
                moment(first),
                moment(second),
                evidence.answered
            )
        });
        self.log.error(format!(
            "Rows received from {window} are lost: Microsoft does not keep them any more.{proof} The \
             collection goes on behind them, and asks for them once more a day."
        ));
    }
}

impl Observer for Report {
    fn on(&self, event: Event<'_>) {
        match event {
            Event::Turning {
                within,
                request_due,
                lag,
                activity,
            } => {
                self.working.does(activity);
                self.figures.mass_waiting.set(number(activity.completing));
                self.heartbeat.beat(within);
                self.heartbeat.awaits(request_due);
                if let Some(lag) = lag {
                    self.lag(lag);
                }
            }
            Event::Hanging(limit) => self.log.warning(format!(
                "A request to Microsoft has been waiting for its answer for a minute; it is given up \
                 after {} s and made again.",
                limit.as_secs()
            )),
            Event::Asking(window) => self.log.info(format!(
                "Querying timerange {} to {}.",
                plain(window.start()),
                plain(window.end())
            )),
            Event::PageRead { lane, count } => self.page_read(lane, count),
            Event::Excluded { rule, rows, again } => self.excluded(rule, rows, again),
            Event::Details { fate, rows } => self.details(fate, rows),
            Event::DetailsRefused {
                sentence,
                pause: Some(_),
            } => self.details_refused(sentence),
            Event::DetailsRefused { pause: None, .. } => {}
            Event::DetailsRecovered => {
                self.log.info("Microsoft tells again what happened to messages.");
            }
            Event::LeftOut(names) => {
                if let Some(names) = self.summary.left_out(names) {
                    self.log.warning(format!(
                        "Microsoft shows members of rows that this version does not know: {names}. As nobody \
                         can tell what they hold, they are left out as long as `subject` or `addresses` \
                         hides something. This is said once of each."
                    ));
                }
            }
            Event::FirstSeen(lateness) => {
                self.figures.lateness.observe(lateness.as_seconds_f64());
            }
            Event::Snapshot(snapshot) => self.snapshot(&snapshot),
            Event::WindowRead { rows, new } => {
                self.heartbeat.succeeded(Side::Source);
                #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
                self.figures.window_rows.observe(rows as f64);
                match new {
                    0 => self.log.info("No records to forward"),
                    new => self.log.info(format!("Forwarding {new} records")),
                }
            }
            Event::PageFailed {
                sentence,
                label,
                person,
            } => self.page_failed(sentence, label, person),
            Event::Paused(pause) => _ = self.figures.waited.inc_by(pause.as_secs_f64()),
            Event::Persisting(sentence) => self.log.critical(sentence),
            Event::StandsStill(until) => self.log.warning(format!(
                "Microsoft wishes for a pause, and nothing is asked until {}; nothing is skipped.",
                moment(until)
            )),
            Event::Recovered(failures) => {
                self.heartbeat.succeeded(Side::Source);
                self.log.info(format!(
                    "The message trace answers again after {}; nothing was skipped.",
                    counted(u64::from(failures), "failed request")
                ));
            }
            Event::Narrowed { window, sentence } => {
                self.log.warning(format!(
                    "The window {window} is read in narrower ones: {sentence}"
                ));
            }
            Event::Rests {
                window,
                sentence,
                pause,
            } => self.log.warning(format!(
                "The rows received from {window} cannot be read for now: {sentence}. Others are read \
                 meanwhile, and these are asked for again after {} min; nothing is skipped.",
                pause.as_secs().div_ceil(60)
            )),
            Event::Refused(window) => self.log.warning(format!(
                "Microsoft refuses the rows received from {window} as older than what it keeps. \
                 Nothing is given up before that is certain: how far back it reaches is found out, \
                 and what it refuses is asked for again."
            )),
            Event::Mended {
                window,
                rows,
                sentence,
            } => self.mended(window, rows, sentence),
            Event::DeadEnd(window) => self.log.warning(format!(
                "The links to further pages of {window} lead to no further row, however they are \
                 followed, and do not end: all rows that Microsoft shows are delivered, and it counts as \
                 read until `settle_time` has it read again, if it does."
            )),
            Event::MassMail {
                window,
                message,
                new,
            } => self.completed(window, message, new),
            Event::MassMailDoubted {
                window,
                message,
                sentence,
                gives_up,
                verifies,
            } => match verifies && gives_up {
                true => self.compares_without(window, message, sentence),
                false => self.doubted(window, message, sentence, gives_up),
            },
            Event::Outside { window, rows } => self.outside(window, rows),
            Event::Lost(loss) => self.lost(loss),
            Event::Found(window) => self.log.warning(format!(
                "Microsoft answers for the rows received from {window}, which counted as lost: they \
                 are read now."
            )),
            Event::Unsettled(window) => {
                let span = window.span().as_seconds_f64();
                self.figures.unsettled.inc_by(span);
                self.log.warning(format!(
                    "The rows received from {window} are not read again, as neither the quota nor the \
                     answers have allowed for it in twice the time of `settle_time`: what surfaced late \
                     among them may be missing."
                ));
            }
            Event::ClockStepped(step) => {
                self.figures.steps.inc();
                let Step { expected, shown } = step;
                self.log.warning(format!(
                    "The clock of this machine shows {} where {} was due: it was set, or the \
                     machine has slept. The service's time is asked for; nothing is lost or sent \
                     twice for it.",
                    moment(shown),
                    moment(expected)
                ));
            }
            Event::Retracted(window) => self.log.warning(format!(
                "The time from {window} counted as read, at a time that has not come yet by the \
                 service's clock: it is read once more, when it has happened."
            )),
            Event::Accepted(newest) => self.intake.accepted_up_to(newest),
            Event::Undeliverable {
                id,
                message_id,
                reason,
                copy_sent,
            } => self.undeliverable(id, message_id, reason, copy_sent),
            Event::InHand(events) => {
                self.figures.in_hand.set(number(events));
            }
            Event::HandFull => self.log.error(
                "Nothing more is sent, as 20 000 events or 128 MiB of them are not accepted, and no other is \
                 that would show that the reason is in them; or there is no room for more dead letters. All \
                 are tried on and on, and nothing is lost. See what the intake, or a firewall on the way to \
                 it, says to them, and have it accept them; or leave their rows out with `exclude_senders`, \
                 and start the trigger again.",
            ),
            Event::NoRoom(stock) => self.log.error(format!(
                "There is no room for another dead letter: {} with {} MiB are kept. What is refused \
                 stays in hand and holds up its window; all else goes on. Send letters again with \
                 `message-trace dead-letters retry`, or throw them away with `message-trace \
                 dead-letters drop`.",
                stock.letters,
                stock.bytes >> 20
            )),
            Event::Letters(stock) => {
                self.figures.letters(stock);
                self.heartbeat.dead_letters(stock.letters);
            }
            Event::CheckpointMoved(checkpoint) => {
                self.heartbeat.succeeded(Side::Checkpoint);
                // A quiet tenant's windows hold nothing to deliver: the run works all the same.
                self.heartbeat.succeeded(Side::Run);
                self.figures.checkpoint.set(checkpoint.timestamp());
            }
            Event::OrderBegun {
                what,
                range,
                resumed,
            } => self.begun(what, range, resumed),
            Event::BackfillEnded(progress) => self.backfill_ended(progress),
            Event::Verified(verdict) => self.verified(verdict),
            Event::VerificationEnded { range, progress } => {
                self.verification_ended(range, progress);
            }
            Event::StandingOrder(nights) => self.standing_order(nights),
            Event::NightEnded(nights) => self.night_ended(nights),
            Event::OrderUnreadable(error) => self.log.warning(format!(
                "What was left for this trigger to do cannot be read or begun with, and is looked for again: {error}"
            )),
            Event::StoreFailed(error) => {
                self.heartbeat.failed(Side::Checkpoint);
                self.log
                    .exception("The state cannot be read or written; trying again", error);
            }
            Event::Unremembered(rows) => self.log.error(format!(
                "The state could not be written before the stop: {rows} rows that the intake has \
                 accepted are not remembered, and may be sent a second time after the next start."
            )),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The instant as the contract's log lines have it (O-07).
fn plain(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S%.f%:z").to_string()
}
