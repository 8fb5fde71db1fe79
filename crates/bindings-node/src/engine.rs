//! Questions about features: snapshots, engines, tenants.

use crate::failure::{answer, document};
use crate::machine::NativeMachine;
use leasehold::bindings::{self, Failure, SnapshotAbout, TableSays, amount, argument, id, instant, stamp};
use leasehold::model::{Action, Diagnostic, Source};
use leasehold::wire::{Pack, Trust};
use leasehold::{Engine, Snapshot, Tenant, Timestamp, Usage};
use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi::{Env, Task};
use napi_derive::napi;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A compiled snapshot.
#[napi]
pub struct NativeSnapshot {
    pub(crate) snapshot: Arc<Snapshot>,
    warnings: Vec<Diagnostic>,
}

#[napi]
impl NativeSnapshot {
    pub(crate) fn of(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, warnings: Vec::new() }
    }

    /// The snapshot of a pack, verified.
    #[napi(factory)]
    pub fn from_pack(bytes: Uint8Array, trust: String) -> napi::Result<Self> {
        answer(|| {
            let trust = Trust::from_json(trust.as_bytes())?;
            Ok(Self::of(Snapshot::from_pack(Pack::read(&bytes)?, &trust)?))
        })
    }

    /// The snapshot of definitions, as people write them: names of files, by which mistakes in them are told, and what is
    /// in each.
    #[napi(factory)]
    pub fn compile(
        names: Vec<String>,
        contents: Vec<Uint8Array>,
        revision: f64,
        issued_at: f64,
        expires_at: Option<f64>,
    ) -> napi::Result<Self> {
        answer(|| {
            let files = names.into_iter().zip(contents);
            let sources: Vec<Source> =
                files.map(|(name, bytes)| Source { name: name.into(), bytes: bytes.to_vec() }).collect();
            let (snapshot, warnings) = bindings::compile(&sources, stamp(revision, issued_at, expires_at)?)?;
            Ok(Self { snapshot: Arc::new(snapshot), warnings })
        })
    }

    /// What it is, and which features and workflows it has.
    #[napi]
    pub fn about(&self) -> napi::Result<String> {
        document(|| Ok(SnapshotAbout::from(&*self.snapshot)))
    }

    /// What is most likely not meant in the definitions that it was compiled from.
    #[napi]
    pub fn warnings(&self) -> napi::Result<String> {
        document(|| Ok(&self.warnings))
    }

    /// How sure it is that it is the newest.
    #[napi]
    pub fn freshness(&self, now: f64) -> napi::Result<String> {
        document(|| Ok(self.snapshot.freshness(instant(now)?)))
    }

    /// The ids of all tenants.
    #[napi]
    pub fn tenant_ids(&self) -> napi::Result<String> {
        document(|| Ok(self.snapshot.tenants().map(|tenant| tenant.id()).collect::<Vec<_>>()))
    }

    /// What it changes over an older one, in numbers.
    #[napi]
    pub fn diff(&self, older: &NativeSnapshot, now: f64) -> napi::Result<String> {
        document(|| Ok(self.snapshot.diff(&older.snapshot, instant(now)?)))
    }

    /// Which tenants have other answers than in an older one, and to which features.
    #[napi]
    pub fn changes(&self, older: &NativeSnapshot, now: f64) -> napi::Result<String> {
        document(|| Ok(self.snapshot.changes(&older.snapshot, instant(now)?)))
    }

    /// The same, beside JavaScript's thread.
    #[napi]
    pub fn changes_later(&self, older: &NativeSnapshot, now: f64) -> napi::Result<AsyncTask<Comparing>> {
        answer(|| {
            let (newer, older) = (self.snapshot.clone(), older.snapshot.clone());
            Ok(AsyncTask::new(Comparing { newer, older, now: instant(now)? }))
        })
    }

    /// What a tenant would have more, less or otherwise if it were the other one.
    #[napi]
    pub fn diff_tenants(&self, tenant: String, other: String, now: f64) -> napi::Result<String> {
        document(|| Ok(self.snapshot.diff_tenants(&tenant, &other, instant(now)?)?))
    }

    /// How two versions of a workflow differ.
    #[napi]
    pub fn compare_versions(&self, workflow: String, from: u32, to: u32) -> napi::Result<String> {
        document(|| Ok(self.snapshot.compare_versions(&workflow, from, to)?))
    }

    /// What a tenant lays over a workflow, carried over to another version.
    #[napi]
    pub fn upgrade(&self, tenant: String, workflow: String, to: u32, side: String) -> napi::Result<String> {
        document(|| Ok(self.snapshot.tenant(&tenant)?.upgrade(&workflow, to, bindings::side(&side)?)?))
    }

    /// The past, tried again with a version of a workflow.
    #[napi]
    pub fn replay(&self, workflow: String, version: u32, log: String) -> napi::Result<String> {
        document(|| Ok(self.snapshot.replay(&workflow, version, bindings::log(&log)?)?))
    }
}

/// A comparison of two snapshots.
pub struct Comparing {
    newer: Arc<Snapshot>,
    older: Arc<Snapshot>,
    now: Timestamp,
}

