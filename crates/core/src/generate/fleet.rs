//! Fleets that look like a real SaaS business: few plans, skewed add-ons, some overrides, rare trouble.

use super::{Choices, made};
use crate::model::{
    Access, AddOn, Amount, Block, BlockKind, Contribution, Definitions, Feature, FeatureKind, Grant, LaidBy, Licence,
    Mode, Moves, Op, Override, Phase, PhaseKind, Plan, PlanVersion, Preferences, Price, PricePeriod, Records,
    Staleness, Tenant, ValueType, Window,
};
use crate::{AddOnKey, FeatureKey, GroupKey, PlanKey, SortedMap, Timestamp, UtcOffset};
use serde_json::{Value, json};

/// How large a fleet is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSpec {
    /// Tenants.
    pub tenants: usize,
    /// Features: seven in ten are switches, two limits, one a value.
    pub features: usize,
    /// Plans, each in three versions.
    pub plans: usize,
    /// Add-ons.
    pub add_ons: usize,
    /// Equal seeds make equal fleets.
    pub seed: u64,
}

impl Default for FleetSpec {
    fn default() -> Self {
        Self { tenants: 1_000, features: 200, plans: 5, add_ons: 20, seed: 1 }
    }
}

impl FleetSpec {
    /// The instant around which the fleet lives: its versions, phases and blocks lie before and after it.
    #[must_use]
    pub fn reference_instant() -> Timestamp {
        at(REFERENCE_DAY)
    }
}

const DAY_MS: i64 = 86_400_000;
/// 2026-06-15.
const REFERENCE_DAY: i64 = 20_619;

fn at(day: i64) -> Timestamp {
    Timestamp::from_ms(day * DAY_MS).unwrap_or(Timestamp::MAX)
}

/// Makes a fleet.
#[must_use]
pub fn fleet(spec: &FleetSpec) -> Definitions {
    let mut choices = Choices::from_seed(spec.seed);
    let mut definitions = Definitions::default();
    for number in 0..spec.features {
        definitions.features.extend(feature(number, &mut choices));
    }
    let features: Vec<(FeatureKey, FeatureKind)> =
        definitions.features.iter().map(|(key, feature)| (key.clone(), feature.kind.clone())).collect();
    let plans: Vec<PlanKey> = (0..spec.plans).filter_map(|n| made(&format!("plan_{n:03}"))).collect();
    for (rank, key) in plans.iter().enumerate() {
        definitions.plans.insert(key.clone(), plan(rank, spec.plans, &features, &mut choices));
    }
    let add_ons: Vec<AddOnKey> = (0..spec.add_ons).filter_map(|n| made(&format!("add_on_{n:03}"))).collect();
    for (number, key) in add_ons.iter().enumerate() {
        definitions.add_ons.insert(key.clone(), add_on(number, &plans, &features, &mut choices));
    }
    let world = World { features: &features, plans: &plans, add_ons: &add_ons };
    for number in 0..spec.tenants {
        let id = made(&format!("org-{:012x}", (number as u64).wrapping_mul(0x5851_f42d_4c95_7f2d) >> 16));
        definitions.tenants.extend(id.zip(world.tenant(number, &mut choices)));
    }
    definitions
}

fn feature(number: usize, choices: &mut Choices<'_>) -> Option<(FeatureKey, Feature)> {
    let (name, group, kind) = match number % 10 {
        7 | 8 => {
            let window = choices.one_of(Window::None, &[Window::Month, Window::Month, Window::Day, Window::Year]);
            ("limit", "limits", FeatureKind::Limit { unit: "unit".into(), window, default: Grant::default() })
        }
        9 => (
            "setting",
            "settings",
            match choices.below(3) {
                0 => FeatureKind::Value { value_type: ValueType::String, default: json!("standard") },
                1 => FeatureKind::Value { value_type: ValueType::Integer, default: json!(30) },
                _ => FeatureKind::Value { value_type: ValueType::Json, default: json!({ "theme": "plain" }) },
            },
        ),
        3 | 6 => ("extra", "add_on", FeatureKind::Switch { default: false }),
        _ => ("module", "module", FeatureKind::Switch { default: choices.percent(10) }),
    };
    // Every seventh switch stands on the first one.
    let requires = if number % 7 == 5 { made("module_0000").into_iter().collect() } else { Vec::new() };
    let feature = Feature {
        kind,
        name: format!("Feature {number}"),
        name2: format!("ميزة {number}"),
        group: made::<GroupKey>(group)?,
        requires,
        min_access: if number % 50 == 1 { Access::BillingOnly } else { Access::Full },
        min_read: if number % 50 == 1 { Access::BillingOnly } else { Access::ReadOnly },
        staleness: Staleness::Serve,
    };
    Some((made(&format!("{name}_{number:04}"))?, feature))
}

