//! The ladder: one feature, one tenant, one action, one instant.
//!
//! This is the only evaluator. Decisions, profiles, explanations, what-if answers and the re-verification of explanations
//! all come from [`Fold`] and [`Standing::resolve`]; a [`Tracer`] listens when somebody wants to know why.

use super::{Decision, Inert, Layer, Provenance, Reason, Standing};
use crate::compile::{AddOnRule, ContributionRule, Effect, FeatureIx, FeatureRule, Licence, Override, Setting};
use crate::model::{Action, Amount, BlockKind, Kind, MAX_INTEGER, Mode};
use crate::time::Interval;
use serde_json::Value;
use std::sync::Arc;

/// Who brought a candidate, and under which id it competes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carrier<'s> {
    Default,
    Plan(&'s ContributionRule),
    /// Without a licence, the plan includes the add-on.
    AddOn(&'s AddOnRule, &'s ContributionRule, Option<&'s Licence>),
    Tenant(&'s Override),
}

/// Whether a candidate counts now, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearing {
    Counts,
    NotYet,
    Ended,
    Inert(Inert),
    /// A revoke that is scoped to a plan that does not apply.
    OtherPlan,
}

/// A contribution as it bears on one feature of one tenant at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'s> {
    pub(crate) layer: Layer,
    pub(crate) effect: &'s Effect,
    /// Its own interval within its carrier's.
    pub(crate) interval: Interval,
    pub(crate) quantity: u64,
    /// What the greatest of decides between equals, part by part: for an add-on, its key, the contribution's id, the
    /// licence's id; for others, the id.
    pub(crate) id: [&'s str; 3],
    pub(crate) bearing: Bearing,
    pub(crate) carrier: Carrier<'s>,
}

impl Candidate<'_> {
    /// Whether this one wins where a rule leaves the two: the latest effective start, then the byte-greatest id.
    fn is_later_than(&self, other: &Self) -> bool {
        (self.interval.start(), self.id) > (other.interval.start(), other.id)
    }

    /// Whether this base stands before another of the same feature.
    fn beats(&self, other: &Self) -> bool {
        let rung = |candidate: &Self| match candidate.layer {
            Layer::Default => 0,
            Layer::Plan | Layer::AddOn => 1,
            Layer::Tenant => 2,
        };
        match rung(self).cmp(&rung(other)) {
            std::cmp::Ordering::Greater => return true,
            std::cmp::Ordering::Less => return false,
            std::cmp::Ordering::Equal => {}
        }
        if self.layer != Layer::Tenant {
            // A plan's pin, then for limits the larger amount, then the add-on.
            let merit = |candidate: &Self| {
                let amount = match candidate.effect {
                    Effect::Set(Setting::Limit(terms)) | Effect::Pin(Setting::Limit(terms)) => terms.amount,
                    _ => Amount::default(),
                };
                (matches!(candidate.effect, Effect::Pin(_)), amount, candidate.layer)
            };
            match merit(self).cmp(&merit(other)) {
                std::cmp::Ordering::Greater => return true,
                std::cmp::Ordering::Less => return false,
                std::cmp::Ordering::Equal => {}
            }
        }
        self.is_later_than(other)
    }
}

/// Hears of every candidate, in order, counting or not.
pub(crate) trait Tracer<'s> {
    /// Whether candidates that do not count, and those behind a closed gate, matter.
    const LISTENS: bool;
    fn hear(&mut self, candidate: &Candidate<'s>);
}

/// Hears nothing, at no cost.
pub(crate) struct Silent;

impl<'s> Tracer<'s> for Silent {
    const LISTENS: bool = false;
    fn hear(&mut self, _: &Candidate<'s>) {}
}

/// Step 3 and 4 of the ladder: what the contributions come to. Their order has no meaning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fold<'s> {
    pub(crate) base: Option<Candidate<'s>>,
    pub(crate) mode: Option<Candidate<'s>>,
    pub(crate) revoke: Option<Candidate<'s>>,
    added: u64,
}

