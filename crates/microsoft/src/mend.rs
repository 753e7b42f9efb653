//! Pages that are not strict JSON, read as far as that is certain.
//!
//! A subject may hold a raw line feed, or bytes that are not UTF-8; an item of the list may be
//! `null`, or no JSON at all. The page is read item by item then: strict rows stay as they are. In
//! others a raw control character is escaped, and bytes that are not UTF-8 become U+FFFD, both
//! inside of strings only; nothing else is forgiven. What cannot be mended like this is named, and
//! left out. From what is left a strict page is made, which takes the usual way. Damage in front of the
//! list, and text behind the page, are named like that, too, where no link can be in them.
//!
//! # What somebody can do who writes the subject
//!
//! Where a quote in a subject is escaped, as it should be, nothing: all that is in a string stays
//! in it, since a byte below 0x80 always stands for itself, and a backslash before anything that
//! has to be forgiven makes the row unreadable. If a service should forget to escape a quote,
//! `"},{"id":"` ends the row and begins another. Both are recognized by what they lack: on a
//! damaged page, a row counts only when it has each of the properties that all rows have exactly
//! once, is dated (when mended: within the window), and stands between commas. A subject that
//! completes both rows makes strict JSON, which no reader can tell from two rows.

mod around;
mod text;

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use rows::{Broken, RowKey, RowKeyer, json::Scanner, reader::RowReader};

use self::around::{list_end, list_start, mended_head, without_rest};
use self::text::{forgive, is_row, names, object, unchanging};
use super::row;

/// Longer items are not read: no row is nearly as long.
const LONGEST: usize = 1 << 20;

/// More items are not read: no page has nearly as many.
const MOST_ITEMS: usize = 20_000;

/// And so many of them may be broken.
const MOST_BROKEN: usize = 1000;

/// Items that are no objects are recognized up to this length.
const SCALAR: usize = 4096;

/// Bytes are looked at so many times at most in search of the next row.
const EFFORT: usize = 8;

/// What is forgiven takes up to six times its room. A page grows by an eighth of itself at most, and by this. It
/// is more than a full page of a mass mail takes whose subject is nothing else, as each row has the subject.
const GROWTH: usize = 8;
const SLACK: usize = 8 << 20;

/// How far beyond its window a service looks.
const MARGIN: TimeDelta = TimeDelta::seconds(2);

#[derive(Debug)]
pub(super) struct Mended {
    /// The page as strict JSON, without what is broken.
    pub(super) text: Vec<u8>,
    /// The rows that had to be mended, by their number in the page, with their keys.
    pub(super) keys: Vec<(usize, RowKey)>,
    /// What is left out.
    pub(super) broken: Vec<Broken>,
}

/// Reads a page that is not strict JSON. None when it is not certain where its list of rows begins and
/// ends. `is_page` tells whether a text is a page.
pub(super) fn mend(
    body: &[u8],
    window: Option<Window>,
    keyer: &RowKeyer,
    is_page: impl Fn(&[u8]) -> bool,
) -> Option<Mended> {
    let (body, rest) = without_rest(body);
    let mut front = None;
    let (start, head) = match list_start(body) {
        Some(start) => (start, Cow::Borrowed(body.get(..=start)?)),
        None => {
            let (start, head) = mended_head(body)?;
            front = body.get(..=start);
            (start, Cow::Owned(head.into_bytes()))
        }
    };
    let end = list_end(body, start, |tail| is_page(&[&*head, tail].concat()))?;
    let mut list = List {
        body,
        end,
        window,
        keyer,
        effort: body.len().saturating_mul(EFFORT),
        growth: most_growth(body),
        found: Vec::new(),
    };
    list.read(start + 1)?;
    let behind = Some(rest).filter(|rest| !rest.is_empty());
    list.mended(&head, front, behind)
}

/// By how many bytes a page may grow.
fn most_growth(body: &[u8]) -> usize {
    body.len() / GROWTH + SLACK
}

/// A list of rows, and what was found in it.
struct List<'a> {
    body: &'a [u8],
    end: usize,
    /// Rows that have to be mended count when they lie in it; without one, none does.
    window: Option<Window>,
    keyer: &'a RowKeyer,
    effort: usize,
    /// So many bytes more than they have may rows still take.
    growth: usize,
    found: Vec<Item>,
}

/// What stands between two commas of the list.
struct Item {
    start: usize,
    /// The place after it.
    end: usize,
    what: What,
    /// When it was received, if it is a row that says so.
    received: Option<DateTime<Utc>>,
}

enum What {
    /// A row that is certain.
    Row,
    /// One that had to be mended: how it reads then, and its key.
    Mended(String, RowKey),
    /// Another value: it is certain where it ends.
    Scalar,
    Broken,
}

impl What {
    fn is_row(&self) -> bool {
        matches!(self, Self::Row | Self::Mended(..))
    }

    /// Whether it and the item after it may be parts of one: a quote that is not escaped makes two
    /// objects of one row.
    fn joins(&self, next: &Self) -> bool {
        matches!(
            (self, next),
            (Self::Broken, Self::Broken | Self::Mended(..)) | (Self::Mended(..), Self::Broken)
        )
    }
}

