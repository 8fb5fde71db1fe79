//! `leasehold demo --hq`: HQ on a private Postgres, and an engine that follows it over HTTP.
//!
//! Everything is asked of HQ as anybody would ask it: by its interface, with tokens.

use super::carried;
use crate::context::Context;
use crate::failure::Failure;
use crate::keys::KeyKind;
use crate::report::{Exit, Report};
use crate::serve::{Config, Ready, Server};
use crate::style::Tone;
use crate::table::paragraph;
use leasehold::follow::Follower;
use leasehold::wire::{Certificate, SecretKey, Trust};
use leasehold::{HttpFollowing, HttpOptions, Keep, Revision, Timestamp};
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::schema::{self, Part};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// The tenant whose plan changes: on the smallest plan, in the Gulf.
const TENANT: &str = "ae-alain-oasis";
/// What the larger plan brings, and what is killed then.
const FEATURE: &str = "delivery";
const STREAM: &str = "GCC-OM";
/// How long the engine may take to hear of a change.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where it listens when it stays.
const STAYS_AT: &str = "127.0.0.1:8750";

/// What was told, line by line, as it happened.
struct Told<'c> {
    context: &'c Context,
    steps: Vec<Value>,
}

impl Told<'_> {
    fn step(&mut self, title: &str, text: &str, facts: Value) {
        if !self.context.json() {
            let style = self.context.style;
            let title = style.paint(Tone::Strong, &format!("{}. {title}", self.steps.len() + 1));
            Report::text(format!("\n{title}\n{}", paragraph(style, text)), Exit::Yes).print();
        }
        self.steps.push(json!({ "title": title, "text": text, "facts": facts }));
    }
}

pub(super) fn run(stay: bool, context: &Context) -> Result<Report, Failure> {
    let cluster = Cluster::start(Durability::ProcessOnly).map_err(|error| {
        Failure::wrong(error.code(), error.to_string()).hint("on Debian, `apt install postgresql` brings one")
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::internal(format!("there is no runtime: {error}")))?;
    let mut told = Told { context, steps: Vec::new() };
    let folder = tempfile::Builder::new().prefix("leasehold-demo-").tempdir();
    let folder = folder.map_err(|error| Failure::io("use", &std::env::temp_dir(), &error))?;
    let trust = keys(folder.path())?;
    let url = runtime.block_on(migrate(&cluster.url("postgres")))?;
    let server = runtime.block_on(async {
        let config = config(folder.path(), url, stay)?;
        Server::start(Ready::of(config)?).await
    })?;
    let base = format!("http://{}", server.address);
    let text = format!("A private Postgres, the schema, keys from the operating system's chance, and HQ on {base}.");
    told.step("HQ starts", &text, json!({ "address": base }));

    let admin = Desk { base: &base, token: runtime.block_on(server.session("admin"))? };
    let approver = seed(&admin, &mut told)?;
    let following = follow(&admin, &trust, &mut told)?;
    plan_change(&admin, &following, &mut told)?;
    kill(&admin, &following, &mut told)?;

    if stay {
        invite(&base, &admin.token, &approver, &folder.path().join("trust.json"), context);
        runtime.block_on(super::super::serve::stopped())?;
    }
    runtime.block_on(server.stop());
    let decided = answer(&following)?;
    let text = format!(
        "The engine goes on deciding from what it has: {FEATURE} of {TENANT} is {}.",
        if decided { "on" } else { "off" }
    );
    told.step("HQ is gone", &text, json!({ "enabled": decided }));
    drop(following);
    if context.json() {
        return Report::json(&json!({ "steps": told.steps }), Exit::Yes);
    }
    Ok(Report::text(String::new(), Exit::Yes))
}

/// Makes a root key, a fleet key and its certificate, and writes what the server reads.
fn keys(folder: &Path) -> Result<Trust, Failure> {
    let secret = || {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Failure::internal(format!("there is no chance: {error}")))?;
        Ok::<_, Failure>(SecretKey::from_seed(&seed))
    };
    let (root, fleet) = (secret()?, secret()?);
    let at = |ms: i64| Timestamp::from_ms(ms).map_err(leasehold::Error::from);
    let now = Timestamp::from(SystemTime::now()).as_ms();
    let certificate = Certificate {
        issuer: named("hq.example")?,
        environment: named("demo")?,
        epoch: 1,
        key: fleet.public(),
        valid_from: at(now - 60_000)?,
        valid_until: Some(at(now + 7 * 24 * 3_600_000)?),
    };
    let certificate = certificate.sign(&root).map_err(|error| Failure::internal(error.to_string()))?;
    let trust = json!({ "issuer": "hq.example", "environment": "demo", "stream": STREAM, "roots": [root.public()] });
    let (fleet, _) = crate::keys::to_files(KeyKind::Fleet, &fleet);
    for (name, bytes) in
        [("trust.json", trust.to_string().into_bytes()), ("fleet.key", fleet.into_bytes()), ("fleet.cert", certificate)]
    {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|error| Failure::io("write", &path, &error))?;
    }
    Trust::from_json(trust.to_string().as_bytes()).map_err(|fault| Failure::fault(&fault))
}

