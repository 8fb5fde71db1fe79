//! `leasehold audit export`: chains in a file.

use super::Chains;
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::words;
use leasehold_postgres::audit::{Line, export, walk};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
One line of JSON per entry, with the exact bytes that were hashed. The chains are as they are at one instant, whatever is appended meanwhile.

Examples:
  leasehold audit export --out audit.jsonl
  leasehold audit export --tenant acme --out acme.jsonl";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// File for the chains
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    chains: Chains,
    #[command(flatten)]
    database: Database,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let out = options.out.as_path();
    files::refuse_if_there(out)?;
    let failed = |error: io::Error| Failure::io("write", out, &error);
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file of this name is whole, or not there.
    let file = tempfile::Builder::new().prefix(".leasehold-").tempfile_in(folder).map_err(failed)?;
    let mut writer = BufWriter::new(file);
    let (mut chains, mut entries) = (0, 0);
    writer.write_all(export::first_line().as_bytes()).map_err(failed)?;
    options.database.checked(async |connection| {
        let visit = |line: &Line| {
            if let Line::End { chains: all, entries: of_all } = line {
                (chains, entries) = (*all, *of_all);
            }
            writer.write_all(export::line(line).as_bytes()).map_err(failed)
        };
        walk(connection, &options.chains.scope(), visit).await
    })?;
    options.chains.must_be_found(chains)?;
    let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(out).map_err(|error| failed(error.error))?;
    if context.json() {
        let out = out.display().to_string();
        return Report::json(&json!({ "out": out, "chains": chains, "entries": entries }), Exit::Yes);
    }
    let title =
        context.style.paint(Tone::Strong, &format!("exported to {}", words::printable(&out.display().to_string())));
    let (chains, entries) = (words::number(chains), words::number(entries));
    Ok(Report::text(format!("{title}\n  chains   {chains}\n  entries  {entries}\n"), Exit::Yes))
}
