//! Proposals: how definitions change. Drafted from what is authored, looked at with what tenants gain and lose, approved by
//! somebody else, published as approved.

use super::publisher::{Goal, Publisher};
use super::{Archive, Publication, contents, read_in_force, reference};
use crate::Error;
use crate::hq::{Actor, Hq, not_found, now, read_definitions, record};
use leasehold::build::{Content, changed_versions, definitions_hash};
use leasehold::model::{Definitions, Diagnostics};
use leasehold::wire::{Chunk, ChunkRef};
use leasehold::{FleetDiff, Hash, Revision, Snapshot, Stamp, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};
use std::collections::BTreeSet;

/// At how many instants a proposal is compared: now, and when something in it begins or ends.
const MOST_INSTANTS: usize = 16;

/// Where a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalStatus {
    /// Nobody has decided yet.
    Draft,
    /// Somebody other than its author has approved it, as it was then.
    Approved,
    /// It was turned down.
    Rejected,
    /// What was approved is no longer what it would do.
    Lapsed,
    /// It is in force, or was.
    Published,
}

impl ProposalStatus {
    fn of(word: &str) -> Self {
        match word {
            "approved" => Self::Approved,
            "rejected" => Self::Rejected,
            "lapsed" => Self::Lapsed,
            "published" => Self::Published,
            _ => Self::Draft,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Lapsed => "lapsed",
            Self::Published => "published",
        }
    }
}

/// A change of definitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// Its number.
    pub id: i64,
    /// What it is about.
    pub title: String,
    /// Where it is.
    pub status: ProposalStatus,
    /// Who proposed it.
    pub author: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// Hash of the definitions that it changes, kill switches aside; none for the first.
    pub base: Option<Hash>,
    /// Hash of the definitions that it proposes.
    pub proposed: Hash,
    /// What tenants gain, lose and have moved by it: the fleet diff, at each instant at which something in it begins or
    /// ends.
    pub diff: Value,
    /// How many tenants it concerns, at the instant at which they are most.
    pub affected: i64,
    /// What an approval binds to: the hash of base, proposal, and what is gained, lost and moved per plan and feature.
    pub binding: Hash,
    /// Why it was rejected, or how it lapsed.
    pub reason: Option<String>,
    /// The revision that it was published as.
    pub revision: Option<i64>,
}

/// What a proposal would do to the fleet.
struct Effect {
    base: Option<Hash>,
    proposed: ChunkRef,
    chunks: Vec<(ChunkRef, Vec<u8>)>,
    diff: Value,
    affected: i64,
    binding: Hash,
}

impl Archive {
    /// Proposes what is authored now in place of the definitions in force.
    ///
    /// # Errors
    /// [`Error::Refused`] with every mistake, in definitions and in tenants as they would be then, versions among it that
    /// were published and are not the same.
    pub async fn propose(&self, title: &str, actor: &Actor) -> Result<Proposal, Error> {
        let pool = &self.hq().pool;
        let mut connection = pool.acquire().await?;
        let definitions = read_definitions(&mut connection, None).await?;
        let effect = self.effect(&mut connection, &definitions).await?;
        let mut transaction = pool.begin().await?;
        keep(&mut transaction, &effect.chunks).await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO leasehold.sys_proposals (title, author, base, proposed, proposed_length, diff, affected, binding)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING proposal_id",
        )
        .bind(title)
        .bind(&actor.name)
        .bind(effect.base.map(|base| base.as_bytes().to_vec()))
        .bind(effect.proposed.hash.as_bytes().to_vec())
        .bind(i64::try_from(effect.proposed.length).unwrap_or(i64::MAX))
        .bind(&effect.diff)
        .bind(effect.affected)
        .bind(effect.binding.as_bytes().to_vec())
        .fetch_one(&mut *transaction)
        .await?;
        let detail = json!({ "title": title, "binding": effect.binding, "affected": effect.affected });
        record(&mut transaction, None, actor, "proposal.drafted", &id.to_string(), detail).await?;
        transaction.commit().await?;
        self.hq().proposal(id).await
    }
}

