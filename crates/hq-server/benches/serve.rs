//! HQ as a server under load: how fast a change reaches a thousand followers, what that costs in memory, and what answers
//! cost beside a bare handler that returns the same bytes.
//!
//! ```console
//! $ cargo bench -p leasehold-hq --bench serve                      # all of it
//! $ cargo bench -p leasehold-hq --bench serve -- followers 1000 30 # followers, publications
//! $ cargo bench -p leasehold-hq --bench serve -- answers 15        # seconds for each, with `wrk`
//! $ cargo bench -p leasehold-hq --bench serve -- soak 600          # seconds, a publication in each
//! ```
//!
//! Everything runs on this machine, over loopback: load, server and database share its processors.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark may fail")]

use leasehold::follow::Follower;
use leasehold::wire::Trust;
use leasehold::{HttpFollowing, HttpOptions, Keep, Revision};
use leasehold_postgres::cluster::{Cluster, Durability};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader as StdBufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const STREAM: &str = "GCC-OM";
const TENANT: &str = "ae-alain-oasis";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |at: usize, without: u64| words.get(at).map_or(without, |word| word.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match words.first() {
        Some(&"bare") => runtime.block_on(bare(Path::new(words[1]))),
        Some(&"followers") => runtime.block_on(followers(&Hq::start(), number(1, 1000), number(2, 30))),
        Some(&"answers") => answers(&Hq::start(), Duration::from_secs(number(1, 6))),
        Some(&"soak") => runtime.block_on(soak(&Hq::start(), number(1, 600))),
        _ => {
            let hq = Hq::start();
            let quick = std::env::var_os("LEASEHOLD_BENCH_QUICK").is_some();
            answers(&hq, Duration::from_secs(if quick { 3 } else { 15 }));
            runtime.block_on(followers(&hq, if quick { 100 } else { 1000 }, if quick { 3 } else { 30 }));
        }
    }
}

