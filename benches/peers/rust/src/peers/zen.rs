use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use zen_engine::DecisionEngine;
use zen_engine::loader::LoaderConfig;
use zen_expression::expression::Standard;
use zen_expression::vm::VM;
use zen_expression::{Expression, Scope, Variable, compile_expression};

use super::{Asked, Asks, Result, asked, at_once};
use crate::world::{
    LIMIT, PLANS_OF_ALL, Plan, QUESTIONS_OF_ALL, TENANTS_OF_ALL, Tenant, plans_with, requests, switches,
};

/// A decision for each switch and one for the limit, by key, from a static loader; and the expressions alone.
pub(super) fn load() -> Result<Asks> {
    let rules: HashMap<&str, String> = switches().map(|key| (key, granted(key))).chain([(LIMIT, within())]).collect();
    let expressions = rules
        .iter()
        .map(|(key, rule)| Ok((*key, Arc::new(compile_expression(rule)?))))
        .collect::<Result<HashMap<&str, Arc<Expression<Standard>>>>>()?;
    let of_switches: Vec<_> = QUESTIONS_OF_ALL.iter().map(|question| expressions[question.key].clone()).collect();
    let of_limit = expressions[LIMIT].clone();
    let limits: Map<_, _> = PLANS_OF_ALL.iter().map(|plan| (plan.id.clone(), json!(plan.max_users))).collect();
    let tenants = || -> Vec<Variable> {
        let record = |tenant: &Tenant| json!({ "plan": tenant.plan.id, "grants": tenant.grants });
        TENANTS_OF_ALL.iter().map(|tenant| record(tenant).into()).collect()
    };
    let amounts = || -> Vec<Variable> {
        let amount =
            |(plan, used): (&Plan, i64)| json!({ "plan": plan.id, "limits": limits, "used": used, "requested": 1 });
        requests().map(|request| amount(request).into()).collect()
    };
    Ok(vec![
        asked(Asked::Tenant, {
            let (engine, tenants) = (engine(&rules)?, tenants());
            move |n| {
                let question = &QUESTIONS_OF_ALL[n];
                decided(&engine, question.key, tenants[question.at].clone())
            }
        }),
        asked(Asked::Expression, {
            let scopes: Vec<_> = tenants().into_iter().map(Scope::new).collect();
            let mut vm = VM::new();
            move |n| of_switches[n].evaluate_with_scope(&scopes[QUESTIONS_OF_ALL[n].at], &mut vm).ok()?.as_bool()
        }),
        asked(Asked::Limit, {
            let (engine, amounts) = (engine(&rules)?, amounts());
            move |n| decided(&engine, LIMIT, amounts[QUESTIONS_OF_ALL[n].request()].clone())
        }),
        asked(Asked::LimitExpression, {
            let scopes: Vec<_> = amounts().into_iter().map(Scope::new).collect();
            let mut vm = VM::new();
            move |n| of_limit.evaluate_with_scope(&scopes[QUESTIONS_OF_ALL[n].request()], &mut vm).ok()?.as_bool()
        }),
    ])
}

fn granted(key: &str) -> String {
    let plans: Vec<_> = plans_with(key).collect();
    format!("plan in {plans:?} or {key:?} in grants")
}

fn within() -> String {
    "used + requested <= limits[plan]".to_owned()
}

fn engine(rules: &HashMap<&str, String>) -> Result<DecisionEngine> {
    let content = rules.iter().map(|(key, rule)| Ok(((*key).to_owned(), serde_json::from_value(decision(rule))?)));
    let loader = LoaderConfig::Static { content: content.collect::<Result<_>>()? }.into_loader()?;
    let engine = DecisionEngine::default().with_loader(loader);
    let failures = engine.compile();
    if failures.is_empty() { Ok(engine) } else { Err(format!("{failures:?}").into()) }
}

fn decision(rule: &str) -> Value {
    let node = |id: &str, kind: &str| json!({ "id": id, "type": kind, "name": id, "position": { "x": 0, "y": 0 } });
    let mut rule_node = node("rule", "expressionNode");
    rule_node["content"] = json!({ "expressions": [{ "id": "answer", "key": "answer", "value": rule }] });
    let edge = |id: &str, from: &str, to: &str| json!({ "id": id, "type": "edge", "sourceId": from, "targetId": to });
    json!({
        "nodes": [node("request", "inputNode"), rule_node, node("response", "outputNode")],
        "edges": [edge("in", "request", "rule"), edge("out", "rule", "response")],
    })
}

fn decided(engine: &DecisionEngine, key: &str, context: Variable) -> Option<bool> {
    at_once(engine.evaluate(key, context))?.ok()?.result.dot("answer")?.as_bool()
}
