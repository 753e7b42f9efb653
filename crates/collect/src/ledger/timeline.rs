//! Persists the timeline, in a file beside the checkpoint.

use std::io;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Store,
    decide::{coverage::Coverage, lateness::Lateness, leaps::KeptLeaps},
    ledger::journal::Inventory,
};

/// The file in the store.
pub const TIMELINE_FILE: &str = "coverage.json";

/// The version of its format.
const VERSION: u32 = 1;

/// The last member of the file: a CRC-32 of all that stands before it. A flipped bit makes one date of
/// another, and what was never read would count as read.
const CHECKSUM: &str = ",\"crc32\":";

/// What is kept of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    version: u32,
    /// When it was kept.
    pub kept_at: DateTime<Utc>,
    /// The checkpoint that was kept with it: everything received before it was delivered.
    #[serde(rename = "mark")]
    pub checkpoint: DateTime<Utc>,
    /// The checkpoint that was kept before it, as far as is known: after a crash between the two, the position
    /// still has that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<DateTime<Utc>>,
    /// What has been read, and when.
    pub coverage: Coverage,
    /// How late rows are.
    pub lateness: Lateness,
    /// How many delivered rows are remembered in each segment at least; nothing is known of segments
    /// that are not named.
    #[serde(default)]
    pub segments: Inventory,
    /// For how many seconds after their reception rows were looked for; none when an earlier version has kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settle_seconds: Option<i64>,
    /// Tells the seed from others with which the keys of those rows are made; none when an earlier version has
    /// kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_mark: Option<u32>,
    /// The last time that was seen, and by how much it has leapt ahead where nobody knows yet whether rightly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaps: Option<KeptLeaps>,
}

/// What is found at a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing: it is the first start, or another module ran before.
    Nothing,
    /// A file that cannot be read, and why.
    Damaged(String),
    /// The timeline as it was kept.
    Timeline(Box<Timeline>),
}

