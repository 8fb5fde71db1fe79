//! Threats to engines that follow, one test each: what an attacker has, what they try with it, and what it comes to.
//! `docs/threat-model.md` lists them, with those that are tested elsewhere.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use crate::support::web::{DEADLINE, Web};
use crate::support::{self, DAY_MS, FRESH_MS, Publisher, after, key, revision, root, stream, trust};
use leasehold::build::{Content, Terms, cut, definitions_hash, sign_slice};
use leasehold::follow::{Action, Event, Follower, Health, Kept, Report, Settings};
use leasehold::model::{Action as Asked, Definitions, FeatureKind, Source as File, load};
use leasehold::wire::{Certificate, Chunk, ChunkRef, Pack, SecretKey, SignedHead, SliceKey, canonical};
use leasehold::{
    Error, Freshness, Hash, HttpFollowing, HttpOptions, HttpPatience, HttpSource, Keep, Reason, Region, Snapshot,
    Source, TenantId, Timestamp,
};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

const TENANT: &str = "om-sparkle";
const OTHER: &str = "om-oasis";
const ABROAD: &str = "sa-najd";

/// What tenants have: orders, card payments unless that is out of date, and no delivery.
fn honest() -> Definitions {
    let switch = |name: &str, more: &str| {
        format!(r#""{name}": {{ "kind": "switch", "name": "N", "name2": "ن", "group": "module" {more} }}"#)
    };
    let features = [
        switch("orders", r#", "default": true"#),
        switch("card_payments", r#", "default": true, "staleness": "off""#),
        switch("delivery", ""),
    ];
    let tenant = |id: &str, region: &str| {
        format!(r#""{id}": {{ "name": "N", "name2": "ن", "region": "{region}", "anchor": "2026-01-01T00:00:00Z" }}"#)
    };
    let tenants = [tenant(TENANT, "GCC-OM"), tenant(OTHER, "GCC-OM"), tenant(ABROAD, "GCC-SA")];
    let text = format!(r#"{{ "features": {{ {} }}, "tenants": {{ {} }} }}"#, features.join(","), tenants.join(","));
    load(&[File { name: "honest.json".into(), bytes: text.into_bytes() }]).unwrap()
}

/// The same with delivery for everybody, which nobody has paid for; and with tenants that have another name.
fn generous() -> Definitions {
    let mut definitions = honest();
    for feature in definitions.features.values_mut() {
        feature.kind = FeatureKind::Switch { default: true };
    }
    definitions.tenants.values_mut().for_each(|tenant| tenant.name = "Other".into());
    definitions
}

/// An engine, its disk, and whatever the attacker lets it hear.
struct Victim {
    follower: Follower,
    made: fn() -> Follower,
    contents: BTreeMap<Hash, Chunk>,
    head: Option<Vec<u8>>,
    seen: Option<Vec<u8>>,
}

fn of_stream() -> Follower {
    Follower::of_stream(trust())
}

fn of_slice() -> Follower {
    Follower::of_slice(trust(), tenant(TENANT))
}

impl Victim {
    fn new(made: fn() -> Follower, now: Timestamp) -> Self {
        let mut follower = made();
        follower.handle(Event::Started, now, 0);
        Self { follower, made, contents: BTreeMap::new(), head: None, seen: None }
    }

    /// One that has what was published last.
    fn of(publisher: &Publisher) -> Self {
        let mut victim = Self::new(of_stream, publisher.now);
        assert_eq!(victim.hears_all(publisher), [""; 0]);
        victim
    }

    /// A head or slice arrives, and contents as somebody gives them; gives the codes of what was refused.
    fn hears(
        &mut self,
        document: &[u8],
        contents: impl Fn(ChunkRef) -> Option<Chunk>,
        now: Timestamp,
    ) -> Vec<&'static str> {
        let mut events = VecDeque::from([Event::Head(document.to_vec())]);
        let mut refused = Vec::new();
        while let Some(event) = events.pop_front() {
            for action in self.follower.handle(event, now, 0) {
                match action {
                    Action::FetchChunk(reference) => events.push_back(match contents(reference) {
                        Some(chunk) => Event::Chunk(reference.hash, chunk),
                        None => Event::ChunkMissing(reference.hash),
                    }),
                    Action::Persist(persist) => {
                        self.contents.extend(persist.chunks);
                        self.head = Some(persist.head.to_vec());
                        events.push_back(Event::Persisted(persist.token));
                    }
                    Action::PersistSeen(head) => self.seen = Some(head.to_vec()),
                    Action::Report(Report::Nack { fault, .. }) => refused.push(fault.code()),
                    Action::Report(Report::Ack { .. })
                    | Action::Swap(_)
                    | Action::FetchHead { .. }
                    | Action::Wait { .. } => {}
                }
            }
        }
        refused
    }

    /// A head or slice arrives, with the contents that it names.
    fn hears_with(&mut self, document: &[u8], publisher: &Publisher) -> Vec<&'static str> {
        self.hears(document, |reference| published(publisher, reference.hash), publisher.now)
    }

    /// What was published last arrives.
    fn hears_all(&mut self, publisher: &Publisher) -> Vec<&'static str> {
        self.hears_with(publisher.last.bytes(), publisher)
    }

    /// It begins again with what is on its disk.
    fn restarts(&mut self, now: Timestamp) {
        self.follower = (self.made)();
        let kept =
            Kept { head: self.head.clone(), seen: self.seen.clone(), find: &|hash| self.contents.get(&hash).cloned() };
        self.follower.restore(kept, now);
        self.follower.handle(Event::Started, now, 0);
    }

    fn snapshot(&self) -> &Snapshot {
        self.follower.snapshot().unwrap()
    }

    fn revision(&self) -> u64 {
        self.snapshot().stamp().revision.get()
    }

    fn allows(&self, feature: &str, now: Timestamp) -> bool {
        self.snapshot().tenant(TENANT).unwrap().is_enabled(feature, now).unwrap()
    }
}

fn published(publisher: &Publisher, hash: Hash) -> Option<Chunk> {
    publisher.chunks.get(&hash).map(|(_, bytes)| Chunk::raw(bytes.clone()))
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn codes(health: &Health) -> Vec<&'static str> {
    health.faults.iter().map(|seen| seen.fault.code()).collect()
}

/// A tenant's slice of any definitions, signed by whoever has the key.
fn slice(head: &SignedHead, definitions: &Definitions, id: &str, key: &SecretKey) -> Vec<u8> {
    let content = canonical::to_vec(&cut(definitions, &tenant(id), head.head().issued_at).unwrap()).unwrap();
    sign_slice(head, &tenant(id), definitions_hash(definitions).unwrap(), &content, key).unwrap()
}

/// A head of any revision and instant, by somebody who has the fleet key and its certificate.
fn forged(publisher: &mut Publisher, number: u64, issued_at: Timestamp, slice_keys: Vec<SliceKey>) -> SignedHead {
    let content = Content::of_stream(&generous(), &stream()).unwrap();
    let terms = Terms { issued_at, fresh_for_ms: FRESH_MS, slice_keys };
    let head = publisher.signer.sign(&stream(), None, (revision(number), content.root, None), &terms).unwrap();
    publisher.chunks.extend(content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, (reference, bytes))));
    head
}

