//! Proposals: how definitions change. Drafted from what is authored, looked at with what tenants gain and lose, approved by
//! somebody else, published as approved.

use super::contents::{self, Columns};
use super::effect::{Effect, FleetEffect, without_kills};
use super::next::{Trial, Wanted};
use super::publisher::{Goal, Publisher};
use super::reading::Reading;
use super::{Archive, InForce, Publication, in_force_reference, reference};
use crate::hq::{Actor, Hq, not_found, now, read_definitions, record};
use crate::{Error, fleet};
use leasehold::build::{Content, candidate_kills};
use leasehold::model::Definitions;
use leasehold::wire::ChunkRef;
use leasehold::{Hash, RecordId, Revision, Snapshot};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row};

/// Reads what [`of_row`] takes.
macro_rules! proposals {
    () => {
        "SELECT proposal_id, title, status, author, approved_by, base, proposed, diff, affected, binding, lifts, unseen,
             warnings, decided_reason, revision, approved_binding FROM leasehold.sys_proposals"
    };
}

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
    /// What an approval binds to: the hash of base, proposal, kill switches that are lifted, and what is gained, lost and
    /// moved per plan and feature.
    pub binding: Hash,
    /// Kill switches in force that it lifts or changes.
    pub lifts: Vec<RecordId>,
    /// How many later instants, at which something begins or ends, were not looked at.
    pub unseen: i64,
    /// What is most likely not meant in the fleet by it, and is not there without it: a list of diagnostics, 1,000 at the
    /// most, those about definitions first.
    pub warnings: Value,
    /// Why it was rejected, or how it lapsed.
    pub reason: Option<String>,
    /// The revision that it was published as.
    pub revision: Option<i64>,
}

