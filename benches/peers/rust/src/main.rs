//! Leasehold beside published crates that answer a similar question, all in one run. A row of figures per comparison, as
//! JSON: on standard output, or appended to the file that `LEASEHOLD_BENCH_ROWS` names. See README.md for what is compared.

mod measure;
mod peers;
mod world;

use std::collections::HashMap;
use std::io::Write;

use leasehold::model::Source;
use leasehold::{Engine, Feature, Outcome, Revision, Snapshot, Stamp, Timestamp};
use serde_json::{Value, json};

use crate::measure::{Ask, Effort, Figures, measure};
use crate::peers::{Asked, PEERS, Result};
use crate::world::{LIMIT, QUESTIONS_OF_ALL, Question, definitions, switches};

/// What is set beside what: the row's name and words, and who answers.
struct Comparison {
    id: &'static str,
    what: String,
    ours: &'static str,
    peer: &'static str,
    theirs: String,
}

/// Who is measured, and what is set beside what.
#[derive(Default)]
struct Contest {
    contestants: Vec<(String, Box<dyn Ask>)>,
    comparisons: Vec<Comparison>,
    /// What could not be measured, and why.
    missing: Vec<String>,
}

impl Contest {
    /// Takes in one whose every answer is right.
    fn enter(&mut self, name: &str, mut ask: Box<dyn Ask>, expected: fn(&Question) -> bool) -> Result<()> {
        for (n, question) in QUESTIONS_OF_ALL.iter().enumerate() {
            let answer = ask.answer(n);
            if answer != Some(expected(question)) {
                return Err(format!("it answers {answer:?} to {question:?}").into());
            }
        }
        self.contestants.push((name.to_owned(), ask));
        Ok(())
    }

    fn enter_ours(&mut self) -> Result<()> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let now = Timestamp::from_ms(i64::try_from(since.as_millis())?)?;
        let source = Source { name: "definitions.json".into(), bytes: serde_json::to_vec(&definitions())? };
        let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
        let engine = Engine::new(Snapshot::from_sources(&[source], stamp)?);

        let asking = engine.clone();
        let texts = move |n: usize| {
            let Question { tenant, key, .. } = &QUESTIONS_OF_ALL[n];
            asking.is_enabled(&tenant.id, *key, now).ok()
        };
        self.enter("texts", Box::new(texts), Question::is_granted)?;

        let handles = switches().map(|key| Ok((key, Feature::new(key.parse()?)))).collect::<Result<HashMap<_, _>>>()?;
        let handles: &'static _ = Box::leak(Box::new(handles));
        let asking: Vec<_> = QUESTIONS_OF_ALL
            .iter()
            .map(|question| Ok((engine.tenant(&question.tenant.id)?, &handles[question.key])))
            .collect::<Result<_>>()?;
        let handle = move |n: usize| {
            let (tenant, feature) = &asking[n];
            tenant.is_enabled(*feature, now).ok()
        };
        self.enter("handle", Box::new(handle), Question::is_granted)?;

        let limit = move |n: usize| {
            let Question { tenant, used, .. } = &QUESTIONS_OF_ALL[n];
            let answer = engine.check_limit(&tenant.id, LIMIT, *used, 1, now).ok()?;
            Some(answer.outcome == Outcome::Allow)
        };
        self.enter("limit", Box::new(limit), Question::is_within)
    }

    fn enter_peers(&mut self) {
        for (peer, load) in PEERS {
            match load() {
                Ok(asks) => {
                    for (asked, ask) in asks {
                        self.enter_peer(peer, asked, Ok(ask));
                    }
                }
                Err(error) => self.enter_peer(peer, Asked::Tenant, Err(error)),
            }
        }
    }

    fn enter_peer(&mut self, peer: &'static str, asked: Asked, ask: Result<Box<dyn Ask>>) {
        let theirs = format!("{peer} {asked:?}");
        let expected = match asked {
            Asked::Static => Question::is_statically_on,
            Asked::Tenant | Asked::Expression => Question::is_granted,
            Asked::Limit | Asked::LimitExpression => Question::is_within,
        };
        let says = match ask.and_then(|ask| self.enter(&theirs, ask, expected)) {
            Ok(()) => beside(asked).to_owned(),
            Err(error) => {
                self.missing.push(format!("{theirs}: {error}"));
                format!("the peer could not be measured: {error}")
            }
        };
        let ours: &[_] = match asked {
            Asked::Static => &[
                ("check.strings.static", "switch by tenant and key", "texts"),
                ("check.handle.static", "switch by handles of tenant and feature", "handle"),
            ],
            Asked::Tenant => &[("check.strings.tenant", "switch by tenant and key", "texts")],
            Asked::Expression => &[("check.strings.expression", "switch by tenant and key", "texts")],
            Asked::Limit => &[("limit.check.tenant", "limit check by tenant and key", "limit")],
            Asked::LimitExpression => &[("limit.check.expression", "limit check by tenant and key", "limit")],
        };
        self.comparisons.extend(ours.iter().map(|(id, what, ours)| Comparison {
            id,
            what: format!("{what}; {says}"),
            ours,
            peer,
            theirs: theirs.clone(),
        }));
    }
}

/// What is asked of a peer, in a row's words.
fn beside(asked: Asked) -> &'static str {
    match asked {
        Asked::Static => "the peer answers everybody the same",
        Asked::Tenant | Asked::Limit => "the peer has the same data",
        Asked::Expression | Asked::LimitExpression => "the peer is handed the rule and the tenant",
    }
}

/// The version of a crate that this was built with.
fn version(name: &str) -> Option<&'static str> {
    let (_, entry) = include_str!("../Cargo.lock").split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
    entry.split_once('"').map(|(version, _)| version)
}

fn row(comparison: &Comparison, figures: &HashMap<&str, Figures>) -> Value {
    let median = |name: &str| figures.get(name).map(|figures| figures.median);
    let (ours, theirs) = (median(comparison.ours), median(&comparison.theirs));
    json!({
        "id": comparison.id,
        "runtime": "rust",
        "what": comparison.what,
        "ours": ours,
        "peer": comparison.peer,
        "peer_version": version(comparison.peer),
        "theirs": theirs,
        "ratio": ours.zip(theirs).map(|(ours, theirs)| theirs / ours),
        "unit": "ns",
    })
}

fn main() -> Result<()> {
    let hurry = std::env::var("LEASEHOLD_BENCH_QUICK").is_ok_and(|value| value == "1");
    let mut contest = Contest::default();
    contest.enter_ours()?;
    contest.enter_peers();
    let figures = measure(&mut contest.contestants, if hurry { Effort::QUICK } else { Effort::FULL });

    let rows: String =
        contest.comparisons.iter().map(|comparison| format!("{}\n", row(comparison, &figures))).collect();
    match std::env::var_os("LEASEHOLD_BENCH_ROWS") {
        Some(path) => std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(rows.as_bytes())?,
        None => print!("{rows}"),
    }
    eprintln!("{:48} {:>12} {:>12}", "ns per question", "median", "least");
    let mut sorted: Vec<_> = figures.iter().collect();
    sorted.sort_by(|(_, one), (_, other)| one.median.total_cmp(&other.median));
    for (name, Figures { median, least }) in sorted {
        eprintln!("{name:48} {median:12.1} {least:12.1}");
    }
    for line in &contest.missing {
        eprintln!("missing: {line}");
    }
    Ok(())
}
