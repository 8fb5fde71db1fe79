//! A directory of snapshots: what a publisher writes, what an engine follows or keeps for its next start.
//!
//! ```text
//! heads/STREAM.head                    the current head
//! heads/STREAM.seen                    the highest head that was seen, in last-known-good folders
//! history/STREAM/EPOCH-REVISION.head   the first head of each revision
//! chunks/AB/ABCD….zst                  contents by hash, or `.json` where they are not compressed
//! ```
//!
//! A file is written under another name and renamed when it is on disk: what bears its name is whole.

use crate::build::Signer;
use crate::follow::{Kept, Persist};
use crate::wire::{
    Chunk, ChunkRef, Encoding, Fault, FaultCode, MAX_CHUNK_BYTES, MAX_HEAD_BYTES, Pack, SignedHead, Stage, Trust,
};
use crate::{Hash, Region, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A directory of snapshots.
#[derive(Debug, Clone)]
pub struct SnapshotDirectory {
    root: PathBuf,
}

impl SnapshotDirectory {
    /// The snapshots below a directory, which need not be there yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether a directory holds snapshots.
    #[must_use]
    pub fn is_one(root: &Path) -> bool {
        root.join("heads").is_dir()
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The streams that have a head, in order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn streams(&self) -> io::Result<Vec<Region>> {
        let mut streams = Vec::new();
        let folder = self.root.join("heads");
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                let name = entry?.file_name();
                let stream =
                    name.to_str().and_then(|name| name.strip_suffix(".head")).and_then(|name| name.parse().ok());
                streams.extend(stream);
            }
        }
        streams.sort();
        Ok(streams)
    }

    /// The current head of a stream; nothing where there is none.
    ///
    /// # Errors
    /// What the file system says.
    pub fn head(&self, stream: &Region) -> io::Result<Option<Vec<u8>>> {
        read(&self.head_path(stream, "head"), MAX_HEAD_BYTES as u64)
    }

    /// A content by its hash, not verified; nothing where there is none.
    ///
    /// # Errors
    /// What the file system says.
    pub fn chunk(&self, hash: Hash) -> io::Result<Option<Chunk>> {
        self.chunk_of(hash, MAX_CHUNK_BYTES)
    }

    /// The same, of which no more is read than was announced: compressed, no content is longer.
    pub(crate) fn chunk_of(&self, hash: Hash, length: u64) -> io::Result<Option<Chunk>> {
        let most = length.min(MAX_CHUNK_BYTES);
        if let Some(frame) = read(&self.chunk_path(hash, Encoding::Zstd), most)? {
            return Ok(Some(Chunk::zstd(frame)));
        }
        Ok(read(&self.chunk_path(hash, Encoding::Raw), most)?.map(Chunk::raw))
    }

    /// Writes a content where it is not there yet, or is not what its name says; gives how many bytes that took.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_chunk(&self, reference: ChunkRef, content: &[u8]) -> io::Result<u64> {
        // What bears the name may have rotted.
        if self.chunk_of(reference.hash, reference.length)?.is_some_and(|chunk| chunk.open(reference).is_ok()) {
            return Ok(0);
        }
        let chunk = Chunk::compressed(content);
        write_whole(&self.chunk_path(reference.hash, chunk.encoding()), chunk.bytes())?;
        Ok(chunk.bytes().len() as u64)
    }

    /// Writes a head as the current one of its stream after `last`, and into the history where its revision is new.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_head(&self, head: &SignedHead, last: Option<&SignedHead>) -> io::Result<()> {
        let said = head.head();
        // A file of this name without such a head was left behind by a crash: it was never in force.
        if last.map(|last| last.head().order()) != Some(said.order()) {
            write_whole(&self.root.join("history").join(said.stream.as_str()).join(history_name(head)), head.bytes())?;
        }
        write_whole(&self.head_path(&said.stream, "head"), head.bytes())
    }

    /// The first head of each revision of a stream, oldest first.
    ///
    /// # Errors
    /// `unreachable` where a file cannot be read, and what is wrong with the first head that is not to be believed.
    pub fn history(&self, trust: &Trust) -> Result<Vec<SignedHead>, Fault> {
        let folder = self.root.join("history").join(trust.stream.as_str());
        let list = || -> io::Result<Vec<PathBuf>> {
            let entries = fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path()));
            let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "head"));
            paths.sort();
            Ok(paths)
        };
        let paths = list().map_err(|error| unreadable(folder.display(), error))?;
        let heads = paths.iter().map(|path| {
            let bytes = read(path, MAX_HEAD_BYTES as u64).map_err(|error| unreadable(path.display(), error))?;
            trust.head(&bytes.unwrap_or_default())
        });
        let mut heads = heads.collect::<Result<Vec<_>, Fault>>()?;
        // What a crash left behind the current head was never in force.
        let current =
            self.head(&trust.stream).map_err(|error| unreadable(folder.display(), error))?.unwrap_or_default();
        let current = trust.head(&current)?;
        heads.retain(|head| head.head().order() <= current.head().order());
        Ok(heads)
    }

    /// The head that was the current one at an instant, as far as the history goes back.
    ///
    /// # Errors
    /// `outside_history` before the first head, and what [`Self::history`] refuses.
    pub fn head_known_at(&self, trust: &Trust, known_at: Timestamp) -> Result<SignedHead, Fault> {
        let heads = self.history(trust)?;
        let first = heads.first().map(|head| head.head().issued_at);
        // Issued later means a higher revision: a publisher's history is in order.
        heads.into_iter().rev().find(|head| head.head().issued_at <= known_at).ok_or_else(|| {
            let message = match first {
                Some(first) => format!("nothing is known of {known_at}: the history begins at {first}"),
                None => "there is no history".to_owned(),
            };
            Fault::new(Stage::Download, FaultCode::OutsideHistory, "history", message)
        })
    }

    /// A head with everything that it names, verified. With the order in which a pack is best written.
    ///
    /// # Errors
    /// `missing_chunk`, `unreachable`, and whatever is wrong with a content.
    pub fn pack(&self, head: &SignedHead) -> Result<(Pack, Vec<Hash>), Fault> {
        let mut order = Vec::new();
        let mut chunks = BTreeMap::new();
        crate::follow::walk(head, |reference| {
            let chunk = self.chunk(reference.hash).map_err(|error| unreadable(reference.hash, error))?;
            let chunk = chunk.ok_or_else(|| crate::follow::missing(reference.hash))?;
            let content = chunk.open(reference)?;
            if chunks.insert(reference.hash, chunk).is_none() {
                order.push(reference.hash);
            }
            Ok(content)
        })?;
        Ok((Pack { head: head.bytes().to_vec(), chunks }, order))
    }

    /// Reads a last-known-good folder into a follower: see [`Follower::restore`](crate::follow::Follower::restore).
    pub(crate) fn kept<R>(&self, stream: &Region, with: impl FnOnce(Kept<'_>) -> R) -> R {
        // What cannot be read is as good as not there: the follower says what it misses.
        let find = |hash| self.chunk(hash).ok().flatten();
        let head = read(&self.head_path(stream, "head"), MAX_CHUNK_BYTES).ok().flatten();
        let seen = read(&self.head_path(stream, "seen"), MAX_HEAD_BYTES as u64).ok().flatten();
        with(Kept { head, seen, find: &find })
    }

    /// Keeps what a follower wants kept: contents, then the head, then nothing that is not needed any more.
    ///
    /// # Errors
    /// What the file system says. What was kept before is still whole then.
    pub fn persist(&self, stream: &Region, persist: &Persist) -> io::Result<()> {
        let mut written = Vec::new();
        let mut write_all = || -> io::Result<()> {
            for (hash, chunk) in &persist.chunks {
                // What is there under this name may have rotted: the follower would not ask for it to be kept if it had
                // it.
                let path = self.chunk_path(*hash, chunk.encoding());
                written.push((write_aside(&path, chunk.bytes())?, path));
            }
            // First all are written, then all are waited for: the disk does most of it in one go.
            for (aside, _) in &written {
                File::open(aside)?.sync_all()?;
            }
            written.iter().try_for_each(|(aside, path)| fs::rename(aside, path))
        };
        if let Err(error) = write_all() {
            // A full disk is not left fuller than it was.
            written.iter().for_each(|(aside, _)| drop(fs::remove_file(aside)));
            return Err(error);
        }
        for (hash, chunk) in &persist.chunks {
            let other = match chunk.encoding() {
                Encoding::Raw => Encoding::Zstd,
                Encoding::Zstd => Encoding::Raw,
            };
            let _ = fs::remove_file(self.chunk_path(*hash, other));
        }
        let folders: HashSet<&Path> = written.iter().filter_map(|(_, path)| path.parent()).collect();
        folders.into_iter().try_for_each(sync_folder)?;
        write_whole(&self.head_path(stream, "head"), &persist.head)?;
        // Streams that share a folder share contents.
        let alone = self.streams()?.len() == 1;
        for hash in persist.obsolete.iter().filter(|_| alone) {
            for encoding in [Encoding::Zstd, Encoding::Raw] {
                // What stays behind costs room, and is swept at the next start.
                let _ = fs::remove_file(self.chunk_path(*hash, encoding));
            }
        }
        Ok(())
    }

    /// Keeps the highest head that was seen.
    ///
    /// # Errors
    /// What the file system says.
    pub fn persist_seen(&self, stream: &Region, head: &[u8]) -> io::Result<()> {
        write_whole(&self.head_path(stream, "seen"), head)
    }

    /// Removes contents that are not among those needed, and what a crash left half written. Only for a folder that
    /// nobody else writes.
    pub(crate) fn sweep(&self, needed: &HashSet<Hash>) {
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        for file in entries(&self.root.join("heads")) {
            if file.file_name().as_encoded_bytes().starts_with(b".") {
                let _ = fs::remove_file(file.path());
            }
        }
        if self.streams().map_or(true, |streams| streams.len() != 1) {
            return;
        }
        for folder in entries(&self.root.join("chunks")) {
            for file in entries(&folder.path()) {
                let path = file.path();
                let hash = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<Hash>().ok());
                if !hash.is_some_and(|hash| needed.contains(&hash)) {
                    let _ = fs::remove_file(path);
                }
            }
        }
    }

    fn head_path(&self, stream: &Region, extension: &str) -> PathBuf {
        self.root.join("heads").join(format!("{stream}.{extension}"))
    }

    fn chunk_path(&self, hash: Hash, encoding: Encoding) -> PathBuf {
        let (folder, name) = chunk_name(hash, encoding);
        self.root.join("chunks").join(folder).join(name)
    }

    /// The last heads of all streams, verified.
    ///
    /// # Errors
    /// `unreachable` where a file cannot be read, and what is wrong with the first head that is not to be believed.
    pub fn last_heads(&self, signer: &Signer) -> Result<BTreeMap<Region, SignedHead>, Fault> {
        let unreadable = |error| unreadable(self.root.display(), error);
        let streams = self.streams().map_err(unreadable)?;
        let heads = streams.into_iter().map(|stream| {
            let bytes = self.head(&stream).map_err(unreadable)?.unwrap_or_default();
            let head = signer.trust(stream.clone()).head(&bytes)?;
            Ok((stream, head))
        });
        heads.collect()
    }
}

