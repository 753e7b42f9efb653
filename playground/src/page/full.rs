//! The switch "Disk full".

use super::{engine::Engine, switches::Switch};
use crate::module;

impl Engine<'_> {
    /// The disk of the state is as the switch says. Where the state has no disk of its own, files of the
    /// process may not grow while it counts as full.
    pub(super) fn limit_files(&self) {
        let full = self.state.board.on(Switch::DiskFull).is_some();
        let done = match (&self.world.site.disk, self.state.pid) {
            (Some(disk), _) if full => disk.fill(),
            (Some(disk), _) => disk.make_room(),
            (None, Some(pid)) => module::limit_files(pid, full),
            (None, None) => Ok(()),
        };
        if let Err(error) = done {
            self.say(&format!("The disk cannot be as the switch says: {error:#}"));
        }
    }

    /// What was deleted on a full disk is no room for long.
    pub(super) fn keep_full(&self) {
        if let Some(disk) = &self.world.site.disk
            && self.state.board.on(Switch::DiskFull).is_some()
        {
            // The next time is soon.
            _ = disk.fill();
        }
    }
}