impl<'s> Fold<'s> {
    pub(crate) fn push(&mut self, candidate: Candidate<'s>) {
        if candidate.bearing != Bearing::Counts {
            return;
        }
        let latest = |slot: &mut Option<Candidate<'s>>| {
            if slot.is_none_or(|held| candidate.is_later_than(&held)) {
                *slot = Some(candidate);
            }
        };
        match candidate.effect {
            Effect::Set(_) | Effect::Pin(_) => {
                if self.base.is_none_or(|held| candidate.beats(&held)) {
                    self.base = Some(candidate);
                }
            }
            Effect::Add(amount) => {
                self.added = self.added.saturating_add(amount.saturating_mul(candidate.quantity));
            }
            Effect::Mode(_) => latest(&mut self.mode),
            Effect::Revoke { .. } => latest(&mut self.revoke),
        }
    }

    /// What the contributions come to before revokes and gates.
    pub(crate) fn payload(&self) -> Payload<'s> {
        let (base, pinned) = match self.base.map(|base| base.effect) {
            Some(Effect::Set(setting)) => (setting, false),
            Some(Effect::Pin(setting)) => (setting, true),
            _ => return Payload::Switch(false),
        };
        match base {
            Setting::Switch(on) => Payload::Switch(*on),
            Setting::Value(value) => Payload::Value(value),
            Setting::Limit(terms) => {
                let amount = match terms.amount.finite() {
                    // Sums beyond 2^53 − 1 are refused at build; a what-if question that makes one gets the largest.
                    Some(amount) if !pinned => {
                        Amount::new(amount.saturating_add(self.added).min(MAX_INTEGER)).unwrap_or_default()
                    }
                    _ => terms.amount,
                };
                let mode = match self.mode.map(|candidate| candidate.effect) {
                    Some(Effect::Mode(mode)) => *mode,
                    _ => terms.mode,
                };
                Payload::Limit { amount, mode, thresholds: terms.thresholds.as_ref() }
            }
        }
    }

    /// Why the feature is on or off by its contributions alone, and which layer turned it on.
    fn code(&self) -> Code {
        let layer = self.base.map_or(Layer::Default, |base| base.layer);
        if self.revoke.is_some() {
            return Code::off(Reason::Revoked);
        }
        match self.payload() {
            Payload::Switch(false) if layer == Layer::Tenant => Code::off(Reason::SwitchedOff),
            Payload::Switch(false) => Code::off(Reason::NotGranted),
            _ => Code::granted(layer),
        }
    }

    /// Whether base and adds together are more than 2^53 − 1.
    pub(crate) fn exceeds_integers(&self) -> bool {
        match self.base.map(|base| base.effect) {
            Some(Effect::Set(Setting::Limit(terms))) => {
                terms.amount.finite().is_some_and(|amount| amount.saturating_add(self.added) > MAX_INTEGER)
            }
            _ => false,
        }
    }
}

/// What a feature comes to when it is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Payload<'s> {
    Switch(bool),
    Limit { amount: Amount, mode: Mode, thresholds: Option<&'s Arc<[u16]>> },
    Value(&'s Arc<Value>),
}

/// The reason of an answer, and the layer that turned it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Code {
    pub(crate) reason: Reason,
    pub(crate) source: Option<Layer>,
}

impl Code {
    pub(crate) fn granted(source: Layer) -> Self {
        Self { reason: Reason::Granted, source: Some(source) }
    }
    pub(crate) fn off(reason: Reason) -> Self {
        Self { reason, source: None }
    }
    pub(crate) fn is_on(self) -> bool {
        self.reason == Reason::Granted
    }

