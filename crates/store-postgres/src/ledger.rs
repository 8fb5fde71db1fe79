//! The usage ledger: what tenants used of their limits, counted exactly.
//!
//! The engine decides, from the snapshot in memory; the rows guard that what it decided on is still so when its decision
//! is written. An app that has the ledger in its own database needs HQ for neither.
//!
//! Every request carries an idempotency key. Sent again under the same key, after an answer that was lost, it counts once
//! and gets the same answer. What was denied holds no key: the same request may be tried again when there is room.
//!
//! # Clocks
//!
//! `now` is the caller's, as it is with the engine, and nothing here asks the database for the time. Which window a
//! request counts in and whether a reservation has expired follow from the `now` of that request alone. Callers whose
//! clocks differ by some seconds book in different windows for those seconds around a reset, each within its limit, and
//! see a reservation expire so much sooner or later; whoever comes first settles it, for all of them.

mod event;
mod granted;
mod receipt;
mod rows;

pub use event::{UsageEvent, UsageEventKind};
pub use receipt::{Booking, IdempotencyKey, Receipt, UsageReport, UsageRequest};

use crate::error::retried;
use crate::schema::{self, Part};
use crate::{Error, TenantTransaction};
use event::Events;
use granted::Granted;
use leasehold::model::MAX_INTEGER;
use leasehold::{Engine, FeatureKey, LimitAnswer, Outcome, Snapshot, TenantId, Timestamp};
use rows::{Asked, Counter, Entry, Place, Settlement};
use sqlx::PgPool;
use std::time::Duration;

/// Counts what tenants use. Clones share the pool and the engine.
///
/// ```no_run
/// # use leasehold::{Engine, Timestamp};
/// # use leasehold_postgres::ledger::{Booking, IdempotencyKey, Ledger, UsageRequest};
/// # async fn example(pool: sqlx::PgPool, engine: Engine, now: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::connect(pool, engine).await?;
/// let (tenant, feature) = ("om-1".parse()?, "orders_per_month".parse()?);
/// let key = IdempotencyKey::new("order-4711")?;
/// match ledger.consume(&UsageRequest { tenant: &tenant, feature: &feature, amount: 1, key: &key, now }).await? {
///     Booking::Booked(receipt) | Booking::Repeated(receipt) => println!("{:?} were left before it", receipt.remaining),
///     Booking::Denied(answer) => println!("not now: {}", answer.reason),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Ledger {
    pool: PgPool,
    engine: Engine,
}

/// Counters that one sweep looks at: it holds their locks until it is done.
const SWEPT_AT_ONCE: i32 = 1000;

impl Ledger {
    /// A ledger in the database that the pool connects to, as a login with the role `leasehold_app`, deciding from what
    /// this engine knows. Checks the schema, once: make one when the app starts, and clone it.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::SchemaBehind`] with the migrations that are missing, [`Error::SchemaAhead`],
    /// [`Error::SchemaAltered`], [`Error::ServerTooOld`].
    pub async fn connect(pool: PgPool, engine: Engine) -> Result<Self, Error> {
        schema::check(&mut *pool.acquire().await?, Part::Ledger).await?;
        Ok(Self { pool, engine })
    }

    /// Uses so much of a limit, all or nothing, when the limit has room for it beside what is used and reserved.
    ///
    /// # Errors
    /// What [`check_limit`](leasehold::PinnedTenant::check_limit) answers; [`Error::IdempotencyKeyReused`];
    /// [`Error::Contended`] when others changed the same rows at every attempt; [`Error::Unreachable`] when nobody knows
    /// whether it is counted: send it again under the same key.
    pub async fn consume(&self, request: &UsageRequest<'_>) -> Result<Booking, Error> {
        self.book(request, Asked::Consume).await
    }

    /// Holds so much of a limit for some time, when there is room for it. The request's key names the reservation from then
    /// on. It takes room from others at once, and counts as used when it is confirmed: only then are thresholds crossed and
    /// overage recorded.
    ///
    /// # Errors
    /// As [`consume`](Self::consume).
    pub async fn reserve(&self, request: &UsageRequest<'_>, hold: Duration) -> Result<Booking, Error> {
        let hold_ms = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
        self.book(request, Asked::Reserve { hold_ms }).await
    }

