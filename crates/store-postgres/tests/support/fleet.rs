//! A publisher, and what it publishes.

#![allow(unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::support::Database;
use leasehold::build::{Content, Signer};
use leasehold::follow::read_definitions;
use leasehold::model::{Definitions, Op, Override, Phase, PhaseKind, Source, format};
use leasehold::wire::{Certificate, Chunk, PublicKey, SecretKey, SignedHead, Trust};
use leasehold::{Hash, Region, TenantId, Timestamp, read_directory};
use leasehold_postgres::hq::{Actor, Hq, Request, TenantChange};
use leasehold_postgres::ledger::IdempotencyKey;
use leasehold_postgres::publish::{Archive, Publication, Publisher, Timing};
use sqlx::Row;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::SystemTime;

pub fn root() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

pub fn signer() -> Signer {
    signer_of(SecretKey::from_seed(&[8; 32]), 1)
}

pub fn signer_of(fleet: SecretKey, epoch: u64) -> Signer {
    let certificate = Certificate {
        issuer: "leasehold-tests".parse().unwrap(),
        environment: "test".parse().unwrap(),
        epoch,
        key: fleet.public(),
        valid_from: Timestamp::from_ms(0).unwrap(),
        valid_until: None,
    };
    let document = certificate.sign(&root()).unwrap();
    Signer::new(fleet, document, vec![root().public()]).unwrap()
}

pub fn trust(stream: &str) -> Trust {
    let roots: Vec<PublicKey> = vec![root().public()];
    Trust {
        issuer: "leasehold-tests".parse().unwrap(),
        environment: "test".parse().unwrap(),
        stream: region(stream),
        roots,
    }
}

pub fn region(name: &str) -> Region {
    name.parse().unwrap()
}

pub fn ada() -> Actor {
    Actor::new("ada")
}

pub fn ben() -> Actor {
    Actor::new("ben")
}

/// A request to HQ, under a key of its own name.
pub fn request(text: &str) -> Request {
    let key = IdempotencyKey::new(text).unwrap();
    Request { caller: "ada".to_owned(), key, hash: Hash::of(text.as_bytes()) }
}

pub fn cleanmatex() -> Vec<Source> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cleanmatex");
    read_directory(&folder).unwrap()
}

pub async fn hq(database: &Database) -> Hq {
    Hq::of(database.hq.clone()).await.unwrap()
}

pub async fn publisher(database: &Database) -> Publisher {
    Publisher::new(archive(hq(database).await), signer(), Timing::default())
}

/// The reference definitions, imported and published.
pub async fn published(database: &Database) -> Publisher {
    let publisher = publisher(database).await;
    publisher.hq().import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    adopt(&publisher).await;
    publisher
}

/// Proposes what is authored, approves and publishes it.
pub async fn adopt(publisher: &Publisher) -> Publication {
    let proposal = publisher.archive().propose("What is authored", &ada()).await.unwrap();
    publisher.hq().approve(proposal.id, proposal.binding, &ben()).await.unwrap();
    publisher.publish_proposal(proposal.id, &ben()).await.unwrap()
}

/// What a store holds, believed by the root key of these tests.
pub fn archive(hq: Hq) -> Archive {
    Archive::new(hq, trust("any"))
}

pub fn now() -> Timestamp {
    SystemTime::now().into()
}

pub fn id(text: &str) -> TenantId {
    text.parse().unwrap()
}

pub fn code<T: std::fmt::Debug>(result: Result<T, leasehold_postgres::Error>) -> &'static str {
    result.unwrap_err().code()
}

pub fn paid(plan: &str) -> Phase {
    Phase {
        kind: PhaseKind::Paid,
        plan: plan.parse().unwrap(),
        version: None,
        from: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        grace_until: None,
    }
}

pub fn put(plan: &str) -> TenantChange {
    TenantChange::PutPhase { id: "p".parse().unwrap(), phase: paid(plan) }
}

/// What takes a feature away.
pub fn revoke(feature: &str, reason: &str) -> Override {
    Override {
        feature: feature.parse().unwrap(),
        op: Op::Revoke,
        value: None,
        plan: None,
        from: None,
        until: None,
        reason: reason.to_owned(),
        actor: "ada".to_owned(),
    }
}

/// Everything that is published, as engines would read it; every hash and signature on the way is verified.
pub async fn read_back(database: &Database) -> (BTreeMap<String, SignedHead>, Definitions) {
    let mut chunks: HashMap<Hash, Chunk> = HashMap::new();
    for row in
        sqlx::query("SELECT hash, encoding, bytes FROM leasehold.sys_chunks").fetch_all(&database.engine).await.unwrap()
    {
        let hash: [u8; 32] = row.get::<Vec<u8>, _>(0).try_into().unwrap();
        let bytes: Vec<u8> = row.get(2);
        let chunk = if row.get::<String, _>(1) == "zstd" { Chunk::zstd(bytes) } else { Chunk::raw(bytes) };
        chunks.insert(Hash::from(hash), chunk);
    }
    let mut heads = BTreeMap::new();
    let mut all = Definitions::default();
    for row in
        sqlx::query("SELECT stream, document FROM leasehold.sys_heads").fetch_all(&database.engine).await.unwrap()
    {
        let stream: String = row.get(0);
        let head = trust(&stream).head(&row.get::<Vec<u8>, _>(1)).unwrap();
        let stream_definitions = read_definitions(&head, None, &|hash| chunks.get(&hash).cloned()).unwrap();
        let tenants = std::mem::take(&mut all.tenants);
        all = stream_definitions;
        all.tenants.extend(tenants);
        heads.insert(stream, head);
    }
    (heads, all)
}

/// What is authored, definitions and tenants.
pub async fn authored(hq: &Hq) -> Definitions {
    let mut all = hq.definitions().await.unwrap();
    for id in hq.tenant_ids(None, 1000).await.unwrap() {
        all.tenants.insert(id.clone(), hq.tenant(&id).await.unwrap().record);
    }
    all
}

/// What is published is what is authored, and each stream is what a full build of it would be.
pub async fn assert_published(database: &Database, hq: &Hq) {
    let (heads, published) = read_back(database).await;
    let authored = authored(hq).await;
    // Lists whose order has no meaning are put in one.
    let printed = |mut definitions: Definitions| format::print(&mut definitions);
    assert_eq!(printed(published), printed(authored.clone()));
    for (stream, head) in &heads {
        assert_eq!(head.head().manifest, Content::of_stream(&authored, &region(stream)).unwrap().root, "{stream}");
    }
}

/// Does something to its end on a thread of its own, from within a step of a publication.
pub fn elsewhere(what: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(what));
    });
}
