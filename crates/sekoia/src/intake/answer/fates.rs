//! What an answer says of single events. How it tells refused events from accepted ones is not
//! documented (W-04), so every plausible form is understood.

use std::collections::{BTreeMap, BTreeSet};

use rows::json::Scanner;
use serde_json::{Map, Value};

use super::Outcome;

/// What became of the events of a request. Those not named here are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::intake) struct Fates {
    /// Refused ones, by index in the request, and why.
    pub(in crate::intake) refused: BTreeMap<usize, String>,
    /// Those of which the answer says something that is not understood.
    pub(in crate::intake) unclear: BTreeSet<usize>,
}

impl Fates {
    /// How many of so many events are accepted.
    pub(in crate::intake) fn accepted(&self, count: usize) -> usize {
        count.saturating_sub(self.refused.len() + self.unclear.len())
    }

    /// What is said where none is.
    pub(in crate::intake) fn refusal(&self) -> String {
        let reason = self.refused.values().next();
        let reason = reason.map_or("no reason given", String::as_str);
        format!("the intake refuses each event of a request: {reason}")
    }
}

/// Lists that tell of failures alone.
const FAILURES: [&str; 4] = ["errors", REJECTED, "failed", "failures"];

/// The one of them that may hold positions alone. Of the others a number may be a status.
const REJECTED: &str = "rejected";

/// Lists that tell of each event.
const STATUSES: [&str; 6] = [
    "statuses",
    "status",
    "results",
    "events",
    "items",
    "responses",
];

/// Words for what is accepted, and parts of words for what is not.
const GOOD: [&str; 8] = [
    "ok",
    "accepted",
    "success",
    "succeeded",
    "created",
    "ingested",
    "stored",
    "received",
];
const BAD: [&str; 8] = [
    "error", "fail", "reject", "refus", "invalid", "drop", "too", "denied",
];

/// What is said of one event in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Accepted,
    Refused(String),
    Unclear,
}

/// Reads the body of an answer to `count` events; none when it proves nothing.
pub(super) fn read(body: &[u8], count: usize) -> Option<Outcome> {
    let text = str::from_utf8(body).ok()?;
    if let Some(fields) = members(text) {
        return of_object(&fields, count);
    }
    let items: Vec<Value> = serde_json::from_str(text).ok()?;
    let fates = told(items.iter().map(word)).filter(|_| items.len() == count);
    fates.map(Outcome::Told)
}

/// The members of an object that has each name once: which of two values counts, nobody can say.
fn members(text: &str) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    let mut scanner = Scanner::new(text);
    scanner.object(|scanner, name| {
        let value = serde_json::from_str(scanner.value()?.json).ok()?;
        members
            .insert(name.to_owned(), value)
            .is_none()
            .then_some(())
    })?;
    scanner.peek().is_none().then_some(members)
}

fn of_object(fields: &Map<String, Value>, count: usize) -> Option<Outcome> {
    let ids = fields.get("event_ids").and_then(Value::as_array);
    if count == 0 {
        let is_certain = ids.is_some_and(Vec::is_empty);
        return is_certain.then(|| Outcome::Told(Fates::default()));
    }
    let list = |name: &str| fields.get(name).and_then(Value::as_array);
    let mut words: Vec<Option<Word>> = vec![None; count];
    if let Some(ids) = ids.filter(|ids| ids.len() == count) {
        words = ids.iter().map(|id| Some(identifier(id))).collect();
    }
    let statuses = STATUSES.into_iter().filter_map(list);
    for statuses in statuses.filter(|items| items.len() == count) {
        for (known, item) in words.iter_mut().zip(statuses) {
            *known = Some(stronger(known.take(), word(item)));
        }
    }
    let mut failures = BTreeMap::new();
    for name in FAILURES {
        let items = list(name).map_or(&[][..], Vec::as_slice);
        failures.extend(listed(name, items, count));
    }
    // Identifiers of all others, and a list of failures that says which have none.
    if let Some(ids) = ids
        && ids.len() + failures.len() == count
        && ids.iter().all(|id| identifier(id) == Word::Accepted)
    {
        for known in &mut words {
            known.get_or_insert(Word::Accepted);
        }
    }
    for (index, reason) in failures {
        if let Some(known) = words.get_mut(index) {
            *known = Some(Word::Refused(reason));
        }
    }
    // An event that nothing is said of is unclear; when nothing is said of any, so is the answer.
    let words = words.into_iter();
    let fates = told(words.map(|known| known.unwrap_or(Word::Unclear)));
    // There may be identifiers that the words know nothing of.
    let is_short =
        |accepted: usize| ids.is_some_and(|ids| accepted < ids.len() && ids.len() < count);
    if let Some(fates) = fates.filter(|fates| !is_short(fates.accepted(count))) {
        return Some(Outcome::Told(fates));
    }
    let ids = ids.map_or(0, |ids| {
        let known = ids.iter().filter(|id| identifier(id) == Word::Accepted);
        known.count()
    });
    (0 < ids && ids < count).then_some(Outcome::Short(ids))
}

