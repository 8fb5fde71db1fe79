//! What lies outside the typed subset, run by Rhai.
//!
//! Rhai reads our print of a checked formula, never what somebody wrote: every name is an input that is in its scope,
//! every operator has operands of the types that it is for, and settings are literals. The engine knows the few functions
//! that guards have and nothing else, and every limit is pinned; the defaults have none.

use super::MAX_BYTES;
use super::formula::{Arithmetic, TextTest};
use super::input::{Input, MAX_ITEMS};
use super::native::{MAX_INPUTS, Slots};
use super::{MAX_DEPTH, MAX_OPERATIONS};
use crate::VariableName;
use crate::model::VariableType;
use crate::workflow::BlockerCode;
use rhai::{AST, Array, Dynamic, Engine, EvalAltResult, INT, ImmutableString, Scope};
use std::sync::LazyLock;

/// How many operations one evaluation may take: more than any guard that passes the build does, so that this is a second
/// line of defence.
const MAX_STEPS: u64 = 10_000;
/// One engine for all guards: it is made once, and evaluation does not change it.
static ENGINE: LazyLock<Engine> = LazyLock::new(engine);

/// Makes the engine, where it is not made yet.
#[cfg(feature = "bindings")]
pub(super) fn prepare() {
    LazyLock::force(&ENGINE);
}

/// A guard compiled by Rhai.
#[derive(Debug)]
pub(super) struct Script {
    /// An error makes the guard block at every item.
    tree: Result<AST, BlockerCode>,
}

impl Script {
    pub(super) fn compile(text: &str, inputs: &[(VariableName, VariableType)]) -> Self {
        if text.len() > MAX_BYTES {
            return Self { tree: Err(BlockerCode::GuardBudgetExceeded) };
        }
        // Names that are not in this scope are refused (strict variables); the values do not matter.
        let mut scope = Scope::new();
        for (name, _) in inputs {
            scope.push_dynamic(name.as_str(), Dynamic::UNIT);
        }
        // Rhai takes whatever we print; if it did not, that would be a fault of ours, and the guard would block.
        Self { tree: ENGINE.compile_expression_with_scope(&scope, text).map_err(|_| BlockerCode::GuardError) }
    }

    /// Evaluates it over a scope of its own: nothing is left behind for the next one.
    pub(super) fn holds(
        &self,
        slots: &Slots<'_>,
        inputs: &[(VariableName, VariableType)],
    ) -> Result<bool, BlockerCode> {
        let tree = self.tree.as_ref().map_err(|code| *code)?;
        let mut scope = Scope::new();
        let mut bytes = 0;
        for (slot, (name, _)) in inputs.iter().enumerate() {
            let input = slots.get(slot).ok_or(BlockerCode::InputMissing)?;
            bytes += weight(input);
            if bytes > MAX_BYTES {
                return Err(BlockerCode::GuardBudgetExceeded);
            }
            scope.push_dynamic(name.as_str(), value(input)?);
        }
        let result = ENGINE.eval_ast_with_scope::<Dynamic>(&mut scope, tree).map_err(|error| code(&error))?;
        result.as_bool().map_err(|_| BlockerCode::GuardError)
    }
}

fn weight(input: &Input<'_>) -> usize {
    match input {
        Input::String(text) => text.len(),
        Input::Strings(items) => items.iter().map(|item| item.len()).sum(),
        Input::Bool(_) | Input::Integer(_) | Input::Other(_) => 0,
    }
}

fn value(input: &Input<'_>) -> Result<Dynamic, BlockerCode> {
    Ok(match input {
        Input::Bool(value) => Dynamic::from_bool(*value),
        Input::Integer(value) => Dynamic::from_int(*value),
        Input::String(text) => Dynamic::from(ImmutableString::from(*text)),
        Input::Strings(items) => {
            Dynamic::from_array(items.iter().map(|item| Dynamic::from(ImmutableString::from(*item))).collect())
        }
        Input::Other(_) => return Err(BlockerCode::InputMistyped),
    })
}

pub(super) fn code(error: &EvalAltResult) -> BlockerCode {
    match error {
        EvalAltResult::ErrorTooManyOperations(..)
        | EvalAltResult::ErrorDataTooLarge(..)
        | EvalAltResult::ErrorStackOverflow(..)
        | EvalAltResult::ErrorTooManyVariables(..) => BlockerCode::GuardBudgetExceeded,
        _ => BlockerCode::GuardError,
    }
}

/// An engine that can do nothing but what guards do.
pub(super) fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .set_allow_looping(false)
        .set_allow_if_expression(false)
        .set_allow_switch_expression(false)
        .set_allow_statement_expression(false)
        .set_allow_shadowing(false)
        .set_max_operations(MAX_STEPS)
        // It counts every part of a chain, and several levels for each of ours.
        .set_max_expr_depths(MAX_OPERATIONS + 8 * MAX_DEPTH)
        .set_max_variables(MAX_INPUTS)
        .set_max_string_size(MAX_BYTES)
        // A list that is written out must stay below it.
        .set_max_array_size(MAX_ITEMS + 1)
        .set_max_map_size(1)
        .disable_symbol("eval");
    functions(&mut engine);
    engine
}

type Calculated = Result<INT, Box<EvalAltResult>>;

/// The functions that guards have, and those operators that Rhai does not bring by itself.
fn functions(engine: &mut Engine) {
    fn exact(result: Option<INT>) -> Calculated {
        result.ok_or_else(|| "beyond 64 bits".into())
    }
    engine
        .register_fn("-", |value: INT| exact(value.checked_neg()))
        .register_fn("abs", |value: INT| exact(value.checked_abs()))
        .register_fn(Arithmetic::Least.as_str(), |left: INT, right: INT| left.min(right))
        .register_fn(Arithmetic::Greatest.as_str(), |left: INT, right: INT| left.max(right))
        .register_fn("len", |text: ImmutableString| exact(INT::try_from(text.chars().count()).ok()))
        .register_fn("len", |list: &mut Array| exact(INT::try_from(list.len()).ok()));
    for test in TextTest::ALL {
        engine.register_fn(test.as_str(), move |text: ImmutableString, part: ImmutableString| test.holds(&text, &part));
    }
    // `item in list` is a call of `contains`.
    engine
        .register_fn("contains", |list: &mut Array, item: ImmutableString| {
            list.iter().any(|this| this.read_lock::<ImmutableString>().is_some_and(|this| *this == item))
        })
        .register_fn("contains", |list: &mut Array, item: INT| list.iter().any(|this| this.as_int() == Ok(item)));
}
