//! The ground on which everything stands: one clock, files that are read within bounds, large buffers
//! that are used again, values that are never printed, and one way out for HTTP.

pub mod buffers;
pub mod clock;
pub mod delivery;
mod error_class;
pub mod files;
pub mod http;
mod locks;
pub mod pem;
mod pending_request;
pub mod retry;
mod secret;
mod source_time;
mod store;
pub mod text;

pub use clock::Clock;
pub use error_class::ErrorClass;
pub use locks::lock;
pub use pending_request::PendingRequest;
pub use secret::Secret;
pub use source_time::SourceTime;
pub use store::Store;
