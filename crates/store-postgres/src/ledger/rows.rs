//! The rows of the ledger, and the statements that read and write them.
//!
//! Whoever writes locks the row of the counter first, and then what belongs to it: nobody waits in a circle.

use super::event::Events;
use super::granted::Granted;
use super::receipt::{Booking, IdempotencyKey, Receipt, UsageRequest};
use crate::Error;
use leasehold::model::{MAX_INTEGER, Mode};
use leasehold::{FeatureKey, Outcome, Revision, TenantId, Timestamp};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

/// Which counter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    tenant: &'a str,
    feature: &'a str,
    window_start: Timestamp,
}

impl<'a> Place<'a> {
    /// A capacity counts in one window, which began with time and never ends.
    pub(super) fn new(tenant: &'a TenantId, feature: &'a str, window_start: Option<Timestamp>) -> Self {
        Self { tenant: tenant.as_str(), feature, window_start: window_start.unwrap_or(Timestamp::MIN) }
    }

    pub(super) fn window_start(&self) -> Timestamp {
        self.window_start
    }

    fn query(&self, sql: &'static str) -> Query<'a, Postgres, PgArguments> {
        sqlx::query(sql).bind(self.tenant).bind(self.feature).bind(self.window_start.as_ms())
    }
}

/// What a counter says.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    pub(super) used: i64,
    pub(super) reserved: i64,
    pub(super) earliest_expiry_ms: Option<i64>,
    pub(super) granted: Option<Granted>,
}

impl Counter {
    /// What the engine is told is used.
    pub(super) fn taken(&self) -> i64 {
        self.used.saturating_add(self.reserved)
    }

    /// The counter after a change.
    pub(super) fn plus(&self, used: i64, reserved: i64) -> Result<Self, Error> {
        let next = Self {
            used: self.used.saturating_add(used),
            reserved: self.reserved.saturating_add(reserved),
            ..self.clone()
        };
        if next.taken().unsigned_abs() > MAX_INTEGER {
            return Err(leasehold::Error::AmountOutOfRange(next.taken()).into());
        }
        Ok(next)
    }

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        // There is no row before something is counted.
        let amount = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.unwrap_or(0));
        let granted = match row.try_get("granted_mode")? {
            None => None,
            Some(mode) => Some(Granted {
                mode: Mode::from_word(mode).ok_or_else(|| undecodable("granted_mode"))?,
                limit: row.try_get::<Option<i64>, _>("granted_limit")?.map(unsigned),
                thresholds: percents(row.try_get("granted_thresholds")?),
            }),
        };
        Ok(Self {
            used: amount("used")?,
            reserved: amount("reserved")?,
            earliest_expiry_ms: row.try_get("earliest_expiry_ms")?,
            granted,
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Consume,
    Reserve { hold_ms: i64 },
    GiveBack,
    Confirm,
}

impl Asked {
    fn kind(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::Reserve { .. } => "reserve",
            Self::GiveBack => "give_back",
            Self::Confirm => "confirm",
        }
    }

    fn hold_ms(self) -> Option<i64> {
        match self {
            Self::Reserve { hold_ms } => Some(hold_ms),
            _ => None,
        }
    }
}

/// An entry that is to be written.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a IdempotencyKey,
    pub(super) asked: Asked,
    pub(super) amount: i64,
    pub(super) at: Timestamp,
    pub(super) receipt: Receipt,
}

/// An entry that was written before.
#[derive(Debug)]
pub(super) struct Written {
    kind: String,
    feature: String,
    amount: i64,
    hold_ms: Option<i64>,
    receipt: Receipt,
}

impl Written {
    /// The answer of then, when the same is asked for now.
    pub(super) fn repeated(self, request: &UsageRequest<'_>, asked: Asked) -> Result<Booking, Error> {
        let is_same = self.kind == asked.kind()
            && self.feature == request.feature.as_str()
            && self.amount == request.amount
            && self.hold_ms == asked.hold_ms();
        if is_same {
            Ok(Booking::Repeated(self.receipt))
        } else {
            Err(Error::IdempotencyKeyReused { key: request.key.as_str().to_owned() })
        }
    }

