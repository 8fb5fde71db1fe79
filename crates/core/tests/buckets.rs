//! Buckets: what is published to one is followed from it and read as a directory, whatever it lies in.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use crate::support::fake_s3::FakeS3;
use crate::support::web::{DEADLINE, Web, reply};
use crate::support::{Publisher, first_definitions, other_tenants, revision, stream, trust};
use leasehold::follow::{Follower, Settings};
use leasehold::generate::Choices;
use leasehold::wire::{Chunk, ChunkRef, Fault, FaultCode, SignedHead, Stage};
use leasehold::{Answer, Bucket, BucketError, Following, Hash, Keep, Published, SnapshotDirectory, Source};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

/// Runs an async call as a server would.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn publisher() -> Publisher {
    Publisher::new(&first_definitions(&mut Choices::from_seed(7)))
}

/// The next revision, with other tenants.
fn publish_next(publisher: &mut Publisher, seed: u64) {
    let next = other_tenants(&mut Choices::from_seed(seed), &publisher.said.base);
    publisher.publish_definitions(&next);
}

fn content(publisher: &Publisher, reference: ChunkRef) -> Result<Chunk, Fault> {
    let missing = || Fault::new(Stage::Download, FaultCode::MissingChunk, reference.hash.to_string(), "it is lost");
    publisher.chunks.get(&reference.hash).map(|(_, bytes)| Chunk::compressed(bytes)).ok_or_else(missing)
}

fn publish(bucket: &Bucket, publisher: &Publisher) -> Result<Published, BucketError> {
    block_on(bucket.publish(&publisher.last, &trust(), async |reference| content(publisher, reference)))
}

/// A bucket of every sort, opened twice: for whoever publishes, and for whoever follows.
fn with_each(check: impl Fn(&str, Bucket, Bucket)) {
    let memory = Bucket::open("memory:///", []).unwrap();
    let again = memory.again().unwrap();
    check("memory", memory, again);

    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/not/there yet", folder.path().display()).replace(' ', "%20");
    check("file", Bucket::open(&url, []).unwrap(), Bucket::open(&url, []).unwrap());

    let s3 = FakeS3::start();
    let options = s3.options();
    let options = || options.iter().map(|(key, value)| (*key, value.as_str()));
    let open = || Bucket::open("s3://snapshots/below/here", options()).unwrap();
    check("s3", open(), open());
}

#[test]
fn what_is_published_is_followed() {
    with_each(|name, bucket, source| {
        let mut publisher = publisher();
        let published = publish(&bucket, &publisher).unwrap();
        assert_eq!((published.revision, published.changed), (revision(1), true), "{name}");
        assert_eq!(published.new_chunks, publisher.said.names().len() as u64, "{name}");

        let settings = Settings { poll_ms: 3_600_000, ..Settings::default() };
        let follower = Follower::of_stream(trust()).with_settings(settings);
        let following = Following::start(follower, source, Keep::default()).unwrap();
        for seed in 0..3 {
            publish_next(&mut publisher, seed);
            publish(&bucket, &publisher).unwrap();
            following.notify();
            let wanted = publisher.last.head().revision;
            assert_eq!(following.wait_for(wanted, DEADLINE), Ok(wanted), "{name}");
        }
        publisher.heartbeat();
        let beat = publish(&bucket, &publisher).unwrap();
        assert_eq!((beat.changed, beat.new_chunks), (false, 0), "{name}");
        assert_eq!(following.health().faults, [], "{name}");
    });
}

#[test]
fn only_what_is_missing_is_asked_for_and_written() {
    with_each(|name, bucket, again| {
        let mut publisher = publisher();
        publish(&bucket, &publisher).unwrap();
        publish_next(&mut publisher, 1);
        let asked = RefCell::new(Vec::new());
        let before = publisher.revisions[&(1, 1)].names();
        let new = publisher.said.names().difference(&before).count();
        let count = |bucket: &Bucket| {
            asked.borrow_mut().clear();
            let published = block_on(bucket.publish(&publisher.last, &trust(), async |reference| {
                asked.borrow_mut().push(reference.hash);
                content(&publisher, reference)
            }));
            let asked: std::collections::BTreeSet<Hash> = asked.borrow().iter().copied().collect();
            (published.unwrap().new_chunks, asked)
        };
        let (written, asked) = count(&bucket);
        assert_eq!(written, new as u64, "{name}");
        // What says what else there is, and what is new.
        let index: Vec<Hash> = asked.intersection(&before).copied().collect();
        assert!(index.len() <= 1, "{name}: {index:?}");
        // The same again, by whoever has not published before, and by whoever has.
        assert_eq!(count(&again).0, 0, "{name}");
        assert_eq!(count(&bucket).0, 0, "{name}");
    });
}

