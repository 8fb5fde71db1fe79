//! What callers know of an item that is to move.

use super::guard::Input;
use serde_json::{Map, Value};

/// What is known when a transition is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'c> {
    /// Inputs of guards, by name. What no guard asks for is ignored; of two with one name the first counts.
    pub inputs: &'c [(&'c str, Input<'c>)],
    /// The roles of whoever asks.
    pub roles: &'c [&'c str],
}

/// Inputs that come as JSON: true and false, integers, texts and lists of texts. Anything else is kept as what it is, so
/// that a guard that asks for it blocks as mistyped.
///
/// ```
/// use leasehold::workflow::{Context, JsonInputs};
/// let json = serde_json::json!({ "items_total": 3, "stains": ["wine", "ink"], "weight_kg": 1.5 });
/// let given = JsonInputs::new(json.as_object().unwrap());
/// let inputs = given.inputs();
/// let context = Context { inputs: &inputs, roles: &["cashier"] };
/// assert_eq!(context.inputs.len(), 3);
/// ```
#[derive(Debug)]
pub struct JsonInputs<'j>(Vec<(&'j str, Given<'j>)>);

#[derive(Debug)]
enum Given<'j> {
    One(Input<'j>),
    Strings(Vec<&'j str>),
}

impl<'j> JsonInputs<'j> {
    /// The members of an object, by name.
    #[must_use]
    pub fn new(object: &'j Map<String, Value>) -> Self {
        Self::of(object.iter().map(|(name, value)| (name.as_str(), value)))
    }

    /// Values by name.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = (&'j str, &'j Value)>) -> Self {
        Self(values.into_iter().map(|(name, value)| (name, Given::of(value))).collect())
    }

    /// The inputs, for a [`Context`].
    #[must_use]
    pub fn inputs(&self) -> Vec<(&str, Input<'_>)> {
        self.0.iter().map(|(name, given)| (*name, given.input())).collect()
    }
}

impl<'j> Given<'j> {
    fn input(&self) -> Input<'_> {
        match self {
            Self::One(input) => *input,
            Self::Strings(items) => Input::Strings(items),
        }
    }

    fn of(value: &'j Value) -> Self {
        Self::One(match value {
            Value::Null => Input::Other("null"),
            Value::Bool(value) => Input::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(value) => Input::Integer(value),
                // Beyond what any guard takes, as everything is that 64 bits do not hold: those are read as floats.
                None if number.is_u64() => Input::Integer(i64::MAX),
                None => match number.as_f64() {
                    Some(great) if great >= 2_f64.powi(63) => Input::Integer(i64::MAX),
                    Some(great) if great <= -2_f64.powi(63) => Input::Integer(i64::MIN),
                    _ => Input::Other("a float"),
                },
            },
            Value::String(text) => Input::String(text),
            Value::Array(items) => match items.iter().map(Value::as_str).collect() {
                Some(items) => return Self::Strings(items),
                None => Input::Other("a mixed list"),
            },
            Value::Object(_) => Input::Other("an object"),
        })
    }
}
