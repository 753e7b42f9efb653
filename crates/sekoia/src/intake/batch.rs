//! Events on their way into one request body (J-02 to J-05).

use std::fmt;

use base::{
    buffers::Buffer,
    delivery::{EventBatch, Pushed},
};
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use rows::json::{put_string, room_for};

use super::given::Mark;

/// Longest text of one event in bytes (J-04, departure).
pub(super) const MAX_EVENT_BYTES: usize = 250_000;

/// Longest request body unless set otherwise: well under the intake's limit of 10 MiB (J-03), and
/// small enough that several of them in flight cost little memory.
const DEFAULT_BODY_BYTES: usize = 2 << 20;

pub(super) const HEAD: &[u8] = br#"{"jsons":["#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchLimits {
    pub(super) events: usize,
    pub(super) body_bytes: usize,
}

impl BatchLimits {
    /// At most this many events, in a body of at most [`DEFAULT_BODY_BYTES`].
    pub(super) fn events(events: usize) -> Self {
        Self {
            events: events.max(1),
            body_bytes: DEFAULT_BODY_BYTES,
        }
    }
}

/// Events for one request, encoded as they come: beside the body there is no copy of them.
pub struct Batch {
    /// The head and the events, as JSON strings with commas between them.
    body: Buffer,
    /// Where each event ends in `body`.
    ends: Vec<usize>,
    /// What follows the events in the request.
    tail: Bytes,
    limits: BatchLimits,
    discarded: Counter,
}

impl EventBatch for Batch {
    fn push(&mut self, event: &[u8]) -> Pushed {
        Self::push(self, event)
    }
}

impl Batch {
    /// An empty batch in this buffer: `tail` ends the request after the events, and overlong events count
    /// as `discarded`.
    pub(super) fn within(
        mut body: Buffer,
        limits: BatchLimits,
        tail: Bytes,
        discarded: Counter,
    ) -> Self {
        body.push(HEAD);
        Self {
            body,
            ends: Vec::new(),
            tail,
            limits,
            discarded,
        }
    }

    /// Adds the text of an event, which is UTF-8.
    pub(super) fn push(&mut self, event: impl AsRef<[u8]>) -> Pushed {
        let event = event.as_ref();
        if event.len() > MAX_EVENT_BYTES {
            self.discarded.inc();
            return Pushed::TooLong;
        }
        if self.ends.len() >= self.limits.events {
            return Pushed::Full;
        }
        let before = self.body.len();
        if !self.ends.is_empty() {
            self.body.push_byte(b',');
        }
        match put_string(event, self.body.room(room_for(event.len()))) {
            Some(length) => self.body.extend(length),
            None => self.push_slowly(event),
        }
        let end = self.body.len();
        let fits = end + self.tail.len() <= self.limits.body_bytes;
        if !fits && !self.ends.is_empty() {
            self.body.truncate(before);
            return Pushed::Full;
        }
        self.ends.push(end);
        Pushed::Added
    }

    /// Appends any text as a JSON string.
    #[cold]
    fn push_slowly(&mut self, event: &[u8]) {
        let text = String::from_utf8_lossy(event);
        // A string can always be written.
        self.body
            .push(&serde_json::to_vec(&text).unwrap_or_default());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.body.len() + self.tail.len()
    }

    /// A request with one event of any length.
    pub(super) fn seal_alone(mut self, event: &[u8]) -> Parcel {
        self.push_slowly(event);
        self.ends = vec![self.body.len()];
        self.seal()
    }

    pub(super) fn seal(self) -> Parcel {
        let Self {
            mut body,
            ends,
            tail,
            ..
        } = self;
        body.push(&tail);
        Parcel {
            body: body.freeze(),
            ends,
            tail,
            first: 0,
            unsure: false,
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Batch({} events, {} bytes)",
            self.len(),
            self.body_bytes()
        )
    }
}

/// A finished request body that can still be taken apart.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) body: Bytes,
    ends: Vec<usize>,
    tail: Bytes,
    /// Index, in the batch, of the first event.
    pub(super) first: usize,
    /// It may have been accepted already, as an answer did not say so.
    pub(super) unsure: bool,
}

impl Parcel {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn event(&self, index: usize) -> Option<String> {
        serde_json::from_slice(self.encoded(index)?).ok()
    }

    fn encoded(&self, index: usize) -> Option<&[u8]> {
        self.body.get(self.start(index)..*self.ends.get(index)?)
    }

    pub(super) fn mark(&self) -> Mark<'_> {
        let encoded = |index| self.encoded(index).unwrap_or_default();
        let last = self.len().saturating_sub(1);
        (encoded(0), encoded(last), self.len())
    }

    /// The event to try alone after so many others: each time another one far from the last, until all of
    /// them had their turn.
    pub(super) fn choice(&self, tried: usize) -> usize {
        let count = self.len().max(1);
        // One without a common divisor comes by all of them before it comes back.
        let mut strides = (count * 5 / 8).max(1)..;
        let stride = strides.find(|stride| common_divisor(*stride, count) == 1);
        tried % count * stride.unwrap_or(1) % count
    }

    /// Ten parts of about one size, or one for each event when there are fewer.
    pub(super) fn cut(&self) -> Vec<Self> {
        self.parts(self.len().div_ceil(10))
    }

    /// Ten parts, or more where an answer named so few events: it may never name more.
    pub(super) fn cut_as_named(&self, named: usize) -> Vec<Self> {
        self.parts(self.len().div_ceil(10).min(named))
    }

    /// Parts of so many events.
    pub(super) fn parts(&self, size: usize) -> Vec<Self> {
        let size = size.max(1);
        let starts = (0..self.len()).step_by(size);
        let parts = starts.filter_map(|from| self.part(from, (from + size).min(self.len())));
        parts.collect()
    }

    /// One event alone, and what is before and after it.
    pub(super) fn take_out(&self, index: usize) -> Option<(Self, Vec<Self>)> {
        let single = self.part(index, index + 1)?;
        let rest = [self.part(0, index), self.part(index + 1, self.len())];
        Some((single, rest.into_iter().flatten().collect()))
    }

    fn part(&self, from: usize, to: usize) -> Option<Self> {
        let ends = self.ends.get(from..to)?;
        let (start, end) = (self.start(from), *ends.last()?);
        let body = [HEAD, self.body.get(start..end)?, &self.tail].concat();
        Some(Self {
            body: body.into(),
            ends: ends.iter().map(|end| end - start + HEAD.len()).collect(),
            tail: self.tail.clone(),
            first: self.first + from,
            unsure: self.unsure,
        })
    }

    fn start(&self, index: usize) -> usize {
        let before = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        before.map_or(HEAD.len(), |end| end + 1)
    }
}

