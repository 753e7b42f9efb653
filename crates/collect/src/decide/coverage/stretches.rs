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
        self.stretches.dedup_by(|next, last| {
            let is_one = last.phase == next.phase;
            if is_one {
                join(last, next, next.phase);
            }
            is_one
        });
        if let Some(first) = self.stretches.first()
            && first.phase == Phase::Final
        {
            self.floor = first.window.end();
            self.stretches.remove(0);
        }
        if self.stretches.len() > MOST_STRETCHES {
            halve(&mut self.stretches);
        }
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

/// Merges pairs of settling neighbors, which are then read again as early as the earlier of them. What
/// differs in kind stays apart: there are only as many missing stretches as there were stops.
fn halve(stretches: &mut Vec<Stretch>) {
    let mut is_pair = false;
    stretches.dedup_by(|next, last| {
        is_pair = match (last.phase, next.phase) {
            (Phase::Settling(before), Phase::Settling(read)) if !is_pair => {
                join(last, next, Phase::Settling(before.min(read)));
                true
            }
            _ => false,
        };
        is_pair
    });
}

fn join(last: &mut Stretch, next: &Stretch, phase: Phase) {
    last.window = Window::new(last.window.start(), next.window.end()).unwrap_or(last.window);
    last.rows += next.rows;
    last.phase = phase;
}
