//! The types of a guard's parts. Rhai answers a comparison of a string with a number, quietly; here it is a mistake.
//!
//! A part that is mistaken has no type, and nothing is said about what it stands in: one mistake, one message.

use super::constant::Constant;
use super::formula::{Arithmetic, Comparison, Formula, Origin, TextTest, Value, Variable};
use super::mistake::{GuardMistake, mismatch, mistake, not_allowed};
use super::parse::{Expression, Form, WORDS};
use crate::model::read::nearest;
use crate::model::{DiagnosticCode, VariableType};
use crate::{SortedMap, VariableName};

/// Declared names with their types.
pub type Variables = SortedMap<VariableName, VariableType>;

/// What a part of a guard comes to.
enum Typed {
    Bool(Formula),
    Integer(Value),
    String(Value),
    Strings(Value),
}

impl Typed {
    /// The type, in words.
    const fn what(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a condition",
            Self::Integer(_) => "an integer",
            Self::String(_) => "a string",
            Self::Strings(_) => "a list",
        }
    }
}

/// Checks an expression. Nothing where there are mistakes; they are noted.
pub(super) fn check(
    expression: &Expression<'_>,
    inputs: &Variables,
    settings: &Variables,
    found: &mut Vec<GuardMistake>,
) -> Option<Formula> {
    let mut checker = Checker { inputs, settings, found };
    checker.condition(expression, "the guard")
}

struct Checker<'a> {
    inputs: &'a Variables,
    settings: &'a Variables,
    found: &'a mut Vec<GuardMistake>,
}

/// How to make a condition of something else.
const NO_CONDITION: &str = "compare it with something: `==`, `<`, `in`";

