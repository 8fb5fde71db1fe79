//! A directory of definitions, in and out.

use super::{Actor, Hq, TenantChange, entry, now, parse_tenant, read_definitions, record};
use crate::error::retried;
use crate::hq::record::stays;
use crate::{Error, audit};
use leasehold::build::Checker;
use leasehold::model::{Definitions, Diagnostics, MAX_FILE_BYTES, Source, Tenant, format, load, locate};
use leasehold::{TenantId, Timestamp};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// How many tenants are written by one statement.
const BATCH: usize = 500;

/// How large a file is exported: what does not fit comes in further parts. It has to be read again, with room to grow.
const PART_BYTES: usize = MAX_FILE_BYTES / 2;

/// What an import wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Records of definitions: features, plans, add-ons, kill switches, guards, workflows.
    pub records: usize,
    /// Tenants.
    pub tenants: usize,
    /// The last of the changes that are on their way to be published by it: see [`Hq::published`]. They are published in
    /// their order; none where neither tenants nor new kill switches are other than they were.
    pub change: Option<i64>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tenants that were written.
    pub done: usize,
    /// Tenants in all.
    pub of: usize,
}

/// A file that is imported.
struct File<'a> {
    name: &'a str,
    schema_ref: Option<String>,
    definitions: Definitions,
}

impl Hq {
    /// Takes a directory of definitions, all of it or nothing: records in place of those with the same keys, tenants with
    /// all that belongs to them. What is not in the files stays as it is, and so does what is in them as it was; every
    /// tenant that changes gets an entry in its audit chain. Each record is exported to its file again.
    ///
    /// Where others were in the way it begins anew, and tells its progress from the start.
    ///
    /// # Errors
    /// [`Error::Refused`] with every mistake, by file: in the files, and between them and what is there already, versions
    /// among it that were published and are others in the files, or left out. [`Error::Constraint`] for blocks that are told
    /// otherwise than they were laid, or hold and are left out. [`Error::InvalidArgument`] for names that no file can have.
    pub async fn import(
        &self,
        sources: &[Source],
        actor: &Actor,
        mut progress: impl FnMut(Progress),
    ) -> Result<Imported, Error> {
        for source in sources {
            check_file_name(&source.name)?;
        }
        // Every mistake of every file, before anything is written.
        let whole = load(sources).map_err(|found| located(found.into(), sources))?;
        let mut files = Vec::new();
        for source in sources {
            let definitions = load(std::slice::from_ref(source)).map_err(|found| located(found.into(), sources))?;
            files.push(File { name: &source.name, schema_ref: schema_ref(source), definitions });
        }
        retried!(self.try_import(&whole, &files, actor, &mut progress)).map_err(|error| located(error, sources))
    }

    async fn try_import(
        &self,
        whole: &Definitions,
        files: &[File<'_>],
        actor: &Actor,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Imported, Error> {
        let mut transaction = self.write_definitions().await?;
        let before = read_definitions(&mut transaction, None).await?;
        stays(&mut transaction, &before, whole).await?;
        // All that is wrong with them, before the schema refuses the first of it.
        Checker::new(&with(before.clone(), whole))?;
        let before = Stored { places: places(&mut transaction).await?, document: json!(before) };
        let mut imported = Imported::default();
        // Records name each other across files: features come first, plans before tenants.
        for file in files {
            let features = Definitions { features: file.definitions.features.clone(), ..Definitions::default() };
            imported.records += put_definitions(&mut transaction, file, &features, &before).await?;
        }
        for file in files {
            let mut others = file.definitions.clone();
            others.features.clear();
            others.tenants.clear();
            imported.records += put_definitions(&mut transaction, file, &others, &before).await?;
        }
        let checker = Checker::new(&read_definitions(&mut transaction, None).await?)?;
        let mut mistakes = Vec::new();
        for (id, tenant) in &whole.tenants {
            if let Err(refused) = checker.check(id, tenant) {
                mistakes.extend(refused.into_vec());
            }
        }
        Diagnostics::refuse_if_any(mistakes)?;
        let of = whole.tenants.len();
        for file in files {
            let tenants: Vec<(&TenantId, &Tenant)> = file.definitions.tenants.iter().collect();
            for batch in tenants.chunks(BATCH) {
                put_tenants(&mut transaction, file, batch, actor).await?;
                imported.tenants += batch.len();
                progress(Progress { done: imported.tenants, of });
            }
        }
        let detail = json!({ "records": imported.records, "tenants": imported.tenants });
        record(&mut transaction, None, actor, "definitions.imported", "definitions", detail).await?;
        imported.change = sqlx::query_scalar("SELECT leasehold.hq_last_change()").fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(imported)
    }

    /// Everything that is authored, in the files that it came from or was created for, in normal form. A file that has
    /// grown too large for its tenants comes in numbered parts beside it.
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
        let mut names: BTreeSet<String> = files.iter().map(|(file, _)| file.clone()).collect();
        let mut tenants: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT tenant_org_id, file, document::text FROM leasehold.hq_tenant_documents(NULL) ORDER BY tenant_org_id",
        )
        .fetch_all(&mut *transaction)
        .await?;
        for (id, file, document) in rows {
            tenants.entry(file).or_default().push((id, document));
        }
        let mut exported = Vec::new();
        for (file, schema_ref) in files {
            let definitions = read_definitions(&mut transaction, Some(&file)).await?;
            let mut name = file.clone();
            for mut part in parts(definitions, tenants.remove(&file).unwrap_or_default())? {
                if exported.last().is_some_and(|last: &Source| *last.name == *name) {
                    name = next_part(&file, &mut names);
                }
                part.schema.clone_from(&schema_ref);
                exported.push(Source { name: name.as_str().into(), bytes: format::print(&mut part).into_bytes() });
            }
        }
        Ok(exported)
    }
}