/// The attacker has all that was ever published, and stands between engine and publisher: they play it again.
#[test]
fn rollback() {
    let mut publisher = Publisher::new(&generous());
    let mut victim = Victim::of(&publisher);
    assert!(victim.allows("delivery", publisher.now));
    let (first, pack) = (publisher.last.clone(), publisher.pack());
    publisher.heartbeat();
    let heartbeat = publisher.last.clone();
    // Delivery is taken away.
    publisher.publish_definitions(&honest());
    assert_eq!(victim.hears_all(&publisher), [""; 0]);
    let second = publisher.last.clone();
    publisher.heartbeat();
    assert_eq!(victim.hears_all(&publisher), [""; 0]);

    let attack = |victim: &mut Victim, publisher: &Publisher| {
        for (head, code) in [(&first, "older_revision"), (&heartbeat, "older_revision"), (&second, "not_newer")] {
            assert_eq!(victim.hears_with(head.bytes(), publisher), [code]);
            assert_eq!(codes(&victim.follower.health(publisher.now)), [code], "it shows");
            assert!(!victim.allows("delivery", publisher.now));
            victim.hears_all(publisher);
        }
        // A pack that would come with an older build is passed over.
        let _ = victim.follower.open(pack.clone(), publisher.now);
        assert!(!victim.allows("delivery", publisher.now));
    };
    attack(&mut victim, &publisher);
    victim.restarts(publisher.now);
    attack(&mut victim, &publisher);

    // A newer head is let through, and its contents are not: what was seen counts, whatever is in force, and on disk too.
    publisher.publish_definitions(&generous());
    let third = publisher.last.clone();
    let mut withheld = Victim::of(&{
        let mut other = Publisher::new(&generous());
        other.publish_definitions(&honest());
        other
    });
    assert_eq!(withheld.hears(third.bytes(), |_| None, publisher.now), ["missing_chunk"]);
    for _ in 0..2 {
        assert_eq!(withheld.hears_with(heartbeat.bytes(), &publisher), ["older_revision"]);
        assert_eq!(withheld.revision(), 2);
        withheld.restarts(publisher.now);
    }
}

