//! A batch of which patience is asked for may have too many events for one request.

use super::{Intake, Load, lock};

impl Intake {
    /// Patience is asked for of the first piece of a batch. Where it may be too large, it goes on in parts.
    pub(super) fn may_be_too_large(&self, load: &mut Load, why: &str) {
        let Some(piece) = load.pieces.front().filter(|piece| piece.len() > 1) else {
            return;
        };
        let (events, bytes) = (piece.len(), piece.body.len());
        let mut is_refused = false;
        let parts = {
            let (mut sizes, mut counts) = (lock(&self.0.sizes), lock(&self.0.counts));
            let is_limited = sizes.are_limited() || counts.are_limited();
            if bytes > sizes.most() || events > counts.most() {
                (bytes / sizes.most()).max(events / counts.most()) + 1
            } else if load.patience.is_of_size(is_limited) {
                let passed = load.patience.one_passed();
                let are_too_many = passed || counts.is_untried(events);
                let is_too_large = passed || sizes.is_untried(bytes);
                if are_too_many {
                    counts.refused(events);
                }
                if is_too_large {
                    sizes.refused(bytes);
                }
                is_refused = are_too_many || is_too_large;
                // Where as many have been accepted, it may be for all. Two parts do no harm then.
                if is_refused { 10 } else { 2 }
            } else {
                return;
            }
        };
        let parts = piece.parts(events.div_ceil(parts));
        load.pieces.pop_front();
        for part in parts.into_iter().rev() {
            load.pieces.push_front(part);
        }
        load.patience.begin_anew();
        if is_refused {
            lock(&self.0.report).has_too_many(&self.0.around.log, events, why);
        }
    }
}
