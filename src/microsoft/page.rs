//! The envelope around the rows of a page, in every dialect of both services.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::{
    complaint::{self, Complaint},
    errors::Unreadable,
};

/// More rows than any page has (2000 or 5000), so that a hostile answer cannot fill the memory.
const MAX_ROWS: usize = 200_000;

/// A page as it arrived: its rows as stretches of the answer's text, and the text of the link.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) rows: Vec<&'a str>,
    pub(super) next: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// When it is not certain to be a whole page: an answer that is cut, garbled, no JSON, reports
    /// an error or has no list of rows is never taken for an empty page. What it says instead is
    /// told without `secrets`.
    pub(super) fn read(body: &'a [u8], secrets: &[&str]) -> Result<Self, Unreadable> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?;
        if text.trim_start().starts_with('<') {
            return Err(Unreadable::Markup {
                title: complaint::title(text, secrets),
            });
        }
        let parts: Parts<'a> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            match error.classify() {
                Category::Eof | Category::Io => Unreadable::Cut { bytes: text.len() },
                Category::Syntax => Unreadable::NotJson { line, column },
                Category::Data => Unreadable::NotAPage { line, column },
            }
        })?;
        let complaint = || Complaint::read(body, secrets).to_string();
        if parts.error {
            return Err(Unreadable::ErrorInside(complaint()));
        }
        Ok(Self {
            rows: parts.rows.ok_or_else(|| Unreadable::NoRows(complaint()))?,
            next: parts.next.filter(|text| !text.is_empty()),
        })
    }
}

/// What an envelope may hold, at either of its two levels.
#[derive(Default)]
struct Parts<'a> {
    rows: Option<Vec<&'a str>>,
    next: Option<String>,
    error: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Name {
    /// The rows of the light dialect and of Graph.
    #[serde(rename = "value")]
    Value,
    /// The verbose dialect's wrapping.
    #[serde(rename = "d")]
    Data,
    /// The rows inside of it.
    #[serde(rename = "results")]
    Results,
    #[serde(rename = "odata.nextLink", alias = "@odata.nextLink", alias = "__next")]
    Next,
    #[serde(rename = "error", alias = "odata.error")]
    Error,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Outer)
    }
}

struct Outer;

impl<'de> Visitor<'de> for Outer {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts::default();
        while let Some(name) = map.next_key()? {
            match name {
                Name::Value => parts.add_rows(map.next_value::<Rows<'de>>()?),
                Name::Data => {
                    let inner = map.next_value::<Data<'de>>()?.0;
                    if let Some(rows) = inner.rows {
                        parts.add_rows(Rows(rows));
                    }
                    parts.next = inner.next.or(parts.next);
                }
                Name::Next => parts.next = map.next_value::<Option<String>>()?.or(parts.next),
                Name::Error => parts.error |= map.next_value::<Option<IgnoredAny>>()?.is_some(),
                Name::Results | Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parts)
    }
}

impl<'a> Parts<'a> {
    fn add_rows(&mut self, Rows(rows): Rows<'a>) {
        self.rows.get_or_insert_default().extend(rows);
    }
}

/// What stands under `d`: the rows themselves, or an object around them.
struct Data<'a>(Parts<'a>);

impl<'de> Deserialize<'de> for Data<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Inner).map(Self)
    }
}

struct Inner;

impl<'de> Visitor<'de> for Inner {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or an object with one")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Parts::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Ok(Parts {
            rows: Some(RowList.visit_seq(seq)?.0),
            ..Parts::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts::default();
        while let Some(name) = map.next_key()? {
            match name {
                // Null stands for a list without rows here.
                Name::Results => {
                    parts.add_rows(map.next_value::<Option<Rows<'de>>>()?.unwrap_or_default());
                }
                Name::Next => parts.next = map.next_value::<Option<String>>()?.or(parts.next),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parts)
    }
}

#[derive(Default)]
struct Rows<'a>(Vec<&'a str>);

impl<'de> Deserialize<'de> for Rows<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowList)
    }
}

struct RowList;

impl<'de> Visitor<'de> for RowList {
    type Value = Rows<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element::<&'de RawValue>()? {
            if rows.len() == MAX_ROWS {
                return Err(A::Error::custom("too many rows"));
            }
            rows.push(row.get());
        }
        Ok(Rows(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<&str>, Option<String>) {
        let envelope = Envelope::read(text.as_bytes(), &[]).unwrap();
        (envelope.rows, envelope.next)
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
            (r#"{"value":[],"odata.nextLink":5}"#, |e| {
                matches!(e, Unreadable::NotAPage { .. })
            }),
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
                "<html><title>Sign in</title></html>",
                |e| matches!(e, Unreadable::Markup { title: Some(t) } if t == "Sign in"),
            ),
        ];
        for (text, expected) in cases {
            let error = Envelope::read(text.as_bytes(), &[]).unwrap_err();
            assert!(expected(&error), "{text}: {error:?}");
        }
        assert!(matches!(
            Envelope::read(b"{\"value\":[\"\xff\"]}", &[]),
            Err(Unreadable::NotUtf8)
        ));
    }

    #[test]
    fn the_number_of_rows_is_bounded() {
        let text = format!("{{\"value\":[{}1]}}", "1,".repeat(MAX_ROWS));
        assert!(Envelope::read(text.as_bytes(), &[]).is_err());
    }
}
