//! Checkpoints: believed when a certified fleet key signed them, refused for each thing that can be wrong with them.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use crate::support::{after, certificate, key, root, signer_for, start, trust};
use leasehold::wire::{ChainEnd, Checkpoint, Trust};
use leasehold::{Hash, Timestamp};

fn end(tenant: &str, seq: u64) -> ChainEnd {
    let tenant = (!tenant.is_empty()).then(|| tenant.parse().unwrap());
    ChainEnd { tenant, seq, hash: Hash::of(&seq.to_be_bytes()) }
}

fn checkpoint(chains: &[ChainEnd]) -> Checkpoint {
    let Trust { issuer, environment, .. } = trust();
    Checkpoint { issuer, environment, at: start(), chains: chains.to_vec() }
}

fn document(checkpoint: &Checkpoint) -> Vec<u8> {
    checkpoint.sign(&certificate(&key(2), 1).sign(&root()).unwrap(), &key(2)).unwrap()
}

#[test]
fn what_is_signed_is_believed() {
    let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
    let signed = signer.checkpoint(start(), vec![end("b", 2), end("a", 7), end("", 3)]).unwrap();
    let read = trust().checkpoint(signed.bytes()).unwrap();
    assert_eq!(read.checkpoint(), &checkpoint(&[end("", 3), end("a", 7), end("b", 2)]));
    assert_eq!((read.signed_by(), read.certificate()), (key(2).public().id(), &certificate(&key(2), 1)));
    let seq = |tenant: &str| {
        let tenant = (!tenant.is_empty()).then(|| tenant.parse().unwrap());
        read.checkpoint().chain(tenant.as_ref()).map(|end| end.seq)
    };
    assert_eq!(["", "a", "b", "c"].map(seq), [Some(3), Some(7), Some(2), None]);
    let line = std::str::from_utf8(signed.bytes()).unwrap().lines().nth(3).unwrap();
    let hash = |seq: u64| Hash::of(&seq.to_be_bytes());
    let at = start().as_ms();
    let expected = format!(
        r#"{{"at":{at},"chains":[{{"hash":"{}","seq":3}},{{"hash":"{}","seq":7,"tenant":"a"}},{{"hash":"{}","seq":2,"tenant":"b"}}],"environment":"production","issuer":"hq.example"}}"#,
        hash(3),
        hash(7),
        hash(2)
    );
    assert_eq!(line, expected);
}

/// A fleet has more chains than a head has bytes.
#[test]
fn many_chains_fit() {
    let chains: Vec<ChainEnd> = (0..2000).map(|n| end(&format!("tenant{n:04}"), n + 1)).collect();
    let signed = document(&checkpoint(&chains));
    assert!(signed.len() > leasehold::wire::MAX_HEAD_BYTES);
    assert_eq!(trust().checkpoint(&signed).unwrap().checkpoint().chains, chains);
}

#[test]
fn what_is_wrong_has_its_code() {
    let good = document(&checkpoint(&[end("", 1), end("a", 2)]));
    let refused = |bytes: &[u8]| match trust().checkpoint(bytes) {
        Err(fault) => (fault.code(), fault.item().to_owned()),
        Ok(read) => panic!("{read:?}"),
    };
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (Vec::new(), "truncated", "certificate"),
        (good[..good.len() - 1].to_vec(), "truncated", "checkpoint"),
        ([&good[..], b"\n"].concat(), "too_long", "checkpoint"),
        (
            String::from_utf8(good.clone()).unwrap().replace("\"seq\":2", "\"seq\":3").into(),
            "bad_signature",
            "checkpoint",
        ),
        (document(&checkpoint(&[end("b", 1), end("a", 2)])), "malformed", "checkpoint"),
        (document(&checkpoint(&[end("a", 1), end("a", 2)])), "malformed", "checkpoint"),
        (document(&checkpoint(&[end("a", 0)])), "malformed", "checkpoint"),
        (
            document(&Checkpoint { issuer: "other.example".parse().unwrap(), ..checkpoint(&[]) }),
            "wrong_issuer",
            "checkpoint",
        ),
        (
            document(&Checkpoint { environment: "stage".parse().unwrap(), ..checkpoint(&[]) }),
            "wrong_environment",
            "checkpoint",
        ),
        // Signed by a key that the certificate is not for; certified by a root that nobody trusts.
        (
            checkpoint(&[]).sign(&certificate(&key(2), 1).sign(&root()).unwrap(), &key(3)).unwrap(),
            "unknown_key",
            "checkpoint",
        ),
        (
            checkpoint(&[]).sign(&certificate(&key(2), 1).sign(&key(9)).unwrap(), &key(2)).unwrap(),
            "unknown_key",
            "certificate",
        ),
    ];
    for (bytes, code, item) in cases {
        assert_eq!(refused(&bytes), (code, item.to_owned()), "{}", String::from_utf8_lossy(&bytes));
    }
    let ended = leasehold::wire::Certificate { valid_until: Some(start()), ..certificate(&key(2), 1) };
    let late = checkpoint(&[]).sign(&ended.sign(&root()).unwrap(), &key(2)).unwrap();
    assert_eq!(refused(&late).0, "key_expired");
    let signer = signer_for(key(2), &ended, &root());
    assert_eq!(signer.checkpoint(start(), Vec::new()).unwrap_err().code(), "key_expired");
    let before: Timestamp = after(start(), -1);
    assert!(signer.checkpoint(before, Vec::new()).is_ok());
    // A head is no checkpoint, and the other way round.
    assert_eq!(trust().head(&good).unwrap_err().code(), "wrong_document");
}
