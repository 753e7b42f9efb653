//! Large buffers that are used again.
//!
//! Pages and request bodies of about a megabyte come and go all the time while a backlog is read. If
//! each were allocated anew, the gaps between those that are freed would cost as much memory as all
//! that are in use, or else the kernel would have to hand out and clear their memory each time.

use std::{
    cmp::Reverse,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::lock;

/// Smaller buffers are left to the allocator.
const SMALLEST: usize = 64 << 10;

/// Larger ones are not kept.
const LARGEST: usize = 8 << 20;

/// Sizes are rounded up to a multiple of this, so that a buffer serves for what is a little longer.
const STEP: usize = 128 << 10;

/// Bytes that are copied at once. For more, the C library uses an instruction that takes four times as
/// long on AMD's processors where both places lie alike in their pages of memory
/// (<https://sourceware.org/bugzilla/show_bug.cgi?id=30994>).
const PIECE: usize = 2 << 10;

/// A buffer that was not needed for as long is given back to the system.
const IDLE: Duration = Duration::from_secs(60);

/// Keeps a few large buffers that are not needed at the moment; clones share them.
#[derive(Clone)]
pub struct Buffers(Arc<Shared>);

struct Shared {
    most: usize,
    free: Mutex<Vec<(Memory, Instant)>>,
}

/// Memory that can be written to anywhere: its bytes are left from what it was used for before.
type Memory = Box<[u8]>;

impl Buffers {
    /// Keeps at most `most` buffers.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            free: Mutex::default(),
        }))
    }

    /// An empty buffer with room for `bytes`.
    pub fn take(&self, bytes: usize) -> Buffer {
        self.own(self.memory(bytes))
    }

    fn memory(&self, bytes: usize) -> Memory {
        if bytes < SMALLEST {
            return memory(bytes);
        }
        // The smallest that fits.
        let kept = self.take_kept(|size| (size >= bytes).then_some(Reverse(size)));
        kept.unwrap_or_else(|| memory(bytes.next_multiple_of(STEP)))
    }

    /// An empty buffer for nobody knows how much: the largest there is.
    pub fn take_any(&self) -> Buffer {
        let kept = self.take_kept(Some);
        self.own(kept.unwrap_or_default())
    }

    fn own(&self, memory: Memory) -> Buffer {
        Buffer {
            memory,
            filled: 0,
            home: self.clone(),
        }
    }

    /// The one whose size has the highest rank. Of several it is the one that was used last, which may still
    /// be near the processor.
    fn take_kept<R: Ord>(&self, rank: impl Fn(usize) -> Option<R>) -> Option<Memory> {
        let mut free = lock(&self.0.free);
        let sizes = free.iter().map(|(one, _)| one.len()).enumerate();
        let ranked = sizes.filter_map(|(index, size)| Some((rank(size)?, index)));
        let (_, index) = ranked.max()?;
        Some(free.remove(index).0)
    }

    fn give_back(&self, memory: Memory) {
        let mut free = lock(&self.0.free);
        let now = Instant::now();
        free.retain(|(_, since)| now - *since < IDLE);
        if !(SMALLEST..=LARGEST).contains(&memory.len()) {
            return;
        }
        if free.len() < self.0.most {
            free.push((memory, now));
        } else if let Some(smallest) = free.iter_mut().min_by_key(|(kept, _)| kept.len())
            && smallest.0.len() < memory.len()
        {
            *smallest = (memory, now);
        }
    }
}

/// So much memory; the system clears it when it is touched first.
fn memory(bytes: usize) -> Memory {
    vec![0; bytes].into_boxed_slice()
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = lock(&self.0.free).len();
        write!(f, "Buffers({free} of {})", self.0.most)
    }
}

