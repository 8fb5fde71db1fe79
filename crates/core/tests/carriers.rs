//! Following HQ over HTTP, against an HQ of threads that behaves well or badly; and waiting for revisions.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use crate::support::fake_hq::{Asked, FakeHq, Manner, TOKEN, asked_for};
use crate::support::web::{DEADLINE, Request, Web, reply};
use crate::support::{self, Publisher, first_definitions, revision, stream, trust};
use leasehold::follow::{Action, Event, Follower, Health, Report, Settings};
use leasehold::generate::Choices;
use leasehold::wire::{ChunkRef, FaultCode, MAX_HEAD_BYTES};
use leasehold::{
    Answer, Following, Hash, Hearing, HttpFollowing, HttpOptions, HttpPatience, HttpSource, Keep, MemorySource, Source,
    WaitError,
};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const HOUR_MS: u64 = 3_600_000;
/// Nothing happens by itself: whatever does happen was told.
const NEVER: Settings = Settings {
    poll_ms: HOUR_MS,
    timeout_ms: HOUR_MS,
    backoff_min_ms: HOUR_MS,
    backoff_max_ms: HOUR_MS,
    report_ms: HOUR_MS,
};
/// It asks all the time.
const ALWAYS: Settings =
    Settings { poll_ms: 20, timeout_ms: HOUR_MS, backoff_min_ms: 10, backoff_max_ms: 20, report_ms: HOUR_MS };
/// It waits for ever for what does not come.
const ENDLESS: HttpPatience =
    HttpPatience { answer_ms: HOUR_MS, content_ms: HOUR_MS, silence_ms: HOUR_MS, pause_min_ms: 10, pause_max_ms: 50 };

fn publisher() -> Publisher {
    Publisher::new(&first_definitions(&mut Choices::from_seed(7)))
}

/// The next revision, which says the same.
fn publish(publisher: &mut Publisher) {
    let said = publisher.said.clone();
    publisher.publish(said);
}

fn options(hq: &FakeHq, patience: HttpPatience) -> HttpOptions {
    HttpOptions::new(hq.url(), TOKEN).unwrap().with_patience(patience)
}

fn follower(settings: Settings) -> Follower {
    Follower::of_engine(trust(), "engine-1".parse().unwrap()).with_settings(settings)
}

fn start(hq: &FakeHq, settings: Settings, patience: HttpPatience) -> HttpFollowing {
    HttpFollowing::start(follower(settings), options(hq, patience), Keep::default()).unwrap()
}

fn source(hq: &FakeHq) -> HttpSource {
    HttpSource::new(options(hq, ENDLESS), stream(), None)
}

/// Waits for something that nobody can be told of.
fn wait_until(what: &str, mut such: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !such() {
        assert!(Instant::now() < until, "never {what}");
        std::thread::yield_now();
    }
}

fn wait_until_told(following: &HttpFollowing) {
    wait_until("told", || following.hearing() == Hearing::Told);
}

/// Waits for a fault in a health, and gives its text.
fn wait_for_fault(following: &Following, code: FaultCode) -> String {
    let find = |health: Health| health.faults.into_iter().find(|seen| seen.fault.fault_code() == code);
    let mut found = None;
    wait_until(code.as_str(), || {
        found = find(following.health());
        found.is_some()
    });
    found.unwrap().fault.to_string()
}

#[track_caller]
fn assert_comes(following: &Following, publisher: &Publisher) {
    let wanted = publisher.last.head().revision;
    assert_eq!(following.wait_for(wanted, DEADLINE), Ok(wanted));
}

/// Ends something on another thread, and fails where that does not come to its end.
fn assert_ends<T: Send + 'static>(what: T) {
    let (ended, end) = channel();
    std::thread::spawn(move || {
        drop(what);
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn pushes_are_followed_without_asking_for_heads() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let following = start(&hq, NEVER, ENDLESS);
    wait_until_told(&following);
    let mut choices = Choices::from_seed(8);
    for _ in 0..3 {
        let next = support::other_tenants(&mut choices, &publisher.said.base);
        publisher.publish_definitions(&next);
        hq.offer(&publisher);
        assert_comes(following.following(), &publisher);
    }
    assert_eq!(hq.count(Asked::Head), 1);
    assert_eq!(following.following().health().faults, []);
}

#[test]
fn a_heartbeat_that_names_another_head_makes_the_engine_ask() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let following = start(&hq, NEVER, ENDLESS);
    wait_until_told(&following);
    publish(&mut publisher);
    hq.offer_quietly(&publisher);
    hq.beat();
    assert_comes(following.following(), &publisher);
}

