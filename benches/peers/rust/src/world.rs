//! What everybody is asked about: 60 switches, 4 plans, 1,000 tenants.
//!
//! A tenant may use a switch when its plan grants it or when it was granted to the tenant alone. Its plan says how many
//! users it may have. All of it is derived from the numbers, so that every run asks the same. Plans and switches are those
//! of `benches/peers/node`; tenants are ten times as many.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

const SWITCHES: usize = 60;
const PLANS: usize = 4;
const TENANTS: usize = 1_000;
const GRANTS_OF_A_TENANT: usize = 2;
/// Questions in the order in which they are asked; a power of two, so that a mask walks around.
pub const QUESTIONS: usize = 4_096;

pub const LIMIT: &str = "max_users";
/// So many users a tenant has at most, one excluded: more than any plan allows.
const USERS: usize = 10 * (PLANS + 1);

#[derive(Debug)]
pub struct Plan {
    pub id: String,
    /// Its place among all.
    pub at: usize,
    /// The switches that it grants.
    pub grants: Vec<&'static str>,
    pub max_users: i64,
}

#[derive(Debug)]
pub struct Tenant {
    pub id: String,
    pub plan: &'static Plan,
    /// The switches that it was granted alone.
    pub grants: Vec<&'static str>,
}

/// Whether a tenant may use a switch; and whether it may have another user, when it has so many already.
#[derive(Debug)]
pub struct Question {
    /// The tenant's place among all.
    pub at: usize,
    pub tenant: &'static Tenant,
    pub key: &'static str,
    pub used: i64,
}

impl Question {
    /// The right answer about the switch.
    pub fn is_granted(&self) -> bool {
        self.tenant.plan.grants.contains(&self.key) || self.tenant.grants.contains(&self.key)
    }

    /// The right answer about the limit.
    pub fn is_within(&self) -> bool {
        self.used < self.tenant.plan.max_users
    }

    /// Where its request is among those of [`requests`].
    pub fn request(&self) -> usize {
        self.tenant.plan.at * USERS + self.used as usize
    }

    /// What a flag without rules answers: the same to everybody.
    pub fn is_statically_on(&self) -> bool {
        is_statically_on(self.key)
    }
}

pub fn is_statically_on(key: &str) -> bool {
    switches().position(|switch| switch == key).is_some_and(|at| at % 2 == 0)
}

static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| (0..SWITCHES).map(|at| format!("feature_{at:03}")).collect());

pub fn switches() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(String::as_str)
}

/// Each plan grants what the one below it does, and a quarter more; and ten users more.
pub static PLANS_OF_ALL: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let granted_by = |rank: usize| move |(at, key): (usize, &'static str)| (at % PLANS <= rank).then_some(key);
    (0..PLANS)
        .map(|rank| Plan {
            id: format!("plan_{rank}"),
            at: rank,
            grants: switches().enumerate().filter_map(granted_by(rank)).collect(),
            max_users: 10 * (rank as i64 + 1),
        })
        .collect()
});

pub static TENANTS_OF_ALL: LazyLock<Vec<Tenant>> = LazyLock::new(|| {
    let granted = |at: usize| (0..GRANTS_OF_A_TENANT).map(move |n| KEYS[(at * 7 + n * 31) % SWITCHES].as_str());
    (0..TENANTS)
        .map(|at| Tenant {
            id: format!("tenant_{at:04}"),
            plan: &PLANS_OF_ALL[at % PLANS],
            grants: granted(at).collect(),
        })
        .collect()
});

/// Tenants, switches and users in random order, from a fixed seed.
pub static QUESTIONS_OF_ALL: LazyLock<Vec<Question>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_u32;
    let mut below = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % bound
    };
    (0..QUESTIONS)
        .map(|_| {
            let at = below(TENANTS);
            let key = KEYS[below(SWITCHES)].as_str();
            Question { at, tenant: &TENANTS_OF_ALL[at], key, used: below(USERS) as i64 }
        })
        .collect()
});

/// Plans with numbers of users: all that a rule has to know of a question about the limit.
pub fn requests() -> impl Iterator<Item = (&'static Plan, i64)> {
    PLANS_OF_ALL.iter().flat_map(|plan| (0..USERS as i64).map(move |used| (plan, used)))
}

/// The ids of the plans that grant a switch.
pub fn plans_with(key: &str) -> impl Iterator<Item = &'static str> {
    PLANS_OF_ALL.iter().filter(move |plan| plan.grants.contains(&key)).map(|plan| plan.id.as_str())
}

/// The ids of the tenants that a switch was granted to alone.
pub fn tenants_with(key: &str) -> impl Iterator<Item = &'static str> {
    TENANTS_OF_ALL.iter().filter(move |tenant| tenant.grants.contains(&key)).map(|tenant| tenant.id.as_str())
}

const BEGIN: &str = "2024-01-01T00:00:00Z";

/// The same as definitions of Leasehold's.
pub fn definitions() -> Value {
    let mut features: Map<String, Value> = switches()
        .map(|key| (key.to_owned(), json!({ "kind": "switch", "name": key, "name2": key, "group": "module" })))
        .collect();
    features.insert(
        LIMIT.to_owned(),
        json!({ "kind": "limit", "unit": "user", "name": "Users", "name2": "Users", "group": "limits" }),
    );
    json!({
        "features": features,
        "plans": PLANS_OF_ALL.iter().enumerate().map(|(rank, plan)| (plan.id.clone(), plan_definition(rank, plan))).collect::<Map<_, _>>(),
        "tenants": TENANTS_OF_ALL.iter().map(|tenant| (tenant.id.clone(), tenant_definition(tenant))).collect::<Map<_, _>>(),
    })
}

fn plan_definition(rank: usize, plan: &Plan) -> Value {
    let granted = plan.grants.iter().map(|key| json!({ "feature": key, "op": "set", "value": true }));
    let limit = json!({ "feature": LIMIT, "op": "set", "value": { "amount": plan.max_users } });
    json!({
        "name": plan.id,
        "name2": plan.id,
        "rank": rank,
        "price": { "amount": "10.000", "currency": "OMR", "period": "month" },
        "versions": {
            "1": {
                "effective_from": BEGIN,
                "moves": "now",
                "contributions": granted.chain([limit]).collect::<Vec<_>>(),
            },
        },
    })
}

fn tenant_definition(tenant: &Tenant) -> Value {
    let granted = |feature: &&'static str| {
        let granted = json!({ "feature": feature, "op": "set", "value": true, "reason": "granted", "actor": "sales" });
        ((*feature).to_owned(), granted)
    };
    json!({
        "name": tenant.id,
        "name2": tenant.id,
        "region": "GCC-OM",
        "anchor": BEGIN,
        "utc_offset_minutes": 240,
        "phases": { "paid": { "kind": "paid", "plan": tenant.plan.id, "from": BEGIN } },
        "overrides": tenant.grants.iter().map(granted).collect::<Map<_, _>>(),
    })
}