/// The attacker keeps all news away, and goes on saying what was true once.
#[test]
fn freeze() {
    let mut publisher = Publisher::new(&honest());
    let mut victim = Victim::of(&publisher);
    let (old, began) = (publisher.last.clone(), publisher.now);
    let expires_at = after(began, FRESH_MS);
    for hour in 0..=FRESH_MS / 3_600_000 {
        let now = after(began, hour * 3_600_000);
        victim.hears(old.bytes(), |_| None, now);
        victim.follower.handle(Event::Notified, now, 0);
        victim.follower.handle(Event::NotModified { envelope: None }, now, 0);
        let health = victim.follower.health(now);
        let stale = now >= expires_at;
        // Neither a head that is played again nor "nothing is newer" makes anything fresh for longer.
        assert_eq!((health.expires_at, health.age_ms), (Some(expires_at), Some(hour * 3_600_000)));
        assert_eq!(health.freshness, Some(if stale { Freshness::Stale } else { Freshness::Fresh }), "hour {hour}");
        // What may not be out of date is off; the rest goes on as it was, and says what it is.
        let tenant = victim.snapshot().tenant(TENANT).unwrap();
        let cards = tenant.decide("card_payments", Asked::Use, now).unwrap();
        assert_eq!((cards.enabled, cards.reason == Reason::Stale), (!stale, stale));
        let orders = tenant.decide("orders", Asked::Use, now).unwrap();
        assert_eq!((orders.enabled, orders.freshness), (true, health.freshness.unwrap()));
    }
    // A restart makes nothing fresh either.
    victim.restarts(expires_at);
    assert_eq!(victim.follower.health(expires_at).freshness, Some(Freshness::Stale));
    assert!(!victim.allows("card_payments", expires_at));
    // News get through again.
    publisher.now = expires_at;
    publisher.heartbeat();
    assert_eq!(victim.hears_all(&publisher), [""; 0]);
    assert_eq!(victim.follower.health(publisher.now).freshness, Some(Freshness::Fresh));
    assert!(victim.allows("card_payments", publisher.now));
}

