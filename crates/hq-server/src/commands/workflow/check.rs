//! `leasehold workflow check`: may an item move, and if not, why not.

use super::blockers;
use super::given::{Given, Known};
use super::layer;
use super::machine::{Asked, Whose};
use super::show::settings;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::{Published, quoted};
use crate::words;
use leasehold::workflow::{Allowed, Blocker, ConsideredTransition, MoveExplanation};
use leasehold::{CategoryKey, Error};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
Exits with 0 where the item may move, and with 1 where it may not: because something stands against it, or because nothing leads there.

Examples:
  leasehold workflow check om-muscat-sparkle order intake cancelled --role counter \\
      -d examples/cleanmatex
  leasehold workflow check om-muscat-sparkle order ready closed --category DRY_CLEAN \\
      --role counter --input invoice_issued=false --input balance_due_minor=7250 \\
      --input customer_type=individual -d examples/cleanmatex
  leasehold workflow check om-muscat-sparkle order ready closed --explain -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    whose: Whose,
    /// The stage that the item is in
    from: String,
    /// The stage that it is to enter
    to: String,
    /// Show everything that was looked at
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let asked = options.whose.ask(&options.published, context)?;
    let known = options.given.known(&asked.machine)?;
    let answer = known.ask(|known| asked.machine.check(&options.from, &options.to, known));
    let exit = Exit::yes_if(answer.is_ok());
    if options.explain {
        let explanation = known.ask(|known| asked.machine.explain(&options.from, &options.to, known));
        let explanation = explanation.map_err(|error| asked.explain(error))?;
        if context.json() {
            return Report::json(&explanation, exit);
        }
        let title = title(&answer, options, &asked, context);
        let page = explained(&explanation, &asked, &known, context);
        return Ok(Report::text(format!("{title}{page}"), exit));
    }
    match answer {
        Ok(_) | Err(Error::IllegalTransition { .. } | Error::GuardFailed { .. }) => {}
        Err(error) => return Err(asked.explain(error)),
    }
    if context.json() {
        let answer = match &answer {
            Ok(Allowed { transition, event }) => json!({ "allowed": true, "transition": transition, "event": event }),
            Err(error) => {
                let error = json!({ "code": error.code(), "message": error.to_string(), "blockers": blocked(error) });
                json!({ "allowed": false, "error": error })
            }
        };
        return Report::json(&answer, exit);
    }
    Ok(Report::text(page(&answer, options, &asked, &known, context), exit))
}

/// All that stands against a move.
fn blocked(error: &Error) -> &[Blocker] {
    match error {
        Error::GuardFailed { blockers, .. } => blockers,
        _ => &[],
    }
}

fn title(answer: &Result<Allowed<'_>, Error>, options: &Options, asked: &Asked, context: &Context) -> String {
    let (tone, word, may) = match answer {
        Ok(_) => (Tone::Good, "yes", "may"),
        Err(_) => (Tone::Bad, "no", "may not"),
    };
    let Options { whose, from, to, .. } = options;
    let (named, word) = (asked.named(), context.style.paint(tone, word));
    format!("{word}: {} {may} move {named} from {from} to {to} at {}\n", whose.tenant, context.now)
}

fn page(
    answer: &Result<Allowed<'_>, Error>,
    options: &Options,
    asked: &Asked,
    known: &Known,
    context: &Context,
) -> String {
    let style = context.style;
    let mut text = title(answer, options, asked, context);
    let mut lines = Grid::new(style, &[]);
    match answer {
        Ok(allowed) => {
            lines.row(["transition".to_owned(), allowed.transition.to_string()]);
            lines.row(["event".to_owned(), allowed.event.to_string()]);
        }
        Err(Error::IllegalTransition { .. }) => {
            let (from, to) = (&options.from, &options.to);
            lines.row(["reason".to_owned(), format!("illegal_transition: nothing leads from {from} to {to}")]);
            lines.row(["instead".to_owned(), exits(options, asked, known)]);
        }
        Err(error) => {
            let blockers = blocked(error);
            let transitions: BTreeSet<&str> = blockers.iter().map(|blocker| blocker.transition.as_str()).collect();
            let things = match blockers.len() {
                1 => "1 thing stands".to_owned(),
                several => format!("{several} things stand"),
            };
            let several = match transitions.len() {
                1 => "it".to_owned(),
                several => format!("the {several} transitions that lead there"),
            };
            lines.row(["reason".to_owned(), format!("guard_failed: {things} against {several}")]);
        }
    }
    asked.facts(&mut lines);
    if let Some(snapshot) = asked.world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));
    text.push_str(&known.notes());
    if let Err(error @ Error::GuardFailed { .. }) = answer {
        let blockers = blocked(error);
        let _ = write!(text, "\n{}", blockers::table(blockers, asked.machine.category(), style));
        if let Some(hint) = blockers::hint(blockers) {
            let _ = writeln!(text, "{} {}", style.paint(Tone::Faint, "hint:"), words::printable(&hint));
        }
        let Options { whose, from, to, given, published, .. } = options;
        let stages = format!("{} {}", quoted(from), quoted(to));
        let line = format!(
            "workflow check {} {} {stages}{}{} --explain",
            whose.tenant,
            whose.workflow,
            whose.typed(),
            given.typed()
        );
        let _ = writeln!(text, "{} {}", style.paint(Tone::Faint, "why:"), context.command(&line, published));
    }
    text
}

