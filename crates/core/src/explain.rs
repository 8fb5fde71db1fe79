//! Explanations: every contribution considered, applied or beaten and by what, from the path that decides.

use crate::compile::{Effect, FeatureRule, Setting};
use crate::decide::{
    self, Bearing, Candidate, Carrier, Decision, Fold, Gates, Inert, Layer, Payload, Reason, Standing, Tracer,
};
use crate::model::{Access, Action, Kind, Mode, Op, PhaseKind};
use crate::time::Interval;
use crate::{Error, FeatureKey, FeatureRef, PinnedTenant, PlanKey, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::sync::Arc;

/// Why an answer is what it is. It holds all that the answer rests on, and [recomputes](Self::recompute) to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(description = "Why an answer is what it is: all that the answer rests on."))]
pub struct Explanation {
    /// The tenant asked about.
    pub tenant: String,
    /// The feature asked about.
    pub feature: FeatureKey,
    /// Its kind.
    pub kind: Kind,
    /// The action asked about.
    pub action: Action,
    /// The instant asked about.
    pub at: Timestamp,
    /// The answer.
    pub decision: Decision,
    /// What the feature comes to.
    pub result: Comes,
    /// The plan that applies.
    pub plan: Option<PlanInForce>,
    /// How much the tenant may do.
    pub access: Access,
    /// Steps 0 to 2 of the ladder, in order: stale, killed, blocked.
    #[serde(serialize_with = "write_gates")]
    pub gates: [Gate; 3],
    /// Steps 3 and 4: every contribution, by layer (default, plan, add-ons, tenant), then by id (for add-ons: its key,
    /// the contribution's id, the licence's id). They are listed behind a closed gate too: they are what would count if
    /// it were open.
    pub contributions: Vec<Considered>,
    /// Step 5: every switch that the feature requires, directly or through others.
    pub prerequisites: Vec<Prerequisite>,
    /// Step 6: whether the tenant switched the feature off for itself.
    pub preferred_off: bool,
}

/// What a feature comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Comes {
    /// A switch: on or off.
    Switch(bool),
    /// A limit: its terms; a hard 0 when it is off.
    Limit {
        /// The amount; nothing when unlimited.
        amount: Option<u64>,
        /// What happens beyond it.
        mode: Mode,
        /// Percentages whose crossing is reported.
        thresholds: Arc<[u16]>,
    },
    /// A value; nothing when it is off.
    Value(Option<Arc<Value>>),
}

/// The plan that applies, and why it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanInForce {
    /// The plan.
    pub plan: PlanKey,
    /// Its version.
    pub version: u32,
    /// The phase that put the tenant on it.
    pub phase: String,
    /// Trial or paid.
    pub kind: PhaseKind,
    /// Whether the phase is pinned to the version; else it follows the plan.
    pub pinned: bool,
    /// Whether the phase has ended and only its grace has not.
    pub in_grace: bool,
}

/// A gate before the contributions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gate {
    /// The reason that the answer has when it is closed.
    pub gate: Reason,
    /// Whether it is closed.
    pub closed: bool,
    /// The kill switch or block that closes it.
    pub by: Option<String>,
}

/// A switch that the feature requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Prerequisite {
    /// The switch.
    pub feature: FeatureKey,
    /// Whether it is on, for the same action and instant.
    pub enabled: bool,
    /// Why.
    pub reason: Reason,
}

/// What became of a contribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is in the answer.
    Applied,
    /// Another one counts in its place.
    Beaten,
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Ended,
    /// Its add-on is not compatible with the plan that applies.
    #[serde(rename = "addon_incompatible")]
    AddOnIncompatible,
    /// The plan that applies includes its add-on; the paid licence counts for nothing.
    #[serde(rename = "addon_included")]
    AddOnIncluded,
    /// It stands on an add-on, and no plan applies.
    NoPlan,
    /// It is a revoke for another plan than the one that applies.
    OtherPlan,
}

/// One contribution, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Considered {
    /// The layer that it stands in.
    pub layer: Layer,
    /// The plan version (`growth@2`) or add-on that carries it; nothing for defaults and overrides.
    pub carrier: Option<String>,
    /// The licence of the add-on; nothing where the plan includes it.
    pub licence: Option<String>,
    /// Its id: `default` for the default, the override's id for an override.
    pub id: String,
    /// What it does.
    pub op: Op,
    #[serde(rename = "value", serialize_with = "write_value")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Value", description = "What it sets, pins or adds, as in definitions; null for a revoke.")
    )]
    effect: Effect,
    /// How many times it counts.
    pub quantity: u64,
    /// First instant at which it counts, its carrier considered.
    pub from: Option<Timestamp>,
    /// First instant at which it no longer counts, its carrier considered.
    pub until: Option<Timestamp>,
    /// Who decided it.
    pub author: Option<String>,
    /// Why, for an override.
    pub reason: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// The id of the contribution that beat it.
    pub by: Option<String>,
}

