//! What is wrong with what arrives: each its own code and stage, and the snapshot that runs stays. Then the same over real
//! folders and threads.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use crate::support::{self, DAY_MS, Publisher, Said, after, key, revision, root, stream, trust};
use leasehold::follow::{Action, Event, Follower, Health, Persist, Report, Settings};
use leasehold::generate::Choices;
use leasehold::model::Definitions;
use leasehold::wire::{
    Candidate, Certificate, Chunk, ChunkRef, Fault, Head, Manifest, Pack, Place, SecretKey, SliceKey, Stage, canonical,
};
use leasehold::{
    Answer, Following, Freshness, Hash, Keep, MemorySource, Region, Snapshot, SnapshotDirectory, Source, Timestamp,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A publisher at revision 2, and a follower that runs it.
struct Bench {
    publisher: Publisher,
    follower: Follower,
    running: Arc<Snapshot>,
}

fn published() -> Publisher {
    let mut choices = Choices::from_seed(11);
    let definitions = support::first_definitions(&mut choices);
    let mut publisher = Publisher::new(&definitions);
    publisher.publish_definitions(&definitions);
    publisher.now = after(publisher.now, 60_000);
    publisher
}

impl Bench {
    fn new() -> Self {
        let publisher = published();
        let mut follower = Follower::of_stream(trust());
        follower.open(publisher.pack(), publisher.now).unwrap();
        let running = follower.snapshot().unwrap().clone();
        Self { publisher, follower, running }
    }

    /// A head that differs from the last in its revision, its instant and what is changed.
    fn head(&self, change: impl FnOnce(&mut Head)) -> Head {
        let mut head = self.publisher.last.head().clone();
        head.revision = revision(3);
        head.issued_at = self.publisher.now;
        head.expires_at = after(self.publisher.now, DAY_MS);
        change(&mut head);
        head
    }

    /// What the source says to a head: every content from `chunks`, or else from what was published.
    fn offer(&mut self, document: Vec<u8>, chunks: &BTreeMap<Hash, Chunk>) -> Vec<Action> {
        let now = self.publisher.now;
        let mut all = Vec::new();
        let mut events = vec![Event::Started, Event::Head(document)];
        while !events.is_empty() {
            let actions = self.follower.handle(events.remove(0), now, 0);
            for action in &actions {
                if let Action::FetchChunk(reference) = action {
                    let published =
                        || self.publisher.chunks.get(&reference.hash).map(|(_, bytes)| Chunk::raw(bytes.clone()));
                    let chunk = chunks.get(&reference.hash).cloned().or_else(published);
                    let failed = || Event::ChunkMissing(reference.hash);
                    events.push(chunk.map_or_else(failed, |chunk| Event::Chunk(reference.hash, chunk)));
                }
            }
            all.extend(actions);
        }
        all
    }

    /// The one refusal, after which everything is as it was.
    fn refusal(&mut self, document: Vec<u8>, chunks: &BTreeMap<Hash, Chunk>, what: &str) -> Fault {
        let actions = self.offer(document, chunks);
        let unmoved = |action: &Action| !matches!(action, Action::Swap(_) | Action::Persist(_));
        assert!(actions.iter().all(unmoved), "{what}: {actions:?}");
        self.assert_runs(what);
        let mut faults = actions.iter().filter_map(|action| match action {
            Action::Report(Report::Nack { fault, .. }) => Some(fault.clone()),
            _ => None,
        });
        let fault = faults.next().unwrap_or_else(|| panic!("{what} is not refused: {actions:?}"));
        assert_eq!(faults.next(), None, "{what}");
        let health = self.follower.health(self.publisher.now);
        assert_eq!(health.faults.iter().map(|seen| &seen.fault).collect::<Vec<_>>(), [&fault], "{what}");
        fault
    }

    /// The snapshot that ran before still runs, and says what it said.
    fn assert_runs(&self, what: &str) {
        assert!(Arc::ptr_eq(self.follower.snapshot().unwrap(), &self.running), "{what}");
        assert_eq!(self.running.stamp().revision, revision(2), "{what}");
    }

    /// And a good head after it is taken.
    fn assert_recovers(mut self, what: &str) {
        let said = &self.publisher.said;
        support::assert_says(&self.running, &said.base, said.says(None, false), &[self.publisher.now]);
        let base = said.base.clone();
        // Past whatever was seen.
        self.publisher.now = after(self.publisher.now, 10_000 * DAY_MS);
        for _ in 0..8 {
            self.publisher.publish_definitions(&base);
        }
        let head = self.publisher.last.bytes().to_vec();
        self.offer(head, &BTreeMap::new());
        let taken = self.follower.head().unwrap().bytes() == self.publisher.last.bytes();
        assert!(taken, "after {what}: {:?}", self.follower.health(self.publisher.now));
    }
}

fn own_certificate() -> Certificate {
    support::certificate(&key(2), 1)
}

fn signed(head: &Head) -> Vec<u8> {
    signed_by(head, &own_certificate(), &root(), &key(2))
}

fn signed_by(head: &Head, certificate: &Certificate, root: &SecretKey, fleet: &SecretKey) -> Vec<u8> {
    head.sign(&certificate.sign(root).unwrap(), fleet).unwrap()
}

/// A document with its last line replaced, and signed as if it had been so from the start.
fn text_signed(head: &Head, change: impl FnOnce(String) -> String) -> Vec<u8> {
    let text = String::from_utf8(canonical::to_vec(head).unwrap()).unwrap();
    support::sign_text(&change(text), &own_certificate().sign(&root()).unwrap())
}

type BadHead = (&'static str, Stage, &'static str, fn(&Bench) -> Vec<u8>);

/// Heads that are refused: what is wrong, how far they get, the code, and how they come to be.
const BAD_HEADS: &[BadHead] = &[
    ("nothing at all", Stage::Verify, "truncated", |_| Vec::new()),
    ("a page of HTML", Stage::Verify, "wrong_document", |_| b"<html><body>503</body></html>\n".to_vec()),
    ("no certificate", Stage::Verify, "wrong_document", |bench| {
        let document = signed(&bench.head(|_| {}));
        let ends: Vec<usize> = (0..document.len()).filter(|at| document[*at] == b'\n').collect();
        document[ends[1] + 1..].to_vec()
    }),
    ("a certificate alone", Stage::Verify, "truncated", |_| own_certificate().sign(&root()).unwrap()),
    ("something behind it", Stage::Verify, "too_long", |bench| {
        [signed(&bench.head(|_| {})), b"{}\n".to_vec()].concat()
    }),
    ("longer than any head", Stage::Verify, "too_long", |bench| {
        let slice = |n: u32| SliceKey {
            key: SecretKey::from_seed(&[n.to_be_bytes(); 8].concat().try_into().unwrap()).public(),
            valid_from: bench.publisher.now,
            valid_until: after(bench.publisher.now, 1),
        };
        signed(&bench.head(|head| head.slice_keys = (0..500).map(slice).collect()))
    }),
    ("head/2", Stage::Verify, "unknown_format", |bench| replaced(bench, "leasehold-head/1", "leasehold-head/2")),
    ("certificate/2", Stage::Verify, "unknown_format", |bench| {
        replaced(bench, "leasehold-certificate/1", "leasehold-certificate/2")
    }),
    ("a root key that is not trusted", Stage::Verify, "unknown_key", |bench| {
        signed_by(&bench.head(|_| {}), &own_certificate(), &key(9), &key(2))
    }),
    ("a fleet key that its certificate is not for", Stage::Verify, "unknown_key", |bench| {
        signed_by(&bench.head(|_| {}), &own_certificate(), &root(), &key(3))
    }),
    ("a fleet key of another epoch", Stage::Verify, "unknown_key", |bench| signed(&bench.head(|head| head.epoch = 2))),
    ("a slice key", Stage::Verify, "slice_key", |bench| {
        signed_by(&bench.head(|_| {}), &own_certificate(), &root(), &key(100))
    }),
    ("another key under the name of the right one", Stage::Verify, "bad_signature", |bench| {
        let document = String::from_utf8(signed_by(&bench.head(|_| {}), &own_certificate(), &root(), &key(3))).unwrap();
        document.replace(&key(3).public().id().to_string(), &key(2).public().id().to_string()).into_bytes()
    }),
    ("a word that was changed after signing", Stage::Verify, "bad_signature", |bench| {
        replaced(bench, "\"revision\":3", "\"revision\":4")
    }),
    ("a certificate that was changed after signing", Stage::Verify, "bad_signature", |bench| {
        replaced(
            bench,
            "\"epoch\":1,\"issuer\":\"hq.example\",\"key\"",
            "\"epoch\":2,\"issuer\":\"hq.example\",\"key\"",
        )
    }),
    ("a certificate that has run out", Stage::Verify, "key_expired", |bench| {
        let ended = Certificate { valid_until: Some(bench.publisher.now), ..own_certificate() };
        signed_by(&bench.head(|_| {}), &ended, &root(), &key(2))
    }),
    ("a certificate that is not valid yet", Stage::Verify, "key_expired", |bench| {
        let early = Certificate { valid_from: after(bench.publisher.now, 1), ..own_certificate() };
        signed_by(&bench.head(|_| {}), &early, &root(), &key(2))
    }),
    ("another issuer", Stage::Verify, "wrong_issuer", |bench| {
        let other = Certificate { issuer: "other.example".parse().unwrap(), ..own_certificate() };
        signed_by(&bench.head(|head| head.issuer = other.issuer.clone()), &other, &root(), &key(2))
    }),
    ("an issuer that its certificate does not name", Stage::Verify, "wrong_issuer", |bench| {
        signed(&bench.head(|head| head.issuer = "other.example".parse().unwrap()))
    }),
    ("another environment", Stage::Verify, "wrong_environment", |bench| {
        let other = Certificate { environment: "staging".parse().unwrap(), ..own_certificate() };
        signed_by(&bench.head(|head| head.environment = other.environment.clone()), &other, &root(), &key(2))
    }),
    ("an environment that its certificate does not name", Stage::Verify, "wrong_environment", |bench| {
        signed(&bench.head(|head| head.environment = "staging".parse().unwrap()))
    }),
    ("another stream", Stage::Verify, "wrong_stream", |bench| {
        signed(&bench.head(|head| head.stream = "EU-DE".parse().unwrap()))
    }),
    ("an older revision", Stage::Verify, "older_revision", |bench| {
        signed(&bench.head(|head| head.revision = revision(1)))
    }),
    ("an older epoch", Stage::Verify, "older_revision", |bench| {
        let older = support::certificate(&key(2), 0);
        signed_by(&bench.head(|head| (head.epoch, head.revision) = (0, revision(900))), &older, &root(), &key(2))
    }),
    ("the same revision with another manifest", Stage::Verify, "revision_conflict", |bench| {
        signed(&bench.head(|head| (head.revision, head.manifest) = (revision(2), ChunkRef::to(b"other"))))
    }),
    ("the same revision with a candidate", Stage::Verify, "revision_conflict", |bench| {
        let candidate = Candidate { definitions: ChunkRef::to(b"other"), share_permille: 1 };
        signed(&bench.head(|head| (head.revision, head.candidate) = (revision(2), Some(candidate))))
    }),
    ("a revision that was issued no later", Stage::Verify, "not_newer", |bench| {
        let seen = bench.publisher.last.head().issued_at;
        signed(&bench.head(|head| head.issued_at = seen))
    }),
    ("a heartbeat that was issued before", Stage::Verify, "not_newer", |bench| {
        let seen = after(bench.publisher.last.head().issued_at, -1);
        signed(&bench.head(|head| (head.revision, head.issued_at) = (revision(2), seen)))
    }),
    ("a later semantics", Stage::Parse, "unsupported_semantics", |bench| {
        signed(&bench.head(|head| head.semantics_version = 2))
    }),
    ("a later semantics with a field that is not known", Stage::Parse, "unsupported_semantics", |bench| {
        text_signed(&bench.head(|head| head.semantics_version = 2), |text| {
            text.replace("\"stream\"", "\"sort\":{},\"stream\"")
        })
    }),
    ("fresh for no time", Stage::Parse, "malformed", |bench| {
        signed(&bench.head(|head| head.expires_at = head.issued_at))
    }),
    ("a share above all", Stage::Parse, "malformed", |bench| {
        let candidate = Candidate { definitions: ChunkRef::to(b"other"), share_permille: 1001 };
        signed(&bench.head(|head| head.candidate = Some(candidate)))
    }),
    ("a slice key that lives for too long", Stage::Parse, "malformed", |bench| {
        let (valid_from, valid_until) = (bench.publisher.now, after(bench.publisher.now, DAY_MS + 1));
        signed(&bench.head(|head| head.slice_keys = vec![SliceKey { key: key(5).public(), valid_from, valid_until }]))
    }),
    ("its own key as a slice key", Stage::Parse, "malformed", |bench| {
        let (valid_from, valid_until) = (bench.publisher.now, after(bench.publisher.now, 1));
        signed(&bench.head(|head| head.slice_keys = vec![SliceKey { key: key(2).public(), valid_from, valid_until }]))
    }),
    ("a field that is not known", Stage::Parse, "malformed", |bench| {
        text_signed(&bench.head(|_| {}), |text| text.replace("\"stream\"", "\"sort\":{},\"stream\""))
    }),
    ("a field too few", Stage::Parse, "malformed", |bench| {
        text_signed(&bench.head(|_| {}), |text| text.replace(",\"semantics_version\":1", ""))
    }),
    ("a key twice", Stage::Parse, "duplicate_key", |bench| {
        text_signed(&bench.head(|_| {}), |text| text.replace("\"revision\":3", "\"revision\":3,\"revision\":3"))
    }),
    ("another spelling", Stage::Parse, "not_canonical", |bench| {
        text_signed(&bench.head(|_| {}), |text| text.replace("\"revision\":3", "\"revision\": 3"))
    }),
    ("a nesting bomb", Stage::Parse, "nesting_too_deep", |bench| {
        text_signed(&bench.head(|_| {}), |text| {
            text.replace("\"stream\"", &format!("\"sort\":{},\"stream\"", "[".repeat(9_000)))
        })
    }),
    ("a manifest longer than any", Stage::Parse, "too_long", |bench| {
        signed(&bench.head(|head| head.manifest = ChunkRef { hash: Hash::of(b"m"), length: (1 << 20) + 1 }))
    }),
    ("a manifest that is not there", Stage::Download, "missing_chunk", |bench| {
        signed(&bench.head(|head| head.manifest = ChunkRef::to(b"m")))
    }),
];

fn replaced(bench: &Bench, from: &str, to: &str) -> Vec<u8> {
    let document = String::from_utf8(signed(&bench.head(|_| {}))).unwrap();
    assert!(document.contains(from), "{document}");
    document.replace(from, to).into_bytes()
}

#[test]
fn bad_heads() {
    for (what, stage, code, make) in BAD_HEADS {
        let mut bench = Bench::new();
        // A head in force that certifies a slice key.
        if *code == "slice_key" {
            bench.publisher.certify_slice_key(100);
            bench.publisher.heartbeat();
            let head = bench.publisher.last.bytes().to_vec();
            bench.offer(head, &BTreeMap::new());
            bench.running = bench.follower.snapshot().unwrap().clone();
            bench.publisher.now = after(bench.publisher.now, 1000);
        }
        let document = make(&bench);
        let fault = bench.refusal(document, &BTreeMap::new(), what);
        assert_eq!((fault.stage(), fault.code()), (*stage, *code), "{what}: {fault}");
        if *code != "slice_key" {
            bench.assert_recovers(what);
        }
    }
}

#[test]
fn every_bit_and_every_end_of_a_head_counts() {
    let document = signed(&Bench::new().head(|_| {}));
    for at in 0..document.len() {
        for bit in 0..8 {
            let mut altered = document.clone();
            altered[at] ^= 1 << bit;
            let fault = trust().head(&altered).unwrap_err();
            assert_eq!(fault.stage(), Stage::Verify, "bit {bit} of byte {at}: {fault}");
        }
    }
    for end in 0..document.len() {
        let fault = trust().head(&document[..end]).unwrap_err();
        assert_eq!((fault.stage(), fault.code()), (Stage::Verify, "truncated"), "{end} bytes: {fault}");
    }
}

/// Contents that a head names, which somebody who has the fleet key made.
#[derive(Default)]
struct Made(BTreeMap<Hash, Chunk>);

impl Made {
    fn put(&mut self, bytes: impl Into<Vec<u8>>) -> ChunkRef {
        let bytes = bytes.into();
        let reference = ChunkRef::to(&bytes);
        self.0.insert(reference.hash, Chunk::raw(bytes));
        reference
    }

    /// A manifest of the definitions that were published, and one shard of tenants.
    fn shard(&mut self, bench: &Bench, place: Place, shard: ChunkRef) -> ChunkRef {
        let node = self.put(format!("[[{},\"{}\",{}]]", place.shard, shard.hash, shard.length));
        let manifest = format!(
            "{{\"definitions\":{},\"format\":1,\"tenants\":[[{},\"{}\",{}]]}}",
            text(&current(bench).definitions),
            place.node,
            node.hash,
            node.length
        );
        self.put(manifest)
    }

    fn manifest(&mut self, definitions: ChunkRef) -> ChunkRef {
        self.put(format!("{{\"definitions\":{},\"format\":1,\"tenants\":[]}}", text(&definitions)))
    }

    fn index(&mut self, sections: &str) -> ChunkRef {
        let index = self.put(sections);
        self.manifest(index)
    }
}

fn text(value: &impl serde::Serialize) -> String {
    String::from_utf8(canonical::to_vec(value).unwrap()).unwrap()
}

fn current(bench: &Bench) -> Manifest {
    let root = bench.publisher.said.content.root;
    Manifest::read(&bench.publisher.chunks[&root.hash].1).unwrap()
}

/// A tenant of the published definitions, as JSON, and where it belongs.
fn tenant(bench: &Bench) -> (String, String, Place) {
    let (id, tenant) = bench.publisher.said.base.tenants.iter().next().unwrap();
    (id.to_string(), text(tenant), Place::of(id.as_str()))
}

/// The gigabyte of zeros that 32 kB of zstd come to. With or without the frame saying so.
fn bomb(says_so: bool) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    if says_so {
        encoder.set_pledged_src_size(Some(1 << 30)).unwrap();
    }
    encoder.include_contentsize(says_so).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..1 << 10).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap()
}

