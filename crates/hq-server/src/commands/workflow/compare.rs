//! `leasehold workflow compare`: what a version asks of those who use an older one.

use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use leasehold::workflow::{Compatibility, VersionComparison};
use leasehold::{CategoryKey, StageId};
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
Exits with 0 where the version only adds something, and with 1 where it asks for more.

Examples:
  leasehold workflow compare order 1 2 -d examples/cleanmatex
  leasehold workflow compare order 2 3 -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The workflow's key
    workflow: String,
    /// The older version
    #[arg(value_name = "OLD")]
    old: u32,
    /// The newer version
    #[arg(value_name = "NEW")]
    new: u32,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let Options { workflow, old, new, .. } = options;
    let compared = world.snapshot.compare_versions(workflow, *old, *new);
    let compared = compared.map_err(|error| world.explain(error, None))?;
    let exit = Exit::yes_if(compared.compatibility == Compatibility::Additive);
    if context.json() {
        return Report::json(&compared, exit);
    }
    let style = context.style;
    let (tone, word, what) = asks(compared.compatibility);
    let title = format!("{} from version {old} to {new}:", world.workflow(workflow));
    let mut text = format!("{} {}\n", style.paint(Tone::Strong, &title), style.paint(tone, word));
    if let Some(what) = what {
        let _ = writeln!(text, "  {what}");
    }
    if !compared.stages_to_map.is_empty() {
        let stages: Vec<&str> = compared.stages_to_map.iter().map(StageId::as_str).collect();
        let _ = writeln!(text, "  items in {} need another stage", stages.join(", "));
    }
    if compared.changes.is_empty() {
        text.push_str("  no difference\n");
    } else {
        let title = style.paint(Tone::Strong, "Changes");
        let _ = write!(text, "\n{title} ({})\n{}", compared.changes.len(), changes(&compared, style));
    }
    Ok(Report::text(text, exit))
}

/// What a change asks, in a word and in a sentence; which stages need mapping is said by name.
fn asks(compatibility: Compatibility) -> (Tone, &'static str, Option<&'static str>) {
    match compatibility {
        Compatibility::Additive => (Tone::Good, "additive", Some("whatever could be done before still can be")),
        Compatibility::NeedsMapping => (Tone::Notice, "needs mapping", None),
        Compatibility::Breaking => {
            let what = "something that could be done before cannot be done any more, or needs more";
            (Tone::Bad, "breaking", Some(what))
        }
    }
}

fn changes(compared: &VersionComparison, style: Style) -> String {
    let mut grid = Grid::new(style, &["ASKS", "CHANGE", "OF", "CATEGORY"]);
    for change in &compared.changes {
        let (tone, word, _) = asks(change.compatibility);
        grid.toned([
            (tone, word.to_owned()),
            (Tone::Plain, change.change.as_str().replace('_', " ")),
            (Tone::Plain, change.subject.clone()),
            (Tone::Plain, change.category.as_ref().map(CategoryKey::to_string).unwrap_or_default()),
        ]);
    }
    grid.render(&[])
}
