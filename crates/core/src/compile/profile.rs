//! Profiles: the answers to everything, for all tenants that stand alike.

use super::record::Licence;
use super::rules::{AddOnIx, Effect, FeatureIx, Setting, Terms};
use crate::decide::{self, Code, Payload, Silent, Standing, Status};
use crate::model::{Access, Action, BlockKind};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One bit for each feature that is on: first for action `use`, then for `read`. Shared by all profiles that agree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Switches(Arc<[u64]>);

impl Switches {
    #[inline]
    pub(crate) fn is_on(&self, ix: FeatureIx, action: Action) -> bool {
        let at = ix.index();
        let start = action_index(action) * (self.0.len() / 2);
        self.0.get(start + at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

/// The resolved answers of one tenant, shared by all tenants whose answers are the same.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Profile {
    pub(crate) on: Switches,
    /// For each feature, why: for `use` and for `read`.
    codes: Box<[[Code; 2]]>,
    /// For each limit, what it comes to when it is on.
    limits: Box<[Terms]>,
    /// For each value feature, what it comes to when it is on.
    values: Box<[Arc<Value>]>,
    pub(crate) plan: Option<(super::PlanIx, u32)>,
    pub(crate) add_ons: Box<[(AddOnIx, u64)]>,
    pub(crate) access: Access,
    pub(crate) status: Status,
    pub(crate) block: Option<BlockKind>,
}

fn action_index(action: Action) -> usize {
    match action {
        Action::Use => 0,
        Action::Read => 1,
    }
}

impl Profile {
    /// Resolves everything for one tenant at one instant.
    pub(crate) fn resolve(standing: &Standing<'_>) -> Self {
        let rules = standing.rules;
        let count = rules.features.len();
        let mut own: Vec<[Code; 2]> = Vec::with_capacity(count);
        let mut limits = Vec::with_capacity(rules.limits);
        let mut values = Vec::with_capacity(rules.values);
        for (feature, ix) in rules.features.iter().zip(rules.feature_ixs()) {
            let fold = standing.fold(ix, feature, &mut Silent);
            match fold.payload() {
                Payload::Switch(_) => {}
                Payload::Limit { amount, mode, thresholds } => {
                    limits.push(Terms { amount, mode, thresholds: thresholds.cloned() });
                }
                Payload::Value(value) => values.push(value.clone()),
            }
            own.push([Action::Use, Action::Read].map(|action| decide::own(standing.gates(feature, action), &fold)));
        }
        let code_of = |codes: &[[Code; 2]], ix: FeatureIx, action: usize| -> Option<Code> {
            codes.get(ix.index())?.get(action).copied()
        };
        let settled = |ix: FeatureIx, action: usize| -> Option<Code> {
            let feature = rules.feature(ix)?;
            let required_on = || {
                feature.all_required.iter().all(|switch| {
                    code_of(&own, *switch, action).is_some_and(Code::is_on) && !standing.prefers_off(*switch)
                })
            };
            Some(decide::settle(code_of(&own, ix, action)?, required_on, standing.prefers_off(ix)))
        };
        let codes: Box<[[Code; 2]]> =
            rules.feature_ixs().filter_map(|ix| Some([settled(ix, 0)?, settled(ix, 1)?])).collect();

        let words = count.div_ceil(64);
        let mut on = vec![0_u64; 2 * words];
        for (at, codes) in codes.iter().enumerate() {
            for (action, code) in codes.iter().enumerate() {
                if let Some(word) = on.get_mut(action * words + at / 64)
                    && code.is_on()
                {
                    *word |= 1 << (at % 64);
                }
            }
        }
        Self {
            on: Switches(on.into()),
            codes,
            limits: limits.into(),
            values: values.into(),
            plan: standing.applying.map(|applying| (applying.phase.plan, applying.version.number)),
            add_ons: standing.add_ons_in_effect().into(),
            access: standing.access,
            status: standing.status(),
            block: standing.block.map(|block| block.kind),
        }
    }

    #[inline]
    pub(crate) fn is_on(&self, ix: FeatureIx, action: Action) -> bool {
        self.on.is_on(ix, action)
    }

    pub(crate) fn code(&self, ix: FeatureIx, action: Action) -> Option<Code> {
        self.codes.get(ix.index())?.get(action_index(action)).copied()
    }

    /// What a limit comes to, whether it is on or not; `ordinal` counts the limits.
    pub(crate) fn limit(&self, ordinal: u16) -> Option<&Terms> {
        self.limits.get(usize::from(ordinal))
    }

    /// What a value feature comes to, whether it is on or not; `ordinal` counts the value features.
    pub(crate) fn value(&self, ordinal: u16) -> Option<&Arc<Value>> {
        self.values.get(usize::from(ordinal))
    }

    /// Bytes that the profile holds, without values shared with the rules.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.on.0)
            + size_of_val(&*self.codes)
            + size_of_val(&*self.limits)
            + size_of_val(&*self.values)
            + size_of_val(&*self.add_ons)
    }
}

/// Makes profiles, each distinct one once.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    /// Profiles by what decides them, so that most tenants need no resolving at all.
    by_signature: HashMap<Box<[u8]>, Arc<Profile>>,
    distinct: HashSet<Arc<Profile>>,
    switches: HashSet<Switches>,
    signature: Signature,
}

