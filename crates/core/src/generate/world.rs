//! Small worlds in which everything meets: overlapping phases, contested features, ties, boundaries that coincide.

use super::{Choices, made};
use crate::model::{
    Access, Action, AddOn, Block, BlockKind, Contribution, Definitions, Feature, FeatureKind, Grant, Kill, LaidBy,
    Licence, Mode, Moves, Op, Override, Phase, PhaseKind, Plan, PlanVersion, Preferences, Price, PricePeriod, Records,
    Staleness, Tenant, ValueType, Window,
};
use crate::{AddOnKey, FeatureKey, PlanKey, RecordId, TenantId, Timestamp, UtcOffset};
use serde_json::{Value, json};

/// A question about a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The tenant asked about.
    pub tenant: TenantId,
    /// The feature asked about.
    pub feature: FeatureKey,
    /// The action asked about.
    pub action: Action,
    /// The instant asked about.
    pub now: Timestamp,
    /// For a limit, what is in use.
    pub used: i64,
    /// For a limit, what is requested.
    pub requested: i64,
}

const FEATURES: usize = 9;
const PLANS: usize = 3;
const ADD_ONS: usize = 3;
const TENANTS: usize = 2;
/// Everything happens on a grid of so many instants, so that boundaries coincide.
const INSTANTS: usize = 12;

/// The grid of instants on which everything begins and ends: about a week apart, over month ends.
#[must_use]
pub fn instants() -> Vec<Timestamp> {
    (0..INSTANTS as i64).filter_map(|n| Timestamp::from_ms(1_767_225_600_000 + n * 8 * 86_400_000).ok()).collect()
}

fn instant(choices: &mut Choices<'_>) -> Timestamp {
    let grid = instants();
    choices.pick(&grid).copied().unwrap_or(Timestamp::MIN)
}

/// Makes a small world. It is always well-formed; sums may exceed 2^53 − 1, and then it does not compile.
#[must_use]
pub fn world(choices: &mut Choices<'_>) -> Definitions {
    let mut definitions = Definitions::default();
    for number in 0..FEATURES {
        definitions.features.extend(feature(number, choices));
    }
    let maker = Maker {
        features: definitions.features.iter().map(|(key, feature)| (key.clone(), feature.kind.clone())).collect(),
        plans: (0..PLANS).filter_map(|n| made(&format!("plan{n}"))).collect(),
        add_ons: (0..ADD_ONS).filter_map(|n| made(&format!("extra{n}"))).collect(),
    };
    for (rank, key) in maker.plans.iter().enumerate() {
        definitions.plans.insert(key.clone(), maker.plan(rank, choices));
    }
    for key in &maker.add_ons {
        definitions.add_ons.insert(key.clone(), maker.add_on(choices));
    }
    if choices.percent(20)
        && let Some((feature, _)) = choices.pick(&maker.features)
    {
        let (since, until) = interval(choices);
        let since = since.unwrap_or(Timestamp::MIN);
        let kill = Kill { feature: feature.clone(), since, until, reason: "incident".into(), actor: "ops".into() };
        definitions.kills.extend(made("kill0").map(|id| (id, kill)));
    }
    for number in 0..TENANTS {
        let tenant = maker.tenant(choices);
        definitions.tenants.extend(made(&format!("tenant{number}")).zip(tenant));
    }
    definitions
}

/// A question about a world, mostly on its grid of instants.
#[must_use]
pub fn question(definitions: &Definitions, choices: &mut Choices<'_>) -> Option<Question> {
    let tenants: Vec<&TenantId> = definitions.tenants.keys().collect();
    let features: Vec<&FeatureKey> = definitions.features.keys().collect();
    let tenant = choices.pick(&tenants).map(|id| (*id).clone())?;
    let feature = choices.pick(&features).map(|key| (*key).clone())?;
    let shift = choices.one_of(0, &[-1, 1, 43_200_000]);
    let now = Timestamp::from_ms(instant(choices).as_ms() + shift).ok()?;
    Some(Question {
        tenant,
        feature,
        action: choices.one_of(Action::Use, &[Action::Read]),
        now,
        used: choices.one_of(0, &[1, 4, 5, 6, 9, 10, 11, 50, (1 << 53) - 1]),
        requested: choices.one_of(1, &[0, 2, 5, 100, (1 << 53) - 1]),
    })
}

fn interval(choices: &mut Choices<'_>) -> (Option<Timestamp>, Option<Timestamp>) {
    let (a, b) = (instant(choices), instant(choices));
    match choices.below(4) {
        0 => (None, None),
        1 => (Some(a), None),
        2 => (None, Some(b)),
        _ if a == b => (Some(a), None),
        _ => (Some(a.min(b)), Some(a.max(b))),
    }
}