    fn read(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
        let Some(kind) = row.try_get("kind")? else { return Ok(None) };
        let resets_at =
            row.try_get::<Option<i64>, _>("resets_at_ms")?.map(|_| time(row, "resets_at_ms")).transpose()?;
        let window_start = time(row, "window_start_ms")?;
        let receipt = Receipt {
            outcome: Outcome::from_word(row.try_get("outcome")?).ok_or_else(|| undecodable("outcome"))?,
            limit: row.try_get::<Option<i64>, _>("limit_amount")?.map(unsigned),
            remaining: row.try_get::<Option<i64>, _>("remaining")?.map(unsigned),
            overage_units: row.try_get("overage_units").map(unsigned)?,
            overage_total: row.try_get("overage_total").map(unsigned)?,
            thresholds_crossed: percents(row.try_get("thresholds_crossed")?),
            window_start: resets_at.map(|_| window_start),
            resets_at,
            revision: Revision::new(row.try_get("revision").map(unsigned)?).ok_or_else(|| undecodable("revision"))?,
        };
        Ok(Some(Self {
            kind,
            feature: row.try_get("feature_key")?,
            amount: row.try_get("amount")?,
            hold_ms: row.try_get("hold_ms")?,
            receipt,
        }))
    }
}

/// Locks a counter, and reads with it what was written under a key. An entry that was committed while this waited for the
/// lock may be missed: its key refuses the second one, and whoever writes none looks again ([`entry`]).
pub(super) async fn lock(
    connection: &mut PgConnection,
    place: &Place<'_>,
    key: &IdempotencyKey,
) -> Result<(Counter, Option<Written>), Error> {
    let sql = "WITH counter AS (
            SELECT used, reserved, earliest_expiry_ms, granted_mode, granted_limit, granted_thresholds
            FROM leasehold.org_usage_counters
            WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3 FOR NO KEY UPDATE)
        SELECT c.*, e.kind, e.feature_key, e.window_start_ms, e.amount, e.hold_ms,
               e.outcome, e.limit_amount, e.remaining, e.overage_units, e.overage_total, e.thresholds_crossed,
               e.resets_at_ms, e.revision
        FROM (SELECT) AS always LEFT JOIN counter c ON true LEFT JOIN leasehold.org_usage_entries e
            ON e.tenant_org_id = $1 AND e.idempotency_key = $4 AND e.step = 1";
    let row = place.query(sql).bind(key.as_str()).fetch_one(connection).await?;
    Ok((Counter::read(&row)?, Written::read(&row)?))
}

/// Reads what was written under a key.
pub(super) async fn entry(
    connection: &mut PgConnection,
    place: &Place<'_>,
    key: &IdempotencyKey,
) -> Result<Option<Written>, Error> {
    let sql =
        "SELECT kind, feature_key, window_start_ms, amount, hold_ms, outcome, limit_amount, remaining, overage_units,
               overage_total, thresholds_crossed, resets_at_ms, revision
        FROM leasehold.org_usage_entries WHERE tenant_org_id = $1 AND idempotency_key = $2 AND step = 1";
    let row = sqlx::query(sql).bind(place.tenant).bind(key.as_str()).fetch_optional(connection).await?;
    Ok(row.as_ref().map(Written::read).transpose()?.flatten())
}

/// Locks a counter that something is reserved of.
pub(super) async fn lock_counter(connection: &mut PgConnection, place: &Place<'_>) -> Result<Counter, Error> {
    let sql = "SELECT used, reserved, earliest_expiry_ms, granted_mode, granted_limit, granted_thresholds
        FROM leasehold.org_usage_counters
        WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3 FOR NO KEY UPDATE";
    let row = place.query(sql).fetch_one(connection).await?;
    Ok(Counter::read(&row)?)
}

