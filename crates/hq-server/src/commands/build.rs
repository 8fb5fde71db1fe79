//! `leasehold build`: from definitions to signed snapshots.

use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::signing::Signing;
use crate::snapshots::{Held, Place, writable};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::{self, TrustFile};
use crate::words;
use leasehold::build::{Signer, candidate_kills, changed_versions};
use leasehold::follow::read_index;
use leasehold::model::{Definitions, Diagnostic, Source, load, locate};
use leasehold::wire::{Chunk, ChunkRef, FaultCode, Manifest, SignedHead};
use leasehold::{Hash, Published, RecordId, Region, SnapshotDirectory};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Any error in the definitions, and nothing is written; so it is where a published version of a plan or workflow is no longer what it was. Each region is a stream. Streams that changed get the next revision; the others are signed again at theirs: building unchanged definitions every day is the heartbeat that keeps them fresh. With --at, equal definitions, keys and snapshots before them give equal bytes.

Engines use a candidate's definitions where they are in its share; tenants and kill switches are never staged. A later build without --candidate ends the staging.

Examples:
  leasehold build -d examples/cleanmatex --out snapshots --fleet fleet.key \\
      --certificate fleet.cert --trust trust.json
  leasehold build -d examples/cleanmatex --out snapshots --fleet fleet.key \\
      --certificate fleet.cert --trust trust.json --pack oman.pack --stream GCC-OM
  leasehold build -d examples/cleanmatex --out snapshots --fleet fleet.key \\
      --certificate fleet.cert --trust trust.json --candidate ../next --share 50
  leasehold build -d examples/cleanmatex --out snapshots --fleet fleet.key \\
      --certificate fleet.cert --trust trust.json --slice-key slice.key.pub";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Directory of snapshots to write to; made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Definitions on trial, for a share of the engines
    #[arg(long, value_name = "DIR", requires = "share")]
    candidate: Option<PathBuf>,
    /// How many of a thousand engines use the candidate, 0 to 1000
    #[arg(long, value_name = "PERMILLE", requires = "candidate", value_parser = clap::value_parser!(u16).range(..=1000))]
    share: Option<u16>,
    /// Write one stream as a pack as well: one file with everything
    #[arg(long, value_name = "FILE")]
    pack: Option<PathBuf>,
    /// Which stream goes into the pack, where there are several
    #[arg(long, value_name = "REGION", requires = "pack")]
    stream: Option<Region>,
    /// Leave the contents of the pack uncompressed
    #[arg(long, requires = "pack")]
    uncompressed: bool,
    #[command(flatten)]
    signing: Signing,
}

/// What became of one stream.
#[derive(Debug, Serialize)]
struct Stream {
    #[serde(flatten)]
    published: Published,
    /// Everything that its head names.
    chunks: usize,
    bytes: u64,
    expires_at: leasehold::Timestamp,
}

/// Definitions on trial.
struct Staged {
    definitions: Definitions,
    /// Its own kill switches, which cannot be on trial.
    kills_left_out: Vec<RecordId>,
}

/// The pack that was written.
#[derive(Debug, Serialize)]
struct Packed {
    file: String,
    stream: Region,
    bytes: usize,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    if context.place(context.root())?.is_some() {
        let failure = Failure::is_published(format!("`{}` was published already", context.root().display()));
        return Err(
            failure.hint("name the definitions that it was built from with -d; `leasehold rotate` signs it again")
        );
    }
    let (signer, trust) = options.signing.signer()?;
    let terms = options.signing.terms(context)?;
    let sources = context.sources(context.root())?;
    let base = context.build(&sources).map_err(|found| Failure::refused_whole("the definitions are", found))?;
    let candidate = match &options.candidate {
        Some(root) => Some(candidate(root, &base.definitions, context)?),
        None => None,
    };
    let directory = writable(&options.out, context.root())?;
    refuse_changed_versions(&directory, &signer, &base.definitions, candidate.as_ref(), &sources)?;
    let pack = options.pack.as_deref();
    let packed = pack.map(|_| stream_to_pack(options, &base.definitions, &directory)).transpose()?;
    let staged = candidate.as_ref().map(|staged| &staged.definitions).zip(options.share);
    let kills_left_out = candidate.as_ref().map(|staged| &*staged.kills_left_out).unwrap_or_default();
    let published = directory.publish(&base.definitions, staged, &signer, &terms)?;

