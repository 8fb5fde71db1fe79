//! Records of definitions, one by one.

use super::files::check_file_name;
use super::{Actor, Hq, not_found, parse, read_definitions, record, remember};
use crate::Error;
use crate::error::retried;
use leasehold::build::{Checker, changed_versions};
use leasehold::model::{
    AddOn, Definitions, Diagnostic, DiagnosticCode, Diagnostics, Feature, Guard, Kill, Plan, Severity, Workflow,
};
use leasehold::{AddOnKey, FeatureKey, GuardKey, PlanKey, RecordId, WorkflowKey};
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

/// Grows with every change of a record. A writer names the one that it saw, and is refused where it is another by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowVersion(pub i64);

/// A record, and the version of it that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<R> {
    /// What a writer names.
    pub row_version: RowVersion,
    /// The record.
    pub record: R,
}

/// A record that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// The version that it has.
    pub row_version: RowVersion,
    /// Of a kill switch, the change on its way to be published: see [`Hq::published`]. Other records wait for a proposal.
    pub change: Option<i64>,
}

/// A record of definitions that has a row of its own.
pub trait Record: Serialize + Clone + Send + Sync + Sized {
    /// What tells it from others.
    type Key: Display + Ord + AsRef<str> + Clone + Send + Sync;
    #[doc(hidden)]
    const WHAT: &'static str;
    #[doc(hidden)]
    const SECTION: &'static str;
    #[doc(hidden)]
    const TABLE: &'static str;
    #[doc(hidden)]
    const KEY: &'static str;
    /// Whether it can be [retired](Hq::retire): nothing new may name it.
    #[doc(hidden)]
    const RETIRES: bool = false;
    #[doc(hidden)]
    fn section(definitions: &mut Definitions) -> &mut BTreeMap<Self::Key, Self>;
}

macro_rules! record {
    ($type:ty, $key:ty, $what:literal, $section:ident, $table:literal, $column:literal $(, $retires:literal)?) => {
        impl Record for $type {
            type Key = $key;
            const WHAT: &'static str = $what;
            const SECTION: &'static str = stringify!($section);
            const TABLE: &'static str = $table;
            const KEY: &'static str = $column;
            $(const RETIRES: bool = $retires;)?
            fn section(definitions: &mut Definitions) -> &mut BTreeMap<$key, Self> {
                &mut definitions.$section
            }
        }
    };
}

record!(Feature, FeatureKey, "feature", features, "sys_features_cf", "feature_key");
record!(Plan, PlanKey, "plan", plans, "sys_plan_subscriptions_types_cf", "plan_key", true);
record!(AddOn, AddOnKey, "add-on", add_ons, "sys_add_ons_cf", "add_on_key", true);
record!(Kill, RecordId, "kill switch", kills, "sys_feature_kills", "kill_id");
record!(Guard, GuardKey, "guard", guards, "sys_guards_cf", "guard_key");
record!(Workflow, WorkflowKey, "workflow", workflows, "workflow_template_cd", "workflow_key");

