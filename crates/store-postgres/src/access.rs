//! Who may ask HQ for what: staff, their sessions, tokens of programs, and the keys that servers sign slices with.
//!
//! This is where it is kept. What a role or a scope may do is for the server to say. Secrets never come here: only their
//! SHA-256, and of passwords what Argon2id makes of them.

use crate::Error;
use crate::error::retried;
use crate::hq::{Actor, Hq, not_found, record};
use leasehold::build::Terms;
use leasehold::wire::SliceKey;
use leasehold::{Region, TenantId, Timestamp};
use serde::Serialize;
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// The channel on which the database tells that what is remembered of anybody's rights is out of date.
pub const ACCESS_CHANNEL: &str = "leasehold_access";

/// Somebody who works at HQ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Staff {
    /// The name that they sign in with.
    pub id: String,
    /// Their role, such as `biz_admin`.
    pub role: String,
    /// Since when they are known.
    pub created_at: Timestamp,
    /// Who added them.
    pub created_by: String,
    /// Since when they may do nothing any more.
    pub disabled_at: Option<Timestamp>,
}

/// A token of a program, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    /// The part of the token that is no secret.
    pub id: String,
    /// What it is for, as the audit log names it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The only region that it reaches.
    pub region: Option<Region>,
    /// The only tenant that it reaches.
    pub tenant: Option<TenantId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
    /// Since when it is not good any more.
    pub revoked_at: Option<Timestamp>,
}

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewToken<'t> {
    /// See [`ApiToken`].
    pub id: &'t str,
    /// See [`ApiToken`].
    pub name: &'t str,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// See [`ApiToken`].
    pub scopes: &'t [String],
    /// See [`ApiToken`].
    pub region: Option<&'t Region>,
    /// See [`ApiToken`].
    pub tenant: Option<&'t TenantId>,
    /// See [`ApiToken`].
    pub expires_at: Option<Timestamp>,
}

/// What is changed about somebody who works at HQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaffChange {
    /// They have another role.
    Role(String),
    /// They have another password: what Argon2id makes of it.
    Password(String),
    /// They may do nothing any more.
    Disable,
    /// They may do what their role says again.
    Enable,
}

impl StaffChange {
    fn action(&self) -> &'static str {
        match self {
            Self::Role(_) => "staff.role_changed",
            Self::Password(_) => "staff.password_changed",
            Self::Disable => "staff.disabled",
            Self::Enable => "staff.enabled",
        }
    }
}

