//! Items of workflows: the database decides as the engine does, and a move is whole or not there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "tests")]

use crate::support::{self, Database};
use leasehold::generate::{Choices, Given, workflow_world};
use leasehold::model::{Source, VariableType, load};
use leasehold::wire::{Pack, Trust};
use leasehold::workflow::{BlockerCode, Context, Input, JsonInputs, Machine};
use leasehold::{Engine, Revision, Snapshot, Stamp, TenantId};
use leasehold_postgres::workflow::{
    Move, Moved, NewItem, create_item, drop_idle_machines, item, move_item, put_machines, transition,
};
use leasehold_postgres::{Error, TenantTransaction, schema};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, PgPool, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// What the database says of a move: the transition that is taken and the item's new version, or the code and the facts.
type Answer = Result<(String, i64), (String, Value)>;

/// A question to the database.
#[derive(Clone)]
struct Ask {
    tenant: String,
    item: String,
    to: String,
    inputs: Value,
    roles: Vec<String>,
    expected: i64,
    actor: String,
    key: Option<String>,
}

impl Ask {
    fn new(tenant: &str, item: &str, to: &str) -> Self {
        let (tenant, item, to) = (tenant.to_owned(), item.to_owned(), to.to_owned());
        Self { tenant, item, to, inputs: json!({}), roles: Vec::new(), expected: 1, actor: "someone".into(), key: None }
    }

    fn inputs(self, inputs: Value) -> Self {
        Self { inputs, ..self }
    }

    fn expecting(self, expected: i64) -> Self {
        Self { expected, ..self }
    }

    fn keyed(self, key: &str) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Asks within a transaction, which stays open.
    async fn within(&self, transaction: &mut TenantTransaction) -> Answer {
        let row = sqlx::query("SELECT * FROM leasehold.hq_transition($1, $2, $3, $4, $5, $6, $7)")
            .bind(&self.item)
            .bind(&self.to)
            .bind(&self.inputs)
            .bind(&self.roles)
            .bind(self.expected)
            .bind(&self.actor)
            .bind(&self.key)
            .fetch_one(transaction.connection())
            .await
            .map_err(|error| said(&error))?;
        Ok((row.get("transition"), row.get("row_version")))
    }

    async fn ask(&self, pool: &PgPool) -> Answer {
        let mut transaction = TenantTransaction::begin(pool, &tenant(&self.tenant)).await.unwrap();
        let answer = self.within(&mut transaction).await;
        match &answer {
            Ok(_) => transaction.commit().await.unwrap(),
            Err(_) => transaction.rollback().await.unwrap(),
        }
        answer
    }

    /// Asks the engine instead.
    async fn ask_engine(&self, pool: &PgPool, engine: &Engine) -> Result<Moved, Error> {
        let inputs = JsonInputs::new(self.inputs.as_object().unwrap());
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        let asked = Move {
            item: &self.item,
            to: &self.to,
            expected_row_version: self.expected,
            actor: &self.actor,
            idempotency_key: self.key.as_deref(),
            trace_id: None,
        };
        let context = Context { inputs: &inputs.inputs(), roles: &roles };
        move_item(pool, &tenant(&self.tenant), engine, &asked, &context).await
    }
}

