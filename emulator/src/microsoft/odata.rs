//! The small part of OData's `$filter` that the services understand.

use chrono::{DateTime, NaiveDateTime, Utc};

/// A comparison of a property with a value, as in `Status eq 'Failed'`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) property: String,
    pub(crate) operator: String,
    pub(crate) value: Literal,
}

/// A value in a filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    /// A text, a number or `guid'…'`.
    Text(String),
    /// What is in the quotes of `datetime'…'`.
    Date(String),
}

impl Literal {
    /// The value as text, of each kind.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Date(text) => text,
        }
    }
}

/// A piece of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Word(String),
    Value(Literal),
    Open,
    Close,
    Comma,
}

/// Cuts a filter into its pieces; none when a quote is not closed.
pub(crate) fn tokens(filter: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = filter.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '(' | ')' | ',' => {
                rest.next();
                tokens.push(match next {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
            }
            '\'' => {
                rest.next();
                let text = quoted(&mut rest)?;
                let prefix = match tokens.last() {
                    Some(Token::Word(word)) => word.to_ascii_lowercase(),
                    _ => String::new(),
                };
                if ["datetime", "guid"].contains(&prefix.as_str()) {
                    tokens.pop();
                }
                tokens.push(Token::Value(match prefix.as_str() {
                    "datetime" => Literal::Date(text),
                    _ => Literal::Text(text),
                }));
            }
            blank if blank.is_whitespace() => {
                rest.next();
            }
            _ => {
                let mut word = String::new();
                while let Some(&next) = rest.peek() {
                    if next.is_whitespace() || "(),'".contains(next) {
                        break;
                    }
                    word.push(next);
                    rest.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Some(tokens)
}

/// The rest of a text in quotes, in which a quote is doubled.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '\'' if rest.peek() == Some(&'\'') => {
                rest.next();
                text.push('\'');
            }
            '\'' => return Some(text),
            other => text.push(other),
        }
    }
}

/// A filter that is nothing but comparisons joined by `and`; none when it is anything else.
pub(crate) fn conjunction(filter: &str) -> Option<Vec<Comparison>> {
    let tokens = tokens(filter)?;
    let tokens: Vec<_> = tokens
        .into_iter()
        .filter(|token| !matches!(token, Token::Open | Token::Close))
        .collect();
    tokens
        .split(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("and")))
        .map(|part| match part {
            [Token::Word(property), Token::Word(operator), value] => Some(Comparison {
                property: property.clone(),
                operator: operator.to_ascii_lowercase(),
                value: match value {
                    Token::Value(value) => value.clone(),
                    Token::Word(word) => Literal::Text(word.clone()),
                    _ => return None,
                },
            }),
            _ => None,
        })
        .collect()
}

/// A date in UTC, with or without `Z`, with up to nine fraction digits.
pub(crate) fn date(text: &str) -> Option<DateTime<Utc>> {
    let bare = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S%.f",
    ]
    .iter()
    .find_map(|format| NaiveDateTime::parse_from_str(bare, format).ok())
    .or_else(|| {
        let day = chrono::NaiveDate::parse_from_str(bare, "%Y-%m-%d").ok()?;
        day.and_hms_opt(0, 0, 0)
    })
    .map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conjunctions_are_read_with_quotes_and_dates() {
        let filter = "StartDate eq datetime'2026-11-22T10:00:00Z' and \
                      SenderAddress eq 'o''neil and sons@x.test' and Size gt 5";
        let parts = conjunction(filter).unwrap();
        assert_eq!(
            parts[0].value,
            Literal::Date(String::from("2026-11-22T10:00:00Z"))
        );
        assert_eq!(parts[1].value.text(), "o'neil and sons@x.test");
        assert_eq!(
            (parts[2].operator.as_str(), parts[2].value.text()),
            ("gt", "5")
        );
        assert_eq!(conjunction("Status eq 'open"), None);
        assert_eq!(conjunction("a eq 'x' or b eq 'y'"), None);
    }

    #[test]
    fn dates_are_read_in_every_form_in_use() {
        let at = |text: &str| date(text).unwrap().timestamp_micros();
        assert_eq!(at("2026-11-22T10:00:00Z"), at("2026-11-22T10:00:00"));
        assert_eq!(
            at("2026-11-22T10:00:00.123456Z") - at("2026-11-22T10:00"),
            123_456
        );
        assert_eq!(date("2026-11-22T10:00:00+02:00"), None);
    }
}