#[test]
fn where_hq_does_not_tell_it_is_asked() {
    let no = |status| Manner::Problem { status, retry_after: None };
    let manners = [
        no(404),
        no(503),
        no(401),
        Manner::Garbage,
        Manner::Endless,
        Manner::Hang,
        Manner::Cut,
        Manner::Redirect("/".to_owned()),
    ];
    for manner in manners {
        let mut publisher = publisher();
        let hq = FakeHq::start(&publisher);
        hq.behave(Asked::Events, manner.clone());
        let following = start(&hq, ALWAYS, ENDLESS);
        hq.wait_for_count(Asked::Events, 1);
        publish(&mut publisher);
        hq.offer(&publisher);
        assert_comes(following.following(), &publisher);
        assert!(matches!(following.hearing(), Hearing::Asking { .. }), "{manner:?}");
        hq.behave(Asked::Events, Manner::Right);
        hq.web.cut();
        wait_until_told(&following);
    }
}

#[test]
fn silence_ends_a_connection() {
    let publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let following = start(&hq, NEVER, HttpPatience { silence_ms: 50, ..ENDLESS });
    hq.wait_for_count(Asked::Events, 3);
    assert_eq!(following.following().health().faults, []);
}

#[test]
fn events_that_say_nothing_true_end_a_connection() {
    let head = |stream: &str, etag: Hash, document: &str| {
        let data = serde_json::json!({ "stream": stream, "revision": 9, "etag": etag, "document": document });
        format!("event: head\ndata: {data}\n\n")
    };
    let long = "x".repeat(MAX_HEAD_BYTES + 1);
    let cases = [
        ("not JSON", "event: head\ndata: {\n\n".to_owned()),
        ("not a hash", "event: heartbeat\ndata: {\"stream\":\"GCC-OM\",\"etag\":\"1\"}\n\n".to_owned()),
        ("not the one of its `etag`", head(support::STREAM, Hash::of(b"a"), "b")),
        ("longer than", head(support::STREAM, Hash::of(long.as_bytes()), &long)),
    ];
    for (expected, event) in cases {
        let hq = FakeHq::start(&publisher());
        let following = start(&hq, NEVER, HttpPatience { pause_min_ms: HOUR_MS, pause_max_ms: HOUR_MS, ..ENDLESS });
        wait_until_told(&following);
        // What is for others, or for later versions, does not matter.
        hq.tell(&head("EU-DE", Hash::of(b"a"), "b"));
        hq.tell("event: quota\ndata: 5\n\n: a comment\n\n");
        hq.tell(&event);
        wait_until(expected, || match following.hearing() {
            Hearing::Told => false,
            Hearing::Asking { why } => why.contains(expected),
        });
        assert_eq!(hq.count(Asked::Events), 1);
    }
}

#[test]
fn an_hq_that_comes_back_is_heard_again() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let following = start(&hq, NEVER, ENDLESS);
    wait_until_told(&following);
    hq.web.go_down();
    wait_until("lost", || following.hearing() != Hearing::Told);
    publish(&mut publisher);
    hq.offer(&publisher);
    hq.web.come_up();
    assert_comes(following.following(), &publisher);
    wait_until_told(&following);
}

#[test]
fn a_bad_content_is_told_and_fetched_again() {
    let cases = [
        (Manner::Garbage, FaultCode::Truncated),
        (Manner::Endless, FaultCode::TooLong),
        (Manner::Cut, FaultCode::Unreachable),
        (Manner::Problem { status: 500, retry_after: None }, FaultCode::Unreachable),
        (Manner::Problem { status: 404, retry_after: None }, FaultCode::MissingChunk),
    ];
    for (manner, code) in cases {
        let mut publisher = publisher();
        let hq = FakeHq::start(&publisher);
        let following = start(&hq, ALWAYS, ENDLESS);
        hq.behave(Asked::Chunk, manner);
        let next = support::other_tenants(&mut Choices::from_seed(8), &publisher.said.base);
        publisher.publish_definitions(&next);
        hq.offer(&publisher);
        wait_for_fault(following.following(), code);
        assert_eq!(following.engine().pin().stamp().revision, revision(1));
        hq.behave(Asked::Chunk, Manner::Slow);
        assert_comes(following.following(), &publisher);
    }
}

