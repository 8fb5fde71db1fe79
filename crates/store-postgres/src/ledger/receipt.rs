//! What is asked of the ledger, and what it answers.

use crate::Error;
use leasehold::{FeatureKey, LimitAnswer, Outcome, Revision, TenantId, Timestamp};
use std::fmt;

/// Names a request, so that it counts once however often it is sent: 1 to 255 bytes, unique within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// A key from text that the caller chose.
    ///
    /// # Errors
    /// [`Error::InvalidIdempotencyKey`], [`Error::NulCharacter`].
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, Error> {
        let text = text.into();
        match text.len() {
            1..=255 if text.contains('\0') => Err(Error::NulCharacter),
            1..=255 => Ok(Self(text)),
            bytes => Err(Error::InvalidIdempotencyKey { bytes }),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A request to use, reserve or give back some of a limit.
#[derive(Debug, Clone, Copy)]
pub struct UsageRequest<'a> {
    /// Whose limit.
    pub tenant: &'a TenantId,
    /// Which limit.
    pub feature: &'a FeatureKey,
    /// How much, from 0 to 2^53 − 1.
    pub amount: i64,
    /// Names the request. A repeat has the same feature and amount; its `now` may be another one.
    pub key: &'a IdempotencyKey,
    /// When, by the clock of the caller.
    pub now: Timestamp,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booking {
    /// It is counted now.
    Booked(Receipt),
    /// It was counted before, and this is what was answered then.
    Repeated(Receipt),
    /// It is not counted, and nothing is remembered of it.
    Denied(Box<LimitAnswer>),
}

impl Booking {
    /// The receipt; nothing where the request was denied.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Booked(receipt) | Self::Repeated(receipt) => Some(receipt),
            Self::Denied(_) => None,
        }
    }
}

/// What was answered to a request that is counted; kept, so that a repeat gets the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What the engine said: allow, warn or overage.
    pub outcome: Outcome,
    /// The limit; nothing when unlimited.
    pub limit: Option<u64>,
    /// What was left before the request, beside what was used and reserved; nothing when unlimited.
    pub remaining: Option<u64>,
    /// How much of the request lies beyond the limit. Of a reservation it is a forecast: overage counts when it is
    /// confirmed. Of what was given back, how much of it had lain beyond.
    pub overage_units: u64,
    /// How much of all use, this request included, lies beyond the limit.
    pub overage_total: u64,
    /// Percentages of the limit that the request crosses.
    pub thresholds_crossed: Vec<u16>,
    /// When the window began that it counts in; nothing for a capacity.
    pub window_start: Option<Timestamp>,
    /// When that window ends; nothing for a capacity.
    pub resets_at: Option<Timestamp>,
    /// Revision of the snapshot that decided.
    pub revision: Revision,
}

impl Receipt {
    pub(super) fn of(answer: &LimitAnswer, window_start: Timestamp) -> Self {
        Self {
            outcome: answer.outcome,
            limit: answer.limit,
            remaining: answer.remaining,
            overage_units: answer.overage_units,
            overage_total: answer.overage_total,
            thresholds_crossed: answer.thresholds_crossed.clone(),
            window_start: answer.resets_at.map(|_| window_start),
            resets_at: answer.resets_at,
            revision: answer.revision,
        }
    }
}

/// What is used of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// What was consumed in the window and not given back.
    pub used: u64,
    /// What is held beside it, without what has expired.
    pub reserved: u64,
    /// When the window began; nothing for a capacity.
    pub window_start: Option<Timestamp>,
    /// What the limit says when both are in use.
    pub answer: LimitAnswer,
}
