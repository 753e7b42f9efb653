//! What is decided, without I/O and without a clock: each of these is told what has happened and what
//! time it is.

pub mod coverage;
pub mod evidence;
pub mod lateness;
pub mod schedule;
pub mod start;

pub(crate) mod details;
pub(crate) mod leaps;
pub(crate) mod mass;
pub(crate) mod narrowing;
pub(crate) mod pending;
pub(crate) mod service;
pub(crate) mod spans;
pub(crate) mod width;

mod budget;
mod settling;
