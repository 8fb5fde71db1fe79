//! `leasehold db propose`, `proposals`, `approve`, `reject`.

use super::{By, TrustedArchive};
use crate::context::Context;
use crate::database::Database;
use crate::diagnostics::list_kept;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::words;
use leasehold::Hash;
use leasehold_postgres::publish::{Proposal, ProposalStatus};
use serde_json::Value;
use std::fmt::Write;

pub(crate) const PROPOSE: &str = "\
Compiles the whole fleet with what is authored, and shows what tenants gain, lose and have moved by it: now, and at each instant at which something in it begins or ends. Lists what is most likely not meant and was not there before, such as a stage that no item reaches any more.

Examples:
  leasehold db propose \"Growth without delivery\" --trust trust.json --by ada";

pub(crate) const LIST: &str = "\
Examples:
  leasehold db proposals
  leasehold db proposals 12 --json";

pub(crate) const APPROVE: &str = "\
The binding is the hash of what the proposal changes, proposes and does to tenants. The approval is for that, and lapses when it would be something else. Nobody approves a proposal of their own.

Examples:
  leasehold db approve 12 --binding HASH --by ben";

pub(crate) const REJECT: &str = "\
Examples:
  leasehold db reject 12 --reason \"after the holidays\" --by ben";

#[derive(Debug, clap::Args)]
pub(crate) struct Propose {
    /// What it is about
    title: String,
    #[command(flatten)]
    trusted: TrustedArchive,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Show this one whole
    number: Option<i64>,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Approve {
    /// Number of the proposal
    number: i64,
    /// The binding of what you looked at, as `proposals` shows it
    #[arg(long, value_name = "HASH")]
    binding: Hash,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reject {
    /// Number of the proposal
    number: i64,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

pub(super) async fn propose(options: &Propose, context: &Context) -> Result<Report, Failure> {
    let archive = options.trusted.of(&options.database).await?;
    shown(&archive.propose(&options.title, &options.by.actor()).await?, context)
}

pub(super) async fn list(options: &List, context: &Context) -> Result<Report, Failure> {
    let hq = options.database.hq().await?;
    if let Some(number) = options.number {
        return shown(&hq.proposal(number).await?, context);
    }
    let proposals = hq.proposals(None, 100).await?;
    if context.json() {
        return Report::json(&proposals, Exit::Yes);
    }
    let mut grid = Grid::new(context.style, &["PROPOSAL", "STATUS", "TENANTS", "BY", "TITLE"]);
    for proposal in &proposals {
        let Proposal { id, title, status, author, affected, .. } = proposal;
        grid.row([id.to_string(), status.as_str().to_owned(), affected.to_string(), author.clone(), title.clone()]);
    }
    Ok(Report::text(grid.render(&[0, 2]), Exit::Yes))
}

pub(super) async fn approve(options: &Approve, context: &Context) -> Result<Report, Failure> {
    let hq = options.database.hq().await?;
    shown(&hq.approve(options.number, options.binding, &options.by.actor()).await?, context)
}

pub(super) async fn reject(options: &Reject, context: &Context) -> Result<Report, Failure> {
    let hq = options.database.hq().await?;
    shown(&hq.reject(options.number, &options.reason, &options.by.actor()).await?, context)
}

fn shown(proposal: &Proposal, context: &Context) -> Result<Report, Failure> {
    if context.json() {
        return Report::json(proposal, Exit::Yes);
    }
    let style = context.style;
    let title = format!("proposal {}: {}", proposal.id, words::printable(&proposal.title));
    let mut text = format!("{}\n", style.paint(Tone::Strong, &title));
    let affected = usize::try_from(proposal.affected).unwrap_or_default();
    let _ = writeln!(text, "  {}, proposed by {}", proposal.status.as_str(), words::printable(&proposal.author));
    if let Some(approved_by) = &proposal.approved_by {
        let _ = writeln!(text, "  approved by {}", words::printable(approved_by));
    }
    let _ = writeln!(text, "  concerns {}", words::count(affected, "tenant"));
    if !proposal.lifts.is_empty() {
        let lifts: Vec<&str> = proposal.lifts.iter().map(leasehold::RecordId::as_str).collect();
        let _ = writeln!(text, "  lifts kill switches: {}", lifts.join(", "));
    }
    if proposal.unseen > 0 {
        let unseen = usize::try_from(proposal.unseen).unwrap_or_default();
        let _ = writeln!(text, "  not looked at: {}", words::count(unseen, "later instant"));
    }
    let _ = writeln!(text, "  binding {}", proposal.binding);
    if let Some(reason) = &proposal.reason {
        let _ = writeln!(text, "  {}", words::printable(reason));
    }
    text.push_str(&diffs(&proposal.diff, style));
    let warnings = proposal.warnings.as_array().map(Vec::as_slice).unwrap_or_default();
    if !warnings.is_empty() {
        let _ = write!(text, "\n{} that is not there without it\n\n", words::count(warnings.len(), "warning"));
        text.push_str(&list_kept(warnings, style));
    }
    if proposal.status == ProposalStatus::Draft {
        let _ = writeln!(
            text,
            "\nSomebody else approves it: leasehold db approve {} --binding {} --by NAME",
            proposal.id, proposal.binding
        );
    }
    Ok(Report::text(text, Exit::Yes))
}

/// Fleet diffs as they are kept, a table for each instant at which a feature is concerned.
pub(super) fn diffs(kept: &Value, style: Style) -> String {
    let mut text = String::new();
    for diff in kept.as_array().into_iter().flatten() {
        let mut grid = Grid::new(style, &["FEATURE", "GAINED", "LOST", "MOVED", "PLAN"]);
        let features = diff["features"].as_array().map(Vec::as_slice).unwrap_or_default();
        for feature in features {
            let number = |name: &str| feature[name].as_u64().unwrap_or_default().to_string();
            let word = |name: &str| feature[name].as_str().unwrap_or("–").to_owned();
            grid.row([word("feature"), number("gained"), number("lost"), number("moved"), word("plan")]);
        }
        if !features.is_empty() {
            let at = diff["at"].as_str().unwrap_or_default();
            let _ = write!(text, "\nat {at}\n{}", grid.render(&[1, 2, 3]));
        }
    }
    text
}
