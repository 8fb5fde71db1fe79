//! The suite `without_rhai`: a guard that needs Rhai, asked in a build that is without it. The tests of the crate all have
//! it, since Cargo gives one build the features of everybody; this program is built by itself.

use std::path::Path;

use leasehold::model::load;
use leasehold::workflow::{BlockerCode, Context, Input, TransitionState};
use leasehold::{Revision, Snapshot, Stamp, read_directory};

use crate::Result;
use crate::suites::Outcome;

/// A tenant of the example on the version whose transition `rework` has such a guard.
const TENANT: &str = "om-muscat-crown";

pub(crate) fn run(root: &Path) -> Result<Outcome> {
    let definitions = load(&read_directory(&root.join("examples/cleanmatex"))?)?;
    let stamp = Stamp { revision: Revision::default(), issued_at: "2026-11-15T12:00:00Z".parse()?, expires_at: None };
    let snapshot = Snapshot::compile(&definitions, stamp)?;
    let machine = snapshot.tenant(TENANT)?.machine("order", None)?;
    // Inputs with which the guard holds where there is Rhai.
    let inputs = [("items_reworked", Input::Integer(0)), ("items_total", Input::Integer(20))];
    let context = Context { inputs: &inputs, roles: &["quality_inspector"] };
    let answers = machine.transitions("quality", &context)?;
    let rework = answers.iter().find(|answer| answer.transition.as_str() == "rework");
    let rework = rework.ok_or("the example has no transition `rework` any more")?;
    let codes: Vec<BlockerCode> = rework.blockers.iter().map(|blocker| blocker.code).collect();
    if rework.state == TransitionState::Blocked && codes == [BlockerCode::GuardNeedsRhai] && machine.needs_rhai() {
        println!("`rework` is blocked: {}", rework.blockers.first().map(ToString::to_string).unwrap_or_default());
        return Ok(Outcome::Passed);
    }
    Err(format!("without Rhai, `rework` is {} with {codes:?}", rework.state).into())
}
