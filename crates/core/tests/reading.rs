//! What was published is read back, by parts and as a whole, and what nobody uses is looked at too.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::{Publisher, Said, first_definitions, other_rules, start, stream, trust};
use leasehold::follow::{Event, Follower, read_definitions, read_index, read_tenant};
use leasehold::generate::Choices;
use leasehold::model::Definitions;
use leasehold::wire::{Chunk, Manifest};
use leasehold::{Hash, Snapshot};
use std::sync::Arc;

/// Definitions with a candidate beside them.
fn staged() -> Publisher {
    let mut choices = Choices::from_seed(4);
    let base = first_definitions(&mut choices);
    let candidate = other_rules(&mut choices, &base);
    let mut publisher = Publisher::new(&base);
    publisher.publish(Arc::new(Said::new(&base, Some((&candidate, 500)))));
    publisher
}

#[test]
fn what_was_published_is_read_back_by_parts() {
    let publisher = staged();
    let find = |hash: Hash| publisher.chunks.get(&hash).map(|(_, bytes)| Chunk::raw(bytes.clone()));
    let (base, head) = (&publisher.said.base, &publisher.last);
    assert_eq!(&read_definitions(head, None, &find).unwrap(), base);
    let on_trial = head.head().candidate.as_ref();
    let candidate = &publisher.said.candidate.as_ref().unwrap().0;
    assert_eq!(&read_definitions(head, on_trial, &find).unwrap(), candidate);

    let manifest = Manifest::read(&publisher.chunks.get(&head.head().manifest.hash).unwrap().1).unwrap();
    let without_tenants = Definitions { tenants: Default::default(), ..base.clone() };
    assert_eq!(read_index(manifest.definitions, &find).unwrap(), without_tenants);
    assert!(!base.tenants.is_empty());
    for (id, tenant) in &base.tenants {
        assert_eq!(read_tenant(&manifest, &stream(), id, &find).unwrap().as_ref(), Some(tenant));
    }
    // Some share a place with tenants that are there, some have none.
    for n in 0..1_000 {
        let nobody = format!("nobody-{n}").parse().unwrap();
        assert_eq!(read_tenant(&manifest, &stream(), &nobody, &find).unwrap(), None);
    }
    let nothing = |_| None;
    assert_eq!(read_definitions(head, None, &nothing).unwrap_err().code(), "missing_chunk");
    assert_eq!(read_index(manifest.definitions, &nothing).unwrap_err().code(), "missing_chunk");
}

/// An engine outside the share of a candidate does not compile it, and would learn too late that it cannot be read.
#[test]
fn a_pack_is_wrong_where_what_nobody_uses_is_wrong() {
    let publisher = staged();
    let pack = publisher.pack();
    assert!(Snapshot::from_pack(pack.clone(), &trust()).is_ok());
    let of_candidate = publisher.last.head().candidate.as_ref().unwrap().definitions;
    let index = &publisher.chunks.get(&of_candidate.hash).unwrap().1;
    let used = publisher.chunks.get(&publisher.last.head().manifest.hash).unwrap();
    let used = Manifest::read(&used.1).unwrap().definitions;
    let used = String::from_utf8(publisher.chunks.get(&used.hash).unwrap().1.clone()).unwrap();
    let mut altered = 0;
    for hash in pack.chunks.keys() {
        let named = hash.to_string();
        if !String::from_utf8_lossy(index).contains(&named) || used.contains(&named) {
            continue;
        }
        let mut pack = pack.clone();
        pack.chunks.insert(*hash, Chunk::zstd(b"not what it is said to be".to_vec()));
        assert!(Snapshot::from_pack(pack, &trust()).is_err(), "{named}");
        altered += 1;
    }
    assert!(altered > 0, "the candidate has contents of its own");
}

#[test]
fn a_source_that_has_nothing_newer_for_whoever_has_nothing_is_mistaken() {
    let mut follower = Follower::of_stream(trust());
    follower.handle(Event::Started, start(), 0);
    follower.handle(Event::NotModified { envelope: None }, start(), 0);
    let health = follower.health(start());
    assert_eq!((health.failures, health.last_contact_at), (1, None));
}
