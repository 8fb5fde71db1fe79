//! Profiles: the answers to everything, for all tenants that stand alike.

use super::record::Licence;
use super::rules::{AddOnIx, Effect, FeatureIx, Rules, Setting, Terms};
use crate::Timestamp;
use crate::decide::{self, Code, Payload, Silent, Standing, Status};
use crate::model::{Access, Action, BlockKind, json};
use crate::time::Interval;
use rapidhash::fast::SeedableState;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One bit for each feature that is on: first for action `use`, then for `read`. Shared by all profiles that agree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Switches(Arc<[u64]>);

impl Switches {
    /// The first words for action `use`, for whoever wants them at hand; zeros behind the end.
    #[cfg(feature = "runtime")]
    pub(crate) fn first_of_use<const WORDS: usize>(&self) -> [u64; WORDS] {
        let mut first = [0; WORDS];
        for (to, from) in first.iter_mut().zip(self.0.iter().take(self.0.len() / 2)) {
            *to = *from;
        }
        first
    }

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
        Self { on: Switches(on.into()), codes, limits: limits.into(), values: values.into(), ..Self::scalars(standing) }
    }

    /// The same as [`Self::resolve`], given what a tenant on the same plan version and access level has that carries
    /// nothing of its own: only what this tenant's own facts touch is resolved.
    fn patch(base: &Self, standing: &Standing<'_>) -> Self {
        let mut on = base.on.0.to_vec();
        let (mut codes, mut limits, mut values) = (base.codes.clone(), base.limits.clone(), base.values.clone());
        let words = on.len() / 2;
        for ix in touched(standing) {
            let Some(feature) = standing.rules.feature(ix) else { continue };
            for (action, index) in [(Action::Use, 0), (Action::Read, 1)] {
                let (code, _) = standing.resolve(ix, feature, action, &mut Silent);
                if let Some(held) = codes.get_mut(ix.index()).and_then(|both| both.get_mut(index)) {
                    *held = code;
                }
                if let Some(word) = on.get_mut(index * words + ix.index() / 64) {
                    let bit = 1 << (ix.index() % 64);
                    *word = if code.is_on() { *word | bit } else { *word & !bit };
                }
            }
            let ordinal = usize::from(feature.ordinal);
            match standing.fold(ix, feature, &mut Silent).payload() {
                Payload::Switch(_) => {}
                Payload::Limit { amount, mode, thresholds } => {
                    let terms = Terms { amount, mode, thresholds: thresholds.cloned() };
                    if let Some(held) = limits.get_mut(ordinal) {
                        *held = terms;
                    }
                }
                Payload::Value(value) => {
                    if let Some(held) = values.get_mut(ordinal) {
                        *held = value.clone();
                    }
                }
            }
        }
        Self { on: Switches(on.into()), codes, limits, values, ..Self::scalars(standing) }
    }

    /// What is not about single features.
    fn scalars(standing: &Standing<'_>) -> Self {
        Self {
            on: Switches(Arc::default()),
            codes: Box::default(),
            limits: Box::default(),
            values: Box::default(),
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

    /// Bytes that the profile holds, without its switches and values, which are shared.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.codes)
            + size_of_val(&*self.limits)
            + size_of_val(&*self.values)
            + size_of_val(&*self.add_ons)
    }
}

/// Features that a tenant's own licences, overrides and preferences touch, and those that require them.
fn touched(standing: &Standing<'_>) -> Vec<FeatureIx> {
    let (rules, record, now) = (standing.rules, standing.record, standing.now);
    let licences = record
        .licences
        .iter()
        .filter(|licence| licence.interval.contains(now) && standing.inert(licence.add_on).is_none());
    let add_ons = licences.filter_map(|licence| rules.add_on(licence.add_on));
    let mut touched: Vec<FeatureIx> =
        add_ons.flat_map(|add_on| add_on.contributions.iter().map(|contribution| contribution.feature)).collect();
    touched.extend(record.overrides().iter().filter(|this| this.interval.contains(now)).map(|this| this.feature));
    touched.extend(record.switched_off());
    for at in 0..touched.len() {
        let dependents = touched.get(at).and_then(|ix| rules.feature(*ix)).map(|feature| &feature.required_by);
        touched.extend(dependents.into_iter().flatten());
    }
    touched.sort_unstable();
    touched.dedup();
    touched
}

type FastMap<V> = HashMap<Box<[u8]>, V, SeedableState<'static>>;

/// Makes profiles, one for all tenants that stand alike.
#[derive(Debug)]
pub(crate) struct Profiles {
    by_signature: FastMap<Arc<Profile>>,
    /// What a tenant has that carries nothing of its own, by plan version and access level.
    bases: FastMap<Profile>,
    switches: HashSet<Switches, SeedableState<'static>>,
    signature: Signature,
    /// When the profiles hold for those who stand as their signatures say; nothing before it was asked.
    hold: Option<Interval>,
    /// How many tenants have been touched since those that nobody has any more were forgotten.
    touched: usize,
}

impl Default for Profiles {
    fn default() -> Self {
        // Signatures are made of what HQ authored: nobody floods their own build.
        let hasher = SeedableState::fixed;
        Self {
            by_signature: HashMap::with_hasher(hasher()),
            bases: HashMap::with_hasher(hasher()),
            switches: HashSet::with_hasher(hasher()),
            signature: Signature::default(),
            hold: None,
            touched: 0,
        }
    }
}