    /// The public form of the answer; `block` is the strictest valid block.
    pub(crate) fn decision(self, block: Option<BlockKind>, provenance: Provenance) -> Decision {
        let Provenance { revision, freshness, definitions } = provenance;
        Decision {
            enabled: self.is_on(),
            reason: self.reason,
            source: self.source,
            block: block.filter(|_| self.reason == Reason::Blocked),
            revision,
            freshness,
            definitions,
        }
    }
}

/// Steps 0 to 2: whether a gate is closed before any contribution is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gates {
    pub(crate) stale: bool,
    pub(crate) killed: bool,
    pub(crate) blocked: bool,
}

impl Gates {
    pub(crate) fn closed(self) -> Option<Reason> {
        [(self.stale, Reason::Stale), (self.killed, Reason::Killed), (self.blocked, Reason::Blocked)]
            .into_iter()
            .find_map(|(closed, reason)| closed.then_some(reason))
    }
}

/// Steps 0 to 4 together: a closed gate, else what the contributions come to.
pub(crate) fn own(gates: Gates, fold: &Fold<'_>) -> Code {
    gates.closed().map_or_else(|| fold.code(), Code::off)
}

/// Steps 5 and 6: a switch that the feature requires and is off, then the tenant's own preference.
pub(crate) fn settle(own: Code, all_required_on: impl FnOnce() -> bool, preferred_off: bool) -> Code {
    if !own.is_on() {
        own
    } else if !all_required_on() {
        Code::off(Reason::Prerequisite)
    } else if preferred_off {
        Code::off(Reason::Preference)
    } else {
        own
    }
}

impl<'s> Standing<'s> {
    pub(crate) fn gates(&self, feature: &FeatureRule, action: Action) -> Gates {
        Gates {
            stale: self.expired && feature.stale_off,
            killed: feature.kills.iter().any(|(_, interval)| interval.contains(self.now)),
            blocked: self.is_blocked(feature, action),
        }
    }

    pub(crate) fn prefers_off(&self, feature: FeatureIx) -> bool {
        self.record.switched_off().binary_search(&feature).is_ok()
    }

