//! The engine, tested from outside. One program, because each links for as long as it runs.

mod answer_schemas;
mod attacks;
mod bad_input;
mod bad_snapshots;
mod buckets;
mod carriers;
mod checkpoints;
mod engine;
mod examples;
mod following;
mod fuzz_corpus;
mod merging;
mod properties;
mod reading;
mod readme;
mod regressions;
mod sharing;
mod support;
mod threat_model;
mod warnings;
mod workflow_regressions;
mod workflow_snapshots;
mod workflows;
