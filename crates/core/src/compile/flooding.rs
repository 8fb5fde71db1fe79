//! Whoever chooses ids and keys tries to make look-ups slow. Places that a look-up looks at are counted, not time.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::index::{LONGEST_PROBE, Seed, high, longest_probe, low, reduce};
use super::{Check, Compiler, Features, Rules};
use crate::generate::{FleetSpec, fleet};
use crate::model::{Definitions, Tenant};
use crate::{FeatureKey, Hash, Revision, Stamp, TenantId};
use std::collections::BTreeMap;

/// How many ids or keys the attacker brings.
const FLOOD: usize = 300;

fn small_fleet(tenants: usize) -> Definitions {
    fleet(&FleetSpec { tenants, features: 10, ..FleetSpec::default() })
}

fn stamp() -> Stamp {
    Stamp { revision: Revision::default(), issued_at: FleetSpec::reference_instant(), expires_at: None }
}

/// So many names for which something holds of their hash.
fn names(what: &str, count: usize, hash: impl Fn(&str) -> u64, holds: impl Fn(u64) -> bool) -> Vec<String> {
    (0..).map(|n| format!("{what}-{n}")).filter(|name| holds(hash(name))).take(count).collect()
}

/// All tenants would begin at one place of one bucket, and all features at one place, if the hash were not keyed or its key
/// were always the same.
#[test]
fn hash_flooding_of_a_known_hash() {
    let fixed = Seed::new(0);
    let buckets = FLOOD / 32;
    let at_one_place = |hash: u64| reduce(high(hash), buckets) == 0 && low(hash) < u32::MAX / 600;
    let ids = names("flood", FLOOD, |name| fixed.hash(name), at_one_place);
    let mut keys: Vec<u64> = ids.iter().map(|id| u64::from(low(fixed.hash(id)))).collect();
    keys.sort_unstable();
    assert_eq!(longest_probe(keys.into_iter()), FLOOD, "the last of them would be found after all the others");

    let mut definitions = small_fleet(FLOOD);
    let tenants: Vec<Tenant> = std::mem::take(&mut definitions.tenants).into_values().collect();
    definitions.tenants = ids.iter().map(|id| id.parse().unwrap()).zip(tenants).collect();
    let mut building = Compiler::begin(&definitions, Hash::default());
    definitions.tenants.iter().for_each(|(id, tenant)| building.add(id, tenant));
    let (_, snapshot) = building.finish(stamp()).unwrap();
    assert!(ids.iter().all(|id| snapshot.tenant(id).is_ok()));
    let longest = snapshot.tenants.longest_probe();
    assert!(longest <= LONGEST_PROBE, "{longest} places for a tenant");

    let feature = definitions.features.values().find(|feature| feature.requires.is_empty()).unwrap();
    let keys = names("flood", FLOOD, |key| fixed.hash(key), at_one_place);
    let features: BTreeMap<FeatureKey, _> = keys.iter().map(|key| (key.parse().unwrap(), feature.clone())).collect();
    let definitions = Definitions { features, ..Definitions::default() };
    let features = Features::build(&Rules::lower(&definitions, &mut Check::default()).features);
    assert!(keys.iter().all(|key| features.find(key).is_some()));
    let longest = features.longest_probe();
    assert!(longest <= LONGEST_PROBE, "{longest} places for a feature");
}

/// The attacker knows all ids and the key of the hash as it is after every publication, and signs up under an id that
/// collides with those before: the key changes before a look-up has become long.
#[test]
fn hash_flooding_with_everything_known() {
    let mut definitions = small_fleet(100);
    let tenant = definitions.tenants.values().next().unwrap().clone();
    let mut building = Compiler::begin(&definitions, Hash::default());
    std::mem::take(&mut definitions.tenants).iter().for_each(|(id, tenant)| building.add(id, tenant));
    let (mut compiler, mut snapshot) = building.finish(stamp()).unwrap();
    let (mut keys, mut longest) = (1, 0);
    let mut ids: Vec<TenantId> = Vec::new();
    while ids.len() < FLOOD {
        let before = snapshot.tenants.hash("");
        // At the first place of the first bucket, wherever that is by now.
        let at_first = |hash: u64| high(hash) < u32::MAX / 16 && low(hash) < u32::MAX / 200;
        let id = names(&format!("flood-{}", ids.len()), 1, |name| snapshot.tenants.hash(name), at_first);
        let id: TenantId = id.first().unwrap().parse().unwrap();
        ids.push(id.clone());
        snapshot = compiler.apply([(id, Some(tenant.clone()))], stamp()).unwrap();
        longest = longest.max(snapshot.tenants.longest_probe());
        keys += usize::from(snapshot.tenants.hash("") != before);
    }
    assert!(longest <= 2 * LONGEST_PROBE, "{longest} places for a tenant");
    assert!(keys > 5, "the attacker had to begin anew: {keys} keys");
    assert!(ids.iter().all(|id| snapshot.tenant(id.as_str()).is_ok()));
}

/// A name that nobody has, and whose hash is that of one that somebody has, is not found.
#[test]
fn equal_hashes_are_not_equal_keys() {
    let definitions = small_fleet(0);
    let feature = definitions.features.values().find(|feature| feature.requires.is_empty()).unwrap();
    let keys = (0..5_000).map(|n| (format!("key_{n}").parse().unwrap(), feature.clone()));
    let definitions = Definitions { features: keys.collect(), ..Definitions::default() };
    let features = Features::build(&Rules::lower(&definitions, &mut Check::default()).features);
    let hashes: std::collections::HashSet<u32> =
        definitions.features.keys().map(|key| low(features.hash(key.as_str()))).collect();
    let alike = names("other", 3, |name| features.hash(name), |hash| hashes.contains(&low(hash)));
    assert!(definitions.features.keys().all(|key| features.find(key.as_str()).is_some()));
    assert!(alike.iter().all(|name| features.find(name).is_none()));
}
