//! How stretches of the timeline are changed, joined, and kept few.

use rows::Window;

use super::{Coverage, MOST_STRETCHES, Phase, Stretch, windows::without};

impl Coverage {
    /// Gives a window a phase of its own.
    pub(super) fn paint(&mut self, window: Window, phase: Phase, rows: f64) {
        // What lies before the floor is done.
        let Some(window) = Window::new(window.start().max(self.floor), window.end()) else {
            return;
        };
        let before = Window::new(self.floor, window.start());
        let after = Window::new(window.end(), self.edge());
        let side = |side: Option<Window>| {
            let parts = self.stretches.iter();
            parts.filter_map(move |one| one.within(side?))
        };
        if phase != Phase::Wanted {
            self.again = outside(&self.again, [window]);
        }
        let mut painted: Vec<Stretch> = side(before).collect();
        painted.push(Stretch {
            window,
            phase,
            rows,
        });
        painted.extend(side(after));
        self.stretches = painted;
        self.tidy();
    }

    /// Merges neighbors of one kind, raises the floor over what is final, and keeps within bounds.
    pub(super) fn tidy(&mut self) {
        let mut merged: Vec<Stretch> = Vec::with_capacity(self.stretches.len());
        for stretch in self.stretches.drain(..) {
            match merged.last_mut() {
                Some(last) if last.phase == stretch.phase => join(last, &stretch, stretch.phase),
                _ => merged.push(stretch),
            }
        }
        if let Some(first) = merged.first()
            && first.phase == Phase::Final
        {
            self.floor = first.window.end();
            merged.remove(0);
        }
        if merged.len() > MOST_STRETCHES {
            merged = halved(merged);
        }
        self.stretches = merged;
    }
}

/// Stretches without what lies in some windows.
pub(super) fn outside(
    stretches: &[Stretch],
    windows: impl IntoIterator<Item = Window>,
) -> Vec<Stretch> {
    let windows: Vec<Window> = windows.into_iter().collect();
    let sides = |one: &Stretch| {
        let sides = without(&[one.window], windows.iter().copied()).into_iter();
        sides
            .filter_map(|side| one.within(side))
            .collect::<Vec<_>>()
    };
    stretches.iter().flat_map(sides).collect()
}

/// Merges pairs of settling neighbors, which are then read again as early as the earlier of them.
fn halved(stretches: Vec<Stretch>) -> Vec<Stretch> {
    let mut merged: Vec<Stretch> = Vec::with_capacity(stretches.len());
    let mut mergeable = false;
    for stretch in stretches {
        match (merged.last_mut(), stretch.phase) {
            (Some(last), Phase::Settling(read)) if mergeable => {
                if let Phase::Settling(before) = last.phase {
                    join(last, &stretch, Phase::Settling(before.min(read)));
                    mergeable = false;
                    continue;
                }
                merged.push(stretch);
            }
            // What differs in kind stays apart: a missing stretch counts as much as any other, and
            // there are only as many as there were stops.
            _ => merged.push(stretch),
        }
        mergeable = true;
    }
    merged
}

fn join(last: &mut Stretch, next: &Stretch, phase: Phase) {
    last.window = Window::new(last.window.start(), next.window.end()).unwrap_or(last.window);
    last.rows += next.rows;
    last.phase = phase;
}