type BadContent = (&'static str, Stage, &'static str, fn(&Bench, &mut Made) -> ChunkRef);

/// Contents that are refused, each named by a head that is right.
const BAD_CONTENTS: &[BadContent] = &[
    ("a manifest of format 2", Stage::Parse, "unknown_format", |_, made| made.put("{\"format\":2,\"parts\":[]}")),
    ("a manifest with a field too many", Stage::Parse, "malformed", |bench, made| {
        let definitions = text(&current(bench).definitions);
        made.put(format!("{{\"definitions\":{definitions},\"format\":1,\"more\":1,\"tenants\":[]}}"))
    }),
    ("a manifest that is a list", Stage::Parse, "malformed", |_, made| made.put("[]")),
    ("a manifest with a place twice", Stage::Parse, "malformed", |bench, made| {
        let (manifest, node) = (current(bench), ChunkRef::to(b"[]]"));
        let child = format!("[1,\"{}\",{}]", node.hash, node.length);
        let definitions = text(&manifest.definitions);
        made.put(format!("{{\"definitions\":{definitions},\"format\":1,\"tenants\":[{child},{child}]}}"))
    }),
    ("a manifest with a place beyond 63", Stage::Parse, "malformed", |bench, made| {
        let (definitions, node) = (text(&current(bench).definitions), ChunkRef::to(b"[]]"));
        let child = format!("[64,\"{}\",{}]", node.hash, node.length);
        made.put(format!("{{\"definitions\":{definitions},\"format\":1,\"tenants\":[{child}]}}"))
    }),
    ("a node longer than any", Stage::Parse, "too_long", |bench, made| {
        let definitions = text(&current(bench).definitions);
        let child = format!("[0,\"{}\",{}]", Hash::of(b""), (1 << 20) + 1);
        made.put(format!("{{\"definitions\":{definitions},\"format\":1,\"tenants\":[{child}]}}"))
    }),
    ("a manifest in another spelling", Stage::Parse, "not_canonical", |bench, made| {
        made.put(format!(" {}", text(&current(bench))))
    }),
    ("a manifest that is not UTF-8", Stage::Parse, "invalid_utf8", |_, made| made.put(b"{\"\xff\":1}".to_vec())),
    ("a manifest with a key twice", Stage::Parse, "duplicate_key", |_, made| made.put("{\"format\":1,\"format\":1}")),
    ("a manifest that is a nesting bomb", Stage::Parse, "nesting_too_deep", |_, made| made.put("[".repeat(500_000))),
    ("a manifest that names what is not there", Stage::Download, "missing_chunk", |_, made| {
        made.manifest(ChunkRef::to(b"{\"nowhere\":1}"))
    }),
    ("an index with a section that is not known", Stage::Parse, "malformed", |_, made| made.index("{\"colours\":[]}")),
    ("an index with an empty section", Stage::Parse, "malformed", |_, made| {
        made.index(&format!("{{\"plans\":{}}}", text(&ChunkRef::to(b"{}"))))
    }),
    ("a section that is longer than any", Stage::Parse, "too_long", |_, made| {
        let section = ChunkRef { hash: Hash::of(b""), length: (64 << 20) + 1 };
        made.index(&format!("{{\"plans\":{}}}", text(&section)))
    }),
    ("a section with a key twice", Stage::Parse, "duplicate_key", |_, made| {
        let section = made.put("{\"f\":{},\"f\":{}}");
        made.index(&format!("{{\"features\":{}}}", text(&section)))
    }),
    ("a section in another spelling", Stage::Parse, "not_canonical", |_, made| {
        let section = made.put("{\"f\" :{}}");
        made.index(&format!("{{\"features\":{}}}", text(&section)))
    }),
    ("a section with a mistake", Stage::Parse, "invalid_definitions", |_, made| {
        let section = made.put("{\"f\":{\"kind\":\"switch\"}}");
        made.index(&format!("{{\"features\":{}}}", text(&section)))
    }),
    ("definitions that do not compile", Stage::Compile, "invalid_definitions", |_, made| {
        let section = made.put(
            "{\"f\":{\"group\":\"module\",\"kind\":\"switch\",\"name\":\"F\",\"name2\":\"F\",\"requires\":[\"nothing\"]}}",
        );
        made.index(&format!("{{\"features\":{}}}", text(&section)))
    }),
    ("a tenant that does not compile", Stage::Compile, "invalid_definitions", |bench, made| {
        let broken = support::broken(&mut Choices::from_seed(1), &bench.publisher.said.base);
        let wrong = broken.tenants.iter().find(|(_, tenant)| tenant.phases.keys().any(|id| id.as_str() == "wrong"));
        let (id, tenant) = wrong.unwrap();
        let shard = made.put(format!("{{\"{id}\":{}}}", text(tenant)));
        made.shard(bench, Place::of(id.as_str()), shard)
    }),
    ("a tenant in another shard", Stage::Parse, "misplaced_tenant", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{tenant}}}"));
        made.shard(bench, Place { shard: (place.shard + 1) % 64, ..place }, shard)
    }),
    ("a tenant in another node", Stage::Parse, "misplaced_tenant", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{tenant}}}"));
        made.shard(bench, Place { node: (place.node + 1) % 64, ..place }, shard)
    }),
    ("a tenant of another region", Stage::Parse, "misplaced_tenant", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{}}}", tenant.replace(support::STREAM, "EU-DE")));
        made.shard(bench, place, shard)
    }),
    ("a tenant twice", Stage::Parse, "duplicate_key", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{tenant},\"{id}\":{tenant}}}"));
        made.shard(bench, place, shard)
    }),
    ("tenants out of order", Stage::Parse, "not_canonical", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{tenant},\"a\":{tenant}}}"));
        made.shard(bench, place, shard)
    }),
    ("a shard in another spelling", Stage::Parse, "not_canonical", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{} }}", tenant.replace("\"GCC-OM\"", "\"GCC\\u002dOM\"")));
        made.shard(bench, place, shard)
    }),
    ("a tenant that is a nesting bomb", Stage::Parse, "nesting_too_deep", |bench, made| {
        let (id, _, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000)));
        made.shard(bench, place, shard)
    }),
    ("a tenant with a field that is not known", Stage::Parse, "invalid_definitions", |bench, made| {
        let (id, tenant, place) = tenant(bench);
        let shard = made.put(format!("{{\"{id}\":{}}}", tenant.replacen("\"region\"", "\"regent\"", 1)));
        made.shard(bench, place, shard)
    }),
    ("a node without tenants", Stage::Parse, "malformed", |bench, made| {
        let node = made.put("[]");
        let definitions = text(&current(bench).definitions);
        let child = format!("[0,\"{}\",{}]", node.hash, node.length);
        made.put(format!("{{\"definitions\":{definitions},\"format\":1,\"tenants\":[{child}]}}"))
    }),
    ("contents that are other bytes", Stage::Hash, "hash_mismatch", |bench, made| {
        let manifest =
            made.put(format!("{{\"definitions\":{},\"format\":1,\"tenants\":[]}}", text(&current(bench).definitions)));
        let mut bytes = made.0[&manifest.hash].bytes().to_vec();
        bytes[3] ^= 1;
        made.0.insert(manifest.hash, Chunk::raw(bytes));
        manifest
    }),
    ("contents that are too short", Stage::Hash, "truncated", |_, made| {
        made.0.insert(Hash::of(b"long"), Chunk::raw(b"lon".to_vec()));
        ChunkRef::to(b"long")
    }),
    ("contents longer than announced", Stage::Hash, "too_long", |_, made| {
        made.0.insert(Hash::of(b"long"), Chunk::raw(b"longer".to_vec()));
        ChunkRef::to(b"long")
    }),
    ("a frame that is cut off", Stage::Hash, "invalid_compression", |_, made| {
        let content = vec![b' '; 5000];
        let frame = Chunk::compressed(&content);
        made.0.insert(Hash::of(&content), Chunk::zstd(&frame.bytes()[..frame.bytes().len() - 3]));
        ChunkRef::to(&content)
    }),
    ("no frame at all", Stage::Hash, "invalid_compression", |_, made| {
        made.0.insert(Hash::of(b"long"), Chunk::zstd(b"long".to_vec()));
        ChunkRef::to(b"long")
    }),
    ("a frame that says to be a gigabyte", Stage::Hash, "compression_bomb", |_, made| {
        made.0.insert(Hash::of(b"bomb"), Chunk::zstd(bomb(true)));
        ChunkRef { length: 1 << 20, ..ChunkRef::to(b"bomb") }
    }),
    ("a frame that is a gigabyte and does not say so", Stage::Hash, "compression_bomb", |_, made| {
        made.0.insert(Hash::of(b"bomb"), Chunk::zstd(bomb(false)));
        ChunkRef { length: 1 << 20, ..ChunkRef::to(b"bomb") }
    }),
];

