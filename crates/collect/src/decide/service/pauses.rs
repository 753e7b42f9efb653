//! How long a reader, or all of them, pause after a failure, and what ends that for a reader.

use std::time::Duration;

use base::retry::drawn;
use tokio::time::Instant;

use super::{
    Cause, Gate, Hold, PROBING, RESTS, ReaderHealth, SINGLE, STUBBORN, ServiceHealth, WALK,
};

impl ServiceHealth {
    /// A reader pauses for as long as `next` says, if that `is_firm` also when others are answered.
    pub(super) fn pause(
        &mut self,
        reader: usize,
        now: Instant,
        is_firm: bool,
        next: impl FnOnce(&mut ReaderHealth) -> Duration,
    ) -> Duration {
        let Some(reader) = self.readers.get_mut(reader) else {
            return Duration::ZERO;
        };
        let pause = next(reader);
        let until = now + pause;
        reader.hold = Some(Hold {
            until,
            is_firm,
            has_failed: true,
        });
        pause
    }

    pub(super) fn own_pause(
        &mut self,
        reader: usize,
        after: Option<Duration>,
        now: Instant,
        is_firm: bool,
    ) {
        let is_firm = is_firm || after.is_some();
        self.pause(reader, now, is_firm, |one| one.own.next_pause(after));
    }

    /// Counts a failure of a reader: how often its page has failed while others were answered, whether they
    /// were since it failed last, and whether it has failed again and again at all.
    pub(super) fn count_failure(&mut self, reader: usize, now: Instant) -> (u32, bool, bool) {
        let answers = self.answers;
        self.readers
            .get_mut(reader)
            .map_or((0, false, false), |reader| {
                let before = reader.seen.replace(answers);
                let is_contrary = before.is_some_and(|before| answers > before);
                reader.contrary = reader.contrary.saturating_add(u32::from(is_contrary));
                reader.in_a_row = reader.in_a_row.saturating_add(1);
                reader.failed = Some(now);
                (reader.contrary, is_contrary, reader.in_a_row >= STUBBORN)
            })
    }

    /// For how long a window rests that fails while others are answered, when so many rest already. Its
    /// reader goes on with others at once.
    pub(crate) fn rests(&mut self, reader: usize, resting: usize) -> Duration {
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.hold = None;
            reader.own.reset();
            reader.slow.reset();
        }
        self.begun(reader);
        let more = u32::try_from(resting / 4).unwrap_or(u32::MAX);
        drawn(RESTS.0, RESTS.1).saturating_mul(more.saturating_add(1))
    }

    pub(super) fn outage(&mut self, now: Instant) {
        // A pause goes on, also one of another kind.
        if self.gate.is_some_and(|gate| gate.until > now) {
            return;
        }
        let (least, most) = if self.answers_lately(now) {
            SINGLE
        } else {
            PROBING
        };
        self.shut(Cause::Outage, drawn(least, most), now);
    }

    pub(super) fn throttled(&mut self, after: Option<Duration>, now: Instant) {
        if let Some(after) = after {
            let until = now + after;
            self.not_before = Some(self.not_before.map_or(until, |before| before.max(until)));
        }
        // What had been sent before the pause does not make it grow.
        let pause = self.under_way(Cause::Throttled, now);
        let pause = pause.unwrap_or_else(|| self.throttled.next_pause(after));
        self.shut(Cause::Throttled, pause, now);
    }

    /// How long a pause of all readers for this reason still lasts.
    pub(super) fn under_way(&self, cause: Cause, now: Instant) -> Option<Duration> {
        let gate = self.gate.filter(|gate| gate.cause == cause)?;
        (gate.until > now).then(|| gate.until - now)
    }

    pub(super) fn shut(&mut self, cause: Cause, pause: Duration, now: Instant) {
        let until = now + pause;
        self.gate = Some(Gate { until, cause });
    }

    /// When a reader may ask, if that is later than now.
    pub(crate) fn held_until(&self, reader: usize, now: Instant) -> Option<Instant> {
        let own = self.readers.get(reader).and_then(|reader| reader.hold);
        self.held_by(own, now)
    }

    /// When a reader may ask after what has failed, if that is later than now.
    pub(crate) fn failure_holds(&self, reader: usize, now: Instant) -> Option<Instant> {
        let own = self.readers.get(reader).and_then(|reader| reader.hold);
        self.held_by(own.filter(|hold| hold.has_failed), now)
    }

    fn held_by(&self, own: Option<Hold>, now: Instant) -> Option<Instant> {
        let holds = [
            own.map(|hold| hold.until),
            self.gate.map(|gate| gate.until),
            self.not_before,
        ];
        let until = holds.into_iter().flatten().max();
        until.filter(|until| *until > now)
    }

    /// A reader's window cannot be read like this, and will be asked for in another way. How long it pauses.
    pub(crate) fn asks_otherwise(&mut self, reader: usize, now: Instant) -> Duration {
        self.pause(reader, now, true, |one| {
            one.suspect = None;
            one.narrowing.next_pause(None)
        })
    }

    /// A reader has read a narrow window, and goes on with the next one at a walk: the source has failed at
    /// wider ones.
    pub(crate) fn walks(&mut self, reader: usize, now: Instant) {
        self.paces(reader, drawn(WALK.0, WALK.1), now);
    }

    /// A reader's window cannot be read, and there is no other way to ask for it. How long it pauses.
    pub(crate) fn asks_seldom(&mut self, reader: usize, now: Instant) -> Duration {
        self.pause(reader, now, true, |one| {
            one.suspect = None;
            one.slow.next_pause(None)
        })
    }

    /// Pauses a reader for this long, also when others are answered.
    pub(crate) fn hold(&mut self, reader: usize, pause: Duration, now: Instant) {
        self.pause(reader, now, true, |_| pause);
    }

    /// The same where nothing has failed.
    pub(crate) fn paces(&mut self, reader: usize, pause: Duration, now: Instant) {
        self.hold(reader, pause, now);
        let hold = self.readers.get_mut(reader);
        if let Some(hold) = hold.and_then(|reader| reader.hold.as_mut()) {
            hold.has_failed = false;
        }
    }

    pub(crate) fn window_read(&mut self, reader: usize) {
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.narrowing.reset();
        }
        self.calm();
    }

    /// A reader begins another window.
    pub(crate) fn begun(&mut self, reader: usize) {
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.suspect = None;
            (reader.contrary, reader.in_a_row) = (0, 0);
            reader.seen = None;
        }
    }

    /// A reader's window failed in a way that a narrower one may cure. Whether to make it narrower:
    /// another window was answered since the last time.
    pub(crate) fn is_too_wide(&mut self, reader: usize) -> bool {
        let answers = self.answers;
        self.readers.get_mut(reader).is_some_and(|reader| {
            let before = reader.suspect.replace(answers);
            before.is_some_and(|before| answers > before)
        })
    }
}
