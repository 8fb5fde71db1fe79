//! The native part of the Python package `leasehold`: conversion and error mapping around the engine, and nothing else.
//!
//! What is asked crosses as scalars and texts; what is answered crosses as a scalar, or as what JSON is to Python,
//! in an object of `leasehold.answers`. That spells every answer as it is spelt everywhere else. Errors cross likewise,
//! see `failure`.
//!
//! `arguments` reads what was passed in, `keys` remembers the names of features. `snapshot`, `engine`, `tenant` and `machine`
//! ask questions, `follower` has the state machine of following, for which the Python beside this carries bytes and timers,
//! and `documents` what else is to be known of documents.

#![deny(missing_docs)]

use pyo3::prelude::*;

mod answer;
mod arguments;
mod documents;
mod engine;
mod failure;
mod follower;
mod keys;
mod machine;
mod snapshot;
mod tenant;

/// Nobody has run this beside other threads without the lock of the interpreter: where an interpreter has none, it is asked
/// to take one.
#[pymodule(name = "_native", gil_used = true)]
mod native {
    #[cfg(debug_assertions)]
    #[pymodule_export]
    use super::answer::panics;
    #[pymodule_export]
    use super::documents::{
        canonical_form, check_canonical, hash_of, hash_of_definitions, is_staged, key_id, merge, open_chunk, place_of,
        verify_certificate, verify_head, verify_slice,
    };
    #[pymodule_export]
    use super::engine::{Engine, open_feature_error};
    #[pymodule_export]
    use super::follower::{Action, Follower};
    #[pymodule_export]
    use super::machine::Machine;
    #[pymodule_export]
    use super::snapshot::Snapshot;
    #[pymodule_export]
    use super::tenant::Tenant;

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        leasehold::bindings::prepare();
        super::answer::hold(module.py())
    }
}
