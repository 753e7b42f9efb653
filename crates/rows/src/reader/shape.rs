//! What rows have in common, so that they are recognized rather than read.

use super::{
    IsoDate,
    fields::{Field, Fields, Note},
    note_iso_date,
};
use crate::{json::Extent, literal::Literal};

/// Rows with more values than this are read, not recognized: a shape costs a hundred times as much
/// memory as the shortest value, and rows of the services have a dozen.
const MOST_VALUES: usize = 64;

/// What stands before each value, what the value is, and what stands behind the last. Nearly all
/// rows of an answer agree in that.
#[derive(Debug, Default)]
pub(super) struct Shape {
    values: Vec<ValueShape>,
    end: Literal,
    /// Too many values to recognize rows by: no row has this shape.
    is_unwieldy: bool,
}

/// What stands before a value, and where the value is noted.
#[derive(Debug)]
struct ValueShape {
    before: Literal,
    /// Where the value is noted.
    note: Note,
    is_date: bool,
}

impl Shape {
    /// A value comes next, and this before it.
    pub(super) fn push(&mut self, before: &str, field: Field) {
        if self.values.len() >= MOST_VALUES {
            self.is_unwieldy = true;
            return;
        }
        self.values.push(ValueShape {
            before: Literal::new(before),
            note: Note::of(field),
            is_date: field.is_date(),
        });
    }

    /// This stands behind the last value.
    pub(super) fn end(&mut self, end: &str) {
        if self.is_unwieldy {
            *self = Self::default();
        } else {
            self.end = Literal::new(end);
        }
    }

    /// Notes the values of a row of this shape that begins at a place; the place behind it.
    #[inline]
    pub(super) fn recognize(
        &self,
        text: &str,
        start: usize,
        fields: &mut Fields<'_>,
        dates: &mut Vec<IsoDate>,
    ) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut at = start;
        for value in &self.values {
            at = value.before.behind(bytes, at)?;
            let extent = Extent::of_value(text, at)?;
            fields.note(value.note, at, extent);
            if value.is_date && !is_verbose(bytes, at) {
                note_iso_date(extent.since(at, text)?, extent.end, dates);
            }
            at = extent.end;
        }
        let end = self.end.behind(bytes, at)?;
        (end > start).then_some(end)
    }
}

/// Whether the value at a place certainly is no date in ISO form: it begins with a slash, which may be
/// escaped.
#[inline]
fn is_verbose(text: &[u8], at: usize) -> bool {
    matches!(text.get(at + 1..at + 3), Some([b'/', _] | [b'\\', b'/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_very_many_values_have_no_shape() {
        let mut shape = Shape::default();
        for _ in 0..MOST_VALUES {
            shape.push("{\"a\":", Field::Other);
        }
        shape.end("}");
        assert_eq!(shape.values.len(), MOST_VALUES);
        for _ in 0..10 * MOST_VALUES {
            shape.push("{\"a\":", Field::Other);
        }
        assert_eq!(shape.values.len(), MOST_VALUES);
        shape.end("}");
        assert!(shape.values.is_empty());
        let text = "{\"a\":1}";
        let found = shape.recognize(text, 0, &mut Fields::new(text), &mut Vec::new());
        assert_eq!(found, None);
    }
}
