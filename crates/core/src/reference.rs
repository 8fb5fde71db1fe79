//! The naive reference evaluator: the rules of features and limits, written down a second time.
//!
//! It is the oracle of tests and fuzz targets and nothing else. It reads [`Definitions`] from front to back for every
//! question, with no index, no cache and no state, in the order in which the rules are stated, and shares no code with
//! the engine beyond the authoring model. Definitions that a build would refuse get some answer, never a panic.

use crate::model::{
    Access, Action, Amount, BlockKind, Contribution, Definitions, Feature, FeatureKind, Grant, Kind, Mode, Moves, Op,
    Phase, PhaseKind, Plan, PlanVersion, PricePeriod, Staleness, Tenant, Window,
};
use crate::{FeatureKey, Hash, PlanKey, Timestamp};
use jiff::{Span, civil};
use serde_json::{Map, Value, json};
use std::{cmp::Reverse, collections::BTreeMap, collections::BTreeSet};

/// An answer, or the stable code of an error.
pub type Answer<T> = Result<T, &'static str>;

/// Answers questions about definitions, as the conformance vectors write the answers.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'d> {
    /// What was authored; it must be free of errors.
    pub definitions: &'d Definitions,
    /// Their hash.
    pub hash: Hash,
    /// Revision of the snapshot's head.
    pub revision: u64,
    /// When the head expires; nothing where it never does.
    pub expires_at: Option<Timestamp>,
}

