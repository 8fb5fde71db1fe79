//! `leasehold workflow transitions`: what may be done at a stage.

use super::blockers;
use super::given::{Given, Known};
use super::layer;
use super::machine::{Asked, Whose};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::workflow::{Blocker, TransitionAnswer, TransitionState};
use serde_json::json;
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
What is blocked would be possible if what it requires held.

Examples:
  leasehold workflow transitions om-muscat-sparkle order ready -d examples/cleanmatex
  leasehold workflow transitions om-muscat-sparkle order ready --role counter \\
      --input invoice_issued=true --input balance_due_minor=0 --input customer_type=individual \\
      -d examples/cleanmatex
  leasehold workflow transitions om-muscat-sparkle order preparation --category DRY_CLEAN \\
      --role operator --inputs '{\"stains_found\":false,\"stain_note\":\"\"}' -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    whose: Whose,
    /// The stage that the item is in
    stage: String,
    /// List the transitions that leave other stages too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let asked = options.whose.ask(&options.published, context)?;
    let known = options.given.known(&asked.machine)?;
    let answers = known.ask(|known| asked.machine.transitions(&options.stage, known));
    let answers = answers.map_err(|error| asked.explain(error))?;
    if context.json() {
        let machine = &asked.machine;
        let answer = json!({
            "tenant": options.whose.tenant,
            "workflow": machine.workflow(),
            "version": machine.version(),
            "category": machine.category(),
            "stage": options.stage,
            "transitions": answers,
        });
        return Report::json(&answer, Exit::Yes);
    }
    Ok(Report::text(page(options, &asked, &known, &answers, context), Exit::Yes))
}

fn page(
    options: &Options,
    asked: &Asked,
    known: &Known,
    answers: &[TransitionAnswer<'_>],
    context: &Context,
) -> String {
    let style = context.style;
    let stage = &options.stage;
    let (named, name) = (asked.named(), asked.stage_name(stage));
    let title = format!("What {} may do with {named} in {stage} ({name}) at {}", options.whose.tenant, context.now);
    let mut text = format!("{}\n", style.paint(Tone::Strong, &title));
    let mut lines = Grid::new(style, &[]);
    asked.facts(&mut lines);
    if let Some(snapshot) = asked.world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));
    text.push_str(&known.notes());

    let of = |state| answers.iter().filter(move |answer| answer.state == state);
    let category = asked.machine.category();
    let list = |tone, state| {
        let mut grid = Grid::new(style, &["TRANSITION", "TO", "EVENT", "ROLE", "LAYER", "NAME"]);
        for answer in of(state) {
            grid.toned([
                (tone, answer.transition.to_string()),
                (Tone::Plain, answer.to.to_string()),
                (Tone::Plain, answer.event.to_string()),
                (Tone::Plain, answer.role.map(ToString::to_string).unwrap_or_default()),
                (Tone::Plain, layer(answer.layer, category)),
                (Tone::Plain, words::printable(answer.name)),
            ]);
        }
        grid.render(&[])
    };
    for (title, tone, state) in
        [("Enabled", Tone::Good, TransitionState::Enabled), ("Blocked", Tone::Bad, TransitionState::Blocked)]
    {
        let count = of(state).count();
        let _ = writeln!(text, "\n{} ({count})", style.paint(Tone::Strong, title));
        if count > 0 {
            text.push_str(&list(tone, state));
        }
    }
    let blockers: Vec<Blocker> = of(TransitionState::Blocked).flat_map(|answer| answer.blockers.clone()).collect();
    if !blockers.is_empty() {
        let title = style.paint(Tone::Strong, "What stands against them");
        let _ = write!(text, "\n{title} ({})\n{}", blockers.len(), blockers::table(&blockers, category, style));
        if let Some(hint) = blockers::hint(&blockers) {
            let _ = writeln!(text, "{} {}", style.paint(Tone::Faint, "hint:"), words::printable(&hint));
        }
    }
    text.push_str(&elsewhere(options, answers, context));
    text
}

/// The transitions that leave other stages.
fn elsewhere(options: &Options, answers: &[TransitionAnswer<'_>], context: &Context) -> String {
    let others = || answers.iter().filter(|answer| answer.state == TransitionState::NotFromHere);
    let count = others().count();
    if !options.all {
        let leave = if count == 1 { "leaves another stage" } else { "leave other stages" };
        return format!("\n{} {leave}: --all lists them\n", words::count(count, "transition"));
    }
    let mut grid = Grid::new(context.style, &["TRANSITION", "FROM", "TO", "EVENT", "ROLE", "NAME"]);
    for answer in others() {
        let cells = [
            answer.transition.to_string(),
            answer.from.to_string(),
            answer.to.to_string(),
            answer.event.to_string(),
            answer.role.map(ToString::to_string).unwrap_or_default(),
            words::printable(answer.name),
        ];
        grid.toned(cells.map(|cell| (Tone::Faint, cell)));
    }
    format!("\n{} ({count})\n{}", context.style.paint(Tone::Strong, "Not from here"), grid.render(&[]))
}
