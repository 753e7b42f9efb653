//! What was delivered: for every row and status, how often.

mod compare;
mod freshness;
mod open;
mod verdict;

use std::collections::HashMap;

use chrono::TimeDelta;
use freshness::Arrival;
use open::Open;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use freshness::{Delays, Freshness};
pub use verdict::{Examples, Scope, Unasked, Verdict, Version};

use crate::{
    Discretion, Status, TraceRow, Unreadable,
    microsoft::details,
    rows::{Life, Rows, Slot},
    time::Ticks,
};

/// Examples that are kept of each kind of finding.
const EXAMPLES: usize = 20;

/// What is known about the deliveries of a row, one bit for each status.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    delivered: u16,
    /// Delivered as far as it could be read.
    forgiven: u16,
    rejected: u16,
}

/// The deliveries to one intake key.
#[derive(Debug, Default)]
struct Account {
    marks: HashMap<u32, Vec<Marks>>,
    /// Deliveries of a row and status beyond the first.
    surplus: HashMap<(Slot, Status), u32>,
    accepted: u64,
    /// Of rows that were not visible from the start.
    rows: Vec<Arrival>,
    /// Of statuses that a delivered row had later.
    changes: Vec<Arrival>,
    /// Deliveries in requests whose answer has not left.
    open: HashMap<Accepted, Open>,
    doubled: Examples<Version>,
    doubled_unacknowledged: Examples<Version>,
    unasked: Examples<Unasked>,
}

/// Every delivery, and what the services showed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<String, Account>,
    /// How many requests have brought events.
    requests: u64,
    /// When answers left that accept events, and how many each accepts.
    acknowledged: Vec<(Ticks, usize)>,
    /// Freshness is about what can be seen from then on.
    fresh_from: Ticks,
    /// Statuses with which a row was shown, by bucket.
    shown: HashMap<u32, Vec<u16>>,
    /// The rows that were not shown as they are.
    odd: HashMap<Slot, Odd>,
}

/// How a row was shown that was not shown as it is.
#[derive(Clone, Debug, Default)]
struct Odd {
    /// The statuses with which it was no strict JSON.
    unreadable: u16,
    /// What its subject seemed to begin with.
    begins: Vec<&'static str>,
    /// Whether it had another date than its own.
    misdated: bool,
}

/// A row and status that an intake has accepted.
pub(crate) type Accepted = (Slot, Status);

fn cell<T: Clone + Default>(table: &mut HashMap<u32, Vec<T>>, slot: Slot) -> &mut T {
    let cells = table.entry(slot.bucket).or_default();
    let index = slot.row as usize;
    if cells.len() <= index {
        cells.resize(index + 1, T::default());
    }
    &mut cells[index]
}

fn peek<T: Clone + Default>(table: &HashMap<u32, Vec<T>>, slot: Slot) -> T {
    let cells = table.get(&slot.bucket);
    let cell = cells.and_then(|cells| cells.get(slot.row as usize));
    cell.cloned().unwrap_or_default()
}

impl Ledger {
    /// Forgets every delivery. What was shown stays known.
    pub(crate) fn forget_deliveries(&mut self) {
        self.accounts.clear();
    }

    /// Notes that a service showed these rows.
    pub(crate) fn shown(&mut self, slot: Slot, status: Status) {
        *cell(&mut self.shown, slot) |= status.bit();
    }

    /// Notes that a service showed a row that is no strict JSON.
    pub(crate) fn unreadable(&mut self, slot: Slot, status: Status, form: Unreadable) {
        let odd = self.odd.entry(slot).or_default();
        odd.unreadable |= status.bit();
        if let Some(begins) = form.shown()
            && !odd.begins.contains(&begins)
        {
            odd.begins.push(begins);
        }
    }

    /// Notes that a service showed a row with another date than its own.
    pub(crate) fn misdated(&mut self, slot: Slot) {
        self.odd.entry(slot).or_default().misdated = true;
    }

