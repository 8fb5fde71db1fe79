use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use serde_json::{Value, json};

use super::{Asked, Asks, Result, asked};
use crate::world::{LIMIT, PLANS_OF_ALL, QUESTIONS_OF_ALL, Question, TENANTS_OF_ALL, switches};

/// One policy, because all that a set has are evaluated. A tenant is a member of its plan and of switches, a plan is one of
/// switches: who is a member of what is worked out when entities are loaded.
const SWITCHES: &str = r#"
permit(principal, action == Action::"use", resource)
when { principal in resource };
"#;

const LIMITS: &str = r#"
permit(principal, action == Action::"add", resource)
when { context.used + context.requested <= principal.plan.max_users };
"#;

pub(super) fn load() -> Result<Asks> {
    let entity = |kind: &str, id: &str| json!({ "__entity": { "type": kind, "id": id } });
    let switched = |keys: &[&str]| keys.iter().map(|key| entity("Feature", key)).collect::<Vec<_>>();
    let plans = PLANS_OF_ALL.iter().map(|plan| {
        let attributes = json!({ "max_users": plan.max_users });
        json!({ "uid": entity("Plan", &plan.id), "attrs": attributes, "parents": switched(&plan.grants) })
    });
    let features = switches().map(|key| json!({ "uid": entity("Feature", key), "attrs": {}, "parents": [] }));
    let tenants = TENANTS_OF_ALL.iter().map(|tenant| {
        let plan = entity("Plan", &tenant.plan.id);
        let attributes = json!({ "plan": plan });
        let parents = [vec![plan], switched(&tenant.grants)].concat();
        json!({ "uid": entity("Tenant", &tenant.id), "attrs": attributes, "parents": parents })
    });
    let all: Vec<Value> = plans.chain(features).chain(tenants).collect();
    let asks = [
        (Asked::Tenant, SWITCHES, about_switch as fn(&Question) -> Result<Request>),
        (Asked::Limit, LIMITS, about_limit),
    ];
    asks.into_iter()
        .map(|(what, policies, request)| {
            let authorizer = Authorizer::new();
            let policies = PolicySet::from_str(policies)?;
            let entities = Entities::from_json_value(Value::Array(all.clone()), None)?;
            let requests = QUESTIONS_OF_ALL.iter().map(request).collect::<Result<Vec<_>>>()?;
            Ok(asked(what, move |n| {
                let response = authorizer.is_authorized(&requests[n], &policies, &entities);
                // An error makes a policy one that does not apply.
                let failed = response.diagnostics().errors().next().is_some();
                (!failed).then_some(response.decision() == Decision::Allow)
            }))
        })
        .collect()
}

fn about_switch(question: &Question) -> Result<Request> {
    let resource = uid("Feature", question.key)?;
    let action = uid("Action", "use")?;
    Ok(Request::new(uid("Tenant", &question.tenant.id)?, action, resource, Context::empty(), None)?)
}

fn about_limit(question: &Question) -> Result<Request> {
    let number = |name: &str, value| (name.to_owned(), RestrictedExpression::new_long(value));
    let context = Context::from_pairs([number("used", question.used), number("requested", 1)])?;
    let principal = uid("Tenant", &question.tenant.id)?;
    Ok(Request::new(principal, uid("Action", "add")?, uid("Limit", LIMIT)?, context, None)?)
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind)?, EntityId::new(id)))
}
