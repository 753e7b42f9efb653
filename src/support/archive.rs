//! The archive itself: named files in a compressed tar, made in memory.

use std::io;

use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

/// Bytes of all files together, before they are compressed.
const ROOM: usize = 16 << 20;

pub(super) struct Archive {
    /// The folder that the files are unpacked into.
    folder: String,
    made: DateTime<Utc>,
    builder: Builder<GzEncoder<Vec<u8>>>,
    bytes: usize,
}

impl Archive {
    pub(super) fn new(folder: String, made: DateTime<Utc>) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        Self {
            folder,
            made,
            builder: Builder::new(encoder),
            bytes: 0,
        }
    }

    /// Adds a file; false when there is no room for it.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<bool> {
        if self.bytes + content.len() > ROOM {
            return Ok(false);
        }
        self.bytes += content.len();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.made.timestamp()).unwrap_or(0));
        let path = format!("{}/{name}", self.folder);
        self.builder.append_data(&mut header, path, content)?;
        Ok(true)
    }

    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()?.finish()
    }
}
