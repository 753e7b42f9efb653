//! What of rows must not leave is hidden here, before anything of them is sent or kept.

use rows::{
    RowRef,
    privacy::{Privacy, Unhidden},
};

use crate::{
    CheckpointStore, Event, RowText as _, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead, hand::Alone, persist::until_stored},
    known::KeyRef,
    letters::{Content, Undelivered},
    verify::{RowName, hide_names},
};

/// So many rows that cannot be hidden wait for room, at most: nothing more is taken in then.
const MOST_WITHHELD: usize = 10_000;

/// A row that cannot be hidden, and for which there is no room.
#[derive(Debug)]
pub(super) struct Withheld {
    undelivered: Undelivered,
    alone: Alone,
}

/// The text of the row that is to leave, where it is not the one that came.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    hidden: Vec<u8>,
    is_hidden: bool,
}

impl Leaving {
    /// The row without what must not leave.
    #[inline]
    pub(super) fn hide<'a>(
        &'a mut self,
        row: &RowRef<'a>,
        privacy: &mut Option<Privacy>,
    ) -> Result<&'a [u8], Unhidden> {
        let Some(privacy) = privacy else {
            return Ok(row.json);
        };
        self.hidden.clear();
        self.is_hidden = true;
        privacy.hide(row.json, &mut self.hidden)?;
        Ok(&self.hidden)
    }

    /// The text of the row that was to leave last.
    pub(super) fn text(&self, row: &RowRef<'_>) -> String {
        match self.is_hidden {
            true => String::from_utf8_lossy(&self.hidden).into_owned(),
            false => row.text().into_owned(),
        }
    }
}

/// The name of a row, without what must not leave: it stands in files and reports.
pub(super) fn named<S: Source>(source: &S, privacy: &mut Option<Privacy>, row: &[u8]) -> RowName {
    let Some(privacy) = privacy else {
        return source.text().name(row);
    };
    let mut hidden = Vec::new();
    match privacy.hide(row, &mut hidden) {
        Ok(()) => source.text().name(&hidden),
        Err(Unhidden) => RowName::default(),
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A row cannot be hidden: it goes nowhere, and of its text only length and hash are kept.
    #[cold]
    pub(super) async fn withhold(
        &mut self,
        row: &RowRef<'_>,
        key_ref: KeyRef,
        read: &WindowRead<S, K>,
    ) -> Flow {
        while self.letter_work.withheld.len() >= MOST_WITHHELD {
            // Boxed, as its future is large and seldom needed.
            Box::pin(self.wait_for_room()).await?;
        }
        let undelivered = Undelivered {
            reason: "it has a member that cannot be hidden as `subject` or `addresses` wishes"
                .to_owned(),
            copy_sent: false,
            content: Content::withheld(row.json.len(), row.key),
        };
        let alone = self.goes_alone(key_ref, read);
        match self.keep_undelivered(undelivered.clone()).await? {
            true => self.filed_as_letter(alone),
            // There is no room for it: its window stays open until there is.
            false => self
                .letter_work
                .withheld
                .push(Withheld { undelivered, alone }),
        }
        Ok(())
    }

    /// A person may have made room for rows that cannot be hidden.
    pub(super) async fn keep_withheld(&mut self) -> Flow {
        while !self.parts.letters.are_full()
            && let Some(withheld) = self.letter_work.withheld.pop()
        {
            if !self.keep_undelivered(withheld.undelivered.clone()).await? {
                self.letter_work.withheld.push(withheld);
                break;
            }
            self.filed_as_letter(withheld.alone);
        }
        Ok(())
    }

    /// A verification may have named rows before anything was to be hidden: that is told again, and kept.
    pub(super) async fn hide_named(&mut self) -> Flow {
        until_stored!(
            self,
            match &mut self.parts.privacy {
                None => Ok(()),
                Some(privacy) => hide_names(self.parts.store.as_ref(), privacy).await,
            }
        );
        Ok(())
    }

    /// Tells the names of members that were left out as nobody knows them.
    pub(super) fn tell_unknown(&mut self) {
        let Some(privacy) = &mut self.parts.privacy else {
            return;
        };
        let names = privacy.take_unknown();
        if !names.is_empty() {
            self.tell(Event::LeftOut(&names));
        }
    }

    /// What is kept of bytes that cannot be read as a row.
    pub(super) fn kept_of(&self, bytes: &[u8], key: rows::RowKey) -> Content {
        match self.parts.privacy {
            None => Content::bytes(bytes),
            Some(_) => Content::withheld(bytes.len(), key),
        }
    }

    /// The event of a letter as it may leave now: it may have been kept under other settings.
    pub(super) fn leaving(&mut self, event: String) -> Result<String, Unhidden> {
        match &mut self.parts.privacy {
            None => Ok(event),
            Some(privacy) => privacy.hidden_again(&event),
        }
    }
}
