//! `leasehold rotate`: another fleet key, another epoch, other slice keys; the same contents.

use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::signing::Signing;
use crate::snapshots::Place;
use crate::style::Tone;
use crate::table::{Grid, paragraph};
use crate::words;
use leasehold::wire::{KeyId, SignedHead};
use leasehold::{Region, Revision, Timestamp};
use serde::Serialize;
use serde_json::json;
use std::cmp::Ordering;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Signs the heads of all streams again, at their revisions. With the same fleet key it is a heartbeat.

Examples:
  leasehold rotate snapshots --fleet new.key --certificate new.cert --trust trust.json
  leasehold rotate snapshots --fleet fleet.key --certificate fleet.cert --trust trust.json \\
      --slice-key slice.key.pub --slice-key-for 12h";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Directory of snapshots
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Serialize)]
struct Rotated {
    stream: Region,
    revision: Revision,
    from: Signed,
    to: Signed,
    expires_at: Timestamp,
    slice_keys: Vec<KeyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Signed {
    epoch: u64,
    key_id: KeyId,
}

impl Signed {
    fn of(head: &SignedHead) -> Self {
        Self { epoch: head.head().epoch, key_id: head.signed_by() }
    }
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let (signer, _) = options.signing.signer()?;
    let terms = options.signing.terms(context)?;
    let Place::Directory(directory) = Place::required(&options.directory)? else {
        let failure = Failure::is_published(format!("`{}` is a pack", options.directory.display()));
        return Err(failure.hint("rotate the directory of snapshots that it was written from, then write it again"));
    };
    let before = directory.last_heads(&signer)?;
    if before.is_empty() {
        return Err(Failure::no_snapshots(&options.directory));
    }
    let mut rotated = Vec::new();
    for head in directory.sign_again(&signer, &terms)? {
        let said = head.head();
        let to = Signed::of(&head);
        rotated.push(Rotated {
            stream: said.stream.clone(),
            revision: said.revision,
            from: before.get(&said.stream).map_or(to, Signed::of),
            to,
            expires_at: said.expires_at,
            slice_keys: said.slice_keys.iter().map(|slice| slice.key.id()).collect(),
        });
    }
    let meaning = meaning(&rotated);
    if context.json() {
        return Report::json(&json!({ "streams": rotated, "engines": meaning }), Exit::Yes);
    }
    let style = context.style;
    let title = format!("{} signed again in {}", words::count(rotated.len(), "head"), options.directory.display());
    let mut grid = Grid::new(style, &["STREAM", "REVISION", "EPOCH", "KEY", "FRESH UNTIL", "SLICE KEYS"]);
    let moved = |from: String, to: String| if from == to { to } else { format!("{from} → {to}") };
    for this in &rotated {
        let slice_keys: Vec<String> = this.slice_keys.iter().map(KeyId::to_string).collect();
        grid.row([
            this.stream.to_string(),
            this.revision.to_string(),
            moved(this.from.epoch.to_string(), this.to.epoch.to_string()),
            moved(this.from.key_id.to_string(), this.to.key_id.to_string()),
            this.expires_at.to_string(),
            slice_keys.join(", "),
        ]);
    }
    let title = style.paint(Tone::Strong, &title);
    Ok(Report::text(format!("{title}\n{}\n{}", grid.render(&[1]), paragraph(style, meaning)), Exit::Yes))
}

/// What engines will do.
fn meaning(rotated: &[Rotated]) -> &'static str {
    let epochs = rotated.iter().map(|this| this.to.epoch.cmp(&this.from.epoch)).max();
    let same_key = rotated.iter().all(|this| this.from.key_id == this.to.key_id);
    match epochs {
        Some(Ordering::Greater) => {
            "Engines take the new heads as soon as they see them. From then on they refuse everything from the epoch \
             before, whoever signed it, after a restart too: what somebody signs with a lost key reaches none of them."
        }
        _ if same_key => {
            "The key is the same: engines take the new heads as a heartbeat, and stay fresh until they expire."
        }
        _ => {
            "Engines take the new heads as soon as they see them: the certificate in each brings the new key along. \
             The epoch is the same, so that the old key may still sign until its certificate ends. If it was lost to \
             somebody else, certify the new one with a greater --epoch and rotate again."
        }
    }
}