impl Profiles {
    /// The profile of a tenant. All calls must be for the same instant and the same rules.
    pub(crate) fn of(&mut self, standing: &Standing<'_>) -> Arc<Profile> {
        self.signature.write(standing);
        if let Some(profile) = self.by_signature.get(self.signature.0.as_slice()) {
            return profile.clone();
        }
        let mut fresh = Profile::resolve(standing);
        fresh.on = shared(&mut self.switches, fresh.on);
        let profile = shared(&mut self.distinct, Arc::new(fresh));
        self.by_signature.insert(self.signature.0.as_slice().into(), profile.clone());
        profile
    }

    pub(crate) fn distinct(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.distinct.iter()
    }
}

/// The held value that equals this one; this one, if it is the first.
fn shared<T: Clone + Eq + std::hash::Hash>(held: &mut HashSet<T>, value: T) -> T {
    if let Some(same) = held.get(&value) {
        return same.clone();
    }
    held.insert(value.clone());
    value
}

/// All that a profile depends on besides rules and instant: tenants with equal signatures have equal profiles.
///
/// Instants and ids are left out where they decide nothing, or every tenant would have a signature of its own: overrides
/// stand in the order in which ties between them are decided, and a licence brings its start and id only where another
/// add-on contends for the same feature.
#[derive(Debug, Default)]
struct Signature(Vec<u8>);

impl Signature {
    fn write(&mut self, standing: &Standing<'_>) {
        self.0.clear();
        let (plan, version) =
            standing.applying.map_or((u16::MAX, 0), |applying| (applying.phase.plan.0, applying.version.number));
        self.number(u64::from(plan) << 32 | u64::from(version));
        self.byte(standing.access as u8);
        self.byte(standing.status() as u8);
        self.byte(standing.block.map_or(u8::MAX, |block| block.kind as u8));
        self.add_ons(standing);
        self.overrides(standing);
        let switched_off = standing.record.switched_off();
        self.count(switched_off.len());
        switched_off.iter().for_each(|feature| self.number(feature.0.into()));
    }

    fn add_ons(&mut self, standing: &Standing<'_>) {
        let in_effect = standing.add_ons_in_effect();
        self.count(in_effect.len());
        for (add_on, quantity) in in_effect {
            self.number(add_on.0.into());
            self.number(quantity);
        }
        let contested = |add_on| standing.rules.add_on(add_on).is_some_and(|rule| rule.contested);
        let contends = |licence: &&Licence| contested(licence.add_on) && licence.interval.contains(standing.now);
        let licences = &standing.record.licences;
        self.count(licences.iter().filter(contends).count());
        for licence in licences.iter().filter(contends) {
            self.number(licence.add_on.0.into());
            self.number(licence.interval.start().cast_unsigned());
            self.text(standing.record.text(licence.id));
        }
        // An included add-on starts with the phase.
        let included = standing.applying.filter(|it| it.plan.included.iter().any(|add_on| contested(*add_on)));
        self.count(usize::from(included.is_some()));
        if let Some(applying) = included {
            self.number(applying.phase.interval.start().cast_unsigned());
        }
    }

    fn overrides(&mut self, standing: &Standing<'_>) {
        let overrides = standing.record.overrides().iter();
        let mut valid: Vec<_> = overrides.filter(|this| this.interval.contains(standing.now)).collect();
        // Stable: equals stay in the order of their ids.
        valid.sort_by_key(|this| (this.feature, this.interval.start()));
        self.count(valid.len());
        for this in valid {
            self.number(this.feature.0.into());
            self.byte(this.effect.op() as u8);
            match &this.effect {
                Effect::Set(setting) | Effect::Pin(setting) => self.setting(setting),
                Effect::Add(amount) => self.number(*amount),
                Effect::Mode(mode) => self.byte(*mode as u8),
                Effect::Revoke { plan } => self.number(plan.map_or(u64::MAX, |plan| plan.0.into())),
            }
        }
    }

    fn setting(&mut self, setting: &Setting) {
        match setting {
            Setting::Switch(on) => self.byte(u8::from(*on)),
            Setting::Limit(terms) => {
                self.number(terms.amount.finite().unwrap_or(u64::MAX));
                self.byte(terms.mode as u8);
                let thresholds = terms.thresholds.as_deref().unwrap_or_default();
                self.count(thresholds.len());
                thresholds.iter().for_each(|percent| self.number((*percent).into()));
            }
            Setting::Value(value) => self.text(&value.to_string()),
        }
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Lists and texts stand behind their lengths, so that no two signatures run together.
    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}
