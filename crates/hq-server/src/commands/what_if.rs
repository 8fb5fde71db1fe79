//! `leasehold what-if`: what a change would bring for one tenant.

use super::diff::difference;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::{AddOnKey, Change, FeatureKey, PlanChoice, RecordId, WhatIf};
use std::fmt::{Display, Write};
use std::str::FromStr;

pub(crate) const EXAMPLES: &str = "\
All that is supposed is supposed together.

Examples:
  leasehold what-if om-muscat-sparkle --plan business -d examples/cleanmatex
  leasehold what-if om-muscat-sparkle --plan starter@2 --usage max_users=9 -d examples/cleanmatex
  leasehold what-if om-muscat-sparkle --add-on extra_pos=2 -d examples/cleanmatex
  leasehold what-if sa-tabuk-north --without order-cap -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant's id
    tenant: String,
    /// Suppose that the tenant is on this plan from now on, and on this version if one is named
    #[arg(long, value_name = "KEY[@VERSION]", value_parser = plan)]
    plan: Option<PlanChoice>,
    /// Suppose that the tenant has this add-on as well, once or so many times
    #[arg(long = "add-on", value_name = "KEY[=QTY]", value_parser = add_on)]
    add_ons: Vec<(AddOnKey, u64)>,
    /// Suppose that the tenant does not have this override
    #[arg(long, value_name = "OVERRIDE")]
    without: Vec<RecordId>,
    /// So much of a limit is in use: it is listed if the limit would be lower
    #[arg(long, value_name = "LIMIT=N", value_parser = usage)]
    usage: Vec<(FeatureKey, i64)>,
    #[command(flatten)]
    published: Published,
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn plan(text: &str) -> Result<PlanChoice, String> {
    let (plan, version) = text.split_once('@').map_or((text, None), |(plan, version)| (plan, Some(version)));
    let version = version.map(|version| version.parse().map_err(|_| format!("`{version}` is not a version number")));
    Ok(PlanChoice { plan: parse(plan)?, version: version.transpose()? })
}

fn add_on(text: &str) -> Result<(AddOnKey, u64), String> {
    match text.split_once('=') {
        Some((key, quantity)) => {
            Ok((parse(key)?, quantity.parse().map_err(|_| format!("`{quantity}` is not a quantity"))?))
        }
        None => Ok((parse(text)?, 1)),
    }
}

fn usage(text: &str) -> Result<(FeatureKey, i64), String> {
    let (key, used) = text.split_once('=').ok_or("expected LIMIT=N, such as max_users=9")?;
    Ok((parse(key)?, used.parse().map_err(|_| format!("`{used}` is not an amount"))?))
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let change =
        Change { plan: options.plan.clone(), add_ons: options.add_ons.clone(), without: options.without.clone() };
    if change == Change::default() && options.usage.is_empty() {
        return Err(Failure::usage("nothing is supposed").hint("add --plan, --add-on, --without or --usage"));
    }
    let world = context.world(&options.published)?;
    let tenant = world.tenant(&options.tenant)?;
    let usage = options.usage.iter().cloned().collect();
    let what_if =
        tenant.what_if(&change, &usage, context.now).map_err(|error| world.explain(error, Some(&options.tenant)))?;
    if context.json() {
        return Report::json(&what_if, Exit::Yes);
    }
    let style = context.style;
    let title = format!("What would change for {} at {}, {}", options.tenant, context.now, supposed(&change));
    let mut text = format!("{}\n", style.paint(Tone::Strong, &title));
    text.push_str(&page(&what_if, style));
    Ok(Report::text(text, Exit::Yes))
}

/// What is supposed, in words.
fn supposed(change: &Change) -> String {
    let mut parts = Vec::new();
    if let Some(choice) = &change.plan {
        let version = choice.version.map(|version| format!("@{version}")).unwrap_or_default();
        parts.push(format!("on plan {}{version}", choice.plan));
    }
    for (key, quantity) in &change.add_ons {
        parts.push(format!("with {quantity} × {key}"));
    }
    for id in &change.without {
        parts.push(format!("without override {id}"));
    }
    if parts.is_empty() { "as it is".to_owned() } else { parts.join(", ") }
}

fn page(what_if: &WhatIf, style: Style) -> String {
    let mut text = difference(&what_if.difference, style);
    if what_if.difference.is_empty() {
        text.push_str("  nothing\n");
    }
    let mut section = |title: &str, grid: Grid| {
        if !grid.is_empty() {
            let _ = write!(text, "\n{}\n{}", style.paint(Tone::Notice, title), grid.render(&[]));
        }
    };
    let mut exceeded = Grid::new(style, &[]);
    for limit in &what_if.exceeded {
        let (allowed, used) = (words::number(limit.limit), words::number(limit.used));
        exceeded.row([limit.feature.to_string(), format!("{used} in use, the limit would be {allowed}")]);
    }
    section("Limits below what is in use", exceeded);

    let mut below = Grid::new(style, &[]);
    for this in &what_if.overrides_below_plan {
        let (gives, plan) = (words::amount(this.gives), words::amount(this.plan_gives));
        below.row([this.id.clone(), format!("gives {gives} of {}, plan and add-ons would give {plan}", this.feature)]);
    }
    section("Overrides below plan and add-ons", below);

    let mut inert = Grid::new(style, &[]);
    for add_on in &what_if.inert_add_ons {
        let why = match add_on.reason {
            "addon_incompatible" => ": it does not fit the plan",
            "addon_included" => ": the plan includes it",
            "no_plan" => ": no plan applies",
            _ => "",
        };
        inert.row([add_on.add_on.to_string(), format!("{}{why}", add_on.reason)]);
    }
    section("Paid add-ons without effect", inert);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_supposed_is_read_as_typed() {
        let choice = |plan: &str, version| PlanChoice { plan: plan.parse().expect("key"), version };
        assert_eq!(plan("growth"), Ok(choice("growth", None)));
        assert_eq!(plan("growth@3"), Ok(choice("growth", Some(3))));
        assert!(plan("growth@x").is_err() && plan("@1").is_err() && plan("").is_err());
        assert_eq!(add_on("extra_pos=2").map(|(_, quantity)| quantity), Ok(2));
        assert_eq!(add_on("extra_pos").map(|(_, quantity)| quantity), Ok(1));
        assert!(add_on("extra_pos=").is_err() && add_on("=2").is_err() && add_on("extra_pos=-1").is_err());
        assert_eq!(usage("max_users=9").map(|(_, used)| used), Ok(9));
        assert!(usage("max_users").is_err() && usage("max_users=many").is_err());
    }
}
