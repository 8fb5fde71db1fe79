use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};

use super::{Asked, Asks, Result, asked};
use crate::world::{PLANS_OF_ALL, QUESTIONS_OF_ALL, TENANTS_OF_ALL, plans_with, requests, switches};

/// A program for each switch; a context for each tenant, with its plan and what it was granted.
pub(super) fn load() -> Result<Asks> {
    let env = Arc::new(Env::stdlib());
    let programs: HashMap<&str, Arc<Program>> = switches()
        .map(|key| {
            let plans: Vec<_> = plans_with(key).map(|plan| format!("plan == {plan:?}")).collect();
            let text = format!("{} || {key:?} in grants", plans.join(" || "));
            Ok((key, Arc::new(env.compile(&text)?)))
        })
        .collect::<Result<_>>()?;
    let programs: Vec<_> = QUESTIONS_OF_ALL.iter().map(|question| programs[question.key].clone()).collect();
    let contexts: Vec<_> = TENANTS_OF_ALL
        .iter()
        .map(|tenant| {
            let mut context = Context::with_env(env.clone());
            context.add_variable_from_value("plan", tenant.plan.id.as_str());
            context.add_variable_from_value("grants", tenant.grants.clone());
            context
        })
        .collect();

    let limit = env.compile("used + requested <= max_users[plan]")?;
    let limits: HashMap<&str, i64> = PLANS_OF_ALL.iter().map(|plan| (plan.id.as_str(), plan.max_users)).collect();
    let asking: Vec<_> = requests()
        .map(|(plan, used)| {
            let mut context = Context::with_env(env.clone());
            context.add_variable_from_value("plan", plan.id.as_str());
            context.add_variable_from_value("max_users", limits.clone());
            context.add_variable_from_value("used", used);
            context.add_variable_from_value("requested", 1_i64);
            context
        })
        .collect();
    Ok(vec![
        asked(Asked::Expression, move |n| truth(&programs[n], &contexts[QUESTIONS_OF_ALL[n].at])),
        asked(Asked::LimitExpression, move |n| truth(&limit, &asking[QUESTIONS_OF_ALL[n].request()])),
    ])
}

fn truth(program: &Program, context: &Context<'_, '_>) -> Option<bool> {
    match program.execute(context) {
        Ok(Value::Bool(truth)) => Some(truth),
        _ => None,
    }
}
