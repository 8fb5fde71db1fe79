//! The part of the npm package `leasehold-web` that runs as WebAssembly: conversion and error mapping around the engine,
//! and nothing else.
//!
//! It has the classes and functions that the addon for Node has, so that the TypeScript around both is one: what is asked
//! crosses as numbers and texts, what is answered as a bool or as one JSON text, errors as one JSON text that is thrown.
//!
//! `engine` and `machine` ask questions, `follower` has the state machine of following, for which the TypeScript carries
//! bytes and timers, `documents` what else is to be known of documents, and `full` has what only that build does.

#![deny(missing_docs)]

mod documents;
mod engine;
mod failure;
mod follower;
#[cfg(feature = "full")]
mod full;
mod machine;