/// The folder and file of a content.
pub(super) fn chunk_name(hash: Hash, encoding: Encoding) -> (String, String) {
    let name = hash.to_string();
    let extension = match encoding {
        Encoding::Raw => "json",
        Encoding::Zstd => "zst",
    };
    (name.chars().take(2).collect(), format!("{name}.{extension}"))
}

/// The file of a head among those of its stream's history.
pub(super) fn history_name(head: &SignedHead) -> String {
    format!("{:016}-{:016}.head", head.head().epoch, head.head().revision.get())
}

/// What the file system says about something that was to be read.
fn unreadable(item: impl Display, error: io::Error) -> Fault {
    Fault::new(Stage::Download, FaultCode::Unreachable, item.to_string(), error.to_string())
}

/// Reads a file that may not be there. Of one that is too long, one byte more than is allowed is read: what it is for
/// refuses it.
fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file under another name beside the one that it will have.
fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&aside).and_then(|mut file| file.write_all(bytes));
    if let Err(error) = written {
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    Ok(aside)
}

/// Writes a file so that it is on disk, and whole, before it has its name.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = write_aside(path, bytes)?;
    let renamed = File::open(&aside).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&aside, path));
    if let Err(error) = renamed {
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes a folder, and those above it, so that they are still there after a power cut.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() || folder.as_os_str().is_empty() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    make_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
