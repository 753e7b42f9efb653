//! The envelope around the rows of a page, in every dialect of both services.

use bytes::Bytes;
use rows::{
    Damage, RowKeyer, Window,
    json::Scanner,
    reader::{RowReader, Rows},
};
use serde::de::IgnoredAny;

use super::{
    complaint::{self, Complaint, without_mark},
    errors::Unreadable,
    mend, row,
};

/// More rows than any page has (2000 or 5000), so that a hostile answer cannot fill the memory.
const MAX_ROWS: usize = 200_000;

/// The text of an answer.
pub(super) fn text(body: &[u8]) -> Result<&str, Unreadable> {
    simdutf8::basic::from_utf8(body).map_err(|_| Unreadable::NotUtf8)
}

/// A page as it arrived: its rows as stretches of the answer's text, and the text of the link.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) rows: Rows,
    pub(super) next: Option<String>,
}

impl Envelope {
    /// Reads a successful answer to a query for a window, or for none; when it is not strict JSON, as much
    /// of it as can be read for certain, with what was wrong. With the text that it was read from.
    pub(super) fn read_or_mend(
        body: Bytes,
        window: Option<Window>,
        keyer: &RowKeyer,
        secrets: &[&str],
    ) -> Result<(Bytes, Self, Option<Damage>), Unreadable> {
        let error = match Self::read(&body, keyer, secrets) {
            Ok(envelope) => return Ok((body, envelope, None)),
            Err(error) => error,
        };
        let read = |text: &[u8]| Self::read(text, keyer, secrets).ok();
        let Some(mended) = mend::mend(&body, window, keyer, |text| read(text).is_some()) else {
            return Err(error);
        };
        let Some(mut envelope) = read(&mended.text) else {
            return Err(error);
        };
        for (index, key) in &mended.keys {
            if let Some(row) = envelope.rows.spans.get_mut(*index) {
                row.key = *key;
            }
        }
        let damage = Damage {
            sentence: error.to_string(),
            mended: mended.keys.into_iter().map(|(_, key)| key).collect(),
            broken: mended.broken,
        };
        Ok((mended.text.into(), envelope, Some(damage)))
    }

    /// Reads a successful answer.
    ///
    /// # Errors
    /// When it is not certain to be a whole page: an answer that is cut, garbled, no JSON, reports
    /// an error or has no list of rows is never taken for an empty page. What it says instead is
    /// told without `secrets`.
    pub(super) fn read(
        body: &[u8],
        keyer: &RowKeyer,
        secrets: &[&str],
    ) -> Result<Self, Unreadable> {
        let text = text(body)?;
        let mut scanner = Scanner::starting_at(text, body.len() - without_mark(body).len());
        if scanner.peek() == Some(b'<') {
            return Err(Unreadable::Markup {
                title: complaint::title(text, secrets),
            });
        }
        let mut parts = Parts::new(text, keyer);
        let passed = parts.outer(&mut scanner);
        if passed.is_none() || scanner.peek().is_some() {
            return Err(parts.unreadable(text, scanner.position()));
        }
        if let Some(error) = parts.error {
            // Of the rest, nothing is told: rows may stand in it.
            let complaint = Complaint::of_member(error, secrets);
            return Err(Unreadable::ErrorInside(complaint.to_string()));
        }
        if !parts.has_rows {
            let complaint = Complaint::read(body, secrets);
            return Err(Unreadable::NoRows(complaint.to_string()));
        }
        Ok(Self {
            rows: parts.reader.into_rows(),
            next: parts.next,
        })
    }
}

/// Whether a member of an envelope leads to the next page. Versions of OData spell it in several ways, and
/// what came after a link that is passed over would be lost.
fn is_next_link(name: &str) -> bool {
    let name = name.trim_start_matches('@');
    let spellings = ["nextLink", "odata.nextLink", "__next"];
    let mut spellings = spellings.iter();
    spellings.any(|spelling| name.eq_ignore_ascii_case(spelling))
}

/// What an envelope may hold, at either of its two levels. Where one of its methods gives nothing,
/// the text is no page.
struct Parts<'a> {
    reader: RowReader<'a>,
    has_rows: bool,
    next: Option<String>,
    /// The JSON of the member that reports an error.
    error: Option<&'a str>,
    /// Whether the last thing read was an element of a list of rows that is no object.
    is_no_row: bool,
}

impl<'a> Parts<'a> {
    fn new(text: &'a str, keyer: &RowKeyer) -> Self {
        Self {
            reader: RowReader::new(text, *keyer, row::field),
            has_rows: false,
            next: None,
            error: None,
            is_no_row: false,
        }
    }

    fn outer(&mut self, scanner: &mut Scanner<'a>) -> Option<()> {
        scanner.object(|scanner, name| match name {
            // The rows of the light dialect and of Graph.
            "value" => self.list(scanner),
            // The verbose dialect's wrapping: the rows themselves, or an object around them.
            "d" => match scanner.peek()? {
                b'[' => self.list(scanner),
                b'{' => self.inner(scanner),
                _ => is_null(scanner)?.then_some(()),
            },
            name if is_next_link(name) => self.link(scanner),
            "error" | "odata.error" => {
                let error = scanner.value()?.json;
                self.error = self.error.or((error != "null").then_some(error));
                Some(())
            }
            _ => scanner.value().map(|_| ()),
        })
    }