/// Reads a counter as it is without what has expired.
pub(super) async fn read(connection: &mut PgConnection, place: &Place<'_>, now: Timestamp) -> Result<Counter, Error> {
    let sql = "SELECT used, reserved - (SELECT coalesce(sum(amount), 0) FROM leasehold.org_usage_reservations
            WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3 AND state = 'held'
                AND expires_at_ms <= $4)::bigint AS reserved, earliest_expiry_ms, granted_mode, granted_limit,
            granted_thresholds
        FROM leasehold.org_usage_counters
        WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3";
    let row = place.query(sql).bind(now.as_ms()).fetch_optional(connection).await?;
    Ok(row.as_ref().map(Counter::read).transpose()?.unwrap_or_default())
}

/// Gives back what has expired of a counter that is locked.
pub(super) async fn expire(
    connection: &mut PgConnection,
    place: &Place<'_>,
    counter: &mut Counter,
    now: Timestamp,
) -> Result<(), Error> {
    let query = place.query("SELECT still_reserved, next_expiry_ms FROM leasehold.ledger_expire($1, $2, $3, $4)");
    let row = query.bind(now.as_ms()).fetch_one(connection).await?;
    counter.reserved = row.try_get("still_reserved")?;
    counter.earliest_expiry_ms = row.try_get("next_expiry_ms")?;
    Ok(())
}

/// Gives back what has expired of a tenant; says how much.
pub(super) async fn sweep(connection: &mut PgConnection, now: Timestamp, at_most: i32) -> Result<u64, Error> {
    let query = sqlx::query("SELECT leasehold.ledger_sweep($1, $2)").bind(now.as_ms()).bind(at_most);
    Ok(query.fetch_one(connection).await?.try_get(0).map(unsigned)?)
}

/// Writes the counter, when it is still what was decided on, and then all else; `$before` takes part in the condition.
macro_rules! writing {
    ($before:literal, $from:literal, $after:literal) => {
        concat!(
            "WITH ",
            $before,
            "counter AS (
                INSERT INTO leasehold.org_usage_counters AS c
                    (tenant_org_id, feature_key, window_start_ms, used, reserved, earliest_expiry_ms, granted_mode,
                     granted_limit, granted_thresholds)
                SELECT $1, $2, $3, $7, $8, $9, $10, $11, $12 ",
            $from,
            " ON CONFLICT (tenant_org_id, feature_key, window_start_ms) DO UPDATE
                SET used = excluded.used, reserved = excluded.reserved,
                    earliest_expiry_ms = excluded.earliest_expiry_ms, granted_mode = excluded.granted_mode,
                    granted_limit = excluded.granted_limit, granted_thresholds = excluded.granted_thresholds
                WHERE c.used = $4 AND c.reserved = $5 AND c.earliest_expiry_ms IS NOT DISTINCT FROM $6
                RETURNING 1),
            entry AS (
                INSERT INTO leasehold.org_usage_entries
                    (tenant_org_id, feature_key, window_start_ms, idempotency_key, step, kind, amount, hold_ms, at_ms,
                     outcome, limit_amount, remaining, overage_units, overage_total, thresholds_crossed, resets_at_ms,
                     revision)
                SELECT $1, $2, $3, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26 FROM counter)",
            $after,
            " SELECT count(*) FROM counter"
        )
    };
}

/// Without events and with them.
macro_rules! writings {
    ($before:literal, $from:literal) => {
        [
            writing!($before, $from, ""),
            writing!(
                $before,
                $from,
                ", events AS (
                INSERT INTO leasehold.org_usage_events
                    (tenant_org_id, feature_key, window_start_ms, idempotency_key, at_ms, limit_amount, used, mode, kind,
                     percent, units)
                SELECT $1, $2, $3, $13, $18, $20, $7, $27, happened.*
                FROM counter, unnest($28::text[], $29::smallint[], $30::bigint[]) AS happened)"
            ),
        ]
    };
}

