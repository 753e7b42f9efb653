//! What is read of a row: its key, when its message was received, and where it has dates.

mod fields;

use std::ops::Range;

use chrono::{DateTime, Utc};

use self::fields::Fields;
pub use self::fields::{Field, Known};
use crate::{RowKey, RowKeyer, RowSpan, Status, date, json::Scanner};

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
    /// Most rows have the status of the one before.
    status: (String, Status),
    rows: Rows,
}

/// What rows have in common: what stands before each value, what the value is, and what stands
/// behind the last. Nearly all rows of an answer agree in that, so it is recognized rather than
/// read.
#[derive(Debug, Default)]
struct Shape {
    values: Vec<(String, Field)>,
    end: String,
}

impl RowReader {
    /// A reader of rows whose fields have such names.
    pub fn new(keyer: RowKeyer, naming: Naming) -> Self {
        Self {
            keyer,
            naming,
            shape: Shape::default(),
            status: (String::new(), Status::of("")),
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
                scanner.go_back(start);
                self.rows.iso_dates.truncate(dates);
                self.learn(scanner)?
            }
        };
        let received = fields.received();
        let status = self.status(&fields);
        let key = RowKey::of(fields.message(received, &self.keyer), status);
        let span = RowSpan::new(start..scanner.position(), key, received)?;
        self.rows.spans.push(span);
        Some(())
    }

    fn status(&mut self, fields: &Fields<'_>) -> Status {
        let text = fields.status().unwrap_or_default();
        if self.status.0 != text {
            let status = Status::of(&text);
            self.status = (text.into_owned(), status);
        }
        self.status.1
    }

    /// Reads a row like the last that was learned from.
    #[inline]
    fn recognize<'a>(&mut self, scanner: &mut Scanner<'a>) -> Option<Fields<'a>> {
        let start = scanner.position();
        let mut fields = Fields::default();
        for (before, field) in &self.shape.values {
            scanner.pass_text(before)?;
            value(*field, scanner, &mut fields, &mut self.rows.iso_dates)?;
        }
        scanner.pass_text(&self.shape.end)?;
        (scanner.position() > start).then_some(fields)
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
                    shape.values.push((scanner.since(end)?.to_owned(), field));
                    scanner.pass_value()?;
                    end = scanner.position();
                    Some(())
                });
            }
            scanner.peek()?;
            shape.values.push((scanner.since(end)?.to_owned(), field));
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
#[inline]
fn value<'a>(
    field: Field,
    scanner: &mut Scanner<'a>,
    fields: &mut Fields<'a>,
    dates: &mut Vec<IsoDate>,
) -> Option<()> {
    let known = match field {
        Field::Other => return scanner.pass_value(),
        Field::Known(known) => Some(known),
        Field::Received => Some(Known::Received),
        Field::Date => None,
    };
    let value = scanner.value()?;
    if let Some(known) = known {
        fields.note(known, value);
    }
    if matches!(field, Field::Received | Field::Date)
        && let Some(at) = value.text().as_deref().and_then(date::iso)
    {
        let end = scanner.position();
        dates.push(IsoDate {
            range: end - value.json.len()..end,
            at,
        });
    }
    Some(())
}
