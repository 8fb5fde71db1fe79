//! Whether guards can hold together at all, and for which inputs.
//!
//! All their conditions must hold, so a few that cannot hold together are proof for the whole. Conditions are judged in
//! groups that share no input with each other: a guard over many inputs is mostly many small groups, each of which a
//! search gets through, where it would give up on all at once. A condition that needs Rhai, or that compares inputs with
//! each other, is left out; the others are proof without it.

use super::bound::BoundGuard;
use super::formula::Formula;
use super::native::MAX_INPUTS;
use super::simplify::{Part, chain};
use crate::model::VariableType;
use crate::{SortedMap, SortedSet, VariableName};
use serde_json::Value;

/// How many steps all searches for one question take together: a bound for guards that are made to take long.
const MOST_STEPS: usize = 65_536;

type Types = SortedMap<VariableName, VariableType>;

impl BoundGuard {
    /// Whether it is proven that some guards never hold together.
    pub(crate) fn never_hold_together(guards: &[&Self]) -> bool {
        // No value is of two types.
        let Some(types) = Self::types(guards) else { return true };
        let conditions = guards.iter().flat_map(|guard| guard.formula().conjuncts());
        Judge { types: &types, steps_left: MOST_STEPS }.never(&conditions.collect::<Vec<_>>())
    }

    /// Inputs under which some guards hold together, and of each list of rivals not all; nothing where none were found. What
    /// shares no input is looked for by itself.
    pub(crate) fn example_of(guards: &[&Self], rivals: &[Vec<&Self>]) -> Option<SortedMap<VariableName, Value>> {
        let all: Vec<&Self> = guards.iter().chain(rivals.iter().flatten()).copied().collect();
        let types = Self::types(&all)?;
        let held = guards.iter().flat_map(|guard| guard.formula().conjuncts()).cloned();
        let beaten = rivals.iter().map(|rival| {
            let parts = rival.iter().map(|guard| Part::Open(guard.formula().clone()));
            Formula::Not(Box::new(chain(true, parts)))
        });
        let formulas: Vec<Formula> = held.chain(beaten).collect();
        let conditions: Vec<Condition<'_>> =
            formulas.iter().enumerate().map(|(place, formula)| Condition::new(place, formula)).collect();
        let mut inputs = SortedMap::new();
        for group in groups(&conditions) {
            let together = Formula::And(group.iter().map(|condition| condition.formula.clone()).collect());
            let guard = Self::new(together, &types);
            if guard.inputs().len() > MAX_INPUTS {
                return None;
            }
            inputs.extend(guard.example(true)?);
        }
        Some(inputs)
    }
}

struct Judge<'t> {
    types: &'t Types,
    steps_left: usize,
}

/// A condition with the inputs that it looks at.
struct Condition<'f> {
    /// Its place among all.
    place: usize,
    formula: &'f Formula,
    inputs: SortedSet<&'f VariableName>,
}

impl Judge<'_> {
    /// Whether conditions never hold together.
    fn never(&mut self, conditions: &[&Formula]) -> bool {
        if conditions.iter().any(|condition| condition.never_holds()) {
            return true;
        }
        let plain = conditions.iter().enumerate().filter(|(_, condition)| condition.is_plain());
        let plain: Vec<Condition<'_>> = plain.map(|(place, formula)| Condition::new(place, formula)).collect();
        // Those about one input by themselves: what joins it to others may be more than a search gets through.
        let mut about: SortedMap<&VariableName, Vec<&Condition<'_>>> = SortedMap::new();
        for condition in &plain {
            if let (Some(input), 1) = (condition.inputs.iter().next(), condition.inputs.len()) {
                about.or_default(input).push(condition);
            }
        }
        let joined = groups(&plain);
        let joined = joined.iter().filter(|group| group.iter().any(|condition| condition.inputs.len() > 1));
        if about.values().chain(joined).any(|group| self.group_never_holds(group)) {
            return true;
        }
        // One whose every alternative never holds.
        conditions.iter().any(|condition| match condition {
            Formula::Or(parts) => parts.iter().all(|part| self.never(&part.conjuncts().iter().collect::<Vec<_>>())),
            _ => false,
        })
    }

    fn group_never_holds(&mut self, group: &[&Condition<'_>]) -> bool {
        let inputs: SortedSet<&VariableName> =
            group.iter().flat_map(|condition| condition.inputs.iter()).copied().collect();
        if inputs.len() > MAX_INPUTS {
            return false;
        }
        let formulas = group.iter().map(|condition| condition.formula.clone()).collect();
        BoundGuard::new(Formula::And(formulas), self.types).never(true, &mut self.steps_left)
    }
}

impl<'f> Condition<'f> {
    fn new(place: usize, formula: &'f Formula) -> Self {
        let mut inputs = SortedSet::new();
        formula.variables(&mut |variable| {
            inputs.insert(&variable.name);
        });
        Self { place, formula, inputs }
    }
}

/// Conditions in groups: two that look at one input are in the same.
fn groups<'c, 'f>(conditions: &'c [Condition<'f>]) -> Vec<Vec<&'c Condition<'f>>> {
    let mut groups: Vec<(SortedSet<&VariableName>, Vec<&Condition<'f>>)> = Vec::new();
    for condition in conditions {
        let mut joined = (condition.inputs.clone(), vec![condition]);
        for (inputs, group) in
            groups.extract_if(.., |(inputs, _)| condition.inputs.iter().any(|input| inputs.contains(input)))
        {
            joined.0.extend(inputs);
            joined.1.extend(group);
        }
        groups.push(joined);
    }
    let in_their_order = |(_, mut group): (_, Vec<&'c Condition<'f>>)| {
        group.sort_by_key(|condition| condition.place);
        group
    };
    groups.into_iter().map(in_their_order).collect()
}
