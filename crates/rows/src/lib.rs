//! What is done with every single row of a message trace: it is found in its page, gets its key, is
//! known or new, and becomes a string of a request.
//!
//! This is a crate of its own because it is built for speed, and all else for size. It knows neither
//! Microsoft nor Sekoia.io: which field of a row means what is told to the [`reader`].

mod block;
pub mod date;
pub mod details;
pub mod exclude;
pub mod json;
pub mod known;
mod literal;
mod page;
pub mod privacy;
pub mod reader;
mod row;
pub mod sums;
mod window;

pub use page::{Broken, Damage, Page, RowRef, RowSpan};
pub use row::{Message, RowKey, RowKeyer, Status};
pub use window::{Question, Window};