impl Publisher {
    /// Publishes an approved proposal: all tenants are on its definitions from then on.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotApproved`] where nobody has approved it, or it lapsed: the definitions in force or
    /// the authored ones are others by now, it would do something else, or it concerns more than 1 % more tenants.
    /// [`Error::Refused`] where some tenant would not compile.
    pub async fn publish_proposal(&self, id: i64, actor: &Actor) -> Result<Publication, Error> {
        let definitions = self.approved(id, actor).await?;
        let goal = Goal::Definitions {
            definitions: Box::new(definitions),
            action: "definitions.published",
            actor: actor.clone(),
            proposal: Some(id),
        };
        self.reach(&goal).await?.ok_or_else(|| not_found("proposal to publish", &id.to_string()))
    }

    /// Puts an approved proposal on trial, with so many engines of a thousand. Its definitions are in force for everybody
    /// once it is [published](Self::publish_proposal).
    ///
    /// # Errors
    /// As [`publish_proposal`](Self::publish_proposal); [`Error::NotFound`] while no definitions are in force.
    pub async fn stage(&self, id: i64, share_permille: u16, actor: &Actor) -> Result<Publication, Error> {
        let definitions = self.approved(id, actor).await?;
        let candidate = Some((Box::new(definitions), share_permille.min(1000)));
        let goal = Goal::Candidate { candidate, action: "definitions.staged", actor: actor.clone() };
        self.reach(&goal).await?.ok_or_else(|| not_found("definitions in force beside proposal", &id.to_string()))
    }

    /// Ends a trial: all engines are on the definitions in force again.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nothing is on trial.
    pub async fn unstage(&self, actor: &Actor) -> Result<Publication, Error> {
        let goal = Goal::Candidate { candidate: None, action: "definitions.unstaged", actor: actor.clone() };
        self.reach(&goal).await?.ok_or_else(|| not_found("definitions on trial", ""))
    }

    /// Puts the definitions of an earlier revision in force again, under a new revision. Tenants stay as they are, and so
    /// do kill switches. What is authored stays too: the next proposal shows the difference.
    ///
    /// # Errors
    /// [`Error::NotFound`] where that revision is no longer there, or its definitions are in force; [`Error::Refused`]
    /// where some tenant would not compile.
    pub async fn rollback(&self, to: Revision, actor: &Actor) -> Result<Publication, Error> {
        let mut connection = self.hq().pool.acquire().await?;
        let mut definitions = self.archive().definitions_of(&mut connection, to).await?;
        let in_force = super::published_definitions(&mut connection).await?.unwrap_or_default();
        // Nothing that was switched off comes on again by going back.
        let _ = leasehold::build::candidate_kills(&in_force, &mut definitions);
        self.archive().compiled_fleet(&mut connection, &definitions).await?;
        drop(connection);
        let goal = Goal::Definitions {
            definitions: Box::new(definitions),
            action: "definitions.rolled_back",
            actor: actor.clone(),
            proposal: None,
        };
        self.reach(&goal).await?.ok_or_else(|| not_found("other definitions at revision", &to.to_string()))
    }

    /// The definitions of a proposal that may be published now. One that may not any more lapses.
    async fn approved(&self, id: i64, actor: &Actor) -> Result<Definitions, Error> {
        let proposal = self.hq().proposal(id).await?;
        if proposal.status != ProposalStatus::Approved {
            return Err(Error::NotApproved { proposal: id, why: format!("it is {}", proposal.status.as_str()) });
        }
        let mut connection = self.hq().pool.acquire().await?;
        let definitions = read_definitions(&mut connection, None).await?;
        let effect = self.archive().effect(&mut connection, &definitions).await?;
        let approved = self.hq().approved_binding(id).await?;
        let why = if without_kills(&definitions)? != without_kills(&self.hq().proposed(id).await?)? {
            "what is authored is not what was proposed any more"
        } else if effect.base != proposal.base {
            "other definitions came in force"
        } else if effect.affected * 100 > proposal.affected * 101 {
            "it concerns more than 1 % more tenants than were looked at"
        } else if effect.affected == proposal.affected && effect.binding != proposal.binding {
            "tenants would gain, lose or have moved something else by now"
        } else if approved != Some(proposal.binding) {
            "something else was approved"
        } else {
            return Ok(definitions);
        };
        let mut transaction = self.hq().pool.begin().await?;
        sqlx::query("UPDATE leasehold.sys_proposals SET status = 'lapsed', decided_reason = $2 WHERE proposal_id = $1")
            .bind(id)
            .bind(why)
            .execute(&mut *transaction)
            .await?;
        record(&mut transaction, None, actor, "proposal.lapsed", &id.to_string(), json!({ "why": why })).await?;
        transaction.commit().await?;
        Err(Error::NotApproved { proposal: id, why: why.to_owned() })
    }
}

