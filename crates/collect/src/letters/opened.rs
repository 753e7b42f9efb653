//! A file of letters that is looked into again and again: letters mostly lie beside those that were kept before.

use std::{collections::BTreeMap, io, ops::Range};

use bytes::Bytes;

use super::{
    file_name,
    letter::{Head, Letter},
};
use crate::Store;

/// A file of letters as it was read.
#[derive(Debug)]
pub(super) struct OpenedFile {
    pub(super) number: u64,
    text: Bytes,
    /// Where in it each letter stands.
    lines: BTreeMap<String, Range<usize>>,
}

impl OpenedFile {
    pub(super) async fn read(store: &impl Store, number: u64) -> io::Result<Self> {
        let text = store.read(&file_name(number)).await?.unwrap_or_default();
        let mut lines = BTreeMap::new();
        let mut start = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let end = start + line.len();
            if let Ok(head) = serde_json::from_slice::<Head>(line) {
                lines.insert(head.id, start..end);
            }
            start = end + 1;
        }
        Ok(Self {
            number,
            text,
            lines,
        })
    }

    /// The letter with this id, if it was there.
    pub(super) fn letter(&self, id: &str) -> Option<Letter> {
        let line = self.text.get(self.lines.get(id)?.clone())?;
        serde_json::from_slice(line).ok()
    }
}
