//! What is read of a row: its key, when its message was received, and where it has dates.

mod fields;
mod shape;

use std::ops::Range;

use chrono::{DateTime, Utc};

pub use self::fields::{Field, Known};
use self::{
    fields::{Fields, Note},
    shape::Shape,
};
use crate::{
    RowKey, RowKeyer, RowSpan, Status, date,
    json::{Raw, Scanner},
};

/// A full page has as many rows, or fewer.
const FULL_PAGE: usize = 5000;

/// More dates are not noted: a page has three for each of its rows, and each takes as much memory
/// as its field.
const MOST_DATES: usize = 300_000;

/// Tells what a field with this name is.
pub type Naming = fn(&str) -> Field;

/// Rows that were found in a text, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Where they are.
    pub spans: Vec<RowSpan>,
    /// The dates in them that may have to be rewritten, in their order.
    pub iso_dates: Vec<IsoDate>,
}

/// A date in ISO form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsoDate {
    /// Where its value is in the text, quotes included.
    pub range: Range<usize>,
    /// What it means.
    pub at: DateTime<Utc>,
}

/// Reads the rows of one text, one after the other.
#[derive(Debug)]
pub struct RowReader<'a> {
    text: &'a str,
    keyer: RowKeyer,
    naming: Naming,
    shape: Shape,
    statuses: Statuses,
    rows: Rows,
}

/// The few statuses that rows have, with their hashes; the last first.
#[derive(Debug, Default)]
struct Statuses(Vec<(Vec<u8>, Status)>);

impl Statuses {
    /// So many are kept; there are about ten.
    const MOST: usize = 16;

    /// Longer ones are not kept; the longest has 25 letters.
    const LONGEST: usize = 256;

    #[inline]
    fn of(&mut self, text: &[u8]) -> Status {
        match self.0.first() {
            Some((last, status)) if last == text => *status,
            _ => self.find(text),
        }
    }

    fn find(&mut self, text: &[u8]) -> Status {
        if text.len() > Self::LONGEST {
            return Status::of(text);
        }
        let place = self.0.iter().position(|(known, _)| known == text);
        let place = place.unwrap_or_else(|| {
            self.0.truncate(Self::MOST - 1);
            self.0.push((text.to_owned(), Status::of(text)));
            self.0.len() - 1
        });
        self.0.swap(0, place);
        self.0
            .first()
            .map_or_else(|| Status::of(text), |(_, status)| *status)
    }
}

impl<'a> RowReader<'a> {
    /// A reader of rows in a text, whose fields have such names.
    pub fn new(text: &'a str, keyer: RowKeyer, naming: Naming) -> Self {
        Self {
            text,
            keyer,
            naming,
            shape: Shape::default(),
            statuses: Statuses::default(),
            rows: Rows::default(),
        }
    }

    /// The rows read so far.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The rows that were read.
    pub fn into_rows(self) -> Rows {
        self.rows
    }

    /// Reads the row that begins at a place, an object; the place behind it. None, and no row is
    /// added, when that is not what is there.
    #[inline(never)] // into what is built for size
    pub fn read(&mut self, start: usize) -> Option<usize> {
        let text = self.text;
        let dates = self.rows.iso_dates.len();
        let mut fields = Fields::new(text);
        let iso_dates = &mut self.rows.iso_dates;
        let end = match self.shape.recognize(text, start, &mut fields, iso_dates) {
            Some(end) => end,
            None => {
                self.rows.iso_dates.truncate(dates);
                fields = Fields::new(text);
                self.learn(start, &mut fields)?
            }
        };
        let received = fields.received();
        let status = self.statuses.of(&fields.status().unwrap_or_default());
        let key = RowKey::of(fields.message(received, &self.keyer), status);
        let span = RowSpan::new(start..end, key, received)?.of_mail(fields.mail());
        if self.rows.spans.is_empty() {
            // The others are about as long.
            let others = (text.len() - end) / (end - start).max(1);
            self.rows.spans.reserve(others.min(FULL_PAGE) + 1);
        }
        self.rows.spans.push(span);
        Some(end)
    }

    /// Reads any row, and keeps how it is made; the place behind it.
    #[cold]
    fn learn(&mut self, start: usize, fields: &mut Fields<'a>) -> Option<usize> {
        let mut scanner = Scanner::starting_at(self.text, start);
        let (naming, dates) = (self.naming, &mut self.rows.iso_dates);
        let mut shape = Shape::default();
        // Where the last value ended.
        let mut end = start;
        scanner.object(|scanner, name| {
            let field = naming(name);
            // An object with nothing to read in it is part of the shape, its values are not.
            if field == Field::Other && scanner.peek()? == b'{' {
                return scanner.object(|scanner, _| {
                    scanner.peek()?;
                    shape.push(scanner.since(end)?, field);
                    scanner.pass_value()?;
                    end = scanner.position();
                    Some(())
                });
            }
            scanner.peek()?;
            shape.push(scanner.since(end)?, field);
            let (start, extent) = (scanner.position(), scanner.extent()?);
            fields.note(Note::of(field), start, extent);
            if field.is_date() {
                note_iso_date(extent.since(start, scanner.text())?, extent.end, dates);
            }
            end = extent.end;
            Some(())
        })?;
        shape.end(scanner.since(end)?);
        self.shape = shape;
        Some(scanner.position())
    }
}

#[inline(never)]
fn note_iso_date(value: Raw<'_>, end: usize, dates: &mut Vec<IsoDate>) {
    if dates.len() < MOST_DATES
        && let Some(at) = value.text().and_then(|text| date::iso(text.as_bytes()))
    {
        dates.push(IsoDate {
            range: end - value.json.len()..end,
            at,
        });
    }
}
