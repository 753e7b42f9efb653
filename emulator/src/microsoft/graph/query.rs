//! What a query of the message trace asks for, with the liberties that Graph takes with it.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::super::odata::{self, Token};
use crate::{
    Status, TraceRow,
    time::{MILLISECOND, Ticks, ticks},
};

/// Without a window, Graph answers for this long until now.
const DEFAULT_SPAN: TimeDelta = TimeDelta::hours(48);
/// The longest window of a query, but for a second.
const LONGEST: TimeDelta = TimeDelta::days(10);
/// How far back the service answers, from midnight UTC on.
pub(super) const OLDEST: TimeDelta = TimeDelta::days(90);

/// A condition on a property.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    property: String,
    /// `eq`, or the name of a function, in lower case.
    operator: String,
    value: String,
}

/// A filter: its window and the last condition on each property; `and` and `or` count alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    pub(super) conditions: Vec<Condition>,
}

/// A window in ticks, both ends included, as wide as the milliseconds that it touches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) from: Ticks,
    pub(super) to: Ticks,
}

impl Window {
    pub(super) fn new(from: Ticks, to: Ticks) -> Self {
        Self {
            from: (from + MILLISECOND - 1).div_euclid(MILLISECOND) * MILLISECOND,
            to: to.div_euclid(MILLISECOND) * MILLISECOND + MILLISECOND - 1,
        }
    }
}

const PROPERTIES: [&str; 10] = [
    "id",
    "senderaddress",
    "recipientaddress",
    "messageid",
    "receiveddatetime",
    "subject",
    "size",
    "fromip",
    "toip",
    "status",
];

impl Filter {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let tokens = odata::tokens(text).ok_or("There is an unterminated string literal.")?;
        let mut filter = Self::default();
        let mut rest = tokens.as_slice();
        loop {
            rest = match rest {
                [] => return Ok(filter),
                [Token::Open | Token::Close, rest @ ..] => rest,
                [Token::Word(word), rest @ ..] if is_any(word, &["and", "or", "not"]) => rest,
                [
                    Token::Word(property),
                    Token::Word(operator),
                    Token::Open,
                    rest @ ..,
                ] if operator.eq_ignore_ascii_case("in") => filter.one_of(property, rest)?,
                [
                    Token::Word(function),
                    Token::Open,
                    Token::Word(property),
                    Token::Comma,
                    value,
                    Token::Close,
                    rest @ ..,
                ] => {
                    filter.set(property, function, text_of(value)?)?;
                    rest
                }
                [
                    Token::Word(property),
                    Token::Word(operator),
                    value,
                    rest @ ..,
                ] => {
                    filter.set(property, operator, text_of(value)?)?;
                    rest
                }
                _ => return Err(String::from("Syntax error in the $filter.")),
            };
        }
    }

    /// Reads the values after `in (`, of which the last one counts.
    fn one_of<'a>(&mut self, property: &str, mut rest: &'a [Token]) -> Result<&'a [Token], String> {
        loop {
            rest = match rest {
                [Token::Close, rest @ ..] => return Ok(rest),
                [Token::Comma, rest @ ..] => rest,
                [value, rest @ ..] => {
                    self.set(property, "eq", text_of(value)?)?;
                    rest
                }
                [] => return Err(String::from("Syntax error in the $filter.")),
            };
        }
    }

    fn set(&mut self, property: &str, operator: &str, value: &str) -> Result<(), String> {
        let (name, operator) = (property.to_ascii_lowercase(), operator.to_ascii_lowercase());
        if !is_any(property, &PROPERTIES) {
            return Err(format!(
                "Could not find a property named '{property}' on type \
                 'microsoft.graph.exchangeMessageTrace'."
            ));
        }
        if name == "receiveddatetime" {
            let bound = match operator.as_str() {
                "ge" => &mut self.start,
                "le" => &mut self.end,
                _ => return Ok(()),
            };
            *bound = Some(odata::date(value).ok_or("The date is not valid.")?);
            return Ok(());
        }
        self.conditions
            .retain(|condition| condition.property != name);
        self.conditions.push(Condition {
            property: name,
            operator,
            value: value.to_owned(),
        });
        Ok(())
    }

    /// Whether it asks for one message.
    pub(super) fn has_id(&self) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.property == "id")
    }

    /// The window, checked as Graph does.
    pub(super) fn window(&self, now: DateTime<Utc>) -> Result<Window, String> {
        let (start, end) = match (self.start, self.end) {
            (None, None) => (now - DEFAULT_SPAN, now),
            (Some(start), Some(end)) => (start, end),
            (Some(_), None) => {
                return Err("EndDate is required when a StartDate is entered.".into());
            }
            (None, Some(_)) => {
                return Err("StartDate is required when an EndDate is entered.".into());
            }
        };
        let invalid = |message: String| format!("|System.ArgumentException|{message}");
        if end < start {
            return Err(invalid("The StartDate can't be after the EndDate.".into()));
        }
        if end - start > LONGEST + TimeDelta::seconds(1) {
            return Err(invalid(format!(
                "The interval between StartDate and EndDate can't be longer than {} days.",
                LONGEST.num_days()
            )));
        }
        let oldest = (now - OLDEST).date_naive();
        if start < oldest.and_time(NaiveTime::MIN).and_utc() {
            return Err(format!(
                "Invalid StartDate value. The StartDate can't be older than {} days from today.",
                OLDEST.num_days()
            ));
        }
        if end > now {
            return Err(invalid("The EndDate can't be in the future.".into()));
        }
        Ok(Window::new(ticks(start), ticks(end)))
    }
}

