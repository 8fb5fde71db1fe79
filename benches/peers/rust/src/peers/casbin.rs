use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};

use super::{Asked, Asks, Result, asked, at_once};
use crate::world::{PLANS_OF_ALL, QUESTIONS_OF_ALL, TENANTS_OF_ALL};

/// A role for each switch, which plans and tenants have. It evaluates the matcher for policy after policy until one allows,
/// so that what counts is how many there are: here one.
const MODEL: &str = "
[request_definition]
r = sub, obj, act

[policy_definition]
p = act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.act == p.act && g(r.sub, r.obj)
";

pub(super) fn load() -> Result<Asks> {
    let texts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let plans = PLANS_OF_ALL.iter().flat_map(|plan| plan.grants.iter().map(|key| [plan.id.as_str(), *key]));
    let tenants = TENANTS_OF_ALL.iter().flat_map(|tenant| {
        let roles = tenant.grants.iter().copied().chain([tenant.plan.id.as_str()]);
        roles.map(|role| [tenant.id.as_str(), role])
    });
    let roles = plans.chain(tenants).map(|pair| texts(&pair)).collect();
    let enforcer = enforcer(vec![texts(&["use"])], roles)?;
    Ok(vec![asked(Asked::Tenant, move |n| {
        let question = &QUESTIONS_OF_ALL[n];
        enforcer.enforce((question.tenant.id.as_str(), question.key, "use")).ok()
    })])
}

fn enforcer(policies: Vec<Vec<String>>, roles: Vec<Vec<String>>) -> Result<Enforcer> {
    at_once(async move {
        let mut enforcer = Enforcer::new(DefaultModel::from_str(MODEL).await?, MemoryAdapter::default()).await?;
        enforcer.add_policies(policies).await?;
        enforcer.add_grouping_policies(roles).await?;
        Ok(enforcer)
    })
    .ok_or("it waits for something")?
}
