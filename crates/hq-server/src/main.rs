//! `leasehold`: the command line of the entitlement engine.
//!
//! Every command reads definitions or what was published of them, asks the engine and prints what it says. No rule lives
//! here.
//!
//! `args` is what can be typed, `context` reads definitions, `commands` holds one file per command; what can be asked
//! about workflows has a folder there, and so have the database and its audit chains; `database` opens it. `trust` and `snapshots` open what was published and verify it, `keys` and
//! `signing` sign it, `contents` and `documents` look into it. `report` and `failure` are what a command ends with, and
//! `style`, `table`, `words`, `diagnostics` and `suggest` make it readable.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)
)]

mod args;
mod commands;
mod contents;
mod context;
mod database;
mod diagnostics;
mod documents;
mod duration;
mod failure;
mod files;
mod keys;
mod report;
mod serve;
mod signing;
mod snapshots;
mod style;
mod suggest;
mod table;
mod trust;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    args::run(std::env::args_os().collect())
}
