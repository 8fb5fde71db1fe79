//! The language of guards: our reader, checker and evaluator against Rhai, which runs the author's text as it stands.

use super::written::{INPUTS, SETTINGS, Values, Written, declared};
use leasehold::VariableName;
use leasehold::workflow::BlockerCode;
use leasehold::workflow::guard::{BoundGuard, Constant, Input, Truth, compile};
use rhai::{Array, Dynamic, Engine, EvalAltResult, INT, ImmutableString, Scope};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Bytes as a guard with values for its inputs and settings. Nothing panics; a guard that compiles reads back from its print,
/// answers as Rhai does, explains itself, and is what it is said to be.
pub(crate) fn guard(bytes: &[u8]) {
    let Some(Written { text, settings: setting, inputs: asked }) = Written::read(bytes) else { return };
    let (inputs, settings) = (declared(&INPUTS), declared(&SETTINGS));
    let guard = match compile(&text, &inputs, &settings) {
        Ok(guard) => guard,
        Err(found) => {
            assert!(!found.is_empty() && found.is_sorted_by_key(|one| one.at), "{text}: {found:?}");
            for one in found {
                assert!(text.is_char_boundary(one.at) && !one.message.is_empty() && !one.hint.is_empty(), "{one:?}");
            }
            return;
        }
    };
    let again = compile(&guard.text(), &inputs, &settings).expect("what was printed reads back");
    assert_eq!((again.text(), again.predicate()), (guard.text(), guard.predicate()), "{text}");
    assert_eq!(guard.predicate().map(ToString::to_string), guard.predicate().map(|_| guard.text()));

    let bound = guard.bind(|name| setting.get(name).cloned()).expect("every setting has a value");
    let truth = bound.truth();
    for input in &asked {
        let answer = answer(&bound, input);
        assert_eq!(answer, rhai(&text, &setting, input), "{text} with {input:?} under {setting:?}");
        assert!(truth != Truth::Always || answer == Ok(true), "{text} with {input:?} under {setting:?}");
        // What Rhai runs may fail for every item: then it never holds either.
        let fails = guard.needs_rhai() && answer.is_err();
        assert!(truth != Truth::Never || answer == Ok(false) || fails, "{text} with {input:?} under {setting:?}");
    }
    for wanted in [true, false] {
        let Some(example) = bound.example(wanted) else { continue };
        let read = |(name, value)| {
            let kind = inputs[&name];
            (name, Constant::read(kind, &value).expect("examples are of the declared types"))
        };
        assert_eq!(answer(&bound, &example.into_iter().map(read).collect()), Ok(wanted), "{text} under {setting:?}");
    }
}

/// What the guard says, decided and explained.
fn answer(guard: &BoundGuard, values: &Values) -> Result<bool, &'static str> {
    let lists: BTreeMap<&VariableName, Vec<&str>> = values
        .iter()
        .filter_map(|(name, value)| match value {
            Constant::Strings(items) => Some((name, items.iter().map(|item| &**item).collect())),
            _ => None,
        })
        .collect();
    let mut inputs: Vec<(&str, Input<'_>)> = Vec::new();
    for (name, value) in values {
        let input = match value {
            Constant::Bool(value) => Input::Bool(*value),
            Constant::Integer(value) => Input::Integer(*value),
            Constant::String(text) => Input::String(text),
            Constant::Strings(_) => Input::Strings(&lists[name]),
            Constant::Integers(_) => Input::Other("a list of integers"),
        };
        inputs.push((name.as_str(), input));
    }
    let answer = guard.evaluate(&inputs).map_err(BlockerCode::as_str);
    let faults = guard.examine(&inputs);
    let told = faults.first().map(|fault| fault.code.as_str());
    let expected = match answer {
        Ok(true) => None,
        Ok(false) => Some("guard_failed"),
        Err(code) => Some(code),
    };
    assert_eq!(told, expected, "{}", guard.text());
    answer
}

/// What Rhai makes of the author's text.
fn rhai(text: &str, settings: &Values, inputs: &Values) -> Result<bool, &'static str> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(engine);
    let mut scope = Scope::new();
    for (name, value) in settings.iter().chain(inputs) {
        let value = match value {
            Constant::Bool(value) => (*value).into(),
            Constant::Integer(value) => (*value).into(),
            Constant::String(text) => (**text).into(),
            Constant::Strings(items) => {
                items.iter().map(|item| Dynamic::from(item.to_string())).collect::<Array>().into()
            }
            Constant::Integers(items) => items.iter().copied().map(Dynamic::from).collect::<Array>().into(),
        };
        scope.push_dynamic(name.as_str(), value);
    }
    let tree = engine.compile_expression_with_scope(&scope, text);
    let tree = tree.unwrap_or_else(|error| panic!("Rhai does not take {text:?}: {error}"));
    match engine.eval_ast_with_scope::<Dynamic>(&mut scope, &tree) {
        Ok(value) => Ok(value.as_bool().unwrap_or_else(|other| panic!("{text:?} comes to a value of type {other}"))),
        Err(error) => match *error {
            EvalAltResult::ErrorArithmetic(..) => Err("guard_error"),
            other => panic!("{text:?}: {other}"),
        },
    }
}

/// A Rhai with the functions that guards have, written once more.
fn engine() -> Engine {
    fn beyond(what: Option<INT>) -> Result<INT, Box<EvalAltResult>> {
        what.ok_or_else(|| EvalAltResult::ErrorArithmetic("too large".into(), rhai::Position::NONE).into())
    }
    let mut engine = Engine::new_raw();
    engine.set_strict_variables(true).set_max_expr_depths(2_000);
    engine
        .register_fn("!", |value: bool| !value)
        .register_fn("-", |value: INT| beyond(value.checked_neg()))
        .register_fn("abs", |value: INT| beyond(value.checked_abs()))
        .register_fn("min", |a: INT, b: INT| if a < b { a } else { b })
        .register_fn("max", |a: INT, b: INT| if a > b { a } else { b })
        .register_fn("len", |text: &str| text.chars().fold(0, |length: INT, _| length + 1))
        .register_fn("len", |list: &mut Array| list.iter().fold(0, |length: INT, _| length + 1))
        .register_fn("contains", |text: &str, part: &str| text.find(part).is_some())
        .register_fn("starts_with", |text: &str, part: &str| text.find(part) == Some(0))
        .register_fn("ends_with", |text: &str, part: &str| text.strip_suffix(part).is_some())
        .register_fn("contains", |list: &mut Array, item: ImmutableString| {
            list.iter().any(|this| this.clone().into_immutable_string().is_ok_and(|this| this == item))
        })
        .register_fn("contains", |list: &mut Array, item: INT| list.iter().any(|this| this.as_int() == Ok(item)));
    engine
}
