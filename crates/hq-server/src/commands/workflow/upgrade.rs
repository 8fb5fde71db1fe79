//! `leasehold workflow upgrade`: what a tenant laid over a version, carried over to another.

use crate::context::Context;
use crate::diagnostics::list;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use clap::ValueEnum;
use leasehold::merge::Side;
use leasehold::model::Severity;
use leasehold::workflow::{Upgrade, UpgradeConflict};
use serde_json::{Value, json};
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
The three-way merge takes what only the tenant or only the template changed, and lists what both changed differently. Nothing is written: the entry goes where the tenant is defined. Exits with 1 where there are conflicts and no --take, or the result has an error.

Examples:
  leasehold workflow upgrade om-muscat-sparkle order --to 3 -d examples/cleanmatex
  leasehold workflow upgrade om-muscat-sparkle order --to 3 --take tenant -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant's id
    tenant: String,
    /// The workflow's key
    workflow: String,
    /// The version to carry over to
    #[arg(long, value_name = "VERSION")]
    to: u32,
    /// What stands wherever there is a conflict: what the tenant made of it, what the new version did, or what it was
    #[arg(long, value_name = "SIDE", value_enum)]
    take: Option<Take>,
    #[command(flatten)]
    published: Published,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Take {
    Tenant,
    Template,
    Base,
}

impl From<Take> for Side {
    fn from(take: Take) -> Self {
        match take {
            Take::Tenant => Self::Ours,
            Take::Template => Self::Theirs,
            Take::Base => Self::Base,
        }
    }
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    // As a replay does: the tenant's edits stand until somebody decides otherwise.
    let side = options.take.map_or(Side::Ours, Side::from);
    let upgrade = world.tenant(&options.tenant)?.upgrade(&options.workflow, options.to, side);
    let upgrade = upgrade.map_err(|error| world.explain(error, Some(&options.tenant)))?;
    let errors = upgrade.found.iter().any(|found| found.severity == Severity::Error);
    let decided = upgrade.conflicts.is_empty() || options.take.is_some();
    let exit = Exit::yes_if(decided && !errors);
    if context.json() {
        return Report::json(&upgrade, exit);
    }
    Ok(Report::text(page(&upgrade, &world.workflow(&options.workflow), decided, options, context), exit))
}

fn page(upgrade: &Upgrade, named: &str, decided: bool, options: &Options, context: &Context) -> String {
    let style = context.style;
    let Upgrade { from, to, laid, conflicts, found } = upgrade;
    let title = format!("{named} of {} from version {from} to {to}:", options.tenant);
    let (tone, count) = match conflicts.len() {
        0 => (Tone::Good, "no conflict".to_owned()),
        several => (if decided { Tone::Notice } else { Tone::Bad }, words::count(several, "conflict")),
    };
    let mut text = format!("{} {}\n", style.paint(Tone::Strong, &title), style.paint(tone, &count));
    for conflict in conflicts {
        text.push_str(&self::conflict(conflict, [*from, *to], style));
    }
    if !found.is_empty() {
        let title = style.paint(Tone::Strong, "What lint finds in the result");
        let _ = writeln!(text, "\n{title}\n\n{}", list(found, style).trim_end());
    }
    let taken = match (conflicts.is_empty(), options.take) {
        (true, _) => "",
        (false, Some(Take::Tenant)) => ", with what the tenant has at each conflict",
        (false, Some(Take::Template)) => ", with what the new version has at each conflict",
        (false, Some(Take::Base)) => ", with what there was before at each conflict",
        (false, None) => ", undecided: with what the tenant has at each conflict",
    };
    let title = format!("The tenant's entry under `workflows`{taken}");
    // Neither an in-memory writer nor keys that are all strings can fail.
    let entry = serde_json::to_string_pretty(&json!({ &options.workflow: null })).unwrap_or_default();
    let laid = serde_json::to_string_pretty(laid).unwrap_or_default().replace('\n', "\n  ");
    let _ = writeln!(text, "\n{}\n{}", style.paint(Tone::Strong, &title), entry.replace("null", &laid));
    if !decided {
        let line = format!("workflow upgrade {} {} --to {to} --take tenant", options.tenant, options.workflow);
        let decide = context.command(&line, &options.published);
        let _ = writeln!(text, "{} {decide}", style.paint(Tone::Faint, "decide:"));
        text.push_str("  or --take template, or --take base; or edit the entry by hand\n");
    }
    text
}

fn conflict(found: &UpgradeConflict, [from, to]: [u32; 2], style: Style) -> String {
    let UpgradeConflict { category, conflict, misfit } = found;
    let category = category.as_ref().map(|category| format!(" for {category}")).unwrap_or_default();
    let place = style.paint(Tone::Notice, &words::printable(&conflict.path));
    let mut grid = Grid::new(style, &[]);
    let mut line = |whose: String, value: &Option<Value>| {
        let (tone, value) = match value {
            Some(value) => (Tone::Plain, words::value(Some(value))),
            None => (Tone::Faint, "not there".to_owned()),
        };
        grid.toned([(Tone::Plain, whose), (tone, value)]);
    };
    line(format!("version {from}"), &conflict.base);
    line("tenant".to_owned(), &conflict.ours);
    line(format!("version {to}"), &conflict.theirs);
    let misfit = misfit.as_ref().map(|misfit| format!("  {}\n", style.paint(Tone::Bad, &words::printable(misfit))));
    format!("\n{place}{category}\n{}{}", grid.render(&[]), misfit.unwrap_or_default())
}
