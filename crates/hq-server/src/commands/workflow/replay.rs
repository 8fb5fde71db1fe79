//! `leasehold workflow replay`: which moves of the past a version would have refused.

use super::{blockers, log};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::workflow::{RefusedMove, Replay};
use std::fmt::{Display, Write};
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
The log is CSV with a header: tenant, from and to, and where they are known category, roles (separated by semicolons) and input.NAME for each input. Or it is JSON lines: objects with tenant, category, from, to, inputs and roles. Where any line is bad, all bad lines are listed and nothing is replayed.

Tenants that pin another version have their patches carried over, as `upgrade` does. Exits with 1 where a move is refused.

Examples:
  leasehold workflow replay crates/hq-server/demo/moves.csv order --version 3 \\
      -d examples/cleanmatex
  leasehold workflow replay - order --version 3 --json < moves.jsonl";

/// How many refused moves are listed one by one.
const LISTED: usize = 50;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The log of moves, CSV or JSON lines; `-` reads standard input
    log: PathBuf,
    /// The workflow's key
    workflow: String,
    /// The version to try
    #[arg(long, value_name = "VERSION")]
    version: u32,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let log = log::read(&options.log)?;
    let replay = world.snapshot.replay(&options.workflow, options.version, log.moves);
    let mut replay = replay.map_err(|error| world.explain(error, None))?;
    // The engine counts moves; people look for lines.
    for refused in &mut replay.refused {
        refused.line = log.lines.get(refused.line.saturating_sub(1)).copied().unwrap_or(refused.line);
    }
    let exit = Exit::yes_if(replay.refused.is_empty());
    if context.json() {
        return Report::json(&replay, exit);
    }
    Ok(Report::text(page(&replay, &world.workflow(&options.workflow), options.version, context), exit))
}

fn page(replay: &Replay, named: &str, version: u32, context: &Context) -> String {
    let style = context.style;
    let (tone, refused) = match replay.refused.len() {
        0 => (Tone::Good, "none".to_owned()),
        several => (Tone::Bad, words::number(several as u64)),
    };
    let moves = words::count(replay.moves, "move");
    let title = format!("Version {version} of {named}, tried on {moves}: refused");
    let mut text = format!("{} {}\n", style.paint(Tone::Strong, &title), style.paint(tone, &refused));
    let mut part = |title: &str, grid: Grid, numbers: &[usize]| {
        if !grid.is_empty() {
            let _ = write!(text, "\n{}\n{}", style.paint(Tone::Strong, title), grid.render(numbers));
        }
    };
    part("By tenant", counted("TENANT", &replay.refused_by_tenant, context), &[1]);
    part(
        "By guard; a move counts for each guard against it",
        counted("GUARD", &replay.refused_by_guard, context),
        &[1],
    );
    let mut moves = Grid::new(style, &["LINE", "TENANT", "CATEGORY", "FROM", "TO", "CODE", "BECAUSE"]);
    for refused in replay.refused.iter().take(LISTED) {
        moves.row([
            refused.line.to_string(),
            words::printable(&refused.tenant),
            words::printable(refused.category.as_deref().unwrap_or_default()),
            words::printable(&refused.from),
            words::printable(&refused.to),
            refused.code.to_owned(),
            words::printable(&because(refused)),
        ]);
    }
    part("Refused", moves, &[0]);
    let conflicts = counted("TENANT", &replay.conflicts, context);
    let more = replay.refused.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = writeln!(text, "  … and {}: --json lists all", words::count(more, "more move"));
    }
    if !conflicts.is_empty() {
        let title = style.paint(Tone::Notice, "Patches that conflict with the version: tried with what the tenant has");
        let _ = write!(text, "\n{title}\n{}", conflicts.render(&[1]));
    }
    text
}

fn counted<'c, K: Display + 'c>(
    heading: &str,
    counts: impl IntoIterator<Item = (&'c K, &'c usize)>,
    context: &Context,
) -> Grid {
    let mut grid = Grid::new(context.style, &[heading, "COUNT"]);
    for (key, count) in counts {
        grid.row([words::printable(&key.to_string()), words::number(*count as u64)]);
    }
    grid
}

fn because(refused: &RefusedMove) -> String {
    if refused.blockers.is_empty() {
        return refused.message.clone();
    }
    refused.blockers.iter().map(blockers::in_short).collect::<Vec<_>>().join("; ")
}
