//! Signed statements: one line that says what it is and who signed it, one line with what is said.
//!
//! ```text
//! leasehold-head/1 KEY-ID SIGNATURE
//! {"…":"canonical JSON has no line feeds"}
//! ```
//!
//! The signature covers `leasehold-head/1`, a line feed and the second line: a statement of one sort can never pass as
//! one of another. Nothing but the first line is looked at before the signature has been verified.

use super::keys::{KeyId, PublicKey, SecretKey};
use super::{Fault, FaultCode, MAX_CHECKPOINT_BYTES, MAX_HEAD_BYTES, Stage};
use crate::hash::{from_hex, to_hex};

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Certificate,
    Head,
    Slice,
    Checkpoint,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Certificate, Self::Head, Self::Slice, Self::Checkpoint];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Head => "head",
            Self::Slice => "slice",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// How long a payload may be, with its line feed. A checkpoint names every chain that there is.
    fn most(self) -> usize {
        match self {
            Self::Certificate | Self::Head | Self::Slice => MAX_HEAD_BYTES,
            Self::Checkpoint => MAX_CHECKPOINT_BYTES,
        }
    }

    /// The word that a statement begins with, its format's version included.
    fn word(self) -> String {
        format!("leasehold-{}/1", self.name())
    }

    /// What is signed: the word, a line feed, what is said.
    fn message(self, payload: &[u8]) -> Vec<u8> {
        [self.word().as_bytes(), b"\n", payload].concat()
    }
}

/// A statement whose signature has not been looked at.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) kind: Kind,
    pub(crate) key: KeyId,
    signature: [u8; 64],
    pub(crate) payload: &'a [u8],
}

pub(crate) fn sign(kind: Kind, payload: &[u8], key: &SecretKey) -> Vec<u8> {
    let signature = to_hex(&key.sign(&kind.message(payload)));
    let mut bytes = format!("{} {} {signature}\n", kind.word(), key.public().id()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.push(b'\n');
    bytes
}

impl<'a> Statement<'a> {
    /// The first statement of a document, which must be of a kind, and what stands behind it.
    pub(crate) fn first(bytes: &'a [u8], expected: Kind) -> Result<(Self, &'a [u8]), Fault> {
        let fault = |code, message: String| Fault::new(Stage::Verify, code, expected.name(), message);
        let cut_short = || fault(FaultCode::Truncated, "it ends in the middle".to_owned());
        // A first line has a bounded length, whatever comes.
        let line_end = bytes.iter().take(256).position(|byte| *byte == b'\n');
        let start = bytes.get(..line_end.unwrap_or(bytes.len().min(256))).unwrap_or_default();
        let kind = kind_of(start, line_end.is_none(), expected)?;
        if kind != expected {
            let message = format!("a {} is expected, and this is a {}", expected.name(), kind.name());
            return Err(fault(FaultCode::WrongDocument, message));
        }
        let line = match line_end {
            Some(end) => bytes.get(..end).unwrap_or_default(),
            None if bytes.len() < 256 => return Err(cut_short()),
            None => return Err(fault(FaultCode::Malformed, "its first line is too long".to_owned())),
        };
        let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ').skip(1);
        let (key, signature) = (words.next().and_then(|key| key.parse().ok()), words.next().and_then(from_hex));
        let (Some(key), Some(signature), None) = (key, signature, words.next()) else {
            let message = "its first line is not its sort, a key id and a signature";
            return Err(fault(FaultCode::Malformed, message.to_owned()));
        };
        let rest = bytes.get(line.len() + 1..).unwrap_or_default();
        let most = kind.most();
        let end = rest.iter().take(most).position(|byte| *byte == b'\n').ok_or_else(|| {
            if rest.len() < most {
                cut_short()
            } else {
                fault(FaultCode::TooLong, format!("it says more than {most} bytes"))
            }
        })?;
        let (payload, rest) = rest.split_at_checked(end).unwrap_or_default();
        Ok((Self { kind, key, signature, payload }, rest.get(1..).unwrap_or_default()))
    }

    /// Refuses a statement that this key did not sign.
    pub(crate) fn verify(&self, key: &PublicKey, item: &str) -> Result<(), Fault> {
        if key.verifies(&self.kind.message(self.payload), &self.signature) {
            return Ok(());
        }
        let message = format!("its signature is not one of these bytes by key {}", self.key);
        Err(Fault::new(Stage::Verify, FaultCode::BadSignature, item, message))
    }
}

/// What the first line says that a document is.
fn kind_of(line: &[u8], cut_short: bool, expected: Kind) -> Result<Kind, Fault> {
    let fault = |code, message: String| Err(Fault::new(Stage::Verify, code, expected.name(), message));
    let line = String::from_utf8_lossy(line);
    let word = line.split(' ').next().unwrap_or_default();
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == word) {
        return Ok(kind);
    }
    if cut_short && Kind::ALL.into_iter().any(|kind| kind.word().starts_with(&*line)) {
        return fault(FaultCode::Truncated, "it ends in the middle".to_owned());
    }
    let versioned = word.strip_prefix("leasehold-").and_then(|word| word.split_once('/'));
    if versioned.is_some_and(|(_, version)| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())) {
        return fault(FaultCode::UnknownFormat, format!("`{word}` is a format that this engine does not know"));
    }
    fault(FaultCode::WrongDocument, format!("a {} begins with `{}`", expected.name(), expected.word()))
}
