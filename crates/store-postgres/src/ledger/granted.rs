//! What counts once a limit denies.

use crate::Error;
use leasehold::model::{MAX_INTEGER, Mode};
use leasehold::{LimitAnswer, Outcome};

/// A limit as it was when the engine granted some of it last.
///
/// Nothing refuses what was reserved or what is given back, not even when the limit is off by now, or shrank below it. The
/// engine then says no more than that it denies: how much of it lies beyond the limit is counted by this, as the engine
/// would have counted it. Otherwise what is billed would not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) mode: Mode,
    /// Nothing when unlimited.
    pub(super) limit: Option<u64>,
    pub(super) thresholds: Vec<u16>,
}

impl Granted {
    /// What the engine has granted with this answer; nothing where it denied. `check` asks it about the same limit.
    pub(super) fn of(
        answer: &LimitAnswer,
        check: impl Fn(i64, i64) -> Result<LimitAnswer, leasehold::Error>,
    ) -> Result<Option<Self>, Error> {
        if answer.outcome == Outcome::Deny {
            return Ok(None);
        }
        // An answer names those thresholds alone that its request crosses; so this asks about all that there can be.
        let most = if answer.mode == Mode::Hard { answer.limit.unwrap_or(0) } else { MAX_INTEGER };
        let all = check(0, i64::try_from(most).unwrap_or(i64::MAX))?;
        Ok(Some(Self { mode: answer.mode, limit: answer.limit, thresholds: all.thresholds_crossed }))
    }

    /// Puts into an answer what this limit says to it.
    pub(super) fn count(&self, answer: &mut LimitAnswer, used: i64, requested: i64) {
        let (used, total) = (used.unsigned_abs(), used.saturating_add(requested).unsigned_abs());
        answer.outcome = Outcome::Allow;
        answer.mode = self.mode;
        answer.limit = self.limit;
        answer.remaining = self.limit.map(|limit| limit.saturating_sub(used));
        let Some(limit) = self.limit else { return };
        let before = (answer.overage_units, answer.overage_total);
        answer.count(limit, &self.thresholds, used, total);
        if self.mode == Mode::Hard {
            // There is nothing beyond it that anybody could be charged for.
            (answer.overage_units, answer.overage_total) = before;
            return;
        }
        if requested > 0 && total > limit {
            answer.outcome = if self.mode == Mode::Soft { Outcome::Warn } else { Outcome::Overage };
        }
    }
}
