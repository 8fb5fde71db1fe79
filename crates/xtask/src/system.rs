//! The suite `system`: HQ, Postgres, services in Rust, Node and Python and pages, all together; `tests/e2e` has the test.

use crate::suites::Outcome;
use crate::{Result, node, process, python, web, workspace};

const TEST: &str = "../../tests/e2e/system.test.mjs";

/// Runs the test with what the suites of the packages test, built where they have not built it before.
pub(crate) fn run() -> Result<Outcome> {
    node::built()?;
    web::built()?;
    python::installed()?;
    // The service in Rust.
    let programs = workspace::build(&["--example", "follow_hq"])?;
    let ruff = python::ENVIRONMENT.program("ruff")?;
    let services = workspace::root().join("tests/e2e/services");
    for words in [&["check"][..], &["format", "--check"]] {
        let mut command = process::program(&ruff.to_string_lossy(), words.iter().copied());
        command.args(["--quiet", "--config", "pyproject.toml"]).arg(&services);
        process::run(command.current_dir(python::package()))?;
    }
    process::run(&mut node::PACKAGE.command("npx", &["prettier", "--check", "../../tests/e2e/**/*.mjs"]))?;
    let mut command = node::PACKAGE.command("node", &["--test", "--test-reporter=spec", TEST]);
    command.env("LEASEHOLD_BIN", programs.join("leasehold"));
    process::run(command.env("LEASEHOLD_PYTHON", python::ENVIRONMENT.program("python")?))?;
    Ok(Outcome::Passed)
}
