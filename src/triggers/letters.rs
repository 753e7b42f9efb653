//! Dead letters, for people: what there is, and what is done with it without a running trigger.

use std::io;

use chrono::{DateTime, Utc};
use collect::{
    letters::{
        Letters, Room, Stock, UNHIDDEN,
        order::{LettersOrder, LettersOutcome, Work},
    },
    order::OrderFile as _,
};
use rows::privacy::Unhidden;
use sekoia::{Context, RunError, Storage};

use super::{
    collection::Collection,
    words::{counted, moment, span},
};

/// What there is to say of letters; none when there are none.
pub(super) fn told(stock: &Stock, now: DateTime<Utc>) -> Option<String> {
    let oldest = stock.oldest?;
    Some(format!(
        "{}, the oldest of {} ({} ago): `message-trace dead-letters` lists them",
        counted(stock.letters as u64, "dead letter"),
        moment(oldest),
        span(now - oldest)
    ))
}

/// What there is to say of a file in whose place something else is.
pub(super) fn unreadable(name: &str) -> String {
    format!(
        "{name} is no file of dead letters that can be read, and nobody knows what lies there: put the file \
         back, or take away what is in its place, and start the trigger again"
    )
}

pub(crate) async fn outcome(
    storage: &Storage,
    order: &LettersOrder,
) -> io::Result<Option<LettersOutcome>> {
    let outcome = LettersOutcome::load(storage).await?;
    Ok(outcome.filter(|outcome| outcome.id == order.id))
}

/// Whether another order than this one that the store holds is finished; none when it holds none.
pub(crate) async fn is_another_finished(
    storage: &Storage,
    order: &LettersOrder,
) -> io::Result<Option<bool>> {
    let left = LettersOrder::load(storage).await?;
    let Some(left) = left.filter(|left| left.id != order.id) else {
        return Ok(None);
    };
    let outcome = outcome(storage, &left).await?;
    Ok(Some(outcome.is_some_and(|outcome| outcome.done)))
}

/// Whether an order still lies where the trigger finds it. It takes it away after it has told what came of it.
pub(crate) async fn is_left(storage: &Storage, order: &LettersOrder) -> io::Result<bool> {
    let left = LettersOrder::load(storage).await?;
    Ok(left.is_some_and(|left| left.id == order.id))
}

/// Carries out an order, as no trigger is running on these files.
pub(super) async fn perform(
    settings: &Collection,
    context: &Context,
    order: LettersOrder,
) -> Result<LettersOutcome, RunError> {
    let store = context.storage.clone();
    let intake = settings.intake(context)?;
    let mut privacy = settings.hiding.privacy()?;
    let mut letters = Letters::open(&store, settings.owner(), Room::WIDE).await?;
    let now = || context.clock.now();
    let mut work = Work::begin(order, &mut letters, &store, now()).await?;
    while let Some((id, event)) = work.next(&mut letters, &store).await? {
        // It may have been kept under other settings.
        let event = match &mut privacy {
            Some(privacy) => privacy.hidden_again(&event),
            None => Ok(event),
        };
        let answer = match event {
            Ok(event) => intake.offer(event.as_bytes()).await,
            Err(Unhidden) => Ok(Err(UNHIDDEN.to_owned())),
        };
        // A stop: the rest is left for the next time.
        let Ok(answer) = answer else {
            break;
        };
        let kept = work.offered(&mut letters, &store, now(), &id, &answer);
        kept.await.map_err(|error| unkept(&answer, id, error))?;
    }
    work.tell(&store, now()).await?;
    Ok(work.outcome)
}

/// The intake has an event, and its letter may be there still.
#[derive(Debug, thiserror::Error)]
#[error(
    "the intake has accepted the event of the dead letter {id}, and that could not be kept: see that the data \
     directory can be written. The letter may still be listed, and its event comes twice when it is sent again"
)]
struct Unkept {
    id: String,
    source: io::Error,
}

fn unkept(answer: &Result<(), String>, id: String, source: io::Error) -> RunError {
    match answer {
        Ok(()) => RunError::failed(Unkept { id, source }),
        Err(_) => source.into(),
    }
}

#[cfg(test)]
mod tests {
    use base::http::chain;

    use super::*;

    #[test]
    fn what_may_come_twice_is_said_of_an_event_that_was_accepted() {
        let said = |answer| {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            chain(&unkept(&answer, "f00d".to_owned(), full))
        };
        let accepted = said(Ok(()));
        for part in ["f00d", "comes twice", "no storage space"] {
            assert!(accepted.contains(part), "{accepted}");
        }
        let refused = said(Err("no".to_owned()));
        assert!(!refused.contains("twice"), "{refused}");
    }
}
