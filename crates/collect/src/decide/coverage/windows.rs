//! Sets of windows: in order, and apart from one another.

use chrono::{DurationRound, TimeDelta};
use rows::Window;

/// Delivered rows are remembered by the hour.
const HOUR: TimeDelta = TimeDelta::hours(1);

/// What of some windows lies in another one.
pub(crate) fn within(windows: &[Window], inside: Window) -> impl Iterator<Item = Window> {
    let windows = windows.iter();
    windows.filter_map(move |one| one.intersection(inside))
}

/// Whether all of a window lies in another one.
pub(crate) fn is_part(part: Window, of: Window) -> bool {
    part.intersection(of) == Some(part)
}

/// Windows in order, and one more; those that meet are one.
pub(crate) fn with(windows: &[Window], window: Window) -> Vec<Window> {
    let mut all = without(windows, [window]);
    all.push(window);
    all.sort_by_key(Window::start);
    all.dedup_by(|next, last| joins(last, *next));
    all
}

/// Makes a window one with the next, when they meet. Whether they do.
pub(crate) fn joins(last: &mut Window, next: Window) -> bool {
    let meet = last.end() == next.start();
    if meet && let Some(joined) = Window::new(last.start(), next.end()) {
        *last = joined;
    }
    meet
}

/// Windows without what lies in others.
pub(crate) fn without(windows: &[Window], others: impl IntoIterator<Item = Window>) -> Vec<Window> {
    let mut left = windows.to_vec();
    for other in others {
        let sides = |window: Window| {
            let before = Window::new(window.start(), window.end().min(other.start()));
            let after = Window::new(window.start().max(other.end()), window.end());
            [before, after].into_iter().flatten()
        };
        left = left.into_iter().flat_map(sides).collect();
    }
    left
}

/// A window cut at full hours.
pub(crate) fn hours(window: Window) -> Vec<Window> {
    let mut cut = Vec::new();
    let mut start = window.start();
    while start < window.end() {
        let hour = start.duration_trunc(HOUR).unwrap_or(start) + HOUR;
        cut.extend(Window::new(start, hour.min(window.end())));
        start = hour;
    }
    cut
}
