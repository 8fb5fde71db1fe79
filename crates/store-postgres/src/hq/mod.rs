//! HQ's authoring store: definitions and tenants as rows, read and written as what people author.

mod change;
mod files;
mod given;
mod record;

pub use change::{Changed, TenantChange};
pub use files::{Imported, Progress};
pub(crate) use record::hold_definitions;
pub use record::{Created, Record, RowVersion, Versioned};

use crate::ledger::IdempotencyKey;
use crate::publish::{InForce, in_force_reference, read_in_force};
use crate::schema::{self, Part};
use crate::{Error, audit};
use leasehold::model::{Definitions, Source, Tenant, load};
use leasehold::wire::ChunkRef;
use leasehold::{Hash, Region, TenantId, Timestamp};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Row};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Who does something, and as a part of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who, as the audit log names them.
    pub name: String,
    /// The trace that it is part of.
    pub trace_id: Option<String>,
    /// The request that asks for it, where it is safe to ask again. Changes of tenants have their own.
    pub request: Option<Request>,
}

/// A request to HQ that may be asked again under its key, and is done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asks: callers choose their keys without knowing of each other.
    pub caller: String,
    /// Its key, as the caller gave it.
    pub key: IdempotencyKey,
    /// What tells it from another request under the same key.
    pub hash: Hash,
}

impl Request {
    /// What it is remembered by.
    fn name(&self) -> String {
        Hash::of(serde_json::json!([self.caller, self.key.as_str()]).to_string().as_bytes()).to_string()
    }
}

impl Actor {
    /// Somebody, without a trace.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), trace_id: None, request: None }
    }
}

/// HQ's authoring store. Clones share connections.
#[derive(Debug, Clone)]
pub struct Hq {
    pub(crate) pool: PgPool,
    /// The definitions in force that were read last.
    in_force: Arc<Mutex<Option<Arc<InForce>>>>,
}

/// Options of a pool whose connections come back without a transaction.
///
/// Where whoever begins one is gone before the database has answered, as a request whose client left, the driver (sqlx 0.9)
/// knows of none, and ends none: what the next one writes over that connection would never be committed. Such a connection is
/// closed.
#[must_use]
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            // In one message of the simple protocol, a statement outside of any transaction begins when its own does.
            let asked = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection).await?;
            asked.try_get(0)
        })
    })
}

impl Hq {
    /// Connects with a role that has `leasehold_hq`, and checks the schema.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::SchemaBehind`] with the migrations that are missing, [`Error::SchemaAhead`],
    /// [`Error::SchemaAltered`].
    pub async fn connect(options: PgConnectOptions) -> Result<Self, Error> {
        let pool = pool_options().max_connections(16).acquire_timeout(Duration::from_secs(10));
        Self::of(pool.connect_with(options).await?).await
    }

    /// The same over connections that are there already, of a pool with [`pool_options`].
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn of(pool: PgPool) -> Result<Self, Error> {
        let mut connection = pool.acquire().await?;
        schema::check(&mut connection, Part::Hq).await?;
        drop(connection);
        Ok(Self { pool, in_force: Arc::default() })
    }

    /// The definitions at a reference, read and compiled when they are others than the last time.
    pub(crate) async fn in_force_at(
        &self,
        connection: &mut PgConnection,
        reference: ChunkRef,
    ) -> Result<Arc<InForce>, Error> {
        let known = self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.reference == Some(reference)) {
            return Ok(known);
        }
        let read = Arc::new(read_in_force(connection, reference).await?);
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }

    /// The connections that it uses.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether this login is above row level security, as superusers are: the schema then keeps no tenant from another one's
    /// rows.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn is_above_row_security(&self) -> Result<bool, Error> {
        let sql = "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// Which of the roles that a server needs this login does not have: `leasehold_app` is for counting usage.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn missing_roles(&self) -> Result<Vec<String>, Error> {
        let sql = "SELECT name FROM unnest(ARRAY['leasehold_hq', 'leasehold_app']) AS name
            WHERE NOT pg_has_role(current_user, name, 'USAGE')";
        Ok(sqlx::query_scalar(sql).fetch_all(&self.pool).await?)
    }

    /// The region that a tenant was in when it was removed last: what is left of it, its audit chain, items and usage, is of
    /// that region. Nothing where it never was.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn region_of_removed(&self, tenant: &TenantId) -> Result<Option<Region>, Error> {
        let region: Option<String> = sqlx::query_scalar("SELECT leasehold.hq_removed_region($1)")
            .bind(tenant.as_str())
            .fetch_one(&self.pool)
            .await?;
        Ok(region.and_then(|region| region.parse().ok()))
    }

    /// What a request came to when it was asked before: the key or number of what it made. Of a record of definitions that
    /// was created, updated or retired, it is JSON with its `row_version`, and the `change` on its way to be published; of a
    /// publication, JSON with `revision`, `streams`, the number of `changes`, what was `refused`, and the `trial`.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`] where something else was asked under its key.
    pub async fn earlier(&self, request: &Request) -> Result<Option<String>, Error> {
        let row: Option<(Vec<u8>, Value)> =
            sqlx::query_as("SELECT request_hash, response FROM leasehold.hq_earlier_request($1)")
                .bind(request.name())
                .fetch_optional(&self.pool)
                .await?;
        let Some((hash, response)) = row else { return Ok(None) };
        if hash != request.hash.as_bytes() {
            return Err(Error::IdempotencyKeyReused { key: request.key.as_str().to_owned() });
        }
        Ok(response.get("subject").and_then(Value::as_str).map(str::to_owned))
    }

    /// Definitions as they are authored now, without tenants: what a proposal would propose.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`]; [`Error::Refused`] where rows were written past this crate.
    pub async fn definitions(&self) -> Result<Definitions, Error> {
        read_definitions(&mut *self.pool.acquire().await?, None).await
    }

    /// A tenant as it is authored now.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn tenant(&self, id: &TenantId) -> Result<Versioned<Tenant>, Error> {
        let mut connection = self.pool.acquire().await?;
        let found = read_tenants(&mut connection, &[id.as_str().to_owned()]).await?.pop();
        let (_, row_version, tenant) = found.ok_or_else(|| not_found("tenant", id.as_str()))?;
        Ok(Versioned { row_version, record: tenant? })
    }

    /// Ids of tenants in order, a page of them: those after an id.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn tenant_ids(&self, after: Option<&TenantId>, at_most: u32) -> Result<Vec<TenantId>, Error> {
        let ids: Vec<String> = sqlx::query_scalar("SELECT leasehold.hq_tenant_ids($1, $2)")
            .bind(after.map_or("", TenantId::as_str))
            .bind(i64::from(at_most))
            .fetch_all(&self.pool)
            .await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }
}

