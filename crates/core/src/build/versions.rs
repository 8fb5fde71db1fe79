//! Versions that were published stay as they are.

use crate::SortedMap;
use crate::model::read::pointer_push;
use crate::model::{Definitions, Diagnostic, DiagnosticCode, format};

/// Versions of plans and workflow templates that are not what was published under the same number. Whoever publishes asks
/// this first: tenants have pinned those versions, and patches were written against them.
///
/// A version that is gone is not listed: compiling says who still needs it.
#[must_use]
pub fn changed_versions(published: &Definitions, next: &Definitions) -> Vec<Diagnostic> {
    let [mut published, mut next] = [published, next].map(|definitions| Definitions {
        plans: definitions.plans.clone(),
        workflows: definitions.workflows.clone(),
        ..Definitions::default()
    });
    // The order of lists that have none is no change.
    format::sort(&mut published);
    format::sort(&mut next);
    let mut found = Vec::new();
    for (key, plan) in &published.plans {
        if let Some(next) = next.plans.get(key) {
            compare(["plans", key.as_str()], &plan.versions, &next.versions, &mut found);
        }
    }
    for (key, workflow) in &published.workflows {
        if let Some(next) = next.workflows.get(key) {
            compare(["workflows", key.as_str()], &workflow.versions, &next.versions, &mut found);
        }
    }
    found
}

fn compare<V: PartialEq>(
    [section, key]: [&str; 2],
    published: &SortedMap<u32, V>,
    next: &SortedMap<u32, V>,
    found: &mut Vec<Diagnostic>,
) {
    let greatest = published.keys().chain(next.keys()).max().copied().unwrap_or_default();
    for (number, version) in published {
        if next.get(number).is_some_and(|next| next != version) {
            let mut path = String::new();
            for step in [section, key, "versions", &number.to_string()] {
                pointer_push(&mut path, step);
            }
            found.push(Diagnostic::new(
                DiagnosticCode::PublishedVersionChanged,
                path,
                format!("version {number} of `{key}` was published, and this is another"),
                format!("put it back as it was, and write what is new as version {}", greatest.saturating_add(1)),
            ));
        }
    }
}