fn is_any(word: &str, of: &[&str]) -> bool {
    of.iter().any(|one| one.eq_ignore_ascii_case(word))
}

fn text_of(token: &Token) -> Result<&str, String> {
    match token {
        Token::Value(value) => Ok(value.text()),
        Token::Word(text) => Ok(text),
        _ => Err(String::from("Syntax error in the $filter.")),
    }
}

impl Condition {
    pub(super) fn meets(&self, row: &TraceRow) -> bool {
        let wanted = self.value.to_lowercase();
        let equal = |value: Option<&str>| value.unwrap_or_default().to_lowercase() == wanted;
        match self.property.as_str() {
            "id" => equal(Some(&row.trace_id.to_string())),
            "messageid" => equal(row.message_id.as_deref()),
            "senderaddress" => self.meets_address(&row.sender),
            "recipientaddress" => self.meets_address(&row.recipient),
            "status" => Status::parse(&wanted) == Some(row.status),
            "fromip" => equal(row.from_ip.as_deref()),
            "toip" => equal(row.to_ip.as_deref()),
            "subject" => {
                let subject = row.subject.as_deref().unwrap_or_default().to_lowercase();
                match self.operator.as_str() {
                    "contains" => subject.contains(&wanted),
                    "startswith" => subject.starts_with(&wanted),
                    "endswith" => subject.ends_with(&wanted),
                    _ => subject == wanted,
                }
            }
            _ => true,
        }
    }

    fn meets_address(&self, address: &str) -> bool {
        let (address, wanted) = (address.to_lowercase(), self.value.to_lowercase());
        if ["contains", "startswith", "endswith"].contains(&self.operator.as_str()) {
            return true;
        }
        match wanted.strip_prefix('*') {
            Some(domain) if domain.starts_with('@') => address.ends_with(domain),
            _ => address == wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewRow;

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn window(filter: &str) -> Result<Window, String> {
        Filter::read(filter)?.window(now())
    }

    fn sees(filter: &str, recipient: &str) -> bool {
        let row = NewRow::new(now(), recipient).subject("Hello World").row;
        let filter = Filter::read(filter).unwrap();
        filter
            .conditions
            .iter()
            .all(|condition| condition.meets(&row))
    }

    #[test]
    fn windows_are_checked() {
        let bounds = |start: &str, end: &str| {
            window(&format!(
                "receivedDateTime ge {start} and receivedDateTime le {end}"
            ))
        };
        assert!(bounds("2026-11-20T00:00:00Z", "2026-11-22T10:00:00.000Z").is_ok());
        assert!(bounds("2026-11-20T00:00:00Z", "2026-11-22T10:00:01Z").is_err());
        assert!(bounds("2026-11-10T00:00:00Z", "2026-11-20T00:00:02Z").is_err());
        assert!(bounds("2026-08-24T00:00:00Z", "2026-08-25T00:00:00Z").is_ok());
        assert!(bounds("2026-08-23T23:59:59Z", "2026-08-25T00:00:00Z").is_err());
        assert!(bounds("2026-11-20T00:00:01Z", "2026-11-20T00:00:00Z").is_err());
        assert_eq!(
            window("receivedDateTime ge 2026-11-20T00:00:00Z and receivedDateTime lt 2026-11-21"),
            Err(String::from(
                "EndDate is required when a StartDate is entered."
            ))
        );
        assert!(window("").is_ok());
    }

    #[test]
    fn operators_are_ignored_as_the_service_does() {
        let two = "(recipientAddress eq 'a@x.test' or recipientAddress eq 'b@x.test')";
        assert!(!sees(two, "a@x.test") && sees(two, "B@x.test"));
        let many = "recipientAddress in ('a@x.test','b@x.test')";
        assert!(!sees(many, "a@x.test") && sees(many, "b@x.test"));
        assert!(sees("startswith(recipientAddress,'zzz')", "a@x.test"));
        assert!(sees("recipientAddress eq '*@x.test'", "a@x.test"));
        assert!(!sees("recipientAddress eq 'a*@x.test'", "a@x.test"));
        assert!(sees("contains(subject,'WORLD')", "a@x.test"));
        assert!(!sees("startsWith(subject,'world')", "a@x.test"));
        assert!(Filter::read("nonsense eq 'x'").is_err());
        assert!(Filter::read("status eq").is_err());
    }
}
