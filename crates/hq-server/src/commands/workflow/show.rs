//! `leasehold workflow show`: the whole machine, and who says what of it.

use super::layer;
use super::machine::{Asked, Whose};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::model::VariableType;
use leasehold::workflow::{
    ConsideredTransition, Context as Known, FilledSetting, Layer, MachineStage, SettingSource, TransitionAnswer,
};
use leasehold::{CategoryKey, EventKey, GuardKey, RecordId, Role, SortedMap, StageId, TransitionId, VariableName};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
Examples:
  leasehold workflow show om-muscat-sparkle order -d examples/cleanmatex
  leasehold workflow show om-muscat-sparkle order --category DRY_CLEAN -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    published: Published,
}

/// A machine, as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'m> {
    tenant: &'m str,
    workflow: &'m str,
    version: u32,
    /// Whether the tenant pins the version.
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'m CategoryKey>,
    needs_rhai: bool,
    inputs: BTreeMap<&'m VariableName, Vec<VariableType>>,
    stages: Vec<MachineStage<'m>>,
    transitions: Vec<Transition<'m>>,
}

#[derive(Debug, Serialize)]
struct Transition<'m> {
    transition: &'m TransitionId,
    name: &'m str,
    name2: &'m str,
    event: &'m EventKey,
    from: &'m StageId,
    to: &'m StageId,
    layer: Layer,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Required>,
    guards: Vec<Guard>,
}

/// A role, and who requires it.
#[derive(Debug, Serialize)]
struct Required {
    role: Role,
    layer: Layer,
}

/// A guard, and who binds it to the transition.
#[derive(Debug, Serialize)]
struct Guard {
    binding: RecordId,
    guard: GuardKey,
    layer: Layer,
    expression: String,
    settings: SortedMap<VariableName, FilledSetting>,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let asked = options.whose.ask(&options.published, context)?;
    let shown = shown(&asked)?;
    if context.json() {
        return Report::json(&shown, Exit::Yes);
    }
    Ok(Report::text(page(&shown, &asked, context), Exit::Yes))
}

/// Explanations say of a transition all that it requires; they are asked for without anything being known.
fn shown(asked: &Asked) -> Result<Shown<'_>, Failure> {
    let machine = &asked.machine;
    let nothing = Known::default();
    let stages: Vec<MachineStage<'_>> = machine.stages().collect();
    let listed = match stages.first() {
        Some(stage) => machine.transitions(stage.stage.as_str(), &nothing)?,
        None => Vec::new(),
    };
    let mut transitions = Vec::new();
    for answer in listed {
        let explained = machine.explain(answer.from.as_str(), answer.to.as_str(), &nothing)?;
        let rule = explained.considered.into_iter().find(|rule| rule.transition == *answer.transition);
        transitions.extend(rule.map(|rule| transition(&answer, rule)));
    }
    let mut inputs: BTreeMap<&VariableName, Vec<VariableType>> = BTreeMap::new();
    for (name, value_type) in machine.inputs() {
        inputs.entry(name).or_default().push(value_type);
    }
    Ok(Shown {
        tenant: &asked.whose.tenant,
        workflow: machine.workflow().as_str(),
        version: machine.version(),
        pinned: asked.pinned(),
        category: machine.category(),
        needs_rhai: machine.needs_rhai(),
        inputs,
        stages,
        transitions,
    })
}

fn transition<'m>(answer: &TransitionAnswer<'m>, rule: ConsideredTransition) -> Transition<'m> {
    let guards = rule.guards.into_iter().map(|guard| Guard {
        binding: guard.binding,
        guard: guard.guard,
        layer: guard.layer,
        expression: guard.expression,
        settings: guard.settings,
    });
    Transition {
        transition: answer.transition,
        name: answer.name,
        name2: answer.name2,
        event: answer.event,
        from: answer.from,
        to: answer.to,
        layer: answer.layer,
        role: rule.role.map(|required| Required { role: required.role, layer: required.layer }),
        guards: guards.collect(),
    }
}

