//! Whether chains are as they were written. Pure: it is fed with what was found, and knows nothing of where.

use super::{Head, Line, Record, Scope};
use leasehold::wire::{Checkpoint, canonical};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How far away an entry is looked for that does not belong where it was found.
const NEAR: i64 = 64;
/// For how many entries.
const SOUGHT: u32 = 1000;

/// What is wrong with a chain. The codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemCode {
    /// The entry's hash is not that of its bytes: it was altered.
    HashMismatch,
    /// A column says something else than the entry's bytes.
    ColumnMismatch,
    /// The entry's bytes are not an entry in canonical JSON.
    BodyUnreadable,
    /// The entry was not appended to the one before it: one of them was written anew, inserted or put in its place.
    BrokenLink,
    /// Entries are missing.
    Gap,
    /// The entry belongs elsewhere in the chain.
    Reordered,
    /// Two entries have the same number.
    Fork,
    /// The chain ends elsewhere than its head says.
    HeadMismatch,
    /// The chain ends before the entry that a checkpoint names.
    Truncated,
    /// The entry that a checkpoint names has another hash.
    Rewritten,
}

impl ProblemCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HashMismatch => "hash_mismatch",
            Self::ColumnMismatch => "column_mismatch",
            Self::BodyUnreadable => "body_unreadable",
            Self::BrokenLink => "broken_link",
            Self::Gap => "gap",
            Self::Reordered => "reordered",
            Self::Fork => "fork",
            Self::HeadMismatch => "head_mismatch",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
        }
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ProblemCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The tenant; empty for HQ's own chain.
    pub tenant: String,
    /// The entry that it was found at; of what is missing, the first number.
    pub seq: i64,
    /// What is wrong.
    pub code: ProblemCode,
    /// The same in words.
    pub message: String,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many chains were looked at.
    pub chains: u64,
    /// How many entries.
    pub entries: u64,
    /// How many entries came after what the checkpoints vouch for; all of them where there is no checkpoint.
    pub beyond_checkpoints: u64,
    /// How many things are wrong.
    pub found: u64,
    /// The first of them, at most [`Verifier::LISTED`].
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.found == 0
    }
}

/// Looks at chains, entry by entry, and remembers what is wrong with them. Memory does not grow with the number of
/// entries, but with that of chains and problems.
#[derive(Debug)]
pub struct Verifier {
    scope: Scope,
    checkpoints: Vec<Checkpoint>,
    chain: Option<Chain>,
    seen: BTreeSet<String>,
    sought: u32,
    report: Report,
}

/// The chain that is looked at.
#[derive(Debug)]
struct Chain {
    tenant: String,
    head: Option<Head>,
    /// The highest number so far, or that before the first one that is looked at.
    last: i64,
    /// Hashes that the next entry may have been appended to; nothing where they are not known.
    tips: Option<Vec<Vec<u8>>>,
    /// Where checkpoints say that the chain ended: hashes by number.
    points: BTreeMap<i64, BTreeSet<[u8; 32]>>,
}

impl Verifier {
    /// How many problems are listed; further ones are counted.
    pub const LISTED: usize = 10_000;

    /// A verifier that is going to see these chains, and that knows where they ended once.
    #[must_use]
    pub fn new(scope: Scope, checkpoints: Vec<Checkpoint>) -> Self {
        let report = Report { chains: 0, entries: 0, beyond_checkpoints: 0, found: 0, problems: Vec::new() };
        Self { scope, checkpoints, chain: None, seen: BTreeSet::new(), sought: 0, report }
    }

    /// Looks at what comes next.
    pub fn line(&mut self, line: &Line) {
        match line {
            Line::Chain { tenant, head } => self.begin(tenant, head.as_ref(), 0),
            Line::Entry(record) => self.entry(record),
            Line::End { .. } => self.end(),
        }
    }

