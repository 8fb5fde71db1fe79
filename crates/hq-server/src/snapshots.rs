//! What was published, verified: packs, and directories of snapshots.

use crate::contents::Contents;
use crate::documents;
use crate::failure::Failure;
use crate::files;
use crate::trust::{Published, TrustFile, Trusted};
use leasehold::follow::{Action, Event, Follower, Report, read_definitions};
use leasehold::model::Definitions;
use leasehold::wire::{Candidate, Chunk, ChunkRef, DefinitionsIndex, Pack, SignedHead, Trust};
use leasehold::{EngineId, Hash, Region, Snapshot, SnapshotDirectory, Stamp, Timestamp};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Larger packs are not read.
const MOST: u64 = 8 << 30;

/// Where something published lies.
#[derive(Debug)]
pub(crate) enum Place {
    Pack(Box<Pack>),
    Directory(SnapshotDirectory),
}

impl Place {
    /// What lies at a path, if it is something published.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>, Failure> {
        if let Some(directory) = Self::at_directory(path) {
            return Ok(Some(directory));
        }
        if !path.is_file() || !begins_as_pack(path) {
            return Ok(None);
        }
        let pack = Pack::read(&files::read(path, MOST)?)?;
        Ok(Some(Self::Pack(Box::new(pack))))
    }

    /// A directory of snapshots, if that is what lies at a path.
    pub(crate) fn at_directory(path: &Path) -> Option<Self> {
        SnapshotDirectory::is_one(path).then(|| Self::Directory(SnapshotDirectory::new(path)))
    }

    /// The same, where nothing else will do.
    pub(crate) fn required(path: &Path) -> Result<Self, Failure> {
        Self::at(path)?.ok_or_else(|| match std::fs::metadata(path) {
            Err(error) => Failure::io("read", path, &error),
            Ok(_) => Failure::no_snapshots(path),
        })
    }

    /// Streams, in order. What a pack says of itself is not verified yet.
    pub(crate) fn streams(&self) -> Result<Vec<Region>, Failure> {
        match self {
            Self::Pack(pack) => Ok(documents::stream(&pack.head).into_iter().collect()),
            Self::Directory(directory) => {
                directory.streams().map_err(|error| Failure::io("read", directory.root(), &error))
            }
        }
    }

    /// The current head of the stream that is trusted.
    pub(crate) fn head(&self, trust: &Trust) -> Result<SignedHead, Failure> {
        let bytes = match self {
            Self::Pack(pack) => pack.head.clone(),
            Self::Directory(directory) => {
                let head = directory.head(&trust.stream);
                let head = head.map_err(|error| Failure::io("read", directory.root(), &error))?;
                head.ok_or_else(|| Failure::unknown_stream(trust.stream.as_str(), directory.root()))?
            }
        };
        Ok(trust.head(&bytes)?)
    }

    /// A content, not verified yet.
    pub(crate) fn chunk(&self, hash: Hash) -> Option<Chunk> {
        match self {
            Self::Pack(pack) => pack.chunks.get(&hash).cloned(),
            Self::Directory(directory) => directory.chunk(hash).ok().flatten(),
        }
    }
}

fn begins_as_pack(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    read.is_ok() && Pack::is_one(&start)
}

/// One stream of something published: a head that was verified, and the place of what it names.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) place: Place,
    pub(crate) trust: Trust,
    pub(crate) head: SignedHead,
}

impl Held {
    /// The stream that is chosen, as it is or as it was known at an instant.
    pub(crate) fn open(
        path: &Path,
        place: Place,
        trusted: &Trusted,
        known_at: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let file = TrustFile::named(trusted, path)?;
        let trust = match &place {
            Place::Directory(_) => file.choose(trusted, &place.streams()?, path)?,
            // Whether it is of that stream is for the engine to say.
            Place::Pack(_) => match file.chosen(trusted) {
                Some(stream) => file.of(stream.clone()),
                None => {
                    place.streams()?.into_iter().next().map_or_else(|| file.any().clone(), |stream| file.of(stream))
                }
            },
        };
        let head = match (&place, known_at) {
            (_, None) => place.head(&trust)?,
            (Place::Directory(directory), Some(known_at)) => directory.head_known_at(&trust, known_at)?,
            (Place::Pack(_), Some(_)) => {
                let failure = Failure::usage("a pack holds one revision, and no history");
                return Err(failure.hint("--known-at needs a directory of snapshots"));
            }
        };
        Ok(Self { place, trust, head })
    }

    pub(crate) fn find(&self) -> impl Fn(Hash) -> Option<Chunk> {
        |hash| self.place.chunk(hash)
    }

    pub(crate) fn contents(&self) -> Result<Contents, Failure> {
        let head = self.head.head();
        Contents::of(head.manifest, head.candidate.as_ref().map(|candidate| candidate.definitions), &self.find())
    }

    /// All tenants, and the definitions in force or those on trial.
    pub(crate) fn definitions(&self, staged: Option<&Candidate>) -> Result<Definitions, Failure> {
        Ok(read_definitions(&self.head, staged, &self.find())?)
    }

