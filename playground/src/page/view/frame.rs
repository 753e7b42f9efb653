//! The frame of the page: head, lamp, the process, and where each part stands.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{part, words};
use crate::page::{
    hub::Hub,
    lamp::{Lamp, Light},
    state::{Life, State},
};

const SYMBOLS: &str = include_str!("../assets/symbols.svg");

/// The whole page.
pub(crate) fn page(state: &State, hub: &Hub) -> String {
    let lists = super::lists(state);
    let list = |id: &str| {
        let found = lists.iter().find(|(known, _)| *known == id);
        PreEscaped(found.map(|(_, html)| html.clone()).unwrap_or_default())
    };
    let view = if state.life.is_on() { "watch" } else { "setup" };
    let lamp = Lamp::of(state);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (lamp.word) " · Message Trace playground" }
                link rel="stylesheet" href="page.css";
                link rel="icon" href="logo.svg";
                script src="page.js" defer {}
            }
            body data-view=(view) data-first=(is_first(state).to_string()) {
                a.skip href="#main" { "Skip to the playbook" }
                (PreEscaped(SYMBOLS))
                header.top {
                    div.bar {
                        div.brand {
                            img src="logo.svg" width="32" height="32" alt="";
                            div { h1 { "Message Trace" } p { "playground" } }
                        }
                        div #lamp-place {
                            (region(hub, "lamp", "div", "lamp"))
                            p.sr role="status" data-part="lamp-said" id="lamp-said" { (lamp_said(state)) }
                        }
                        (region(hub, "acts", "div", "acts"))
                        (region(hub, "chip", "div", "chip"))
                    }
                    nav.toc aria-label="On this page" {
                        div.views role="group" aria-label="Show" {
                            button type="button" data-view-to="setup" { "Set up" }
                            button type="button" data-view-to="watch" { "Watch" }
                        }
                        ul {
                            li #tour-link-place { (region(hub, "tour-link", "span", "")) }
                            li.far { a href="#timeline" { "Timeline" } }
                            li.far { a href="#rows" { "Rows" } }
                            li.far { a href="#log" { "Log" } }
                            li.far { a href="#break" { "Break it" } }
                            li.far { a href="#ledger" { "Ledger" } }
                        }
                        (region(hub, "meta", "p", "meta"))
                    }
                }
                p #notice role="alert" hidden {}
                (region(hub, "act", "div", ""))
                main #main tabindex="-1" {
                    div.c1.col {
                        section.card #playbook aria-labelledby="h-pb" {
                            (region(hub, "cards", "div", ""))
                            (region(hub, "form", "div", ""))
                            (region(hub, "form-acts", "div", ""))
                        }
                        section.card #check aria-labelledby="h-ck" {
                            (region(hub, "check-body", "div", ""))
                        }
                        (region(hub, "files", "div", ""))
                    }
                    div.c2.col {
                        (welcome())
                        section.card #timeline aria-labelledby="h-tl" {
                            div.head { h2 #h-tl { "Timeline" } span.s { "by time of reception, UTC" } }
                            (super::timeline::legend())
                            (region(hub, "bands", "div", "tl"))
                            div.multi {
                                (figure(hub, "rate-c", "rate"))
                                (figure(hub, "late-c", "lateness"))
                                (figure(hub, "quota-c", "requests"))
                                (figure(hub, "fresh-c", "freshness"))
                            }
                        }
                        section.card #rows aria-labelledby="h-rows" {
                            div.head {
                                h2 #h-rows { "Rows at the intake" }
                                (region(hub, "counts", "span", "s"))
                                button.btn.sm #pause type="button" aria-pressed="false" { "Pause" }
                            }
                            (super::row::table(&list("row-list")))
                        }
                        section.card #log aria-labelledby="h-log" {
                            div.head {
                                h2 #h-log { "Log of the module" }
                                (super::log::levels())
                            }
                            div.scroll role="log" aria-live="off" tabindex="0" aria-label="Log lines, newest first" {
                                ol.log #lines data-most="1000" data-part="lines" { (list("lines")) }
                            }
                        }
                    }
                    div.rail {
                        aside #tour aria-labelledby="h-tour" { (region(hub, "tour-body", "div", "")) }
                        div.c3.col {
                        section.card #break aria-labelledby="h-br" {
                            div.head {
                                h2 #h-br { "Break it" }
                                button.btn.sm type="button" data-do="mend" { "Mend everything" }
                            }
                            (region(hub, "switches", "div", ""))
                        }
                        section.card #scenario aria-labelledby="h-sc" {
                            div.head { h2 #h-sc { "Scenario" } }
                            (region(hub, "scenario-body", "div", ""))
                        }
                        section.card #ledger aria-labelledby="h-le" {
                            (region(hub, "ledger-body", "div", ""))
                            div.ends.flat {
                                a.btn href="verdict.json" download { "Verdict" }
                                a.btn href="scenario.json" download { "This run as a scenario" }
                            }
                        }
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

/// Whether there is nothing to watch yet.
fn is_first(state: &State) -> bool {
    state.lives == 0
}

