//! The ground on which everything stands: one clock, files that are read within bounds, large buffers
//! that are used again, values that are never printed, and one way out for HTTP.

pub mod buffers;
pub mod clock;
pub mod delivery;
pub mod files;
pub mod http;
pub mod pem;
pub mod retry;
mod secret;
mod source;
mod store;
pub mod text;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use clock::Clock;
pub use secret::Secret;
pub use source::{ErrorClass, PendingRequest, SourceTime};
pub use store::Store;

/// Locks, also when somebody has panicked who held it: what the mutexes here guard is right between any
/// two of its changes.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
