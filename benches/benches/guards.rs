//! Guards: the typed subset beside the same guard in Rhai.

use criterion::{Criterion, criterion_group, criterion_main};
use leasehold::VariableName;
use leasehold::model::VariableType;
use leasehold::workflow::guard::{Constant, Input, Variables, compile};
use rhai::{Engine, INT, Scope};
use std::{hint::black_box, time::Duration};

/// The guard that is measured: two comparisons, a membership.
const TEXT: &str = r#"(total_minor <= above_minor && kind in ["silk", "wool"]) || approved"#;
const ABOVE: i64 = 50_000;

fn name(text: &str) -> VariableName {
    text.parse().unwrap()
}

fn inputs() -> Variables {
    let names =
        [("approved", VariableType::Bool), ("kind", VariableType::String), ("total_minor", VariableType::Integer)];
    names.into_iter().map(|(text, kind)| (name(text), kind)).collect()
}

fn settings() -> Variables {
    [(name("above_minor"), VariableType::Integer)].into()
}

/// A Rhai that can do what this guard needs, and nothing else.
fn locked() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_strict_variables(true)
        .set_max_operations(10_000)
        .set_max_expr_depths(512)
        .set_max_string_size(1 << 20)
        .set_max_array_size(1_024)
        .set_max_map_size(1)
        .disable_symbol("eval");
    engine.register_fn("contains", |list: &mut rhai::Array, item: rhai::ImmutableString| {
        list.iter().any(|this| this.read_lock::<rhai::ImmutableString>().is_some_and(|this| *this == item))
    });
    engine
}

fn evaluation(criterion: &mut Criterion) {
    let context: &[(&str, Input<'_>)] =
        &[("kind", Input::String("wool")), ("total_minor", Input::Integer(12_500)), ("approved", Input::Bool(false))];
    for (group, text) in [("guard", TEXT), ("guard_two_comparisons", "total_minor <= above_minor && total_minor > 0")] {
        let guard = compile(text, &inputs(), &settings()).unwrap();
        let guard = guard.bind(|_| Some(Constant::Integer(ABOVE))).unwrap();
        let slots = guard.fill(context).unwrap();
        let engine = locked();
        let mut scope = Scope::new();
        scope.push("above_minor", ABOVE as INT).push("total_minor", 12_500 as INT);
        scope.push("kind", rhai::ImmutableString::from("wool")).push("approved", false);
        let tree = engine.compile_expression_with_scope(&scope, text).unwrap();
        assert_eq!(guard.holds(&slots), Ok(true));
        assert!(engine.eval_ast_with_scope::<bool>(&mut scope, &tree).unwrap());

        let mut group = criterion.benchmark_group(group);
        group.bench_function("native", |bencher| bencher.iter(|| black_box(&guard).holds(black_box(&slots))));
        group.bench_function("native_from_context", |bencher| {
            bencher.iter(|| black_box(&guard).evaluate(black_box(context)));
        });
        group.bench_function("rhai_reused_scope", |bencher| {
            bencher.iter(|| engine.eval_ast_with_scope::<bool>(black_box(&mut scope), black_box(&tree)));
        });
        group.finish();
    }
}

fn config() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = config(); targets = evaluation }
criterion_main!(benches);