/// Definitions with other records beside their own, or in place of those with the same keys. Tenants are left as they are.
fn with(mut definitions: Definitions, others: &Definitions) -> Definitions {
    let Definitions { features, plans, add_ons, kills, guards, workflows, tenants: _, schema: _ } = others.clone();
    definitions.features.extend(features);
    definitions.plans.extend(plans);
    definitions.add_ons.extend(add_ons);
    definitions.kills.extend(kills);
    definitions.guards.extend(guards);
    definitions.workflows.extend(workflows);
    definitions
}

/// The records of a file and its tenants, in as many parts as they need: none where all that was in it is gone.
fn parts(mut part: Definitions, tenants: Vec<(String, String)>) -> Result<Vec<Definitions>, Error> {
    let mut parts = Vec::new();
    let mut length = if part == Definitions::default() { 0 } else { format::print(&mut part).len() };
    for (id, document) in tenants {
        let mut tenant = parse_tenant(&id, &document)?;
        let more = format::print(&mut tenant).len();
        if length > 0 && length + more > PART_BYTES {
            parts.push(std::mem::take(&mut part));
            length = 0;
        }
        part.tenants.append(&mut tenant.tenants);
        length += more;
    }
    if length > 0 {
        parts.push(part);
    }
    Ok(parts)
}

/// A name beside that of a file which no other file has.
fn next_part(file: &str, names: &mut BTreeSet<String>) -> String {
    let stem = file.strip_suffix(".json").unwrap_or(file);
    let mut number = 2;
    loop {
        let name = format!("{stem}-{number}.json");
        if names.insert(name.clone()) {
            return name;
        }
        number += 1;
    }
}

/// Longest step of the path of a file, in bytes: disks take 255, and a part of a long file has a number, too.
const LONGEST_STEP: usize = 200;
/// Longest path of a file, in bytes.
const LONGEST_PATH: usize = 1000;

/// Refuses a name that no file of definitions can have: each is exported, beside all others.
pub(super) fn check_file_name(name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_step = |step: &str| {
        let all_plain = step.bytes().enumerate().all(|(at, byte)| is_plain(byte) || (byte == b'.' && at > 0));
        all_plain && (1..=LONGEST_STEP).contains(&step.len())
    };
    // What ends like a file is none of the folders: `a.json` and `a.json/b.json` cannot both be there.
    let mut folders = name.split('/').rev().skip(1);
    let is_file = name.ends_with(".json") && !folders.any(|folder| folder.ends_with(".json"));
    if is_file && name.len() <= LONGEST_PATH && name.split('/').all(is_step) {
        return Ok(());
    }
    let name: String = name.chars().take(LONGEST_STEP).collect();
    let message = format!(
        "`{name}` cannot be the name of a file of definitions; name it as `tenants/gulf.json`: letters, digits, `_`, `-` and \
         `.`; no step of the path begins with `.` or has more than {LONGEST_STEP} characters, no folder ends with `.json`"
    );
    Err(Error::InvalidArgument { message })
}

/// Names the files of mistakes.
fn located(error: Error, sources: &[Source]) -> Error {
    match error {
        Error::Refused(mut found) => {
            locate(found.as_mut_slice(), sources);
            Error::Refused(found)
        }
        error => error,
    }
}

/// What was there before an import, but for tenants.
struct Stored {
    document: Value,
    /// Files by section and key.
    places: BTreeMap<(String, String), String>,
}

impl Stored {
    fn has(&self, section: &str, key: &str, value: &Value, file: &str) -> bool {
        let is_there = self.document.get(section).and_then(|section| section.get(key)) == Some(value);
        is_there && self.places.get(&(section.to_owned(), key.to_owned())).is_some_and(|place| place == file)
    }
}

/// Which file each record is exported to.
async fn places(connection: &mut PgConnection) -> Result<BTreeMap<(String, String), String>, Error> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT 'features', feature_key::text, file FROM leasehold.sys_features_cf
         UNION ALL SELECT 'plans', plan_key, file FROM leasehold.sys_plan_subscriptions_types_cf
         UNION ALL SELECT 'add_ons', add_on_key, file FROM leasehold.sys_add_ons_cf
         UNION ALL SELECT 'kills', kill_id, file FROM leasehold.sys_feature_kills
         UNION ALL SELECT 'guards', guard_key, file FROM leasehold.sys_guards_cf
         UNION ALL SELECT 'workflows', workflow_key, file FROM leasehold.workflow_template_cd",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(section, key, file)| ((section, key), file)).collect())
}

