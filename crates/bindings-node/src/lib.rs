//! The native part of the npm package `leasehold`: conversion and error mapping around the engine, and nothing else.
//!
//! What is asked crosses as numbers and texts; what is answered crosses as a bool, or as one JSON text that the TypeScript
//! beside this parses. That is faster than setting an object's members one by one from here, and spells every answer as it
//! is spelt everywhere else. Errors cross likewise, see `failure`.
//!
//! `engine` and `machine` ask questions, `follower` has the state machine of following, for which the TypeScript
//! carries bytes and timers, and `documents` what else is to be known of documents.

#![deny(missing_docs)]

mod documents;
mod engine;
mod failure;
mod follower;
mod machine;
