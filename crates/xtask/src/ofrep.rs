//! The suite `ofrep`: the published OpenFeature clients for Node, browsers and Python against a server that was just built,
//! on a Postgres of its own; `tests/ofrep/README.md` says more.

use std::path::PathBuf;
use std::process::Command;

use crate::suites::Outcome;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

const SUITE: &str = "tests/ofrep/suite.py";

/// Starts a server and runs the clients.
pub(crate) fn run() -> Result<Outcome> {
    let built = workspace::build(&[])?;
    let mut command = Command::new(built.join("examples/private_cluster"));
    // Another database would hold what others wrote.
    command.current_dir(workspace::root()).env_remove("DATABASE_URL").env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(python()?).arg(SUITE).arg(folder()?).arg(built.join("leasehold"));
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

/// Whether the clients are there.
pub(crate) fn is_prepared() -> bool {
    let ready = || -> Result<Command> {
        let mut command = Command::new(python()?);
        command.args([SUITE, "--ready"]).arg(folder()?).current_dir(workspace::root());
        Ok(command)
    };
    ready().is_ok_and(|mut ready| process::succeeds(&mut ready))
}

/// Installs the clients, once: later runs need no network.
pub(crate) fn prepare() -> Command {
    let mut command = process::program("python3", ["tests/ofrep/prepare.py"]);
    command.arg(folder().unwrap_or_else(|_| workspace::root().join("target/ofrep")));
    command
}

fn folder() -> Result<PathBuf> {
    Ok(Metadata::read()?.target_directory()?.join("ofrep"))
}

/// The Python of the virtual environment.
fn python() -> Result<PathBuf> {
    let program = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    Ok(folder()?.join("python").join(program))
}
