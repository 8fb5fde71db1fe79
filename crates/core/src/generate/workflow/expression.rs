//! Guards of the typed subset as trees: each has a text for the engine, and a JSON form for whoever evaluates it again.

use crate::VariableName;
use serde::Serialize;
use serde_json::Value;
use std::fmt::{Display, Formatter, Result, Write};

/// A guard's expression, or a part of it.
///
/// As JSON each form is an object with one key, `{ "compare": ["<=", { "variable": "total" }, { "constant": 3 }] }`. That
/// form is this module's own, and says in which order things are put together without any rule of precedence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expression {
    /// Always this.
    Constant(Value),
    /// An input or a setting.
    Variable(VariableName),
    /// It does not hold.
    Not(Box<Expression>),
    /// All hold.
    All(Vec<Expression>),
    /// At least one holds.
    Any(Vec<Expression>),
    /// Two values of one type, with `==`, `!=`, `<`, `<=`, `>` or `>=`.
    Compare(&'static str, Box<Expression>, Box<Expression>),
    /// The first is in the second.
    In(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// How strongly it holds together, from the weakest: a part needs parentheses within anything that is as strong.
    fn strength(&self) -> u8 {
        match self {
            Self::Any(_) => 1,
            Self::All(_) => 2,
            Self::Compare("==" | "!=", ..) => 3,
            Self::In(..) => 4,
            Self::Compare(..) => 5,
            Self::Not(_) => 6,
            Self::Constant(_) | Self::Variable(_) => 7,
        }
    }

    /// The part with parentheses only where they are needed.
    fn within(&self, outer: u8, f: &mut Formatter<'_>) -> Result {
        if self.strength() > outer { write!(f, "{self}") } else { write!(f, "({self})") }
    }
}

/// The text of the expression, with no more parentheses than it needs: it tests who reads it.
impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let strength = self.strength();
        let mut joined = |parts: &[Self], operator: &str| {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    write!(f, " {operator} ")?;
                }
                part.within(strength, f)?;
            }
            Ok(())
        };
        match self {
            Self::All(parts) => joined(parts, "&&"),
            Self::Any(parts) => joined(parts, "||"),
            Self::Constant(value) => constant(value, f),
            Self::Variable(name) => write!(f, "{name}"),
            Self::Not(inner) => {
                f.write_char('!')?;
                inner.within(strength, f)
            }
            Self::Compare(operator, left, right) => {
                left.within(strength, f)?;
                write!(f, " {operator} ")?;
                right.within(strength, f)
            }
            Self::In(item, list) => {
                item.within(strength, f)?;
                f.write_str(" in ")?;
                list.within(strength, f)
            }
        }
    }
}

fn constant(value: &Value, f: &mut Formatter<'_>) -> Result {
    match value {
        Value::Array(items) => {
            f.write_char('[')?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    f.write_str(", ")?;
                }
                constant(item, f)?;
            }
            f.write_char(']')
        }
        // What JSON escapes in the texts made here, Rhai escapes in the same way.
        other => write!(f, "{other}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::json;

    #[test]
    fn an_expression_is_written_with_the_parentheses_that_it_needs() {
        let variable = |name: &str| Expression::Variable(name.parse().unwrap());
        let compare = |operator, left, right| Expression::Compare(operator, Box::new(left), Box::new(right));
        let small = compare("<", variable("total"), Expression::Constant(json!(-3)));
        let listed =
            Expression::In(Box::new(variable("shade")), Box::new(Expression::Constant(json!(["red", "a\"b", "أحمر"]))));
        let either = Expression::Any(vec![small.clone(), variable("paid")]);
        let all = Expression::All(vec![either, Expression::Not(Box::new(listed.clone())), variable("rush")]);
        let same = compare("==", listed, compare("!=", variable("paid"), small));
        for (expression, text) in [
            (&all, r#"(total < -3 || paid) && !(shade in ["red", "a\"b", "أحمر"]) && rush"#),
            (&same, r#"shade in ["red", "a\"b", "أحمر"] == (paid != total < -3)"#),
        ] {
            assert_eq!(expression.to_string(), text);
        }
        assert_eq!(
            *serde_json::to_value(&all).unwrap().pointer("/all/0").unwrap(),
            json!({ "any": [
                { "compare": ["<", { "variable": "total" }, { "constant": -3 }] }, { "variable": "paid" }
            ] })
        );
    }
}
