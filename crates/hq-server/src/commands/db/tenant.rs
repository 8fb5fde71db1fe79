//! `leasehold db tenant`: one change of one tenant.

use super::By;
use super::waiting::Wait;
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::files;
use crate::report::Report;
use leasehold::TenantId;
use leasehold_postgres::Error;
use leasehold_postgres::hq::{RowVersion, TenantChange};
use leasehold_postgres::ledger::IdempotencyKey;
use serde_json::json;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = r#"A change is a JSON object. Its "change" says what is done, the rest to what:
  create, replace               tenant
  remove
  put_phase, remove_phase       id, phase
  put_licence, remove_licence   id, licence
  put_override, remove_override id, override
  lay_block                     id, block
  lift_block                    id, by, at, reason
  set_preferences               preferences
  put_workflow, remove_workflow workflow, laid
What is put or laid is written as in definitions; removing takes the id, or the workflow, alone. Whoever publishes publishes it.

Examples:
  leasehold db tenant om-muscat-sparkle change.json --by ada
  leasehold db tenant om-muscat-sparkle change.json --seen 4 --key order-4711 --by ada
  leasehold db tenant om-muscat-sparkle change.json --wait 10s --by ada
  leasehold db tenant om-muscat-sparkle - --by ada < change.json"#;

/// Longest change that is read, in bytes.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant
    tenant: TenantId,
    /// A file with the change; `-` for standard input
    #[arg(value_name = "CHANGE")]
    change: PathBuf,
    /// Change it only if it still has this row version
    #[arg(long, value_name = "ROW_VERSION")]
    seen: Option<i64>,
    /// Names the request: done again under the same key, it is answered as before, and nothing is done twice
    #[arg(long, value_name = "IDEMPOTENCY_KEY", value_parser = key)]
    key: Option<IdempotencyKey>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

fn key(text: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::new(text).map_err(|error| error.to_string())
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let Options { tenant, change, seen, key, wait, by, database } = options;
    let (name, bytes) = if change == Path::new("-") {
        ("standard input".into(), standard_input()?)
    } else {
        (change.to_string_lossy(), files::read(change, LONGEST)?)
    };
    let change = TenantChange::from_json(tenant, &name, &bytes).map_err(|error| match error {
        Error::Refused(found) => Failure::refused_whole("the change is", found.into_vec()),
        error => error.into(),
    })?;
    let hq = database.hq().await?;
    let changed = hq.change_tenant(tenant, &change, seen.map(RowVersion), key.as_ref(), &by.actor()).await?;
    let (row_version, number) = (changed.row_version.0, changed.change);
    let outcome = wait.outcome(&hq, Some(number)).await?;
    if context.json() {
        let answer = json!({ "tenant": tenant, "row_version": row_version, "change": number });
        return Report::json(&outcome.told_in(answer), outcome.exit());
    }
    let text = format!("tenant {tenant} has row version {row_version}, by change {number}\n{}", outcome.line());
    Ok(Report::text(text, outcome.exit()))
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes);
    let read = read.and_then(|_| match bytes.len() as u64 {
        0..=LONGEST => Ok(bytes),
        _ => Err(io::Error::other(format!("it is larger than {LONGEST} bytes"))),
    });
    read.map_err(|error| Failure::io("read", Path::new("standard input"), &error))
}
