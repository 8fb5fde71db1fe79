//! Items: created, read, and moved as the engine decides.

use crate::error::retried;
use crate::{Error, TenantTransaction};
use leasehold::workflow::{Context, Input};
use leasehold::{
    CategoryKey, Engine, Error as Question, EventKey, StageId, TenantId, Timestamp, TransitionId, WorkflowKey,
};
use serde_json::{Map, Value, json};
use sqlx::postgres::{PgDatabaseError, PgRow};
use sqlx::{PgPool, Row};
use std::error::Error as StdError;
use std::str::FromStr;

/// What moves from stage to stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The id that the app gave it.
    pub id: String,
    /// The template that it moves by.
    pub workflow: WorkflowKey,
    /// Its service category.
    pub category: Option<CategoryKey>,
    /// Where it is.
    pub stage: StageId,
    /// Grows by one with every move, from 1: who moves it names the one that was seen.
    pub row_version: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it moved last.
    pub updated_at: Timestamp,
}

/// An item that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewItem<'r> {
    /// Its id, of 1 to 255 bytes, unique among the tenant's items.
    pub id: &'r str,
    /// The template that it is to move by.
    pub workflow: &'r str,
    /// Its service category.
    pub category: Option<&'r str>,
    /// Who creates it.
    pub actor: &'r str,
    /// What tells this request from others, of 1 to 255 bytes: the same request under the same key is answered as it was
    /// the first time.
    pub idempotency_key: Option<&'r str>,
    /// The trace that it is part of, of at most 256 bytes.
    pub trace_id: Option<&'r str>,
}

/// A move that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Move<'r> {
    /// The item.
    pub item: &'r str,
    /// The stage that it is to enter.
    pub to: &'r str,
    /// The item's version as it was seen: if it is another one by now, somebody else has moved it.
    pub expected_row_version: i64,
    /// Who moves it.
    pub actor: &'r str,
    /// What tells this request from others, of 1 to 255 bytes: the same request under the same key is answered as it was
    /// the first time.
    pub idempotency_key: Option<&'r str>,
    /// The trace that it is part of, of at most 256 bytes.
    pub trace_id: Option<&'r str>,
}

/// A move that was made, or the beginning of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The item.
    pub item: String,
    /// The version that it came to.
    pub row_version: i64,
    /// The transition that was taken; absent where the item began.
    pub transition: Option<TransitionId>,
    /// What happened; absent where the item began.
    pub event: Option<EventKey>,
    /// The stage that it left; absent where it began.
    pub from: Option<StageId>,
    /// The stage that it entered.
    pub to: StageId,
    /// When.
    pub at: Timestamp,
    /// Number of the entry in the tenant's audit chain.
    pub audit_seq: i64,
    /// Whether it had been made before, under the same idempotency key.
    pub repeated: bool,
}

/// Lets an item begin, in the initial stage of its machine.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Question`] with `unknown_workflow` or `inactive_template`, of the machines that the database
/// has; [`Error::InvalidIdempotencyKey`], [`Error::IdempotencyKeyReused`]; [`Error::Constraint`] where the id is empty or
/// too long, the category is none, or the trace is too long; [`Error::NulCharacter`]. The transaction has to be undone
/// then.
pub async fn create_item(transaction: &mut TenantTransaction, new: &NewItem<'_>) -> Result<Moved, Error> {
    let row = sqlx::query(
        "SELECT m.*, (extract(epoch FROM m.at) * 1000)::bigint AS at_ms
         FROM leasehold.hq_create_item($1, $2, $3, $4, $5, $6) AS m",
    )
    .bind(new.id)
    .bind(new.workflow)
    .bind(new.category)
    .bind(new.actor)
    .bind(new.idempotency_key)
    .bind(new.trace_id)
    .fetch_one(transaction.connection())
    .await
    .map_err(|error| refused(error, new.id))?;
    moved(&row)
}

