//! `leasehold diff`: what differs between two directories of definitions, or between two tenants.

use crate::context::{Context, refuse_choices};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::{DiffGroup, Difference, Error, FleetDiff, TenantId};
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Answers at one instant are compared, not texts: see --at. Exits with 0 where nothing differs, and with 1 where something does. Where one side is published, the other is compared as far as it concerns that stream.

Examples:
  leasehold diff ../next -d examples/cleanmatex
  leasehold diff ../next --tenant om-muscat-sparkle -d examples/cleanmatex
  leasehold diff --tenant om-muscat-sparkle --with om-muscat-crown -d examples/cleanmatex
  leasehold diff examples/cleanmatex -d snapshots --trust trust.json --stream GCC-OM";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Definitions to compare with, or something published
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,
    /// Only this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Compare --tenant with this tenant of the same directory
    #[arg(long, value_name = "ID", requires = "tenant", conflicts_with = "other")]
    with: Option<String>,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    match (&options.other, &options.tenant, &options.with) {
        (Some(other), tenant, _) => fleet(other, tenant.as_deref(), &options.published, context),
        (None, Some(tenant), Some(with)) => tenants(tenant, with, &options.published, context),
        _ => {
            Err(Failure::usage("there is nothing to compare with")
                .hint("name another directory, or --tenant and --with"))
        }
    }
}

fn tenants(tenant: &str, with: &str, published: &Published, context: &Context) -> Result<Report, Failure> {
    let world = context.world(published)?;
    let found = world.snapshot.diff_tenants(tenant, with, context.now).map_err(|error| world.explain(error, None))?;
    let exit = Exit::yes_if(found.is_empty());
    if context.json() {
        return Report::json(&found, exit);
    }
    let style = context.style;
    let title = format!("From {tenant} to {with} at {}", context.now);
    let mut text = format!("{}\n{}", style.paint(Tone::Strong, &title), difference(&found, style));
    if found.is_empty() {
        text.push_str("  no difference\n");
    }
    Ok(Report::text(text, exit))
}

fn fleet(other: &Path, tenant: Option<&str>, published: &Published, context: &Context) -> Result<Report, Failure> {
    let mut before = context.world_at(context.root(), published)?;
    let mut after = context.world_at(other, published)?;
    let origins = [&before, &after].map(|world| world.origin.as_ref().map(|origin| origin.stream.clone()));
    match origins {
        [None, None] => refuse_choices(published)?,
        // A stream is one region: the tenants of others are no part of what is compared.
        [Some(stream), None] => after = after.narrowed(|_, tenant| tenant.region == stream)?,
        [None, Some(stream)] => before = before.narrowed(|_, tenant| tenant.region == stream)?,
        [Some(_), Some(_)] => {}
    }
    if let Some(id) = tenant {
        if before.snapshot.tenant(id).is_err() && after.snapshot.tenant(id).is_err() {
            return Err(after.explain(Error::UnknownTenant(id.into()), None));
        }
        before = before.narrowed(|key, _| key.as_str() == id)?;
        after = after.narrowed(|key, _| key.as_str() == id)?;
    }
    let found = after.snapshot.diff(&before.snapshot, context.now);
    let exit = Exit::yes_if(found.changed == 0 && found.added.is_empty() && found.removed.is_empty());
    if context.json() {
        return Report::json(&found, exit);
    }
    let title = format!("From {} to {} at {}", context.root().display(), other.display(), context.now);
    let mut text = format!("{}\n", context.style.paint(Tone::Strong, &title));
    text.push_str(&page(&found, context.style));
    if exit == Exit::Yes && before.definitions != after.definitions {
        text.push_str("  the definitions differ, and no answer does at this instant: see --at\n");
    }
    Ok(Report::text(text, exit))
}

fn page(found: &FleetDiff, style: Style) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "  {}: {} changed, {} unchanged, {} added, {} removed",
        words::count(found.changed + found.unchanged + found.added.len() + found.removed.len(), "tenant"),
        words::number(found.changed as u64),
        words::number(found.unchanged as u64),
        words::number(found.added.len() as u64),
        words::number(found.removed.len() as u64),
    );
    for (title, ids) in [("Added", &found.added), ("Removed", &found.removed)] {
        if !ids.is_empty() {
            let _ = write!(text, "\n{}\n{}", style.paint(Tone::Strong, title), listed(ids, ids.len()));
        }
    }
    if !found.features.is_empty() {
        let _ = writeln!(text, "\n{}", style.paint(Tone::Strong, "Tenants by plan and feature"));
        let mut grid = Grid::new(style, &["PLAN", "FEATURE", "GAINED", "LOST", "MOVED"]);
        for row in &found.features {
            let plan = row.plan.as_ref().map_or("none", |plan| plan.as_str());
            let counted = |tone, count: usize| {
                if count == 0 { (Tone::Faint, "-".into()) } else { (tone, words::number(count as u64)) }
            };
            grid.toned([
                (Tone::Plain, plan.to_owned()),
                (Tone::Plain, row.feature.to_string()),
                counted(Tone::Good, row.gained),
                counted(Tone::Bad, row.lost),
                counted(Tone::Notice, row.moved),
            ]);
        }
        text.push_str(&grid.render(&[2, 3, 4]));
    }
    for group in &found.groups {
        text.push_str(&self::group(group, style));
    }
    text
}