/// A larger plan has a larger share of the features.
fn plan(rank: usize, plans: usize, features: &[(FeatureKey, FeatureKind)], choices: &mut Choices<'_>) -> Plan {
    let share = 30 + 60 * (rank as u64 + 1) / plans.max(1) as u64;
    let base: Vec<Contribution> = features
        .iter()
        .filter(|_| choices.percent(share))
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|(key, kind)| contribution(key, kind, rank as u64 + 1, choices))
        .collect();
    let version = |number: i64, moves: Moves| {
        // Later versions give a little more.
        let kept = base.len() * (8 + usize::try_from(number).unwrap_or(0)) / 11;
        PlanVersion {
            effective_from: at(REFERENCE_DAY - 900 + 300 * (number - 1)),
            moves,
            contributions: base.iter().take(kept).cloned().collect(),
        }
    };
    Plan {
        name: format!("Plan {rank}"),
        name2: format!("باقة {rank}"),
        rank: 10 * (u32::try_from(rank).unwrap_or(0) + 1),
        price: Price { amount: format!("{}.500", 9 + 20 * rank), currency: "OMR".into(), period: PricePeriod::Month },
        versions: SortedMap::from([
            (1, version(1, Moves::Now)),
            (2, version(2, Moves::Renewal)),
            (3, version(3, Moves::Never)),
        ]),
    }
}

fn contribution(key: &FeatureKey, kind: &FeatureKind, size: u64, choices: &mut Choices<'_>) -> Option<Contribution> {
    let value = match kind {
        FeatureKind::Switch { default: true } => return None,
        FeatureKind::Switch { default: false } => json!(true),
        FeatureKind::Value { value_type: ValueType::String, .. } => json!(format!("level-{size}")),
        FeatureKind::Value { value_type: ValueType::Integer, .. } => json!(10 * size),
        FeatureKind::Value { value_type: ValueType::Json, .. } => json!({ "theme": "plain", "columns": size }),
        FeatureKind::Limit { .. } => {
            let mode = choices.one_of(Mode::Hard, &[Mode::Hard, Mode::Soft, Mode::Billable]);
            let amount = if choices.percent(5) { json!("unlimited") } else { json!(size * 50) };
            json!({ "amount": amount, "mode": mode, "thresholds": [80, 100] })
        }
    };
    Some(Contribution { id: None, feature: key.clone(), op: Op::Set, value, from: None, until: None, author: None })
}

/// An add-on that turns one or two switches on, or adds to a limit.
fn add_on(
    number: usize,
    plans: &[PlanKey],
    features: &[(FeatureKey, FeatureKind)],
    choices: &mut Choices<'_>,
) -> AddOn {
    let wanted = |(_, kind): &&(FeatureKey, FeatureKind)| match kind {
        FeatureKind::Switch { default } => !default && number.is_multiple_of(2),
        FeatureKind::Limit { .. } => number % 2 == 1,
        FeatureKind::Value { .. } => false,
    };
    let fitting: Vec<&(FeatureKey, FeatureKind)> = features.iter().filter(wanted).collect();
    let mut contributions: Vec<Contribution> = Vec::new();
    for _ in 0..=choices.below(2) {
        let Some((key, kind)) = choices.pick(&fitting) else { continue };
        if contributions.iter().any(|held| held.feature == *key) {
            continue;
        }
        let (op, value) = match kind {
            FeatureKind::Limit { .. } => (Op::Add, json!(5 + choices.below(10))),
            _ => (Op::Set, json!(true)),
        };
        let feature = key.clone();
        contributions.push(Contribution { id: None, feature, op, value, from: None, until: None, author: None });
    }
    let largest = plans.last().filter(|_| number.is_multiple_of(5)).cloned();
    AddOn {
        name: format!("Add-on {number}"),
        name2: format!("إضافة {number}"),
        compatible_with: plans.to_vec(),
        included_in: largest.into_iter().collect(),
        contributions,
    }
}

struct World<'w> {
    features: &'w [(FeatureKey, FeatureKind)],
    plans: &'w [PlanKey],
    add_ons: &'w [AddOnKey],
}