/// Kinds in turn: mostly switches and limits.
fn feature(number: usize, choices: &mut Choices<'_>) -> Option<(FeatureKey, Feature)> {
    let kind = match number {
        4..=6 => FeatureKind::Limit {
            unit: "unit".into(),
            window: choices.one_of(Window::None, &[Window::Day, Window::Month, Window::Year]),
            default: if choices.percent(40) { grant(choices) } else { Grant::default() },
        },
        7.. => FeatureKind::Value { value_type: ValueType::String, default: json!("default") },
        _ => FeatureKind::Switch { default: choices.percent(25) },
    };
    // Only earlier switches, so that there is no circle.
    let required = choices.percent(30).then(|| choices.below(number.min(4)));
    let requires = required.filter(|_| number > 0).and_then(|n| made(&format!("f{n}"))).into_iter().collect();
    let feature = Feature {
        kind,
        name: format!("Feature {number}"),
        name2: format!("ميزة {number}"),
        group: made(choices.one_of("module", &["add_on", "other"]))?,
        requires,
        min_access: choices.one_of(Access::Full, &[Access::ReadOnly, Access::BillingOnly, Access::None]),
        min_read: choices.one_of(Access::ReadOnly, &[Access::BillingOnly, Access::None]),
        staleness: choices.one_of(Staleness::Serve, &[Staleness::Off]),
    };
    Some((made(&format!("f{number}"))?, feature))
}

fn grant(choices: &mut Choices<'_>) -> Grant {
    let amount = choices.one_of(5, &[0, 1, 10, 100, u64::MAX, (1 << 53) - 1]);
    Grant {
        amount: crate::model::Amount::new(amount).unwrap_or(crate::model::Amount::UNLIMITED),
        mode: choices.one_of(Mode::Hard, &[Mode::Soft, Mode::Billable]),
        thresholds: if choices.percent(40) { vec![50, 100, 150] } else { Vec::new() },
    }
}

fn set_value(kind: &FeatureKind, choices: &mut Choices<'_>) -> Value {
    match kind {
        FeatureKind::Switch { .. } => json!(true),
        FeatureKind::Limit { .. } => json!(grant(choices)),
        FeatureKind::Value { .. } => json!(choices.one_of("a", &["b", "c"])),
    }
}

struct Maker {
    features: Vec<(FeatureKey, FeatureKind)>,
    plans: Vec<PlanKey>,
    add_ons: Vec<AddOnKey>,
}

impl Maker {
    fn plan(&self, rank: usize, choices: &mut Choices<'_>) -> Plan {
        let versions = 1 + choices.below(3);
        let starts = instants();
        Plan {
            name: format!("Plan {rank}"),
            name2: format!("باقة {rank}"),
            rank: u32::try_from(rank).unwrap_or(0),
            price: Price {
                amount: "5".into(),
                currency: "OMR".into(),
                period: choices.one_of(PricePeriod::Month, &[PricePeriod::Year]),
            },
            versions: (1_u32..)
                .take(versions)
                .zip(starts.into_iter().step_by(3))
                .map(|(number, effective_from)| {
                    let moves = choices.one_of(Moves::Now, &[Moves::Renewal, Moves::Never]);
                    (number, PlanVersion { effective_from, moves, contributions: self.contributions(false, choices) })
                })
                .collect(),
        }
    }

