//! The package for browsers: its two builds as WebAssembly, and the suite `web`, which tests them in Node and in Chromium;
//! `crates/bindings-wasm/test` has the tests.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use crate::npm::Package;
use crate::suites::Outcome;
use crate::tool::Tool;
use crate::workspace::{self, Metadata};
use crate::{Result, process};

pub(crate) const PACKAGE: Package = Package("crates/bindings-wasm");
/// The older React that the package works with: its tests of React run with that, too.
const REACT_18: Package = Package("crates/bindings-wasm/test/react18");

/// The builds: what each is called, and the feature that it is built with.
const BUILDS: [(&str, Option<&str>); 2] = [("core", None), ("full", Some("full"))];

/// Builds the package into `dist/`.
pub(crate) fn build() -> Result<()> {
    for (name, feature) in BUILDS {
        bind(&compile(feature)?, name)?;
    }
    process::run(&mut PACKAGE.command("node", &["scripts/build.mjs"]))
}

/// Builds the package, once however many suites need it.
pub(crate) fn built() -> Result<()> {
    static BUILT: OnceLock<()> = OnceLock::new();
    if BUILT.get().is_none() {
        build()?;
        BUILT.get_or_init(|| ());
    }
    Ok(())
}

/// The same, with all that this takes.
pub(crate) fn build_prepared() -> Result<ExitCode> {
    [Tool::WasmTarget, Tool::RustSource, Tool::WebModules].into_iter().try_for_each(Tool::ensure)?;
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the package, and runs its tests.
pub(crate) fn run() -> Result<Outcome> {
    built()?;
    process::run(&mut PACKAGE.command("node", &["scripts/declarations.mjs", "--check"]))?;
    let programs = workspace::build(&[])?;
    PACKAGE.test(&programs)?;
    if !REACT_18.is_prepared() {
        process::run(&mut REACT_18.prepare())?;
    }
    let mut react18 = PACKAGE.command("node", &["--import=./test/react18/hook.mjs", "--test", "--test-reporter=dot"]);
    react18.arg("test/react.test.mjs").env("LEASEHOLD_REACT", "18").env("LEASEHOLD_BIN", programs.join("leasehold"));
    process::run(&mut react18)?;
    process::run(
        &mut PACKAGE.command("npx", &["prettier", "--check", "lib", "scripts", "test", "../../examples/browser"]),
    )?;
    Ok(Outcome::Passed)
}

/// Packs the package as it is published.
pub(crate) fn pack(folder: &Path) -> Result<()> {
    build()?;
    PACKAGE.pack(folder)
}

/// Appends the figures of the package beside those of its peers to a file.
pub(crate) fn bench(rows: &Path, quick: bool) -> Result<()> {
    build()?;
    Package("benches/peers/web").bench(&["ci"], rows, quick)
}

/// The engine as WebAssembly, small before fast. The standard library is compiled along, for size too: what comes with the
/// toolchain sorts as fast as can be, in as many copies as there are types, and that was a sixth of all. Compiling it is not
/// stable in cargo; what is compiled is what the toolchain comes with.
fn compile(feature: Option<&str>) -> Result<PathBuf> {
    let target = "wasm32-unknown-unknown";
    let mut command = process::cargo(["build", "--package", "leasehold-wasm", "--profile", "web", "--target", target]);
    command.args(feature.iter().flat_map(|feature| ["--features", feature]));
    command.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
    // Nobody reads what a panic says, where in the source it was, or what a value looks like to a programmer: a panic ends the
    // call, and the TypeScript sees that it did. Names are read by what tells how much each part weighs. A slice is hashed
    // twice: rounds that are written out would cost more to load than they save.
    let flags = "-Zunstable-options -Cpanic=immediate-abort -Zfmt-debug=none -Zlocation-detail=none \
                 -Csymbol-mangling-version=legacy --cfg=sha2_backend_soft=\"compact\"";
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags);
    process::run(&mut command)?;
    Ok(Metadata::read()?.target_directory()?.join(target).join("web/leasehold_wasm.wasm"))
}

/// The JavaScript around it, by wasm-bindgen, of the version that it was compiled with.
fn bind(wasm: &Path, name: &str) -> Result<()> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(wasm).out_name(name).typescript(true).omit_default_module_path(true);
    bindgen.web(true)?;
    bindgen.generate(PACKAGE.folder().join("wasm"))?;
    Ok(())
}
