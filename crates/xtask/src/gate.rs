//! `cargo xtask test`: prepares, runs the chosen suites in order, and closes with a time table and one line of counts.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::Result;
use crate::suites::{Outcome, SUITES, Suite, When};
use crate::table::{Align, Table};
use crate::tool::Tool;

#[derive(Debug, Args)]
#[command(after_help = "The gate stops at the first suite that fails. Its last line is `gate: N passed, M failed`, \
                        counted in suites, and it exits with 1 when one failed.")]
pub(crate) struct Options {
    /// Also run the suites of the full gate, which take longer or install tools.
    #[arg(long)]
    full: bool,
    /// Run only this suite; may be given several times.
    #[arg(long, value_name = "SUITE", value_parser = suite_names())]
    only: Vec<String>,
    /// Run the remaining suites after one failed.
    #[arg(long)]
    keep_going: bool,
}

/// How a suite ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Passed(Duration),
    Failed(Duration),
    Skipped(&'static str),
    NotRun,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let suites = chosen(options);
    let missing = prepare(&suites);
    let mut report = Vec::new();
    let mut stopped = false;
    for suite in suites {
        let ending = if stopped { Ending::NotRun } else { run_suite(suite, &missing) };
        stopped |= matches!(ending, Ending::Failed(_)) && !options.keep_going;
        report.push((suite.name, ending));
    }
    println!("\n{}\n{}", time_table(&report), counts(&report));
    let failed = report.iter().any(|(_, ending)| matches!(ending, Ending::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn suite_names() -> PossibleValuesParser {
    SUITES.iter().map(|suite| PossibleValue::new(suite.name).help(suite.about)).collect::<Vec<_>>().into()
}

/// The suites to run, in their own order whatever the order of the arguments.
fn chosen(options: &Options) -> Vec<&'static Suite> {
    let wanted = |suite: &&Suite| match options.only.as_slice() {
        [] => suite.when == When::Always || options.full,
        names => names.iter().any(|name| name == suite.name),
    };
    SUITES.iter().filter(wanted).collect()
}

/// Installs what is missing, and gives what could not be installed: only the suites that need it fail, in their turn.
fn prepare(suites: &[&Suite]) -> Vec<(Tool, String)> {
    println!("== prepare: the tools that the suites need");
    let mut tools: Vec<Tool> = Vec::new();
    for tool in suites.iter().flat_map(|suite| (suite.needs)()) {
        if !tools.contains(tool) {
            tools.push(*tool);
        }
    }
    tools.into_iter().filter_map(|tool| Some((tool, tool.ensure().err()?.to_string()))).collect()
}

fn run_suite(suite: &Suite, missing: &[(Tool, String)]) -> Ending {
    println!("\n== {}: {}", suite.name, suite.about);
    let started = Instant::now();
    let result = match missing.iter().find(|(tool, _)| (suite.needs)().contains(tool)) {
        Some((tool, error)) => Err(format!("needs {}: {error}", tool.name()).into()),
        None => (suite.run)(),
    };
    let took = started.elapsed();
    match result {
        Ok(Outcome::Passed) => {
            println!("== {}: passed in {} s", suite.name, seconds(took));
            Ending::Passed(took)
        }
        Ok(Outcome::Skipped(why)) => {
            println!("== {}: skipped, {why}", suite.name);
            Ending::Skipped(why)
        }
        Err(error) => {
            println!("== {}: failed after {} s: {error}", suite.name, seconds(took));
            Ending::Failed(took)
        }
    }
}

fn time_table(report: &[(&str, Ending)]) -> Table {
    let mut table = Table::new([("suite", Align::Left), ("seconds", Align::Right), ("result", Align::Left)]);
    for (name, ending) in report {
        let (took, result) = match ending {
            Ending::Passed(took) => (seconds(*took), "passed".to_owned()),
            Ending::Failed(took) => (seconds(*took), "FAILED".to_owned()),
            Ending::Skipped(why) => ("-".to_owned(), format!("skipped: {why}")),
            Ending::NotRun => ("-".to_owned(), "not run".to_owned()),
        };
        table.push([(*name).to_owned(), took, result]);
    }
    table
}

/// The last line of the gate; tools read it.
fn counts(report: &[(&str, Ending)]) -> String {
    let passed = report.iter().filter(|(_, ending)| matches!(ending, Ending::Passed(_))).count();
    let failed = report.iter().filter(|(_, ending)| matches!(ending, Ending::Failed(_))).count();
    format!("gate: {passed} passed, {failed} failed")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], full: bool) -> Vec<&'static str> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        chosen(&Options { full, only, keep_going: false }).iter().map(|suite| suite.name).collect()
    }

    #[test]
    fn the_full_gate_adds_suites_and_naming_one_picks_it() {
        assert!(!names(&[], false).contains(&"fuzz"));
        assert_eq!(names(&[], true).len(), SUITES.len());
        assert_eq!(names(&["fuzz", "format"], false), ["format", "fuzz"]);
    }

    #[test]
    fn the_report_counts_suites_and_shows_what_did_not_run() {
        let report = [
            ("format", Ending::Passed(Duration::from_millis(1250))),
            ("fuzz", Ending::Skipped("nothing to fuzz")),
            ("tests", Ending::Failed(Duration::from_secs(61))),
            ("docs", Ending::NotRun),
        ];
        let expected = [
            "suite   seconds  result",
            "format      1.2  passed",
            "fuzz          -  skipped: nothing to fuzz",
            "tests      61.0  FAILED",
            "docs          -  not run",
            "",
        ];
        assert_eq!(time_table(&report).to_string(), expected.join("\n"));
        assert_eq!(counts(&report), "gate: 1 passed, 1 failed");
    }
}