/// Ids, one per line, as many as are known out of a total.
fn listed(ids: &[TenantId], total: usize) -> String {
    const SHOWN: usize = 20;
    let shown = ids.len().min(SHOWN);
    let mut text: String = ids.iter().take(shown).map(|id| format!("  {id}\n")).collect();
    if total > shown {
        let _ = writeln!(text, "  … and {} more", words::number((total - shown) as u64));
    }
    text
}

fn group(group: &DiffGroup, style: Style) -> String {
    let plan = group.on_plan.as_ref().map_or_else(|| "no plan".to_owned(), |plan| format!("plan {plan}"));
    let mut names: Vec<&str> = group.examples.iter().map(TenantId::as_str).collect();
    if group.tenants > names.len() {
        names.push("…");
    }
    let title = format!("{} on {plan}", words::count(group.tenants, "tenant"));
    let title = style.paint(Tone::Strong, &title);
    format!("\n{title}: {}\n{}", names.join(", "), difference(&group.difference, style))
}

/// A difference, one line for each thing that differs: `+` gained, `-` lost, `~` moved.
pub(crate) fn difference(found: &Difference, style: Style) -> String {
    let mut grid = Grid::new(style, &[]);
    let mut line = |tone, mark: &str, what: &str, moved: String| {
        grid.toned([(tone, mark.to_owned()), (Tone::Plain, what.to_owned()), (Tone::Plain, moved)]);
    };
    if let Some(plan) = &found.plan {
        let key = |plan: &Option<leasehold::PlanKey>| plan.as_ref().map_or("none".to_owned(), ToString::to_string);
        line(Tone::Notice, "~", "plan", format!("{} → {}", key(&plan.from), key(&plan.to)));
    }
    if let Some(status) = found.status {
        line(Tone::Notice, "~", "status", format!("{} → {}", status.from, status.to));
    }
    if let Some(access) = found.access {
        line(Tone::Notice, "~", "access", format!("{} → {}", words::access(access.from), words::access(access.to)));
    }
    for key in &found.gained {
        line(Tone::Good, "+", key.as_str(), "on".to_owned());
    }
    for key in &found.lost {
        line(Tone::Bad, "-", key.as_str(), "off".to_owned());
    }
    for key in &found.read_gained {
        line(Tone::Good, "+", key.as_str(), "readable".to_owned());
    }
    for key in &found.read_lost {
        line(Tone::Bad, "-", key.as_str(), "no longer readable".to_owned());
    }
    for limit in &found.limits {
        let mut moved = Vec::new();
        if limit.from != limit.to {
            moved.push(format!("{} → {}", words::amount(limit.from), words::amount(limit.to)));
        }
        if let Some(mode) = limit.mode {
            moved.push(format!("{} → {}", mode.from, mode.to));
        }
        if let Some(thresholds) = &limit.thresholds {
            moved.push(format!("thresholds {:?} → {:?}", thresholds.from, thresholds.to));
        }
        if let Some(window) = limit.window {
            moved.push(format!("window {} → {}", window.from, window.to));
        }
        if let Some(unit) = &limit.unit {
            moved.push(format!("unit {} → {}", unit.from, unit.to));
        }
        if moved.is_empty() {
            moved.push("0, on or off".to_owned());
        }
        line(Tone::Notice, "~", limit.feature.as_str(), moved.join(", "));
    }
    for value in &found.values {
        let (from, to) = (words::value(value.from.as_deref()), words::value(value.to.as_deref()));
        // On one line, a terminal that turns Arabic around would swap the two.
        let turned = [&from, &to].iter().any(|text| words::is_right_to_left(text));
        let moved = if turned { format!("from {from}\nto {to}") } else { format!("{from} → {to}") };
        line(Tone::Notice, "~", value.feature.as_str(), moved);
    }
    if grid.is_empty() { String::new() } else { grid.render(&[]) }
}
