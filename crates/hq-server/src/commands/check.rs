//! `leasehold check`: a yes or a no, with its reason.

use super::ActionArg;
use crate::context::{Context, World};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::model::{Action, Kind};
use leasehold::{Decision, PinnedTenant};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
Exits with 0 for yes and 1 for no.

Examples:
  leasehold check om-muscat-sparkle delivery -d examples/cleanmatex
  leasehold check om-seeb-express invoicing --action read -d examples/cleanmatex
  leasehold check om-muscat-sparkle delivery && echo 'plan a route'
  leasehold check om-muscat-sparkle delivery -d snapshots --trust trust.json --stream GCC-OM";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant's id
    pub(super) tenant: String,
    /// The feature's key; a feature of any kind
    pub(super) feature: String,
    /// What is to be done: use the feature, or read what it made
    #[arg(long, value_enum, default_value_t)]
    pub(super) action: ActionArg,
    #[command(flatten)]
    pub(super) published: Published,
}

/// What a feature that is on comes to, where it is more than a switch.
enum Comes {
    Nothing,
    Value(Option<Value>),
    Limit(String),
}

/// The decision as the engine made it, and the value of a value feature.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<Value>>,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let tenant = world.tenant(&options.tenant)?;
    let action = Action::from(options.action);
    let ask = || {
        let decision = tenant.decide(options.feature.as_str(), action, context.now)?;
        Ok((decision, comes(&world, tenant, &options.feature, action, context)?))
    };
    let (decision, comes) = ask().map_err(|error| world.explain(error, None))?;
    let exit = Exit::yes_if(decision.enabled);
    if context.json() {
        let value = match comes {
            Comes::Value(value) => Some(value),
            _ => None,
        };
        return Report::json(&Answer { decision, value }, exit);
    }

    let style = context.style;
    let (tone, answer) = words::yes_no(&decision);
    let may = if decision.enabled { "may" } else { "may not" };
    let (name, _) = words::names(&world.definitions, &options.feature);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} {may} {} {} ({name}) at {}",
        style.paint(tone, answer),
        options.tenant,
        action,
        options.feature,
        context.now
    );
    let mut lines = Grid::new(style, &[]);
    let reason = words::reason(decision.reason, decision.source);
    lines.row(["reason".to_owned(), format!("{}: {reason}", decision.reason)]);
    if let Some(source) = decision.source {
        lines.row(["source", words::layer(source)]);
    }
    if let Some(block) = decision.block {
        lines.row(["block".to_owned(), words::block(block)]);
    }
    match &comes {
        Comes::Value(Some(value)) => lines.row(["value".to_owned(), words::value(Some(value))]),
        Comes::Limit(amount) => lines.row(["limit".to_owned(), amount.clone()]),
        _ => {}
    }
    if let Some(snapshot) = world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));
    if !decision.enabled {
        let flag = if action == Action::Read { " --action read" } else { "" };
        let why = context.command(&format!("explain {} {}{flag}", options.tenant, options.feature), &options.published);
        let _ = writeln!(text, "{} {why}", style.paint(Tone::Faint, "why:"));
    }
    Ok(Report::text(text, exit))
}

/// Asks for the value or the amount as well. They are answers about use, so nothing is asked about reading.
fn comes(
    world: &World,
    tenant: PinnedTenant<'_>,
    feature: &str,
    action: Action,
    context: &Context,
) -> Result<Comes, leasehold::Error> {
    let kind = world.snapshot.features().find(|(key, _)| key.as_str() == feature).map(|(_, kind)| kind);
    match kind {
        Some(Kind::Value) if action == Action::Use => Ok(Comes::Value(tenant.value(feature, context.now)?.cloned())),
        Some(Kind::Limit) if action == Action::Use => {
            let amount = tenant.check_limit(feature, 0, 0, context.now)?.limit;
            Ok(Comes::Limit(words::measured(&world.definitions, feature, amount)))
        }
        _ => Ok(Comes::Nothing),
    }
}
