//! Laws of guards, over random ones that know every construct. Seeds and case counts are fixed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::formula::{Arithmetic, Comparison, Formula, Origin, TextTest, Value, Variable};
use super::*;
use crate::SortedMap;
use crate::workflow::BlockerCode;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeSet;

const INTEGERS: [i64; 8] = [0, 1, -1, 2, 7, -500, 9_007_199_254_740_991, -9_007_199_254_740_991];
const STRINGS: [&str; 8] = ["", "a", "b", "aa", "ß", "a\"b\\", "\u{0}\n\r\t", "${x}`/*"];

/// Takes decisions from bytes; when they run out, always the first choice.
struct Dice<'b>(&'b [u8]);

impl Dice<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % bound
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn strings(&mut self) -> Vec<Box<str>> {
        (0..self.below(4)).map(|_| self.pick(&STRINGS).into()).collect()
    }

    fn variable(&mut self, kind: VariableType) -> Variable {
        let (name, origin) = self.pick(&match kind {
            VariableType::Bool => [("ba", Origin::Input), ("bb", Origin::Input), ("sb", Origin::Setting)],
            VariableType::Integer => [("ia", Origin::Input), ("ib", Origin::Input), ("si", Origin::Setting)],
            VariableType::String => [("ta", Origin::Input), ("inb", Origin::Input), ("st", Origin::Setting)],
            VariableType::Strings => [("la", Origin::Input), ("lb", Origin::Input), ("sl", Origin::Setting)],
        });
        Variable { name: name.parse().unwrap(), origin }
    }

    fn formula(&mut self, depth: usize, native: bool) -> Formula {
        if depth == 0 {
            return match self.below(4) {
                0 => Formula::Constant(self.below(2) == 1),
                _ => Formula::Variable(self.variable(VariableType::Bool)),
            };
        }
        let depth = depth - 1;
        match self.below(if native { 8 } else { 9 }) {
            0 => Formula::Not(Box::new(self.formula(depth, native))),
            1 => Formula::And(self.parts(depth, native, |it| matches!(it, Formula::And(_)))),
            2 => Formula::Or(self.parts(depth, native, |it| matches!(it, Formula::Or(_)))),
            3 => Formula::Same(Box::new([self.formula(depth, native), self.formula(depth, native)])),
            4 => Formula::Differ(Box::new([self.formula(depth, native), self.formula(depth, native)])),
            5 => {
                let comparison = self.pick(Comparison::ALL);
                Formula::Compare(comparison, self.integer(depth, native), self.integer(depth, native))
            }
            6 => Formula::Compare(self.pick(Comparison::ALL), self.string(), self.string()),
            7 if self.below(3) == 0 => {
                let list = (0..self.below(4)).map(|_| self.pick(&INTEGERS)).collect();
                Formula::In(self.integer(depth, native), Value::Constant(Constant::Integers(list)))
            }
            7 => Formula::In(self.string(), self.list(true)),
            _ => Formula::Text(self.pick(&TextTest::ALL), self.string(), self.string()),
        }
    }

    /// Two to four parts of a chain, none of which is a chain of the same kind.
    fn parts(&mut self, depth: usize, native: bool, same: impl Fn(&Formula) -> bool) -> Vec<Formula> {
        let parts = (0..2 + self.below(3)).map(|_| self.formula(depth, native));
        parts.map(|part| if same(&part) { Formula::Not(Box::new(part)) } else { part }).collect()
    }

    fn integer(&mut self, depth: usize, native: bool) -> Value {
        if depth == 0 || native || self.below(2) == 0 {
            return match self.below(3) {
                0 => Value::Constant(Constant::Integer(self.pick(&INTEGERS))),
                _ => Value::Variable(self.variable(VariableType::Integer)),
            };
        }
        let depth = depth - 1;
        match self.below(4) {
            0 => match self.integer(depth, native) {
                // A minus before a number is part of the number.
                Value::Constant(Constant::Integer(value)) => Value::Constant(Constant::Integer(-value)),
                other => Value::Negative(Box::new(other)),
            },
            1 => Value::Absolute(Box::new(self.integer(depth, native))),
            2 if self.below(2) == 0 => Value::Length(Box::new(self.string())),
            2 => Value::Length(Box::new(self.list(false))),
            _ => {
                let operator = self.pick(&Arithmetic::ALL);
                Value::Arithmetic(operator, Box::new([self.integer(depth, native), self.integer(depth, native)]))
            }
        }
    }

    fn string(&mut self) -> Value {
        match self.below(3) {
            0 => Value::Constant(Constant::String(self.pick(&STRINGS).into())),
            _ => Value::Variable(self.variable(VariableType::String)),
        }
    }

    fn list(&mut self, constants: bool) -> Value {
        match self.below(3) {
            0 if constants => Value::Constant(Constant::Strings(self.strings())),
            _ => Value::Variable(self.variable(VariableType::Strings)),
        }
    }

    /// A value for every variable.
    fn values(&mut self) -> Values {
        let kinds = inputs().into_iter().chain(settings());
        let mut value = |kind| match kind {
            VariableType::Bool => Constant::Bool(self.below(2) == 1),
            VariableType::Integer => Constant::Integer(self.pick(&INTEGERS)),
            VariableType::String => Constant::String(self.pick(&STRINGS).into()),
            VariableType::Strings => Constant::Strings(self.strings()),
        };
        kinds.map(|(name, kind)| (name, value(kind))).collect()
    }
}

