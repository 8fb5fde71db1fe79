//! What the demo asks, and what is worth knowing about it.

use super::{DRAFT, Line, NOW, REFERENCE, Step, published, typed};
use crate::context::Context;
use crate::failure::Failure;
use crate::trust::Published;
use leasehold::Timestamp;
use leasehold::model::PhaseKind;

fn at_now(title: &'static str, text: &'static str, commands: &[&str]) -> Step {
    let commands = commands.iter().map(|command| Line::Ask(format!("{command} --at {NOW} -d {REFERENCE}")));
    Step { title, text, commands: commands.collect() }
}

pub(super) fn steps(context: &Context) -> Result<Vec<Step>, Failure> {
    let (before, after) = trial_end("om-salalah-fresh", context)?;
    let mut steps = vec![
        at_now(
            "What may a tenant have?",
            "The entitlement object is the whole answer for one tenant at one instant: what its plan, its add-ons and \
             its overrides come to. With --json it is the object that applications receive.",
            &["entitlements om-muscat-sparkle"],
        ),
        at_now(
            "May it use a feature?",
            "An answer is a yes or a no, with a stable reason and the layer that it came from. The exit code says it \
             too, for scripts.",
            &["check om-muscat-sparkle whatsapp_receipt"],
        ),
        at_now(
            "And why not another?",
            "Behind a no stands the whole ladder: gates that can close a feature, everything that grants it or takes \
             it away, the switches that it requires, and what the tenant chose itself. The explanation is made by the \
             code that decides, then computed again from nothing but what it lists.",
            &["check om-muscat-sparkle sso", "explain om-muscat-sparkle sso"],
        ),
        at_now(
            "Is there room for two more users?",
            "The caller says how much is in use and how much is wanted. A hard limit refuses what goes beyond it, a \
             soft one lets it through with a warning.",
            &["limit om-muscat-sparkle max_users --used 9 --requested 2"],
        ),
        at_now(
            "And for thirty more messages?",
            "A billable limit lets it through as well, and counts what lies beyond the limit.",
            &["limit om-muscat-sparkle whatsapp_messages_per_month --used 990 --requested 30"],
        ),
        Step {
            title: "What happens when a trial ends?",
            text: "A trial replaces the paid plan while it lasts. These are the second before this tenant's trial \
                   ends and the instant at which it does: nothing is published in between, because the end is part \
                   of the definitions.",
            commands: [before, after]
                .map(|at| Line::Ask(format!("check om-salalah-fresh delivery --at {at} -d {REFERENCE}")))
                .into(),
        },
        at_now(
            "What would a bigger plan change?",
            "A what-if asks the same engine about a tenant that does not exist yet: what it would gain and lose, \
             which limits would move, and which paid add-ons would have no effect any more.",
            &["what-if om-muscat-sparkle --plan business"],
        ),
        at_now(
            "May an order be handed over?",
            "Orders move through stages, and guards say what must hold before they do. The caller says what it knows of \
             the order and who asks; the answer lists everything that stands against the move, what was expected and \
             what was found, and the layer that asks for it: the template, its override for a service category, or the \
             tenant.",
            &["workflow check om-muscat-sparkle order ready closed --category DRY_CLEAN --role counter --input \
               invoice_issued=false --input balance_due_minor=7250 --input customer_type=individual"],
        ),
        at_now(
            "What may be done next?",
            "The same tenant and stage, first for an order without a category and then for dry cleaning, for which the \
             template and the tenant may say something else. What is blocked would be possible if its guards held.",
            &[
                "workflow transitions om-muscat-sparkle order preparation --role operator --input items_total=12 \
                 --input items_scanned=12 --input scan_errors=0",
                "workflow transitions om-muscat-sparkle order preparation --category DRY_CLEAN --role operator --input \
                 stains_found=true --input stain_note=",
            ],
        ),
        at_now(
            "What would the next version of the workflow ask for?",
            "Versions never change once they are published; tenants pin one or follow. Before anybody moves, the engine \
             says what a version only adds, which stages need another in their place, and what it breaks.",
            &["workflow compare order 2 3"],
        ),
        Step {
            title: "What if the definitions are wrong?",
            text: "Every mistake is listed at once, with its place, a stable code and what to do. Nothing is built \
                   from definitions with a mistake, so that a bad draft never replaces what is in force.",
            commands: vec![Line::Ask(format!("lint -d {DRAFT}"))],
        },
    ];
    steps.extend(published::steps());
    Ok(steps)
}

/// The last second of a tenant's trial, and its end.
fn trial_end(tenant: &str, context: &Context) -> Result<(Timestamp, Timestamp), Failure> {
    let (_, context) = typed(&format!("leasehold entitlements {tenant} -d {REFERENCE}"), context)?;
    let world = context.world(&Published::default())?;
    let phases = world.definitions.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.phases.values());
    let end = phases.filter(|phase| phase.kind == PhaseKind::Trial).find_map(|phase| phase.until);
    let end = end.ok_or_else(|| Failure::internal(format!("`{tenant}` has no trial that ends")))?;
    let before = Timestamp::from_ms(end.as_ms() - 1_000).map_err(leasehold::Error::from)?;
    Ok((before, end))
}
