//! The fleet as HQ knows it: what engines report of themselves, and the trial of a proposal that is under way among them.

use crate::Error;
use crate::hq::{Actor, Hq, record, remember};
use crate::publish::{Goal, Publication};
use leasehold::follow::Report;
use leasehold::{EngineId, Hash, Region, Revision, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};

/// What an engine reported last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineStatus {
    /// The engine.
    pub engine: EngineId,
    /// What it follows.
    pub stream: Region,
    /// Epoch of the head that is in force there.
    pub epoch: Option<u64>,
    /// Its revision; none before the first.
    pub revision: Option<Revision>,
    /// The definitions in use there.
    pub definitions: Option<Hash>,
    /// Whether those are on trial.
    pub candidate: bool,
    /// Whether they survive a restart there.
    pub persisted: bool,
    /// When that was reported.
    pub applied_at: Option<Timestamp>,
    /// What it refused since, and why; none where what it reported last is in force.
    pub refused: Option<Refused>,
    /// When it reported last.
    pub reported_at: Timestamp,
}

/// What an engine refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// The revision, where it could be read.
    pub revision: Option<Revision>,
    /// Why: stage, code, item and message.
    pub fault: Value,
    /// When that was reported.
    pub at: Timestamp,
}

/// The trial of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rollout {
    /// The proposal.
    pub proposal: i64,
    /// How many of a thousand engines are to try it, unless it is halted.
    pub share_permille: u16,
    /// Since when nobody tries it.
    pub halted_at: Option<Timestamp>,
    /// Who halted it.
    pub halted_by: Option<String>,
    /// When anything of this changed last.
    pub changed_at: Timestamp,
}

/// How long an engine may be silent at the most, in days: farther back than that, Postgres has no time.
const MOST_DAYS: u32 = 1_000_000;

const INSTANT: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'";