/// The attacker has the fleet key, and signs a head after which no revision and no instant seems to be left.
#[test]
fn fast_forward() {
    const LAST_REVISION: u64 = (1 << 53) - 1;
    let mut publisher = Publisher::new(&honest());
    let mut victim = Victim::of(&publisher);
    let far = after(publisher.now, 36_500 * DAY_MS);
    let thiefs = forged(&mut publisher, LAST_REVISION, far, Vec::new());
    assert_eq!(victim.hears_with(thiefs.bytes(), &publisher), [""; 0]);
    assert_eq!(victim.revision(), LAST_REVISION);
    // Within the epoch there is no way past it.
    publisher.publish_definitions(&honest());
    assert_eq!(victim.hears_all(&publisher), ["older_revision"]);

    // The root key certifies another fleet key, for the next epoch: revisions and instants of the last do not count.
    publisher.end_epoch();
    assert_eq!(victim.hears_all(&publisher), [""; 0]);
    assert_eq!(victim.revision(), 2);
    for _ in 0..2 {
        assert!(!victim.allows("delivery", publisher.now));
        assert_eq!(victim.hears_with(thiefs.bytes(), &publisher), ["older_revision"]);
        // The epoch is the root key's to say, not the fleet key's.
        let mut head = thiefs.head().clone();
        head.epoch = 3;
        let certificate = support::certificate(&key(2), 1).sign(&root()).unwrap();
        assert_eq!(victim.hears_with(&head.sign(&certificate, &key(2)).unwrap(), &publisher), ["unknown_key"]);
        let own = support::certificate(&key(2), 3).sign(&key(2)).unwrap();
        assert_eq!(victim.hears_with(&head.sign(&own, &key(2)).unwrap(), &publisher), ["unknown_key"]);
        assert_eq!(victim.revision(), 2);
        victim.restarts(publisher.now);
    }
    publisher.publish_definitions(&honest());
    assert_eq!(victim.hears_all(&publisher), [""; 0]);
}

/// The attacker has all that was ever published, and puts it together anew.
#[test]
fn mix_and_match() {
    let mut publisher = Publisher::new(&generous());
    let first = publisher.last.clone();
    let (old, pack) = (publisher.said.names(), publisher.pack());
    let victim = || Victim::of(&Publisher::new(&generous()));
    publisher.publish_definitions(&honest());
    let (second, new) = (publisher.last.clone(), publisher.said.names());
    let (gone, come): (Vec<Hash>, Vec<Hash>) =
        (old.difference(&new).copied().collect(), new.difference(&old).copied().collect());
    assert!(gone.len() >= 4 && come.len() >= 4, "manifest, definitions, nodes and shards differ");

    // Under the new head, any one of the old contents in place of any one of the new.
    for (name, instead) in come.iter().flat_map(|name| gone.iter().map(move |instead| (*name, *instead))) {
        let mut victim = victim();
        let contents = |it: ChunkRef| published(&publisher, if it.hash == name { instead } else { it.hash });
        let refused = victim.hears(second.bytes(), contents, publisher.now);
        assert!(matches!(*refused, ["hash_mismatch" | "truncated" | "too_long"]), "{refused:?}");
        assert_eq!(victim.revision(), 1);
        assert_eq!(victim.hears_all(&publisher), [""; 0], "and as it belongs together, it is taken");
        assert_eq!(victim.revision(), 2);
    }
    // One head's signature over the other, and one head in a pack of the other.
    let lines = |head: &SignedHead| -> Vec<Vec<u8>> {
        head.bytes().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (mut mixed, of_first) = (lines(&second), lines(&first));
    assert_eq!(mixed.len(), 4, "certificate and head, two lines each");
    mixed[2].clone_from(&of_first[2]);
    assert_eq!(victim().hears_with(&mixed.concat(), &publisher), ["bad_signature"]);
    let mixed = Pack { head: second.bytes().to_vec(), ..pack };
    assert_eq!(Snapshot::from_pack(mixed, &trust()).unwrap_err().code(), "missing_chunk");
}

/// The attacker has the other region's head, which the same key signed: engines see no tenant of a region that is not
/// theirs, and take none of its news for their own.
#[test]
fn wrong_region() {
    let mut publisher = Publisher::new(&honest());
    let abroad: Region = "GCC-SA".parse().unwrap();
    let content = Content::of_stream(&generous(), &abroad).unwrap();
    let terms = Terms { issued_at: after(publisher.now, 1), fresh_for_ms: FRESH_MS, slice_keys: Vec::new() };
    let theirs = publisher.signer.sign(&abroad, None, (revision(9), content.root, None), &terms).unwrap();
    let chunks: BTreeMap<Hash, Chunk> =
        content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes))).collect();
    let gives = |reference: ChunkRef| chunks.get(&reference.hash).cloned();
    let pack = Pack { head: theirs.bytes().to_vec(), chunks: chunks.clone() };
    // It is good where it belongs.
    let there = publisher.signer.trust(abroad);
    assert!(Snapshot::from_pack(pack.clone(), &there).unwrap().tenant(ABROAD).is_ok());

    let mut beginner = Victim::new(of_stream, publisher.now);
    assert_eq!(beginner.hears(theirs.bytes(), gives, publisher.now), ["wrong_stream"]);
    assert!(beginner.follower.snapshot().is_none());
    assert_eq!(Snapshot::from_pack(pack, &trust()).unwrap_err().code(), "wrong_stream");
    // On the disk of another engine.
    beginner.head = Some(theirs.bytes().to_vec());
    beginner.contents.clone_from(&chunks);
    beginner.restarts(publisher.now);
    assert!(beginner.follower.snapshot().is_none());
    assert_eq!(codes(&beginner.follower.health(publisher.now)), ["not_restored"]);

    let mut victim = Victim::of(&publisher);
    assert_eq!(victim.hears(theirs.bytes(), gives, publisher.now), ["wrong_stream"]);
    assert_eq!(victim.snapshot().tenant(ABROAD).unwrap_err(), Error::UnknownTenant(ABROAD.into()));
    // What was refused has moved no mark: their ninth revision stands in the way of no second one here.
    publisher.publish_definitions(&honest());
    assert_eq!(victim.hears_all(&publisher), [""; 0]);
}

