//! Switch checks: by strings and by handles, random and hot, beside what they are measured against.

use arc_swap::ArcSwap;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use leasehold::generate::{FleetSpec, fleet};
use leasehold::{Feature, model::Action};
use leasehold_benches::{Questions, engine, names, now, spec, two_level_map};
use std::{hint::black_box, sync::Arc, time::Duration};

fn strings(criterion: &mut Criterion) {
    let definitions = fleet(&spec(100_000));
    let engine = engine(&definitions);
    let (tenants, features) = names(&definitions);
    let asked = Questions::about(&tenants, &features);
    // As large a map as 100,000 tenants would need does not fit small machines; a tenth is kinder to the map.
    let map = two_level_map(&tenants[..10_000], &features);
    let asked_of_map = Questions::about(&tenants[..10_000], &features);
    let now = now();

    let mut group = criterion.benchmark_group("check_strings_random");
    let mut at = 0;
    group.bench_function("leasehold", |bencher| {
        bencher.iter(|| {
            at += 1;
            let (tenant, feature) = asked.get(at);
            engine.is_enabled(black_box(tenant), black_box(feature), now)
        });
    });
    group.bench_function("hashmap", |bencher| {
        bencher.iter(|| {
            at += 1;
            let (tenant, feature) = asked_of_map.get(at);
            map.get(black_box(tenant)).and_then(|features| features.get(black_box(feature))).copied()
        });
    });
    group.finish();

    // Sixteen pairs in turn, so that no figure hangs on where one key happens to lie.
    let mut group = criterion.benchmark_group("check_strings_hot");
    group.bench_function("leasehold", |bencher| {
        bencher.iter(|| {
            at = (at + 1) & 15;
            let (tenant, feature) = asked_of_map.get(at);
            engine.is_enabled(black_box(tenant), black_box(feature), black_box(now))
        });
    });
    group.bench_function("hashmap", |bencher| {
        bencher.iter(|| {
            at = (at + 1) & 15;
            let (tenant, feature) = asked_of_map.get(at);
            map.get(black_box(tenant)).and_then(|features| features.get(black_box(feature))).copied()
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("check_strings_one");
    let (tenant, feature) = asked_of_map.get(1);
    group.bench_function("leasehold", |bencher| {
        bencher.iter(|| engine.is_enabled(black_box(tenant), black_box(feature), black_box(now)));
    });
    group.bench_function("hashmap", |bencher| {
        bencher.iter(|| map.get(black_box(tenant)).and_then(|features| features.get(black_box(feature))).copied());
    });
    group.finish();

    let mut group = criterion.benchmark_group("check_handle");
    let held = engine.tenant(tenant).unwrap();
    let handle = Feature::new(feature.parse().unwrap());
    group.bench_function("leasehold", |bencher| {
        bencher.iter(|| black_box(&held).is_enabled(black_box(&handle), black_box(now)));
    });
    let bits = ArcSwap::from_pointee([u64::MAX; 8]);
    let bits = Arc::new(bits);
    group.bench_function("arc_swap_bit", |bencher| {
        bencher.iter(|| {
            let bit = black_box(77_usize);
            black_box(&bits).load()[bit / 64] >> (bit % 64) & 1 == 1
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("explain");
    let pinned = engine.pin();
    group.bench_function("decision", |bencher| {
        bencher.iter(|| pinned.tenant(black_box(tenant)).unwrap().decide(black_box(feature), Action::Use, now));
    });
    group.bench_function("explanation", |bencher| {
        bencher.iter(|| pinned.tenant(black_box(tenant)).unwrap().explain(black_box(feature), Action::Use, now));
    });
    group.finish();
}

/// A check must not slow down because there is more of something else.
fn flatness(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flat");
    let base = FleetSpec { tenants: 2_000, features: 200, plans: 4, add_ons: 8, seed: 1 };
    let by = |name: &str, spec: FleetSpec| (name.to_owned(), spec);
    let fleets = [1, 10, 100]
        .map(|plans| by(&format!("plans_{plans}"), FleetSpec { plans, ..base.clone() }))
        .into_iter()
        .chain([1, 10, 100].map(|add_ons| by(&format!("add_ons_{add_ons}"), FleetSpec { add_ons, ..base.clone() })))
        .chain(
            [1_000, 10_000, 100_000]
                .map(|tenants| by(&format!("tenants_{tenants}"), FleetSpec { tenants, ..base.clone() })),
        );
    for (name, spec) in fleets {
        let definitions = fleet(&spec);
        let engine = engine(&definitions);
        let (tenants, features) = names(&definitions);
        // A thousand tenants, so that what is compared is the work and not the cache.
        let asked = Questions::about(&tenants[..1_000], &features);
        let now = now();
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                at += 1;
                let (tenant, feature) = asked.get(at);
                engine.is_enabled(black_box(tenant), black_box(feature), now)
            });
        });
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = config(); targets = strings, flatness }
criterion_main!(benches);