fn named<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::internal(format!("{error}")))
}

/// Makes the schema, and a login for the server; gives its URL.
async fn migrate(url: &str) -> Result<String, Failure> {
    let options: PgConnectOptions = url.parse().map_err(leasehold_postgres::Error::from)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(leasehold_postgres::Error::from)?;
    schema::migrate(&mut connection, Part::Hq).await?;
    let login = "CREATE ROLE leasehold_demo LOGIN IN ROLE leasehold_hq, leasehold_app";
    sqlx::raw_sql(login).execute(&mut connection).await.map_err(leasehold_postgres::Error::from)?;
    Ok(options.username("leasehold_demo").to_url_lossy().to_string())
}

fn config(folder: &Path, url: String, stay: bool) -> Result<Config, Failure> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let said = |name: &str| match name {
        "LEASEHOLD_LISTEN" => {
            Some(std::env::var(name).unwrap_or_else(|_| if stay { STAYS_AT } else { "127.0.0.1:0" }.to_owned()))
        }
        "DATABASE_URL" => Some(url.clone()),
        "LEASEHOLD_TRUST" => Some(path("trust.json")),
        "LEASEHOLD_FLEET_KEY" => Some(path("fleet.key")),
        "LEASEHOLD_CERTIFICATE" => Some(path("fleet.cert")),
        // Pages of examples ask it, too.
        "LEASEHOLD_ALLOWED_ORIGINS" => std::env::var(name).ok(),
        _ => None,
    };
    Config::read(None, said)
}

/// Somebody who asks HQ.
struct Desk<'b> {
    base: &'b str,
    token: String,
}

impl Desk<'_> {
    /// Asks for something, and gives the answer where it is one.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Value, Failure> {
        let failed = |why: String| Failure::wrong("demo_failed", format!("{method} {path}: {why}"));
        let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
        let agent = ureq::Agent::new_with_config(config.build());
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_string()).map_err(|error| failed(error.to_string()))?;
        let mut response = agent.run(request).map_err(|error| failed(error.to_string()))?;
        let text = response.body_mut().read_to_string().map_err(|error| failed(error.to_string()))?;
        if response.status().is_success() {
            return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        Err(failed(format!("{} {text}", response.status())))
    }
}

fn text_of<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Takes the reference definitions, proposes them, has somebody else approve them, and publishes them. Gives the session
/// of who approved.
fn seed(admin: &Desk<'_>, told: &mut Told<'_>) -> Result<String, Failure> {
    let files: Map<String, Value> = carried()
        .map(|(name, bytes)| ((*name).to_owned(), serde_json::from_slice(bytes).unwrap_or(Value::Null)))
        .collect();
    let imported = admin.ask("POST", "/v1/definitions", &[], &json!({ "files": files }))?;
    let password = crate::serve::first_password()?;
    let ben = json!({ "id": "ben", "role": "tech_admin", "password": password });
    admin.ask("POST", "/v1/staff", &[], &ben)?;
    let signed_in = admin.ask("POST", "/v1/sessions", &[], &json!({ "staff": "ben", "password": password }))?;
    let ben = Desk { base: admin.base, token: text_of(&signed_in, "token").to_owned() };
    let proposal = admin.ask("POST", "/v1/proposals", &[], &json!({ "title": "First definitions" }))?;
    let id = proposal.get("id").and_then(Value::as_i64).unwrap_or_default();
    let approval = json!({ "binding": proposal.get("binding") });
    ben.ask("POST", &format!("/v1/proposals/{id}/approve"), &[], &approval)?;
    let began = Instant::now();
    let published = ben.ask("POST", &format!("/v1/proposals/{id}/publish"), &[], &json!({}))?;
    let ms = began.elapsed().as_millis();
    let text = format!(
        "{} records and {} tenants of examples/cleanmatex are imported. `admin` proposes them, `ben` approves what \
         tenants gain by them, and publishes: revision {} in {ms} ms, in {} streams.",
        imported.get("records").unwrap_or(&Value::Null),
        imported.get("tenants").unwrap_or(&Value::Null),
        published.get("revision").unwrap_or(&Value::Null),
        published.get("streams").and_then(Value::as_array).map_or(0, Vec::len),
    );
    told.step("Definitions come in force", &text, json!({ "published": published, "ms": ms }));
    Ok(ben.token)
}

