//! Workflows on their way: through contents by hash, packs, slices and the engine's cache they stay what they are.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use crate::support::{certificate, key, revision, root, signer_for, stamp, trust};
use leasehold::build::{Content, Signer, Terms, changed_versions, cut};
use leasehold::model::{Definitions, DiagnosticCode, built_in_guards, load};
use leasehold::wire::{Capability, Chunk, DefinitionsIndex, Pack};
use leasehold::workflow::{Context, Input, Machine};
use leasehold::{Engine, Region, Snapshot, Stamp, Timestamp, read_directory};
use serde_json::{Value, json};
use std::path::Path;

fn now() -> Timestamp {
    "2026-11-15T12:00:00Z".parse().unwrap()
}

fn cleanmatex() -> Definitions {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cleanmatex");
    load(&read_directory(&folder).unwrap()).unwrap_or_else(|refused| panic!("{refused}"))
}

const CATEGORIES: [Option<&str>; 5] =
    [None, Some("DRY_CLEAN"), Some("ALTERATION"), Some("IRON_ONLY"), Some("NOBODY_HAS_THIS")];

/// Everything that a machine says at each of its stages, with inputs that some of its guards hold for.
fn sayings(machine: &Machine) -> Value {
    let inputs = [
        ("invoice_issued", Input::Bool(true)),
        ("pod_captured", Input::Bool(false)),
        ("items_total", Input::Integer(4)),
        ("items_scanned", Input::Integer(4)),
        ("scan_errors", Input::Integer(1)),
        ("balance_due_minor", Input::Integer(4_000)),
        ("customer_type", Input::String("hotel")),
    ];
    let context = Context { inputs: &inputs, roles: &["manager"] };
    let at = |stage: &str| json!(machine.transitions(stage, &context).unwrap());
    let stages: Vec<Value> = machine.stages().map(|stage| json!([stage, at(stage.stage.as_str())])).collect();
    json!({ "version": machine.version(), "category": machine.category(), "stages": stages })
}

/// What every machine of a tenant says, or why there is none.
fn all_sayings(snapshot: &Snapshot, tenant: &str) -> Value {
    let tenant = snapshot.tenant(tenant).unwrap();
    let mut all = serde_json::Map::new();
    for workflow in ["order", "complaint", "pickup_request", "no_such_workflow"] {
        for category in CATEGORIES {
            let said = match tenant.machine(workflow, category) {
                Ok(machine) => sayings(&machine),
                Err(error) => json!(error.code()),
            };
            all.insert(format!("{workflow} {category:?}"), said);
        }
    }
    all.into()
}

fn signer() -> Signer {
    signer_for(key(2), &certificate(&key(2), 1), &root())
}

fn published(definitions: &Definitions, region: &Region) -> Pack {
    let content = Content::of_stream(definitions, region).unwrap();
    let terms = Terms { issued_at: now(), fresh_for_ms: 86_400_000, slice_keys: Vec::new() };
    let head = signer().sign(region, None, (revision(1), content.root, None), &terms).unwrap();
    let chunks = content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes)));
    Pack { head: head.bytes().to_vec(), chunks: chunks.collect() }
}

#[test]
fn a_pack_holds_the_machines() {
    let definitions = cleanmatex();
    let whole = Snapshot::compile(&definitions, stamp(now())).unwrap();
    let region: Region = "GCC-OM".parse().unwrap();
    let followed = Snapshot::from_pack(published(&definitions, &region), &trust()).unwrap();
    let mut compared = 0;
    for (id, _) in definitions.tenants.iter().filter(|(_, tenant)| tenant.region == region) {
        assert_eq!(all_sayings(&followed, id.as_str()), all_sayings(&whole, id.as_str()), "{id}");
        compared += 1;
    }
    assert!(compared > 5);
    assert_eq!((followed.needs(), whole.needs()), (vec![Capability::Rhai], vec![Capability::Rhai]));
}

