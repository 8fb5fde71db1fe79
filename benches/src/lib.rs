//! Inputs that the benchmarks share: fleets from a seed, questions in random order, and where rows go.

use leasehold::generate::{Choices, FleetSpec, fleet};
use leasehold::model::{Definitions, FeatureKind};
use leasehold::{Engine, FeatureKey, Revision, Snapshot, Stamp, Timestamp};
use serde_json::Value;
use std::{collections::HashMap, io::Write};

/// The fleet that the figures are about: 200 features, so many tenants.
#[must_use]
pub fn spec(tenants: usize) -> FleetSpec {
    FleetSpec { tenants, features: 200, ..FleetSpec::default() }
}

/// What a snapshot of a fleet says of itself.
#[must_use]
pub fn stamp() -> Stamp {
    Stamp { revision: Revision::default(), issued_at: now(), expires_at: None }
}

/// The instant that everything is asked at.
#[must_use]
pub fn now() -> Timestamp {
    FleetSpec::reference_instant()
}

/// A compiled fleet.
///
/// # Panics
/// When the generator makes a fleet that does not compile.
#[must_use]
pub fn engine(definitions: &Definitions) -> Engine {
    Engine::new(Snapshot::compile(definitions, stamp()).unwrap_or_else(|refused| panic!("{refused}")))
}

/// Tenants and switches of a fleet, as text.
#[must_use]
pub fn names(definitions: &Definitions) -> (Vec<String>, Vec<String>) {
    let is_switch = |key: &&FeatureKey| matches!(definitions.features[*key].kind, FeatureKind::Switch { .. });
    let tenants = definitions.tenants.keys().map(ToString::to_string).collect();
    (tenants, definitions.features.keys().filter(is_switch).map(ToString::to_string).collect())
}

/// Random questions: pairs of tenant and feature, as many as a power of two, to be walked with a mask.
///
/// The texts lie in memory in the order in which they are asked, as they would in requests that arrive: what is measured
/// is the looking up, not the fetching of the question.
#[derive(Debug)]
pub struct Questions {
    text: String,
    at: Vec<[u32; 3]>,
}

impl Questions {
    /// Questions about some of the tenants and features.
    #[must_use]
    pub fn about(tenants: &[String], features: &[String]) -> Self {
        let mut choices = Choices::from_seed(7);
        let mut text = String::new();
        let mut push = |name: &str| {
            text.push_str(name);
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        };
        let mut start = 0;
        let at = (0..1 << 18)
            .map(|_| {
                let tenant = push(&tenants[choices.below(tenants.len())]);
                let feature = push(&features[choices.below(features.len())]);
                let question = [start, tenant, feature];
                start = feature;
                question
            })
            .collect();
        Self { text, at }
    }

    /// The n-th question, counted around.
    #[inline]
    #[must_use]
    pub fn get(&self, n: usize) -> (&str, &str) {
        let [start, middle, end] = self.at[n & (self.at.len() - 1)].map(|at| at as usize);
        (&self.text[start..middle], &self.text[middle..end])
    }
}

/// The peer: a bare two-level map with the standard hasher, of the tenants that it is given.
#[must_use]
pub fn two_level_map(tenants: &[String], features: &[String]) -> HashMap<String, HashMap<String, bool>> {
    let of_one =
        |at: usize| features.iter().enumerate().map(|(f, key)| (key.clone(), (at + f).is_multiple_of(3))).collect();
    tenants.iter().enumerate().map(|(at, id)| (id.clone(), of_one(at))).collect()
}

/// The definitions of a fleet as the bytes of its files, and as many bytes altogether.
#[must_use]
pub fn files(spec: &FleetSpec) -> Vec<leasehold::model::Source> {
    let mut definitions = fleet(spec);
    let mut tenants = std::mem::take(&mut definitions.tenants).into_iter();
    let mut files = vec![definitions];
    loop {
        let tenants: std::collections::BTreeMap<_, _> = tenants.by_ref().take(1_000).collect();
        if tenants.is_empty() {
            break;
        }
        files.push(Definitions { tenants, ..Definitions::default() });
    }
    let name = |at: usize| format!("{at:04}.json").into();
    files
        .iter()
        .enumerate()
        .map(|(at, file)| leasehold::model::Source {
            name: name(at),
            bytes: serde_json::to_vec(file).unwrap_or_default(),
        })
        .collect()
}

/// Appends a row of the table that `cargo xtask bench` prints.
///
/// # Panics
/// When the file that `LEASEHOLD_BENCH_ROWS` names cannot be written.
pub fn row(row: &Value) {
    match std::env::var_os("LEASEHOLD_BENCH_ROWS") {
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            writeln!(file.expect("the file of rows opens"), "{row}").expect("the row is written");
        }
        None => eprintln!("{row}"),
    }
}