const TOKEN: &str = "SELECT token_id, name, secret_hash, scopes, region, tenant,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS created_at, created_by,
    to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS expires_at,
    to_char(revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS revoked_at
    FROM leasehold.sys_api_tokens";
const STAFF: &str = "SELECT staff_id, role,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS created_at, created_by,
    to_char(disabled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS disabled_at, password_hash
    FROM leasehold.sys_staff";

impl Hq {
    /// Whether anybody works at HQ yet.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn has_staff(&self) -> Result<bool, Error> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM leasehold.sys_staff)").fetch_one(&self.pool).await?)
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Constraint`] where there is no such role, or the name cannot be one.
    pub async fn add_staff(&self, id: &str, role: &str, password_hash: &str, actor: &Actor) -> Result<Staff, Error> {
        let mut transaction = self.pool.begin().await?;
        let added = sqlx::query(
            "INSERT INTO leasehold.sys_staff (staff_id, role, password_hash, created_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(role)
        .bind(password_hash)
        .bind(&actor.name)
        .execute(&mut *transaction)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Error::Exists { what: "member of staff", key: id.to_owned() });
        }
        record(&mut transaction, None, actor, "staff.added", id, json!({ "role": role })).await?;
        transaction.commit().await?;
        Ok(self.staff_member(id).await?.0)
    }

    /// Changes something about somebody, and ends their sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Constraint`] where there is no such role; [`Error::InvalidArgument`] where nobody would
    /// be left who administers the others.
    pub async fn change_staff(&self, id: &str, change: &StaffChange, actor: &Actor) -> Result<Staff, Error> {
        retried!(self.try_change_staff(id, change, actor))?;
        Ok(self.staff_member(id).await?.0)
    }

    async fn try_change_staff(&self, id: &str, change: &StaffChange, actor: &Actor) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        // Two administrators who take leave of each other would leave nobody.
        sqlx::query("SELECT FROM leasehold.sys_staff WHERE role = 'super_admin' ORDER BY staff_id FOR UPDATE")
            .execute(&mut *transaction)
            .await?;
        let (column, value): (_, Option<&str>) = match change {
            StaffChange::Role(role) => ("role = $2", Some(role)),
            StaffChange::Password(hash) => ("password_hash = $2", Some(hash)),
            StaffChange::Disable => ("disabled_at = coalesce(disabled_at, now())", None),
            StaffChange::Enable => ("disabled_at = NULL", None),
        };
        let sql = format!("UPDATE leasehold.sys_staff SET {column} WHERE staff_id = $1");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id);
        if let Some(value) = value {
            query = query.bind(value);
        }
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Err(not_found("member of staff", id));
        }
        let led: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM leasehold.sys_staff WHERE role = 'super_admin' AND disabled_at IS NULL)",
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !led {
            let message = "no super_admin would be left; make somebody else one first".to_owned();
            return Err(Error::InvalidArgument { message });
        }
        sqlx::query("DELETE FROM leasehold.sys_staff_sessions WHERE staff_id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let detail = match change {
            StaffChange::Role(role) => json!({ "role": role }),
            _ => json!({}),
        };
        record(&mut transaction, None, actor, change.action(), id, detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Everybody, by name: those after a name.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn staff(&self, after: Option<&str>, at_most: u32) -> Result<Vec<Staff>, Error> {
        let sql = format!("{STAFF} WHERE staff_id > $1 ORDER BY staff_id LIMIT $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after.unwrap_or_default()).bind(i64::from(at_most));
        query.fetch_all(&self.pool).await?.iter().map(|row| Ok(staff_of(row)?.0)).collect()
    }

    /// Somebody, and what Argon2id makes of their password.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn staff_member(&self, id: &str) -> Result<(Staff, String), Error> {
        let sql = format!("{STAFF} WHERE staff_id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&self.pool).await?;
        staff_of(&row.ok_or_else(|| not_found("member of staff", id))?)
    }

    /// Signs somebody in, and forgets sessions that are over. `verified` is what was kept of the password that they gave;
    /// nothing where none was asked for.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is nobody of that name, or they were disabled or got another password meanwhile.
    pub async fn sign_in(
        &self,
        id: &str,
        verified: Option<&str>,
        secret_hash: [u8; 32],
        until: Timestamp,
        actor: &Actor,
    ) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        // Whoever changes something about them waits, and ends this session too.
        let known: Option<bool> = sqlx::query_scalar(
            "SELECT true FROM leasehold.sys_staff WHERE staff_id = $1 AND disabled_at IS NULL
                 AND ($2::text IS NULL OR password_hash = $2) FOR UPDATE",
        )
        .bind(id)
        .bind(verified)
        .fetch_optional(&mut *transaction)
        .await?;
        known.ok_or_else(|| not_found("member of staff", id))?;
        sqlx::query("DELETE FROM leasehold.sys_staff_sessions WHERE staff_id = $1 AND expires_at <= now()")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO leasehold.sys_staff_sessions (secret_hash, staff_id, expires_at) VALUES ($1, $2, $3::timestamptz)",
        )
        .bind(secret_hash.to_vec())
        .bind(id)
        .bind(until.to_string())
        .execute(&mut *transaction)
        .await?;
        record(&mut transaction, None, actor, "staff.signed_in", id, json!({ "until": until })).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn sign_out(&self, secret_hash: [u8; 32]) -> Result<(), Error> {
        sqlx::query("DELETE FROM leasehold.sys_staff_sessions WHERE secret_hash = $1")
            .bind(secret_hash.to_vec())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whose session it is, and until when; nothing where it is nobody's, over, or of somebody who was disabled.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn session(&self, secret_hash: [u8; 32]) -> Result<Option<(Staff, Timestamp)>, Error> {
        let row = sqlx::query(
            "SELECT staff_id, role, to_char(s.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')
                 AS created_at, created_by, NULL::text AS disabled_at, password_hash,
                 to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS expires_at
             FROM leasehold.sys_staff_sessions JOIN leasehold.sys_staff s USING (staff_id)
             WHERE secret_hash = $1 AND expires_at > now() AND disabled_at IS NULL",
        )
        .bind(secret_hash.to_vec())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let until = instant(&row, "expires_at")?.unwrap_or(Timestamp::MIN);
        Ok(Some((staff_of(&row)?.0, until)))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`Error::Constraint`] where something about it cannot be; [`Error::Exists`] where the id is taken.
    pub async fn create_token(&self, new: &NewToken<'_>, actor: &Actor) -> Result<ApiToken, Error> {
        let mut transaction = self.pool.begin().await?;
        let created = sqlx::query(
            "INSERT INTO leasehold.sys_api_tokens (token_id, name, secret_hash, scopes, region, tenant, created_by,
                 expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz) ON CONFLICT DO NOTHING",
        )
        .bind(new.id)
        .bind(new.name)
        .bind(new.secret_hash.to_vec())
        .bind(new.scopes)
        .bind(new.region.map(Region::as_str))
        .bind(new.tenant.map(TenantId::as_str))
        .bind(&actor.name)
        .bind(new.expires_at.map(|at| at.to_string()))
        .execute(&mut *transaction)
        .await?;
        if created.rows_affected() == 0 {
            return Err(Error::Exists { what: "token", key: new.id.to_owned() });
        }
        let NewToken { name, scopes, region, tenant, expires_at, .. } = new;
        let detail = json!({
            "name": name, "scopes": scopes, "region": region, "tenant": tenant, "expires_at": expires_at,
        });
        record(&mut transaction, None, actor, "token.created", new.id, detail).await?;
        transaction.commit().await?;
        self.token(new.id).await?.map(|(token, _)| token).ok_or_else(|| not_found("token", new.id))
    }

    /// Ends a token; ended before, it stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_token(&self, id: &str, actor: &Actor) -> Result<ApiToken, Error> {
        let mut transaction = self.pool.begin().await?;
        let revoked = sqlx::query(
            "UPDATE leasehold.sys_api_tokens SET revoked_at = now() WHERE token_id = $1 AND revoked_at IS NULL",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if revoked.rows_affected() > 0 {
            record(&mut transaction, None, actor, "token.revoked", id, json!({})).await?;
            transaction.commit().await?;
        }
        self.token(id).await?.map(|(token, _)| token).ok_or_else(|| not_found("token", id))
    }

    /// A token, revoked and expired ones too, and the SHA-256 of its secret.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn token(&self, id: &str) -> Result<Option<(ApiToken, Vec<u8>)>, Error> {
        let sql = format!("{TOKEN} WHERE token_id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(token_of).transpose()
    }

    /// Tokens by id: those after one.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn tokens(&self, after: Option<&str>, at_most: u32) -> Result<Vec<ApiToken>, Error> {
        let sql = format!("{TOKEN} WHERE token_id > $1 ORDER BY token_id LIMIT $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after.unwrap_or_default()).bind(i64::from(at_most));
        query.fetch_all(&self.pool).await?.iter().map(|row| Ok(token_of(row)?.0)).collect()
    }

    /// Says that a server signs slices with a key, so that heads certify it from now on; forgets keys that are over.
    ///
    /// # Errors
    /// [`Error::Constraint`] where it is to be good for more than 24 hours.
    pub async fn offer_slice_key(&self, key: &SliceKey) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM leasehold.sys_slice_keys WHERE valid_until <= now()")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO leasehold.sys_slice_keys (public_key, valid_from, valid_until)
             VALUES (decode($1, 'hex'), $2::timestamptz, $3::timestamptz) ON CONFLICT DO NOTHING",
        )
        .bind(key.key.to_string())
        .bind(key.valid_from.to_string())
        .bind(key.valid_until.to_string())
        .execute(&mut *transaction)
        .await?;
        // Whoever publishes signs heads that certify it.
        sqlx::query("NOTIFY leasehold_publish").execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