    /// The number of the next request that brings events.
    pub(crate) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Notes that the intake has accepted an event of a request. It counts as unacknowledged until
    /// [`Ledger::acknowledge`] is told otherwise.
    pub(crate) fn accept(
        &mut self,
        (key, request): (&str, u64),
        event: &str,
        rows: &mut Rows,
        discretion: &Discretion,
        (started, now): (Ticks, Ticks),
    ) -> Option<Accepted> {
        let found = self.identify(event, rows, discretion, now);
        let started = started.max(self.fresh_from);
        let account = self.accounts.entry(key.to_owned()).or_default();
        account.accepted += 1;
        match found {
            Ok(found) => {
                account.deliver(&found, request, (started, now));
                Some((found.life.slot, found.status))
            }
            Err(reason) => {
                account.unasked.add(Unasked::new(reason, event));
                None
            }
        }
    }

    /// Notes that the intake has refused an event for good.
    pub(crate) fn reject(
        &mut self,
        key: &str,
        event: &str,
        rows: &mut Rows,
        discretion: &Discretion,
        now: Ticks,
    ) {
        if let Ok(found) = self.identify(event, rows, discretion, now) {
            let account = self.accounts.entry(key.to_owned()).or_default();
            cell(&mut account.marks, found.life.slot).rejected |= found.status.bit();
        }
    }

    /// Notes that the answer to a request has left.
    pub(crate) fn acknowledge(
        &mut self,
        (key, request): (&str, u64),
        accepted: &[Accepted],
        now: Ticks,
    ) {
        self.acknowledged.push((now, accepted.len()));
        if let Some(account) = self.accounts.get_mut(key) {
            for one in accepted {
                account.acknowledge(request, *one);
            }
        }
    }

    /// How many events were accepted by answers that have left at this time or later.
    pub(crate) fn acknowledged_since(&self, since: Ticks) -> usize {
        let answers = self.acknowledged.iter().rev();
        let recent = answers.take_while(|(at, _)| *at >= since);
        recent.map(|(_, events)| events).sum()
    }

    /// Freshness is only about what can be seen from `now` on.
    pub(crate) fn begin_freshness(&mut self, now: Ticks) {
        self.fresh_from = now;
        for account in self.accounts.values_mut() {
            account.rows.clear();
            account.changes.clear();
        }
    }

    /// How many events a key has accepted.
    pub(crate) fn accepted(&self, key: &str) -> u64 {
        self.accounts.get(key).map_or(0, |account| account.accepted)
    }

    /// How soon new rows and statuses were delivered to a key by a collector with this period.
    pub(crate) fn freshness(&self, key: &str, frequency: TimeDelta) -> Freshness {
        let none = Account::default();
        let account = self.accounts.get(key).unwrap_or(&none);
        Freshness::new(&account.rows, &account.changes, frequency)
    }

    /// How often a row was delivered with a status.
    pub(crate) fn times(&self, key: &str, slot: Slot, status: Status) -> u32 {
        let Some(account) = self.accounts.get(key) else {
            return 0;
        };
        let once = peek(&account.marks, slot).delivered & status.bit() != 0;
        u32::from(once) + account.surplus.get(&(slot, status)).copied().unwrap_or(0)
    }
}

impl Account {
    fn deliver(&mut self, found: &Identified, request: u64, (started, now): (Ticks, Ticks)) {
        let (slot, status) = (found.life.slot, found.status);
        let marks = cell(&mut self.marks, slot);
        let bit = status.bit();
        let known = *marks;
        if found.forgiven {
            // It is known by its bytes: in another form it is another row.
            marks.forgiven |= bit;
            self.note(found, request, known.forgiven & bit != 0);
            return;
        }
        marks.delivered |= bit;
        let again = known.delivered & bit != 0;
        if again {
            *self.surplus.entry((slot, status)).or_default() += 1;
        } else {
            let first = known.delivered == 0;
            let visible = if first {
                found.life.visible
            } else {
                found.since
            };
            if visible >= started {
                let arrivals = if first {
                    &mut self.rows
                } else {
                    &mut self.changes
                };
                arrivals.push(Arrival::new(found.life.received, visible, now));
            }
        }
        self.note(found, request, again);
    }
}

