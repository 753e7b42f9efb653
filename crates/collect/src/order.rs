//! What a person leaves for the collection, and how far that has got.
//!
//! Of each there are two files in the store, each with one writer: a command writes the order, the collection
//! looks at it now and then, and writes its progress. So a command can leave an order to a running trigger,
//! and both survive restarts.

use std::{fmt::Debug, io};

use chrono::{DateTime, Utc};
use rows::Window;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::Store;

/// The version of the format of a file: the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub(crate) struct FormatVersion;

impl From<FormatVersion> for u32 {
    fn from(_: FormatVersion) -> Self {
        1
    }
}

impl TryFrom<u32> for FormatVersion {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        let is_known = version == 1;
        is_known
            .then_some(Self)
            .ok_or_else(|| format!("format version {version}"))
    }
}

/// A file with an order, or with what came of it: one JSON object.
pub trait OrderFile: Serialize + DeserializeOwned + Send + Sync {
    /// Its name in the store.
    const NAME: &'static str;

    /// Its content.
    ///
    /// # Errors
    /// Never, as far as is known.
    fn to_json(&self) -> io::Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(io::Error::other)
    }

    /// Reads the file; none when there is none that this program understands.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(store: &impl Store) -> impl Future<Output = io::Result<Option<Self>>> + Send {
        async {
            let text = store.read(Self::NAME).await?;
            Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
        }
    }

    /// The same; none as well when something else is in the place of the file: nobody waits until a person has
    /// taken that away.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn kept(store: &impl Store) -> impl Future<Output = io::Result<Option<Self>>> + Send {
        async {
            let text = store.read_or_empty(Self::NAME).await?;
            Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
        }
    }

    /// The same, for who is to carry out what a person has left: one that is damaged is no order, and
    /// that is told.
    ///
    /// # Errors
    /// When the store cannot be read, or the file holds nothing that this program understands.
    fn understood(store: &impl Store) -> impl Future<Output = io::Result<Option<Self>>> + Send {
        async {
            let Some(text) = store.read(Self::NAME).await? else {
                return Ok(None);
            };
            serde_json::from_slice(&text).map(Some).map_err(|error| {
                let name = Self::NAME;
                let sentence =
                    format!("{name} holds no order that this program understands: {error}");
                io::Error::new(io::ErrorKind::InvalidData, sentence)
            })
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn save(&self, store: &impl Store) -> impl Future<Output = io::Result<()>> + Send {
        async { store.write(Self::NAME, self.to_json()?.into()).await }
    }
}

/// What an order about a range of reception has done with it, with what its order says besides the range.
pub trait RangeWork:
    Clone + Debug + PartialEq + Eq + Serialize + DeserializeOwned + Send + Sync
{
    /// The file with the order.
    const ORDER_FILE: &'static str;

    /// The file with its progress.
    const PROGRESS_FILE: &'static str;

    /// What is counted of it.
    type Counts: Clone + Debug + PartialEq + Eq + Serialize + DeserializeOwned + Send + Sync;

    /// How much is done, and how much is left, in one unit: seconds or hours of the range.
    fn done_and_left(counts: &Self::Counts) -> (i64, i64);
}

/// What a person wants done with the rows that were received in a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RangeOrder<W: RangeWork> {
    version: FormatVersion,
    /// Tells it from other orders.
    pub id: Uuid,
    /// The range of reception.
    pub range: Window,
    /// The same in the person's words.
    pub words: (String, String),
    /// What is to be done.
    #[serde(flatten)]
    pub work: W,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderPhase {
    /// It is being read.
    Running,
    /// All that can be had of it is done.
    Done,
    /// It was given up.
    Cancelled,
}

/// How far an order about a range has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RangeProgress<W: RangeWork> {
    version: FormatVersion,
    /// The order.
    pub id: Uuid,
    /// Where it stands.
    pub phase: OrderPhase,
    /// When it was begun.
    pub begun: DateTime<Utc>,
    /// When this was written.
    pub at: DateTime<Utc>,
    /// Seconds that were worked on it.
    pub worked: u64,
    /// What was counted of it.
    #[serde(flatten)]
    pub counts: W::Counts,
    /// What keeps it from going on at the moment.
    pub trouble: Option<Trouble>,
    /// When the source's quota lets it ask again, by the local clock; none when it does not wait for that.
    #[serde(default)]
    pub next_request: Option<DateTime<Utc>>,
    /// The order in the file of orders that had ended when this one was begun, which was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Uuid>,
    /// Whether there may be more than was counted: what was on its way at the end of a process is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

/// An order with the progress in the store: its own, or that of another one, which may say that this one has
/// ended.
pub(crate) type FoundRange<W> = (RangeOrder<W>, Option<RangeProgress<W>>);

/// What keeps an order from going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened, what it means, what to do.
    pub sentence: String,
    /// Whether a person must act.
    pub person: bool,
}