fn said(error: &sqlx::Error) -> (String, Value) {
    let Some(error) = error.as_database_error() else { panic!("{error}") };
    let error = error.downcast_ref::<PgDatabaseError>();
    let facts = error.detail().and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or_default();
    let code = if error.code() == "LH001" { error.message() } else { error.code() };
    (code.to_owned(), facts)
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn stamp() -> Stamp {
    Stamp { revision: Revision::new(7).unwrap(), issued_at: "2026-06-01T00:00:00Z".parse().unwrap(), expires_at: None }
}

fn compiled(definitions: &Value) -> Snapshot {
    let source = Source { name: "definitions.json".into(), bytes: definitions.to_string().into_bytes() };
    let definitions = load(&[source]).unwrap_or_else(|refused| panic!("{refused}"));
    Snapshot::compile(&definitions, stamp()).unwrap_or_else(|refused| panic!("{refused}"))
}

fn tenants(ids: &[&str]) -> Value {
    let one = json!({ "name": "One", "name2": "واحد", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" });
    ids.iter().map(|id| ((*id).to_owned(), one.clone())).collect::<Map<String, Value>>().into()
}

/// A workflow with two stages: `go` leads there with these guards, `back` leads back.
fn to_and_fro(guards: Value, bindings: Value) -> Value {
    let named = |name: &str| json!({ "name": name, "name2": name });
    let with = |base: Value, more: Value| {
        let mut base = base;
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        base
    };
    json!({
        "guards": guards,
        "workflows": { "order": with(named("Order"), json!({ "versions": { "1": {
            "stages": {
                "here": with(named("Here"), json!({ "initial": true, "order": 1 })),
                "there": with(named("There"), json!({ "final": true, "order": 2 })),
            },
            "transitions": {
                "go": with(named("Go"), json!({ "from": "here", "event": "go", "to": "there", "guards": bindings })),
                "back": with(named("Back"), json!({ "from": "there", "event": "back", "to": "here" })),
            },
        } } })) },
        "tenants": tenants(&["one", "two"]),
    })
}

async fn put(database: &Database, snapshot: &Snapshot) -> leasehold_postgres::workflow::MachinesPut {
    let mut transaction = database.hq.begin().await.unwrap();
    let ids: Vec<&str> = snapshot.tenants().map(|tenant| tenant.id()).collect();
    let put = put_machines(&mut transaction, snapshot, &ids).await.unwrap_or_else(|error| panic!("{error}"));
    transaction.commit().await.unwrap();
    put
}

/// A database that has the machines of a snapshot.
async fn database_with(snapshot: &Snapshot) -> Database {
    let database = support::database().await;
    put(&database, snapshot).await;
    database
}

async fn create(pool: &PgPool, of: &str, id: &str) -> Result<Moved, Error> {
    let mut transaction = TenantTransaction::begin(pool, &tenant(of)).await?;
    let new = NewItem {
        id,
        workflow: "order",
        category: None,
        actor: "someone",
        idempotency_key: None,
        trace_id: Some("trace-1"),
    };
    let moved = create_item(&mut transaction, &new).await?;
    transaction.commit().await?;
    Ok(moved)
}

/// Puts an item anywhere, as only the owner of the tables can. Nothing where no item can be there.
async fn place(database: &Database, of: &str, id: &str, workflow: &str, category: &str, stage: &str) -> Option<()> {
    let placed = sqlx::query(
        "INSERT INTO leasehold.org_workflow_items
            (tenant_org_id, item_id, workflow_key, category, stage, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')",
    )
    .bind(of)
    .bind(id)
    .bind(workflow)
    .bind(category)
    .bind(stage)
    .execute(&database.admin)
    .await;
    match placed {
        Ok(_) => Some(()),
        Err(error) if said(&error).0 == "23514" => None,
        Err(error) => panic!("{error}"),
    }
}

async fn count(database: &Database, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM leasehold.{what}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&database.admin).await.unwrap()
}

/// How many rows there are of all that a move writes.
async fn written(database: &Database) -> [i64; 5] {
    let log = count(database, "org_workflow_transition_log").await;
    let audit = count(database, "sys_audit_log").await;
    let outbox = count(database, "sys_outbox").await;
    let keys = count(database, "sys_idempotency").await;
    [count(database, "org_workflow_items WHERE row_version > 1").await, log, audit, outbox, keys]
}

// The same answers as the engine's ------------------------------------------------------------------------------------

/// What the database has to say, given what the engine says: the same, but where a guard that only the engine answers
/// decides, or belongs to the list of what blocks.
fn expected(machine: &Machine, from: &str, to: &str, context: &Context<'_>) -> Answer {
    let from_engine = machine.check(from, to, context);
    let joins =
        |rule: &leasehold::workflow::MachineTransition<'_>| (rule.from.as_str(), rule.to.as_str()) == (from, to);
    let only_engine: BTreeSet<(&str, &str)> = machine
        .rules()
        .filter(joins)
        .flat_map(|rule| {
            let rhai = rule.guards.into_iter().filter(|guard| guard.bound.needs_rhai());
            rhai.map(move |guard| (rule.transition.as_str(), guard.binding.as_str()))
        })
        .collect();
    let mut incomplete = false;
    if !only_engine.is_empty() {
        let answers = machine.transitions(from, context).unwrap();
        for answer in answers.iter().filter(|answer| (answer.from.as_str(), answer.to.as_str()) == (from, to)) {
            let is_open = only_engine.iter().any(|(transition, _)| *transition == answer.transition.as_str());
            let mut typed = answer.blockers.iter().filter(|blocker| {
                let binding = blocker.binding.as_ref().map(|binding| binding.as_str());
                !binding.is_some_and(|binding| only_engine.contains(&(answer.transition.as_str(), binding)))
            });
            incomplete |= is_open;
            if typed.next().is_none() {
                if is_open {
                    return Err(("guard_needs_engine".into(), Value::Null));
                }
                return Ok((answer.transition.to_string(), 2));
            }
        }
    }
    match from_engine {
        Ok(allowed) => Ok((allowed.transition.to_string(), 2)),
        Err(leasehold::Error::GuardFailed { .. }) if incomplete => Err(("guard_needs_engine".into(), Value::Null)),
        Err(leasehold::Error::GuardFailed { blockers, .. }) => {
            Err(("guard_failed".into(), serde_json::to_value(blockers).unwrap()))
        }
        Err(error) => Err((error.code().into(), Value::Null)),
    }
}

/// The part of an answer that is compared: of facts the blockers, in their order.
fn compared(answer: Answer) -> Answer {
    answer.map_err(|(code, facts)| {
        let blockers = if code == "guard_failed" { facts["blockers"].clone() } else { Value::Null };
        (code, blockers)
    })
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn vectors(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

fn pack(name: &str) -> std::sync::Arc<Snapshot> {
    let trust = Trust::from_json(&fs::read(folder().join("trust.json")).unwrap()).unwrap();
    let pack = Pack::read(&fs::read(folder().join(format!("packs/{name}.pack"))).unwrap()).unwrap();
    Snapshot::from_pack(pack, &trust).unwrap()
}

/// Inputs as vectors write them, with those that are too long to be written out.
fn inputs_of(args: &Value) -> Map<String, Value> {
    let mut inputs = args["inputs"].as_object().cloned().unwrap_or_default();
    for (name, long) in args["long_inputs"].as_object().into_iter().flatten() {
        let times = usize::try_from(long["times"].as_u64().unwrap()).unwrap();
        let value = match long.get("items") {
            Some(item) => vec![item.clone(); times].into(),
            None => long["repeat"].as_str().unwrap().repeat(times).into(),
        };
        inputs.insert(name.clone(), value);
    }
    inputs
}

fn codes(blockers: &Value) -> BTreeSet<(String, String)> {
    let blockers = blockers.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    blockers.map(|blocker| (text(&blocker["code"]), text(&blocker["transition"]))).collect()
}

/// Runs the vectors of a file, and says how many the database could be asked, and how many it left to the engine.
async fn run_vectors(file: &str, cannot_be_asked: &[&str]) -> (usize, usize) {
    let vectors = vectors(file);
    let snapshot = pack(vectors["pack"].as_str().unwrap());
    let database = database_with(&snapshot).await;
    let (mut asked, mut left, mut inexpressible) = (0, 0, Vec::new());
    for case in vectors["cases"].as_array().unwrap() {
        let (id, args) = (case["id"].as_str().unwrap(), &case["args"]);
        let text = |key: &str| args[key].as_str().unwrap_or_default();
        let roles: Vec<String> =
            args["roles"].as_array().into_iter().flatten().map(|role| role.as_str().unwrap().to_owned()).collect();
        // Whatever is asked of one stage is asked of each of its moves.
        let moves: Vec<(String, String)> = match case["call"].as_str().unwrap() {
            "check_transition" | "explain_move" => vec![(text("from").into(), text("to").into())],
            "transitions" => {
                let Ok(machine) =
                    snapshot.tenant(text("tenant")).unwrap().machine(text("workflow"), args["category"].as_str())
                else {
                    continue;
                };
                let to: BTreeSet<String> = machine.rules().map(|rule| rule.to.to_string()).collect();
                to.into_iter().map(|to| (text("stage").into(), to)).collect()
            }
            _ => continue,
        };
        for (from, to) in moves {
            let item = format!("{id} {to}");
            let category = args["category"].as_str().unwrap_or_default();
            let placed = snapshot.tenant(text("tenant")).is_ok()
                && place(&database, text("tenant"), &item, text("workflow"), category, &from).await.is_some();
            if !placed {
                inexpressible.push(id);
                continue;
            }
            let inputs = inputs_of(args);
            let question =
                Ask { roles: roles.clone(), ..Ask::new(text("tenant"), &item, &to).inputs(inputs.clone().into()) };
            let answer = question.ask(&database.app).await;
            let given = JsonInputs::new(&inputs);
            let given = given.inputs();
            let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
            let context = Context { inputs: &given, roles: &roles };
            let machine = snapshot.tenant(text("tenant")).unwrap().machine(text("workflow"), args["category"].as_str());
            let engine = match machine {
                Ok(machine) => expected(&machine, &from, &to, &context),
                Err(error) => Err((error.code().into(), Value::Null)),
            };
            assert_eq!(compared(answer.clone()), engine, "{file} {id}");
            asked += 1;
            let needs_engine = matches!(&answer, Err((code, _)) if code == "guard_needs_engine");
            left += usize::from(needs_engine);
            // What the vector itself says.
            if case["call"] == "check_transition" && !needs_engine {
                match (&case["error"], &answer) {
                    (Value::Null, Ok((transition, _))) => {
                        assert_eq!(case["expect"]["transition"], **transition, "{id}");
                    }
                    (Value::String(code), Err((answered, _))) => assert_eq!(code, answered, "{id}"),
                    (error @ Value::Object(_), Err((answered, facts))) => {
                        assert_eq!(error["code"], **answered, "{id}");
                        assert_eq!(codes(&error["blockers"]), codes(&facts["blockers"]), "{id}");
                    }
                    _ => panic!("{file} {id}: {answer:?}"),
                }
            }
        }
    }
    println!("{file}: {asked} asked, {left} of them left to the engine; inexpressible: {inexpressible:?}");
    assert_eq!(inexpressible, cannot_be_asked, "{file}");
    (asked, left)
}

#[tokio::test]
async fn every_vector_about_typed_guards() {
    let (asked, left) = run_vectors("guards.json", &[]).await;
    assert!(asked >= 232 && left == 0, "{asked} asked, {left} left to the engine");
}

#[tokio::test]
async fn every_vector_about_machines() {
    // No item can be in a stage without a name, and none belongs to a tenant that was not published.
    let (asked, left) = run_vectors("workflow_decisions.json", &["an-empty-stage", "an-unknown-tenant"]).await;
    assert!(asked >= 148 && left == 0, "{asked} asked, {left} left to the engine");
}

#[tokio::test]
async fn every_vector_about_guards_that_need_rhai() {
    let (asked, left) = run_vectors("guards_rhai.json", &[]).await;
    // The one that is not left to the engine has a setting that takes the arithmetic away.
    assert!(asked >= 98 && left >= 97, "{asked} asked, {left} left to the engine");
}

/// Questions to random machines, in random contexts.
#[tokio::test]
async fn random_machines_are_decided_alike() {
    let database = support::database().await;
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults = BTreeSet::new();
    let mut differing = 0;
    for seed in 0..45 {
        let mut choices = Choices::from_seed(seed);
        let mut world = workflow_world(&mut choices);
        // Worlds have typed guards alone: some of them get a part that holds and that only the engine can look at.
        for guard in world.definitions.guards.values_mut().filter(|_| seed % 3 == 0) {
            let integer = guard.inputs.iter().find(|(_, kind)| **kind == VariableType::Integer);
            if let Some((name, _)) = integer {
                guard.expression = format!("({}) && abs({name}) >= 0", guard.expression);
            }
        }
        let snapshot = Snapshot::compile(&world.definitions, stamp()).unwrap();
        put(&database, &snapshot).await;
        let names = world.machines();
        for number in 0..32 {
            let name = choices.pick(&names).unwrap();
            let category = name.category.as_ref().map(|category| category.as_str());
            let Ok(machine) = snapshot.tenant(name.tenant.as_str()).unwrap().machine(name.workflow.as_str(), category)
            else {
                continue;
            };
            let rules: Vec<(String, String)> =
                machine.rules().map(|rule| (rule.from.to_string(), rule.to.to_string())).collect();
            let Some((from, to)) = choices.pick(&rules).cloned() else { continue };
            let to = if choices.percent(5) { rules[0].1.clone() } else { to };
            let Given { inputs, roles } = world.given(&mut choices);
            let mut first = Map::new();
            for (name, value) in &inputs {
                first.entry(name.clone()).or_insert_with(|| value.clone());
            }
            let item = format!("{seed}-{number}");
            place(&database, name.tenant.as_str(), &item, name.workflow.as_str(), category.unwrap_or_default(), &from)
                .await
                .unwrap();
            let question =
                Ask { roles: roles.clone(), ..Ask::new(name.tenant.as_str(), &item, &to).inputs(first.into()) };
            let answer = compared(question.ask(&database.app).await);
            let engine = Given { inputs, roles }.ask(|context| expected(&machine, &from, &to, context));
            assert_eq!(
                answer,
                engine,
                "seed {seed}, question {number}: {question_inputs}",
                question_inputs = question.inputs
            );
            let code = answer.as_ref().err().map_or("allowed", |(code, _)| code).to_owned();
            *outcomes.entry(code).or_default() += 1;
            if let Err((_, blockers)) = &answer {
                faults.extend(codes(blockers).into_iter().map(|(code, _)| code));
            }
            differing += usize::from(machine.category().is_some());
        }
    }
    println!("{outcomes:?} {faults:?}; {differing} of machines with a category of their own");
    for (outcome, least) in
        [("allowed", 300), ("guard_failed", 200), ("guard_needs_engine", 20), ("illegal_transition", 10)]
    {
        assert!(outcomes.get(outcome).is_some_and(|count| *count >= least), "{outcome}: {outcomes:?}");
    }
    let all = [
        BlockerCode::GuardFailed,
        BlockerCode::InputMissing,
        BlockerCode::InputMistyped,
        BlockerCode::InputOutOfRange,
        BlockerCode::RoleRequired,
    ];
    assert_eq!(faults, all.iter().map(|code| code.as_str().to_owned()).collect());
    assert!(differing > 50, "{differing}");
}

// What is written ---------------------------------------------------------------------------------------------------

/// Both ways write the same, but for who decided.
#[tokio::test]
async fn both_ways_write_the_same() {
    let guards = json!({ "paid": { "name": "Paid", "name2": "مدفوع", "inputs": { "paid": "bool" }, "settings": {},
        "expression": "paid" } });
    let engine = Engine::new(compiled(&to_and_fro(guards, json!({ "paid": {} }))));
    let database = database_with(&engine.pin()).await;
    let question = |tenant: &str| {
        let question = Ask::new(tenant, "order 1", "there").inputs(json!({ "paid": true, "nobody_asks": [1, null] }));
        Ask { roles: vec!["cashier".into()], ..question }.keyed("key-1")
    };
    for of in ["one", "two"] {
        let created = create(&database.app, of, "order 1").await.unwrap();
        assert_eq!((created.row_version, created.to.as_str(), created.from), (1, "here", None));
    }
    assert_eq!(question("one").ask(&database.app).await, Ok(("go".into(), 2)));
    let moved = question("two").ask_engine(&database.hq, &engine).await.unwrap();
    assert_eq!(moved.transition.as_ref().map(|transition| transition.as_str()), Some("go"));
    assert_eq!((moved.row_version, moved.to.as_str(), moved.repeated), (2, "there", false));

    let rows = |of: &'static str| {
        let admin = database.admin.clone();
        async move {
            let log: Vec<Value> = sqlx::query_scalar(
                "SELECT to_jsonb(l) - 'tenant_org_id' - 'at' FROM leasehold.org_workflow_transition_log l
                 WHERE tenant_org_id = $1 ORDER BY row_version",
            )
            .bind(of)
            .fetch_all(&admin)
            .await
            .unwrap();
            let audit: Vec<Vec<u8>> =
                sqlx::query_scalar("SELECT body FROM leasehold.sys_audit_log WHERE tenant_org_id = $1 ORDER BY seq")
                    .bind(of)
                    .fetch_all(&admin)
                    .await
                    .unwrap();
            let outbox: Vec<Value> = sqlx::query_scalar(
                "SELECT jsonb_build_array(event_type, payload, trace_id) FROM leasehold.sys_outbox
                 WHERE tenant_org_id = $1 ORDER BY event_id",
            )
            .bind(of)
            .fetch_all(&admin)
            .await
            .unwrap();
            (log, audit, outbox)
        }
    };
    let ((log_one, audit_one, outbox_one), (mut log_two, audit_two, outbox_two)) =
        (rows("one").await, rows("two").await);
    assert_eq!((log_one.len(), audit_one.len(), outbox_one.len()), (2, 2, 2));
    assert_eq!((&log_one[1]["decided_by"], &log_two[1]["decided_by"]), (&json!("database"), &json!("engine")));
    assert_eq!(log_one[1]["context"]["roles"], json!(["cashier"]));
    assert_eq!(log_one[1]["context"]["inputs"]["paid"], json!(true));
    // A mixed list is nothing that a guard looks at, and the engine's way keeps no more of it than that.
    assert_eq!(log_two[1]["context"]["inputs"]["nobody_asks"], Value::Null);
    for changed in ["decided_by", "context", "context_hash"] {
        log_two[1][changed] = log_one[1][changed].clone();
    }
    assert_eq!(log_one, log_two);
    assert_eq!(outbox_one, outbox_two);
    assert_eq!(outbox_one[1][0], "workflow.item.moved");
    let entry: Value = serde_json::from_slice(&audit_two[1]).unwrap();
    assert_eq!(leasehold::wire::canonical::to_vec(&entry).unwrap(), audit_two[1], "the entry is canonical");
    assert_eq!((&entry["action"], &entry["actor"]), (&json!("workflow.item.moved"), &json!("someone")));
    assert_eq!((&entry["detail"]["transition"], &entry["detail"]["row_version"]), (&json!("go"), &json!(2)));
    assert_eq!(log_two[1]["audit_seq"], 2);

    let mut transaction = TenantTransaction::begin(&database.app, &tenant("two")).await.unwrap();
    let read = item(&mut transaction, "order 1").await.unwrap();
    assert_eq!((read.stage.as_str(), read.row_version, read.updated_at), ("there", 2, moved.at));
    assert_eq!(item(&mut transaction, "order 2").await.unwrap_err().code(), "unknown_item");

    // What happened stays, whoever asks.
    for sql in [
        "UPDATE leasehold.org_workflow_transition_log SET actor = 'x'",
        "DELETE FROM leasehold.org_workflow_transition_log",
    ] {
        assert_eq!(said(&sqlx::query(sql).execute(&database.admin).await.unwrap_err()).0, "23001");
    }
}

/// What is refused has the same code either way, and writes nothing.
#[tokio::test]
async fn refusals_have_the_same_codes() {
    let guards = json!({ "paid": { "name": "Paid", "name2": "مدفوع", "inputs": { "paid": "bool" }, "settings": {},
        "expression": "paid" } });
    let mut definitions = to_and_fro(guards, json!({ "paid": {} }));
    definitions["workflows"]["off"] = definitions["workflows"]["order"].clone();
    definitions["workflows"]["off"]["active"] = json!(false);
    let engine = Engine::new(compiled(&definitions));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    place(&database, "one", "2", "off", "", "here").await.unwrap();
    place(&database, "one", "3", "unheard_of", "", "here").await.unwrap();
    place(&database, "one", "4", "order", "", "gone").await.unwrap();
    let before = written(&database).await;
    for (question, code) in [
        (Ask::new("one", "none", "there"), "unknown_item"),
        (Ask::new("two", "1", "there"), "unknown_item"),
        (Ask::new("one", "1", "there").expecting(2), "row_version_conflict"),
        (Ask::new("one", "1", "there").expecting(0), "row_version_conflict"),
        (Ask::new("one", "2", "there"), "inactive_template"),
        (Ask::new("one", "3", "there"), "unknown_workflow"),
        (Ask::new("one", "4", "there"), "unknown_stage"),
        (Ask::new("one", "1", "elsewhere"), "unknown_stage"),
        (Ask::new("one", "1", "here"), "illegal_transition"),
        (Ask::new("one", "1", "there"), "guard_failed"),
        (Ask::new("one", "1", "there").inputs(json!({ "paid": false })), "guard_failed"),
    ] {
        let from_database = question.ask(&database.app).await.unwrap_err();
        assert_eq!(from_database.0, code);
        assert_eq!(question.ask_engine(&database.hq, &engine).await.unwrap_err().code(), code);
    }
    for (id, of, code) in
        [("1", "one", "already_exists"), ("", "one", "invalid_argument"), ("x", "nobody", "unknown_workflow")]
    {
        assert_eq!(create(&database.app, of, id).await.unwrap_err().code(), code);
    }
    assert_eq!(create(&database.app, "one", &"x".repeat(256)).await.unwrap_err().code(), "invalid_argument");
    // Without an object for a context there is nothing to decide by.
    for inputs in [json!([]), json!(null), json!("paid")] {
        let (code, _) = Ask::new("one", "1", "there").inputs(inputs).ask(&database.app).await.unwrap_err();
        assert_eq!(code, "invalid_argument");
    }
    assert_eq!(written(&database).await, before);
}

/// A category that nobody mentions has the machine of items without one.
#[tokio::test]
async fn machines_are_shared_replaced_and_dropped() {
    let definitions = to_and_fro(json!({}), json!({}));
    let first = compiled(&definitions);
    let database = support::database().await;
    let written = put(&database, &first).await;
    assert_eq!((written.machines, written.placed), (1, 2), "two tenants share one machine");
    let again = put(&database, &first).await;
    assert_eq!((again.machines, again.placed), (0, 0), "nothing is written twice");

    let mut closed = definitions.clone();
    closed["workflows"]["order"]["versions"]["1"]["transitions"]["go"]["role"] = json!("manager");
    closed["tenants"].as_object_mut().unwrap().remove("two");
    let second = compiled(&closed);
    create(&database.app, "two", "1").await.unwrap();
    let mut transaction = database.hq.begin().await.unwrap();
    let put = put_machines(&mut transaction, &second, &["one", "two"]).await.unwrap();
    assert_eq!((put.machines, put.placed), (1, 2));
    assert_eq!(drop_idle_machines(&mut transaction).await.unwrap(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(count(&database, "sys_machines").await, 1);
    create(&database.app, "one", "1").await.unwrap();
    let (code, facts) = Ask::new("one", "1", "there").ask(&database.app).await.unwrap_err();
    assert_eq!((code.as_str(), &facts["blockers"][0]["code"]), ("guard_failed", &json!("role_required")));
    let manager = Ask { roles: vec!["manager".into()], ..Ask::new("one", "1", "there") };
    assert_eq!(manager.ask(&database.app).await, Ok(("go".into(), 2)));
    assert_eq!(Ask::new("two", "1", "there").ask(&database.app).await.unwrap_err().0, "unknown_workflow");
}

/// What cannot be meant is refused in words that programs know, before anything is looked up, and the same either way.
#[tokio::test]
async fn requests_that_cannot_be_meant_are_refused() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    let before = written(&database).await;
    // From SQL: the message is the code, and there is advice.
    let by_sql = async |pool: &PgPool, sql: &str| {
        let mut transaction = TenantTransaction::begin(pool, &tenant("one")).await.unwrap();
        let error = sqlx::query(AssertSqlSafe(sql)).execute(transaction.connection()).await.unwrap_err();
        let advice = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>().hint().map(str::to_owned);
        assert!(advice.is_some_and(|advice| !advice.is_empty()), "{sql}: {error}");
        let (code, facts) = said(&error);
        (code, facts["argument"].as_str().unwrap_or_default().to_owned())
    };
    let argument = |name: &str| ("invalid_argument".to_owned(), name.to_owned());
    let key = || ("invalid_idempotency_key".to_owned(), String::new());
    for (arguments, answer) in [
        ("'', 'order', NULL, 'a', NULL", argument("item")),
        ("repeat('x', 256), 'order', NULL, 'a', NULL", argument("item")),
        ("repeat('é', 128), 'order', NULL, 'a', NULL", argument("item")),
        ("'2', 'order', 'bad category!', 'a', NULL", argument("category")),
        ("'2', 'order', repeat('x', 129), 'a', NULL", argument("category")),
        ("'2', 'order', NULL, 'a', ''", key()),
        ("'2', 'order', NULL, 'a', repeat('x', 256)", key()),
        ("'2', 'order', NULL, 'a', repeat('é', 128)", key()),
        ("'2', 'order', NULL, 'a', NULL, repeat('x', 257)", argument("trace_id")),
        ("NULL, 'order', NULL, 'a', NULL", argument("")),
        ("'2', NULL, NULL, 'a', NULL", argument("")),
        ("'2', 'order', NULL, NULL, NULL", argument("")),
    ] {
        let sql = format!("SELECT leasehold.hq_create_item({arguments})");
        assert_eq!(by_sql(&database.app, &sql).await, answer, "{sql}");
    }
    let moves = [
        ("'1', 'there', '{}', NULL, NULL, 'a', NULL, NULL", argument("expected_row_version")),
        ("'1', 'there', '[]', NULL, 1, 'a', NULL, NULL", argument("context")),
        ("'1', 'there', NULL, NULL, 1, 'a', NULL, NULL", argument("context")),
        ("'1', 'there', '{}', NULL, 1, 'a', '', NULL", key()),
        ("'1', 'there', '{}', NULL, 1, 'a', repeat('x', 256), NULL", key()),
        ("'1', 'there', '{}', NULL, 1, 'a', NULL, repeat('x', 257)", argument("trace_id")),
        ("NULL, 'there', '{}', NULL, 1, 'a', NULL, NULL", argument("")),
        ("'1', NULL, '{}', NULL, 1, 'a', NULL, NULL", argument("")),
        ("'1', 'there', '{}', NULL, 1, NULL, NULL, NULL", argument("")),
    ];
    for (arguments, answer) in moves {
        for sql in [
            format!("SELECT leasehold.hq_transition({arguments})"),
            format!("SELECT leasehold.hq_begin_move({arguments})"),
            format!("SELECT leasehold.hq_move_item({arguments}, 'go', 'go', 1, 'engine')"),
        ] {
            assert_eq!(by_sql(&database.hq, &sql).await, answer, "{sql}");
        }
    }
    // From Rust: the same, as errors.
    let long = "x".repeat(257);
    let good =
        NewItem { id: "2", workflow: "order", category: None, actor: "a", idempotency_key: None, trace_id: None };
    for (new, code, argument) in [
        (NewItem { id: "", ..good }, "invalid_argument", Some("item")),
        (NewItem { id: &long[1..], ..good }, "invalid_argument", Some("item")),
        (NewItem { category: Some("bad category!"), ..good }, "invalid_argument", Some("category")),
        (NewItem { trace_id: Some(&long), ..good }, "invalid_argument", Some("trace_id")),
        (NewItem { idempotency_key: Some(""), ..good }, "invalid_idempotency_key", None),
        (NewItem { idempotency_key: Some(&long[1..]), ..good }, "invalid_idempotency_key", None),
    ] {
        let mut transaction = TenantTransaction::begin(&database.app, &tenant("one")).await.unwrap();
        let error = create_item(&mut transaction, &new).await.unwrap_err();
        assert_eq!((error.code(), argument_of(&error)), (code, argument), "{new:?}");
    }
    let good =
        Move { item: "1", to: "there", expected_row_version: 1, actor: "a", idempotency_key: None, trace_id: None };
    for (asked, code, argument) in [
        (Move { trace_id: Some(&long), ..good }, "invalid_argument", Some("trace_id")),
        (Move { idempotency_key: Some(""), ..good }, "invalid_idempotency_key", None),
        (Move { idempotency_key: Some(&long[1..]), ..good }, "invalid_idempotency_key", None),
    ] {
        let moved = move_item(&database.hq, &tenant("one"), &engine, &asked, &Context::default()).await;
        let error = moved.unwrap_err();
        assert_eq!((error.code(), argument_of(&error)), (code, argument), "{asked:?}");
    }
    assert_eq!(written(&database).await, before);

    // The longest of each can be kept.
    let mut transaction = TenantTransaction::begin(&database.hq, &tenant("one")).await.unwrap();
    let new = NewItem {
        id: &long[2..],
        category: Some(&long[129..]),
        idempotency_key: Some(&long[2..]),
        trace_id: Some(&long[1..]),
        workflow: "order",
        actor: "a",
    };
    create_item(&mut transaction, &new).await.unwrap();
    let asked = Move { item: &long[2..], idempotency_key: Some(&long[3..]), trace_id: Some(&long[1..]), ..good };
    transition(&mut transaction, &engine, &asked, &Context::default()).await.unwrap();
    transaction.commit().await.unwrap();
}

fn argument_of(error: &Error) -> Option<&str> {
    match error {
        Error::InvalidArgument { message } => message.split('`').nth(1),
        _ => None,
    }
}

/// The clock of the machine may go back: no move stands before the one that it follows.
#[tokio::test]
async fn moves_stand_in_their_order_whatever_the_clock_says() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    let ahead: leasehold::Timestamp = "2199-01-01T00:00:00Z".parse().unwrap();
    sqlx::query("UPDATE leasehold.org_workflow_items SET updated_at = '2199-01-01T00:00:00Z'")
        .execute(&database.admin)
        .await
        .unwrap();
    Ask::new("one", "1", "there").ask(&database.app).await.unwrap();
    let back = Ask::new("one", "1", "here").expecting(2).ask_engine(&database.hq, &engine).await.unwrap();
    assert_eq!(back.at, ahead);
    let mut transaction = TenantTransaction::begin(&database.app, &tenant("one")).await.unwrap();
    assert_eq!(item(&mut transaction, "1").await.unwrap().updated_at, ahead);
    transaction.commit().await.unwrap();
    let logged = "org_workflow_transition_log WHERE row_version > 1 AND at = '2199-01-01T00:00:00Z'";
    assert_eq!(count(&database, logged).await, 2);
    assert_eq!(count(&database, "sys_audit_log WHERE at = '2199-01-01T00:00:00Z'").await, 2);
}

// Machines come and go -----------------------------------------------------------------------------------------------

/// Two snapshots whose machines differ, and their tenants.
fn two_snapshots() -> [Snapshot; 2] {
    let mut definitions = to_and_fro(json!({}), json!({}));
    let first = compiled(&definitions);
    definitions["workflows"]["order"]["versions"]["1"]["transitions"]["go"]["role"] = json!("manager");
    [first, compiled(&definitions)]
}

async fn put_in(transaction: &mut sqlx::PgTransaction<'_>, snapshot: &Snapshot, tenants: &[&str]) -> (u64, u64) {
    let put = put_machines(transaction, snapshot, tenants).await.unwrap_or_else(|error| panic!("{error}"));
    (put.machines, put.placed)
}

/// Waits until somebody in the database waits for a lock.
async fn until_somebody_waits(database: &Database) {
    let waits =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&database.admin).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_machine_that_is_about_to_be_placed_is_not_dropped() {
    let [first, second] = two_snapshots();
    let database = database_with(&first).await;
    put(&database, &second).await;
    // That of the first snapshot is idle now; somebody finds it, and has not placed it yet.
    let idle: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT machine FROM leasehold.sys_machines m
         WHERE NOT EXISTS (SELECT FROM leasehold.org_workflow_machines o WHERE o.machine = m.machine)",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();
    assert_eq!(idle.len(), 1);
    let mut placing = database.hq.begin().await.unwrap();
    let missing: Vec<Vec<u8>> = sqlx::query_scalar("SELECT * FROM leasehold.hq_missing_machines($1)")
        .bind(&idle)
        .fetch_all(&mut *placing)
        .await
        .unwrap();
    assert_eq!(missing, Vec::<Vec<u8>>::new());
    let mut dropping = database.hq.acquire().await.unwrap();
    assert_eq!(drop_idle_machines(&mut dropping).await.unwrap(), 0, "nobody waits for whoever places it");
    assert_eq!(put_in(&mut placing, &first, &["one", "two"]).await, (0, 2));
    // That of the second is idle as soon as this is committed, and not before.
    assert_eq!(drop_idle_machines(&mut dropping).await.unwrap(), 0);
    placing.commit().await.unwrap();
    assert_eq!(drop_idle_machines(&mut dropping).await.unwrap(), 1);
    assert_eq!(count(&database, "sys_machines").await, 1);
}

#[tokio::test]
async fn a_machine_that_is_being_dropped_is_written_again() {
    let [first, second] = two_snapshots();
    let database = database_with(&first).await;
    put(&database, &second).await;
    let mut dropping = database.hq.begin().await.unwrap();
    assert_eq!(drop_idle_machines(&mut dropping).await.unwrap(), 1);
    let pool = database.hq.clone();
    let placing = tokio::spawn(async move {
        let mut placing = pool.begin().await.unwrap();
        let put = put_in(&mut placing, &first, &["one", "two"]).await;
        placing.commit().await.unwrap();
        put
    });
    until_somebody_waits(&database).await;
    dropping.commit().await.unwrap();
    assert_eq!(placing.await.unwrap(), (1, 2));
    create(&database.app, "one", "1").await.unwrap();
    assert_eq!(Ask::new("one", "1", "there").ask(&database.app).await, Ok(("go".into(), 2)));
}

/// Its guards are read one by one: of a machine that is gone in between they would seem to be none.
#[tokio::test]
async fn a_machine_that_moves_an_item_is_not_dropped() {
    let [first, second] = two_snapshots();
    let database = database_with(&first).await;
    create(&database.app, "one", "1").await.unwrap();
    let mut moving = TenantTransaction::begin(&database.app, &tenant("one")).await.unwrap();
    assert_eq!(Ask::new("one", "1", "there").within(&mut moving).await, Ok(("go".into(), 2)));
    put(&database, &second).await;
    let mut dropping = database.hq.acquire().await.unwrap();
    assert_eq!(drop_idle_machines(&mut dropping).await.unwrap(), 0);
    moving.commit().await.unwrap();
    assert_eq!(drop_idle_machines(&mut dropping).await.unwrap(), 1);
}

/// Placers, droppers and movers get in each other's way, and nobody fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn machines_are_placed_dropped_and_used_at_once() {
    let snapshots = std::sync::Arc::new(two_snapshots());
    let database = database_with(&snapshots[0]).await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_done = || {
        let done = done.clone();
        move || done.load(std::sync::atomic::Ordering::Relaxed)
    };
    let droppers = (0..2).map(|_| {
        let (pool, is_done) = (database.hq.clone(), is_done());
        tokio::spawn(async move {
            let mut dropped = 0;
            while !is_done() {
                let mut connection = pool.acquire().await.unwrap();
                dropped += drop_idle_machines(&mut connection).await.unwrap_or_else(|error| panic!("{error}"));
            }
            dropped
        })
    });
    let droppers: Vec<_> = droppers.collect();
    let (app, is_moved) = (database.app.clone(), is_done());
    let mover = tokio::spawn(async move {
        let mut number = 0;
        while !is_moved() {
            number += 1;
            create(&app, "one", &number.to_string()).await.unwrap_or_else(|error| panic!("{error}"));
            match Ask::new("one", &number.to_string(), "there").ask(&app).await {
                Ok(_) => {}
                Err((code, _)) => assert_eq!(code, "guard_failed", "the role is missing, and nothing else"),
            }
        }
    });
    let placers = ["one", "two"].map(|of| {
        let (pool, snapshots) = (database.hq.clone(), snapshots.clone());
        tokio::spawn(async move {
            for round in 0..150 {
                let mut transaction = pool.begin().await.unwrap();
                put_in(&mut transaction, &snapshots[(round + 1) % 2], &[of]).await;
                transaction.commit().await.unwrap();
            }
        })
    });
    for placer in placers {
        placer.await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    mover.await.unwrap();
    let mut dropped = 0;
    for dropper in droppers {
        dropped += dropper.await.unwrap();
    }
    assert!(dropped > 0, "they have met");
}

/// Of more tenants than go into one statement, each has its machines; where nothing changes, nothing is touched.
#[tokio::test]
async fn many_tenants_are_placed_and_what_stays_is_not_touched() {
    let mut definitions = to_and_fro(json!({}), json!({}));
    let ids: Vec<String> = (0..1101).map(|number| format!("t{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    definitions["tenants"] = tenants(&ids);
    let all = compiled(&definitions);
    let database = support::database().await;
    assert_eq!(put(&database, &all).await.placed, 1101);
    let touched = "org_workflow_machines WHERE xmax <> 0";
    // In whichever order they are named, and more than once.
    let mut named: Vec<&str> = ids.iter().rev().copied().collect();
    named.extend(&ids[..3]);
    let mut transaction = database.hq.begin().await.unwrap();
    assert_eq!(put_in(&mut transaction, &all, &named).await, (0, 0));
    transaction.commit().await.unwrap();
    assert_eq!(count(&database, touched).await, 0);
    // Tenants that the snapshot does not know have none afterwards.
    definitions["tenants"] = tenants(&ids[..600]);
    let fewer = compiled(&definitions);
    let mut transaction = database.hq.begin().await.unwrap();
    assert_eq!(put_in(&mut transaction, &fewer, &ids).await, (0, 501));
    transaction.commit().await.unwrap();
    assert_eq!(count(&database, "org_workflow_machines").await, 600);
    assert_eq!(count(&database, touched).await, 0);
}

// One at a time -----------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_movers_one_wins_each_version() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    for version in 1..=6 {
        let to = if version % 2 == 1 { "there" } else { "here" };
        let movers = (0..16).map(|number| {
            let (app, hq, engine) = (database.app.clone(), database.hq.clone(), engine.clone());
            let question = Ask { actor: format!("mover {number}"), ..Ask::new("one", "1", to).expecting(version) };
            tokio::spawn(async move {
                if number % 2 == 0 {
                    question.ask(&app).await.map(|(_, version)| version).map_err(|(code, _)| code)
                } else {
                    let moved = question.ask_engine(&hq, &engine).await;
                    moved.map(|moved| moved.row_version).map_err(|error| error.code().to_owned())
                }
            })
        });
        let movers: Vec<_> = movers.collect();
        let mut won = 0;
        for mover in movers {
            match mover.await.unwrap() {
                Ok(reached) => {
                    assert_eq!(reached, version + 1);
                    won += 1;
                }
                Err(code) => assert_eq!(code, "row_version_conflict"),
            }
        }
        assert_eq!(won, 1, "version {version}");
    }
    assert_eq!(count(&database, "org_workflow_transition_log").await, 7);
    let chain: i64 = sqlx::query_scalar("SELECT seq FROM leasehold.sys_audit_heads WHERE tenant_org_id = 'one'")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert_eq!(chain, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_is_repeated_is_answered_as_before() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    create(&database.app, "one", "2").await.unwrap();
    // All at once, by both ways.
    let question = Ask::new("one", "1", "there").keyed("k");
    let askers = (0..8).map(|number| {
        let (app, hq, engine, question) = (database.app.clone(), database.hq.clone(), engine.clone(), question.clone());
        tokio::spawn(async move {
            if number % 2 == 0 {
                question.ask(&app).await.unwrap().1
            } else {
                question.ask_engine(&hq, &engine).await.unwrap().row_version
            }
        })
    });
    let askers: Vec<_> = askers.collect();
    for asker in askers {
        assert_eq!(asker.await.unwrap(), 2);
    }
    assert_eq!(count(&database, "org_workflow_transition_log").await, 3);
    // Also when the item has moved on.
    Ask::new("one", "1", "here").expecting(2).ask(&database.app).await.unwrap();
    assert_eq!(question.ask(&database.app).await, Ok(("go".into(), 2)));
    assert!(question.ask_engine(&database.hq, &engine).await.unwrap().repeated);
    assert_eq!(count(&database, "org_workflow_transition_log").await, 4);
    // Another request under the key.
    let before = written(&database).await;
    let others = [
        Ask::new("one", "1", "there").expecting(3).keyed("k"),
        Ask::new("one", "2", "there").keyed("k"),
        Ask { actor: "another".into(), ..question.clone() },
        question.clone().inputs(json!({ "x": 1 })),
    ];
    for other in others {
        assert_eq!(other.ask(&database.app).await.unwrap_err().0, "idempotency_key_reused");
        assert_eq!(other.ask_engine(&database.hq, &engine).await.unwrap_err().code(), "idempotency_key_reused");
    }
    assert_eq!(written(&database).await, before);
    // Keys belong to a tenant.
    create(&database.app, "two", "1").await.unwrap();
    assert_eq!(Ask::new("two", "1", "there").keyed("k").ask(&database.app).await, Ok(("go".into(), 2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_item_that_is_created_twice_under_one_key_is_one() {
    let database = database_with(&compiled(&to_and_fro(json!({}), json!({})))).await;
    let creators: Vec<_> = (0..8)
        .map(|_| {
            let app = database.app.clone();
            tokio::spawn(async move {
                let mut transaction = TenantTransaction::begin(&app, &tenant("one")).await.unwrap();
                let new = NewItem {
                    id: "1",
                    workflow: "order",
                    category: Some("DRY_CLEAN"),
                    actor: "someone",
                    idempotency_key: Some("k"),
                    trace_id: None,
                };
                let moved = create_item(&mut transaction, &new).await.unwrap();
                transaction.commit().await.unwrap();
                moved.repeated
            })
        })
        .collect();
    let mut first = 0;
    for creator in creators {
        first += i32::from(!creator.await.unwrap());
    }
    assert_eq!((first, count(&database, "org_workflow_transition_log").await), (1, 1));
}

/// Whichever way it is made, a move whose connection is lost before it is committed was never made.
#[tokio::test]
async fn a_connection_that_is_killed_leaves_nothing() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    let before = written(&database).await;
    for by_engine in [false, true] {
        let pool = if by_engine { &database.hq } else { &database.app };
        let mut transaction = TenantTransaction::begin(pool, &tenant("one")).await.unwrap();
        let question = Ask::new("one", "1", "there").keyed("k");
        if by_engine {
            let asked = Move {
                item: "1",
                to: "there",
                expected_row_version: 1,
                actor: "someone",
                idempotency_key: Some("k"),
                trace_id: None,
            };
            transition(&mut transaction, &engine, &asked, &Context::default()).await.unwrap();
        } else {
            question.within(&mut transaction).await.unwrap();
        }
        let process: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(transaction.connection()).await.unwrap();
        let killed: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
            .bind(process)
            .fetch_one(&database.admin)
            .await
            .unwrap();
        assert!(killed);
        assert_eq!(transaction.commit().await.unwrap_err().code(), "database_unreachable");
        assert_eq!(written(&database).await, before);
    }
    // And nothing is left held.
    assert_eq!(Ask::new("one", "1", "there").keyed("k").ask(&database.app).await, Ok(("go".into(), 2)));
}

// Bad intentions ----------------------------------------------------------------------------------------------------

const NASTY: [&str; 9] = [
    "'",
    "''; DROP TABLE leasehold.org_workflow_items; --",
    "\\'; SELECT pg_sleep(100); --",
    "$$ || (SELECT 1) || $$",
    "$1",
    "\" OR 1 = 1 --",
    "%L %s %I",
    "{\"a\": [null]}",
    "نص\n\r\t\u{7f}\u{1f600}",
];

/// Constants of guards, and inputs, are texts whatever they hold.
#[tokio::test]
async fn texts_are_texts_in_guards_and_inputs() {
    let mut guards = json!({
        "same": { "name": "Same", "name2": "Same", "inputs": { "s": "string" },
            "settings": { "wanted": { "type": "string", "default": "x" } }, "expression": "s == wanted" },
        "among": { "name": "Among", "name2": "Among", "inputs": { "s": "string" },
            "settings": { "list": { "type": "strings", "default": NASTY } }, "expression": "s in list" },
        "tagged": { "name": "Tagged", "name2": "Tagged", "inputs": { "tags": "strings" },
            "settings": { "tag": { "type": "string", "default": "x" } }, "expression": "tag in tags" },
    });
    guards["among"]["settings"]["list"]["default"].as_array_mut().unwrap().push(json!("x"));
    let bindings = json!({ "same": {}, "among": {}, "tagged": {} });
    let mut definitions = to_and_fro(guards, bindings);
    for (number, nasty) in NASTY.iter().enumerate() {
        let mut own = definitions["tenants"]["one"].clone();
        own["workflows"] =
            json!({ "order": { "settings": { "same": { "wanted": nasty }, "tagged": { "tag": nasty } } } });
        definitions["tenants"][format!("nasty{number}")] = own;
    }
    let snapshot = compiled(&definitions);
    let database = database_with(&snapshot).await;
    for (number, nasty) in NASTY.iter().enumerate() {
        let of = format!("nasty{number}");
        create(&database.app, &of, "1").await.unwrap();
        let machine = snapshot.tenant(&of).unwrap().machine("order", None).unwrap();
        for other in NASTY.iter().chain(&["", "x"]) {
            let inputs = json!({ "s": other, "tags": ["x", other], *nasty: nasty });
            let given = JsonInputs::new(inputs.as_object().unwrap());
            let given = given.inputs();
            let engine = expected(&machine, "here", "there", &Context { inputs: &given, roles: &[] });
            let mut transaction = TenantTransaction::begin(&database.app, &tenant(&of)).await.unwrap();
            let question = Ask::new(&of, "1", "there").inputs(inputs.clone());
            assert_eq!(compared(question.within(&mut transaction).await), engine, "{nasty:?} and {other:?}");
            assert_eq!(engine.is_ok(), nasty == other);
            transaction.rollback().await.unwrap();
        }
    }
}

#[tokio::test]
async fn texts_are_texts_everywhere_else() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    for nasty in NASTY {
        create(&database.app, "one", nasty).await.unwrap();
        let question = Ask {
            roles: vec![nasty.into()],
            actor: nasty.into(),
            key: Some(nasty.into()),
            ..Ask::new("one", nasty, "there").inputs(json!({ nasty: nasty }))
        };
        assert_eq!(question.ask(&database.app).await, Ok(("go".into(), 2)));
        let back = Ask { to: "here".into(), expected: 2, key: None, ..question.clone() };
        assert_eq!(back.ask_engine(&database.hq, &engine).await.unwrap().row_version, 3);
        let nowhere = Ask { to: nasty.into(), expected: 3, key: None, ..question };
        let (code, facts) = nowhere.ask(&database.app).await.unwrap_err();
        assert_eq!((code.as_str(), &facts["stage"]), ("unknown_stage", &json!(nasty)));
        let (actor, context): (String, Value) = sqlx::query_as(
            "SELECT actor, context FROM leasehold.org_workflow_transition_log WHERE item_id = $1 AND row_version = 2",
        )
        .bind(nasty)
        .fetch_one(&database.admin)
        .await
        .unwrap();
        assert_eq!((actor.as_str(), context), (nasty, json!({ "inputs": { nasty: nasty }, "roles": [nasty] })));
    }
    let bodies: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM leasehold.sys_audit_log").fetch_all(&database.admin).await.unwrap();
    assert_eq!(bodies.len(), 3 * NASTY.len());
    for body in bodies {
        let entry: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(leasehold::wire::canonical::to_vec(&entry).unwrap(), body);
    }
}

/// Postgres keeps no U+0000: it is refused, and never cut off there.
#[tokio::test]
async fn nul_characters_are_refused() {
    let guards = json!({ "same": { "name": "Same", "name2": "Same", "inputs": { "s": "string" }, "settings": {},
        "expression": "s == \"a\\u0000b\"" } });
    let mut definitions = to_and_fro(guards, json!({}));
    definitions["workflows"]["order"]["versions"]["1"]["transitions"]["back"]["guards"] = json!({ "same": {} });
    let engine = Engine::new(compiled(&definitions));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    assert_eq!(create(&database.app, "one", "a\0b").await.unwrap_err().code(), "nul_character");
    let before = written(&database).await;
    for question in [
        Ask::new("one", "1\0", "there"),
        Ask::new("one", "1", "there\0"),
        Ask { actor: "a\0".into(), ..Ask::new("one", "1", "there") },
        Ask { roles: vec!["a\0".into()], ..Ask::new("one", "1", "there") },
        Ask::new("one", "1", "there").inputs(json!({ "a\0": 1 })),
        Ask::new("one", "1", "there").inputs(json!({ "a": "\0" })),
        Ask::new("one", "1", "there").keyed("\0"),
    ] {
        let (code, _) = question.ask(&database.app).await.unwrap_err();
        assert!(["22021", "22P05"].contains(&code.as_str()), "{code}");
        assert_eq!(question.ask_engine(&database.hq, &engine).await.unwrap_err().code(), "nul_character");
    }
    assert_eq!(written(&database).await, before);
    // A guard that compares with it is the engine's.
    place(&database, "one", "2", "order", "", "there").await.unwrap();
    let question = Ask::new("one", "2", "here").inputs(json!({ "s": "ab" }));
    assert_eq!(question.ask(&database.app).await.unwrap_err().0, "guard_needs_engine");
    assert_eq!(question.ask_engine(&database.hq, &engine).await.unwrap_err().code(), "guard_failed");
}

#[tokio::test]
async fn nothing_crosses_to_another_tenant() {
    let engine = Engine::new(compiled(&to_and_fro(json!({}), json!({}))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    // The same id is another item.
    create(&database.app, "two", "1").await.unwrap();
    Ask::new("two", "1", "there").ask(&database.app).await.unwrap();
    let mut transaction = TenantTransaction::begin(&database.app, &tenant("one")).await.unwrap();
    assert_eq!(item(&mut transaction, "1").await.unwrap().stage.as_str(), "here");
    let seen: Vec<String> = sqlx::query_scalar(
        "SELECT tenant_org_id FROM leasehold.org_workflow_items UNION ALL
         SELECT tenant_org_id FROM leasehold.org_workflow_transition_log",
    )
    .fetch_all(transaction.connection())
    .await
    .unwrap();
    assert_eq!(seen, ["one", "one"]);
    transaction.rollback().await.unwrap();
    // Outside a context there is no tenant at all.
    for pool in [&database.app, &database.hq] {
        let error = sqlx::query("SELECT leasehold.hq_transition('1', 'there', '{}', '{}', 1, 'a')").execute(pool).await;
        assert_eq!(said(&error.unwrap_err()).0, "no_tenant");
        let error = sqlx::query("SELECT leasehold.hq_create_item('9', 'order', NULL, 'a', NULL)").execute(pool).await;
        assert_eq!(said(&error.unwrap_err()).0, "no_tenant");
        assert_eq!(sqlx::query("SELECT * FROM leasehold.org_workflow_items").fetch_all(pool).await.unwrap().len(), 0);
    }
}

/// Items move through functions alone, and who cannot decide cannot move them past guards.
#[tokio::test]
async fn rights_are_as_narrow_as_can_be() {
    let snapshot = compiled(&to_and_fro(json!({}), json!({})));
    let database = database_with(&snapshot).await;
    create(&database.app, "one", "1").await.unwrap();
    let by_app = [
        "UPDATE leasehold.org_workflow_items SET stage = 'there'",
        "INSERT INTO leasehold.org_workflow_items VALUES ('one', '2', 'order', '', 'here', 1, now(), now())",
        "DELETE FROM leasehold.org_workflow_items",
        "DELETE FROM leasehold.org_workflow_transition_log",
        "INSERT INTO leasehold.sys_machine_guards SELECT * FROM leasehold.sys_machine_guards",
        "UPDATE leasehold.sys_machine_guards SET sql = 'ARRAY[true]'",
        "UPDATE leasehold.org_workflow_machines SET machine = NULL",
        "TRUNCATE leasehold.org_workflow_items CASCADE",
    ];
    let by_app_alone = [
        "SELECT * FROM leasehold.sys_machine_guards",
        "SELECT * FROM leasehold.org_workflow_machines",
        "SELECT leasehold.hq_put_machine('{}')",
        "SELECT leasehold.hq_place_machines('{one}', '[]')",
        "SELECT leasehold.hq_drop_idle_machines()",
        "SELECT leasehold.hq_begin_move('1', 'there', '{}', '{}', 1, 'a', NULL, NULL)",
        "SELECT leasehold.hq_move_item('1', 'there', '{}', '{}', 1, 'a', NULL, NULL, 'go', 'go', 1, 'engine')",
    ];
    let internal = [
        "SELECT leasehold.guard_sql('{\"constant\": true}', '{}')",
        "SELECT leasehold.write_move('one', NULL, 'order', 1, '', 'a', 'engine', '{}', NULL, NULL, NULL)",
        "SELECT leasehold.guard_blockers(NULL, 'go', '{}')",
    ];
    let attempts = [
        (&database.app, by_app.iter().chain(&by_app_alone).chain(&internal).collect::<Vec<_>>()),
        (&database.hq, by_app.iter().chain(&internal).collect()),
        (&database.engine, by_app.iter().chain(&by_app_alone).chain(&internal).collect()),
    ];
    for (pool, attempts) in attempts {
        for sql in attempts {
            let mut transaction = TenantTransaction::begin(pool, &tenant("one")).await.unwrap();
            let error = sqlx::query(*sql).execute(transaction.connection()).await.unwrap_err();
            assert_eq!(said(&error).0, "42501", "{sql}: {error}");
        }
    }
}

/// Who may write machines still cannot say what the owner runs.
#[tokio::test]
async fn a_forged_machine_runs_nothing() {
    let database = support::database().await;
    let document = |inputs: Value, form: Value| {
        json!({
            "workflow": "order", "version": 1, "category": null,
            "stages": [{ "stage": "here", "initial": true, "final": false },
                       { "stage": "there", "initial": false, "final": true }],
            "transitions": [{ "transition": "go", "event": "go", "from": "here", "to": "there", "role": null,
                "role_layer": null, "guards": [{ "binding": "g", "guard": "g", "layer": "template", "expression": "g",
                "inputs": inputs, "sql": "ARRAY[pg_sleep(100) IS NULL]",
                "conditions": [{ "form": form, "text": "g", "part": "g", "inputs": [], "sql": "pg_sleep(100)" }] }] }],
        })
        .to_string()
    };
    let put = async |document: String| {
        let put =
            sqlx::query_scalar("SELECT leasehold.hq_put_machine($1)").bind(document).fetch_one(&database.hq).await;
        put.map_err(|error| said(&error).0) as Result<Vec<u8>, String>
    };
    // Forms that are none.
    let x = json!([{ "name": "x", "type": "integer" }]);
    let one = json!({ "constant": 1 });
    for form in [
        json!({ "sql": "pg_sleep(100)" }),
        json!({ "setting": "x" }),
        json!({ "input": "x" }),
        json!({ "input": "y" }),
        json!({ "constant": "pg_sleep(100)" }),
        json!({ "compare": { "operator": "= 1 OR pg_sleep(100) IS NULL OR 1 =", "left": one, "right": one } }),
        json!({ "compare": { "operator": "<", "left": { "input": "y" }, "right": one } }),
        json!({ "compare": { "operator": "<", "left": { "constant": { "a": 1 } }, "right": one } }),
        json!({ "compare": { "operator": "<", "left": { "constant": 1e30 }, "right": one } }),
        json!({ "in": { "item": { "input": "x" }, "list": { "constant": [[1]] } } }),
        json!({ "and": [] }),
        json!({}),
        json!("pg_sleep(100)"),
        json!({ "constant": true, "input": "x" }),
    ] {
        let refused = put(document(x.clone(), form.clone())).await;
        assert!(refused.is_err(), "{form} was kept");
    }
    assert_eq!(count(&database, "sys_machines").await, 0);
    // Names and constants that would be SQL if they were not quoted.
    for (number, nasty) in NASTY.iter().enumerate() {
        let form = json!({ "and": [
            { "compare": { "operator": "==", "left": { "input": nasty }, "right": { "constant": nasty } } },
            { "in": { "item": { "constant": nasty }, "list": { "constant": [nasty, "'"] } } },
        ] });
        let machine = put(document(json!([{ "name": nasty, "type": "string" }]), form)).await.unwrap();
        let of = format!("nasty{number}");
        let machine = machine.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        sqlx::query("SELECT leasehold.hq_place_machines(ARRAY[$1], $2)")
            .bind(&of)
            .bind(json!([{ "tenant": of, "workflow": "order", "category": "", "machine": machine }]))
            .execute(&database.hq)
            .await
            .unwrap();
        create(&database.app, &of, "1").await.unwrap();
        let (code, _) =
            Ask::new(&of, "1", "there").inputs(json!({ *nasty: "x" })).ask(&database.app).await.unwrap_err();
        assert_eq!(code, "guard_failed");
        assert_eq!(
            Ask::new(&of, "1", "there").inputs(json!({ *nasty: nasty })).ask(&database.app).await,
            Ok(("go".into(), 2))
        );
    }
    // Of others than are named.
    let foreign = json!([{ "tenant": "two", "workflow": "order", "category": "", "machine": null }]);
    let refused =
        sqlx::query("SELECT leasehold.hq_place_machines('{one}', $1)").bind(foreign).execute(&database.hq).await;
    assert_eq!(said(&refused.unwrap_err()).0, "22023");
}

/// Contexts are bounded where they are kept, and not where they are looked at.
#[tokio::test]
async fn a_long_context_is_known_by_its_hash() {
    let guards = json!({ "long": { "name": "Long", "name2": "Long", "inputs": { "s": "string" }, "settings": {},
        "expression": "s != \"\"" } });
    let snapshot = compiled(&to_and_fro(guards, json!({ "long": {} })));
    let database = database_with(&snapshot).await;
    create(&database.app, "one", "1").await.unwrap();
    let (code, facts) =
        Ask::new("one", "1", "there").inputs(json!({ "s": "ص".repeat(32_769) })).ask(&database.app).await.unwrap_err();
    assert_eq!((code.as_str(), &facts["blockers"][0]["code"]), ("guard_failed", &json!("input_out_of_range")));
    Ask::new("one", "1", "there").inputs(json!({ "s": "ص".repeat(32_768) })).ask(&database.app).await.unwrap();
    let (has_context, hash): (bool, Vec<u8>) = sqlx::query_as(
        "SELECT context IS NOT NULL, context_hash FROM leasehold.org_workflow_transition_log WHERE row_version = 2",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert_eq!((has_context, hash.len()), (false, 32));
}

/// Numbers as only JSON can write them: the engine's JSON has been read as 64-bit integers or floats before it asks.
#[tokio::test]
async fn numbers_are_read_as_the_engine_reads_them() {
    let guards = json!({ "few": { "name": "Few", "name2": "Few", "inputs": { "n": "integer" }, "settings": {},
        "expression": "n < 5" } });
    let snapshot = compiled(&to_and_fro(guards, json!({ "few": {} })));
    let database = database_with(&snapshot).await;
    let machine = snapshot.tenant("one").unwrap().machine("order", None).unwrap();
    create(&database.app, "one", "1").await.unwrap();
    for number in [
        "4",
        "5",
        "-4",
        "0",
        "4.0",
        "4.5",
        "9007199254740991",
        "9007199254740992",
        "-9007199254740991",
        "-9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807.5",
        "-9223372036854775295.5",
        "-9223372036854775297.5",
        "99999999999999999999.5",
        "1e300",
        "-1e300",
        "1e-5",
    ] {
        let text = format!("{{\"n\": {number}}}");
        let inputs: Value = serde_json::from_str(&text).unwrap();
        let given = JsonInputs::new(inputs.as_object().unwrap());
        let given = given.inputs();
        let engine = expected(&machine, "here", "there", &Context { inputs: &given, roles: &[] });
        let mut transaction = TenantTransaction::begin(&database.app, &tenant("one")).await.unwrap();
        let answer = sqlx::query("SELECT * FROM leasehold.hq_transition('1', 'there', $1::jsonb, NULL, 1, 'a')")
            .bind(&text)
            .fetch_one(transaction.connection())
            .await;
        let answer = answer.map(|row| (row.get("transition"), row.get("row_version"))).map_err(|error| said(&error));
        assert_eq!(compared(answer), engine, "{number}");
        transaction.rollback().await.unwrap();
    }
}

/// An input that the engine's way cannot write stands as null.
#[tokio::test]
async fn the_first_of_two_inputs_with_one_name_counts() {
    let guards = json!({ "paid": { "name": "Paid", "name2": "مدفوع", "inputs": { "paid": "bool" }, "settings": {},
        "expression": "paid" } });
    let engine = Engine::new(compiled(&to_and_fro(guards, json!({ "paid": {} }))));
    let database = database_with(&engine.pin()).await;
    create(&database.app, "one", "1").await.unwrap();
    let mut transaction = TenantTransaction::begin(&database.hq, &tenant("one")).await.unwrap();
    let asked = Move {
        item: "1",
        to: "there",
        expected_row_version: 1,
        actor: "someone",
        idempotency_key: None,
        trace_id: Some("trace-2"),
    };
    let inputs = [
        ("paid", Input::Bool(true)),
        ("paid", Input::Bool(false)),
        ("count", Input::Integer(i64::MIN)),
        ("tags", Input::Strings(&["a", "b"])),
        ("weight", Input::Other("a float")),
    ];
    transition(&mut transaction, &engine, &asked, &Context { inputs: &inputs, roles: &[] }).await.unwrap();
    transaction.commit().await.unwrap();
    let (context, trace): (Value, String) =
        sqlx::query_as("SELECT context, trace_id FROM leasehold.org_workflow_transition_log WHERE row_version = 2")
            .fetch_one(&database.admin)
            .await
            .unwrap();
    let inputs = json!({ "paid": true, "count": i64::MIN, "tags": ["a", "b"], "weight": null });
    assert_eq!((context, trace.as_str()), (json!({ "inputs": inputs, "roles": [] }), "trace-2"));
}

#[tokio::test]
async fn the_migration_has_its_way_back() {
    let database = database_with(&compiled(&to_and_fro(json!({}), json!({})))).await;
    create(&database.app, "one", "1").await.unwrap();
    let mut connection = database.admin.acquire().await.unwrap();
    let shape = "SELECT string_agg(o.oid::regproc::text, ',' ORDER BY o.oid::regproc::text) FROM pg_proc o
        WHERE pronamespace = 'leasehold'::regnamespace";
    let before: String = sqlx::query_scalar(shape).fetch_one(&mut *connection).await.unwrap();
    schema::undo(&mut connection, schema::Part::Hq, 5).await.unwrap();
    let left: Option<String> = sqlx::query_scalar("SELECT to_regclass('leasehold.sys_machines')::text")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(left, None);
    schema::migrate(&mut connection, schema::Part::Hq).await.unwrap();
    let after: String = sqlx::query_scalar(shape).fetch_one(&mut *connection).await.unwrap();
    assert_eq!(before, after);
}
