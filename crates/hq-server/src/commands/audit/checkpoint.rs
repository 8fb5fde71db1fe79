//! `leasehold audit checkpoint`: the fleet key's word for where the chains end.

use super::{extent, problems};
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::files::{self, Secrecy};
use crate::report::{Exit, Report};
use crate::signing::Pen;
use crate::style::Tone;
use crate::table::Grid;
use crate::words;
use leasehold_postgres::audit::{Checkpointed, Since, checkpoint};
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Nothing is signed where something is wrong: exits with 1, and lists it. The checkpoint is stored in the database too, and an entry of HQ's own chain tells of it. Copy the file to where nobody who can change the database can change it.

Examples:
  leasehold audit checkpoint --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json --out today.checkpoint
  leasehold audit checkpoint --full --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json --out today.checkpoint";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// File for the checkpoint
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Verify from the first entry on, and not from the last checkpoint on
    #[arg(long)]
    full: bool,
    /// Who makes it, as the entry tells
    #[arg(long, value_name = "NAME", default_value = "command line")]
    actor: String,
    #[command(flatten)]
    pen: Pen,
    #[command(flatten)]
    database: Database,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    files::refuse_if_there(&options.out)?;
    let (signer, trust) = options.pen.signer()?;
    let since = if options.full { Since::Start } else { Since::LastCheckpoint };
    let made = options.database.checked(async |connection| {
        let made = checkpoint(connection, &signer, trust.any(), since, (context.now, &options.actor)).await;
        Ok(made?)
    })?;
    let style = context.style;
    match made {
        Checkpointed::Refused(report) => {
            if context.json() {
                return Report::json(&json!({ "signed": false, "report": report }), Exit::No);
            }
            let found = words::count(usize::try_from(report.found).unwrap_or(usize::MAX), "problem");
            let title = format!("nothing is signed: {found} in {}", extent(&report));
            Ok(Report::text(format!("{}\n{}", style.paint(Tone::Bad, &title), problems(&report, style)), Exit::No))
        }
        Checkpointed::Signed(signed, report) => {
            files::create(&options.out, signed.bytes(), Secrecy::Open)?;
            let (out, said) = (options.out.display().to_string(), signed.checkpoint());
            if context.json() {
                let answer = json!({
                    "signed": true,
                    "out": out,
                    "at": said.at,
                    "chains": said.chains.len(),
                    "signed_by": signed.signed_by(),
                    "report": report,
                });
                return Report::json(&answer, Exit::Yes);
            }
            let title = format!("checkpoint of {} signed", words::count(said.chains.len(), "chain"));
            let mut lines = Grid::new(style, &[]);
            lines.row(["at", &said.at.to_string()]);
            lines.row(["signed by", &signed.signed_by().to_string()]);
            lines.row(["verified", &extent(&report)]);
            lines.row(["file", &words::printable(&out)]);
            Ok(Report::text(format!("{}\n{}", style.paint(Tone::Strong, &title), lines.render(&[])), Exit::Yes))
        }
    }
}