const WRITE_USED: [&str; 2] = writings!("", "");
/// What is reserved is told when it is confirmed.
const WRITE_RESERVED: &str = writing!(
    "",
    "",
    ", held AS (
        INSERT INTO leasehold.org_usage_reservations
            (tenant_org_id, feature_key, window_start_ms, idempotency_key, amount, expires_at_ms)
        SELECT $1, $2, $3, $13, $16, $27 FROM counter)"
);
const WRITE_CONFIRMED: [&str; 2] = writings!(
    "settled AS (
        UPDATE leasehold.org_usage_reservations SET state = 'confirmed', settled_at_ms = $18
        WHERE tenant_org_id = $1 AND idempotency_key = $13 AND state = 'held'
        RETURNING 1), ",
    "FROM settled"
);

/// Writes an entry with all that belongs to it.
///
/// # Errors
/// [`Error::Contended`] where the counter, the reservation or the key is not what was read.
pub(super) async fn write(
    connection: &mut PgConnection,
    place: &Place<'_>,
    before: &Counter,
    next: &Counter,
    entry: &Entry<'_>,
    events: &Events,
) -> Result<(), Error> {
    let Entry { key, asked, amount, at, receipt } = entry;
    let (step, sql) = match (asked, events.kinds.is_empty()) {
        (Asked::Consume | Asked::GiveBack, true) => (1_i16, WRITE_USED[0]),
        (Asked::Consume | Asked::GiveBack, false) => (1, WRITE_USED[1]),
        (Asked::Reserve { .. }, _) => (1, WRITE_RESERVED),
        (Asked::Confirm, true) => (2, WRITE_CONFIRMED[0]),
        (Asked::Confirm, false) => (2, WRITE_CONFIRMED[1]),
    };
    let granted = next.granted.as_ref();
    let mut query = place
        .query(sql)
        .bind(before.used)
        .bind(before.reserved)
        .bind(before.earliest_expiry_ms)
        .bind(next.used)
        .bind(next.reserved)
        .bind(next.earliest_expiry_ms)
        .bind(granted.map(|granted| granted.mode.as_str()))
        .bind(granted.and_then(|granted| granted.limit).map(small))
        .bind(granted.map(|granted| small_percents(&granted.thresholds)))
        .bind(key.as_str())
        .bind(step)
        .bind(asked.kind())
        .bind(amount)
        .bind(asked.hold_ms())
        .bind(at.as_ms())
        .bind(receipt.outcome.as_str())
        .bind(receipt.limit.map(small))
        .bind(receipt.remaining.map(small))
        .bind(small(receipt.overage_units))
        .bind(small(receipt.overage_total))
        .bind(small_percents(&receipt.thresholds_crossed))
        .bind(receipt.resets_at.map(Timestamp::as_ms))
        .bind(small(receipt.revision.get()));
    if let Asked::Reserve { hold_ms } = asked {
        query = query.bind(expiry(*at, *hold_ms));
    } else if !events.kinds.is_empty() {
        query = query.bind(events.mode).bind(&events.kinds).bind(&events.percents).bind(&events.units);
    }
    let written: i64 = match query.fetch_one(connection).await.map_err(Error::from) {
        Ok(row) => row.try_get(0)?,
        // Somebody wrote under this key since it was looked for. Which of the two rows says so first is not said.
        Err(Error::Constraint { constraint: Some(name), .. })
            if ["org_usage_entries_pkey", "org_usage_reservations_pkey"].contains(&name.as_str()) =>
        {
            0
        }
        Err(error) => return Err(error),
    };
    if written == 1 { Ok(()) } else { Err(Error::Contended { attempts: 1 }) }
}

/// The first instant at which a reservation is no longer held.
pub(super) fn expiry(at: Timestamp, hold_ms: i64) -> i64 {
    at.as_ms().saturating_add(hold_ms).min(Timestamp::MAX.as_ms())
}

/// Something that is or was held.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) feature: FeatureKey,
    pub(super) window_start: Timestamp,
    pub(super) amount: i64,
    pub(super) state: Settlement,
    expires_at_ms: i64,
}

/// How a reservation ended, where it did.
#[derive(Debug)]
pub(super) enum Settlement {
    Held,
    Confirmed { amount: i64, receipt: Receipt },
    Released,
    Expired,
}

