//! The outbox: what others are to be told of.

use super::rows::{small, time, undecodable, unsigned};
use crate::Error;
use leasehold::model::Mode;
use leasehold::{FeatureKey, LimitAnswer, Outcome, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// Something that others are to be told of. It is written in the transaction that causes it: once for each threshold that a
/// request crosses, and once for what of it lies beyond the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// Tells events apart.
    pub id: i64,
    /// What happened.
    pub kind: UsageEventKind,
    /// To which limit.
    pub feature: FeatureKey,
    /// Key of the request that caused it.
    pub key: String,
    /// Start of the window; that of year 0 for a capacity.
    pub window_start: Timestamp,
    /// Mode of the limit: only `billable` is to be billed.
    pub mode: Mode,
    /// The limit at that time.
    pub limit: u64,
    /// What was used after it.
    pub used: u64,
    /// When, by the clock of the caller.
    pub at: Timestamp,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageEventKind {
    /// So many percent of the limit were reached.
    Threshold {
        /// The percentage.
        percent: u16,
    },
    /// So much was used beyond the limit.
    Overage {
        /// How much.
        units: u64,
    },
    /// So much of what was used beyond the limit was given back.
    OverageReturned {
        /// How much.
        units: u64,
    },
}

/// Events of one entry, column by column, as they are written.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) kinds: Vec<&'static str>,
    pub(super) percents: Vec<Option<i16>>,
    pub(super) units: Vec<Option<i64>>,
    pub(super) mode: &'static str,
}

impl Events {
    /// Those of use that the engine allowed.
    pub(super) fn of(answer: &LimitAnswer) -> Self {
        let mut events = Self { mode: answer.mode.as_str(), ..Self::default() };
        for percent in &answer.thresholds_crossed {
            events.add("threshold", i16::try_from(*percent).ok(), None);
        }
        if matches!(answer.outcome, Outcome::Warn | Outcome::Overage) {
            events.add("overage", None, Some(small(answer.overage_units)));
        }
        events
    }

    /// Those of what was given back.
    pub(super) fn returned(answer: &LimitAnswer) -> Self {
        let mut events = Self { mode: answer.mode.as_str(), ..Self::default() };
        if answer.overage_units > 0 {
            events.add("overage_returned", None, Some(small(answer.overage_units)));
        }
        events
    }

    fn add(&mut self, kind: &'static str, percent: Option<i16>, units: Option<i64>) {
        self.kinds.push(kind);
        self.percents.push(percent);
        self.units.push(units);
    }
}

pub(super) async fn waiting(connection: &mut PgConnection, at_most: u32) -> Result<Vec<UsageEvent>, Error> {
    let rows = sqlx::query(
        "SELECT event_id, kind, percent, units, feature_key, idempotency_key, window_start_ms, mode, limit_amount, used,
                at_ms
         FROM leasehold.org_usage_events WHERE delivered_at_ms IS NULL ORDER BY event_id LIMIT $1",
    )
    .bind(i64::from(at_most))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(read(row)?)).collect()
}

fn read(row: &PgRow) -> Result<UsageEvent, sqlx::Error> {
    let units = || row.try_get("units").map(unsigned);
    let kind = match row.try_get("kind")? {
        "threshold" => UsageEventKind::Threshold { percent: row.try_get::<i16, _>("percent")?.unsigned_abs() },
        "overage" => UsageEventKind::Overage { units: units()? },
        "overage_returned" => UsageEventKind::OverageReturned { units: units()? },
        _ => return Err(undecodable("kind")),
    };
    Ok(UsageEvent {
        id: row.try_get("event_id")?,
        kind,
        feature: row.try_get::<&str, _>("feature_key")?.parse().map_err(|_| undecodable("feature_key"))?,
        key: row.try_get("idempotency_key")?,
        window_start: time(row, "window_start_ms")?,
        mode: Mode::from_word(row.try_get("mode")?).ok_or_else(|| undecodable("mode"))?,
        limit: row.try_get("limit_amount").map(unsigned)?,
        used: row.try_get("used").map(unsigned)?,
        at: time(row, "at_ms")?,
    })
}

pub(super) async fn delivered(connection: &mut PgConnection, ids: &[i64], now: Timestamp) -> Result<(), Error> {
    sqlx::query(
        "UPDATE leasehold.org_usage_events SET delivered_at_ms = $2
         WHERE event_id = ANY ($1) AND delivered_at_ms IS NULL",
    )
    .bind(ids)
    .bind(now.as_ms())
    .execute(connection)
    .await?;
    Ok(())
}
