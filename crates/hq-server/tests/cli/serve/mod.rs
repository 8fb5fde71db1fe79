//! HQ as a server: every test starts the program itself, on loopback, with a database of its own.

mod access;
mod attacks;
mod bad;
mod faults;
mod matrix;
mod whole;

use crate::database::Desk;
use crate::run::program;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, and the desk that it reads its keys from.
pub(crate) struct Served {
    pub(crate) desk: Desk,
    child: Child,
    /// What it logs.
    pub(crate) log: mpsc::Receiver<String>,
    pub(crate) base: String,
    /// The session of the first administrator.
    pub(crate) admin: String,
    pub(crate) password: String,
}

/// Another server of the same desk.
pub(crate) struct Beside {
    child: Child,
    pub(crate) base: String,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem; empty where it is none.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") != "application/problem+json" {
            return String::new();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(
            problem["type"],
            format!("urn:leasehold:problem:{}", problem["code"].as_str().unwrap()),
            "{problem}"
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty() && !problem["title"].as_str().unwrap().is_empty());
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Asks something, and gives the answer, whatever it is.
pub(crate) fn ask(base: &str, token: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(PATIENCE))
        .build();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{base}{path}"));
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = ureq::Agent::new_with_config(config).run(request.body(body).unwrap()).unwrap();
    // Events never end.
    let is_endless = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let bytes = if is_endless { Vec::new() } else { response.body_mut().read_to_vec().unwrap() };
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), bytes }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "in vain for a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The login of servers, with the rights that docs/serving.md gives it. Roles are the cluster's: tests share it.
const LOGIN: &str = "leasehold_test_server";

/// The program as a server of a desk.
pub(crate) fn serve(desk: &Desk, settings: &[(&str, &str)]) -> Command {
    let (_, server) = desk.url.split_once('@').unwrap();
    let mut command = program();
    command.arg("serve").current_dir(desk.folder.path());
    command.env("DATABASE_URL", format!("postgresql://{LOGIN}:{LOGIN}@{server}"));
    for (name, value) in [
        ("LEASEHOLD_LISTEN", "127.0.0.1:0"),
        ("LEASEHOLD_TRUST", "trust.json"),
        ("LEASEHOLD_FLEET_KEY", "fleet.key"),
        ("LEASEHOLD_CERTIFICATE", "serving.cert"),
    ] {
        command.env(name, value);
    }
    command.envs(settings.iter().copied());
    command
}

/// A desk with the schema and keys that are good now.
pub(crate) async fn desk(name: &str) -> Desk {
    ready(Desk::new(&format!("serve_{name}")).await).await
}

/// The same on a database that is there, and empty.
pub(crate) async fn desk_on(url: String) -> Desk {
    ready(Desk::at(url, None)).await
}

async fn ready(desk: Desk) -> Desk {
    desk.does("db migrate");
    desk.does("certify fleet.key.pub --root root.key --trust trust.json --out serving.cert");
    let login = format!(
        "DO $$ BEGIN
            CREATE ROLE {LOGIN} LOGIN PASSWORD '{LOGIN}' IN ROLE leasehold_hq, leasehold_app;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(login)).execute(&mut desk.connection().await).await.unwrap();
    desk
}

impl Served {
    /// Starts a server on an empty store.
    pub(crate) async fn empty(name: &str) -> Self {
        Self::start(desk(name).await, &[])
    }

    /// Starts a server, with the reference definitions in force as revision 1.
    pub(crate) async fn new(name: &str) -> Self {
        let served = Self::empty(name).await;
        served.adopt_reference();
        served
    }

    /// Starts a server of a desk, in which nobody is known yet.
    pub(crate) fn start(desk: Desk, settings: &[(&str, &str)]) -> Self {
        Self::start_with(desk, settings, &[])
    }

    /// The same behind a proxy, which says for whom it asks.
    pub(crate) fn start_behind(desk: Desk, settings: &[(&str, &str)], forwarded: &str) -> Self {
        Self::start_with(desk, settings, &[("x-forwarded-for", forwarded)])
    }

    fn start_with(desk: Desk, settings: &[(&str, &str)], headers: &[(&str, &str)]) -> Self {
        let (child, base, password, log) = start(&desk, settings);
        let password = password.unwrap();
        let sign_in = json!({ "staff": "admin", "password": password }).to_string();
        let signed_in = ask(&base, "", "POST", "/v1/sessions", headers, sign_in.as_bytes());
        assert_eq!(signed_in.status, 201, "{signed_in:?}");
        let admin = signed_in.json()["token"].as_str().unwrap().to_owned();
        Self { desk, child, log, base, admin, password }
    }