impl Hq {
    /// A record as it is authored now.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn read<R: Record>(&self, key: &R::Key) -> Result<Versioned<R>, Error> {
        let mut connection = self.pool.acquire().await?;
        let (file, row_version) = row::<R>(&mut connection, key).await?;
        let mut definitions = read_definitions(&mut connection, Some(&file)).await?;
        let record = R::section(&mut definitions).remove(key).ok_or_else(|| not_found(R::WHAT, key.as_ref()))?;
        Ok(Versioned { row_version, record })
    }

    /// Writes a new record, to be exported to a file. Nothing is published by it, but for a kill switch.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Refused`] with all that is wrong with the definitions then; [`Error::InvalidArgument`]
    /// where there can be no such file.
    pub async fn create<R: Record>(&self, key: &R::Key, new: &R, file: &str, actor: &Actor) -> Result<Created, Error> {
        check_file_name(file)?;
        retried!(self.try_create(key, new, file, actor))
    }

    async fn try_create<R: Record>(&self, key: &R::Key, new: &R, file: &str, actor: &Actor) -> Result<Created, Error> {
        let mut transaction = self.write_definitions().await?;
        if row::<R>(&mut transaction, key).await.is_ok() {
            return Err(Error::Exists { what: R::WHAT, key: key.to_string() });
        }
        put(&mut transaction, key, new, file).await?;
        let change = sqlx::query_scalar("SELECT leasehold.hq_kill_change()").fetch_one(&mut *transaction).await?;
        let (_, row_version) = row::<R>(&mut transaction, key).await?;
        let created = Created { row_version, change };
        finish::<R>(transaction, actor, "created", key, json!({ "value": new }), Some(created)).await?;
        Ok(created)
    }

    /// Writes a record in place of the version that was read.
    ///
    /// Versions of plans and workflows that were published stay as they are; what is new comes as another version.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] where somebody else was faster; [`Error::Refused`] with all that is wrong
    /// with the definitions then, versions among it that were published, and are others here or left out.
    pub async fn update<R: Record>(
        &self,
        key: &R::Key,
        changed: &Versioned<R>,
        actor: &Actor,
    ) -> Result<RowVersion, Error> {
        retried!(self.try_update(key, changed, actor))
    }

    async fn try_update<R: Record>(
        &self,
        key: &R::Key,
        changed: &Versioned<R>,
        actor: &Actor,
    ) -> Result<RowVersion, Error> {
        let mut transaction = self.write_definitions().await?;
        let (file, actual) = row::<R>(&mut transaction, key).await?;
        unchanged::<R>(key, changed.row_version, actual)?;
        put(&mut transaction, key, &changed.record, &file).await?;
        let row_version = RowVersion(actual.0 + 1);
        let answer = Some(Created { row_version, change: None });
        finish::<R>(transaction, actor, "changed", key, json!({ "value": changed.record }), answer).await?;
        Ok(row_version)
    }

    /// Removes a record that nothing names.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`]; [`Error::Constraint`] where a version of it was published;
    /// [`Error::Refused`] with every place in definitions that names it; [`Error::StillNamed`] where a tenant does.
    pub async fn remove<R: Record>(&self, key: &R::Key, seen: RowVersion, actor: &Actor) -> Result<(), Error> {
        retried!(self.try_remove::<R>(key, seen, actor))
    }

    async fn try_remove<R: Record>(&self, key: &R::Key, seen: RowVersion, actor: &Actor) -> Result<(), Error> {
        let mut transaction = self.write_definitions().await?;
        let (_, actual) = row::<R>(&mut transaction, key).await?;
        unchanged::<R>(key, seen, actual)?;
        let mut authored = read_definitions(&mut transaction, None).await?;
        R::section(&mut authored).remove(key);
        let named = Checker::new(&authored).err();
        let sql = format!("DELETE FROM leasehold.{} WHERE {} = $1", R::TABLE, R::KEY);
        let deleted = sqlx::query(AssertSqlSafe(sql)).bind(key.as_ref()).execute(&mut *transaction).await;
        match (deleted.map_err(Error::from), named) {
            (Ok(_) | Err(Error::StillNamed { .. }), Some(named)) => {
                let here = |one| Diagnostic {
                    message: format!("{} `{key}` is still named here", R::WHAT),
                    hint: "take it out here first".to_owned(),
                    ..one
                };
                return Ok(Diagnostics::refuse_if_any(named.into_vec().into_iter().map(here).collect())?);
            }
            (deleted, _) => deleted?,
        };
        finish::<R>(transaction, actor, "removed", key, json!({}), None).await
    }

    /// Retires a plan or add-on: who has it keeps it, and nobody gets it any more.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`]; [`Error::Constraint`] where such records are not retired.
    pub async fn retire<R: Record>(&self, key: &R::Key, seen: RowVersion, actor: &Actor) -> Result<RowVersion, Error> {
        if !R::RETIRES {
            let message = format!("a {} is not retired; remove it where nothing names it", R::WHAT);
            return Err(Error::Constraint { constraint: None, message });
        }
        retried!(self.try_retire::<R>(key, seen, actor))
    }

    async fn try_retire<R: Record>(&self, key: &R::Key, seen: RowVersion, actor: &Actor) -> Result<RowVersion, Error> {
        let mut transaction = self.write_definitions().await?;
        let (_, actual) = row::<R>(&mut transaction, key).await?;
        unchanged::<R>(key, seen, actual)?;
        let sql = format!(
            "UPDATE leasehold.{} SET retired_at = coalesce(retired_at, now()), row_version = row_version + 1,
                 updated_at = now() WHERE {} = $1",
            R::TABLE,
            R::KEY
        );
        sqlx::query(AssertSqlSafe(sql)).bind(key.as_ref()).execute(&mut *transaction).await?;
        let row_version = RowVersion(actual.0 + 1);
        let answer = Some(Created { row_version, change: None });
        finish::<R>(transaction, actor, "retired", key, json!({}), answer).await?;
        Ok(row_version)
    }

    /// Begins to write definitions. They are small and rarely written: one writer at a time, so that what is checked is
    /// what is committed.
    pub(super) async fn write_definitions(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.pool.begin().await?;
        hold_definitions(&mut transaction).await?;
        Ok(transaction)
    }
}

/// Keeps others from writing definitions until the transaction ends. A lock that only who may write them can take, unlike
/// an advisory one; it keeps nobody from reading them, or from naming them.
pub(crate) async fn hold_definitions(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("LOCK TABLE leasehold.sys_features_cf IN SHARE ROW EXCLUSIVE MODE").execute(connection).await?;
    Ok(())
}

/// The file and version of a record.
async fn row<R: Record>(connection: &mut PgConnection, key: &R::Key) -> Result<(String, RowVersion), Error> {
    let sql = format!("SELECT file, row_version FROM leasehold.{} WHERE {} = $1", R::TABLE, R::KEY);
    let row: Option<(String, i64)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(key.as_ref()).fetch_optional(connection).await?;
    let (file, row_version) = row.ok_or_else(|| not_found(R::WHAT, key.as_ref()))?;
    Ok((file, RowVersion(row_version)))
}

