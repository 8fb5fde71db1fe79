//! What the resolver reads of one tenant: its facts, typed and packed.

use super::check::Check;
use super::rules::{AddOnIx, Carrier, Effect, FeatureIx, PlanIx, Rules};
use crate::model::{self, Access, BlockKind, DiagnosticCode, LaidBy, PhaseKind};
use crate::time::{Calendar, Interval};
use crate::{Hash, Timestamp, WorkflowKey, time::UtcOffset};
use std::sync::Arc;

/// A stretch of a tenant's text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Text {
    start: u32,
    length: u32,
}

/// One tenant. Lists are sorted by the ids that people gave, so that a position compares like an id.
///
/// All texts share one allocation, and what few tenants have stands behind one pointer: a fleet of 100,000 is held in
/// memory whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    text: Box<str>,
    pub(crate) phases: Box<[Phase]>,
    pub(crate) licences: Box<[Licence]>,
    exceptions: Option<Box<Exceptions>>,
    pub(crate) anchor: Timestamp,
    pub(crate) utc_offset: UtcOffset,
    id_length: u8,
}

/// What few tenants have.
#[derive(Debug, Clone, Default, PartialEq)]
struct Exceptions {
    overrides: Box<[Override]>,
    blocks: Box<[Block]>,
    switched_off: Box<[FeatureIx]>,
    workflows: Box<[LaidOver]>,
}

/// What a tenant lays over a workflow template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LaidOver {
    pub(crate) workflow: WorkflowKey,
    pub(crate) laid: Arc<model::TenantWorkflow>,
    /// What tells it from others.
    pub(crate) hash: Hash,
}

/// A trial or paid term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Phase {
    pub(crate) id: Text,
    pub(crate) kind: PhaseKind,
    pub(crate) plan: PlanIx,
    /// The pinned version; 0 follows the plan.
    pinned: u32,
    pub(crate) interval: Interval,
    /// Until when it applies: the end of grace, or of the term.
    applies_until_ms: i64,
}

impl Phase {
    pub(crate) fn pinned(&self) -> Option<u32> {
        (self.pinned > 0).then_some(self.pinned)
    }

    /// When the phase applies, grace included.
    pub(crate) fn applies(&self) -> Interval {
        let grace = Timestamp::from_ms(self.applies_until_ms).ok();
        Interval::new(self.interval.from(), grace)
    }
}

/// A paid add-on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Licence {
    pub(crate) id: Text,
    pub(crate) add_on: AddOnIx,
    pub(crate) quantity: u64,
    pub(crate) interval: Interval,
}

/// A contribution on the tenant itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Override {
    pub(crate) id: Text,
    pub(crate) reason: Text,
    pub(crate) actor: Text,
    pub(crate) feature: FeatureIx,
    pub(crate) effect: Effect,
    pub(crate) interval: Interval,
}

/// A fact that lowers the access level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Block {
    pub(crate) id: Text,
    pub(crate) reason: Text,
    pub(crate) kind: BlockKind,
    pub(crate) laid_by: LaidBy,
    pub(crate) level: Access,
    pub(crate) interval: Interval,
}

/// Collects the texts of one tenant.
#[derive(Default)]
struct Texts(String);

impl Texts {
    fn push(&mut self, text: &str) -> Text {
        let at = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let start = at(self.0.len());
        self.0.push_str(text);
        Text { start, length: at(text.len()) }
    }
}

impl Record {
    pub(crate) fn id(&self) -> &str {
        self.text(Text { start: 0, length: self.id_length.into() })
    }

    pub(crate) fn text(&self, text: Text) -> &str {
        let (start, length) = (text.start as usize, text.length as usize);
        self.text.get(start..start + length).unwrap_or_default()
    }

    /// Bytes that the record holds, itself included, without what allocators add.
    pub(crate) fn bytes(&self) -> usize {
        let exceptions = self.exceptions.as_deref().map_or(0, |exceptions| {
            size_of::<Exceptions>()
                + size_of_val(&*exceptions.overrides)
                + size_of_val(&*exceptions.blocks)
                + size_of_val(&*exceptions.switched_off)
                + size_of_val(&*exceptions.workflows)
        });
        let counters = 2 * size_of::<usize>();
        counters
            + size_of::<Self>()
            + self.text.len()
            + size_of_val(&*self.phases)
            + size_of_val(&*self.licences)
            + exceptions
    }