#[test]
fn where_one_content_does_not_come_the_others_are_not_asked_for() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let following = start(&hq, NEVER, ENDLESS);
    wait_until_told(&following);
    let before = hq.count(Asked::Chunk);
    // All of it is new.
    publisher.publish_definitions(&first_definitions(&mut Choices::from_seed(8)));
    // It is told of the head once: who is told and notified may ask twice.
    hq.behave(Asked::Chunk, Manner::Problem { status: 500, retry_after: None });
    hq.offer(&publisher);
    wait_for_fault(following.following(), FaultCode::Unreachable);
    hq.behave(Asked::Chunk, Manner::Problem { status: 404, retry_after: None });
    following.following().notify();
    wait_for_fault(following.following(), FaultCode::MissingChunk);
    assert_eq!(hq.count(Asked::Chunk), before + 2);
    // What is not there is refused; what cannot be reached is nobody's fault.
    let nacks = |log: Vec<Request>| log.iter().filter(|it| String::from_utf8_lossy(&it.body).contains("nack")).count();
    wait_until("a nack", || nacks(hq.web.log()) == 1);
}

#[test]
fn a_first_start_takes_everything_at_once() {
    let publisher = publisher();
    let hq = FakeHq::start(&publisher);
    hq.behave(Asked::Pack, Manner::Right);
    let following = start(&hq, NEVER, ENDLESS);
    assert_eq!((hq.count(Asked::Pack), hq.count(Asked::Chunk)), (1, 0));
    assert_eq!(following.engine().pin().stamp(), publisher.last.head().stamp());
    // One that is no pack, or does not come, costs nothing but the attempt.
    for manner in [Manner::Garbage, Manner::Cut, Manner::Problem { status: 500, retry_after: None }] {
        hq.behave(Asked::Pack, manner);
        assert_eq!(start(&hq, NEVER, ENDLESS).engine().pin().stamp(), publisher.last.head().stamp());
    }
    assert_eq!((hq.count(Asked::Pack), hq.count(Asked::Chunk)), (4, 3 * publisher.said.names().len()));
    // Whoever has something already asks for what is new.
    let folder = tempfile::tempdir().unwrap();
    let keep = || Keep { folder: Some(folder.path().to_path_buf()), ..Keep::default() };
    for _ in 0..2 {
        drop(HttpFollowing::start(follower(NEVER), options(&hq, ENDLESS), keep()).unwrap());
    }
    assert_eq!(hq.count(Asked::Pack), 5);
}

#[test]
fn an_hq_that_asks_for_patience_gets_it() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let following = start(&hq, NEVER, ENDLESS);
    wait_until_told(&following);
    let before = hq.count(Asked::Chunk);
    hq.behave(Asked::Chunk, Manner::Problem { status: 429, retry_after: Some(1) });
    publisher.publish_definitions(&support::other_tenants(&mut Choices::from_seed(8), &publisher.said.base.clone()));
    hq.offer(&publisher);
    hq.wait_for_count(Asked::Chunk, before + 1);
    hq.behave(Asked::Chunk, Manner::Right);
    assert_comes(following.following(), &publisher);
    assert_eq!(following.following().health().faults, []);
}

#[test]
fn reports_keep_no_head_waiting() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    hq.behave(Asked::Status, Manner::Hang);
    let following = start(&hq, NEVER, ENDLESS);
    wait_until("a report", || hq.holds(Asked::Status));
    for _ in 0..3 {
        publish(&mut publisher);
        hq.offer(&publisher);
        assert_comes(following.following(), &publisher);
    }
}

