//! `leasehold explain`: the ladder, step by step.

/// The same question is asked as `check` asks.
pub(crate) use super::check::Options;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::words;
use leasehold::model::{Action, Definitions, Op};
use leasehold::{Comes, Considered, Explanation, Gate, Layer, Reason, Verdict};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
The explanation is made by the code that decides, and is computed again from what it lists.

Examples:
  leasehold explain om-muscat-sparkle sso -d examples/cleanmatex
  leasehold explain sa-jeddah-corniche loyalty -d examples/cleanmatex --at 2026-11-15T12:00:00Z
  leasehold explain om-sohar-press orders --action read -d examples/cleanmatex --json";

/// The explanation as the engine made it, and whether it recomputes to its answer.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    verified: bool,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let tenant = world.tenant(&options.tenant)?;
    let explanation = tenant
        .explain(options.feature.as_str(), Action::from(options.action), context.now)
        .map_err(|error| world.explain(error, None))?;
    let verified = explanation.verify();
    if context.json() {
        return Report::json(&Answer { explanation, verified }, Exit::Yes);
    }
    let snapshot = world.described(context.now);
    Ok(Report::text(page(&explanation, verified, &world.definitions, snapshot, context.style), Exit::Yes))
}

fn page(
    explanation: &Explanation,
    verified: bool,
    definitions: &Definitions,
    snapshot: Option<String>,
    style: Style,
) -> String {
    let (name, _) = words::names(definitions, explanation.feature.as_str());
    let mut text = String::new();
    let heading = |title: &str| format!("\n{}\n", style.paint(Tone::Strong, title));
    let (tone, answer) = words::yes_no(&explanation.decision);
    let question = format!("May {} {} {} ({name})?", explanation.tenant, explanation.action, explanation.feature);
    let _ = writeln!(text, "{} {}", style.paint(Tone::Strong, &question), style.paint(tone, answer));
    let mut lines = Grid::new(style, &[]);
    lines.row(["at".to_owned(), explanation.at.to_string()]);
    lines.row(["kind".to_owned(), explanation.kind.to_string()]);
    lines.row(["plan".to_owned(), plan(explanation)]);
    lines.row(["access", words::access(explanation.access)]);
    if let Some(snapshot) = snapshot {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));

    text.push_str(&heading("Gates: each can close the feature, whatever grants it"));
    text.push_str(&gates(explanation, definitions, style));

    let closed = explanation.gates.iter().any(|gate| gate.closed);
    let supposing = if closed { ", if all gates were open" } else { "" };
    text.push_str(&heading(&format!("Contributions: what grants it, changes it or takes it away{supposing}")));
    text.push_str(&contributions(explanation, style));

    text.push_str(&heading("Prerequisites: switches that must be on as well"));
    text.push_str(&prerequisites(explanation, style));

    text.push_str(&heading("Preference: what the tenant chose for itself"));
    let preferred = if explanation.preferred_off { "switched off by the tenant" } else { "not switched off" };
    let _ = writeln!(text, "  {preferred}");

    text.push_str(&heading("Answer"));
    let decision = explanation.decision;
    let reason = words::reason(decision.reason, decision.source);
    let _ = writeln!(text, "  {} ({}): {reason}", style.paint(tone, answer), decision.reason);
    if let Some(comes) = comes(&explanation.result) {
        let _ = writeln!(text, "  {comes}");
    }
    let proof = if verified {
        style.paint(Tone::Good, "verified: recomputes to the same answer")
    } else {
        style.paint(Tone::Bad, "not verified: recomputes to another answer; please report this")
    };
    let _ = writeln!(text, "  {proof}");
    text
}

fn plan(explanation: &Explanation) -> String {
    match &explanation.plan {
        Some(plan) => format!("{}@{}, by the {} phase `{}`", plan.plan, plan.version, plan.kind, plan.phase),
        None => "none: add-ons count for nothing, defaults and overrides apply".to_owned(),
    }
}

fn gates(explanation: &Explanation, definitions: &Definitions, style: Style) -> String {
    let mut grid = Grid::new(style, &[]);
    for gate in &explanation.gates {
        let (tone, state) = if gate.closed { (Tone::Bad, "closed") } else { (Tone::Good, "open") };
        let why = if gate.closed { closed_by(gate, explanation, definitions) } else { open(gate).to_owned() };
        grid.toned([(Tone::Plain, gate.gate.to_string()), (tone, state.to_owned()), (Tone::Plain, why)]);
    }
    grid.render(&[])
}

fn open(gate: &Gate) -> &'static str {
    match gate.gate {
        Reason::Stale => "the snapshot is fresh, or the feature is served stale",
        Reason::Killed => "no kill switch is on",
        _ => "the tenant's access is enough",
    }
}

/// What closes a gate, with the reason that people gave for it.
fn closed_by(gate: &Gate, explanation: &Explanation, definitions: &Definitions) -> String {
    let Some(id) = &gate.by else { return words::reason(gate.gate, None).to_owned() };
    if gate.gate == Reason::Killed {
        let kill = definitions.kills.get(id.as_str());
        let why = kill.map(|kill| format!(", {}: {}", words::interval(Some(kill.since), kill.until), kill.reason));
        return format!("kill switch `{id}`{}", words::printable(&why.unwrap_or_default()));
    }
    let block = definitions.tenants.get(explanation.tenant.as_str()).and_then(|tenant| tenant.blocks.get(id.as_str()));
    let why = block.map(|block| {
        let since = words::interval(Some(block.since), block.until);
        format!(" ({}, laid by {}), {since}: {}", block.kind, block.laid_by, block.reason)
    });
    format!("block `{id}`{}", words::printable(&why.unwrap_or_default()))
}

