//! Decisions: where a tenant stands, the ladder that a feature climbs, and what a limit says to a request.

mod answer;
mod ladder;
mod limit;
mod standing;

pub(crate) use answer::Provenance;
pub use answer::{
    AnswerTable, Decision, Entitlements, Evaluation, Evaluations, FlagMetadata, Freshness, Layer, LicenceInEffect,
    LimitAnswer, OpenFeatureError, OpenFeatureReason, Outcome, Reason, Status, Variant,
};
pub(crate) use ladder::{
    Bearing, Candidate, Carrier, Code, Fold, Gates, Payload, Silent, Tracer, expect_kind, own, settle,
};
pub(crate) use limit::{Limit, amount};
pub(crate) use standing::{Inert, Standing, boundaries, holds};