    /// Gives back some of what is used, as when a user is removed from a capacity, in the window of `now`. No limit refuses
    /// it, not even one that is off by now. Overage that is given back makes an event of its own; where the limit is off, by
    /// what it was when some of it was granted last.
    ///
    /// # Errors
    /// [`Error::MoreThanHeld`] when less than that is used in the window, and those of [`consume`](Self::consume).
    pub async fn give_back(&self, request: &UsageRequest<'_>) -> Result<Booking, Error> {
        self.book(request, Asked::GiveBack).await
    }

    /// Uses so much of what was reserved under this key, and releases the rest. It counts in the window that it was reserved
    /// in, and is never denied: room was made for it. Where the engine would deny it by now, overage and thresholds count by
    /// the limit as it was when some of it was granted last. Asked again for the same amount, it gives the same answer.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::ReservationEnded`] when it was released, has expired at `now`, or was confirmed with
    /// another amount; [`Error::MoreThanHeld`]; and those of [`consume`](Self::consume).
    pub async fn confirm(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
        amount: i64,
        now: Timestamp,
    ) -> Result<Booking, Error> {
        let snapshot = self.engine.pin();
        retried!(self.try_confirm(&snapshot, tenant, key, amount, now))
    }

    /// Gives up a reservation. One that was released before or has expired holds nothing any more: that is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::ReservationEnded`] when it was confirmed; [`Error::Contended`],
    /// [`Error::Unreachable`] as [`consume`](Self::consume).
    pub async fn release(&self, tenant: &TenantId, key: &IdempotencyKey, now: Timestamp) -> Result<(), Error> {
        retried!(self.try_release(tenant, key, now))
    }

    /// What is used and reserved in the window of `now`, and what the limit says to that.
    ///
    /// # Errors
    /// `unknown_tenant`, `unknown_feature`, `wrong_kind`; [`Error::Unreachable`].
    pub async fn usage(&self, tenant: &TenantId, feature: &FeatureKey, now: Timestamp) -> Result<UsageReport, Error> {
        let snapshot = self.engine.pin();
        let window_start = snapshot.tenant(tenant.as_str())?.window_start(feature, now)?;
        let mut transaction = TenantTransaction::begin(&self.pool, tenant).await?;
        let place = Place::new(tenant, feature.as_str(), window_start);
        let counter = rows::read(transaction.connection(), &place, now).await?;
        transaction.rollback().await?;
        let answer = snapshot.tenant(tenant.as_str())?.check_limit(feature, counter.taken(), 0, now)?;
        Ok(UsageReport {
            used: counter.used.unsigned_abs(),
            reserved: counter.reserved.unsigned_abs(),
            window_start,
            answer,
        })
    }

