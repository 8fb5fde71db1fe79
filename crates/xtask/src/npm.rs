//! Packages of npm: what they are built and tested with, and their programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process, workspace};

/// A package, by its folder in the workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package(pub(crate) &'static str);

impl Package {
    pub(crate) fn folder(self) -> PathBuf {
        workspace::root().join(self.0)
    }

    /// A program that runs in its folder.
    pub(crate) fn command(self, program: &str, arguments: &[&str]) -> Command {
        let mut command = process::program(program, arguments.iter().copied());
        command.current_dir(self.folder());
        command
    }

    /// Whether what it is built and tested with is there.
    pub(crate) fn is_prepared(self) -> bool {
        let age = |file: &str| {
            let path: &Path = &self.folder().join(file);
            path.metadata().and_then(|metadata| metadata.modified()).ok()
        };
        age("node_modules/.package-lock.json")
            .is_some_and(|installed| age("package-lock.json").is_some_and(|lock| lock <= installed))
    }

    /// Installs it, once: later runs need no network.
    pub(crate) fn prepare(self) -> Command {
        self.command("npm", &["ci", "--no-audit", "--no-fund"])
    }

    /// Runs its tests on a Postgres of their own; `programs` is the folder with the command line.
    pub(crate) fn test(self, programs: &Path) -> Result<()> {
        let mut command = self.runner(programs);
        command.args(["--test-concurrency=2", "--test-reporter=dot"]).args(tests_in(&self.folder().join("test"))?);
        process::run(&mut command)
    }

    /// Node's runner of tests, in its folder, on a Postgres of their own; which tests, is for the caller to add.
    pub(crate) fn runner(self, programs: &Path) -> Command {
        let cluster = programs.join("examples/private_cluster");
        let mut command = self.command(&cluster.to_string_lossy(), &["--migrate", "node", "--test"]);
        // Another database would hold what others wrote.
        command.env_remove("DATABASE_URL").env("LEASEHOLD_BIN", programs.join("leasehold"));
        command
    }

    /// Packs what was built into tarballs.
    pub(crate) fn pack(self, folder: &Path) -> Result<()> {
        process::run(self.command("node", &["scripts/pack.mjs"]).arg(folder))
    }

    /// Measures it beside its peers, appending rows to a file. `install` is how npm installs what that takes.
    pub(crate) fn bench(self, install: &[&str], rows: &Path, quick: bool) -> Result<()> {
        process::run(self.command("npm", install).args(["--no-audit", "--no-fund"]))?;
        let mut bench = self.command("npm", &["run", "--silent", "bench"]);
        bench.env("LEASEHOLD_BENCH_ROWS", rows);
        if quick {
            bench.env("LEASEHOLD_BENCH_QUICK", "1");
        }
        process::run(&mut bench)
    }
}

/// The files with tests, in alphabetical order: Node would take whatever lies beside them for one, too.
pub(crate) fn tests_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
}
