//! What once went wrong with signed snapshots, so that it stays mended.

#![cfg(feature = "runtime")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use leasehold::build::*;
use leasehold::follow::{Action, Event, Follower, Kept};

use crate::support::*;
use leasehold::model::{Definitions, Kill, Source, load};
use leasehold::wire::*;
use leasehold::*;
use std::collections::*;

fn source(extra_plan: bool) -> Definitions {
    let other = if extra_plan {
        r#","other":{"name":"O","name2":"O","rank":20,"price":{"amount":"1.000","currency":"OMR","period":"month"},"versions":{"1":{"effective_from":"2025-01-01T00:00:00Z","moves":"now","contributions":[]}}}"#
    } else {
        ""
    };
    let text = format!(
        r#"{{"features":{{"orders":{{"kind":"switch","name":"O","name2":"O","group":"module"}}}},
    "plans":{{"basic":{{"name":"B","name2":"B","rank":10,"price":{{"amount":"9.900","currency":"OMR","period":"month"}},"versions":{{"1":{{"effective_from":"2025-01-01T00:00:00Z","moves":"now","contributions":[{{"feature":"orders","op":"set","value":true}}]}}}}}}{other}}},
    "tenants":{{"t1":{{"name":"T","name2":"T","region":"GCC-OM","anchor":"2025-01-01T00:00:00Z","phases":{{"p1":{{"kind":"paid","plan":"basic","from":"2025-01-01T00:00:00Z"}}}}}}}}}}"#
    );
    load(&[Source { name: "a".into(), bytes: text.into_bytes() }]).unwrap()
}
fn t1() -> TenantId {
    "t1".parse().unwrap()
}
fn content(d: &Definitions, at: Timestamp) -> Vec<u8> {
    canonical::to_vec(&cut(d, &t1(), at).unwrap()).unwrap()
}

// chunk fetches served from the publisher
fn drive(f: &mut Follower, p: &Publisher, mut actions: Vec<Action>, now: Timestamp) -> Vec<Action> {
    let mut all = Vec::new();
    while !actions.is_empty() {
        let mut next = Vec::new();
        for a in &actions {
            match a {
                Action::FetchChunk(r) => {
                    next.extend(f.handle(Event::Chunk(r.hash, Chunk::raw(p.chunks[&r.hash].1.clone())), now, 0));
                }
                Action::Persist(x) => next.extend(f.handle(Event::Persisted(x.token), now, 0)),
                _ => {}
            }
        }
        all.append(&mut actions);
        actions = next;
    }
    all
}
fn take(f: &mut Follower, p: &Publisher) -> Vec<Action> {
    f.handle(Event::Started, p.now, 0);
    let a = f.handle(Event::Head(p.last.bytes().to_vec()), p.now, 0);
    drive(f, p, a, p.now)
}

#[test]
fn a_slice_names_the_definitions_of_its_envelope() {
    let mut p = Publisher::new(&source(false));
    p.certify_slice_key(100);
    p.heartbeat();
    let mut f = Follower::of_slice(trust(), t1());
    let doc = |p: &Publisher| {
        sign_slice(&p.last, &t1(), definitions_hash(&p.said.base).unwrap(), &content(&p.said.base, p.now), &key(100))
            .unwrap()
    };
    f.handle(Event::Started, p.now, 0);
    f.handle(Event::Head(doc(&p)), p.now, 0);
    assert_eq!(f.snapshot().unwrap().definitions(), definitions_hash(&p.said.base).unwrap());
    let before = content(&p.said.base, p.now);
    p.now = after(p.now, 1);
    p.publish_definitions(&source(true));
    assert_eq!(before, content(&p.said.base, p.now));
    f.handle(Event::Started, p.now, 0);
    f.handle(Event::Head(doc(&p)), p.now, 0);
    assert_eq!(f.head().unwrap().head().revision, revision(2));
    assert_eq!(f.snapshot().unwrap().definitions(), definitions_hash(&p.said.base).unwrap());
}

