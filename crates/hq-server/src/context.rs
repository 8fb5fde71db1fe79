//! Where definitions come from, and which instant is asked about.

use crate::args::Options;
use crate::failure::Failure;
use crate::snapshots::{Held, Origin, Place};
use crate::style::Style;
use crate::suggest::nearest;
use crate::trust::{Published, quoted};
use crate::words;
use leasehold::model::{Definitions, Diagnostic, Source, Tenant, load, locate};
use leasehold::{Error, PinnedTenant, Revision, Snapshot, Stamp, TenantId, Timestamp, read_directory};
use std::path::Path;
use std::sync::Arc;
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
    chance: Chance,
}

/// Gives 32 bytes for a key, which is to be written to this file.
pub(crate) type Chance = fn(&Path) -> Result<[u8; 32], Failure>;

fn chance(_: &Path) -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Failure::internal(format!("the operating system gives no random bytes: {error}")))?;
    Ok(bytes)
}

impl Context {
    pub(crate) fn new(options: Options, style: Style) -> Self {
        let now = options.at.unwrap_or_else(|| SystemTime::now().into());
        Self { options, style, now, carried: &[], chance }
    }

    /// The same, with directories that need not be on the disk, and without chance.
    pub(crate) fn carrying(options: Options, style: Style, carried: Carried, chance: Chance) -> Self {
        Self { carried, chance, ..Self::new(options, style) }
    }

    /// 32 random bytes for a key, which is to be written to this file.
    pub(crate) fn seed(&self, path: &Path) -> Result<[u8; 32], Failure> {
        (self.chance)(path)
    }

    /// Refuses an instant where none is asked about, and says where one is.
    pub(crate) fn refuse_instant(&self, hint: &str) -> Result<(), Failure> {
        match self.options.at {
            Some(_) => Err(Failure::usage("--at has no meaning here").hint(hint)),
            None => Ok(()),
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.options.json
    }

    /// Another command about the same definitions and instant, as it can be typed.
    pub(crate) fn command(&self, words: &str, published: &Published) -> String {
        let mut line = format!("leasehold {words}");
        if let Some(at) = self.options.at {
            line.push_str(&format!(" --at {at}"));
        }
        let root = self.root().to_string_lossy();
        if root != "." {
            line.push_str(&format!(" -d {}", quoted(&root)));
        }
        if matches!(self.place(self.root()), Ok(Some(_))) {
            line.push_str(&published.typed());
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
            None if root.is_file() => return Err(Failure::is_a_file(root)),
            None => read_directory(root).map_err(|found| Failure::unreadable(root, found.into_vec()))?,
        };
        if sources.is_empty() { Err(Failure::no_definitions(root)) } else { Ok(sources) }
    }

    /// What was published at a path; nothing where definitions are.
    pub(crate) fn place(&self, root: &Path) -> Result<Option<Place>, Failure> {
        if self.carried.iter().any(|(directory, _)| Path::new(directory) == root) { Ok(None) } else { Place::at(root) }
    }

    /// The world that `-d` names.
    pub(crate) fn world(&self, published: &Published) -> Result<World, Failure> {
        let world = self.world_at(self.root(), published)?;
        if world.origin.is_none() {
            refuse_choices(published)?;
        }
        Ok(world)
    }

    /// The world at another path.
    pub(crate) fn world_at(&self, root: &Path, published: &Published) -> Result<World, Failure> {
        match self.place(root)? {
            Some(place) => {
                let held = Held::open(root, place, &published.trusted, published.known_at)?;
                let (definitions, snapshot, origin) = held.world(published, self.now)?;
                Ok(World { definitions, snapshot, origin: Some(origin) })
            }
            None => self.build(&self.sources(root)?).map_err(Failure::refused),
        }
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
        World::compile(definitions, stamp, None)
    }
}

/// Refuses choices among what was published where nothing was.
pub(crate) fn refuse_choices(published: &Published) -> Result<(), Failure> {
    let chosen = [
        ("--stream", published.trusted.stream.is_some()),
        ("--known-at", published.known_at.is_some()),
        ("--engine-id", published.engine_id.is_some()),
    ];
    match chosen.into_iter().find(|(_, chosen)| *chosen) {
        Some((option, _)) => {
            let failure = Failure::usage(format!("{option} is about published snapshots, and these are definitions"));
            Err(failure.hint("name a pack or a directory of snapshots with -d"))
        }
        None => Ok(()),
    }
}

/// Definitions, as written and as compiled: the one for names, the other for answers.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) definitions: Definitions,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Which snapshot it is, where it was published.
    pub(crate) origin: Option<Origin>,
}

impl World {
    fn compile(definitions: Definitions, stamp: Stamp, origin: Option<Origin>) -> Result<Self, Vec<Diagnostic>> {
        let snapshot = Snapshot::compile(&definitions, stamp).map_err(|refused| refused.as_slice().to_vec())?;
        Ok(Self { definitions, snapshot: Arc::new(snapshot), origin })
    }

    /// The same with some tenants only. Tenants do not touch each other, so that those left have the answers that they
    /// have among all.
    pub(crate) fn narrowed(self, mut keep: impl FnMut(&TenantId, &Tenant) -> bool) -> Result<Self, Failure> {
        let Self { mut definitions, snapshot, origin } = self;
        definitions.tenants.retain(|id, tenant| keep(id, tenant));
        Self::compile(definitions, snapshot.stamp(), origin).map_err(Failure::refused)
    }

    /// The snapshot in words, where it was published.
    pub(crate) fn described(&self, now: Timestamp) -> Option<String> {
        self.origin.as_ref().map(|origin| origin.describe(now))
    }

    /// One tenant.
    pub(crate) fn tenant(&self, id: &str) -> Result<PinnedTenant<'_>, Failure> {
        self.snapshot.tenant(id).map_err(|error| self.explain(error, None))
    }

    /// A workflow with its name: `order (Order)`.
    pub(crate) fn workflow(&self, key: &str) -> String {
        let workflow = self.definitions.workflows.get(key);
        workflow.map_or_else(|| key.to_owned(), |workflow| format!("{key} ({})", words::printable(&workflow.name)))
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
            Error::UnknownWorkflow(key) => nearest(key, definitions.workflows.keys().map(AsRef::as_ref)),
            Error::UnknownPlanVersion { plan, .. } => {
                let numbers = definitions.plans.get(&**plan).map(|plan| plan.versions.keys());
                return Failure::from(error).hint(versions(numbers.into_iter().flatten()));
            }
            Error::UnknownWorkflowVersion { workflow, .. } => {
                let numbers = definitions.workflows.get(&**workflow).map(|workflow| workflow.versions.keys());
                return Failure::from(error).hint(versions(numbers.into_iter().flatten()));
            }
            Error::InactiveTemplate(key) => {
                let hint = match definitions.workflows.get(&**key) {
                    Some(workflow) if workflow.active => "the tenant's use of it is switched off",
                    _ => "the template is switched off, for everybody",
                };
                return Failure::from(error).hint(hint);
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

/// The versions that there are.
fn versions<'n>(numbers: impl Iterator<Item = &'n u32>) -> String {
    let numbers: Vec<String> = numbers.map(u32::to_string).collect();
    format!("its versions are {}", numbers.join(", "))
}