#[test]
fn a_head_is_never_replaced_by_an_older_one_or_by_half_of_one() {
    with_each(|name, bucket, mut source| {
        let mut publisher = publisher();
        let first = publisher.last.clone();
        publish_next(&mut publisher, 1);
        publish(&bucket, &publisher).unwrap();
        let in_force = publisher.last.bytes().to_vec();
        let code = |head: &SignedHead, trust, content: &dyn Fn(ChunkRef) -> Result<Chunk, Fault>| {
            block_on(bucket.publish(head, &trust, async |reference| content(reference))).unwrap_err().code()
        };
        assert_eq!(code(&first, trust(), &|reference| content(&publisher, reference)), "older_revision", "{name}");
        let mut stranger = trust();
        stranger.issuer = "other.example".parse().unwrap();
        assert_eq!(
            code(&publisher.last, stranger, &|reference| content(&publisher, reference)),
            "wrong_issuer",
            "{name}"
        );

        publish_next(&mut publisher, 2);
        let new = publisher.said.content.root;
        let known = publisher.revisions[&(1, 2)].names();
        assert!(!known.contains(&new.hash));
        let lost = |reference: ChunkRef| match known.contains(&reference.hash) || reference == new {
            true => content(&publisher, reference),
            false => Err(Fault::new(Stage::Download, FaultCode::MissingChunk, "it", "is lost")),
        };
        assert_eq!(code(&publisher.last, trust(), &lost), "missing_chunk", "{name}");
        let rotten = |reference: ChunkRef| match known.contains(&reference.hash) || reference == new {
            true => content(&publisher, reference),
            false => Ok(Chunk::raw(vec![b'x'; usize::try_from(reference.length).unwrap()])),
        };
        assert_eq!(code(&publisher.last, trust(), &rotten), "hash_mismatch", "{name}");
        assert_eq!(Source::head(&mut source, &stream(), None).unwrap(), Answer::Head(in_force), "{name}");
    });
}

#[test]
fn a_bucket_in_a_directory_is_a_snapshot_directory() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let directory = SnapshotDirectory::new(folder.path());
    let mut bucket = Bucket::open(&url, []).unwrap();
    let mut publisher = publisher();
    // A directory writes, a bucket reads, and goes on where the directory ended.
    for head in [0, 1, 2] {
        if head > 0 {
            publish_next(&mut publisher, head);
        }
        publisher.heartbeat();
        if head == 1 {
            for (reference, bytes) in publisher.chunks.values() {
                directory.write_chunk(*reference, bytes).unwrap();
            }
            let last = directory.head(&stream()).unwrap().map(|head| trust().head(&head).unwrap());
            directory.write_head(&publisher.last, last.as_ref()).unwrap();
        } else {
            bucket.publish_blocking(&publisher.last, &trust(), |reference| content(&publisher, reference)).unwrap();
        }
        let current = publisher.last.bytes().to_vec();
        assert_eq!(directory.head(&stream()).unwrap(), Some(current.clone()));
        assert_eq!(Source::head(&mut bucket, &stream(), None), Ok(Answer::Head(current.clone())));
        assert_eq!(Source::head(&mut bucket, &stream(), Some(Hash::of(&current))), Ok(Answer::NotModified));
        let (pack, _) = directory.pack(&publisher.last).unwrap();
        assert_eq!(pack.chunks.keys().copied().collect::<Vec<_>>(), Vec::from_iter(publisher.said.names()));
        for (reference, _) in &publisher.said.content.chunks {
            Source::chunk(&mut bucket, *reference).unwrap().unwrap().open(*reference).unwrap();
        }
    }
    assert_eq!(directory.streams().unwrap(), [stream()]);
    let history: Vec<u64> =
        directory.history(&trust()).unwrap().iter().map(|head| head.head().revision.get()).collect();
    assert_eq!(history, [1, 2, 3]);
}

