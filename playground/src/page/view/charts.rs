//! The small charts under the timeline.

use chrono::TimeDelta;
use maud::{Markup, html};

use super::words::{self, percent};
use crate::page::{
    board::Turned,
    probe::{LANES, LATENESS},
    state::State,
    switches::Switch,
};

const HEIGHT: f64 = 72.0;

fn head(title: &str, figure: &str, text: &str) -> Markup {
    html! { figcaption { h3 { (title) } strong { (figure) } span.s { (text) } } }
}

/// The letters of switches that bear on a chart.
fn note(state: &State, switches: &[Switch], text: &str) -> Markup {
    let on: Vec<&Turned> = state
        .board
        .all_on()
        .filter(|one| switches.contains(&one.switch))
        .collect();
    html! {
        @if !on.is_empty() {
            p.s.note { @for one in on { (words::letter(one.letter, one.switch.about().title)) " " } (text) }
        }
    }
}

/// Rows that were accepted, in steps of 10 s.
pub(crate) fn rate(state: &State) -> Markup {
    let steps = steps(state);
    let most = steps.iter().copied().fold(1.0, f64::max);
    let minute: f64 = steps.iter().rev().take(6).sum();
    html! {
        (head("Rows accepted, last 10 minutes", &rounded(minute), "in the last minute"))
        svg.plot height=(HEIGHT) role="img" aria-label=(format!("Rows in steps of 10 seconds, {most:.0} at most")) {
            @for (index, count) in steps.iter().enumerate() {
                @let tall = if *count > 0.0 { (count / most * (HEIGHT - 8.0)).max(2.0) } else { 0.0 };
                rect.bar x=(percent(index_share(index, 60))) width="1.3%" y=(format!("{:.1}", HEIGHT - tall)) height=(format!("{tall:.1}")) {}
            }
            line.rule x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
        }
        (ends("10 min ago", "now"))
        (note(state, &[Switch::PhishingWave, Switch::LateRows, Switch::ChangingStatuses], "brings more mail"))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a place in a picture")]
fn index_share(index: usize, of: usize) -> f64 {
    index as f64 / of as f64
}

fn ends(first: &str, last: &str) -> Markup {
    html! { div.plotax aria-hidden="true" { span { (first) } span { (last) } } }
}

/// Accepted rows in sixty steps of 10 s, the newest last.
#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn steps(state: &State) -> Vec<f64> {
    let mut steps = vec![0.0; 60];
    for (before, sample) in state.samples.iter().zip(state.samples.iter().skip(1)) {
        let age = (state.now - sample.at).num_seconds().max(0) / 10;
        let step = usize::try_from(59 - age).ok();
        if let Some(step) = step.and_then(|step| steps.get_mut(step)) {
            *step += sample.accepted.saturating_sub(before.accepted) as f64;
        }
    }
    steps
}

/// How late rows are, as the module has counted.
pub(crate) fn lateness(state: &State) -> Markup {
    let counts = state
        .metrics
        .as_ref()
        .map(|metrics| metrics.lateness())
        .unwrap_or_default();
    let most = counts.iter().copied().fold(1.0, f64::max);
    let all: f64 = counts.iter().sum();
    // By a logarithm: the few that are late are what matters.
    let tall = |count: f64| {
        if count > 0.0 {
            ((count + 1.0).ln() / (most + 1.0).ln() * (HEIGHT - 14.0)).max(3.0)
        } else {
            0.0
        }
    };
    html! {
        (head("How late rows surface", &half(&counts), "half of them, of those received since the start"))
        svg.plot height=(HEIGHT) role="img" aria-label=(format!("Rows by lateness: {all:.0} in all")) {
            @for (index, count) in counts.iter().enumerate() {
                @let height = tall(*count);
                rect class=(if index >= 3 { "bar late" } else { "bar" }) x=(percent(index_share(index, 11) + 0.008)) width="7.4%"
                    y=(format!("{:.1}", HEIGHT - height)) height=(format!("{height:.1}")) {}
                @if *count > 0.0 {
                    text.tx x=(percent(index_share(index, 11) + 0.045)) y=(format!("{:.1}", HEIGHT - height - 3.0)) text-anchor="middle" { (format!("{count:.0}")) }
                }
            }
            line.rule x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
        }
        svg.ax height="16" aria-hidden="true" {
            @for (index, (_, name)) in LATENESS.iter().enumerate() {
                text x=(percent(index_share(index + 1, 11))) y="12" text-anchor="middle" class=(if index % 2 == 1 { "opt" } else { "" }) { (name) }
            }
        }
        (note(state, &[Switch::LateRows], "brings rows that surface late"))
    }
}

/// A count that was summed up as a fraction.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count"
)]
fn rounded(count: f64) -> String {
    words::number(count.max(0.0).round() as u64)
}

/// The bound below which half of them are.
fn half(counts: &[f64]) -> String {
    let all: f64 = counts.iter().sum();
    let mut sum = 0.0;
    for (count, (_, name)) in counts.iter().zip(LATENESS) {
        sum += count;
        if sum > 0.0 && sum * 2.0 >= all {
            return format!("≤ {name}");
        }
    }
    "–".to_owned()
}

