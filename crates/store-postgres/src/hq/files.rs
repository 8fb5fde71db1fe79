//! A directory of definitions, in and out.

use super::{Actor, Hq, now, parse, record};
use crate::Error;
use crate::hq::record::{check, stays};
use leasehold::TenantId;
use leasehold::build::Checker;
use leasehold::model::{Definitions, Diagnostics, Source, Tenant, format, load, locate};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// How many tenants are written by one statement.
const BATCH: usize = 500;

/// What an import wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Records of definitions: features, plans, add-ons, kill switches, guards, workflows.
    pub records: usize,
    /// Tenants.
    pub tenants: usize,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tenants that were written.
    pub done: usize,
    /// Tenants in all.
    pub of: usize,
}

impl Hq {
    /// Takes a directory of definitions, all of it or nothing: records in place of those with the same keys, tenants with
    /// all that belongs to them. What is not in the files stays as it is. Each record is exported to its file again.
    ///
    /// # Errors
    /// [`Error::Refused`] with every mistake, by file: in the files, and between them and what is there already.
    /// [`Error::Constraint`] for a block that is told otherwise than it was laid.
    pub async fn import(
        &self,
        sources: &[Source],
        actor: &Actor,
        mut progress: impl FnMut(Progress),
    ) -> Result<Imported, Error> {
        let found = |mut found: Diagnostics| {
            locate(found.as_mut_slice(), sources);
            Error::Refused(found)
        };
        // Every mistake of every file, before anything is written.
        let whole = load(sources).map_err(found)?;
        let mut files = Vec::new();
        for source in sources {
            files.push((source, load(std::slice::from_ref(source)).map_err(found)?));
        }

        let mut transaction = self.write_definitions().await?;
        stays(&mut transaction, &whole).await.map_err(|error| match error {
            Error::Refused(refused) => found(refused),
            error => error,
        })?;
        let mut imported = Imported::default();
        // Records name each other across files: features come first, plans before tenants.
        for (source, definitions) in &files {
            let only = Definitions { features: definitions.features.clone(), ..Definitions::default() };
            put_definitions(&mut transaction, source, &only).await?;
        }
        for (source, definitions) in &files {
            imported.records += put_definitions(&mut transaction, source, definitions).await?;
        }
        check(&mut transaction).await.map_err(|error| match error {
            Error::Refused(refused) => found(refused),
            error => error,
        })?;
        let authored = super::read_definitions(&mut transaction, None).await?;
        let checker = Checker::new(&authored)?;
        let mut mistakes = Vec::new();
        for (id, tenant) in &whole.tenants {
            if let Err(refused) = checker.check(id, tenant) {
                mistakes.extend(refused.into_vec());
            }
        }
        Diagnostics::refuse_if_any(mistakes).map_err(found)?;
        let of = whole.tenants.len();
        for (source, definitions) in &files {
            let tenants: Vec<(&TenantId, &Tenant)> = definitions.tenants.iter().collect();
            for batch in tenants.chunks(BATCH) {
                put_tenants(&mut transaction, source, batch).await?;
                imported.tenants += batch.len();
                progress(Progress { done: imported.tenants, of });
            }
        }
        let detail = json!({ "records": imported.records, "tenants": imported.tenants });
        record(&mut transaction, None, actor, "definitions.imported", "definitions", detail).await?;
        transaction.commit().await?;
        Ok(imported)
    }

    /// Everything that is authored, in the files that it came from or was created for, in normal form.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`]; [`Error::Refused`] where rows were written past this crate.
    pub async fn export(&self) -> Result<Vec<Source>, Error> {
        // One reading of everything.
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *transaction).await?;
        let files: Vec<(String, Option<String>)> =
            sqlx::query_as("SELECT file, schema_ref FROM leasehold.sys_definition_files ORDER BY file")
                .fetch_all(&mut *transaction)
                .await?;
        let mut tenants: BTreeMap<String, String> = BTreeMap::new();
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT tenant_org_id, file, document::text FROM leasehold.hq_tenant_documents(NULL) ORDER BY tenant_org_id",
        )
        .fetch_all(&mut *transaction)
        .await?;
        for (id, file, document) in rows {
            let text = tenants.entry(file).or_default();
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(&format!("\"{id}\":{document}"));
        }
        let mut exported = Vec::new();
        for (file, schema_ref) in files {
            let mut definitions = super::read_definitions(&mut transaction, Some(&file)).await?;
            if let Some(text) = tenants.remove(&file) {
                definitions.tenants = parse(format!("{{\"tenants\":{{{text}}}}}"))?.tenants;
            }
            if definitions == Definitions::default() {
                // All that was in it is gone.
                continue;
            }
            definitions.schema = schema_ref;
            let bytes = format::print(&mut definitions).into_bytes();
            exported.push(Source { name: file.into(), bytes });
        }
        Ok(exported)
    }
}

async fn put_definitions(connection: &mut PgConnection, source: &Source, file: &Definitions) -> Result<usize, Error> {
    let records = Definitions { schema: None, tenants: BTreeMap::new(), ..file.clone() };
    let document = serde_json::to_value(&records).unwrap_or_default();
    let count = document.as_object().into_iter().flatten().filter_map(|(_, section)| section.as_object());
    let count = count.map(serde_json::Map::len).sum();
    sqlx::query("SELECT leasehold.hq_put_definitions($1, $2, $3)")
        .bind(&*source.name)
        .bind(schema_ref(source))
        .bind(document)
        .execute(connection)
        .await?;
    Ok(count)
}

async fn put_tenants(
    connection: &mut PgConnection,
    source: &Source,
    batch: &[(&TenantId, &Tenant)],
) -> Result<(), Error> {
    let tenants: BTreeMap<&TenantId, &Tenant> = batch.iter().copied().collect();
    sqlx::query("SELECT leasehold.hq_put_tenants($1, $2, $3, $4::timestamptz)")
        .bind(&*source.name)
        .bind(schema_ref(source))
        .bind(serde_json::to_value(&tenants).unwrap_or_default())
        .bind(now().to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// What a file has under `$schema`. The reader of definitions has been through it.
fn schema_ref(source: &Source) -> Option<String> {
    let file: Value = serde_json::from_slice(&source.bytes).ok()?;
    file.get("$schema")?.as_str().map(str::to_owned)
}