impl Task for Comparing {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        document(|| Ok(self.newer.changes(&self.older, self.now)))
    }

    fn resolve(&mut self, _env: Env, changes: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(changes)
    }
}

/// A snapshot that can be swapped.
#[napi]
pub struct NativeEngine(Engine);

#[napi]
impl NativeEngine {
    /// An engine that answers from a snapshot.
    #[napi(constructor)]
    pub fn new(snapshot: &NativeSnapshot) -> napi::Result<Self> {
        answer(|| Ok(Self(Engine::new(snapshot.snapshot.clone()))))
    }

    /// Puts in the next snapshot.
    #[napi]
    pub fn swap(&self, snapshot: &NativeSnapshot) -> napi::Result<()> {
        answer(|| {
            self.0.swap(snapshot.snapshot.clone());
            Ok(())
        })
    }

    /// A handle on one tenant.
    #[napi]
    pub fn tenant(&self, id: String) -> napi::Result<NativeTenant> {
        answer(|| Ok(NativeTenant(self.0.tenant(&id)?)))
    }
}

/// One tenant, wherever it stands in the newest snapshot.
#[napi]
pub struct NativeTenant(Tenant);

fn action(read: bool) -> Action {
    if read { Action::Read } else { Action::Use }
}

#[napi]
impl NativeTenant {
    /// Whether a switch is on.
    #[napi]
    pub fn is_enabled(&self, feature: String, read: bool, now: f64) -> napi::Result<bool> {
        answer(|| Ok(self.0.is_enabled_for(feature.as_str(), action(read), instant(now)?)?))
    }

    /// A yes or a no, with its reason.
    #[napi]
    pub fn decide(&self, feature: String, read: bool, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.decide(feature.as_str(), action(read), instant(now)?)?))
    }

    /// The value of a value feature.
    #[napi]
    pub fn value(&self, feature: String, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.value(feature.as_str(), instant(now)?)?))
    }

    /// What a limit says to a request.
    #[napi]
    pub fn check_limit(&self, feature: String, used: f64, requested: f64, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.check_limit(feature.as_str(), amount(used), amount(requested), instant(now)?)?))
    }

    /// Everything that the tenant may have.
    #[napi]
    pub fn entitlements(&self, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.entitlements(instant(now)?)?))
    }

    /// The answers to all switches, and how long they hold, in milliseconds since 1970; null where that has no end.
    #[napi]
    pub fn answer_table(&self, read: bool, now: f64) -> napi::Result<String> {
        document(|| Ok(TableSays::from(self.0.answer_table(action(read), instant(now)?)?)))
    }

    /// Why an answer is what it is.
    #[napi]
    pub fn explain(&self, feature: String, read: bool, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.explain(feature.as_str(), action(read), instant(now)?)?))
    }

    /// What would change.
    #[napi]
    pub fn what_if(&self, change: String, usage: String, now: f64) -> napi::Result<String> {
        document(|| {
            let change = bindings::change(&change)?;
            let usage: BTreeMap<String, f64> = argument("usage", &usage)?;
            let usage = usage.iter().map(|(key, used)| Ok((id("usage", key)?, amount(*used))));
            let usage = usage.collect::<Result<Usage, Failure>>()?;
            Ok(self.0.what_if(&change, &usage, instant(now)?)?)
        })
    }

    /// A feature as a flag of OpenFeature's.
    #[napi]
    pub fn evaluate(&self, feature: String, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.evaluate(feature.as_str(), instant(now)?)?))
    }

    /// All features as flags of OpenFeature's.
    #[napi]
    pub fn evaluate_all(&self, now: f64) -> napi::Result<String> {
        document(|| Ok(self.0.evaluate_all(instant(now)?)?))
    }

    /// Answers what a limit would, without asking: what crossing costs alone, for benchmarks.
    #[napi]
    pub fn empty_limit(&self, _feature: String, _used: f64, _requested: f64, _now: f64) -> String {
        let text = r#"{"outcome":"allow","limit":10,"remaining":9,"mode":"hard","overage_units":0,"overage_total":0,"thresholds_crossed":[],"resets_at":null,"reason":"granted","source":"plan","block":null,"revision":41,"freshness":"fresh","definitions":"94242c5e9815002a9d4c86d47ac052b6d54c38ce4cc84638e9b00407f8098c50"}"#;
        text.to_owned()
    }

    /// A machine of a workflow.
    #[napi]
    pub fn machine(&self, workflow: String, category: Option<String>) -> napi::Result<NativeMachine> {
        answer(|| Ok(NativeMachine(self.0.machine(&workflow, category.as_deref())?)))
    }
}

/// What an error of questions is to OpenFeature.
#[napi]
pub fn open_feature_error(code: String) -> napi::Result<String> {
    answer(|| Ok(bindings::open_feature_error(&code).to_owned()))
}

/// Panics, to show that it is one error of one call. Development builds only.
#[cfg(debug_assertions)]
#[napi]
pub fn panics() -> napi::Result<()> {
    #[expect(clippy::panic, reason = "a test")]
    answer(|| panic!("on purpose"))
}