#[test]
fn the_publisher_is_told_again_what_is_in_force() {
    let publisher = publisher();
    let mut follower = follower(Settings::default());
    let mut now = publisher.now;
    follower.open(publisher.pack(), now).unwrap();
    let told = |actions: Vec<Action>| -> Vec<Report> {
        let reports = actions.into_iter().filter_map(|action| match action {
            Action::Report(report) => Some(report),
            _ => None,
        });
        reports.collect()
    };
    let confirm = |follower: &mut Follower, now| {
        follower.handle(Event::Notified, now, 0);
        told(follower.handle(Event::NotModified { envelope: None }, now, 0))
    };
    assert!(matches!(*confirm(&mut follower, now), [Report::Ack { .. }]));
    assert_eq!(confirm(&mut follower, now), []);
    // What was pushed and refused was not the head after all.
    let refused = told(follower.handle(Event::Head(b"something else".to_vec()), now, 0));
    assert!(matches!(*refused, [Report::Nack { .. }]));
    assert!(matches!(*confirm(&mut follower, now), [Report::Ack { .. }]));
    // And now and then, so that whoever is silent is known.
    now = support::after(now, 59_999);
    assert_eq!(confirm(&mut follower, now), []);
    now = support::after(now, 1);
    assert!(matches!(*confirm(&mut follower, now), [Report::Ack { .. }]));
}

#[test]
fn no_more_is_read_than_there_may_be() {
    let publisher = publisher();
    let hq = FakeHq::start(&publisher);
    hq.behave(Asked::Head, Manner::Endless);
    let Ok(Answer::Head(head)) = source(&hq).head(&stream(), None) else { panic!("no head") };
    assert_eq!(head.len(), MAX_HEAD_BYTES + 1);
    let refused = HttpFollowing::start(follower(NEVER), options(&hq, ENDLESS), Keep::default()).unwrap_err();
    assert_eq!(refused.fault_code(), FaultCode::TooLong);

    // Compressed, it is longer than what is announced can be.
    let noise: Vec<u8> = (0..2_000_u32).flat_map(|n| *Hash::of(&n.to_le_bytes()).as_bytes()).collect();
    let hash = Hash::of(b"not this");
    let zstd = Web::start(move |_, stream| {
        reply(stream, 200, &[("content-encoding", "zstd")], &noise);
        true
    });
    let options = HttpOptions::new(format!("http://{}", zstd.address), TOKEN).unwrap();
    let refused = HttpSource::new(options, stream(), None).chunk(ChunkRef { hash, length: 1000 }).unwrap_err();
    assert_eq!(refused, "it is longer than 2149 bytes, compressed");
}

#[test]
fn an_hq_that_says_no_says_why_and_the_token_stays_secret() {
    let hq = FakeHq::start(&publisher());
    let wrong = HttpOptions::new(hq.url(), "wrong-token").unwrap();
    let refused = HttpFollowing::start(follower(NEVER), wrong, Keep::default()).unwrap_err();
    assert_eq!(refused.fault_code(), FaultCode::Unreachable);
    assert_eq!(refused.to_string(), "head: HQ answers 401, `computer_says_no`: no to `Bearer [token]`");

    let following = start(&hq, ALWAYS, ENDLESS);
    assert!(!format!("{following:?} {:?}", options(&hq, ENDLESS)).contains(TOKEN));
    let no = Manner::Problem { status: 403, retry_after: None };
    hq.behave(Asked::Head, no.clone());
    hq.behave(Asked::Events, no);
    hq.web.cut();
    let told = wait_for_fault(following.following(), FaultCode::Unreachable);
    assert!(told.contains("403, `computer_says_no`") && !told.contains(TOKEN), "{told}");
}

#[test]
fn redirects_are_not_followed() {
    let (hq, other) = (FakeHq::start(&publisher()), FakeHq::start(&publisher()));
    for asked in [Asked::Head, Asked::Chunk, Asked::Events, Asked::Status] {
        hq.behave(asked, Manner::Redirect(format!("{}/v1/snapshots/head", other.url())));
    }
    let mut source = source(&hq);
    let content = publisher().said.content.root;
    let refused = "HQ answers 307, a redirect, which is not followed: mend the base URL";
    assert_eq!(source.head(&stream(), None).unwrap_err(), refused);
    assert_eq!(source.chunk(content).unwrap_err(), refused);
    assert_eq!(other.web.log().len(), 0);
}

#[test]
fn hq_is_left_alone_for_as_long_as_it_asks() {
    let hq = FakeHq::start(&publisher());
    hq.behave(Asked::Head, Manner::Problem { status: 503, retry_after: Some(3600) });
    let mut source = source(&hq);
    assert!(source.head(&stream(), None).unwrap_err().contains("503"));
    let left = source.head(&stream(), None).unwrap_err();
    assert!(left.starts_with("HQ asks to be left alone for another "), "{left}");
    assert_eq!(hq.count(Asked::Head), 1);
}