    /// Starts it again, after it was killed.
    pub(crate) fn again(&mut self, settings: &[(&str, &str)]) {
        let address = self.base.strip_prefix("http://").unwrap().to_owned();
        let settings = [settings, &[("LEASEHOLD_LISTEN", &*address)]].concat();
        let (child, base, password, log) = start(&self.desk, &settings);
        assert_eq!((&base, password), (&self.base, None), "the administrator is made once");
        (self.child, self.log) = (child, log);
    }

    /// Starts another server beside it.
    pub(crate) fn beside(&self, settings: &[(&str, &str)]) -> Beside {
        let settings = [settings, &[("LEASEHOLD_LISTEN", "127.0.0.1:0")]].concat();
        let (child, base, ..) = start(&self.desk, &settings);
        Beside { child, base }
    }

    /// Kills it, as a machine does that is switched off.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap()
    }

    pub(crate) fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(&self.base, token, method, path, &[], body.as_bytes())
    }

    /// Asks as the administrator.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(&self.base, &self.admin, method, path, headers, body.as_bytes())
    }

    /// Asks as the administrator, and gives the answer where it is the one that is expected.
    pub(crate) fn does(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
        if answer.bytes.is_empty() { Value::Null } else { answer.json() }
    }

    /// Adds somebody, and signs them in.
    pub(crate) fn staff(&self, id: &str, role: &str) -> String {
        let password = format!("a password of {id}");
        self.does(201, "POST", "/v1/staff", &json!({ "id": id, "role": role, "password": password }));
        let signed_in = self.ask_as("", "POST", "/v1/sessions", &json!({ "staff": id, "password": password }));
        assert_eq!(signed_in.status, 201, "{signed_in:?}");
        signed_in.json()["token"].as_str().unwrap().to_owned()
    }

    /// Makes a token, and gives its secret.
    pub(crate) fn token(&self, scopes: &[&str], bounds: &Value) -> String {
        let mut new = json!({ "name": "a test", "scopes": scopes });
        for (name, value) in bounds.as_object().into_iter().flatten() {
            new[name] = value.clone();
        }
        self.does(201, "POST", "/v1/tokens", &new)["secret"].as_str().unwrap().to_owned()
    }

    /// Imports the reference definitions, and puts them in force.
    pub(crate) fn adopt_reference(&self) {
        self.does(200, "POST", "/v1/definitions", &json!({ "files": reference() }));
        let ben = self.staff("ben", "tech_admin");
        self.adopt("First definitions", &ben);
    }

    /// Proposes what is authored, has somebody else approve it, and publishes it; gives the revision.
    pub(crate) fn adopt(&self, title: &str, approver: &str) -> u64 {
        let id = self.approve(title, approver);
        self.does(200, "POST", &format!("/v1/proposals/{id}/publish"), &Value::Null)["revision"].as_u64().unwrap()
    }

    /// Proposes what is authored, and has somebody else approve it; gives the proposal.
    pub(crate) fn approve(&self, title: &str, approver: &str) -> i64 {
        let proposal = self.does(201, "POST", "/v1/proposals", &json!({ "title": title }));
        let id = proposal["id"].as_i64().unwrap();
        let approval = json!({ "binding": proposal["binding"] });
        let approved = self.ask_as(approver, "POST", &format!("/v1/proposals/{id}/approve"), &approval);
        assert_eq!(approved.status, 200, "{approved:?}");
        id
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Files of the reference definitions, by name.
pub(crate) fn reference() -> Value {
    let root: PathBuf = crate::run::repository().join(crate::run::REFERENCE);
    let files = leasehold::read_directory(&root).unwrap().into_iter();
    files
        .map(|file| (file.name.to_string(), serde_json::from_slice(&file.bytes).unwrap()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Starts the program; gives where it listens, and the password of the administrator where it made one.
fn start(desk: &Desk, settings: &[(&str, &str)]) -> (Child, String, Option<String>, mpsc::Receiver<String>) {
    let mut child = serve(desk, settings).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (said, told) = mpsc::channel();
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    let err = BufReader::new(child.stderr.take().unwrap());
    let (logs, log) = mpsc::channel();
    std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| logs.send(line)));
    let mut before = Vec::new();
    let base = loop {
        let Ok(line) = log.recv_timeout(PATIENCE) else { panic!("it did not start: {before:#?}") };
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "serving" {
            break format!("http://{}", event["address"].as_str().unwrap());
        }
        // The same as lines for people have it.
        if let Some((_, address)) = line.split_once(": serving address=") {
            break format!("http://{address}");
        }
        before.push(line);
    };
    // What is printed for people comes after it listens, where there is something.
    let mut password = None;
    if settings.iter().all(|(name, _)| *name != "LEASEHOLD_LISTEN") {
        while let Ok(line) = told.recv_timeout(PATIENCE) {
            if let Some(shown) = line.trim().strip_prefix("password") {
                password = Some(shown.trim().to_owned());
                break;
            }
        }
    }
    (child, base, password, log)
}