fn page(shown: &Shown<'_>, asked: &Asked, context: &Context) -> String {
    let style = context.style;
    let title = format!("{} of {}", asked.named(), shown.tenant);
    let mut text = format!("{}\n", style.paint(Tone::Strong, &title));
    let mut lines = Grid::new(style, &[]);
    asked.facts(&mut lines);
    if !shown.inputs.is_empty() {
        let input = |(name, types): (&&VariableName, &Vec<VariableType>)| {
            let types: Vec<&str> = types.iter().map(|value_type| value_type.as_str()).collect();
            format!("{name} ({})", types.join(" or "))
        };
        lines.row(["inputs".to_owned(), shown.inputs.iter().map(input).collect::<Vec<_>>().join(", ")]);
    }
    if shown.needs_rhai {
        lines.row(["needs", "Rhai: engines built without it block where a guard does"]);
    }
    if let Some(snapshot) = asked.world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));
    let mut part = |title: &str, count: usize, grid: Grid| {
        if !grid.is_empty() {
            let title = style.paint(Tone::Strong, title);
            let _ = write!(text, "\n{title} ({count})\n{}", grid.render(&[]));
        }
    };
    part("Stages", shown.stages.len(), stages(shown, style));
    part("Transitions", shown.transitions.len(), transitions(shown, style));
    let required = shown.transitions.iter().map(|it| it.guards.len() + usize::from(it.role.is_some())).sum();
    part("What they require", required, requirements(shown, style));
    text
}

fn stages(shown: &Shown<'_>, style: Style) -> Grid {
    let mut grid = Grid::new(style, &["STAGE", "ITEMS", "LAYER", "NAME", ""]);
    for stage in &shown.stages {
        let items = match (stage.initial, stage.r#final) {
            (true, true) => "begin and end here",
            (true, false) => "begin here",
            (false, true) => "may end here",
            (false, false) => "",
        };
        grid.row([
            stage.stage.to_string(),
            items.to_owned(),
            layer(stage.layer, shown.category),
            words::printable(stage.name),
            words::printable(stage.name2),
        ]);
    }
    grid
}

fn transitions(shown: &Shown<'_>, style: Style) -> Grid {
    let mut grid = Grid::new(style, &["TRANSITION", "FROM", "TO", "EVENT", "LAYER", "NAME", ""]);
    for transition in &shown.transitions {
        grid.row([
            transition.transition.to_string(),
            transition.from.to_string(),
            transition.to.to_string(),
            transition.event.to_string(),
            layer(transition.layer, shown.category),
            words::printable(transition.name),
            words::printable(transition.name2),
        ]);
    }
    grid
}

fn requirements(shown: &Shown<'_>, style: Style) -> Grid {
    let mut grid = Grid::new(style, &["TRANSITION", "REQUIRES", "CONDITION", "SETTINGS", "LAYER"]);
    for transition in &shown.transitions {
        let mut line = |what: String, condition: &str, settings: String, from: Layer| {
            let from = layer(from, shown.category);
            grid.row([transition.transition.to_string(), what, words::printable(condition), settings, from]);
        };
        if let Some(required) = &transition.role {
            line(format!("role {}", required.role), "", String::new(), required.layer);
        }
        for guard in &transition.guards {
            let named = guard.guard.as_str() != guard.binding.as_str();
            let binding = if named { format!(" `{}`", guard.binding) } else { String::new() };
            let settings = settings(&guard.settings, shown.category);
            line(format!("{}{binding}", guard.guard), &guard.expression, settings, guard.layer);
        }
    }
    grid
}

/// Settings with who filled them in: `required = false (tenant)`.
pub(super) fn settings(settings: &SortedMap<VariableName, FilledSetting>, category: Option<&CategoryKey>) -> String {
    let setting = |(name, filled): (&VariableName, &FilledSetting)| {
        let source = match filled.source {
            SettingSource::Default => "default".to_owned(),
            SettingSource::Tenant => layer(Layer::Tenant, category),
            SettingSource::TenantCategory => layer(Layer::TenantCategory, category),
            SettingSource::Binding => "binding".to_owned(),
        };
        format!("{name} = {} ({source})", words::value(Some(&filled.value)))
    };
    settings.iter().map(setting).collect::<Vec<_>>().join(", ")
}
