//! What travels: canonical JSON, heads, manifests, packs, slices, shards, and a follower that gets all of it.

use ed25519_dalek::{Signer as _, SigningKey};
use leasehold::build::{Content, Signer, Terms, cut, definitions_hash, sign_slice};
use leasehold::follow::{Action, Event, Follower, Kept};
use leasehold::generate::{Choices, instants, world};
use leasehold::model::Definitions;
use leasehold::wire::{
    Certificate, Chunk, ChunkRef, DefinitionsIndex, Manifest, Pack, Place, PublicKey, SecretKey, SignedHead, SliceKey,
    Trust, canonical,
};
use leasehold::{Entitlements, Hash, Region, Revision, Snapshot, TenantId, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What a publisher said so far: a few revisions, and everything that they name.
pub(crate) struct Published {
    pub(crate) certificate: Vec<u8>,
    pub(crate) trust: Trust,
    pub(crate) heads: Vec<SignedHead>,
    definitions: Vec<Definitions>,
    answers: Vec<Vec<(TenantId, Entitlements)>>,
    pub(crate) chunks: Vec<(ChunkRef, Vec<u8>)>,
}

/// Which of the revisions holds what the shard target changes.
const LAST: usize = 3;
const FLEET: u8 = 2;
const SLICES: u8 = 3;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn stream() -> Region {
    "GCC-OM".parse().expect("it is well-formed")
}

/// An instant at which answers are compared.
fn noon() -> Timestamp {
    instants()[5]
}

fn answers(snapshot: &Snapshot) -> Vec<(TenantId, Entitlements)> {
    let mut all: Vec<(TenantId, Entitlements)> = snapshot
        .tenants()
        .map(|tenant| (tenant.id().parse().expect("it was one"), tenant.entitlements(noon())))
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn worlds() -> Vec<Definitions> {
    let compiles = |definitions: &Definitions| {
        let stamp = leasehold::Stamp { revision: Revision::default(), issued_at: noon(), expires_at: None };
        !definitions.tenants.is_empty() && Snapshot::compile(definitions, stamp).is_ok()
    };
    (0..).map(|seed| world(&mut Choices::from_seed(seed))).filter(compiles).take(LAST + 1).collect()
}

fn publish() -> Published {
    let issuer = "hq.example".parse().expect("it is well-formed");
    let environment = "production".parse().expect("it is well-formed");
    let (valid_from, valid_until) = (Timestamp::MIN, None);
    let certificate = Certificate { issuer, environment, epoch: 1, key: key(FLEET).public(), valid_from, valid_until };
    let certificate = certificate.sign(&key(1)).expect("it has a form");
    let roots: Vec<PublicKey> = vec![key(1).public()];
    let signer = Signer::new(key(FLEET), certificate.clone(), roots).expect("it fits");
    let definitions = worlds();
    let (mut heads, mut chunks): (Vec<SignedHead>, BTreeMap<Hash, _>) = (Vec::new(), BTreeMap::new());
    let mut said = Vec::new();
    for (number, world) in (1..).zip(&definitions) {
        let content = Content::of_stream(world, &stream()).expect("it has a form");
        let issued_at = Timestamp::from_ms(instants()[2].as_ms() + number).expect("it is in range");
        let until = Timestamp::from_ms(issued_at.as_ms() + SliceKey::LONGEST_MS).expect("it is in range");
        let slice_key = SliceKey { key: key(SLICES).public(), valid_from: issued_at, valid_until: until };
        let terms = Terms { issued_at, fresh_for_ms: 90 * SliceKey::LONGEST_MS, slice_keys: vec![slice_key] };
        let revision = Revision::new(number.unsigned_abs()).expect("it is in range");
        let head = signer.sign(&stream(), heads.last(), (revision, content.root, None), &terms).expect("it is newer");
        said.push(answers(&Snapshot::compile(world, head.head().stamp()).expect("it compiled before")));
        heads.push(head);
        chunks.extend(content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, (reference, bytes))));
    }
    let trust = signer.trust(stream());
    Published { certificate, trust, heads, definitions, answers: said, chunks: chunks.into_values().collect() }
}

