//! The usage ledger against a naive model of it: random requests, repeats and clocks, one answer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::support;
use crate::support::ledger::{User, assert_consistent, engine_for, engine_without, t, user_of};
use leasehold::Timestamp;
use leasehold_postgres::Error;
use leasehold_postgres::ledger::{Booking, Receipt, UsageEventKind};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const CASES: u32 = 192;

/// The limits, as `usage::engine_for` defines them: key, amount, whether it is hard, thresholds, whether it has windows.
const LIMITS: [(&str, i64, bool, &[i64], bool); 4] = [
    ("hard", 12, true, &[50, 80, 100], true),
    ("soft", 10, false, &[50, 100, 150], true),
    ("billable", 10, false, &[100], true),
    ("seats", 3, true, &[], false),
];

/// Instants around the end of a window on 31 March.
const INSTANTS: [&str; 4] =
    ["2026-03-30T23:59:58Z", "2026-03-30T23:59:59Z", "2026-03-31T00:00:00Z", "2026-03-31T00:00:01Z"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Consume { limit: usize, amount: i64 },
    GiveBack { limit: usize, amount: i64 },
    Reserve { limit: usize, amount: i64, hold_ms: i64 },
    Confirm { amount: i64 },
    Release,
    Sweep,
}

/// What is asked, under which key, at which instant, and whether all limits are off then; or instead of it what was asked
/// so many steps before.
fn steps() -> impl Strategy<Value = Vec<(Step, usize, usize, bool, Option<usize>)>> {
    let (limit, amount) = (0..LIMITS.len(), prop_oneof![0..7_i64, 7..13_i64]);
    let step = prop_oneof![
        4 => (limit.clone(), amount.clone()).prop_map(|(limit, amount)| Step::Consume { limit, amount }),
        2 => (limit.clone(), amount.clone()).prop_map(|(limit, amount)| Step::GiveBack { limit, amount }),
        7 => (limit, amount.clone(), prop_oneof![Just(0), Just(1000), Just(2000), Just(9000)])
            .prop_map(|(limit, amount, hold_ms)| Step::Reserve { limit, amount, hold_ms }),
        6 => amount.prop_map(|amount| Step::Confirm { amount }),
        2 => Just(Step::Release),
        1 => Just(Step::Sweep),
    ];
    // Few keys, so that they come again; clocks that mostly go on and sometimes back.
    let again = prop::option::weighted(0.3, 1..12_usize);
    let off = prop::bool::weighted(0.3);
    prop::collection::vec((step, 0..20_usize, 0..INSTANTS.len(), off, again), 1..80)
}

#[derive(Debug)]
struct Held {
    counter: (usize, bool),
    amount: i64,
    until: i64,
    state: &'static str,
    confirmed: i64,
}

#[derive(Debug, Default)]
struct Model {
    used: HashMap<(usize, bool), i64>,
    held: HashMap<usize, Held>,
    /// What was asked under a key: kind, limit, amount, hold.
    asked: HashMap<usize, (&'static str, usize, i64, i64)>,
    events: HashMap<usize, Vec<UsageEventKind>>,
}

impl Model {
    fn used(&self, counter: (usize, bool)) -> i64 {
        self.used.get(&counter).copied().unwrap_or(0)
    }

    fn reserved(&self, counter: (usize, bool)) -> i64 {
        let held = self.held.values().filter(|held| held.counter == counter && held.state == "held");
        held.map(|held| held.amount).sum()
    }

    fn told(&self) -> usize {
        self.events.values().map(Vec::len).sum()
    }

    fn expire(&mut self, now: i64, of: Option<(usize, bool)>) -> i64 {
        let mut given_back = 0;
        for held in self.held.values_mut() {
            if of.is_none_or(|counter| counter == held.counter) && held.state == "held" && held.until <= now {
                held.state = "expired";
                given_back += held.amount;
            }
        }
        given_back
    }