#[test]
fn a_fresh_envelope_at_the_same_head_counts() {
    let mut p = Publisher::new(&source(false));
    // two keys, both valid when the head is issued
    let from = p.now;
    p.slice_keys.push(SliceKey {
        key: key(100).public(),
        valid_from: after(from, -DAY_MS + 3_600_000),
        valid_until: after(from, 3_600_000),
    });
    p.slice_keys.push(SliceKey { key: key(101).public(), valid_from: from, valid_until: after(from, DAY_MS) });
    p.heartbeat();
    let mut f = Follower::of_slice(trust(), t1());
    let doc = |k: u8| {
        sign_slice(&p.last, &t1(), definitions_hash(&p.said.base).unwrap(), &content(&p.said.base, p.now), &key(k))
            .unwrap()
    };
    f.handle(Event::Started, p.now, 0);
    f.handle(Event::Head(doc(100)), p.now, 0);
    let later = after(from, 3_500_000);
    f.handle(Event::Started, later, 0);
    f.handle(Event::Head(doc(101)), later, 0);
    assert_eq!(f.health(later).failures, 0);
    assert_eq!(f.snapshot().unwrap().freshness(after(from, 7_200_000)), Freshness::Fresh);
}

#[test]
fn a_slice_that_does_not_compile_blocks_no_later_one() {
    let mut p = Publisher::new(&source(false));
    p.certify_slice_key(100);
    p.heartbeat();
    let good = content(&p.said.base, p.now);
    let mut bad = cut(&p.said.base, &t1(), p.now).unwrap();
    bad.definitions.plans.clear();
    let bad = canonical::to_vec(&bad).unwrap();
    let mut f = Follower::of_slice(trust(), t1());
    let doc = |p: &Publisher, c: &[u8]| {
        sign_slice(&p.last, &t1(), definitions_hash(&p.said.base).unwrap(), c, &key(100)).unwrap()
    };
    f.handle(Event::Started, p.now, 0);
    f.handle(Event::Head(doc(&p, &bad)), p.now, 0);
    assert!(f.snapshot().is_none());
    p.heartbeat();
    f.handle(Event::Started, p.now, 0);
    f.handle(Event::Head(doc(&p, &good)), p.now, 0);
    assert!(f.snapshot().is_some(), "good slice of a later head is refused by the fault of the one before");
}

#[test]
fn a_head_whose_contents_rotted_was_still_seen() {
    let base = source(false);
    let mut p = Publisher::new(&base);
    let mut f = Follower::of_stream(trust());
    let mut disk: HashMap<Hash, Chunk> = HashMap::new();
    let (mut head, mut seen) = (None, None);
    let mut keep = |actions: Vec<Action>, head: &mut Option<Vec<u8>>, seen: &mut Option<Vec<u8>>| {
        for a in actions {
            match a {
                Action::Persist(x) => {
                    disk.extend(x.chunks);
                    for o in x.obsolete {
                        disk.remove(&o);
                    }
                    *head = Some(x.head.to_vec());
                }
                Action::PersistSeen(x) => *seen = Some(x.to_vec()),
                _ => {}
            }
        }
    };
    let a = take(&mut f, &p);
    keep(a, &mut head, &mut seen);
    // same content under revision 2 (e.g. a share change): nothing to fetch
    p.now = after(p.now, 1);
    p.publish(p.said.clone());
    let a = take(&mut f, &p);
    keep(a, &mut head, &mut seen);
    assert_eq!(f.head().unwrap().head().revision, revision(2));
    // restart; one content rotted
    let rotted = p.said.names().into_iter().next().unwrap();
    disk.remove(&rotted);
    let mut f = Follower::of_stream(trust());
    f.restore(Kept { head, seen, find: &|h| disk.get(&h).cloned() }, p.now);
    let old = p.documents[0].to_vec();
    f.handle(Event::Started, p.now, 0);
    let a = f.handle(Event::Head(old), p.now, 0);
    drive(&mut f, &p, a, p.now);
    assert!(
        f.snapshot().is_none(),
        "replay of revision 1 accepted after restart: {:?}",
        f.head().map(|h| h.head().revision)
    );
}

#[test]
fn what_was_being_gathered_does_not_replace_a_newer_pack() {
    let mut p = Publisher::new(&source(false));
    let mut f = Follower::of_stream(trust());
    f.handle(Event::Started, p.now, 0);
    let wait = f.handle(Event::Head(p.last.bytes().to_vec()), p.now, 0);
    let p1_now = p.now;
    p.now = after(p.now, 1);
    p.publish_definitions(&source(true));
    f.open(p.pack(), p.now).unwrap();
    assert_eq!(f.head().unwrap().head().revision, revision(2));
    drive(&mut f, &p, wait, p1_now);
    assert_eq!(f.head().unwrap().head().revision, revision(2), "revision 1 swapped in over revision 2");
}

