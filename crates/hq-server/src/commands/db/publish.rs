//! `leasehold db publish`, `rollback`, `recall`, `collect`: what needs the fleet key, or to believe what it signed.

use super::proposals::diffs;
use super::{By, TrustedArchive};
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::signing::Signing;
use crate::style::{Style, Tone};
use crate::words;
use leasehold::{Revision, TenantId, Timestamp};
use leasehold_postgres::publish::{Archive, Collected, FleetEffect, Publication, Publisher, Timing};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

pub(crate) const PUBLISH: &str = "\
Without a number: tenants that changed, and new kill switches. A tenant that does not compile keeps its last published form, and is listed; the exit code is 1 then.

Examples:
  leasehold db publish --fleet fleet.key --certificate fleet.cert --trust trust.json
  leasehold db publish 12 --fleet fleet.key --certificate fleet.cert --trust trust.json --by ben
  leasehold db publish 12 --share 50 --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json
  leasehold db publish --stay --fresh-for 1h --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json";

pub(crate) const ROLLBACK: &str = "\
Tenants stay as they are, and kill switches stand. What is authored stays too: the next proposal shows the difference. It needs no approval: it goes to definitions that were approved once. Without --yes it shows what tenants gain, lose and have moved by it, and does nothing.

Examples:
  leasehold db rollback 41 --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json --by ben
  leasehold db rollback 41 --yes --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json --by ben";

pub(crate) const MACHINES: &str = "\
leasehold.hq_transition moves items by them. Every publication does so for whom it concerns; this is for machines that were lost or altered.

Examples:
  leasehold db machines --trust trust.json --by ben";

pub(crate) const RECALL: &str = "\
Answers in JSON. An instant before the history is an error.

Examples:
  leasehold db recall om-muscat-sparkle --trust trust.json --at 2026-03-01T00:00:00Z
  leasehold db recall om-muscat-sparkle --trust trust.json --known-at 2026-03-01T00:00:00Z";

pub(crate) const COLLECT: &str = "\
What was in force when those days began is still remembered.

Examples:
  leasehold db collect --history-days 90 --trust trust.json";