pub(crate) fn published() -> &'static Published {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    PUBLISHED.get_or_init(publish)
}

impl Published {
    fn index_of(&self, head: &SignedHead) -> Option<usize> {
        self.heads.iter().position(|known| known.bytes() == head.bytes())
    }

    fn chunk(&self, hash: Hash) -> Option<&[u8]> {
        let at = self.chunks.binary_search_by_key(&hash, |(reference, _)| reference.hash).ok()?;
        self.chunks.get(at).map(|(_, bytes)| bytes.as_slice())
    }

    /// The pack of a revision.
    pub(crate) fn pack(&self, number: usize) -> Pack {
        let content = Content::of_stream(&self.definitions[number], &stream()).expect("it has a form");
        let chunks = content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes)));
        Pack { head: self.heads[number].bytes().to_vec(), chunks: chunks.collect() }
    }

    pub(crate) fn tenant(&self, number: usize) -> TenantId {
        self.definitions[number].tenants.keys().next().expect("there is one").clone()
    }

    /// The slice of a tenant at a revision, with any content.
    pub(crate) fn slice(&self, number: usize, content: Option<&[u8]>) -> Vec<u8> {
        let (head, definitions, tenant) = (&self.heads[number], &self.definitions[number], self.tenant(number));
        let own = cut(definitions, &tenant, head.head().issued_at).and_then(|own| canonical::to_vec(&own).ok());
        let content = content.map(<[u8]>::to_vec).or(own).expect("there is such a tenant");
        let hash = definitions_hash(definitions).expect("it has a form");
        sign_slice(head, &tenant, hash, &content, &key(SLICES)).expect("the head certifies the key")
    }

    /// What the fleet key makes of any text.
    fn signed(&self, payload: &[u8]) -> Vec<u8> {
        let message = [b"leasehold-head/1\n", payload].concat();
        let signature = SigningKey::from_bytes(&[FLEET; 32]).sign(&message).to_bytes();
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("leasehold-head/1 {} {signature}\n", key(FLEET).public().id());
        [&self.certificate[..], line.as_bytes(), payload, b"\n"].concat()
    }
}

/// Bytes as canonical JSON: what is accepted is what the writer writes, and what another reader reads.
pub(crate) fn canonical(bytes: &[u8]) {
    let accepted = canonical::check(bytes);
    let value = serde_json::from_slice::<Value>(bytes).ok();
    let written = value.as_ref().and_then(|value| canonical::to_vec(value).ok());
    assert_eq!(accepted.is_ok(), written.as_deref() == Some(bytes), "{accepted:?} {value:?}");
}

/// Bytes as a head, and as what a head says: nothing is believed that was not signed, and what is believed has one form.
pub(crate) fn head(bytes: &[u8]) {
    let published = published();
    if let Ok(head) = published.trust.head(bytes) {
        assert!(published.index_of(&head).is_some(), "nobody signed this");
    }
    if let Ok(certificate) = Certificate::verify(bytes, &published.trust.roots) {
        assert_eq!(certificate.sign(&key(1)).as_deref(), Ok(bytes), "nobody signed this");
    }
    let _ = Trust::from_json(bytes).map(|trust| assert!(!trust.roots.is_empty()));
    // A document that ends in the middle of its last line, and the same text where the right key signed it.
    if !bytes.contains(&b'\n')
        && let Ok(head) = published.trust.head(&published.signed(bytes))
    {
        // An empty list of slice keys is read for none.
        let payload = String::from_utf8_lossy(bytes).replace("\"slice_keys\":[],", "");
        assert_eq!(canonical::to_vec(head.head()).as_deref(), Ok(payload.as_bytes()));
    }
}

/// Bytes as a manifest and as the index of definitions: what is read has one form, and nothing in it is out of bounds.
pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::read(bytes) {
        assert_eq!(canonical::to_vec(&manifest).as_deref(), Ok(bytes));
        assert!(manifest.tenants.iter().all(|(place, child)| place < 64 && child.length <= 1 << 20));
        assert!(manifest.tenants.iter().all(|(place, child)| manifest.tenants.get(place) == Some(child)));
    }
    if let Ok(index) = DefinitionsIndex::read(bytes) {
        assert_eq!(canonical::to_vec(&index).as_deref(), Ok(bytes));
        assert!(index.sections().all(|(_, section)| section.length <= 64 << 20));
    }
}