/// A buffer that grows, and goes back to where it came from, at the latest with the last handle on
/// what it was frozen to.
pub struct Buffer {
    memory: Memory,
    /// So much of it counts.
    filled: usize,
    home: Buffers,
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

impl Buffer {
    /// The content, not to be changed any more.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Memory behind the content, of at least so many bytes. What is written there counts when the
    /// buffer is [extended](Self::extend) by it.
    #[inline]
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        let wanted = self.filled + bytes;
        if wanted > self.memory.len() {
            self.grow(wanted);
        }
        self.memory.get_mut(self.filled..).unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self, wanted: usize) {
        let mut larger = self.home.memory(wanted.max(2 * self.memory.len()));
        let (content, _) = larger.split_at_mut(self.filled);
        content.copy_from_slice(self);
        self.home
            .give_back(std::mem::replace(&mut self.memory, larger));
    }

    /// So many bytes of the room count now.
    #[inline]
    pub fn extend(&mut self, bytes: usize) {
        self.filled = (self.filled + bytes).min(self.memory.len());
    }

    /// Appends a byte.
    #[inline]
    pub fn push_byte(&mut self, byte: u8) {
        if let Some(place) = self.room(1).first_mut() {
            *place = byte;
        }
        self.extend(1);
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.room(bytes.len());
        for (room, bytes) in room.chunks_mut(PIECE).zip(bytes.chunks(PIECE)) {
            if let Some(room) = room.get_mut(..bytes.len()) {
                room.copy_from_slice(bytes);
            }
        }
        self.extend(bytes.len());
    }

    /// Drops all but the first bytes.
    pub fn truncate(&mut self, bytes: usize) {
        self.filled = self.filled.min(bytes);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(..self.filled).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 1 << 20;
    const NONE: [usize; 0] = [];

    fn capacities(buffers: &Buffers) -> Vec<usize> {
        let free = lock(&buffers.0.free);
        free.iter().map(|(memory, _)| memory.len()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_buffer_is_used_again_when_its_last_handle_is_gone() {
        let buffers = Buffers::new(2);
        let mut buffer = buffers.take(LARGE + 1);
        buffer.push(b"abc");
        let place = buffer.memory.as_ptr();
        let bytes = buffer.freeze();
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(capacities(&buffers), NONE);
        assert_eq!(part, "bc");
        drop(part);
        assert_eq!(capacities(&buffers), [LARGE + STEP]);
        let again = buffers.take(LARGE);
        assert_eq!((again.memory.as_ptr(), again.len()), (place, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_smallest_that_fits_is_taken_and_few_are_kept() {
        let buffers = Buffers::new(2);
        let taken = [LARGE, 2 * LARGE, 3 * LARGE].map(|size| buffers.take(size));
        drop(taken);
        assert_eq!(capacities(&buffers), [3 * LARGE, 2 * LARGE], "the largest");
        assert_eq!(buffers.take(LARGE / 2).memory.len(), 2 * LARGE);
        drop(buffers.take(LARGE));
        assert_eq!(buffers.take_any().memory.len(), 3 * LARGE);
        let more = buffers.take(5 * LARGE);
        assert_eq!(more.memory.len(), 5 * LARGE);
        assert_eq!(buffers.take(10).memory.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_buffer_grows_and_keeps_its_content() {
        let buffers = Buffers::new(1);
        let mut buffer = buffers.take(0);
        for _ in 0..3 {
            buffer.push(b"abc");
        }
        buffer.truncate(5);
        let room = buffer.room(LARGE);
        assert!(room.len() >= LARGE);
        room[..2].copy_from_slice(b"xy");
        assert_eq!(*buffer, *b"abcab");
        buffer.extend(2);
        assert_eq!(buffer.freeze(), "abcabxy");
        assert_eq!(capacities(&buffers).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn small_huge_and_idle_ones_are_given_up() {
        let buffers = Buffers::new(3);
        drop([buffers.take(10), buffers.take(LARGEST + 1)]);
        assert_eq!(capacities(&buffers), NONE);
        drop(buffers.take(LARGE));
        tokio::time::advance(IDLE).await;
        drop(buffers.take(10));
        assert_eq!(capacities(&buffers), NONE);
    }
}