impl<W: RangeWork> OrderFile for RangeOrder<W> {
    const NAME: &'static str = W::ORDER_FILE;
}

impl<W: RangeWork> OrderFile for RangeProgress<W> {
    const NAME: &'static str = W::PROGRESS_FILE;
}

impl<W: RangeWork> RangeOrder<W> {
    /// A new order.
    pub fn new(id: Uuid, range: Window, words: (String, String), work: W) -> Self {
        Self {
            version: FormatVersion,
            id,
            range,
            words,
            work,
            cancelled: false,
        }
    }

    /// Its progress; none before it is begun.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn progress(&self, store: &impl Store) -> io::Result<Option<RangeProgress<W>>> {
        let progress = RangeProgress::load(store).await?;
        Ok(progress.filter(|progress| progress.id == self.id))
    }

    /// Whether another order lies in its place.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_replaced(&self, store: &impl Store) -> io::Result<bool> {
        let left = Self::kept(store).await?;
        Ok(left.is_some_and(|left| left.id != self.id))
    }

    /// Another order that was left since this one was thought of, and has not ended. To leave this one would make
    /// nobody carry that one out, or both.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn other(&self, store: &impl Store) -> io::Result<Option<Self>> {
        let left = Self::load(store).await?;
        let progress = RangeProgress::load(store).await?;
        Ok(left.filter(|left| left.id != self.id && !left.has_ended(progress.as_ref())))
    }

    /// Whether nothing will happen to it any more, by its progress or that of a later one.
    pub fn has_ended(&self, progress: Option<&RangeProgress<W>>) -> bool {
        progress.is_some_and(|progress| {
            progress.id == self.id && progress.has_ended() || progress.after == Some(self.id)
        })
    }
}

/// After so many seconds its pace says something.
const TELLING: i64 = 30;

impl<W: RangeWork> RangeProgress<W> {
    /// The order with this id begins.
    pub fn new(id: Uuid, counts: W::Counts, now: DateTime<Utc>) -> Self {
        Self {
            version: FormatVersion,
            id,
            phase: OrderPhase::Running,
            begun: now,
            at: now,
            worked: 0,
            counts,
            trouble: None,
            next_request: None,
            after: None,
            at_least: false,
        }
    }

    /// Another process goes on with it.
    pub(crate) fn taken_up(mut self) -> Self {
        let (done, left) = W::done_and_left(&self.counts);
        self.at_least |= done + left > 0;
        // It may be mended by now.
        self.trouble = None;
        self
    }

    /// How much of it is done, in percent; 0 until it is known how much there is to do.
    pub fn percent(&self) -> u64 {
        let (done, left) = W::done_and_left(&self.counts);
        match done + left {
            0 if self.has_ended() => 100,
            0 => 0,
            all => (done.clamp(0, all) * 100 / all).cast_unsigned(),
        }
    }

    /// How long the rest takes at the pace so far; none when that says nothing yet.
    pub fn seconds_left(&self) -> Option<i64> {
        let worked = self.worked.cast_signed();
        let (done, left) = W::done_and_left(&self.counts);
        let is_certain = worked >= TELLING && done > 0 && left > 0;
        is_certain.then(|| worked.saturating_mul(left) / done)
    }