    fn count(&mut self, counter: (usize, bool), amount: i64) {
        let (before, (_, limit, hard, thresholds, _)) = (self.used(counter), LIMITS[counter.0]);
        let after = before + amount;
        self.used.insert(counter, after);
        let events = self.events.entry(counter.0).or_default();
        for percent in thresholds {
            if 100 * before < percent * limit && percent * limit <= 100 * after {
                events.push(UsageEventKind::Threshold { percent: u16::try_from(*percent).unwrap() });
            }
        }
        if !hard && amount > 0 && after > limit {
            events.push(UsageEventKind::Overage { units: (after - limit.max(before)).unsigned_abs() });
        }
    }

    /// What the ledger is to say: booked, repeated, denied, done, or the code of an error.
    fn step(&mut self, step: Step, key: usize, now: i64, off: bool) -> &'static str {
        let asked = match step {
            Step::Consume { limit, amount } => ("consume", limit, amount, 0),
            Step::GiveBack { limit, amount } => ("give_back", limit, amount, 0),
            Step::Reserve { limit, amount, hold_ms } => ("reserve", limit, amount, hold_ms),
            Step::Confirm { amount } => {
                let Some(held) = self.held.get_mut(&key) else { return "not_found" };
                let counter = held.counter;
                match held.state {
                    "confirmed" if held.confirmed == amount => return "repeated",
                    "held" if now < held.until => {}
                    _ => return "reservation_ended",
                }
                if amount > held.amount {
                    return "more_than_held";
                }
                (held.state, held.confirmed) = ("confirmed", amount);
                self.count(counter, amount);
                return "booked";
            }
            Step::Release => {
                let Some(held) = self.held.get_mut(&key) else { return "not_found" };
                match held.state {
                    "confirmed" => return "reservation_ended",
                    "held" => held.state = "released",
                    _ => {}
                }
                return "done";
            }
            Step::Sweep => {
                self.expire(now, None);
                return "done";
            }
        };
        if let Some(before) = self.asked.get(&key) {
            return if *before == asked { "repeated" } else { "idempotency_key_reused" };
        }
        let (kind, which, amount, hold_ms) = asked;
        let counter = counter(which, now);
        let (_, limit, hard, ..) = LIMITS[which];
        if kind == "give_back" {
            let used = self.used(counter);
            if amount > used {
                return "more_than_held";
            }
            self.expire(now, Some(counter));
            self.used.insert(counter, used - amount);
            let returned = (used - limit.max(used - amount)).max(0);
            if !hard && returned > 0 {
                let event = UsageEventKind::OverageReturned { units: returned.unsigned_abs() };
                self.events.entry(which).or_default().push(event);
            }
        } else {
            self.expire(now, Some(counter));
            // What is off lets nothing begin; what began before counts as if it were not.
            if off || hard && amount > 0 && self.used(counter) + self.reserved(counter) + amount > limit {
                return "denied";
            }
            if kind == "consume" {
                self.count(counter, amount);
            } else {
                self.held.insert(key, Held { counter, amount, until: now + hold_ms, state: "held", confirmed: -1 });
            }
        }
        self.asked.insert(key, asked);
        "booked"
    }
}

/// A limit and whether it is counted after the reset; a capacity never is.
fn counter(limit: usize, now: i64) -> (usize, bool) {
    (limit, LIMITS[limit].4 && now >= t("2026-03-31T00:00:00Z").as_ms())
}

async fn ask(user: &User, step: Step, key: usize, now: Timestamp) -> Result<Option<Booking>, Error> {
    let name = format!("key {key}");
    Ok(Some(match step {
        Step::Consume { limit, amount } => user.consume(LIMITS[limit].0, amount, &name, now).await?,
        Step::GiveBack { limit, amount } => user.give_back(LIMITS[limit].0, amount, &name, now).await?,
        Step::Reserve { limit, amount, hold_ms } => {
            user.reserve(LIMITS[limit].0, amount, &name, now, hold_ms.unsigned_abs()).await?
        }
        Step::Confirm { amount } => user.confirm(&name, amount, now).await?,
        Step::Release => {
            user.release(&name, now).await?;
            return Ok(None);
        }
        Step::Sweep => {
            user.ledger.sweep(&user.tenant, now).await?;
            return Ok(None);
        }
    }))
}