#[test]
fn a_thread_follows_streams_alone() {
    let hq = FakeHq::start(&publisher());
    let page = Follower::of_slice(trust(), "t".parse().unwrap());
    let refused = Following::start(page, source(&hq), Keep::default()).unwrap_err();
    assert_eq!((refused.code(), hq.count(Asked::Head)), ("wrong_document", 0));
}

#[test]
fn a_source_by_itself_asks_and_knows_what_is_not_new() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    let mut source = source(&hq);
    let known = Some(Hash::of(publisher.last.bytes()));
    assert_eq!(source.head(&stream(), None).unwrap(), Answer::Head(publisher.last.bytes().to_vec()));
    assert_eq!(source.head(&stream(), known).unwrap(), Answer::NotModified);
    let following = Following::start(follower(ALWAYS), source, Keep::default()).unwrap();
    publish(&mut publisher);
    hq.offer(&publisher);
    assert_comes(&following, &publisher);
    assert_eq!(hq.count(Asked::Events), 0);
    assert!(hq.web.log().iter().any(|request| request.header("if-none-match").is_some()));
}

#[test]
fn reports_arrive() {
    let mut publisher = publisher();
    let hq = FakeHq::start(&publisher);
    // What HQ cannot take at first is sent again.
    hq.behave(Asked::Status, Manner::Problem { status: 503, retry_after: None });
    let following = start(&hq, ALWAYS, ENDLESS);
    hq.wait_for_count(Asked::Status, 2);
    hq.behave(Asked::Status, Manner::Right);
    let broken = support::broken(&mut Choices::from_seed(8), &publisher.said.base);
    publisher.publish_definitions(&broken);
    hq.offer(&publisher);
    let reports = || -> Vec<serde_json::Value> {
        let log = hq.web.log();
        let reports = log.iter().filter(|request| asked_for(request) == Asked::Status);
        reports.map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    };
    let such = |word: &str| reports().into_iter().find(|report| report["report"] == word);
    wait_until("a nack", || such("nack").is_some());
    let definitions = following.engine().pin().definitions().to_string();
    let ack = serde_json::json!({
        "stream": "GCC-OM", "report": "ack", "epoch": 1, "revision": 1, "definitions": definitions,
        "candidate": false, "persisted": false,
    });
    assert_eq!(such("ack").unwrap(), ack);
    let nack = such("nack").unwrap();
    assert_eq!((&nack["stream"], &nack["revision"]), (&"GCC-OM".into(), &2.into()));
    assert_eq!((&nack["fault"]["stage"], &nack["fault"]["code"]), (&"compile".into(), &"invalid_definitions".into()));
    assert!(hq.web.log().iter().filter(|it| it.method == "POST").all(|it| it.path == "/v1/engines/engine-1/status"));
}

#[test]
fn an_hq_that_never_answers_holds_nobody() {
    for asked in [Asked::Head, Asked::Chunk, Asked::Events, Asked::Status] {
        let mut publisher = publisher();
        let hq = FakeHq::start(&publisher);
        let following = start(&hq, ALWAYS, ENDLESS);
        wait_until_told(&following);
        hq.behave(asked, Manner::Hang);
        let next = support::other_tenants(&mut Choices::from_seed(8), &publisher.said.base);
        publisher.publish_definitions(&next);
        match asked {
            // Asked for only where nothing is told.
            Asked::Head => {
                hq.behave(Asked::Events, Manner::Hang);
                hq.web.cut();
            }
            Asked::Events => hq.web.cut(),
            Asked::Chunk | Asked::Pack | Asked::Status => hq.offer(&publisher),
        }
        wait_until("held", || hq.holds(asked));
        assert_ends(following);
    }
    // One that holds the connection and says nothing.
    let hq = FakeHq::start(&publisher());
    let following = start(&hq, NEVER, ENDLESS);
    wait_until_told(&following);
    assert_ends(following);
    // A source by itself.
    let hq = FakeHq::start(&publisher());
    let following = Following::start(follower(ALWAYS), source(&hq), Keep::default()).unwrap();
    hq.behave(Asked::Head, Manner::Hang);
    wait_until("held", || hq.holds(Asked::Head));
    assert_ends(following);
}

