//! `leasehold db import`, `export`.

use super::By;
use super::waiting::{Outcome, Wait};
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::words;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

pub(crate) const IMPORT: &str = "\
Features, plans, add-ons, guards and workflows wait for an approved proposal, and so does a kill switch that is another one than before; new kill switches and tenants are published by whoever publishes. What is not in the files stays as it is.

Examples:
  leasehold db import -d examples/cleanmatex --by ada
  leasehold db import -d examples/cleanmatex --wait 5m --by ada";

pub(crate) const EXPORT: &str = "\
The files are those that were imported, in their normal form.

Examples:
  leasehold db export --out exported";

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Directory to write to; it must be empty, or not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    database: Database,
}

pub(super) async fn import(options: &Import, context: &Context) -> Result<Report, Failure> {
    let sources = context.sources(context.root())?;
    let hq = options.database.hq().await?;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:40} {pos}/{len} tenants, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let actor = options.by.actor();
    let imported = hq.import(&sources, &actor, |progress| {
        bar.set_length(progress.of as u64);
        bar.set_position(progress.done as u64);
    });
    let imported = imported.await;
    bar.finish_and_clear();
    let imported = imported?;
    let outcome = options.wait.outcome(&hq, imported.change).await?;
    if context.json() {
        let answer = json!({ "records": imported.records, "tenants": imported.tenants, "change": imported.change });
        return Report::json(&outcome.told_in(answer), outcome.exit());
    }
    let published = match outcome {
        Outcome::NotAsked => "tenants and new kill switches are published by whoever publishes\n".to_owned(),
        _ => outcome.line(),
    };
    let text = format!(
        "imported {} and {}\n{published}{}",
        words::count(imported.records, "record"),
        words::count(imported.tenants, "tenant"),
        super::next_proposal()
    );
    Ok(Report::text(text, outcome.exit()))
}

pub(super) async fn export(options: &Export, context: &Context) -> Result<Report, Failure> {
    let out = &options.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::not_empty(out));
    }
    let exported = options.database.hq().await?.export().await?;
    files::create_folder(out, exported.iter().map(|source| (&*source.name, &*source.bytes)))?;
    let files: Vec<&str> = exported.iter().map(|source| &*source.name).collect();
    if context.json() {
        return Report::json(&json!({ "files": files }), Exit::Yes);
    }
    Ok(Report::text(format!("wrote {} to {}\n", words::count(files.len(), "file"), out.display()), Exit::Yes))
}
