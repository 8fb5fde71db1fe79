//! The tests of the mutated build: which mutants each comes upon, and which ones it catches.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::list::Mutant;
use super::{FOLDER, PACKAGE, Place, unplaced};
use crate::{Result, process};

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// A test failed.
    Caught(String),
    /// A test did not end.
    RanOn(String),
    /// Every test that comes upon it passed.
    Missed,
    /// No test comes upon it.
    NotReached,
    /// Survived, and is known to.
    Known,
    /// The compiler refuses it.
    Unviable,
    /// It has no place in one build with others.
    LeftOut,
}

impl Fate {
    pub(super) const NAMES: [&str; 7] =
        ["caught", "ran on", "missed", "not reached", "known", "do not compile", "left out"];

    pub(super) fn name(&self) -> &'static str {
        let [caught, ran_on, missed, not_reached, known, unviable, left_out] = Self::NAMES;
        match self {
            Self::Caught(_) => caught,
            Self::RanOn(_) => ran_on,
            Self::Missed => missed,
            Self::NotReached => not_reached,
            Self::Known => known,
            Self::Unviable => unviable,
            Self::LeftOut => left_out,
        }
    }

    /// Whether no test noticed it, and nobody knew.
    pub(super) fn survives(&self) -> bool {
        matches!(self, Self::Missed | Self::NotReached)
    }
}

/// How often a test may take the time that it took, and what it may take at least.
const PATIENCE: (u32, Duration) = (5, Duration::from_secs(5));
/// A mutant that takes memory without end is stopped: kilobytes of addresses.
const MOST_MEMORY_KB: u32 = 12_000_000;
/// Tests that caught a mutant of the same file are asked first: so many of them.
const LAST_CATCHES: usize = 12;

struct Test {
    executable: PathBuf,
    name: String,
    took: Duration,
    reaches: Vec<u32>,
}

/// Every test that passes without a mutant, the quickest first.
pub(super) struct Tests {
    tests: Vec<Test>,
    folder: PathBuf,
}

enum End {
    Passed,
    Failed,
    TooLong,
}

impl Tests {
    /// Builds the tests and runs each alone. Those that take longer than `longest` are not kept, unless they come upon most
    /// of all mutants, which are `of_all`.
    pub(super) fn build(place: &Place, longest: Duration, of_all: usize) -> Result<Self> {
        let arguments =
            ["test", "--package", PACKAGE, "--lib", "--tests", "--no-run", "--message-format=json", "--quiet"];
        let built = process::read(&mut place.cargo(arguments))?;
        let mut names = Vec::new();
        for line in built.lines() {
            let artifact: Value = serde_json::from_str(line)?;
            if let Some(executable) = artifact["executable"].as_str() {
                let list = process::read(Command::new(executable).args(["--list", "--format", "terse"]))?;
                names.extend(
                    list.lines()
                        .filter_map(|line| line.strip_suffix(": test"))
                        .map(|name| (PathBuf::from(executable), name.to_owned())),
                );
            }
        }
        let folder = place.tree().join(FOLDER);
        let noted = place.root.join("reached");
        fs::create_dir_all(&noted)?;
        let tests = in_parallel(names, |number, (executable, name)| {
            let note = noted.join(number.to_string());
            let mut test = Test { executable, name, took: Duration::from_secs(120), reaches: Vec::new() };
            let started = Instant::now();
            let end = test.run(&folder, u32::MAX, Some(&note))?;
            test.took = started.elapsed();
            let numbers = fs::read(&note).unwrap_or_default();
            test.reaches = numbers.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
            test.reaches.sort_unstable();
            Ok((matches!(end, End::Passed), test))
        })?;
        let mut kept = Vec::new();
        for (passed, test) in tests {
            if passed {
                kept.push(test);
            } else {
                println!("   not asked, since it fails without a mutant: {}", test.name);
            }
        }
        kept.retain(|test| test.took <= longest || test.reaches.len() > of_all / 2);
        kept.sort_by_key(|test| test.took);
        let whole: Duration = kept.iter().map(|test| test.took).sum();
        println!("   {} tests pass without a mutant, in {:.0} s one after another", kept.len(), whole.as_secs_f64());
        Ok(Self { tests: kept, folder })
    }

