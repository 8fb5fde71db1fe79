//! `leasehold slice`: what one tenant's browser may know, signed for it alone.

use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::keys::{self, KeyKind};
use crate::report::{Exit, Report};
use crate::snapshots::{Held, Place};
use crate::style::Tone;
use crate::suggest::nearest;
use crate::table::Grid;
use crate::trust::Trusted;
use crate::words;
use leasehold::build::{cut, sign_slice};
use leasehold::wire::{ChunkRef, FaultCode, canonical};
use leasehold::{Error, TenantId};
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
The slice holds one tenant with the definitions that it needs; other tenants, what has ended, authors and reasons are left out. The head must certify the slice key: see `build --slice-key`. The envelope alone renews a slice whose content is the same.

Examples:
  leasehold slice om-muscat-sparkle -d snapshots --trust trust.json --stream GCC-OM \\
      --key slice.key --out sparkle.slice
  leasehold slice om-muscat-sparkle -d oman.pack --trust trust.json --key slice.key \\
      --out sparkle.envelope --envelope-only";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant's id
    tenant: String,
    /// The slice key's secret
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File for the slice
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leave the content out
    #[arg(long)]
    envelope_only: bool,
    #[command(flatten)]
    trusted: Trusted,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let key = keys::secret(&options.key, KeyKind::Slice)?;
    let root = context.root();
    if context.place(root)?.is_none() && root.is_dir() {
        let failure = Failure::no_snapshots(root);
        return Err(
            failure.hint("slices are cut from what was published: name a directory of snapshots or a pack with -d")
        );
    }
    let held = Held::open(root, Place::required(root)?, &options.trusted, None)?;
    let definitions = held.definitions(None)?;
    let unknown = || {
        let failure = Failure::from(Error::UnknownTenant(options.tenant.as_str().into()));
        match nearest(&options.tenant, definitions.tenants.keys().map(AsRef::as_ref)) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure,
        }
    };
    let tenant: TenantId = options.tenant.parse().map_err(|_| unknown())?;
    let head = held.head.head();
    let sliced = cut(&definitions, &tenant, head.issued_at).ok_or_else(unknown)?;
    let content = canonical::to_vec(&sliced).map_err(|error| Failure::internal(error.to_string()))?;
    let hash = held.contents()?.definitions.0.hash;
    let mut document = sign_slice(&held.head, &tenant, hash, &content, &key).map_err(|fault| {
        let is_uncertified = fault.fault_code() == FaultCode::UnknownKey;
        let failure = Failure::from(fault);
        let hint = "let heads certify the key: `leasehold build` or `leasehold rotate` with --slice-key";
        if is_uncertified { failure.hint(hint) } else { failure }
    })?;
    if options.envelope_only {
        document.truncate(document.len() - content.len() - 1);
    }
    files::replace(&options.out, &document)?;

    let named = ChunkRef::to(&content);
    let until = head.slice_keys.iter().find(|slice| slice.key == key.public()).map(|slice| slice.valid_until);
    let expires_at = until.map_or(head.expires_at, |until| until.min(head.expires_at));
    if context.json() {
        let answer = json!({
            "out": options.out.display().to_string(),
            "tenant": tenant,
            "stream": head.stream,
            "epoch": head.epoch,
            "revision": head.revision,
            "key_id": key.public().id(),
            "content": named,
            "bytes": document.len(),
            "envelope_only": options.envelope_only,
            "expires_at": expires_at,
        });
        return Report::json(&answer, Exit::Yes);
    }
    let style = context.style;
    let what = if options.envelope_only { "envelope" } else { "slice" };
    let title = format!("{what} of {tenant} in {}", options.out.display());
    let mut lines = Grid::new(style, &[]);
    lines.row(["revision".to_owned(), format!("{} of {}", head.revision, head.stream)]);
    lines.row(["content".to_owned(), format!("{}, {} bytes", named.hash, words::number(named.length))]);
    lines.row(["file".to_owned(), format!("{} bytes", words::number(document.len() as u64))]);
    lines.row(["key".to_owned(), key.public().id().to_string()]);
    let fresh = if context.now < expires_at { "fresh until" } else { "stale since" };
    lines.row([fresh.to_owned(), expires_at.to_string()]);
    let title = style.paint(Tone::Strong, &title);
    Ok(Report::text(format!("{title}\n{}", lines.render(&[])), Exit::Yes))
}