/// Reads an item.
///
/// # Errors
/// [`Error::UnknownItem`]; [`Error::Database`], [`Error::Unreachable`].
pub async fn item(transaction: &mut TenantTransaction, id: &str) -> Result<Item, Error> {
    let row = sqlx::query(
        "SELECT workflow_key, nullif(category, '') AS category, stage, row_version,
            (extract(epoch FROM created_at) * 1000)::bigint AS created_ms,
            (extract(epoch FROM updated_at) * 1000)::bigint AS updated_ms
         FROM leasehold.org_workflow_items WHERE tenant_org_id = $1 AND item_id = $2",
    )
    .bind(transaction.tenant().to_string())
    .bind(id)
    .fetch_optional(transaction.connection())
    .await?
    .ok_or_else(|| Error::UnknownItem(id.to_owned()))?;
    Ok(Item {
        id: id.to_owned(),
        workflow: parsed(row.try_get("workflow_key")?)?,
        category: row.try_get::<Option<&str>, _>("category")?.map(parsed).transpose()?,
        stage: parsed(row.try_get("stage")?)?,
        row_version: row.try_get("row_version")?,
        created_at: instant(&row, "created_ms")?,
        updated_at: instant(&row, "updated_ms")?,
    })
}

/// Moves an item to another stage, if the engine says that it may: by the first transition in declared order that is
/// enabled. Item, log, audit entry, event and idempotency key are written together; nothing is where the move is refused.
///
/// The item is held from here to the end of the transaction. An input that no guard can look at is logged as null.
///
/// Needs role `leasehold_hq`: who can log in so decides by itself what may move, and is believed.
///
/// # Errors
/// [`Error::UnknownItem`]; [`Error::Conflict`] where somebody else has moved it; [`Error::Question`] with what the engine
/// says: `unknown_tenant`, `unknown_workflow`, `inactive_template`, `unknown_stage`, `illegal_transition`, `guard_failed`
/// with all that blocks; [`Error::InvalidIdempotencyKey`], [`Error::IdempotencyKeyReused`]; [`Error::Constraint`] where the
/// trace is too long; [`Error::NulCharacter`]; [`Error::Contended`].
pub async fn transition(
    transaction: &mut TenantTransaction,
    engine: &Engine,
    asked: &Move<'_>,
    context: &Context<'_>,
) -> Result<Moved, Error> {
    let known = written(context);
    let begun = sqlx::query(
        "SELECT b.workflow_key, nullif(b.category, '') AS category, b.from_stage AS here, e.*,
            (extract(epoch FROM e.at) * 1000)::bigint AS at_ms
         FROM leasehold.hq_begin_move($1, $2, $3, $4, $5, $6, $7, $8) AS b, LATERAL (SELECT (b.earlier).*) AS e",
    )
    .bind(asked.item)
    .bind(asked.to)
    .bind(&known)
    .bind(context.roles)
    .bind(asked.expected_row_version)
    .bind(asked.actor)
    .bind(asked.idempotency_key)
    .bind(asked.trace_id)
    .fetch_one(transaction.connection())
    .await
    .map_err(|error| refused(error, asked.item))?;
    if begun.try_get::<Option<bool>, _>("repeated")? == Some(true) {
        return moved(&begun);
    }
    let (workflow, category): (&str, Option<&str>) = (begun.try_get("workflow_key")?, begun.try_get("category")?);
    let machine = engine.machine(transaction.tenant().as_str(), workflow, category)?;
    let allowed = machine.check(begun.try_get("here")?, asked.to, context)?;
    let row = sqlx::query(
        "SELECT m.*, (extract(epoch FROM m.at) * 1000)::bigint AS at_ms
         FROM leasehold.hq_move_item($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'engine') AS m",
    )
    .bind(asked.item)
    .bind(asked.to)
    .bind(&known)
    .bind(context.roles)
    .bind(asked.expected_row_version)
    .bind(asked.actor)
    .bind(asked.idempotency_key)
    .bind(asked.trace_id)
    .bind(allowed.transition.as_str())
    .bind(allowed.event.as_str())
    .bind(i64::from(machine.version()))
    .fetch_one(transaction.connection())
    .await
    .map_err(|error| refused(error, asked.item))?;
    moved(&row)
}

