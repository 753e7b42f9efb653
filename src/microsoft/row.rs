//! What is read of a row: its key, when its message was received, and the dates to rewrite.
//!
//! The row itself goes on as text; only the dates of the light dialect are written anew, since the
//! intake format reads `/Date(milliseconds)/` and nothing else.

mod fields;

use std::ops::Range;

use chrono::{DateTime, Utc};

use self::fields::{Field, Fields, Known};
use super::{date, errors::Unreadable, graph};
use crate::{Page, RowKey, RowKeyer, json::Scanner, row::Status};

/// What becomes of the text of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It stays, byte for byte.
    Verbatim,
    /// ISO dates in `Received`, `StartDate` and `EndDate` become `/Date(milliseconds)/`; all else
    /// stays, byte for byte.
    VerboseDates,
    /// Rows of Graph become rows of the Reporting Web Service.
    Renamed,
}

/// A row as it stands in its page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it is.
    pub(super) span: Range<usize>,
    key: RowKey,
    received: Option<DateTime<Utc>>,
    /// Where the values of date fields in ISO form are, from the beginning of the row, and what
    /// they mean.
    iso_dates: Vec<(Range<usize>, DateTime<Utc>)>,
}

/// Reads rows, one after the other.
#[derive(Debug)]
pub(super) struct RowReader {
    keyer: RowKeyer,
    shape: Shape,
    /// Most rows have the status of the one before.
    status: (String, Status),
}

/// What rows have in common: what stands before each value, what the value is, and what stands
/// behind the last. Nearly all rows of an answer agree in that, so it is recognized rather than
/// read.
#[derive(Debug, Default)]
struct Shape {
    values: Vec<(String, Field)>,
    end: String,
}

/// A row of which not all is read.
#[derive(Default)]
struct Draft<'a> {
    fields: Fields<'a>,
    iso_dates: Vec<(Range<usize>, DateTime<Utc>)>,
}

impl<'a> Draft<'a> {
    /// Reads the value that is next in a row that begins at `start`.
    #[inline]
    fn value(&mut self, field: Field, start: usize, scanner: &mut Scanner<'a>) -> Option<()> {
        let known = match field {
            Field::Other => return scanner.pass_value(),
            Field::Known(known) => Some(known),
            Field::Received => Some(Known::Received),
            Field::Date => None,
        };
        let value = scanner.value()?;
        if let Some(known) = known {
            self.fields.note(known, value);
        }
        if matches!(field, Field::Received | Field::Date)
            && let Some(at) = value.text().as_deref().and_then(date::iso)
        {
            let end = scanner.position() - start;
            self.iso_dates.push((end - value.json.len()..end, at));
        }
        Some(())
    }
}

impl RowReader {
    pub(super) fn new(keyer: RowKeyer) -> Self {
        Self {
            keyer,
            shape: Shape::default(),
            status: (String::new(), Status::of("")),
        }
    }

    /// Reads the row that is next, an object.
    #[inline]
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Option<Row> {
        scanner.next()?;
        let start = scanner.position();
        let row = match self.recognize(start, scanner) {
            Some(row) => row,
            None => {
                scanner.go_back(start);
                self.learn(start, scanner)?
            }
        };
        let received = row.fields.received();
        Some(Row {
            span: start..scanner.position(),
            key: RowKey::of(row.fields.message(received, &self.keyer), self.status(&row)),
            received,
            iso_dates: row.iso_dates,
        })
    }

    fn status(&mut self, row: &Draft<'_>) -> Status {
        let text = row.fields.status().unwrap_or_default();
        if self.status.0 != text {
            let status = Status::of(&text);
            self.status = (text.into_owned(), status);
        }
        self.status.1
    }

    /// Reads a row like the last that was learned from.
    #[inline]
    fn recognize<'a>(&self, start: usize, scanner: &mut Scanner<'a>) -> Option<Draft<'a>> {
        let mut row = Draft::default();
        for (before, field) in &self.shape.values {
            scanner.pass_text(before)?;
            row.value(*field, start, scanner)?;
        }
        scanner.pass_text(&self.shape.end)?;
        (scanner.position() > start).then_some(row)
    }

    /// Reads any row, and keeps how it is made.
    fn learn<'a>(&mut self, start: usize, scanner: &mut Scanner<'a>) -> Option<Draft<'a>> {
        let mut row = Draft::default();
        let mut shape = Shape::default();
        // Where the last value ended.
        let mut end = start;
        scanner.object(|scanner, name| {
            let field = Field::named(name);
            // An object with nothing to read in it is part of the shape, its values are not.
            if field == Field::Other && scanner.next()? == b'{' {
                return scanner.object(|scanner, _| {
                    scanner.next()?;
                    shape.values.push((scanner.since(end)?.to_owned(), field));
                    scanner.pass_value()?;
                    end = scanner.position();
                    Some(())
                });
            }
            scanner.next()?;
            shape.values.push((scanner.since(end)?.to_owned(), field));
            row.value(field, start, scanner)?;
            end = scanner.position();
            Some(())
        })?;
        shape.end = scanner.since(end)?.to_owned();
        self.shape = shape;
        Some(row)
    }
}

impl Row {
    /// Appends the row with its ISO dates as `/Date(milliseconds)/`.
    fn rewrite(&self, row: &str, to: &mut String) {
        let mut from = 0;
        for (span, at) in &self.iso_dates {
            to.push_str(row.get(from..span.start).unwrap_or_default());
            to.push('"');
            to.push_str(&date::verbose_text(*at));
            to.push('"');
            from = span.end;
        }
        to.push_str(row.get(from..).unwrap_or_default());
    }
}

/// A page of rows, ready for the intake.
///
/// Its rows are stretches of `text` where nothing is to be changed, else of one new text. A row
/// without a readable date or key is kept, too.
///
/// # Errors
/// When a row is not a JSON object.
pub(super) fn page<L>(
    text: String,
    rows: Vec<Row>,
    next: Option<L>,
    form: Form,
) -> Result<Page<L>, Unreadable> {
    let is_unchanged = match form {
        Form::Verbatim => true,
        Form::VerboseDates => rows.iter().all(|row| row.iso_dates.is_empty()),
        Form::Renamed => false,
    };
    if is_unchanged {
        return fill(Page::new(text, next), rows);
    }
    let mut changed = String::with_capacity(text.len());
    let mut moved = Vec::with_capacity(rows.len());
    for row in rows {
        let start = changed.len();
        let old = text.get(row.span.clone()).unwrap_or_default();
        match form {
            Form::Renamed => graph::rewrite(old, &mut changed)?,
            Form::Verbatim | Form::VerboseDates => row.rewrite(old, &mut changed),
        }
        moved.push(Row {
            span: start..changed.len(),
            ..row
        });
    }
    fill(Page::new(changed, next), moved)
}

fn fill<L>(mut page: Page<L>, rows: Vec<Row>) -> Result<Page<L>, Unreadable> {
    for row in rows {
        if !page.push(row.span, row.key, row.received) {
            return Err(Unreadable::RowNotAnObject);
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