/// The attacker is a cache, a proxy or another tab that gives a page somebody else's slice.
#[test]
fn wrong_tenant() {
    let mut publisher = Publisher::new(&honest());
    publisher.certify_slice_key(100);
    publisher.heartbeat();
    let (mine, others) =
        (slice(&publisher.last, &honest(), TENANT, &key(100)), slice(&publisher.last, &generous(), OTHER, &key(100)));
    let mut page = Victim::new(of_slice, publisher.now);
    assert_eq!(page.hears_with(&others, &publisher), ["wrong_tenant"]);
    assert!(page.follower.snapshot().is_none());
    assert_eq!(page.hears_with(&mine, &publisher), [""; 0]);
    assert_eq!(page.hears_with(&others, &publisher), ["wrong_tenant"]);
    assert!(page.allows("orders", publisher.now) && !page.allows("delivery", publisher.now));
    // Of others, nothing is in it.
    assert_eq!(page.snapshot().tenant(OTHER).unwrap_err(), Error::NotInSlice(OTHER.into()));
    assert!(!String::from_utf8_lossy(&mine).contains(OTHER));
    // What another page kept is not begun with.
    page.head = Some(others);
    page.restarts(publisher.now);
    assert!(page.follower.snapshot().is_none());
    assert_eq!(codes(&page.follower.health(publisher.now)), ["not_restored"]);
}