#[test]
fn a_slice_key_signs_no_head_whoever_certifies_it() {
    let mut p = Publisher::new(&source(false));
    p.certify_slice_key(100);
    p.heartbeat();
    let mut f = Follower::of_stream(trust());
    take(&mut f, &p);
    // root certifies the slice key by mistake
    let s = signer_for(key(100), &certificate(&key(100), 1), &root());
    let terms = Terms { issued_at: after(p.now, 1), fresh_for_ms: FRESH_MS, slice_keys: vec![] };
    let h = s.sign(&stream(), None, (revision(2), p.said.content.root, None), &terms).unwrap();
    f.handle(Event::Started, p.now, 0);
    f.handle(Event::Head(h.bytes().to_vec()), p.now, 0);
    assert_eq!(
        f.health(p.now).faults.first().map(|f| f.fault.fault_code()),
        Some(FaultCode::SliceKey),
        "in force: {:?}",
        f.head().unwrap().head().revision
    );
}

#[test]
fn the_next_revision_replaces_history_of_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(folder.path());
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    let terms = |ms| Terms { issued_at: after(start(), ms), fresh_for_ms: FRESH_MS, slice_keys: vec![] };
    dir.publish(&source(false), None, &signer, &terms(0)).unwrap();
    let head = folder.path().join("heads/GCC-OM.head");
    let one = std::fs::read(&head).unwrap();
    // the crash: history is written, the head is not
    let mut never = source(false);
    never.plans.get_mut("basic").unwrap().rank = 77;
    dir.publish(&never, None, &signer, &terms(1000)).unwrap();
    std::fs::write(&head, one).unwrap();
    // the next build says something else
    let truly = source(true);
    dir.publish(&truly, None, &signer, &terms(2000)).unwrap();
    let current = trust().head(&dir.head(&stream()).unwrap().unwrap()).unwrap();
    let known = dir.head_known_at(&trust(), after(start(), 3000)).unwrap();
    assert_eq!(known.head().manifest, current.head().manifest, "both revision {}", known.head().revision);
}

#[test]
fn without_a_folder_nothing_is_persisted() {
    let p = Publisher::new(&source(false));
    let mem = MemorySource::default();
    mem.offer(&stream(), p.pack());
    let following = Following::start(Follower::of_stream(trust()), mem.clone(), Keep::default()).unwrap();
    assert!(!following.health().persisted, "health {:?} reports {:?}", following.health().persisted, mem.reports());
}

#[test]
fn a_tampered_pack_is_told() {
    let p = Publisher::new(&source(false));
    let mut pack = p.pack();
    let len = pack.head.len();
    pack.head[len - 10] ^= 1;
    let e = Following::start(
        Follower::of_stream(trust()),
        MemorySource::default(),
        Keep { folder: None, pack: Some(pack.clone()) },
    )
    .unwrap_err();
    assert_eq!(e.fault_code(), FaultCode::BadSignature, "{e}");
}

#[test]
fn publishing_heals_what_rotted() {
    let folder = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(folder.path());
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    let terms = |ms| Terms { issued_at: after(start(), ms), fresh_for_ms: FRESH_MS, slice_keys: vec![] };
    dir.publish(&source(false), None, &signer, &terms(0)).unwrap();
    let manifest = trust().head(&dir.head(&stream()).unwrap().unwrap()).unwrap().head().manifest;
    let h = manifest.hash.to_string();
    for ext in ["zst", "json"] {
        let path = folder.path().join(format!("chunks/{}/{h}.{ext}", &h[..2]));
        if path.exists() {
            std::fs::write(path, b"").unwrap();
        }
    }
    dir.publish(&source(false), None, &signer, &terms(1000)).unwrap();
    let now = trust().head(&dir.head(&stream()).unwrap().unwrap()).unwrap();
    dir.pack(&now).unwrap();
}

