//! `cargo xtask mutants`: is there a test that fails for every change of the code that decides?
//!
//! The mutants are those that cargo-mutants lists. It builds the crate anew for each of thousands; here all of them are woven
//! into one build, and a variable of the environment says which is active. A first run notes which mutants each test comes
//! upon, and only those tests are asked for a mutant, the quick ones first.

mod list;
mod run;
mod weave;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::suites::Outcome;
use crate::table::{Align, Table};
use crate::tool::Tool;
use crate::workspace::Metadata;
use crate::{Result, process, workspace};
use list::Mutant;
use run::{Fate, Tests};

/// The package whose code is mutated, and by whose tests.
const PACKAGE: &str = "leasehold";
/// Below the root.
const FOLDER: &str = "crates/core";
/// What is mutated unless other parts are named.
const PARTS: [&str; 5] = ["compile", "decide", "follow", "snapshot", "workflow"];
/// Survivors that are known, each with its reason; below the root.
const KNOWN: &str = "crates/core/mutants.txt";

#[derive(Debug, Args)]
#[command(after_help = "Exits with 1 when a mutant survives that `crates/core/mutants.txt` does not name.")]
pub(crate) struct Options {
    /// Parts of the engine to mutate: modules of `crates/core/src`.
    #[arg(value_name = "PART", default_values = PARTS)]
    parts: Vec<String>,
    /// Only mutants in whose line this text occurs; may be given several times.
    #[arg(long, value_name = "TEXT")]
    matching: Vec<String>,
    /// Only those that survived the last run, and are not known.
    #[arg(long)]
    again: bool,
    /// Only those that `crates/core/mutants.txt` names, to see whether they survive still.
    #[arg(long, conflicts_with = "again")]
    known: bool,
    /// Only every N-th mutant, from the K-th on, counted from 0: N machines share the work.
    #[arg(long, value_name = "K/N", value_parser = Shard::read)]
    shard: Option<Shard>,
    /// Ask only tests that take so many seconds at most, and those that come upon most mutants: quick, but what survives may
    /// be caught by the others.
    #[arg(long, value_name = "SECONDS")]
    longest: Option<f64>,
}

/// One machine's share of the mutants.
#[derive(Debug, Clone, Copy)]
struct Shard {
    at: u32,
    of: u32,
}