/// The attacker has the fleet key and its certificate: they are the publisher, until the root key says otherwise.
#[test]
fn fleet_key_compromise() {
    let mut publisher = Publisher::new(&honest());
    publisher.certify_slice_key(100);
    publisher.heartbeat();
    let (mut server, mut page) = (Victim::of(&publisher), Victim::new(of_slice, publisher.now));
    assert_eq!(page.hears_with(&slice(&publisher.last, &honest(), TENANT, &key(100)), &publisher), [""; 0]);

    let now = after(publisher.now, 60_000);
    publisher.now = now;
    let own = SliceKey { key: key(66).public(), valid_from: now, valid_until: after(now, DAY_MS) };
    let evil = forged(&mut publisher, 2, now, vec![own]);
    let evil_slice = slice(&evil, &generous(), TENANT, &key(66));
    assert_eq!(server.hears_with(evil.bytes(), &publisher), [""; 0]);
    assert_eq!(page.hears_with(&evil_slice, &publisher), [""; 0]);
    assert!(server.allows("delivery", now) && page.allows("delivery", now), "until then, they are believed");
    // They certify no key: neither one of theirs for the next epoch, nor their own for another stage, nor for longer.
    let next = support::certificate(&key(66), 2);
    let staging = Certificate { environment: "staging".parse().unwrap(), ..support::certificate(&key(2), 1) };
    let longer = Certificate { valid_until: Some(after(now, 400 * DAY_MS)), ..support::certificate(&key(2), 1) };
    for (certificate, signed_by) in [(next, key(66)), (staging, key(2)), (longer, key(2))] {
        let mut head = evil.head().clone();
        (head.epoch, head.environment) = (certificate.epoch, certificate.environment.clone());
        (head.revision, head.issued_at) = (revision(1_000), after(now, 1_000));
        let document = head.sign(&certificate.sign(&key(2)).unwrap(), &signed_by).unwrap();
        assert_eq!(server.hears_with(&document, &publisher), ["unknown_key"]);
        // By the root key, each would do what it says.
        let document = head.sign(&certificate.sign(&root()).unwrap(), &signed_by).unwrap();
        assert_ne!(trust().head(&document).err().map(|fault| fault.code().to_owned()).as_deref(), Some("unknown_key"));
    }

    // The root key ends it: another fleet key, another epoch, another slice key.
    publisher.end_epoch();
    publisher.certify_slice_key(101);
    publisher.heartbeat();
    let good_slice = slice(&publisher.last, &honest(), TENANT, &key(101));
    assert_eq!(server.hears_all(&publisher), [""; 0]);
    assert_eq!(page.hears_with(&good_slice, &publisher), [""; 0]);
    let certified: Vec<_> = publisher.last.head().slice_keys.iter().map(|it| it.key.clone()).collect();
    assert_eq!(certified, [key(101).public()], "slice keys of the epoch before are left out");
    // Whatever they sign from then on, with whatever revision and instant, and after restarts.
    let later = forged_by_thief(&publisher, after(publisher.now, 400 * DAY_MS));
    for _ in 0..2 {
        assert!(!server.allows("delivery", publisher.now) && !page.allows("delivery", publisher.now));
        for head in [&evil, &later] {
            assert_eq!(server.hears_with(head.bytes(), &publisher), ["older_revision"]);
            assert_eq!(page.hears_with(&slice(head, &generous(), TENANT, &key(66)), &publisher), ["older_revision"]);
        }
        server.restarts(publisher.now);
        page.restarts(publisher.now);
    }
}

/// A head of the first epoch by whoever still has its key, with a slice key of their own.
fn forged_by_thief(publisher: &Publisher, issued_at: Timestamp) -> SignedHead {
    let signer = support::signer_for(key(2), &support::certificate(&key(2), 1), &root());
    let own = SliceKey { key: key(66).public(), valid_from: issued_at, valid_until: after(issued_at, DAY_MS) };
    let content = (revision(1_000_000), publisher.last.head().manifest, None);
    let terms = Terms { issued_at, fresh_for_ms: FRESH_MS, slice_keys: vec![own] };
    signer.sign(&stream(), None, content, &terms).unwrap()
}

