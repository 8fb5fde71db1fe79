//! Signed snapshots: how everything grows with the tenants, cold start, one changed tenant, readers beside swaps, memory of a
//! change of definitions, sizes.
//!
//! Criterion measures none of this: a cold start is made once, a delta can be applied only once, and the rest are not
//! times.

use leasehold::build::{Checker, Content, Signer, Terms};
use leasehold::follow::{Action, Event, Follower, Persist};
use leasehold::generate::fleet;
use leasehold::model::{Definitions, Tenant};
use leasehold::wire::{Certificate, Chunk, ChunkRef, Manifest, Pack, Place, SecretKey};
use leasehold::{Engine, Hash, Region, Revision, SnapshotDirectory, Timestamp};
use leasehold_benches::{Questions, names, now, row, spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn main() {
    let quick = std::env::var_os("LEASEHOLD_BENCH_QUICK").is_some();
    let sizes: &[usize] = if quick { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000, 1_000_000] };
    let typical = if quick { 10_000 } else { 100_000 };
    for tenants in sizes.iter().copied() {
        let publisher = Publisher::new(tenants);
        sizes_of(&publisher);
        let pack = publisher.pack();
        growth(&publisher, &pack);
        let cold = (tenants == typical).then(|| cold_start(&publisher, &pack));
        delta(&publisher, &pack, cold);
    }
    change_of_definitions(typical);
    readers_beside_swaps(typical, if quick { 1 } else { 5 });
}

/// A publisher with one stream, all of whose tenants are in memory.
struct Publisher {
    tenants: usize,
    definitions: Definitions,
    stream: Region,
    signer: Signer,
    content: BTreeMap<Hash, Vec<u8>>,
    root: ChunkRef,
}

impl Publisher {
    fn new(tenants: usize) -> Self {
        let (root, key) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let certificate = Certificate {
            issuer: "hq.example".parse().expect("an issuer"),
            environment: "bench".parse().expect("an environment"),
            epoch: 1,
            key: key.public(),
            valid_from: Timestamp::MIN,
            valid_until: None,
        };
        let certificate = certificate.sign(&root).expect("a small epoch");
        let signer = Signer::new(key, certificate, vec![root.public()]).expect("they belong together");
        let mut definitions = fleet(&spec(tenants));
        let stream: Region = "GCC-OM".parse().expect("a region");
        definitions.tenants.values_mut().for_each(|tenant| tenant.region = stream.clone());
        let content = Content::of_stream(&definitions, &stream).expect("it has a canonical form");
        let root = content.root;
        let content = content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, bytes)).collect();
        Self { tenants, definitions, stream, signer, content, root }
    }

    fn head(&self, revision: u64, manifest: ChunkRef) -> Vec<u8> {
        let issued_at = Timestamp::from_ms(now().as_ms() + revision as i64).expect("near now");
        let terms = Terms { issued_at, fresh_for_ms: 86_400_000, slice_keys: Vec::new() };
        let revision = Revision::new(revision).expect("a small number");
        let head = self.signer.sign(&self.stream, None, (revision, manifest, None), &terms).expect("it is in order");
        head.bytes().to_vec()
    }

    fn pack(&self) -> Vec<u8> {
        let chunks = self.content.iter().map(|(hash, bytes)| (*hash, Chunk::compressed(bytes))).collect();
        Pack { head: self.head(1, self.root), chunks }.to_bytes(&[self.root.hash])
    }

    /// A follower with the first revision in force, and what is to be persisted of it.
    fn follower(&self, pack: &[u8]) -> (Follower, Vec<Action>) {
        let mut follower = Follower::of_stream(self.signer.trust(self.stream.clone()));
        let actions = follower.open(Pack::read(pack).expect("a pack"), now()).expect("a good pack");
        (follower, actions)
    }

    /// The head of a later revision in which one tenant, always the same, has another name of the same length, and its new contents:
    /// shard, node, manifest. Nothing but that tenant's bytes and three hashes differ, so that they are found by
    /// replacing text.
    fn renamed(&self, revision: u64) -> (Vec<u8>, BTreeMap<Hash, Chunk>) {
        let tenant = self.definitions.tenants.keys().nth(self.tenants / 2).expect("there are tenants").as_str();
        let place = Place::of(tenant);
        let text = |hash: Hash| String::from_utf8(self.content[&hash].clone()).expect("it is JSON");
        let child = |list: &Value, at: u8| -> Hash {
            let found = list.as_array().expect("a list").iter().find(|child| child[0] == at).expect("its place");
            found[1].as_str().expect("a hash").parse().expect("a hash")
        };
        let manifest = text(self.root.hash);
        let node = child(&serde_json::from_str::<Value>(&manifest).expect("JSON")["tenants"], place.node);
        let shard = child(&serde_json::from_str(&text(node)).expect("JSON"), place.shard);
        let name = &self.definitions.tenants[tenant].name;
        let (old, new) = (format!("\"name\":\"{name}\""), format!("{revision:0>width$}", width = name.len()));
        let (before, after) = text(shard)
            .split_once(&format!("\"{tenant}\":"))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("it is here");
        let after = after.replacen(&old, &format!("\"name\":\"{}\"", &new[new.len() - name.len()..]), 1);
        let shard_text = format!("{before}\"{tenant}\":{after}");
        let new_shard = ChunkRef::to(shard_text.as_bytes());
        let node_text = text(node).replace(&shard.to_string(), &new_shard.hash.to_string());
        let new_node = ChunkRef::to(node_text.as_bytes());
        let manifest = manifest.replace(&node.to_string(), &new_node.hash.to_string());
        let root = ChunkRef::to(manifest.as_bytes());
        let chunks = [(new_shard, shard_text), (new_node, node_text), (root, manifest)];
        let chunks = chunks.map(|(reference, text)| (reference.hash, Chunk::compressed(text.as_bytes())));
        (self.head(revision, root), chunks.into())
    }
}