impl Archive {
    /// Proposes what is authored now in place of the definitions in force.
    ///
    /// # Errors
    /// [`Error::Refused`] with every mistake, in definitions and in tenants as they would be then, versions among it that
    /// were published and are not the same; [`Error::NothingToPropose`].
    pub async fn propose(&self, title: &str, actor: &Actor) -> Result<Proposal, Error> {
        let mut connection = self.hq().pool.acquire().await?;
        let definitions = read_definitions(&mut connection, None).await?;
        let effect = self.effect(&mut connection, &definitions, None).await?;
        let binding = effect.binding(&definitions)?;
        if effect.base == Some(without_kills(&definitions)?) && effect.lifts.is_empty() {
            return Err(Error::NothingToPropose);
        }
        let content = Content::of_definitions(&definitions)?;
        let mut transaction = connection.begin().await?;
        keep(&mut transaction, &content.chunks).await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO leasehold.sys_proposals (title, author, base, proposed, proposed_length, diff, affected, binding,
                 lifts, unseen, warnings)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING proposal_id",
        )
        .bind(title)
        .bind(&actor.name)
        .bind(effect.base.map(|base| base.as_bytes().to_vec()))
        .bind(content.root.hash.as_bytes().to_vec())
        .bind(i64::try_from(content.root.length).unwrap_or(i64::MAX))
        .bind(effect.diff())
        .bind(effect.affected)
        .bind(binding.as_bytes().to_vec())
        .bind(effect.lifts.iter().map(RecordId::to_string).collect::<Vec<_>>())
        .bind(i64::try_from(effect.unseen).unwrap_or(i64::MAX))
        .bind(json!(effect.warnings()))
        .fetch_one(&mut *transaction)
        .await?;
        let detail = json!({ "title": title, "binding": binding, "lifts": effect.lifts, "affected": effect.affected });
        record(&mut transaction, None, actor, "proposal.drafted", &id.to_string(), detail).await?;
        transaction.commit().await?;
        Ok(read_proposal(&mut connection, id).await?.0)
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
        self.reach(Goal::Proposal(id), actor).await?.ok_or(Error::NothingInForce)
    }

    /// Puts an approved proposal on trial, with so many engines of a thousand. Its definitions are in force for everybody
    /// once it is [published](Self::publish_proposal). Tenants have to be right by both meanwhile.
    ///
    /// # Errors
    /// As [`publish_proposal`](Self::publish_proposal); [`Error::NothingInForce`].
    pub async fn stage(&self, id: i64, share_permille: u16, actor: &Actor) -> Result<Publication, Error> {
        self.reach(Goal::Trial(id, share_permille.min(1000)), actor).await?.ok_or(Error::NothingInForce)
    }

    /// Ends a trial: all engines are on the definitions in force again. One that was halted is not to be resumed any more.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nothing is on trial.
    pub async fn unstage(&self, actor: &Actor) -> Result<Publication, Error> {
        if let Some(halted) = self.hq().abandon_halted(actor).await? {
            return Ok(halted);
        }
        self.reach(Goal::NoTrial, actor).await?.ok_or(Error::NothingInForce)
    }

    /// Ends a trial for now, as one that may be resumed: all engines are on the definitions in force again. Who halts it is
    /// the actor: an engine that refused it, or a person. [`stage`](Self::stage) resumes it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nothing is on trial.
    pub async fn halt(&self, actor: &Actor) -> Result<Publication, Error> {
        self.reach(Goal::Halt, actor).await?.ok_or(Error::NothingInForce)
    }

    /// Puts the definitions of an earlier revision in force again, under a new revision. Tenants stay as they are, and so
    /// do kill switches, but for those of features that were not there yet. What is authored stays too: the next proposal
    /// shows the difference.
    ///
    /// It needs no second person: it is for emergencies, and goes to definitions that were approved once. What it does to
    /// the fleet is looked at, answered and told in the audit log; [`Archive::rollback_effect`] shows it before.
    ///
    /// # Errors
    /// [`Error::NotFound`] where that revision is no longer there, or its definitions are in force; [`Error::Refused`]
    /// where some tenant would not compile.
    pub async fn rollback(&self, to: Revision, actor: &Actor) -> Result<Publication, Error> {
        self.reach(Goal::Rollback(to), actor).await?.ok_or(Error::NothingInForce)
    }

    /// What a goal wants; or the proposal that lapses, and why.
    pub(super) async fn wanted(
        &self,
        goal: Goal,
        connection: &mut PgConnection,
        reading: &Reading,
    ) -> Result<Result<Wanted, Lapsed>, Error> {
        let archive = self.archive();
        let in_force = reading.in_force.as_ref().map(|(_, in_force)| &in_force.definitions);
        let mut effect = None;
        let (definitions, fleet) = match goal {
            Goal::Pending => return Ok(Ok(Wanted::default())),
            Goal::NoTrial | Goal::Halt => {
                reading.trial.as_ref().ok_or_else(|| not_found("trial", "that runs"))?;
                return Ok(Ok(Wanted { trial: Trial::Ends, ..Wanted::default() }));
            }
            Goal::Proposal(id) => match archive.approved(id, connection).await? {
                Ok(approved) => approved,
                Err(lapsed) => return Ok(Err(lapsed)),
            },
            Goal::Trial(id, share) => {
                return Ok(archive.approved(id, connection).await?.map(|(definitions, _)| Wanted {
                    trial: Trial::Begins(Box::new(definitions), share),
                    ..Wanted::default()
                }));
            }
            Goal::Rollback(to) => {
                let (definitions, back) = archive.back_to(connection, to, in_force).await?;
                effect = Some(back.in_few_words());
                (definitions, back.after)
            }
        };
        let same_workflows = |in_force: &Definitions| {
            in_force.workflows == definitions.workflows && in_force.guards == definitions.guards
        };
        let fleet = (!in_force.is_some_and(same_workflows)).then_some(fleet);
        let definitions = Some(InForce::of(None, definitions)?);
        Ok(Ok(Wanted { definitions, trial: Trial::Ends, fleet, effect }))
    }
}

/// A proposal that was approved for something else than it would do by now.
#[derive(Debug)]
pub(super) struct Lapsed {
    pub(super) proposal: i64,
    why: &'static str,
}

impl Archive {
    /// The definitions of a proposal that may be published now, and the fleet by them; or that it lapses.
    async fn approved(
        &self,
        id: i64,
        connection: &mut PgConnection,
    ) -> Result<Result<(Definitions, Snapshot), Lapsed>, Error> {
        let (proposal, approved) = read_proposal(connection, id).await?;
        if proposal.status != ProposalStatus::Approved {
            return Err(Error::NotApproved { proposal: id, why: format!("it is {}", proposal.status.as_str()) });
        }
        let lapsed = |why| Ok(Err(Lapsed { proposal: id, why }));
        let definitions = read_definitions(connection, None).await?;
        if without_kills(&definitions)? != without_kills(&proposed(connection, id).await?)? {
            return lapsed("what is authored is not what was proposed any more");
        }
        if approved != Some(proposal.binding) {
            return lapsed("something else was approved");
        }
        if self.base(connection).await? != proposal.base {
            return lapsed("other definitions came in force");
        }
        // Now, too: phases and licences of tenants have begun and ended since.
        let instants = proposal.instants().into_iter().chain([now()]).collect();
        let effect = self.effect(connection, &definitions, Some(instants)).await?;
        match effect.differs_from(&proposal) {
            Some(why) => lapsed(why),
            None => Ok(Ok((definitions, effect.after))),
        }
    }