type Values = SortedMap<VariableName, Constant>;

fn declared(names: [[&str; 4]; 2]) -> Variables {
    let kinds = VariableType::ALL.iter().copied().cycle();
    names.concat().into_iter().zip(kinds).map(|(name, kind)| (name.parse().unwrap(), kind)).collect()
}

fn inputs() -> Variables {
    declared([["ba", "ia", "ta", "la"], ["bb", "ib", "inb", "lb"]])
}

fn settings() -> Variables {
    declared([["sb", "si", "st", "sl"], ["sb", "si", "st", "sl"]])
}

/// Asks with values as inputs.
fn asked<T>(values: &Values, ask: impl FnOnce(&[(&str, Input<'_>)]) -> T) -> T {
    let lists: SortedMap<&str, Vec<&str>> = values
        .iter()
        .filter_map(|(name, value)| match value {
            Constant::Strings(items) => Some((name.as_str(), items.iter().map(|item| &**item).collect())),
            _ => None,
        })
        .collect();
    let mut inputs: Vec<(&str, Input<'_>)> = Vec::new();
    for (name, value) in values {
        let input = match value {
            Constant::Bool(value) => Input::Bool(*value),
            Constant::Integer(value) => Input::Integer(*value),
            Constant::String(text) => Input::String(text),
            Constant::Strings(_) => Input::Strings(&lists[name.as_str()]),
            Constant::Integers(_) => Input::Other("a list of integers"),
        };
        inputs.push((name.as_str(), input));
    }
    ask(&inputs)
}

fn check(cases: u32, law: impl Fn(&mut Dice<'_>) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bytes = proptest::collection::vec(any::<u8>(), 0..150);
    runner.run(&bytes, |bytes| law(&mut Dice(&bytes))).unwrap();
}

/// A guard of the formula, which must read back as it was printed.
fn guard(formula: &Formula) -> CheckedGuard {
    let text = formula.to_string();
    match compile(&text, &inputs(), &settings()) {
        Ok(guard) => guard,
        Err(found) => panic!("{text}: {found:?}"),
    }
}

/// The guard as it was written, with settings taken for inputs and nothing simplified.
fn unbound(formula: &Formula) -> BoundGuard {
    let all: Variables = inputs().into_iter().chain(settings()).collect();
    let guard = compile(&formula.to_string(), &all, &Variables::new()).unwrap();
    BoundGuard::new(guard.formula, &all)
}

fn evaluated(guard: &BoundGuard, values: &Values) -> Result<bool, BlockerCode> {
    asked(values, |inputs| guard.evaluate(inputs))
}

/// What a formula comes to, the plain way: left to right, no simplification, no slots.
fn naive(formula: &Formula, values: &Values) -> Option<bool> {
    let all = |parts: &[Formula], deciding: bool| {
        for part in parts {
            if naive(part, values)? == deciding {
                return Some(deciding);
            }
        }
        Some(!deciding)
    };
    match formula {
        Formula::Constant(value) => Some(*value),
        Formula::Variable(variable) => Some(values[&variable.name] == Constant::Bool(true)),
        Formula::Not(inner) => Some(!naive(inner, values)?),
        Formula::And(parts) => all(parts, false),
        Formula::Or(parts) => all(parts, true),
        Formula::Same(sides) => Some(naive(&sides[0], values)? == naive(&sides[1], values)?),
        Formula::Differ(sides) => Some(naive(&sides[0], values)? != naive(&sides[1], values)?),
        Formula::Compare(comparison, left, right) => {
            let order = match (value(left, values)?, value(right, values)?) {
                (Constant::Integer(left), Constant::Integer(right)) => left.cmp(&right),
                (Constant::String(left), Constant::String(right)) => left.as_bytes().cmp(right.as_bytes()),
                other => panic!("{other:?}"),
            };
            Some(match comparison {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            })
        }
        Formula::In(item, list) => Some(match (value(item, values)?, value(list, values)?) {
            (Constant::Integer(item), Constant::Integers(list)) => list.contains(&item),
            (Constant::String(item), Constant::Strings(list)) => list.contains(&item),
            other => panic!("{other:?}"),
        }),
        Formula::Text(test, text, part) => Some(match (value(text, values)?, value(part, values)?) {
            (Constant::String(text), Constant::String(part)) => match test {
                TextTest::Contains => text.split(&*part).count() > 1 || part.is_empty(),
                TextTest::StartsWith => text.as_bytes().starts_with(part.as_bytes()),
                TextTest::EndsWith => text.as_bytes().ends_with(part.as_bytes()),
            },
            other => panic!("{other:?}"),
        }),
    }
}

fn value(of: &Value, values: &Values) -> Option<Constant> {
    let integer = |of: &Value| match value(of, values) {
        Some(Constant::Integer(found)) => Some(i128::from(found)),
        _ => None,
    };
    let calculated = match of {
        Value::Constant(constant) => return Some(constant.clone()),
        Value::Variable(variable) => return Some(values[&variable.name].clone()),
        Value::Length(inner) => match value(inner, values)? {
            Constant::String(text) => text.chars().count() as i128,
            Constant::Strings(items) => items.len() as i128,
            other => panic!("{other:?}"),
        },
        Value::Negative(inner) => -integer(inner)?,
        Value::Absolute(inner) => integer(inner)?.abs(),
        Value::Arithmetic(operator, sides) => {
            let (left, right) = (integer(&sides[0])?, integer(&sides[1])?);
            match operator {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left.checked_div(right)?,
                Arithmetic::Remainder => left.checked_rem(right)?,
                Arithmetic::Least => left.min(right),
                Arithmetic::Greatest => left.max(right),
            }
        }
    };
    i64::try_from(calculated).ok().map(Constant::Integer)
}

#[test]
fn printed_guards_read_back_as_the_same_form() {
    check(4_000, |dice| {
        let native = dice.below(2) == 0;
        let formula = dice.formula(4, native);
        let guard = guard(&formula);
        prop_assert_eq!(&guard.formula, &formula);
        prop_assert!(!native || guard.predicate().is_some());
        if let Some(predicate) = guard.predicate() {
            prop_assert_eq!(predicate.to_string(), guard.text());
            prop_assert_eq!(Formula::from(predicate), formula);
        }
        Ok(())
    });
}

#[test]
fn settings_change_no_answer() {
    check(4_000, |dice| {
        let native = dice.below(2) == 0;
        let formula = dice.formula(4, native);
        let values = dice.values();
        let bound = guard(&formula).bind(|name| values.get(name).cloned()).unwrap();
        let expected = naive(&formula, &values).ok_or(BlockerCode::GuardError);
        if native || cfg!(feature = "rhai") {
            prop_assert_eq!(evaluated(&bound, &values), expected, "{} as {}", formula, bound.text());
        }
        // As it was written even constants are compared, which is left to Rhai.
        if cfg!(feature = "rhai") {
            prop_assert_eq!(evaluated(&unbound(&formula), &values), expected, "{}", formula);
        }
        // What settings do not decide is still there; what they do is not.
        prop_assert_eq!(bound.predicate().is_some(), !bound.needs_rhai());
        Ok(())
    });
}

/// Nothing takes an input away but a setting, or a constant that is written out.
#[test]
fn every_input_is_asked_for_where_nobody_says_otherwise() {
    check(12_000, |dice| {
        let native = dice.below(2) == 0;
        let formula = dice.formula(3, native);
        let text = formula.to_string();
        if text.contains("true") || text.contains("false") {
            return Ok(());
        }
        let all: Variables = inputs().into_iter().chain(settings()).collect();
        let bound = compile(&text, &all, &Variables::new()).unwrap().bind(|_| None).unwrap();
        let mut mentioned = BTreeSet::new();
        formula.variables(&mut |variable| {
            mentioned.insert(&variable.name);
        });
        prop_assert!(bound.inputs().iter().map(|(name, _)| name).eq(mentioned), "{} as {}", formula, bound.text());
        Ok(())
    });
}

#[cfg(feature = "rhai")]
#[test]
fn rhai_agrees_with_the_native_form() {
    use super::script::Script;
    check(6_000, |dice| {
        let formula = dice.formula(4, true);
        let values = dice.values();
        let all: Vec<(VariableName, VariableType)> = inputs().into_iter().chain(settings()).collect();
        let native = guard(&formula).bind(|name| values.get(name).cloned()).unwrap();
        prop_assert!(!native.needs_rhai());
        let script = Script::compile(&formula.to_string(), &all);
        let (ours, theirs) = asked(&values, |inputs| {
            let mut slots = Slots::none(inputs);
            for (slot, (name, _)) in all.iter().enumerate() {
                slots.set(slot, inputs.iter().position(|(this, _)| *this == name.as_str()).unwrap());
            }
            (native.evaluate(inputs), script.holds(&slots, &all))
        });
        prop_assert_eq!(ours, theirs, "{}", formula);
        Ok(())
    });
}

#[test]
fn examining_agrees_with_deciding() {
    check(4_000, |dice| {
        let formula = dice.formula(4, true);
        let mut values = dice.values();
        let bound = guard(&formula).bind(|name| values.get(name).cloned()).unwrap();
        // Some inputs are absent, and some are of another type.
        for name in inputs().keys() {
            match dice.below(12) {
                0 => drop(values.remove(name)),
                1 => drop(values.insert(name.clone(), Constant::Integer(1 << 60))),
                _ => {}
            }
        }
        let answer = evaluated(&bound, &values);
        let faults = asked(&values, |inputs| bound.examine(inputs));
        prop_assert_eq!(faults.is_empty(), answer == Ok(true));
        match answer {
            Ok(true) => {}
            Ok(false) => {
                prop_assert_eq!(faults.len(), 1);
                prop_assert_eq!(faults[0].code, BlockerCode::GuardFailed);
                // What it asks for does not hold by itself, and mentions what it shows.
                let asked_for = compile(&faults[0].expected, &inputs(), &Variables::new()).unwrap();
                let asked_for = asked_for.bind(|_| None).unwrap();
                prop_assert_eq!(evaluated(&asked_for, &values), Ok(false));
                let text = &faults[0].expected;
                prop_assert!(faults[0].actual.keys().all(|name| text.contains(name.as_str())));
            }
            Err(code) => {
                prop_assert!(faults.iter().any(|fault| fault.code == code));
                prop_assert!(faults.iter().all(|fault| fault.code != BlockerCode::GuardFailed));
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_said_of_all_items_is_true() {
    check(3_000, |dice| {
        let formula = dice.formula(3, true);
        let values = dice.values();
        let bound = guard(&formula).bind(|name| values.get(name).cloned()).unwrap();
        let truth = bound.truth();
        for _ in 0..8 {
            let answer = evaluated(&bound, &dice.values());
            prop_assert!(truth != Truth::Always || answer == Ok(true), "{}", bound.text());
            prop_assert!(truth != Truth::Never || answer == Ok(false), "{}", bound.text());
        }
        for wanted in [true, false] {
            let Some(example) = bound.example(wanted) else { continue };
            prop_assert_ne!(truth, if wanted { Truth::Never } else { Truth::Always });
            let all = inputs();
            let values = example.iter().map(|(name, value)| (name.clone(), Constant::read(all[name], value).unwrap()));
            prop_assert_eq!(evaluated(&bound, &values.collect()), Ok(wanted), "{}", bound.text());
        }
        Ok(())
    });
}

/// Texts that are almost guards: pieces of the language in any order.
#[test]
fn no_text_is_too_odd() {
    const PIECES: [&str; 48] = [
        "ba",
        "ia",
        "ta",
        "la",
        "sb",
        "sl",
        "inb",
        "true",
        "5",
        "-",
        "1_0",
        "0x1f",
        "\"a\"",
        "\"\"",
        "`a`",
        "(",
        ")",
        "[",
        "]",
        ",",
        "&&",
        "||",
        "!",
        "!in",
        "in",
        " in ",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        "+",
        "*",
        "/",
        "%",
        ".len()",
        ".contains(",
        "min(",
        "abs(",
        " ",
        "\n",
        "//",
        "/*",
        "*/",
        ".",
        "'",
        "\\",
        "let",
    ];
    check(6_000, |dice| {
        let mut text = String::new();
        while !dice.0.is_empty() {
            text.push_str(dice.pick(&PIECES));
        }
        match compile(&text, &inputs(), &settings()) {
            Ok(guard) => {
                let again = compile(&guard.text(), &inputs(), &settings());
                prop_assert_eq!(again.map(|again| again.formula).ok(), Some(guard.formula), "{}", text);
            }
            Err(found) => {
                prop_assert!(!found.is_empty() && found.iter().all(|one| text.is_char_boundary(one.at)), "{}", text);
                prop_assert!(found.is_sorted_by_key(|one| one.at));
            }
        }
        Ok(())
    });
}
