//! Where a tenant stands at one instant: which plan applies, and how much access is left.

use super::Status;
use crate::compile::{AddOnIx, Block, Phase, PlanRule, Record, Rules, VersionRule};
use crate::model::{Access, Action, BlockKind, Moves, PhaseKind};
use crate::time::{Calendar, Interval, Period};
use crate::{Timestamp, compile::FeatureRule};

/// What all questions about one tenant at one instant have in common.
#[derive(Debug)]
pub(crate) struct Standing<'s> {
    pub(crate) rules: &'s Rules,
    pub(crate) record: &'s Record,
    pub(crate) now: Timestamp,
    /// Whether the snapshot's head has expired.
    pub(crate) expired: bool,
    pub(crate) applying: Option<Applying<'s>>,
    pub(crate) in_grace: bool,
    pub(crate) access: Access,
    /// The strictest valid block.
    pub(crate) block: Option<&'s Block>,
}

/// The plan that applies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applying<'s> {
    pub(crate) phase: &'s Phase,
    pub(crate) plan: &'s PlanRule,
    pub(crate) version: &'s VersionRule,
}

/// Why a licence of an add-on has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inert {
    NoPlan,
    Incompatible,
    Included,
}

impl<'s> Standing<'s> {
    pub(crate) fn at(rules: &'s Rules, record: &'s Record, now: Timestamp, expired: bool) -> Self {
        let trial = applying(rules, record, PhaseKind::Trial, now);
        let paid = applying(rules, record, PhaseKind::Paid, now);
        // Blocks are sorted by id, and the last of equals wins: strictest, then latest, then greatest id.
        let valid = record.blocks().iter().filter(|block| block.interval.contains(now));
        let block = valid.max_by_key(|block| (std::cmp::Reverse(block.level), block.interval.start()));
        Self {
            rules,
            record,
            now,
            expired,
            applying: trial.or(paid),
            in_grace: paid.is_some_and(|paid| !paid.phase.interval.contains(now)),
            access: block.map_or(Access::Full, |block| block.level),
            block,
        }
    }

    pub(crate) fn status(&self) -> Status {
        let has = |kind: BlockKind| {
            self.record.blocks().iter().any(|block| block.kind == kind && block.interval.contains(self.now))
        };
        let blocking = [
            (BlockKind::Archived, Status::Archived),
            (BlockKind::Quarantined, Status::Quarantined),
            (BlockKind::Suspended, Status::Suspended),
            (BlockKind::Frozen, Status::Frozen),
            (BlockKind::Restricted, Status::Restricted),
            (BlockKind::Pending, Status::Pending),
        ];
        match blocking.into_iter().find(|(kind, _)| has(*kind)) {
            Some((_, status)) => status,
            None if self.in_grace => Status::Grace,
            None if has(BlockKind::Warned) => Status::Warned,
            None => match self.applying {
                Some(applying) if applying.phase.kind == PhaseKind::Trial => Status::Trial,
                Some(_) => Status::Active,
                None => Status::None,
            },
        }
    }

    /// Whether the access level is below what the action needs.
    pub(crate) fn is_blocked(&self, feature: &FeatureRule, action: Action) -> bool {
        let needed = match action {
            Action::Use => feature.min_access,
            Action::Read => feature.min_read,
        };
        self.access < needed
    }

    /// Why paid licences of an add-on have no effect; nothing where they count.
    pub(crate) fn inert(&self, add_on: AddOnIx) -> Option<Inert> {
        let (Some(applying), Some(rule)) = (self.applying, self.rules.add_on(add_on)) else {
            return Some(Inert::NoPlan);
        };
        let plan = applying.phase.plan;
        if rule.included_in.binary_search(&plan).is_ok() {
            Some(Inert::Included)
        } else if rule.compatible_with.binary_search(&plan).is_err() {
            Some(Inert::Incompatible)
        } else {
            None
        }
    }

    /// Add-ons in effect with their quantities, sorted by add-on.
    pub(crate) fn add_ons_in_effect(&self) -> Vec<(AddOnIx, u64)> {
        let included = self.applying.into_iter().flat_map(|applying| &applying.plan.included).map(|ix| (*ix, 1));
        let licensed = self
            .record
            .licences
            .iter()
            .filter(|licence| licence.interval.contains(self.now) && self.inert(licence.add_on).is_none())
            .map(|licence| (licence.add_on, licence.quantity));
        let mut in_effect: Vec<(AddOnIx, u64)> = included.chain(licensed).collect();
        in_effect.sort_unstable();
        in_effect.dedup_by(|(later, more), (earlier, quantity)| {
            let same = later == earlier;
            if same {
                *quantity = quantity.saturating_add(*more);
            }
            same
        });
        in_effect
    }
}

