//! What a server tells of itself: logs, traces, metrics; and that no secret is in any of it.

use crate::database::Desk;
use crate::run::program;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use ureq::http::Response;
use ureq::{Agent, Body};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const OK: &str = "200 OK";

/// Takes what is sent to an OTLP collector, which answers with this status and head; gives its address, and the paths and
/// bodies.
fn collector(answer: &str) -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tell, answer) = (tell.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                loop {
                    let (mut first, mut length) = (String::new(), 0);
                    if stream.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    loop {
                        let mut line = String::new();
                        stream.read_line(&mut line).unwrap();
                        if line.trim().is_empty() {
                            break;
                        }
                        if let Some((name, value)) = line.split_once(':')
                            && name.eq_ignore_ascii_case("content-length")
                        {
                            length = value.trim().parse().unwrap();
                        }
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).unwrap();
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    if tell.send((path, body)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, told)
}

/// A server that runs, and all that it says.
struct Serving {
    child: Child,
    address: String,
    /// The first administrator's password.
    password: String,
    log: Vec<String>,
    said: Receiver<String>,
    agent: Agent,
}

impl Serving {
    fn start(desk: &Desk, database: &str, collector: &str) -> Self {
        let mut child = program()
            .arg("serve")
            .current_dir(desk.folder.path())
            .env("DATABASE_URL", database)
            .env("LEASEHOLD_TRUST", "trust.json")
            .env("LEASEHOLD_FLEET_KEY", "fleet.key")
            .env("LEASEHOLD_CERTIFICATE", "fleet.cert")
            .env("LEASEHOLD_LISTEN", "127.0.0.1:0")
            .env("LEASEHOLD_LOG", "trace")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .env("NO_PROXY", "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = mpsc::channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut log = Vec::new();
        let address = loop {
            let line = said.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {log:?}"));
            let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            log.push(line);
            if told["message"] == "serving" {
                break told["address"].as_str().unwrap().to_owned();
            }
        };
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let password = out.find_map(|line| line.trim().strip_prefix("password  ").map(str::to_owned)).unwrap();
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
        Self { child, address, password, log, said, agent: config.build().into() }
    }

    fn get(&self, path: &str, token: &str) -> Response<Body> {
        let request = self.agent.get(format!("http://{}{path}", self.address));
        request.header("authorization", format!("Bearer {token}")).call().unwrap()
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Response<Body> {
        let request = self.agent.post(format!("http://{}{path}", self.address));
        let request = request.header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        request.send(body.to_string()).unwrap()
    }

    fn sign_in(&self, password: &str) -> (u16, Value) {
        let body = json!({ "staff": "admin", "password": password }).to_string();
        let request = self.agent.post(format!("http://{}/v1/sessions", self.address));
        let mut response = request.header("content-type", "application/json").send(body).unwrap();
        (response.status().as_u16(), read(&mut response))
    }

    /// Ends it as an operator would; gives all that it ever logged.
    fn stop(mut self) -> Vec<String> {
        let ended = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(ended.unwrap().success() && self.child.wait().unwrap().success());
        self.log.extend(self.said.iter());
        self.log
    }
}

fn read(response: &mut Response<Body>) -> Value {
    let text = response.body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A login of the server that has a password.
async fn login(desk: &Desk, password: &str) -> String {
    let mut connection = desk.connection().await;
    let role = format!("telling_{}", std::process::id());
    let created =
        format!("CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE leasehold_hq, leasehold_app, leasehold_engine");
    sqlx::raw_sql(sqlx::AssertSqlSafe(created)).execute(&mut connection).await.unwrap();
    let (_, server) = desk.url.split_once('@').unwrap();
    format!("postgresql://{role}:{password}@{server}")
}

#[tokio::test]
async fn it_tells_what_goes_on_and_no_secret() {
    let desk = Desk::published("telling").await;
    let database_password = "tr0ub4dor-database";
    let database = login(&desk, database_password).await;
    let (collector, exported) = collector(OK);
    let serving = Serving::start(&desk, &database, &collector);

    // Signing in, rightly and wrongly, and what comes of it.
    let wrong = "wr0ng-horse-battery";
    assert_eq!(serving.sign_in(wrong).0, 401);
    let (status, signed_in) = serving.sign_in(&serving.password);
    assert_eq!(status, 201, "{signed_in}");
    let session = signed_in["token"].as_str().unwrap().to_owned();
    let staff_password = "c0rrect-horse-battery";
    let member = json!({ "id": "canary-ben", "role": "auditor", "password": staff_password });
    let mut added = serving.post("/v1/staff", &session, &member);
    assert_eq!(added.headers()["trace-id"], TRACE);
    assert_eq!(added.status(), 201, "{}", read(&mut added));
    let token = json!({ "name": "scraper", "scopes": ["metrics:read"] });
    let token = read(&mut serving.post("/v1/tokens", &session, &token))["secret"].as_str().unwrap().to_owned();

    // The same trace in the audit log, the traces and the logs.
    let audit = read(&mut serving.get("/v1/audit", &session));
    let entries = audit["items"].as_array().unwrap().iter();
    let of_trace: Vec<&str> =
        entries.filter(|entry| entry["trace_id"] == TRACE).map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(of_trace.len(), 2, "{audit}");
    let mut asked = serving.get("/v1/tenants/om-muscat-sparkle/entitlements", &session);
    assert_eq!(asked.status(), 200, "{}", read(&mut asked));
    let own_trace = asked.headers()["trace-id"].to_str().unwrap().to_owned();
    assert!(own_trace.len() == 32 && own_trace != TRACE, "{own_trace}");
    let trace_bytes = |text: &str| u128::from_str_radix(text, 16).unwrap().to_be_bytes();
    let (mut sent, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while ![TRACE, &own_trace].iter().all(|trace| holds(&sent, &trace_bytes(trace))) {
        let (path, body) = exported.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap();
        assert_eq!(path, "/v1/traces");
        sent.extend(body);
    }
    for expected in
        ["leasehold-hq", "service.version", "GET /v1/tenants/{tenant}/entitlements", "om-muscat-sparkle", "caller"]
    {
        assert!(holds(&sent, expected.as_bytes()), "{expected}");
    }
    assert!(!holds(&sent, b"/healthz"));

    for page in ["/openapi.json", "/docs", "/docs/", "/docs/index.html", "/docs/swagger-ui.css"] {
        assert!(!serving.get(page, "").status().is_client_error(), "{page}");
    }

    // Metrics are for whoever may read them, and have tenants' numbers as soon as they are counted.
    assert_eq!(serving.get("/metrics", "").status(), 401);
    let metrics = loop {
        let text = serving.get("/metrics", &token).body_mut().read_to_string().unwrap();
        let has = |line: &str| text.lines().any(|known| known.starts_with(line));
        if has("saas_plan_distribution{plan=\"growth\"}") && has("leasehold_database_up 1") {
            break text;
        }
        assert!(Instant::now() < deadline + PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    };
    for name in [
        "saas_active_tenants",
        "saas_limit_breaches_total",
        "saas_catalog_sync_errors_total",
        "leasehold_http_requests_total{method=\"POST\",route=\"/v1/sessions\",status=\"401\"} 1",
        "leasehold_http_request_duration_seconds_bucket{le=\"0.3\",route=\"/v1/sessions\"}",
        "leasehold_publisher 1",
        "leasehold_head_revision{stream=\"GCC-OM\"} 1",
        "leasehold_tenants{stream=\"GCC-OM\",status=\"trial\"}",
        "leasehold_database_connections_max",
        "process_resident_memory_bytes",
        "leasehold_build_info{version=",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name}\n{metrics}");
    }
    assert!(!metrics.contains("sparkle"), "no metric names a tenant");
    assert!(!metrics.contains("route=\"none\""), "a page that is served is no route of HQ's\n{metrics}");

    let fleet_key: Value = serde_json::from_str(&desk.read("fleet.key")).unwrap();
    let bits = |secret: &str| secret.rsplit('_').next().unwrap().to_owned();
    let administrator = serving.password.clone();
    let log = serving.stop();
    let told: Vec<Value> =
        log.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    assert!(told.iter().any(|told| told["target"] == "sqlx::query"), "statements are logged at this level");
    for trace in [TRACE, &own_trace] {
        assert!(told.iter().any(|told| told["span"]["trace_id"] == trace), "{trace}");
    }
    let asked =
        told.iter().find(|told| told["span"]["trace_id"] == own_trace.as_str() && told["message"] == "answered");
    let span = &asked.unwrap()["span"];
    assert_eq!((&span["tenant"], &span["caller"]), (&json!("om-muscat-sparkle"), &json!("admin")), "{span}");
    let log = log.join("\n");
    for (what, secret) in [
        ("the database's password", database_password),
        ("the administrator's password", &administrator),
        ("a wrong password", wrong),
        ("a member's password", staff_password),
        ("a value that was bound", "canary-ben"),
        ("a session", &bits(&session)),
        ("a token", &bits(&token)),
        ("the fleet key", fleet_key["secret"].as_str().unwrap()),
    ] {
        assert!(!log.contains(secret), "{what} is logged");
        assert!(!holds(&sent, secret.as_bytes()), "{what} is sent");
    }
}

/// A collector that is not there costs a line in the log.
#[tokio::test]
async fn a_collector_that_is_down_costs_a_warning() {
    let desk = Desk::published("down").await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let serving = Serving::start(&desk, &desk.url, &format!("http://{nobody}"));
    let (status, signed_in) = serving.sign_in(&serving.password);
    assert_eq!(status, 201, "{signed_in}");
    let began = Instant::now();
    let log = serving.stop();
    assert!(began.elapsed() < PATIENCE);
    let warnings = log.iter().filter(|line| line.contains("traces cannot be sent")).count();
    assert_eq!(warnings, 1, "{log:#?}");
}

/// A collector that sends traces elsewhere is not followed there.
#[tokio::test]
async fn a_collector_that_redirects_is_not_followed() {
    let desk = Desk::published("elsewhere").await;
    let (elsewhere, followed) = collector(OK);
    let (collector, asked) = collector(&format!("302 Found\r\nLocation: {elsewhere}/v1/traces"));
    let serving = Serving::start(&desk, &desk.url, &collector);
    let (status, signed_in) = serving.sign_in(&serving.password);
    assert_eq!(status, 201, "{signed_in}");
    let log = serving.stop();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().0, "/v1/traces");
    assert!(followed.try_recv().is_err(), "nothing is sent elsewhere");
    let warnings = log.iter().filter(|line| line.contains("the collector answers 302")).count();
    assert_eq!(warnings, 1, "{log:#?}");
}