impl Reference<'_> {
    /// Whether a switch is on. Errors: `unknown_tenant`, `unknown_feature`, `wrong_kind`.
    pub fn is_enabled(&self, tenant: &str, feature: &str, action: Action, now: Timestamp) -> Answer<bool> {
        let scene = self.scene(tenant, action, now)?;
        Ok(scene.resolve(self.feature(feature, &[Kind::Switch])?).is_ok())
    }

    /// Whether a feature of any kind is on, and why. Errors: `unknown_tenant`, `unknown_feature`.
    pub fn decide(&self, tenant: &str, feature: &str, action: Action, now: Timestamp) -> Answer<Value> {
        let scene = self.scene(tenant, action, now)?;
        let asked = self.feature(feature, Kind::ALL)?;
        let (source, (reason, block)) = match scene.resolve(asked) {
            Ok(base) => (Some(base.layer), ("granted", None)),
            Err(off) => (None, off),
        };
        Ok(json!({
            "enabled": source.is_some(), "reason": reason, "source": source, "block": block,
            "revision": self.revision, "freshness": scene.freshness, "definitions": self.hash,
        }))
    }

    /// The value of a value feature for `use`; nothing where it is off. Errors as [`Self::is_enabled`].
    pub fn value(&self, tenant: &str, feature: &str, now: Timestamp) -> Answer<Option<Value>> {
        let scene = self.scene(tenant, Action::Use, now)?;
        Ok(scene.resolve(self.feature(feature, &[Kind::Value])?).ok().map(|base| base.value))
    }

    /// Whether `requested` more fit a limit of which `used` are used. Errors also: `amount_out_of_range`.
    pub fn check_limit(&self, tenant: &str, limit: &str, used: i64, requested: i64, now: Timestamp) -> Answer<Value> {
        let scene = self.scene(tenant, Action::Use, now)?;
        let asked = self.feature(limit, &[Kind::Limit])?;
        let amount = |n| u64::try_from(n).ok().and_then(Amount::new).and_then(Amount::finite).map(u128::from);
        let (used, requested) = amount(used).zip(amount(requested)).ok_or("amount_out_of_range")?;
        let (grant, total) = (scene.grant(asked), used + requested);
        let (limit, source, (off, block)) = match scene.resolve(asked) {
            Ok(base) => (grant.amount.finite().map(u128::from), Some(base.layer), (None, None)),
            Err((reason, block)) => (Some(0), None, (Some(reason), block)),
        };
        let outcome = match grant.mode {
            _ if off.is_some() => "deny",
            _ if limit.is_none_or(|limit| total <= limit) || requested == 0 => "allow",
            Mode::Hard => "deny",
            Mode::Soft => "warn",
            Mode::Billable => "overage",
        };
        let left = limit.map(|limit| limit.saturating_sub(used));
        let reached = left.is_some_and(|left| requested.max(1) > left);
        // What follows is counted against the limit: there is nothing to count without one, or when denied.
        let counted = limit.filter(|_| outcome != "deny");
        let over = |from: u128| small(total.saturating_sub(from));
        let crossed = |percent: &&u16| {
            counted.map(|limit| u128::from(**percent) * limit).is_some_and(|b| 100 * used < b && b <= 100 * total)
        };
        Ok(json!({
            "outcome": outcome, "limit": limit.map(small), "remaining": left.map(small),
            "mode": if off.is_some() { Mode::Hard } else { grant.mode },
            "overage_units": counted.map_or(0, |limit| over(limit.max(used))),
            "overage_total": counted.map_or(0, over),
            "thresholds_crossed": grant.thresholds.iter().filter(crossed).collect::<Vec<_>>(),
            "resets_at": scene.resets_at(asked.1),
            "reason": off.unwrap_or(if reached { "limit_reached" } else { "granted" }), "source": source, "block": block,
            "revision": self.revision, "freshness": scene.freshness, "definitions": self.hash,
        }))
    }

    /// The entitlement object, for `use`. Error: `unknown_tenant`.
    pub fn entitlements(&self, tenant: &str, now: Timestamp) -> Answer<Value> {
        let scene = self.scene(tenant, Action::Use, now)?;
        let (mut on, mut values, mut limits) = (Vec::new(), BTreeMap::new(), Map::new());
        for asked in &self.definitions.features {
            let (key, amount) = (asked.0.to_string(), || json!(scene.grant(asked).amount.finite()));
            match (kind_of(asked.1), scene.resolve(asked)) {
                (Kind::Switch, Ok(_)) => on.push(asked),
                (Kind::Switch, Err(_)) => {}
                (Kind::Value, answer) => _ = values.insert(key, answer.map_or(Value::Null, |base| base.value)),
                (Kind::Limit, answer) => _ = limits.insert(key, answer.map_or(json!(0), |_| amount())),
            }
        }
        let of =
            |name| -> Value { on.iter().filter(|(_, f)| f.group.as_str() == name).map(|(k, _)| json!(k)).collect() };
        let mut licences = BTreeMap::<_, u64>::new();
        for carrier in scene.carriers().iter().filter(|carrier| carrier.layer == "add_on") {
            let quantity = licences.entry(carrier.key).or_default();
            *quantity = quantity.saturating_add(carrier.quantity);
        }
        let licences = licences.iter().map(|(key, quantity)| json!({ "key": key, "quantity": quantity }));
        let object = json!({
            "plan": scene.plan.map(|(key, ..)| key), "modules": of("module"), "add_ons": of("add_on"),
            "features": on.iter().map(|(key, _)| key).collect::<Vec<_>>(), "values": values,
            "licences": licences.collect::<Value>(), "access": scene.access().0, "status": scene.status(),
            "revision": self.revision,
        });
        Ok(limits.into_iter().chain(object.as_object().cloned().unwrap_or_default()).collect())
    }

    fn feature(&self, key: &str, kinds: &[Kind]) -> Answer<Asked<'_>> {
        let asked = self.definitions.features.get_key_value(key).ok_or("unknown_feature")?;
        if kinds.contains(&kind_of(asked.1)) { Ok(asked) } else { Err("wrong_kind") }
    }

    fn scene(&self, tenant: &str, action: Action, now: Timestamp) -> Answer<Scene<'_>> {
        let tenant = self.definitions.tenants.get(tenant).ok_or("unknown_tenant")?;
        let freshness = if self.expires_at.is_some_and(|end| now >= end) { "stale" } else { "fresh" };
        let scene = Scene { definitions: self.definitions, tenant, action, now, freshness, plan: None };
        let plan = scene.phase(PhaseKind::Trial).or_else(|| scene.phase(PhaseKind::Paid));
        Ok(Scene { plan, ..scene })
    }
}

/// A feature with its key.
type Asked<'d> = (&'d FeatureKey, &'d Feature);

/// The phase that applies, between the key of its plan and the version.
type Applying<'d> = (&'d PlanKey, &'d Phase, &'d PlanVersion);

/// Why a feature is off, and the kind of the block where one is the reason.
type Off = (&'static str, Option<&'static str>);

