//! The standing order: verifications that nobody has to ask for.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::Local;
use collect::{nightly::StandingOrder, order::OrderFile as _};
use serde_json::json;
use uuid::Uuid;

use super::VerifyWish;
use crate::{
    cli::{
        offline_session,
        order::{OrderSession, dates, refuse},
        screen::print_document,
    },
    triggers::{backfill, order_time::OrderTime},
};

/// How far each verification reaches back at least, when nothing else is said.
const USUALLY: &str = "-3d";

impl OrderSession<'_, VerifyWish> {
    /// Has the trigger verify every day, or not any more.
    pub(super) async fn set_schedule(&self, on: bool) -> anyhow::Result<ExitCode> {
        if !on && self.wish.range.from.is_some() {
            return refuse("--schedule off ends it: leave out --from");
        }
        let stands = StandingOrder::in_force(&self.session.context.storage).await;
        let stands = stands.context("cannot look at the standing order")?;
        let hours_back = match on {
            true => Some(self.hours_back().await?),
            false => None,
        };
        let same = stands.map(|one| one.hours_back) == hours_back;
        if !same {
            let mut order = StandingOrder::new(Uuid::new_v4(), hours_back.unwrap_or_default());
            order.off = !on;
            self.leave(&order).await?;
        }
        let text = match (on, same) {
            (true, false) => {
                "What has become final is verified every day from now on, in the hours in which the \
                 least mail comes: the trigger takes that up within a minute, once it runs. \
                 `message-trace status` tells when, and `message-trace verify --last` what was found."
            }
            (true, true) => "That is done every day already: `message-trace status` tells when.",
            (false, false) => "Nothing is verified every day any more.",
            (false, true) => "Nothing is verified every day.",
        };
        if self.json {
            let outcome = if on { "scheduled" } else { "not_scheduled" };
            print_document(&json!({
                "trigger": self.session.command(),
                "outcome": outcome,
                "exit_code": 0,
                "hours_back": hours_back,
                "text": text,
            }))?;
        } else {
            self.say(text);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// How far back it reaches, in hours.
    async fn hours_back(&self) -> anyhow::Result<u32> {
        let session = self.session;
        let from = self.wish.range.from.as_deref().unwrap_or(USUALLY);
        if !from.starts_with('-') {
            return refuse(
                "with --schedule it must be said how far back each verification reaches, e.g. --from -3d",
            );
        }
        let reach = backfill::reach(session).await?;
        // Only how far it reaches back counts, which is the same by any clock.
        let now = OrderTime::by(session.context.clock.now());
        let range = dates::range((from, "now"), &now, reach, &Local);
        let range = range.or_else(|sentence| refuse(&sentence))?;
        Ok(u32::try_from((range.span().num_minutes() + 59) / 60)?)
    }

    /// Leaves the file to a trigger that runs, or to the next one.
    async fn leave(&self, order: &StandingOrder) -> anyhow::Result<()> {
        let session = self.session;
        session.works_as_owner()?;
        let here = offline_session::on_own_files(session, async |files| {
            anyhow::Ok(order.save(&files).await?)
        });
        if here.await?.is_none() {
            session
                .leave(StandingOrder::NAME, order.to_json()?.into())
                .await?;
        }
        Ok(())
    }
}