impl Considered {
    /// What it sets, pins or adds, as it is written in definitions; nothing for a revoke.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        write_value(&self.effect, serde_json::value::Serializer).ok().filter(|value| !value.is_null())
    }

    /// The contribution as the ladder takes it.
    fn candidate(&self, now: Timestamp) -> Candidate<'_> {
        let interval = Interval::new(self.from, self.until);
        let bearing = match self.verdict {
            Verdict::AddOnIncompatible => Bearing::Inert(Inert::Incompatible),
            Verdict::AddOnIncluded => Bearing::Inert(Inert::Included),
            Verdict::NoPlan => Bearing::Inert(Inert::NoPlan),
            Verdict::OtherPlan => Bearing::OtherPlan,
            _ if interval.contains(now) => Bearing::Counts,
            _ => Bearing::Ended,
        };
        let id = match self.layer {
            Layer::AddOn => [self.carrier.as_deref().unwrap_or(""), &*self.id, self.licence.as_deref().unwrap_or("")],
            _ => [&*self.id, "", ""],
        };
        Candidate {
            layer: self.layer,
            effect: &self.effect,
            interval,
            quantity: self.quantity,
            id,
            bearing,
            carrier: Carrier::Default,
        }
    }
}

/// To serde an array is a tuple, which some languages tell from a list: answers have lists.
fn write_gates<S: Serializer>(gates: &[Gate; 3], serializer: S) -> Result<S::Ok, S::Error> {
    gates.as_slice().serialize(serializer)
}

fn write_value<S: Serializer>(effect: &Effect, serializer: S) -> Result<S::Ok, S::Error> {
    match effect {
        Effect::Set(Setting::Value(value)) | Effect::Pin(Setting::Value(value)) => value.serialize(serializer),
        Effect::Set(Setting::Switch(on)) | Effect::Pin(Setting::Switch(on)) => serializer.serialize_bool(*on),
        Effect::Set(Setting::Limit(terms)) | Effect::Pin(Setting::Limit(terms)) => terms.serialize(serializer),
        Effect::Add(amount) => serializer.serialize_u64(*amount),
        Effect::Mode(mode) => mode.serialize(serializer),
        Effect::Revoke { .. } => serializer.serialize_none(),
    }
}

impl Explanation {
    /// Computes the answer again, from nothing but what the explanation lists, by the rules that made it.
    ///
    /// An explanation that was altered, or cut short, does not recompute to its decision.
    #[must_use]
    pub fn recompute(&self) -> (Decision, Comes) {
        let mut fold = Fold::default();
        for contribution in &self.contributions {
            fold.push(contribution.candidate(self.at));
        }
        let [stale, killed, blocked] = self.gates.each_ref().map(|gate| gate.closed);
        let own = decide::own(Gates { stale, killed, blocked }, &fold);
        let required_on = || self.prerequisites.iter().all(|required| required.enabled);
        let code = decide::settle(own, required_on, self.preferred_off);
        let block = self.decision.block;
        (code.decision(block, self.decision.provenance()), comes(code.is_on(), fold.payload()))
    }

    /// Whether it recomputes to the answer that it explains.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.recompute() == (self.decision, self.result.clone())
    }
}

fn comes(on: bool, payload: Payload<'_>) -> Comes {
    match payload {
        Payload::Switch(set) => Comes::Switch(on && set),
        Payload::Limit { amount, mode, thresholds } if on => {
            Comes::Limit { amount: amount.finite(), mode, thresholds: thresholds.cloned().unwrap_or_default() }
        }
        Payload::Limit { .. } => Comes::Limit { amount: Some(0), mode: Mode::Hard, thresholds: Arc::default() },
        Payload::Value(value) => Comes::Value(on.then(|| value.clone())),
    }
}

/// Hears every candidate.
struct Listener<'s>(Vec<Candidate<'s>>);

impl<'s> Tracer<'s> for Listener<'s> {
    const LISTENS: bool = true;
    fn hear(&mut self, candidate: &Candidate<'s>) {
        self.0.push(*candidate);
    }
}

impl PinnedTenant<'_> {
    /// Why an answer is what it is.
    ///
    /// # Errors
    /// `unknown_feature`.
    pub fn explain(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<Explanation, Error> {
        let ix = feature.locate(self.snapshot)?;
        let rule = self.rule(ix)?;
        let standing = self.standing(now);
        let mut heard = Listener(Vec::with_capacity(8));
        let (code, fold) = standing.resolve(ix, rule, action, &mut heard);
        heard.0.sort_by_key(|candidate| (candidate.layer, candidate.id));
        let block = standing.block.map(|block| block.kind);
        let prerequisites = rule.all_required.iter().filter_map(|switch| {
            let required = standing.rules.feature(*switch)?;
            let (code, _) = standing.resolve(*switch, required, action, &mut decide::Silent);
            Some(Prerequisite { feature: required.key.clone(), enabled: code.is_on(), reason: code.reason })
        });
        Ok(Explanation {
            tenant: self.id().to_owned(),
            feature: rule.key.clone(),
            kind: rule.kind,
            action,
            at: now,
            decision: code.decision(block, self.snapshot.provenance(now)),
            result: comes(code.is_on(), fold.payload()),
            plan: plan_in_force(&standing),
            access: standing.access,
            gates: gates(&standing, rule, action),
            contributions: heard.0.iter().map(|candidate| considered(candidate, &fold, &standing)).collect(),
            prerequisites: prerequisites.collect(),
            preferred_off: standing.prefers_off(ix),
        })
    }
}

