//! The guided tour.

use maud::{Markup, html};

use super::words;
use crate::page::{state::State, tour::STEPS};

/// The way to it.
pub(crate) fn link(state: &State) -> Markup {
    let tour = &state.tour;
    let (order, text) = match (tour.open, tour.present()) {
        (true, Some(_)) => ("close", format!("Tour {}/{}", tour.step + 1, STEPS.len())),
        (true, None) => ("close", "Tour".to_owned()),
        (false, _) => ("open", "Tour".to_owned()),
    };
    html! {
        button type="button" #tour-toggle data-do="tour" value=(order) aria-expanded=(tour.open.to_string()) { (text) }
    }
}

/// The step, in sight wherever one is on the page.
pub(crate) fn body(state: &State) -> Markup {
    let tour = &state.tour;
    if !tour.open {
        return html! {};
    }
    let Some(step) = tour.present() else {
        return html! {
            div.card.tour {
                div.head { h2 #h-tour { "The tour is over" } (close()) }
                p.pad { "You have seen it collect, fail, crash and go on. The switches are yours, and a scenario leads through more." }
                div.ends.flat { button.btn #tour-again type="button" data-do="tour" value="again" { "Once more" } }
            }
        };
    };
    let mut next = true;
    html! {
        div.card.tour {
            div.head { h2 #h-tour { span.no { (tour.step + 1) "/" (STEPS.len()) } " " (step.title) } (close()) }
            p.pad.text { (step.text) }
            ul.todo {
                @for (number, ((text, place), done)) in step.tasks.iter().zip(&tour.done).enumerate() {
                    @let now = next && done.is_none();
                    @if now { ({ next = false; "" }) }
                    li.now[now] {
                        @match done {
                            Some(_) => (words::sign("pass", "ok", "done")),
                            None => (words::sign("todo", if now { "acc" } else { "mut" }, "to do")),
                        }
                        span {
                            a id=(format!("task-{number}")) href=(format!("#{place}")) { (text) }
                            @if let Some(at) = done { " " span.s { (words::clock(*at)) } }
                        }
                    }
                }
            }
            div.ends.flat {
                @if let Some((order, text)) = step.offer {
                    @if tour.outage.is_none_or(|(_, end)| end < state.now) {
                        button.btn type="button" id=(format!("offer-{order}")) data-do=(order) { (text) }
                    } @else if let Some((_, end)) = tour.outage {
                        span.s { "Outage: " (words::span(end - state.now)) " more" }
                    }
                }
                @if tour.step > 0 { button.btn #tour-back type="button" data-do="tour" value="back" { "Back" } }
                button.btn.pri[tour.is_done()].quiet[!tour.is_done()] #tour-next type="button" data-do="tour" value="next" {
                    @if tour.is_done() { @if tour.step + 1 == STEPS.len() { "Finish" } @else { "Next step" } } @else { "Skip" }
                }
            }
        }
    }
}

fn close() -> Markup {
    html! { button.btn.sm.quiet #tour-close type="button" data-do="tour" value="close" { "Close" } }
}
