//! What criterion does not measure: allocations, threads, memory.

use leasehold::generate::fleet;
use leasehold::model::{Source, VariableType};
use leasehold::workflow::guard::{Constant, Variables, compile};
use leasehold::workflow::{Context, Input, Machine};
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
    guards();
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
    let machine = transitions();
    let by_machine = count(&|| {
        let inputs = [("invoice_issued", Input::Bool(true))];
        let context = Context { inputs: &inputs, roles: &[] };
        black_box(machine.check(black_box("ready"), black_box("closed"), &context)).expect("the guard holds");
    });
    report(
        "alloc.transition",
        "allocations in 1,000 allowed transition checks",
        by_machine as f64,
        None,
        "allocations",
    );
    report("alloc.handle", "allocations in 1,000 checks by handles", by_handle as f64, None, "allocations");
}

/// Reading, checking, filling in settings and lowering: a thousand guards, the median of several times.
fn guards() {
    const ABOVE: i64 = 50_000;
    let texts: Vec<String> = (0..1_000)
        .map(|number| match number % 3 {
            0 => format!("total_minor <= above_minor || approved && total_minor != {number}"),
            1 => format!(r#"(kind in ["silk", "wool", "k{number}"]) && !approved"#),
            _ => format!(r#"!(kind == "k{number}") || (total_minor >= {number} && total_minor < above_minor)"#),
        })
        .collect();
    let variables = |named: &[(&str, VariableType)]| -> Variables {
        named.iter().map(|(name, of)| (name.parse().expect("it is a name"), *of)).collect()
    };
    let inputs = variables(&[
        ("approved", VariableType::Bool),
        ("kind", VariableType::String),
        ("total_minor", VariableType::Integer),
    ]);
    let settings = variables(&[("above_minor", VariableType::Integer)]);
    let mut took: Vec<Duration> = (0..21)
        .map(|_| {
            let start = Instant::now();
            for text in &texts {
                let guard = compile(black_box(text), &inputs, &settings).expect("it is right");
                black_box(guard.bind(|_| Some(Constant::Integer(ABOVE)))).expect("the setting is of its type");
            }
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    let median = took[took.len() / 2].as_secs_f64() * 1e3;
    report("guard.compile", "1,000 guards read, checked and lowered", median, Some(("bound", 20.0)), "ms");
}

/// A machine with one guarded transition.
fn transitions() -> Machine {
    let labelled = json!({ "name": "Ready", "name2": "جاهز" });
    let (mut ready, mut closed, mut close) = (labelled.clone(), labelled.clone(), labelled);
    ready["initial"] = json!(true);
    closed["final"] = json!(true);
    for (key, value) in [("from", "ready"), ("event", "close"), ("to", "closed")] {
        close[key] = json!(value);
    }
    close["guards"] = json!({ "requires_invoice": {} });
    let version = json!({ "stages": { "ready": ready, "closed": closed }, "transitions": { "close": close } });
    let file = json!({
        "workflows": { "order": { "name": "Order", "name2": "طلب", "versions": { "1": version } } },
        "tenants": { "t": { "name": "T", "name2": "ت", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" } },
    });
    let source = Source { name: "bench.json".into(), bytes: file.to_string().into_bytes() };
    let snapshot = Snapshot::from_sources(&[source], stamp()).expect("it is right");
    snapshot.tenant("t").and_then(|tenant| tenant.machine("order", None)).expect("it is there")
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
