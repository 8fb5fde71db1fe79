//! Every chore of the workspace, behind one entrance: `cargo xtask <command>`.
//!
//! | module | idea |
//! |---|---|
//! | [`demo`] | run the demo |
//! | [`gate`] | `cargo xtask test`: run suites, time them, count them |
//! | [`suites`] | what the suites are: one row each |
//! | [`tool`] | what the suites need, and how it is installed |
//! | [`oracle`], [`without_rhai`] | random machines, compared by code that is not ours; a guard where Rhai is missing |
//! | [`interface`] | a server, against its OpenAPI document |
//! | [`system`] | the whole system at once, in every language |
//! | [`snippets`] | what pages show, run as it stands there |
//! | [`ofrep`] | the published OpenFeature clients, against a server |
//! | [`codegen`] | the generated files that are checked in |
//! | [`packages`] | the packages as they are published, as files |
//! | [`mutants`] | is there a test that fails for every change of the code that decides? |
//! | [`mod@bench`] | run the benchmarks and set our figures beside the peers' |
//! | [`rows`], [`chart`] | rows of figures: their JSON, how they read in a table, and as a picture |
//! | [`process`], [`workspace`], [`table`] | child processes, where things are, aligned columns |
#![expect(clippy::print_stdout, reason = "a command line tool answers on standard output")]

mod bench;
mod chart;
mod codegen;
mod demo;
mod gate;
mod interface;
mod mutants;
mod node;
mod npm;
mod ofrep;
mod oracle;
mod packages;
mod process;
mod python;
mod rows;
mod snippets;
mod suites;
mod system;
mod table;
mod tool;
mod venv;
mod web;
mod without_rhai;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Whatever stops a chore, worded for whoever ran it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The chores of the Leasehold workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the `leasehold` command line and run its demo; it ends by itself.
    Demo(demo::Options),
    /// Run the gate: every suite that a change must pass, with a time table at the end.
    Test(gate::Options),
    /// Regenerate the generated files that are checked in.
    Codegen(codegen::Options),
    /// Build the package for browsers, `leasehold-web`, into `crates/bindings-wasm/dist`.
    Web,
    /// Pack what is published for Node, Python and browsers into `target/packages`, and say how an app installs it.
    Packages(packages::Options),
    /// Change the code that decides in thousands of ways, and see whether a test fails for each.
    Mutants(mutants::Options),
    /// Run the benchmarks and set our figures beside those of the peers.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => gate::run(&options),
        Command::Codegen(options) => codegen::run(&options),
        Command::Web => web::build_prepared(),
        Command::Packages(options) => packages::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
