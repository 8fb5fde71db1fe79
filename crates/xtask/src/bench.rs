//! `cargo xtask bench`: runs the benchmarks, collects one row per scenario, prints a table and writes JSON.
//!
//! Rows come from two places. Criterion measures pairs, listed in [`COMPARISONS`]; their rows are made here, from the
//! medians that criterion leaves behind. Whatever criterion cannot measure, the bench targets of [`FIGURES`] append to the
//! file that `LEASEHOLD_BENCH_ROWS` names: one JSON object per line, with the keys of [`Row`]. They read
//! `LEASEHOLD_BENCH_QUICK` (set to `1` by `--quick`) to find out whether to hurry. `benches/README.md` says what each
//! place measures.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::rows::{self, Row};
use crate::suites::Outcome;
use crate::tool::Tool;
use crate::workspace::Metadata;
use crate::{Result, chart, node, process, python, web, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also draw the questions that peers are asked into this file, as SVG; `docs/bench.svg` is made so.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Measure nothing: take the rows that `--json` wrote earlier.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "quick"])]
    from: Option<PathBuf>,
    /// Also write the rows to this file, as a JSON list.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only what is measured in one place.
    #[arg(long, value_enum)]
    only: Option<Place>,
    /// Fewer samples: good enough to see that the benchmarks work, too few to quote.
    #[arg(long)]
    quick: bool,
}

/// Where figures are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    /// The engine and the store, in Rust.
    Rust,
    /// The engine, beside its peers in Rust.
    Peers,
    /// HQ, by its clients.
    Hq,
    /// The npm package, beside its peers.
    Node,
    /// The Python package, beside its peers.
    Python,
    /// The package for browsers, beside its peers, in Node and in Chromium.
    Web,
}

/// The package that holds the benchmarks.
const PACKAGE: &str = "leasehold-benches";

/// The bench targets that criterion does not run.
const FIGURES: [&str; 5] = ["figures", "snapshots", "postgres_audit", "postgres_ledger", "postgres_publish"];

/// Two criterion benchmarks of one run that make a row: ours and a peer's. Benchmarks are named `group/function`.
struct Comparison {
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    ours: &'static str,
    peer: &'static str,
    peer_name: &'static str,
    peer_version: Version,
}

