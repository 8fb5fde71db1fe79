//! Audit chains.

use crate::Error;
use leasehold::wire::canonical;
use leasehold::{TenantId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The tenant; none for what concerns all of them.
    pub tenant: Option<TenantId>,
    /// When.
    #[serde(serialize_with = "as_ms")]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub subject: String,
    /// More of it.
    pub detail: Value,
    /// The trace that it was part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

fn as_ms<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.as_ms())
}

/// Appends an entry.
pub(crate) async fn append(connection: &mut PgConnection, entry: &Entry) -> Result<i64, Error> {
    let body =
        canonical::to_vec(entry).map_err(|error| Error::Constraint { constraint: None, message: error.to_string() })?;
    let seq = sqlx::query_scalar("SELECT leasehold.append_audit($1, $2::timestamptz, $3, $4, $5, $6)")
        .bind(entry.tenant.as_ref().map_or("", TenantId::as_str))
        .bind(entry.at.to_string())
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.trace_id)
        .bind(body)
        .fetch_one(connection)
        .await?;
    Ok(seq)
}