/// Writes the records that are not as they were. Gives how many there are in all.
async fn put_definitions(
    connection: &mut PgConnection,
    file: &File<'_>,
    records: &Definitions,
    before: &Stored,
) -> Result<usize, Error> {
    let Value::Object(mut document) = json!(records) else { return Ok(0) };
    let mut count = 0;
    for (section, records) in &mut document {
        let Value::Object(records) = records else { continue };
        count += records.len();
        records.retain(|key, value| !before.has(section, key, value, file.name));
    }
    sqlx::query("SELECT leasehold.hq_put_definitions($1, $2, $3)")
        .bind(file.name)
        .bind(&file.schema_ref)
        .bind(Value::Object(document))
        .execute(connection)
        .await?;
    Ok(count)
}

/// Writes the tenants that are not as they were, each with an entry in its audit chain.
async fn put_tenants(
    connection: &mut PgConnection,
    file: &File<'_>,
    batch: &[(&TenantId, &Tenant)],
    actor: &Actor,
) -> Result<(), Error> {
    let at = now();
    let mut changed: BTreeMap<&TenantId, &Tenant> = batch.iter().copied().collect();
    let ids: Vec<&str> = changed.keys().map(|id| id.as_str()).collect();
    let there: Vec<(String, String, String)> =
        sqlx::query_as("SELECT tenant_org_id, file, document::text FROM leasehold.hq_tenant_documents($1)")
            .bind(ids)
            .fetch_all(&mut *connection)
            .await?;
    let mut moved = Vec::new();
    for (id, place, document) in there {
        // One that cannot be read was written past this crate: it is mended.
        let Ok(stored) = parse_tenant(&id, &document) else { continue };
        for (id, stored) in stored.tenants {
            if changed.get(&id).is_some_and(|new| is_as_it_was(stored, new, at)) {
                changed.remove(&id);
                moved.extend((place != file.name).then_some(id));
            }
        }
    }
    if !moved.is_empty() {
        let moved: Vec<&str> = moved.iter().map(TenantId::as_str).collect();
        sqlx::query("SELECT leasehold.hq_move_tenants($1, $2, $3)")
            .bind(file.name)
            .bind(&file.schema_ref)
            .bind(moved)
            .execute(&mut *connection)
            .await?;
    }
    if changed.is_empty() {
        return Ok(());
    }
    let put: Vec<(String, bool)> =
        sqlx::query_as("SELECT tenant_org_id, is_new FROM leasehold.hq_put_tenants($1, $2, $3, $4::timestamptz)")
            .bind(file.name)
            .bind(&file.schema_ref)
            .bind(json!(changed))
            .bind(at.to_string())
            .fetch_all(&mut *connection)
            .await?;
    let is_new: BTreeMap<String, bool> = put.into_iter().collect();
    let entries = changed.into_iter().map(|(id, tenant)| {
        let tenant = tenant.clone();
        let change = match is_new.get(id.as_str()) {
            Some(true) => TenantChange::Create { tenant },
            _ => TenantChange::Replace { tenant },
        };
        let detail = json!({ "change": change });
        Ok(audit::Entry { at, ..entry(Some(id), actor, change.action(), id.as_str(), detail)? })
    });
    append_to_each(connection, at, actor, entries.collect::<Result<_, Error>>()?).await
}

/// Whether a tenant is what it was. Blocks that are over may be left out: they are remembered.
fn is_as_it_was(mut stored: Tenant, new: &Tenant, at: Timestamp) -> bool {
    stored
        .blocks
        .retain(|id, block| new.blocks.get(id.as_str()).is_some() || block.until.is_none_or(|until| until > at));
    stored == *new
}

/// Appends entries to the chains of tenants, one to each, by one statement.
async fn append_to_each(
    connection: &mut PgConnection,
    at: Timestamp,
    actor: &Actor,
    entries: Vec<audit::Entry>,
) -> Result<(), Error> {
    let bodies = entries.iter().map(audit::Entry::body).collect::<Result<Vec<_>, _>>()?;
    let tenants: Vec<&str> = entries.iter().map(|entry| entry.subject.as_str()).collect();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    sqlx::query("SELECT leasehold.append_audit_of_tenants($1, $2::text::timestamptz, $3, $4, $5, $6)")
        .bind(tenants)
        .bind(at.to_string())
        .bind(&actor.name)
        .bind(actions)
        .bind(&actor.trace_id)
        .bind(bodies)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a file has under `$schema`. The reader of definitions has been through it.
fn schema_ref(source: &Source) -> Option<String> {
    let file: Value = serde_json::from_slice(&source.bytes).ok()?;
    file.get("$schema")?.as_str().map(str::to_owned)
}
