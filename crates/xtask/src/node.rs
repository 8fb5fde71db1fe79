//! The suite `node`: the npm package, built and tested, on a Postgres of its own; `crates/bindings-node/test` has the tests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::npm::Package;
use crate::suites::Outcome;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

pub(crate) const PACKAGE: Package = Package("crates/bindings-node");

/// Builds the package, and runs its tests.
pub(crate) fn run() -> Result<Outcome> {
    let programs = built()?;
    process::run(&mut PACKAGE.command("node", &["scripts/declarations.mjs", "--check"]))?;
    PACKAGE.test(programs)?;
    process::run(
        &mut PACKAGE.command("npx", &["prettier", "--check", "lib", "scripts", "test", "../../examples/nestjs/src"]),
    )?;
    Ok(Outcome::Passed)
}

/// Appends the figures of the package beside those of its peers to a file.
pub(crate) fn bench(rows: &Path, quick: bool) -> Result<()> {
    build_released()?;
    // `npm ci` wants the optional packages of every platform in the lock file, those that were never published among them.
    Package("benches/peers/node").bench(&["install", "--no-save"], rows, quick)
}

/// The same with older versions of NestJS, and Prisma.
pub(crate) fn with_others() -> Result<Outcome> {
    let programs = built()?;
    let folder = Metadata::read()?.target_directory()?.join("nestjs");
    process::run(PACKAGE.command("node", &["test/nestjs/run.mjs", "10", "11", "--folder"]).arg(folder))?;
    let prisma = Package("crates/bindings-node/test/prisma");
    process::run(&mut prisma.prepare())?;
    process::run(prisma.runner(programs).arg("prisma.test.mjs"))?;
    Ok(Outcome::Passed)
}

/// Builds the package, once however many suites need it. Gives the folder with what the whole workspace was built into: the
/// features are those that the tests have built everything with.
pub(crate) fn built() -> Result<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(programs) = BUILT.get() {
        return Ok(programs);
    }
    let programs = workspace::build(&["--lib"])?;
    build(&programs)?;
    Ok(BUILT.get_or_init(|| programs))
}

/// Packs the package as it is published: what is for every platform, and what is for this one.
pub(crate) fn pack(folder: &Path) -> Result<()> {
    build_released()?;
    PACKAGE.pack(folder)
}

fn build_released() -> Result<()> {
    process::run(&mut process::cargo(["build", "--package", "leasehold-node", "--release"]))?;
    build(&Metadata::read()?.target_directory()?.join("release"))
}

/// Builds the package around what cargo left in a folder.
fn build(programs: &Path) -> Result<()> {
    let library = programs.join(workspace::library("leasehold_node"));
    process::run(PACKAGE.command("node", &["scripts/build.mjs"]).arg(library))
}
