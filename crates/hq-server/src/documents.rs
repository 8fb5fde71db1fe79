//! What a file says of itself, verified by nobody: for `inspect`, and to learn which stream or tenant to ask about.

use leasehold::Region;
use leasehold::wire::{ChunkRef, Pack};
use serde_json::Value;
use std::io::Read as _;

/// The first bytes of a zstd frame.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Larger contents are not opened for a look.
const MOST: usize = 64 << 20;

/// A signed statement, as it claims to be.
#[derive(Debug)]
pub(crate) struct Statement<'b> {
    pub(crate) kind: &'b str,
    pub(crate) key: &'b str,
    pub(crate) says: Value,
    pub(crate) bytes: usize,
}

impl Statement<'_> {
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.says.get(field)?.as_str()
    }

    pub(crate) fn reference(&self, field: &str) -> Option<ChunkRef> {
        reference(self.says.get(field)?)
    }
}

/// The statements that a document begins with, and what stands behind them.
pub(crate) fn statements(bytes: &[u8]) -> (Vec<Statement<'_>>, &[u8]) {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while let Some((statement, behind)) = statement(rest) {
        found.push(statement);
        rest = behind;
    }
    (found, rest)
}

fn statement(bytes: &[u8]) -> Option<(Statement<'_>, &[u8])> {
    let (first, rest) = line(bytes)?;
    let (payload, rest) = line(rest)?;
    let mut words = std::str::from_utf8(first).ok()?.split(' ');
    let kind = words.next()?.strip_prefix("leasehold-")?.strip_suffix("/1")?;
    let key = words.next()?;
    let says = serde_json::from_slice(payload).ok()?;
    Some((Statement { kind, key, says, bytes: bytes.len() - rest.len() }, rest))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

pub(crate) fn reference(value: &Value) -> Option<ChunkRef> {
    Some(ChunkRef { hash: value.get("hash")?.as_str()?.parse().ok()?, length: value.get("length")?.as_u64()? })
}

/// What the head in a document claims about one thing.
pub(crate) fn claimed<'v>(statements: &'v [Statement<'_>], kind: &str, field: &str) -> Option<&'v str> {
    statements.iter().find(|statement| statement.kind == kind)?.text(field)
}

/// The stream that a head claims to be of.
pub(crate) fn stream(head: &[u8]) -> Option<Region> {
    claimed(&statements(head).0, "head", "stream")?.parse().ok()
}

/// What a file seems to be.
#[derive(Debug)]
pub(crate) enum Document<'b> {
    Pack(Box<Pack>),
    /// Statements with what stands behind them: a certificate, a head or a slice.
    Signed(Vec<Statement<'b>>, &'b [u8]),
    /// A content; with its bytes, and whether it was compressed.
    Content(Vec<u8>, bool),
    SecretKey,
    PublicKey(Value),
    Trust(Value),
    Unknown,
}

impl<'b> Document<'b> {
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        if Pack::is_one(bytes) {
            return Pack::read(bytes).map_or(Self::Unknown, |pack| Self::Pack(Box::new(pack)));
        }
        let (statements, rest) = statements(bytes);
        if !statements.is_empty() {
            return Self::Signed(statements, rest);
        }
        if bytes.starts_with(ZSTD) {
            // What comes out is bounded, not what goes in: nobody has verified it.
            let mut content = Vec::new();
            let read = zstd::stream::Decoder::new(bytes)
                .and_then(|decoder| decoder.take(MOST as u64).read_to_end(&mut content));
            return read.map_or(Self::Unknown, |_| Self::Content(content, true));
        }
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Self::Unknown };
        let has = |field: &str| value.get(field).is_some();
        match () {
            () if has("kind") && has("secret") => Self::SecretKey,
            () if has("kind") && has("public") => Self::PublicKey(value),
            () if has("roots") => Self::Trust(value),
            () => Self::Content(bytes.to_vec(), false),
        }
    }
}
