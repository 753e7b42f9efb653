//! The rows at the intake.

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

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
        @if let Some(told) = state.status.as_ref().and_then(treated) { "; " (told) }
    }
}

/// What the module leaves out, hides or adds, as its `status` tells; none when that is nothing.
fn treated(status: &Value) -> Option<String> {
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64);
    let mut told = Vec::new();
    let rules = status.get("excluded").and_then(Value::as_array);
    let rows = rules.into_iter().flatten();
    let excluded: u64 = rows.filter_map(|rule| rule.get("rows")?.as_u64()).sum();
    if excluded > 0 {
        told.push(format!("{} left out by rules", words::number(excluded)));
    }
    if let Some(fates) = status.pointer("/details/rows").and_then(Value::as_object) {
        let all: u64 = fates.values().filter_map(Value::as_u64).sum();
        let added = number("/details/rows/added").unwrap_or(0);
        told.push(format!(
            "{} with details, {} without",
            words::number(added),
            words::number(all.saturating_sub(added))
        ));
    }
    if let Some(rows) = number("/mass mail/rows_only_by_id") {
        told.push(format!(
            "{} of mass mail only by its id",
            words::number(rows)
        ));
    }
    let word = |name: &str| status.pointer(&format!("/hidden/{name}"))?.as_str();
    if let (Some(subject), Some(addresses)) = (word("subject"), word("addresses")) {
        told.push(format!(
            "hidden: subject `{subject}`, addresses `{addresses}`"
        ));
    }
    // The accepted ones are those of all runs.
    (!told.is_empty()).then(|| format!("in this run {}", told.join("; ")))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_hidden_or_added_is_told_as_far_as_there_is_any() {
        assert_eq!(treated(&json!({"verdict": "well", "gaps": {}})), None);
        let status = json!({
            "excluded": [
                {"setting": "exclude_senders", "rule": 1, "rows": 4},
                {"setting": "exclude_statuses", "rule": 2, "rows": 2},
            ],
            "details": {"statuses": ["failed"], "rows": {"added": 3, "late": 1, "quota": 1}},
            "mass mail": {"messages": 1, "rows_only_by_id": 300, "given_up": 0, "windows_waiting": 0},
            "hidden": {"subject": "drop", "addresses": "keep"},
        });
        assert_eq!(
            treated(&status).unwrap(),
            "in this run 6 left out by rules; 3 with details, 2 without; 300 of mass mail only by its id; \
             hidden: subject `drop`, addresses `keep`"
        );
    }
}