/// What stands in the place of empty charts before the first start.
fn welcome() -> Markup {
    html! {
        section.card #welcome aria-labelledby="h-we" {
            h2 #h-we { "From an empty form to a clean verdict, in two minutes" }
            p {
                "On this machine a Microsoft 365 organization and a Sekoia.io intake are emulated. The module "
                "between them is the real one, as a real process. Add it as in a playbook, start it, see each "
                "row arrive, break what you like, and stop it: a ledger knows of every row whether it came, and "
                "whether it came once."
            }
            div.for {
                div {
                    h3 { "What an analyst sees" }
                    p { "Rows as they reach the intake, how late each is, and what the intake’s format reads from it." }
                }
                div {
                    h3 { "What an operator sees" }
                    p { "Health, log and timeline of the module, its own words on what is wrong and what to do." }
                }
                div {
                    h3 { "What a buyer sees" }
                    p { "Outages, kills and late rows, and the proof that nothing is lost and nothing doubled." }
                }
            }
        }
    }
}

/// A part of the page that is told anew.
fn region(hub: &Hub, id: &'static str, tag: &str, class: &str) -> Markup {
    let (version, html) = part(hub, id);
    match tag {
        "span" => html! { span id=(id) class=(class) data-part=(id) data-v=(version) { (html) } },
        "p" => html! { p id=(id) class=(class) data-part=(id) data-v=(version) { (html) } },
        _ => html! { div id=(id) class=(class) data-part=(id) data-v=(version) { (html) } },
    }
}

fn figure(hub: &Hub, id: &'static str, name: &str) -> Markup {
    let (version, html) = part(hub, id);
    html! { figure id=(name) { div data-part=(id) data-v=(version) { (html) } } }
}

/// The lamp with its sentence.
pub(crate) fn lamp(state: &State) -> Markup {
    let lamp = Lamp::of(state);
    let (symbol, class) = match lamp.light {
        Light::Off => ("lamp-off", "mut"),
        Light::Good => ("lamp-on", "ok"),
        Light::Fails => ("warn", "warn"),
        Light::Act => ("bad", "bad"),
    };
    html! {
        span.light data-word=(lamp.word) data-on=(state.life.is_on().to_string())
            data-first=(is_first(state).to_string()) {
            @if lamp.light == Light::Good {
                svg class="ok" viewBox="0 0 20 20" aria-hidden="true" {
                    circle.beat cx="10" cy="10" r="8.700" fill="none" stroke="currentColor" stroke-width="1.6" {}
                    circle cx="10" cy="10" r="5.200" fill="currentColor" {}
                }
            } @else { (words::icon(symbol, class)) }
        }
        p {
            strong { (lamp.word) @if lamp.until.is_some() || !lamp.text.is_empty() { "." } } " "
            @if let Some(until) = lamp.until {
                "Complete until " time { (words::clock(until)) } ", "
                (words::span(state.now - until)) " ago. "
            }
            @if lamp.light == Light::Act && state.diagnosis.is_some() {
                "Rows wait until it is mended; what to do stands below."
            } @else { (words::marked(&lamp.text)) }
        }
    }
}

/// What a person must do, in full; nothing where nobody must.
pub(crate) fn act(state: &State) -> Markup {
    let Some(finding) = state
        .diagnosis
        .as_ref()
        .filter(|_| Lamp::of(state).light == Light::Act)
    else {
        return html! {};
    };
    html! {
        section.must aria-labelledby="h-act" {
            (words::icon("bad", ""))
            div {
                h2 #h-act { "A person must act: " (finding.check) }
                (super::playbook::advice(state, &finding.text))
            }
        }
    }
}

/// The same for who listens: told when its word changes.
pub(crate) fn lamp_said(state: &State) -> Markup {
    let lamp = Lamp::of(state);
    html! { (lamp.word) ". " @if lamp.light != Light::Good { (lamp.text) } }
}

/// What can be done to the process.
pub(crate) fn acts(state: &State) -> Markup {
    let on = state.life == Life::Running;
    let idle = !state.life.is_on();
    let can_start = idle && state.form.manifest.is_some();
    let word = match state.life {
        Life::Stopping => "Stopping",
        _ => "Stop",
    };
    html! {
        div.row role="group" aria-label="The process" {
            button.btn.pri[can_start] #start type="button" data-do="start" disabled[!can_start] { (words::icon("a-play", "opt")) "Start" }
            button.btn #stop type="button" data-do="stop" disabled[!on] { (words::icon("a-stop", "opt")) (word) }
            button.btn.kill #kill type="button" data-do="kill" disabled[!state.life.is_on()] { (words::icon("a-kill", "opt")) "Kill" }
            button.btn #restart type="button" data-do="restart" disabled[!on] { (words::icon("a-again", "opt")) "Restart" }
        }
    }
}

/// What is small and always in sight.
pub(crate) fn meta(state: &State) -> Markup {
    html! {
        span { "emulated organization " (state.organization) }
        @if let (Some(pid), Some(since)) = (state.pid, state.since) {
            span { "process " (pid) ", up " (words::span(state.now - since)) }
        }
        span { (state.now.format("%-d %b %Y")) ", " time { (words::clock(state.now)) } " UTC" }
    }
}