fn unchanged<R: Record>(key: &R::Key, seen: RowVersion, actual: RowVersion) -> Result<(), Error> {
    if seen == actual {
        return Ok(());
    }
    Err(Error::Conflict { what: R::WHAT, key: key.to_string(), expected: seen.0, actual: actual.0 })
}

async fn put<R: Record>(connection: &mut PgConnection, key: &R::Key, value: &R, file: &str) -> Result<(), Error> {
    // What the reader of definitions refuses is refused before it is a row.
    let document = json!({ R::SECTION: { key.as_ref(): value } });
    let given = parse(document.to_string())?;
    let mut authored = read_definitions(connection, None).await?;
    stays(connection, &authored, &given).await?;
    // All that is wrong with it, before the schema refuses the first of it.
    R::section(&mut authored).insert(key.clone(), value.clone());
    Checker::new(&authored)?;
    sqlx::query("SELECT leasehold.hq_put_definitions($1, NULL, $2)")
        .bind(file)
        .bind(document)
        .execute(connection)
        .await?;
    Ok(())
}

async fn finish<R: Record>(
    mut transaction: Transaction<'static, Postgres>,
    actor: &Actor,
    verb: &str,
    key: &R::Key,
    detail: serde_json::Value,
    answer: Option<Created>,
) -> Result<(), Error> {
    check(&mut transaction).await?;
    let action = format!("{}.{verb}", R::TABLE);
    // What is remembered of the request is its whole answer, and not the key alone.
    let told = Actor { request: None, ..actor.clone() };
    record(&mut transaction, None, &told, &action, key.as_ref(), detail).await?;
    let answer = answer.map(|it| json!({ "row_version": it.row_version.0, "change": it.change }).to_string());
    remember(&mut transaction, actor, answer.as_deref().unwrap_or(key.as_ref())).await?;
    Ok(transaction.commit().await?)
}

/// Refuses records in which a version that was published is another one, or is left out: what is stored of it stays, and
/// nobody is told that something was written which was not.
///
/// What counts are versions that were published once, in force or not. They are held until the transaction ends, so that
/// none is published meanwhile.
pub(super) async fn stays(
    connection: &mut PgConnection,
    authored: &Definitions,
    given: &Definitions,
) -> Result<(), Error> {
    let plans = given.plans.keys().map(AsRef::as_ref).collect();
    let of_plans = frozen(connection, "sys_plan_versions_cf", "plan_key", plans).await?;
    let workflows = given.workflows.keys().map(AsRef::as_ref).collect();
    let of_workflows = frozen(connection, "workflow_template_versions", "workflow_key", workflows).await?;
    let mut published =
        Definitions { plans: authored.plans.clone(), workflows: authored.workflows.clone(), ..Definitions::default() };
    for (key, plan) in &mut published.plans {
        plan.versions.retain(|version, _| of_plans.contains(&(key.to_string(), *version)));
    }
    for (key, workflow) in &mut published.workflows {
        workflow.versions.retain(|version, _| of_workflows.contains(&(key.to_string(), *version)));
    }
    let mut found = changed_versions(&published, given);
    let is_there =
        |key: &str, version: u32| given.plans.get(key).is_none_or(|plan| plan.versions.contains_key(&version));
    found.extend(of_plans.iter().filter(|(key, version)| !is_there(key, *version)).map(|it| missing("plans", it)));
    let is_there =
        |key: &str, version: u32| given.workflows.get(key).is_none_or(|it| it.versions.contains_key(&version));
    found.extend(
        of_workflows.iter().filter(|(key, version)| !is_there(key, *version)).map(|it| missing("workflows", it)),
    );
    Ok(Diagnostics::refuse_if_any(found)?)
}

/// The versions of these records that were published once.
async fn frozen(
    connection: &mut PgConnection,
    table: &str,
    column: &str,
    keys: Vec<&str>,
) -> Result<BTreeSet<(String, u32)>, Error> {
    let sql = format!(
        "SELECT {column}::text, version::bigint, published_at IS NOT NULL FROM leasehold.{table}
         WHERE {column} = ANY ($1) ORDER BY {column}, version FOR NO KEY UPDATE"
    );
    let rows: Vec<(String, i64, bool)> = sqlx::query_as(AssertSqlSafe(sql)).bind(keys).fetch_all(connection).await?;
    let rows = rows.into_iter().filter(|(_, _, published)| *published);
    Ok(rows.filter_map(|(key, version, _)| Some((key, u32::try_from(version).ok()?))).collect())
}

fn missing(section: &str, (key, version): &(String, u32)) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: DiagnosticCode::PublishedVersionChanged,
        file: Arc::default(),
        path: format!("/{section}/{key}/versions/{version}"),
        message: format!("version {version} of `{key}` was published, and is left out"),
        hint: "put it back as it was".to_owned(),
    }
}

/// Refuses definitions that do not compile.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), Error> {
    let definitions = read_definitions(connection, None).await?;
    Checker::new(&definitions)?;
    Ok(())
}
