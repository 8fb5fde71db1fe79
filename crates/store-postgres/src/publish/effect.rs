//! What other definitions would do to the fleet, and whether that is what was approved.

use super::reading::{About, authored, changes};
use super::{Archive, Proposal, contents};
use crate::Error;
use crate::hq::now;
use leasehold::build::{Checker, changed_versions, definitions_hash};
use leasehold::model::{Definitions, Diagnostic, Diagnostics, Moves, PricePeriod, Tenant};
use leasehold::wire::SignedHead;
use leasehold::{FleetDiff, Hash, RecordId, Revision, Snapshot, Stamp, TenantId, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// At how many instants a proposal is compared: now, and when something in it begins or ends.
const MOST_INSTANTS: usize = 64;

/// How many warnings are kept with a proposal.
const MOST_WARNINGS: usize = 1_000;

/// What other definitions do to the fleet, in few words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetEffect {
    /// What tenants gain, lose and have moved: the fleet diff, at each instant at which something begins or ends.
    pub diff: Value,
    /// How many tenants it concerns, at the instant at which they are most.
    pub affected: i64,
    /// How many later instants, at which something begins or ends, were not looked at.
    pub unseen: i64,
    /// Kill switches in force that are no longer, or are others.
    pub lifts: Vec<RecordId>,
    /// Hash of the diff, as the audit log has it.
    pub hash: Hash,
}

/// What definitions would do to the fleet.
pub(super) struct Effect {
    /// Hash of the definitions in force, kill switches aside; none before the first.
    pub(super) base: Option<Hash>,
    pub(super) diffs: Vec<FleetDiff>,
    /// Later instants that were not looked at.
    pub(super) unseen: usize,
    /// Kill switches in force that it lifts or changes.
    pub(super) lifts: Vec<RecordId>,
    /// How many tenants it concerns, at the instant at which they are most.
    pub(super) affected: i64,
    /// The fleet as it is.
    before: Snapshot,
    /// The fleet with the definitions.
    pub(super) after: Snapshot,
}

impl Effect {
    /// The fleet diffs, without the lists of every tenant that is new.
    pub(super) fn diff(&self) -> Value {
        json!(self.diffs.iter().map(summary).collect::<Vec<_>>())
    }

    pub(super) fn in_few_words(&self) -> FleetEffect {
        let diff = self.diff();
        let hash = Hash::of(diff.to_string().as_bytes());
        let unseen = i64::try_from(self.unseen).unwrap_or(i64::MAX);
        FleetEffect { diff, affected: self.affected, unseen, lifts: self.lifts.clone(), hash }
    }

    /// What is most likely not meant in the fleet with the definitions, and is not there without them: first what is about
    /// definitions, then what is about tenants, so many at the most.
    pub(super) fn warnings(&self) -> Vec<Diagnostic> {
        let before: HashSet<String> = self.before.warnings().iter().map(|it| json!(it).to_string()).collect();
        let mut new = self.after.warnings();
        new.retain(|it| !before.contains(&json!(it).to_string()));
        new.sort_by_key(|it| it.path.starts_with("/tenants/"));
        new.truncate(MOST_WARNINGS);
        new
    }

    /// What an approval binds to.
    pub(super) fn binding(&self, next: &Definitions) -> Result<Hash, Error> {
        let features: Vec<&_> = self.diffs.iter().map(|diff| &diff.features).collect();
        let bound = json!({
            "base": self.base, "proposed": without_kills(next)?, "lifts": self.lifts, "features": features,
        });
        Ok(Hash::of(bound.to_string().as_bytes()))
    }