/// How many slice keys a head certifies, as Postgres counts.
pub(crate) fn most_slice_keys() -> i32 {
    i32::try_from(Terms::MOST_SLICE_KEYS).unwrap_or(i32::MAX)
}

/// The slice keys that are good now, as many as a head certifies, those that end last first.
pub(crate) async fn slice_keys(connection: &mut PgConnection) -> Result<Vec<SliceKey>, Error> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT public_key, valid_from, valid_until FROM leasehold.hq_slice_keys($1)")
            .bind(most_slice_keys())
            .fetch_all(connection)
            .await?;
    Ok(rows.iter().filter_map(|(key, from, until)| slice_key(key, from, until)).collect())
}

/// A slice key as the database tells it.
pub(crate) fn slice_key(key: &str, valid_from: &str, valid_until: &str) -> Option<SliceKey> {
    let (key, valid_from, valid_until) = (key.parse().ok()?, valid_from.parse().ok()?, valid_until.parse().ok()?);
    Some(SliceKey { key, valid_from, valid_until })
}

fn instant(row: &PgRow, column: &str) -> Result<Option<Timestamp>, Error> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

fn staff_of(row: &PgRow) -> Result<(Staff, String), Error> {
    let staff = Staff {
        id: row.try_get("staff_id")?,
        role: row.try_get("role")?,
        created_at: instant(row, "created_at")?.unwrap_or(Timestamp::MIN),
        created_by: row.try_get("created_by")?,
        disabled_at: instant(row, "disabled_at")?,
    };
    Ok((staff, row.try_get("password_hash")?))
}

fn token_of(row: &PgRow) -> Result<(ApiToken, Vec<u8>), Error> {
    let (region, tenant): (Option<String>, Option<String>) = (row.try_get("region")?, row.try_get("tenant")?);
    // What cannot be read reaches nobody: a token without its bounds would reach all.
    let unreadable = |what| Error::InvalidArgument { message: format!("the {what} of a token cannot be read") };
    let token = ApiToken {
        id: row.try_get("token_id")?,
        name: row.try_get("name")?,
        scopes: row.try_get("scopes")?,
        region: region.map(|region| region.parse().map_err(|_| unreadable("region"))).transpose()?,
        tenant: tenant.map(|tenant| tenant.parse().map_err(|_| unreadable("tenant"))).transpose()?,
        created_at: instant(row, "created_at")?.unwrap_or(Timestamp::MIN),
        created_by: row.try_get("created_by")?,
        expires_at: instant(row, "expires_at")?,
        revoked_at: instant(row, "revoked_at")?,
    };
    Ok((token, row.try_get("secret_hash")?))
}
