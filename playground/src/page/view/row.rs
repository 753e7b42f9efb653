//! The rows at the intake.

use maud::{Markup, PreEscaped, html};

use super::words;
use crate::page::{
    rows::{KEPT, Row, indented, parsed},
    state::State,
};

/// The table, with these rows.
pub(crate) fn table(rows: &PreEscaped<String>) -> Markup {
    html! {
        div.rows role="table" aria-label="Rows at the intake, the newest first" {
            div.tr.th role="row" {
                @for (name, class) in [("Accepted", "c-t"), ("Late by", "c-l"), ("Sender", "c-f"), ("Recipient", "c-r"), ("Subject", "c-s"), ("Status", "c-st")] {
                    span role="columnheader" class=(class) { (name) }
                }
            }
            div #row-list role="rowgroup" data-most=(KEPT) data-part="row-list" { (rows) }
            p.empty.no-rows { "No row has arrived yet. Start the trigger: an hour of mail waits for it." }
        }
    }
}

/// What is counted.
pub(crate) fn counts(state: &State) -> Markup {
    html! {
        b { (words::number(state.accepted)) } " accepted, "
        (format!("{:.1}", state.rate)) " a second"
    }
}

fn look(status: &str) -> (&'static str, &'static str) {
    match status.to_ascii_lowercase().as_str() {
        "delivered" => ("s-ok", "ok"),
        "failed" => ("bad", "bad"),
        "quarantined" => ("warn", "warn"),
        "filteredasspam" => ("s-spam", "warn"),
        "expanded" | "resolved" => ("s-exp", "acc"),
        _ => ("s-get", "mut"),
    }
}

/// One row.
pub(crate) fn line(row: &Row, new: bool) -> Markup {
    let (symbol, class) = look(&row.status);
    let late = row.late_by().map(words::span).unwrap_or_default();
    html! {
        div.tr.new[new] role="row" data-row=(row.number) data-at=(row.at.timestamp_millis()) {
            span.c-t role="cell" {
                button type="button" aria-expanded="false" aria-label=(format!("Row of {}, {}", words::clock(row.at), row.recipient)) {
                    (words::icon("chev", "")) time { (words::clock(row.at)) }
                }
            }
            span.c-l role="cell" {
                @if let Some(letter) = row.letter { (words::letter(letter, "brought by a switch")) }
                span { (late) @if row.before.is_some() { ", again" } }
            }
            span.c-f role="cell" { (row.sender) }
            span.c-r role="cell" { (row.recipient) }
            span.c-s role="cell" { @if row.subject.is_empty() { i { "no subject" } } @else { (row.subject) } }
            span.c-st role="cell" { span class=(format!("st {class}")) { (words::icon(symbol, "")) (row.status) } }
        }
    }
}

/// A row that is opened: the event, and what the format reads from it.
pub(crate) fn opened(row: &Row) -> Markup {
    let (format, fields) = parsed(&row.text);
    html! {
        div.in role="cell" {
            div.two {
                div {
                    h3 { "The event, as it was sent" }
                    pre tabindex="0" aria-label="The event" { (indented(&row.text)) }
                    @if let Some((status, at)) = &row.before {
                        p.s {
                            @if *status == row.status { "It came twice: " } @else { "Delivered again with another status: " }
                            code { (status) } " at " (words::clock(*at)) ", " code { (row.status) } " at " (words::clock(row.at)) "."
                        }
                    }
                }
                div {
                    h3 { "What the intake’s format reads" }
                    dl {
                        @for (name, value) in fields {
                            dt { (name) }
                            dd { @match value { Ok(value) => (value), Err(why) => span.mut { (why) } } }
                        }
                    }
                    p.s { "The format “" (format) "”." }
                }
            }
        }
    }
}
