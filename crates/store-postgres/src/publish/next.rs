//! The next contents, made from a reading and what is wanted.

use super::InForce;
use super::contents;
use super::effect::FleetEffect;
use super::publisher::Refusal;
use super::reading::{About, Reading, Remembered};
use crate::Error;
use leasehold::build::{Content, candidate_kills};
use leasehold::model::{Definitions, Diagnostic, DiagnosticCode, Diagnostics, Tenant};
use leasehold::wire::{Candidate, ChunkRef, MANIFEST_FORMAT, Manifest, SignedHead, TreeNode, canonical};
use leasehold::{RecordId, Region, Revision, Snapshot, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is wanted besides what waits.
#[derive(Default)]
pub(super) struct Wanted {
    /// Other definitions in force.
    pub(super) definitions: Option<InForce>,
    pub(super) trial: Trial,
    /// The fleet with other definitions, where workflows are others by them.
    pub(super) fleet: Option<Snapshot>,
    /// What they do to the fleet, where that is answered.
    pub(super) effect: Option<FleetEffect>,
}

/// What becomes of the trial.
#[derive(Default)]
pub(super) enum Trial {
    /// It goes on, where there is one.
    #[default]
    GoesOn,
    /// There is none from now on.
    Ends,
    /// Definitions are on trial, with so many engines of a thousand.
    Begins(Box<Definitions>, u16),
}

/// What a publication is going to put in force.
pub(super) struct Next {
    pub(super) revision: Revision,
    pub(super) definitions: ChunkRef,
    pub(super) candidate: Option<Candidate>,
    pub(super) streams: BTreeMap<Region, ChunkRef>,
    pub(super) chunks: Vec<(ChunkRef, Vec<u8>)>,
    pub(super) refused: Vec<Refusal>,
    /// By what the items of tenants move from now on.
    pub(super) machines: Vec<Machines>,
    /// What other definitions do to the fleet, where that is answered.
    pub(super) effect: Option<FleetEffect>,
}

/// Tenants whose items move by the machines that a snapshot resolves.
pub(super) struct Machines {
    pub(super) snapshot: Snapshot,
    pub(super) tenants: Vec<TenantId>,
}

impl Next {
    /// Makes it; nothing before the first definitions.
    pub(super) fn of(reading: &Reading, wanted: Wanted, remembered: &Remembered) -> Result<Option<Self>, Error> {
        let mut refused = Vec::new();
        let now = reading.in_force.as_ref().map(|(_, in_force)| &**in_force);
        let Some(base) = wanted.definitions.as_ref().or(now) else { return Ok(None) };
        let killed = with_new_kills(base, reading, &mut refused)?;
        let other = killed.or(wanted.definitions);
        let mut chunks = Vec::new();
        let (definitions, in_use) = match (&other, &reading.in_force) {
            (Some(other), _) => (content(&other.definitions, &mut chunks)?, other),
            (None, Some((reference, in_force))) => (*reference, &**in_force),
            (None, None) => return Ok(None),
        };
        let trial = trial(wanted.trial, reading, other.as_ref(), &mut chunks)?;
        let candidate = trial.as_ref().map(|(candidate, _)| candidate.clone());
        let changed = sort_changes(reading, in_use, trial.as_ref().map(|(_, it)| &**it), &mut refused);

        let mut streams = BTreeMap::new();
        for stream in reading.heads.keys().chain(changed.keys()).collect::<BTreeSet<_>>() {
            let last = reading.heads.get(stream);
            let manifest = match last {
                Some(head) => contents::manifest(&remembered.held, head.head().manifest)?,
                None => Manifest { format: MANIFEST_FORMAT, definitions, tenants: TreeNode::default() },
            };
            let none = BTreeMap::new();
            let changes = changed.get(stream).unwrap_or(&none);
            if last.is_none() && changes.values().all(Option::is_none) {
                // A region that nobody is in has no stream.
                continue;
            }
            let content = Content::changed(&manifest, definitions, changes, &contents::held(&remembered.held))?;
            let same = |head: &SignedHead| head.head().manifest == content.root && head.head().candidate == candidate;
            if !last.is_some_and(same) {
                streams.insert(stream.clone(), content.root);
                chunks.extend(content.chunks);
            }
        }
        let was = reading.trial.as_ref().map(|(reference, _, share)| (*reference, *share));
        let moved = !streams.is_empty()
            || reading.in_force.as_ref().map(|(reference, _)| *reference) != Some(definitions)
            || was != candidate.as_ref().map(|it| (it.definitions, it.share_permille));
        let revision = Revision::new(reading.revision + u64::from(moved)).ok_or_else(|| Error::Constraint {
            constraint: None,
            message: "there is no revision after the last one".to_owned(),
        })?;
        let machines = machines(in_use, wanted.fleet, &changed)?;
        let effect = wanted.effect;
        Ok(Some(Self { revision, definitions, candidate, streams, chunks, refused, machines, effect }))
    }
}

/// The content of definitions, and where it is.
fn content(definitions: &Definitions, chunks: &mut Vec<(ChunkRef, Vec<u8>)>) -> Result<ChunkRef, Error> {
    let content = Content::of_definitions(definitions).map_err(|error| no_form(&error))?;
    chunks.extend(content.chunks);
    Ok(content.root)
}

fn no_form(error: &canonical::NoCanonicalForm) -> Error {
    Error::Constraint { constraint: None, message: error.to_string() }
}

/// The definitions on trial from now on. Kill switches are never on trial: those in force hold there too.
fn trial(
    wanted: Trial,
    reading: &Reading,
    other: Option<&InForce>,
    chunks: &mut Vec<(ChunkRef, Vec<u8>)>,
) -> Result<Option<(Candidate, Arc<InForce>)>, Error> {
    let (mut definitions, share_permille) = match (wanted, &reading.trial) {
        (Trial::Ends, _) | (Trial::GoesOn, None) => return Ok(None),
        (Trial::Begins(definitions, share), _) => (*definitions, share),
        (Trial::GoesOn, Some((reference, trial, share))) if other.is_none() => {
            let candidate = Candidate { definitions: *reference, share_permille: *share };
            return Ok(Some((candidate, trial.clone())));
        }
        (Trial::GoesOn, Some((_, trial, share))) => (trial.definitions.clone(), *share),
    };
    let base = other.or(reading.in_force.as_ref().map(|(_, in_force)| &**in_force));
    if let Some(base) = base {
        candidate_kills(&base.definitions, &mut definitions);
    }
    let root = content(&definitions, chunks)?;
    Ok(Some((Candidate { definitions: root, share_permille }, Arc::new(InForce::of(Some(root), definitions)?))))
}

/// The definitions with the kill switches that are new; nothing where none is. One that cannot be is refused: what is
/// published stays.
fn with_new_kills(base: &InForce, reading: &Reading, refused: &mut Vec<Refusal>) -> Result<Option<InForce>, Error> {
    let mut next: Option<InForce> = None;
    for change in &reading.changes {
        let About::Kill(id) = &change.about else { continue };
        // It may have been removed before anybody published it.
        let Some(kill) = reading.kills.get(id) else { continue };
        let so_far = next.as_ref().map_or(&base.definitions, |next| &next.definitions);
        let found = match so_far.kills.get(id) {
            Some(same) if same == kill => continue,
            Some(_) => vec![another_kill(id)],
            None => {
                let mut with = so_far.clone();
                with.kills.insert(id.clone(), kill.clone());
                match InForce::of(None, with) {
                    Ok(with) => {
                        next = Some(with);
                        continue;
                    }
                    Err(Error::Refused(found)) => found.into_vec(),
                    Err(error) => return Err(error),
                }
            }
        };
        refused.push(Refusal { tenant: None, kill: Some(id.clone()), found });
    }
    Ok(next)
}

/// What is wrong with a new kill switch whose id another one in force has.
fn another_kill(id: &RecordId) -> Diagnostic {
    Diagnostic {
        severity: DiagnosticCode::DuplicateId.severity(),
        code: DiagnosticCode::DuplicateId,
        file: Arc::default(),
        path: format!("/kills/{id}"),
        message: format!("another kill switch `{id}` is in force"),
        hint: "give the new one an id of its own; the other one is lifted by a proposal".to_owned(),
    }
}

type ByStream = BTreeMap<Region, BTreeMap<TenantId, Option<Tenant>>>;

/// What changed, by stream. Tenants that do not compile, with the definitions in force or with those on trial, are left as
/// they are: an engine compiles all of them or refuses all of them.
fn sort_changes(reading: &Reading, in_use: &InForce, trial: Option<&InForce>, refused: &mut Vec<Refusal>) -> ByStream {
    let mut sorted = ByStream::new();
    let mut bad = BTreeSet::new();
    for change in &reading.changes {
        let About::Tenant(id, _) = &change.about else { continue };
        let checked = |tenant: &Tenant| {
            in_use.checker.check(id, tenant)?;
            trial.map_or(Ok(()), |trial| trial.checker.check(id, tenant))
        };
        let authored = match reading.tenants.get(id) {
            None => Ok(None),
            Some(Ok(tenant)) => checked(tenant).map(|()| Some(tenant)).map_err(Diagnostics::into_vec),
            Some(Err(error)) => Err(unreadable(error)),
        };
        match authored {
            Ok(tenant) => {
                for stream in change.streams(&reading.tenants).into_iter().flatten() {
                    let here = tenant.filter(|tenant| tenant.region == *stream).cloned();
                    sorted.entry(stream.clone()).or_default().insert(id.clone(), here);
                }
            }
            Err(found) if bad.insert(id) => refused.push(Refusal { tenant: Some(id.clone()), kill: None, found }),
            Err(_) => {}
        }
    }
    sorted
}

fn unreadable(error: &Error) -> Vec<Diagnostic> {
    match error {
        Error::Refused(found) => found.as_slice().to_vec(),
        _ => Vec::new(),
    }
}

/// The machines of tenants that changed, and of all of them where workflows did.
fn machines(in_use: &InForce, fleet: Option<Snapshot>, changed: &ByStream) -> Result<Vec<Machines>, Error> {
    let mut machines = Vec::new();
    if let Some(snapshot) = fleet {
        let tenants = snapshot.tenants().filter_map(|tenant| tenant.id().parse().ok()).collect();
        machines.push(Machines { snapshot, tenants });
    }
    if !in_use.definitions.workflows.is_empty() && !changed.is_empty() {
        let ids: BTreeSet<&TenantId> = changed.values().flat_map(BTreeMap::keys).collect();
        let tenants = changed.values().flatten().filter_map(|(id, tenant)| Some((id.clone(), tenant.clone()?)));
        let definitions = Definitions { tenants: tenants.collect(), ..in_use.definitions.clone() };
        let snapshot = Snapshot::compile(&definitions, super::effect::stamp())?;
        machines.push(Machines { snapshot, tenants: ids.into_iter().cloned().collect() });
    }
    Ok(machines)
}