/// The attacker has a slice key: pages believe what it signs for as long as a head certifies it, and servers never do.
#[test]
fn slice_key_compromise() {
    let mut publisher = Publisher::new(&honest());
    publisher.certify_slice_key(100);
    publisher.heartbeat();
    let began = publisher.now;
    let (mut server, mut page) = (Victim::of(&publisher), Victim::new(of_slice, began));
    assert_eq!(page.hears_with(&slice(&publisher.last, &honest(), TENANT, &key(100)), &publisher), [""; 0]);

    // No head, with the publisher's certificate or one of their own; and no slice where a head belongs.
    let mut head = publisher.last.head().clone();
    (head.revision, head.issued_at) = (revision(9), after(began, 1));
    for (certified_by, certified) in [(root(), key(2)), (key(100), key(100))] {
        let certificate = support::certificate(&certified, 1).sign(&certified_by).unwrap();
        let document = head.sign(&certificate, &key(100)).unwrap();
        let refused = server.hears_with(&document, &publisher);
        assert!(matches!(*refused, ["slice_key" | "unknown_key"]), "{refused:?}");
    }
    let false_slice = slice(&publisher.last, &generous(), TENANT, &key(100));
    assert_eq!(server.hears_with(&false_slice, &publisher), ["wrong_document"]);
    assert!(!server.allows("delivery", began));

    // A page that is given it shows what it says, which no server allows; it is not fresh for longer than the key lives.
    assert_eq!(page.hears_with(&false_slice, &publisher), [""; 0]);
    assert!(page.allows("delivery", began));
    let ended = after(began, SliceKey::LONGEST_MS);
    assert!(page.follower.health(ended).expires_at.unwrap() <= ended);
    assert_eq!(page.follower.health(ended).freshness, Some(Freshness::Stale));

    // The next head that the publisher signs after the key has ended, with another key, ends it for pages as well.
    publisher.now = ended;
    publisher.certify_slice_key(101);
    publisher.heartbeat();
    let good = slice(&publisher.last, &honest(), TENANT, &key(101));
    assert_eq!(page.hears_with(&good, &publisher), [""; 0]);
    assert!(!page.allows("delivery", publisher.now));
    assert_eq!(page.hears_with(&false_slice, &publisher), ["not_newer"]);
    let definitions = generous();
    let content = canonical::to_vec(&cut(&definitions, &tenant(TENANT), ended).unwrap()).unwrap();
    let uncertified = sign_slice(&publisher.last, &tenant(TENANT), Hash::of(b""), &content, &key(100)).unwrap_err();
    assert_eq!(uncertified.code(), "unknown_key", "the head does not certify it any more");
    // Sooner, the root key ends it with the epoch.
    publisher.end_epoch();
    assert_eq!(publisher.last.head().slice_keys, []);
    publisher.certify_slice_key(102);
    publisher.heartbeat();
    assert_eq!(page.hears_with(&slice(&publisher.last, &honest(), TENANT, &key(102)), &publisher), [""; 0]);
    assert_eq!(page.hears_with(&good, &publisher), ["older_revision"]);
}

/// The attacker gives frames that come to more than was announced. No more room is taken than for what was announced.
#[test]
fn zip_bomb() {
    const ANNOUNCED: u64 = 4096;
    let zeros = vec![0; 64 << 20];
    let frame = |says_so: bool| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_pledged_src_size(says_so.then_some(zeros.len() as u64)).unwrap();
        encoder.include_contentsize(says_so).unwrap();
        encoder.write_all(&zeros).unwrap();
        encoder.finish().unwrap()
    };
    let small = zstd::bulk::compress(&zeros[..4096], 1).unwrap();
    // A frame of a sort that decoders pass over, before or behind one that holds what it should.
    let passed_over = [&0x184d_2a50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"skip"].concat();
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a frame that says how much it is", frame(true), "compression_bomb"),
        ("a frame that does not", frame(false), "compression_bomb"),
        ("two frames", [small.clone(), small.clone()].concat(), "invalid_compression"),
        ("one behind another sort", [passed_over.clone(), small.clone()].concat(), "invalid_compression"),
        ("one before another sort", [small.clone(), passed_over].concat(), "invalid_compression"),
        ("one that holds less", zstd::bulk::compress(&zeros[..100], 1).unwrap(), "truncated"),
    ];
    let mut publisher = Publisher::new(&honest());
    let reference = ChunkRef { length: ANNOUNCED, ..ChunkRef::to(&zeros[..4096]) };
    publisher.now = after(publisher.now, 1);
    for (what, bomb, code) in cases {
        assert!(bomb.len() < 100 << 10, "{what} is small until it is opened");
        let chunk = Chunk::zstd(bomb);
        let mut opened = None;
        let taken = allocation_counter::measure(|| opened = Some(chunk.open(reference)));
        assert_eq!(opened.unwrap().unwrap_err().code(), code, "{what}");
        // Beside the room, a message is written. What zstd keeps for itself does not depend on the frame, and is not counted.
        assert!(taken.bytes_max <= ANNOUNCED + 1024, "{what}: {} bytes", taken.bytes_max);
        // In an engine: the manifest of a head that is right.
        let mut victim = Victim::of(&Publisher::new(&honest()));
        let terms = Terms { issued_at: publisher.now, fresh_for_ms: FRESH_MS, slice_keys: Vec::new() };
        let head = publisher.signer.sign(&stream(), None, (revision(2), reference, None), &terms).unwrap();
        assert_eq!(victim.hears(head.bytes(), |_| Some(chunk.clone()), publisher.now), [code], "{what}");
        assert_eq!(victim.revision(), 1, "{what}");
        let pack = Pack { head: head.bytes().to_vec(), chunks: [(reference.hash, chunk)].into() };
        assert_eq!(Snapshot::from_pack(pack, &trust()).unwrap_err().code(), code, "{what}, as a pack");
    }
    assert_eq!(Chunk::zstd(small).open(reference).unwrap(), zeros[..4096], "what is right is opened");
}

