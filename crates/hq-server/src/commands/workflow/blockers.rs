//! What stands against moves.

use super::layer;
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::words;
use leasehold::CategoryKey;
use leasehold::workflow::{Blocker, BlockerCode};
use serde_json::Value;
use std::collections::BTreeSet;

/// All that blocks some transitions, one line each.
pub(super) fn table(blockers: &[Blocker], category: Option<&CategoryKey>, style: Style) -> String {
    let mut grid = Grid::new(style, &["TRANSITION", "BLOCKED BY", "EXPECTED", "FOUND", "LAYER", "CODE"]);
    for blocker in blockers {
        grid.toned([
            (Tone::Plain, blocker.transition.to_string()),
            (Tone::Plain, by(blocker)),
            (Tone::Notice, words::printable(&blocker.expected)),
            (Tone::Bad, found(blocker)),
            (Tone::Plain, layer(blocker.layer, category)),
            (Tone::Faint, blocker.code.to_string()),
        ]);
    }
    grid.render(&[])
}

/// The guard, with its binding where that has a name of its own; or that it is a role.
fn by(blocker: &Blocker) -> String {
    match (&blocker.guard, &blocker.binding) {
        (Some(guard), Some(binding)) if guard.as_str() != binding.as_str() => format!("{guard} `{binding}`"),
        (Some(guard), _) => guard.to_string(),
        (None, _) => "role".to_owned(),
    }
}

/// What was found, in words: inputs with their values, or roles.
fn found(blocker: &Blocker) -> String {
    match &blocker.actual {
        Value::Object(inputs) => inputs_in_words(inputs).unwrap_or_else(|| "nothing".to_owned()),
        Value::Array(roles) if roles.is_empty() => "no role".to_owned(),
        Value::Array(roles) => {
            let roles: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
            words::printable(&roles.join(", "))
        }
        other => words::value(Some(other)),
    }
}

/// Values by name: `items_total = 12, stains_found = true`.
pub(super) fn inputs_in_words<'v, K: AsRef<str> + 'v>(
    inputs: impl IntoIterator<Item = (K, &'v Value)>,
) -> Option<String> {
    let input = |(name, value): (K, &Value)| format!("{} = {}", name.as_ref(), words::value(Some(value)));
    let inputs: Vec<String> = inputs.into_iter().map(input).collect();
    (!inputs.is_empty()).then(|| inputs.join(", "))
}

/// How to say what is missing.
pub(super) fn hint(blockers: &[Blocker]) -> Option<String> {
    let of = |code| blockers.iter().filter(move |blocker| blocker.code == code);
    let inputs: BTreeSet<&str> = of(BlockerCode::InputMissing).map(input).collect();
    // Who has another role knows how to say so.
    let nobody = |blocker: &&Blocker| blocker.actual.as_array().is_some_and(Vec::is_empty);
    let roles: BTreeSet<&str> =
        of(BlockerCode::RoleRequired).filter(nobody).map(|blocker| &*blocker.expected).collect();
    let inputs = inputs.iter().map(|name| format!("--input {name}=…"));
    let missing: Vec<String> = inputs.chain(roles.iter().map(|role| format!("--role {role}"))).collect();
    (!missing.is_empty()).then(|| format!("say what is known with {}", missing.join(", ")))
}

/// Why a guard does not hold, in a few words beside its condition.
pub(super) fn because(blocker: &Blocker) -> String {
    let (expected, found) = (&blocker.expected, found(blocker));
    match blocker.code {
        BlockerCode::GuardFailed => found,
        BlockerCode::InputMissing => format!("{} is missing", input(blocker)),
        BlockerCode::InputMistyped | BlockerCode::InputOutOfRange => format!("expected {expected}, found {found}"),
        BlockerCode::RoleRequired => "nobody present has it".to_owned(),
        other => format!("{other}: {found}"),
    }
}

/// A blocker on one line with others.
pub(super) fn in_short(blocker: &Blocker) -> String {
    match blocker.code {
        BlockerCode::RoleRequired => format!("role {} is missing", blocker.expected),
        BlockerCode::GuardFailed => format!("{} does not hold with {}", by(blocker), found(blocker)),
        _ => format!("{}: {}", by(blocker), because(blocker)),
    }
}

/// The name of an input that is missing.
fn input(blocker: &Blocker) -> &str {
    blocker.expected.split(':').next().unwrap_or_default()
}
