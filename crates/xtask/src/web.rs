//! The package for browsers: its two builds as WebAssembly, and the suite `web`, which tests them in Node and in Chromium;
//! `crates/bindings-wasm/test` has the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::suites::Outcome;
use crate::tool::Tool;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

/// The builds: what each is called, and the feature that it is built with.
const BUILDS: [(&str, Option<&str>); 2] = [("core", None), ("full", Some("full"))];

/// Builds the package into `dist/`.
pub(crate) fn build() -> Result<()> {
    for (name, feature) in BUILDS {
        let wasm = compile(feature)?;
        bind(&wasm, name)?;
    }
    process::run(&mut here("node", &["scripts/build.mjs"]))
}

/// The same, with all that this takes.
pub(crate) fn build_prepared() -> Result<ExitCode> {
    Tool::WasmTarget.ensure()?;
    Tool::WebModules.ensure()?;
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the package, and runs its tests.
pub(crate) fn run() -> Result<Outcome> {
    build()?;
    process::run(&mut here("node", &["scripts/declarations.mjs", "--check"]))?;
    let programs = workspace::build(&[])?;
    let mut command = Command::new(programs.join("examples/private_cluster"));
    // Another database would hold what others wrote.
    command.current_dir(package()).env_remove("DATABASE_URL").env("LEASEHOLD_BIN", programs.join("leasehold"));
    command.args(["--migrate", "node", "--test", "--test-concurrency=2", "--test-reporter=dot"]).args(tests()?);
    process::run(&mut command)?;
    process::run(&mut here(
        "npx",
        &["prettier", "--check", "lib", "scripts", "test", "../../examples/browser", "!**/dist/**"],
    ))?;
    Ok(Outcome::Passed)
}

/// Appends the figures of the package beside those of its peers to a file.
pub(crate) fn bench(rows: &Path, quick: bool) -> Result<()> {
    build()?;
    let peers = workspace::root().join("benches/peers/web");
    let npm = |words: &[&str]| {
        let mut command = process::program("npm", words.iter().copied());
        command.current_dir(&peers);
        command
    };
    process::run(&mut npm(&["ci", "--no-audit", "--no-fund"]))?;
    let mut bench = npm(&["run", "--silent", "bench"]);
    bench.env("LEASEHOLD_BENCH_ROWS", rows);
    if quick {
        bench.env("LEASEHOLD_BENCH_QUICK", "1");
    }
    process::run(&mut bench)
}

/// The engine as WebAssembly, small before fast.
fn compile(feature: Option<&str>) -> Result<PathBuf> {
    let target = "wasm32-unknown-unknown";
    let mut command = process::cargo(["build", "--package", "leasehold-wasm", "--profile", "web", "--target", target]);
    command.args(feature.iter().flat_map(|feature| ["--features", feature]));
    process::run(&mut command)?;
    Ok(Metadata::read()?.target_directory()?.join(target).join("web/leasehold_wasm.wasm"))
}

/// The JavaScript around it, by wasm-bindgen, of the version that it was compiled with.
fn bind(wasm: &Path, name: &str) -> Result<()> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(wasm).out_name(name).typescript(true).omit_default_module_path(true);
    bindgen.web(true)?;
    bindgen.generate(package().join("wasm"))?;
    Ok(())
}

/// The files with tests, in alphabetical order: Node would take whatever lies beside them for one, too.
fn tests() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(package().join("test"))?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
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
    workspace::root().join("crates/bindings-wasm")
}