/// The phase of a kind that applies: of the valid ones whose plan has a version, the one that began last, then the one
/// with the greatest id.
fn applying<'s>(rules: &'s Rules, record: &'s Record, kind: PhaseKind, now: Timestamp) -> Option<Applying<'s>> {
    let valid = record.phases.iter().filter(|phase| phase.kind == kind && phase.applies().contains(now));
    let on_plan = valid.filter_map(|phase| {
        let plan = rules.plan(phase.plan)?;
        let version = current_version(plan, phase, record.calendar(), now)?;
        Some(Applying { phase, plan, version })
    });
    on_plan.max_by_key(|applying| applying.phase.interval.start())
}

/// The version that a phase is on: the pinned one, else, of those that have reached it, the newest.
fn current_version<'r>(
    plan: &'r PlanRule,
    phase: &Phase,
    calendar: Calendar,
    now: Timestamp,
) -> Option<&'r VersionRule> {
    match phase.pinned() {
        Some(number) => plan.versions.iter().find(|version| version.number == number),
        None => plan.versions.iter().rev().find(|version| has_reached(version, plan.period, phase, calendar, now)),
    }
}

fn has_reached(version: &VersionRule, period: Period, phase: &Phase, calendar: Calendar, now: Timestamp) -> bool {
    let available = version.effective_from;
    if now < available {
        return false;
    }
    if phase.interval.start() >= available.as_ms() {
        return true;
    }
    match version.moves {
        Moves::Now => true,
        Moves::Never => false,
        Moves::Renewal => {
            now >= renewal_is_past(available, period) || calendar.first_start_from(period, available) <= now
        }
    }
}

/// An instant by which a renewal that was due from `available` on has come, whatever the anchor: spares the calendar
/// arithmetic for all but the newest versions.
fn renewal_is_past(available: Timestamp, period: Period) -> Timestamp {
    let days = match period {
        Period::Day => 2,
        Period::Month => 33,
        Period::Year => 368,
    };
    Timestamp::from_ms(available.as_ms() + days * 86_400_000).unwrap_or(Timestamp::MAX)
}

/// Hands out every instant at which an answer about this tenant may change, in no order, some more than once. Instants
/// at which nothing changes may be among them; none at which something does is left out.
///
/// The head's expiry is not among them: it moves with every heartbeat. Where only the surroundings of one instant
/// matter (`near`), renewals far from it are not computed to the millisecond.
pub(crate) fn boundaries(rules: &Rules, record: &Record, near: Option<Timestamp>, mut visit: impl FnMut(i64)) {
    for phase in &record.phases {
        phase.interval.bounds().chain(phase.applies().bounds()).for_each(&mut visit);
        let Some(plan) = rules.plan(phase.plan) else { continue };
        plan.boundaries.iter().copied().for_each(&mut visit);
        for version in plan.versions.iter().filter(|version| version.moves == Moves::Renewal) {
            let available = version.effective_from;
            let past = renewal_is_past(available, plan.period);
            match near {
                // `effective_from`, a boundary of the plan, lies between.
                Some(now) if now < available => {}
                Some(now) if now >= past => visit(past.as_ms()),
                _ => visit(record.calendar().first_start_from(plan.period, available).as_ms()),
            }
        }
    }
    for licence in &record.licences {
        licence.interval.bounds().for_each(&mut visit);
        if let Some(add_on) = rules.add_on(licence.add_on) {
            add_on.boundaries.iter().copied().for_each(&mut visit);
        }
    }
    record.overrides().iter().flat_map(|this| this.interval.bounds()).for_each(&mut visit);
    record.blocks().iter().flat_map(|block| block.interval.bounds()).for_each(&mut visit);
    rules.kill_boundaries.iter().copied().for_each(&mut visit);
}

/// The time around `now` in which no answer about this tenant changes.
pub(crate) fn holds(rules: &Rules, record: &Record, now: Timestamp) -> Interval {
    let mut interval = Interval::ALWAYS;
    boundaries(rules, record, Some(now), |boundary| interval.cut(now, boundary));
    interval
}
