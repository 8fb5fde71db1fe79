//! `leasehold demo`: a walk through the reference product.
//!
//! Every answer is what the named command prints: the demo runs it. The text around it asks and explains, and says
//! nothing about the answers that definitions could make untrue. What is published is written to a folder that is gone
//! when the demo ends.

mod hq;
mod published;
mod steps;

use crate::args::Cli;
use crate::context::{Carried, Context};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::paragraph;
use clap::Parser;
use leasehold::Hash;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, io};

pub(crate) const EXAMPLES: &str = "\
It needs no files: the definitions come with the program. In a clone of the repository, every command that it shows can be typed as it stands. With --hq it needs the programs of Postgres.

Examples:
  leasehold demo
  leasehold demo --json
  leasehold demo --hq
  leasehold demo --hq --stay";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Start HQ on a private Postgres, and an engine that follows it over HTTP
    #[arg(long)]
    hq: bool,
    /// Keep HQ up until Ctrl-C, with an address and tokens to try
    #[arg(long, requires = "hq")]
    stay: bool,
}

const REFERENCE: &str = "examples/cleanmatex";
const DRAFT: &str = "crates/hq-server/demo";
const CARRIED: Carried = &[
    (REFERENCE, include!(concat!(env!("OUT_DIR"), "/reference.rs"))),
    (DRAFT, &[("draft.json", include_bytes!("../../demo/draft.json"))]),
];
/// The instant that the reference definitions are made for.
const NOW: &str = "2026-11-15T12:00:00Z";

/// A question, what is worth knowing about it, and the commands that answer it.
struct Step {
    title: &'static str,
    text: &'static str,
    commands: Vec<Line>,
}

/// What is typed.
enum Line {
    /// A command of this program, without its name.
    Ask(String),
    /// A command of the shell, and what it does.
    Shell(&'static str, fn() -> io::Result<()>),
}

/// A folder for what the demo writes, and the way back out of it.
struct Aside {
    folder: tempfile::TempDir,
    from: Option<PathBuf>,
}

impl Aside {
    fn step() -> io::Result<Self> {
        let from = env::current_dir().ok();
        let folder = tempfile::Builder::new().prefix("leasehold-demo-").tempdir()?;
        env::set_current_dir(folder.path())?;
        Ok(Self { folder, from })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A folder that no longer exists cannot be gone back to, and nothing is left to be done there.
        let back = self.from.as_deref().or(self.folder.path().parent());
        let _ = back.map(env::set_current_dir);
    }
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    if options.hq {
        context.refuse_instant("HQ answers as of now")?;
        return hq::run(options.stay, context);
    }
    let _aside = Aside::step().map_err(|error| Failure::io("use", &env::temp_dir(), &error))?;
    let mut text = String::new();
    let mut told = Vec::new();
    let style = context.style;
    let intro = "CleanMateX is an invented laundry SaaS in the Gulf. Its plans, add-ons, limits and tenants are data: \
                 the engine answers from them, in process, and says why. All below is asked of the engine as you watch.";
    text.push_str(&paragraph(style, intro));
    for (number, step) in (1..).zip(steps::steps(context)?) {
        let title = format!("{number}. {}", step.title);
        let _ = write!(text, "\n{}\n{}", style.paint(Tone::Strong, &title), paragraph(style, step.text));
        let mut answers = Vec::new();
        for command in &step.commands {
            let (line, report) = match command {
                Line::Ask(words) => {
                    let line = format!("leasehold {words}");
                    let report = ask(&line, context)?;
                    (line, report)
                }
                Line::Shell(line, does) => {
                    does().map_err(|error| Failure::io("write below", Path::new("leasehold-demo"), &error))?;
                    ((*line).to_owned(), Report::text(String::new(), Exit::Yes))
                }
            };
            let _ = write!(text, "\n{}\n{}", style.paint(Tone::Notice, &format!("$ {line}")), report.text);
            if context.json() {
                let answer: Value = serde_json::from_str(&report.text).unwrap_or_default();
                answers.push(json!({ "command": line, "exit": report.exit as u8, "answer": answer }));
            }
        }
        told.push(json!({ "title": step.title, "text": step.text, "commands": answers }));
    }
    if context.json() {
        return Report::json(&json!({ "steps": told }), Exit::Yes);
    }
    let outro = "Each command says more about itself with --help, and prints JSON with --json.";
    let _ = write!(text, "\n{}", paragraph(style, outro));
    Ok(Report::text(text, Exit::Yes))
}

/// Runs a command as if it had been typed, on the definitions that come with the program.
fn ask(line: &str, context: &Context) -> Result<Report, Failure> {
    let (cli, context) = typed(line, context)?;
    cli.command.run(&context)
}

fn typed(line: &str, context: &Context) -> Result<(Cli, Context), Failure> {
    let mut cli = Cli::try_parse_from(line.split(' ')).map_err(|error| Failure::internal(error.to_string()))?;
    cli.options.json = context.json();
    let context = Context::carrying(cli.options.clone(), context.style, CARRIED, seed);
    Ok((cli, context))
}

/// The files of the reference definitions.
fn carried() -> impl Iterator<Item = &'static (&'static str, &'static [u8])> {
    CARRIED.iter().filter(|(directory, _)| *directory == REFERENCE).flat_map(|(_, files)| *files)
}

/// Keys of the demo are the same each time, so that its output is.
fn seed(path: &Path) -> Result<[u8; 32], Failure> {
    Ok(*Hash::of(format!("leasehold demo: {}", path.display()).as_bytes()).as_bytes())
}
