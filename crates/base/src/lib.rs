//! The ground on which everything stands: one clock, files that are read within bounds, large buffers
//! that are used again, values that are never printed, and one way out for HTTP.

pub mod buffers;
pub mod clock;
pub mod delivery;
pub mod files;
pub mod http;
mod locks;
pub mod pem;
pub mod retry;
mod secret;
mod source;
mod store;
pub mod text;

pub use clock::Clock;
pub use locks::lock;
pub use secret::Secret;
pub use source::{ErrorClass, PendingRequest, SourceTime};
pub use store::Store;
