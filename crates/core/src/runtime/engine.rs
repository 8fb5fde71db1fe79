//! The engine: a snapshot that can be swapped under its readers.

use crate::model::Action;
use crate::snapshot::Seen;
use crate::workflow::Machine;
use crate::{
    AnswerTable, CategoryKey, Change, Decision, Entitlements, Error, Evaluation, Evaluations, Explanation, FeatureRef,
    Hash, LimitAnswer, PinnedTenant, Snapshot, Timestamp, Usage, WhatIf,
};
use arc_swap::ArcSwap;
use moka::sync::Cache;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Answers questions from the newest snapshot, while another thread may put in the next.
///
/// Readers never wait for writers and touch no counter that another reader touches. Clones share one store.
///
/// ```
/// # use leasehold::{Engine, Snapshot, Stamp, Revision, Timestamp, model::Definitions};
/// # let now: Timestamp = "2026-03-01T08:00:00Z".parse()?;
/// # let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
/// # let snapshot = Snapshot::compile(&Definitions::default(), stamp)?;
/// let engine = Engine::new(snapshot);
/// let error = engine.is_enabled("t1", "orders", now).unwrap_err();
/// assert_eq!(error.code(), "unknown_tenant");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    store: Arc<Store>,
}

#[derive(Debug)]
struct Store {
    current: ArcSwap<Snapshot>,
    /// Counted up before and after every swap, so that it is odd during one. What was seen at an even count is what
    /// `current` holds for as long as the count stays: no thread sees an older revision after a newer one.
    swaps: AtomicU64,
    /// One swap at a time.
    swapping: Mutex<()>,
    /// Machines of workflows by what they are made of, so that swaps leave them be. Touched when a machine is asked for,
    /// never when it answers.
    machines: Cache<MachineKey, Machine>,
}

/// What a machine is made of: the version with its guards, what the tenant lays over it, the service category.
type MachineKey = (Hash, Hash, Option<CategoryKey>);

/// Most bytes of machines that are kept, about.
const MACHINE_BYTES: u64 = 64 << 20;

impl Store {
    fn machine(&self, tenant: &PinnedTenant<'_>, workflow: &str, category: Option<&str>) -> Result<Machine, Error> {
        let (recipe, laid) = tenant.recipe(workflow, category)?;
        Ok(self.machines.get_with(recipe.content(laid), || tenant.snapshot.rules.templates.resolve(&recipe).machine))
    }
}

impl Engine {
    /// An engine that answers from this snapshot.
    #[must_use]
    pub fn new(snapshot: impl Into<Arc<Snapshot>>) -> Self {
        let (current, swaps) = (ArcSwap::new(snapshot.into()), AtomicU64::new(0));
        let weight = |key: &MachineKey, machine: &Machine| {
            let category = key.2.as_ref().map_or(0, |category| category.as_str().len());
            u32::try_from(size_of::<MachineKey>() + category + machine.bytes()).unwrap_or(u32::MAX)
        };
        let machines = Cache::builder().weigher(weight).max_capacity(MACHINE_BYTES).build();
        Self { store: Arc::new(Store { current, swaps, swapping: Mutex::new(()), machines }) }
    }

    /// Puts in the next snapshot. Questions under way finish on the one they began with.
    pub fn swap(&self, snapshot: impl Into<Arc<Snapshot>>) {
        let next = snapshot.into();
        // A poisoned lock guards nothing: there is no state behind it to be half changed.
        let alone = self.store.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.swaps.fetch_add(1, Ordering::AcqRel);
        let last = self.store.current.swap(next);
        self.store.swaps.fetch_add(1, Ordering::AcqRel);
        // The old snapshot is freed when nobody waits for it.
        drop(alone);
        drop(last);
    }

    /// The current snapshot, to answer several questions from one revision.
    #[must_use]
    pub fn pin(&self) -> Arc<Snapshot> {
        self.store.current.load_full()
    }

