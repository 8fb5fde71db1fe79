//! Snapshots, and questions that are about more than one tenant.

use crate::answer::{answer, beside, said_to, shape};
use crate::arguments::{self, Given, MOST_VERSION, bytes, instance, instant, iterated, json, json_object, text, whole};
use crate::failure::{Failure, Result};
use leasehold::bindings::{self, SnapshotAbout};
use leasehold::model::{Diagnostic, Source};
use leasehold::wire::Pack;
use leasehold::{Revision, Snapshot as Compiled, Stamp};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PyString, PyTuple};
use std::sync::Arc;

/// A compiled snapshot: everything that an engine needs, of one revision.
#[pyclass(frozen, module = "leasehold")]
pub(crate) struct Snapshot {
    pub(crate) snapshot: Arc<Compiled>,
    warnings: Vec<Diagnostic>,
}

impl Snapshot {
    pub(crate) fn of(snapshot: Arc<Compiled>) -> Self {
        Self { snapshot, warnings: Vec::new() }
    }

    /// One that was passed in.
    pub(crate) fn given<'a, 'py>(name: &str, value: Given<'a, 'py>) -> Result<&'a Bound<'py, Self>> {
        instance(name, value, "take one from an engine, with `snapshot()`")
    }
}

/// The greatest revision, up to which all languages tell integers apart.
const MOST_REVISION: &str = "2^53 − 1";

fn revision(value: Given<'_, '_>) -> Result<Revision> {
    let refused = || Failure::argument(format!("`revision` is an integer from 0 to {MOST_REVISION}"));
    Revision::new(whole("revision", value, MOST_REVISION)?).ok_or_else(refused)
}

/// Definitions: one document, or files as `(name, content)`.
fn sources(definitions: Given<'_, '_>) -> Result<Vec<Source>> {
    if definitions.cast::<PyMapping>().is_ok() {
        let bytes = json_object("definitions", definitions)?.into_bytes();
        return Ok(vec![Source { name: "definitions.json".into(), bytes }]);
    }
    let refused = || Failure::argument("`definitions` is one mapping, or a sequence of files as `(name, content)`");
    let files = iterated(definitions, refused)?;
    let source = |file: PyResult<Bound<'_, PyAny>>| {
        let (name, content): (Bound<'_, PyAny>, Bound<'_, PyAny>) = file?.extract().map_err(|_| refused())?;
        let content = match content.is_instance_of::<PyString>() {
            true => text("content", &content)?.as_bytes(),
            false => bytes("content", &content)?,
        };
        Ok(Source { name: text("name", &name)?.into(), bytes: content.to_vec() })
    };
    if definitions.is_instance_of::<PyString>() || definitions.is_instance_of::<PyBytes>() {
        return Err(refused());
    }
    files.map(source).collect()
}

#[pymethods]
impl Snapshot {
    /// The snapshot of a pack, verified.
    ///
    /// Raises SnapshotError for whatever is wrong with the pack.
    #[staticmethod]
    #[pyo3(signature = (pack, trust, *, stream=None))]
    fn from_pack(pack: Given<'_, '_>, trust: Given<'_, '_>, stream: Option<Given<'_, '_>>) -> PyResult<Self> {
        let (py, trust) = (pack.py(), arguments::trust(trust, stream)?);
        let bytes = bytes("pack", pack)?;
        beside(py, || Ok(Self::of(Compiled::from_pack(Pack::read(bytes)?, &trust)?)))
    }

    /// The snapshot of definitions as people write them: one document, or files as `(name, content)`.
    ///
    /// Raises DefinitionsError with all mistakes in them.
    #[staticmethod]
    #[pyo3(signature = (definitions, *, revision=None, issued_at=None, expires_at=None))]
    fn from_definitions(
        definitions: Given<'_, '_>,
        revision: Option<Given<'_, '_>>,
        issued_at: Option<Given<'_, '_>>,
        expires_at: Option<Given<'_, '_>>,
    ) -> PyResult<Self> {
        let (py, sources) = (definitions.py(), sources(definitions)?);
        let stamp = Stamp {
            revision: revision.map_or_else(|| Ok(Revision::default()), self::revision)?,
            issued_at: instant("issued_at", issued_at)?,
            expires_at: expires_at.map(|expires_at| instant("expires_at", Some(expires_at))).transpose()?,
        };
        beside(py, || {
            let (snapshot, warnings) = bindings::compile(&sources, stamp)?;
            Ok(Self { snapshot: Arc::new(snapshot), warnings })
        })
    }

    /// What it is: revision, when it was signed, and which features it has.
    #[getter]
    fn about(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        shape!("SnapshotAbout").of(py, || Ok(SnapshotAbout::from(&*self.snapshot)))
    }

