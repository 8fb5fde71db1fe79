//! The suite `oracle`: random machines with what the engine says of them, compared by a script that knows nothing of the
//! engine. The script lays the layers over each other itself, builds each machine with the Python package `transitions`,
//! and plays the same events; `tests/oracle/README.md` says more.
//!
//! Worlds come from seeds. `LEASEHOLD_SEED=17 cargo xtask test --only oracle` compares one world.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::Command;

use leasehold::generate::{Choices, FleetSpec, MachineName, WorkflowWorld, workflow_world};
use leasehold::workflow::{Machine, TransitionState};
use leasehold::{Revision, Snapshot, Stamp};
use serde_json::{Value, json};

use crate::suites::Outcome;
use crate::venv::Environment;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

/// What the script runs in.
pub(crate) const ENVIRONMENT: Environment =
    Environment { folder: "oracle/python", requirements: "tests/oracle/requirements.txt" };

/// How many machines are exported, at least. Some are the same.
const MACHINES: usize = 4_000;
/// How many of them differ, at least.
const DIFFERENT: usize = 2_500;
/// Walks through each machine, and moves that each tries.
const WALKS: usize = 2;
const STEPS: usize = 8;

/// Exports machines and has them compared.
pub(crate) fn run() -> Result<Outcome> {
    let folder = folder()?;
    fs::create_dir_all(&folder)?;
    let path = folder.join("worlds.jsonl");
    let mut file = BufWriter::new(File::create(&path)?);
    let only = std::env::var("LEASEHOLD_SEED").ok().map(|seed| seed.parse::<u64>()).transpose()?;
    let mut machines = 0;
    for seed in only.map_or(0..u64::MAX, |seed| seed..seed.saturating_add(1)) {
        if machines >= MACHINES {
            break;
        }
        let world = export(seed)?;
        machines += world["machines"].as_array().map_or(0, Vec::len);
        writeln!(file, "{world}")?;
    }
    file.into_inner()?.sync_all()?;
    let mut compare = Command::new(ENVIRONMENT.program("python")?);
    compare.arg("tests/oracle/compare.py").arg(&path);
    compare.current_dir(workspace::root()).env("PYTHONDONTWRITEBYTECODE", "1");
    if only.is_none() {
        compare.args(["--different", &DIFFERENT.to_string()]);
    }
    process::run(&mut compare)?;
    Ok(Outcome::Passed)
}

fn folder() -> Result<PathBuf> {
    Ok(Metadata::read()?.target_directory()?.join("oracle"))
}

/// A world as it is authored, and what the engine says of each of its machines.
fn export(seed: u64) -> Result<Value> {
    let mut choices = Choices::from_seed(seed);
    let world = workflow_world(&mut choices);
    let stamp = Stamp { revision: Revision::default(), issued_at: FleetSpec::reference_instant(), expires_at: None };
    let snapshot = Snapshot::compile(&world.definitions, stamp)
        .map_err(|refused| format!("the world of seed {seed} does not compile: {refused}"))?;
    let mut machines = Vec::new();
    for name in world.machines() {
        machines.extend(export_machine(&world, &snapshot, &name, &mut choices)?);
    }
    Ok(json!({
        "seed": seed,
        "definitions": world.definitions,
        "expressions": world.expressions,
        "machines": machines,
    }))
}

fn export_machine(
    world: &WorkflowWorld,
    snapshot: &Snapshot,
    name: &MachineName,
    choices: &mut Choices<'_>,
) -> Result<Option<Value>> {
    let category = name.category.as_ref().map(|category| category.as_str());
    let mut exported = json!({ "tenant": name.tenant, "workflow": name.workflow, "category": category });
    let machine = match snapshot.tenant(name.tenant.as_str())?.machine(name.workflow.as_str(), category) {
        Ok(machine) => machine,
        Err(refused) => {
            exported["refused"] = json!(refused.code());
            return Ok(Some(exported));
        }
    };
    // Where nothing differs for the category, the machine is the one without it: now and then is often enough.
    if category.is_some() && machine.category().is_none() && !choices.percent(5) {
        return Ok(None);
    }
    exported["version"] = json!(machine.version());
    exported["stages"] = machine.stages().map(|it| json!([it.stage, it.initial, it.r#final, it.layer])).collect();
    let stages: Vec<String> = machine.stages().map(|stage| stage.stage.to_string()).collect();
    let initial = machine.stages().find(|stage| stage.initial).map(|stage| stage.stage.to_string());
    let initial = initial.ok_or("a machine has no initial stage")?;
    let all = machine.transitions(&initial, &Default::default())?;
    let transitions = all.iter().map(|it| json!([it.transition, it.event, it.from, it.to, it.role, it.layer]));
    exported["transitions"] = transitions.collect();
    let mut walks = Vec::new();
    for number in 0..WALKS {
        let start = if number == 0 { initial.clone() } else { choices.pick(&stages).cloned().unwrap_or_default() };
        walks.push(walk(world, &machine, start, choices)?);
    }
    exported["walks"] = walks.into();
    Ok(Some(exported))
}

/// Random events in random contexts, with everything that the engine answers on the way.
fn walk(world: &WorkflowWorld, machine: &Machine, start: String, choices: &mut Choices<'_>) -> Result<Value> {
    let mut here = start.clone();
    let mut steps = Vec::new();
    for _ in 0..STEPS {
        let given = world.given(choices);
        let step = given.ask(|context| -> Result<(Value, Option<String>)> {
            let answers = machine.transitions(&here, context)?;
            let states: String = answers
                .iter()
                .map(|answer| match answer.state {
                    TransitionState::Enabled => 'e',
                    TransitionState::Blocked => 'b',
                    TransitionState::NotFromHere => 'n',
                })
                .collect();
            let blockers = answers.iter().flat_map(|answer| &answer.blockers);
            let blockers: Vec<Value> =
                blockers.map(|it| json!([it.transition, it.binding, it.code, it.layer])).collect();

            let leaving = answers.iter().filter(|answer| answer.state != TransitionState::NotFromHere);
            let mut targets: BTreeSet<&str> = leaving.map(|answer| answer.to.as_str()).collect();
            let others: Vec<&str> = machine.stages().map(|stage| stage.stage.as_str()).chain(["nowhere"]).collect();
            targets.extend(choices.pick(&others));
            let checks: Vec<Value> = targets
                .into_iter()
                .map(|to| match machine.check(&here, to, context) {
                    Ok(allowed) => json!([to, "allowed", allowed.transition]),
                    Err(error) => json!([to, error.code(), null]),
                })
                .collect();

            let enabled: Vec<_> = answers.iter().filter(|it| it.state == TransitionState::Enabled).collect();
            let likely = choices.percent(80).then(|| choices.pick(&enabled)).flatten().map(|answer| answer.event);
            let any = choices.pick(&answers).map(|answer| answer.event.as_str()).unwrap_or("unheard_of");
            let event = likely.map_or(any, |event| event.as_str());
            // An event takes the first transition, in declared order, that is enabled.
            let taken = enabled.iter().find(|answer| answer.event.as_str() == event);
            let to = taken.map(|answer| answer.to.to_string());
            let step = json!({
                "inputs": given.inputs, "roles": given.roles, "states": states, "blockers": blockers,
                "checks": checks, "event": event, "to": to,
            });
            Ok((step, to))
        });
        let (mut step, to) = step?;
        here = to.unwrap_or(here);
        let is_final = machine.stages().any(|stage| stage.stage.as_str() == here && stage.r#final);
        step["final"] = json!(is_final);
        steps.push(step);
    }
    Ok(json!({ "start": start, "steps": steps }))
}
