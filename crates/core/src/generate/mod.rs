//! Made-up definitions: seeded fleets of any size, and small worlds full of edge cases.
//!
//! Both are made from [`Choices`], so that one generator serves benchmarks (a seed), property tests (bytes that shrink)
//! and fuzz targets (bytes that a fuzzer mutates). Equal choices make equal definitions.

mod choices;
mod fleet;
mod workflow;
mod world;

pub use choices::Choices;
pub use fleet::{FleetSpec, fleet};
pub use workflow::{Expression, Given, MachineName, WorkflowWorld, laid, machine_definitions, workflow_world};
pub use world::{Question, instants, question, world};

/// A key that the generator itself made, which is always well-formed.
fn made<K: std::str::FromStr>(text: &str) -> Option<K> {
    text.parse().ok()
}