    let mut streams = Vec::new();
    for published in published {
        let held = held(&options.out, &trust, &published.stream)?;
        let contents = held.contents()?;
        let expires_at = held.head.head().expires_at;
        streams.push(Stream { published, chunks: contents.all().len(), bytes: contents.bytes(), expires_at });
    }
    let packed = match pack.zip(packed) {
        Some((file, stream)) => Some(write_pack(file, &held(&options.out, &trust, &stream)?, options.uncompressed)?),
        None => None,
    };
    let warnings = base.snapshot.warnings().len();
    let key = signer.certificate().key.id();
    if context.json() {
        let answer = json!({
            "out": options.out.display().to_string(),
            "epoch": signer.certificate().epoch,
            "key_id": key,
            "warnings": warnings,
            "streams": streams,
            "pack": packed,
            "kills_left_out": kills_left_out,
        });
        return Report::json(&answer, Exit::Yes);
    }
    let mut text = page(options, context, &streams, packed.as_ref(), warnings);
    for id in kills_left_out {
        let _ = writeln!(text, "kill switch `{id}` of the candidate is left out: put it into the definitions in force");
    }
    Ok(Report::text(text, Exit::Yes))
}

fn page(options: &Options, context: &Context, streams: &[Stream], packed: Option<&Packed>, warnings: usize) -> String {
    let style = context.style;
    let out = options.out.display();
    let changed = streams.iter().any(|stream| stream.published.changed);
    let title = if streams.is_empty() {
        format!("nothing is published in {out}: without tenants there is no stream")
    } else if changed {
        format!("{} in {out}", words::count(streams.len(), "stream"))
    } else {
        format!("{} in {out}: nothing changed, the heads are signed again", words::count(streams.len(), "stream"))
    };
    let mut text = format!("{}\n", style.paint(Tone::Strong, &title));
    let headings = [
        "STREAM",
        "REVISION",
        "",
        "NEW CONTENTS",
        "BYTES",
        "COMPRESSED",
        "HEAD",
        "OF CONTENTS",
        "OF BYTES",
        "FRESH UNTIL",
    ];
    let mut grid = Grid::new(style, &headings);
    for Stream { published, chunks, bytes, expires_at } in streams {
        let (tone, what) = if published.changed { (Tone::Good, "changed") } else { (Tone::Faint, "signed again") };
        let number = |number: u64| (Tone::Plain, words::number(number));
        grid.toned([
            (Tone::Plain, published.stream.to_string()),
            (Tone::Plain, published.revision.to_string()),
            (tone, what.to_owned()),
            number(published.new_chunks),
            number(published.new_bytes),
            number(published.stored_bytes),
            number(published.head_bytes),
            number(*chunks as u64),
            number(*bytes),
            (Tone::Plain, expires_at.to_string()),
        ]);
    }
    text.push_str(&grid.render(&[1, 3, 4, 5, 6, 7, 8]));
    if let Some(Packed { file, stream, bytes }) = packed {
        let _ = writeln!(text, "pack of {stream} in {file}: {} bytes", words::number(*bytes as u64));
    }
    if let (Some(root), Some(share)) = (&options.candidate, options.share) {
        let _ = writeln!(text, "candidate {} for {share} of 1,000 engines", root.display());
    }
    if warnings > 0 {
        let _ = writeln!(text, "{}: `leasehold lint` lists them", words::count(warnings, "warning"));
    }
    text
}

/// Definitions on trial, compiled with the tenants that they would be for.
fn candidate(root: &Path, base: &Definitions, context: &Context) -> Result<Staged, Failure> {
    if context.place(root)?.is_some() {
        return Err(Failure::is_published(format!("`{}` was published already", root.display()))
            .hint("name the definitions that it was built from with --candidate"));
    }
    let sources = context.sources(root)?;
    let refused = |mut found: Vec<Diagnostic>| {
        locate(&mut found, &sources);
        Failure::refused_whole("the candidate's definitions are", found)
    };
    let mut candidate = load(&sources).map_err(|found| refused(found.into_vec()))?;
    candidate.tenants.clone_from(&base.tenants);
    let kills_left_out = candidate_kills(base, &mut candidate);
    let definitions = context.compile(candidate).map_err(refused)?.definitions;
    Ok(Staged { definitions, kills_left_out })
}