fn contributions(explanation: &Explanation, style: Style) -> String {
    let mut grid = Grid::new(style, &["FROM", "DOES", "VALID", "VERDICT", "DECIDED BY"]);
    for considered in &explanation.contributions {
        let (tone, verdict) = verdict(considered, explanation);
        let decided: Vec<&str> =
            [&considered.author, &considered.reason].into_iter().flatten().map(|text| &**text).collect();
        grid.toned([
            (Tone::Plain, origin(considered, explanation)),
            (Tone::Plain, does(considered)),
            (Tone::Plain, words::interval(considered.from, considered.until)),
            (tone, verdict),
            (Tone::Plain, words::printable(&decided.join(": "))),
        ]);
    }
    grid.render(&[])
}

/// The layer, what carries the contribution there, and its id where the feature and operator do not say as much.
fn origin(considered: &Considered, explanation: &Explanation) -> String {
    let layer = if considered.layer == Layer::Tenant { "override" } else { words::layer(considered.layer) };
    let mut text = layer.to_owned();
    if let Some(carrier) = &considered.carrier {
        let _ = write!(text, " {carrier}");
    }
    let implied = format!("{}:{}", considered.op, explanation.feature);
    if considered.layer != Layer::Default && considered.id != implied {
        let _ = write!(text, " `{}`", considered.id);
    }
    if let Some(licence) = &considered.licence {
        let _ = write!(text, ", licence `{licence}`");
    }
    text
}

fn does(considered: &Considered) -> String {
    let value = considered.value();
    let what = match (&value, considered.op) {
        (None, _) => String::new(),
        (Some(Value::Bool(true)), Op::Set | Op::Pin) => " on".to_owned(),
        (Some(Value::Bool(false)), Op::Set | Op::Pin) => " off".to_owned(),
        (Some(Value::Number(amount)), Op::Add) => {
            format!(" {}", amount.as_u64().map_or_else(|| amount.to_string(), words::number))
        }
        (Some(Value::String(mode)), Op::Mode) => format!(" {mode}"),
        (Some(value), _) => {
            format!(" {}", words::terms(value).unwrap_or_else(|| words::value(Some(value))))
        }
    };
    // Only what is added counts several times.
    let several = considered.op == Op::Add && considered.quantity != 1;
    let times = if several { format!(" × {}", words::number(considered.quantity)) } else { String::new() };
    format!("{}{what}{times}", considered.op)
}

fn verdict(considered: &Considered, explanation: &Explanation) -> (Tone, String) {
    let text = match considered.verdict {
        Verdict::Applied => return (Tone::Good, "applied".to_owned()),
        Verdict::Beaten => {
            let winner = considered.by.as_deref().unwrap_or_default();
            let applied = |other: &&Considered| other.verdict == Verdict::Applied && other.id == winner;
            match explanation.contributions.iter().find(applied) {
                Some(other) => format!("beaten by {}", origin(other, explanation)),
                None => format!("beaten by `{winner}`"),
            }
        }
        Verdict::NotYet => "not yet".to_owned(),
        Verdict::Ended => "ended".to_owned(),
        Verdict::AddOnIncompatible => "inert: the add-on does not fit the plan".to_owned(),
        Verdict::AddOnIncluded => "inert: the plan includes the add-on".to_owned(),
        Verdict::NoPlan => "inert: no plan applies".to_owned(),
        Verdict::OtherPlan => "for another plan".to_owned(),
    };
    (Tone::Faint, text)
}

fn prerequisites(explanation: &Explanation, style: Style) -> String {
    if explanation.prerequisites.is_empty() {
        return "  none\n".to_owned();
    }
    let mut grid = Grid::new(style, &[]);
    for required in &explanation.prerequisites {
        let (tone, state) = if required.enabled { (Tone::Good, "on") } else { (Tone::Bad, "off") };
        let why = || format!("{}: {}", required.reason, words::reason(required.reason, None));
        let reason = if required.enabled { String::new() } else { why() };
        grid.toned([(Tone::Plain, required.feature.to_string()), (tone, state.to_owned()), (Tone::Plain, reason)]);
    }
    grid.render(&[])
}

/// What the feature comes to, where it is more than on or off.
fn comes(result: &Comes) -> Option<String> {
    match result {
        Comes::Switch(_) => None,
        Comes::Limit { amount, mode, thresholds } => {
            let mut text = format!("limit {}", words::amount(*amount));
            if amount.is_some() {
                let _ = write!(text, ", beyond it {}", words::beyond(*mode));
            }
            if !thresholds.is_empty() {
                let _ = write!(text, ", reported at {}", words::percents(thresholds));
            }
            Some(text)
        }
        Comes::Value(value) => Some(format!("value {}", words::value(value.as_deref()))),
    }
}
