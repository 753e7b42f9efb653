//! The page as HTML: each part by its id, as the engine tells it to the open pages.

pub(crate) mod charts;
pub(crate) mod frame;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod playbook;
pub(crate) mod row;
pub(crate) mod switches;
pub(crate) mod timeline;
pub(crate) mod tour;
pub(crate) mod words;

use maud::Markup;

use super::{hub::Hub, state::State};

pub(crate) use frame::page;

/// What may change at any moment.
pub(crate) fn quarter(state: &State) -> Vec<(&'static str, Markup)> {
    vec![
        ("lamp", frame::lamp(state)),
        ("lamp-said", frame::lamp_said(state)),
        ("act", frame::act(state)),
        ("acts", frame::acts(state)),
        ("chip", ledger::chip(state)),
        ("meta", frame::meta(state)),
        ("counts", row::counts(state)),
        ("tour-body", tour::body(state)),
        ("tour-link", tour::link(state)),
        ("switches", switches::board(state)),
    ]
}

/// What is looked at once a second.
pub(crate) fn second(state: &State) -> Vec<(&'static str, Markup)> {
    vec![
        ("bands", timeline::bands(state)),
        ("rate-c", charts::rate(state)),
        ("late-c", charts::lateness(state)),
        ("quota-c", charts::requests(state)),
        ("fresh-c", charts::freshness(state)),
        ("ledger-body", ledger::body(state)),
        ("scenario-body", switches::played(state)),
    ]
}

/// The form, and what goes with it.
pub(crate) fn form(state: &State) -> Vec<(&'static str, Markup)> {
    vec![
        ("cards", playbook::cards(state)),
        ("form", playbook::form(state)),
        ("files", playbook::files(state)),
    ]
    .into_iter()
    .chain(check(state))
    .collect()
}

/// The lines of `check`, and the button that asks for them.
pub(crate) fn check(state: &State) -> Vec<(&'static str, Markup)> {
    vec![
        ("form-acts", playbook::acts(state)),
        ("check-body", playbook::check(state)),
    ]
}

/// The lists, which only get longer.
pub(crate) fn lists(state: &State) -> Vec<(&'static str, String)> {
    let mut rows = String::new();
    for one in state.rows.rows.iter().rev().take(60) {
        rows.push_str(&row::line(one, false).into_string());
    }
    let mut lines = String::new();
    for one in state.lines.iter().rev().take(300) {
        lines.push_str(&log::line(one).into_string());
    }
    vec![("row-list", rows), ("lines", lines)]
}

/// A part with its version, as the page begins with it.
pub(crate) fn part(hub: &Hub, id: &'static str) -> (u64, maud::PreEscaped<String>) {
    let (version, html) = hub.part(id);
    (version, maud::PreEscaped(html))
}
