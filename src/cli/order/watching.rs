//! How an order gets on: shown while it is carried out here, or by the running trigger.

use std::pin::pin;

use anyhow::Context as _;
use collect::order::{OrderFile as _, RangeOrder, RangeProgress};
use sekoia::{RunError, Storage};
use tokio::time::Instant;

use super::{GONE, LOOK, OrderOutcome, OrderSession, Presence, RangeCommand};

/// What is said when nobody takes an order up. A command that has the files does so with its own alone.
const UNTAKEN: &str = "The trigger has not taken it up yet: its log tells what keeps it, unless another command \
                       works on these files.";

/// What is said when the stop comes while the trigger gives an order up.
const GIVES_UP: &str =
    "The trigger goes on giving it up: the same command shows when that is done.";

impl<C: RangeCommand> OrderSession<'_, C> {
    /// Shows how the work goes, until it ends or a person must act.
    pub(in crate::cli) async fn watch(
        &mut self,
        files: &Storage,
        order: &RangeOrder<C::Work>,
        work: impl Future<Output = Result<(), RunError>>,
    ) -> anyhow::Result<OrderOutcome> {
        // What a process before has met may be mended.
        let before = self.progress(files, order).await?;
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
                self.show(&progress);
                let is_news = before.as_ref() != Some(&progress);
                refused |= is_news && progress.trouble.as_ref().is_some_and(|one| one.person);
                // The log has said what to do; or the trigger has just done it.
                if refused || progress.has_ended() {
                    self.session.context.stop.cancel();
                }
            }
        }
        let progress = self.progress(files, order).await?;
        Ok(
            match OrderOutcome::of(progress.map(|progress| progress.phase)) {
                OrderOutcome::Unfinished if refused => OrderOutcome::Refused,
                outcome => outcome,
            },
        )
    }

    /// Shows how the running trigger gets on with it.
    pub(super) async fn follow(
        &mut self,
        order: &RangeOrder<C::Work>,
    ) -> anyhow::Result<OrderOutcome> {
        let files = &self.session.context.storage;
        if !order.cancelled {
            let (does, range) = (C::WORDS.does, order.range);
            self.say(&format!(
                "The running trigger {does} the rows received from {range} beside its own work. \
                 Ctrl-C leaves it at that."
            ));
        }
        let mut trouble = None;
        let mut presence = Presence::new();
        let mut is_untaken = true;
        let begun = Instant::now();
        loop {
            if is_untaken && begun.elapsed() >= GONE {
                is_untaken = false;
                self.say(UNTAKEN);
            }
            // First of both: once another one lies there, how this one ended is told, if it has.
            let is_replaced = order.is_replaced(files).await;
            let is_replaced = is_replaced.context(C::WORDS.unreadable)?;
            let last = RangeProgress::<C::Work>::load(files).await;
            let last = last.context(C::WORDS.unreadable)?;
            let outcome = OrderOutcome::of_order(order, last.as_ref());
            if let Some(progress) = last.filter(|last| last.id == order.id) {
                is_untaken = false;
                self.show(&progress);
                if trouble != progress.trouble {
                    if let Some(trouble) = &progress.trouble {
                        let sentence = self.session.context.log.masked(&trouble.sentence);
                        self.say(&format!("The trigger says: {sentence}"));
                    }
                    trouble = progress.trouble;
                }
            }
            if outcome != OrderOutcome::Unfinished {
                return Ok(outcome);
            }
            if is_replaced {
                self.say("Another order has taken the place of this one: give the command again when that is done.");
                return Ok(OrderOutcome::Unfinished);
            }
            let is_lost = presence.is_lost(self.session, |text| self.say(text)).await;
            let stopped = tokio::time::timeout(LOOK, self.session.context.stop.cancelled());
            if stopped.await.is_ok() {
                let ways = C::WORDS.ways;
                match order.cancelled {
                    true => self.say(GIVES_UP),
                    false => self.say(&format!("The trigger keeps on with it; {ways}")),
                }
                return Ok(OrderOutcome::Unfinished);
            }
            if is_lost {
                return Ok(OrderOutcome::Unfinished);
            }
        }
    }

    fn show(&mut self, progress: &RangeProgress<C::Work>) {
        let mut text = self.wish.counted(progress);
        if let Some(seconds) = progress.seconds_left() {
            text.push_str(&format!(", {} min left", seconds / 60 + 1));
        }
        let now = self.session.context.clock.now();
        if let Some(next) = progress.next_request.filter(|next| *next > now) {
            let seconds = (next - now).num_seconds() + 1;
            text.push_str(&format!(", quota: next request in {seconds} s"));
        }
        self.display.advance(progress.percent(), text);
    }
}
