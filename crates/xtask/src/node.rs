//! The suite `node`: the npm package, built and tested, on a Postgres of its own; `crates/bindings-node/test` has the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::suites::Outcome;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

/// What the package is built from, and where its tests find what they start.
struct Built {
    library: PathBuf,
    program: PathBuf,
    cluster: PathBuf,
}

impl Built {
    /// Builds it with the features of the whole workspace, which the tests have built already.
    fn build() -> Result<Self> {
        let folder = workspace::build(&["--lib"])?;
        Ok(Self {
            library: folder.join(library()),
            program: folder.join("leasehold"),
            cluster: folder.join("examples/private_cluster"),
        })
    }
}

/// Builds the package, and runs its tests.
pub(crate) fn run() -> Result<Outcome> {
    let built = Built::build()?;
    process::run(here("node", &["scripts/build.mjs"]).arg(&built.library))?;
    process::run(&mut here("node", &["scripts/declarations.mjs", "--check"]))?;
    let mut command = Command::new(&built.cluster);
    // Another database would hold what others wrote.
    command.current_dir(package()).env_remove("DATABASE_URL").env("LEASEHOLD_BIN", &built.program);
    command.args(["--migrate", "node", "--test", "--test-concurrency=2", "--test-reporter=dot"]).args(tests()?);
    process::run(&mut command)?;
    process::run(&mut here("npx", &["prettier", "--check", "lib", "scripts", "test", "../../examples/nestjs/src"]))?;
    Ok(Outcome::Passed)
}

/// Appends the figures of the package beside those of its peers to a file.
pub(crate) fn bench(rows: &Path, quick: bool) -> Result<()> {
    process::run(&mut process::cargo(["build", "--package", "leasehold-node", "--release"]))?;
    let library = Metadata::read()?.target_directory()?.join("release").join(library());
    process::run(here("node", &["scripts/build.mjs"]).arg(library))?;
    let peers = workspace::root().join("benches/peers/node");
    let npm = |words: &[&str]| {
        let mut command = process::program("npm", words.iter().copied());
        command.current_dir(&peers);
        command
    };
    // `npm ci` wants the optional packages of every platform in the lock file, those that were never published among them.
    process::run(&mut npm(&["install", "--no-save", "--no-audit", "--no-fund"]))?;
    let mut bench = npm(&["run", "--silent", "bench"]);
    bench.env("LEASEHOLD_BENCH_ROWS", rows);
    if quick {
        bench.env("LEASEHOLD_BENCH_QUICK", "1");
    }
    process::run(&mut bench)
}

/// The files with tests, in alphabetical order: Node would take whatever lies beside them for one, too.
fn tests() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(package().join("test"))?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
}

/// The same with older versions of NestJS, and Prisma.
pub(crate) fn with_others() -> Result<Outcome> {
    let built = Built::build()?;
    process::run(here("node", &["scripts/build.mjs"]).arg(&built.library))?;
    let folder = Metadata::read()?.target_directory()?.join("nestjs");
    process::run(here("node", &["test/nestjs/run.mjs", "10", "11", "--folder"]).arg(folder))?;
    let prisma = package().join("test/prisma");
    process::run(here("npm", &["ci", "--no-audit", "--no-fund"]).current_dir(&prisma))?;
    let mut command = Command::new(&built.cluster);
    command.current_dir(&prisma).env_remove("DATABASE_URL");
    process::run(command.args(["--migrate", "node", "--test", "prisma.test.mjs"]))?;
    Ok(Outcome::Passed)
}

/// Whether what the package is built and tested with is there.
pub(crate) fn is_prepared() -> bool {
    let installed = package().join("node_modules/.package-lock.json");
    let age = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    age(&installed)
        .is_some_and(|age_of_it| age(&package().join("package-lock.json")).is_some_and(|lock| lock <= age_of_it))
}

/// Installs it, once: later runs need no network.
pub(crate) fn prepare() -> Command {
    here("npm", &["ci", "--no-audit", "--no-fund"])
}

fn here(program: &str, arguments: &[&str]) -> Command {
    let mut command = process::program(program, arguments.iter().copied());
    command.current_dir(package());
    command
}

fn package() -> PathBuf {
    workspace::root().join("crates/bindings-node")
}

/// The file that cargo makes of the native part.
fn library() -> String {
    workspace::library("leasehold_node")
}
