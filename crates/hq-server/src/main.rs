//! `leasehold`: the command line of the entitlement engine.
//!
//! Every command reads definitions, asks the engine and prints what it says. No rule lives here.
//!
//! `args` is what can be typed, `context` reads definitions, `commands` holds one file per command, `report` and
//! `failure` are what a command ends with, and `style`, `table`, `words`, `diagnostics` and `suggest` make it readable.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)
)]

mod args;
mod commands;
mod context;
mod diagnostics;
mod failure;
mod report;
mod style;
mod suggest;
mod table;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    args::run(std::env::args_os().collect())
}