impl Shard {
    fn read(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((at, of)) if at < of => Ok(Self { at, of }),
            _ => Err("a shard is K/N, with K from 0 to N - 1".to_owned()),
        }
    }

    fn has(self, mutant: &Mutant) -> bool {
        mutant.number % self.of == self.at
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    Tool::CargoMutants.ensure()?;
    Ok(if all_caught(options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries the mutants, says what became of them, and whether no stranger survived.
fn all_caught(options: &Options) -> Result<bool> {
    let place = Place { root: Metadata::read()?.target_directory()?.join("mutants") };
    let listed = list::list(PACKAGE, &options.parts.iter().map(|part| pattern(part)).collect::<Vec<_>>())?;
    println!("== {} mutants in {}", listed.len(), options.parts.join(", "));
    let mut fates = place.weave(&listed)?;
    let longest = options.longest.map_or(Duration::MAX, Duration::from_secs_f64);
    let tests = Tests::build(&place, longest, listed.len() - fates.len())?;
    let log = place.root.join("outcomes.jsonl");
    let again = if options.again { Some(run::survivors(&log)?) } else { None };
    let known = known()?;
    let is_chosen = |mutant: &&Mutant| {
        let name = unplaced(&mutant.name);
        !fates.contains_key(&mutant.number)
            && (options.matching.is_empty() || options.matching.iter().any(|text| mutant.name.contains(text.as_str())))
            && again.as_ref().is_none_or(|survivors| survivors.contains(&name) && !known.contains(&name))
            && (!options.known || known.contains(&name))
            && options.shard.is_none_or(|shard| shard.has(mutant))
    };
    let chosen: Vec<&Mutant> = listed.iter().filter(is_chosen).collect();
    println!("== {} are tried, in one build, with {} tests", chosen.len(), tests.len());
    fates.extend(tests.try_all(&chosen, &log)?);
    for name in excuse(&known, &chosen, &mut fates) {
        println!("named in vain: {name}");
    }
    Ok(report(&listed, &fates))
}

/// Survivors that are named are known. Gives the names under which mutants were tried, and none survived.
fn excuse<'n>(known: &'n BTreeSet<String>, tried: &[&Mutant], fates: &mut HashMap<u32, Fate>) -> Vec<&'n String> {
    let mut survived_under: BTreeMap<&String, bool> = BTreeMap::new();
    for mutant in tried {
        let survives = fates.get(&mutant.number).is_some_and(Fate::survives);
        if let Some(name) = known.get(&unplaced(&mutant.name)) {
            *survived_under.entry(name).or_default() |= survives;
            if survives {
                fates.insert(mutant.number, Fate::Known);
            }
        }
    }
    survived_under.into_iter().filter_map(|(name, survived)| (!survived).then_some(name)).collect()
}

/// Everything, as a suite of the gate.
pub(crate) fn suite() -> Result<Outcome> {
    let everything = Options {
        parts: PARTS.map(str::to_owned).into(),
        matching: Vec::new(),
        again: false,
        known: false,
        shard: None,
        longest: None,
    };
    if all_caught(&everything)? { Ok(Outcome::Passed) } else { Err("mutants survive".into()) }
}

/// The files of a part: one, or a folder of them.
fn pattern(part: &str) -> String {
    let file = format!("{FOLDER}/src/{part}.rs");
    if workspace::root().join(&file).is_file() { file } else { format!("{FOLDER}/src/{part}/**") }
}

/// Where the mutated copy of the workspace is, and its build.
struct Place {
    root: PathBuf,
}

impl Place {
    fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = process::cargo(arguments);
        command.current_dir(self.tree()).env("CARGO_TARGET_DIR", self.root.join("build"));
        command
    }

    /// Copies the workspace and weaves every mutant in that compiles; gives the fate of the others.
    fn weave(&self, mutants: &[Mutant]) -> Result<HashMap<u32, Fate>> {
        let mut of_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
        for mutant in mutants {
            of_file.entry(&mutant.file).or_default().push(mutant);
        }
        for file in tracked()?.lines().filter(|file| !of_file.contains_key(file)) {
            // One that was deleted is tracked until the deletion is.
            if let Ok(content) = fs::read(workspace::root().join(file)) {
                self.put(file, content)?;
            }
        }
        let mut fates = HashMap::new();
        loop {
            for (file, mutants) in &of_file {
                let left: Vec<&Mutant> =
                    mutants.iter().copied().filter(|mutant| !fates.contains_key(&mutant.number)).collect();
                let source = fs::read_to_string(workspace::root().join(file))?;
                let woven = weave::weave(&source, &left).map_err(|error| format!("{file}: {error}"))?;
                fates.extend(woven.unviable.into_iter().map(|number| (number, Fate::Unviable)));
                fates.extend(woven.left_out.into_iter().map(|number| (number, Fate::LeftOut)));
                self.put(file, woven.text.into_bytes())?;
            }
            let refused = self.refused()?;
            if refused.is_empty() {
                return Ok(fates);
            }
            println!("   {} do not compile", refused.len());
            fates.extend(refused.into_iter().map(|number| (number, Fate::Unviable)));
        }
    }

    /// Writes a file of the copy, unless it has this content: cargo looks at when it was written.
    fn put(&self, file: &str, mut content: Vec<u8>) -> Result<()> {
        if file == format!("{FOLDER}/src/lib.rs") {
            content.extend_from_slice(weave::RUNTIME.as_bytes());
        }
        let path = self.tree().join(file);
        if fs::read(&path).is_ok_and(|present| present == content) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, content)?)
    }

    /// The mutants in which the compiler finds errors. One phase of it hides another: to be asked until there are none.
    fn refused(&self) -> Result<BTreeSet<u32>> {
        let arguments = ["check", "--package", PACKAGE, "--lib", "--all-features", "--message-format=json", "--quiet"];
        let output = self.cargo(arguments).output()?;
        let mut numbers = BTreeSet::new();
        let mut others = String::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let message: Value = serde_json::from_str(line)?;
            let message = &message["message"];
            if message["level"] == "error" && message["spans"].as_array().is_some_and(|spans| !spans.is_empty()) {
                match self.blamed(message)? {
                    Some(number) => drop(numbers.insert(number)),
                    None => others.push_str(message["rendered"].as_str().unwrap_or_default()),
                }
            }
        }
        if numbers.is_empty() && !output.status.success() {
            return Err(format!("the mutated crate does not compile, by no mutant:\n{others}").into());
        }
        Ok(numbers)
    }

    /// The mutant in whose branch an error is: the innermost mark around one of its places.
    fn blamed(&self, message: &Value) -> Result<Option<u32>> {
        for span in message["spans"].as_array().into_iter().flatten() {
            let span = outermost(span);
            let (Some(file), Some(start)) = (span["file_name"].as_str(), span["byte_start"].as_u64()) else {
                continue;
            };
            let path = self.tree().join(file);
            if span["is_primary"] == true && path.is_file() {
                let text = fs::read_to_string(path)?;
                if let Some(number) = weave::mark_around(&text, usize::try_from(start)?) {
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }
}

/// Where a span of a macro's text was written.
fn outermost(span: &Value) -> &Value {
    match &span["expansion"]["span"] {
        Value::Null => span,
        call => outermost(call),
    }
}

fn tracked() -> Result<String> {
    process::read(&mut process::program("git", ["ls-files", "--cached", "--others", "--exclude-standard"]))
}

/// Says what became of the mutants, part by part, and which ones survived; whether none did.
fn report(listed: &[Mutant], fates: &HashMap<u32, Fate>) -> bool {
    let part = |mutant: &Mutant| {
        let below = mutant.file.trim_start_matches(FOLDER).trim_start_matches("/src/");
        below.split(['/', '.']).next().unwrap_or_default().to_owned()
    };
    let mut counts: BTreeMap<String, BTreeMap<&'static str, usize>> = BTreeMap::new();
    for mutant in listed {
        if let Some(fate) = fates.get(&mutant.number) {
            *counts.entry(part(mutant)).or_default().entry(fate.name()).or_default() += 1;
        }
    }
    let [caught, ran_on, missed, not_reached, known, unviable, left_out] = Fate::NAMES.map(|name| (name, Align::Right));
    let (part, mutants) = (("part", Align::Left), ("mutants", Align::Right));
    let mut table = Table::new([part, mutants, caught, ran_on, missed, not_reached, known, unviable, left_out]);
    for (part, counts) in &counts {
        let all: usize = counts.values().sum();
        let columns = Fate::NAMES.map(|name| counts.get(name).copied().unwrap_or_default().to_string());
        table.push([part.clone(), all.to_string()].into_iter().chain(columns));
    }
    println!("\n{table}");
    let survives = |mutant: &&Mutant| fates.get(&mutant.number).is_some_and(Fate::survives);
    let survivors: Vec<&Mutant> = listed.iter().filter(survives).collect();
    for mutant in &survivors {
        println!("survived: {}", mutant.name);
    }
    survivors.is_empty()
}

/// The survivors that are known, without their lines and columns.
fn known() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(workspace::root().join(KNOWN)).map_err(|error| format!("{KNOWN}: {error}"))?;
    let names = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(names.map(unplaced).collect())
}

/// A mutant's line without where in its file it is, which moves with every edit above it.
fn unplaced(name: &str) -> String {
    let mut fields = name.splitn(4, ':');
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(file), Some(line), Some(column), Some(what))
            if [line, column].iter().all(|n| n.parse::<u32>().is_ok()) =>
        {
            format!("{file}:{what}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(number: u32, what: &str) -> Mutant {
        let place = serde_json::json!({"line": 1, "column": 1});
        let mutant = serde_json::json!({
            "name": format!("lib.rs:{number}:1: {what}"), "file": "lib.rs", "genre": "FnValue", "replacement": "0",
            "span": {"start": place, "end": place},
        });
        Mutant { number, ..serde_json::from_value(mutant).unwrap() }
    }

    #[test]
    fn a_mutant_is_known_wherever_its_line_has_moved_to() {
        let name = "crates/core/src/hash.rs:12:5: replace a::b -> u8 with 0";
        assert_eq!(unplaced(name), "crates/core/src/hash.rs: replace a::b -> u8 with 0");
        assert_eq!(unplaced(&unplaced(name)), unplaced(name));
    }

    #[test]
    fn a_survivor_is_known_by_name_and_what_is_caught_is_named_in_vain() {
        let tried = [mutant(1, "twice"), mutant(2, "twice"), mutant(3, "caught"), mutant(4, "strange")];
        let caught = || Fate::Caught("a test".into());
        let mut fates = HashMap::from([(1, caught()), (2, Fate::Missed), (3, caught()), (4, Fate::NotReached)]);
        let known = ["twice", "caught", "elsewhere"].map(|what| format!("lib.rs: {what}")).into();
        assert_eq!(excuse(&known, &tried.each_ref(), &mut fates), ["lib.rs: caught"]);
        assert_eq!(fates, HashMap::from([(1, caught()), (2, Fate::Known), (3, caught()), (4, Fate::NotReached)]));
    }

    #[test]
    fn shards_share_all_mutants_among_them() {
        let shards = ["0/3", "1/3", "2/3"].map(|text| Shard::read(text).unwrap());
        for number in 0..9 {
            assert_eq!(shards.iter().filter(|shard| shard.has(&mutant(number, "one"))).count(), 1);
        }
        for wrong in ["3/3", "0/0", "-1/2", "1", "a/b", ""] {
            assert!(Shard::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_known_has_a_reason_and_is_mutated() {
        let text = fs::read_to_string(workspace::root().join(KNOWN)).unwrap();
        for group in text.split("\n\n") {
            assert!(group.starts_with("# "), "without a reason: {group}");
        }
        for name in known().unwrap() {
            let below = name.strip_prefix("crates/core/src/").unwrap();
            assert!(PARTS.iter().any(|part| below.starts_with(part)), "{name}");
            let file = name.split(':').next().unwrap();
            assert!(workspace::root().join(file).is_file(), "{name}");
        }
    }

    #[test]
    fn an_error_in_a_macro_is_where_the_macro_was_called() {
        let span = serde_json::json!({
            "file_name": "vec.rs", "expansion": { "span": { "file_name": "our.rs", "expansion": null } },
        });
        assert_eq!(outermost(&span)["file_name"], "our.rs");
    }
}
