//! What is known of verifications from their files.

use std::io;

use collect::{
    nightly::Nights,
    order::OrderFile as _,
    verify::{VerifyOrder, VerifyProgress},
};
use sekoia::Storage;

pub(super) struct Known {
    /// What a person has asked for last.
    order: Option<VerifyOrder>,
    nights: Option<Nights>,
    /// Of the last one that was begun.
    pub(super) progress: Option<VerifyProgress>,
}

impl Known {
    pub(super) async fn load(files: &Storage) -> io::Result<Self> {
        Ok(Self {
            order: VerifyOrder::load(files).await?,
            nights: Nights::load(files).await?,
            progress: VerifyProgress::load(files).await?,
        })
    }

    /// What a person has asked for, and has not ended.
    pub(super) fn asked_for(&self) -> Option<VerifyOrder> {
        let progress = self.progress.as_ref();
        let order = self.order.clone();
        order.filter(|order| !order.has_ended(progress))
    }

    /// The one that was begun last and is done every day.
    fn of_night(&self) -> Option<VerifyOrder> {
        let progress = self.progress.as_ref()?;
        self.nights.as_ref()?.order_of(progress.id).cloned()
    }

    /// What has not ended, and whether the trigger has begun it by itself, so that the person's file does not
    /// name it yet.
    pub(super) fn unfinished(&self) -> Option<(VerifyOrder, bool)> {
        let asked_for = self.asked_for().map(|order| (order, false));
        let has_ended = self
            .progress
            .as_ref()
            .is_some_and(VerifyProgress::has_ended);
        let of_night = self.of_night().filter(|_| !has_ended);
        asked_for.or_else(|| of_night.map(|order| (order, true)))
    }

    pub(super) fn last(self) -> Option<VerifyOrder> {
        let asked_for = self.asked_for().or_else(|| self.of_night());
        asked_for.or(self.order)
    }
}