/// Moves an item as [`transition`] does, in a transaction of its own, again where others got in its way.
///
/// # Errors
/// As [`transition`]; [`Error::Contended`] where others did every time. After [`Error::Unreachable`] nobody knows whether
/// the item was moved: ask again, with an idempotency key.
pub async fn move_item(
    pool: &PgPool,
    tenant: &TenantId,
    engine: &Engine,
    asked: &Move<'_>,
    context: &Context<'_>,
) -> Result<Moved, Error> {
    retried!(move_once(pool, tenant, engine, asked, context))
}

async fn move_once(
    pool: &PgPool,
    tenant: &TenantId,
    engine: &Engine,
    asked: &Move<'_>,
    context: &Context<'_>,
) -> Result<Moved, Error> {
    let mut transaction = TenantTransaction::begin(pool, tenant).await?;
    let moved = transition(&mut transaction, engine, asked, context).await?;
    transaction.commit().await?;
    Ok(moved)
}

/// The inputs of a context as JSON; of two with one name the first counts.
fn written(context: &Context<'_>) -> Value {
    let mut inputs = Map::new();
    for (name, input) in context.inputs {
        inputs.entry(*name).or_insert_with(|| match input {
            Input::Bool(value) => json!(value),
            Input::Integer(value) => json!(value),
            Input::String(text) => json!(text),
            Input::Strings(items) => json!(items),
            Input::Other(_) => Value::Null,
        });
    }
    Value::Object(inputs)
}

/// What the schema's functions refuse: the code is the message, the facts are JSON.
fn refused(error: sqlx::Error, item: &str) -> Error {
    let said = error.as_database_error().and_then(|said| said.try_downcast_ref::<PgDatabaseError>());
    let Some(said) = said.filter(|said| said.code() == "LH001") else {
        return error.into();
    };
    let facts: Value = said.detail().and_then(|facts| serde_json::from_str(facts).ok()).unwrap_or_default();
    let fact = |key: &str| facts.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| facts.get(key).and_then(Value::as_i64).unwrap_or_default();
    match said.message() {
        "unknown_item" => Error::UnknownItem(item.to_owned()),
        "already_exists" => Error::Exists { what: "item", key: item.to_owned() },
        "row_version_conflict" => Error::Conflict {
            what: "item",
            key: item.to_owned(),
            expected: number("expected"),
            actual: number("actual"),
        },
        "invalid_idempotency_key" => {
            Error::InvalidIdempotencyKey { bytes: usize::try_from(number("bytes")).unwrap_or_default() }
        }
        "invalid_argument" => {
            let message =
                format!("`{}` is not what it has to be: {}", fact("argument"), said.hint().unwrap_or_default());
            Error::InvalidArgument { message }
        }
        "idempotency_key_reused" => Error::IdempotencyKeyReused { key: fact("idempotency_key").to_owned() },
        "unknown_workflow" => Question::UnknownWorkflow(fact("workflow").into()).into(),
        "inactive_template" => Question::InactiveTemplate(fact("workflow").into()).into(),
        _ => error.into(),
    }
}

fn moved(row: &PgRow) -> Result<Moved, Error> {
    Ok(Moved {
        item: row.try_get("item_id")?,
        row_version: row.try_get("row_version")?,
        transition: row.try_get::<Option<&str>, _>("transition")?.map(parsed).transpose()?,
        event: row.try_get::<Option<&str>, _>("event")?.map(parsed).transpose()?,
        from: row.try_get::<Option<&str>, _>("from_stage")?.map(parsed).transpose()?,
        to: parsed(row.try_get("to_stage")?)?,
        at: instant(row, "at_ms")?,
        audit_seq: row.try_get("audit_seq")?,
        repeated: row.try_get("repeated")?,
    })
}

fn instant(row: &PgRow, column: &str) -> Result<Timestamp, Error> {
    Timestamp::from_ms(row.try_get(column)?).map_err(unreadable)
}

fn parsed<T: FromStr<Err: StdError + Send + Sync + 'static>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(unreadable)
}

fn unreadable(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Database(sqlx::Error::Decode(Box::new(error)))
}
