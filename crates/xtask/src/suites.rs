//! The suites of the gate, one row each, in the order in which they run: the quick ones that fail most come first.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::tool::{self, Tool};
use crate::workspace::{self, Metadata};
use crate::{
    Result, bench, codegen, demo, interface, mutants, node, ofrep, oracle, process, python, snippets, system, web,
    without_rhai,
};

/// When a suite runs without being asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Full,
}

/// How a suite ended when it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// There was nothing to run; says why.
    Skipped(&'static str),
}

pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) when: When,
    pub(crate) needs: fn() -> &'static [Tool],
    pub(crate) run: fn() -> Result<Outcome>,
}

pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        about: "every file is formatted",
        when: When::Always,
        needs: || &[Tool::Rustfmt],
        run: || cargo(&["fmt", "--all", "--check"]),
    },
    Suite {
        name: "generated",
        about: "regenerating changes no generated file",
        when: When::Always,
        needs: || &[],
        run: generated,
    },
    Suite {
        name: "clippy",
        about: "no warning in any target, benchmarks included",
        when: When::Always,
        needs: || &[Tool::Clippy],
        run: || cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    },
    Suite {
        name: "tests",
        about: "unit, property and integration tests on one Postgres, with cargo-nextest where it is installed",
        when: When::Always,
        needs: || &[Tool::Postgres, Tool::Faketime],
        run: tests,
    },
    Suite {
        name: "doctests",
        about: "the examples in the documentation",
        when: When::Always,
        needs: || &[],
        run: || cargo(&["test", "--workspace", "--doc", "--all-features"]),
    },
    Suite {
        name: "docs",
        about: "the documentation builds without a warning",
        when: When::Always,
        needs: || &[],
        run: docs,
    },
    Suite {
        name: "oracle",
        about: "random machines answer as the Python package `transitions` has it",
        when: When::Always,
        needs: || &[Tool::Transitions],
        run: oracle::run,
    },
    Suite {
        name: "ofrep",
        about: "OpenFeature's clients for Node, browsers and Python get what a server evaluates",
        when: When::Always,
        needs: || &[Tool::Postgres, Tool::OfrepClients],
        run: ofrep::run,
    },
    Suite {
        name: "interface",
        about: "a server answers as its OpenAPI document says, whatever it is sent",
        when: When::Always,
        needs: || &[Tool::Postgres, Tool::Schemathesis],
        run: || interface::run(8),
    },
    Suite {
        name: "node",
        about: "the npm package: every vector, bad input, NestJS, OpenFeature, a clean installation, HQ",
        when: When::Always,
        needs: || &[Tool::Postgres, Tool::NodeModules],
        run: node::run,
    },
    Suite {
        name: "web",
        about: "the package for browsers: every vector, bad input, React, elements, HQ, in Node and in Chromium",
        when: When::Always,
        needs: || &[Tool::WasmTarget, Tool::RustSource, Tool::Postgres, Tool::WebModules, Tool::Chromium],
        run: web::run,
    },
    Suite {
        name: "python",
        about: "the Python package: every vector, bad input, types, forks, FastAPI, Django, OpenFeature, a wheel, HQ",
        when: When::Always,
        needs: || &[Tool::Postgres, Tool::PythonPackages],
        run: python::run,
    },
    Suite {
        name: "system",
        about: "HQ, Postgres, services in Rust, Node and Python and pages answer alike, whatever breaks between them",
        when: When::Always,
        needs: || {
            &[
                Tool::WasmTarget,
                Tool::RustSource,
                Tool::Postgres,
                Tool::NodeModules,
                Tool::WebModules,
                Tool::Chromium,
                Tool::PythonPackages,
            ]
        },
        run: system::run,
    },
    Suite {
        name: "snippets",
        about: "every block of code that a page shows, in every language; every link",
        when: When::Always,
        needs: || {
            &[
                Tool::WasmTarget,
                Tool::RustSource,
                Tool::Postgres,
                Tool::Promtool,
                Tool::OfrepClients,
                Tool::NodeModules,
                Tool::WebModules,
                Tool::Chromium,
                Tool::PythonPackages,
            ]
        },
        run: snippets::run,
    },
    Suite {
        name: "without_rhai",
        about: "a guard that needs Rhai blocks in a build without it",
        when: When::Always,
        needs: || &[],
        run: || without_rhai::run(workspace::root()),
    },
    Suite {
        name: "alerts",
        about: "the alert rules are well formed, and fire when they should and only then",
        when: When::Always,
        needs: || &[Tool::Promtool],
        run: alerts,
    },
    Suite {
        name: "demo",
        about: "the demos run to their end",
        when: When::Always,
        needs: || &[Tool::Postgres],
        run: demo::check,
    },
    Suite {
        name: "postgres18",
        about: "the tests of the store on Postgres 18 (full gate)",
        when: When::Full,
        needs: || &[Tool::Postgres18],
        run: postgres18,
    },
    Suite {
        name: "node_others",
        about: "the npm package with NestJS 10 and 11, and with Prisma (full gate)",
        when: When::Full,
        needs: || &[Tool::Postgres, Tool::NodeModules],
        run: node::with_others,
    },
    Suite {
        name: "python_oldest",
        about: "the Python package with the oldest frameworks that it says to work with (full gate)",
        when: When::Full,
        needs: || &[Tool::Postgres, Tool::PythonPackages, Tool::OldestFrameworks],
        run: python::with_oldest,
    },
    Suite {
        name: "python_distributions",
        about: "the Python package as it is published: the wheel without Rust, the source distribution (full gate)",
        when: When::Full,
        needs: || &[Tool::PythonPackages],
        run: python::distributions,
    },
    Suite {
        name: "interface_long",
        about: "the same with many more requests (full gate)",
        when: When::Full,
        needs: || &[Tool::Postgres, Tool::Schemathesis],
        run: || interface::run(200),
    },
    Suite {
        name: "followers",
        about: "HQ with a thousand followers, as its benchmark has them (full gate)",
        when: When::Full,
        needs: || &[Tool::Postgres],
        run: || cargo(&["bench", "-p", "leasehold-hq", "--bench", "serve", "--", "followers", "1000", "30"]),
    },
    Suite {
        name: "soak",
        about: "HQ for ten minutes, with a publication every second (full gate)",
        when: When::Full,
        needs: || &[Tool::Postgres],
        run: || cargo(&["bench", "-p", "leasehold-hq", "--bench", "serve", "--", "soak", "600"]),
    },
    Suite {
        name: "bench",
        about: "every benchmark runs, and every peer that a row names answers as we do (full gate)",
        when: When::Full,
        needs: || {
            &[
                Tool::WasmTarget,
                Tool::RustSource,
                Tool::Postgres,
                Tool::Wrk,
                Tool::NodeModules,
                Tool::WebModules,
                Tool::Chromium,
            ]
        },
        run: bench::suite,
    },
    Suite {
        name: "snippets_long",
        about: "the lines of pages that build, measure or install for minutes (full gate)",
        when: When::Full,
        // The chores that it types install what they take.
        needs: || &[Tool::Postgres, Tool::NodeModules],
        run: snippets::long,
    },
    Suite {
        name: "deny",
        about: "licences, bans and sources of the dependencies (full gate)",
        when: When::Full,
        needs: || &[Tool::CargoDeny],
        run: || cargo(&["deny", "check", "licenses", "bans", "sources"]),
    },
    Suite {
        name: "unused",
        about: "every dependency is used (full gate)",
        when: When::Full,
        needs: || &[Tool::CargoMachete],
        run: || {
            process::run(&mut process::program("cargo-machete", []))?;
            Ok(Outcome::Passed)
        },
    },
    Suite {
        name: "features",
        about: "the engine and the store compile without features, with each one and with any two (full gate)",
        when: When::Full,
        needs: || &[],
        run: features,
    },
    Suite {
        name: "mutants",
        about: "a test fails for every change of the code that decides, but for those known to make no difference (full gate)",
        when: When::Full,
        needs: || &[Tool::CargoMutants],
        run: mutants::suite,
    },
    Suite {
        name: "fuzz",
        about: "a minute of fuzzing per target, on nightly (full gate)",
        when: When::Full,
        // A tool that takes minutes to build is not installed to find out that there is nothing to fuzz.
        needs: || {
            if fuzz_targets().is_ok_and(|targets| targets.is_empty()) { &[] } else { &[Tool::Nightly, Tool::CargoFuzz] }
        },
        run: fuzz,
    },
];