    pub(super) fn len(&self) -> usize {
        self.tests.len()
    }

    /// Tries each mutant with the tests that come upon it, until one fails. What is found is written down as it is found.
    pub(super) fn try_all(&self, mutants: &[&Mutant], log: &Path) -> Result<HashMap<u32, Fate>> {
        let log = Mutex::new(File::create(log)?);
        let catches: Mutex<HashMap<&str, VecDeque<usize>>> = Mutex::new(HashMap::new());
        let of_all = mutants.len();
        let fates = in_parallel(mutants.to_vec(), |number, mutant| {
            let fate = self.try_one(mutant, &catches)?;
            let by = match &fate {
                Fate::Caught(by) | Fate::RanOn(by) => by.as_str(),
                _ => "",
            };
            let line = json!({"name": mutant.name, "fate": fate.name(), "by": by});
            writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{line}")?;
            if (number + 1) % 100 == 0 {
                println!("   {} of {of_all}", number + 1);
            }
            Ok((mutant.number, fate))
        })?;
        Ok(fates.into_iter().collect())
    }

    fn try_one<'m>(&self, mutant: &'m Mutant, catches: &Mutex<HashMap<&'m str, VecDeque<usize>>>) -> Result<Fate> {
        let reaches = |index: &usize| self.tests[*index].reaches.binary_search(&mutant.number).is_ok();
        let last: Vec<usize> = {
            let catches = catches.lock().unwrap_or_else(PoisonError::into_inner);
            catches.get(mutant.file.as_str()).into_iter().flatten().copied().filter(reaches).collect()
        };
        let others = (0..self.tests.len()).filter(|index| !last.contains(index)).filter(reaches);
        let mut reached = false;
        for index in last.iter().copied().chain(others) {
            reached = true;
            let test = &self.tests[index];
            let fate = match test.run(&self.folder, mutant.number, None)? {
                End::Passed => continue,
                End::Failed => Fate::Caught(test.name.clone()),
                End::TooLong => Fate::RanOn(test.name.clone()),
            };
            let mut catches = catches.lock().unwrap_or_else(PoisonError::into_inner);
            let catches = catches.entry(&mutant.file).or_default();
            catches.retain(|other| *other != index);
            catches.push_front(index);
            catches.truncate(LAST_CATCHES);
            return Ok(fate);
        }
        Ok(if reached { Fate::Missed } else { Fate::NotReached })
    }
}

impl Test {
    fn run(&self, folder: &Path, mutant: u32, note: Option<&Path>) -> Result<End> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {MOST_MEMORY_KB}; exec \"$@\""), "sh"]).arg(&self.executable);
        command.args(["--exact", &self.name, "--test-threads=1"]).current_dir(folder).env("MUTANT", mutant.to_string());
        if let Some(note) = note {
            command.env("MUTANTS_REACHED", note);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let (times, least) = PATIENCE;
        let until = Instant::now() + (self.took * times).max(least);
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(if status.success() { End::Passed } else { End::Failed });
            }
            if Instant::now() > until {
                child.kill()?;
                child.wait()?;
                return Ok(End::TooLong);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// The mutants that a run did not see caught, without their places, as [`Tests::try_all`] wrote it down.
pub(super) fn survivors(log: &Path) -> Result<BTreeSet<String>> {
    let text =
        fs::read_to_string(log).map_err(|error| format!("no run before this one: {}: {error}", log.display()))?;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let outcome: Value = serde_json::from_str(line)?;
        if let (Some(name), Some("missed" | "not reached")) = (outcome["name"].as_str(), outcome["fate"].as_str()) {
            names.insert(unplaced(name));
        }
    }
    Ok(names)
}

/// Does the same with every item, as many at once as there are processors; the answers are in no order.
fn in_parallel<T: Send, U: Send>(items: Vec<T>, work: impl Fn(usize, T) -> Result<U> + Sync) -> Result<Vec<U>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(items.into_iter().enumerate());
    let results: Vec<std::result::Result<Vec<U>, String>> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, item)) = next else { return Ok(done) };
                // Errors of chores cannot go from thread to thread.
                done.push(work(number, item).map_err(|error| error.to_string())?);
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a worker panicked".to_owned())))
            .collect()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result?);
    }
    Ok(all)
}
