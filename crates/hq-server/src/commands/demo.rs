//! `leasehold demo`: a walk through the reference product.
//!
//! Every answer is what the named command prints: the demo runs it. The text around it asks and explains, and says
//! nothing about the answers that definitions could make untrue.

use crate::args::Cli;
use crate::context::{Carried, Context};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::paragraph;
use clap::Parser;
use leasehold::Timestamp;
use leasehold::model::PhaseKind;
use serde_json::{Value, json};
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
It needs no files: the definitions come with the program. In a clone of the repository, every command that it shows can be typed as it stands.

Examples:
  leasehold demo
  leasehold demo --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

const REFERENCE: &str = "examples/cleanmatex";
const DRAFT: &str = "crates/hq-server/demo";
const CARRIED: Carried = &[
    (REFERENCE, include!(concat!(env!("OUT_DIR"), "/reference.rs"))),
    (DRAFT, &[("draft.json", include_bytes!("../../demo/draft.json"))]),
];
/// The instant that the reference definitions are made for.
const NOW: &str = "2026-11-15T12:00:00Z";

/// A question, what is worth knowing about it, and the commands that answer it, each without `-d`.
struct Step {
    title: &'static str,
    text: &'static str,
    commands: Vec<String>,
}

fn at_now(title: &'static str, text: &'static str, commands: &[&str]) -> Step {
    let commands = commands.iter().map(|command| format!("{command} --at {NOW} -d {REFERENCE}"));
    Step { title, text, commands: commands.collect() }
}

pub(crate) fn run(_: &Options, context: &Context) -> Result<Report, Failure> {
    let mut text = String::new();
    let mut told = Vec::new();
    let style = context.style;
    let intro = "CleanMateX is an invented laundry SaaS in the Gulf. Its plans, add-ons, limits and tenants are data: \
                 the engine answers from them, in process, and says why. All below is asked of the engine as you watch.";
    text.push_str(&paragraph(style, intro));
    for (number, step) in (1..).zip(steps(context)?) {
        let title = format!("{number}. {}", step.title);
        let _ = write!(text, "\n{}\n{}", style.paint(Tone::Strong, &title), paragraph(style, step.text));
        let mut answers = Vec::new();
        for command in &step.commands {
            let line = format!("leasehold {command}");
            let report = ask(&line, context)?;
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
    let context = Context::carrying(cli.options.clone(), context.style, CARRIED);
    Ok((cli, context))
}

fn steps(context: &Context) -> Result<Vec<Step>, Failure> {
    let (before, after) = trial_end("om-salalah-fresh", context)?;
    Ok(vec![
        at_now(
            "What may a tenant have?",
            "The entitlement object is the whole answer for one tenant at one instant: what its plan, its add-ons and \
             its overrides come to. With --json it is the object that applications receive.",
            &["entitlements om-muscat-sparkle"],
        ),
        at_now(
            "May it use a feature?",
            "An answer is a yes or a no, with a stable reason and the layer that it came from. The exit code says it \
             too, for scripts.",
            &["check om-muscat-sparkle whatsapp_receipt"],
        ),
        at_now(
            "And why not another?",
            "Behind a no stands the whole ladder: gates that can close a feature, everything that grants it or takes \
             it away, the switches that it requires, and what the tenant chose itself. The explanation is made by the \
             code that decides, then computed again from nothing but what it lists.",
            &["check om-muscat-sparkle sso", "explain om-muscat-sparkle sso"],
        ),
        at_now(
            "Is there room for two more users?",
            "The caller says how much is in use and how much is wanted. A hard limit refuses what goes beyond it, a \
             soft one lets it through with a warning.",
            &["limit om-muscat-sparkle max_users --used 9 --requested 2"],
        ),
        at_now(
            "And for thirty more messages?",
            "A billable limit lets it through as well, and counts what lies beyond the limit.",
            &["limit om-muscat-sparkle whatsapp_messages_per_month --used 990 --requested 30"],
        ),
        Step {
            title: "What happens when a trial ends?",
            text: "A trial replaces the paid plan while it lasts. These are the second before this tenant's trial \
                   ends and the instant at which it does: nothing is published in between, because the end is part \
                   of the definitions.",
            commands: [before, after]
                .map(|at| format!("check om-salalah-fresh delivery --at {at} -d {REFERENCE}"))
                .into(),
        },
        at_now(
            "What would a bigger plan change?",
            "A what-if asks the same engine about a tenant that does not exist yet: what it would gain and lose, \
             which limits would move, and which paid add-ons would have no effect any more.",
            &["what-if om-muscat-sparkle --plan business"],
        ),
        Step {
            title: "What if the definitions are wrong?",
            text: "Every mistake is listed at once, with its place, a stable code and what to do. Nothing is built \
                   from definitions with a mistake, so that a bad draft never replaces what is in force.",
            commands: vec![format!("lint -d {DRAFT}")],
        },
    ])
}

/// The last second of a tenant's trial, and its end.
fn trial_end(tenant: &str, context: &Context) -> Result<(Timestamp, Timestamp), Failure> {
    let (_, context) = typed(&format!("leasehold entitlements {tenant} -d {REFERENCE}"), context)?;
    let world = context.world()?;
    let phases = world.definitions.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.phases.values());
    let end = phases.filter(|phase| phase.kind == PhaseKind::Trial).find_map(|phase| phase.until);
    let end = end.ok_or_else(|| Failure::internal(format!("`{tenant}` has no trial that ends")))?;
    let before = Timestamp::from_ms(end.as_ms() - 1_000).map_err(leasehold::Error::from)?;
    Ok((before, end))
}