    /// The whole ladder for one feature.
    pub(crate) fn resolve<T: Tracer<'s>>(
        &self,
        ix: FeatureIx,
        feature: &'s FeatureRule,
        action: Action,
        tracer: &mut T,
    ) -> (Code, Fold<'s>) {
        let gates = self.gates(feature, action);
        if !T::LISTENS
            && let Some(reason) = gates.closed()
        {
            return (Code::off(reason), Fold::default());
        }
        let fold = self.fold(ix, feature, tracer);
        let required_on = || feature.all_required.iter().all(|switch| self.is_on_by_itself(*switch, action));
        (settle(own(gates, &fold), required_on, self.prefers_off(ix)), fold)
    }

    /// Whether a switch is on but for what it requires: of all that a feature requires, directly or through others,
    /// each is asked by itself.
    fn is_on_by_itself(&self, ix: FeatureIx, action: Action) -> bool {
        let Some(feature) = self.rules.feature(ix) else { return false };
        let gates = self.gates(feature, action);
        gates.closed().is_none() && !self.prefers_off(ix) && own(gates, &self.fold(ix, feature, &mut Silent)).is_on()
    }

    /// What the contributions to a feature come to.
    pub(crate) fn fold<T: Tracer<'s>>(&self, ix: FeatureIx, feature: &'s FeatureRule, tracer: &mut T) -> Fold<'s> {
        let mut fold = Fold::default();
        self.candidates::<T>(ix, feature, |candidate| {
            tracer.hear(&candidate);
            fold.push(candidate);
        });
        fold
    }

    /// The tenant's override that is the base of a feature, where one is.
    pub(crate) fn counting_override(&self, ix: FeatureIx) -> Option<&'s Override> {
        match self.fold(ix, self.rules.feature(ix)?, &mut Silent).base?.carrier {
            Carrier::Tenant(this) => Some(this),
            _ => None,
        }
    }

    /// Every candidate: the default, the plan's, those of included and licensed add-ons, the tenant's. Those that do not
    /// count are left out when nobody listens.
    fn candidates<T: Tracer<'s>>(&self, ix: FeatureIx, feature: &'s FeatureRule, mut each: impl FnMut(Candidate<'s>)) {
        each(Candidate {
            layer: Layer::Default,
            effect: &feature.default,
            interval: Interval::ALWAYS,
            quantity: 1,
            id: ["default", "", ""],
            bearing: Bearing::Counts,
            carrier: Carrier::Default,
        });
        let phase = self.applying.map_or(Interval::ALWAYS, |applying| applying.phase.applies());
        let mut offer = |candidate: Candidate<'s>| {
            let bearing = match candidate.bearing {
                Bearing::Counts => self.bearing(candidate.interval),
                other => other,
            };
            if T::LISTENS || bearing == Bearing::Counts {
                each(Candidate { bearing, ..candidate });
            }
        };
        if let Some(applying) = self.applying {
            for contribution in applying.version.contributions.of(ix) {
                offer(Candidate {
                    layer: Layer::Plan,
                    effect: &contribution.effect,
                    interval: contribution.interval.intersect(phase),
                    quantity: 1,
                    id: [&contribution.id, "", ""],
                    bearing: Bearing::Counts,
                    carrier: Carrier::Plan(contribution),
                });
            }
            for add_on in applying.plan.included.iter().filter_map(|add_on| self.rules.add_on(*add_on)) {
                for contribution in add_on.contributions.of(ix) {
                    offer(Candidate {
                        layer: Layer::AddOn,
                        effect: &contribution.effect,
                        interval: contribution.interval.intersect(phase),
                        quantity: 1,
                        id: [add_on.key.as_str(), &contribution.id, ""],
                        bearing: Bearing::Counts,
                        carrier: Carrier::AddOn(add_on, contribution, None),
                    });
                }
            }
        }
        for licence in &self.record.licences {
            let inert = self.inert(licence.add_on);
            if !T::LISTENS && inert.is_some() {
                continue;
            }
            let Some(add_on) = self.rules.add_on(licence.add_on) else { continue };
            for contribution in add_on.contributions.of(ix) {
                offer(Candidate {
                    layer: Layer::AddOn,
                    effect: &contribution.effect,
                    interval: contribution.interval.intersect(licence.interval),
                    quantity: licence.quantity,
                    id: [add_on.key.as_str(), &contribution.id, self.record.text(licence.id)],
                    bearing: inert.map_or(Bearing::Counts, Bearing::Inert),
                    carrier: Carrier::AddOn(add_on, contribution, Some(licence)),
                });
            }
        }
        for this in self.record.overrides().iter().filter(|this| this.feature == ix) {
            let other_plan = match this.effect {
                Effect::Revoke { plan: Some(plan) } => self.applying.is_none_or(|applying| applying.phase.plan != plan),
                _ => false,
            };
            offer(Candidate {
                layer: Layer::Tenant,
                effect: &this.effect,
                interval: this.interval,
                quantity: 1,
                id: [self.record.text(this.id), "", ""],
                bearing: if other_plan { Bearing::OtherPlan } else { Bearing::Counts },
                carrier: Carrier::Tenant(this),
            });
        }
    }

    fn bearing(&self, interval: Interval) -> Bearing {
        if interval.contains(self.now) {
            Bearing::Counts
        } else if interval.start() > self.now.as_ms() {
            Bearing::NotYet
        } else {
            Bearing::Ended
        }
    }
}

/// What a kind is asked for.
pub(crate) fn expect_kind(feature: &FeatureRule, expected: Kind) -> Result<(), crate::Error> {
    if feature.kind == expected {
        Ok(())
    } else {
        Err(crate::Error::WrongKind { feature: feature.key.as_str().into(), expected, actual: feature.kind })
    }
}