impl Timeline {
    /// What is to be kept now, when nothing else is known.
    pub fn new(kept_at: DateTime<Utc>, coverage: Coverage, lateness: Lateness) -> Self {
        Self {
            version: VERSION,
            kept_at,
            checkpoint: comparable(coverage.checkpoint()),
            before: None,
            coverage,
            lateness,
            segments: Inventory::new(),
            settle_seconds: None,
            seed_mark: None,
            leaps: None,
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When the store cannot be read; damage is no error.
    pub async fn load(store: &impl Store) -> io::Result<Found> {
        match store.read(TIMELINE_FILE).await {
            Ok(text) => Ok(text.map_or(Found::Nothing, |text| Self::parse(&text))),
            // Something else is in its place, or it is far too long.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Ok(Found::Damaged(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the content of the file. One without a checksum is of an earlier version, or of a person.
    pub fn parse(text: &[u8]) -> Found {
        match serde_json::from_slice::<Self>(text) {
            Err(error) => Found::Damaged(error.to_string()),
            Ok(_) if !is_intact(text) => {
                Found::Damaged("its checksum is not that of its content".to_owned())
            }
            Ok(timeline) if timeline.version != VERSION => Found::Damaged(format!(
                "it has the format version {}, and this program knows {VERSION}",
                timeline.version
            )),
            Ok(timeline) if !timeline.coverage.is_sound() => {
                Found::Damaged("its intervals do not follow one another".to_owned())
            }
            Ok(timeline) => Found::Timeline(Box::new(timeline)),
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn save(&self, store: &impl Store) -> io::Result<()> {
        store.write(TIMELINE_FILE, self.text()?.into()).await
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self).map_err(io::Error::other)?;
        // The last brace comes after the checksum.
        text.pop();
        let checksum = checksum(&text);
        text.extend(checksum);
        Ok(text)
    }
}

/// Whether the content of the file is what was written, as far as its checksum tells; one without is.
pub fn is_intact(text: &[u8]) -> bool {
    let mark = CHECKSUM.as_bytes();
    let Some(at) = text.windows(mark.len()).rposition(|part| part == mark) else {
        return true;
    };
    let (content, end) = text.split_at(at);
    end.trim_ascii_end() == checksum(content)
}

/// How a file ends that begins so.
fn checksum(content: &[u8]) -> Vec<u8> {
    format!("{CHECKSUM}{}}}", crc32fast::hash(content)).into_bytes()
}

impl Found {
    /// The same, where rows are looked for until `settle_time` after their reception from now on: what a longer
    /// one would have read again is read for the last time.
    #[must_use]
    pub fn settled_by(mut self, settle_time: TimeDelta) -> Self {
        if let Self::Timeline(timeline) = &mut self
            && let Some(before) = timeline.settle_seconds.and_then(TimeDelta::try_seconds)
        {
            timeline.coverage.shorten(before, settle_time);
        }
        self
    }
}

/// The checkpoint with the digits that are kept of it.
pub(crate) fn comparable(checkpoint: DateTime<Utc>) -> DateTime<Utc> {
    checkpoint.trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Files, at_minute as at, minutes as window};

    fn timeline() -> Timeline {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(10));
        coverage.read(window(10, 20), at(20), 7);
        Timeline::new(at(21), coverage, Lateness::default())
    }

    fn reloaded() -> Found {
        Timeline::parse(&serde_json::to_vec(&timeline()).unwrap())
    }

    #[test]
    fn is_found_as_it_was_kept() {
        assert_eq!(reloaded(), Found::Timeline(Box::new(timeline())));
    }

    /// Else what was never read would count as read.
    #[test]
    fn a_flipped_bit_is_damage() {
        let text = timeline().text().unwrap();
        let whole = Found::Timeline(Box::new(timeline()));
        assert_eq!(Timeline::parse(&text), whole);
        assert_eq!(Timeline::parse(&[&text[..], b"\n"].concat()), whole);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                let found = Timeline::parse(&flipped);
                let is_harmless = found == whole || matches!(found, Found::Damaged(_));
                assert!(is_harmless, "bit {bit} of byte {at}: {found:?}");
            }
        }
        let text = str::from_utf8(&text).unwrap();
        let moved = text.replace("08:20:00", "09:20:00");
        assert_ne!(moved, text);
        let damaged = Found::Damaged("its checksum is not that of its content".to_owned());
        assert_eq!(Timeline::parse(moved.as_bytes()), damaged);
        // A person who changes it takes the checksum away.
        let (content, _) = moved.rsplit_once(CHECKSUM).unwrap();
        let found = Timeline::parse(format!("{content}}}").as_bytes());
        assert!(matches!(found, Found::Timeline(_)), "{found:?}");
    }

    /// Else its rows would be skipped, as those before a first collection are.
    #[test]
    fn a_file_from_before_backfills_is_that_of_a_collection() {
        let now = serde_json::to_string(&timeline()).unwrap();
        let then = now.replace(",\"begun\":true", "");
        assert_ne!(then, now);
        let found = Timeline::parse(then.as_bytes());
        assert_eq!(found, Found::Timeline(Box::new(timeline())));
    }

    #[test]
    fn what_settles_is_told_and_what_is_missing_is_not() {
        assert_eq!(timeline().coverage.settling_since(), Some(at(10)));
        let mut missing = Coverage::new(at(0));
        missing.reach(at(10));
        assert_eq!(missing.settling_since(), None);
    }

    /// Else it would be final without the questions that belong to the last reading.
    #[test]
    fn what_a_longer_settle_time_would_have_read_again_is_read_once_more() {
        let hours = TimeDelta::hours;
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 600), at(600), 0);
        coverage.reach(at(610));
        let found = |settle_time: Option<TimeDelta>| {
            let mut timeline = Timeline::new(at(610), coverage.clone(), Lateness::default());
            timeline.settle_seconds = settle_time.map(|time| time.num_seconds());
            Found::Timeline(Box::new(timeline))
        };
        let kept = |found: Found, settle_time| {
            let Found::Timeline(timeline) = found else {
                panic!("it is whole");
            };
            let found = Timeline::parse(&serde_json::to_vec(&timeline).unwrap());
            match found.settled_by(settle_time) {
                Found::Timeline(timeline) => timeline.coverage,
                other => panic!("{other:?}"),
            }
        };
        let floor = |found: Found, settle_time| {
            let mut coverage = kept(found, settle_time);
            coverage.settle(settle_time, at(610));
            coverage.floor()
        };
        // Of ten hours, eight were read for the last time.
        for settle_time in [2, 1, 0] {
            let settle_time = hours(settle_time);
            assert_eq!(floor(found(Some(hours(2))), settle_time), at(480));
        }
        assert_eq!(floor(found(Some(hours(2))), hours(3)), at(420));
        assert_eq!(floor(found(None), hours(1)), at(540), "it was not kept");
        // Read once more, the ninth is final.
        let mut coverage = kept(found(Some(hours(2))), hours(1));
        coverage.read(window(480, 540), at(612), 0);
        coverage.settle(hours(1), at(612));
        assert_eq!(coverage.floor(), at(540));
        assert_eq!(coverage.missing().next(), Some(window(600, 610)));
    }

    /// Else a store that fails for a moment would make a start without the timeline.
    #[tokio::test]
    async fn only_what_is_no_timeline_is_damage() {
        let files = Files::default();
        files.has_no_file(Some(TIMELINE_FILE));
        let replaced = Timeline::load(&files).await;
        assert!(matches!(replaced, Ok(Found::Damaged(_))), "{replaced:?}");
        let hangs = (TIMELINE_FILE.to_owned(), io::ErrorKind::TimedOut);
        files.unreadable.lock().unwrap().extend([hangs]);
        let failed = Timeline::load(&files).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_is_not_sound_is_damaged() {
        let good = serde_json::to_string(&timeline()).unwrap();
        let second = "[\"2027-01-15T08:10:00Z\",\"2027-01-15T08:20:00Z\"]";
        assert!(good.contains(second), "{good}");
        for broken in [
            good.replace(
                second,
                "[\"2027-01-15T08:11:00Z\",\"2027-01-15T08:20:00Z\"]",
            ),
            good.replace(
                second,
                "[\"2027-01-15T08:10:00Z\",\"2027-01-15T08:09:00Z\"]",
            ),
            good.replace("\"version\":1", "\"version\":2"),
            good.trim_end_matches('}').to_owned(),
            String::new(),
        ] {
            let found = Timeline::parse(broken.as_bytes());
            assert!(matches!(found, Found::Damaged(_)), "{broken}");
        }
    }
}