    /// A chain begins, behind the entry of a number: what it was appended to is not known but for number 0.
    pub(crate) fn begin(&mut self, tenant: &str, head: Option<&Head>, after: i64) {
        self.end();
        if self.scope.is_one().is_some_and(|only| only != tenant) {
            return;
        }
        let mut points: BTreeMap<i64, BTreeSet<[u8; 32]>> = BTreeMap::new();
        for end in self.checkpoints.iter().filter_map(|checkpoint| point(checkpoint, tenant)) {
            let seq = i64::try_from(end.0).unwrap_or(i64::MAX);
            if seq > after {
                points.entry(seq).or_default().insert(end.1);
            }
        }
        let tips = (after == 0).then(|| vec![vec![0; 32]]);
        self.report.chains += 1;
        self.seen.insert(tenant.to_owned());
        self.chain = Some(Chain { tenant: tenant.to_owned(), head: head.cloned(), last: after, tips, points });
    }

    fn entry(&mut self, record: &Record) {
        let Some(mut chain) = self.chain.take() else { return };
        self.report.entries += 1;
        if chain.points.last_key_value().is_none_or(|(point, _)| record.seq > *point) {
            self.report.beyond_checkpoints += 1;
        }
        for (code, message) in self.content(&chain.tenant, record) {
            self.note(&chain.tenant, record.seq, code, message);
        }
        let own = self.own_number(&chain.tenant, record);
        for (code, message) in place(&mut chain, record, own) {
            self.note(&chain.tenant, record.seq, code, message);
        }
        if let Some(point) = chain.points.get(&record.seq)
            && point.iter().any(|hash| record.hash != hash)
        {
            let message = "a checkpoint names this entry with another hash: the chain was written anew".to_owned();
            self.note(&chain.tenant, record.seq, ProblemCode::Rewritten, message);
        }
        self.chain = Some(chain);
    }

    /// What is wrong with an entry by itself, its hash apart.
    fn content(&self, tenant: &str, record: &Record) -> Vec<(ProblemCode, String)> {
        let body = match canonical::check(&record.body) {
            Ok(()) => serde_json::from_slice::<Value>(&record.body).map_err(|error| error.to_string()),
            Err(flaw) => Err(flaw.to_string()),
        };
        let body = match body {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return vec![(ProblemCode::BodyUnreadable, "its bytes are no JSON object".to_owned())],
            Err(flaw) => return vec![(ProblemCode::BodyUnreadable, format!("its bytes are no entry: {flaw}"))],
        };
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let at_us = body.get("at").and_then(Value::as_i64).and_then(|ms| ms.checked_mul(1000));
        let same = [
            ("tenant_org_id", text("tenant").unwrap_or_default() == tenant),
            ("at", at_us.is_some() && at_us == record.at_us),
            ("actor", text("actor") == Some(&record.actor)),
            ("action", text("action") == Some(&record.action)),
            ("trace_id", text("trace_id") == record.trace_id.as_deref()),
        ];
        let differ = same.into_iter().filter(|(_, same)| !same);
        let message = |column: &str| format!("the column `{column}` says something else than the bytes of the entry");
        differ.map(|(column, _)| (ProblemCode::ColumnMismatch, message(column))).collect()
    }

    /// The number that the entry's hash was made with; nothing where none fits.
    fn own_number(&mut self, tenant: &str, record: &Record) -> Option<i64> {
        // With a length of its own, a part of one could pass as a part of the other.
        if record.prev_hash.len() != 32 {
            return None;
        }
        let fits = |seq: i64| entry_hash(tenant, seq, &record.prev_hash, &record.body)[..] == record.hash[..];
        if fits(record.seq) {
            return Some(record.seq);
        }
        if self.sought == SOUGHT {
            return None;
        }
        self.sought += 1;
        let near = (1..=NEAR).flat_map(|far| [record.seq.checked_add(far), record.seq.checked_sub(far)]);
        near.flatten().find(|seq| fits(*seq))
    }