fn cargo(arguments: &[&str]) -> Result<Outcome> {
    process::run(&mut process::cargo(arguments.iter().copied()))?;
    Ok(Outcome::Passed)
}

fn generated() -> Result<Outcome> {
    println!("$ cargo xtask codegen --check");
    codegen::check()?;
    Ok(Outcome::Passed)
}

fn tests() -> Result<Outcome> {
    let mut command = on_one_postgres()?;
    if has_nextest() {
        command.args(["cargo", "nextest", "run", "--workspace", "--all-features"]);
    } else {
        // Tests start examples.
        command.args(["cargo", "test", "--workspace", "--all-features", "--lib", "--bins", "--examples", "--tests"]);
    }
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

fn postgres18() -> Result<Outcome> {
    let mut command = on_one_postgres()?;
    command.env("LEASEHOLD_POSTGRES_BIN", tool::postgres18()?).env_remove("DATABASE_URL");
    if has_nextest() {
        // The whole workspace with a filter: what the tests were built with already.
        let filter = "package(leasehold-postgres)";
        command.args(["cargo", "nextest", "run", "--workspace", "--all-features", "-E", filter]);
    } else {
        command.args(["cargo", "test", "-p", "leasehold-postgres", "--all-features", "--examples", "--tests"]);
    }
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

fn has_nextest() -> bool {
    process::succeeds(&mut process::cargo(["nextest", "--version"]))
}

/// Runs what follows with a server in `DATABASE_URL`, that all test processes share; the one that is named there already, or
/// a private one.
fn on_one_postgres() -> Result<Command> {
    let mut command = Command::new(workspace::build(&[])?.join("examples/private_cluster"));
    command.current_dir(workspace::root());
    Ok(command)
}

fn docs() -> Result<Outcome> {
    let mut command = process::cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    process::run(command.env("RUSTDOCFLAGS", "-Dwarnings"))?;
    Ok(Outcome::Passed)
}

fn alerts() -> Result<Outcome> {
    for words in [["check", "rules", "leasehold.rules.yml"], ["test", "rules", "leasehold.rules.test.yml"]] {
        let mut command = process::program("promtool", words);
        process::run(command.current_dir(workspace::root().join("deploy/prometheus")))?;
    }
    Ok(Outcome::Passed)
}

/// Checks the engine and the store with none, each and any two of their features. All of them together is what tests have.
fn features() -> Result<Outcome> {
    let metadata = Metadata::read()?;
    for package in ["leasehold", "leasehold-postgres"] {
        let features = metadata.features(package)?;
        let pairs = features
            .iter()
            .enumerate()
            .flat_map(|(at, one)| features.iter().skip(at + 1).map(move |other| format!("{one},{other}")));
        for chosen in [String::new()].into_iter().chain(features.iter().cloned()).chain(pairs) {
            cargo(&["check", "-p", package, "--no-default-features", "--features", &chosen])?;
        }
    }
    Ok(Outcome::Passed)
}

fn fuzz() -> Result<Outcome> {
    let targets = fuzz_targets()?;
    for target in &targets {
        // What is found goes into the folder that is named first. The corpus is the repository's, and kept small.
        let found = Metadata::read()?.target_directory()?.join("fuzz-found").join(target);
        fs::create_dir_all(&found)?;
        let mut command = process::program("cargo", ["+nightly", "fuzz", "run", target]);
        command.arg(found).arg(fuzz_folder().join("corpus").join(target)).args(["--", "-max_total_time=60"]);
        let dictionary = fuzz_folder().join(format!("{target}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        // The variables of the cargo that runs us would bring its toolchain back.
        command.current_dir(fuzz_folder()).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        process::run(&mut command)?;
    }
    Ok(if targets.is_empty() { Outcome::Skipped("no fuzz targets in `fuzz/fuzz_targets`") } else { Outcome::Passed })
}

fn fuzz_folder() -> PathBuf {
    workspace::root().join("fuzz")
}

/// The names of the fuzz targets, in alphabetical order; none where there is no folder.
fn fuzz_targets() -> Result<Vec<String>> {
    let folder = fuzz_folder().join("fuzz_targets");
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let (Some(name), Some("rs")) =
                (path.file_stem().and_then(|name| name.to_str()), path.extension().and_then(|end| end.to_str()))
            {
                names.push(name.to_owned());
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}