    pub(crate) fn overrides(&self) -> &[Override] {
        self.exceptions.as_deref().map_or(&[], |exceptions| &exceptions.overrides)
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        self.exceptions.as_deref().map_or(&[], |exceptions| &exceptions.blocks)
    }

    /// Switches that the tenant switched off for itself, sorted.
    pub(crate) fn switched_off(&self) -> &[FeatureIx] {
        self.exceptions.as_deref().map_or(&[], |exceptions| &exceptions.switched_off)
    }

    /// What the tenant lays over a workflow template.
    pub(crate) fn workflow(&self, workflow: &str) -> Option<&LaidOver> {
        self.workflows().iter().find(|laid| laid.workflow.as_str() == workflow)
    }

    pub(crate) fn workflows(&self) -> &[LaidOver] {
        self.exceptions.as_deref().map_or(&[], |exceptions| &exceptions.workflows)
    }

    pub(crate) fn calendar(&self) -> Calendar {
        Calendar { anchor: self.anchor, offset: self.utc_offset }
    }

    /// A tenant in the same phases that carries nothing of its own.
    pub(crate) fn bare(&self) -> Self {
        Self { licences: Box::default(), exceptions: None, ..self.clone() }
    }

    /// The same tenant with some of its overrides alone, for what-if questions.
    pub(crate) fn keeping_overrides(&self, keep: impl Fn(&Override) -> bool) -> Self {
        let mut changed = self.clone();
        if let Some(exceptions) = &mut changed.exceptions {
            let kept = self.overrides().iter().filter(|this| keep(this));
            exceptions.overrides = kept.cloned().collect();
        }
        changed
    }

    /// The same tenant with other phases, for what-if questions.
    pub(crate) fn with_plan(&self, plan: PlanIx, pinned: Option<u32>, now: Timestamp) -> Self {
        let interval = Interval::new(Some(now), None);
        let phase = Phase {
            id: Text::default(),
            kind: PhaseKind::Paid,
            plan,
            pinned: pinned.unwrap_or(0),
            interval,
            applies_until_ms: i64::MAX,
        };
        Self { phases: Box::new([phase]), ..self.clone() }
    }

    /// The same tenant with another licence, for what-if questions.
    pub(crate) fn with_licence(&self, add_on: AddOnIx, quantity: u64, now: Timestamp) -> Self {
        let interval = Interval::new(Some(now), None);
        let licence = Licence { id: Text::default(), add_on, quantity, interval };
        let licences = self.licences.iter().copied().chain([licence]).collect();
        Self { licences, ..self.clone() }
    }

    /// Lowers one tenant; mistakes go to `check`.
    pub(crate) fn lower(id: &str, tenant: &model::Tenant, rules: &Rules, check: &mut Check) -> Option<Self> {
        let mut texts = Texts::default();
        texts.push(id);
        let phases: Vec<Option<Phase>> = records(check, "phases", &tenant.phases, |check, id, phase| {
            lower_phase(texts.push(id), phase, rules, check)
        });
        let licences = records(check, "licences", &tenant.licences, |check, id, licence| {
            lower_licence(texts.push(id), licence, rules, check)
        });
        let overrides = records(check, "overrides", &tenant.overrides, |check, id, this| {
            let feature = check.under("feature", |check| rules.resolve_feature(&this.feature, check));
            let (value, plan) = (this.value.as_ref(), this.plan.as_ref());
            let effect = feature.and_then(|ix| rules.lower_effect(ix, this.op, value, plan, Carrier::Tenant, check));
            let interval = check.interval(this.from, this.until);
            Some(Override {
                id: texts.push(id),
                reason: texts.push(&this.reason),
                actor: texts.push(&this.actor),
                feature: feature?,
                effect: effect?,
                interval: interval?,
            })
        });
        let blocks = records(check, "blocks", &tenant.blocks, |check, id, block| {
            Some(Block {
                id: texts.push(id),
                reason: texts.push(&block.reason),
                kind: block.kind,
                laid_by: block.laid_by,
                level: block.level.unwrap_or(block.kind.default_level()),
                interval: check.interval(Some(block.since), block.until)?,
            })
        });
        let switched_off = if tenant.preferences.off.is_empty() {
            Vec::new()
        } else {
            check.under("preferences", |check| {
                check.under("off", |check| {
                    check.each(&tenant.preferences.off, |check, key| rules.resolve_switch(key, check))
                })
            })
        };
        let workflows = if tenant.workflows.is_empty() {
            Vec::new()
        } else {
            check.under("workflows", |check| {
                let lowered = tenant.workflows.iter().map(|(key, laid)| {
                    let hash = check.under(key.as_str(), |check| rules.templates.check_tenant(id, key, laid, check));
                    Some(LaidOver { workflow: key.clone(), laid: Arc::new(laid.clone()), hash: hash? })
                });
                lowered.collect()
            })
        };
        let mut switched_off = all(switched_off)?;
        switched_off.sort();
        switched_off.dedup();
        let exceptions = Exceptions {
            overrides: all(overrides)?.into(),
            blocks: all(blocks)?.into(),
            switched_off: switched_off.into(),
            workflows: all(workflows)?.into(),
        };
        Some(Self {
            text: texts.0.into(),
            phases: all(phases)?.into(),
            licences: all(licences)?.into(),
            exceptions: (exceptions != Exceptions::default()).then(|| Box::new(exceptions)),
            anchor: tenant.anchor,
            utc_offset: tenant.utc_offset_minutes,
            id_length: u8::try_from(id.len()).unwrap_or(u8::MAX),
        })
    }
}

