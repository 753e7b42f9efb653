//! Where things are kept between restarts.

use std::{future::Future, io};

use bytes::Bytes;

/// Keeps files. Names are relative paths with `/`.
pub trait Store: Send + Sync + 'static {
    /// The content of a file; none when there is no such file.
    fn read(&self, name: &str) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
    /// Replaces a file as a whole; on return the content is safe on the disk.
    fn write(&self, name: &str, content: Bytes) -> impl Future<Output = io::Result<()>> + Send;
    /// Adds to the end of a file, made when missing. On return the content survives a kill of the
    /// process, and a crash of the machine after a [`sync`](Self::sync).
    fn append(&self, name: &str, content: Bytes) -> impl Future<Output = io::Result<()>> + Send;
    /// Makes sure that what was appended to a file is safe on the disk. After an error, some of it may
    /// be lost for good.
    fn sync(&self, name: &str) -> impl Future<Output = io::Result<()>> + Send;
    /// Removes a file; it is no error when there is none.
    fn delete(&self, name: &str) -> impl Future<Output = io::Result<()>> + Send;
    /// The names of all files that start with `prefix`, sorted.
    fn list(&self, prefix: &str) -> impl Future<Output = io::Result<Vec<String>>> + Send;
}
