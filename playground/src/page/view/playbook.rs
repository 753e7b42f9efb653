//! The playbook: cards, form, check, and the files of the process.

use maud::{Markup, html};

use super::words;
use crate::{
    arguments::Trigger,
    page::{
        lamp::sentence,
        manifest::{Field, Group, Input, Kind, Manifest, plain},
        state::State,
    },
};

/// What can be added.
pub(crate) fn cards(state: &State) -> Markup {
    let form = &state.form;
    let kinds = [
        ("trigger", "Trigger", Kind::Trigger),
        ("connector", "Connector", Kind::Connector),
    ];
    html! {
        div.head {
            h2 #h-pb { "Playbook" }
            div.seg role="radiogroup" aria-label="Kind" {
                @for (value, title, kind) in kinds {
                    label {
                        input.sr type="radio" name="kind" id=(format!("kind-{value}")) value=(value)
                            data-do="kind" checked[form.kind == kind];
                        (title)
                    }
                }
            }
        }
        @if form.manifest.is_none() {
            p.lead { "Choose what to add. It runs against an emulated organization on this machine." }
        }
        ul.cards aria-label="What can be added" {
            @for trigger in Trigger::ALL {
                @if let Some(manifest) = Manifest::of(trigger, form.kind) { li { (card(&manifest, form.trigger())) } }
            }
        }
    }
}

fn card(manifest: &Manifest, chosen: Option<Trigger>) -> Markup {
    let is_chosen = chosen == Some(manifest.trigger);
    let full = is_chosen || chosen.is_none();
    html! {
        button.pick type="button" data-do="choose" value=(manifest.trigger.command())
            id=(format!("choose-{}", manifest.trigger.command())) aria-pressed=(is_chosen.to_string()) {
            img src="logo.svg" width=(if full { "40" } else { "20" }) height=(if full { "40" } else { "20" }) alt="";
            span {
                b { (manifest.name) }
                @if full { span.s { (manifest.description) } }
            }
            @if is_chosen { (words::icon("pass", "acc")) }
        }
    }
}

/// The form.
pub(crate) fn form(state: &State) -> Markup {
    let Some(manifest) = &state.form.manifest else {
        return html! {};
    };
    let together = state
        .form
        .problems
        .iter()
        .filter(|problem| problem.field.is_none());
    html! {
        form #settings novalidate aria-labelledby="h-pb" {
            div.ends.flat {
                button.btn.wide #fill type="button" data-do="fill" { "Fill in the emulated organization" }
            }
            @for (group, fields) in &manifest.groups {
                @if *group == Group::SignIn || *group == Group::Intake {
                    fieldset { legend { (group.title()) } (inputs(state, manifest, fields)) }
                } @else {
                    details.more open[fields.iter().any(|field| state.form.problem(&field.name).is_some())] {
                        summary { (group.title()) span.s { (summary(state, fields)) } }
                        fieldset { legend.sr { (group.title()) } (inputs(state, manifest, fields)) }
                    }
                }
            }
            @if state.form.asked {
                @for problem in together {
                    p.msg.pad { (words::icon("bad", "")) span { (words::marked(&problem.text)) } }
                }
            }
        }
    }
}

fn inputs(state: &State, manifest: &Manifest, fields: &[Field]) -> Markup {
    html! {
        @for field in fields {
            @if manifest.fits(&field.name, &state.form.draft) { (input(state, field)) }
        }
    }
}

/// How many of them are not at their defaults.
fn summary(state: &State, fields: &[Field]) -> String {
    let given = fields.iter().filter(|field| {
        let value = state.form.draft.get(&field.name).map(plain);
        value.is_some() && value != field.default
    });
    match given.count() {
        0 => format!("{} settings at their defaults", fields.len()),
        count => format!("{count} of {} not at its default", fields.len()),
    }
}

