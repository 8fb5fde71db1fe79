//! A guard with its settings filled in: it answers for an item, and says why not.

use super::MAX_BYTES;
use super::formula::{Formula, Origin};
use super::input::{Input, Unfit, describe, shortened};
use super::native::{MAX_INPUTS, Slots, Test, place};
use super::predicate::Predicate;
#[cfg(feature = "rhai")]
use super::script::Script;
use crate::model::VariableType;
use crate::workflow::BlockerCode;
use crate::{SortedMap, SortedSet, VariableName};
use serde_json::Value;

/// Where the text of conditions that failed is cut off, in bytes.
const SHOWN_CONDITION: usize = 2_000;

/// One reason why a guard blocks, in full.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardFault {
    /// What is the matter, stable.
    pub code: BlockerCode,
    /// What would not have blocked: the conditions that failed, or what an input must be.
    pub expected: String,
    /// The inputs that it is about, by name; an absent one is left out.
    pub actual: SortedMap<String, Value>,
}

/// A guard with its settings filled in and simplified. It never changes, and threads may share it.
#[derive(Debug)]
pub struct BoundGuard {
    formula: Formula,
    inputs: Box<[(VariableName, VariableType)]>,
    program: Program,
}

/// What evaluates a formula.
#[derive(Debug)]
pub(super) enum Program {
    Native(Test),
    #[cfg(feature = "rhai")]
    Rhai(Script),
    #[cfg(not(feature = "rhai"))]
    NeedsRhai,
}

impl Program {
    fn of(formula: &Formula, inputs: &[(VariableName, VariableType)]) -> Self {
        if let Some(test) = Test::of(formula, inputs) {
            return Self::Native(test);
        }
        #[cfg(feature = "rhai")]
        return Self::Rhai(Script::compile(&formula.to_string(), inputs));
        #[cfg(not(feature = "rhai"))]
        Self::NeedsRhai
    }

    #[inline]
    #[cfg_attr(not(feature = "rhai"), expect(unused_variables, reason = "only Rhai asks for names"))]
    fn holds(&self, slots: &Slots<'_>, inputs: &[(VariableName, VariableType)]) -> Result<bool, BlockerCode> {
        match self {
            // Every input is in place: nothing is left open.
            Self::Native(test) => test.holds(slots).ok_or(BlockerCode::InputMissing),
            #[cfg(feature = "rhai")]
            Self::Rhai(script) => script.holds(slots, inputs),
            #[cfg(not(feature = "rhai"))]
            Self::NeedsRhai => Err(BlockerCode::GuardNeedsRhai),
        }
    }
}

impl BoundGuard {
    /// Lowers a formula without settings. The types are those of all declared inputs.
    pub(super) fn new(formula: Formula, types: &SortedMap<VariableName, VariableType>) -> Self {
        let mut names = SortedSet::new();
        formula.variables(&mut |variable| {
            if variable.origin == Origin::Input {
                names.insert(&variable.name);
            }
        });
        let inputs: Box<[_]> = names
            .into_iter()
            .filter_map(|name| types.get_key_value(name))
            .map(|(name, it)| (name.clone(), *it))
            .collect();
        let program = Program::of(&formula, &inputs);
        Self { formula, inputs, program }
    }

    /// The inputs that it looks at, in the order of names. Others of the guard do not matter under these settings.
    pub fn inputs(&self) -> &[(VariableName, VariableType)] {
        &self.inputs
    }

