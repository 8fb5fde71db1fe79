//! What the targets about snapshots are told: a publisher with a few revisions, documents that it signed, and scripts of what
//! happens to a follower. `xtask` makes conformance vectors of the same.

use ed25519_dalek::{Signer as _, SigningKey};
use leasehold::build::{Content, Signer, Terms, cut, definitions_hash, sign_slice};
use leasehold::follow::{Action, Event};
use leasehold::generate::{Choices, instants, world};
use leasehold::model::Definitions;
use leasehold::wire::{
    Certificate, Chunk, ChunkRef, Manifest, Pack, Place, PublicKey, SecretKey, SignedHead, SliceKey, Trust, canonical,
};
use leasehold::{Hash, Region, Revision, Snapshot, TenantId, Timestamp};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What a publisher said so far: a few revisions, and everything that they name.
pub(crate) struct Published {
    pub(crate) certificate: Vec<u8>,
    pub(crate) trust: Trust,
    pub(crate) heads: Vec<SignedHead>,
    pub(crate) definitions: Vec<Definitions>,
    pub(crate) chunks: Vec<(ChunkRef, Vec<u8>)>,
}

/// Which of the revisions holds what the shard target changes.
const LAST: usize = 3;
const FLEET: u8 = 2;
const SLICES: u8 = 3;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn stream() -> Region {
    "GCC-OM".parse().expect("it is well-formed")
}

/// An instant at which answers are compared.
pub(crate) fn noon() -> Timestamp {
    instants()[5]
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
    for (number, world) in (1..).zip(&definitions) {
        let content = Content::of_stream(world, &stream()).expect("it has a form");
        let issued_at = Timestamp::from_ms(instants()[2].as_ms() + number).expect("it is in range");
        let until = Timestamp::from_ms(issued_at.as_ms() + SliceKey::LONGEST_MS).expect("it is in range");
        let slice_key = SliceKey { key: key(SLICES).public(), valid_from: issued_at, valid_until: until };
        let terms = Terms { issued_at, fresh_for_ms: 90 * SliceKey::LONGEST_MS, slice_keys: vec![slice_key] };
        let revision = Revision::new(number.unsigned_abs()).expect("it is in range");
        let head = signer.sign(&stream(), heads.last(), (revision, content.root, None), &terms).expect("it is newer");
        heads.push(head);
        chunks.extend(content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, (reference, bytes))));
    }
    let trust = signer.trust(stream());
    Published { certificate, trust, heads, definitions, chunks: chunks.into_values().collect() }
}

pub(crate) fn published() -> &'static Published {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    PUBLISHED.get_or_init(publish)
}

impl Published {
    pub(crate) fn chunk(&self, hash: Hash) -> Option<&[u8]> {
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
    pub(crate) fn signed(&self, payload: &[u8]) -> Vec<u8> {
        let message = [b"leasehold-head/1\n", payload].concat();
        let signature = SigningKey::from_bytes(&[FLEET; 32]).sign(&message).to_bytes();
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("leasehold-head/1 {} {signature}\n", key(FLEET).public().id());
        [&self.certificate[..], line.as_bytes(), payload, b"\n"].concat()
    }

    /// The last revision with bytes for the shard of a tenant, signed, for whoever has the revision as it was.
    pub(crate) fn with_shard(&self, bytes: &[u8]) -> Changed {
        let (before, last) = (self.pack(LAST), &self.heads[LAST]);
        let manifest = self.chunk(last.head().manifest.hash).expect("it is named");
        let manifest = Manifest::read(manifest).expect("it was read");
        let place = Place::of(self.tenant(LAST).as_str());
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
        let document = head.sign(&self.certificate, &key(FLEET)).expect("it has a form");
        Changed { before, document, chunks }
    }
}

/// A revision whose shard is anything, behind one as it should be.
pub(crate) struct Changed {
    pub(crate) before: Pack,
    pub(crate) document: Vec<u8>,
    pub(crate) chunks: BTreeMap<Hash, Chunk>,
}

/// What happens to a follower.
pub(crate) enum Happens {
    Event(Event),
    /// It begins again, with what was kept.
    Restart {
        head: Option<Vec<u8>>,
        seen: Option<Vec<u8>>,
    },
}

/// Plays a script: tells what happens, when, and a number of chance; and is told what is to be done.
pub(crate) fn play(bytes: &[u8], mut host: impl FnMut(Happens, Timestamp, u64) -> Vec<Action>) {
    let published = published();
    let (mut kept, mut seen): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
    let (mut timer, mut token) = (0, 0);
    let mut asked: Vec<ChunkRef> = Vec::new();
    let mut script = bytes.iter().copied();
    while let Some(step) = script.next() {
        let mut operand = || script.next().unwrap_or(0);
        let now = Timestamp::from_ms(noon().as_ms() + i64::from(step) * 60_000).unwrap_or(Timestamp::MAX);
        let whole = |number: u8| published.heads[usize::from(number) % published.heads.len()].bytes().to_vec();
        let mut tell = |event| host(Happens::Event(event), now, u64::from(step));
        let actions = match step % 16 {
            0 => tell(Event::Started),
            1 | 2 => tell(Event::Head(whole(operand()))),
            3 => {
                let mut document = whole(operand());
                let at = (usize::from(operand()) * 8 + usize::from(operand())) % document.len();
                document[at] ^= operand();
                tell(Event::Head(document))
            }
            // All that was asked for arrives, or one of it.
            4..=6 => {
                let mut all = Vec::new();
                while let Some(reference) = asked.pop() {
                    let content = published.chunk(reference.hash).expect("it is named").to_vec();
                    let chunk = if step & 16 == 0 { Chunk::raw(content) } else { Chunk::compressed(&content) };
                    all.extend(tell(Event::Chunk(reference.hash, chunk)));
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
                tell(Event::Chunk(reference.hash, chunk))
            }
            8 => tell(Event::Timer(timer)),
            9 => tell(Event::NotModified { envelope: None }),
            10 => tell(Event::ConnectionLost),
            11 => tell(Event::Notified),
            12 => tell(Event::Persisted(token)),
            13 => tell(Event::NotPersisted(token, "the disk is full".to_owned())),
            14 => tell(Event::HeadFailed("503".to_owned())),
            _ => {
                asked.clear();
                host(Happens::Restart { head: kept.clone(), seen: seen.clone() }, now, u64::from(step))
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
    }
}