/// An engine in this process, as an app embeds it.
fn follow(admin: &Desk<'_>, trust: &Trust, told: &mut Told<'_>) -> Result<HttpFollowing, Failure> {
    let scopes = ["snapshots:read", "engines:report"];
    let token = json!({ "name": "checkout", "scopes": scopes, "region": STREAM });
    let created = admin.ask("POST", "/v1/tokens", &[], &token)?;
    let options = HttpOptions::new(admin.base, text_of(&created, "secret"));
    let options = options.map_err(|error| Failure::wrong(error.code(), error.to_string()))?;
    let began = Instant::now();
    let follower = Follower::of_engine(trust.clone(), named("checkout-1")?);
    let following = HttpFollowing::start(follower, options, Keep::default()).map_err(|fault| Failure::fault(&fault))?;
    let ms = began.elapsed().as_millis();
    let tenants = following.engine().pin().tenant_count();
    let text = format!(
        "An engine follows {STREAM} over HTTP with a token for that region alone: {tenants} tenants, verified and compiled \
         in {ms} ms. {FEATURE} of {TENANT} is {}.",
        if answer(&following)? { "on" } else { "off" }
    );
    told.step("An app embeds the engine", &text, json!({ "tenants": tenants, "ms": ms }));
    Ok(following)
}

fn answer(following: &HttpFollowing) -> Result<bool, Failure> {
    Ok(following.engine().is_enabled(TENANT, FEATURE, SystemTime::now().into())?)
}

/// Waits until the engine answers from a revision, and says how long after the request that was.
fn reached(following: &HttpFollowing, written: &Value, began: Instant) -> Result<(Revision, u128), Failure> {
    let revision = written.get("revision").and_then(Value::as_u64).and_then(Revision::new);
    let revision = revision.ok_or_else(|| Failure::wrong("demo_failed", format!("it is not published: {written}")))?;
    let reached = following.following().wait_for(revision, PATIENCE);
    reached.map_err(|error| Failure::wrong(error.code(), error.to_string()))?;
    Ok((revision, began.elapsed().as_millis()))
}

fn plan_change(admin: &Desk<'_>, following: &HttpFollowing, told: &mut Told<'_>) -> Result<(), Failure> {
    let from = Timestamp::from_ms(Timestamp::from(SystemTime::now()).as_ms() - 1000).map_err(leasehold::Error::from)?;
    let phase = json!({ "kind": "paid", "plan": "growth", "from": from });
    let began = Instant::now();
    let path = format!("/v1/tenants/{TENANT}/subscriptions/2-starter");
    let written = admin.ask("PUT", &path, &[("idempotency-key", "demo-upgrade")], &phase)?;
    let answered = began.elapsed().as_millis();
    let (revision, ms) = reached(following, &written, began)?;
    let enabled = answer(following)?;
    let text = format!(
        "{TENANT} moves from starter to growth: HQ answers after {answered} ms with revision {revision}, the engine has it \
         after {ms} ms. {FEATURE} is {} now.",
        if enabled { "on" } else { "off" }
    );
    told.step(
        "A plan changes",
        &text,
        json!({ "revision": revision, "answered_ms": answered, "reached_ms": ms, "enabled": enabled }),
    );
    Ok(())
}

fn kill(admin: &Desk<'_>, following: &HttpFollowing, told: &mut Told<'_>) -> Result<(), Failure> {
    let since =
        Timestamp::from_ms(Timestamp::from(SystemTime::now()).as_ms() - 1000).map_err(leasehold::Error::from)?;
    let kill = json!({ "feature": FEATURE, "since": since, "reason": "wrong fees", "actor": "admin" });
    let began = Instant::now();
    let written = admin.ask("PUT", "/v1/kills/demo", &[("if-none-match", "*")], &kill)?;
    let answered = began.elapsed().as_millis();
    let (revision, ms) = reached(following, &written, began)?;
    let enabled = answer(following)?;
    let text = format!(
        "{FEATURE} is killed for everybody, without a proposal: HQ answers after {answered} ms with revision {revision}, the \
         engine has it after {ms} ms. {FEATURE} of {TENANT} is {}.",
        if enabled { "on" } else { "off" }
    );
    told.step(
        "A kill switch",
        &text,
        json!({ "revision": revision, "answered_ms": answered, "reached_ms": ms, "enabled": enabled }),
    );
    Ok(())
}

/// What to try while it stays.
fn invite(base: &str, admin: &str, approver: &str, trust: &Path, context: &Context) {
    let (style, trust) = (context.style, trust.display());
    let title = style.paint(Tone::Strong, "It stays until Ctrl-C");
    let text = format!(
        "\n{title}\n  address   {base}   (the interface: {base}/docs)\n  admin     {admin}\n  ben       {approver}\n  trust     {trust}\n\n\
         Three things to try:\n  \
         curl -s -H 'Authorization: Bearer {admin}' {base}/v1/tenants/{TENANT}/entitlements\n  \
         curl -s -H 'Authorization: Bearer {admin}' {base}/v1/tenants/{TENANT}/features/{FEATURE}/explanation\n  \
         curl -s -H 'Authorization: Bearer {admin}' {base}/v1/fleet\n"
    );
    Report::text(text, Exit::Yes).print();
}
