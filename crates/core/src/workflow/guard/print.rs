//! Guards as text, in one spelling. It reads back as the same form, by our parser and by Rhai's.
//!
//! Parentheses stand around everything that is made of parts, but for the whole: nobody has to know which operator binds
//! more strongly, and no two readers can disagree. No form is printed deeper than it is nested, so that what could be
//! read once can be read again.

use super::constant::Constant;
use super::formula::{Formula, Value, Variable};
use std::fmt::{Display, Formatter, Result, Write};

impl Display for Formula {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::Not(inner) => match &**inner {
                Self::In(item, list) => write!(f, "{} !in {}", Part(item), Part(list)),
                inner => write!(f, "!{}", Part(inner)),
            },
            Self::And(parts) => joined(f, " && ", parts.iter().map(Part)),
            Self::Or(parts) => joined(f, " || ", parts.iter().map(Part)),
            Self::Same(sides) => joined(f, " == ", sides.iter().map(Part)),
            Self::Differ(sides) => joined(f, " != ", sides.iter().map(Part)),
            Self::Compare(operator, left, right) => write!(f, "{} {operator} {}", Part(left), Part(right)),
            Self::In(item, list) => write!(f, "{} in {}", Part(item), Part(list)),
            Self::Text(test, text, part) => write!(f, "{}.{}({part})", Part(text), test.as_str()),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Constant(constant) => write!(f, "{constant}"),
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::Arithmetic(function, sides) if function.is_function() => {
                write!(f, "{}(", function.as_str())?;
                joined(f, ", ", sides.iter())?;
                f.write_char(')')
            }
            Self::Arithmetic(operator, sides) => {
                let [left, right] = &**sides;
                write!(f, "{} {} {}", Part(left), operator.as_str(), Part(right))
            }
            // Two signs in a row would be another operator.
            Self::Negative(inner) if matches!(**inner, Self::Negative(_)) => write!(f, "- {inner}"),
            Self::Negative(inner) => write!(f, "-{}", Part(&**inner)),
            Self::Absolute(inner) => write!(f, "abs({inner})"),
            Self::Length(inner) => write!(f, "{}.len()", Part(&**inner)),
        }
    }
}

impl Display for Variable {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.name)
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let list = |f: &mut Formatter<'_>, items: &mut dyn Iterator<Item = &dyn Display>| {
            f.write_char('[')?;
            joined(f, ", ", items)?;
            f.write_char(']')
        };
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::String(text) => write!(f, "{}", Quoted(text)),
            Self::Strings(items) => {
                let quoted: Vec<Quoted<'_>> = items.iter().map(|item| Quoted(item)).collect();
                list(f, &mut quoted.iter().map(|item| item as &dyn Display))
            }
            Self::Integers(items) => list(f, &mut items.iter().map(|item| item as &dyn Display)),
        }
    }
}

/// Something that stands inside something else, in parentheses where it is made of parts.
struct Part<'p, T>(&'p T);

impl Display for Part<'_, Formula> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let whole = match self.0 {
            Formula::Constant(_) | Formula::Variable(_) | Formula::Text(..) => true,
            Formula::Not(inner) => !matches!(**inner, Formula::In(..)),
            _ => false,
        };
        if whole { write!(f, "{}", self.0) } else { write!(f, "({})", self.0) }
    }
}

impl Display for Part<'_, Value> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Value::Arithmetic(operator, _) if !operator.is_function() => write!(f, "({})", self.0),
            Value::Negative(_) => write!(f, "({})", self.0),
            whole => write!(f, "{whole}"),
        }
    }
}

/// A string in double quotes, with what cannot stand there escaped.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

fn joined(f: &mut Formatter<'_>, between: &str, parts: impl IntoIterator<Item = impl Display>) -> Result {
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}