fn input(state: &State, field: &Field) -> Markup {
    let name = field.name.as_str();
    let problem = state.form.problem(name);
    let value = state.form.draft.get(name).map(plain);
    let (help, error) = (format!("{name}-h"), format!("{name}-e"));
    let described = if problem.is_some() {
        format!("{error} {help}")
    } else {
        help.clone()
    };
    let shown = value.clone().unwrap_or_default();
    let default = field.default.clone().unwrap_or_default();
    html! {
        div.f.err[problem.is_some()].half[matches!(field.input, Input::Number { .. })] {
            label for=(name) {
                (field.title)
                @if state.form.changed(name) { span.chg { "changed" } }
                code { (name) }
            }
            @match &field.input {
                Input::Choice(options) => {
                    select id=(name) name=(name) data-set=(name) aria-describedby=(described) {
                        @for option in options {
                            option value=(option) selected[*option == shown || (shown.is_empty() && *option == default)] { (option) }
                        }
                    }
                }
                Input::Secret => {
                    // A secret never leaves the server again.
                    input id=(name) name=(name) data-set=(name) type="password" autocomplete="off"
                        data-secret=(value.is_some().to_string())
                        placeholder=(if value.is_some() { "••••••••••••" } else { "" })
                        aria-describedby=(described) aria-invalid=[problem.map(|_| "true")]
                        required[field.required];
                }
                Input::Number { .. } => {
                    input id=(name) name=(name) data-set=(name) inputmode="numeric" value=(shown) placeholder=(default)
                        aria-describedby=(described) aria-invalid=[problem.map(|_| "true")];
                }
                Input::Text | Input::List => {
                    input id=(name) name=(name) data-set=(name) value=(shown) placeholder=(default) spellcheck="false"
                        autocomplete="off" aria-describedby=(described) aria-invalid=[problem.map(|_| "true")]
                        required[field.required];
                }
            }
            @if let Some(problem) = problem {
                p.msg id=(error) { (words::icon("bad", "")) span { (words::marked(problem)) } }
            }
            p.h id=(help) { (words::marked(&field.description)) (bounds(field)) }
        }
    }
}

fn bounds(field: &Field) -> String {
    let default = field
        .default
        .as_ref()
        .map(|default| format!("default {default}"));
    let range = match field.input {
        Input::Number {
            least: Some(least),
            most: Some(most),
        } => Some(format!("{least} to {most}")),
        _ => None,
    };
    let parts: Vec<String> = [
        range,
        default.filter(|_| matches!(field.input, Input::Number { .. })),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!(" · {}", parts.join(", ")),
    }
}

/// What can be done with the form.
pub(crate) fn acts(state: &State) -> Markup {
    if state.form.manifest.is_none() {
        return html! {};
    }
    let changes = state.form.changes();
    let on = state.life.is_on();
    let since = state.form.applied.as_ref().map(|(_, at)| words::clock(*at));
    html! {
        div.ends {
            button.btn #check-it type="button" data-do="check" disabled[state.check.running] {
                @if state.check.running { "Checking" } @else { "Check" }
            }
            @if on {
                button.btn.pri[changes > 0] #restart-with type="button" data-do="restart"
                    disabled[changes == 0 || !state.form.problems.is_empty()] { "Restart with these" }
            } @else {
                button.btn.pri #start-here type="button" data-do="start" { "Start" }
            }
            @if state.lives > 0 {
                button.btn #anew type="button" data-do="anew" { "Start from nothing" }
            }
            @if let (true, Some(since)) = (on && changes > 0, since) {
                small {
                    (changes) @if changes == 1 { " change" } @else { " changes" }
                    ": the process runs with the settings of " (since) " until it is restarted."
                }
            } @else if state.lives > 0 && !on {
                small { "Its state is kept: Start goes on where it was. Start from nothing empties it, and the ledger." }
            }
        }
    }
}

