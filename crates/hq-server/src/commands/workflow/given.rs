//! What is known of an item, as it is typed.

use super::strict;
use crate::failure::Failure;
use crate::suggest::nearest;
use crate::trust::quoted;
use crate::words;
use leasehold::workflow::{Context, JsonInputs, Machine};
use leasehold::{Role, VariableName};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Inputs and roles.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What is known of the item")]
pub(super) struct Given {
    /// An input of guards, read as the type that they declare: `true`, `12`, a text, or texts separated by semicolons
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    texts: Vec<(VariableName, String)>,
    /// Inputs as a JSON object
    #[arg(long = "inputs", value_name = "JSON", value_parser = object)]
    object: Option<Object>,
    /// A role of whoever moves the item; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
}

/// A JSON object, and the text that it was read from.
#[derive(Debug, Clone)]
struct Object {
    members: Map<String, Value>,
    text: String,
}

fn pair(text: &str) -> Result<(VariableName, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as items_total=12")?;
    Ok((name.parse().map_err(|error: leasehold::InvalidId| error.to_string())?, value.to_owned()))
}

fn object(text: &str) -> Result<Object, String> {
    match strict::parse(text.as_bytes()) {
        Ok(Value::Object(members)) => Ok(Object { members, text: text.to_owned() }),
        Ok(_) => Err("expected a JSON object, such as {\"items_total\": 12}".to_owned()),
        Err(mistake) => Err(mistake.message),
    }
}

impl Given {
    /// The same, with texts read as the machine's guards declare them.
    pub(super) fn known(&self, machine: &Machine) -> Result<Known, Failure> {
        let declared: BTreeSet<&str> = machine.inputs().into_iter().map(|(name, _)| name.as_str()).collect();
        let mut inputs = self.object.as_ref().map(|object| object.members.clone()).unwrap_or_default();
        for (name, text) in &self.texts {
            if inputs.insert(name.to_string(), machine.typed(name.as_str(), text)).is_some() {
                let failure = Failure::usage(format!("input `{name}` is given twice"));
                return Err(failure.hint("give each input once; a list has semicolons between its texts"));
            }
        }
        let meant = |name: &String| {
            let other = nearest(name, declared.iter().copied());
            (!declared.contains(name.as_str())).then(|| (name.clone(), other.map(str::to_owned)))
        };
        let ignored = inputs.keys().filter_map(meant).collect();
        Ok(Known { ignored, inputs, roles: self.roles.iter().map(Role::to_string).collect() })
    }

    /// The options, to be typed again.
    pub(super) fn typed(&self) -> String {
        let texts = self.texts.iter().map(|(name, text)| format!(" --input {}", pair_quoted(name, text)));
        let object = self.object.iter().map(|object| format!(" --inputs {}", quoted(&object.text)));
        let roles = self.roles.iter().map(|role| format!(" --role {}", quoted(role.as_str())));
        texts.chain(object).chain(roles).collect()
    }
}

/// A shell takes `=` as it is.
fn pair_quoted(name: &VariableName, text: &str) -> String {
    if quoted(text) == text { format!("{name}={text}") } else { quoted(&format!("{name}={text}")) }
}

/// What is known of an item.
#[derive(Debug)]
pub(super) struct Known {
    inputs: Map<String, Value>,
    roles: Vec<String>,
    /// Inputs that none of the machine's guards asks for, with what may have been meant.
    ignored: Vec<(String, Option<String>)>,
}

impl Known {
    /// Asks with it.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Context<'_>) -> T) -> T {
        let given = JsonInputs::new(&self.inputs);
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        ask(&Context { inputs: &given.inputs(), roles: &roles })
    }

    /// Says of each input that is ignored what may have been meant.
    pub(super) fn notes(&self) -> String {
        let note = |(name, _): &(String, Option<String>)| {
            let (name, meant) = (words::printable(name), self.meant(name));
            format!("  no guard of this machine asks for input `{name}`{meant}\n")
        };
        self.ignored.iter().map(note).collect()
    }

    /// What may have been meant by an input that is ignored.
    pub(super) fn meant(&self, name: &str) -> String {
        let meant = self.ignored.iter().find(|(ignored, _)| ignored == name).and_then(|(_, meant)| meant.as_ref());
        meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default()
    }
}
