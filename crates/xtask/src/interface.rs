//! The suite `interface`: a server that was just built, sent what its OpenAPI document allows and what it does not, by
//! schemathesis; `tests/interface/README.md` says more.

use std::process::Command;

use crate::suites::Outcome;
use crate::venv::Environment;
use crate::workspace;
use crate::{Result, process};

/// What it is sent by.
pub(crate) const ENVIRONMENT: Environment =
    Environment { folder: "interface", requirements: "tests/interface/requirements.txt" };

const SUITE: &str = "tests/interface/suite.py";

/// Starts a server and sends it so many examples of each request.
pub(crate) fn run(examples: u32) -> Result<Outcome> {
    let built = workspace::build(&[])?;
    let mut command = Command::new(built.join("examples/private_cluster"));
    // Another database would hold what others wrote.
    command.current_dir(workspace::root()).env_remove("DATABASE_URL").env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(ENVIRONMENT.program("python")?).arg(SUITE).arg(built.join("leasehold")).arg(examples.to_string());
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}