    /// What going back to the definitions of an earlier revision would do to the fleet.
    ///
    /// # Errors
    /// As [`Publisher::rollback`].
    pub async fn rollback_effect(&self, to: Revision) -> Result<FleetEffect, Error> {
        let mut connection = self.hq.pool.acquire().await?;
        let in_force = match in_force_reference(&mut connection).await? {
            None => None,
            Some(reference) => Some(self.hq.in_force_at(&mut connection, reference).await?),
        };
        let in_force = in_force.as_ref().map(|in_force| &in_force.definitions);
        Ok(self.back_to(&mut connection, to, in_force).await?.1.in_few_words())
    }

    /// The definitions of an earlier revision as they would come in force again, and what they would do.
    async fn back_to(
        &self,
        connection: &mut PgConnection,
        to: Revision,
        in_force: Option<&Definitions>,
    ) -> Result<(Definitions, Effect), Error> {
        let mut definitions = self.definitions_of(connection, to).await?;
        // Nothing that was switched off comes on again by going back.
        candidate_kills(&in_force.cloned().unwrap_or_default(), &mut definitions);
        if in_force == Some(&definitions) {
            return Err(not_found("other definitions at revision", &to.to_string()));
        }
        let effect = self.effect(connection, &definitions, None).await?;
        Ok((definitions, effect))
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
        Ok(read_proposal(&mut *self.pool.acquire().await?, id).await?.0)
    }

    /// Proposals, newest first: those before a number.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn proposals(&self, before: Option<i64>, at_most: u32) -> Result<Vec<Proposal>, Error> {
        let rows = sqlx::query(concat!(proposals!(), " WHERE proposal_id < $1 ORDER BY proposal_id DESC LIMIT $2"))
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(at_most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok(of_row(row)?.0)).collect()
    }

    /// Approves a draft as it is: its binding is what was looked at.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotApproved`] where it is no draft, where the binding is another one, or where its
    /// author is who approves. What a token does, whoever made it has done.
    pub async fn approve(&self, id: i64, binding: Hash, actor: &Actor) -> Result<Proposal, Error> {
        let proposal = self.proposal(id).await?;
        let is_own = self.behind(&proposal.author).await? == self.behind(&actor.name).await?;
        let why = match &proposal {
            _ if is_own => Some("its author cannot approve it".to_owned()),
            proposal if proposal.binding != binding => Some("it is not what was looked at".to_owned()),
            proposal if proposal.status != ProposalStatus::Draft => Some(format!("it is {}", proposal.status.as_str())),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::NotApproved { proposal: id, why });
        }
        self.decide(id, "approved", Some(binding), None, actor).await
    }

    /// Who answers for what somebody does: for a token, by its name in the audit log, whoever made it.
    async fn behind(&self, name: &str) -> Result<String, Error> {
        let maker: Option<String> = sqlx::query_scalar(
            "SELECT created_by FROM leasehold.sys_api_tokens WHERE format('token %s (%s)', token_id, name) = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        Ok(maker.unwrap_or_else(|| name.to_owned()))
    }

    /// Turns a draft or an approved proposal down.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotApproved`] where it was decided otherwise already; [`Error::InvalidArgument`] where
    /// no reason is given.
    pub async fn reject(&self, id: i64, reason: &str, actor: &Actor) -> Result<Proposal, Error> {
        if reason.trim().is_empty() {
            return Err(Error::InvalidArgument { message: "`reason` is empty: say why".to_owned() });
        }
        let proposal = self.proposal(id).await?;
        if !matches!(proposal.status, ProposalStatus::Draft | ProposalStatus::Approved) {
            return Err(Error::NotApproved { proposal: id, why: format!("it is {}", proposal.status.as_str()) });
        }
        if fleet::on_trial(&mut *self.pool.acquire().await?).await? == Some(id) {
            let why = "it is on trial, or its trial is halted; end the trial first".to_owned();
            return Err(Error::NotApproved { proposal: id, why });
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

    /// The definitions that a proposal proposes, as they were authored then.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn proposed(&self, id: i64) -> Result<Definitions, Error> {
        proposed(&mut *self.pool.acquire().await?, id).await
    }

    /// Lets a proposal lapse, and gives what to answer then.
    pub(super) async fn lapse(&self, lapsed: Lapsed, actor: &Actor) -> Result<Error, Error> {
        let Lapsed { proposal, why } = lapsed;
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "UPDATE leasehold.sys_proposals SET status = 'lapsed', decided_reason = $2
             WHERE proposal_id = $1 AND status = 'approved'",
        )
        .bind(proposal)
        .bind(why)
        .execute(&mut *transaction)
        .await?;
        // Whoever asks for this again is to be refused again, and not to be told that it was done.
        let actor = Actor { request: None, ..actor.clone() };
        record(&mut transaction, None, &actor, "proposal.lapsed", &proposal.to_string(), json!({ "why": why })).await?;
        transaction.commit().await?;
        Ok(Error::NotApproved { proposal, why: why.to_owned() })
    }
}

