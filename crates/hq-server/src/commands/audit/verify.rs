//! `leasehold audit verify`: from the database, or from a file without it.

use super::{Chains, extent, problems};
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::trust::{TrustFile, Trusted};
use crate::words;
use leasehold::wire::{MAX_CHECKPOINT_BYTES, SignedCheckpoint};
use leasehold_postgres::audit::{Verifier, export, last_checkpoint, walk};
use serde_json::json;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Exits with 1 where something is wrong. With --trust and without --checkpoint, the database's own last checkpoint is used; who can change the database can take it away, so keep copies elsewhere.

Examples:
  leasehold audit verify --trust trust.json
  leasehold audit verify --tenant acme --checkpoint today.checkpoint --trust trust.json
  leasehold audit verify audit.jsonl --checkpoint today.checkpoint --trust trust.json --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A file that `audit export` wrote; without it, the database
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A checkpoint that the chains must hold; may be repeated
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Whose checkpoints to believe: a JSON file with issuer, environment and root keys
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_TRUST", hide_env_values = true)]
    trust: Option<PathBuf>,
    #[command(flatten)]
    chains: Chains,
    #[command(flatten)]
    database: Database,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let scope = options.chains.scope();
    let mut checkpoints = Vec::new();
    for path in &options.checkpoints {
        let trusted = Trusted { trust: options.trust.clone(), stream: None };
        let trust = TrustFile::named(&trusted, path)?;
        let document = files::read(path, MAX_CHECKPOINT_BYTES as u64)?;
        checkpoints.push((path.display().to_string(), trust.any().checkpoint(&document)?));
    }
    let said = |of: &[(String, SignedCheckpoint)]| {
        of.iter().map(|(_, signed)| signed.checkpoint().clone()).collect::<Vec<_>>()
    };
    let report = match &options.file {
        Some(path) => {
            let mut verifier = Verifier::new(scope, said(&checkpoints));
            let mut visit = |line: &_| {
                verifier.line(line);
                Ok(())
            };
            export::read(open(path)?, &mut visit).map_err(|failure: Failure| failure.about(path))?;
            verifier.finish()
        }
        None => options.database.checked(async |connection| {
            if let (Some(path), true) = (&options.trust, checkpoints.is_empty())
                && let Some(document) = last_checkpoint(connection).await?
            {
                let trust = TrustFile::read(path)?;
                checkpoints.push(("the database".to_owned(), trust.any().checkpoint(&document)?));
            }
            let mut verifier = Verifier::new(scope.clone(), said(&checkpoints));
            let mut visit = |line: &_| {
                verifier.line(line);
                Ok::<(), Failure>(())
            };
            walk(connection, &scope, &mut visit).await?;
            Ok(verifier.finish())
        })?,
    };
    if report.is_good() {
        // A checkpoint may say that there was one: then the report does, too.
        options.chains.must_be_found(report.chains)?;
    }
    let exit = Exit::yes_if(report.is_good());
    if context.json() {
        let checkpoint = |(from, signed): &(String, SignedCheckpoint)| {
            let said = signed.checkpoint();
            json!({ "from": from, "at": said.at, "chains": said.chains.len(), "signed_by": signed.signed_by() })
        };
        let checkpoints: Vec<_> = checkpoints.iter().map(checkpoint).collect();
        let answer = json!({ "verified": report.is_good(), "checkpoints": checkpoints, "report": report });
        return Report::json(&answer, exit);
    }
    let style = context.style;
    let mut text = if report.is_good() {
        style.paint(Tone::Good, &format!("verified: {}", extent(&report)))
    } else {
        let found = words::count(usize::try_from(report.found).unwrap_or(usize::MAX), "problem");
        style.paint(Tone::Bad, &format!("not verified: {found} in {}", extent(&report)))
    };
    text.push('\n');
    text.push_str(&problems(&report, style));
    for (from, signed) in &checkpoints {
        let (from, said) = (words::printable(from), signed.checkpoint());
        text.push_str(&format!("  checkpoint of {} from {from}, signed by {}\n", said.at, signed.signed_by()));
    }
    let beyond = words::number(report.beyond_checkpoints);
    text.push_str(&match checkpoints.len() {
        0 => "  no checkpoint: that ends were cut off or chains written anew would not be seen\n".to_owned(),
        _ => format!("  beyond what checkpoints vouch for: {beyond}\n"),
    });
    Ok(Report::text(text, exit))
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let open = || {
        let file = File::open(path)?;
        // It opens like a file.
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(BufReader::new(file)) }
    };
    open().map_err(|error: io::Error| Failure::io("read", path, &error))
}