impl Hq {
    /// Takes a report of an engine.
    ///
    /// What was refused is forgotten once the engine reports that something as new is in force. Publishers are told of it:
    /// it [may be](crate::publish::Publisher::halt_refused) what is on trial.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn engine_reported(&self, engine: &EngineId, stream: &Region, report: &Report) -> Result<(), Error> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let query = match report {
            Report::Ack { epoch, revision, definitions, candidate, persisted } => sqlx::query(
                "INSERT INTO leasehold.sys_engines AS e (engine_id, stream, epoch, revision, definitions, candidate,
                     persisted, applied_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, now())
                 ON CONFLICT (engine_id, stream) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision,
                     definitions = excluded.definitions, candidate = excluded.candidate, persisted = excluded.persisted,
                     applied_at = now(), reported_at = now(),
                     refused_revision = CASE WHEN excluded.revision < e.refused_revision THEN e.refused_revision END,
                     fault = CASE WHEN excluded.revision < e.refused_revision THEN e.fault END,
                     refused_at = CASE WHEN excluded.revision < e.refused_revision THEN e.refused_at END",
            )
            .bind(engine.as_str())
            .bind(stream.as_str())
            .bind(number(*epoch))
            .bind(number(revision.get()))
            .bind(definitions.as_bytes().to_vec())
            .bind(candidate)
            .bind(persisted),
            Report::Nack { revision, fault, .. } => {
                return self.engine_refused(engine, stream, *revision, &json!(fault)).await;
            }
        };
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Takes a report of an engine that refused a head: why, as JSON with `stage`, `code`, `item` and `message`. An engine
    /// may be newer than this build, and say it in words that are not known here.
    ///
    /// That contents were refused is not replaced by what says nothing about them, as that others did not arrive, while a trial
    /// may be halted for it: whenever the publisher looks.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn engine_refused(
        &self,
        engine: &EngineId,
        stream: &Region,
        revision: Option<Revision>,
        fault: &Value,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO leasehold.sys_engines AS e (engine_id, stream, refused_revision, fault, refused_at)
             VALUES ($1, $2, $3, $4, now())
             ON CONFLICT (engine_id, stream) DO UPDATE SET reported_at = now(),
                 (refused_revision, fault, refused_at) = (SELECT o.* FROM (VALUES
                     (excluded.refused_revision, excluded.fault, excluded.refused_at),
                     (e.refused_revision, e.fault, e.refused_at)) AS o(revision, fault, at)
                     WHERE o.fault IS NOT NULL
                     ORDER BY (o.fault ->> 'stage' IN ('parse', 'compile') AND EXISTS (SELECT FROM leasehold.sys_rollout r
                         WHERE r.halted_at IS NULL AND o.at >= r.changed_at)) IS TRUE DESC, o.at DESC LIMIT 1)
             RETURNING pg_notify('leasehold_publish', '')",
        )
        .bind(engine.as_str())
        .bind(stream.as_str())
        .bind(revision.map(|revision| i64::try_from(revision.get()).unwrap_or(i64::MAX)))
        .bind(fault)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What engines reported last, by stream and id: those after one.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn engines(&self, after: Option<(&Region, &EngineId)>, at_most: u32) -> Result<Vec<EngineStatus>, Error> {
        let sql = format!(
            "SELECT engine_id, stream, epoch, revision, definitions, candidate, persisted, refused_revision, fault,
                 to_char(applied_at AT TIME ZONE 'UTC', {INSTANT}) AS applied_at,
                 to_char(refused_at AT TIME ZONE 'UTC', {INSTANT}) AS refused_at,
                 to_char(reported_at AT TIME ZONE 'UTC', {INSTANT}) AS reported_at
             FROM leasehold.sys_engines WHERE (stream COLLATE \"C\", engine_id) > ($1, $2)
             ORDER BY stream COLLATE \"C\", engine_id LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after.map_or("", |(stream, _)| stream.as_str()))
            .bind(after.map_or("", |(_, engine)| engine.as_str()))
            .bind(i64::from(at_most))
            .fetch_all(&self.pool)
            .await?;
        let mut engines = Vec::new();
        for row in &rows {
            let (engine, stream): (String, String) = (row.try_get("engine_id")?, row.try_get("stream")?);
            let (Ok(engine), Ok(stream)) = (engine.parse(), stream.parse()) else { continue };
            let revision = |column: &str| -> Result<Option<Revision>, sqlx::Error> {
                let number: Option<i64> = row.try_get(column)?;
                Ok(number.and_then(|number| u64::try_from(number).ok()).and_then(Revision::new))
            };
            let definitions: Option<Vec<u8>> = row.try_get("definitions")?;
            let epoch: Option<i64> = row.try_get("epoch")?;
            let refused = match (instant(row.try_get("refused_at")?), row.try_get::<Option<Value>, _>("fault")?) {
                (Some(at), Some(fault)) => Some(Refused { revision: revision("refused_revision")?, fault, at }),
                _ => None,
            };
            engines.push(EngineStatus {
                engine,
                stream,
                epoch: epoch.and_then(|epoch| u64::try_from(epoch).ok()),
                revision: revision("revision")?,
                definitions: definitions.and_then(|hash| <[u8; 32]>::try_from(hash).ok()).map(Hash::from),
                candidate: row.try_get("candidate")?,
                persisted: row.try_get("persisted")?,
                applied_at: instant(row.try_get("applied_at")?),
                refused,
                reported_at: instant(row.try_get("reported_at")?).unwrap_or(Timestamp::MIN),
            });
        }
        Ok(engines)
    }

    /// Forgets an engine that is gone for good.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn forget_engine(&self, engine: &EngineId, actor: &Actor) -> Result<bool, Error> {
        let mut transaction = self.pool.begin().await?;
        let gone = sqlx::query("DELETE FROM leasehold.sys_engines WHERE engine_id = $1")
            .bind(engine.as_str())
            .execute(&mut *transaction)
            .await?;
        if gone.rows_affected() > 0 {
            record(&mut transaction, None, actor, "engine.forgotten", engine.as_str(), json!({})).await?;
        }
        transaction.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Forgets engines that have not reported for so many days, by the clock of the database. Gives how many there were.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn forget_silent_engines(&self, days: u32, actor: &Actor) -> Result<u64, Error> {
        let mut transaction = self.pool.begin().await?;
        let gone =
            sqlx::query("DELETE FROM leasehold.sys_engines WHERE reported_at < now() - make_interval(days => $1)")
                .bind(i32::try_from(days.min(MOST_DAYS)).unwrap_or(i32::MAX))
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        if gone > 0 {
            let detail = json!({ "engines": gone, "silent_days": days });
            record(&mut transaction, None, actor, "engine.forgotten", "silent engines", detail).await?;
        }
        transaction.commit().await?;
        Ok(gone)
    }

    /// The trial that is under way, or halted.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn rollout(&self) -> Result<Option<Rollout>, Error> {
        rollout(&mut *self.pool.acquire().await?).await
    }

    /// Gives up a trial that is halted: nothing has to be published for that.
    pub(crate) async fn abandon_halted(&self, actor: &Actor) -> Result<Option<Publication>, Error> {
        let mut transaction = self.pool.begin().await?;
        let proposal: Option<i64> =
            sqlx::query_scalar("DELETE FROM leasehold.sys_rollout WHERE halted_at IS NOT NULL RETURNING proposal_id")
                .fetch_optional(&mut *transaction)
                .await?;
        let Some(proposal) = proposal else { return Ok(None) };
        let detail = json!({ "proposal": proposal });
        let told = Actor { request: None, ..actor.clone() };
        record(&mut transaction, None, &told, "definitions.unstaged", "halted trial", detail).await?;
        let revision: i64 =
            sqlx::query_scalar("SELECT revision FROM leasehold.sys_publisher").fetch_one(&mut *transaction).await?;
        let revision = u64::try_from(revision).ok().and_then(Revision::new).unwrap_or_default();
        // As where something is published for it.
        let publication = Publication { revision, ..Publication::default() };
        remember(&mut transaction, actor, &publication.came_to()).await?;
        transaction.commit().await?;
        Ok(Some(publication))
    }
}

