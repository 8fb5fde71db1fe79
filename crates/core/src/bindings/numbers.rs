//! Numbers of JavaScript's, which are floats whatever they count.

use super::{Failure, Result, at};
use crate::follow::Settings;
use crate::{Revision, Stamp, Timestamp};

/// The greatest integer up to which floats tell all integers apart: 2^53 − 1.
const GREATEST: f64 = 9_007_199_254_740_991.0;

/// An instant by its milliseconds since 1970, of which parts are cut off.
///
/// # Errors
/// `invalid_argument` for what dates of JavaScript cannot be; `invalid_time`, outside the years 0000 to 9999.
pub fn instant(ms: f64) -> Result<Timestamp> {
    /// As far as those dates reach.
    const MOST: f64 = 8.64e15;
    if !(-MOST..=MOST).contains(&ms) {
        return Err(Failure::argument("`now` is not an instant: pass milliseconds since 1970, or a valid `Date`"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds, and parts of a millisecond are cut off")]
    at(ms.floor() as i64)
}

/// What a snapshot says of itself.
///
/// # Errors
/// `invalid_argument`, `invalid_time`.
pub fn stamp(revision: f64, issued_at: f64, expires_at: Option<f64>) -> Result<Stamp> {
    Ok(Stamp {
        revision: self::revision(revision)?,
        issued_at: instant(issued_at)?,
        expires_at: expires_at.map(instant).transpose()?,
    })
}

fn revision(number: f64) -> Result<Revision> {
    let refused = || Failure::argument("`revision` is an integer from 0 to 2^53 − 1");
    if !(0.0..=GREATEST).contains(&number) || number.fract() != 0.0 {
        return Err(refused());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is an integer within bounds")]
    Revision::new(number as u64).ok_or_else(refused)
}

/// An amount. One that is no integer, or too great for one, is out of range whatever it is.
#[must_use]
pub fn amount(number: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates, and the engine knows its bounds")]
    if number.fract() == 0.0 { number as i64 } else { -1 }
}

/// Something that was counted here and handed out: a timer, a token, a length.
#[must_use]
pub fn count(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of floats saturates")]
    let count = number as u64;
    count
}

/// The same on its way out: lengths, waits and counts are far below 2^53.
#[must_use]
pub fn float(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "they are far below 2^53")]
    let float = count as f64;
    float
}

/// How patient a follower is, in milliseconds; what is absent is as usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// Between two questions for the head where nobody notifies.
    pub poll_ms: Option<f64>,
    /// For an answer, until it counts as lost.
    pub timeout_ms: Option<f64>,
    /// After the first failure.
    pub backoff_min_ms: Option<f64>,
    /// After many failures.
    pub backoff_max_ms: Option<f64>,
    /// Until the publisher is told again.
    pub report_ms: Option<f64>,
}

impl From<Patience> for Settings {
    fn from(given: Patience) -> Self {
        let usual = Self::default();
        let or = |given: Option<f64>, usual| given.map_or(usual, count);
        Self {
            poll_ms: or(given.poll_ms, usual.poll_ms),
            timeout_ms: or(given.timeout_ms, usual.timeout_ms),
            backoff_min_ms: or(given.backoff_min_ms, usual.backoff_min_ms),
            backoff_max_ms: or(given.backoff_max_ms, usual.backoff_max_ms),
            report_ms: or(given.report_ms, usual.report_ms),
        }
    }
}
