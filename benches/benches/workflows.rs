//! Workflows: a transition check on a held machine, with and without a guard; making a machine; taking one from the cache.

use criterion::{Criterion, criterion_group, criterion_main};
use leasehold::model::{Definitions, Source, load};
use leasehold::workflow::{Context, Input};
use leasehold::{Engine, Snapshot};
use leasehold_benches::stamp;
use serde_json::{Map, Value, json};
use std::{hint::black_box, time::Duration};

/// How many stages the machine has.
const STAGES: usize = 40;

fn stage(at: usize) -> String {
    format!("stage_{at:02}")
}

/// A template of forty stages in a row, with ways back and ways out: seventy-odd transitions, every other one guarded.
fn template() -> Value {
    let labelled = |at: usize, what: &str| json!({ "name": format!("{what} number {at}"), "name2": format!("{what} رقم {at}"), "order": at });
    let mut stages = Map::new();
    for at in 0..STAGES {
        let mut stage_value = labelled(at, "Stage");
        stage_value["initial"] = json!(at == 0);
        stage_value["final"] = json!(at == STAGES - 1);
        stages.insert(stage(at), stage_value);
    }
    let mut transitions = Map::new();
    let mut join = |id: String, at: usize, to: usize, guards: Value| {
        let mut transition = labelled(at, "Transition");
        transition["from"] = json!(stage(at));
        transition["event"] = json!(id.clone());
        transition["to"] = json!(stage(to));
        transition["guards"] = guards;
        transitions.insert(id, transition);
    };
    for at in 0..STAGES - 1 {
        let guards = if at % 2 == 0 { json!({}) } else { json!({ "requires_scan_ok": {} }) };
        join(format!("advance_{at:02}"), at, at + 1, guards);
        if at % 3 == 2 {
            join(format!("rework_{at:02}"), at, at - 1, json!({ "requires_invoice": {} }));
        }
        if at % 2 == 1 && at + 1 < STAGES - 1 {
            join(format!("finish_{at:02}"), at, STAGES - 1, json!({ "requires_pod": {} }));
        }
    }
    json!({
        "stages": stages,
        "transitions": transitions,
        "categories": { "DRY_CLEAN": { "patch": [
            { "op": "add", "stage": "pretreatment", "value": { "name": "Pre-treatment", "name2": "معالجة", "order": 3 } },
            { "op": "change", "transition": "advance_02", "value": { "to": "pretreatment" } },
            { "op": "add", "transition": "pretreated", "value": { "name": "Treated", "name2": "تمت", "from": "pretreatment",
                "event": "pretreated", "to": "stage_03" } },
        ] } },
    })
}

fn definitions() -> Definitions {
    let tenant = |laid: Value| json!({ "name": "T", "name2": "ت", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z", "workflows": laid });
    let patched = json!({ "order": {
        "version": 1,
        "patch": [
            { "op": "change", "stage": "stage_05", "value": { "name": "Photographed" } },
            { "op": "add", "transition": "advance_06", "guard": "requires_pod", "value": {} },
            { "op": "change", "transition": "advance_08", "value": { "role": "manager" } },
            { "op": "remove", "transition": "rework_11" },
        ],
        "settings": { "requires_pod": { "required": false } },
    } });
    let file = json!({
        "workflows": { "order": { "name": "Order", "name2": "طلب", "versions": { "1": template() } } },
        "tenants": { "plain": tenant(json!({})), "patched": tenant(patched) },
    });
    load(&[Source { name: "bench.json".into(), bytes: file.to_string().into_bytes() }]).expect("it is right")
}

fn checks(criterion: &mut Criterion) {
    let snapshot = Snapshot::compile(&definitions(), stamp()).expect("it is right");
    let machine = snapshot.tenant("plain").and_then(|tenant| tenant.machine("order", None)).expect("it is there");
    let inputs = [
        ("items_total", Input::Integer(12)),
        ("items_scanned", Input::Integer(12)),
        ("scan_errors", Input::Integer(0)),
        ("invoice_issued", Input::Bool(true)),
    ];
    let context = Context { inputs: &inputs, roles: &["operator"] };
    let mut group = criterion.benchmark_group("transition");
    for (name, from, to) in [("unguarded", 20, 21), ("guarded", 21, 22)] {
        let (from, to) = (stage(from), stage(to));
        assert!(machine.check(&from, &to, &context).is_ok());
        group.bench_function(name, |bencher| {
            bencher.iter(|| machine.check(black_box(&from), black_box(&to), black_box(&context)).is_ok());
        });
    }
    group.finish();

    let engine = Engine::new(snapshot);
    let tenant = engine.tenant("patched").expect("it is there");
    let mut group = criterion.benchmark_group("machine");
    group.bench_function("cached", |bencher| {
        bencher.iter(|| tenant.machine(black_box("order"), black_box(Some("DRY_CLEAN"))));
    });
    group.finish();
}

fn resolving(criterion: &mut Criterion) {
    let snapshot = Snapshot::compile(&definitions(), stamp()).expect("it is right");
    let tenant = snapshot.tenant("patched").expect("it is there");
    let text = template().to_string();
    let mut group = criterion.benchmark_group("resolve");
    group.measurement_time(Duration::from_secs(5));
    group.bench_function("machine", |bencher| {
        bencher.iter(|| tenant.machine(black_box("order"), black_box(Some("DRY_CLEAN"))));
    });
    group.bench_function("serde_json", |bencher| {
        bencher.iter(|| serde_json::from_str::<Value>(black_box(&text)));
    });
    group.finish();
}

criterion_group!(workflows, checks, resolving);
criterion_main!(workflows);
