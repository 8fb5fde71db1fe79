//! A publisher, and what it publishes.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::support::Database;
use leasehold::build::Signer;
use leasehold::model::Source;
use leasehold::wire::{Certificate, PublicKey, SecretKey, Trust};
use leasehold::{Region, Timestamp, read_directory};
use leasehold_postgres::hq::{Actor, Hq};
use leasehold_postgres::publish::{Archive, Publication, Publisher, Timing};
use std::path::Path;

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