#[test]
fn a_head_that_was_rejected_is_kept_as_seen() {
    let base = source(false);
    let mut p = Publisher::new(&base);
    let engine: EngineId = "engine-1".parse().unwrap();
    let mut bad = base.clone();
    bad.plans.clear(); // tenants are on `basic`
    p.publish(std::sync::Arc::new(Said::new(&base, Some((&bad, 0)))));
    let mut f = Follower::of_engine(trust(), engine.clone());
    let mut a = take(&mut f, &p);
    p.now = after(p.now, 1);
    p.publish(std::sync::Arc::new(Said::new(&base, Some((&bad, 1000)))));
    a.clear();
    a.extend(take(&mut f, &p));
    assert!(
        a.iter().any(|a| matches!(a, Action::PersistSeen(_) | Action::Persist(_))),
        "revision 3 was seen and is kept nowhere"
    );
}

#[test]
fn a_mark_that_cannot_be_written_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("heads/GCC-OM.seen/x")).unwrap();
    let mut p = Publisher::new(&source(false));
    let mem = MemorySource::default();
    mem.offer(&stream(), p.pack());
    let following = Following::start(
        Follower::of_stream(trust()),
        mem.clone(),
        Keep { folder: Some(folder.path().into()), pack: None },
    )
    .unwrap();
    p.now = after(p.now, 1);
    p.publish_definitions(&source(true));
    let mut pack = p.pack();
    pack.chunks.clear(); // contents are not there: revision 2 is only seen
    let mem2 = mem.clone();
    mem2.offer(&stream(), pack);
    following.notify();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let h = following.health();
    assert_eq!(h.seen.map(|s| s.1), Some(revision(2)));
    assert!(
        h.faults.iter().any(|f| f.fault.fault_code() == FaultCode::NotPersisted),
        "nothing says that the mark is not kept"
    );
}

#[test]
fn kill_switches_are_never_on_trial() {
    let folder = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(folder.path());
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    let terms = |ms| Terms { issued_at: after(start(), ms), fresh_for_ms: FRESH_MS, slice_keys: vec![] };
    let mut base = source(false);
    base.kills.insert(
        "k".parse().unwrap(),
        Kill {
            feature: "orders".parse().unwrap(),
            since: Timestamp::MIN,
            until: None,
            reason: "r".into(),
            actor: "a".into(),
        },
    );
    dir.publish(&base, Some((&source(true), 1000)), &signer, &terms(0)).unwrap();
    let now = trust().head(&dir.head(&stream()).unwrap().unwrap()).unwrap();
    let (pack, _) = dir.pack(&now).unwrap();
    let mut f = Follower::of_engine(trust(), "e".parse().unwrap());
    f.open(pack, start()).unwrap();
    assert!(f.health(start()).candidate);
    let on = f.snapshot().unwrap().tenant("t1").unwrap().decide("orders", Action_::Use, start()).unwrap();
    assert!(!on.enabled, "killed in the base, on in the candidate");
}
use leasehold::model::Action as Action_;

#[test]
fn many_empty_objects_take_little_memory() {
    let text = format!("[{}{{}}]", "{},".repeat(340_000));
    let info = allocation_counter::measure(|| {
        let _ = canonical::check(text.as_bytes());
    });
    let text = format!("[{}[]]", "[],".repeat(340_000));
    let info2 = allocation_counter::measure(|| {
        let _ = canonical::check(text.as_bytes());
    });
    for info in [info, info2] {
        assert!(info.bytes_max < 64 * text.len() as u64);
    }
}

#[test]
fn a_replay_is_reported_with_its_revision() {
    let mut p = Publisher::new(&source(false));
    p.now = after(p.now, 1);
    p.publish_definitions(&source(true));
    let mut f = Follower::of_stream(trust());
    take(&mut f, &p);
    f.handle(Event::Started, p.now, 0);
    let a = f.handle(Event::Head(p.documents[0].to_vec()), p.now, 0);
    let nack = a
        .iter()
        .find_map(|a| match a {
            Action::Report(r) => Some(format!("{r:?}")),
            _ => None,
        })
        .unwrap();
    assert!(nack.contains("revision: Some"), "{nack}");
}

#[test]
fn a_disk_that_takes_nothing_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(folder.path());
    let p = Publisher::new(&source(false));
    let chunks: Vec<(Hash, Chunk)> = p.pack().chunks.into_iter().collect();
    // the last content's folder cannot be made: as good as a full disk
    std::fs::create_dir_all(folder.path().join("chunks")).unwrap();
    let last = chunks.last().unwrap().0.to_string();
    std::fs::write(folder.path().join("chunks").join(&last[..2]), b"").unwrap();
    let persist =
        leasehold::follow::Persist { token: 1, head: p.last.bytes().clone(), chunks: chunks.clone(), obsolete: vec![] };
    assert!(dir.persist(&stream(), &persist).is_err());
    let mut left = Vec::new();
    for d in std::fs::read_dir(folder.path().join("chunks")).unwrap().flatten() {
        if d.path().is_dir() {
            for f in std::fs::read_dir(d.path()).unwrap().flatten() {
                left.push(f.file_name());
            }
        }
    }
    assert!(left.is_empty(), "{} temporary files stay of {}", left.len(), chunks.len());
}

