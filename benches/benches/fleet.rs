//! Whole fleets: compiling one, and comparing two.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use leasehold::Snapshot;
use leasehold::generate::fleet;
use leasehold_benches::{files, now, spec, stamp};
use serde_json::Value;
use std::{hint::black_box, time::Duration};

fn compile(criterion: &mut Criterion) {
    let sources = files(&spec(100_000));
    let mut group = criterion.benchmark_group("compile_fleet");
    group.bench_function("leasehold", |bencher| {
        bencher.iter_batched(
            || (),
            |()| Snapshot::from_sources(black_box(&sources), stamp()).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("serde_json", |bencher| {
        bencher.iter_batched(
            || (),
            |()| -> Vec<Value> {
                black_box(&sources).iter().map(|file| serde_json::from_slice(&file.bytes).unwrap()).collect()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// One plan version loses a third of what it grants: what does that do to 100,000 tenants?
fn diff(criterion: &mut Criterion) {
    let mut definitions = fleet(&spec(100_000));
    let before = Snapshot::compile(&definitions, stamp()).unwrap();
    for version in definitions.plans.values_mut().flat_map(|plan| plan.versions.values_mut()).step_by(4) {
        let kept = version.contributions.len() * 2 / 3;
        version.contributions.truncate(kept);
    }
    let after = Snapshot::compile(&definitions, stamp()).unwrap();
    assert!(after.diff(&before, now()).changed > 1_000, "the change reaches tenants");
    let mut group = criterion.benchmark_group("diff_fleet");
    group.bench_function("leasehold", |bencher| bencher.iter(|| after.diff(&before, black_box(now()))));
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().sample_size(10).measurement_time(Duration::from_secs(12)).warm_up_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = compile, diff }
criterion_main!(benches);
