//! The ground on which everything stands: one clock, files that are read within bounds, large buffers
//! that are used again, values that are never printed, and one way out for HTTP.

pub mod buffers;
pub mod clock;
pub mod delivery;
pub mod files;
pub mod http;
pub mod pem;
mod secret;
mod store;

pub use clock::Clock;
pub use secret::Secret;
pub use store::Store;