#[test]
fn bad_contents() {
    for (what, stage, code, make) in BAD_CONTENTS {
        let mut bench = Bench::new();
        let mut made = Made::default();
        let manifest = make(&bench, &mut made);
        let head = bench.head(|head| head.manifest = manifest);
        let fault = bench.refusal(signed(&head), &made.0, what);
        assert_eq!((fault.stage(), fault.code()), (*stage, *code), "{what}: {fault}");
        assert!(!fault.item().is_empty());
        // Whoever begins with it says the same: whether it comes as a pack or over the network.
        let mut chunks = made.0.clone();
        let definitions = current(&bench).definitions.hash;
        let names = |chunk: &Chunk| String::from_utf8_lossy(chunk.bytes()).contains(&definitions.to_string());
        if chunks.values().any(names) {
            let content = leasehold::build::Content::of_definitions(&bench.publisher.said.base).unwrap();
            chunks.extend(content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes))));
        }
        let fault = Snapshot::from_pack(Pack { head: signed(&head), chunks }, &trust()).unwrap_err();
        assert_eq!((fault.stage(), fault.code()), (*stage, *code), "{what}, as a pack: {fault}");
        bench.assert_recovers(what);
    }
}

#[test]
fn bad_packs() {
    let publisher = published();
    let pack = publisher.pack();
    let bytes = pack.to_bytes(&[]);
    assert_eq!(Pack::read(&bytes).unwrap(), pack);
    let refused =
        |bytes: &[u8]| Pack::read(bytes).and_then(|pack| Snapshot::from_pack(pack, &trust()).map(drop)).unwrap_err();
    let check = |what: &str, bytes: &[u8], code: &str| assert_eq!(refused(bytes).code(), code, "{what}");
    check("nothing", b"", "truncated");
    check("something else", b"PK\x03\x04", "wrong_document");
    check("pack/2", &[b"leasehold-pack/2\n", &bytes[17..]].concat(), "unknown_format");
    check("a head longer than any", b"leasehold-pack/1\n65537\n", "too_long");
    check("a length in another spelling", b"leasehold-pack/1\n01\n", "malformed");
    check("something behind it", &[&bytes[..], b"x"].concat(), "truncated");
    check("a line without an end", &[&bytes[..], &[b'x'; 200][..]].concat(), "malformed");
    let (hash, chunk) = pack.chunks.iter().next().unwrap();
    let again = [format!("{hash} raw {}\n", chunk.bytes().len()).as_bytes(), chunk.bytes(), b"\n"].concat();
    check("a content twice", &[&bytes[..], &again].concat(), "unexpected_chunk");
    let mut more = pack.clone();
    more.chunks.insert(Hash::of(b"more"), Chunk::raw(b"more".to_vec()));
    check("a content that nothing names", &more.to_bytes(&[]), "unexpected_chunk");
    for hash in pack.chunks.keys() {
        let mut less = pack.clone();
        less.chunks.remove(hash);
        check("a content too few", &less.to_bytes(&[]), "missing_chunk");
    }
    for end in (0..bytes.len()).step_by(7) {
        // A pack that ends behind a content lacks the next ones.
        let code = refused(&bytes[..end]).code();
        assert!(matches!(code, "truncated" | "missing_chunk"), "{end} bytes: {code}");
    }
}