#[test]
fn no_more_is_read_than_was_announced() {
    let folder = tempfile::tempdir().unwrap();
    let mut dir = SnapshotDirectory::new(folder.path());
    let r = ChunkRef { hash: Hash::of(b"x"), length: 100 };
    let h = r.hash.to_string();
    let path = folder.path().join(format!("chunks/{}/{h}.json", &h[..2]));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![0u8; 60 << 20]).unwrap();
    let c = leasehold::Source::chunk(&mut dir, r).unwrap().unwrap();
    assert!(c.bytes().len() <= 101, "{} bytes read, 100 announced", c.bytes().len());
}

#[test]
fn slices_answer_as_the_whole() {
    use leasehold::generate::{Choices, instants, world};
    for seed in 0..1500u64 {
        let mut c = Choices::from_seed(seed);
        let d = world(&mut c);
        let st = Stamp { revision: Revision::default(), issued_at: start(), expires_at: None };
        let Ok(full) = Snapshot::compile(&d, st) else { continue };
        for at in instants().iter().copied() {
            for id in d.tenants.keys() {
                let s = cut(&d, id, at).unwrap();
                let Ok(sl) = Snapshot::compile(&s.definitions, Stamp { issued_at: at, ..st }) else { continue };
                let (a, b) = (full.tenant(id.as_str()).unwrap(), sl.tenant(id.as_str()).unwrap());
                for now in instants().iter().copied().chain([after(at, 1), Timestamp::MAX]).filter(|n| *n >= at) {
                    assert_eq!(a.entitlements(now), b.entitlements(now), "seed {seed} {id} {at} {now}");
                    for (k, _) in full.features() {
                        for act in [Action_::Use, Action_::Read] {
                            let x = a.decide(k.as_str(), act, now).unwrap();
                            let y = b.decide(k.as_str(), act, now).unwrap();
                            assert_eq!(x, Decision { definitions: x.definitions, ..y }, "seed {seed} {id} {k}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn two_streams_may_share_a_folder() {
    let keep = tempfile::tempdir().unwrap();
    let mut d = source(false);
    let mut other = d.tenants[&t1()].clone();
    other.region = "EU-DE".parse().unwrap();
    d.tenants.insert("t2".parse().unwrap(), other);
    let pubdir = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(pubdir.path());
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    dir.publish(&d, None, &signer, &Terms { issued_at: start(), fresh_for_ms: FRESH_MS, slice_keys: vec![] }).unwrap();
    let t = |s: &str| signer.trust(s.parse().unwrap());
    let k = || Keep { folder: Some(keep.path().into()), pack: None };
    for _ in 0..2 {
        for s in ["GCC-OM", "EU-DE"] {
            drop(Following::start(Follower::of_stream(t(s)), dir.clone(), k()).unwrap());
        }
    }
    // offline
    for s in ["GCC-OM", "EU-DE"] {
        let r = Following::start(Follower::of_stream(t(s)), MemorySource::default(), k());
        assert!(r.is_ok(), "{s}: {}", r.err().unwrap());
    }
}

#[test]
fn nothing_is_published_where_one_stream_cannot_be_signed() {
    // publish is not all or nothing over streams
    let pubdir = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(pubdir.path());
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    let mut d = source(false);
    let mut other = d.tenants[&t1()].clone();
    other.region = "EU-DE".parse().unwrap();
    d.tenants.insert("t2".parse().unwrap(), other);
    let terms = |ms| Terms { issued_at: after(start(), ms), fresh_for_ms: FRESH_MS, slice_keys: vec![] };
    dir.publish(&d, None, &signer, &terms(0)).unwrap();
    // GCC-OM's head cannot be followed: its last head is as late as there is time
    let content = Content::of_stream(&d, &stream()).unwrap();
    let t = Terms {
        issued_at: Timestamp::from_ms(Timestamp::MAX.as_ms() - 1).unwrap(),
        fresh_for_ms: 1,
        slice_keys: vec![],
    };
    let h = signer.sign(&stream(), None, (revision(1), content.root, None), &t).unwrap();
    dir.write_head(&h, None).unwrap();
    d.plans.get_mut("basic").unwrap().rank = 5;
    let e = dir.publish(&d, None, &signer, &terms(10));
    let eu =
        signer.trust("EU-DE".parse().unwrap()).head(&dir.head(&"EU-DE".parse().unwrap()).unwrap().unwrap()).unwrap();
    assert!(e.is_err());
    assert_eq!(eu.head().revision, revision(1), "one stream was published, the call failed: {:?}", e.err());
}
#[test]
fn history_of_a_crash_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = SnapshotDirectory::new(folder.path());
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    let terms = |ms| Terms { issued_at: after(start(), ms), fresh_for_ms: FRESH_MS, slice_keys: vec![] };
    dir.publish(&source(false), None, &signer, &terms(0)).unwrap();
    let head = folder.path().join("heads/GCC-OM.head");
    let one = std::fs::read(&head).unwrap();
    dir.publish(&source(true), None, &signer, &terms(1000)).unwrap();
    std::fs::write(&head, one).unwrap(); // crash before the head was renamed
    dir.publish(&source(false), None, &signer, &terms(2000)).unwrap(); // rolled back: a heartbeat of revision 1
    let current = trust().head(&dir.head(&stream()).unwrap().unwrap()).unwrap();
    let known = dir.head_known_at(&trust(), after(start(), 3000)).unwrap();
    assert_eq!(known.head().revision, current.head().revision);
}

/// A content that comes late, after its head was given up, is no answer to what is asked meanwhile.
#[test]
fn a_late_content_leaves_what_is_being_asked() {
    let mut p = Publisher::new(&source(false));
    let mut f = Follower::of_stream(trust());
    take(&mut f, &p);
    let named = *p.chunks.keys().next().unwrap();
    let late = Event::Chunk(named, Chunk::raw(p.chunks[&named].1.clone()));
    p.now = after(p.now, 1);
    f.handle(Event::Notified, p.now, 0);
    assert!(f.handle(late.clone(), p.now, 0).is_empty());
    f.handle(Event::NotModified { envelope: None }, p.now, 0);
    assert_eq!(f.health(p.now).last_contact_at, Some(p.now));
    f.handle(Event::Notified, p.now, 0);
    f.handle(late, p.now, 0);
    f.handle(Event::HeadFailed("gone".to_owned()), p.now, 0);
    assert_eq!(f.health(p.now).failures, 1);
}

/// A limit that begins anew at another time, or counts in another unit, is another one.
#[test]
fn a_limits_window_and_unit_are_compared() {
    let compiled = |window: &str, unit: &str| {
        let text = format!(
            r#"{{"features":{{"orders":{{"kind":"limit","name":"O","name2":"O","group":"module","unit":"{unit}",
                "window":"{window}","default":{{"amount":100}}}}}},
            "tenants":{{"t1":{{"name":"T","name2":"T","region":"GCC-OM","anchor":"2025-01-01T00:00:00Z"}}}}}}"#
        );
        let stamp = Stamp { revision: revision(1), issued_at: start(), expires_at: None };
        Snapshot::from_sources(&[Source { name: "a".into(), bytes: text.into_bytes() }], stamp).unwrap()
    };
    let of_a_month = compiled("month", "order");
    for (next, moved) in [
        (compiled("month", "order"), serde_json::json!(null)),
        (compiled("day", "order"), serde_json::json!({ "window": { "from": "month", "to": "day" } })),
        (compiled("month", "parcel"), serde_json::json!({ "unit": { "from": "order", "to": "parcel" } })),
    ] {
        let diff = next.diff(&of_a_month, start());
        let limits = diff.groups.first().map(|group| serde_json::json!(group.difference.limits[0]));
        let mut expected = moved;
        if let Some(members) = expected.as_object_mut() {
            members.extend([
                ("feature".to_owned(), "orders".into()),
                ("from".to_owned(), 100.into()),
                ("to".to_owned(), 100.into()),
            ]);
        }
        assert_eq!(limits.unwrap_or_default(), expected);
        assert_eq!(diff.features.iter().map(|of| of.moved).sum::<usize>(), diff.changed);
    }
}
