//! Warnings: what is allowed, and most likely not meant.

use super::{Effect, FeatureIx, Override, Phase, Profile, Record, Rules, Setting};
use crate::decide::{Payload, Silent, Standing, boundaries};
use crate::model::read::pointer_push;
use crate::model::{Action, Amount, Diagnostic, DiagnosticCode, Kind, PhaseKind, Severity};
use crate::workflow::Truths;
use crate::{Snapshot, SortedMap, SortedSet, Timestamp};

/// All warnings, in the order of paths.
pub(crate) fn lint(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let rules = &*snapshot.rules;
    let mut found = Vec::new();
    for feature in rules.features.iter().filter(|feature| feature.min_read > feature.min_access) {
        found.push(Diagnostic::new(
            DiagnosticCode::ReadStricterThanUse,
            path(&["features", feature.key.as_str()]),
            format!(
                "`{}` may be used at access {} but read only from {} on",
                feature.key, feature.min_access, feature.min_read
            ),
            "lower `min_read` to `min_access` or below",
        ));
    }
    let mut truths = Truths::default();
    for slot in snapshot.tenants.iter() {
        let tenant = Lint { rules, record: &slot.record };
        tenant.incompatible_licences(&mut found);
        tenant.trials(&mut found);
        tenant.overrides(&mut found);
        for laid in slot.record.workflows() {
            let (id, templates) = (slot.record.id(), &rules.templates);
            found.extend(templates.lint_tenant(id, &laid.workflow, &laid.laid, Severity::Warning, &mut truths));
        }
    }
    found.extend(rules.templates.lint(Severity::Warning, &mut truths));
    found.sort_by(Diagnostic::in_order);
    found
}

fn path(steps: &[&str]) -> String {
    steps.iter().fold(String::new(), |mut path, step| {
        pointer_push(&mut path, step);
        path
    })
}

struct Lint<'s> {
    rules: &'s Rules,
    record: &'s Record,
}

impl<'s> Lint<'s> {
    fn path(&self, section: &str, id: super::record::Text) -> String {
        path(&["tenants", self.record.id(), section, self.record.text(id)])
    }

    /// Licences that are inert beside a plan that the tenant is on at the same time.
    fn incompatible_licences(&self, found: &mut Vec<Diagnostic>) {
        let mut applying = None;
        for licence in &self.record.licences {
            let Some(add_on) = self.rules.add_on(licence.add_on) else { continue };
            let clashes = |phase: &&Phase| {
                phase.applies().overlaps(licence.interval)
                    && !add_on.included_in.contains(&phase.plan)
                    && !add_on.compatible_with.contains(&phase.plan)
            };
            // Of phases at one time, one applies.
            let applies = |phase: &&Phase| {
                let applying = applying.get_or_insert_with(|| self.applying());
                applying.iter().any(|(now, id)| *id == phase.id && licence.interval.contains(*now))
            };
            let phase = self.record.phases.iter().filter(clashes).find(applies);
            if let Some(plan) = phase.and_then(|phase| self.rules.plan(phase.plan)) {
                found.push(Diagnostic::new(
                    DiagnosticCode::AddOnIncompatible,
                    self.path("licences", licence.id),
                    format!("add-on `{}` is inert while plan `{}` applies", add_on.key, plan.key),
                    format!("add `{}` to the add-on's `compatible_with`, or end the licence", plan.key),
                ));
            }
        }
    }

    /// Which phase applies, from every instant on at which something may change.
    fn applying(&self) -> Vec<(Timestamp, super::record::Text)> {
        let instants = self.boundaries().into_iter();
        instants.filter_map(|now| Some((now, self.standing(now).applying?.phase.id))).collect()
    }

    /// Every instant at which something may change, in order.
    fn boundaries(&self) -> Vec<Timestamp> {
        let mut instants = vec![Timestamp::MIN];
        boundaries(self.rules, self.record, None, |at| instants.extend(Timestamp::from_ms(at)));
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    fn standing(&self, now: Timestamp) -> Standing<'s> {
        Standing::at(self.rules, self.record, now, false)
    }

    /// Trials that lack what the paid plan below them grants.
    fn trials(&self, found: &mut Vec<Diagnostic>) {
        if !self.record.phases.iter().any(|phase| phase.kind == PhaseKind::Trial) {
            return;
        }
        let mut paid_only = self.record.clone();
        paid_only.phases = self.record.phases.iter().copied().filter(|phase| phase.kind == PhaseKind::Paid).collect();
        let mut seen = Vec::new();
        for now in self.boundaries() {
            let on_trial = self.standing(now);
            let Some(applying) = on_trial.applying.filter(|applying| applying.phase.kind == PhaseKind::Trial) else {
                continue;
            };
            let below = Standing::at(self.rules, &paid_only, now, false);
            if below.applying.is_none() || seen.contains(&applying.phase.id) {
                continue;
            }
            let lost = self.lost(&Profile::resolve(&below), &Profile::resolve(&on_trial));
            if !lost.is_empty() {
                seen.push(applying.phase.id);
                found.push(Diagnostic::new(
                    DiagnosticCode::TrialTakesAway,
                    self.path("phases", applying.phase.id),
                    format!("the trial of `{}` takes away {} at {now}", applying.plan.key, lost.join(", ")),
                    "a trial replaces the paid plan: try a plan that has these, or override them for the time",
                ));
            }
        }
    }