impl Archive {
    /// What definitions would do to the fleet.
    async fn effect(&self, connection: &mut PgConnection, next: &Definitions) -> Result<Effect, Error> {
        let in_force = super::in_force_reference(connection).await?;
        let base = match in_force {
            None => None,
            Some(reference) => Some(read_in_force(connection, reference).await?.definitions),
        };
        if let Some(base) = &base {
            Diagnostics::refuse_if_any(changed_versions(base, next))?;
        }
        let (before, after) = self.compiled_fleet(connection, next).await?;
        let mut diffs = Vec::new();
        for at in instants(&[base.as_ref(), Some(next)]) {
            diffs.push(after.diff(&before, at));
        }
        let content = Content::of_definitions(next).map_err(|error| no_form(&error.to_string()))?;
        let base_hash = base.as_ref().map(without_kills).transpose()?;
        let per_feature: Vec<&_> = diffs.iter().map(|diff| &diff.features).collect();
        let bound = json!({ "base": base_hash, "proposed": without_kills(next)?, "features": per_feature });
        let affected = diffs.iter().map(|diff| diff.changed + diff.added.len()).max().unwrap_or_default();
        Ok(Effect {
            base: base_hash,
            proposed: content.root,
            chunks: content.chunks,
            diff: json!(diffs.iter().map(summary).collect::<Vec<_>>()),
            affected: i64::try_from(affected).unwrap_or(i64::MAX),
            binding: Hash::of(bound.to_string().as_bytes()),
        })
    }

    /// The fleet as it is, and as it would be with other definitions. Before anything was published, tenants as they are
    /// authored, and none before.
    async fn compiled_fleet(
        &self,
        connection: &mut PgConnection,
        next: &Definitions,
    ) -> Result<(Snapshot, Snapshot), Error> {
        let heads: Vec<_> = self.heads(connection).await?.into_values().collect();
        let before = contents::fleet(connection, &heads).await?;
        let tenants = if heads.is_empty() {
            let rows: Vec<String> = sqlx::query_scalar("SELECT leasehold.hq_tenant_ids('', 1000000000)")
                .fetch_all(&mut *connection)
                .await?;
            let read = crate::hq::read_tenants(connection, &rows).await?;
            read.into_iter().map(|(id, _, tenant)| Ok((id, tenant?))).collect::<Result<_, Error>>()?
        } else {
            before.tenants.clone()
        };
        let after = Definitions { tenants, ..next.clone() };
        let stamp =
            |number| Stamp { revision: Revision::new(number).unwrap_or_default(), issued_at: now(), expires_at: None };
        Ok((Snapshot::compile(&before, stamp(1))?, Snapshot::compile(&after, stamp(2))?))
    }

    async fn definitions_of(&self, connection: &mut PgConnection, revision: Revision) -> Result<Definitions, Error> {
        let gone = || not_found("revision", &revision.to_string());
        // Streams skip revisions that do not concern them.
        let (stream, document): (String, Vec<u8>) = sqlx::query_as(
            "SELECT stream, document FROM leasehold.sys_head_history WHERE revision <= $1 ORDER BY revision DESC LIMIT 1",
        )
        .bind(i64::try_from(revision.get()).unwrap_or(i64::MAX))
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(gone)?;
        let stream = stream.parse().map_err(|_| gone())?;
        let head = self.trusted(&stream, &document)?;
        let mut held = contents::Held::new();
        contents::fetch(connection, [head.head().manifest.hash], &mut held).await?;
        let index = contents::manifest(&held, head.head().manifest)?.definitions;
        contents::definitions(connection, index).await
    }
}