/// Tells a follower of a head and gives it what it asks for; what it wants persisted, and the bytes that it asked for.
fn deliver(follower: &mut Follower, head: Vec<u8>, chunks: &BTreeMap<Hash, Chunk>) -> (Vec<Action>, u64) {
    let mut done = Vec::new();
    let mut fetched = 0;
    let mut actions = follower.handle(Event::Head(head), now(), 0);
    while !actions.is_empty() {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::FetchChunk(reference) => {
                    fetched += reference.length;
                    let chunk = chunks[&reference.hash].clone();
                    next.extend(follower.handle(Event::Chunk(reference.hash, chunk), now(), 0));
                }
                other => done.push(other),
            }
        }
        actions = next;
    }
    assert!(done.iter().any(|action| matches!(action, Action::Swap(_))), "it is in force");
    (done, fetched)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// From the bytes of a pack to answers, beside the same contents as JSON and nothing else. In nanoseconds.
fn cold_start(publisher: &Publisher, pack: &[u8]) -> f64 {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let begin = Instant::now();
        let values: Vec<Value> =
            publisher.content.values().map(|bytes| serde_json::from_slice(bytes).expect("JSON")).collect();
        theirs.push(begin.elapsed().as_nanos() as f64);
        drop(black_box(values));
        let begin = Instant::now();
        let follower = publisher.follower(pack);
        ours.push(begin.elapsed().as_nanos() as f64);
        drop(black_box(follower));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let what = format!("cold start of {} tenants: verify, parse, compile", publisher.tenants);
    report("snapshot.cold", &what, ours, Some(("serde_json to Value", theirs)), "ns");
    ours
}

