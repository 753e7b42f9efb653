//! What is kept between restarts: the keys of delivered rows, and the timeline.

pub mod journal;
pub mod timeline;