impl Hq {
    /// A proposal.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn proposal(&self, id: i64) -> Result<Proposal, Error> {
        let row = sqlx::query(
            "SELECT proposal_id, title, status, author, approved_by, base, proposed, diff, affected, binding,
                 decided_reason, revision FROM leasehold.sys_proposals WHERE proposal_id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| not_found("proposal", &id.to_string()))?;
        let hash = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map(Hash::from).unwrap_or_default();
        let base: Option<Vec<u8>> = row.try_get("base")?;
        Ok(Proposal {
            id: row.try_get("proposal_id")?,
            title: row.try_get("title")?,
            status: ProposalStatus::of(row.try_get("status")?),
            author: row.try_get("author")?,
            approved_by: row.try_get("approved_by")?,
            base: base.map(hash),
            proposed: hash(row.try_get("proposed")?),
            diff: row.try_get("diff")?,
            affected: row.try_get("affected")?,
            binding: hash(row.try_get("binding")?),
            reason: row.try_get("decided_reason")?,
            revision: row.try_get("revision")?,
        })
    }

    /// Proposals, newest first: those before a number.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn proposals(&self, before: Option<i64>, at_most: u32) -> Result<Vec<Proposal>, Error> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT proposal_id FROM leasehold.sys_proposals WHERE proposal_id < $1 ORDER BY proposal_id DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(at_most))
        .fetch_all(&self.pool)
        .await?;
        let mut proposals = Vec::new();
        for id in ids {
            proposals.push(self.proposal(id).await?);
        }
        Ok(proposals)
    }

    /// Approves a draft as it is: its binding is what was looked at.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotApproved`] where it is no draft, where the binding is another one, or where its
    /// author is who approves.
    pub async fn approve(&self, id: i64, binding: Hash, actor: &Actor) -> Result<Proposal, Error> {
        let proposal = self.proposal(id).await?;
        let why = match &proposal {
            proposal if proposal.author == actor.name => Some("its author cannot approve it".to_owned()),
            proposal if proposal.binding != binding => Some("it is not what was looked at".to_owned()),
            proposal if proposal.status != ProposalStatus::Draft => Some(format!("it is {}", proposal.status.as_str())),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::NotApproved { proposal: id, why });
        }
        self.decide(id, "approved", Some(binding), None, actor).await
    }

    /// Turns a draft or an approved proposal down.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotApproved`] where it was decided otherwise already.
    pub async fn reject(&self, id: i64, reason: &str, actor: &Actor) -> Result<Proposal, Error> {
        let proposal = self.proposal(id).await?;
        if !matches!(proposal.status, ProposalStatus::Draft | ProposalStatus::Approved) {
            return Err(Error::NotApproved { proposal: id, why: format!("it is {}", proposal.status.as_str()) });
        }
        self.decide(id, "rejected", None, Some(reason), actor).await
    }

    async fn decide(
        &self,
        id: i64,
        status: &str,
        binding: Option<Hash>,
        reason: Option<&str>,
        actor: &Actor,
    ) -> Result<Proposal, Error> {
        let mut transaction = self.pool.begin().await?;
        let decided = sqlx::query(
            "UPDATE leasehold.sys_proposals SET status = $2, decided_reason = $4,
                 approved_by = CASE WHEN $3::bytea IS NULL THEN approved_by ELSE $5 END,
                 approved_at = CASE WHEN $3::bytea IS NULL THEN approved_at ELSE now() END,
                 approved_binding = coalesce($3, approved_binding)
             WHERE proposal_id = $1 AND status IN ('draft', 'approved') AND (status = 'draft' OR $2 = 'rejected')",
        )
        .bind(id)
        .bind(status)
        .bind(binding.map(|binding| binding.as_bytes().to_vec()))
        .bind(reason)
        .bind(&actor.name)
        .execute(&mut *transaction)
        .await?;
        if decided.rows_affected() == 0 {
            return Err(Error::NotApproved { proposal: id, why: "somebody else has decided it".to_owned() });
        }
        let detail = json!({ "binding": binding, "reason": reason });
        record(&mut transaction, None, actor, &format!("proposal.{status}"), &id.to_string(), detail).await?;
        transaction.commit().await?;
        self.proposal(id).await
    }

    async fn approved_binding(&self, id: i64) -> Result<Option<Hash>, Error> {
        let bytes: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT approved_binding FROM leasehold.sys_proposals WHERE proposal_id = $1")
                .bind(id)
                .fetch_one(&self.pool)
                .await?;
        Ok(bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Hash::from))
    }

    /// The definitions that a proposal proposes, as they were authored then.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn proposed(&self, id: i64) -> Result<Definitions, Error> {
        let mut connection = self.pool.acquire().await?;
        let row: Option<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT proposed, proposed_length FROM leasehold.sys_proposals WHERE proposal_id = $1")
                .bind(id)
                .fetch_optional(&mut *connection)
                .await?;
        let missing = || not_found("proposal", &id.to_string());
        let (hash, length) = row.ok_or_else(missing)?;
        contents::definitions(&mut connection, reference(&hash, length).ok_or_else(missing)?).await
    }
}

