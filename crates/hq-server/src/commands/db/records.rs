//! `leasehold db kill`, `retire`, `remove`: records of definitions, one by one.

use super::By;
use super::waiting::{Outcome, Wait};
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::words;
use leasehold::model::{AddOn, Feature, Guard, Kill as KillSwitch, Plan, Workflow};
use leasehold::{FeatureKey, RecordId, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::hq::{Actor, Hq, Record, RowVersion};
use serde_json::json;
use std::fmt::Display;
use std::str::FromStr;

pub(crate) const KILL: &str = "\
The feature is off for every tenant as soon as whoever publishes has published it, without a proposal; --at names a later instant. To lift the kill switch before it ends, remove it, and publish that by a proposal.

Examples:
  leasehold db kill delivery --id k-2026-1 --reason \"wrong fees\" --by ada
  leasehold db kill delivery --id k-2026-1 --reason \"wrong fees\" --wait 10s --by ada
  leasehold db kill delivery --id k-2026-2 --reason \"a move\" --by ada \\
      --at 2026-12-24T00:00:00Z --until 2026-12-27T00:00:00Z";

pub(crate) const RETIRE: &str = "\
Who has it keeps it, and nobody gets it any more. It takes effect at once, and cannot be taken back.

Examples:
  leasehold db retire plan starter --by ada
  leasehold db retire add-on sso --by ada";

pub(crate) const REMOVE: &str = "\
Removes it from what is authored, where nothing there names it and no version of it was published. It is in force until a proposal without it is published.

Examples:
  leasehold db remove kill k-2026-1 --by ada
  leasehold db remove guard photo_taken --by ada";

#[derive(Debug, clap::Args)]
pub(crate) struct Kill {
    /// The feature that is to be off
    feature: FeatureKey,
    /// Id of the kill switch, which no other one has
    #[arg(long)]
    id: RecordId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// First instant at which the feature is no longer off; without it, until the kill switch is lifted
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Retire {
    /// What it is
    kind: Retired,
    /// Its key
    key: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// What it is
    kind: Removed,
    /// Its key or id
    key: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Retired {
    Plan,
    AddOn,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Removed {
    Feature,
    Plan,
    AddOn,
    Kill,
    Guard,
    Workflow,
}

/// Where kill switches are exported to that were laid here.
const KILLS: &str = "kills.json";

pub(super) async fn kill(options: &Kill, context: &Context) -> Result<Report, Failure> {
    let Kill { feature, id, reason, until, wait, by, database } = options;
    let actor = by.actor();
    let new = KillSwitch {
        feature: feature.clone(),
        since: context.now,
        until: *until,
        reason: reason.clone(),
        actor: actor.name.clone(),
    };
    if until.is_some_and(|until| until <= new.since) {
        return Err(Failure::usage(format!("--until is no later than {}, when the kill switch begins", new.since)));
    }
    let hq = database.hq().await?;
    // A mistyped feature is named, and not the constraint that refuses it.
    hq.read::<Feature>(feature).await?;
    let created = hq.create(id, &new, KILLS, &actor).await?;
    let outcome = wait.outcome(&hq, created.change).await?;
    if context.json() {
        let row_version = created.row_version.0;
        let answer = json!({ "id": id, "row_version": row_version, "change": created.change, "kill": new });
        return Report::json(&outcome.told_in(answer), outcome.exit());
    }
    let when = words::interval(Some(new.since), new.until);
    let once = if matches!(outcome, Outcome::Published(_)) { "" } else { ", once it is published" };
    let text = format!("kill switch {id} is laid: {feature} is off {when}{once}\n{}", outcome.line());
    Ok(Report::text(text, outcome.exit()))
}

pub(super) async fn retire(options: &Retire, context: &Context) -> Result<Report, Failure> {
    let (hq, actor) = (options.database.hq().await?, options.by.actor());
    let (what, row_version) = match options.kind {
        Retired::Plan => ("plan", retired::<Plan>(&hq, &options.key, &actor).await?),
        Retired::AddOn => ("add-on", retired::<AddOn>(&hq, &options.key, &actor).await?),
    };
    if context.json() {
        return Report::json(&json!({ "key": options.key, "row_version": row_version.0 }), Exit::Yes);
    }
    let text = format!("{what} {} is retired: who has it keeps it, and nobody gets it any more\n", options.key);
    Ok(Report::text(text, Exit::Yes))
}

pub(super) async fn remove(options: &Remove, context: &Context) -> Result<Report, Failure> {
    let (hq, actor, key) = (options.database.hq().await?, options.by.actor(), &options.key);
    let what = match options.kind {
        Removed::Feature => removed::<Feature>(&hq, key, &actor, "feature").await?,
        Removed::Plan => removed::<Plan>(&hq, key, &actor, "plan").await?,
        Removed::AddOn => removed::<AddOn>(&hq, key, &actor, "add-on").await?,
        Removed::Kill => removed::<KillSwitch>(&hq, key, &actor, "kill switch").await?,
        Removed::Guard => removed::<Guard>(&hq, key, &actor, "guard").await?,
        Removed::Workflow => removed::<Workflow>(&hq, key, &actor, "workflow").await?,
    };
    if context.json() {
        return Report::json(&json!({ "removed": key }), Exit::Yes);
    }
    let next = super::next_proposal();
    Ok(Report::text(format!("{what} {key} is removed from what is authored\n{next}"), Exit::Yes))
}

async fn retired<R: Record<Key: FromStr<Err: Display>>>(
    hq: &Hq,
    key: &str,
    actor: &Actor,
) -> Result<RowVersion, Failure> {
    let key = parsed::<R>(key)?;
    let seen = hq.read::<R>(&key).await?.row_version;
    Ok(hq.retire::<R>(&key, seen, actor).await?)
}

async fn removed<R: Record<Key: FromStr<Err: Display>>>(
    hq: &Hq,
    key: &str,
    actor: &Actor,
    what: &'static str,
) -> Result<&'static str, Failure> {
    let key = parsed::<R>(key)?;
    let seen = hq.read::<R>(&key).await?.row_version;
    match hq.remove::<R>(&key, seen, actor).await {
        Ok(()) => Ok(what),
        Err(error @ (Error::Constraint { .. } | Error::StillNamed { .. })) => {
            let hint = "something names it, or a version of it was published: it stays; `retire` takes plans and \
                        add-ons off sale";
            Err(Failure::from(error).hint(hint))
        }
        Err(error) => Err(error.into()),
    }
}

fn parsed<R: Record<Key: FromStr<Err: Display>>>(key: &str) -> Result<R::Key, Failure> {
    key.parse().map_err(|error| Failure::usage(format!("{error}")))
}