    /// Why it is not what was looked at; nothing where it is, but for tenants that came and went, and for those that time moved:
    /// 1 % more of them at the most, in all and in every count.
    pub(super) fn differs_from(&self, proposal: &Proposal) -> Option<&'static str> {
        let grew = |is: u64, was: u64| is.saturating_mul(100) > was.saturating_mul(101);
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        if self.lifts != proposal.lifts {
            return Some("other kill switches would be lifted by now");
        }
        if grew(count(self.affected), count(proposal.affected)) {
            return Some("it concerns more than 1 % more tenants than were looked at");
        }
        let (counts, looked_at) = (proposal.counts(), proposal.instants());
        let more =
            self.diffs.iter().flat_map(|diff| diff.features.iter().map(move |of| (diff.at, of))).any(|(at, of)| {
                let was = around(&looked_at, at).into_iter().flatten().fold([0; 3], |most: [u64; 3], then| {
                    let key = (then, of.plan.as_ref().map(ToString::to_string), of.feature.to_string());
                    let was = counts.get(&key).copied().unwrap_or_default();
                    std::array::from_fn(|which| {
                        let count = |of: [u64; 3]| of.get(which).copied().unwrap_or_default();
                        count(most).max(count(was))
                    })
                });
                [of.gained, of.lost, of.moved].into_iter().zip(was).any(|(is, was)| grew(is as u64, was))
            });
        more.then_some("tenants would gain, lose or have moved something else by now")
    }
}

/// The instants that were looked at around another one: the last one until then, and the next. Between the two, renewals move
/// tenants one by one.
fn around(looked_at: &[Timestamp], at: Timestamp) -> [Option<Timestamp>; 2] {
    if looked_at.contains(&at) {
        return [Some(at), None];
    }
    let before = looked_at.iter().copied().filter(|then| *then <= at).max();
    [before, looked_at.iter().copied().filter(|then| *then > at).min()]
}

/// How many tenants gain, lose and have moved a feature, by instant, plan and feature.
type Counts = BTreeMap<(Timestamp, Option<String>, String), [u64; 3]>;

impl Proposal {
    fn diffs(&self) -> impl Iterator<Item = (Timestamp, &Value)> {
        let diffs = self.diff.as_array().into_iter().flatten();
        diffs.filter_map(|diff| Some((diff["at"].as_str()?.parse().ok()?, diff)))
    }

    /// The instants that were looked at.
    pub(super) fn instants(&self) -> Vec<Timestamp> {
        self.diffs().map(|(at, _)| at).collect()
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (at, diff) in self.diffs() {
            for of in diff["features"].as_array().into_iter().flatten() {
                let number = |name: &str| of[name].as_u64().unwrap_or_default();
                let plan = of["plan"].as_str().map(str::to_owned);
                let feature = of["feature"].as_str().unwrap_or_default().to_owned();
                counts.insert((at, plan, feature), [number("gained"), number("lost"), number("moved")]);
            }
        }
        counts
    }
}

impl Archive {
    /// Hash of the definitions in force, kill switches aside; none before the first.
    pub(super) async fn base(&self, connection: &mut PgConnection) -> Result<Option<Hash>, Error> {
        let Some(reference) = super::in_force_reference(connection).await? else { return Ok(None) };
        let in_force = self.hq.in_force_at(connection, reference).await?;
        without_kills(&in_force.definitions).map(Some)
    }

    /// What definitions would do to the fleet: at some instants, or now and whenever something begins or ends.
    ///
    /// Tenants that were kept back are in it where they are right by the definitions.
    pub(super) async fn effect(
        &self,
        connection: &mut PgConnection,
        next: &Definitions,
        looked_at: Option<Vec<Timestamp>>,
    ) -> Result<Effect, Error> {
        let in_force = match super::in_force_reference(connection).await? {
            None => None,
            Some(reference) => Some(self.hq.in_force_at(connection, reference).await?),
        };
        let base = in_force.as_ref().map(|in_force| &in_force.definitions);
        if let Some(base) = base {
            Diagnostics::refuse_if_any(changed_versions(base, next))?;
        }
        let (before, after) = self.fleet(connection, next).await?;
        let (before, after) = (Snapshot::compile(&before, stamp())?, Snapshot::compile(&after, stamp())?);
        let (instants, unseen) = looked_at.map_or_else(|| instants(&[base, Some(next)]), |instants| (instants, 0));
        let diffs: Vec<FleetDiff> = instants.into_iter().map(|at| after.diff(&before, at)).collect();
        let lifts = base.iter().flat_map(|base| &base.kills);
        let lifts = lifts.filter(|(id, kill)| next.kills.get(*id) != Some(kill)).map(|(id, _)| id.clone()).collect();
        let affected = diffs.iter().map(|diff| diff.changed + diff.added.len()).max().unwrap_or_default();
        Ok(Effect {
            base: base.map(without_kills).transpose()?,
            diffs,
            unseen,
            lifts,
            affected: i64::try_from(affected).unwrap_or(i64::MAX),
            before,
            after,
        })
    }

