//! What is done with every single row of a message trace: it is found in its page, gets its key, is
//! known or new, and becomes a string of a request.
//!
//! This is a crate of its own because it is built for speed, and all else for size. It knows neither
//! Microsoft nor Sekoia.io: which field of a row means what is told to the [`reader`].

mod block;
pub mod date;
pub mod json;
pub mod known;
pub mod reader;
mod row;
mod window;

pub use row::{Broken, Damage, Message, Page, RowKey, RowKeyer, RowRef, RowSpan, Status};
pub use window::Window;
