//! What criterion does not measure: allocations, threads, memory.

use leasehold::generate::fleet;
use leasehold::{Engine, Feature, Snapshot};
use leasehold_benches::{Questions, engine, names, now, row, spec, stamp};
use serde_json::json;
use std::{
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

fn main() {
    let quick = std::env::var_os("LEASEHOLD_BENCH_QUICK").is_some();
    let tenants = if quick { 10_000 } else { 100_000 };
    allocations();
    memory(tenants);
    threads(if quick { Duration::from_millis(100) } else { Duration::from_secs(1) });
}

/// A check allocates nothing, by strings and by handles.
fn allocations() {
    let definitions = fleet(&spec(1_000));
    let engine = engine(&definitions);
    let (tenants, features) = names(&definitions);
    let held = engine.tenant(&tenants[0]).expect("it was generated");
    let handle = Feature::new(features[0].parse().expect("it was generated"));
    let asked = Questions::about(&tenants, &features);
    let count = |ask: &dyn Fn()| {
        ask();
        allocation_counter::measure(|| (0..1_000).for_each(|_| ask())).count_total
    };
    let by_strings = count(&|| {
        for (tenant, feature) in (0..64).map(|n| asked.get(n)) {
            black_box(engine.is_enabled(tenant, feature, now())).expect("both are known");
        }
    });
    let by_handle = count(&|| {
        black_box(held.is_enabled(&handle, now())).expect("both are known");
    });
    report("alloc.strings", "allocations in 64,000 checks by two strings", by_strings as f64, None, "allocations");
    report("alloc.handle", "allocations in 1,000 checks by handles", by_handle as f64, None, "allocations");
}

/// Memory of a compiled fleet, as the allocator sees it.
fn memory(count: usize) {
    let definitions = fleet(&spec(count));
    let mut snapshot: Option<Snapshot> = None;
    let used = allocation_counter::measure(|| {
        snapshot = Snapshot::compile(&definitions, stamp()).ok();
    });
    let snapshot = snapshot.expect("the fleet compiles");
    let profiles = snapshot.profile_count();
    let per_tenant = (used.bytes_current as f64 - snapshot.memory().profiles as f64) / count as f64;
    let per_profile = snapshot.memory().profiles as f64 / profiles as f64;
    eprintln!("{count} tenants share {profiles} profiles; {} bytes are held in all", used.bytes_current);
    report("memory.tenant", "bytes per tenant, ids and index included", per_tenant, Some(("bound", 400.0)), "bytes");
    report("memory.profile", "bytes per distinct profile", per_profile, Some(("bound", 4096.0)), "bytes");
}

/// Checks per second that threads make together, each on an engine of its own or all on one.
fn threads(measured: Duration) {
    let definitions = fleet(&spec(2_000));
    let (tenants, features) = names(&definitions);
    let asked = Questions::about(&tenants, &features);
    let shared = engine(&definitions);
    let private: Vec<Engine> = (0..2).map(|_| engine(&definitions)).collect();
    let run = |engines: Vec<&Engine>| {
        let (start, stop, checks) = (Barrier::new(engines.len() + 1), AtomicBool::new(false), AtomicU64::new(0));
        let mut began = Instant::now();
        std::thread::scope(|scope| {
            for (number, engine) in engines.iter().enumerate() {
                let (asked, start, stop, checks) = (&asked, &start, &stop, &checks);
                scope.spawn(move || {
                    start.wait();
                    let mut made = 0_u64;
                    let mut at = number * 1_000;
                    while !stop.load(Ordering::Relaxed) {
                        for _ in 0..1_000 {
                            at += 1;
                            let (tenant, feature) = asked.get(at);
                            let _ = black_box(engine.is_enabled(tenant, feature, now()));
                        }
                        made += 1_000;
                    }
                    checks.fetch_add(made, Ordering::Relaxed);
                });
            }
            start.wait();
            began = Instant::now();
            std::thread::sleep(measured);
            stop.store(true, Ordering::Relaxed);
        });
        // Until the last thread has ended: with more threads than cores, some hear late that it is over.
        checks.into_inner() as f64 / began.elapsed().as_secs_f64()
    };
    // Interleaved, and the median of five: the machine has other things to do.
    let mut rounds: Vec<[f64; 3]> =
        (0..5).map(|_| [run(private.iter().collect()), run(vec![&shared; 2]), run(vec![&shared; 8])]).collect();
    let mut median = |of: &dyn Fn(&[f64; 3]) -> f64| {
        rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&rounds[2])
    };
    let (own, two, eight) = (median(&|r| r[0]), median(&|r| r[1]), median(&|r| r[2]));
    report("threads.2", "checks a second, 2 threads on one engine", two, Some(("an engine per thread", own)), "1/s");
    report("threads.8", "checks a second, 8 threads on 2 cores", eight, Some(("2 threads", two)), "1/s");
}

fn report(id: &str, what: &str, ours: f64, peer: Option<(&str, f64)>, unit: &str) {
    let (name, theirs) = peer.unzip();
    // Rates are better when higher, sizes when lower: the ratio is above 1 where ours is better.
    let ratio = theirs.map(|theirs| if unit == "1/s" { ours / theirs } else { theirs / ours });
    row(&json!({
        "id": id, "runtime": "rust", "what": what, "ours": ours, "peer": name, "peer_version": null,
        "theirs": theirs, "ratio": ratio, "unit": unit,
    }));
}