    fn inner(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        scanner.object(|scanner, name| match name {
            "results" if scanner.peek()? == b'[' => self.list(scanner),
            // Null stands for a list without rows here.
            "results" => {
                self.has_rows = true;
                is_null(scanner)?.then_some(())
            }
            name if is_next_link(name) => self.link(scanner),
            _ => scanner.value().map(|_| ()),
        })
    }

    fn list(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        self.has_rows = true;
        scanner.array(|scanner| {
            if self.reader.rows().spans.len() == MAX_ROWS {
                return None;
            }
            self.is_no_row = scanner.peek()? != b'{';
            let end = self.reader.read(scanner.position())?;
            scanner.go_to(end);
            Some(())
        })
    }

    fn link(&mut self, scanner: &mut Scanner<'_>) -> Option<()> {
        let value = scanner.value()?;
        if value.json == "null" {
            return Some(());
        }
        let next = value.string()?;
        if next.is_empty() {
            return Some(());
        }
        // Which of two links leads to the rest is not certain.
        let is_the_same = self.next.as_ref().is_none_or(|known| *known == next);
        self.next = Some(next.into_owned());
        is_the_same.then_some(())
    }

    /// Why a text that could be read up to a place is no page.
    fn unreadable(&self, text: &str, place: usize) -> Unreadable {
        let json = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Err(error) = serde_json::from_str::<IgnoredAny>(json) {
            return Unreadable::json(&error, json.len());
        }
        if self.is_no_row {
            return Unreadable::RowNotAnObject;
        }
        not_a_page(text, place)
    }
}

/// That what stands at a place of a text is not what a page has there.
pub(super) fn not_a_page(text: &str, place: usize) -> Unreadable {
    let before = text.get(..place).unwrap_or(text);
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Unreadable::NotAPage {
        line: before.matches('\n').count() + 1,
        column: before.len() - line_start + 1,
    }
}

