//! Answers that came compressed: each piece of them is inflated where the page is to lie, without a copy between.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use crate::buffers::Buffer;

/// What the service may compress its answers with.
pub(super) const GZIP: &str = "gzip";

/// The same in the words of old proxies (RFC 9110, section 8.4.1.3). Neither depends on the letter case.
pub(super) const OLD_GZIP: &str = "x-gzip";

/// What each member begins with.
const MAGIC: u8 = 0x1f;

/// The largest window that gzip has.
const WINDOW_BITS: u8 = 15;

/// At least so much room is there for what a piece is inflated to. A buffer mostly has far more.
const ROOM: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Gunzip {
    inflater: Decompress,
    /// Bytes that came.
    compressed: usize,
    /// Whether a member has begun, and not come to its end.
    is_inside: bool,
    /// Whether one has come to its end, with the sum of what is in it.
    has_ended: bool,
    /// Whether what follows is no member.
    is_behind: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is longer than allowed.
    TooLarge,
    /// It is no gzip, or breaks off.
    Damaged(io::ErrorKind),
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            inflater: Decompress::new_gzip(WINDOW_BITS),
            compressed: 0,
            is_inside: false,
            has_ended: false,
            is_behind: false,
        }
    }

    /// Appends what a piece of the answer is inflated to; the body has at most so many bytes then. A
    /// compressed answer may not be longer either.
    pub(super) fn add(
        &mut self,
        mut piece: &[u8],
        body: &mut Buffer,
        max_body: usize,
    ) -> Result<(), Fault> {
        self.compressed += piece.len();
        if self.compressed > max_body.max(ROOM) {
            return Err(Fault::TooLarge);
        }
        loop {
            if !self.is_inside {
                let Some(first) = piece.first().filter(|_| !self.is_behind) else {
                    return Ok(());
                };
                // A member may follow another. What else is behind one is padding, and says nothing: the
                // member was whole.
                if self.has_ended && *first != MAGIC {
                    self.is_behind = true;
                    return Ok(());
                }
                self.inflater.reset(true);
                self.is_inside = true;
            }
            let left = max_body.saturating_sub(body.len());
            // One more byte tells whether the answer is too long.
            let mut beyond = [0];
            let room = match left {
                0 => &mut beyond[..],
                // Else a buffer that is nearly full would be doubled.
                _ => body.room(left.min(ROOM)),
            };
            let most = room.len().min(left.max(1));
            let room = room.get_mut(..most).unwrap_or_default();
            let before = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(piece, room, FlushDecompress::None)
                .map_err(|_| Fault::Damaged(io::ErrorKind::InvalidData))?;
            let read = length(self.inflater.total_in() - before.0);
            let written = length(self.inflater.total_out() - before.1);
            if written > left {
                return Err(Fault::TooLarge);
            }
            body.extend(written);
            piece = piece.get(read..).unwrap_or_default();
            match status {
                Status::StreamEnd => (self.is_inside, self.has_ended) = (false, true),
                _ if written == most => {}
                _ if piece.is_empty() => return Ok(()),
                _ if read + written > 0 => {}
                _ => return Err(Fault::Damaged(io::ErrorKind::InvalidData)),
            }
        }
    }

    /// No more pieces follow.
    pub(super) fn end(self) -> Result<(), Fault> {
        match self.is_inside {
            true => Err(Fault::Damaged(io::ErrorKind::UnexpectedEof)),
            false => Ok(()),
        }
    }
}

/// What was read or written of a slice, whose length is a `usize`.
fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::buffers::Buffers;

    const MOST: usize = 1 << 20;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated(packed: &[u8], piece: usize, most: usize) -> Result<Vec<u8>, Fault> {
        let mut body = Buffers::new(1).take_any();
        let mut gunzip = Gunzip::new();
        for piece in packed.chunks(piece) {
            gunzip.add(piece, &mut body, most)?;
        }
        gunzip.end()?;
        Ok(body.to_vec())
    }

    fn text() -> Vec<u8> {
        let numbers = (0..60_000_u32).map(|number| number.wrapping_mul(0x9e37_79b9) >> 20);
        let lines: Vec<String> = numbers.map(|number| format!("{number},")).collect();
        lines.concat().into_bytes()
    }

    #[tokio::test]
    async fn an_answer_is_what_was_compressed_however_it_is_cut() {
        let text = text();
        let packed = packed(&text);
        for piece in [1, 7, 1000, 16 << 10, packed.len()] {
            assert_eq!(inflated(&packed, piece, MOST).as_ref(), Ok(&text));
        }
        assert_eq!(inflated(&[], 1, MOST), Ok(Vec::new()), "as of HEAD");
        assert_eq!(inflated(&self::packed(b""), 3, MOST), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn members_follow_each_other() {
        let parts = [&b"one, "[..], b"", b"two, ", b"three"].map(packed);
        for piece in [1, 9, 1000] {
            let all = inflated(&parts.concat(), piece, MOST);
            assert_eq!(all.as_deref(), Ok(&b"one, two, three"[..]));
        }
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_damaged_is_an_error() {
        let packed = packed(b"a text that is long enough to be cut anywhere");
        for length in 1..packed.len() {
            let cut = inflated(&packed[..length], 5, MOST);
            assert_eq!(cut, Err(Fault::Damaged(io::ErrorKind::UnexpectedEof)));
        }
        for place in [0, 1, 2, 15, packed.len() - 8, packed.len() - 1] {
            let mut damaged = packed.clone();
            damaged[place] ^= 0x55;
            assert!(inflated(&damaged, 5, MOST).is_err(), "{place}");
        }
        for behind in [&packed[..9], b"\x1fgarbage"] {
            let more = [&packed[..], behind].concat();
            assert!(inflated(&more, 1000, MOST).is_err(), "of another member");
        }
    }

    /// Others read such answers, too.
    #[tokio::test]
    async fn what_is_padded_is_whole() {
        let text = b"a text";
        for padding in [&b"\0\0\0"[..], b"\r\n", b"garbage"] {
            let padded = [packed(text), packed(text), padding.to_vec()].concat();
            for piece in [1, 7, 1000] {
                let all = inflated(&padded, piece, MOST);
                assert_eq!(all.as_deref(), Ok(&b"a texta text"[..]));
            }
        }
    }

    #[tokio::test]
    async fn no_more_is_inflated_than_is_allowed() {
        let text = text();
        let packed = packed(&text);
        for piece in [100, packed.len()] {
            assert_eq!(
                inflated(&packed, piece, text.len()).as_ref(),
                Ok(&text),
                "exactly"
            );
            for most in [text.len() - 1, text.len() / 2, 1, 0] {
                assert_eq!(inflated(&packed, piece, most), Err(Fault::TooLarge));
            }
        }
        let nothing = self::packed(b"").repeat(ROOM / 10);
        assert_eq!(inflated(&nothing, 1000, ROOM), Err(Fault::TooLarge));
    }
}
