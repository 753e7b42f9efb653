//! How a state is gone on with, and how one is begun with what another has.

use chrono::{DateTime, TimeDelta, Utc};
use collect::{KeptLeaps, OUTSIDE_FILE, journal, start::Position};
use sekoia::{Log, RunError, StateFile, Storage, StorageError};

use super::{
    Bound, Subject, Taken,
    binding::{Binding, Likeness, write},
};
use crate::triggers::state::{self, Kept, STATE_FILE};

/// Where a first collection would begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    /// Now, by the clock of this machine.
    pub(crate) now: DateTime<Utc>,
    /// So long before.
    pub(crate) start_time: TimeDelta,
}

impl First {
    /// The same beside a state that has `kept` the service's time: of two clocks the earlier one counts, as what
    /// lies before the beginning is never asked for.
    fn by_both(self, kept: Option<&KeptLeaps>) -> Self {
        let service = kept.map_or(self.now, |kept| kept.time(self.now).at);
        Self {
            now: self.now.min(service),
            ..self
        }
    }

    /// The same beside a state that has delivered up to `checkpoint`: a clock that shows an earlier time is
    /// wrong, and would lead back to rows that are delivered and forgotten.
    fn beside(self, checkpoint: Option<DateTime<Utc>>) -> DateTime<Utc> {
        checkpoint.map_or(self.now, |at| at.max(self.now)) - self.start_time
    }
}

/// Where a state stands, for one that begins with what it has; none when nothing tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stand {
    checkpoint: DateTime<Utc>,
    /// Where this module had written that it stands, when somebody has moved the position on since.
    written: Option<DateTime<Utc>>,
}

impl Stand {
    /// As a start in these files would go on: at the earliest of what is kept, but for a position that
    /// this module has not written.
    async fn in_storage(storage: &Storage) -> Result<Option<Self>, StorageError> {
        let Kept { position, copy, .. } = Kept::in_storage(storage).await?;
        let found = state::timeline_in(storage).await?;
        let kept = state::known(&found).filter(|timeline| timeline.coverage.has_begun());
        let kept = kept.map(|timeline| timeline.checkpoint);
        let written = [copy, kept].into_iter().flatten().min();
        Ok(match position {
            Position::At(at) if [copy, kept].contains(&Some(at)) => Some(Self {
                checkpoint: kept.map_or(at, |kept| kept.min(at)),
                written: None,
            }),
            Position::At(at) => Some(Self {
                checkpoint: at,
                written: written.filter(|written| *written < at),
            }),
            Position::Absent | Position::Unusable(_) => written.map(|checkpoint| Self {
                checkpoint,
                written: None,
            }),
        })
    }
}

/// Goes on with a state that is there, also by another service than before. What the state in use last
/// knows of delivered rows is known to it, too, when that may be about the same mail.
pub(super) async fn go_on(
    storage: &Storage,
    found: &Bound,
    last: Option<&Bound>,
    subject: &Subject,
    log: &Log,
) -> Result<(), RunError> {
    let files = storage.inside(&found.folder);
    let before = found.binding.told();
    if found.binding.service != subject.origin {
        let binding = Binding {
            service: subject.origin,
            ..found.binding.clone()
        };
        write(&files, &binding).await?;
        log.warning(format!(
            "The settings ask for the mail of {}, and the state so far is of {before}: it is the same \
             mail, so that it goes on with the whole state.",
            binding.told()
        ));
    }
    let maybe = last.filter(|last| {
        let likeness = last.binding.by_guid(&found.binding);
        last.folder != found.folder && likeness != Likeness::Other
    });
    let Some(maybe) = maybe else {
        return Ok(());
    };
    let other = storage.inside(&maybe.folder);
    if journal::take_over(&files, &other).await? > 0 {
        log.info(format!(
            "The state in use last, of {}, may be about the same mail: what it remembers of delivered rows \
             is not sent again.",
            maybe.binding.told()
        ));
    }
    Ok(())
}

/// Begins a state with what another one has; says so.
pub(super) async fn begin_with(
    storage: &Storage,
    files: &Storage,
    taken: Taken,
    from: &Bound,
    first: First,
) -> Result<String, RunError> {
    let other = storage.inside(&from.folder);
    let mut without = String::new();
    let mut names = other.list(journal::FOLDER).await?;
    names.push(OUTSIDE_FILE.to_owned());
    for name in names {
        match other.read(&name).await {
            Ok(Some(content)) => files.write(&name, content).await?,
            Ok(None) => {}
            // This is done once, so that all of it must have been seen.
            Err(error) => match error.is_damage() {
                Some(damage) => without += &format!("; {name} is not taken over: {damage}"),
                None => return Err(error.into()),
            },
        }
    }
    let stand = Stand::in_storage(&other).await?;
    let checkpoint = stand.map(|stand| stand.checkpoint);
    let found = state::timeline_in(&other).await?;
    let leaps = state::known(&found).and_then(|timeline| timeline.leaps.as_ref());
    let first = first.by_both(leaps).beside(checkpoint);
    let since = match taken {
        Taken::Rows => checkpoint.map_or(first, |checkpoint| checkpoint.min(first)),
        Taken::Position => checkpoint.unwrap_or(first),
    };
    // So that the start tells what the position was moved over, and keeps it as skipped.
    let written = stand.and_then(|stand| stand.written);
    if let Some(written) = written.filter(|written| *written < since) {
        files
            .write(StateFile::COPY, state::with_checkpoint(written))
            .await?;
    }
    files
        .write(STATE_FILE, state::with_checkpoint(since))
        .await?;
    Ok(format!(
        "it cannot be told whether both are the same tenant, so that it goes on at {since}, and does \
         not send again what is known to that one{without}"
    ))
}