    /// The answer, where settings decide it.
    pub fn constant(&self) -> Option<bool> {
        match self.formula {
            Formula::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Whether only Rhai can evaluate it.
    pub fn needs_rhai(&self) -> bool {
        !matches!(self.program, Program::Native(_))
    }

    /// Whether it blocks every item because it needs Rhai and is, with its settings, more than Rhai is given.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        self.needs_rhai() && self.text().len() > MAX_BYTES
    }

    /// The inputs of some guards with their types; nothing where one has two.
    pub(super) fn types(guards: &[&Self]) -> Option<SortedMap<VariableName, VariableType>> {
        let inputs = guards.iter().flat_map(|guard| &guard.inputs).map(|(name, kind)| (name, *kind));
        let distinct = SortedSet::of(inputs.collect());
        let types: SortedMap<VariableName, VariableType> =
            distinct.iter().map(|(name, kind)| ((*name).clone(), *kind)).collect();
        (types.len() == distinct.len()).then_some(types)
    }

    /// The simplified form; nothing where it needs Rhai.
    pub fn predicate(&self) -> Option<Predicate> {
        Predicate::of(&self.formula)
    }

    /// The simplified form as text.
    pub fn text(&self) -> String {
        self.formula.to_string()
    }

    pub(super) fn formula(&self) -> &Formula {
        &self.formula
    }

    /// Finds the inputs in a context. An error is the first that there is; [`examine`](Self::examine) lists all.
    #[inline]
    pub fn fill<'c>(&self, inputs: &'c [(&'c str, Input<'c>)]) -> Result<Slots<'c>, BlockerCode> {
        let mut slots = Slots::none(inputs);
        self.find(inputs, &mut slots)?;
        Ok(slots)
    }

    #[inline]
    fn find<'c>(&self, inputs: &'c [(&'c str, Input<'c>)], slots: &mut Slots<'c>) -> Result<(), BlockerCode> {
        for (slot, (name, kind)) in self.inputs.iter().enumerate() {
            let (place, input) = find(inputs, name).ok_or(BlockerCode::InputMissing)?;
            input.check(*kind)?;
            slots.set(slot, place);
        }
        Ok(())
    }

    /// Whether it holds. An error blocks just like `false`.
    #[inline]
    pub fn holds(&self, slots: &Slots<'_>) -> Result<bool, BlockerCode> {
        self.program.holds(slots, &self.inputs)
    }

    /// What it comes to whatever the inputs without a value are, where that is so.
    pub(super) fn decided(&self, slots: &Slots<'_>) -> Option<bool> {
        match &self.program {
            Program::Native(test) => test.holds(slots),
            #[cfg(feature = "rhai")]
            Program::Rhai(_) => None,
            #[cfg(not(feature = "rhai"))]
            Program::NeedsRhai => None,
        }
    }

    /// Finds the inputs and answers.
    #[inline]
    pub fn evaluate<'c>(&self, inputs: &'c [(&'c str, Input<'c>)]) -> Result<bool, BlockerCode> {
        // In place: a copy of what was just written costs more than the search.
        let mut slots = Slots::none(inputs);
        self.find(inputs, &mut slots)?;
        self.holds(&slots)
    }

    /// Everything that makes it block; nothing where it holds.
    pub fn examine<'c>(&self, inputs: &'c [(&'c str, Input<'c>)]) -> Vec<GuardFault> {
        let slots = match self.fill(inputs) {
            Ok(slots) => slots,
            Err(_) => return self.unfit(inputs),
        };
        match self.holds(&slots) {
            Ok(true) => Vec::new(),
            Ok(false) => vec![self.failed(inputs, &slots)],
            Err(code) => vec![GuardFault {
                code,
                expected: shortened(&self.text(), SHOWN_CONDITION),
                actual: shown(inputs, self.inputs.iter().map(|(name, _)| name)),
            }],
        }
    }

    /// One fault for each input that is not what it is declared to be.
    fn unfit(&self, inputs: &[(&str, Input<'_>)]) -> Vec<GuardFault> {
        let fault = |(name, kind): &(VariableName, VariableType)| {
            let code = match find(inputs, name) {
                None => BlockerCode::InputMissing,
                Some((_, input)) => input.check(*kind).err()?.into(),
            };
            let expected = format!("{name}: {}", describe(*kind));
            Some(GuardFault { code, expected, actual: shown(inputs, [name]) })
        };
        self.inputs.iter().filter_map(fault).collect()
    }

    /// The conditions that failed, where the whole did.
    fn failed(&self, inputs: &[(&str, Input<'_>)], slots: &Slots<'_>) -> GuardFault {
        let fails = |part: &&Formula| Program::of(part, &self.inputs).holds(slots, &self.inputs) == Ok(false);
        let parts = self.formula.conjuncts();
        // A chain holds its parts as they are; where there is but one, it is known to have failed.
        let failed: Vec<&Formula> = if parts.len() > 1 { parts.iter().filter(fails).collect() } else { Vec::new() };
        let (expected, mentioned) = if failed.len() == parts.len() || failed.is_empty() {
            (self.formula.to_string(), names(std::slice::from_ref(&&self.formula)))
        } else {
            let text = match failed.as_slice() {
                [one] => one.to_string(),
                many => Formula::And(many.iter().copied().cloned().collect()).to_string(),
            };
            (text, names(&failed))
        };
        GuardFault {
            code: BlockerCode::GuardFailed,
            expected: shortened(&expected, SHOWN_CONDITION),
            actual: shown(inputs, mentioned),
        }
    }
}

impl From<Unfit> for BlockerCode {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Mistyped => Self::InputMistyped,
            Unfit::OutOfRange => Self::InputOutOfRange,
        }
    }
}

#[inline]
fn find<'c>(inputs: &'c [(&'c str, Input<'c>)], name: &VariableName) -> Option<(usize, &'c Input<'c>)> {
    let place = place(inputs, name.as_str())?;
    inputs.get(place).map(|(_, input)| (place, input))
}

/// The names that some formulas mention.
fn names<'f>(formulas: &[&'f Formula]) -> SortedSet<&'f VariableName> {
    let mut names = SortedSet::new();
    for formula in formulas {
        formula.variables(&mut |variable| {
            names.insert(&variable.name);
        });
    }
    names
}

/// Inputs with their values, cut off where they are long.
fn shown<'n>(
    inputs: &[(&str, Input<'_>)],
    names: impl IntoIterator<Item = &'n VariableName>,
) -> SortedMap<String, Value> {
    let value = |name: &VariableName| {
        let (_, input) = find(inputs, name)?;
        Some((name.to_string(), input.shown()))
    };
    names.into_iter().filter_map(value).collect()
}

const _: () = assert!(MAX_INPUTS <= u8::MAX as usize);