/// A delivered event and the row that it is about.
struct Identified {
    life: Life,
    status: Status,
    /// Since when it could be seen with this status.
    since: Ticks,
    /// Whether it is what could be read of a row that was no strict JSON.
    forgiven: bool,
    version: Version,
}

impl Ledger {
    /// Finds the row of an event and checks that the event tells the truth about it.
    fn identify(
        &self,
        event: &str,
        rows: &mut Rows,
        discretion: &Discretion,
        now: Ticks,
    ) -> Result<Identified, String> {
        let event: Map<String, Value> =
            serde_json::from_str(event).map_err(|error| format!("no JSON object: {error}"))?;
        let graph = event.contains_key("id");
        let names = if graph {
            ["id", "recipientAddress", "status"]
        } else {
            ["MessageTraceId", "RecipientAddress", "Status"]
        };
        let [id, recipient, status] =
            names.map(|name| event.get(name).and_then(Value::as_str).unwrap_or_default());
        let id: Uuid = id
            .parse()
            .map_err(|_| format!("`{}` is no trace id", names[0]))?;
        let clear = match discretion.hides_nothing() {
            true => None,
            false => rows
                .recipients_of(id)
                .into_iter()
                .find(|clear| discretion.address(clear) == recipient),
        };
        let (life, row) = rows
            .find(id, clear.as_deref().unwrap_or(recipient), now)
            .ok_or_else(|| String::from("no such message and recipient"))?;
        let status = match Status::parse(status) {
            // It stands for whichever the row has had of those that it can stand for.
            None if status == "unknownFutureValue" => {
                let mut steps = life.timeline.steps().iter().rev();
                let future = steps.find(|(since, had)| had.is_future() && *since <= now);
                future.map_or(Status::Recalled, |(_, status)| *status)
            }
            Some(status) => status,
            None => return Err(format!("`{status}` is no status")),
        };
        let mut steps = life.timeline.steps().iter();
        let Some((since, _)) = steps
            .find(|(since, had)| *had == status && *since <= now)
            .filter(|_| life.visible <= now)
        else {
            return Err(format!("the row never had the status {status}"));
        };
        if discretion.excludes(&row, status) {
            return Err(String::from("excluded: the module was told not to send it"));
        }
        let since = life.visible.max(*since);
        let odd = self.odd.get(&life.slot);
        let mut row = row;
        let name = if graph { "subject" } else { "Subject" };
        let forgiven =
            odd.and_then(|odd| odd.subject(&row, event.get(name)?.as_str()?, discretion));
        let is_forgiven = forgiven.is_some();
        if let Some(subject) = forgiven {
            row.subject = Some(subject);
        }
        let shown = discretion.hidden(row.clone());
        let mut altered = compare::altered(&event, graph, &shown, status, discretion);
        if odd.is_some_and(|odd| odd.misdated) {
            altered.retain(|name| !["receivedDateTime", "Received"].contains(&name.as_str()));
        }
        if let Some(told) = event.get(compare::DETAILS)
            && !compare::happened(told, &details::steps(&life, now))
        {
            altered.push(format!("{} (of another message)", compare::DETAILS));
        }
        if !altered.is_empty() {
            return Err(format!("altered: {}", altered.join(", ")));
        }
        let version = Version {
            trace_id: row.trace_id,
            recipient: row.recipient,
            status,
            received: row.received,
            note: "",
        };
        Ok(Identified {
            life,
            status,
            since,
            forgiven: is_forgiven,
            version,
        })
    }
}

impl Odd {
    /// The subject of `row` as it seemed to be, if the one given is that, or what it is hidden as.
    fn subject(&self, row: &TraceRow, given: &str, discretion: &Discretion) -> Option<String> {
        let own = row.subject.as_deref().unwrap_or_default();
        let mut shown = self.begins.iter().map(|begins| format!("{begins}{own}"));
        shown.find(|shown| discretion.subject(shown).as_deref() == Some(given))
    }
}
