//! The context in which definitions are lowered: where in them it is, and every mistake found so far.

use crate::model::read::{Node, Read, Reader, meant, pointer_push};
use crate::model::{Diagnostic, DiagnosticCode};
use crate::time::Interval;
use crate::workflow::Truths;
use crate::{FeatureKey, Hash, Timestamp};
use serde_json::Value;
use std::collections::HashSet;

/// Mistakes before which the name that may have been meant is looked for.
const MOST_SEARCHES: usize = 200;

/// Collects mistakes while definitions are lowered into what the engine runs.
#[derive(Debug, Default)]
pub(crate) struct Check {
    path: String,
    pub(crate) found: Vec<Diagnostic>,
    /// Hashes of what tenants lay over workflow templates, where nothing was found wrong with it.
    pub(crate) sound: HashSet<Hash>,
    /// What guards of workflows come to.
    pub(crate) truths: Truths,
}

impl Check {
    /// Does something one step further down.
    pub(crate) fn under<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        pointer_push(&mut self.path, step);
        let result = work(self);
        self.path.truncate(length);
        result
    }

    /// Does something with each item of a list.
    pub(crate) fn each<T, R>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut work: impl FnMut(&mut Self, T) -> R,
    ) -> Vec<R> {
        items.into_iter().enumerate().map(|(at, item)| self.under(&at.to_string(), |c| work(c, item))).collect()
    }

    /// Notes a mistake here and gives nothing, for use with `?` and as a last expression.
    pub(crate) fn refuse<T>(
        &mut self,
        code: DiagnosticCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.found.push(Diagnostic::new(code, self.path.clone(), message, hint));
        None
    }

    /// Reads a value whose form is known only now that the feature is.
    pub(crate) fn read<'a, T: Read<'a>>(&mut self, value: &'a Value) -> Option<T> {
        let mut reader = Reader::at(&self.path);
        let result = T::read(Node::from(value), &mut reader);
        self.found.append(&mut reader.found);
        result
    }

    /// An interval with bounds that may be open.
    pub(crate) fn interval(&mut self, from: Option<Timestamp>, until: Option<Timestamp>) -> Option<Interval> {
        let interval = Interval::new(from, until);
        if interval.is_empty() {
            return self.under("until", |check| {
                check.refuse(
                    DiagnosticCode::EmptyInterval,
                    "the interval ends before or when it starts",
                    "an interval holds its start but not its end: let the end be later",
                )
            });
        }
        Some(interval)
    }

    /// Refuses a reference to something that is not defined, with the nearest name that is. Who made very many mistakes made
    /// one of them many times, and is not helped by a search for each.
    pub(crate) fn unknown<'c, T>(
        &mut self,
        code: DiagnosticCode,
        what: &str,
        key: &str,
        choices: impl Iterator<Item = &'c str>,
    ) -> Option<T> {
        let choices = choices.take(if self.found.len() < MOST_SEARCHES { usize::MAX } else { 0 });
        let hint = meant(key, choices, &format!("define it, or use a {what} that is defined"));
        self.refuse(code, format!("{what} `{key}` is not defined"), hint)
    }

    pub(crate) fn unknown_feature<T>(&mut self, key: &FeatureKey, rules: &super::Rules) -> Option<T> {
        let choices = rules.features.iter().map(|feature| feature.key.as_str());
        self.unknown(DiagnosticCode::UnknownFeature, "feature", key.as_str(), choices)
    }
}