    /// Which revision it is.
    #[getter]
    fn revision(&self) -> u64 {
        self.snapshot.stamp().revision.get()
    }

    /// The ids of all tenants.
    fn tenant_ids(&self) -> Vec<&str> {
        self.snapshot.tenants().map(|tenant| tenant.id()).collect()
    }

    /// What is most likely not meant in the definitions that it was compiled from.
    fn warnings(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        shape!("Diagnostic").each(py, &self.warnings)
    }

    /// How sure it is that it is the newest: `fresh`, `stale` or `fallback`.
    #[pyo3(signature = (now=None))]
    fn freshness(&self, py: Python<'_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let now = instant("now", now)?;
        Ok(said_to(py, &answer(|| Ok(self.snapshot.freshness(now)))?)?.unbind())
    }

    /// What it changes over an older one, for a whole fleet, in numbers and examples.
    #[pyo3(signature = (older, now=None))]
    fn diff(&self, py: Python<'_>, older: Given<'_, '_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (older, now) = (Self::given("older", older)?.get(), instant("now", now)?);
        shape!("FleetDiff").beside(py, || Ok(self.snapshot.diff(&older.snapshot, now)))
    }

    /// Which tenants have other answers than in an older one, and to which features.
    #[pyo3(signature = (older, now=None))]
    fn changes(&self, py: Python<'_>, older: Given<'_, '_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (older, now) = (Self::given("older", older)?.get(), instant("now", now)?);
        shape!("Changes").beside(py, || Ok(self.snapshot.changes(&older.snapshot, now)))
    }

    /// What a tenant would have more, less or otherwise if it were the other one.
    #[pyo3(signature = (tenant, other, now=None))]
    fn diff_tenants(
        &self,
        tenant: Given<'_, '_>,
        other: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (py, now) = (tenant.py(), instant("now", now)?);
        let (tenant, other) = (text("tenant", tenant)?, text("other", other)?);
        shape!("Difference").beside(py, || Ok(self.snapshot.diff_tenants(tenant, other, now)?))
    }

    /// How two versions of a workflow differ.
    fn compare_versions(
        &self,
        workflow: Given<'_, '_>,
        from_version: Given<'_, '_>,
        to_version: Given<'_, '_>,
    ) -> PyResult<Py<PyAny>> {
        let (py, workflow) = (workflow.py(), text("workflow", workflow)?);
        let from = whole("from_version", from_version, MOST_VERSION)?;
        let to = whole("to_version", to_version, MOST_VERSION)?;
        shape!("VersionComparison").beside(py, || Ok(self.snapshot.compare_versions(workflow, from, to)?))
    }

    /// What a tenant lays over a workflow, carried over to another version by three-way merge.
    ///
    /// `side` is whose word counts in every conflict: `base`, `ours` or `theirs`.
    fn upgrade(
        &self,
        tenant: Given<'_, '_>,
        workflow: Given<'_, '_>,
        to_version: Given<'_, '_>,
        side: Given<'_, '_>,
    ) -> PyResult<Py<PyAny>> {
        let py = tenant.py();
        let (tenant, workflow) = (text("tenant", tenant)?, text("workflow", workflow)?);
        let to = whole("to_version", to_version, MOST_VERSION)?;
        let side = bindings::side(text("side", side)?).map_err(Failure::from)?;
        shape!("Upgrade").beside(py, || Ok(self.snapshot.tenant(tenant)?.upgrade(workflow, to, side)?))
    }

    /// Moves of the past, tried again with a version of a workflow.
    fn replay(&self, workflow: Given<'_, '_>, version: Given<'_, '_>, log: Given<'_, '_>) -> PyResult<Py<PyAny>> {
        let (py, workflow) = (workflow.py(), text("workflow", workflow)?);
        let version = whole("version", version, MOST_VERSION)?;
        let log = bindings::log(&json("log", log)?).map_err(Failure::from)?;
        shape!("Replay").beside(py, || Ok(self.snapshot.replay(workflow, version, log)?))
    }

    fn __repr__(&self) -> String {
        let tenants = self.snapshot.tenant_count();
        format!("<Snapshot of revision {} with {tenants} tenants>", self.revision())
    }

    fn __reduce_ex__(&self, _protocol: Given<'_, '_>) -> PyResult<()> {
        Err(not_copied("a snapshot", "read the pack that it came from where it is needed"))
    }
}

/// Why something is neither copied nor pickled.
pub(crate) fn not_copied(what: &str, instead: &str) -> PyErr {
    Failure::argument(format!(
        "{what} is neither copied nor pickled, since it is the memory of this process: {instead}"
    ))
    .into()
}
