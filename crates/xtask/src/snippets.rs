//! The suite `snippets`: every block of code that a page shows is run, every link leads somewhere; `tests/docs` has the tests.

use crate::suites::Outcome;
use crate::{Result, node, process, python, web, workspace};

/// Runs the tests with what the suites of the packages test, built where they have not built it before.
pub(crate) fn run() -> Result<Outcome> {
    let programs = node::built()?;
    web::built()?;
    let (_, wheels) = python::installed()?;
    process::run(&mut node::PACKAGE.command("npx", &["prettier", "--check", "../../tests/docs/*.mjs"]))?;
    let tests = workspace::root().join("tests/docs");
    let mut command = node::PACKAGE.command(&programs.join("examples/private_cluster").to_string_lossy(), &[]);
    command.args(["--migrate", "node", "--test", "--test-reporter=spec"]);
    for file in std::fs::read_dir(&tests)? {
        let path = file?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            command.arg(path);
        }
    }
    // Another database would hold what others wrote.
    command.env_remove("DATABASE_URL").env("LEASEHOLD_BIN", programs.join("leasehold"));
    command.env("LEASEHOLD_WHEELS", wheels).env("LEASEHOLD_PYTHON", python::ENVIRONMENT.program("python")?);
    process::run(&mut command)?;
    Ok(Outcome::Passed)
}