const SMALL: &str = r#"{
    "features": { "orders": { "kind": "switch", "name": "Orders", "name2": "الطلبات", "group": "module" } },
    "tenants": { "t1": { "name": "One", "name2": "واحد", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" } }
}"#;

/// There are no two spellings of an uncompressed pack: whatever is altered is refused.
#[test]
fn every_bit_of_a_pack_counts() {
    let file = leasehold::model::Source { name: "small.json".into(), bytes: SMALL.into() };
    let publisher = Publisher::new(&leasehold::model::load(&[file]).unwrap());
    let (bytes, trust) = (publisher.pack().to_bytes(&[]), trust());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << bit;
            let Ok(pack) = Pack::read(&altered) else { continue };
            let fault = Snapshot::from_pack(pack, &trust).map(drop).unwrap_err();
            assert!(!fault.code().is_empty(), "bit {bit} of byte {at}");
        }
    }
}

/// Waits for something that another thread will bring about.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// A publisher of today, whose heads are fresh while the test runs.
fn of_today() -> Publisher {
    let mut publisher = published();
    publisher.now = std::time::SystemTime::now().into();
    let base = publisher.said.base.clone();
    publisher.publish_definitions(&base);
    publisher
}

/// The next revision, under other rules.
fn next(publisher: &mut Publisher, seed: u64) {
    let base = publisher.said.base.clone();
    let mut others = (seed..).map(|seed| support::other_rules(&mut Choices::from_seed(seed), &base));
    let other = others.find(|other| *other != base).unwrap();
    publisher.publish_definitions(&other);
}