/// The greatest one.
fn common_divisor(one: usize, other: usize) -> usize {
    match other {
        0 => one,
        _ => common_divisor(other, one % other),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use base::buffers::Buffers;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const TAIL: &str = r#"],"intake_key":"k"}"#;

    fn batch(limits: BatchLimits) -> Batch {
        let tail = Bytes::from_static(TAIL.as_bytes());
        Batch::within(Buffers::new(0).take(0), limits, tail, Counter::default())
    }

    fn parsed(parcel: &Parcel) -> Value {
        serde_json::from_slice(&parcel.body).unwrap()
    }

    #[test]
    fn limits_are_exact() {
        let one = r#"{"a":"é"}"#;
        let encoded = serde_json::to_string(one).unwrap().len();
        let body_bytes = HEAD.len() + 2 * encoded + 1 + TAIL.len();
        let mut exact = batch(BatchLimits {
            events: 10,
            body_bytes,
        });
        assert_eq!(
            (exact.push(one), exact.push(one), exact.push(one)),
            (Pushed::Added, Pushed::Added, Pushed::Full)
        );
        assert_eq!(exact.body_bytes(), body_bytes);
        assert_eq!(exact.seal().body.len(), body_bytes);

        let mut short = batch(BatchLimits {
            events: 10,
            body_bytes: body_bytes - 1,
        });
        assert_eq!(
            (short.push(one), short.push(one)),
            (Pushed::Added, Pushed::Full)
        );

        let mut few = batch(BatchLimits::events(1));
        assert_eq!(
            (few.push("a"), few.push("b")),
            (Pushed::Added, Pushed::Full)
        );
    }

    #[test]
    fn an_overlong_event_is_counted_and_a_long_one_travels_alone() {
        let mut batch = batch(BatchLimits {
            events: 10,
            body_bytes: 100,
        });
        assert_eq!(batch.push("\u{1}".repeat(MAX_EVENT_BYTES)), Pushed::Added);
        assert_eq!(batch.push("x"), Pushed::Full);
        let long = "é".repeat(MAX_EVENT_BYTES / 2) + "x";
        assert_eq!(batch.push(&long), Pushed::TooLong);
        assert_eq!((batch.len(), batch.discarded.get()), (1, 1));
        assert!(batch.body_bytes() < 10 << 20);
    }

    #[test]
    fn debug_shows_no_events() {
        let mut batch = batch(BatchLimits::events(2));
        _ = batch.push("private");
        assert_eq!(format!("{batch:?}"), "Batch(1 events, 38 bytes)");
    }

    /// Else the one that is refused would keep the others in hand.
    #[test]
    fn each_event_has_its_turn_alone_before_any_has_a_second() {
        for count in 1..=100 {
            let mut batch = batch(BatchLimits::events(count));
            for _ in 0..count {
                assert_eq!(batch.push("x"), Pushed::Added);
            }
            let parcel = batch.seal();
            let tried: BTreeSet<usize> = (0..count).map(|n| parcel.choice(n)).collect();
            assert_eq!(tried.len(), count, "{tried:?}");
            assert_eq!(parcel.choice(count), parcel.choice(0));
            assert!(
                parcel.choice(1) >= count / 2,
                "far from the first of {count}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_split_keeps_every_event(
            events in prop::collection::vec(".{0,20}", 1..50),
            cut: bool,
        ) {
            let mut batch = batch(BatchLimits::events(100));
            for event in &events {
                prop_assert_eq!(batch.push(event), Pushed::Added);
            }
            let mut parcels = vec![batch.seal()];
            let mut singles = Vec::new();
            while let Some(parcel) = parcels.pop() {
                let texts: Vec<_> = (0..parcel.len()).map(|i| parcel.event(i).unwrap()).collect();
                prop_assert_eq!(parsed(&parcel), json!({"intake_key": "k", "jsons": &texts}));
                if parcel.len() == 1 {
                    singles.push((parcel.first, texts[0].clone()));
                } else if cut {
                    let parts = parcel.cut();
                    prop_assert!((2..=10).contains(&parts.len()));
                    parcels.extend(parts);
                } else {
                    let (single, rest) = parcel.take_out(parcel.len() / 2).unwrap();
                    prop_assert_eq!(single.event(0), parcel.event(parcel.len() / 2));
                    parcels.push(single);
                    parcels.extend(rest);
                }
            }
            singles.sort();
            let expected: Vec<_> = events.into_iter().enumerate().collect();
            prop_assert_eq!(singles, expected);
        }
    }
}
