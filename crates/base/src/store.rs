//! Where things are kept between restarts.

use std::{fmt, io};

use async_trait::async_trait;
use bytes::Bytes;

/// Keeps files under relative names like `context.json` or `ledger/0001.seg`.
///
/// What returned without error survives a crash of the machine, but for what is written lightly, and for
/// what is appended and not synced yet.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The whole file; none when there is no such file.
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>>;

    /// The same, where nobody waits until a person has taken away what is in the place of the file: then, and
    /// when it is far too long, it is one without content. The next writing puts that aside.
    async fn read_or_empty(&self, name: &str) -> io::Result<Option<Bytes>> {
        match self.read(name).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(Bytes::new())),
            read => read,
        }
    }

    /// Replaces the file at once: a reader finds the old content or the new one.
    async fn write(&self, name: &str, content: Bytes) -> io::Result<()>;

    /// The same for what is not worth waiting for the disk: after a crash of the machine, unlike
    /// one of the process, there may be the old content, the new one, or none.
    async fn write_lightly(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.write(name, content).await
    }

    /// Adds to the end of the file, which is created when absent. After a crash a part of the last,
    /// unfinished addition may be there; after a crash of the machine, unlike one of the process, a
    /// part of all that was added since the last [`sync`](Self::sync).
    async fn append(&self, name: &str, content: Bytes) -> io::Result<()>;

    /// Makes what was appended to a file survive a crash of the machine. After an error, some of it
    /// may be lost, even if the next call succeeds.
    async fn sync(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    /// The names that start with a prefix, sorted.
    async fn list(&self, prefix: &str) -> io::Result<Vec<String>>;

    /// Takes the file away; no error when it is not there.
    async fn delete(&self, name: &str) -> io::Result<()>;

    /// Waits until this instance is certain to be the only one that works with the files. It never
    /// comes back when another one has them: this one is being stopped then.
    async fn held(&self) {}

    /// Has a file written again with this content when another program takes it away: one that a start alone
    /// writes, and the next one needs.
    fn keep(&self, _name: &str, _content: Bytes) {}
}