fn revision_of(following: &Following) -> u64 {
    following.engine().pin().stamp().revision.get()
}

fn faults(health: &Health) -> Vec<&str> {
    health.faults.iter().map(|seen| seen.fault.code()).collect()
}

fn kept(folder: &Path) -> Keep {
    Keep { folder: Some(folder.to_path_buf()), ..Keep::default() }
}

/// A source that is not there.
#[derive(Debug, Clone, Copy)]
struct Gone;

impl Source for Gone {
    fn head(&mut self, _: &Region, _: Option<Hash>) -> Result<Answer, String> {
        Err("connection refused".to_owned())
    }
    fn chunk(&mut self, _: ChunkRef) -> Result<Option<Chunk>, String> {
        Err("connection refused".to_owned())
    }
}

/// A folder that keeps what a publisher said last.
fn kept_folder(publisher: &Publisher) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let following = Following::start(Follower::of_stream(trust()), source, kept(folder.path())).unwrap();
    assert!(following.health().persisted);
    folder
}

fn start(folder: &Path, source: impl Source + 'static) -> Result<Following, Fault> {
    Following::start(Follower::of_stream(trust()), source, kept(folder))
}

#[test]
fn a_source_in_memory_is_followed() {
    let mut publisher = of_today();
    let source = MemorySource::default();
    let nothing = Following::start(Follower::of_stream(trust()), source.clone(), Keep::default());
    assert_eq!(nothing.unwrap_err().code(), "unreachable");
    source.offer(&stream(), publisher.pack());
    let following = Following::start(Follower::of_stream(trust()), source.clone(), Keep::default()).unwrap();
    assert_eq!(revision_of(&following), 3);
    assert_eq!(following.health().freshness, Some(Freshness::Fresh));
    for number in 4..8 {
        next(&mut publisher, number);
        source.offer(&stream(), publisher.pack());
        following.notify();
        wait_until("the next revision", || revision_of(&following) == number);
        let said = &publisher.said;
        support::assert_says(&following.engine().pin(), &said.base, said.says(None, true), &[publisher.now]);
    }
    wait_until("the last report", || source.reports().len() == 5);
    // Nobody said where to keep anything: that is no fault, and no promise either.
    let acknowledged = |report: &Report| matches!(report, Report::Ack { persisted: false, .. });
    assert!(source.reports().iter().all(acknowledged), "{:?}", source.reports());
    let health = following.health();
    assert!(!health.persisted && health.faults.is_empty(), "{health:?}");
}