/// The lines of `check`.
pub(crate) fn check(state: &State) -> Markup {
    let check = &state.check;
    let count = |outcome: &str| {
        check
            .findings
            .iter()
            .filter(|one| one.outcome == outcome)
            .count()
    };
    html! {
        div.head {
            h2 #h-ck { "Check" }
            @if check.running { span.s { "running" @if !check.why.is_empty() { ", " (check.why) } } }
            @else if let Some(at) = check.done {
                span.s {
                    (words::clock(at)) @if !check.why.is_empty() { ", " (check.why) }
                    @if check.version != state.form.version { ", before your last change" }
                }
            }
        }
        @if let Some(failure) = &check.failure { p.msg.pad { (words::icon("bad", "")) span { (failure) } } }
        @if check.findings.is_empty() {
            p.empty {
                @if check.running { "It tries each step of a collection once." }
                @else { "Tries each step of a collection once, and says what to do where one fails. Nothing is collected." }
            }
        } @else {
            p.s.sum {
                @if count("fail") > 0 { b.bad { (count("fail")) @if count("fail") == 1 { " fails" } @else { " fail" } } ", " }
                @if count("warn") > 0 { b.warn { (count("warn")) " warn" } ", " }
                @if count("skipped") > 0 { (count("skipped")) " skipped, " }
                (count("pass")) " pass"
                @if check.running { " so far" }
            }
            ol.checks {
                @for one in &check.findings {
                    @let (symbol, class) = outcome(&one.outcome);
                    li.now[one.outcome == "fail"] {
                        (words::sign(symbol, class, &one.outcome))
                        div {
                            b { (one.check) } @if one.outcome != "pass" { " " span class=(class) { (one.outcome) } }
                            span.s { (finding(state, &one.text, one.outcome == "fail")) }
                        }
                    }
                }
            }
        }
    }
}

fn outcome(word: &str) -> (&'static str, &'static str) {
    match word {
        "pass" => ("pass", "ok"),
        "warn" => ("warn", "warn"),
        "fail" => ("bad", "bad"),
        _ => ("skip", "mut"),
    }
}

/// The sentence of a line, with what to do apart from what is, and links to the fields that it names.
fn finding(state: &State, text: &str, fails: bool) -> Markup {
    let text = sentence(text);
    let (what, todo) = match fails {
        true => parts(&text),
        false => (text.as_str(), None),
    };
    html! {
        (linked(state, what))
        @if let Some(todo) = todo { span.fix { b { "What to do" } br; (linked(state, todo)) } }
    }
}

/// The same for the head of the page.
pub(crate) fn advice(state: &State, text: &str) -> Markup {
    let text = sentence(text);
    let (what, todo) = parts(&text);
    html! {
        p { (linked(state, what)) }
        @if let Some(todo) = todo { p.todo-now { "What to do: " (linked(state, todo)) } }
    }
}

/// What is, and what to do: the module puts one after the other.
fn parts(text: &str) -> (&str, Option<&str>) {
    let cut = ["; ", ": have ", ". A new intake"]
        .into_iter()
        .find_map(|mark| {
            let at = text.find(mark)?;
            Some((text.get(..at)?, text.get(at + 2..)?))
        });
    match cut {
        Some((what, todo)) => (what, Some(todo)),
        None => (text, None),
    }
}

fn linked(state: &State, text: &str) -> Markup {
    let manifest = state.form.manifest.as_ref();
    // `trigger_configuration: frequency is 5` names its setting without backticks.
    let (object, rest) = text.split_once("configuration: ").unwrap_or(("", text));
    let name = rest.split(' ').next().unwrap_or_default();
    if !object.is_empty() && manifest.is_some_and(|manifest| manifest.field(name).is_some()) {
        let rest = rest.strip_prefix(name).unwrap_or_default();
        return html! { a href=(format!("#{name}")) { (name) } (rest) };
    }
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 0 { (part) }
            @else if manifest.is_some_and(|manifest| manifest.field(part).is_some()) {
                a href=(format!("#{part}")) { (part) }
            } @else { code { (part) } }
        }
    }
}

/// The files that the platform would lay.
pub(crate) fn files(state: &State) -> Markup {
    if state.files.is_empty() {
        return html! {};
    }
    html! {
        details.card.more #files-card {
            summary { "Files of the process" span.s { (state.files.len()) ", secrets masked" } }
            p.s.sum { code { (state.place) "/symphony" } }
            @for (name, text) in &state.files {
                div.file { b { (name) } pre { (text) } }
            }
        }
    }
}