/// Bytes as a pack: what is read is written alike, and what is believed is what was published.
pub(crate) fn pack(bytes: &[u8]) {
    let Ok(pack) = Pack::read(bytes) else { return };
    assert_eq!(Pack::read(&pack.to_bytes(&[])).as_ref(), Ok(&pack));
    let published = published();
    let (document, trust) = (pack.head.clone(), &published.trust);
    if let Ok(snapshot) = Snapshot::from_pack(pack, trust) {
        let number = published.heads.iter().position(|head| **head.bytes() == *document).expect("somebody signed it");
        assert_eq!(answers(&snapshot), published.answers[number]);
    }
}

/// Bytes as a slice, and as the content of one that is signed: nothing panics, and nothing is believed that was not
/// signed.
pub(crate) fn slice(bytes: &[u8]) {
    let published = published();
    let tenant = published.tenant(0);
    if let Ok(slice) = published.trust.slice(bytes, &tenant) {
        let number = published.index_of(slice.head()).expect("somebody signed it");
        let whole = published.slice(number, None);
        assert!(whole.starts_with(bytes), "nobody signed this");
        assert_eq!(slice.definitions().is_some(), bytes.len() == whole.len());
    }
    if bytes.contains(&b'\n') {
        return;
    }
    let mut follower = Follower::of_slice(published.trust.clone(), tenant.clone());
    let actions = follower.handle(Event::Head(published.slice(0, Some(bytes))), noon(), 0);
    match follower.snapshot() {
        Some(snapshot) => {
            assert_eq!(answers(snapshot).first().map(|(id, _)| id), Some(&tenant));
            assert_eq!(snapshot.tenants().count(), 1);
        }
        None => assert!(actions.iter().any(|action| matches!(action, Action::Report(_))), "{actions:?}"),
    }
}

/// Bytes as a shard that the fleet key signed: whoever goes there from the revision before, reading only what differs,
/// comes to the same as whoever begins there.
pub(crate) fn shard(bytes: &[u8]) {
    let published = published();
    let (before, last) = (published.pack(LAST), &published.heads[LAST]);
    let manifest =
        Manifest::read(published.chunk(last.head().manifest.hash).expect("it is named")).expect("it was read");
    let place = Place::of(published.tenant(LAST).as_str());
    let shard = ChunkRef::to(bytes);
    let mut chunks = before.chunks.clone();
    let mut put = |content: String| {
        let reference = ChunkRef::to(content.as_bytes());
        chunks.insert(reference.hash, Chunk::raw(content.into_bytes()));
        reference
    };
    let node = put(format!("[[{},\"{}\",{}]]", place.shard, shard.hash, shard.length));
    let definitions = manifest.definitions;
    let root = put(format!(
        "{{\"definitions\":{{\"hash\":\"{}\",\"length\":{}}},\"format\":1,\"tenants\":[[{},\"{}\",{}]]}}",
        definitions.hash, definitions.length, place.node, node.hash, node.length
    ));
    chunks.insert(shard.hash, Chunk::raw(bytes.to_vec()));
    let mut head = last.head().clone();
    head.manifest = root;
    head.revision = Revision::new(1_000).unwrap_or_default();
    head.issued_at = Timestamp::from_ms(head.issued_at.as_ms() + 1_000).unwrap_or(Timestamp::MAX);
    let document = head.sign(&published.certificate, &key(FLEET)).expect("it has a form");

    let follow = |mut follower: Follower| {
        let mut events = vec![Event::Started, Event::Head(document.clone())];
        while let Some(event) = events.pop() {
            for action in follower.handle(event, noon(), 0) {
                if let Action::FetchChunk(reference) = action {
                    events.push(Event::Chunk(reference.hash, chunks[&reference.hash].clone()));
                }
            }
            events.retain(|event| !matches!(event, Event::Started));
        }
        let taken = follower.head().is_some_and(|head| **head.bytes() == *document);
        taken.then(|| answers(follower.snapshot().expect("it runs")))
    };
    let mut running = Follower::of_stream(published.trust.clone());
    running.open(before, noon()).expect("it was published");
    assert_eq!(follow(running), follow(Follower::of_stream(published.trust.clone())));
}

