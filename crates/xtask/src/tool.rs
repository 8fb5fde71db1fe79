//! What the suites need beyond cargo, and how it is installed where it is missing.

use std::path::Path;
use std::process::Command;

use crate::{Result, oracle, process};

/// Something that a suite cannot run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    WasmTarget,
    Nightly,
    CargoDeny,
    CargoFuzz,
    /// The Python package, in a virtual environment of its own.
    Transitions,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::WasmTarget => "the target wasm32-unknown-unknown",
            Self::Nightly => "the nightly toolchain",
            Self::CargoDeny => "cargo-deny",
            Self::CargoFuzz => "cargo-fuzz",
            Self::Transitions => "the Python package transitions",
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
            Self::Transitions => oracle::is_prepared(),
            Self::Nightly => {
                process::succeeds(&mut process::program("rustup", ["run", "nightly", "cargo", "--version"]))
            }
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
            Self::Nightly => rustup(&["toolchain", "install", "nightly", "--profile", "minimal"]),
            Self::CargoDeny => process::cargo(["install", "cargo-deny", "--locked"]),
            Self::CargoFuzz => process::cargo(["install", "cargo-fuzz", "--locked"]),
            Self::Transitions => oracle::prepare(),
        }
    }
}