/// A source that panics.
struct Panics {
    source: MemorySource,
    panics: Arc<AtomicBool>,
}

impl Panics {
    fn perhaps(&self) {
        assert!(!self.panics.load(Ordering::Relaxed), "for a test");
    }
}

impl Source for Panics {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        self.perhaps();
        self.source.head(stream, etag)
    }
    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
        self.source.chunk(reference)
    }
    fn report(&mut self, report: &Report) {
        self.source.report(report);
        self.perhaps();
    }
}

#[test]
fn a_source_that_panics_is_asked_again() {
    let mut publisher = of_today();
    let (source, panics) = (MemorySource::default(), Arc::new(AtomicBool::new(true)));
    source.offer(&stream(), publisher.pack());
    let start = || {
        let panicking = Panics { source: source.clone(), panics: panics.clone() };
        let settings = Settings { backoff_min_ms: 1, backoff_max_ms: 1, ..Settings::default() };
        Following::start(Follower::of_stream(trust()).with_settings(settings), panicking, Keep::default())
    };
    let refused = start().unwrap_err();
    assert_eq!(refused.code(), "unreachable");
    assert!(refused.to_string().contains("the source panicked"), "{refused}");
    panics.store(false, Ordering::Relaxed);
    let following = start().unwrap();
    panics.store(true, Ordering::Relaxed);
    following.notify();
    wait_until("it says so", || faults(&following.health()) == ["unreachable"]);
    next(&mut publisher, 4);
    source.offer(&stream(), publisher.pack());
    panics.store(false, Ordering::Relaxed);
    wait_until("the next revision", || revision_of(&following) == 4);
    wait_until("all is well", || following.health().faults.is_empty());
}

