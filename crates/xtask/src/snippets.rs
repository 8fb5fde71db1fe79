//! The suite `snippets`: every block of code that a page shows is run, every link leads somewhere; `tests/docs` has the tests.

use crate::suites::Outcome;
use crate::{Result, node, npm, process, python, web, workspace};

/// Runs the tests with what the suites of the packages test, built where they have not built it before.
pub(crate) fn run() -> Result<Outcome> {
    let programs = node::built()?;
    web::built()?;
    let (_, wheels) = python::installed()?;
    process::run(&mut node::PACKAGE.command("npx", &["prettier", "--check", "../../tests/docs/**/*.mjs"]))?;
    let mut command = node::PACKAGE.runner(programs);
    command.arg("--test-reporter=spec").args(npm::tests_in(&workspace::root().join("tests/docs"))?);
    command.env("LEASEHOLD_WHEELS", wheels).env("LEASEHOLD_PYTHON", python::ENVIRONMENT.program("python")?);
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}

/// Types what takes minutes: lines that build, measure or install.
pub(crate) fn long() -> Result<Outcome> {
    let programs = node::built()?;
    let mut command = node::PACKAGE.runner(programs);
    command.arg("--test-reporter=spec").args(npm::tests_in(&workspace::root().join("tests/docs/long"))?);
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}