#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// Number of an approved proposal, to be published first
    proposal: Option<i64>,
    /// Put the proposal on trial with so many engines of a thousand; 0 with nobody yet
    #[arg(long, value_name = "PERMILLE", requires = "proposal", value_parser = clap::value_parser!(u16).range(..=1000))]
    share: Option<u16>,
    /// End the trial: all engines use the definitions in force
    #[arg(long, conflicts_with = "proposal")]
    unstage: bool,
    /// Stay, publish what comes, and sign heads again in time, until Ctrl-C
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    /// The revision whose definitions come in force again
    #[arg(value_parser = revision)]
    revision: Revision,
    /// Do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Recall {
    /// The tenant; --at says about which instant is asked
    tenant: TenantId,
    /// As it was known then; without it, as the newest revision has it
    #[arg(long, value_name = "TIME")]
    known_at: Option<Timestamp>,
    #[command(flatten)]
    trusted: TrustedArchive,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Machines {
    #[command(flatten)]
    trusted: TrustedArchive,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Collect {
    /// How many days are remembered
    #[arg(long, value_name = "DAYS")]
    history_days: u32,
    #[command(flatten)]
    trusted: TrustedArchive,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

fn revision(text: &str) -> Result<Revision, String> {
    let number = text.parse().ok().and_then(Revision::new);
    number.ok_or_else(|| "a revision is a whole number".to_owned())
}

/// A publisher for this database.
async fn publisher(database: &Database, signing: &Signing, context: &Context) -> Result<Publisher, Failure> {
    let (signer, trust) = signing.signer()?;
    let terms = signing.terms(context)?;
    let timing = Timing { fresh_for_ms: terms.fresh_for_ms, slice_keys: terms.slice_keys };
    let archive = Archive::new(database.hq().await?, trust.any().clone());
    Ok(Publisher::new(archive, signer, timing))
}

pub(super) async fn publish(options: &Publish, context: &Context) -> Result<Report, Failure> {
    let publisher = publisher(&options.database, &options.signing, context).await?;
    let actor = options.by.actor();
    let mut publications = Vec::new();
    match (options.proposal, options.share) {
        (Some(proposal), Some(share)) => publications.push(publisher.stage(proposal, share, &actor).await?),
        (Some(proposal), None) => publications.push(publisher.publish_proposal(proposal, &actor).await?),
        (None, _) if options.unstage => publications.push(publisher.unstage(&actor).await?),
        (None, _) => {}
    }
    if options.stay {
        for publication in &publications {
            tell(publication, context);
        }
        let heartbeat = Duration::from_millis(u64::try_from(options.signing.fresh_for_ms() / 3).unwrap_or(60_000));
        publisher
            .run(heartbeat, |happened| match happened {
                Ok(publication) => tell(&publication, context),
                Err(error) => {
                    Failure::from(error).print(context.json(), context.style.errors());
                }
            })
            .await;
    }
    while let Some(publication) = publisher.publish().await? {
        publications.push(publication);
    }
    told(&publications, context)
}

pub(super) async fn rollback(options: &Rollback, context: &Context) -> Result<Report, Failure> {
    let publisher = publisher(&options.database, &options.signing, context).await?;
    if !options.yes {
        let effect = publisher.archive().rollback_effect(options.revision).await?;
        let affected = words::count(usize::try_from(effect.affected).unwrap_or_default(), "tenant");
        let failure = Failure::confirmation_required(format!(
            "this would put the definitions of revision {} in force again, and concerns {affected}",
            options.revision
        ));
        let shown = effect_text(&effect, context.style.errors());
        return Err(failure.showing("effect", json!(effect), shown).hint("if that is what is wanted, add --yes"));
    }
    told(&[publisher.rollback(options.revision, &options.by.actor()).await?], context)
}

pub(super) async fn recall(options: &Recall, context: &Context) -> Result<Report, Failure> {
    let archive = options.trusted.of(&options.database).await?;
    let then = archive.entitlements(&options.tenant, context.now, options.known_at).await?;
    let answer = json!({
        "tenant": options.tenant, "at": context.now, "known_at": options.known_at, "revision": then.revision,
        "stream": then.stream, "entitlements": then.entitlements,
    });
    Report::json(&answer, Exit::Yes)
}

pub(super) async fn machines(options: &Machines, context: &Context) -> Result<Report, Failure> {
    let tenants = options.trusted.of(&options.database).await?.place_machines(&options.by.actor()).await?;
    if context.json() {
        return Report::json(&json!({ "tenants": tenants }), Exit::Yes);
    }
    Ok(Report::text(format!("machines of {} are placed\n", words::count(tenants, "tenant")), Exit::Yes))
}

pub(super) async fn collect(options: &Collect, context: &Context) -> Result<Report, Failure> {
    let archive = options.trusted.of(&options.database).await?;
    let Collected { heads, chunks, changes, machines } =
        archive.collect(options.history_days, &options.by.actor()).await?;
    if context.json() {
        let answer = json!({ "heads": heads, "chunks": chunks, "changes": changes, "machines": machines });
        return Report::json(&answer, Exit::Yes);
    }
    let of = |number: u64, what| words::count(usize::try_from(number).unwrap_or(usize::MAX), what);
    let text = format!(
        "forgot {}, {}, {} and {}\n",
        of(heads, "head"),
        of(chunks, "content"),
        of(changes, "change"),
        of(machines, "machine")
    );
    Ok(Report::text(text, Exit::Yes))
}

fn to_json(publication: &Publication) -> Value {
    let refused: Vec<Value> = publication
        .refused
        .iter()
        .map(|refusal| json!({ "tenant": refusal.tenant, "kill": refusal.kill, "diagnostics": refusal.found }))
        .collect();
    json!({
        "revision": publication.revision, "streams": publication.streams, "changes": publication.changes.len(),
        "refused": refused, "new_chunks": publication.new_chunks.0, "new_bytes": publication.new_chunks.1,
        "effect": publication.effect,
    })
}

/// What other definitions do to the fleet.
fn effect_text(effect: &FleetEffect, style: Style) -> String {
    let mut text = diffs(&effect.diff, style);
    if !effect.lifts.is_empty() {
        let lifts: Vec<&str> = effect.lifts.iter().map(leasehold::RecordId::as_str).collect();
        let _ = writeln!(text, "lifts kill switches: {}", lifts.join(", "));
    }
    if effect.unseen > 0 {
        let unseen = usize::try_from(effect.unseen).unwrap_or_default();
        let _ = writeln!(text, "not looked at: {}", words::count(unseen, "later instant"));
    }
    text
}

fn line(publication: &Publication, context: &Context) -> String {
    let streams: Vec<&str> = publication.streams.iter().map(leasehold::Region::as_str).collect();
    let title = format!("revision {}", publication.revision);
    let mut text = format!(
        "{} {} from {}; {}, {} bytes\n",
        context.style.paint(Tone::Strong, &title),
        if streams.is_empty() { "as before,".to_owned() } else { format!("in {},", streams.join(", ")) },
        words::count(publication.changes.len(), "change"),
        words::count(publication.new_chunks.0, "new content"),
        publication.new_chunks.1
    );
    for refusal in &publication.refused {
        let kill = refusal.kill.as_ref().map(|id| format!("kill switch {id}"));
        let who = refusal.tenant.as_ref().map(ToString::to_string).or(kill).unwrap_or_default();
        let why = refusal.found.first().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  {who} stays as it was published last: {}", words::printable(&why));
    }
    if let Some(effect) = &publication.effect {
        let affected = usize::try_from(effect.affected).unwrap_or_default();
        let _ = writeln!(text, "  concerns {}", words::count(affected, "tenant"));
        text.push_str(&effect_text(effect, context.style));
    }
    text
}

fn tell(publication: &Publication, context: &Context) {
    let text = if context.json() { format!("{}\n", to_json(publication)) } else { line(publication, context) };
    Report::text(text, Exit::Yes).print();
}

fn told(publications: &[Publication], context: &Context) -> Result<Report, Failure> {
    let exit = Exit::yes_if(publications.iter().all(|publication| publication.refused.is_empty()));
    if context.json() {
        let publications: Vec<Value> = publications.iter().map(to_json).collect();
        return Report::json(&json!({ "publications": publications }), exit);
    }
    let text = match publications {
        [] => "nothing waits to be published\n".to_owned(),
        publications => publications.iter().map(|publication| line(publication, context)).collect(),
    };
    Ok(Report::text(text, exit))
}