#[test]
fn a_slice_holds_the_tenants_machines_and_no_other_version() {
    let definitions = cleanmatex();
    let whole = Snapshot::compile(&definitions, stamp(now())).unwrap();
    for id in definitions.tenants.keys() {
        let sliced = cut(&definitions, id, now()).unwrap();
        assert!(sliced.definitions.workflows.values().all(|workflow| workflow.versions.len() == 1));
        let snapshot =
            Snapshot::compile(&sliced.definitions, stamp(now())).unwrap_or_else(|refused| panic!("{id}: {refused}"));
        assert_eq!(all_sayings(&snapshot, id.as_str()), all_sayings(&whole, id.as_str()), "{id}");
    }
}

#[test]
fn an_index_says_that_rhai_is_needed_only_where_it_is() {
    let mut definitions = cleanmatex();
    let needs = |definitions: &Definitions| {
        let content = Content::of_definitions(definitions).unwrap();
        DefinitionsIndex::read(&content.chunks[0].1).unwrap().needs
    };
    assert_eq!(needs(&definitions), [Capability::Rhai]);
    definitions.guards.retain(|_, guard| !guard.expression.contains('*'));
    assert_eq!(needs(&definitions), []);
}

#[test]
fn the_engine_keeps_machines_across_swaps_and_makes_others_where_anything_changed() {
    let mut definitions = cleanmatex();
    let compile = |definitions: &Definitions, number| {
        Snapshot::compile(definitions, Stamp { revision: revision(number), ..stamp(now()) }).unwrap()
    };
    let engine = Engine::new(compile(&definitions, 1));
    let tenant = engine.tenant("sa-jeddah-corniche").unwrap();
    let before = sayings(&tenant.machine("order", None).unwrap());
    engine.swap(compile(&definitions, 2));
    assert_eq!(sayings(&tenant.machine("order", None).unwrap()), before);

    let laid = definitions.tenants.get_mut("sa-jeddah-corniche").unwrap().workflows.get_mut("order").unwrap();
    laid.settings.clear();
    laid.patch.clear();
    let next = compile(&definitions, 3);
    let expected = sayings(&next.tenant("sa-jeddah-corniche").unwrap().machine("order", None).unwrap());
    engine.swap(next);
    assert_eq!(sayings(&tenant.machine("order", None).unwrap()), expected);
    assert_ne!(expected, before);

    definitions.workflows.get_mut("order").unwrap().active = false;
    engine.swap(compile(&definitions, 4));
    assert_eq!(tenant.machine("order", None).unwrap_err().code(), "inactive_template");
}

#[test]
fn published_versions_may_not_change() {
    let published = cleanmatex();
    let mut next = published.clone();
    assert_eq!(changed_versions(&published, &next), []);

    // What is new, and the order of a list that has none, are no change.
    let version = next.workflows["order"].versions[&3].clone();
    next.workflows.get_mut("order").unwrap().versions.insert(4, version);
    next.plans.get_mut("growth").unwrap().versions.get_mut(&1).unwrap().contributions.reverse();
    assert_eq!(changed_versions(&published, &next), []);

    let order = next.workflows.get_mut("order").unwrap();
    let transitions = &mut order.versions.get_mut(&2).unwrap().graph.transitions;
    let first = transitions.keys().next().unwrap().clone();
    transitions.remove(&first);
    next.plans.get_mut("growth").unwrap().versions.get_mut(&1).unwrap().contributions.pop();
    let found = changed_versions(&published, &next);
    let found: Vec<(DiagnosticCode, &str)> = found.iter().map(|one| (one.code, one.path.as_str())).collect();
    let code = DiagnosticCode::PublishedVersionChanged;
    assert_eq!(found, [(code, "/plans/growth/versions/1"), (code, "/workflows/order/versions/2")]);
}

#[test]
fn built_in_guards_are_read_and_native() {
    let keys: Vec<&str> = built_in_guards().keys().map(leasehold::GuardKey::as_str).collect();
    assert_eq!(keys, ["requires_invoice", "requires_pod", "requires_scan_ok"]);
    let snapshot = Snapshot::compile(&Definitions::default(), stamp(now())).unwrap();
    assert_eq!(snapshot.needs(), []);
}