/// Definitions without tenants; of one file where it is named.
pub(crate) async fn read_definitions(connection: &mut PgConnection, file: Option<&str>) -> Result<Definitions, Error> {
    let text: String = sqlx::query_scalar("SELECT leasehold.hq_definitions_document($1)::text")
        .bind(file)
        .fetch_one(connection)
        .await?;
    parse(text)
}

/// Tenants that are named, with what is wrong with those that cannot be read.
pub(crate) async fn read_tenants(
    connection: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<(TenantId, RowVersion, Result<Tenant, Error>)>, Error> {
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as("SELECT tenant_org_id, row_version, document::text FROM leasehold.hq_tenant_documents($1)")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    let read = rows.into_iter().filter_map(|(id, row_version, document)| {
        let (id, tenant) = read_tenant(&id, &document)?;
        Some((id, RowVersion(row_version), tenant))
    });
    Ok(read.collect())
}

/// A tenant as the database tells it, or what is wrong with it.
pub(crate) fn read_tenant(id: &str, document: &str) -> Option<(TenantId, Result<Tenant, Error>)> {
    let id: TenantId = id.parse().ok()?;
    let tenant = parse_tenant(id.as_str(), document)
        .and_then(|mut definitions| definitions.tenants.remove(&id).ok_or_else(|| not_found("tenant", id.as_str())));
    Some((id, tenant))
}

/// Definitions of nothing but a tenant, as the database tells it.
fn parse_tenant(id: &str, document: &str) -> Result<Definitions, Error> {
    parse(format!("{{\"tenants\":{{\"{id}\":{document}}}}}"))
}

pub(crate) fn parse(text: String) -> Result<Definitions, Error> {
    Ok(load(&[Source { name: "database".into(), bytes: text.into_bytes() }])?)
}

pub(crate) fn not_found(what: &'static str, key: &str) -> Error {
    Error::NotFound { what, key: key.to_owned() }
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Writes to an audit chain, in the transaction of what it tells.
pub(crate) async fn record(
    connection: &mut PgConnection,
    tenant: Option<&TenantId>,
    actor: &Actor,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<(), Error> {
    audit::append(connection, &entry(tenant, actor, action, subject, detail)?).await?;
    if tenant.is_none() {
        remember(connection, actor, subject).await?;
    }
    Ok(())
}

/// Keeps what a request came to, in the transaction of its effect.
pub(crate) async fn remember(connection: &mut PgConnection, actor: &Actor, subject: &str) -> Result<(), Error> {
    let Some(request) = &actor.request else { return Ok(()) };
    let kept: bool = sqlx::query_scalar("SELECT leasehold.hq_remember_request($1, $2, $3)")
        .bind(request.name())
        .bind(request.hash.as_bytes().to_vec())
        .bind(json!({ "subject": subject }))
        .fetch_one(connection)
        .await?;
    // Somebody asked the same in between: what was done here is undone, and they are asked for their answer.
    if kept { Ok(()) } else { Err(Error::Contended { attempts: 1 }) }
}

/// What is to be written to an audit chain.
fn entry(
    tenant: Option<&TenantId>,
    actor: &Actor,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<audit::Entry, Error> {
    if actor.name.trim().is_empty() {
        let message = "nobody is named as who does it; give the name that the audit log is to have".to_owned();
        return Err(Error::InvalidArgument { message });
    }
    Ok(audit::Entry {
        tenant: tenant.cloned(),
        at: now(),
        actor: actor.name.clone(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
        trace_id: actor.trace_id.clone(),
    })
}

/// The definitions in force, or those that were authored where none are.
pub(crate) async fn in_force(hq: &Hq, connection: &mut PgConnection) -> Result<Arc<InForce>, Error> {
    let Some(reference) = in_force_reference(connection).await? else {
        let definitions = read_definitions(connection, None).await?;
        return Ok(Arc::new(InForce::of(None, definitions)?));
    };
    hq.in_force_at(connection, reference).await
}