fn plan_in_force(standing: &Standing<'_>) -> Option<PlanInForce> {
    standing.applying.map(|applying| PlanInForce {
        plan: applying.plan.key.clone(),
        version: applying.version.number,
        phase: standing.record.text(applying.phase.id).to_owned(),
        kind: applying.phase.kind,
        pinned: applying.phase.pinned().is_some(),
        in_grace: !applying.phase.interval.contains(standing.now),
    })
}

fn gates(standing: &Standing<'_>, rule: &FeatureRule, action: Action) -> [Gate; 3] {
    let gates = standing.gates(rule, action);
    let kill = rule.kills.iter().find(|(_, interval)| interval.contains(standing.now));
    let block = standing.block.filter(|_| gates.blocked);
    [
        Gate { gate: Reason::Stale, closed: gates.stale, by: None },
        Gate { gate: Reason::Killed, closed: gates.killed, by: kill.map(|(id, _)| id.to_string()) },
        Gate {
            gate: Reason::Blocked,
            closed: gates.blocked,
            by: block.map(|block| standing.record.text(block.id).to_owned()),
        },
    ]
}

fn considered(candidate: &Candidate<'_>, fold: &Fold<'_>, standing: &Standing<'_>) -> Considered {
    let (verdict, by) = verdict(candidate, fold);
    let text = |text| Some(standing.record.text(text).to_owned());
    let plan = || standing.applying.map(|a| format!("{}@{}", a.plan.key, a.version.number));
    let owned = |author: &Option<Box<str>>| author.as_deref().map(str::to_owned);
    let (carrier, licence, author, reason) = match candidate.carrier {
        Carrier::Default => (None, None, None, None),
        Carrier::Plan(contribution) => (plan(), None, owned(&contribution.author), None),
        Carrier::AddOn(add_on, contribution, licence) => (
            Some(add_on.key.to_string()),
            licence.map(|licence| standing.record.text(licence.id).to_owned()),
            owned(&contribution.author),
            None,
        ),
        Carrier::Tenant(this) => (None, None, text(this.actor), text(this.reason)),
    };
    Considered {
        layer: candidate.layer,
        carrier,
        licence,
        id: own_id(candidate).to_owned(),
        op: candidate.effect.op(),
        effect: candidate.effect.clone(),
        quantity: candidate.quantity,
        from: candidate.interval.from(),
        until: candidate.interval.until(),
        author,
        reason,
        verdict,
        by: by.map(|winner| own_id(&winner).to_owned()),
    }
}

/// The id of the contribution itself, without those of its carrier and licence.
fn own_id<'s>(candidate: &Candidate<'s>) -> &'s str {
    let [first, second, _] = candidate.id;
    if candidate.layer == Layer::AddOn { second } else { first }
}

/// What became of a candidate, and what beat it.
fn verdict<'s>(candidate: &Candidate<'s>, fold: &Fold<'s>) -> (Verdict, Option<Candidate<'s>>) {
    match candidate.bearing {
        Bearing::Counts => {}
        Bearing::NotYet => return (Verdict::NotYet, None),
        Bearing::Ended => return (Verdict::Ended, None),
        Bearing::Inert(Inert::Incompatible) => return (Verdict::AddOnIncompatible, None),
        Bearing::Inert(Inert::Included) => return (Verdict::AddOnIncluded, None),
        Bearing::Inert(Inert::NoPlan) => return (Verdict::NoPlan, None),
        Bearing::OtherPlan => return (Verdict::OtherPlan, None),
    }
    let is = |other: &Candidate<'s>| std::ptr::eq(candidate.effect, other.effect) && candidate.id == other.id;
    let held = match candidate.effect {
        Effect::Revoke { .. } => fold.revoke,
        // A revoke takes everything else away.
        _ if fold.revoke.is_some() => fold.revoke,
        Effect::Set(_) | Effect::Pin(_) => fold.base,
        Effect::Mode(_) => fold.mode,
        // Nothing stacks on a pin, and unlimited absorbs.
        Effect::Add(_) => match fold.base.map(|base| base.effect) {
            Some(Effect::Set(Setting::Limit(terms))) if terms.amount.finite().is_some() => None,
            _ => fold.base,
        },
    };
    match held {
        Some(winner) if !is(&winner) => (Verdict::Beaten, Some(winner)),
        _ => (Verdict::Applied, None),
    }
}

impl Serialize for crate::compile::Terms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut terms = serializer.serialize_struct("Grant", 3)?;
        terms.serialize_field("amount", &self.amount)?;
        terms.serialize_field("mode", &self.mode)?;
        terms.serialize_field("thresholds", self.thresholds.as_deref().unwrap_or_default())?;
        terms.end()
    }
}