impl List<'_> {
    fn read(&mut self, start: usize) -> Option<()> {
        let mut at = self.after_spaces(start);
        let mut broken = 0;
        while at < self.end {
            if self.found.len() == MOST_ITEMS || broken == MOST_BROKEN {
                return None;
            }
            let item = match self.row(at).filter(|row| self.is_followed(row.end)) {
                Some(row) => row,
                None => {
                    broken += 1;
                    let (start, end) = (at, self.broken_end(at));
                    Item {
                        start,
                        end,
                        what: match self.is_scalar(start, end) {
                            true => What::Scalar,
                            false => What::Broken,
                        },
                        received: None,
                    }
                }
            };
            // After the comma.
            at = self.after_spaces(item.end);
            at = self.after_spaces(at + 1);
            self.found.push(item);
        }
        self.join();
        (self.effort > 0).then_some(())
    }

    /// What was mended beside something that is broken may be a part of it.
    fn join(&mut self) {
        for mut item in std::mem::take(&mut self.found) {
            while let Some(last) = self.found.pop_if(|last| last.what.joins(&item.what)) {
                item.start = last.start;
                item.what = What::Broken;
            }
            self.found.push(item);
        }
    }

    /// Where an item ends that is no row: at a comma before a row that is certain, or with the list.
    fn broken_end(&mut self, start: usize) -> usize {
        let mut comma = None;
        for at in start..self.end {
            match self.body.get(at) {
                Some(b',') => {
                    // Other items than objects are told by themselves.
                    if self.is_scalar(start, at) {
                        return at;
                    }
                    comma = Some(at);
                }
                Some(b'{') if at > start => {
                    if let Some(comma) = comma
                        && let Some(row) = self.row(at)
                        && let What::Row = row.what
                        && self.is_followed(row.end)
                    {
                        return comma;
                    }
                    comma = None;
                }
                Some(byte) if byte.is_ascii_whitespace() => {}
                _ => comma = None,
            }
        }
        self.end
    }

    /// Whether a stretch is a value, but no object.
    fn is_scalar(&self, start: usize, end: usize) -> bool {
        let bytes = self.body.get(start..end);
        let bytes = bytes.filter(|bytes| bytes.len() <= SCALAR);
        let text = bytes.and_then(|bytes| str::from_utf8(bytes).ok());
        text.is_some_and(|text| {
            let mut scanner = Scanner::new(text);
            !matches!(scanner.peek(), Some(b'{' | b'['))
                && scanner.pass_value().is_some()
                && scanner.peek().is_none()
        })
    }

    /// Whether the list goes on, or ends, after an item.
    fn is_followed(&self, at: usize) -> bool {
        let next = self.after_spaces(at);
        next == self.end || self.body.get(next) == Some(&b',')
    }

    fn after_spaces(&self, at: usize) -> usize {
        let rest = self.body.get(at..self.end).unwrap_or_default();
        let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
        at + spaces.count()
    }

    /// The row that begins at a place, when it is certain that it is one.
    fn row(&mut self, start: usize) -> Option<Item> {
        let rest = self.body.get(start..self.end)?;
        let most = LONGEST.min(self.effort);
        let (length, passed) = object(rest.get(..most).unwrap_or(rest));
        self.effort -= passed;
        let bytes = rest.get(..length?)?;
        let text = forgive(bytes);
        let is_mended = text.as_bytes() != bytes;
        let names = names(&text)?;
        if !is_row(&names, is_mended) {
            return None;
        }
        let mut reader = RowReader::new(&text, *self.keyer, row::field);
        reader.read(0)?;
        let received = reader.rows().spans.first()?.received;
        let what = if is_mended {
            let window = self.window?;
            let around = Window::new(window.start() - MARGIN, window.end() + MARGIN)?;
            received.filter(|at| around.contains(*at))?;
            // What would take more is left as it is.
            self.growth = self
                .growth
                .checked_sub(text.len().saturating_sub(bytes.len()))?;
            What::Mended(text, self.keyer.opaque(&unchanging(bytes)))
        } else {
            What::Row
        };
        Some(Item {
            start,
            end: start + bytes.len(),
            what,
            received,
        })
    }

    /// The page, in which everything stands after `head`. What was damaged in `front` of the list, and what stands
    /// `behind` the page, are none of its items.
    fn mended(&self, head: &[u8], front: Option<&[u8]>, behind: Option<&[u8]>) -> Option<Mended> {
        let tail = self.body.get(self.end..)?;
        let grown = most_growth(self.body).saturating_sub(self.growth);
        let mut text = Vec::with_capacity(self.body.len() + grown);
        text.extend_from_slice(head);
        let mut keys = Vec::new();
        let mut broken: Vec<Broken> = Vec::new();
        let mut rows = 0;
        let mut newer = None;
        let mut leave_out = |bytes: &[u8], position, newer, older| {
            let key = self.keyer.opaque(&unchanging(bytes));
            broken.push(Broken {
                bytes: Bytes::copy_from_slice(bytes),
                key,
                position,
                newer,
                older,
            });
        };
        // When the first row at a place, or behind it, was received.
        let older = |index| {
            let mut after = self.found.iter().skip(index);
            after.find(|item| item.what.is_row())?.received
        };
        if let Some(front) = front {
            leave_out(front, 0, None, older(0));
        }
        for (index, item) in self.found.iter().enumerate() {
            let bytes = self.body.get(item.start..item.end)?;
            let row = match &item.what {
                What::Row => bytes,
                What::Mended(mended, key) => {
                    keys.push((rows, *key));
                    mended.as_bytes()
                }
                What::Scalar | What::Broken => {
                    leave_out(bytes.trim_ascii(), index + 1, newer, older(index));
                    continue;
                }
            };
            if rows > 0 {
                text.push(b',');
            }
            text.extend_from_slice(row);
            rows += 1;
            newer = item.received;
        }
        if let Some(behind) = behind {
            leave_out(behind, self.found.len() + 1, newer, None);
        }
        text.extend_from_slice(tail);
        Some(Mended { text, keys, broken })
    }
}

#[cfg(test)]
mod tests;
