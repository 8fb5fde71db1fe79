//! Where definitions come from, and which instant is asked about.

use crate::args::Options;
use crate::failure::Failure;
use crate::style::Style;
use crate::suggest::nearest;
use leasehold::model::{Definitions, Diagnostic, Source, load, locate};
use leasehold::{Error, PinnedTenant, Revision, Snapshot, Stamp, Timestamp, read_directory};
use std::path::Path;
use std::time::SystemTime;

/// Files that this program carries with it, by directory: name within the directory, and bytes.
pub(crate) type Carried = &'static [(&'static str, &'static [(&'static str, &'static [u8])])];

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    options: Options,
    pub(crate) style: Style,
    /// The instant asked about. The clock is read at most once.
    pub(crate) now: Timestamp,
    carried: Carried,
}

impl Context {
    pub(crate) fn new(options: Options, style: Style) -> Self {
        let now = options.at.unwrap_or_else(|| SystemTime::now().into());
        Self { options, style, now, carried: &[] }
    }

    /// The same, with directories that need not be on the disk.
    pub(crate) fn carrying(options: Options, style: Style, carried: Carried) -> Self {
        Self { carried, ..Self::new(options, style) }
    }

    pub(crate) fn json(&self) -> bool {
        self.options.json
    }

    /// Another command about the same definitions and instant, as it can be typed.
    pub(crate) fn command(&self, words: &str) -> String {
        let mut line = format!("leasehold {words}");
        if let Some(at) = self.options.at {
            line.push_str(&format!(" --at {at}"));
        }
        let root = self.root().to_string_lossy();
        match &*root {
            "." => {}
            plain if plain.chars().all(|c| c.is_alphanumeric() || "/._-~".contains(c)) => {
                line.push_str(&format!(" -d {plain}"));
            }
            odd => line.push_str(&format!(" -d '{}'", odd.replace('\'', r"'\''"))),
        }
        line
    }

    /// The directory of definitions.
    pub(crate) fn root(&self) -> &Path {
        &self.options.definitions
    }

    /// The files below a directory.
    pub(crate) fn sources(&self, root: &Path) -> Result<Vec<Source>, Failure> {
        let carried = self.carried.iter().find(|(directory, _)| Path::new(directory) == root);
        let sources = match carried {
            Some((_, files)) => {
                let source = |(name, bytes): &(&str, &[u8])| Source { name: (*name).into(), bytes: bytes.to_vec() };
                files.iter().map(source).collect()
            }
            None => read_directory(root).map_err(|found| Failure::unreadable(root, found.into_vec()))?,
        };
        if sources.is_empty() { Err(Failure::no_definitions(root)) } else { Ok(sources) }
    }

    /// The world that `-d` names.
    pub(crate) fn world(&self) -> Result<World, Failure> {
        self.world_at(self.root())
    }

    /// The world in another directory.
    pub(crate) fn world_at(&self, root: &Path) -> Result<World, Failure> {
        self.build(&self.sources(root)?).map_err(Failure::refused)
    }

    /// Reads and compiles, for the instant asked about.
    pub(crate) fn build(&self, sources: &[Source]) -> Result<World, Vec<Diagnostic>> {
        let definitions = load(sources).map_err(|refused| refused.as_slice().to_vec())?;
        self.compile(definitions).map_err(|mut found| {
            locate(&mut found, sources);
            found
        })
    }

    /// Compiles definitions, for the instant asked about. A directory carries no revision: it answers as revision 0.
    pub(crate) fn compile(&self, definitions: Definitions) -> Result<World, Vec<Diagnostic>> {
        let stamp = Stamp { revision: Revision::default(), issued_at: self.now, expires_at: None };
        let snapshot = Snapshot::compile(&definitions, stamp).map_err(|refused| refused.as_slice().to_vec())?;
        Ok(World { definitions, snapshot })
    }
}

/// Definitions, as written and as compiled: the one for names, the other for answers.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) definitions: Definitions,
    pub(crate) snapshot: Snapshot,
}

impl World {
    /// One tenant.
    pub(crate) fn tenant(&self, id: &str) -> Result<PinnedTenant<'_>, Failure> {
        self.snapshot.tenant(id).map_err(|error| self.explain(error, None))
    }

    /// A failure that says what may have been meant.
    pub(crate) fn explain(&self, error: Error, tenant: Option<&str>) -> Failure {
        let definitions = &self.definitions;
        let meant = match &error {
            Error::UnknownTenant(id) => nearest(id, definitions.tenants.keys().map(AsRef::as_ref)),
            Error::UnknownFeature(key) => nearest(key, definitions.features.keys().map(AsRef::as_ref)),
            Error::UnknownPlan(key) => nearest(key, definitions.plans.keys().map(AsRef::as_ref)),
            Error::UnknownAddOn(key) => nearest(key, definitions.add_ons.keys().map(AsRef::as_ref)),
            Error::UnknownOverride(id) => {
                let tenant = tenant.and_then(|tenant| definitions.tenants.get(tenant));
                tenant.and_then(|tenant| nearest(id, tenant.overrides.keys().map(AsRef::as_ref)))
            }
            Error::UnknownPlanVersion { plan, .. } => {
                let numbers = definitions.plans.get(&**plan).map(|plan| plan.versions.keys());
                let numbers: Vec<String> = numbers.into_iter().flatten().map(u32::to_string).collect();
                return Failure::from(error).hint(format!("its versions are {}", numbers.join(", ")));
            }
            _ => None,
        };
        let hint = meant.map(|meant| format!("did you mean `{meant}`?"));
        let failure = Failure::from(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
