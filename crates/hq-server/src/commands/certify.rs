//! `leasehold certify`: the root key's word for a fleet key.

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Secrecy};
use crate::keys::{self, KeyKind};
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::TrustFile;
use leasehold::wire::Certificate;
use leasehold::{Environment, Issuer, Timestamp};
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
The only command that needs the root key. The key may sign from the instant of --at on, or from now. A greater epoch ends the ones before it: engines that have seen it take nothing from their keys any more.

Examples:
  leasehold certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert
  leasehold certify fleet.key.pub --root root.key --issuer hq.example \\
      --environment production --until 2027-06-30T00:00:00Z --out fleet.cert
  leasehold certify new.key.pub --root root.key --trust trust.json --epoch 2 --out new.cert";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The fleet key's public half, FILE.pub
    #[arg(value_name = "FLEET_PUB")]
    fleet: PathBuf,
    /// The root key's secret
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// File for the certificate
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Take issuer and environment from this trust file
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_TRUST", hide_env_values = true)]
    trust: Option<PathBuf>,
    /// Who publishes
    #[arg(long, value_name = "NAME", requires = "environment")]
    issuer: Option<Issuer>,
    /// In which environment
    #[arg(long, value_name = "NAME", requires = "issuer")]
    environment: Option<Environment>,
    /// In which epoch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=leasehold::model::MAX_INTEGER))]
    epoch: u64,
    /// First instant at which the key may no longer sign; without it, until the epoch ends
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let root = keys::secret(&options.root, KeyKind::Root)?;
    let key = keys::public(&options.fleet, KeyKind::Fleet)?;
    let named = options.issuer.clone().zip(options.environment.clone());
    let (issuer, environment) = match (named, &options.trust) {
        (Some(named), _) => named,
        (None, Some(path)) => {
            let file = TrustFile::read(path)?;
            let trust = file.any();
            if !trust.roots.contains(&root.public()) {
                let (path, id) = (path.display(), root.public().id());
                let failure = Failure::wrong("unknown_key", format!("`{path}` does not name root key {id}"));
                return Err(failure.hint("add the public key to its `roots`, or certify with one that it names"));
            }
            (trust.issuer.clone(), trust.environment.clone())
        }
        (None, None) => {
            let failure = Failure::usage("nothing says for whom the key may publish");
            return Err(failure.hint("name a trust file with --trust, or --issuer and --environment"));
        }
    };
    if options.until.is_some_and(|until| until <= context.now) {
        let failure = Failure::usage(format!("the certificate would end before it begins, at {}", context.now));
        return Err(failure.hint("name a later instant with --until, or an earlier one with --at"));
    }
    let certificate = Certificate {
        issuer,
        environment,
        epoch: options.epoch,
        key,
        valid_from: context.now,
        valid_until: options.until,
    };
    let document = certificate.sign(&root).map_err(|error| Failure::internal(error.to_string()))?;
    files::create(&options.out, &document, Secrecy::Open)?;

    let (fleet, root) = (certificate.key.id(), root.public().id());
    if context.json() {
        let out = options.out.display().to_string();
        let answer = json!({
            "out": out,
            "root_key": root,
            "fleet_key": fleet,
            "issuer": certificate.issuer,
            "environment": certificate.environment,
            "epoch": certificate.epoch,
            "valid_from": certificate.valid_from,
            "valid_until": certificate.valid_until,
        });
        return Report::json(&answer, Exit::Yes);
    }
    let style = context.style;
    let title = format!("fleet key {fleet} is certified by root key {root}");
    let mut lines = Grid::new(style, &[]);
    lines.row(["issuer", certificate.issuer.as_str()]);
    lines.row(["environment", certificate.environment.as_str()]);
    lines.row(["epoch", &certificate.epoch.to_string()]);
    let until = certificate.valid_until.map_or_else(|| "the epoch ends".to_owned(), |until| until.to_string());
    lines.row(["may sign", &format!("from {} until {until}", certificate.valid_from)]);
    lines.row(["certificate", &options.out.display().to_string()]);
    Ok(Report::text(format!("{}\n{}", style.paint(Tone::Strong, &title), lines.render(&[])), Exit::Yes))
}