/// One changed tenant: what moves, how long it takes without the disk, and what the disk takes.
fn delta(publisher: &Publisher, pack: &[u8], cold: Option<f64>) {
    let (mut follower, actions) = publisher.follower(pack);
    let folder = std::env::temp_dir().join(format!("leasehold-bench-{}", std::process::id()));
    let directory = SnapshotDirectory::new(&folder);
    let on_disk = publisher.tenants <= 100_000;
    if on_disk {
        persisted(&directory, publisher, &actions);
    }
    acknowledge(&mut follower, &actions);
    let (mut applied, mut waited, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for revision in 2..33 {
        let (head, chunks) = publisher.renamed(revision);
        let size = head.len() as u64;
        let begin = Instant::now();
        let (actions, fetched) = deliver(&mut follower, head, &chunks);
        applied.push(begin.elapsed().as_nanos() as f64);
        moved.push((fetched + size) as f64);
        if on_disk {
            let begin = Instant::now();
            persisted(&directory, publisher, &actions);
            waited.push(begin.elapsed().as_nanos() as f64);
        }
        acknowledge(&mut follower, &actions);
    }
    let _ = std::fs::remove_dir_all(&folder);
    let tenants = publisher.tenants;
    let applied = median(applied);
    let bound = cold.map(|cold| ("1/1000 of the cold start", cold / 1000.0));
    report(
        &format!("snapshot.delta.{tenants}"),
        &format!("one changed tenant of {tenants} in force"),
        applied,
        bound,
        "ns",
    );
    report(
        &format!("snapshot.moved.{tenants}"),
        &format!("fetched for it, of {tenants}, uncompressed"),
        median(moved),
        None,
        "bytes",
    );
    if on_disk {
        let what = format!("keeping it on disk, of {tenants}, every file waited for");
        report(&format!("snapshot.fsync.{tenants}"), &what, median(waited), None, "ns");
    }
}

/// Tells the follower that all is on disk, so that it is not asked for again.
fn acknowledge(follower: &mut Follower, actions: &[Action]) {
    for action in actions {
        if let Action::Persist(persist) = action {
            follower.handle(Event::Persisted(persist.token), now(), 0);
        }
    }
}

fn persisted(directory: &SnapshotDirectory, publisher: &Publisher, actions: &[Action]) {
    let persists = actions.iter().filter_map(|action| match action {
        Action::Persist(persist) => Some(persist),
        _ => None,
    });
    let all: Vec<&Persist> = persists.collect();
    assert_eq!(all.len(), 1);
    all.iter().for_each(|persist| directory.persist(&publisher.stream, persist).expect("the disk takes it"));
}

/// Sizes of what every engine fetches with each change.
fn sizes_of(publisher: &Publisher) {
    let tenants = publisher.tenants;
    let length = |hash: &Hash| publisher.content[hash].len() as f64;
    let manifest = length(&publisher.root.hash);
    let all: usize = publisher.content.values().map(Vec::len).sum();
    let stored: usize = publisher.content.values().map(|bytes| Chunk::compressed(bytes).bytes().len()).sum();
    let head = publisher.head(1, publisher.root).len() as f64;
    report(&format!("size.manifest.{tenants}"), &format!("manifest of {tenants} tenants"), manifest, None, "bytes");
    report(
        &format!("size.head.{tenants}"),
        &format!("head of {tenants} tenants, with its certificate"),
        head,
        None,
        "bytes",
    );
    let per_tenant = |bytes: usize| bytes as f64 / tenants as f64;
    report(
        &format!("size.raw.{tenants}"),
        &format!("contents per tenant, of {tenants}"),
        per_tenant(all),
        None,
        "bytes",
    );
    report(
        &format!("size.stored.{tenants}"),
        &format!("the same compressed, of {tenants}"),
        per_tenant(stored),
        None,
        "bytes",
    );
}

/// What docs/scale.md tells: building, publishing, loading and asking, with so many tenants.
fn growth(publisher: &Publisher, pack: &[u8]) {
    let tenants = publisher.tenants;
    let say = |what: &str, told: &str, ours: f64, unit: &str| {
        report(&format!("scale.{what}.{tenants}"), &format!("{told}, {tenants} tenants"), ours, None, unit);
    };
    let runs = if tenants > 100_000 { 3 } else { 5 };
    let timed = |run: &mut dyn FnMut()| {
        let begin = Instant::now();
        run();
        begin.elapsed().as_nanos() as f64
    };
    let build = || drop(black_box(Content::of_stream(&publisher.definitions, &publisher.stream)));
    say("build", "contents of all, built anew", median((0..runs).map(|_| timed(&mut { build })).collect()), "ns");

    // One tenant has another name: it is checked, its way through the tree is made anew, and the head is signed.
    let manifest = Manifest::read(&publisher.content[&publisher.root.hash]).expect("it is canonical");
    let find = |hash: Hash| publisher.content.get(&hash).map(|bytes| Chunk::raw(bytes.clone()));
    let without_tenants = Definitions { tenants: BTreeMap::new(), ..publisher.definitions.clone() };
    let checker = Checker::new(&without_tenants).expect("the fleet compiles");
    let (id, tenant) = publisher.definitions.tenants.iter().nth(tenants / 2).expect("there are tenants");
    let (mut sent, mut chunks) = (0, Vec::new());
    let published = (2..33).map(|revision| {
        let renamed = Tenant { name: format!("Number {revision}"), ..tenant.clone() };
        timed(&mut || {
            checker.check(id, &renamed).expect("a good tenant");
            let changes = BTreeMap::from([(id.clone(), Some(renamed.clone()))]);
            let content = Content::changed(&manifest, manifest.definitions, &changes, &find).expect("it is all there");
            sent = black_box(publisher.head(revision, content.root)).len();
            chunks = content.chunks;
        })
    });
    say("publish", "one changed tenant: checked, built, signed", median(published.collect()), "ns");
    sent += chunks.iter().map(|(_, bytes)| Chunk::compressed(bytes).bytes().len()).sum::<usize>();
    say("sent", "fetched for one changed tenant, compressed, with the head", sent as f64, "bytes");

    say("pack", "everything in one file", pack.len() as f64, "bytes");
    let loaded = (0..runs).map(|_| timed(&mut || drop(black_box(publisher.follower(pack)))));
    say("load", "from such a file to answers", median(loaded.collect()), "ns");
    let mut held = None;
    let memory = allocation_counter::measure(|| held = Some(publisher.follower(pack).0));
    say("held", "held by an engine that follows", memory.bytes_current as f64, "bytes");
    say("peak", "the most that it held while it began", memory.bytes_max as f64, "bytes");

    let engine = Engine::new(held.expect("it was made").snapshot().expect("it is in force").clone());
    let (tenant_names, features) = names(&publisher.definitions);
    let asked = Questions::about(&tenant_names, &features);
    let count = 1 << 19;
    let ask = || {
        (0..count).filter(|at| {
            let (tenant, feature) = asked.get(*at);
            engine.is_enabled(tenant, feature, now()).is_ok_and(|on| on)
        })
    };
    let each = (0..runs).map(|_| timed(&mut || assert!(ask().count() > 0)) / count as f64);
    say("check", "a switch by two strings, at random", median(each.collect()), "ns");
}

/// What a change of definitions needs at its peak, beside what is held before it.
fn change_of_definitions(tenants: usize) {
    let mut publisher = Publisher::new(tenants);
    let pack = publisher.pack();
    let mut held = None;
    let steady = allocation_counter::measure(|| held = Some(publisher.follower(&pack).0)).bytes_current as f64;
    let mut follower = held.expect("it was made");
    let feature = publisher.definitions.features.values_mut().next().expect("there is one");
    feature.name.push_str(", renamed");
    let content = Content::of_stream(&publisher.definitions, &publisher.stream).expect("it has a canonical form");
    let head = publisher.head(2, content.root);
    let chunks = content.chunks.iter().filter(|(reference, _)| !publisher.content.contains_key(&reference.hash));
    let chunks = chunks.map(|(reference, bytes)| (reference.hash, Chunk::compressed(bytes))).collect();
    let change = allocation_counter::measure(|| drop(deliver(&mut follower, head, &chunks)));
    let peak = steady + change.bytes_max as f64;
    let what = format!("peak of a change of definitions, {tenants} tenants");
    report("snapshot.peak", &what, peak, Some(("2.2x what is held", 2.2 * steady)), "bytes");
    report(
        "snapshot.held",
        &format!("held in all per tenant, compressed contents included, of {tenants}"),
        steady / tenants as f64,
        None,
        "bytes",
    );
}

/// The slowest of a hundred batches of a thousand checks, beside a thread that swaps a hundred times a second, and
/// beside one that only keeps a core as busy.
fn readers_beside_swaps(tenants: usize, runs: usize) {
    let publisher = Publisher::new(tenants);
    let pack = publisher.pack();
    let (tenant_names, features) = names(&publisher.definitions);
    let asked = Questions::about(&tenant_names, &features);
    let measured = Duration::from_secs(2);
    let run = |swap: bool, busy: Duration| -> (f64, Duration) {
        let (mut follower, _) = publisher.follower(&pack);
        let engine = Engine::new(follower.snapshot().expect("it is in force").clone());
        let heads: Vec<_> = (2..222).map(|revision| publisher.renamed(revision)).collect();
        let stop = AtomicBool::new(false);
        let mut batches = Vec::with_capacity(1 << 16);
        let mut spent = Duration::ZERO;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let (mut spent, mut ticks) = (Duration::ZERO, 0_u32);
                for (head, chunks) in &heads {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let begin = Instant::now();
                    if swap {
                        for action in deliver(&mut follower, head.clone(), chunks).0 {
                            if let Action::Swap(snapshot) = action {
                                engine.swap(snapshot);
                            }
                        }
                    } else {
                        while begin.elapsed() < busy {
                            std::hint::spin_loop();
                        }
                    }
                    spent += begin.elapsed();
                    ticks += 1;
                    std::thread::sleep(Duration::from_millis(10).saturating_sub(begin.elapsed()));
                }
                spent / ticks.max(1)
            });
            let begin = Instant::now();
            let mut at = 0;
            while begin.elapsed() < measured {
                let batch = Instant::now();
                for _ in 0..1_000 {
                    at += 1;
                    let (tenant, feature) = asked.get(at);
                    let _ = black_box(engine.is_enabled(tenant, feature, now()));
                }
                batches.push(batch.elapsed().as_nanos() as f64);
            }
            stop.store(true, Ordering::Relaxed);
            spent = writer.join().expect("the writer ends");
        });
        batches.sort_by(f64::total_cmp);
        (batches[batches.len() * 99 / 100], spent)
    };
    let (mut swapping, mut burning) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (with_swaps, busy) = run(true, Duration::ZERO);
        swapping.push(with_swaps);
        burning.push(run(false, busy).0);
    }
    let what = "1,000 checks, 99th percentile, beside 100 swaps a second";
    report("swap.p99", what, median(swapping), Some(("beside a burning thread", median(burning))), "ns");
}

fn report(id: &str, what: &str, ours: f64, peer: Option<(&str, f64)>, unit: &str) {
    let (name, theirs) = peer.unzip();
    let ratio = theirs.map(|theirs| theirs / ours);
    row(&json!({
        "id": id, "runtime": "rust", "what": what, "ours": ours, "peer": name, "peer_version": null,
        "theirs": theirs, "ratio": ratio, "unit": unit,
    }));
}
