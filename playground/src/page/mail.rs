//! The mail that switches bring.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{NewRow, Status};
use tokio::time::Instant;
use uuid::Uuid;

use super::{board::Board, engine::Engine, switches::Switch};

/// Rows that are remembered as brought by a switch.
const MARKED: usize = 20_000;

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
fn late(now: DateTime<Utc>, number: u64) -> NewRow {
    let index = usize::try_from(number % 6).unwrap_or(0);
    let seconds = LATE.get(index).copied().unwrap_or(60);
    let recipient = format!("{}@contoso.example", person(number));
    let subject = format!("Surfaces {seconds} s late");
    row(now, &recipient, "slow@tailspin.example", &subject)
        .visible_from(now + TimeDelta::seconds(seconds))
}

/// A row whose status changes after a while.
fn changing(now: DateTime<Utc>, number: u64) -> NewRow {
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
fn wave(now: DateTime<Utc>) -> impl Iterator<Item = NewRow> {
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
fn surge(now: DateTime<Utc>, rows: u32) -> impl Iterator<Item = NewRow> {
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

impl Engine<'_> {
    /// The mail of the switches that are on.
    pub(super) fn send_mail(&mut self) {
        let now = self.state.now;
        self.mails += 1;
        let number = self.mails;
        let letter = |board: &Board, switch| board.on(switch).map(|on| on.letter);
        let mut rows = Vec::new();
        if number.is_multiple_of(4) {
            if let Some(letter) = letter(&self.state.board, Switch::LateRows) {
                rows.push((late(now, number / 4), letter));
            }
            if let Some(letter) = letter(&self.state.board, Switch::ChangingStatuses) {
                rows.push((changing(now, number / 4), letter));
            }
        }
        if let Some(letter) = letter(&self.state.board, Switch::PhishingWave)
            && self.wave_at.is_none_or(|at| Instant::now() >= at)
        {
            self.wave_at = Some(Instant::now() + Duration::from_secs(60));
            rows.extend(wave(now).map(|row| (row, letter)));
        }
        if self.surge > 0 {
            let part = self.surge.min(75);
            self.surge -= part;
            for row in surge(now, part) {
                self.world.emulator.add_row(row);
            }
        }
        if self.marked.len() > MARKED {
            self.marked.clear();
        }
        for (row, letter) in rows {
            self.marked.insert(row.row.trace_id.to_string(), letter);
            self.world.emulator.add_row(row);
        }
    }

    /// Ends the outage of the tour when its minute is over.
    pub(super) fn end_outage(&mut self) {
        let on = self.state.board.on(Switch::SourceOutage).map(|on| on.from);
        let of_tour = self.state.tour.outage.map(|(from, _)| from);
        if on.is_some() && on == of_tour {
            let now = self.state.now;
            self.state.board.turn(Switch::SourceOutage, false, now);
            self.apply_switches(None);
        }
    }
}
