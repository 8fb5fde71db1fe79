//! Guards: conditions in Rhai's syntax over typed inputs and settings.
//!
//! # Map
//!
//! In the order in which a guard goes through it: `token` and `parse` read the text as Rhai does (`mistake` is what may be
//! wrong with it); `types` checks it and makes a `formula`, the one form that everything else works on; `predicate` is
//! what others may see of it, `print` its text. `simplify` fills in settings (`constant` is what they are); `bound` is
//! the result, which answers for an item (`input` is what is known of it) and explains itself. The typed subset is
//! evaluated by `native`; the rest by Rhai (`script`, feature `rhai`), which never sees the author's text, only ours.
//! `search` finds out whether a guard can hold or fail at all, and under which inputs; `never` whether several can hold
//! together, condition by condition.
//!
//! What is accepted does not depend on features: a build without Rhai compiles the same guards, and blocks where it
//! cannot answer.

mod bound;
mod constant;
mod formula;
mod input;
#[cfg(test)]
mod laws;
mod mistake;
mod native;
mod never;
mod parse;
mod predicate;
mod print;
#[cfg(feature = "rhai")]
mod script;
mod search;
mod simplify;
#[cfg(test)]
mod tests;
mod token;
mod types;

pub use bound::{BoundGuard, GuardFault};
pub use constant::Constant;
pub use formula::Comparison;
pub use input::Input;
pub use mistake::GuardMistake;
pub use native::Slots;
pub use predicate::{Operand, Predicate};
pub use search::Truth;
pub use types::{Variables, is_reserved};

use crate::model::{DiagnosticCode, VariableType};
use crate::{SortedSet, VariableName};
use formula::{Formula, Origin};
use mistake::mistake;

/// Longest text of a guard, in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;
/// How deep a guard may be nested.
pub const MAX_DEPTH: usize = 32;
/// How many operators, calls and items of lists a guard may have.
pub const MAX_OPERATIONS: usize = 256;

/// How many bytes Rhai is given: of text when it compiles, where settings stand as literals, and of inputs for each
/// evaluation. Nothing that a guard does takes much longer than to read them.
const MAX_BYTES: usize = 1 << 18;

/// A guard without mistakes, its settings still open.
#[derive(Debug, Clone)]
pub struct CheckedGuard {
    formula: Formula,
    predicate: Option<Predicate>,
    inputs: Variables,
    settings: Variables,
}

/// A setting without a value, or with one of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnboundSetting {
    /// The setting.
    pub setting: VariableName,
    /// The type of the value that it needs.
    pub expected: VariableType,
}

/// Reads and checks the text of a guard over declared inputs and settings. All mistakes that can be told apart are
/// listed, in the order of the text.
pub fn compile(text: &str, inputs: &Variables, settings: &Variables) -> Result<CheckedGuard, Vec<GuardMistake>> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the guard is longer than {MAX_TEXT_BYTES} bytes");
        let hint = "give long lists as a setting, or split the guard";
        return Err(vec![mistake(DiagnosticCode::GuardTooLong, 0, message, hint)]);
    }
    let (expression, mut found) = parse::parse(text);
    let formula = expression.and_then(|expression| types::check(&expression, inputs, settings, &mut found));
    let Some(formula) = formula.filter(|_| found.is_empty()) else {
        found.sort_by_key(|one| (one.at, one.code));
        return Err(found);
    };
    let mut names = SortedSet::new();
    formula.variables(&mut |variable| {
        if variable.origin == Origin::Input {
            names.insert(&variable.name);
        }
    });
    if names.len() > native::MAX_INPUTS {
        let message = format!("the guard looks at more than {} inputs", native::MAX_INPUTS);
        return Err(vec![mistake(DiagnosticCode::GuardOverBudget, 0, message, "split the guard")]);
    }
    let predicate = Predicate::of(&formula);
    Ok(CheckedGuard { formula, predicate, inputs: inputs.clone(), settings: settings.clone() })
}

impl CheckedGuard {
    /// The typed form, settings and all; nothing where the guard lies outside the typed subset.
    pub fn predicate(&self) -> Option<&Predicate> {
        self.predicate.as_ref()
    }

    /// Whether it lies outside the typed subset.
    pub fn needs_rhai(&self) -> bool {
        self.predicate.is_none()
    }

    /// The guard in its one spelling.
    pub fn text(&self) -> String {
        self.formula.to_string()
    }

    /// Fills in the settings.
    pub fn bind(&self, setting: impl Fn(&VariableName) -> Option<Constant>) -> Result<BoundGuard, UnboundSetting> {
        let mut values = simplify::Settings::new();
        for (name, kind) in &self.settings {
            let Some(value) = setting(name).filter(|value| value.is(*kind)) else {
                return Err(UnboundSetting { setting: name.clone(), expected: *kind });
            };
            values.insert(name.clone(), value);
        }
        Ok(BoundGuard::new(self.formula.bound(&values), &self.inputs))
    }
}

/// Makes what guards are answered with, where it is not made yet.
#[cfg(feature = "bindings")]
pub(crate) fn prepare() {
    #[cfg(feature = "rhai")]
    script::prepare();
}
