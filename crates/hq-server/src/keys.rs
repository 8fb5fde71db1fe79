//! Files that hold keys.
//!
//! A secret key and its public half lie in two files, so that the one never has to leave its place. Each says what it is:
//! a secret where a public key belongs would else be published. No secret is ever printed, nor any part of its file.

use crate::failure::Failure;
use crate::files;
use crate::words;
use leasehold::wire::{PublicKey, SecretKey};
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

const MOST: u64 = 4096;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyKind {
    /// Certifies fleet keys; kept offline
    Root,
    /// Signs heads; kept by the publisher
    Fleet,
    /// Signs slices, for 24 hours at most
    Slice,
}

impl KeyKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Fleet => "fleet",
            Self::Slice => "slice",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Root, Self::Fleet, Self::Slice].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the public half of a key is written.
pub(crate) fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// The two files of a key: secret, public.
pub(crate) fn to_files(kind: KeyKind, key: &SecretKey) -> (String, String) {
    let id = key.public().id().to_string();
    let line =
        |half: &str, digits: String| format!("{}\n", json!({ "kind": kind.as_str(), "key_id": id, half: digits }));
    (line("secret", key.to_hex()), line("public", key.public().to_string()))
}

/// Reads a secret key for one purpose.
pub(crate) fn secret(path: &Path, kind: KeyKind) -> Result<SecretKey, Failure> {
    let fields = fields(path, kind)?;
    let Some(digits) = fields.get("secret").and_then(Value::as_str) else {
        if fields.get("public").is_some() {
            let failure = Failure::key("public_key", format!("`{}` is a public key", path.display()));
            let secret = path.display().to_string();
            return Err(failure.hint(match secret.strip_suffix(".pub") {
                Some(secret) => format!("the secret key is needed here: try `{secret}`"),
                None => "the secret key is needed here".to_owned(),
            }));
        }
        return Err(not_a_key(path));
    };
    SecretKey::from_hex(digits).map_err(|_| not_a_key(path))
}

/// Reads a public key for one purpose.
pub(crate) fn public(path: &Path, kind: KeyKind) -> Result<PublicKey, Failure> {
    let fields = fields(path, kind)?;
    if fields.get("secret").is_some() {
        let failure = Failure::key("secret_key", format!("`{}` is a secret key", path.display()));
        return Err(failure.hint(format!("name its public half: `{}`", public_path(path).display())));
    }
    let key = fields.get("public").and_then(Value::as_str).and_then(|digits| digits.parse().ok());
    key.ok_or_else(|| not_a_key(path))
}

/// What a key file says, where it is of this kind.
fn fields(path: &Path, expected: KeyKind) -> Result<Value, Failure> {
    let bytes = files::read(path, MOST)?;
    // What is wrong with the text is not said: it may be a secret.
    let fields: Value = serde_json::from_slice(&bytes).map_err(|_| not_a_key(path))?;
    let kind = fields.get("kind").and_then(Value::as_str).and_then(KeyKind::parse);
    let kind = kind.ok_or_else(|| not_a_key(path))?;
    if kind != expected {
        let message = format!("`{}` is a {kind} key, and a {expected} key is needed", path.display());
        return Err(Failure::key("wrong_key_kind", message).hint(purpose(expected)));
    }
    Ok(fields)
}

fn purpose(kind: KeyKind) -> String {
    let signs = match kind {
        KeyKind::Root => "a root key certifies fleet keys",
        KeyKind::Fleet => "a fleet key signs heads",
        KeyKind::Slice => "a slice key signs slices",
    };
    format!("{signs}; make one with `leasehold keygen {kind} --out FILE`")
}

fn not_a_key(path: &Path) -> Failure {
    let message = format!("`{}` is not a key file", words::printable(&path.display().to_string()));
    Failure::key("not_a_key", message).hint("`leasehold keygen` writes key files")
}