async fn read_proposal(connection: &mut PgConnection, id: i64) -> Result<(Proposal, Option<Hash>), Error> {
    let row = sqlx::query(concat!(proposals!(), " WHERE proposal_id = $1")).bind(id).fetch_optional(connection).await?;
    of_row(&row.ok_or_else(|| not_found("proposal", &id.to_string()))?)
}

/// A proposal, and what was approved.
fn of_row(row: &PgRow) -> Result<(Proposal, Option<Hash>), Error> {
    let hash = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map(Hash::from).unwrap_or_default();
    let (base, approved): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get("base")?, row.try_get("approved_binding")?);
    let lifts: Vec<String> = row.try_get("lifts")?;
    let proposal = Proposal {
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
        lifts: lifts.iter().filter_map(|id| id.parse().ok()).collect(),
        unseen: row.try_get("unseen")?,
        warnings: row.try_get("warnings")?,
        reason: row.try_get("decided_reason")?,
        revision: row.try_get("revision")?,
    };
    Ok((proposal, approved.map(hash)))
}

/// The definitions that a proposal proposes.
async fn proposed(connection: &mut PgConnection, id: i64) -> Result<Definitions, Error> {
    let row: Option<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT proposed, proposed_length FROM leasehold.sys_proposals WHERE proposal_id = $1")
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
    let missing = || not_found("proposal", &id.to_string());
    let (hash, length) = row.ok_or_else(missing)?;
    contents::definitions(connection, reference(&hash, length).ok_or_else(missing)?).await
}

/// Freezes the versions of a proposal that engines use from now on, in force or on trial: each stays what it was for them.
/// Nobody writes definitions meanwhile.
pub(super) async fn freeze(connection: &mut PgConnection, id: i64) -> Result<(), Error> {
    for freeze in [
        "UPDATE leasehold.sys_plan_versions_cf SET published_at = now() WHERE published_at IS NULL",
        "UPDATE leasehold.workflow_template_versions SET published_at = now() WHERE published_at IS NULL",
    ] {
        sqlx::query(freeze).execute(&mut *connection).await?;
    }
    // By hand, past the lock, something may have been written until a moment ago.
    if without_kills(&read_definitions(connection, None).await?)? != without_kills(&proposed(connection, id).await?)? {
        return Err(Error::Contended { attempts: 1 });
    }
    Ok(())
}

/// Closes a proposal that comes in force.
pub(super) async fn close(connection: &mut PgConnection, id: i64, revision: Revision) -> Result<(), Error> {
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
    Ok(())
}

/// Keeps contents that nothing in force names yet.
async fn keep(connection: &mut PgConnection, chunks: &[(ChunkRef, Vec<u8>)]) -> Result<(), Error> {
    let Columns { hashes, lengths, encodings, bytes, .. } = Columns::of(chunks);
    sqlx::query("SELECT leasehold.hq_keep_contents($1, $2, $3, $4)")
        .bind(hashes)
        .bind(lengths)
        .bind(encodings)
        .bind(bytes)
        .execute(connection)
        .await?;
    Ok(())
}
