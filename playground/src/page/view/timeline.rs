//! The timeline as a picture: a lens on the live edge, the last day, and the whole reach.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::words::{self, percent};
use crate::page::{
    probe::LANES,
    state::{AtWork, State},
    verdict::{Reading, Stretch},
};

/// What the fields mean.
pub(crate) fn legend() -> Markup {
    html! {
        ul.legend aria-label="What the fields mean" {
            @for (class, text) in [
                ("p-final", "final"), ("p-settling", "settling, read again"), ("p-reading", "being read"),
                ("p-missing", "missing, will be read"), ("p-lost", "lost"), ("p-never", "never asked for"),
            ] {
                li { svg aria-hidden="true" { rect class=(class) width="20" height="12" {} } (text) }
            }
        }
    }
}

/// A span of time that a band shows.
#[derive(Clone, Copy)]
struct Scale {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Scale {
    fn last(now: DateTime<Utc>, length: TimeDelta) -> Self {
        Self {
            from: now - length,
            to: now,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn share(self, at: DateTime<Utc>) -> f64 {
        let whole = (self.to - self.from).num_milliseconds() as f64;
        (at - self.from).num_milliseconds() as f64 / whole
    }

    /// Place and width of an interval; none when nothing of it is seen.
    fn place(self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<(f64, f64)> {
        let (start, end) = (self.share(from).max(0.0), self.share(to).min(1.0));
        // A moment in 90 days is seen, too.
        (end > start).then(|| (start.min(0.996), (end - start).max(0.004)))
    }
}

/// The bands, the switches and kills between them, and the lanes.
pub(crate) fn bands(state: &State) -> Markup {
    let lens = Scale::last(state.now, TimeDelta::minutes(2));
    let day = Scale::last(state.now, TimeDelta::hours(24));
    let reach = Scale::last(state.now, TimeDelta::days(state.reach_days()));
    html! {
        b { "2 minutes" }
        div.band { (band(state, lens, 24)) (axis(lens, &[0.0, 0.25, 0.5, 0.75], "%H:%M:%S")) }
        p.say { (edge(state)) }
        @if !state.board.turned.is_empty() || !state.kills.is_empty() {
            span.lane.mut { "switches" }
            div { (pins(state, lens)) }
            p.say { (named(state)) }
        }
        b { "24 hours" }
        div.band { (band(state, day, 36)) (axis(day, &[0.0, 0.25, 0.5, 0.75], "%H:%M")) }
        p.say { (sums(state, day)) }
        @for lane in 0..LANES.len() { (lane_of(state, lane)) }
        b { (state.reach_days()) " days" }
        div.band { (band(state, reach, 20)) (axis(reach, &[0.0, 0.33, 0.66], "%-d %b")) }
        p.say { (sums(state, reach)) }
    }
}

fn class(reading: Reading) -> &'static str {
    match reading {
        Reading::Missing => "p-missing",
        Reading::Wanted => "p-missing",
        Reading::Settling(_) => "p-settling",
        Reading::Final => "p-final",
        Reading::Lost => "p-lost",
    }
}

/// Neighbours that look the same are one: a picture needs no more.
fn joined(timeline: &[Stretch]) -> Vec<(DateTime<Utc>, DateTime<Utc>, &'static str)> {
    let mut joined: Vec<(DateTime<Utc>, DateTime<Utc>, &'static str)> = Vec::new();
    for stretch in timeline {
        let look = class(stretch.state);
        match joined.last_mut() {
            Some((_, to, last)) if *to == stretch.from && *last == look => *to = stretch.to,
            _ => joined.push((stretch.from, stretch.to, look)),
        }
    }
    joined
}

fn band(state: &State, scale: Scale, height: u32) -> Markup {
    let inner = height - 8;
    let stretches = joined(&state.claim.timeline);
    let edge = state.claim.timeline.last().map(|stretch| stretch.to);
    // What has not been asked for yet is missing while the module runs.
    let rest = edge
        .filter(|_| state.life.is_on())
        .and_then(|edge| scale.place(edge, scale.to));
    html! {
        svg height=(height) role="img" aria-label=(described(state, scale)) {
            rect.p-never x="0" y=(height / 2 - 1) width="100%" height="2" {}
            @for (from, to, look) in stretches {
                @if let Some((x, width)) = scale.place(from, to) {
                    rect class=(look) x=(percent(x)) y="4" width=(percent(width)) height=(inner) {}
                }
            }
            @if let Some((x, width)) = rest {
                rect.p-missing x=(percent(x)) y="4" width=(percent(width)) height=(inner) {}
            }
            @for work in state.work.iter().filter(|work| is_fresh(state, work)) {
                @if let Some((x, width)) = scale.place(work.from, work.to) {
                    rect.p-reading x=(percent(x)) y="1" width=(percent(width)) height=(height - 2) rx="2" {}
                }
            }
        }
    }
}

/// Whether it is to be shown as being read: an eye needs longer than most reads take.
fn is_fresh(state: &State, work: &AtWork) -> bool {
    work.waits || state.now - work.asked < TimeDelta::milliseconds(1200)
}

fn axis(scale: Scale, marks: &[f64], format: &str) -> Markup {
    let length = scale.to - scale.from;
    html! {
        svg.ax height="16" aria-hidden="true" {
            @for (index, share) in marks.iter().enumerate() {
                @let at = scale.from + TimeDelta::milliseconds(milliseconds(length, *share));
                text x=(percent(*share)) y="12" class=(if index % 2 == 1 { "opt" } else { "" })
                    text-anchor=(if index == 0 { "start" } else { "middle" }) { (at.format(format)) }
            }
            text x="100%" y="12" text-anchor="end" { "now" }
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a place in a picture"
)]
fn milliseconds(length: TimeDelta, share: f64) -> i64 {
    (length.num_milliseconds() as f64 * share) as i64
}

/// The live edge in words.
fn edge(state: &State) -> Markup {
    let edge = state.claim.timeline.last().map(|stretch| stretch.to);
    html! {
        @match edge {
            None => "nothing is asked for yet",
            Some(edge) => { b { (words::span(state.now - edge)) } " not asked for yet" },
        }
    }
}

fn pins(state: &State, scale: Scale) -> Markup {
    let spans: Vec<_> = state
        .board
        .turned
        .iter()
        .filter_map(|one| {
            let to = one.to.unwrap_or(scale.to);
            Some((one, scale.place(one.from.max(scale.from), to)?))
        })
        .collect();
    let kills: Vec<_> = state.kills.iter().filter(|at| **at > scale.from).collect();
    let height = 18 * spans.len().min(4).max(usize::from(!kills.is_empty()));
    html! {
        svg.pins height=(height) role="img" aria-label=(format!("{} switches and {} kills in the last 2 minutes", spans.len(), kills.len())) {
            @for (index, (one, (x, width))) in spans.iter().rev().take(4).enumerate() {
                @let y = 18 * index;
                rect.span-on x=(percent(*x)) y=(y) width=(percent(*width)) height="2" {}
                text.pin x=(percent(*x)) dx="3" y=(y + 15) { (one.letter) }
            }
            @for at in kills {
                text.killed x=(percent(scale.share(*at))) y="12" text-anchor="middle" { "✕" }
            }
        }
    }
}

fn named(state: &State) -> Markup {
    html! {
        @for one in state.board.all_on() {
            span.row-on { (words::letter(one.letter, one.switch.about().title)) " " (one.switch.about().title) }
        }
        @if let Some(at) = state.kills.last() { span.row-on { span.bad { "✕" } " killed " (words::clock(*at)) } }
    }
}

fn lane_of(state: &State, lane: usize) -> Markup {
    let name = LANES.get(lane).copied().unwrap_or_default();
    let scale = Scale::last(state.now, TimeDelta::hours(24));
    let work = state.work.iter().find(|work| work.lane == lane);
    let requests = state.metrics.as_ref().map(|metrics| metrics.lanes());
    let count = requests
        .and_then(|lanes| lanes.get(lane).copied())
        .unwrap_or(0.0);
    html! {
        span.lane { (words::icon(name, "")) " " (name) }
        svg height="20" aria-hidden="true" {
            line.rule x1="0" x2="100%" y1="10" y2="10" {}
            @if let Some(work) = work {
                @match scale.place(work.from, work.to) {
                    Some((x, width)) => {
                        rect class=(if is_fresh(state, work) { format!("l-{name}") } else { format!("l-{name} rest") })
                            x=(percent(x.min(0.992))) y="5" width=(percent(width.max(0.008))) height="10" rx="2" {}
                    },
                    None => { path class=(format!("l-{name}")) d="M1 10l7-5v10z" {} },
                }
            }
        }
        p.say {
            @match work {
                None if matches!(name, "backfill" | "verify") => "none was asked for",
                None => "at rest",
                Some(work) if is_fresh(state, work) => {
                    "reads " b { (work.from.format("%H:%M:%S")) } " to " b { (work.to.format("%H:%M:%S")) }
                    @if let Some(wait) = &work.wait { ", waits for " (wait) }
                },
                Some(work) => {
                    "until " b { (work.to.format("%H:%M:%S")) }
                    @if count > 0.0 { ", " (format!("{count:.0}")) @if count > 1.0 { " requests" } @else { " request" } }
                },
            }
        }
    }
}

/// How much of a scale is what.
fn totals(state: &State, scale: Scale) -> Vec<(TimeDelta, &'static str)> {
    let mut totals = Vec::new();
    for (look, name) in [
        ("p-final", "final"),
        ("p-settling", "settling"),
        ("p-missing", "missing"),
        ("p-lost", "lost"),
    ] {
        let mut sum = TimeDelta::zero();
        for stretch in &state.claim.timeline {
            if class(stretch.state) == look {
                let (from, to) = (stretch.from.max(scale.from), stretch.to.min(scale.to));
                sum += (to - from).max(TimeDelta::zero());
            }
        }
        if sum > TimeDelta::zero() {
            totals.push((sum, name));
        }
    }
    totals
}

fn sums(state: &State, scale: Scale) -> Markup {
    let totals = totals(state, scale);
    let missing = totals.iter().any(|(_, name)| *name == "missing");
    html! {
        @if totals.is_empty() { "nothing is read yet" }
        @for (index, (sum, name)) in totals.iter().enumerate() {
            @if index > 0 { ", " }
            b { (words::span(*sum)) } " " (name)
        }
        @if !totals.is_empty() && !missing { ", nothing missing" }
    }
}

fn described(state: &State, scale: Scale) -> String {
    let totals = totals(state, scale);
    let parts: Vec<String> = totals
        .iter()
        .map(|(sum, name)| format!("{} {name}", words::span(*sum)))
        .collect();
    let length = words::span(scale.to - scale.from);
    match parts.is_empty() {
        true => format!("The last {length}: nothing is read yet"),
        false => format!("The last {length}: {}", parts.join(", ")),
    }
}
