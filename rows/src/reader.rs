//! What is read of a row: its key, when its message was received, and where it has dates.

mod fields;

use std::ops::Range;

use chrono::{DateTime, Utc};

use self::fields::Fields;
pub use self::fields::{Field, Known};
use crate::{
    RowKey, RowKeyer, RowSpan, Status, date,
    json::{self, Extent, Raw, Scanner, Specials},
};

/// A full page has as many rows, or fewer.
const FULL_PAGE: usize = 5000;

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

/// Reads rows, one after the other.
#[derive(Debug)]
pub struct RowReader {
    keyer: RowKeyer,
    naming: Naming,
    shape: Shape,
    statuses: Statuses,
    /// Those of the text that is read.
    specials: Specials,
    rows: Rows,
}

/// The few statuses that rows have, with their hashes; the last first.
#[derive(Debug, Default)]
struct Statuses(Vec<(String, Status)>);

impl Statuses {
    /// So many are kept; there are about ten.
    const MOST: usize = 16;

    #[inline]
    fn of(&mut self, text: &str) -> Status {
        match self.0.first() {
            Some((last, status)) if last == text => *status,
            _ => self.find(text),
        }
    }

    fn find(&mut self, text: &str) -> Status {
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

/// What rows have in common: what stands before each value, what the value is, and what stands
/// behind the last. Nearly all rows of an answer agree in that, so it is recognized rather than
/// read.
#[derive(Debug, Default)]
struct Shape {
    values: Vec<Slot>,
    end: String,
}

/// The place of a value.
#[derive(Debug)]
struct Slot {
    before: String,
    field: Field,
}

impl Slot {
    fn new(before: &str, field: Field) -> Self {
        Self {
            before: before.to_owned(),
            field,
        }
    }
}

impl RowReader {
    /// A reader of rows whose fields have such names.
    pub fn new(keyer: RowKeyer, naming: Naming) -> Self {
        Self {
            keyer,
            naming,
            shape: Shape::default(),
            statuses: Statuses::default(),
            specials: Specials::default(),
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

    /// Reads the row that is next, an object. None, and no row is added, when that is not what is
    /// there.
    #[inline(never)] // into what is built for size
    pub fn read(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        scanner.peek()?;
        let start = scanner.position();
        let dates = self.rows.iso_dates.len();
        let fields = match self.recognize(scanner) {
            Some(fields) => fields,
            None => {
                scanner.go_to(start);
                self.rows.iso_dates.truncate(dates);
                self.learn(scanner)?
            }
        };
        let received = fields.received();
        let status = self
            .statuses
            .of(fields.status().as_deref().unwrap_or_default());
        let key = RowKey::of(fields.message(received, &self.keyer), status);
        let end = scanner.position();
        let span = RowSpan::new(start..end, key, received)?;
        if self.rows.spans.is_empty() {
            // The others are about as long.
            let others = (scanner.text().len() - end) / (end - start).max(1);
            self.rows.spans.reserve(others.min(FULL_PAGE) + 1);
        }
        self.rows.spans.push(span);
        Some(())
    }

    /// Reads a row like the last that was learned from.
    #[inline]
    fn recognize<'a>(&mut self, scanner: &mut Scanner<'a>) -> Option<Fields<'a>> {
        let (text, start) = (scanner.text(), scanner.position());
        self.specials.search(text, start);
        let mut fields = Fields::default();
        let mut at = start;
        for slot in &self.shape.values {
            at = json::behind(text, at, &slot.before)?;
            let extent = Extent::of_value_among(&self.specials, text, at)?;
            if slot.field != Field::Other {
                let value = extent.since(at, text)?;
                note(
                    slot.field,
                    value,
                    extent.end,
                    &mut fields,
                    &mut self.rows.iso_dates,
                );
            }
            at = extent.end;
        }
        at = json::behind(text, at, &self.shape.end)?;
        scanner.go_to(at);
        (at > start).then_some(fields)
    }

    /// Reads any row, and keeps how it is made.
    fn learn<'a>(&mut self, scanner: &mut Scanner<'a>) -> Option<Fields<'a>> {
        let (naming, dates) = (self.naming, &mut self.rows.iso_dates);
        let mut fields = Fields::default();
        let mut shape = Shape::default();
        // Where the last value ended.
        let mut end = scanner.position();
        scanner.object(|scanner, name| {
            let field = naming(name);
            // An object with nothing to read in it is part of the shape, its values are not.
            if field == Field::Other && scanner.peek()? == b'{' {
                return scanner.object(|scanner, _| {
                    scanner.peek()?;
                    shape.values.push(Slot::new(scanner.since(end)?, field));
                    scanner.pass_value()?;
                    end = scanner.position();
                    Some(())
                });
            }
            scanner.peek()?;
            shape.values.push(Slot::new(scanner.since(end)?, field));
            value(field, scanner, &mut fields, dates)?;
            end = scanner.position();
            Some(())
        })?;
        shape.end = scanner.since(end)?.to_owned();
        self.shape = shape;
        Some(fields)
    }
}

/// Reads the value of a field.
fn value<'a>(
    field: Field,
    scanner: &mut Scanner<'a>,
    fields: &mut Fields<'a>,
    dates: &mut Vec<IsoDate>,
) -> Option<()> {
    let value = scanner.value()?;
    note(field, value, scanner.position(), fields, dates);
    Some(())
}

/// Notes the value of a field, which ends at a place.
#[inline]
fn note<'a>(
    field: Field,
    value: Raw<'a>,
    end: usize,
    fields: &mut Fields<'a>,
    dates: &mut Vec<IsoDate>,
) {
    match field {
        Field::Other => {}
        Field::Known(known) => fields.note(known, value),
        Field::Received => {
            fields.note(Known::Received, value);
            note_date(value, end, dates);
        }
        Field::Date => note_date(value, end, dates),
    }
}

/// Notes a date when it is in ISO form.
#[inline]
fn note_date(value: Raw<'_>, end: usize, dates: &mut Vec<IsoDate>) {
    if value.may_begin_with_digit() {
        note_iso_date(value, end, dates);
    }
}

#[inline(never)]
fn note_iso_date(value: Raw<'_>, end: usize, dates: &mut Vec<IsoDate>) {
    if let Some(at) = value.text().as_deref().and_then(date::iso) {
        dates.push(IsoDate {
            range: end - value.json.len()..end,
            at,
        });
    }
}
