//! The suite `interface`: a server that was just built, sent what its OpenAPI document allows and what it does not, by
//! schemathesis; `tests/interface/README.md` says more.

use std::path::PathBuf;
use std::process::Command;

use crate::suites::Outcome;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

const SUITE: &str = "tests/interface/suite.py";

/// Starts a server and sends it so many examples of each request.
pub(crate) fn run(examples: u32) -> Result<Outcome> {
    let built = workspace::build(&[])?;
    let mut command = Command::new(built.join("examples/private_cluster"));
    // Another database would hold what others wrote.
    command.current_dir(workspace::root()).env_remove("DATABASE_URL").env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(python()?).arg(SUITE).arg(built.join("leasehold")).arg(examples.to_string());
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

/// Whether schemathesis is there.
pub(crate) fn is_prepared() -> bool {
    let ready = || -> Result<Command> {
        let mut command = Command::new(python()?);
        command.args([SUITE, "--ready"]).current_dir(workspace::root());
        Ok(command)
    };
    ready().is_ok_and(|mut ready| process::succeeds(&mut ready))
}

/// Installs it, once: later runs need no network.
pub(crate) fn prepare() -> Command {
    let mut command = process::program("python3", ["tests/interface/prepare.py"]);
    command.arg(folder().unwrap_or_else(|_| workspace::root().join("target/interface")));
    command
}

fn folder() -> Result<PathBuf> {
    Ok(Metadata::read()?.target_directory()?.join("interface"))
}

/// The Python of the virtual environment.
fn python() -> Result<PathBuf> {
    Ok(folder()?.join("bin/python"))
}
