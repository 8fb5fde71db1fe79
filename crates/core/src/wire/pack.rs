//! Packs: a head and everything that it names, in one file.

use super::{Chunk, Encoding, Fault, FaultCode, MAX_HEAD_BYTES, Stage};
use crate::Hash;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

const MAGIC: &[u8] = b"leasehold-pack/1\n";
const MAGIC_OF_ANY: &[u8] = b"leasehold-pack/";

/// A head and everything that it names, in one file: for a first start, for tests, for where there is no network.
///
/// What is read here is structure only. Who signed the head, and whether the contents are those that it names, shows when
/// the pack is opened: by [`Follower::open`](crate::follow::Follower::open), or by
/// [`Snapshot::from_pack`](crate::Snapshot::from_pack).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// The head, as a signed document.
    pub head: Vec<u8>,
    /// Contents by hash.
    pub chunks: BTreeMap<Hash, Chunk>,
}

impl Pack {
    /// Whether a file says of itself that it is a pack, of whatever version.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC_OF_ANY)
    }

    /// The pack as a file. `order` names the contents that stand first, in that order; the others follow by hash.
    #[must_use]
    pub fn to_bytes(&self, order: &[Hash]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(format!("{}\n", self.head.len()).as_bytes());
        bytes.extend_from_slice(&self.head);
        let mut rest: BTreeMap<&Hash, &Chunk> = self.chunks.iter().collect();
        let first: Vec<_> = order.iter().filter_map(|hash| rest.remove_entry(hash)).collect();
        for (hash, chunk) in first.into_iter().chain(rest) {
            let line = format!("{hash} {} {}\n", chunk.encoding().as_str(), chunk.bytes().len());
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(chunk.bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// Reads the structure of a pack.
    ///
    /// # Errors
    /// `wrong_document`, `unknown_format`, `truncated`, `malformed`, `too_long`, `unexpected_chunk` where a content stands
    /// twice.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
            let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Err(match bytes {
                _ if MAGIC.starts_with(bytes) => fault(FaultCode::Truncated, "it ends in the middle"),
                _ if first.starts_with(MAGIC_OF_ANY) => {
                    fault(FaultCode::UnknownFormat, "it is of a format that this engine does not know")
                }
                _ => fault(FaultCode::WrongDocument, "it is not a pack"),
            });
        };
        let length = number(line(&mut rest)?)?;
        if length > MAX_HEAD_BYTES {
            return Err(fault(FaultCode::TooLong, "its head is longer than any may be"));
        }
        let head = take(&mut rest, length)?.to_vec();
        let mut chunks = BTreeMap::new();
        while !rest.is_empty() {
            let mut words = line(&mut rest)?.split(' ');
            let hash = words.next().and_then(|hash| hash.parse::<Hash>().ok());
            let encoding =
                words.next().and_then(|word| [Encoding::Raw, Encoding::Zstd].into_iter().find(|e| e.as_str() == word));
            let (Some(hash), Some(encoding), Some(length), None) = (hash, encoding, words.next(), words.next()) else {
                return Err(fault(
                    FaultCode::Malformed,
                    "a content begins with its hash, `raw` or `zstd`, and its length",
                ));
            };
            let stored = take(&mut rest, number(length)?)?;
            if take(&mut rest, 1)? != b"\n" {
                return Err(fault(FaultCode::Malformed, "a content does not end where its length says"));
            }
            let chunk = match encoding {
                Encoding::Raw => Chunk::raw(stored),
                Encoding::Zstd => Chunk::zstd(stored),
            };
            match chunks.entry(hash) {
                Entry::Vacant(place) => place.insert(chunk),
                Entry::Occupied(_) => {
                    let message = "it stands twice in the pack";
                    return Err(Fault::new(Stage::Parse, FaultCode::UnexpectedChunk, hash.to_string(), message));
                }
            };
        }
        Ok(Self { head, chunks })
    }
}

fn fault(code: FaultCode, message: &str) -> Fault {
    Fault::new(Stage::Parse, code, "pack", message)
}

/// Steps over one short line of text.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Fault> {
    let end = rest.iter().take(128).position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| match rest.len() {
        ..128 => fault(FaultCode::Truncated, "it ends in the middle of a line"),
        _ => fault(FaultCode::Malformed, "a line is too long"),
    })?;
    let taken = take(rest, end + 1)?;
    let text = taken.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
    text.ok_or_else(|| fault(FaultCode::Malformed, "a line is not text"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Fault> {
    let Some((taken, others)) = rest.split_at_checked(length) else {
        return Err(fault(FaultCode::Truncated, "it ends in the middle"));
    };
    *rest = others;
    Ok(taken)
}

/// A length, in its one spelling.
fn number(text: &str) -> Result<usize, Fault> {
    let number = text.parse().ok().filter(|number: &u64| number.to_string() == text);
    let number = number.ok_or_else(|| fault(FaultCode::Malformed, "a length is not a number"))?;
    // More than there can be is more than there is.
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}
