//! What a limit says to a request.

use super::{Decision, LimitAnswer, Outcome, Reason};
use crate::model::{Amount, MAX_INTEGER, Mode};
use crate::{Error, Timestamp};

/// A limit as it stands for one tenant.
#[derive(Debug)]
pub(crate) struct Limit<'a> {
    pub(crate) decision: Decision,
    pub(crate) amount: Amount,
    pub(crate) mode: Mode,
    pub(crate) thresholds: &'a [u16],
    pub(crate) resets_at: Option<Timestamp>,
}

/// An amount that a caller passed, as an unsigned number.
pub(crate) fn amount(value: i64) -> Result<u64, Error> {
    u64::try_from(value).ok().filter(|value| *value <= MAX_INTEGER).ok_or(Error::AmountOutOfRange(value))
}

impl Limit<'_> {
    /// Answers a request, all or nothing. Both amounts are at most 2^53 − 1, so that nothing here overflows: sums fit 64
    /// bits, and percentages are taken in 128.
    pub(crate) fn answer(&self, used: u64, requested: u64) -> LimitAnswer {
        let mut answer = LimitAnswer {
            outcome: Outcome::Deny,
            limit: Some(0),
            remaining: Some(0),
            mode: Mode::Hard,
            overage_units: 0,
            overage_total: 0,
            thresholds_crossed: Vec::new(),
            resets_at: self.resets_at,
            reason: self.decision.reason,
            source: self.decision.source,
            block: self.decision.block,
            revision: self.decision.revision,
            freshness: self.decision.freshness,
            definitions: self.decision.definitions,
        };
        if !self.decision.enabled {
            return answer;
        }
        answer.mode = self.mode;
        answer.limit = self.amount.finite();
        answer.remaining = None;
        answer.outcome = Outcome::Allow;
        let Some(limit) = self.amount.finite() else { return answer };

        let total = used + requested;
        let remaining = limit.saturating_sub(used);
        answer.remaining = Some(remaining);
        // A request for nothing asks whether there is room for one.
        if requested.max(1) > remaining {
            answer.reason = Reason::LimitReached;
        }
        if requested > 0 && total > limit {
            answer.outcome = match self.mode {
                Mode::Hard => Outcome::Deny,
                Mode::Soft => Outcome::Warn,
                Mode::Billable => Outcome::Overage,
            };
        }
        if answer.outcome != Outcome::Deny {
            answer.count(limit, self.thresholds, used, total);
        }
        answer
    }
}

impl LimitAnswer {
    /// Counts what lies beyond a limit, and which of its thresholds, in percent, are crossed, when use goes from `used` to
    /// `total`. It is how every answer that grants something is counted; whoever honours what was granted before, though the
    /// limit is off by now, counts by it too. Amounts are at most 2^53 − 1.
    pub fn count(&mut self, limit: u64, thresholds: &[u16], used: u64, total: u64) {
        self.overage_units = total.saturating_sub(limit.max(used));
        self.overage_total = total.saturating_sub(limit);
        let crosses = |percent: u16| {
            let line = u128::from(percent) * u128::from(limit);
            100 * u128::from(used) < line && line <= 100 * u128::from(total)
        };
        self.thresholds_crossed = thresholds.iter().copied().filter(|percent| crosses(*percent)).collect();
    }
}
