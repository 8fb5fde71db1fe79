//! Questions about features: snapshots, engines, tenants.

use crate::documents::trusted;
use crate::failure::{Thrown, answer, document};
use crate::machine::NativeMachine;
use leasehold::bindings::{Result, SnapshotAbout, TableSays, amount, instant};
use leasehold::model::Action;
use leasehold::wire::Pack;
use leasehold::{Error, PinnedTenant, Snapshot};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::wasm_bindgen;

/// A compiled snapshot.
#[wasm_bindgen]
#[derive(Debug)]
pub struct NativeSnapshot {
    pub(crate) snapshot: Arc<Snapshot>,
    /// About definitions that it was made of, which only that build reads.
    #[cfg(feature = "full")]
    pub(crate) warnings: Vec<leasehold::model::Diagnostic>,
}

impl NativeSnapshot {
    pub(crate) fn of(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            #[cfg(feature = "full")]
            warnings: Vec::new(),
        }
    }
}

#[wasm_bindgen]
impl NativeSnapshot {
    /// The snapshot of a pack, verified.
    #[wasm_bindgen(js_name = fromPack)]
    pub fn from_pack(bytes: &[u8], trust: &str) -> Thrown<NativeSnapshot> {
        answer(|| Ok(Self::of(Snapshot::from_pack(Pack::read(bytes)?, &trusted(trust)?)?)))
    }

    /// What it is, and which features and workflows it has.
    pub fn about(&self) -> Thrown<String> {
        document(|| Ok(SnapshotAbout::from(&*self.snapshot)))
    }

    /// How sure it is that it is the newest.
    pub fn freshness(&self, now: f64) -> Thrown<String> {
        document(|| Ok(self.snapshot.freshness(instant(now)?)))
    }

    /// The ids of all tenants.
    #[wasm_bindgen(js_name = tenantIds)]
    pub fn tenant_ids(&self) -> Thrown<String> {
        document(|| Ok(self.snapshot.tenants().map(|tenant| tenant.id()).collect::<Vec<_>>()))
    }

    /// Which tenants have other answers than in an older one, and to which features.
    pub fn changes(&self, older: &NativeSnapshot, now: f64) -> Thrown<String> {
        document(|| Ok(self.snapshot.changes(&older.snapshot, instant(now)?)))
    }
}

/// A snapshot that can be swapped.
#[wasm_bindgen]
#[derive(Debug)]
pub struct NativeEngine(Rc<RefCell<Arc<Snapshot>>>);

#[wasm_bindgen]
impl NativeEngine {
    /// An engine that answers from a snapshot.
    #[wasm_bindgen(constructor)]
    pub fn new(snapshot: &NativeSnapshot) -> NativeEngine {
        Self(Rc::new(RefCell::new(snapshot.snapshot.clone())))
    }

    /// Puts in the next snapshot.
    pub fn swap(&self, snapshot: &NativeSnapshot) {
        self.0.replace(snapshot.snapshot.clone());
    }

    /// A handle on one tenant.
    pub fn tenant(&self, id: String) -> Thrown<NativeTenant> {
        answer(|| {
            self.0.borrow().tenant(&id)?;
            Ok(NativeTenant { store: self.0.clone(), id })
        })
    }
}

/// One tenant, wherever it stands in the newest snapshot.
#[wasm_bindgen]
#[derive(Debug)]
pub struct NativeTenant {
    store: Rc<RefCell<Arc<Snapshot>>>,
    id: String,
}

fn action(read: bool) -> Action {
    if read { Action::Read } else { Action::Use }
}

impl NativeTenant {
    fn with<R>(&self, ask: impl FnOnce(PinnedTenant<'_>) -> std::result::Result<R, Error>) -> Result<R> {
        Ok(ask(self.store.borrow().tenant(&self.id)?)?)
    }

    /// The same for answers that borrow from the snapshot: they are written while it is there.
    pub(crate) fn document<R: serde::Serialize>(
        &self,
        now: f64,
        ask: impl for<'s> FnOnce(PinnedTenant<'s>, leasehold::Timestamp) -> Result<R>,
    ) -> Thrown<String> {
        document(|| ask(self.store.borrow().tenant(&self.id)?, instant(now)?))
    }
}

#[wasm_bindgen]
impl NativeTenant {
    /// Whether a switch is on.
    #[wasm_bindgen(js_name = isEnabled)]
    pub fn is_enabled(&self, feature: &str, read: bool, now: f64) -> Thrown<bool> {
        answer(|| {
            let now = instant(now)?;
            self.with(|tenant| tenant.is_enabled_for(feature, action(read), now))
        })
    }

    /// A yes or a no, with its reason.
    pub fn decide(&self, feature: &str, read: bool, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.decide(feature, action(read), now)?))
    }

    /// The value of a value feature.
    pub fn value(&self, feature: &str, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.value(feature, now)?.cloned()))
    }

    /// What a limit says to a request.
    #[wasm_bindgen(js_name = checkLimit)]
    pub fn check_limit(&self, feature: &str, used: f64, requested: f64, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.check_limit(feature, amount(used), amount(requested), now)?))
    }

    /// Everything that the tenant may have.
    pub fn entitlements(&self, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.entitlements(now)))
    }

    /// The answers to all switches, and how long they hold, in milliseconds since 1970; null where that has no end.
    #[wasm_bindgen(js_name = answerTable)]
    pub fn answer_table(&self, read: bool, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(TableSays::from(tenant.answer_table(action(read), now))))
    }

    /// Why an answer is what it is.
    pub fn explain(&self, feature: &str, read: bool, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.explain(feature, action(read), now)?))
    }

    /// A feature as a flag of OpenFeature's.
    pub fn evaluate(&self, feature: &str, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.evaluate(feature, now)?))
    }

    /// All features as flags of OpenFeature's.
    #[wasm_bindgen(js_name = evaluateAll)]
    pub fn evaluate_all(&self, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| Ok(tenant.evaluate_all(now)))
    }

    /// A machine of a workflow.
    pub fn machine(&self, workflow: &str, category: Option<String>) -> Thrown<NativeMachine> {
        answer(|| Ok(NativeMachine(self.with(|tenant| tenant.machine(workflow, category.as_deref()))?)))
    }
}