/// A server on a database of its own, with the reference definitions in force.
struct Hq {
    child: Child,
    address: SocketAddr,
    admin: String,
    trust: Trust,
    _cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl Drop for Hq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Hq {
    fn start() -> Self {
        let cluster = Cluster::start(Durability::Full).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = |line: &str| {
            let ran = Command::new(env!("CARGO_BIN_EXE_leasehold"))
                .args(line.split(' '))
                .current_dir(folder.path())
                .env("DATABASE_URL", cluster.url("postgres"))
                .output()
                .unwrap();
            assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
        };
        for line in [
            "keygen root --out root.key --issuer hq.example --environment bench",
            "keygen fleet --out fleet.key",
            "certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert",
            "db migrate",
        ] {
            run(line);
        }
        let config = "[access]\nrequests_per_second = 1000000\nburst = 1000000\n[telemetry]\nlog = \"warn,leasehold::serve=info,leasehold=info\"\n";
        std::fs::write(folder.path().join("leasehold.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_leasehold"))
            .args(["serve", "--config", "leasehold.toml"])
            .current_dir(folder.path())
            .env("DATABASE_URL", cluster.url("postgres"))
            .env("LEASEHOLD_LISTEN", "127.0.0.1:0")
            .env("LEASEHOLD_TRUST", "trust.json")
            .env("LEASEHOLD_FLEET_KEY", "fleet.key")
            .env("LEASEHOLD_CERTIFICATE", "fleet.cert")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = StdBufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address = log.find_map(|line| {
            let event: Value = serde_json::from_str(&line).ok()?;
            (event["message"] == "serving").then(|| event["address"].as_str().unwrap().parse().unwrap())
        });
        std::thread::spawn(move || log.for_each(drop));
        let mut out = StdBufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let password =
            out.find_map(|line| line.trim().strip_prefix("password").map(|it| it.trim().to_owned())).unwrap();
        let trust: Value = serde_json::from_slice(&std::fs::read(folder.path().join("trust.json")).unwrap()).unwrap();
        let mut with_stream = trust;
        with_stream["stream"] = json!(STREAM);
        let trust = Trust::from_json(with_stream.to_string().as_bytes()).unwrap();
        let mut hq =
            Self { child, address: address.unwrap(), admin: String::new(), trust, _cluster: cluster, _folder: folder };
        let sign_in = |staff: &str, password: &str| json!({ "staff": staff, "password": password });
        hq.admin =
            hq.ask("POST", "/v1/sessions", &[], &sign_in("admin", &password))["token"].as_str().unwrap().to_owned();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cleanmatex");
        let files: serde_json::Map<String, Value> = leasehold::read_directory(&root)
            .unwrap()
            .into_iter()
            .map(|file| (file.name.to_string(), serde_json::from_slice(&file.bytes).unwrap()))
            .collect();
        hq.ask("POST", "/v1/definitions", &[], &json!({ "files": files }));
        let ben = json!({ "id": "ben", "role": "tech_admin", "password": "a long password" });
        hq.ask("POST", "/v1/staff", &[], &ben);
        let ben = hq.ask("POST", "/v1/sessions", &[], &sign_in("ben", "a long password"))["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let proposal = hq.ask("POST", "/v1/proposals", &[], &json!({ "title": "First" }));
        let (id, admin) = (proposal["id"].clone(), std::mem::replace(&mut hq.admin, ben));
        hq.ask("POST", &format!("/v1/proposals/{id}/approve"), &[], &json!({ "binding": proposal["binding"] }));
        hq.ask("POST", &format!("/v1/proposals/{id}/publish"), &[], &json!({}));
        hq.admin = admin;
        hq
    }

    /// Asks as the administrator.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let mut stream = StdTcpStream::connect(self.address).unwrap();
        let body = body.to_string();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: hq\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.admin.is_empty() {
            head.push_str(&format!("authorization: Bearer {}\r\n", self.admin));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {text}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    fn token(&self, scopes: &[&str], bounds: Value) -> String {
        let mut new = json!({ "name": "bench", "scopes": scopes });
        for (name, value) in bounds.as_object().unwrap() {
            new[name] = value.clone();
        }
        self.ask("POST", "/v1/tokens", &[], &new)["secret"].as_str().unwrap().to_owned()
    }

    /// Changes a tenant, and gives the revision.
    fn publish(&self, number: u64) -> u64 {
        let plan = if number.is_multiple_of(2) { "growth" } else { "starter" };
        let phase = json!({ "kind": "paid", "plan": plan, "from": "2026-09-11T20:00:00Z" });
        let path = format!("/v1/tenants/{TENANT}/subscriptions/2-starter");
        self.ask("PUT", &path, &[], &phase)["revision"].as_u64().unwrap()
    }

    /// Memory that the server holds, in MiB.
    fn memory_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

/// A row of the table that `cargo xtask bench` prints.
fn row(id: &str, what: &str, ours: f64, theirs: Option<f64>, unit: &str) {
    let peer = theirs.map(|_| "a bare axum handler");
    let row = json!({
        "id": id, "runtime": "rust", "what": what, "ours": ours, "peer": peer, "peer_version": peer.map(|_| "0.8"),
        "theirs": theirs, "ratio": theirs.map(|theirs| theirs / ours), "unit": unit,
    });
    if let Some(path) = std::env::var_os("LEASEHOLD_BENCH_ROWS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{row}").unwrap();
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Hears of heads, verifies each, and tells which revision it had when. A gap in what its stream has is told as an error.
async fn hear(address: SocketAddr, token: Arc<str>, trust: Trust, seen: mpsc::UnboundedSender<(u64, Instant)>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = BufReader::with_capacity(4096, stream);
    let request = format!("GET /v1/snapshots/events HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).await.unwrap();
    let mut mark = None::<leasehold::wire::Mark>;
    let mut line = String::new();
    let mut is_head = false;
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(name) = line.strip_prefix("event: ") {
            is_head = name.trim() == "head";
        } else if let Some(data) = line.strip_prefix("data: ").filter(|_| is_head) {
            let data: Value = serde_json::from_str(data).unwrap();
            let head = trust.head(data["document"].as_str().unwrap().as_bytes()).unwrap();
            if let Some(mark) = &mark {
                mark.admit(&head).unwrap();
            }
            mark = Some(head.mark());
            if seen.send((head.head().revision.get(), Instant::now())).is_err() {
                return;
            }
        }
    }
}

/// How fast changes reach followers that verify heads, and engines that apply them.
async fn followers(hq: &Hq, count: u64, publications: u64) {
    let token: Arc<str> = hq.token(&["snapshots:read", "engines:report"], json!({ "region": STREAM })).into();
    let idle = hq.memory_mib();
    let (seen, mut told) = mpsc::unbounded_channel();
    for _ in 0..count {
        tokio::spawn(hear(hq.address, token.clone(), hq.trust.clone(), seen.clone()));
    }
    let mut connected = 0;
    while connected < count {
        told.recv().await.unwrap();
        connected += 1;
    }
    let base = format!("http://{}", hq.address);
    let engines: Vec<Arc<HttpFollowing>> = (0..4)
        .map(|n| {
            let follower = Follower::of_engine(hq.trust.clone(), format!("engine-{n}").parse().unwrap());
            let options = HttpOptions::new(&base, &*token).unwrap();
            Arc::new(HttpFollowing::start(follower, options, Keep::default()).unwrap())
        })
        .collect();
    let (mut verified, mut applied, mut written, mut most) = (Vec::new(), Vec::new(), Vec::new(), idle);
    for number in 0..publications {
        let (began, revision) = tokio::task::block_in_place(|| {
            let began = Instant::now();
            (began, hq.publish(number))
        });
        written.push(began.elapsed());
        let waiting: Vec<_> = engines
            .iter()
            .cloned()
            .map(|engine| {
                tokio::task::spawn_blocking(move || {
                    engine.following().wait_for(Revision::new(revision).unwrap(), Duration::from_secs(30)).unwrap();
                    Instant::now()
                })
            })
            .collect();
        let mut have = 0;
        while have < count {
            let (heard, at) = told.recv().await.unwrap();
            if heard == revision {
                verified.push(at.duration_since(began));
                have += 1;
            }
        }
        for one in waiting {
            applied.push(one.await.unwrap().duration_since(began));
        }
        most = most.max(hq.memory_mib());
    }
    println!(
        "\n{count} followers that verify every head, and 4 engines; {publications} publications, from the request to change a tenant:"
    );
    for (what, mut times) in [("answered", written), ("verified", verified), ("applied", applied)] {
        times.sort_unstable();
        println!(
            "  {what:9} p50 {:8.1} ms   p99 {:8.1} ms   max {:8.1} ms",
            ms(percentile(&times, 50)),
            ms(percentile(&times, 99)),
            ms(times[times.len() - 1])
        );
        let p99 = percentile(&times, 99).as_nanos() as f64;
        row(&format!("hq.{what}.p99"), &format!("a tenant's change, until {what}; {count} followers"), p99, None, "ns");
    }
    row(
        "hq.followers.memory",
        &format!("memory above idle with {count} followers"),
        (most - idle) * 1048576.0,
        None,
        "bytes",
    );
    println!("  memory    {idle:.1} MiB idle, {most:.1} MiB at most: {:.1} MiB above", most - idle);
}

/// A publication every second: no growth, no gap, every engine at the last revision.
async fn soak(hq: &Hq, seconds: u64) {
    let token: Arc<str> = hq.token(&["snapshots:read", "engines:report"], json!({ "region": STREAM })).into();
    let (seen, mut told) = mpsc::unbounded_channel();
    for _ in 0..100 {
        tokio::spawn(hear(hq.address, token.clone(), hq.trust.clone(), seen.clone()));
    }
    let base = format!("http://{}", hq.address);
    let engines: Vec<HttpFollowing> = (0..4)
        .map(|n| {
            let follower = Follower::of_engine(hq.trust.clone(), format!("soak-{n}").parse().unwrap());
            HttpFollowing::start(follower, HttpOptions::new(&base, &*token).unwrap(), Keep::default()).unwrap()
        })
        .collect();
    let counted = Arc::new(AtomicU64::new(0));
    let counter = counted.clone();
    tokio::spawn(async move {
        while told.recv().await.is_some() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (mut last, mut memory) = (0, Vec::new());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    for number in 0..seconds {
        tick.tick().await;
        let revision = tokio::task::block_in_place(|| hq.publish(number));
        assert!(last == 0 || revision == last + 1, "revision {revision} after {last}");
        last = revision;
        memory.push(hq.memory_mib());
        if number % 60 == 0 {
            println!("  {number:4} s: revision {revision}, {:.1} MiB", hq.memory_mib());
        }
    }
    for engine in &engines {
        engine.following().wait_for(Revision::new(last).unwrap(), Duration::from_secs(30)).unwrap();
    }
    let of = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let third = memory.len() / 3;
    let (middle, end) = (of(&memory[third..2 * third]), of(&memory[2 * third..]));
    // What allocators take and give back comes and goes.
    assert!(end < middle + 8.0, "it grows: {middle:.1} MiB in the second third, {end:.1} MiB in the last");
    println!(
        "\nsoak of {seconds} s: {seconds} publications without a gap, 4 engines at revision {last}; 100 followers heard {} heads; \
         memory {:.1} MiB in the second third, {:.1} MiB in the last",
        counted.load(Ordering::Relaxed),
        middle,
        end
    );
}

/// A bare handler that returns the bytes of a file; and 304 to whom names its ETag.
async fn bare(file: &Path) {
    use axum::http::{HeaderMap, StatusCode, header};
    use axum::response::IntoResponse;
    let bytes = axum::body::Bytes::from(std::fs::read(file).unwrap());
    let answer = move |headers: HeaderMap| async move {
        if headers.get(header::IF_NONE_MATCH).is_some_and(|etag| etag == "\"same\"") {
            return (StatusCode::NOT_MODIFIED, [(header::ETAG, "\"same\"")]).into_response();
        }
        ([(header::ETAG, "\"same\"")], bytes).into_response()
    };
    let router = axum::Router::new().route("/", axum::routing::any(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// What a load came to.
struct Load {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// Has `wrk` send the same request over 16 connections, one after the other on each, for so long.
fn load(address: SocketAddr, request: &str, status: &str, during: Duration) -> Load {
    assert!(told(address, request).starts_with(&format!("HTTP/1.1 {status}")), "{request}");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap(), first.next().unwrap());
    let mut script = format!("wrk.method = {method:?}\nwrk.body = {body:?}\n");
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if !matches!(name, "host" | "content-length") {
            script.push_str(&format!("wrk.headers[{name:?}] = {value:?}\n"));
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let ran = Command::new("wrk")
        .args(["-t1", "-c16", "--latency", &format!("-d{}s", during.as_secs().max(1)), "-s"])
        .arg(file.path())
        .arg(format!("http://{address}{path}"))
        .output()
        .expect("Debian's `wrk` is installed");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let after = |what: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap_or_else(|| panic!("{said}"));
        line.trim().to_owned()
    };
    assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let time = |text: String| {
        let at = text.find(|char: char| char.is_ascii_alphabetic()).unwrap();
        let unit = match &text[at..] {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            other => panic!("{other}"),
        };
        Duration::from_secs_f64(text[..at].parse::<f64>().unwrap() * unit)
    };
    Load { per_second: after("Requests/sec:").parse().unwrap(), p50: time(after("50%")), p99: time(after("99%")) }
}

/// One answer in full: its body, and its ETag.
fn once(address: SocketAddr, request: &str) -> (Vec<u8>, String) {
    let answer = told(address, request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default().to_owned();
    (body.as_bytes().to_vec(), etag)
}

/// What is answered to a request, in full.
fn told(address: SocketAddr, request: &str) -> String {
    let mut stream = StdTcpStream::connect(address).unwrap();
    stream.write_all(request.replacen("host: hq\r\n", "host: hq\r\nconnection: close\r\n", 1).as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn answers(hq: &Hq, during: Duration) {
    let own = hq.token(&["slices:read", "flags:evaluate"], json!({ "tenant": "om-muscat-sparkle" }));
    let region = hq.token(&["snapshots:read"], json!({ "region": STREAM }));
    let get = |path: &str, token: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {token}\r\n{more}\r\n")
    };
    let post = |path: &str, token: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let slice = get("/v1/tenants/om-muscat-sparkle/slice", &own, "");
    // Heads certify the server's slice key a moment after it started.
    let began = Instant::now();
    while std::panic::catch_unwind(|| once(hq.address, &slice)).is_err() && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(200));
    }
    let head = get("/v1/snapshots/head", &region, "");
    let (_, etag) = once(hq.address, &head);
    let polled = get("/v1/snapshots/head", &region, &format!("if-none-match: {etag}\r\n"));
    let flag = post("/ofrep/v1/evaluate/flags/delivery", &own, "{\"context\":{}}");
    println!("\nanswers over 16 connections, beside a bare axum handler that returns the same bytes:");
    for (what, path, request, status) in [
        ("slice", "/v1/tenants/{tenant}/slice", &slice, "200"),
        ("OFREP flag", "/ofrep/v1/evaluate/flags/{key}", &flag, "200"),
        ("head", "/v1/snapshots/head", &head, "200"),
        ("head, 304", "/v1/snapshots/head", &polled, "304"),
    ] {
        let (body, _) = once(hq.address, if status == "304" { &head } else { request });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &body).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("bare")
            .arg(file.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        StdBufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address: SocketAddr = line.trim().parse().unwrap();
        // The same headers go to both, so that both read as much.
        let bare = request.replacen(request.split(' ').nth(1).unwrap(), "/", 1);
        let bare = if status == "304" { bare.replace(&etag, "\"same\"") } else { bare };
        // In turns, so that what else the machine does is shared.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            ours.push(load(hq.address, request, status, during / 3));
            theirs.push(load(address, &bare, status, during / 3));
        }
        let _ = child.kill();
        let _ = child.wait();
        let median = |loads: &mut Vec<Load>| {
            loads.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
            loads.swap_remove(1)
        };
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        println!(
            "  {what:10} {:7} B  {:8.0}/s beside {:8.0}/s = {:.2}x the time   p50 {:.2} beside {:.2} ms   p99 {:.2} beside {:.2} ms   {path}",
            body.len(),
            ours.per_second,
            theirs.per_second,
            theirs.per_second / ours.per_second,
            ms(ours.p50),
            ms(theirs.p50),
            ms(ours.p99),
            ms(theirs.p99),
        );
        let id = format!("hq.{}", what.to_lowercase().replace(", ", ".").replace(' ', "."));
        row(
            &id,
            &format!("{what}, per answer over 16 connections"),
            1e9 / ours.per_second,
            Some(1e9 / theirs.per_second),
            "ns",
        );
    }
}