/// Freezes the versions that are in force from now on, and closes the proposal.
pub(super) async fn freeze(
    connection: &mut PgConnection,
    published: &Definitions,
    proposal: Option<i64>,
    revision: Revision,
) -> Result<(), Error> {
    let versions = |of: Vec<(String, u32)>| {
        let (keys, numbers): (Vec<String>, Vec<i64>) =
            of.into_iter().map(|(key, number)| (key, i64::from(number))).unzip();
        (keys, numbers)
    };
    let of_plans = published.plans.iter();
    let of_plans = of_plans.flat_map(|(key, plan)| plan.versions.keys().map(move |number| (key.to_string(), *number)));
    let of_workflows = published.workflows.iter();
    let of_workflows =
        of_workflows.flat_map(|(key, it)| it.versions.keys().map(move |number| (key.to_string(), *number)));
    let (plans, plan_versions) = versions(of_plans.collect());
    let (workflows, workflow_versions) = versions(of_workflows.collect());
    // Going back makes nothing new, and what was authored since may be another version under the same number.
    if let Some(id) = proposal {
        sqlx::query(
            "UPDATE leasehold.sys_plan_versions_cf v SET published_at = now() FROM unnest($1::text[], $2::bigint[]) AS p(k, n)
             WHERE v.plan_key = p.k AND v.version = p.n AND published_at IS NULL",
        )
        .bind(plans)
        .bind(plan_versions)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "UPDATE leasehold.workflow_template_versions v SET published_at = now()
             FROM unnest($1::text[], $2::bigint[]) AS p(k, n)
             WHERE v.workflow_key = p.k AND v.version = p.n AND published_at IS NULL",
        )
        .bind(workflows)
        .bind(workflow_versions)
        .execute(&mut *connection)
        .await?;
        let closed = sqlx::query(
            "UPDATE leasehold.sys_proposals SET status = 'published', revision = $2
             WHERE proposal_id = $1 AND status = 'approved'",
        )
        .bind(id)
        .bind(i64::try_from(revision.get()).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
        if closed.rows_affected() == 0 {
            return Err(Error::NotApproved { proposal: id, why: "somebody else has decided it".to_owned() });
        }
    }
    Ok(())
}

/// Keeps contents that nothing in force names yet.
async fn keep(connection: &mut PgConnection, chunks: &[(ChunkRef, Vec<u8>)]) -> Result<(), Error> {
    for (reference, content) in chunks {
        let chunk = Chunk::compressed(content);
        sqlx::query(
            "INSERT INTO leasehold.sys_chunks (hash, raw_length, encoding, bytes) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(reference.hash.as_bytes().to_vec())
        .bind(i64::try_from(reference.length).unwrap_or(i64::MAX))
        .bind(chunk.encoding().as_str())
        .bind(chunk.bytes().to_vec())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What definitions are told apart by in approvals. Kill switches come and go at once, without them.
fn without_kills(definitions: &Definitions) -> Result<Hash, Error> {
    let without = Definitions { kills: std::collections::BTreeMap::new(), ..definitions.clone() };
    definitions_hash(&without).map_err(|error| no_form(&error.to_string()))
}

fn no_form(message: &str) -> Error {
    Error::Constraint { constraint: None, message: message.to_owned() }
}

/// Now, and the next instants at which a version or contribution begins or ends.
fn instants(definitions: &[Option<&Definitions>]) -> Vec<Timestamp> {
    let now = now();
    let mut instants = BTreeSet::new();
    for definitions in definitions.iter().flatten() {
        for plan in definitions.plans.values() {
            for version in plan.versions.values() {
                instants.insert(version.effective_from);
                instants.extend(version.contributions.iter().flat_map(|it| [it.from, it.until]).flatten());
            }
        }
        for add_on in definitions.add_ons.values() {
            instants.extend(add_on.contributions.iter().flat_map(|it| [it.from, it.until]).flatten());
        }
    }
    let later = instants.into_iter().filter(|at| *at > now);
    std::iter::once(now).chain(later).take(MOST_INSTANTS).collect()
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