/// Where an item can go instead.
fn exits(options: &Options, asked: &Asked, known: &Known) -> String {
    let answers = known.ask(|known| asked.machine.transitions(&options.from, known)).unwrap_or_default();
    let exits = answers.iter().filter(|answer| answer.from.as_str() == options.from);
    let exits: Vec<String> = exits.map(|answer| format!("{} ({})", answer.to, answer.transition)).collect();
    if exits.is_empty() {
        format!("nothing leaves {}", options.from)
    } else {
        format!("{} leads to {}", options.from, exits.join(", "))
    }
}

/// Everything that was looked at, transition by transition.
fn explained(explanation: &MoveExplanation, asked: &Asked, known: &Known, context: &Context) -> String {
    let style = context.style;
    let mut lines = Grid::new(style, &[]);
    asked.facts(&mut lines);
    let taken = match &explanation.allowed {
        Some(transition) => format!("{transition}, the first in declared order that is enabled"),
        None if explanation.considered.is_empty() => "none: nothing leads there".to_owned(),
        None => "none".to_owned(),
    };
    lines.row(["taken".to_owned(), taken]);
    for name in &explanation.ignored {
        let (printable, meant) = (words::printable(name), known.meant(name));
        lines.row(["ignored".to_owned(), format!("{printable}, which no guard on the way asks for{meant}")]);
    }
    if let Some(snapshot) = asked.world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    let mut text = lines.render(&[]);
    for considered in &explanation.considered {
        text.push_str(&transition(considered, explanation.category.as_ref(), style));
    }
    text
}

fn transition(considered: &ConsideredTransition, category: Option<&CategoryKey>, style: Style) -> String {
    let (tone, state) = if considered.enabled { (Tone::Good, "enabled") } else { (Tone::Bad, "blocked") };
    let id = style.paint(Tone::Strong, considered.transition.as_str());
    let from = layer(considered.layer, category);
    let mut text = format!("\n{id} (event {}, from the {from}): {}\n", considered.event, style.paint(tone, state));
    let mut grid = Grid::new(style, &["REQUIRES", "HOLDS", "CONDITION", "SETTINGS", "LAYER", "BECAUSE"]);
    let holds = |holds| if holds { (Tone::Good, "yes".to_owned()) } else { (Tone::Bad, "no".to_owned()) };
    if let Some(role) = &considered.role {
        grid.toned([
            (Tone::Plain, format!("role {}", role.role)),
            holds(role.held),
            (Tone::Plain, String::new()),
            (Tone::Plain, String::new()),
            (Tone::Plain, layer(role.layer, category)),
            (Tone::Plain, if role.held { String::new() } else { "nobody present has it".to_owned() }),
        ]);
    }
    for guard in &considered.guards {
        let named = guard.guard.as_str() != guard.binding.as_str();
        let binding = if named { format!(" `{}`", guard.binding) } else { String::new() };
        let because = guard.blockers.iter().map(blockers::because);
        grid.toned([
            (Tone::Plain, format!("{}{binding}", guard.guard)),
            holds(guard.holds),
            (Tone::Plain, words::printable(&guard.expression)),
            (Tone::Plain, settings(&guard.settings, category)),
            (Tone::Plain, layer(guard.layer, category)),
            (Tone::Plain, because.collect::<Vec<_>>().join("; ")),
        ]);
    }
    if grid.is_empty() {
        text.push_str("  requires nothing\n");
    } else {
        text.push_str(&grid.render(&[]));
    }
    text
}
