//! placeholder
mod id;
mod time;
pub mod model;
mod compile;
pub use id::*;
pub use time::{InvalidTime, Timestamp, UtcOffset};
