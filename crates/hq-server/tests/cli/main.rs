//! The command line, as it is typed: every test runs the program itself.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod answers;
mod codegen;
mod database;
mod demo;
mod failures;
mod files;
mod help;
mod moves;
mod published;
mod run;
mod serve;
mod staff;
mod telling;
mod terminal;
mod workflow;