    /// What the second profile lacks of the first, in words.
    fn lost(&self, full: &Profile, less: &Profile) -> Vec<String> {
        let on = |profile: &Profile, ix: FeatureIx| profile.is_on(ix, Action::Use);
        let features = self.rules.numbered();
        let lost = features.filter_map(|(ix, feature)| match feature.kind {
            Kind::Switch => (on(full, ix) && !on(less, ix)).then(|| format!("`{}`", feature.key)),
            Kind::Limit => {
                let (before, after) = (full.limit(feature.ordinal)?.amount, less.limit(feature.ordinal)?.amount);
                (after < before).then(|| format!("`{}` ({} → {})", feature.key, words(before), words(after)))
            }
            Kind::Value => None,
        });
        lost.collect()
    }

    /// Overrides that set a limit lower than plan and add-ons would.
    fn overrides(&self, found: &mut Vec<Diagnostic>) {
        let setting: Vec<&Override> = self.record.overrides().iter().filter(|this| sets_limit(this)).collect();
        let features = SortedSet::<FeatureIx>::of(setting.iter().map(|this| this.feature).collect());
        let below: SortedMap<&str, _> = features.into_iter().flat_map(|ix| self.below(ix)).collect();
        for this in setting {
            let feature = self.rules.feature(this.feature);
            if let (Some(feature), Some((now, gives, plan_gives))) = (feature, below.get(self.record.text(this.id))) {
                found.push(Diagnostic::new(
                    DiagnosticCode::OverrideBelowPlan,
                    self.path("overrides", this.id),
                    format!(
                        "the tenant has {} of `{}` with the override and would have {} without it at {now}",
                        words(*gives),
                        feature.key,
                        words(*plan_gives)
                    ),
                    "raise it, or remove it if the plan has caught up",
                ));
            }
        }
    }

    /// The overrides by which the tenant has less of a limit than without them: since when, how much, and what it would have.
    ///
    /// A record may have thousands on one limit. Of those that are valid together one counts, so that each instant is looked
    /// at once, and not once for each of them.
    fn below(&self, ix: FeatureIx) -> SortedMap<&'s str, (Timestamp, Amount, Amount)> {
        let own = self.record.keeping_overrides(|this| this.feature == ix);
        let mut found: SortedMap<&'s str, (Timestamp, Amount, Amount)> = SortedMap::new();
        let alone = Lint { rules: self.rules, record: &own };
        for now in alone.boundaries() {
            let counts = alone.standing(now).counting_override(ix);
            let Some(this) = counts.filter(|this| sets_limit(this)) else { continue };
            let id = self.record.text(this.id);
            if found.contains_key(id) {
                continue;
            }
            let without = own.keeping_overrides(|other| other.id != this.id);
            if let Some((gives, plan_gives)) = below_plan(self.rules, (&own, &without), this, now) {
                found.insert(id, (now, gives, plan_gives));
            }
        }
        found
    }
}

/// Whether an override sets or pins a limit.
pub(crate) fn sets_limit(this: &Override) -> bool {
    matches!(this.effect, Effect::Set(Setting::Limit(_)) | Effect::Pin(Setting::Limit(_)))
}

/// What a tenant has of a limit with an override that [sets it](sets_limit), and without, where it has less with it although
/// a plan applies: the record with it and the one without it are both given.
pub(crate) fn below_plan(
    rules: &Rules,
    (record, without): (&Record, &Record),
    this: &Override,
    now: Timestamp,
) -> Option<(Amount, Amount)> {
    let feature = rules.feature(this.feature)?;
    let amount = |record: &Record| {
        let standing = Standing::at(rules, record, now, false);
        standing.applying?;
        match standing.fold(this.feature, feature, &mut Silent).payload() {
            Payload::Limit { amount, .. } => Some(amount),
            _ => None,
        }
    };
    let (gives, plan_gives) = (amount(record)?, amount(without)?);
    (gives < plan_gives).then_some((gives, plan_gives))
}

fn words(amount: Amount) -> String {
    amount.finite().map_or_else(|| "unlimited".to_owned(), |amount| amount.to_string())
}
