//! A person who has never seen the module follows the documentation, and makes the most common
//! mistakes.

mod mistakes;
mod setup;