#[test]
fn a_directory_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = SnapshotDirectory::new(folder.path());
    let mut choices = Choices::from_seed(11);
    let definitions = support::first_definitions(&mut choices);
    let signer = support::signer_for(key(2), &own_certificate(), &root());
    let publish = |definitions: &Definitions| {
        let terms = leasehold::build::Terms {
            issued_at: std::time::SystemTime::now().into(),
            fresh_for_ms: DAY_MS,
            slice_keys: Vec::new(),
        };
        directory.publish(definitions, None, &signer, &terms).unwrap()
    };
    publish(&definitions);
    let kept = tempfile::tempdir().unwrap();
    let following = start(kept.path(), directory.clone()).unwrap();
    let said = |definitions: &Definitions| Said::new(definitions, None);
    let check = |following: &Following, definitions: &Definitions, confirmed: bool| {
        let (snapshot, said) = (following.engine().pin(), said(definitions));
        let now = snapshot.stamp().issued_at;
        support::assert_says(&snapshot, &said.base, said.says(None, confirmed), &[now]);
    };
    check(&following, &definitions, true);
    let changed = support::other_tenants(&mut choices, &definitions);
    let published = publish(&changed);
    let expected = published.iter().find(|it| it.stream == stream()).unwrap().revision.get();
    following.notify();
    wait_until("the next revision", || revision_of(&following) == expected && following.health().persisted);
    check(&following, &changed, true);
    drop(following);
    // The source goes, and what was kept is still there.
    drop(folder);
    let following = start(kept.path(), directory).unwrap();
    check(&following, &changed, false);
    let health = following.health();
    assert_eq!((health.freshness, faults(&health)), (Some(Freshness::Fallback), vec!["unreachable"]));
}

/// Tells when nobody holds it any more: neither the thread that follows nor anybody else.
#[derive(Debug)]
struct Held {
    source: MemorySource,
    ended: Arc<AtomicBool>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

impl Source for Held {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        self.source.head(stream, etag)
    }
    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
        self.source.chunk(reference)
    }
}

#[test]
fn dropping_ends_the_thread_and_the_engine_goes_on() {
    let publisher = of_today();
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let ended = Arc::new(AtomicBool::new(false));
    let held = Held { source, ended: ended.clone() };
    let following = Following::start(Follower::of_stream(trust()), held, Keep::default()).unwrap();
    let engine = following.engine().clone();
    assert!(!ended.load(Ordering::SeqCst));
    drop(following);
    assert!(ended.load(Ordering::SeqCst), "the thread holds its source no more");
    let said = &publisher.said;
    support::assert_says(&engine.pin(), &said.base, said.says(None, true), &[publisher.now]);
}

/// A path below a file, where no folder can be made: what a full or read-only disk comes to.
fn no_folder(root: &Path) -> PathBuf {
    let file = root.join("file");
    fs::write(&file, b"").unwrap();
    file.join("kept")
}

#[test]
fn a_disk_that_takes_nothing_stops_no_decision() {
    let root = tempfile::tempdir().unwrap();
    let mut publisher = of_today();
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let following = start(&no_folder(root.path()), source.clone()).unwrap();
    let check = |number: u64| {
        let health = following.health();
        assert_eq!(
            (revision_of(&following), health.persisted, faults(&health)),
            (number, false, vec!["not_persisted"])
        );
        assert_eq!(health.freshness, Some(Freshness::Fresh));
        assert!(matches!(source.reports().last(), Some(Report::Ack { persisted: false, .. })));
    };
    check(3);
    next(&mut publisher, 4);
    source.offer(&stream(), publisher.pack());
    following.notify();
    wait_until("the next revision", || source.reports().len() == 2 && following.health().revision == Some(revision(4)));
    check(4);
}

#[test]
fn what_a_disk_refused_is_kept_with_the_next_head() {
    let mut publisher = of_today();
    let folder = kept_folder(&publisher);
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let following = start(folder.path(), source.clone()).unwrap();
    // A file stands where the folder of contents is, until somebody takes it away.
    let chunks = folder.path().join("chunks");
    fs::rename(&chunks, folder.path().join("aside")).unwrap();
    fs::write(&chunks, b"").unwrap();
    next(&mut publisher, 4);
    source.offer(&stream(), publisher.pack());
    following.notify();
    wait_until("the fault", || faults(&following.health()) == ["not_persisted"]);
    assert_eq!(revision_of(&following), 4);
    fs::remove_file(&chunks).unwrap();
    fs::rename(folder.path().join("aside"), &chunks).unwrap();
    publisher.heartbeat();
    source.offer(&stream(), publisher.pack());
    following.notify();
    wait_until("the end of the fault", || following.health().persisted);
    drop(following);
    let following = start(folder.path(), Gone).unwrap();
    assert_eq!(revision_of(&following), 4);
}