/// The trial that is under way, or halted.
pub(crate) async fn rollout(connection: &mut PgConnection) -> Result<Option<Rollout>, Error> {
    let sql = format!(
        "SELECT proposal_id, share_permille, to_char(halted_at AT TIME ZONE 'UTC', {INSTANT}) AS halted_at, halted_by,
             to_char(changed_at AT TIME ZONE 'UTC', {INSTANT}) AS changed_at FROM leasehold.sys_rollout"
    );
    let Some(row) = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_optional(connection).await? else { return Ok(None) };
    Ok(Some(Rollout {
        proposal: row.try_get("proposal_id")?,
        share_permille: u16::try_from(row.try_get::<i32, _>("share_permille")?).unwrap_or_default(),
        halted_at: instant(row.try_get("halted_at")?),
        halted_by: row.try_get("halted_by")?,
        changed_at: instant(row.try_get("changed_at")?).unwrap_or(Timestamp::MIN),
    }))
}

/// The proposal whose trial is under way, or halted.
pub(crate) async fn on_trial(connection: &mut PgConnection) -> Result<Option<i64>, Error> {
    Ok(sqlx::query_scalar("SELECT proposal_id FROM leasehold.sys_rollout").fetch_optional(connection).await?)
}

/// Remembers what a publication means for the trial, in its transaction.
pub(crate) async fn remember_trial(connection: &mut PgConnection, goal: Goal, actor: &Actor) -> Result<(), Error> {
    let query = match goal {
        Goal::Pending => return Ok(()),
        Goal::Trial(id, share) => sqlx::query(
            "INSERT INTO leasehold.sys_rollout (proposal_id, share_permille, since_revision)
                 SELECT $1, $2, revision FROM leasehold.sys_publisher
             ON CONFLICT (one) DO UPDATE SET proposal_id = excluded.proposal_id,
                 share_permille = excluded.share_permille, halted_at = NULL, halted_by = NULL, changed_at = now(),
                 since_revision = excluded.since_revision",
        )
        .bind(id)
        .bind(i32::from(share)),
        Goal::Halt => {
            sqlx::query("UPDATE leasehold.sys_rollout SET halted_at = now(), halted_by = $1, changed_at = now()")
                .bind(&actor.name)
        }
        Goal::NoTrial | Goal::Proposal(_) | Goal::Rollback(_) => sqlx::query("DELETE FROM leasehold.sys_rollout"),
    };
    query.execute(connection).await?;
    Ok(())
}

fn instant(text: Option<String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}
