//! Where things are, and what cargo knows about them.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, process};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.ancestors().nth(2).unwrap_or(xtask)
}

/// Builds the program `leasehold`, the private cluster of its tests, and what else is named, with the features that the tests
/// have built everything with: nothing is built twice. Gives the folder that they are in.
pub(crate) fn build(more: &[&str]) -> Result<PathBuf> {
    let all = ["build", "--workspace", "--all-features", "--bin", "leasehold", "--example", "private_cluster"];
    process::run(process::cargo(all).args(more))?;
    Ok(Metadata::read()?.target_directory()?.join("debug"))
}

/// The file that cargo makes of a library that others load.
pub(crate) fn library(name: &str) -> String {
    format!("{DLL_PREFIX}{name}{DLL_SUFFIX}")
}

/// The answer of `cargo metadata`.
#[derive(Debug)]
pub(crate) struct Metadata(Value);

impl Metadata {
    /// Asks cargo about the workspace and everything that it depends on.
    pub(crate) fn read() -> Result<Self> {
        let mut command = process::cargo(["metadata", "--format-version", "1"]);
        Ok(Self(serde_json::from_str(&process::read(&mut command)?)?))
    }

    /// The folder that cargo builds into.
    pub(crate) fn target_directory(&self) -> Result<PathBuf> {
        Ok(self.0["target_directory"].as_str().ok_or("`cargo metadata` names no target directory")?.into())
    }

    /// The features of a package of the workspace, `default` left out, in alphabetical order.
    pub(crate) fn features(&self, package: &str) -> Result<Vec<String>> {
        let features = self.package(package)?["features"].as_object().ok_or("`cargo metadata` lists no features")?;
        let mut names: Vec<_> = features.keys().filter(|name| *name != "default").cloned().collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The names of a package's bench targets.
    pub(crate) fn benches(&self, package: &str) -> Result<Vec<String>> {
        let is_bench = |target: &Value| target["kind"].as_array().is_some_and(|kinds| kinds.contains(&"bench".into()));
        Ok(array(&self.package(package)?["targets"])
            .filter(|target| is_bench(target))
            .filter_map(|target| target["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// The version of `dependency` that `package` uses; its own when both are the same.
    pub(crate) fn version(&self, package: &str, dependency: &str) -> Result<String> {
        let user = self.package(package)?;
        let node = array(&self.0["resolve"]["nodes"]).find(|node| node["id"] == user["id"]);
        let used =
            |id: &Value| node.is_some_and(|node| array(&node["dependencies"]).any(|dependency| dependency == id));
        array(&self.0["packages"])
            .find(|found| found["name"] == dependency && (found["id"] == user["id"] || used(&found["id"])))
            .and_then(|found| found["version"].as_str().map(str::to_owned))
            .ok_or_else(|| format!("`{package}` does not depend on `{dependency}`").into())
    }

    fn package(&self, name: &str) -> Result<&Value> {
        let members = &self.0["workspace_members"];
        array(&self.0["packages"])
            .find(|package| package["name"] == name && array(members).any(|member| *member == package["id"]))
            .ok_or_else(|| format!("the workspace has no package `{name}`").into())
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Metadata {
        Metadata(json!({
            "target_directory": "/somewhere/target",
            "workspace_members": ["path#benches"],
            "packages": [
                {"name": "benches", "id": "path#benches", "version": "0.1.0", "features": {"default": ["b"], "b": [], "a": []},
                 "targets": [{"name": "benches", "kind": ["lib"]}, {"name": "check", "kind": ["bench"]}]},
                {"name": "peer", "id": "peer@1", "version": "1.2.3"},
                {"name": "peer", "id": "peer@2", "version": "2.0.0"},
            ],
            "resolve": {"nodes": [{"id": "path#benches", "dependencies": ["peer@2"]}]},
        }))
    }

    #[test]
    fn the_version_is_the_one_that_the_package_uses() {
        let metadata = metadata();
        assert_eq!(metadata.version("benches", "peer").unwrap(), "2.0.0");
        assert_eq!(metadata.version("benches", "benches").unwrap(), "0.1.0");
        assert_eq!(
            metadata.version("benches", "stranger").unwrap_err().to_string(),
            "`benches` does not depend on `stranger`"
        );
    }

    #[test]
    fn what_builds_everything_is_the_oldest_compiler_that_is_said_to_do() {
        let said = |file: &str, key: &str| {
            let text = std::fs::read_to_string(root().join(file)).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim_matches([' ', '=', '"']).to_owned()
        };
        let (channel, oldest) = (said("rust-toolchain.toml", "channel"), said("Cargo.toml", "rust-version"));
        assert_eq!(channel.strip_suffix(".0").unwrap_or(&channel), oldest);
    }

    #[test]
    fn features_leave_the_default_out_and_benches_leave_the_library_out() {
        let metadata = metadata();
        assert_eq!(metadata.features("benches").unwrap(), ["a", "b"]);
        assert_eq!(metadata.benches("benches").unwrap(), ["check"]);
        assert!(metadata.features("peer").is_err(), "a dependency is no member of the workspace");
    }
}