/// Where a peer's version is found.
enum Version {
    Stated(&'static str),
    /// The version of this crate that the benchmarks use.
    Of(&'static str),
}

const COMPARISONS: &[Comparison] = &[
    Comparison {
        id: "check.strings.random",
        what: "switch by two strings, random tenants",
        unit: "ns",
        ours: "check_strings_random/leasehold",
        peer: "check_strings_random/hashmap",
        peer_name: "HashMap<String, HashMap<String, bool>>",
        peer_version: Version::Stated("std"),
    },
    Comparison {
        id: "check.strings.hot",
        what: "switch by two strings, sixteen pairs in turn",
        unit: "ns",
        ours: "check_strings_hot/leasehold",
        peer: "check_strings_hot/hashmap",
        peer_name: "HashMap<String, HashMap<String, bool>>",
        peer_version: Version::Stated("std"),
    },
    Comparison {
        id: "check.strings.one",
        what: "switch by two strings, one pair again and again",
        unit: "ns",
        ours: "check_strings_one/leasehold",
        peer: "check_strings_one/hashmap",
        peer_name: "HashMap<String, HashMap<String, bool>>",
        peer_version: Version::Stated("std"),
    },
    Comparison {
        id: "check.handle",
        what: "switch by handles",
        unit: "ns",
        ours: "check_handle/leasehold",
        peer: "check_handle/arc_swap_bit",
        peer_name: "arc-swap load + bit test",
        peer_version: Version::Of("arc-swap"),
    },
    Comparison {
        id: "compile.fleet",
        what: "fleet to a compiled snapshot",
        unit: "ns",
        ours: "compile_fleet/leasehold",
        peer: "compile_fleet/serde_json",
        peer_name: "serde_json to Value",
        peer_version: Version::Of("serde_json"),
    },
    Comparison {
        id: "transition.guarded",
        what: "transition check on a held machine, one native guard",
        unit: "ns",
        ours: "transition/guarded",
        peer: "transition/unguarded",
        peer_name: "the same without a guard",
        peer_version: Version::Of("leasehold"),
    },
    Comparison {
        id: "guard.native",
        what: "guard of two comparisons and a membership",
        unit: "ns",
        ours: "guard/native",
        peer: "guard/rhai_reused_scope",
        peer_name: "rhai, scope reused",
        peer_version: Version::Of("rhai"),
    },
    Comparison {
        id: "machine.resolve",
        what: "machine of 40 stages with override and patch",
        unit: "ns",
        ours: "resolve/machine",
        peer: "resolve/serde_json",
        peer_name: "serde_json to Value, the template",
        peer_version: Version::Of("serde_json"),
    },
    Comparison {
        id: "machine.cached",
        what: "machine from the engine's cache",
        unit: "ns",
        ours: "machine/cached",
        peer: "resolve/machine",
        peer_name: "making it",
        peer_version: Version::Of("leasehold"),
    },
    Comparison {
        id: "explain.one",
        what: "explanation of one decision",
        unit: "ns",
        ours: "explain/explanation",
        peer: "explain/decision",
        peer_name: "the decision itself",
        peer_version: Version::Of("leasehold"),
    },
    Comparison {
        id: "flat.plans",
        what: "random checks of 1,000 tenants, 100 plans",
        unit: "ns",
        ours: "flat/plans_100",
        peer: "flat/plans_1",
        peer_name: "the same with 1 plan",
        peer_version: Version::Of("leasehold"),
    },
    Comparison {
        id: "flat.add_ons",
        what: "random checks of 1,000 tenants, 100 add-ons",
        unit: "ns",
        ours: "flat/add_ons_100",
        peer: "flat/add_ons_1",
        peer_name: "the same with 1 add-on",
        peer_version: Version::Of("leasehold"),
    },
    Comparison {
        id: "flat.tenants",
        what: "random checks of 1,000 tenants among 100,000",
        unit: "ns",
        ours: "flat/tenants_100000",
        peer: "flat/tenants_1000",
        peer_name: "the same among 1,000",
        peer_version: Version::Of("leasehold"),
    },
    Comparison {
        id: "diff.fleet",
        what: "what a plan change does to 100,000 tenants",
        unit: "ns",
        ours: "diff_fleet/leasehold",
        peer: "compile_fleet/leasehold",
        peer_name: "compiling them",
        peer_version: Version::Of("leasehold"),
    },
];

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    Ok(if all_measured(options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All of it with `--quick`, as a suite of the gate.
pub(crate) fn suite() -> Result<Outcome> {
    let quick = Options { chart: None, from: None, json: None, only: None, quick: true };
    if all_measured(&quick)? { Ok(Outcome::Passed) } else { Err("figures are missing, or said twice".into()) }
}

fn all_measured(options: &Options) -> Result<bool> {
    let (collected, mut errors) = match &options.from {
        Some(path) => (kept(path)?, Vec::new()),
        None => measured(options)?,
    };
    errors.extend(repeated(&collected));
    errors.extend(unanswered(&collected));
    if !options.quick {
        errors.extend(exceeded(&collected));
    }

    println!("\n{}", rows::table(&collected));
    if options.quick {
        println!("measured with `--quick`: too few samples to quote");
    }
    if let Some(path) = &options.json {
        write(path, &rows::json(&collected)?)?;
        println!("wrote {} rows to {}", collected.len(), path.display());
    }
    if let Some(path) = &options.chart {
        match chart::draw(&collected) {
            Some(picture) => {
                write(path, &picture)?;
                println!("drew {}", path.display());
            }
            None => errors.push("no row of a peer that is asked the same, so there is nothing to draw".to_owned()),
        }
    }
    for error in &errors {
        eprintln!("error: {error}");
    }
    Ok(errors.is_empty())
}

/// The rows that `--json` wrote.
fn kept(path: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("`{}` is no list of rows: {error}", path.display()))?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(fs::write(path, text).map_err(|error| format!("`{}`: {error}", path.display()))?)
}

/// Rows of all that is asked for, and what is wrong with them.
fn measured(options: &Options) -> Result<(Vec<Row>, Vec<String>)> {
    let metadata = Metadata::read()?;
    let target = metadata.target_directory()?;
    let criterion = target.join("criterion");
    let rows_file = target.join("bench-rows.jsonl");
    forget(&criterion, &rows_file)?;
    measure(&metadata, options, &criterion, &rows_file)?;

    let mut errors = Vec::new();
    let mut collected = Vec::new();
    for comparison in COMPARISONS.iter().filter(|_| options.measures(Place::Rust)) {
        match compare(comparison, &criterion, &metadata) {
            Ok(row) => collected.push(row),
            Err(more) => errors.extend(more),
        }
    }
    match rows::parse(&fs::read_to_string(&rows_file)?) {
        Ok(more) => collected.extend(more),
        Err(more) => errors.extend(more),
    }
    Ok((collected, errors))
}

/// Empties the rows file and removes the medians of earlier runs: what is missing afterwards was not measured.
fn forget(criterion: &Path, rows_file: &Path) -> Result<()> {
    for benchmark in COMPARISONS.iter().flat_map(|comparison| [comparison.ours, comparison.peer]) {
        match fs::remove_file(estimates(criterion, benchmark)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    if let Some(folder) = rows_file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(rows_file, "")?)
}

impl Options {
    fn measures(&self, place: Place) -> bool {
        self.only.is_none_or(|only| only == place)
    }
}

/// Measures, in each place that is asked for, and says how long each took, with what had to be built.
fn measure(metadata: &Metadata, options: &Options, criterion: &Path, rows_file: &Path) -> Result<()> {
    let mut took = Vec::new();
    for place in Place::value_variants().iter().filter(|place| options.measures(**place)) {
        let begun = Instant::now();
        match place {
            Place::Rust => {
                Tool::Postgres.ensure()?;
                measure_engine(metadata, options, criterion, rows_file)?;
            }
            Place::Peers => measure_peers(metadata, options, rows_file)?,
            Place::Hq => measure_hq(options, rows_file)?,
            Place::Node => {
                Tool::NodeModules.ensure()?;
                node::bench(rows_file, options.quick)?;
            }
            Place::Python => python::bench(rows_file, options.quick)?,
            Place::Web => {
                [Tool::WasmTarget, Tool::RustSource, Tool::WebModules, Tool::Chromium]
                    .into_iter()
                    .try_for_each(Tool::ensure)?;
                web::bench(rows_file, options.quick)?;
            }
        }
        took.push(format!("{place:?} {} s", begun.elapsed().as_secs()));
    }
    println!("\ntook, with what was built: {}", took.join(", "));
    Ok(())
}

/// The benchmark of HQ starts the program, which only its own package knows; `wrk` sends it load.
fn measure_hq(options: &Options, rows_file: &Path) -> Result<()> {
    [Tool::Postgres, Tool::Wrk].into_iter().try_for_each(Tool::ensure)?;
    let mut serve = process::cargo(["bench", "--package", "leasehold-hq", "--bench", "serve"]);
    serve.env("LEASEHOLD_BENCH_ROWS", rows_file);
    if options.quick {
        serve.env("LEASEHOLD_BENCH_QUICK", "1");
    }
    process::run(&mut serve)
}

/// Runs criterion's bench targets, then those that do not take criterion's arguments.
fn measure_engine(metadata: &Metadata, options: &Options, criterion: &Path, rows_file: &Path) -> Result<()> {
    let benches = metadata.benches(PACKAGE)?;
    let (figures, measured): (Vec<_>, Vec<_>) = benches.iter().partition(|name| FIGURES.contains(&name.as_str()));
    let quick: &[&str] = if options.quick { &["--", "--quick"] } else { &[] };
    for (targets, arguments) in [(measured, quick), (figures, &[])] {
        if targets.is_empty() {
            continue;
        }
        let mut command = process::cargo(["bench", "--package", PACKAGE]);
        for target in targets {
            command.args(["--bench", target]);
        }
        command.args(arguments).env("CRITERION_HOME", criterion).env("LEASEHOLD_BENCH_ROWS", rows_file);
        if options.quick {
            command.env("LEASEHOLD_BENCH_QUICK", "1");
        }
        process::run(&mut command)?;
    }
    Ok(())
}

/// Builds and runs the package of the peers, which is no member of the workspace. Its target folder is its own as well: what
/// peers make of the crates that both use would be built anew each time.
fn measure_peers(metadata: &Metadata, options: &Options, rows_file: &Path) -> Result<()> {
    let mut peers = process::cargo(["run", "--release", "--locked"]);
    peers.current_dir(workspace::root().join("benches/peers/rust"));
    peers.env("CARGO_TARGET_DIR", metadata.target_directory()?.join("peers")).env("LEASEHOLD_BENCH_ROWS", rows_file);
    if options.quick {
        peers.env("LEASEHOLD_BENCH_QUICK", "1");
    }
    process::run(&mut peers)
}

/// The row of a pair of criterion benchmarks; `Err` lists all that is missing.
fn compare(comparison: &Comparison, criterion: &Path, metadata: &Metadata) -> std::result::Result<Row, Vec<String>> {
    let version = match comparison.peer_version {
        Version::Stated(version) => Ok(version.to_owned()),
        Version::Of(name) => metadata.version(PACKAGE, name).map_err(|error| format!("{}: {error}", comparison.id)),
    };
    let median = |benchmark| median_ns(criterion, benchmark).map_err(|error| format!("{}: {error}", comparison.id));
    match (median(comparison.ours), median(comparison.peer), version) {
        (Ok(ours), Ok(theirs), Ok(version)) => Ok(Row {
            id: comparison.id.to_owned(),
            runtime: "rust".to_owned(),
            what: comparison.what.to_owned(),
            ours,
            peer: Some(comparison.peer_name.to_owned()),
            peer_version: Some(version),
            theirs: Some(theirs),
            ratio: (ours > 0.0).then(|| theirs / ours),
            unit: comparison.unit.to_owned(),
        }),
        (ours, theirs, version) => Err([ours.err(), theirs.err(), version.err()].into_iter().flatten().collect()),
    }
}

fn estimates(criterion: &Path, benchmark: &str) -> PathBuf {
    criterion.join(benchmark).join("new").join("estimates.json")
}

/// The median that criterion left for a benchmark, in nanoseconds per iteration.
fn median_ns(criterion: &Path, benchmark: &str) -> std::result::Result<f64, String> {
    let path = estimates(criterion, benchmark);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("no estimate for benchmark `{benchmark}` (`{}`: {error})", path.display()))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| format!("the estimate for benchmark `{benchmark}` is not JSON: {error}"))?;
    value["median"]["point_estimate"]
        .as_f64()
        .ok_or_else(|| format!("the estimate for benchmark `{benchmark}` has no `median.point_estimate`"))
}

/// An error for every figure that exceeds its bound. With `--quick` there are too few tenants to share what costs the same for
/// any number of them.
fn exceeded(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .filter_map(|row| match (row.peer.as_deref(), row.theirs) {
            (Some("bound"), Some(bound)) if row.ours > bound => {
                Some(format!("`{}` is {} {}, and its bound {bound}", row.id, row.ours, row.unit))
            }
            _ => None,
        })
        .collect()
}

/// An error for every row that says again what another says: same scenario, runtime and peer.
fn repeated(rows: &[Row]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    rows.iter()
        .filter(|row| !seen.insert((&row.id, &row.runtime, &row.peer)))
        .map(|row| {
            format!("two rows for `{}` in `{}` beside `{}`", row.id, row.runtime, row.peer.as_deref().unwrap_or("-"))
        })
        .collect()
}

/// An error for every peer that a row names and that was not measured.
fn unanswered(rows: &[Row]) -> Vec<String> {
    let without = rows.iter().filter(|row| row.theirs.is_none());
    without
        .filter_map(|row| {
            Some(format!("no figure of {} for `{}` in `{}`: {}", row.peer.as_ref()?, row.id, row.runtime, row.what))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(criterion: &Path, benchmark: &str, text: &str) {
        let path = estimates(criterion, benchmark);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_median_is_read_and_what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "check/ours", r#"{"mean":{"point_estimate":9.0},"median":{"point_estimate":12.5}}"#);
        leave(folder.path(), "check/empty", "{}");
        leave(folder.path(), "check/torn", "{");
        assert_eq!(median_ns(folder.path(), "check/ours").unwrap(), 12.5);
        for benchmark in ["check/empty", "check/torn", "check/absent"] {
            let error = median_ns(folder.path(), benchmark).unwrap_err();
            assert!(error.contains(&format!("`{benchmark}`")), "{error}");
        }
    }

    #[test]
    fn earlier_figures_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let rows_file = folder.path().join("rows.jsonl");
        let benchmark = COMPARISONS[0].ours;
        leave(folder.path(), benchmark, r#"{"median":{"point_estimate":1.0}}"#);
        fs::write(&rows_file, "old").unwrap();
        forget(folder.path(), &rows_file).unwrap();
        assert!(median_ns(folder.path(), benchmark).is_err());
        assert_eq!(fs::read_to_string(&rows_file).unwrap(), "");
    }

    #[test]
    fn comparisons_have_ids_of_their_own() {
        let ids: BTreeSet<_> = COMPARISONS.iter().map(|comparison| comparison.id).collect();
        assert_eq!(ids.len(), COMPARISONS.len());
    }

    fn row(peer: &str) -> Row {
        Row {
            id: "a".to_owned(),
            runtime: "rust".to_owned(),
            what: String::new(),
            ours: 1.0,
            peer: Some(peer.to_owned()),
            peer_version: None,
            theirs: None,
            ratio: None,
            unit: "ns".to_owned(),
        }
    }

    #[test]
    fn figures_that_exceed_their_bound_are_named() {
        let bound = |theirs| Row { theirs: Some(theirs), ..row("bound") };
        assert_eq!(exceeded(&[bound(1.0), bound(0.5)]), ["`a` is 1 ns, and its bound 0.5"]);
        // A peer may be quicker.
        assert_eq!(exceeded(&[Row { theirs: Some(0.5), ..row("x") }, row("bound")]), [""; 0]);
    }

    #[test]
    fn rows_that_repeat_one_another_are_named() {
        assert_eq!(repeated(&[row("x"), row("y")]), [""; 0]);
        assert_eq!(repeated(&[row("x"), row("y"), row("x")]), ["two rows for `a` in `rust` beside `x`"]);
        let answered = Row { theirs: Some(1.0), ..row("y") };
        assert_eq!(unanswered(&[row("x"), answered]), ["no figure of x for `a` in `rust`: "]);
        assert_eq!(unanswered(&[Row { peer: None, ..row("x") }]), [""; 0]);
    }
}
