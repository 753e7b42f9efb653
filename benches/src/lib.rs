//! What the benchmarks share: the mail, the services, the contestants, and how they are measured.

pub mod contestant;
pub mod process;
pub mod site;
pub mod statistics;
pub mod stock;
pub mod stream;