    /// A handle on one tenant, which follows swaps: hold one where a tenant is asked about often.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn tenant(&self, id: &str) -> Result<Tenant, Error> {
        let swaps = self.store.swaps.load(Ordering::Acquire);
        let seen = self.store.current.load().tenant(id)?.seen();
        // What is seen during a swap counts as seen at no count at all.
        let swaps = if swaps.is_multiple_of(2) { swaps } else { u64::MAX };
        let seen = ArcSwap::from_pointee(SeenAt { swaps, seen });
        Ok(Tenant { store: self.store.clone(), held: Arc::new(Held { id: id.into(), seen }) })
    }

    fn with<R>(&self, tenant: &str, ask: impl FnOnce(PinnedTenant<'_>) -> Result<R, Error>) -> Result<R, Error> {
        ask(self.store.current.load().tenant(tenant)?)
    }

    /// Whether a switch is on, for action `use`.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    #[inline]
    pub fn is_enabled(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.is_enabled_for(tenant, feature, Action::Use, now)
    }

    /// Whether a switch is on, for an action.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    #[inline]
    pub fn is_enabled_for(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.with(tenant, |tenant| tenant.is_enabled_for(feature, action, now))
    }

    /// Whether a switch is on, or `default` where there is no answer.
    #[must_use]
    pub fn is_enabled_or(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        now: Timestamp,
        default: bool,
    ) -> bool {
        self.is_enabled(tenant, feature, now).unwrap_or(default)
    }

    /// A yes or a no about a feature of any kind, with its reason.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`.
    pub fn decide(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<Decision, Error> {
        self.with(tenant, |tenant| tenant.decide(feature, action, now))
    }

    /// The value of a value feature; nothing when it is off.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    pub fn value(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        now: Timestamp,
    ) -> Result<Option<Value>, Error> {
        self.with(tenant, |tenant| Ok(tenant.value(feature, now)?.cloned()))
    }

    /// What a limit says to a request of `requested` more when `used` are in use already.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`, `amount_out_of_range`.
    pub fn check_limit(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        used: i64,
        requested: i64,
        now: Timestamp,
    ) -> Result<LimitAnswer, Error> {
        self.with(tenant, |tenant| tenant.check_limit(feature, used, requested, now))
    }

    /// Everything that a tenant may have.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn entitlements(&self, tenant: &str, now: Timestamp) -> Result<Entitlements, Error> {
        self.with(tenant, |tenant| Ok(tenant.entitlements(now)))
    }

    /// Why an answer is what it is.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`.
    pub fn explain(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<Explanation, Error> {
        self.with(tenant, |tenant| tenant.explain(feature, action, now))
    }

    /// What would change for a tenant.
    ///
    /// # Errors
    /// `unknown_tenant`, and what [`PinnedTenant::what_if`] refuses.
    pub fn what_if(&self, tenant: &str, change: &Change, usage: &Usage, now: Timestamp) -> Result<WhatIf, Error> {
        self.with(tenant, |tenant| tenant.what_if(change, usage, now))
    }

    /// A tenant's machine of a workflow, for a service category or without one. Of those made lately, about 64 MiB are
    /// kept.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_workflow`, `inactive_template`.
    pub fn machine(&self, tenant: &str, workflow: &str, category: Option<&str>) -> Result<Machine, Error> {
        self.with(tenant, |tenant| self.store.machine(&tenant, workflow, category))
    }

    /// The answers to all switches of a tenant, and how long they hold.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn answer_table(&self, tenant: &str, action: Action, now: Timestamp) -> Result<AnswerTable, Error> {
        self.with(tenant, |tenant| Ok(tenant.answer_table(action, now)))
    }

    /// A feature of a tenant as a flag of OpenFeature's.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`.
    pub fn evaluate(
        &self,
        tenant: &str,
        feature: &(impl FeatureRef + ?Sized),
        now: Timestamp,
    ) -> Result<Evaluation, Error> {
        self.with(tenant, |tenant| tenant.evaluate(feature, now))
    }

    /// All features of a tenant as flags of OpenFeature's, and how long they hold.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn evaluate_all(&self, tenant: &str, now: Timestamp) -> Result<Evaluations, Error> {
        self.with(tenant, |tenant| Ok(tenant.evaluate_all(now)))
    }
}

/// One tenant, wherever it stands in the newest snapshot.
///
/// Clones share what they learn about its place. Asks the same questions as [`Engine`] does, without the search; all of
/// them answer `unknown_tenant` once a snapshot no longer has the tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    store: Arc<Store>,
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    id: Box<str>,
    /// What was seen of the tenant when it was last looked up. It keeps no snapshot alive.
    seen: ArcSwap<SeenAt>,
}

