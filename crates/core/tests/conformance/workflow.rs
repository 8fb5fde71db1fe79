//! Questions about workflows: machines, what they answer, versions, merges, and what would have been.

use super::{bytes_of, engine, json_of, only_keys, text};
use leasehold::merge::{Conflict, Side, three_way};
use leasehold::model::{Definitions, Source, load};
use leasehold::wire::canonical;
use leasehold::workflow::{Context, JsonInputs, Language, LoggedInput, LoggedMove, Machine, PathStep, Upgrade};
use leasehold::{Engine, Error, Hash, Revision, Snapshot, Stamp, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Answers a question that asks no pack; nothing where the call is none.
pub(crate) fn read(call: &str, args: &Value, documents: &Map<String, Value>) -> Option<Result<Value, Value>> {
    match call {
        "merge" => Some(Ok(merge(args))),
        "upgraded" => Some(upgraded(args, documents)),
        _ => None,
    }
}

/// Answers a question about workflows; nothing where the call is another.
pub(crate) fn ask(engine: &Engine, call: &str, args: &Value) -> Option<Result<Value, Value>> {
    let machine = || machine(engine, args);
    let answer = match call {
        "machine" => machine().map(|machine| shape(&machine)),
        "transitions" => machine().and_then(|machine| transitions(&machine, args)),
        "check_transition" => machine().and_then(|machine| check(&machine, args)),
        "explain_move" => machine().and_then(|machine| explain(&machine, args)),
        "covering_paths" => machine().map(|machine| covering_paths(&machine)),
        "picture" => machine().and_then(|machine| picture(engine, &machine, args)),
        "compare_versions" => compare_versions(engine, args),
        "upgrade" => upgrade(&engine.pin(), args).map(|upgrade| shape_of_upgrade(&upgrade)),
        "replay" => replay(engine, args),
        _ => return None,
    };
    Some(answer.map_err(refusal))
}

fn refusal(error: Error) -> Value {
    let mut refusal = json!({ "code": error.code(), "message": error.to_string() });
    if let Error::GuardFailed { blockers, .. } = error {
        refusal["blockers"] = blockers.iter().map(|blocker| plain_blocker(json_of(blocker))).collect();
    }
    refusal
}

fn number(args: &Value, key: &str) -> u32 {
    args[key].as_u64().unwrap_or_else(|| panic!("`{key}` is not a version in {args}")).try_into().unwrap()
}

/// The machine, made and taken from the cache; all must be the same.
fn machine(engine: &Engine, args: &Value) -> Result<Machine, Error> {
    let (tenant, workflow) = (text(args, "tenant"), text(args, "workflow"));
    let category = args.get("category").map(|category| category.as_str().unwrap());
    let made = engine.pin().tenant(tenant).and_then(|tenant| tenant.machine(workflow, category));
    for again in [
        engine.machine(tenant, workflow, category),
        engine.machine(tenant, workflow, category),
        engine.tenant(tenant).and_then(|tenant| tenant.machine(workflow, category)),
    ] {
        let brief = |machine: &Result<Machine, Error>| machine.as_ref().map(shape).map_err(Clone::clone);
        assert_eq!(brief(&again), brief(&made), "the cache has another machine");
    }
    made
}

/// What is absent stands as null or an empty list.
fn plain(mut answer: Value, absent: &[(&str, Value)]) -> Value {
    let members = answer.as_object_mut().unwrap();
    for (key, value) in absent {
        members.entry(*key).or_insert_with(|| value.clone());
    }
    answer
}

fn plain_blocker(blocker: Value) -> Value {
    plain(blocker, &[("binding", Value::Null), ("guard", Value::Null)])
}

fn plain_blockers(answer: &mut Value) {
    let blockers = answer.get_mut("blockers").map(Value::take).unwrap_or_else(|| json!([]));
    answer["blockers"] = blockers.as_array().unwrap().iter().cloned().map(plain_blocker).collect();
}

fn shape(machine: &Machine) -> Value {
    let any = machine.stages().next().map(|stage| stage.stage.as_str().to_owned()).unwrap_or_default();
    let transitions = machine.transitions(&any, &Context::default()).unwrap().into_iter().map(|transition| {
        let mut transition = plain(json_of(transition), &[("role", Value::Null)]);
        let members = transition.as_object_mut().unwrap();
        members.remove("state");
        members.remove("blockers");
        transition
    });
    let inputs: Vec<Value> = machine.inputs().into_iter().map(|(name, kind)| json!([name, kind])).collect();
    json!({
        "workflow": machine.workflow(),
        "version": machine.version(),
        "category": machine.category(),
        "stages": machine.stages().map(json_of).collect::<Vec<Value>>(),
        "transitions": transitions.collect::<Vec<Value>>(),
        "inputs": inputs,
        "needs_rhai": machine.needs_rhai(),
    })
}

/// Asks in a context: `inputs`, those too long to be written out, and `roles`.
fn within<R>(args: &Value, ask: impl FnOnce(&Context<'_>) -> R) -> R {
    let empty = Map::new();
    let mut given = args.get("inputs").map_or(&empty, |inputs| inputs.as_object().unwrap()).clone();
    for (name, long) in args.get("long_inputs").map_or(&empty, |inputs| inputs.as_object().unwrap()) {
        let value = match long.get("items") {
            Some(item) => {
                only_keys(long, &["items", "times"], name);
                vec![item.clone(); long["times"].as_u64().unwrap().try_into().unwrap()].into()
            }
            None => String::from_utf8(bytes_of(long)).unwrap().into(),
        };
        given.insert(name.clone(), value);
    }
    let given = JsonInputs::new(&given);
    let roles = args["roles"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let roles: Vec<&str> = roles.map(|role| role.as_str().unwrap()).collect();
    ask(&Context { inputs: &given.inputs(), roles: &roles })
}

fn transitions(machine: &Machine, args: &Value) -> Result<Value, Error> {
    let stage = text(args, "stage");
    let answers = within(args, |context| machine.transitions(stage, context).map(json_of))?;
    let answers = answers.as_array().unwrap().iter().map(|answer| {
        let mut answer = plain(answer.clone(), &[("role", Value::Null)]);
        plain_blockers(&mut answer);
        answer
    });
    Ok(json!({ "transitions": answers.collect::<Vec<Value>>() }))
}

fn check(machine: &Machine, args: &Value) -> Result<Value, Error> {
    let (from, to) = (text(args, "from"), text(args, "to"));
    let answer = within(args, |context| {
        let answer = machine.check(from, to, context).map(|allowed| json!(allowed));
        // Both say the same, in different words.
        if let Ok(explained) = machine.explain(from, to, context) {
            let taken = answer.as_ref().ok().map(|allowed| &allowed["transition"]);
            assert_eq!(json!(explained.allowed), json!(taken), "`check` and `explain` differ");
        }
        answer
    })?;
    Ok(answer)
}

fn explain(machine: &Machine, args: &Value) -> Result<Value, Error> {
    let (from, to) = (text(args, "from"), text(args, "to"));
    let explained = within(args, |context| machine.explain(from, to, context))?;
    let none = [("category", Value::Null), ("allowed", Value::Null), ("ignored", json!([]))];
    let mut explained = plain(json_of(explained), &none);
    for transition in explained["considered"].as_array_mut().unwrap() {
        *transition = plain(transition.take(), &[("role", Value::Null)]);
        for guard in transition["guards"].as_array_mut().unwrap() {
            *guard = plain(guard.take(), &[("settings", json!({}))]);
            plain_blockers(guard);
        }
    }
    Ok(explained)
}

/// The paths, once they are seen to be paths: each begins where items begin, each move of them is allowed.
fn covering_paths(machine: &Machine) -> Value {
    let covering = machine.covering_paths();
    let initial = machine.stages().find(|stage| stage.initial).map(|stage| stage.stage.clone());
    let mut covered = BTreeSet::new();
    for path in &covering.paths {
        assert_eq!(Some(&path.start), initial.as_ref(), "a path begins elsewhere");
        let end = path.steps.iter().fold(&path.start, |here, step| {
            assert_eq!(here, &step.from, "a path that leaps");
            &step.to
        });
        assert_eq!(end, &path.end);
        for PathStep { transition, from, to, role, inputs, .. } in &path.steps {
            let inputs: Map<String, Value> =
                inputs.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
            let roles: Vec<&str> = role.iter().map(|role| role.as_str()).collect();
            let given = JsonInputs::new(&inputs);
            let context = Context { inputs: &given.inputs(), roles: &roles };
            assert!(machine.check(from.as_str(), to.as_str(), &context).is_ok(), "`{transition}` is not allowed");
            let open = machine.transitions(from.as_str(), &context).unwrap();
            let open = open.iter().find(|answer| answer.transition == transition).map(|answer| json!(answer.state));
            assert_eq!(open, Some(json!("enabled")), "`{transition}` is not enabled");
            covered.insert(transition.clone());
        }
    }
    let ends: BTreeSet<_> = covering.paths.iter().map(|path| &path.end).collect();
    let summary = json!({ "covered": covered, "ends": ends });
    let none = [("category", Value::Null), ("not_covered", json!([]))];
    let mut answer = plain(json_of(&covering), &none);
    for path in answer["paths"].as_array_mut().unwrap() {
        for step in path["steps"].as_array_mut().unwrap() {
            *step = plain(step.take(), &[("role", Value::Null)]);
        }
    }
    answer.as_object_mut().unwrap().extend(summary.as_object().unwrap().clone());
    answer
}

fn picture(engine: &Engine, machine: &Machine, args: &Value) -> Result<Value, Error> {
    let language = args.get("language").map_or(Language::English, |word| {
        Language::from_word(word.as_str().unwrap()).unwrap_or_else(|| panic!("unknown language {word}"))
    });
    let mut diagram = match args.get("against") {
        None => machine.diagram(language),
        Some(other) => machine.diagram_against(&self::machine(engine, other)?, language),
    };
    diagram.current = args.get("current").map(|stage| stage.as_str().unwrap().to_owned());
    Ok(match text(args, "form") {
        "mermaid" => json!({ "text": diagram.mermaid() }),
        "dot" => json!({ "text": diagram.dot() }),
        "svg" => json!({ "hash": Hash::of(diagram.svg().as_bytes()) }),
        unknown => panic!("unknown form `{unknown}`"),
    })
}

fn compare_versions(engine: &Engine, args: &Value) -> Result<Value, Error> {
    let (from, to) = (number(args, "from"), number(args, "to"));
    let mut answer = json_of(engine.pin().compare_versions(text(args, "workflow"), from, to)?);
    for change in answer["changes"].as_array_mut().unwrap() {
        *change = plain(change.take(), &[("category", Value::Null)]);
    }
    Ok(answer)
}

/// A value as canonical JSON; null for what is absent.
fn written(value: Option<&Value>) -> Value {
    value.map_or(Value::Null, |value| String::from_utf8(canonical::to_vec(value).unwrap()).unwrap().into())
}

fn shape_of_conflict(conflict: &Conflict) -> Value {
    json!({
        "path": conflict.path,
        "base": written(conflict.base.as_ref()),
        "ours": written(conflict.ours.as_ref()),
        "theirs": written(conflict.theirs.as_ref()),
    })
}

fn merge(args: &Value) -> Value {
    only_keys(args, &["base", "ours", "theirs"], "args");
    let [base, ours, theirs] = ["base", "ours", "theirs"].map(|side| &args[side]);
    let merge = three_way(base, ours, theirs);
    let swapped = three_way(base, theirs, ours);
    assert_eq!(merge.result, swapped.result, "the sides are not alike");
    let conflicts = |merge: &[Conflict]| merge.iter().map(shape_of_conflict).collect::<Vec<Value>>();
    let mut back = conflicts(&swapped.conflicts);
    for conflict in &mut back {
        let [ours, theirs] = ["ours", "theirs"].map(|side| conflict[side].clone());
        (conflict["ours"], conflict["theirs"]) = (theirs, ours);
    }
    assert_eq!(conflicts(&merge.conflicts), back, "the sides are not alike");
    let [ours, theirs] = [Side::Ours, Side::Theirs].map(|side| merge.resolve(|_| side));
    json!({
        "result": written(Some(&merge.result)),
        "conflicts": conflicts(&merge.conflicts),
        "resolved": { "ours": written(Some(&ours)), "theirs": written(Some(&theirs)) },
    })
}

fn upgrade(snapshot: &Snapshot, args: &Value) -> Result<Upgrade, Error> {
    let side = match text(args, "side") {
        "base" => Side::Base,
        "ours" => Side::Ours,
        "theirs" => Side::Theirs,
        unknown => panic!("unknown side `{unknown}`"),
    };
    snapshot.tenant(text(args, "tenant"))?.upgrade(text(args, "workflow"), number(args, "to"), side)
}

fn shape_of_upgrade(upgrade: &Upgrade) -> Value {
    let conflicts = upgrade.conflicts.iter().map(|conflict| {
        let mut shape = shape_of_conflict(&conflict.conflict);
        shape["category"] = json!(conflict.category);
        shape
    });
    let found = upgrade.found.iter().map(|found| json!({ "path": found.path, "code": found.code }));
    json!({
        "from": upgrade.from,
        "to": upgrade.to,
        "laid": upgrade.laid,
        "conflicts": conflicts.collect::<Vec<Value>>(),
        "found": found.collect::<Vec<Value>>(),
    })
}

/// Asks of definitions in which the tenant has what an upgrade comes to.
fn upgraded(args: &Value, documents: &Map<String, Value>) -> Result<Value, Value> {
    only_keys(args, &["definitions", "tenant", "workflow", "to", "side", "ask"], "args");
    let source = Source { name: "definitions.json".into(), bytes: bytes_of(&documents[text(args, "definitions")]) };
    let mut definitions = load(&[source]).unwrap();
    let compiled = |definitions: &Definitions| {
        let issued_at: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        Snapshot::compile(definitions, Stamp { revision: Revision::default(), issued_at, expires_at: None })
    };
    let upgrade = upgrade(&compiled(&definitions).unwrap(), args).map_err(refusal)?;
    let tenant = definitions.tenants.iter_mut().find(|(id, _)| id.as_str() == text(args, "tenant")).unwrap().1;
    tenant.workflows.insert(text(args, "workflow").parse().unwrap(), upgrade.laid);
    let after = compiled(&definitions).map_err(|refused| {
        let codes: Vec<_> = refused.as_slice().iter().map(|one| (one.path.clone(), one.code)).collect();
        json!({ "code": "refused", "found": codes })
    })?;
    let question = &args["ask"];
    only_keys(question, &["call", "args"], "ask");
    engine::ask(&Engine::new(after), text(question, "call"), &question["args"])
}

fn replay(engine: &Engine, args: &Value) -> Result<Value, Error> {
    let log = args["log"].as_array().unwrap().iter().map(|logged| {
        only_keys(logged, &["tenant", "category", "from", "to", "inputs", "texts", "roles"], "log");
        let optional = |key: &str| logged.get(key).map(|value| value.as_str().unwrap().to_owned());
        let members = |key: &str| logged[key].as_object().cloned().unwrap_or_default();
        let json = members("inputs").into_iter().map(|(name, value)| (name, LoggedInput::Json(value)));
        let texts = members("texts").into_iter();
        let texts = texts.map(|(name, value)| (name, LoggedInput::Text(value.as_str().unwrap().to_owned())));
        let roles = logged["roles"].as_array().cloned().unwrap_or_default();
        LoggedMove {
            tenant: text(logged, "tenant").to_owned(),
            category: optional("category"),
            from: text(logged, "from").to_owned(),
            to: text(logged, "to").to_owned(),
            inputs: json.chain(texts).collect::<BTreeMap<_, _>>(),
            roles: roles.iter().map(|role| role.as_str().unwrap().to_owned()).collect(),
        }
    });
    let mut answer = json_of(engine.pin().replay(text(args, "workflow"), number(args, "version"), log)?);
    for refused in answer["refused"].as_array_mut().unwrap() {
        *refused = plain(refused.take(), &[("category", Value::Null)]);
        plain_blockers(refused);
    }
    Ok(answer)
}