/// The sum of words for each event; none when they prove nothing of any.
fn told(words: impl Iterator<Item = Word>) -> Option<Fates> {
    let mut fates = Fates::default();
    let mut count = 0;
    for (index, word) in words.enumerate() {
        count += 1;
        match word {
            Word::Accepted => {}
            Word::Refused(reason) => _ = fates.refused.insert(index, reason),
            Word::Unclear => _ = fates.unclear.insert(index),
        }
    }
    (fates.unclear.len() < count).then_some(fates)
}

/// A failure outweighs an identifier, and any of both what is not understood.
fn stronger(known: Option<Word>, other: Word) -> Word {
    match (known, other) {
        (_, refused @ Word::Refused(_)) | (Some(refused @ Word::Refused(_)), _) => refused,
        (Some(Word::Accepted), _) | (_, Word::Accepted) => Word::Accepted,
        (_, Word::Unclear) => Word::Unclear,
    }
}

/// An item of `event_ids`.
fn identifier(item: &Value) -> Word {
    match item {
        Value::String(id) if !id.trim().is_empty() => Word::Accepted,
        other => word(other),
    }
}

/// What an item says of its event.
fn word(item: &Value) -> Word {
    match item {
        Value::Null => Word::Refused("no identifier was given to it".to_owned()),
        Value::Number(_) | Value::String(_) => of_status(item, item),
        Value::Object(fields) => {
            let is_there = |name: &str| fields.get(name).is_some_and(|value| !is_nothing(value));
            if let Some(status) = ["status", "status_code", "code"]
                .iter()
                .find_map(|name| fields.get(*name).filter(|value| !value.is_null()))
            {
                return of_status(status, item);
            }
            if is_there("error") || is_there("errors") {
                return Word::Refused(reason(item));
            }
            let is_named = ["event_id", "id", "uuid"].iter().any(|name| {
                let id = fields.get(*name).and_then(Value::as_str);
                id.is_some_and(|id| !id.trim().is_empty())
            });
            if is_named {
                Word::Accepted
            } else {
                Word::Unclear
            }
        }
        _ => Word::Unclear,
    }
}

fn of_status(status: &Value, item: &Value) -> Word {
    let number = match status {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    };
    match number {
        Some(200..300) => return Word::Accepted,
        Some(400..600) => return Word::Refused(reason(item)),
        Some(_) => return Word::Unclear,
        None => {}
    }
    let text = status
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if GOOD.contains(&text.as_str()) {
        Word::Accepted
    } else if BAD.iter().any(|bad| text.contains(bad)) {
        Word::Refused(reason(item))
    } else {
        Word::Unclear
    }
}

/// The failed events of a list of failures: items with an index, or one for each event.
fn listed(name: &str, items: &[Value], count: usize) -> BTreeMap<usize, String> {
    if name == REJECTED
        && let Some(positions) = bare_positions(items, count)
    {
        let unexplained = |index| (index, reason(&Value::Null));
        return positions.into_iter().map(unexplained).collect();
    }
    let positions: Vec<_> = items.iter().map(position).collect();
    if positions.iter().any(Option::is_some) {
        let items = positions.into_iter().zip(items);
        let known = items.filter_map(|(index, item)| Some((index?, reason(item))));
        return known.filter(|(index, _)| *index < count).collect();
    }
    // What else a number may be is not certain: a position, a status of one event, or a sum.
    let is_odd = |item: &Value| item.is_number() && !is_refusal(item);
    if items.len() != count || items.iter().any(is_odd) {
        return BTreeMap::new();
    }
    let items = items.iter().enumerate();
    items
        .filter(|(_, item)| !is_nothing(item))
        .map(|(index, item)| (index, reason(item)))
        .collect()
}

/// The position that an item names.
fn position(item: &Value) -> Option<usize> {
    let number = ["index", "position", "event_index"]
        .iter()
        .find_map(|name| item.get(*name))?;
    usize::try_from(number.as_u64()?).ok()
}

/// Numbers that can only be positions: each of another event of the request, and none that may be a
/// status.
fn bare_positions(items: &[Value], count: usize) -> Option<BTreeSet<usize>> {
    let positions = items.iter().map(|item| {
        let number = usize::try_from(item.as_u64()?).ok()?;
        (number < count && !is_refusal(item)).then_some(number)
    });
    let positions: BTreeSet<usize> = positions.collect::<Option<_>>()?;
    (positions.len() == items.len()).then_some(positions)
}

/// Whether it may be the status of a refusal.
fn is_refusal(item: &Value) -> bool {
    matches!(item.as_u64(), Some(400..600))
}

/// Whether that tells of no failure in the place of one: an accepted event may have an empty list of errors.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn reason(item: &Value) -> String {
    let said = ["error", "reason", "message", "detail", "status"]
        .iter()
        .find_map(|name| item.get(*name).filter(|value| !is_nothing(value)));
    let said = said.or(Some(item).filter(|item| item.is_string() || item.is_number()));
    let Some(said) = said else {
        return "no reason given".to_owned();
    };
    let text = said
        .as_str()
        .map_or_else(|| said.to_string(), str::to_owned);
    super::first_words(&text)
}