    /// Whether nothing will happen to it any more.
    pub fn has_ended(&self) -> bool {
        self.phase != OrderPhase::Running
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{backfill::*, testing::Files, verify::*};

    const ID: Uuid = Uuid::from_u128(7);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn range() -> Window {
        Window::new(now() - TimeDelta::hours(1), now()).unwrap()
    }

    #[test]
    fn nothing_is_read_before_it_is_known_how_much_there_is() {
        let mut progress = BackfillProgress::new(ID, BackfillCounts::new(range()), now());
        assert_eq!(progress.percent(), 0);
        (progress.counts.asked, progress.counts.left) = (3600, 900);
        assert_eq!(progress.percent(), 75);
        // What was delivered before is not asked for.
        (progress.counts.asked, progress.counts.left) = (0, 0);
        progress.phase = OrderPhase::Done;
        assert_eq!(progress.percent(), 100);
    }

    /// Else of two commands at one moment the second would take the order of the first away.
    #[tokio::test]
    async fn another_order_that_has_not_ended_is_seen_before_one_is_left() {
        let files = Files::default();
        let order = |id| {
            let work = BackfillWork { again: true };
            RangeOrder::new(Uuid::from_u128(id), range(), Default::default(), work)
        };
        let (first, second) = (order(1), order(2));
        let seen = async |order: &BackfillOrder| order.other(&files).await.unwrap();
        assert_eq!(seen(&second).await, None);
        first.save(&files).await.unwrap();
        assert_eq!(seen(&second).await, Some(first.clone()));
        assert_eq!(seen(&first).await, None, "it is this one");
        assert!(second.is_replaced(&files).await.unwrap());
        assert!(!first.is_replaced(&files).await.unwrap());
        let mut progress = BackfillProgress::new(first.id, BackfillCounts::new(range()), now());
        progress.save(&files).await.unwrap();
        assert_eq!(seen(&second).await, Some(first));
        progress.phase = OrderPhase::Done;
        progress.save(&files).await.unwrap();
        assert_eq!(seen(&second).await, None);
    }

    #[test]
    fn counts_are_exact_only_of_one_process() {
        let mut progress = VerifyProgress::new(ID, VerifyCounts::default(), now());
        progress.trouble = Some(Trouble {
            sentence: "no".to_owned(),
            person: true,
        });
        progress = progress.taken_up();
        assert_eq!(progress.trouble, None, "it may be mended");
        assert!(!progress.at_least, "nothing was counted");
        progress.counts.hours = 5;
        for _ in 0..2 {
            progress = progress.taken_up();
            assert!(progress.at_least);
        }
    }

    /// Other versions of this program read these files.
    #[test]
    fn the_files_are_as_they_were() {
        let words = ("-1h".to_owned(), "now".to_owned());
        let head = r#"{"version":1,"id":"00000000-0000-0000-0000-000000000007","#;
        let range_text = serde_json::to_string(&range()).unwrap();
        let text = |json: io::Result<Vec<u8>>| String::from_utf8(json.unwrap()).unwrap();
        let order = |flag: &str| {
            format!(
                r#"{head}"range":{range_text},"words":["-1h","now"],"{flag}":true,"cancelled":false}}"#
            )
        };
        let backfill = RangeOrder::new(ID, range(), words.clone(), BackfillWork { again: true });
        assert_eq!(text(backfill.to_json()), order("again"));
        let verification = RangeOrder::new(ID, range(), words, VerifyWork { resend: true });
        assert_eq!(text(verification.to_json()), order("resend"));
        let at = serde_json::to_string(&now()).unwrap();
        let begun = format!(r#"{head}"phase":"running","begun":{at},"at":{at},"worked":0,"#);
        let ends = r#""trouble":null,"next_request":null}"#;
        let progress = VerifyProgress::new(ID, VerifyCounts::default(), now());
        let counts = r#""hours":0,"judged":0,"rows":0,"delivered":0,"#;
        let kept = text(progress.to_json());
        assert_eq!(kept, format!("{begun}{counts}{ends}"));
        let progress = BackfillProgress::new(ID, BackfillCounts::new(range()), now());
        let kept = text(progress.to_json());
        let counts = kept.strip_prefix(&begun).unwrap();
        assert!(
            counts.starts_with(r#""range":"#) && counts.ends_with(ends),
            "{kept}"
        );
        // What was not counted at first is none.
        let older = kept.replace(r#""excluded":0,"accepted":0,"refused":0,"#, "");
        let older = older.replace(r#","next_request":null"#, "");
        assert!(older.len() < kept.len());
        assert_eq!(
            serde_json::from_str::<BackfillProgress>(&older).unwrap(),
            progress
        );
        let later = kept.replace(r#""version":1"#, r#""version":2"#);
        assert!(serde_json::from_str::<BackfillProgress>(&later).is_err());
    }
}
