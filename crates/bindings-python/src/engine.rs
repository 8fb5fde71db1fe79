//! Engines: snapshots that can be swapped.

use crate::answer::{answer, beside};
use crate::arguments::{Given, action, held_texts, instant, text, yes_or_no};
use crate::failure::{Failure, Result};
use crate::keys::Keys;
use crate::snapshot::{Snapshot, not_copied};
use crate::tenant::Tenant;
use leasehold::bindings;
use leasehold::{Engine as Inner, Error};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What an engine and its handles share.
pub(crate) struct Shared {
    pub(crate) engine: Inner,
    pub(crate) keys: Keys,
    closed: AtomicBool,
}

impl Shared {
    /// Fails where the engine is closed.
    #[inline]
    pub(crate) fn open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) { Err(Failure::Closed) } else { Ok(()) }
    }
}

/// Answers questions from the newest snapshot.
#[pyclass(frozen, subclass, module = "leasehold")]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    /// The snapshot in force, with the warnings that it was compiled with.
    current: Mutex<Py<Snapshot>>,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(snapshot: Given<'_, '_>) -> PyResult<Self> {
        let snapshot = Snapshot::given("snapshot", snapshot)?;
        let engine = Inner::new(snapshot.get().snapshot.clone());
        let shared = Arc::new(Shared { engine, keys: Keys::default(), closed: AtomicBool::default() });
        Ok(Self { shared, current: Mutex::new(snapshot.clone().unbind()) })
    }

    /// A handle on one tenant. Hold one where a tenant is asked about often.
    ///
    /// Raises UnknownTenantError.
    fn tenant(&self, id: Given<'_, '_>) -> PyResult<Tenant> {
        let id = text("tenant", id)?;
        answer(|| {
            self.shared.open()?;
            Ok(Tenant { tenant: self.shared.engine.tenant(id)?, shared: self.shared.clone() })
        })
    }

    /// Whether a switch is on for a tenant.
    ///
    /// Raises UnknownTenantError, UnknownFeatureError, WrongKindError.
    #[pyo3(signature = (tenant, feature, now=None, *, action=None))]
    fn is_enabled(
        &self,
        tenant: Given<'_, '_>,
        feature: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
        action: Option<Given<'_, '_>>,
    ) -> PyResult<bool> {
        answer(|| {
            self.shared.open()?;
            let (tenant, feature) = (text("tenant", tenant)?, text("feature", feature)?);
            let (action, now) = (self::action(action)?, instant("now", now)?);
            Ok(self.shared.engine.is_enabled_for(tenant, feature, action, now)?)
        })
    }

    /// Whether a switch is on for a tenant, or what else is to hold where that cannot be said: the engine is closed, or
    /// knows no such tenant or switch. A mistake in the call is raised still.
    #[pyo3(signature = (tenant, feature, default, now=None))]
    fn is_enabled_or(
        &self,
        tenant: Given<'_, '_>,
        feature: Given<'_, '_>,
        default: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
    ) -> PyResult<bool> {
        answer(|| {
            let (tenant, feature) = (text("tenant", tenant)?, text("feature", feature)?);
            let (default, now) = (yes_or_no("default", default)?, instant("now", now)?);
            if self.shared.open().is_err() {
                return Ok(default);
            }
            Ok(self.shared.engine.is_enabled_or(tenant, feature, now, default))
        })
    }

    /// Whether switches are on for many tenants, all of one revision: a row for each tenant, with an answer for each feature.
    /// Other threads run meanwhile.
    ///
    /// Raises UnknownTenantError, UnknownFeatureError, WrongKindError.
    #[pyo3(signature = (tenants, features, now=None))]
    fn is_enabled_many(
        &self,
        tenants: Given<'_, '_>,
        features: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
    ) -> PyResult<Vec<Vec<bool>>> {
        let (py, now) = (tenants.py(), instant("now", now)?);
        let (tenants, features) = (held_texts("tenants", tenants)?, held_texts("features", features)?);
        beside(py, || {
            self.shared.open()?;
            let snapshot = self.shared.engine.pin();
            let row = |tenant: &PyBackedStr| {
                let tenant = snapshot.tenant(tenant)?;
                features
                    .iter()
                    .map(|feature| tenant.is_enabled(&**feature, now))
                    .collect::<std::result::Result<_, Error>>()
            };
            Ok(tenants.iter().map(row).collect::<std::result::Result<_, Error>>()?)
        })
    }

    /// What answers. Of an engine that is closed too.
    fn snapshot(&self, py: Python<'_>) -> Py<Snapshot> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone_ref(py)
    }

    /// Puts in the next snapshot, and gives the last.
    fn _replace(&self, snapshot: Given<'_, '_>) -> PyResult<Py<Snapshot>> {
        let snapshot = Snapshot::given("snapshot", snapshot)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.engine.swap(snapshot.get().snapshot.clone());
        Ok(std::mem::replace(&mut *current, snapshot.clone().unbind()))
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// Whatever is asked from now on is `closed`.
    fn _close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }

    fn __reduce_ex__(&self, _protocol: Given<'_, '_>) -> PyResult<()> {
        Err(not_copied("an engine", "make one in each process; after a fork, the child has one already"))
    }
}

/// What an error of questions is to OpenFeature.
#[pyfunction]
pub(crate) fn open_feature_error(code: &str) -> &'static str {
    bindings::open_feature_error(code)
}