/// Everything that a crash may leave half written.
#[test]
fn a_folder_that_was_left_half_written_gives_the_last_whole_state() {
    let mut publisher = of_today();
    let folder = kept_folder(&publisher);
    let before = publisher.said.clone();
    next(&mut publisher, 4);
    let chunks: Vec<(Hash, Chunk)> = publisher.pack().chunks.into_iter().collect();
    let directory = SnapshotDirectory::new(folder.path());
    let path = |hash: Hash| {
        let name = hash.to_string();
        folder.path().join("chunks").join(&name[..2]).join(format!(".{name}.zst.123"))
    };
    // Contents of the next, some whole, some half under the name that they have while they are written; half a head.
    for (at, (hash, chunk)) in chunks.iter().enumerate() {
        if at % 2 == 0 {
            directory.write_chunk(publisher.chunks[hash].0, chunk.bytes()).unwrap();
        } else {
            fs::create_dir_all(path(*hash).parent().unwrap()).unwrap();
            fs::write(path(*hash), &chunk.bytes()[..chunk.bytes().len() / 2]).unwrap();
        }
    }
    let heads = folder.path().join("heads");
    fs::write(heads.join(format!(".{}.head.123", support::STREAM)), &publisher.last.bytes()[..100]).unwrap();
    // The next was seen.
    directory.persist_seen(&stream(), publisher.last.bytes()).unwrap();

    let following = start(folder.path(), Gone).unwrap();
    assert_eq!(revision_of(&following), 3);
    support::assert_says(&following.engine().pin(), &before.base, before.says(None, false), &[publisher.now]);
    assert_eq!(following.health().seen.map(|(_, seen)| seen.get()), Some(4));
    drop(following);
    // Nothing but what is needed is left.
    let left: usize = walk(&folder.path().join("chunks")).len();
    assert_eq!(left, before.names().len());
    // A source that is behind what was seen is not believed.
    let behind = MemorySource::default();
    let head = directory.head(&stream()).unwrap().unwrap();
    behind.offer(&stream(), Pack { head, chunks: BTreeMap::new() });
    let following = start(folder.path(), behind).unwrap();
    assert_eq!(faults(&following.health()), ["older_revision"]);
    assert_eq!(following.health().freshness, Some(Freshness::Fallback));
    drop(following);
    // The newest is taken.
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let following = start(folder.path(), source).unwrap();
    assert_eq!((revision_of(&following), faults(&following.health())), (4, Vec::new()));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// A crash between any two writes of `SnapshotDirectory::persist`, told from what it leaves.
#[test]
fn a_folder_restores_whatever_of_the_next_was_written() {
    let mut publisher = of_today();
    let before = publisher.said.clone();
    let kept = kept_folder(&publisher);
    next(&mut publisher, 5);
    let fresh: Vec<(Hash, Chunk)> =
        publisher.pack().chunks.into_iter().filter(|(hash, _)| !before.names().contains(hash)).collect();
    for written in 0..=fresh.len() {
        let folder = tempfile::tempdir().unwrap();
        copy(kept.path(), folder.path());
        let directory = SnapshotDirectory::new(folder.path());
        for (hash, chunk) in &fresh[..written] {
            directory.write_chunk(publisher.chunks[hash].0, chunk.bytes()).unwrap();
        }
        assert_eq!(revision_of(&start(folder.path(), Gone).unwrap()), 3);
    }
    // All of it.
    let directory = SnapshotDirectory::new(kept.path());
    let obsolete = before.names().difference(&publisher.said.names()).copied().collect();
    let head = publisher.last.bytes().clone();
    directory.persist(&stream(), &Persist { token: 1, head, chunks: fresh, obsolete }).unwrap();
    assert_eq!(walk(&kept.path().join("chunks")).len(), publisher.said.names().len());
    assert_eq!(revision_of(&start(kept.path(), Gone).unwrap()), 4);
}

fn copy(from: &Path, to: &Path) {
    for path in walk(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
}

/// What was kept and cannot be read is a fault, and the source makes it good.
#[test]
fn a_folder_that_rotted_is_made_good() {
    let publisher = of_today();
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("a content is gone", |folder| fs::remove_file(&walk(&folder.join("chunks"))[0]).unwrap()),
        ("a content is altered", |folder| fs::write(&walk(&folder.join("chunks"))[0], b"rotten").unwrap()),
        ("a content is empty", |folder| fs::write(&walk(&folder.join("chunks"))[0], b"").unwrap()),
        ("the head is cut off", |folder| {
            let head = folder.join("heads").join(format!("{}.head", support::STREAM));
            let bytes = fs::read(&head).unwrap();
            fs::write(head, &bytes[..bytes.len() / 2]).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let folder = kept_folder(&publisher);
        spoil(folder.path());
        let code = start(folder.path(), Gone).unwrap_err().code();
        assert!(matches!(code, "unreachable" | "not_restored"), "{what}: {code}");
        let source = MemorySource::default();
        source.offer(&stream(), publisher.pack());
        let following = start(folder.path(), source).unwrap();
        assert!(following.health().persisted, "{what}");
        drop(following);
        let following = start(folder.path(), Gone).unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!(revision_of(&following), 3, "{what}");
    }
}

/// Whoever starts with the wrong configuration once does not lose what was kept.
#[test]
fn a_start_with_other_keys_destroys_nothing() {
    let publisher = of_today();
    let folder = kept_folder(&publisher);
    let others = support::signer_for(key(2), &own_certificate(), &key(9)).trust(stream());
    let refused = Following::start(Follower::of_stream(others), Gone, kept(folder.path()));
    assert!(matches!(refused.unwrap_err().code(), "unreachable" | "not_restored"));
    assert_eq!(revision_of(&start(folder.path(), Gone).unwrap()), 3);
}

/// The newest of folder, pack and source is in force.
#[test]
fn a_pack_serves_where_nothing_newer_is_kept() {
    let mut publisher = of_today();
    let (older, folder) = (publisher.pack(), kept_folder(&publisher));
    next(&mut publisher, 6);
    let newer = publisher.pack();
    let start = |folder: Option<&Path>, pack: &Pack| {
        let keep = Keep { folder: folder.map(Path::to_path_buf), pack: Some(pack.clone()) };
        revision_of(&Following::start(Follower::of_stream(trust()), Gone, keep).unwrap())
    };
    assert_eq!(start(None, &older), 3);
    assert_eq!(start(Some(folder.path()), &older), 3);
    assert_eq!(start(Some(folder.path()), &newer), 4);
    assert_eq!(start(Some(folder.path()), &older), 4, "what came as a pack was kept");
}

/// A follower that is told of failures asks again, soon at first.
#[test]
fn a_poll_finds_what_nobody_notified_of() {
    let mut publisher = of_today();
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let settings = Settings { poll_ms: 5, timeout_ms: 1_000, backoff_min_ms: 1, backoff_max_ms: 5, report_ms: 60_000 };
    let follower = Follower::of_stream(trust()).with_settings(settings);
    let following = Following::start(follower, source.clone(), Keep::default()).unwrap();
    // A head without its contents, and then with them.
    next(&mut publisher, 7);
    source.offer(&stream(), Pack { chunks: BTreeMap::new(), ..publisher.pack() });
    wait_until("the fault", || faults(&following.health()) == ["missing_chunk"]);
    assert_eq!(revision_of(&following), 3);
    source.offer(&stream(), publisher.pack());
    wait_until("the next revision", || revision_of(&following) == 4);
}

#[test]
fn no_instant_is_too_far() {
    let mut bench = Bench::new();
    let head =
        signed(&bench.head(|head| (head.issued_at, head.expires_at) = (after(Timestamp::MAX, -1), Timestamp::MAX)));
    bench.offer(head, &BTreeMap::new());
    assert_eq!(bench.follower.head().unwrap().head().revision, revision(3));
}
