//! `cargo xtask packages`: the packages as they are published, as files that an app installs.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::tool::Tool;
use crate::workspace::Metadata;
use crate::{Result, node, python, web};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this one; all of them where none is named.
    #[arg(long, value_enum)]
    only: Option<Packed>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Packed {
    /// `leasehold` on npm, for Node on this platform.
    Node,
    /// `leasehold` on PyPI, for `CPython` on this platform.
    Python,
    /// `leasehold-web` on npm, for browsers.
    Web,
}

impl Packed {
    fn needs(self) -> &'static [Tool] {
        match self {
            Self::Node => &[Tool::NodeModules],
            Self::Python => &[Tool::PythonPackages],
            Self::Web => &[Tool::WasmTarget, Tool::RustSource, Tool::WebModules],
        }
    }

    /// Packs it into an empty folder, and gives the line that installs what is there.
    fn pack(self, folder: &Path) -> Result<String> {
        let (pack, installs, files): (fn(&Path) -> Result<()>, _, _) = match self {
            Self::Node => (node::pack, "npm install", "*.tgz"),
            Self::Python => (python::pack, "pip install", "*.whl"),
            Self::Web => (web::pack, "npm install", "*.tgz"),
        };
        pack(folder)?;
        Ok(format!("{installs} {}", folder.join(files).display()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Web => "web",
        }
    }
}

/// Packs what is asked for, and says how it is installed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let wanted = options.only.as_ref().map_or(Packed::value_variants(), std::slice::from_ref);
    wanted.iter().flat_map(|one| one.needs()).try_for_each(|tool| tool.ensure())?;
    let packages = Metadata::read()?.target_directory()?.join("packages");
    let mut lines = Vec::new();
    for one in wanted {
        let folder = packages.join(one.name());
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        lines.push(one.pack(&folder)?);
    }
    println!("\nIn the folder of an app:\n  {}", lines.join("\n  "));
    Ok(ExitCode::SUCCESS)
}