#[test]
fn options_that_cannot_be_meant_are_refused() {
    let made = |url: &str, token: &str| HttpOptions::new(url, token).map(drop).map_err(|error| error.code());
    let cases = [
        ("http://127.0.0.1:8750", "t", Ok(())),
        ("https://hq.example/below/", "t", Ok(())),
        ("", "t", Err("invalid_base_url")),
        ("hq.example", "t", Err("invalid_base_url")),
        ("/v1", "t", Err("invalid_base_url")),
        ("ftp://hq.example", "t", Err("invalid_base_url")),
        ("http://", "t", Err("invalid_base_url")),
        ("http://me:secret@hq.example", "t", Err("invalid_base_url")),
        ("http://hq.example?a=b", "t", Err("invalid_base_url")),
        ("http://hq.example#a", "t", Err("invalid_base_url")),
        ("http://hq.example", "t", Err("insecure_base_url")),
        ("http://10.0.0.1:8750", "t", Err("insecure_base_url")),
        ("http://LOCALHOST:8750", "t", Ok(())),
        ("http://[::1]:8750", "t", Ok(())),
        ("http://hq.example", "", Err("invalid_token")),
        ("http://hq.example", "a b", Err("invalid_token")),
        ("http://hq.example", "a\nb", Err("invalid_token")),
    ];
    for (url, token, expected) in cases {
        assert_eq!(made(url, token), expected, "{url} {token}");
    }
    let told = HttpOptions::new("http://me:secret@hq.example", "t").unwrap_err().to_string();
    assert!(!told.contains("secret"), "{told}");
    let safe = HttpOptions::over_safe_network("http://hq.internal", "t").unwrap();
    let roots = |pem: &[u8]| safe.clone().with_root_certificates(pem).map(drop).map_err(|error| error.code());
    assert_eq!(roots(ROOT.as_bytes()), Ok(()));
    for pem in ["", "no certificate", &ROOT.replace("MI", "!!")] {
        assert_eq!(roots(pem.as_bytes()), Err("invalid_root_certificates"), "{pem}");
    }
}

/// A certificate whose key nobody has.
const ROOT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBRDCB96ADAgECAhQ0bKkuEI0gcC7eVpBGKBRhg9g7tDAFBgMrZXAwFzEVMBMG
A1UEAwwMRXhhbXBsZSBSb290MCAXDTI2MTEyNjIyNTYzM1oYDzIxMjYxMTAyMjI1
NjMzWjAXMRUwEwYDVQQDDAxFeGFtcGxlIFJvb3QwKjAFBgMrZXADIQBjC6kH5JBf
Crwz2Cab4Xcf7l7bZvvOVzwJvPqVyL1mQKNTMFEwHQYDVR0OBBYEFGWTpllXZi2M
W7yB1kkYfQTGDTh1MB8GA1UdIwQYMBaAFGWTpllXZi2MW7yB1kkYfQTGDTh1MA8G
A1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAx2h3zoLDyJ/pys5jtDGB8hucreDoZBq0
O6xwIS7iGVA86nYEXGptFIY4SoibB6x1rwhRjeFhhnAUI+/j9Y1bCg==
-----END CERTIFICATE-----
";

#[test]
fn waiting_for_a_revision_ends_with_it_or_says_which_is_in_force() {
    let mut publisher = publisher();
    let source = MemorySource::default();
    source.offer(&stream(), publisher.pack());
    let following = Following::start(follower(NEVER), source.clone(), Keep::default()).unwrap();
    assert_eq!(following.wait_for(revision(1), Duration::ZERO), Ok(revision(1)));
    let late = following.wait_for(revision(2), Duration::from_millis(1)).unwrap_err();
    assert_eq!(late, WaitError::TimedOut { wanted: revision(2), in_force: revision(1) });
    assert_eq!(late.code(), "timed_out");
    std::thread::scope(|scope| {
        let waiting = [
            scope.spawn(|| following.wait_for(revision(2), Duration::MAX)),
            scope.spawn(|| following.wait_for(revision(3), DEADLINE)),
        ];
        publish(&mut publisher);
        publish(&mut publisher);
        source.offer(&stream(), publisher.pack());
        following.notify();
        for waiting in waiting {
            assert_eq!(waiting.join().unwrap(), Ok(revision(3)));
        }
    });
    assert_eq!(following.health().revision, Some(revision(3)));
}
