//! Questions to machines: contexts that are mostly whole, and sometimes lack or garble what guards ask for.

use super::super::Choices;
use super::graph::ROLES;
use super::guards::value;
use super::{CATEGORIES, WorkflowWorld};
use crate::model::VariableType;
use crate::workflow::{Context, JsonInputs};
use crate::{CategoryKey, TenantId, VariableName, WorkflowKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One tenant's machine for a service category, or without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineName {
    /// The tenant.
    pub tenant: TenantId,
    /// The template.
    pub workflow: WorkflowKey,
    /// The service category. Nothing need be defined for it.
    pub category: Option<CategoryKey>,
}

/// What is known when a transition is asked for, on its own: [`Context`] borrows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// Inputs in the order in which they are given; of two with one name the first counts.
    pub inputs: Vec<(String, Value)>,
    /// Roles.
    pub roles: Vec<String>,
}

impl Given {
    /// Asks with it.
    pub fn ask<R>(&self, ask: impl FnOnce(&Context<'_>) -> R) -> R {
        let inputs = JsonInputs::of(self.inputs.iter().map(|(name, value)| (name.as_str(), value)));
        let inputs = inputs.inputs();
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        ask(&Context { inputs: &inputs, roles: &roles })
    }
}

impl WorkflowWorld {
    /// Every machine that there is, in order: each tenant, each template, without a category and with each one, one that
    /// nobody mentions among them.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineName> {
        let mut names = Vec::new();
        for tenant in self.definitions.tenants.keys() {
            for workflow in self.definitions.workflows.keys() {
                let categories = CATEGORIES.iter().filter_map(|category| category.parse().ok()).map(Some);
                names.extend(std::iter::once(None).chain(categories).map(|category| MachineName {
                    tenant: tenant.clone(),
                    workflow: workflow.clone(),
                    category,
                }));
            }
        }
        names
    }

    /// A context for questions: whole in six cases of ten; otherwise inputs may be missing, of another type, too large or
    /// given twice. Some inputs nobody asks for.
    #[must_use]
    pub fn given(&self, choices: &mut Choices<'_>) -> Given {
        let faulty = choices.percent(40);
        let mut inputs = Vec::new();
        for (name, value_type) in self.inputs() {
            let fault = if faulty { choices.below(12) } else { 0 };
            let fit = match (name.as_str(), choices.percent(25)) {
                // The way stays open more often than not.
                ("paid" | "invoice_issued" | "pod_captured", true) => json!(false),
                ("paid" | "invoice_issued" | "pod_captured", false) => json!(true),
                ("items_total" | "items_scanned", _) => json!(3 - choices.below(10) / 9),
                ("scan_errors", _) => json!(choices.below(10) / 9),
                _ => value(value_type, choices),
            };
            match fault {
                8 => {}
                9 => inputs.push((name.to_string(), garbled(choices))),
                10 if value_type == VariableType::Integer => inputs.push((name.to_string(), json!((1_i64 << 53)))),
                11 => inputs.extend([(name.to_string(), fit), (name.to_string(), garbled(choices))]),
                _ => inputs.push((name.to_string(), fit)),
            }
        }
        if choices.percent(30) {
            let at = choices.below(inputs.len() + 1);
            inputs.insert(at, ("nobody_asks".to_owned(), garbled(choices)));
        }
        let roles = ROLES.iter().filter(|_| !choices.percent(30)).map(|role| (*role).to_owned()).collect();
        Given { inputs, roles }
    }

    /// Every input that a guard declares, with one of the types that it is declared with.
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<VariableName, VariableType> {
        let own = self.definitions.guards.values();
        let guards = crate::model::built_in_guards().values().chain(own);
        guards.flat_map(|guard| guard.inputs.iter().map(|(name, kind)| (name.clone(), *kind))).collect()
    }
}

/// A value that may have any type, or one that no guard can look at.
fn garbled(choices: &mut Choices<'_>) -> Value {
    match choices.below(9) {
        0 => Value::Null,
        1 => json!(1.5),
        2 => json!({ "kind": "object" }),
        3 => json!(["red", 1]),
        4 => json!([]),
        5 => json!(-(1_i64 << 53)),
        6 => json!("red"),
        7 => json!(true),
        _ => json!(["red", "blue"]),
    }
}