/// Bytes as a script of what happens to a follower. Whatever does, it answers what the publisher said at the revision
/// that it has, and never goes back.
pub(crate) fn follower(bytes: &[u8]) {
    let published = published();
    let new = || Follower::of_stream(published.trust.clone());
    let mut follower = new();
    let (mut kept, mut seen): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
    let (mut timer, mut token, mut highest) = (0, 0, None);
    let mut asked: Vec<ChunkRef> = Vec::new();
    let mut script = bytes.iter().copied();
    while let Some(step) = script.next() {
        let mut operand = || script.next().unwrap_or(0);
        let now = Timestamp::from_ms(noon().as_ms() + i64::from(step) * 60_000).unwrap_or(Timestamp::MAX);
        let whole = |number: u8| published.heads[usize::from(number) % published.heads.len()].bytes().to_vec();
        let actions = match step % 16 {
            0 => follower.handle(Event::Started, now, u64::from(step)),
            1 | 2 => follower.handle(Event::Head(whole(operand())), now, 0),
            3 => {
                let mut document = whole(operand());
                let at = (usize::from(operand()) * 8 + usize::from(operand())) % document.len();
                document[at] ^= operand();
                follower.handle(Event::Head(document), now, 0)
            }
            // All that was asked for arrives, or one of it.
            4..=6 => {
                let mut all = Vec::new();
                while let Some(reference) = asked.pop() {
                    let content = published.chunk(reference.hash).expect("it is named").to_vec();
                    let chunk = if step & 16 == 0 { Chunk::raw(content) } else { Chunk::compressed(&content) };
                    all.extend(follower.handle(Event::Chunk(reference.hash, chunk), now, 0));
                    if step % 16 == 6 {
                        break;
                    }
                }
                all
            }
            7 => {
                let Some(reference) = asked.last() else { continue };
                let mut content = published.chunk(reference.hash).expect("it is named").to_vec();
                let at = usize::from(operand()) * 16 % content.len();
                content[at] ^= operand();
                let chunk = if step & 16 == 0 { Chunk::raw(content) } else { Chunk::zstd(content) };
                follower.handle(Event::Chunk(reference.hash, chunk), now, 0)
            }
            8 => follower.handle(Event::Timer(timer), now, u64::MAX),
            9 => follower.handle(Event::NotModified { envelope: None }, now, 0),
            10 => follower.handle(Event::ConnectionLost, now, 0),
            11 => follower.handle(Event::Notified, now, 0),
            12 => follower.handle(Event::Persisted(token), now, 0),
            13 => follower.handle(Event::NotPersisted(token, "full".to_owned()), now, 0),
            14 => follower.handle(Event::HeadFailed("503".to_owned()), now, 0),
            _ => {
                follower = new();
                asked.clear();
                let find = |hash| published.chunk(hash).map(|content| Chunk::raw(content.to_vec()));
                let actions = follower.restore(Kept { head: kept.clone(), seen: seen.clone(), find: &find }, now);
                assert_eq!(follower.head().map(|head| head.bytes().to_vec()), kept);
                highest = None;
                actions
            }
        };
        for action in actions {
            match action {
                Action::FetchChunk(reference) => asked.push(reference),
                Action::Wait { timer: next, .. } => timer = next,
                Action::Persist(persist) => {
                    token = persist.token;
                    kept = Some(persist.head.to_vec());
                }
                Action::PersistSeen(head) => seen = Some(head.to_vec()),
                _ => {}
            }
        }
        let Some(head) = follower.head() else { continue };
        let number = published.index_of(head);
        assert!(number >= highest, "it went back");
        if number != highest {
            let said = &published.answers[number.expect("somebody signed it")];
            assert_eq!(&answers(follower.snapshot().expect("it runs")), said);
        }
        highest = number;
    }
}
