//! What is signed, hashed and carried: documents, and what is to be known of each.

use crate::answer::{answer, shape};
use crate::arguments::{self, Given, bytes, integer, json, json_object, text, whole};
use leasehold::{Hash, bindings};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Fails where a document is not JSON in its canonical form.
///
/// Raises SnapshotError.
#[pyfunction]
pub(crate) fn check_canonical(document: Given<'_, '_>) -> PyResult<()> {
    answer(|| Ok(bindings::check_canonical(bytes("document", document)?)?))
}

/// JSON in its canonical form, of which hashes are taken.
#[pyfunction]
pub(crate) fn canonical_form(value: Given<'_, '_>) -> PyResult<String> {
    answer(|| Ok(bindings::canonical_form(&json("value", value)?)?))
}

/// The SHA-256 of bytes, in hexadecimal digits.
#[pyfunction]
pub(crate) fn hash_of(content: Given<'_, '_>) -> PyResult<String> {
    answer(|| Ok(Hash::of(bytes("content", content)?).to_string()))
}

/// Where a tenant lies in the tree of its stream.
#[pyfunction]
pub(crate) fn place_of(tenant: Given<'_, '_>) -> PyResult<Py<PyAny>> {
    shape!("PlaceSays").of(tenant.py(), || Ok(bindings::place_of(text("tenant", tenant)?)))
}

/// The id of a public key, which is 64 hexadecimal digits.
#[pyfunction]
pub(crate) fn key_id(key: Given<'_, '_>) -> PyResult<String> {
    answer(|| Ok(bindings::key_id(text("key", key)?)?))
}

/// The hash of definitions, which are one document.
///
/// Raises DefinitionsError.
#[pyfunction]
pub(crate) fn hash_of_definitions(definitions: Given<'_, '_>) -> PyResult<String> {
    answer(|| Ok(bindings::hash_of_definitions(json_object("definitions", definitions)?.as_bytes())?))
}

/// Whether an engine is in the share of a candidate: the hash of its definitions, and how many of a thousand try it.
#[pyfunction]
pub(crate) fn is_staged(
    engine_id: Given<'_, '_>,
    candidate: Given<'_, '_>,
    share_permille: Given<'_, '_>,
) -> PyResult<bool> {
    answer(|| {
        let share = whole("share_permille", share_permille, "1000")?;
        Ok(bindings::is_staged(text("engine_id", engine_id)?, text("candidate", candidate)?, share)?)
    })
}

/// What a certificate says, verified by a root key.
///
/// Raises SnapshotError for whatever is wrong with it.
#[pyfunction]
pub(crate) fn verify_certificate(document: Given<'_, '_>, trust: Given<'_, '_>) -> PyResult<Py<PyAny>> {
    let (py, trust) = (document.py(), arguments::trust(trust, None)?);
    shape!("CertificateSays").of(py, || Ok(bindings::verify_certificate(bytes("document", document)?, &trust)?))
}

/// What a head says, verified; and admitted behind the highest that was seen, where that is given.
///
/// Raises SnapshotError for whatever is wrong with it.
#[pyfunction]
#[pyo3(signature = (document, trust, seen=None))]
pub(crate) fn verify_head(
    document: Given<'_, '_>,
    trust: Given<'_, '_>,
    seen: Option<Given<'_, '_>>,
) -> PyResult<Py<PyAny>> {
    let (py, trust) = (document.py(), arguments::trust(trust, None)?);
    shape!("HeadSays").of(py, || {
        let seen = seen.map(|seen| bytes("seen", seen)).transpose()?;
        Ok(bindings::verify_head(bytes("document", document)?, &trust, seen)?)
    })
}

/// What the slice of a tenant says, verified.
///
/// Raises SnapshotError for whatever is wrong with it.
#[pyfunction]
pub(crate) fn verify_slice(
    document: Given<'_, '_>,
    tenant: Given<'_, '_>,
    trust: Given<'_, '_>,
) -> PyResult<Py<PyAny>> {
    let (py, trust) = (document.py(), arguments::trust(trust, None)?);
    shape!("SliceSays")
        .of(py, || Ok(bindings::verify_slice(bytes("document", document)?, text("tenant", tenant)?, &trust)?))
}

/// A content as it is, verified to be the one that is named.
///
/// Raises SnapshotError for whatever is wrong with it.
#[pyfunction]
pub(crate) fn open_chunk(
    hash: Given<'_, '_>,
    length: Given<'_, '_>,
    encoding: Given<'_, '_>,
    content: Given<'_, '_>,
) -> PyResult<Py<PyBytes>> {
    let opened = answer(|| {
        let length = u64::try_from(integer("length", length)?).unwrap_or(0);
        Ok(bindings::open_chunk(text("hash", hash)?, length, text("encoding", encoding)?, bytes("content", content)?)?)
    })?;
    Ok(PyBytes::new(hash.py(), &opened).unbind())
}

/// A three-way merge of JSON: two changed documents over the one that both began with.
#[pyfunction]
pub(crate) fn merge(base: Given<'_, '_>, ours: Given<'_, '_>, theirs: Given<'_, '_>) -> PyResult<Py<PyAny>> {
    shape!("MergeSays").of(base.py(), || {
        let value = |name, given| Ok::<_, crate::failure::Failure>(bindings::argument(name, &json(name, given)?)?);
        Ok(bindings::merge(&value("base", base)?, &value("ours", ours)?, &value("theirs", theirs)?))
    })
}
