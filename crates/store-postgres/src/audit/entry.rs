//! Entries, and how they get into a chain.

use crate::Error;
use leasehold::wire::canonical;
use leasehold::{TenantId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Whose chain it belongs to; nothing for what concerns all tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// When, in the years 1 to 9999.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done, as `tenant.plan.changed`.
    pub action: String,
    /// What it was done to, as `plan:growth`.
    pub subject: String,
    /// More about it: JSON whose numbers are integers within ±(2^53 − 1), nested 126 deep at most.
    pub detail: Value,
    /// The trace that it was part of; 256 bytes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Entry {
    /// The bytes that are kept and hashed: the entry as canonical JSON, with times in milliseconds, and without the
    /// tenant or trace where there is none.
    ///
    /// # Errors
    /// [`Error::NoCanonicalForm`] where the detail holds what has no canonical form, [`Error::NulCharacter`].
    pub fn body(&self) -> Result<Vec<u8>, Error> {
        let body = canonical::to_vec(self)?;
        if holds_nul(&body) { Err(Error::NulCharacter) } else { Ok(body) }
    }
}

/// Whether canonical JSON holds U+0000. Bytes would take it, and the columns beside them, and jsonb, would not.
fn holds_nul(json: &[u8]) -> bool {
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        // What stands behind a backslash belongs to it: `\\u0000` is a backslash and a `u0000`.
        if *byte == b'\\' && bytes.next() == Some(&b'u') && bytes.as_slice().starts_with(b"0000") {
            return true;
        }
    }
    false
}

/// Appends an entry to its chain, in one round trip, and gives its number there.
///
/// It is there when the transaction commits, and leaves no trace where that does not. Until then nobody else appends to
/// the same chain: append last.
///
/// # Errors
/// Those of [`Entry::body`]; [`Error::Contended`] in transactions of a stricter level than read committed, where another
/// one appended first; [`Error::Constraint`] where the trace is too long.
pub async fn append(connection: &mut PgConnection, entry: &Entry) -> Result<u64, Error> {
    let body = entry.body()?;
    let seq: i64 = sqlx::query_scalar("SELECT leasehold.append_audit($1, $2::text::timestamptz, $3, $4, $5, $6)")
        .bind(entry.tenant.as_ref().map_or("", TenantId::as_str))
        .bind(entry.at.to_string())
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.trace_id)
        .bind(body)
        .fetch_one(connection)
        .await?;
    Ok(seq.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::holds_nul;

    #[test]
    fn nul_is_told_from_what_looks_like_it() {
        for (text, holds) in [
            (r#""a\u0000b""#, true),
            (r#""\\\u0000""#, true),
            (r#""\\u0000""#, false),
            (r#""\\\\u0000""#, false),
            (r#""\u0001""#, false),
            (r#""u0000""#, false),
            (r#""\n\u0000""#, true),
            (r#"{"\u0000":1}"#, true),
        ] {
            assert_eq!(holds_nul(text.as_bytes()), holds, "{text}");
        }
    }
}