impl Checker<'_> {
    fn refuse<T>(&mut self, found: GuardMistake) -> Option<T> {
        self.found.push(found);
        None
    }

    /// All or nothing, but every part is looked at.
    fn each<'e, T>(
        &mut self,
        parts: &'e [Expression<'e>],
        check: impl Fn(&mut Self, &'e Expression<'e>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let checked: Vec<Option<T>> = parts.iter().map(|part| check(self, part)).collect();
        checked.into_iter().collect()
    }

    fn condition(&mut self, expression: &Expression<'_>, where_it_stands: &str) -> Option<Formula> {
        match self.typed(expression)? {
            Typed::Bool(formula) => Some(formula),
            other => {
                let message = format!("{where_it_stands} needs a condition, not {}", other.what());
                self.refuse(mismatch(expression.at, message, NO_CONDITION))
            }
        }
    }

    fn integer(&mut self, expression: &Expression<'_>, where_it_stands: &str) -> Option<Value> {
        match self.typed(expression)? {
            Typed::Integer(value) => Some(value),
            other => {
                let message = format!("{where_it_stands} needs an integer, not {}", other.what());
                self.refuse(mismatch(expression.at, message, "guards calculate with integers only"))
            }
        }
    }

    fn string(&mut self, expression: &Expression<'_>, where_it_stands: &str) -> Option<Value> {
        match self.typed(expression)? {
            Typed::String(value) => Some(value),
            other => {
                let message = format!("{where_it_stands} needs a string, not {}", other.what());
                self.refuse(mismatch(expression.at, message, "give it a string"))
            }
        }
    }

    fn typed(&mut self, expression: &Expression<'_>) -> Option<Typed> {
        let at = expression.at;
        Some(match &expression.form {
            Form::Bool(value) => Typed::Bool(Formula::Constant(*value)),
            Form::Integer(value) => Typed::Integer(Value::Constant(Constant::Integer(*value))),
            Form::String(text) => Typed::String(Value::Constant(Constant::String(text.clone()))),
            Form::Name(name) => return self.variable(at, name),
            Form::Not(inner) => Typed::Bool(Formula::Not(Box::new(self.condition(inner, "`!`")?))),
            Form::Negative(inner) => Typed::Integer(Value::Negative(Box::new(self.integer(inner, "`-`")?))),
            Form::And(parts) => Typed::Bool(Formula::And(self.each(parts, |this, it| this.condition(it, "`&&`"))?)),
            Form::Or(parts) => Typed::Bool(Formula::Or(self.each(parts, |this, it| this.condition(it, "`||`"))?)),
            Form::Binary(symbol, sides) => return self.binary(at, symbol, sides),
            Form::Call(name, arguments) => return self.call(at, name, arguments),
            Form::Method(name, receiver, arguments) => return self.method(at, name, receiver, arguments),
            Form::List(items) => {
                let _ = self.each(items, Self::typed);
                return self.refuse(not_allowed(at, "a list here", "a list stands behind `in`"));
            }
            Form::Refused(parts) => {
                let _ = self.each(parts, Self::typed);
                return None;
            }
        })
    }

    fn variable(&mut self, at: usize, name: &str) -> Option<Typed> {
        let declared = |variables: &Variables, origin| {
            variables.get_key_value(name).map(|(name, kind)| (*kind, Variable { name: name.clone(), origin }))
        };
        let input = declared(self.inputs, Origin::Input);
        let Some((kind, variable)) = input.or_else(|| declared(self.settings, Origin::Setting)) else {
            let choices: Vec<&str> = self.inputs.keys().chain(self.settings.keys()).map(VariableName::as_str).collect();
            let hint = match nearest(name, &choices) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it in `inputs` or `settings`; text stands in double quotes".into(),
            };
            let message = format!("`{name}` is neither an input nor a setting of this guard");
            return self.refuse(mistake(DiagnosticCode::UnknownInput, at, message, hint));
        };
        Some(match kind {
            VariableType::Bool => Typed::Bool(Formula::Variable(variable)),
            VariableType::Integer => Typed::Integer(Value::Variable(variable)),
            VariableType::String => Typed::String(Value::Variable(variable)),
            VariableType::Strings => Typed::Strings(Value::Variable(variable)),
        })
    }

    fn binary(&mut self, at: usize, symbol: &str, sides: &[Expression<'_>; 2]) -> Option<Typed> {
        let [left, right] = sides;
        if let Some(operator) = Arithmetic::ALL.into_iter().find(|operator| operator.as_str() == symbol) {
            let what = format!("`{symbol}`");
            let (left, right) = (self.integer(left, &what), self.integer(right, &what));
            return Some(Typed::Integer(Value::Arithmetic(operator, Box::new([left?, right?]))));
        }
        match Comparison::from_symbol(symbol) {
            Some(comparison) => self.comparison(at, comparison, left, right).map(Typed::Bool),
            None => {
                let holds = self.membership(at, left, right)?;
                Some(Typed::Bool(if symbol == "in" { holds } else { Formula::Not(Box::new(holds)) }))
            }
        }
    }

    fn comparison(
        &mut self,
        at: usize,
        comparison: Comparison,
        left: &Expression<'_>,
        right: &Expression<'_>,
    ) -> Option<Formula> {
        let (left, right) = (self.typed(left), self.typed(right));
        match (left?, right?) {
            (Typed::Integer(left), Typed::Integer(right)) | (Typed::String(left), Typed::String(right)) => {
                Some(Formula::Compare(comparison, left, right))
            }
            (Typed::Bool(left), Typed::Bool(right)) => match comparison {
                Comparison::Equal => Some(Formula::Same(Box::new([left, right]))),
                Comparison::NotEqual => Some(Formula::Differ(Box::new([left, right]))),
                _ => {
                    let message = format!("`{comparison}` does not compare conditions");
                    self.refuse(mismatch(at, message, "`==` and `!=` do; for an order, compare integers or strings"))
                }
            },
            (Typed::Strings(_), Typed::Strings(_)) => {
                let message = format!("`{comparison}` does not compare lists");
                self.refuse(mismatch(at, message, "ask for single items: `item in list`"))
            }
            (left, right) => {
                let message = format!("`{comparison}` compares {} with {}", left.what(), right.what());
                self.refuse(mismatch(at, message, "compare values of one type"))
            }
        }
    }

    fn membership(&mut self, at: usize, item: &Expression<'_>, list: &Expression<'_>) -> Option<Formula> {
        let item = self.typed(item);
        if let Form::List(items) = &list.form {
            return self.in_constants(at, item, items);
        }
        let list = self.typed(list);
        match (item?, list?) {
            (Typed::String(item), Typed::Strings(list)) => Some(Formula::In(item, list)),
            (Typed::String(_), Typed::String(_)) => {
                let hint = "to look inside a string, write `text.contains(part)`";
                self.refuse(mismatch(at, "`in` needs a list on its right, not a string", hint))
            }
            (item, list @ Typed::Strings(_)) => {
                let message = format!("`in` looks for {} in {} of strings", item.what(), list.what());
                self.refuse(mismatch(at, message, "a list of strings holds strings"))
            }
            (_, other) => {
                let message = format!("`in` needs a list on its right, not {}", other.what());
                self.refuse(mismatch(at, message, "write a list: `x in [1, 2]`"))
            }
        }
    }

    /// Membership in a list that is written out. Its items are constants, all of the type that is looked for.
    fn in_constants(&mut self, at: usize, item: Option<Typed>, items: &[Expression<'_>]) -> Option<Formula> {
        let constants = self.each(items, |this, item| match &item.form {
            Form::Integer(value) => Some((item.at, Constant::Integer(*value))),
            Form::String(text) => Some((item.at, Constant::String(text.clone()))),
            Form::Refused(_) => this.typed(item).and(None),
            _ => {
                let _ = this.typed(item);
                let hint = "for a list that changes, declare a setting or input of type `strings`";
                this.refuse(not_allowed(item.at, "anything but a plain number or string in a list", hint))
            }
        });
        let (item, constants) = (item?, constants?);
        let (mut integers, mut strings) = (Vec::new(), Vec::new());
        let mut fits = true;
        let what = item.what();
        for (at, constant) in constants {
            match (&item, constant) {
                (Typed::Integer(_), Constant::Integer(value)) => integers.push(value),
                (Typed::String(_), Constant::String(text)) => strings.push(text),
                (Typed::Integer(_) | Typed::String(_), _) => {
                    fits = false;
                    let message = format!("the list holds an item of another type than {what}");
                    self.found.push(mismatch(at, message, "let all items have the type that is looked for"));
                }
                _ => {}
            }
        }
        match item {
            _ if !fits => None,
            Typed::Integer(item) => Some(Formula::In(item, Value::Constant(Constant::Integers(integers)))),
            Typed::String(item) => Some(Formula::In(item, Value::Constant(Constant::Strings(strings)))),
            other => {
                let message = format!("`in` does not look for {}", other.what());
                self.refuse(mismatch(at, message, "look for an integer or a string"))
            }
        }
    }

    /// Notes that a function takes other arguments.
    fn arity<T>(&mut self, at: usize, arguments: &[Expression<'_>], usage: &str) -> Option<T> {
        let _ = self.each(arguments, Self::typed);
        let count = arguments.len();
        let message = format!("this function does not take {count} argument{} here", if count == 1 { "" } else { "s" });
        self.refuse(mistake(DiagnosticCode::UnknownFunction, at, message, format!("write `{usage}`")))
    }

    fn call(&mut self, at: usize, name: &str, arguments: &[Expression<'_>]) -> Option<Typed> {
        let what = format!("`{name}`");
        match (name, arguments) {
            ("abs", [number]) => Some(Typed::Integer(Value::Absolute(Box::new(self.integer(number, &what)?)))),
            ("abs", _) => self.arity(at, arguments, "abs(a)"),
            ("min" | "max", [left, right]) => {
                let function = if name == "min" { Arithmetic::Least } else { Arithmetic::Greatest };
                let (left, right) = (self.integer(left, &what), self.integer(right, &what));
                Some(Typed::Integer(Value::Arithmetic(function, Box::new([left?, right?]))))
            }
            ("min" | "max", _) => self.arity(at, arguments, &format!("{name}(a, b)")),
            _ => {
                let _ = self.each(arguments, Self::typed);
                let hint = match name {
                    "len" => "write `text.len()`".to_owned(),
                    "contains" | "starts_with" | "ends_with" => format!("write `text.{name}(part)`"),
                    _ => FUNCTIONS.to_owned(),
                };
                self.unknown_function(at, name, hint)
            }
        }
    }

    fn method(
        &mut self,
        at: usize,
        name: &str,
        receiver: &Expression<'_>,
        arguments: &[Expression<'_>],
    ) -> Option<Typed> {
        let what = format!("`{name}`");
        let test = TextTest::ALL.into_iter().find(|test| test.as_str() == name);
        match (name, test, arguments) {
            ("len", _, []) => match self.typed(receiver)? {
                Typed::String(value) | Typed::Strings(value) => Some(Typed::Integer(Value::Length(Box::new(value)))),
                other => {
                    let message = format!("{} has no length", other.what());
                    self.refuse(mismatch(at, message, "strings and lists have one"))
                }
            },
            (_, Some(test), [part]) => {
                let part = self.string(part, &what);
                match self.typed(receiver)? {
                    Typed::String(text) => Some(Typed::Bool(Formula::Text(test, text, part?))),
                    Typed::Strings(_) if test == TextTest::Contains => {
                        self.refuse(mismatch(at, "`contains` looks inside a string", "write `item in list`"))
                    }
                    other => {
                        let message = format!("{what} looks inside a string, not {}", other.what());
                        self.refuse(mismatch(at, message, "give it a string"))
                    }
                }
            }
            ("len", ..) | (_, Some(_), _) => {
                let _ = self.typed(receiver);
                let usage = if name == "len" { "text.len()".to_owned() } else { format!("text.{name}(part)") };
                self.arity(at, arguments, &usage)
            }
            _ => {
                let _ = (self.typed(receiver), self.each(arguments, Self::typed));
                let hint = if matches!(name, "abs" | "min" | "max") {
                    format!("write it before its arguments: `{name}(…)`")
                } else {
                    FUNCTIONS.to_owned()
                };
                self.unknown_function(at, name, hint)
            }
        }
    }

    fn unknown_function<T>(&mut self, at: usize, name: &str, hint: String) -> Option<T> {
        let code = DiagnosticCode::UnknownFunction;
        self.refuse(mistake(code, at, format!("guards have no function `{name}`"), hint))
    }
}

const FUNCTIONS: &str = "the functions are `min(a, b)`, `max(a, b)`, `abs(a)`, `text.len()`, `list.len()`, \
     `text.contains(part)`, `text.starts_with(part)` and `text.ends_with(part)`";

/// Whether a word means something in expressions already, so that no input or setting may have it as its name.
pub fn is_reserved(word: &str) -> bool {
    WORDS.contains(&word)
}
