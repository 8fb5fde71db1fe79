//! The usage ledger on a real server: it counts exactly, once, and what the engine decided.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::support;
use crate::support::ledger::{
    self as usage, assert_consistent, code, engine, engine_with, engine_without, is_denied, noon, t, user, user_of,
};
use leasehold::{Outcome, Reason};
use leasehold_postgres::ledger::{Booking, IdempotencyKey, Ledger, UsageEventKind};
use leasehold_postgres::schema::{self, Part};
use leasehold_postgres::{Error, TenantTransaction};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::collections::BTreeSet;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_consumers_use_exactly_what_there_is() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let mut consumers = JoinSet::new();
    for consumer in 0..32 {
        let user = user.clone();
        consumers.spawn(async move {
            let mut taken = 0;
            for turn in 0..40 {
                let booking = user.consume("hard", 1, &format!("{consumer}-{turn}"), noon()).await.unwrap();
                match booking {
                    Booking::Booked(_) => taken += 1,
                    Booking::Denied(answer) => assert_eq!(answer.reason, Reason::LimitReached),
                    Booking::Repeated(_) => panic!("every key is new"),
                }
            }
            taken
        });
    }
    let taken: i32 = consumers.join_all().await.into_iter().sum();
    assert_eq!(taken, 1000);
    assert_eq!(user.usage("hard", noon()).await, (1000, 0));
    let threshold = |percent| UsageEventKind::Threshold { percent };
    assert_eq!(user.events("hard").await, [threshold(50), threshold(80), threshold(100)]);
    assert_consistent(&database.admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_many_times_at_once_counts_once() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    for round in 0..5 {
        let mut senders = JoinSet::new();
        for _ in 0..16 {
            let user = user.clone();
            senders.spawn(async move { user.consume("soft", 3, &format!("same-{round}"), noon()).await.unwrap() });
        }
        let bookings = senders.join_all().await;
        let booked = bookings.iter().filter(|booking| matches!(booking, Booking::Booked(_))).count();
        assert_eq!(booked, 1, "round {round}");
        let receipts: Vec<_> = bookings.iter().map(|booking| booking.receipt().unwrap()).collect();
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
    }
    assert_eq!(user.usage("soft", noon()).await, (15, 0));

    // Many limits, one key: one of them has it.
    let mut senders = JoinSet::new();
    for at in 0..16 {
        let user = user.clone();
        let feature = ["hard", "billable", "seats", "endless"][at % 4];
        senders.spawn(async move { (feature, user.consume(feature, 1, "shared", noon()).await) });
    }
    let mut winners = BTreeSet::new();
    for (feature, result) in senders.join_all().await {
        match result {
            Ok(booking) => _ = winners.insert((feature, booking.receipt().unwrap().limit)),
            Err(error) => assert_eq!(error.code(), "idempotency_key_reused"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");

    // What is reserved has two rows under its key. Across a reset it is the same request in two windows.
    for round in 0..5 {
        let mut senders = JoinSet::new();
        for at in 0..16 {
            let user = user.clone();
            let now = t(["2026-03-30T23:59:59Z", "2026-03-31T00:00:01Z"][at % 2]);
            senders.spawn(async move { user.reserve("soft", 3, &format!("held-{round}"), now, 60_000).await.unwrap() });
        }
        let bookings = senders.join_all().await;
        let booked = bookings.iter().filter(|booking| matches!(booking, Booking::Booked(_))).count();
        assert_eq!(booked, 1, "round {round}");
        let receipts: Vec<_> = bookings.iter().map(|booking| booking.receipt().unwrap()).collect();
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");

        let mut senders = JoinSet::new();
        for at in 0..16 {
            let user = user.clone();
            let feature = ["hard", "endless"][at % 2];
            senders.spawn(async move { (feature, user.reserve(feature, 1, &format!("h-{round}"), noon(), 9).await) });
        }
        let mut winners = BTreeSet::new();
        for (feature, result) in senders.join_all().await {
            match result {
                Ok(booking) => _ = winners.insert((feature, booking.receipt().unwrap().limit)),
                Err(error) => assert_eq!(error.code(), "idempotency_key_reused", "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
    }
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let database = support::database().await;
    let ours = user(&database.app, "t1").await;
    let first = ours.consume("billable", 12, "k", noon()).await.unwrap();
    let Booking::Booked(receipt) = first else { panic!("{first:?}") };
    assert_eq!((receipt.outcome, receipt.overage_units, receipt.overage_total), (Outcome::Overage, 2, 2));
    assert_eq!((receipt.limit, receipt.remaining, receipt.revision.get()), (Some(10), Some(10), 7));
    assert_eq!(receipt.thresholds_crossed, [100]);
    assert_eq!(receipt.resets_at, Some(t("2026-03-31T00:00:00Z")));
    assert_eq!(receipt.window_start, Some(t("2026-02-28T00:00:00Z")));

    // The answer is that of then, even when the clock has moved into the next window and the limit is another one.
    let later = user_of(&database.app, engine_with(1), "t1").await;
    for (user, now) in [(&ours, noon()), (&later, t("2027-01-01T00:00:00Z"))] {
        assert_eq!(user.consume("billable", 12, "k", now).await.unwrap(), Booking::Repeated(receipt.clone()));
    }
    assert_eq!(code(ours.consume("billable", 11, "k", noon()).await), "idempotency_key_reused");
    assert_eq!(code(ours.consume("hard", 12, "k", noon()).await), "idempotency_key_reused");
    assert_eq!(code(ours.give_back("billable", 12, "k", noon()).await), "idempotency_key_reused");
    assert_eq!(code(ours.reserve("billable", 12, "k", noon(), 9).await), "idempotency_key_reused");
    ours.reserve("hard", 1, "r", noon(), 1000).await.unwrap();
    assert_eq!(code(ours.reserve("hard", 1, "r", noon(), 1001).await), "idempotency_key_reused");
    // Another tenant's keys are its own.
    assert!(matches!(
        user(&database.app, "t2").await.consume("hard", 1, "k", noon()).await.unwrap(),
        Booking::Booked(_)
    ));

    // What was denied holds no key.
    assert!(is_denied(&ours.consume("seats", 4, "seat", noon()).await.unwrap()));
    assert!(matches!(ours.consume("seats", 3, "seat", noon()).await.unwrap(), Booking::Booked(_)));
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn mistaken_requests_leave_nothing() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    for amount in [-1, i64::MIN, 1 << 53, i64::MAX] {
        assert_eq!(code(user.consume("hard", amount, "k", noon()).await), "amount_out_of_range", "{amount}");
        assert_eq!(code(user.reserve("hard", amount, "k", noon(), 1).await), "amount_out_of_range", "{amount}");
        assert_eq!(code(user.give_back("hard", amount, "k", noon()).await), "amount_out_of_range", "{amount}");
    }
    assert_eq!(code(user.consume("nope", 1, "k", noon()).await), "unknown_feature");
    assert_eq!(code(user.consume("switch", 1, "k", noon()).await), "wrong_kind");
    assert_eq!(code(usage::user(&database.app, "t9").await.consume("hard", 1, "k", noon()).await), "unknown_tenant");
    for (text, expected) in [
        (String::new(), "invalid_idempotency_key"),
        ("k".repeat(256), "invalid_idempotency_key"),
        ("k".repeat(300), "invalid_idempotency_key"),
        ("é".repeat(128), "invalid_idempotency_key"),
        ("a\0b".to_owned(), "nul_character"),
    ] {
        assert_eq!(code(IdempotencyKey::new(text.as_str())), expected, "{text:?}");
    }
    let off = user.consume("off", 1, "k", noon()).await.unwrap();
    let Booking::Denied(answer) = off else { panic!("{off:?}") };
    assert_eq!((answer.reason, answer.limit), (Reason::Killed, Some(0)));
    assert_eq!(code(user.give_back("seats", 1, "k", noon()).await), "more_than_held");
    for (result, expected) in
        [(user.confirm("k", 1, noon()).await.map(drop), "not_found"), (user.release("k", noon()).await, "not_found")]
    {
        assert_eq!(code(result), expected);
    }
    for table in ["counters", "entries", "reservations", "events"] {
        let sql = format!("SELECT count(*) FROM leasehold.org_usage_{table}");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&database.admin).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }

    // Up to the last number that every language can hold, and not beyond.
    let most = (1 << 53) - 1;
    for strange in ["k".repeat(255), "'; DROP TABLE x; --".to_owned(), "é\u{202e}\n\\".to_owned(), " ".to_owned()] {
        assert!(matches!(user.consume("endless", 0, &strange, noon()).await.unwrap(), Booking::Booked(_)));
    }
    user.consume("endless", most, "most", noon()).await.unwrap();
    assert_eq!(code(user.consume("endless", 1, "more", noon()).await), "amount_out_of_range");
    assert_eq!(user.usage("endless", noon()).await, (most.unsigned_abs(), 0));
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn windows_are_counted_from_the_anchor() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    // The anchor is the 31st: February ends a window on the 28th, and March does not begin one there.
    let days = [
        ("2026-01-31T00:00:00Z", 1, "2026-02-28T00:00:00Z"),
        ("2026-02-27T23:59:59.999Z", 2, "2026-02-28T00:00:00Z"),
        ("2026-02-28T00:00:00Z", 1, "2026-03-31T00:00:00Z"),
        ("2026-03-28T00:00:00Z", 2, "2026-03-31T00:00:00Z"),
        ("2026-03-30T23:59:59.999Z", 3, "2026-03-31T00:00:00Z"),
        ("2026-03-31T00:00:00Z", 1, "2026-04-30T00:00:00Z"),
        ("2026-01-30T23:59:59.999Z", 1, "2026-01-31T00:00:00Z"),
        // A clock that is behind books where it believes to be.
        ("2026-02-01T00:00:00Z", 3, "2026-02-28T00:00:00Z"),
    ];
    for (at, used, resets_at) in days {
        let booking = user.consume("soft", 1, at, t(at)).await.unwrap();
        assert_eq!(booking.receipt().unwrap().resets_at, Some(t(resets_at)), "{at}");
        assert_eq!(user.usage("soft", t(at)).await, (used, 0), "{at}");
    }
    // A capacity has one window, for ever.
    for (at, year) in ["0000-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "9999-12-31T23:59:59.999Z"].iter().enumerate() {
        let booking = user.consume("seats", 1, year, t(year)).await.unwrap();
        let receipt = booking.receipt().unwrap();
        assert_eq!((receipt.resets_at, receipt.window_start), (None, None));
        assert_eq!(receipt.remaining, Some(3 - at as u64));
    }
    assert!(is_denied(&user.consume("seats", 1, "k", noon()).await.unwrap()));
    user.give_back("seats", 1, "back", noon()).await.unwrap();
    assert!(matches!(user.consume("seats", 1, "k", noon()).await.unwrap(), Booking::Booked(_)));

    // What was reserved in one window counts in it, whenever it is confirmed.
    let (last_day, next_window) = (t("2026-04-29T23:59:59.999Z"), t("2026-04-30T00:00:01Z"));
    user.reserve("hard", 5, "held over", last_day, 5000).await.unwrap();
    let booking = user.confirm("held over", 5, next_window).await.unwrap();
    assert_eq!(booking.receipt().unwrap().resets_at, Some(t("2026-04-30T00:00:00Z")));
    assert_eq!(user.usage("hard", last_day).await, (5, 0));
    assert_eq!(user.usage("hard", next_window).await, (0, 0));
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn overage_and_thresholds_are_told_once() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let threshold = |percent| UsageEventKind::Threshold { percent };
    let overage = |units| UsageEventKind::Overage { units };
    for (amount, name, outcome) in
        [(4, "a", Outcome::Allow), (1, "b", Outcome::Allow), (7, "c", Outcome::Warn), (4, "d", Outcome::Warn)]
    {
        for _ in 0..2 {
            let booking = user.consume("soft", amount, name, noon()).await.unwrap();
            assert_eq!(booking.receipt().unwrap().outcome, outcome, "{name}");
        }
    }
    let expected = [threshold(50), threshold(100), overage(2), threshold(150), overage(4)];
    assert_eq!(user.events("soft").await, expected);

    // What is reserved is forecast, and told when it is confirmed: the units add up, in whichever order.
    let reserved = user.reserve("billable", 8, "r", noon(), 60_000).await.unwrap();
    assert_eq!(reserved.receipt().unwrap().outcome, Outcome::Allow);
    let booking = user.consume("billable", 5, "e", noon()).await.unwrap();
    let receipt = booking.receipt().unwrap();
    assert_eq!((receipt.outcome, receipt.overage_units, receipt.remaining), (Outcome::Allow, 0, Some(2)));
    assert_eq!(user.events("billable").await, []);
    let booking = user.confirm("r", 7, noon()).await.unwrap();
    assert_eq!(booking.receipt().unwrap().outcome, Outcome::Overage);
    assert_eq!(user.confirm("r", 7, noon()).await.unwrap(), Booking::Repeated(booking.receipt().unwrap().clone()));
    assert_eq!(user.events("billable").await, [threshold(100), overage(2)]);
    let booking = user.give_back("billable", 5, "f", noon()).await.unwrap();
    assert_eq!(booking.receipt().unwrap().overage_units, 2);
    let returned = UsageEventKind::OverageReturned { units: 2 };
    assert_eq!(user.events("billable").await, [threshold(100), overage(2), returned]);
    assert_eq!(user.usage("billable", noon()).await, (7, 0));

    // Passed on, they wait no longer; another tenant cannot say so.
    let events = user.ledger.events(&user.tenant, 100).await.unwrap();
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    assert_eq!((events[0].used, events[0].limit, events[0].key.as_str()), (5, 10, "b"));
    user.ledger.delivered(&"t2".parse().unwrap(), &ids, noon()).await.unwrap();
    assert_eq!(user.ledger.events(&user.tenant, 100).await.unwrap().len(), ids.len());
    user.ledger.delivered(&user.tenant, &ids[..2], noon()).await.unwrap();
    assert_eq!(user.ledger.events(&user.tenant, 100).await.unwrap(), events[2..]);
    // HQ's worker takes those of every tenant.
    let mut worker = database.hq.begin().await.unwrap();
    let taken =
        sqlx::query("SELECT event_id FROM leasehold.hq_usage_events(100)").fetch_all(&mut *worker).await.unwrap();
    let taken: Vec<i64> = taken.iter().map(|row| row.get(0)).collect();
    assert_eq!(taken, ids[2..]);
    let delivered = sqlx::query("SELECT leasehold.hq_usage_events_delivered($1, 5)").bind(&taken);
    delivered.execute(&mut *worker).await.unwrap();
    worker.commit().await.unwrap();
    assert_eq!(user.ledger.events(&user.tenant, 100).await.unwrap(), []);
    assert_consistent(&database.admin).await;
}

/// What is billed adds up to what lies beyond the limit, whatever becomes of the limit meanwhile.
#[tokio::test]
async fn overage_is_told_when_the_limit_is_off_by_then() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let limits = ["hard", "soft", "billable", "seats", "endless"];
    let off = user_of(&database.app, engine_without(&limits, 1000, &["t1".to_owned()]), "t1").await;
    let threshold = |percent| UsageEventKind::Threshold { percent };
    let overage = |units| UsageEventKind::Overage { units };

    user.reserve("billable", 15, "r", noon(), 60_000).await.unwrap();
    assert!(is_denied(&off.consume("billable", 1, "c", noon()).await.unwrap()));
    let booking = off.confirm("r", 15, noon()).await.unwrap();
    let receipt = booking.receipt().unwrap();
    assert_eq!((receipt.outcome, receipt.limit, receipt.remaining), (Outcome::Overage, Some(10), Some(10)));
    assert_eq!((receipt.overage_units, receipt.overage_total), (5, 5));
    assert_eq!(receipt.thresholds_crossed, [100]);
    let booking = off.give_back("billable", 7, "g", noon()).await.unwrap();
    let receipt = booking.receipt().unwrap();
    assert_eq!((receipt.outcome, receipt.limit), (Outcome::Allow, Some(10)));
    assert_eq!((receipt.overage_units, receipt.overage_total), (5, 0));
    let returned = UsageEventKind::OverageReturned { units: 5 };
    assert_eq!(user.events("billable").await, [threshold(100), overage(5), returned]);
    let events = user.ledger.events(&user.tenant, 10).await.unwrap();
    assert!(events.iter().all(|event| event.mode.as_str() == "billable" && event.limit == 10), "{events:?}");

    // Other modes, those without an end too.
    for feature in ["soft", "hard", "seats", "endless"] {
        user.reserve(feature, 3, &format!("r {feature}"), noon(), 60_000).await.unwrap();
        off.confirm(&format!("r {feature}"), 3, noon()).await.unwrap();
        off.give_back(feature, 2, &format!("g {feature}"), noon()).await.unwrap();
        assert_eq!(user.usage(feature, noon()).await, (1, 0), "{feature}");
        assert_eq!(user.events(feature).await, [], "{feature}");
    }
    user.reserve("soft", 20, "over", noon(), 60_000).await.unwrap();
    let booking = off.confirm("over", 20, noon()).await.unwrap();
    assert_eq!(booking.receipt().unwrap().outcome, Outcome::Warn);
    assert_eq!(user.events("soft").await, [threshold(50), threshold(100), threshold(150), overage(11)]);
    assert_consistent(&database.admin).await;
}

/// It is what tells whether there is anything to give back: one that lies in the past for good would have every request
/// look for it.
#[tokio::test]
async fn the_earliest_expiry_is_that_of_what_is_held() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let after = |ms: i64| leasehold::Timestamp::from_ms(noon().as_ms() + ms).unwrap();
    let earliest = async || {
        let sql = "SELECT earliest_expiry_ms::bigint - $1 FROM leasehold.org_usage_counters";
        sqlx::query_scalar::<_, Option<i64>>(sql).bind(noon().as_ms()).fetch_one(&database.admin).await.unwrap()
    };
    user.reserve("hard", 1, "late", noon(), 3000).await.unwrap();
    user.reserve("hard", 1, "soon", noon(), 1000).await.unwrap();
    user.reserve("hard", 1, "between", noon(), 2000).await.unwrap();
    assert_eq!(earliest().await, Some(1000));
    user.consume("hard", 1, "a", after(1000)).await.unwrap();
    assert_eq!(earliest().await, Some(2000));
    user.reserve("hard", 1, "short", after(2000), 100).await.unwrap();
    assert_eq!(earliest().await, Some(2100));
    user.consume("hard", 1, "b", after(3000)).await.unwrap();
    assert_eq!(earliest().await, None);
    user.consume("hard", 1, "c", after(3000)).await.unwrap();
    assert_eq!(earliest().await, None);

    // Nothing may be held as well, and expires.
    user.reserve("hard", 0, "nothing", noon(), 1000).await.unwrap();
    assert_eq!(earliest().await, Some(1000));
    assert!(is_denied(&user.consume("hard", 2000, "d", after(1000)).await.unwrap()));
    assert_eq!(earliest().await, None);
    assert_eq!(user.usage("hard", noon()).await, (3, 0));
    assert_consistent(&database.admin).await;
}

/// What a login has for its default decides nothing: readers of an older state would be in each other's way for ever.
#[tokio::test(flavor = "multi_thread")]
async fn consumers_take_turns_whatever_isolation_their_login_has() {
    let database = support::database().await;
    for level in ["repeatable read", "serializable"] {
        let options = database.options("app").options([("default_transaction_isolation", level)]);
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
        let set: String = sqlx::query_scalar("SHOW transaction_isolation").fetch_one(&pool).await.unwrap();
        assert_eq!(set, level);
        let user = user(&pool, if level == "serializable" { "t1" } else { "t2" }).await;
        let mut consumers = JoinSet::new();
        for consumer in 0..16 {
            let user = user.clone();
            consumers.spawn(async move {
                for turn in 0..20 {
                    user.consume("hard", 1, &format!("{consumer}-{turn}"), noon()).await.unwrap();
                }
            });
        }
        consumers.join_all().await;
        assert_eq!(user.usage("hard", noon()).await, (320, 0), "{level}");
    }
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn without_its_migration_it_does_not_start() {
    let options = support::empty_database().await;
    let mut admin = PgConnection::connect_with(&options).await.unwrap();
    // With HQ's tables and without them; as the login of an app.
    let _database = support::database().await;
    let app = options.clone().username("leasehold_test_app").password("leasehold_test");
    let pool = sqlx::PgPool::connect_with(app).await.unwrap();
    for part in [Part::Ledger, Part::Hq] {
        let refused = Ledger::connect(pool.clone(), engine()).await.unwrap_err();
        assert_eq!(refused.code(), "schema_behind");
        assert!(refused.to_string().contains("0005_usage_ledger"), "{refused}");
        schema::migrate(&mut admin, part).await.unwrap();
        Ledger::connect(pool.clone(), engine()).await.unwrap();
        let book = if part == Part::Ledger { "leasehold.ledger_migrations" } else { "_sqlx_migrations" };
        support::execute(&mut admin, &format!("UPDATE {book} SET checksum = '\\x00' || checksum")).await;
        let refused = Ledger::connect(pool.clone(), engine()).await.unwrap_err();
        assert_eq!(refused.code(), "schema_altered", "{refused}");
        schema::undo(&mut admin, Part::Ledger, 0).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_reserved_is_confirmed_released_or_expires() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let after = |ms: i64| leasehold::Timestamp::from_ms(noon().as_ms() + ms).unwrap();
    user.reserve("seats", 2, "a", noon(), 1000).await.unwrap();
    assert_eq!(user.usage("seats", noon()).await, (0, 2));
    assert!(is_denied(&user.consume("seats", 2, "b", noon()).await.unwrap()));
    assert_eq!(code(user.confirm("a", 3, noon()).await), "more_than_held");
    assert_eq!(code(user.confirm("a", -1, noon()).await), "amount_out_of_range");
    // Confirmed for less, the rest is free.
    user.confirm("a", 1, after(999)).await.unwrap();
    assert_eq!(user.usage("seats", noon()).await, (1, 0));
    assert_eq!(code(user.confirm("a", 2, noon()).await), "reservation_ended");
    assert_eq!(code(user.release("a", noon()).await), "reservation_ended");
    // A repeat gets its answer however late it comes.
    assert!(matches!(user.confirm("a", 1, after(9999)).await.unwrap(), Booking::Repeated(_)));

    user.reserve("seats", 2, "c", noon(), 1000).await.unwrap();
    user.release("c", noon()).await.unwrap();
    user.release("c", noon()).await.unwrap();
    assert_eq!(user.usage("seats", noon()).await, (1, 0));
    assert_eq!(code(user.confirm("c", 1, noon()).await), "reservation_ended");

    // At its last millisecond it is held; a millisecond later others have its room, without a sweep.
    user.reserve("seats", 2, "d", noon(), 1000).await.unwrap();
    assert_eq!(user.usage("seats", after(999)).await, (1, 2));
    assert!(is_denied(&user.consume("seats", 1, "e", after(999)).await.unwrap()));
    assert_eq!(user.usage("seats", after(1000)).await, (1, 0));
    assert_eq!(code(user.confirm("d", 1, after(1000)).await), "reservation_ended");
    assert!(matches!(user.consume("seats", 1, "e", after(1000)).await.unwrap(), Booking::Booked(_)));
    // For a clock that is behind it has expired by now too.
    assert_eq!(code(user.confirm("d", 1, noon()).await), "reservation_ended");
    user.release("d", noon()).await.unwrap();

    // A denied request gives back what has expired as well, and a sweep what nobody asks for.
    user.reserve("seats", 1, "f", noon(), 1000).await.unwrap();
    assert!(is_denied(&user.consume("seats", 2, "g", after(1000)).await.unwrap()));
    let held: i64 = sqlx::query_scalar("SELECT sum(reserved)::bigint FROM leasehold.org_usage_counters")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert_eq!(held, 0);
    user.reserve("seats", 1, "h", noon(), 1000).await.unwrap();
    user.reserve("hard", 30, "i", noon(), 1000).await.unwrap();
    user.reserve("hard", 40, "j", noon(), 2000).await.unwrap();
    assert_eq!(user.ledger.sweep(&user.tenant, after(999)).await.unwrap(), 0);
    assert_eq!(user.ledger.sweep(&"t2".parse().unwrap(), after(1000)).await.unwrap(), 0);
    assert_eq!(user.ledger.sweep(&user.tenant, after(1000)).await.unwrap(), 31);
    assert_eq!(user.ledger.sweep(&user.tenant, after(1000)).await.unwrap(), 0);
    let swept: i64 = sqlx::query_scalar("SELECT leasehold.hq_ledger_sweep($1, 10)")
        .bind(after(2000).as_ms())
        .fetch_one(&database.hq)
        .await
        .unwrap();
    assert_eq!(swept, 40);

    // A limit that shrank still honours what it held room for.
    user.reserve("hard", 900, "k", noon(), 1000).await.unwrap();
    let shrunk = user_of(&database.app, engine_with(5), "t1").await;
    let booking = shrunk.confirm("k", 900, noon()).await.unwrap();
    assert_eq!(booking.receipt().unwrap().outcome, Outcome::Allow);
    // And crosses the thresholds that it had then.
    assert_eq!(booking.receipt().unwrap().thresholds_crossed, [50, 80]);
    assert_consistent(&database.admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_expiry_confirmation_and_release_wins() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let (in_time, too_late) = (noon(), t("2026-03-10T12:00:01Z"));
    let (mut confirmed, mut others) = (0, 0);
    for round in 0..40 {
        let name = format!("r{round}");
        user.reserve("hard", 2, &name, noon(), 1000).await.unwrap();
        // Clocks that differ: to one it is held, to the other it has expired. To a third it is not needed.
        let (start, rivals) =
            (std::sync::Arc::new(tokio::sync::Barrier::new(3)), [user.clone(), user.clone(), user.clone()]);
        let [one, two, three] = rivals;
        let [a, b, c] = [start.clone(), start.clone(), start];
        let keys = [name.clone(), format!("c{round}"), name.clone()];
        let [k1, k2, k3] = keys;
        let confirming = tokio::spawn(async move {
            a.wait().await;
            one.confirm(&k1, 2, in_time).await
        });
        let consuming = tokio::spawn(async move {
            b.wait().await;
            two.consume("hard", 1, &k2, too_late).await
        });
        let releasing = tokio::spawn(async move {
            c.wait().await;
            three.release(&k3, in_time).await
        });
        consuming.await.unwrap().unwrap();
        match (confirming.await.unwrap(), releasing.await.unwrap()) {
            (Ok(_), Err(Error::ReservationEnded { state: "confirmed", .. })) => confirmed += 1,
            (Err(Error::ReservationEnded { state: "expired" | "released", .. }), Ok(())) => others += 1,
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(confirmed + others, 40);
    assert_eq!(user.usage("hard", noon()).await, (40 + 2 * confirmed, 0));
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn the_clock_of_the_database_decides_nothing() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    // The server's clock cannot be set; so the app's is a thousand years ahead, and then a thousand behind.
    for (at, name) in [("3026-03-10T12:00:00Z", "ahead"), ("1026-03-10T12:00:00Z", "behind")] {
        let now = t(at);
        let later = |ms: i64| leasehold::Timestamp::from_ms(now.as_ms() + ms).unwrap();
        user.reserve("hard", 600, name, now, 1000).await.unwrap();
        assert!(is_denied(&user.consume("hard", 600, &format!("{name} 1"), later(999)).await.unwrap()));
        user.consume("hard", 600, &format!("{name} 2"), later(1000)).await.unwrap();
        assert_eq!(user.usage("hard", now).await, (600, 0));
    }
    assert_eq!(user.usage("hard", noon()).await, (0, 0));
    let asks: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT prosrc FROM pg_proc WHERE proname IN ('ledger_expire', 'ledger_sweep', 'hq_ledger_sweep',
                 'hq_usage_events', 'hq_usage_events_delivered')
             UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
             WHERE adrelid::regclass::text LIKE '%org_usage_%') AS sources(text)
         WHERE text ~* '\\mnow\\(|current_t|clock_|statement_t|transaction_t|localt'",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert_eq!(asks, 0);
    for statements in [include_str!("../src/ledger/rows.rs"), include_str!("../src/ledger/event.rs")] {
        assert!(!statements.contains("now()") && !statements.to_lowercase().contains("current_timestamp"));
    }
}

#[tokio::test]
async fn a_foreign_tenant_neither_sees_nor_writes() {
    let database = support::database().await;
    let ours = user(&database.app, "t1").await;
    ours.consume("soft", 20, "k", noon()).await.unwrap();
    ours.reserve("hard", 20, "r", noon(), 1000).await.unwrap();
    let theirs = user(&database.app, "t2").await;
    assert_eq!(theirs.usage("soft", noon()).await, (0, 0));
    assert_eq!(code(theirs.confirm("r", 1, noon()).await), "not_found");
    assert_eq!(code(theirs.release("r", noon()).await), "not_found");
    assert_eq!(theirs.ledger.events(&theirs.tenant, 10).await.unwrap(), []);

    let tables = ["org_usage_counters", "org_usage_entries", "org_usage_reservations", "org_usage_events"];
    for table in tables {
        let sql = format!("SELECT count(*) FROM leasehold.{table}");
        let count = || sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone()));
        let all: i64 = count().fetch_one(&database.admin).await.unwrap();
        assert!(all > 0, "{table}");
        // Without a context there is nothing; in another one neither.
        assert_eq!(count().fetch_one(&database.app).await.unwrap(), 0, "{table}");
        let mut transaction = TenantTransaction::begin(&database.app, &theirs.tenant).await.unwrap();
        assert_eq!(count().fetch_one(transaction.connection()).await.unwrap(), 0, "{table}");
        assert!(count().fetch_one(&database.engine).await.is_err(), "{table}");
    }
    for (sql, refused) in [
        ("UPDATE leasehold.org_usage_counters SET used = 0", false),
        ("UPDATE leasehold.org_usage_reservations SET state = 'released', settled_at_ms = 0", false),
        ("UPDATE leasehold.org_usage_events SET delivered_at_ms = 0", false),
        ("UPDATE leasehold.org_usage_counters SET tenant_org_id = 't1'", true),
        ("UPDATE leasehold.org_usage_entries SET amount = 0", true),
        ("DELETE FROM leasehold.org_usage_counters", true),
        ("DELETE FROM leasehold.org_usage_entries", true),
        ("TRUNCATE leasehold.org_usage_entries", true),
        ("INSERT INTO leasehold.org_usage_counters VALUES ('t1', 'soft', 0, 0, 0)", true),
        (
            "INSERT INTO leasehold.org_usage_counters SELECT 't1', 'soft', window_start_ms, 0, 0
          FROM generate_series(1769817600000, 1772236800000, 2419200000) AS window_start_ms
          ON CONFLICT (tenant_org_id, feature_key, window_start_ms) DO UPDATE SET used = 0",
            true,
        ),
        ("INSERT INTO leasehold.org_usage_reservations VALUES ('t1', 'x', 'soft', 0, 1, 1)", true),
        ("SELECT leasehold.hq_ledger_sweep(0, 1)", true),
        ("SELECT leasehold.hq_usage_events(1)", true),
        ("SELECT leasehold.hq_usage_events_delivered('{1}', 1)", true),
        ("SELECT leasehold.ledger_expire('t1', 'hard', 1772236800000, 99999999999999)", false),
    ] {
        let mut transaction = TenantTransaction::begin(&database.app, &theirs.tenant).await.unwrap();
        let done = sqlx::query(sql).execute(transaction.connection()).await;
        match done {
            Ok(done) => {
                assert!(!refused, "{sql}");
                assert!(done.rows_affected() == 0 || sql.contains("ledger_expire"), "{sql}");
                transaction.commit().await.unwrap();
            }
            Err(error) => assert!(refused, "{sql}: {error}"),
        }
    }
    // Not even its owner changes an entry.
    let changed = sqlx::query("UPDATE leasehold.org_usage_entries SET amount = 0").execute(&database.admin).await;
    assert_eq!(code(changed.map_err(Error::from)), "constraint_violated");
    assert_eq!(ours.usage("soft", noon()).await, (20, 0));
    assert_eq!(ours.usage("hard", noon()).await, (0, 20));
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn it_stands_alone_and_beside_hq() {
    // Alone, there and back and there again; counting needs nothing else.
    let options = support::empty_database().await;
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let behind = schema::check(&mut connection, Part::Ledger).await;
    assert!(matches!(behind, Err(Error::SchemaBehind { missing }) if missing == ["0005_usage_ledger"]));
    schema::migrate(&mut connection, Part::Ledger).await.unwrap();
    schema::undo(&mut connection, Part::Ledger, 0).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'leasehold'::regnamespace)
        + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'leasehold'::regnamespace)
        + (SELECT count(*) FROM pg_type WHERE typnamespace = 'leasehold'::regnamespace)";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap(), 0);
    schema::migrate(&mut connection, Part::Ledger).await.unwrap();
    schema::check(&mut connection, Part::Ledger).await.unwrap();
    support::execute(
        &mut connection,
        "DO $$ BEGIN CREATE ROLE leasehold_test_alone LOGIN PASSWORD 'leasehold_test' IN ROLE leasehold_app;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    )
    .await;
    let app = options.clone().username("leasehold_test_alone").password("leasehold_test");
    let pool = sqlx::PgPool::connect_with(app).await.unwrap();
    let alone = user(&pool, "t1").await;
    alone.reserve("billable", 3, "r", noon(), 10).await.unwrap();
    alone.consume("billable", 30, "k", noon()).await.unwrap();
    alone.confirm("r", 3, noon()).await.unwrap();
    assert_eq!(alone.usage("billable", noon()).await, (33, 0));

    // HQ's tables can come to where the ledger is, and what it counted stays; without it they stay.
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    schema::check(&mut connection, Part::Hq).await.unwrap();
    assert_eq!(alone.usage("billable", noon()).await, (33, 0));
    schema::undo(&mut connection, Part::Ledger, 0).await.unwrap();
    let tables = sqlx::query("SELECT FROM leasehold.org_tenants_mst").fetch_all(&mut connection).await.unwrap();
    assert!(tables.is_empty());
    let gone = sqlx::query("SELECT FROM leasehold.org_usage_counters").fetch_all(&mut connection).await;
    assert!(gone.unwrap_err().to_string().contains("does not exist"));

    // The same tables, whether alone or beside HQ's.
    schema::migrate(&mut connection, Part::Ledger).await.unwrap();
    let fresh = support::empty_database().await;
    let mut fresh = PgConnection::connect_with(&fresh).await.unwrap();
    schema::migrate(&mut fresh, Part::Ledger).await.unwrap();
    let shape = "SELECT string_agg(text, E'\\n' ORDER BY text) FROM (
            SELECT concat_ws(' ', table_name, column_name, domain_name, data_type, is_nullable, column_default)
            FROM information_schema.columns WHERE table_name LIKE 'org_usage_%'
            UNION ALL SELECT concat_ws(' ', tablename, policyname, roles::text, cmd, qual, with_check)
            FROM pg_policies WHERE tablename LIKE 'org_usage_%'
            UNION ALL SELECT concat_ws(' ', relname, relacl::text, relrowsecurity, relforcerowsecurity)
            FROM pg_class WHERE relname LIKE 'org_usage_%'
            UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'org_usage_%') AS shapes(text)";
    let ours: String = sqlx::query_scalar(shape).fetch_one(&mut fresh).await.unwrap();
    let beside: String = sqlx::query_scalar(shape).fetch_one(&mut connection).await.unwrap();
    assert_eq!(ours, beside);

    // Nothing is without its comment.
    let silent: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname || '.' || coalesce(a.attname, '') FROM pg_class c
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relname LIKE 'org_usage_%' AND c.relkind = 'r'
             AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
         UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'leasehold'::regnamespace
             AND obj_description(oid, 'pg_proc') IS NULL",
    )
    .fetch_all(&mut fresh)
    .await
    .unwrap();
    assert!(silent.is_empty(), "{silent:?}");
}
