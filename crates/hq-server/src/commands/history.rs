//! `leasehold history`: what was published, revision by revision.

use crate::contents::{Contents, tenants};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::snapshots::Place;
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::{TrustFile, Trusted};
use crate::words;
use leasehold::wire::{Chunk, KeyId, SignedHead};
use leasehold::{Hash, Revision, Timestamp};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Heads are verified. Sizes are in bytes before compression. `check … --known-at TIME` answers as of any instant since the first revision.

Examples:
  leasehold history snapshots --trust trust.json --stream GCC-OM
  leasehold history snapshots --trust trust.json --stream GCC-OM --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Directory of snapshots
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
}

#[derive(Debug, Serialize)]
struct Entry {
    epoch: u64,
    revision: Revision,
    issued_at: Timestamp,
    key_id: KeyId,
    manifest: Hash,
    /// Nothing where contents are no longer kept.
    #[serde(flatten)]
    held: Option<Changes>,
    candidate: Option<Staged>,
}

#[derive(Debug, Serialize)]
struct Changes {
    definitions: Hash,
    chunks: usize,
    bytes: u64,
    new_chunks: usize,
    new_bytes: u64,
    tenants_changed: usize,
}

#[derive(Debug, Serialize)]
struct Staged {
    definitions: Hash,
    share_permille: u16,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let place = Place::required(&options.directory)?;
    let file = TrustFile::named(&options.trusted, &options.directory)?;
    let Place::Directory(directory) = &place else {
        let failure = Failure::usage(format!(
            "`{}` is a pack: it holds one revision, and no history",
            options.directory.display()
        ));
        return Err(failure.hint("`leasehold verify` shows which one"));
    };
    let trust = file.choose(&options.trusted, &place.streams()?, &options.directory)?;
    let find = |hash| place.chunk(hash);
    let mut seen = HashSet::new();
    let mut before: Option<Contents> = None;
    let mut entries = Vec::new();
    for head in directory.history(&trust)? {
        let said = head.head();
        let candidate = said.candidate.as_ref();
        let contents = Contents::of(said.manifest, candidate.map(|candidate| candidate.definitions), &find).ok();
        let held = match &contents {
            Some(contents) => changes(contents, before.as_ref(), &mut seen, &find)?,
            None => None,
        };
        entries.push(entry(&head, held));
        before = contents.or(before);
    }
    if context.json() {
        return Report::json(&json!({ "stream": trust.stream, "revisions": entries }), Exit::Yes);
    }
    let style = context.style;
    let title = format!("{} of {}", words::count(entries.len(), "revision"), trust.stream);
    let headings = [
        "EPOCH",
        "REVISION",
        "ISSUED AT",
        "MANIFEST",
        "DEFINITIONS",
        "NEW CONTENTS",
        "BYTES",
        "OF BYTES",
        "TENANTS CHANGED",
        "CANDIDATE",
    ];
    let mut grid = Grid::new(style, &headings);
    for entry in &entries {
        let number = |number: Option<u64>| number.map_or_else(|| "not kept".to_owned(), words::number);
        let held = entry.held.as_ref();
        grid.row([
            entry.epoch.to_string(),
            entry.revision.to_string(),
            entry.issued_at.to_string(),
            entry.manifest.short(),
            held.map(|held| held.definitions.short()).unwrap_or_default(),
            number(held.map(|held| held.new_chunks as u64)),
            number(held.map(|held| held.new_bytes)),
            number(held.map(|held| held.bytes)),
            number(held.map(|held| held.tenants_changed as u64)),
            entry
                .candidate
                .as_ref()
                .map(|it| format!("{} for {} ‰", it.definitions.short(), it.share_permille))
                .unwrap_or_default(),
        ]);
    }
    let title = style.paint(Tone::Strong, &title);
    Ok(Report::text(format!("{title}\n{}", grid.render(&[0, 1, 5, 6, 7, 8])), Exit::Yes))
}

fn entry(head: &SignedHead, held: Option<Changes>) -> Entry {
    let said = head.head();
    let staged = |it: &leasehold::wire::Candidate| Staged {
        definitions: it.definitions.hash,
        share_permille: it.share_permille,
    };
    Entry {
        epoch: said.epoch,
        revision: said.revision,
        issued_at: said.issued_at,
        key_id: head.signed_by(),
        manifest: said.manifest.hash,
        held,
        candidate: said.candidate.as_ref().map(staged),
    }
}

/// What a revision brought. A revision whose shards are no longer kept has no answer.
fn changes(
    contents: &Contents,
    before: Option<&Contents>,
    seen: &mut HashSet<Hash>,
    find: &dyn Fn(Hash) -> Option<Chunk>,
) -> Result<Option<Changes>, Failure> {
    let all = contents.all();
    let new: Vec<_> = all.iter().filter(|content| seen.insert(content.hash)).collect();
    let none = BTreeMap::new();
    let old = before.map_or(&none, |before| &before.shards);
    let mut tenants_changed = 0;
    // Only shards that differ are opened.
    let places: HashSet<_> = contents.shards.keys().chain(old.keys()).collect();
    for place in places {
        let (was, is) = (old.get(place), contents.shards.get(place));
        if was == is {
            continue;
        }
        let read = |shard: Option<&leasehold::wire::ChunkRef>| shard.map(|shard| tenants(*shard, find)).transpose();
        let (was, is) = (read(was)?.unwrap_or_default(), read(is)?.unwrap_or_default());
        let changed = is.iter().filter(|(id, tenant)| was.get(*id) != Some(tenant)).count();
        let gone = was.keys().filter(|id| !is.contains_key(*id)).count();
        tenants_changed += changed + gone;
    }
    Ok(Some(Changes {
        definitions: contents.definitions.0.hash,
        chunks: all.len(),
        bytes: contents.bytes(),
        new_chunks: new.len(),
        new_bytes: new.iter().map(|content| content.length).sum(),
        tenants_changed,
    }))
}