/// Passes a value. Whether it is null.
fn is_null(scanner: &mut Scanner<'_>) -> Option<bool> {
    scanner.value().map(|value| value.json == "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(text: &str) -> Result<Envelope, Unreadable> {
        Envelope::read(text.as_bytes(), &RowKeyer::new([3; 16]), &[])
    }

    fn read(text: &str) -> (Vec<&str>, Option<String>) {
        let envelope = envelope(text).unwrap();
        let rows = envelope
            .rows
            .spans
            .iter()
            .map(|row| text.get(row.range()).unwrap());
        (rows.collect(), envelope.next)
    }

    #[test]
    fn reads_every_dialect() {
        let rows = vec![r#"{"a":1}"#, "{ }"];
        let next = Some("x?y".to_owned());
        for text in [
            r#"{"odata.metadata":"m","value":[{"a":1} , { }],"odata.nextLink":"x?y"}"#,
            r#"{"@odata.nextLink":"x?y","value":[{"a":1},{ }]}"#,
            r#"{"d":{"results":[{"a":1},{ }],"__next":"x\u003fy"}}"#,
            r#"{"d":{"@odata.nextLink":"x?y","results":[{"a":1},{ }]}}"#,
            r#"{"value":[{"a":1},{ }],"@nextLink":"x?y"}"#,
            r#"{"value":[{"a":1},{ }],"@odata.nextlink":"x?y"}"#,
            r#"{"value":[{"a":1},{ }],"@OData.NextLink":"x?y"}"#,
            r#"{"d":{"results":[{"a":1},{ }],"NextLink":"x?y"}}"#,
            "\u{feff}{\"d\":[{\"a\":1},{ }],\"odata.nextLink\":\"x?y\"}",
        ] {
            assert_eq!(read(text), (rows.clone(), next.clone()), "{text}");
        }
    }

    #[test]
    fn empty_pages_and_nulls() {
        for text in [
            r#"{"value":[]}"#,
            r#"{"d":[]}"#,
            r#"{"d":{"results":[],"__next":null}}"#,
            r#"{"d":{"results":null}}"#,
            r#"{"value":[],"error":null,"odata.nextLink":""}"#,
        ] {
            assert_eq!(read(text), (vec![], None), "{text}");
        }
        assert_eq!(
            read(r#"{"value":[],"@odata.nextLink":"x"}"#).1.as_deref(),
            Some("x")
        );
    }

    #[test]
    fn no_row_of_a_doubled_list_is_lost() {
        assert_eq!(read(r#"{"value":[{}],"value":[{}]}"#).0.len(), 2);
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        type Check = fn(&Unreadable) -> bool;
        let cases: &[(&str, Check)] = &[
            ("", |e| matches!(e, Unreadable::Cut { bytes: 0 })),
            (r#"{"value":[{"a":1},{"a"#, |e| {
                matches!(e, Unreadable::Cut { .. })
            }),
            (r#"{"value":[{}]"#, |e| matches!(e, Unreadable::Cut { .. })),
            (r#"{"value":[{}]}x"#, |e| {
                matches!(e, Unreadable::NotJson { .. })
            }),
            (r#"{"value":[{"a" 1}]}"#, |e| {
                matches!(e, Unreadable::NotJson { .. })
            }),
            (r#"{"value":null}"#, |e| {
                matches!(e, Unreadable::NotAPage { .. })
            }),
            (r#"{"value":{}}"#, |e| {
                matches!(e, Unreadable::NotAPage { .. })
            }),
            (" {\n\"value\":[{}, 1]}", |e| {
                matches!(e, Unreadable::RowNotAnObject)
            }),
            ("{\n\"value\": {}}", |e| {
                matches!(
                    e,
                    Unreadable::NotAPage {
                        line: 2,
                        column: 10
                    }
                )
            }),
            ("\u{feff}{\"value\": {}}", |e| {
                matches!(
                    e,
                    Unreadable::NotAPage {
                        line: 1,
                        column: 11
                    }
                )
            }),
            (r#"{"value":[],"odata.nextLink":5}"#, |e| {
                matches!(e, Unreadable::NotAPage { .. })
            }),
            // Two ways to the rest.
            (
                r#"{"value":[],"odata.nextLink":"a","@odata.nextLink":"b"}"#,
                |e| matches!(e, Unreadable::NotAPage { .. }),
            ),
            ("[]", |e| matches!(e, Unreadable::NotAPage { .. })),
            ("{}", |e| matches!(e, Unreadable::NoRows(_))),
            (r#"{"d":null}"#, |e| matches!(e, Unreadable::NoRows(_))),
            (r#"{"d":{}}"#, |e| matches!(e, Unreadable::NoRows(_))),
            (
                r#"{"ErrorCode":"","Message":"sorry"}"#,
                |e| matches!(e, Unreadable::NoRows(m) if m == "sorry"),
            ),
            (
                r#"{"error":{"code":"X","message":"sorry"}}"#,
                |e| matches!(e, Unreadable::ErrorInside(m) if m == "X: sorry"),
            ),
            (r#"{"value":[{}],"odata.error":{}}"#, |e| {
                matches!(e, Unreadable::ErrorInside(_))
            }),
            (
                r#"{"error":"sorry","odata.error":null}"#,
                |e| matches!(e, Unreadable::ErrorInside(m) if m.is_empty()),
            ),
            (
                "<html><title>Sign in</title></html>",
                |e| matches!(e, Unreadable::Markup { title: Some(t) } if t == "Sign in"),
            ),
        ];
        for (text, expected) in cases {
            let error = envelope(text).unwrap_err();
            assert!(expected(&error), "{text}: {error:?}");
        }
        let body = b"{\"value\":[\"\xff\"]}";
        let read = Envelope::read(body, &RowKeyer::new([3; 16]), &[]);
        assert_eq!(read, Err(Unreadable::NotUtf8));
    }

    #[test]
    fn an_error_beside_many_rows_is_told_without_them() {
        let row = r#"{"senderAddress":"ada@a.test","subject":"hunter2"}"#;
        let rows = vec![row; 2000].join(",");
        let error = r#"{"code":"UnifiedReportingTimeout","message":{"value":"Late."}}"#;
        for text in [
            format!(r#"{{"value":[{rows}],"odata.error":{error}}}"#),
            format!(r#"{{"error":{error},"value":[{rows}]}}"#),
        ] {
            let error = envelope(&text).unwrap_err();
            let said = "UnifiedReportingTimeout: Late.".to_owned();
            assert_eq!(error, Unreadable::ErrorInside(said));
            assert!(crate::Error::from(error).may_be_too_wide());
        }
        let error = envelope(&format!(r#"{{"rows":[{rows}]}}"#)).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(" bytes of JSON") && !said.contains("ada"),
            "{said}"
        );
    }

    #[test]
    fn a_link_stays_beside_others_that_are_empty_or_the_same() {
        for text in [
            r#"{"value":[],"@odata.nextLink":"a","odata.nextLink":""}"#,
            r#"{"@odata.nextLink":"","value":[],"@odata.nextLink":"a","__next":null}"#,
            r#"{"value":[],"@odata.nextLink":"a","@odata.nextLink":"a"}"#,
        ] {
            assert_eq!(read(text).1.as_deref(), Some("a"), "{text}");
        }
    }

    #[test]
    fn the_number_of_rows_is_bounded() {
        let page = |rows| format!("{{\"value\":[{}{{}}]}}", "{},".repeat(rows - 1));
        assert_eq!(
            envelope(&page(MAX_ROWS)).unwrap().rows.spans.len(),
            MAX_ROWS
        );
        assert!(envelope(&page(MAX_ROWS + 1)).is_err());
    }
}