/// Refuses versions that are not what was published under the same number, here or on trial.
fn refuse_changed_versions(
    directory: &SnapshotDirectory,
    signer: &Signer,
    base: &Definitions,
    candidate: Option<&Staged>,
    sources: &[Source],
) -> Result<(), Failure> {
    let candidate = candidate.map(|staged| &staged.definitions);
    let (mut changed, mut staged) = (Vec::new(), candidate.map(|it| changed_versions(base, it)).unwrap_or_default());
    let find = |hash| directory.chunk(hash).ok().flatten();
    for (index, in_force) in ever_published(directory, signer, &find)? {
        let published = match read_index(index, &find) {
            // What is lost of the past keeps nobody from publishing.
            Err(fault) if !in_force && fault.fault_code() == FaultCode::MissingChunk => continue,
            read => read?,
        };
        changed.extend(changed_versions(&published, base));
        staged.extend(candidate.map(|candidate| changed_versions(&published, candidate)).unwrap_or_default());
    }
    locate(&mut changed, sources);
    for (what, mut found) in [("the definitions are", changed), ("the candidate's definitions are", staged)] {
        // Every stream has all definitions.
        let mut seen = BTreeSet::new();
        found.retain(|one| seen.insert(one.path.clone()));
        if !found.is_empty() {
            return Err(Failure::refused_whole(what, found));
        }
    }
    Ok(())
}

/// All definitions that engines were ever to answer by, with few of them or with all, and whether they are in force: as far as
/// the history goes back, and is signed by whom the trust file names today.
fn ever_published(
    directory: &SnapshotDirectory,
    signer: &Signer,
    find: &dyn Fn(Hash) -> Option<Chunk>,
) -> Result<HashMap<ChunkRef, bool>, Failure> {
    let mut indexes = HashMap::new();
    for (stream, last) in directory.last_heads(signer)? {
        let trust = signer.trust(stream.clone());
        let files = std::fs::read_dir(directory.root().join("history").join(stream.as_str())).into_iter().flatten();
        let documents = files.flatten().filter_map(|file| std::fs::read(file.path()).ok());
        let before = documents.filter_map(|document| trust.head(&document).ok()).map(|head| (head, false));
        for (head, in_force) in before.chain([(last, true)]) {
            let head = head.head();
            let mut named: Vec<ChunkRef> = head.candidate.iter().map(|candidate| candidate.definitions).collect();
            if let Some(manifest) = find(head.manifest.hash) {
                named.push(Manifest::read(&manifest.open(head.manifest)?)?.definitions);
            }
            for index in named {
                *indexes.entry(index).or_default() |= in_force;
            }
        }
    }
    Ok(indexes)
}

/// The stream that is packed, known before anything is written.
fn stream_to_pack(options: &Options, base: &Definitions, directory: &SnapshotDirectory) -> Result<Region, Failure> {
    let mut streams: BTreeSet<Region> = base.tenants.values().map(|tenant| tenant.region.clone()).collect();
    streams.extend(directory.streams().map_err(|error| Failure::io("read", &options.out, &error))?);
    let streams: Vec<Region> = streams.into_iter().collect();
    match &options.stream {
        Some(stream) if streams.contains(stream) => Ok(stream.clone()),
        Some(stream) => Err(trust::unknown_stream(stream, &streams, context_of(options))),
        None => trust::only(&streams, context_of(options)).cloned(),
    }
}

fn context_of(options: &Options) -> &Path {
    &options.out
}

fn held(out: &Path, trust: &TrustFile, stream: &Region) -> Result<Held, Failure> {
    let (place, trust) = (Place::required(out)?, trust.of(stream.clone()));
    let head: SignedHead = place.head(&trust)?;
    Ok(Held { place, trust, head })
}

fn write_pack(file: &Path, held: &Held, uncompressed: bool) -> Result<Packed, Failure> {
    let Place::Directory(directory) = &held.place else { return Err(Failure::no_snapshots(file)) };
    let (mut pack, order) = directory.pack(&held.head)?;
    if uncompressed {
        for reference in held.contents()?.all() {
            if let Some(chunk) = pack.chunks.get_mut(&reference.hash) {
                *chunk = Chunk::raw(chunk.open(reference)?);
            }
        }
    }
    let bytes = pack.to_bytes(&order);
    files::replace(file, &bytes)?;
    Ok(Packed { file: file.display().to_string(), stream: held.trust.stream.clone(), bytes: bytes.len() })
}
