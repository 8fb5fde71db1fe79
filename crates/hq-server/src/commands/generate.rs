//! `leasehold generate`: definitions of an invented fleet.

use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::words;
use indicatif::{ProgressBar, ProgressStyle};
use leasehold::generate::{FleetSpec, fleet};
use leasehold::model::{Definitions, MAX_FILE_BYTES, format::print};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Equal options write equal files.

Examples:
  leasehold generate --tenants 10000 --out /tmp/fleet
  leasehold generate --tenants 100 --features 500 --plans 8 --add-ons 40 --seed 7 --out /tmp/small";

/// How many tenants one file holds.
const PER_FILE: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many tenants
    #[arg(long, value_name = "N")]
    tenants: usize,
    /// How many features
    #[arg(long, value_name = "N", default_value_t = FleetSpec::default().features)]
    features: usize,
    /// How many plans
    #[arg(long, value_name = "N", default_value_t = FleetSpec::default().plans)]
    plans: usize,
    /// How many add-ons
    #[arg(long = "add-ons", value_name = "N", default_value_t = FleetSpec::default().add_ons)]
    add_ons: usize,
    /// What the choices start from
    #[arg(long, value_name = "N", default_value_t = FleetSpec::default().seed)]
    seed: u64,
    /// Directory to write to; it must be empty or absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let out = options.out.as_path();
    refuse_if_used(out)?;
    let spec = FleetSpec {
        tenants: options.tenants,
        features: options.features,
        plans: options.plans,
        add_ons: options.add_ons,
        seed: options.seed,
    };
    let mut rest = fleet(&spec);
    let tenants = std::mem::take(&mut rest.tenants);
    let count = tenants.len();

    let bar = progress(count);
    let mut files = 0;
    let mut write = |name: &str, part: Definitions| {
        files += 1;
        write(out, name, part)
    };
    let none = Definitions::default;
    write("features.json", Definitions { features: std::mem::take(&mut rest.features), ..none() })?;
    write("plans.json", Definitions { plans: std::mem::take(&mut rest.plans), ..none() })?;
    write("add_ons.json", Definitions { add_ons: std::mem::take(&mut rest.add_ons), ..none() })?;
    if !rest.kills.is_empty() {
        write("kills.json", rest)?;
    }
    let mut tenants = tenants.into_iter();
    for number in 0..count.div_ceil(PER_FILE) {
        let part: std::collections::BTreeMap<_, _> = tenants.by_ref().take(PER_FILE).collect();
        let written = part.len() as u64;
        write(&format!("tenants/{number:03}.json"), Definitions { tenants: part, ..none() })?;
        bar.inc(written);
    }
    bar.finish_and_clear();

    if context.json() {
        let answer =
            json!({ "out": out.display().to_string(), "files": files, "tenants": count, "seed": options.seed });
        return Report::json(&answer, Exit::Yes);
    }
    let (tenants, files) = (words::count(count, "tenant"), words::count(files, "file"));
    let out = out.display();
    Ok(Report::text(format!("{tenants} in {files} below {out}\nTry: leasehold lint -d {out}\n"), Exit::Yes))
}

/// Hidden where standard error is not a terminal.
fn progress(tenants: usize) -> ProgressBar {
    let bar = ProgressBar::new(tenants as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} tenants, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn refuse_if_used(out: &Path) -> Result<(), Failure> {
    match fs::read_dir(out) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(Failure::not_empty(out))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("use", out, &error)),
    }
}

fn write(out: &Path, name: &str, mut part: Definitions) -> Result<(), Failure> {
    let path = out.join(name);
    let text = print(&mut part);
    if text.len() > MAX_FILE_BYTES {
        let message = format!("`{name}` would be larger than {MAX_FILE_BYTES} bytes, which nothing reads");
        return Err(Failure::usage(message).hint("ask for fewer features, plans or add-ons"));
    }
    let folder = path.parent().unwrap_or(out);
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))
}
