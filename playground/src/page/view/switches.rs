//! The switches that break something, and the scenarios.

use maud::{Markup, html};

use super::words;
use crate::{
    arguments::Trigger,
    page::{play::SCENARIOS, state::State, switches::Switch},
};

const GROUPS: [&str; 7] = [
    "Sign-in",
    "Microsoft",
    "Network",
    "Intake",
    "Time",
    "Mail",
    "State",
];

/// All switches.
pub(crate) fn board(state: &State) -> Markup {
    let trigger = state.form.trigger().unwrap_or(Trigger::Graph);
    html! {
        @for group in GROUPS {
            @let members: Vec<Switch> = Switch::ALL.into_iter()
                .filter(|one| one.about().group == group && one.fits(trigger)).collect();
            @let on = members.iter().filter(|one| state.board.on(**one).is_some()).count();
            fieldset.grp.has-on[on > 0] {
                legend { (group) @if on > 0 { span.warn { (on) " on" } } }
                @for switch in members { (one(state, switch)) }
            }
        }
    }
}

fn one(state: &State, switch: Switch) -> Markup {
    let about = switch.about();
    let on = state.board.on(switch);
    html! {
        div.sw-row.on[on.is_some()] {
            label.sw {
                input type="checkbox" role="switch" id=(format!("sw-{}", about.name)) data-switch=(about.name) checked[on.is_some()];
                span {
                    b { (about.title) @if let Some(on) = on { (words::letter(on.letter, about.title)) } }
                    span.s { (switch.text(state.has_disk)) }
                }
            }
            @if let Some(on) = on {
                p.see {
                    "On since " (words::clock(on.from)) ". See the "
                    @for (index, (id, name)) in about.see.iter().enumerate() {
                        @if index > 0 { " and the " } a href=(format!("#{id}")) { (name) }
                    }
                    "."
                }
            }
        }
    }
}

/// The scenarios, and the one that is played.
pub(crate) fn played(state: &State) -> Markup {
    html! {
        @if let Some(played) = &state.played {
            @let seconds = u64::try_from((state.now - played.began).num_seconds()).unwrap_or(0);
            p.s.sum {
                b { (played.name) } ": "
                @if played.over { "it has come to its end; the ledger has the verdict." }
                @else { (seconds.min(played.length)) " of " (played.length) " s" }
            }
            @if !played.over { progress max=(played.length) value=(seconds.min(played.length)) aria-label="Progress of the scenario" {} }
            ol.plan {
                @for (at, what) in &played.plan {
                    li.past[*at <= seconds] { time { (format!("{}:{:02}", at / 60, at % 60)) } span { (what) } }
                }
            }
        } @else {
            p.s.sum { "Begins anew, and leads the module through a run: mail, faults, stops and kills." }
        }
        div.ends.flat.one {
            label.sr for="play" { "Scenario" }
            select.pickone #play {
                @for (name, _) in SCENARIOS { option value=(name) { (name) } }
            }
            button.btn #play-it type="button" data-do="play" data-from="play" { "Run" }
        }
    }
}