/// Requests of the last five minutes against the quota, by lane.
pub(crate) fn requests(state: &State) -> Markup {
    let lanes = state.requests();
    let ours: f64 = lanes.iter().sum();
    let (used, allowed) = state.quota;
    let graph = state.reads_graph();
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let (used, allowed) = (used as f64, f64::from(allowed.max(1)));
    let whole = if graph { allowed } else { ours.max(20.0) };
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let asked = (state.asked.len() as f64).max(ours);
    // Refused, failed, or of a check: no page that a lane has read.
    let rest = (asked - ours).min((used - ours).max(0.0));
    let other = if graph { (used - asked).max(0.0) } else { 0.0 };
    let limit = state
        .form
        .applied
        .as_ref()
        .and_then(|(form, _)| form.get("quota")?.as_f64())
        .unwrap_or(90.0);
    let mut at = 0.0;
    let mut parts = Vec::new();
    for (name, count) in LANES.iter().zip(lanes) {
        parts.push((at / whole, count / whole, format!("l-{name}")));
        at += count;
    }
    if graph {
        parts.push((at / whole, rest / whole, "l-none".to_owned()));
    }
    let text = if graph {
        format!(
            "of the tenant’s {allowed:.0} are used, {:.0} by us",
            ours + rest
        )
    } else {
        "by this process; this service has no quota of its own".to_owned()
    };
    let figure = if graph { used } else { ours };
    html! {
        (head("Requests of the last 5 minutes", &format!("{figure:.0}"), &text))
        svg.plot height="40" role="img" aria-label=(format!("{figure:.0} requests, {other:.0} of them by others")) {
            rect.ground x="0" width="100%" y="14" height="20" {}
            @for (x, width, class) in parts {
                @if width > 0.0 { rect class=(class) x=(percent(x)) width=(percent(width.min(1.0 - x))) y="14" height="20" {} }
            }
            @if other > 0.0 {
                rect.p-extra x=(percent(1.0 - (other / whole).min(1.0))) width=(percent(other / whole)) y="14" height="20" {}
            }
            @if graph {
                line.limit x1=(percent(limit / whole)) x2=(percent(limit / whole)) y1="12" y2="36" {}
                text.tx x=(percent(limit / whole)) y="9" text-anchor="middle" { "our limit" }
            }
        }
        div.key {
            @for (name, count) in LANES.iter().zip(lanes) {
                span { (words::icon(name, "")) (name) " " b { (format!("{count:.0}")) } }
            }
            @if graph {
                span { "refused or check " b { (format!("{rest:.0}")) } }
                span { "others " b { (format!("{other:.0}")) } }
                span { "free " b { (format!("{:.0}", (allowed - used).max(0.0))) } }
            }
        }
        (note(state, &[Switch::OtherConsumer], "takes what it can get"))
    }
}

/// How far behind now everything is complete.
pub(crate) fn freshness(state: &State) -> Markup {
    let lags: Vec<(f64, f64)> = state
        .samples
        .iter()
        .filter_map(|sample| {
            let age = (state.now - sample.at).num_milliseconds();
            let lag = sample.lag?.num_milliseconds().max(0);
            #[allow(clippy::cast_precision_loss, reason = "a picture")]
            Some((1.0 - age as f64 / 600_000.0, lag as f64 / 1000.0))
        })
        .filter(|(x, _)| *x >= 0.0)
        .collect();
    let worst = lags.iter().map(|(_, lag)| *lag).fold(0.0, f64::max);
    let top = [15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 7200.0]
        .into_iter()
        .find(|top| *top + 1.0 >= worst)
        .unwrap_or(worst);
    let mut path = String::new();
    let mut last: Option<f64> = None;
    for (x, lag) in &lags {
        // Where the process did not run there is no line.
        let step = if last.is_some_and(|last| x - last < 0.03) {
            'L'
        } else {
            'M'
        };
        path.push_str(&format!(
            "{step}{:.1} {:.1}",
            x * 600.0,
            height_of(*lag, top)
        ));
        last = Some(*x);
    }
    let present = state.samples.back().and_then(|sample| sample.lag);
    let figure = present
        .filter(|_| state.life.is_on())
        .map_or("–".to_owned(), words::span);
    html! {
        (head("Freshness, last 10 minutes", &figure, &format!("since everything was complete; worst {}", words::span(seconds(worst)))))
        svg.plot height=(HEIGHT) role="img" aria-label=(format!("Seconds behind now, {worst:.0} at worst")) {
            line.grid x1="0" x2="100%" y1="12" y2="12" {}
            text.tx x="0" y="9" { (words::span(seconds(top))) }
            @if top > 60.0 {
                line.grid x1="0" x2="100%" y1=(format!("{:.1}", height_of(10.0, top))) y2=(format!("{:.1}", height_of(10.0, top))) {}
                text.tx x="0" y=(format!("{:.1}", height_of(10.0, top) - 3.0)) { "10 s" }
            }
            svg width="100%" height=(HEIGHT) viewBox=(format!("0 0 600 {HEIGHT}")) preserveAspectRatio="none" {
                path.lag d=(path) vector-effect="non-scaling-stroke" {}
            }
            line.rule x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
        }
        (ends("10 min ago", "now"))
        (note(state, &[Switch::SourceOutage, Switch::IntakeOutage, Switch::SlowAnswers, Switch::OtherConsumer, Switch::BrokenConnections], "holds it up"))
    }
}

/// By a logarithm: a backlog of hours and the saw-tooth of seconds are both seen.
fn height_of(lag: f64, top: f64) -> f64 {
    HEIGHT - (lag + 1.0).ln() / (top + 1.0).ln() * (HEIGHT - 12.0)
}

fn seconds(count: f64) -> TimeDelta {
    #[allow(clippy::cast_possible_truncation, reason = "whole seconds")]
    TimeDelta::seconds(count as i64)
}
