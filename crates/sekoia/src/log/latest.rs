//! What went wrong last, for those who ask the process.

use chrono::{DateTime, Utc};

use super::Level;

/// Longest text that is kept.
const LONGEST: usize = 2048;

/// The last line of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest {
    /// An error. Critical lines repeat one, or say less.
    pub(crate) error: Option<Said>,
    pub(crate) warning: Option<Said>,
}

/// A line of the log, without secrets.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) at: DateTime<Utc>,
    /// Its text, cut where it is long.
    pub(crate) text: String,
}

impl Latest {
    pub(super) fn keep(&mut self, at: DateTime<Utc>, level: Level, message: &str) {
        let kept = match level {
            Level::Error => &mut self.error,
            Level::Warning => &mut self.warning,
            _ => return,
        };
        let text = message
            .get(..message.floor_char_boundary(LONGEST))
            .unwrap_or_default()
            .to_owned();
        *kept = Some(Said { at, text });
    }
}
