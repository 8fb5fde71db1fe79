use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};
use serde_json::{Map, json};

use super::{Asked, Asks, Result, asked};
use crate::world::{PLANS_OF_ALL, QUESTIONS_OF_ALL, Question, TENANTS_OF_ALL};

/// Rules over data; what plans and tenants have are objects, which are looked up by key.
const POLICY: &str = "
package entitlements

default granted := false

granted if data.plans[data.tenants[input.tenant].plan].grants[input.feature]

granted if data.tenants[input.tenant].grants[input.feature]

default within := false

within if input.used + input.requested <= data.plans[data.tenants[input.tenant].plan].max_users
";

pub(super) fn load() -> Result<Asks> {
    let set = |keys: &[&'static str]| keys.iter().map(|key| ((*key).to_owned(), json!(true))).collect::<Map<_, _>>();
    let plans = PLANS_OF_ALL
        .iter()
        .map(|plan| (plan.id.clone(), json!({ "grants": set(&plan.grants), "max_users": plan.max_users })));
    let tenants = TENANTS_OF_ALL
        .iter()
        .map(|tenant| (tenant.id.clone(), json!({ "plan": tenant.plan.id, "grants": set(&tenant.grants) })));
    let data = json!({ "plans": plans.collect::<Map<_, _>>(), "tenants": tenants.collect::<Map<_, _>>() });
    let data = Value::from_json_str(&data.to_string())?;
    Ok(vec![
        asked(Asked::Tenant, {
            let mut machine = machine("data.entitlements.granted", data.clone())?;
            let inputs = inputs(|question| json!({ "tenant": question.tenant.id, "feature": question.key }))?;
            move |n| answer(&mut machine, inputs[n].clone())
        }),
        asked(Asked::Limit, {
            let mut machine = machine("data.entitlements.within", data)?;
            let inputs =
                inputs(|question| json!({ "tenant": question.tenant.id, "used": question.used, "requested": 1 }))?;
            move |n| answer(&mut machine, inputs[n].clone())
        }),
    ])
}

/// The rule as a program of its virtual machine: sooner than its interpreter.
fn machine(rule: &str, data: Value) -> Result<RegoVM> {
    let mut engine = Engine::new();
    engine.add_policy("entitlements.rego".to_owned(), POLICY.to_owned())?;
    let compiled = engine.compile_with_entrypoint(&rule.into())?;
    let mut machine = RegoVM::new();
    machine.load_program(Compiler::compile_from_policy(&compiled, &[rule])?);
    machine.set_data(data)?;
    Ok(machine)
}

fn inputs(input: impl Fn(&Question) -> serde_json::Value) -> Result<Vec<Value>> {
    QUESTIONS_OF_ALL.iter().map(|question| Ok(Value::from_json_str(&input(question).to_string())?)).collect()
}

fn answer(machine: &mut RegoVM, input: Value) -> Option<bool> {
    machine.set_input(input);
    machine.execute().ok()?.as_bool().ok().copied()
}