impl Reservation {
    pub(super) fn place<'a>(&'a self, tenant: &'a TenantId) -> Place<'a> {
        Place::new(tenant, self.feature.as_str(), Some(self.window_start))
    }

    /// The answer to a confirmation of the same amount.
    pub(super) fn confirmed_with(&self, asked: i64) -> Option<Receipt> {
        match &self.state {
            Settlement::Confirmed { amount, receipt } if *amount == asked => Some(receipt.clone()),
            _ => None,
        }
    }

    pub(super) fn is_held(&self, key: &IdempotencyKey, now: Timestamp) -> Result<(), Error> {
        let state = match self.state {
            Settlement::Held if now.as_ms() < self.expires_at_ms => return Ok(()),
            Settlement::Held | Settlement::Expired => "expired",
            Settlement::Confirmed { .. } => "confirmed",
            Settlement::Released => "released",
        };
        Err(Error::ReservationEnded { key: key.as_str().to_owned(), state })
    }
}

/// Reads a reservation, without a lock. What it belongs to never changes, nor does its state once it ended.
pub(super) async fn reservation(
    connection: &mut PgConnection,
    tenant: &TenantId,
    key: &IdempotencyKey,
) -> Result<Reservation, Error> {
    let found = sqlx::query(
        "SELECT r.feature_key AS of_feature, r.window_start_ms AS of_window_ms, r.amount AS held, r.expires_at_ms,
                r.state, e.*
         FROM leasehold.org_usage_reservations r LEFT JOIN leasehold.org_usage_entries e
             ON e.tenant_org_id = r.tenant_org_id AND e.idempotency_key = r.idempotency_key AND e.step = 2
         WHERE r.tenant_org_id = $1 AND r.idempotency_key = $2",
    )
    .bind(tenant.as_str())
    .bind(key.as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = found else {
        return Err(Error::NotFound { what: "reservation", key: key.as_str().to_owned() });
    };
    let state = match (row.try_get("state")?, Written::read(&row)?) {
        ("held", _) => Settlement::Held,
        ("released", _) => Settlement::Released,
        ("expired", _) => Settlement::Expired,
        ("confirmed", Some(Written { amount, receipt, .. })) => Settlement::Confirmed { amount, receipt },
        _ => return Err(undecodable("state").into()),
    };
    Ok(Reservation {
        feature: row.try_get::<&str, _>("of_feature")?.parse().map_err(|_| undecodable("feature_key"))?,
        window_start: time(&row, "of_window_ms")?,
        amount: row.try_get("held")?,
        state,
        expires_at_ms: row.try_get("expires_at_ms")?,
    })
}

/// Releases what is held, of a counter that is locked.
///
/// # Errors
/// [`Error::Contended`] where it is no longer held.
pub(super) async fn release(
    connection: &mut PgConnection,
    place: &Place<'_>,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "WITH settled AS (
            UPDATE leasehold.org_usage_reservations SET state = 'released', settled_at_ms = $5
            WHERE tenant_org_id = $1 AND idempotency_key = $4 AND state = 'held'
            RETURNING amount)
        UPDATE leasehold.org_usage_counters SET reserved = reserved - settled.amount FROM settled
        WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3";
    let done = place.query(sql).bind(key.as_str()).bind(now.as_ms()).execute(connection).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::Contended { attempts: 1 }) }
}

/// Columns of amounts are checked to be in range.
pub(super) fn unsigned(amount: i64) -> u64 {
    amount.unsigned_abs()
}

/// Amounts that the engine gave are at most 2^53 − 1.
pub(super) fn small(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Percentages are checked to be small when definitions are read.
fn small_percents(percents: &[u16]) -> Vec<i16> {
    percents.iter().filter_map(|percent| i16::try_from(*percent).ok()).collect()
}

fn percents(small: Vec<i16>) -> Vec<u16> {
    small.into_iter().map(i16::unsigned_abs).collect()
}

pub(super) fn time(row: &PgRow, column: &'static str) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_ms(row.try_get(column)?).map_err(|_| undecodable(column))
}

pub(super) fn undecodable(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} holds what this build does not know").into())
}