#[derive(Debug)]
struct SeenAt {
    swaps: u64,
    seen: Seen,
}

impl Tenant {
    /// The tenant's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.held.id
    }

    /// Asks several questions of one revision.
    ///
    /// # Errors
    /// `unknown_tenant`, and what the questions answer.
    #[inline]
    pub fn with<R>(&self, ask: impl FnOnce(PinnedTenant<'_>) -> Result<R, Error>) -> Result<R, Error> {
        ask(self.store.current.load().tenant(&self.held.id)?)
    }

    /// Looks the tenant up again after a swap.
    #[cold]
    fn look_again(&self) -> Result<(), Error> {
        let swaps = self.store.swaps.load(Ordering::Acquire);
        let seen = self.store.current.load().tenant(&self.held.id)?.seen();
        if swaps.is_multiple_of(2) {
            self.held.seen.store(Arc::new(SeenAt { swaps, seen }));
        }
        Ok(())
    }

    /// See [`Engine::is_enabled`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    #[inline]
    pub fn is_enabled(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp) -> Result<bool, Error> {
        self.is_enabled_for(feature, Action::Use, now)
    }

    /// See [`Engine::is_enabled_for`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    #[inline]
    pub fn is_enabled_for(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let seen = self.held.seen.load();
        if seen.swaps != self.store.swaps.load(Ordering::Acquire) {
            self.look_again()?;
        } else if let Some(on) = seen.seen.is_enabled(feature, action, now) {
            return Ok(on);
        }
        self.with(|tenant| tenant.is_enabled_for(feature, action, now))
    }

    /// See [`Engine::is_enabled_or`].
    #[must_use]
    pub fn is_enabled_or(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp, default: bool) -> bool {
        self.is_enabled(feature, now).unwrap_or(default)
    }

    /// See [`Engine::decide`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`.
    pub fn decide(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<Decision, Error> {
        self.with(|tenant| tenant.decide(feature, action, now))
    }

    /// See [`Engine::value`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    pub fn value(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp) -> Result<Option<Value>, Error> {
        self.with(|tenant| Ok(tenant.value(feature, now)?.cloned()))
    }

    /// See [`Engine::check_limit`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`, `amount_out_of_range`.
    pub fn check_limit(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        used: i64,
        requested: i64,
        now: Timestamp,
    ) -> Result<LimitAnswer, Error> {
        self.with(|tenant| tenant.check_limit(feature, used, requested, now))
    }

    /// See [`Engine::entitlements`].
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn entitlements(&self, now: Timestamp) -> Result<Entitlements, Error> {
        self.with(|tenant| Ok(tenant.entitlements(now)))
    }

    /// See [`Engine::explain`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`.
    pub fn explain(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<Explanation, Error> {
        self.with(|tenant| tenant.explain(feature, action, now))
    }

    /// See [`Engine::what_if`].
    ///
    /// # Errors
    /// `unknown_tenant`, and what [`PinnedTenant::what_if`] refuses.
    pub fn what_if(&self, change: &Change, usage: &Usage, now: Timestamp) -> Result<WhatIf, Error> {
        self.with(|tenant| tenant.what_if(change, usage, now))
    }

    /// See [`Engine::machine`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_workflow`, `inactive_template`.
    pub fn machine(&self, workflow: &str, category: Option<&str>) -> Result<Machine, Error> {
        self.with(|tenant| self.store.machine(&tenant, workflow, category))
    }

    /// See [`Engine::answer_table`].
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn answer_table(&self, action: Action, now: Timestamp) -> Result<AnswerTable, Error> {
        self.with(|tenant| Ok(tenant.answer_table(action, now)))
    }

    /// See [`Engine::evaluate`].
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`.
    pub fn evaluate(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp) -> Result<Evaluation, Error> {
        self.with(|tenant| tenant.evaluate(feature, now))
    }

    /// See [`Engine::evaluate_all`].
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn evaluate_all(&self, now: Timestamp) -> Result<Evaluations, Error> {
        self.with(|tenant| Ok(tenant.evaluate_all(now)))
    }
}
