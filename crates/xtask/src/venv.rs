//! Virtual environments of Python that suites run in.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::workspace::{self, Metadata};
use crate::{Result, process};

/// An environment, below the folder that cargo builds in.
pub(crate) struct Environment {
    /// Its folder there.
    pub(crate) folder: &'static str,
    /// What is in it, as pip reads it.
    pub(crate) requirements: &'static str,
}

impl Environment {
    /// Where it lies.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        Ok(Metadata::read()?.target_directory()?.join(self.folder))
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        Ok(self.folder()?.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(name))
    }

    /// Whether what is required is in it.
    pub(crate) fn is_prepared(&self) -> bool {
        let required = fs::read(workspace::root().join(self.requirements));
        let installed = self.folder().map(|folder| fs::read(folder.join("requirements.txt")));
        matches!((required, installed), (Ok(required), Ok(Ok(installed))) if required == installed)
    }

    /// Makes it, once: later runs need no network.
    pub(crate) fn prepare(&self) -> Command {
        let mut command = process::program("python3", ["tests/virtual_environment.py"]);
        command.arg(self.folder().unwrap_or_else(|_| workspace::root().join("target").join(self.folder)));
        command.arg(self.requirements).current_dir(workspace::root());
        command
    }
}