    /// The snapshot that an engine answers from, and whether that is the candidate's.
    pub(crate) fn snapshot(&self, engine: Option<&EngineId>, now: Timestamp) -> Result<Arc<Snapshot>, Failure> {
        let mut follower = match engine {
            Some(engine) => Follower::of_engine(self.trust.clone(), engine.clone()),
            None => Follower::of_stream(self.trust.clone()),
        };
        match &self.place {
            // Nothing says that a pack is the newest.
            Place::Pack(pack) => drop(follower.open((**pack).clone(), now)?),
            Place::Directory(directory) => follow(&mut follower, directory, &self.head, now)?,
        }
        follower.snapshot().cloned().ok_or_else(|| Failure::internal("the follower has no snapshot"))
    }

    /// The world as this engine sees it.
    pub(crate) fn world(
        &self,
        published: &Published,
        now: Timestamp,
    ) -> Result<(Definitions, Arc<Snapshot>, Origin), Failure> {
        let head = self.head.head();
        let staged = head.staged_for(published.engine_id.as_ref());
        let definitions = self.definitions(staged)?;
        let snapshot = match published.known_at {
            // What was known then has long been followed by something else: that it would be stale today says nothing.
            Some(_) => {
                let compiled = Snapshot::compile(&definitions, Stamp { expires_at: None, ..head.stamp() });
                Arc::new(compiled.map_err(|found| Failure::refused(found.as_slice().to_vec()))?)
            }
            None => self.snapshot(published.engine_id.as_ref(), now)?,
        };
        let origin = Origin {
            stream: head.stream.clone(),
            stamp: snapshot.stamp(),
            known_at: published.known_at,
            candidate: staged.is_some(),
            pack: matches!(self.place, Place::Pack(_)),
        };
        Ok((definitions, snapshot, origin))
    }
}

/// Does for a follower what it asks for, until it has what the head names.
fn follow(
    follower: &mut Follower,
    directory: &SnapshotDirectory,
    head: &SignedHead,
    now: Timestamp,
) -> Result<(), Failure> {
    follower.handle(Event::Started, now, 0);
    let mut actions = follower.handle(Event::Head(head.bytes().to_vec()), now, 0);
    while !actions.is_empty() {
        let mut next = Vec::new();
        for action in actions {
            let event = match action {
                Action::FetchChunk(reference) => match directory.chunk(reference.hash) {
                    Ok(Some(chunk)) => Event::Chunk(reference.hash, chunk),
                    Ok(None) => Event::ChunkMissing(reference.hash),
                    Err(error) => return Err(Failure::io("read", directory.root(), &error)),
                },
                Action::Report(Report::Nack { fault, .. }) => return Err(fault.into()),
                _ => continue,
            };
            next.extend(follower.handle(event, now, 0));
        }
        actions = next;
    }
    Ok(())
}

/// Which snapshot a world was read from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) stream: Region,
    pub(crate) stamp: Stamp,
    known_at: Option<Timestamp>,
    candidate: bool,
    pack: bool,
}

impl Origin {
    /// The snapshot in words.
    pub(crate) fn describe(&self, now: Timestamp) -> String {
        let Stamp { revision, issued_at, expires_at } = self.stamp;
        let mut text = format!("revision {revision} of {}, issued at {issued_at}", self.stream);
        match (self.known_at, expires_at) {
            (Some(known_at), _) => text.push_str(&format!(", as known at {known_at}")),
            (None, Some(expires_at)) if expires_at <= now => text.push_str(&format!(", stale since {expires_at}")),
            (None, Some(expires_at)) => text.push_str(&format!(", fresh until {expires_at}")),
            (None, None) => {}
        }
        if self.pack {
            text.push_str(", from a pack");
        }
        if self.candidate {
            text.push_str(", with the candidate's definitions");
        }
        text
    }
}

/// The document of a head: a file that is one, a pack, or the only stream of a directory.
pub(crate) fn head_document(path: &Path, stream: Option<&Region>) -> Result<Vec<u8>, Failure> {
    match Place::at(path)? {
        Some(Place::Pack(pack)) => Ok(pack.head),
        Some(Place::Directory(directory)) => {
            let streams = directory.streams().map_err(|error| Failure::io("read", path, &error))?;
            let stream = match stream {
                Some(stream) => stream,
                None => crate::trust::only(&streams, path)?,
            };
            let head = directory.head(stream).map_err(|error| Failure::io("read", path, &error))?;
            head.ok_or_else(|| crate::trust::unknown_stream(stream, &streams, path))
        }
        None => files::read(path, 1 << 20),
    }
}

/// The contents of an index, by name and size.
pub(crate) fn sections(index: &DefinitionsIndex) -> Vec<(&'static str, ChunkRef)> {
    index.sections().collect()
}

/// A directory that a publisher may write to: one of snapshots, or nothing yet.
pub(crate) fn writable(out: &Path, definitions: &Path) -> Result<SnapshotDirectory, Failure> {
    if !SnapshotDirectory::is_one(out) {
        match std::fs::read_dir(out) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    let failure = Failure::not_empty(out);
                    return Err(failure.hint("name a directory of snapshots, or one that does not exist yet"));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io("use", out, &error)),
        }
    }
    if let (Some(out), Ok(definitions)) = (existing_part(out), definitions.canonicalize())
        && out.starts_with(&definitions)
    {
        let message = format!("the snapshots would lie in `{}`, among the definitions", definitions.display());
        return Err(Failure::usage(message).hint("name a directory elsewhere with --out"));
    }
    Ok(SnapshotDirectory::new(out))
}

/// The nearest folder of a path that exists, in full.
fn existing_part(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|part| part.canonicalize().ok())
}
