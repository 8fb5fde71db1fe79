//! `leasehold limit`: whether there is room for a request.

use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::Published;
use crate::words::{self, number};
use leasehold::{LimitAnswer, Outcome};
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
Exits with 0 for allow, warn and overage, and with 1 for deny. A request for 0 only reports.

Examples:
  leasehold limit om-muscat-sparkle max_users --used 9 --requested 2 -d examples/cleanmatex
  leasehold limit om-muscat-sparkle whatsapp_messages_per_month --used 990 --requested 30 --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant's id
    tenant: String,
    /// The limit's feature key
    feature: String,
    /// How much is in use already
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    used: i64,
    /// How much more is wanted
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    requested: i64,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let tenant = world.tenant(&options.tenant)?;
    let answer = tenant
        .check_limit(options.feature.as_str(), options.used, options.requested, context.now)
        .map_err(|error| world.explain(error, None))?;
    let exit = Exit::yes_if(answer.outcome != Outcome::Deny);
    if context.json() {
        return Report::json(&answer, exit);
    }

    let style = context.style;
    let (tone, may, how) = words::outcome(answer.outcome);
    let (name, _) = words::names(&world.definitions, &options.feature);
    let mut text = String::new();
    let asked = match options.requested {
        0 => format!("nothing more is asked for {} of {} ({name})", options.tenant, options.feature),
        more => {
            let more = number(more.unsigned_abs());
            format!("{} {may} {more} more of {} ({name}){how}", options.tenant, options.feature)
        }
    };
    let _ = writeln!(text, "{}: {asked} at {}", style.paint(tone, answer.outcome.as_str()), context.now);
    let granted = words::measured(&world.definitions, &options.feature, answer.limit);
    let mut lines = lines(&answer, options, &granted, context);
    if let Some(snapshot) = world.described(context.now) {
        lines.row(["snapshot".to_owned(), snapshot]);
    }
    text.push_str(&lines.render(&[]));
    if answer.outcome == Outcome::Deny {
        let why = context.command(&format!("explain {} {}", options.tenant, options.feature), &options.published);
        let _ = writeln!(text, "{} {why}", style.paint(Tone::Faint, "why:"));
    }
    Ok(Report::text(text, exit))
}

fn lines(answer: &LimitAnswer, options: &Options, granted: &str, context: &Context) -> Grid {
    let mut lines = Grid::new(context.style, &[]);
    let mut line = |name: &str, text: String| lines.row([name.to_owned(), text]);
    line("limit", granted.to_owned());
    if answer.limit.is_some() {
        line("beyond it", words::beyond(answer.mode).to_owned());
    }
    line("used", number(options.used.unsigned_abs()));
    line("requested", number(options.requested.unsigned_abs()));
    line("remaining", format!("{} before this request", words::amount(answer.remaining)));
    if answer.overage_total > 0 {
        let (this, total) = (number(answer.overage_units), number(answer.overage_total));
        line("overage", format!("{this} by this request, {total} in all"));
    }
    if !answer.thresholds_crossed.is_empty() {
        line("crossed", words::percents(&answer.thresholds_crossed));
    }
    if let Some(resets_at) = answer.resets_at {
        line("resets at", resets_at.to_string());
    }
    line("reason", format!("{}: {}", answer.reason, words::reason(answer.reason, answer.source)));
    if let Some(source) = answer.source {
        line("source", words::layer(source).to_owned());
    }
    lines
}