/// The attacker is the source, and sends what never ends, a byte now and then: each question has its time, and after it an
/// engine goes on with what it has. (Bounds of what comes fast: `carriers::no_more_is_read_than_there_may_be`.)
#[test]
fn endless_data() {
    let hq = Web::start(|request, stream| {
        let kind = if request.path.contains("/events") { "text/event-stream" } else { "application/octet-stream" };
        let start = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 1000000000\r\n\r\n");
        let mut goes_on = stream.write_all(start.as_bytes()).is_ok();
        // Long before it would seem to be silent.
        let (_never, pause) = channel::<()>();
        while goes_on {
            goes_on = stream.write_all(b":").is_ok();
            let _ = pause.recv_timeout(Duration::from_millis(2));
        }
        false
    });
    let patience = HttpPatience { answer_ms: 200, content_ms: 200, silence_ms: 200, pause_min_ms: 1, pause_max_ms: 10 };
    let options = || HttpOptions::new(format!("http://{}", hq.address), "a-token").unwrap().with_patience(patience);
    let (ended, end) = channel();
    let mut source = HttpSource::new(options(), stream(), None);
    std::thread::spawn(move || {
        let head = source.head(&stream(), None).map(drop);
        let content = source.chunk(ChunkRef { hash: Hash::of(b""), length: 1_000_000 }).map(drop);
        ended.send((head, content, source.pack(&stream()))).unwrap();
    });
    let (head, content, pack) = end.recv_timeout(DEADLINE).unwrap();
    assert!(head.is_err() && content.is_err() && pack.is_none(), "{head:?} {content:?}");

    // A start has an end as well, and an engine that has something to answer from answers.
    let follower = || Follower::of_stream(trust()).with_settings(Settings { poll_ms: 5, ..Settings::default() });
    let (told, outcome) = channel();
    let given = options();
    std::thread::spawn(move || {
        let nothing = HttpFollowing::start(follower(), given.clone(), Keep::default()).map(drop);
        let keep = Keep { pack: Some(Publisher::new(&honest()).pack()), ..Keep::default() };
        told.send((nothing, HttpFollowing::start(follower(), given, keep))).unwrap();
    });
    let (nothing, following) = outcome.recv_timeout(DEADLINE).unwrap();
    assert_eq!(nothing.unwrap_err().code(), "unreachable");
    let following = following.unwrap();
    assert!(following.engine().is_enabled(TENANT, "orders", support::start()).unwrap());
    let asked = hq.log().len();
    hq.wait_until(|log| log.len() > asked + 2);
    assert_eq!(codes(&following.following().health()), ["unreachable"]);
}