impl Profiles {
    /// The profile of a tenant. All calls must be for the same rules, and for instants between which no rule begins or
    /// ends.
    pub(crate) fn of(&mut self, standing: &Standing<'_>) -> Arc<Profile> {
        self.signature.write(standing);
        if let Some(profile) = self.by_signature.get(self.signature.bytes.as_slice()) {
            return profile.clone();
        }
        let base = self.signature.base();
        if !self.bases.contains_key(base) {
            let bare = standing.record.bare();
            let resolved = Profile::resolve(&Standing { record: &bare, ..*standing });
            self.bases.insert(base.into(), resolved);
        }
        let mut profile = match self.bases.get(base) {
            Some(base) => Profile::patch(base, standing),
            None => Profile::resolve(standing),
        };
        match self.switches.get(&profile.on) {
            Some(same) => profile.on = same.clone(),
            None => {
                self.switches.insert(profile.on.clone());
            }
        }
        let profile = Arc::new(profile);
        self.by_signature.insert(self.signature.bytes.as_slice().into(), profile.clone());
        profile
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_signature.len()
    }

    /// Turns to another instant: forgets what was made for another time.
    pub(crate) fn turn_to(&mut self, rules: &Rules, now: Timestamp) {
        if !self.hold.is_some_and(|hold| hold.contains(now)) {
            self.by_signature.clear();
            self.bases.clear();
            self.hold = Some(rules.hold(now));
        }
    }

    /// Forgets the profiles that nobody else has, once so many tenants have been touched that all profiles may be such:
    /// what comes and goes costs no memory for good, and next to no time.
    pub(crate) fn sweep(&mut self, touched: usize) {
        self.touched += touched;
        if self.touched < self.by_signature.len() + FEWEST_TO_SWEEP {
            return;
        }
        self.touched = 0;
        self.by_signature.retain(|_, profile| Arc::strong_count(profile) > 1);
        self.by_signature.shrink_to(2 * self.by_signature.len());
        self.switches.retain(|switches| Arc::strong_count(&switches.0) > 1);
        self.switches.shrink_to(2 * self.switches.len());
        if self.bases.len() > FEWEST_TO_SWEEP {
            self.bases.clear();
        }
    }
}

/// So few profiles, or bases of them, are not worth being swept.
const FEWEST_TO_SWEEP: usize = 64;

/// The distinct ones among profiles, in no order.
pub(crate) fn distinct<'p>(profiles: impl Iterator<Item = &'p Arc<Profile>>) -> Vec<&'p Arc<Profile>> {
    let mut distinct: Vec<&Arc<Profile>> = profiles.collect();
    distinct.sort_unstable_by_key(|profile| Arc::as_ptr(profile));
    distinct.dedup_by(|a, b| Arc::ptr_eq(a, b));
    distinct
}

/// Bytes that distinct profiles hold together, what they share counted once.
pub(crate) fn bytes_of(profiles: &[&Arc<Profile>]) -> usize {
    let mut switches: Vec<&Switches> = profiles.iter().map(|profile| &profile.on).collect();
    switches.sort_unstable_by_key(|switches| switches.0.as_ptr());
    switches.dedup_by(|a, b| Arc::ptr_eq(&a.0, &b.0));
    let switches = switches.iter().map(|switches| size_of_val(&*switches.0)).sum::<usize>();
    profiles.iter().map(|profile| profile.bytes()).sum::<usize>() + switches
}

/// All that a profile depends on besides rules and instant: tenants with equal signatures have equal profiles.
///
/// Instants and ids are left out where they decide nothing, or every tenant would have a signature of its own: overrides
/// stand in the order in which ties between them are decided, and a licence brings its start and id only where another
/// add-on contends for the same feature.
#[derive(Debug, Default)]
struct Signature {
    bytes: Vec<u8>,
    /// How many of the bytes are about plan version and access level alone.
    base: usize,
}

impl Signature {
    fn base(&self) -> &[u8] {
        self.bytes.get(..self.base).unwrap_or_default()
    }

    fn write(&mut self, standing: &Standing<'_>) {
        self.bytes.clear();
        let (plan, version) =
            standing.applying.map_or((u16::MAX, 0), |applying| (applying.phase.plan.0, applying.version.number));
        self.number(u64::from(plan) << 32 | u64::from(version));
        self.byte(standing.access as u8);
        let contested = |add_on| standing.rules.add_on(add_on).is_some_and(|rule| rule.contested);
        // An included add-on starts with the phase.
        let included = standing.applying.filter(|it| it.plan.included.iter().any(|add_on| contested(*add_on)));
        self.count(usize::from(included.is_some()));
        if let Some(applying) = included {
            self.number(applying.phase.interval.start().cast_unsigned());
        }
        self.base = self.bytes.len();

        self.byte(standing.status() as u8);
        self.byte(standing.block.map_or(u8::MAX, |block| block.kind as u8));
        let in_effect = standing.add_ons_in_effect();
        self.count(in_effect.len());
        for (add_on, quantity) in in_effect {
            self.number(add_on.0.into());
            self.number(quantity);
        }
        let contends = |licence: &&Licence| contested(licence.add_on) && licence.interval.contains(standing.now);
        let licences = &standing.record.licences;
        self.count(licences.iter().filter(contends).count());
        for licence in licences.iter().filter(contends) {
            self.number(licence.add_on.0.into());
            self.number(licence.interval.start().cast_unsigned());
            self.text(standing.record.text(licence.id));
        }
        self.overrides(standing);
        let switched_off = standing.record.switched_off();
        self.count(switched_off.len());
        switched_off.iter().for_each(|feature| self.number(feature.0.into()));
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
            Setting::Value(value) => self.text(&json(value)),
        }
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// Lists and texts stand behind their lengths, so that no two signatures run together.
    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }
}