    /// Gives back what has expired of a tenant at `now`, and says how much. Counting does so by itself, limit by limit: this
    /// is for limits that nobody asks about. Workers that serve every tenant call the function `hq_ledger_sweep`.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Contended`].
    pub async fn sweep(&self, tenant: &TenantId, now: Timestamp) -> Result<u64, Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, tenant).await?;
        let given_back = rows::sweep(transaction.connection(), now, SWEPT_AT_ONCE).await?;
        transaction.commit().await?;
        Ok(given_back)
    }

    /// Events of a tenant that wait to be passed on, oldest first. Pass them on, then say so with
    /// [`delivered`](Self::delivered): each is passed on at least once. Workers that serve every tenant call the functions
    /// `hq_usage_events` and `hq_usage_events_delivered`.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn events(&self, tenant: &TenantId, at_most: u32) -> Result<Vec<UsageEvent>, Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, tenant).await?;
        let events = event::waiting(transaction.connection(), at_most).await?;
        transaction.rollback().await?;
        Ok(events)
    }

    /// Marks events of a tenant as passed on.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn delivered(&self, tenant: &TenantId, ids: &[i64], now: Timestamp) -> Result<(), Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, tenant).await?;
        event::delivered(transaction.connection(), ids, now).await?;
        transaction.commit().await
    }

    async fn book(&self, request: &UsageRequest<'_>, asked: Asked) -> Result<Booking, Error> {
        let snapshot = self.engine.pin();
        // A mistaken question is refused before there is a transaction.
        let tenant = snapshot.tenant(request.tenant.as_str())?;
        tenant.check_limit(request.feature, 0, request.amount, request.now)?;
        let window_start = tenant.window_start(request.feature, request.now)?;
        let place = Place::new(request.tenant, request.feature.as_str(), window_start);
        retried!(self.try_book(&snapshot, request, asked, &place))
    }

    async fn try_book(
        &self,
        snapshot: &Snapshot,
        request: &UsageRequest<'_>,
        asked: Asked,
        place: &Place<'_>,
    ) -> Result<Booking, Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, request.tenant).await?;
        let (mut counter, before) = rows::lock(transaction.connection(), place, request.key).await?;
        if let Some(entry) = before {
            transaction.rollback().await?;
            return entry.repeated(request, asked);
        }
        let expired = counter.earliest_expiry_ms.is_some_and(|at| at <= request.now.as_ms());
        if expired {
            rows::expire(transaction.connection(), place, &mut counter, request.now).await?;
        }
        let decided = decide(snapshot, request, asked, &counter);
        if !matches!(decided, Ok(Ok(_)))
            && let Some(entry) = rows::entry(transaction.connection(), place, request.key).await?
        {
            // The same was booked while this waited for its turn: what it took is no reason to refuse it.
            transaction.rollback().await?;
            return entry.repeated(request, asked);
        }
        let decided = match decided {
            Ok(Ok(decided)) => decided,
            Err(error) => return transaction.refuse(error).await,
            Ok(Err(denied)) => {
                if expired {
                    transaction.commit().await?;
                } else {
                    transaction.rollback().await?;
                }
                return Ok(Booking::Denied(Box::new(denied)));
            }
        };
        let Decided { answer, next, events } = decided;
        let entry = Entry {
            key: request.key,
            asked,
            amount: request.amount,
            at: request.now,
            receipt: Receipt::of(&answer, place.window_start()),
        };
        rows::write(transaction.connection(), place, &counter, &next, &entry, &events).await?;
        transaction.commit().await?;
        Ok(Booking::Booked(entry.receipt))
    }

    async fn try_confirm(
        &self,
        snapshot: &Snapshot,
        tenant: &TenantId,
        key: &IdempotencyKey,
        amount: i64,
        now: Timestamp,
    ) -> Result<Booking, Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, tenant).await?;
        let reservation = rows::reservation(transaction.connection(), tenant, key).await?;
        let asked = amount_of(amount)?;
        if let Some(receipt) = reservation.confirmed_with(amount) {
            transaction.rollback().await?;
            return Ok(Booking::Repeated(receipt));
        }
        if let Err(error) = reservation.is_held(key, now) {
            return transaction.refuse(error).await;
        }
        if amount > reservation.amount {
            let held = reservation.amount.unsigned_abs();
            return transaction.refuse(Error::MoreThanHeld { asked, held }).await;
        }
        let place = reservation.place(tenant);
        let counter = rows::lock_counter(transaction.connection(), &place).await?;
        let pinned = snapshot.tenant(tenant.as_str())?;
        let feature = reservation.feature.as_str();
        let mut next = counter.plus(amount, -reservation.amount)?;
        let check = |used, requested| pinned.check_limit(feature, used, requested, now);
        let mut answer = check(counter.used, amount)?;
        next.is_granted(&answer, amount, check)?;
        if answer.outcome == Outcome::Deny {
            // The limit shrank or is off by now, but room was made before that.
            answer.outcome = Outcome::Allow;
            if let Some(granted) = &counter.granted {
                granted.count(&mut answer, counter.used, amount);
            }
        }
        if answer.resets_at.is_some() && pinned.window_start(feature, now)? != Some(reservation.window_start) {
            answer.resets_at = pinned.check_limit(feature, 0, 0, reservation.window_start)?.resets_at;
        }
        let events = Events::of(&answer);
        let entry =
            Entry { key, asked: Asked::Confirm, amount, at: now, receipt: Receipt::of(&answer, place.window_start()) };
        rows::write(transaction.connection(), &place, &counter, &next, &entry, &events).await?;
        transaction.commit().await?;
        Ok(Booking::Booked(entry.receipt))
    }

    async fn try_release(&self, tenant: &TenantId, key: &IdempotencyKey, now: Timestamp) -> Result<(), Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, tenant).await?;
        let reservation = rows::reservation(transaction.connection(), tenant, key).await?;
        match reservation.state {
            Settlement::Held => {
                let place = reservation.place(tenant);
                rows::lock_counter(transaction.connection(), &place).await?;
                rows::release(transaction.connection(), &place, key, now).await?;
                transaction.commit().await
            }
            Settlement::Confirmed { .. } => {
                let key = key.as_str().to_owned();
                transaction.refuse(Error::ReservationEnded { key, state: "confirmed" }).await
            }
            Settlement::Released | Settlement::Expired => transaction.rollback().await,
        }
    }
}