/// One tenant at one instant, seen by one action.
struct Scene<'d> {
    definitions: &'d Definitions,
    tenant: &'d Tenant,
    action: Action,
    now: Timestamp,
    freshness: &'static str,
    plan: Option<Applying<'d>>,
}

/// What carries contributions: the plan, or an add-on in effect by a licence or, with the licence id "", by the plan.
struct Carrier<'d> {
    layer: &'static str,
    key: &'d str,
    all: &'d [Contribution],
    licence: &'d str,
    quantity: u64,
    from: Timestamp,
}

/// A valid contribution to a feature, with its effective start (an absent one is earlier than any) and id.
struct Fact<'d> {
    layer: &'static str,
    op: Op,
    value: Value,
    order: (Option<Timestamp>, &'d str, String, &'d str),
    quantity: u64,
}

impl<'d> Scene<'d> {
    fn valid(&self, from: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        from.is_none_or(|from| from <= self.now) && until.is_none_or(|until| self.now < until)
    }

    /// The valid phase of a kind whose plan has a version; of several, the one that started last.
    fn phase(&self, kind: PhaseKind) -> Option<Applying<'d>> {
        let grace = |phase: &Phase| phase.grace_until.filter(|_| kind == PhaseKind::Paid);
        let valid = |p: &Phase| p.kind == kind && self.valid(Some(p.from), grace(p).or(p.until));
        let phases = self.tenant.phases.iter().filter(|(_, phase)| valid(phase)).filter_map(|(id, phase)| {
            let (key, plan) = self.definitions.plans.get_key_value(&phase.plan)?;
            Some((phase.from, id, (key, phase, self.version(plan, phase)?)))
        });
        phases.max_by_key(|(from, id, _)| (*from, *id)).map(|(.., applying)| applying)
    }

    /// The pinned version of a phase, else the latest that has reached it.
    fn version(&self, plan: &'d Plan, phase: &Phase) -> Option<&'d PlanVersion> {
        let period = if plan.price.period == PricePeriod::Month { 1 } else { 12 };
        let moved = |version: &PlanVersion| match version.moves {
            Moves::Now => self.now >= version.effective_from,
            Moves::Renewal => self.now >= self.first_start(period, version.effective_from),
            Moves::Never => false,
        };
        let reached = |version: &&PlanVersion| phase.from >= version.effective_from || moved(version);
        match phase.version {
            Some(pinned) => plan.versions.get(&pinned),
            None => plan.versions.values().filter(reached).max_by_key(|version| version.effective_from),
        }
    }

    /// The plan that applies and the add-ons in effect.
    fn carriers(&self) -> Vec<Carrier<'d>> {
        let Some((plan, phase, version)) = self.plan else { return Vec::new() };
        let (layer, all, from) = ("plan", &*version.contributions, phase.from);
        let mut carriers = vec![Carrier { layer, key: "", all, licence: "", quantity: 1, from }];
        for (key, add_on) in &self.definitions.add_ons {
            let of_key = self.tenant.licences.iter().filter(|(_, licence)| licence.add_on == *key);
            let valid = of_key.filter(|(_, licence)| self.valid(Some(licence.from), licence.until));
            let held: Vec<_> = match () {
                () if add_on.included_in.contains(plan) => vec![("", 1, phase.from)],
                () if !add_on.compatible_with.contains(plan) => Vec::new(),
                () => valid.map(|(id, licence)| (id.as_str(), licence.quantity, licence.from)).collect(),
            };
            let (layer, key, all) = ("add_on", key.as_str(), &*add_on.contributions);
            let carry = |(licence, quantity, from)| Carrier { layer, key, all, licence, quantity, from };
            carriers.extend(held.into_iter().map(carry));
        }
        carriers
    }

    /// Every valid contribution to a feature, of every carrier.
    fn facts(&self, key: &FeatureKey) -> Vec<Fact<'d>> {
        let mut facts = Vec::new();
        for Carrier { layer, key: carrier, all, licence, quantity, from } in self.carriers() {
            for c in all.iter().filter(|c| c.feature == *key && self.valid(c.from, c.until)) {
                let start = c.from.map_or_else(String::new, |from| format!(":{from}"));
                let id = c.id.as_ref().map_or_else(|| format!("{}:{}{start}", c.op, c.feature), ToString::to_string);
                let order = (c.from.max(Some(from)), carrier, id, licence);
                facts.push(Fact { layer, op: c.op, value: c.value.clone(), order, quantity });
            }
        }
        let in_scope = |plan: &PlanKey| self.plan.is_some_and(|(key, ..)| key == plan);
        for (id, o) in self.tenant.overrides.iter().filter(|(_, o)| o.feature == *key && self.valid(o.from, o.until)) {
            if o.plan.as_ref().is_none_or(in_scope) {
                let (value, order) = (o.value.clone().unwrap_or_default(), (o.from, id.as_str(), String::new(), ""));
                facts.push(Fact { layer: "tenant", op: o.op, value, order, quantity: 1 });
            }
        }
        facts
    }

    /// The ladder: the base of a feature that is on, or why it is off.
    fn resolve(&self, asked: Asked<'d>) -> Result<Fact<'d>, Off> {
        self.climb(asked, &mut BTreeSet::new())
    }

    /// `seen` holds the switches on the way here: one that was off would have ended the search.
    fn climb(&self, (key, feature): Asked<'d>, seen: &mut BTreeSet<&'d FeatureKey>) -> Result<Fact<'d>, Off> {
        if self.freshness == "stale" && feature.staleness == Staleness::Off {
            return Err(("stale", None));
        }
        if self.definitions.kills.values().any(|k| k.feature == *key && self.valid(Some(k.since), k.until)) {
            return Err(("killed", None));
        }
        let (access, block) = self.access();
        if access < if self.action == Action::Use { feature.min_access } else { feature.min_read } {
            return Err(("blocked", block.map(BlockKind::as_str)));
        }
        if self.facts(key).iter().any(|fact| fact.op == Op::Revoke) {
            return Err(("revoked", None));
        }
        let (base, is_switch) = (self.base((key, feature)), kind_of(feature) == Kind::Switch);
        if is_switch && base.value == Value::Bool(false) {
            return Err((if base.layer == "tenant" { "switched_off" } else { "not_granted" }, None));
        }
        for required in feature.requires.iter().filter_map(|key| self.definitions.features.get_key_value(key)) {
            if seen.insert(required.0) && self.climb(required, seen).is_err() {
                return Err(("prerequisite", None));
            }
        }
        if is_switch && self.tenant.preferences.off.contains(key) { Err(("preference", None)) } else { Ok(base) }
    }

    /// The `set` or `pin` of the highest layer.
    fn base(&self, (key, feature): Asked<'d>) -> Fact<'d> {
        // Only limits are weighed by their size; all switches and values weigh the same.
        let weight = |fact: &Fact<'_>| (kind_of(feature) == Kind::Limit).then(|| grant_of(&fact.value).amount);
        let of = |layer| {
            let facts = self.facts(key).into_iter();
            facts.filter(move |fact| fact.layer == layer && matches!(fact.op, Op::Set | Op::Pin))
        };
        let plan = of("plan").max_by(|a, b| a.order.cmp(&b.order));
        let add_on = of("add_on").max_by(|a, b| (weight(a), &a.order).cmp(&(weight(b), &b.order)));
        let sold = match (plan, add_on) {
            (Some(plan), Some(add_on)) if plan.op == Op::Pin || weight(&plan) > weight(&add_on) => Some(plan),
            (plan, add_on) => add_on.or(plan),
        };
        of("tenant").max_by(|a, b| a.order.cmp(&b.order)).or(sold).unwrap_or_else(|| {
            let value = match &feature.kind {
                FeatureKind::Switch { default } => json!(default),
                FeatureKind::Value { default, .. } => default.clone(),
                FeatureKind::Limit { default, .. } => json!(default),
            };
            Fact { layer: "default", op: Op::Set, value, order: (None, "", String::new(), ""), quantity: 1 }
        })
    }

    /// What is granted of a limit: the base, the `add`s that stack on it and the tenant's `mode`.
    fn grant(&self, asked: Asked<'d>) -> Grant {
        let (base, facts) = (self.base(asked), self.facts(asked.0));
        let mut grant = grant_of(&base.value);
        if let (Op::Set, Some(amount)) = (base.op, grant.amount.finite()) {
            let adds = facts.iter().filter(|fact| fact.op == Op::Add);
            let each = adds.map(|add| u128::from(add.value.as_u64().unwrap_or(0)) * u128::from(add.quantity));
            grant.amount = Amount::new(small(u128::from(amount) + each.sum::<u128>())).unwrap_or(Amount::UNLIMITED);
        }
        let mode = facts.iter().filter(|fact| fact.op == Op::Mode).max_by_key(|fact| &fact.order);
        grant.mode = mode.map_or(grant.mode, |fact| mode_of(Some(&fact.value)));
        grant
    }

    fn blocks(&self) -> impl Iterator<Item = (Reverse<Access>, Timestamp, &'d str, BlockKind)> {
        let valid = self.tenant.blocks.iter().filter(|(_, block)| self.valid(Some(block.since), block.until));
        valid.map(|(id, b)| (Reverse(b.level.unwrap_or(b.kind.default_level())), b.since, id.as_str(), b.kind))
    }

    /// The access level, and the kind of the block that sets it.
    fn access(&self) -> (Access, Option<BlockKind>) {
        self.blocks().max().map_or((Access::Full, None), |(Reverse(level), .., kind)| (level, Some(kind)))
    }

    fn status(&self) -> &'static str {
        let has = |kind| self.blocks().any(|(.., found)| found == kind);
        let in_grace = self.phase(PhaseKind::Paid).is_some_and(|(_, p, _)| p.until.is_some_and(|end| end <= self.now));
        let shown = BlockKind::ALL.iter().find(|kind| **kind != BlockKind::Warned && has(**kind));
        match (shown, self.plan) {
            (Some(kind), _) => kind.as_str(),
            _ if in_grace => "grace",
            _ if has(BlockKind::Warned) => "warned",
            (_, Some((_, phase, _))) if phase.kind == PhaseKind::Trial => "trial",
            (_, Some(_)) => "active",
            (_, None) => "none",
        }
    }

    fn resets_at(&self, feature: &Feature) -> Option<Timestamp> {
        let FeatureKind::Limit { window, .. } = feature.kind else { return None };
        let (next, anchor) = (self.now.as_ms() + 1, self.tenant.anchor.as_ms());
        let time = |ms| Timestamp::from_ms(ms).unwrap_or(Timestamp::MAX);
        match window {
            Window::None => None,
            Window::Day => Some(time(next + (anchor - next).rem_euclid(24 * 60 * 60 * 1000))),
            Window::Month => Some(self.first_start(1, time(next))),
            Window::Year => Some(self.first_start(12, time(next))),
        }
    }

    /// The first anchor + n × period at or after an instant, by trying one n after the other.
    fn first_start(&self, months: i64, at: Timestamp) -> Timestamp {
        let shift = i64::from(self.tenant.utc_offset_minutes.minutes()) * 60_000;
        let local = EPOCH.saturating_add(Span::new().milliseconds(self.tenant.anchor.as_ms() + shift));
        let start = |n: i64| {
            let at = local.checked_add(Span::new().try_months(n * months).ok()?).ok()?;
            Some(i64::try_from(at.duration_since(EPOCH).as_millis()).ok()? - shift)
        };
        let mut n = 0;
        while start(n - 1).is_some_and(|ms| ms >= at.as_ms()) {
            n -= 1;
        }
        while start(n).is_some_and(|ms| ms < at.as_ms()) {
            n += 1;
        }
        start(n).and_then(|ms| Timestamp::from_ms(ms).ok()).unwrap_or(Timestamp::MAX)
    }
}

const EPOCH: civil::DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

fn kind_of(feature: &Feature) -> Kind {
    match feature.kind {
        FeatureKind::Switch { .. } => Kind::Switch,
        FeatureKind::Value { .. } => Kind::Value,
        FeatureKind::Limit { .. } => Kind::Limit,
    }
}

fn small(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

fn mode_of(word: Option<&Value>) -> Mode {
    word.and_then(Value::as_str).and_then(Mode::from_word).unwrap_or_default()
}

/// A grant as it is written in a contribution.
fn grant_of(value: &Value) -> Grant {
    let amount = value.get("amount").and_then(Value::as_u64).and_then(Amount::new).unwrap_or(Amount::UNLIMITED);
    let percents = value.get("thresholds").and_then(Value::as_array).into_iter().flatten();
    let thresholds = percents.filter_map(|percent| u16::try_from(percent.as_u64()?).ok()).collect();
    Grant { amount, mode: mode_of(value.get("mode")), thresholds }
}
