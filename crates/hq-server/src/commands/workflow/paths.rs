//! `leasehold workflow paths`: paths that take every transition.

use super::blockers::inputs_in_words;
use super::machine::{Asked, Whose};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::TransitionId;
use leasehold::workflow::{CoveringPath, CoveringPaths};
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
With --json they are fixtures: every step has a role and inputs with which the engine allows it.

Examples:
  leasehold workflow paths om-muscat-sparkle order -d examples/cleanmatex
  leasehold workflow paths om-muscat-sparkle order --category DRY_CLEAN --json \\
      -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let asked = options.whose.ask(&options.published, context)?;
    let covering = asked.machine.covering_paths();
    if context.json() {
        return Report::json(&covering, Exit::Yes);
    }
    Ok(Report::text(page(&covering, &asked, context), Exit::Yes))
}

fn page(covering: &CoveringPaths, asked: &Asked, context: &Context) -> String {
    let style = context.style;
    let title = format!("{} of {}: {}", asked.named(), asked.whose.tenant, words::count(covering.paths.len(), "path"));
    let mut text = format!("{}\n", style.paint(Tone::Strong, &title));
    let mut lines = Grid::new(style, &[]);
    asked.facts(&mut lines);
    if let Some(snapshot) = asked.world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));
    for (number, path) in (1..).zip(&covering.paths) {
        text.push_str(&self::path(number, path, style));
    }
    if !covering.not_covered.is_empty() {
        let ids: Vec<&str> = covering.not_covered.iter().map(TransitionId::as_str).collect();
        let title = style.paint(Tone::Notice, "On no path");
        let _ = writeln!(text, "\n{title}\n  {}", ids.join(", "));
        text.push_str("  items cannot get to where these begin, or no inputs were found that let them\n");
    }
    text
}

fn path(number: usize, path: &CoveringPath, style: Style) -> String {
    let title = format!("{number}. {} to {} in {}", path.start, path.end, words::count(path.steps.len(), "step"));
    let mut grid = Grid::new(style, &["TRANSITION", "FROM", "TO", "ROLE", "INPUTS"]);
    for step in &path.steps {
        grid.row([
            step.transition.to_string(),
            step.from.to_string(),
            step.to.to_string(),
            step.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            inputs_in_words(&step.inputs).unwrap_or_default(),
        ]);
    }
    format!("\n{}\n{}", style.paint(Tone::Strong, &title), grid.render(&[]))
}
