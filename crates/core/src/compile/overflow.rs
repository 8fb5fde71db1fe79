//! Refuses sums of amounts that not every language could hold.

use super::{Check, Effect, Record, Rules};
use crate::Timestamp;
use crate::decide::{Silent, Standing, boundaries};
use crate::model::{DiagnosticCode, Kind, MAX_INTEGER};

/// Refuses a tenant for whom a base and its `add`s come to more than 2^53 − 1 at some instant.
pub(crate) fn refuse_overflow(rules: &Rules, record: &Record, check: &mut Check) {
    if bound(rules, record) <= u128::from(MAX_INTEGER) {
        return;
    }
    // Rare enough to look at every instant at which anything changes.
    let mut instants = vec![Timestamp::MIN.as_ms()];
    boundaries(rules, record, None, |at| instants.push(at));
    instants.sort_unstable();
    instants.dedup();
    for now in instants.into_iter().filter_map(|at| Timestamp::from_ms(at).ok()) {
        let standing = Standing::at(rules, record, now, false);
        let limits = rules.numbered().filter(|(_, feature)| feature.kind == Kind::Limit);
        for (ix, feature) in limits {
            if standing.fold(ix, feature, &mut Silent).exceeds_integers() {
                check.refuse::<()>(
                    DiagnosticCode::AmountOverflow,
                    format!("`{}` comes to more than 2^53 − 1 at {now}", feature.key),
                    "grant less, or \"unlimited\"",
                );
                return;
            }
        }
    }
}

/// What no sum for this tenant can exceed: the largest base anywhere, and all adds that might ever meet.
fn bound(rules: &Rules, record: &Record) -> u128 {
    let mut largest_base = rules.largest_base;
    let mut added: u128 = rules.all_included_adds;
    for licence in &record.licences {
        let adds = rules.add_on(licence.add_on).map_or(0, |add_on| add_on.adds);
        added = added.saturating_add(adds.saturating_mul(licence.quantity.into()));
    }
    for this in record.overrides() {
        largest_base = largest_base.max(this.effect.base_amount());
        if let Effect::Add(amount) = this.effect {
            added = added.saturating_add(amount.into());
        }
    }
    added.saturating_add(largest_base.into())
}