    fn add_on(&self, choices: &mut Choices<'_>) -> AddOn {
        let some = |choices: &mut Choices<'_>, percent| -> Vec<PlanKey> {
            self.plans.iter().filter(|_| choices.percent(percent)).cloned().collect()
        };
        AddOn {
            name: "Extra".into(),
            name2: "إضافة".into(),
            compatible_with: some(choices, 70),
            included_in: some(choices, 25),
            contributions: self.contributions(true, choices),
        }
    }

    /// At most one base per feature, or two that meet, so that none overlap; adds besides.
    fn contributions(&self, of_add_on: bool, choices: &mut Choices<'_>) -> Vec<Contribution> {
        let mut made_so_far = Vec::new();
        for (key, kind) in &self.features {
            let is_switch = matches!(kind, FeatureKind::Switch { .. });
            let mut push = |op, value, from, until| {
                let (feature, author) = (key.clone(), None);
                made_so_far.push(Contribution { id: None, feature, op, value, from, until, author });
            };
            // What an add-on sets may not be below the default.
            let has_default = matches!(kind, FeatureKind::Limit { default, .. } if *default != Grant::default());
            if choices.percent(50) && !(of_add_on && has_default) {
                let op = if !of_add_on && !is_switch && choices.percent(25) { Op::Pin } else { Op::Set };
                let (from, until) = interval(choices);
                push(op, set_value(kind, choices), from, until);
                if until.is_some() && choices.percent(50) {
                    push(Op::Set, set_value(kind, choices), until, None);
                }
            }
            if of_add_on && matches!(kind, FeatureKind::Limit { .. }) && choices.percent(50) {
                let (from, until) = interval(choices);
                push(Op::Add, json!(choices.one_of(1_u64, &[3, 1_000_000])), from, until);
            }
        }
        made_so_far
    }

    fn tenant(&self, choices: &mut Choices<'_>) -> Option<Tenant> {
        let mut tenant = Tenant {
            name: "Tenant".into(),
            name2: "مستأجر".into(),
            region: made("GCC-OM")?,
            anchor: Timestamp::from_ms(1_767_225_600_000 - i64::try_from(choices.below(70)).ok()? * 86_400_000).ok()?,
            utc_offset_minutes: UtcOffset::from_minutes(choices.one_of(0, &[240, -300, 1080]))?,
            phases: Records::default(),
            licences: Records::default(),
            overrides: Records::default(),
            blocks: Records::default(),
            preferences: Preferences::default(),
            workflows: crate::SortedMap::new(),
        };
        for number in 0..choices.below(4) {
            tenant.phases.extend(made(&format!("ph{number}")).zip(self.phase(choices)));
        }
        for number in 0..choices.below(4) {
            let (from, until) = interval(choices);
            let licence = Licence {
                add_on: choices.pick(&self.add_ons)?.clone(),
                quantity: choices.one_of(1, &[2, 7]),
                from: from.unwrap_or(Timestamp::MIN),
                until,
            };
            tenant.licences.extend(made(&format!("li{number}")).map(|id| (id, licence)));
        }
        for number in 0..choices.below(6) {
            tenant.overrides.extend(made(&format!("ov{number}")).zip(self.override_(choices)));
        }
        for number in 0..choices.below(3) {
            tenant.blocks.extend(made::<RecordId>(&format!("bl{number}")).map(|id| (id, block(choices))));
        }
        let switches = self.features.iter().filter(|(_, kind)| matches!(kind, FeatureKind::Switch { .. }));
        tenant.preferences.off = switches.filter(|_| choices.percent(10)).map(|(key, _)| key.clone()).collect();
        Some(tenant)
    }

    fn phase(&self, choices: &mut Choices<'_>) -> Option<Phase> {
        let kind = choices.one_of(PhaseKind::Paid, &[PhaseKind::Trial]);
        let (from, until) = interval(choices);
        let grace = until.filter(|_| kind == PhaseKind::Paid && choices.percent(40));
        Some(Phase {
            kind,
            plan: choices.pick(&self.plans)?.clone(),
            version: choices.percent(20).then_some(1),
            from: from.unwrap_or(Timestamp::MIN),
            until,
            grace_until: grace.and_then(|until| Timestamp::from_ms(until.as_ms() + 8 * 86_400_000).ok()),
        })
    }

    fn override_(&self, choices: &mut Choices<'_>) -> Option<Override> {
        let (feature, kind) = choices.pick(&self.features)?;
        let (op, value) = match (choices.below(5), kind) {
            (1, _) => (Op::Revoke, None),
            (2, FeatureKind::Limit { .. }) => (Op::Add, Some(json!(choices.one_of(2_u64, &[50, (1 << 53) - 1])))),
            (3, FeatureKind::Limit { .. }) => (Op::Mode, Some(json!(choices.one_of("soft", &["hard", "billable"])))),
            (4, FeatureKind::Limit { .. } | FeatureKind::Value { .. }) => (Op::Pin, Some(set_value(kind, choices))),
            (_, FeatureKind::Switch { .. }) => (Op::Set, Some(json!(choices.percent(50)))),
            _ => (Op::Set, Some(set_value(kind, choices))),
        };
        let (from, until) = interval(choices);
        let plan = if op == Op::Revoke && choices.percent(50) { choices.pick(&self.plans).cloned() } else { None };
        let (reason, actor) = ("agreed".into(), "staff".into());
        Some(Override { feature: feature.clone(), op, value, plan, from, until, reason, actor })
    }
}

fn block(choices: &mut Choices<'_>) -> Block {
    let (since, until) = interval(choices);
    let kind = choices.pick(BlockKind::ALL).copied().unwrap_or(BlockKind::Warned);
    let level = if choices.percent(20) { choices.pick(Access::ALL).copied() } else { None };
    let laid_by = choices.pick(LaidBy::ALL).copied().unwrap_or(LaidBy::Staff);
    Block { kind, laid_by, level, since: since.unwrap_or(Timestamp::MIN), until, reason: "overdue".into() }
}
