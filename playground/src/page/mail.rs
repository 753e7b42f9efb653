//! The mail that switches bring.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{NewRow, Status};
use uuid::Uuid;

/// Recipients of one message of a phishing wave.
const WAVE: u32 = 1500;

/// How late rows surface, in seconds, one after the other.
const LATE: [i64; 6] = [20, 45, 30, 90, 60, 120];

/// What a mail's status becomes, one after the other.
const BECOMES: [Status; 4] = [
    Status::Delivered,
    Status::Quarantined,
    Status::Delivered,
    Status::Failed,
];

fn person(number: u64) -> &'static str {
    const PEOPLE: [&str; 7] = [
        "mara.oduya",
        "j.berg",
        "h.sato",
        "lee.ortiz",
        "finance",
        "payroll",
        "it-desk",
    ];
    let index = usize::try_from(number % 7).unwrap_or(0);
    PEOPLE.get(index).copied().unwrap_or("all")
}

fn row(now: DateTime<Utc>, recipient: &str, sender: &str, subject: &str) -> NewRow {
    let mut new = NewRow::new(now, recipient).subject(subject);
    new.row.sender = sender.to_owned();
    new
}

/// A row that surfaces some time after its reception.
pub(crate) fn late(now: DateTime<Utc>, number: u64) -> NewRow {
    let index = usize::try_from(number % 6).unwrap_or(0);
    let seconds = LATE.get(index).copied().unwrap_or(60);
    let recipient = format!("{}@contoso.example", person(number));
    let subject = format!("Surfaces {seconds} s late");
    row(now, &recipient, "slow@tailspin.example", &subject)
        .visible_from(now + TimeDelta::seconds(seconds))
}

/// A row whose status changes after a while.
pub(crate) fn changing(now: DateTime<Utc>, number: u64) -> NewRow {
    let index = usize::try_from(number % 4).unwrap_or(0);
    let status = BECOMES.get(index).copied().unwrap_or(Status::Delivered);
    let recipient = format!("{}@contoso.example", person(number));
    row(
        now,
        &recipient,
        "orders@fabrikam.example",
        "Its status changes",
    )
    .status(Status::GettingStatus)
    .then(now + TimeDelta::seconds(25), status)
}

/// One message to very many.
pub(crate) fn wave(now: DateTime<Utc>) -> impl Iterator<Item = NewRow> {
    let message = Uuid::new_v4();
    (0..WAVE).map(move |number| {
        let recipient = format!("user{number:04}@contoso.example");
        row(
            now,
            &recipient,
            "ceo-office@examp1e.example",
            "Urgent: confirm your payment today",
        )
        .trace_id(message)
    })
}

/// As much mail as would come in a minute of the hour that is told in a second: see the tour.
pub(crate) fn surge(now: DateTime<Utc>, rows: u32) -> impl Iterator<Item = NewRow> {
    (0..rows).map(move |number| {
        let recipient = format!("{}@contoso.example", person(u64::from(number)));
        row(
            now,
            &recipient,
            "news@litware.example",
            "Of the hour of the outage",
        )
    })
}