#[test]
fn a_cdn_may_keep_contents_for_ever_and_heads_for_no_time() {
    let s3 = FakeS3::start();
    let options = s3.options();
    let bucket = Bucket::open("s3://snapshots", options.iter().map(|(key, value)| (*key, value.as_str()))).unwrap();
    publish(&bucket, &publisher()).unwrap();
    for (path, cache) in s3.cache_controls() {
        let expected =
            if path.starts_with("/snapshots/chunks/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(cache, expected, "{path}");
    }
    assert!(!format!("{bucket:?}").contains("something-secret"));
}

#[test]
fn what_is_too_long_or_not_there_is_not_read() {
    with_each(|name, bucket, mut source| {
        let publisher = publisher();
        assert_eq!(Source::head(&mut source, &stream(), None).unwrap_err(), "the stream has no head", "{name}");
        publish(&bucket, &publisher).unwrap();
        let whole = publisher.said.content.root;
        assert_eq!(Source::chunk(&mut source, ChunkRef::to(b"nobody")).unwrap(), None, "{name}");
        let short = Source::chunk(&mut source, ChunkRef { length: 3, ..whole }).unwrap_err();
        assert!(short.ends_with("and may have 3"), "{name}: {short}");
    });
}

#[test]
fn a_server_may_publish_on_any_of_its_threads() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let (publisher, bucket) = (publisher(), Bucket::open("memory:///", []).unwrap());
    let trust = trust();
    let contents = |reference| std::future::ready(content(&publisher, reference));
    block_on(is_send(bucket.publish(&publisher.last, &trust, contents))).unwrap();
}

#[test]
fn a_bucket_can_be_asked_where_a_runtime_is_driven() {
    let publisher = publisher();
    let mut bucket = Bucket::open("memory:///", []).unwrap();
    block_on(async {
        bucket.publish_blocking(&publisher.last, &trust(), |reference| content(&publisher, reference)).unwrap();
        drop(bucket);
    });
}

#[test]
fn a_store_that_never_answers_holds_nobody() {
    let silent = Arc::new(AtomicBool::new(false));
    let (theirs, (held, holds)) = (silent.clone(), channel());
    let store = Web::start(move |_, stream| {
        match theirs.load(Ordering::SeqCst) {
            true => held.send(()).unwrap(),
            false => reply(stream, 404, &[], b""),
        }
        true
    });
    let endpoint = format!("http://{}", store.address);
    let options = [("endpoint", endpoint.as_str()), ("allow_http", "true"), ("skip_signature", "true")];
    let bucket = Bucket::open("s3://snapshots", options).unwrap();
    let settings = Settings { poll_ms: 20, backoff_min_ms: 10, backoff_max_ms: 20, ..Settings::default() };
    let keep = Keep { pack: Some(publisher().pack()), ..Keep::default() };
    let following = Following::start(Follower::of_stream(trust()).with_settings(settings), bucket, keep).unwrap();
    silent.store(true, Ordering::SeqCst);
    holds.recv_timeout(DEADLINE).unwrap();
    let (ended, end) = channel();
    std::thread::spawn(move || {
        drop(following);
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn urls_and_options_that_cannot_be_meant_are_refused() {
    let made = |url: &str, options: &[(&'static str, &'static str)]| {
        Bucket::open(url, options.iter().copied()).map(drop).map_err(|error| error.code())
    };
    type Case = (&'static str, &'static [(&'static str, &'static str)], Result<(), &'static str>);
    let cases: &[Case] = &[
        ("file:///var/lib/hq", &[], Ok(())),
        ("memory:///", &[], Ok(())),
        ("s3://bucket/prefix", &[("region", "us-east-1"), ("endpoint", "http://127.0.0.1:1")], Ok(())),
        ("s3://bucket", &[("REGION", "us-east-1")], Ok(())),
        ("", &[], Err("invalid_bucket_url")),
        ("/var/lib/hq", &[], Err("invalid_bucket_url")),
        ("file://var/lib/hq", &[], Err("invalid_bucket_url")),
        ("file:///var/../lib", &[], Err("invalid_bucket_url")),
        ("s3:///prefix", &[], Err("invalid_bucket_url")),
        ("gs://bucket", &[], Err("invalid_bucket_url")),
        ("file:///var/lib/hq", &[("region", "x")], Err("unknown_bucket_option")),
        ("s3://bucket", &[("regoin", "x")], Err("unknown_bucket_option")),
    ];
    for (url, options, expected) in cases {
        assert_eq!(made(url, options), *expected, "{url} {options:?}");
    }
}
