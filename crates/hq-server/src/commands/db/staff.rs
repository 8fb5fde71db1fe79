//! `leasehold db staff`: who works at HQ, for whoever has its database.

use super::By;
use crate::args::no_instant;
use crate::context::Context;
use crate::database::Database;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::serve::{Password, Role, first_password};
use crate::style::Tone;
use crate::table::Grid;
use crate::words;
use clap::builder::PossibleValuesParser;
use leasehold_postgres::Error;
use leasehold_postgres::access::{Staff, StaffChange};
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Passwords are made here, and shown once. Whoever gets another one, or is disabled, is signed out everywhere.

Examples:
  leasehold db staff list
  leasehold db staff add cleo --role biz_admin --by ada
  leasehold db staff reset admin --by ada
  leasehold db staff disable cleo --by ada
  leasehold db staff enable cleo --by ada";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List everybody who works at HQ
    #[command(arg = no_instant())]
    List(List),
    /// Add somebody, with a new password
    #[command(arg = no_instant())]
    Add(Add),
    /// Give somebody a new password in place of one that was lost
    #[command(arg = no_instant())]
    Reset(One),
    /// Let somebody do nothing any more
    #[command(arg = no_instant())]
    Disable(One),
    /// Let somebody who was disabled work again
    #[command(arg = no_instant())]
    Enable(One),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The name that they sign in with
    #[arg(value_parser = name)]
    id: String,
    /// What they may do; docs/api.md lists it
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.iter().copied().map(Role::as_str)))]
    role: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The name that they sign in with
    id: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    database: Database,
}

/// How many are read at once.
const PAGE: u32 = 500;

fn name(text: &str) -> Result<String, String> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.starts_with(first) && text.len() <= 64 && text.chars().all(|c| first(c) || "_.@-".contains(c)) {
        return Ok(text.to_owned());
    }
    Err("a name has 1 to 64 lower-case letters, digits and `_.@-`, and begins with a letter or digit".to_owned())
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    match &options.command {
        Command::List(options) => list(options, context).await,
        Command::Add(options) => add(options, context).await,
        Command::Reset(options) => reset(options, context).await,
        Command::Disable(options) => change(options, &StaffChange::Disable, context).await,
        Command::Enable(options) => change(options, &StaffChange::Enable, context).await,
    }
}

async fn list(options: &List, context: &Context) -> Result<Report, Failure> {
    let hq = options.database.hq().await?;
    let mut staff: Vec<Staff> = Vec::new();
    loop {
        let page = hq.staff(staff.last().map(|last| last.id.as_str()), PAGE).await?;
        if page.is_empty() {
            break;
        }
        staff.extend(page);
    }
    if context.json() {
        return Report::json(&staff, Exit::Yes);
    }
    if staff.is_empty() {
        let text = "nobody works at HQ yet; the first start of `leasehold serve` creates an administrator\n";
        return Ok(Report::text(text.to_owned(), Exit::Yes));
    }
    let mut grid = Grid::new(context.style, &["NAME", "ROLE", "SINCE", "DISABLED", "ADDED BY"]);
    for member in &staff {
        let disabled = member.disabled_at.map(|at| at.to_string()).unwrap_or_default();
        grid.toned([
            (Tone::Plain, member.id.clone()),
            (Tone::Plain, member.role.clone()),
            (Tone::Plain, member.created_at.to_string()),
            (Tone::Notice, disabled),
            (Tone::Plain, words::printable(&member.created_by)),
        ]);
    }
    Ok(Report::text(grid.render(&[]), Exit::Yes))
}

async fn add(options: &Add, context: &Context) -> Result<Report, Failure> {
    let Add { id, role, by, database } = options;
    let hq = database.hq().await?;
    let (password, hash) = new_password().await?;
    let added = hq.add_staff(id, role, &hash, &by.actor()).await.map_err(refused)?;
    shown(&added, &password, &format!("a new {role}"), context)
}

async fn reset(options: &One, context: &Context) -> Result<Report, Failure> {
    let hq = options.database.hq().await?;
    let (password, hash) = new_password().await?;
    let change = StaffChange::Password(hash);
    let changed = hq.change_staff(&options.id, &change, &options.by.actor()).await.map_err(refused)?;
    shown(&changed, &password, "a new password", context)
}

async fn change(options: &One, change: &StaffChange, context: &Context) -> Result<Report, Failure> {
    let hq = options.database.hq().await?;
    let changed = hq.change_staff(&options.id, change, &options.by.actor()).await.map_err(refused)?;
    if context.json() {
        return Report::json(&changed, Exit::Yes);
    }
    let text = match changed.disabled_at {
        Some(_) => format!("{} may do nothing any more, and is signed out everywhere\n", changed.id),
        None => format!("{} may work as {} again\n", changed.id, changed.role),
    };
    Ok(Report::text(text, Exit::Yes))
}

/// What was refused, with what helps.
fn refused(error: Error) -> Failure {
    match error {
        // Nobody would be left who administers the others.
        Error::InvalidArgument { message } => Failure::wrong("invalid_argument", message)
            .hint("`leasehold db staff add ID --role super_admin` adds somebody"),
        error @ Error::Exists { .. } => {
            Failure::from(error).hint("`leasehold db staff reset ID` gives them a new password")
        }
        error => error.into(),
    }
}

/// A password that nobody can guess, and what is kept of it.
async fn new_password() -> Result<(String, String), Failure> {
    let password = first_password()?;
    let hash = Password::new(password.clone()).hash().await;
    Ok((password, hash.map_err(|_| Failure::internal("the password cannot be hashed"))?))
}

/// A password, as the first start of a server shows one.
fn shown(staff: &Staff, password: &str, what: &str, context: &Context) -> Result<Report, Failure> {
    if context.json() {
        let mut answer = json!(staff);
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("password".to_owned(), json!(password));
        }
        return Report::json(&answer, Exit::Yes);
    }
    let title = context.style.paint(Tone::Strong, &format!("{what}, shown this once"));
    let mut text = format!("{title}\n  name      {}\n  password  {password}\n", staff.id);
    if staff.disabled_at.is_some() {
        text.push_str(&format!(
            "they are disabled still: `leasehold db staff enable {}` lets them work again\n",
            staff.id
        ));
    }
    Ok(Report::text(text, Exit::Yes))
}