/// All of the items, or nothing where one is mistaken.
fn all<T>(items: Vec<Option<T>>) -> Option<Vec<T>> {
    items.into_iter().collect()
}

fn records<V, T>(
    check: &mut Check,
    section: &str,
    map: &model::Records<V>,
    mut lower: impl FnMut(&mut Check, &str, &V) -> Option<T>,
) -> Vec<Option<T>> {
    if map.is_empty() {
        return Vec::new();
    }
    check.under(section, |check| {
        map.iter().map(|(id, value)| check.under(id.as_str(), |check| lower(check, id.as_str(), value))).collect()
    })
}

fn lower_phase(id: Text, phase: &model::Phase, rules: &Rules, check: &mut Check) -> Option<Phase> {
    let plan = check.under("plan", |check| rules.resolve_plan(&phase.plan, check));
    if let (Some(number), Some(rule)) = (phase.version, plan.and_then(|ix| rules.plan(ix)))
        && !rule.versions.iter().any(|version| version.number == number)
    {
        let numbers: Vec<String> = rule.versions.iter().map(|version| version.number.to_string()).collect();
        check.under("version", |check| {
            check.refuse::<()>(
                DiagnosticCode::UnknownPlanVersion,
                format!("plan `{}` has no version {number}", rule.key),
                format!("it has {}; leave `version` out to follow the plan", numbers.join(", ")),
            )
        });
    }
    let interval = check.interval(Some(phase.from), phase.until);
    let mut applies_until = phase.until;
    if let Some(grace) = phase.grace_until {
        applies_until = Some(grace);
        let valid = phase.kind == PhaseKind::Paid && phase.until.is_some_and(|until| until < grace);
        if !valid {
            check.under("grace_until", |check| {
                check.refuse::<()>(
                    DiagnosticCode::EmptyInterval,
                    "grace follows the end of a paid phase",
                    "let the phase be paid, give it `until`, and let `grace_until` be later",
                )
            });
        }
    }
    Some(Phase {
        id,
        kind: phase.kind,
        plan: plan?,
        pinned: phase.version.unwrap_or(0),
        interval: interval?,
        applies_until_ms: applies_until.map_or(i64::MAX, Timestamp::as_ms),
    })
}

fn lower_licence(id: Text, licence: &model::Licence, rules: &Rules, check: &mut Check) -> Option<Licence> {
    let key = licence.add_on.as_str();
    let add_on = rules.add_on_ix(key).or_else(|| {
        check.under("add_on", |check| {
            let choices = rules.add_ons.iter().map(|add_on| add_on.key.as_str());
            check.unknown(DiagnosticCode::UnknownAddOn, "add-on", key, choices)
        })
    });
    if !(1..=model::MAX_INTEGER).contains(&licence.quantity) {
        check.under("quantity", |check| {
            check.refuse::<()>(
                DiagnosticCode::IntegerOutOfRange,
                format!("{} is out of range", licence.quantity),
                "write a quantity from 1 to 2^53 − 1",
            )
        });
    }
    let interval = check.interval(Some(licence.from), licence.until);
    Some(Licence { id, add_on: add_on?, quantity: licence.quantity, interval: interval? })
}
