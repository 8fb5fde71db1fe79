//! A service that follows HQ, and is asked in lines of JSON. Each line is answered with one that has its `id`:
//!
//! ```text
//! $ cargo run -p leasehold --features http --example follow_hq
//! {"id": 1, "call": "follow", "url": "http://127.0.0.1:8750", "token": "…", "trust": "…", "engine_id": "checkout-1"}
//! {"id": 2, "call": "wait", "revision": 7, "timeout_ms": 60000}
//! {"id": 3, "call": "ask", "questions": [{"call": "is_enabled", "tenant": "t", "feature": "f", "now": 1790000000000}]}
//! {"id": 4, "call": "health"}
//! ```
//!
//! The system test in `tests/e2e` asks it what it asks the services in other languages.
#![expect(clippy::print_stdout, reason = "it answers on standard output")]
#![expect(clippy::indexing_slicing, reason = "of JSON, what is not there is null")]

use leasehold::follow::{Follower, Settings};
use leasehold::model::Action;
use leasehold::wire::Trust;
use leasehold::workflow::{Context, JsonInputs};
use leasehold::{Engine, Hearing, HttpFollowing, HttpOptions, HttpPatience, Keep, Revision, Timestamp};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::io::stdin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut following = None;
    for line in stdin().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        if request["call"] == "follow" {
            let started = follow(&request).map(|started| following = Some(Arc::new(started)));
            say(&request, started.map(|()| json!({})));
            continue;
        }
        let following = following.clone().ok_or("`follow` comes first")?;
        // A wait is answered when it is over; other questions are, meanwhile.
        if request["call"] == "wait" {
            thread::spawn(move || say(&request, wait(&following, &request)));
        } else {
            say(&request, answer(&following, &request));
        }
    }
    Ok(())
}

fn say(request: &Value, answer: Result<Value>) {
    let mut said = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
    said["id"] = request["id"].clone();
    println!("{said}");
}

fn follow(request: &Value) -> Result<HttpFollowing> {
    let ms = |key: &str, otherwise: u64| request[key].as_u64().unwrap_or(otherwise);
    let (settings, patience) = (Settings::default(), HttpPatience::default());
    let settings = Settings {
        poll_ms: ms("poll_ms", settings.poll_ms),
        backoff_min_ms: ms("backoff_min_ms", settings.backoff_min_ms),
        backoff_max_ms: ms("backoff_max_ms", settings.backoff_max_ms),
        ..settings
    };
    let patience = HttpPatience {
        answer_ms: ms("answer_ms", patience.answer_ms),
        silence_ms: ms("silence_ms", patience.silence_ms),
        pause_min_ms: ms("pause_min_ms", patience.pause_min_ms),
        pause_max_ms: ms("pause_max_ms", patience.pause_max_ms),
        ..patience
    };
    let trust = Trust::from_json(text(request, "trust")?.as_bytes())?;
    let follower = Follower::of_engine(trust, text(request, "engine_id")?.parse()?).with_settings(settings);
    let options = HttpOptions::new(text(request, "url")?, text(request, "token")?)?.with_patience(patience);
    Ok(HttpFollowing::start(follower, options, Keep::default())?)
}

fn wait(following: &HttpFollowing, request: &Value) -> Result<Value> {
    let wanted = request["revision"].as_u64().and_then(Revision::new).ok_or("`revision` is none")?;
    let timeout = Duration::from_millis(request["timeout_ms"].as_u64().unwrap_or(10_000));
    Ok(json!({ "revision": following.following().wait_for(wanted, timeout)? }))
}

fn answer(following: &HttpFollowing, request: &Value) -> Result<Value> {
    match text(request, "call")? {
        "ask" => {
            let questions = request["questions"].as_array().ok_or("`questions` are none")?;
            loop {
                let (engine, revision) = (following.engine(), revision(following));
                let answers = questions.iter().map(|question| ask(engine, question)).collect::<Result<Vec<_>>>()?;
                // Another snapshot came meanwhile: all answers are to be of one.
                if revision == self::revision(following) {
                    return Ok(json!({ "revision": revision, "answers": answers }));
                }
            }
        }
        "health" => {
            let told = following.hearing() == Hearing::Told;
            Ok(json!({ "health": following.following().health(), "told": told }))
        }
        other => Err(format!("there is no call `{other}`").into()),
    }
}

fn revision(following: &HttpFollowing) -> Revision {
    following.engine().pin().stamp().revision
}

/// The answer to a question; an error of the engine's is one too.
fn ask(engine: &Engine, question: &Value) -> Result<Value> {
    let (call, tenant) = (text(question, "call")?, text(question, "tenant")?);
    let now = question["now"].as_i64().map(Timestamp::from_ms).transpose()?;
    let (now, feature) = (|| now.ok_or("`now` is no instant"), || text(question, "feature"));
    let action = if question["action"] == "read" { Action::Read } else { Action::Use };
    let answer = match call {
        "is_enabled" => engine.is_enabled_for(tenant, feature()?, action, now()?).map(Value::Bool),
        "value" => engine.value(tenant, feature()?, now()?).map(|value| json!(value)),
        "check_limit" => {
            let amount = |key: &str| question[key].as_i64().ok_or("no amount");
            let (used, requested) = (amount("used")?, amount("requested")?);
            engine.check_limit(tenant, feature()?, used, requested, now()?).map(|answer| json!(answer))
        }
        "explain" => engine.explain(tenant, feature()?, action, now()?).map(|answer| json!(answer)),
        "entitlements" => engine.entitlements(tenant, now()?).map(|answer| json!(answer)),
        "transitions" => transitions(engine, tenant, question)?,
        other => return Err(format!("there is no question `{other}`").into()),
    };
    Ok(answer.unwrap_or_else(|error| json!({ "error": error.code() })))
}

fn transitions(
    engine: &Engine,
    tenant: &str,
    question: &Value,
) -> Result<std::result::Result<Value, leasehold::Error>> {
    let nothing = Map::new();
    let given = JsonInputs::new(question["inputs"].as_object().unwrap_or(&nothing));
    let roles: Vec<&str> = question["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let context = Context { inputs: &given.inputs(), roles: &roles };
    let (workflow, stage) = (text(question, "workflow")?, text(question, "stage")?);
    let machine = engine.machine(tenant, workflow, question["category"].as_str());
    Ok(machine.and_then(|machine| machine.transitions(stage, &context).map(|answers| json!(answers))))
}

fn text<'r>(request: &'r Value, key: &str) -> Result<&'r str> {
    request[key].as_str().ok_or_else(|| format!("`{key}` is no text").into())
}
