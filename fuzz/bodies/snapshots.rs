//! What travels: canonical JSON, heads, manifests, packs, slices, shards, and a follower that gets all of it.

use super::published::{Changed, Happens, key, noon, play, published};
use leasehold::follow::{Action, Event, Follower, Kept};
use leasehold::wire::{Certificate, Chunk, DefinitionsIndex, Manifest, Pack, SignedHead, Trust, canonical};
use leasehold::{Entitlements, Snapshot, TenantId};
use serde_json::Value;
use std::sync::OnceLock;

fn answers(snapshot: &Snapshot) -> Vec<(TenantId, Entitlements)> {
    let mut all: Vec<(TenantId, Entitlements)> = snapshot
        .tenants()
        .map(|tenant| (tenant.id().parse().expect("it was one"), tenant.entitlements(noon())))
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// What everybody has by one of the revisions.
fn said(number: usize) -> &'static [(TenantId, Entitlements)] {
    static SAID: OnceLock<Vec<Vec<(TenantId, Entitlements)>>> = OnceLock::new();
    let published = published();
    let compiled = |(world, head): (_, &SignedHead)| Snapshot::compile(world, head.head().stamp());
    let all = published.definitions.iter().zip(&published.heads).map(compiled);
    &SAID.get_or_init(|| all.map(|snapshot| answers(&snapshot.expect("it compiled before"))).collect())[number]
}

/// Which of the revisions a head is of.
fn number_of(head: &[u8]) -> Option<usize> {
    published().heads.iter().position(|known| **known.bytes() == *head)
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
        assert!(number_of(head.bytes()).is_some(), "nobody signed this");
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
        let number = number_of(&document).expect("somebody signed it");
        assert_eq!(answers(&snapshot), said(number));
    }
}

/// Bytes as a slice, and as the content of one that is signed: nothing panics, and nothing is believed that was not
/// signed.
pub(crate) fn slice(bytes: &[u8]) {
    let published = published();
    let tenant = published.tenant(0);
    if let Ok(slice) = published.trust.slice(bytes, &tenant) {
        let number = number_of(slice.head().bytes()).expect("somebody signed it");
        let whole = published.slice(number, None);
        assert!(whole.starts_with(bytes), "nobody signed this");
        assert_eq!(slice.content().is_some(), bytes.len() == whole.len());
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
    let Changed { before, document, chunks } = published.with_shard(bytes);
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
    let (mut follower, mut highest) = (new(), None);
    play(bytes, |happens, now, random| {
        let actions = match happens {
            Happens::Event(event) => follower.handle(event, now, random),
            Happens::Restart { head, seen } => {
                (follower, highest) = (new(), None);
                let find = |hash| published.chunk(hash).map(|content| Chunk::raw(content.to_vec()));
                let actions = follower.restore(Kept { head: head.clone(), seen, find: &find }, now);
                assert_eq!(follower.head().map(|head| head.bytes().to_vec()), head);
                actions
            }
        };
        if let Some(head) = follower.head() {
            let number = number_of(head.bytes());
            assert!(number >= highest, "it went back");
            if number != highest {
                let said = said(number.expect("somebody signed it"));
                assert_eq!(answers(follower.snapshot().expect("it runs")), said);
            }
            highest = number;
        }
        actions
    });
}