impl Counter {
    /// Keeps what the limit is, where the engine grants some of it.
    fn is_granted(
        &mut self,
        answer: &LimitAnswer,
        amount: i64,
        check: impl Fn(i64, i64) -> Result<LimitAnswer, leasehold::Error>,
    ) -> Result<(), Error> {
        // Nothing of it is granted to everybody.
        if amount > 0
            && let Some(granted) = Granted::of(answer, check)?
        {
            self.granted = Some(granted);
        }
        Ok(())
    }
}

struct Decided {
    answer: LimitAnswer,
    next: Counter,
    events: Events,
}

/// What the engine says to a request, when so much is used and reserved; the answer where it denies it.
fn decide(
    snapshot: &Snapshot,
    request: &UsageRequest<'_>,
    asked: Asked,
    counter: &Counter,
) -> Result<Result<Decided, LimitAnswer>, Error> {
    let tenant = snapshot.tenant(request.tenant.as_str())?;
    let check = |used, requested| tenant.check_limit(request.feature, used, requested, request.now);
    let amount = request.amount;
    if asked == Asked::GiveBack {
        let left = counter.used - amount;
        if left < 0 {
            let (asked, held) = (amount.unsigned_abs(), counter.used.unsigned_abs());
            return Err(Error::MoreThanHeld { asked, held });
        }
        let mut next = counter.plus(-amount, 0)?;
        let mut returned = check(left, amount)?;
        let mut answer = check(counter.taken(), 0)?;
        next.is_granted(&returned, amount, check)?;
        if let (Outcome::Deny, Some(granted)) = (returned.outcome, &counter.granted) {
            // The limit shrank or is off by now, and what was beyond it once was charged for.
            granted.count(&mut returned, left, amount);
            granted.count(&mut answer, counter.taken(), 0);
        }
        answer.outcome = Outcome::Allow;
        answer.overage_units = returned.overage_units;
        answer.overage_total = returned.overage_total - returned.overage_units;
        let events = Events::returned(&answer);
        return Ok(Ok(Decided { answer, next, events }));
    }
    // What is reserved takes room away, and does not count as used before it is confirmed.
    let mut answer = check(counter.taken(), amount)?;
    if answer.outcome == Outcome::Deny {
        return Ok(Err(answer));
    }
    if let Asked::Reserve { hold_ms } = asked {
        let mut next = counter.plus(0, amount)?;
        next.is_granted(&answer, amount, check)?;
        let until = rows::expiry(request.now, hold_ms);
        next.earliest_expiry_ms = Some(counter.earliest_expiry_ms.map_or(until, |earliest| earliest.min(until)));
        return Ok(Ok(Decided { answer, next, events: Events::default() }));
    }
    let mut next = counter.plus(amount, 0)?;
    next.is_granted(&answer, amount, check)?;
    if counter.reserved > 0 {
        let counted = check(counter.used, amount)?;
        answer.outcome = counted.outcome;
        answer.overage_units = counted.overage_units;
        answer.overage_total = counted.overage_total;
        answer.thresholds_crossed = counted.thresholds_crossed;
    }
    let events = Events::of(&answer);
    Ok(Ok(Decided { answer, next, events }))
}

fn amount_of(amount: i64) -> Result<u64, Error> {
    let amount_in_range = u64::try_from(amount).ok().filter(|amount| *amount <= MAX_INTEGER);
    amount_in_range.ok_or(Error::Question(leasehold::Error::AmountOutOfRange(amount)))
}