    /// The fleet as it is, and as it would be with other definitions: tenants as they were published, and those that were
    /// kept back and are right then. Before anything was published, tenants as they are authored, and none before.
    pub(super) async fn fleet(
        &self,
        connection: &mut PgConnection,
        next: &Definitions,
    ) -> Result<(Definitions, Definitions), Error> {
        let heads: Vec<SignedHead> = self.heads(connection).await?.into_values().collect();
        let before = contents::fleet(connection, &heads).await?;
        let mut tenants = before.tenants.clone();
        if heads.is_empty() {
            let ids: Vec<String> = sqlx::query_scalar("SELECT leasehold.hq_tenant_ids('', 1000000000)")
                .fetch_all(&mut *connection)
                .await?;
            let read = crate::hq::read_tenants(connection, &ids).await?;
            tenants = read.into_iter().map(|(id, _, tenant)| Ok((id, tenant?))).collect::<Result<_, Error>>()?;
        } else {
            tenants.extend(kept_back(connection, next).await?);
        }
        Ok((before, Definitions { tenants, ..next.clone() }))
    }
}

/// Tenants that were kept back, as they are authored, where they are right by these definitions.
async fn kept_back(
    connection: &mut PgConnection,
    definitions: &Definitions,
) -> Result<BTreeMap<TenantId, Tenant>, Error> {
    let changes = changes(connection, 0, true).await?;
    if !changes.iter().any(|change| matches!(change.about, About::Tenant(..))) {
        return Ok(BTreeMap::new());
    }
    let checker = Checker::new(definitions)?;
    let read = authored(connection, &changes).await?;
    Ok(read
        .into_iter()
        .filter_map(|(id, tenant)| Some((id, tenant.ok()?)))
        .filter(|(id, tenant)| checker.check(id, tenant).is_ok())
        .collect())
}

/// What a snapshot that nobody publishes is stamped with.
pub(super) fn stamp() -> Stamp {
    Stamp { revision: Revision::default(), issued_at: now(), expires_at: None }
}

/// What definitions are told apart by in approvals. Kill switches come and go at once, without them.
pub(super) fn without_kills(definitions: &Definitions) -> Result<Hash, Error> {
    let without = Definitions { kills: BTreeMap::new(), tenants: BTreeMap::new(), ..definitions.clone() };
    Ok(definitions_hash(&without)?)
}

/// A fleet diff without the list of every tenant that is new.
fn summary(diff: &FleetDiff) -> Value {
    let mut value = json!(diff);
    if let Some(members) = value.as_object_mut() {
        for list in ["added", "removed"] {
            let count = members.get(list).and_then(Value::as_array).map_or(0, Vec::len);
            members.insert(list.to_owned(), count.into());
        }
    }
    value
}

/// Now, and the next instants at which something in definitions begins or ends; and how many more there are.
fn instants(definitions: &[Option<&Definitions>]) -> (Vec<Timestamp>, usize) {
    let now = now();
    let mut instants = BTreeSet::new();
    for definitions in definitions.iter().flatten() {
        for plan in definitions.plans.values() {
            // Who moves with a renewal has moved one period later.
            let days = match plan.price.period {
                PricePeriod::Month => 31,
                PricePeriod::Year => 366,
            };
            for version in plan.versions.values() {
                instants.insert(version.effective_from);
                if version.moves == Moves::Renewal {
                    let all_moved = version.effective_from.as_ms() + days * 24 * 60 * 60 * 1000;
                    instants.extend(Timestamp::from_ms(all_moved).ok());
                }
                instants.extend(version.contributions.iter().flat_map(|it| [it.from, it.until]).flatten());
            }
        }
        for add_on in definitions.add_ons.values() {
            instants.extend(add_on.contributions.iter().flat_map(|it| [it.from, it.until]).flatten());
        }
        instants.extend(definitions.kills.values().flat_map(|kill| [Some(kill.since), kill.until]).flatten());
    }
    let later: Vec<Timestamp> = instants.into_iter().filter(|at| *at > now).collect();
    let unseen = (later.len() + 1).saturating_sub(MOST_INSTANTS);
    (std::iter::once(now).chain(later).take(MOST_INSTANTS).collect(), unseen)
}