#[test]
fn the_ledger_and_a_naive_model_say_the_same() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let database = runtime.block_on(support::database());
    // Each case is a tenant of its own, and those that shrinking tries too.
    let tenants: Vec<String> = (0..CASES as usize + 1000).map(|case| format!("case-{case}")).collect();
    let next = AtomicUsize::new(0);
    let names = LIMITS.map(|(name, ..)| name);
    let [on, off] = [engine_for(12, &tenants), engine_without(&names, 12, &tenants)]
        .map(|engine| runtime.block_on(user_of(&database.app, engine, "nobody")).ledger);
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 999, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen = std::sync::Mutex::new(HashMap::<&str, u32>::new());
    let checked = runner.run(&steps(), |steps| {
        let tenant: leasehold::TenantId = tenants[next.fetch_add(1, Ordering::Relaxed)].parse().unwrap();
        let [user, without] = [&on, &off].map(|ledger| User { ledger: ledger.clone(), tenant: tenant.clone() });
        runtime.block_on(async {
            let (mut model, mut receipts) = (Model::default(), HashMap::<(usize, bool), Receipt>::new());
            let mut reserved = 0;
            for (at, (_, _, instant, off, again)) in steps.iter().copied().enumerate() {
                let (step, mut key, ..) = steps[at.saturating_sub(again.unwrap_or(0))];
                if matches!(step, Step::Confirm { .. } | Step::Release) && key % 4 > 0 {
                    // Mostly what was reserved last.
                    key = reserved;
                }
                let now = t(INSTANTS[instant]);
                let told = model.told();
                let expected = model.step(step, key, now.as_ms(), off);
                if matches!(step, Step::Reserve { .. }) && expected == "booked" {
                    reserved = key;
                }
                if off && model.told() > told {
                    *seen.lock().unwrap().entry("told of what is off").or_default() += 1;
                }
                *seen.lock().unwrap().entry(expected).or_default() += 1;
                let is_confirmation = matches!(step, Step::Confirm { .. });
                let said = match ask(if off { &without } else { &user }, step, key, now).await {
                    Ok(None) => "done",
                    Ok(Some(Booking::Denied(_))) => "denied",
                    Ok(Some(Booking::Booked(receipt))) => {
                        prop_assert!(receipts.insert((key, is_confirmation), receipt).is_none());
                        "booked"
                    }
                    Ok(Some(Booking::Repeated(receipt))) => {
                        prop_assert_eq!(Some(&receipt), receipts.get(&(key, is_confirmation)));
                        "repeated"
                    }
                    Err(error) => error.code(),
                };
                prop_assert_eq!(said, expected, "{:?} under {} at {}, off: {}", step, key, now, off);
            }
            for (limit, (name, ..)) in LIMITS.iter().enumerate() {
                prop_assert_eq!(user.events(name).await, model.events.remove(&limit).unwrap_or_default(), "{}", name);
                for instant in ["2026-03-30T23:59:59Z", "2026-03-31T00:00:00Z"] {
                    // Read first, and given back after it: reading leaves what has expired to others.
                    let now = t(instant);
                    let counter = counter(limit, now.as_ms());
                    let seen = user.usage(name, now).await;
                    model.expire(now.as_ms(), Some(counter));
                    let expected = (model.used(counter).unsigned_abs(), model.reserved(counter).unsigned_abs());
                    prop_assert_eq!(seen, expected, "{} at {}", name, instant);
                }
            }
            Ok(())
        })
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(assert_consistent(&database.admin));
    // What is compared came up at all.
    let seen = seen.into_inner().unwrap();
    let answers = [
        "booked",
        "repeated",
        "denied",
        "done",
        "not_found",
        "more_than_held",
        "reservation_ended",
        "idempotency_key_reused",
        "told of what is off",
    ];
    for answer in answers {
        assert!(seen.get(answer).is_some_and(|times| *times >= 10), "{answer}: {seen:?}");
    }
}