impl World<'_> {
    fn tenant(&self, number: usize, choices: &mut Choices<'_>) -> Option<Tenant> {
        let region = choices.one_of("GCC-OM", &["GCC-OM", "GCC-SA", "EU"]);
        let began = REFERENCE_DAY - 1 - i64::try_from(choices.below(1_000)).unwrap_or(0);
        Some(Tenant {
            name: format!("Tenant {number}"),
            name2: format!("مستأجر {number}"),
            region: made(region)?,
            anchor: at(began),
            utc_offset_minutes: UtcOffset::from_minutes(if region == "EU" { 60 } else { 240 })?,
            phases: self.phases(began, choices),
            licences: self.licences(began, choices),
            overrides: self.overrides(choices),
            blocks: blocks(choices),
            preferences: self.preferences(choices),
            workflows: SortedMap::new(),
        })
    }

    fn phases(&self, began: i64, choices: &mut Choices<'_>) -> Records<Phase> {
        let mut phases = Records::default();
        // Smaller plans are sold more often.
        let size = self.plans.len();
        let (one, other) = (choices.below(size), choices.below(size));
        let Some(plan) = self.plans.get(one.min(other)) else { return phases };
        let phase = |kind, plan: &PlanKey, from, until: Option<i64>, grace: Option<i64>| Phase {
            kind,
            plan: plan.clone(),
            version: None,
            from: at(from),
            until: until.map(at),
            grace_until: grace.map(at),
        };
        let on_trial = choices.percent(8);
        if choices.percent(92) {
            let ends = choices.percent(10).then_some(REFERENCE_DAY - 3);
            let paid = phase(
                PhaseKind::Paid,
                plan,
                began,
                ends.filter(|end| *end > began),
                ends.filter(|end| *end > began).map(|end| end + 14),
            );
            phases.extend(made("paid-1").map(|id| (id, paid)));
        }
        if on_trial {
            let bigger = self.plans.last().unwrap_or(plan);
            let end = REFERENCE_DAY + 1 + i64::try_from(choices.below(14)).unwrap_or(0);
            let trial = phase(PhaseKind::Trial, bigger, end - 14, Some(end), None);
            phases.extend(made("trial-1").map(|id| (id, trial)));
        }
        phases
    }

    fn licences(&self, began: i64, choices: &mut Choices<'_>) -> Records<Licence> {
        let mut licences = Records::default();
        let count = if choices.percent(45) { 1 + choices.below(2) } else { 0 };
        for number in 0..count {
            // A few add-ons are popular, most are not.
            let size = self.add_ons.len();
            let at_most = choices.below(size);
            let popular = choices.below(at_most + 1);
            let Some(add_on) = self.add_ons.get(popular) else { continue };
            let quantity = if choices.percent(25) { 2 + choices.below(3) as u64 } else { 1 };
            let licence = Licence { add_on: add_on.clone(), quantity, from: at(began), until: None };
            licences.extend(made(&format!("lic-{number}")).map(|id| (id, licence)));
        }
        licences
    }

    fn overrides(&self, choices: &mut Choices<'_>) -> Records<Override> {
        let mut overrides = Records::default();
        let count = if choices.percent(12) { 1 + choices.below(2) } else { 0 };
        for number in 0..count {
            let Some((key, kind)) = choices.pick(self.features) else { continue };
            let (op, value): (Op, Option<Value>) = match kind {
                FeatureKind::Switch { .. } if choices.percent(20) => (Op::Revoke, None),
                FeatureKind::Switch { .. } => (Op::Set, Some(json!(true))),
                FeatureKind::Limit { .. } if choices.percent(50) => (Op::Add, Some(json!(10))),
                FeatureKind::Limit { .. } => {
                    let amount = Amount::new(100 * (1 + choices.below(5) as u64)).unwrap_or_default();
                    (Op::Set, Some(json!({ "amount": amount })))
                }
                FeatureKind::Value { value_type: ValueType::String, .. } => (Op::Set, Some(json!("custom"))),
                FeatureKind::Value { value_type: ValueType::Integer, .. } => (Op::Set, Some(json!(60))),
                FeatureKind::Value { .. } => (Op::Set, Some(json!({ "theme": "custom" }))),
            };
            let until = choices.percent(30).then(|| at(REFERENCE_DAY + 30));
            let this = Override {
                feature: key.clone(),
                op,
                value,
                plan: None,
                from: None,
                until,
                reason: "agreed in the contract".into(),
                actor: "success-team".into(),
            };
            overrides.extend(made(&format!("ovr-{number}")).map(|id| (id, this)));
        }
        overrides
    }

    fn preferences(&self, choices: &mut Choices<'_>) -> Preferences {
        let switch = choices.pick(self.features).filter(|(_, kind)| matches!(kind, FeatureKind::Switch { .. }));
        Preferences { off: switch.filter(|_| choices.percent(5)).map(|(key, _)| key.clone()).into_iter().collect() }
    }
}

fn blocks(choices: &mut Choices<'_>) -> Records<Block> {
    if !choices.percent(5) {
        return Records::default();
    }
    let kind = choices.one_of(
        BlockKind::Warned,
        &[BlockKind::Warned, BlockKind::Restricted, BlockKind::Suspended, BlockKind::Frozen, BlockKind::Archived],
    );
    let block = Block {
        kind,
        laid_by: LaidBy::Billing,
        level: None,
        since: at(REFERENCE_DAY - 10),
        until: None,
        reason: "invoice overdue".into(),
    };
    made("blk-0").map(|id| (id, block)).into_iter().collect()
}