    /// The chain that was looked at has no more entries.
    fn end(&mut self) {
        let Some(chain) = self.chain.take() else { return };
        let Chain { tenant, head, last, tips, points } = chain;
        let mut wrong = |seq: i64, code: ProblemCode, message: String| self.note(&tenant, seq, code, message);
        match head {
            None => wrong(last, ProblemCode::HeadMismatch, "the chain's head is missing".to_owned()),
            Some(head) if head.seq != last => {
                let message = format!("the chain ends with entry {last}, and its head says {}", head.seq);
                wrong(head.seq, ProblemCode::HeadMismatch, message);
            }
            Some(head) if tips.is_some_and(|tips| !tips.contains(&head.hash)) => {
                let message = "the last entry has another hash than the chain's head says".to_owned();
                wrong(last, ProblemCode::HeadMismatch, message);
            }
            Some(_) => {}
        }
        if let Some((point, _)) = points.last_key_value().filter(|(point, _)| **point > last) {
            let message = format!("the chain ends with entry {last}, and a checkpoint names entry {point}");
            wrong(last + 1, ProblemCode::Truncated, message);
        }
    }

    fn note(&mut self, tenant: &str, seq: i64, code: ProblemCode, message: String) {
        self.report.found += 1;
        if self.report.problems.len() < Self::LISTED {
            self.report.problems.push(Problem { tenant: tenant.to_owned(), seq, code, message });
        }
    }

    /// What all of it comes to. Chains that a checkpoint names must have been among them.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.end();
        let named: BTreeMap<String, u64> = self
            .checkpoints
            .iter()
            .flat_map(|checkpoint| &checkpoint.chains)
            .map(|end| (end.tenant.as_ref().map(ToString::to_string).unwrap_or_default(), end.seq))
            .collect();
        let only = self.scope.is_one().map(str::to_owned);
        for (tenant, seq) in named {
            if !self.seen.contains(&tenant) && only.as_ref().is_none_or(|only| *only == tenant) {
                let message = format!("a checkpoint names entry {seq}, and there is no such chain");
                self.note(&tenant, 1, ProblemCode::Truncated, message);
            }
        }
        self.report
    }
}

/// What is wrong with an entry where it stands; the chain goes on behind it.
fn place(chain: &mut Chain, record: &Record, own: Option<i64>) -> Vec<(ProblemCode, String)> {
    let mut wrong = Vec::new();
    let mut note = |code, message: String| wrong.push((code, message));
    let moved = own.filter(|own| *own != record.seq);
    match moved {
        Some(own) => note(ProblemCode::Reordered, format!("it was appended as entry {own}")),
        None if own.is_none() => {
            note(ProblemCode::HashMismatch, "its hash is not that of its bytes: it was altered".to_owned());
        }
        None => {}
    }
    if record.seq < chain.last {
        note(ProblemCode::Reordered, format!("it comes behind entry {}", chain.last));
        return wrong;
    }
    if record.seq == chain.last {
        note(ProblemCode::Fork, "there is another entry of this number".to_owned());
        if let Some(tips) = &mut chain.tips {
            tips.push(record.hash.clone());
        }
        return wrong;
    }
    if record.seq > chain.last + 1 {
        let (first, last) = (chain.last + 1, record.seq - 1);
        note(
            ProblemCode::Gap,
            match last - first {
                0 => format!("entry {first} is missing before it"),
                _ => format!("entries {first} to {last} are missing before it"),
            },
        );
    } else if moved.is_none() && chain.tips.as_ref().is_some_and(|tips| !tips.contains(&record.prev_hash)) {
        note(ProblemCode::BrokenLink, "it was not appended to the entry before it".to_owned());
    }
    chain.last = record.seq;
    // What was appended to an entry that stands elsewhere says nothing about what was appended to this one.
    chain.tips = moved.is_none().then(|| vec![record.hash.clone()]);
    wrong
}

/// Where a checkpoint says that a chain ended.
fn point(checkpoint: &Checkpoint, tenant: &str) -> Option<(u64, [u8; 32])> {
    let id = if tenant.is_empty() { None } else { Some(tenant.parse().ok()?) };
    checkpoint.chain(id.as_ref()).map(|end| (end.seq, *end.hash.as_bytes()))
}

/// The hash of an entry: SHA-256 of `leasehold-audit/1`, LF, the tenant, LF, the number, LF, the hash of the entry before,
/// and the entry's bytes.
fn entry_hash(tenant: &str, seq: i64, prev_hash: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(format!("leasehold-audit/1\n{tenant}\n{seq}\n"));
    hasher.update(prev_hash);
    hasher.update(body);
    hasher.finalize().into()
}
