//! The suites `python`, `python_oldest` and `python_distributions`: the package for Python, packed and tested, on a
//! Postgres of its own; `crates/bindings-python/tests` has the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::suites::Outcome;
use crate::venv::Environment;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

/// What the package is tested with.
pub(crate) const ENVIRONMENT: Environment =
    Environment { folder: "python/tested", requirements: "crates/bindings-python/tests/requirements.txt" };

/// The oldest versions of frameworks that it says to work with.
pub(crate) const OLDEST: Environment =
    Environment { folder: "python/oldest", requirements: "crates/bindings-python/tests/requirements-oldest.txt" };

/// Tests of frameworks.
const WITH_FRAMEWORKS: [&str; 4] =
    ["tests/test_django.py", "tests/test_fastapi.py", "tests/test_openfeature.py", "tests/test_pytest_plugin.py"];

/// What stands beside it in benchmarks.
const PEERS: Environment =
    Environment { folder: "python/peers", requirements: "benches/peers/python/requirements.txt" };

/// Packs a wheel around what the tests have built, and runs all tests with it.
pub(crate) fn run() -> Result<Outcome> {
    let (built, wheels) = installed()?;
    process::run(&mut here(&ENVIRONMENT.program("ruff")?, &["check", "--quiet", ".", "../../examples/fastapi"]))?;
    process::run(&mut here(
        &ENVIRONMENT.program("ruff")?,
        &["format", "--check", "--quiet", ".", "../../examples/fastapi"],
    ))?;
    test(built, wheels, &ENVIRONMENT, &[])?;
    Ok(Outcome::Passed)
}

/// The entries for frameworks with the oldest versions of these.
pub(crate) fn with_oldest() -> Result<Outcome> {
    let (built, wheels) = packed()?;
    install(&wheels, &OLDEST)?;
    // A path function that streams is something that newer versions of FastAPI have.
    let newer = ["--deselect", "tests/test_fastapi.py::test_decorators_gather"];
    test(&built, &wheels, &OLDEST, &[&WITH_FRAMEWORKS[..], &newer].concat())?;
    Ok(Outcome::Passed)
}

/// Installs the package for its tests, once however many suites need it. Gives what it was packed of, and where the wheel is.
pub(crate) fn installed() -> Result<&'static (PathBuf, PathBuf)> {
    static INSTALLED: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    if let Some(installed) = INSTALLED.get() {
        return Ok(installed);
    }
    let (built, wheels) = packed()?;
    install(&wheels, &ENVIRONMENT)?;
    Ok(INSTALLED.get_or_init(|| (built, wheels)))
}

/// What the tests have built, and a wheel around it.
fn packed() -> Result<(PathBuf, PathBuf)> {
    let built = workspace::build(&["--lib"])?;
    let wheels = folder()?.join("wheels");
    process::run(here(&ENVIRONMENT.program("python")?, &["scripts/pack.py"]).arg(built.join(library())).arg(&wheels))?;
    Ok((built, wheels))
}

/// Installs a wheel, of which all that it depends on is there.
fn install(wheels: &Path, environment: &Environment) -> Result<()> {
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"];
    process::run(here(&environment.program("python")?, &install).arg("--no-index").arg(only_wheel(wheels)?))
}

/// Runs tests with the wheel that is installed in an environment.
fn test(built: &Path, wheels: &Path, environment: &Environment, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(built.join("examples/private_cluster"));
    // Another database would hold what others wrote.
    command.current_dir(package()).env_remove("DATABASE_URL").env("LEASEHOLD_BIN", built.join("leasehold"));
    command.env("LEASEHOLD_WHEELS", wheels).env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg("--migrate").arg(environment.program("python")?).args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    process::run(command.args(arguments))
}

/// The wheel as it is published, in a clean environment; and the source distribution, built in another one.
pub(crate) fn distributions() -> Result<Outcome> {
    let wheels = folder()?.join("released");
    if wheels.is_dir() {
        fs::remove_dir_all(&wheels)?;
    }
    released(&["--sdist"], &wheels)?;
    process::run(here(&ENVIRONMENT.program("python")?, &["scripts/install.py"]).arg(&wheels))?;
    Ok(Outcome::Passed)
}

/// Packs the wheel as it is published, for this platform.
pub(crate) fn pack(folder: &Path) -> Result<()> {
    released(&[], folder)
}

/// The distributions, built as for a release.
fn released(more: &[&str], folder: &Path) -> Result<()> {
    let mut maturin = here(&ENVIRONMENT.program("maturin")?, &["build", "--release", "--quiet"]);
    process::run(maturin.args(more).arg("--out").arg(folder))
}

/// Appends the figures of the package beside those of its peers to a file.
pub(crate) fn bench(rows: &Path, quick: bool) -> Result<()> {
    if !PEERS.is_prepared() {
        process::run(&mut PEERS.prepare())?;
    }
    process::run(&mut process::cargo(["build", "--package", "leasehold-python", "--release"]))?;
    let (wheels, release) = (folder()?.join("measured"), Metadata::read()?.target_directory()?.join("release"));
    process::run(here(&PEERS.program("python")?, &["scripts/pack.py"]).arg(release.join(library())).arg(&wheels))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"];
    process::run(here(&PEERS.program("python")?, &install).arg(only_wheel(&wheels)?))?;
    let mut bench = Command::new(PEERS.program("python")?);
    bench.current_dir(workspace::root().join("benches/peers/python")).arg("bench.py").env("LEASEHOLD_BENCH_ROWS", rows);
    if quick {
        bench.env("LEASEHOLD_BENCH_QUICK", "1");
    }
    process::run(&mut bench)
}

/// The one wheel of a folder.
fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut wheels = files.collect::<std::io::Result<Vec<_>>>()?;
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    match wheels.as_slice() {
        [wheel] => Ok(wheel.clone()),
        found => Err(format!("`{}` has {} wheels, not one", folder.display(), found.len()).into()),
    }
}

fn here(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(package());
    command
}

fn folder() -> Result<PathBuf> {
    Ok(Metadata::read()?.target_directory()?.join("python"))
}

pub(crate) fn package() -> PathBuf {
    workspace::root().join("crates/bindings-python")
}

/// The file that cargo makes of the native part.
fn library() -> String {
    workspace::library("leasehold_python")
}
