//! `leasehold keygen`: a new key, and for a root key the file that says whom to trust.

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Secrecy};
use crate::keys::{self, KeyKind};
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::quoted;
use leasehold::wire::SecretKey;
use leasehold::{Environment, Issuer, Region};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
The root key certifies fleet keys, and is kept offline; the fleet key signs what is published, and stays with the publisher; slice keys sign what single tenants' browsers get, for 24 hours at most. FILE holds the secret, readable by its owner alone; FILE.pub is for others.

From nothing to an answer from a signed snapshot:
  leasehold keygen root --out root.key --issuer hq.example --environment production
  leasehold keygen fleet --out fleet.key
  leasehold certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert
  leasehold build -d examples/cleanmatex --out snapshots --fleet fleet.key \\
      --certificate fleet.cert --trust trust.json
  leasehold check om-muscat-sparkle delivery -d snapshots --trust trust.json --stream GCC-OM

Examples:
  leasehold keygen root --out root.key --issuer hq.example --environment production
  leasehold keygen slice --out slice.key";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What the key is for
    #[arg(value_enum)]
    kind: KeyKind,
    /// File for the secret key; the public key goes to FILE.pub
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// For a root key: who publishes, such as hq.example; writes trust.json beside the key
    #[arg(long, value_name = "NAME", requires = "environment")]
    issuer: Option<Issuer>,
    /// For a root key: in which environment, such as production
    #[arg(long, value_name = "NAME", requires = "issuer")]
    environment: Option<Environment>,
    /// For a root key: the one stream that trust.json is about; without it, any
    #[arg(long, value_name = "REGION", requires = "issuer")]
    stream: Option<Region>,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let kind = options.kind;
    let origin = options.issuer.as_ref().zip(options.environment.as_ref());
    if kind != KeyKind::Root && origin.is_some() {
        let failure = Failure::usage(format!("a {kind} key says nothing about an issuer"));
        return Err(failure.hint("--issuer and --environment go with root keys: trust is about those"));
    }
    let public_path = keys::public_path(&options.out);
    let trust_path = options.out.parent().unwrap_or(Path::new("")).join("trust.json");
    for path in [Some(&options.out), Some(&public_path), origin.map(|_| &trust_path)].into_iter().flatten() {
        files::refuse_if_there(path)?;
    }

    let key = SecretKey::from_seed(&context.seed(&options.out)?);
    let (secret, public) = keys::to_files(kind, &key);
    files::create(&options.out, secret.as_bytes(), Secrecy::Secret)?;
    files::create(&public_path, public.as_bytes(), Secrecy::Open)?;
    let trust = origin.map(|(issuer, environment)| {
        let mut trust = json!({ "issuer": issuer, "environment": environment, "roots": [key.public()] });
        if let (Some(stream), Some(fields)) = (&options.stream, trust.as_object_mut()) {
            fields.insert("stream".to_owned(), json!(stream));
        }
        trust
    });
    if let Some(trust) = &trust {
        let text = serde_json::to_string_pretty(trust).unwrap_or_default() + "\n";
        files::create(&trust_path, text.as_bytes(), Secrecy::Open)?;
    }

    let id = key.public().id();
    if context.json() {
        let answer = json!({
            "kind": kind.as_str(),
            "key_id": id,
            "public": key.public(),
            "secret_file": options.out.display().to_string(),
            "public_file": public_path.display().to_string(),
            "trust_file": trust.map(|_| trust_path.display().to_string()),
        });
        return Report::json(&answer, Exit::Yes);
    }
    let style = context.style;
    let mut text = format!("{}\n", style.paint(Tone::Strong, &format!("{kind} key {id}")));
    let mut lines = Grid::new(style, &[]);
    lines.row(["secret".to_owned(), options.out.display().to_string(), keep(kind).to_owned()]);
    lines.row(["public", &public_path.display().to_string(), "for others"]);
    if trust.is_some() {
        lines.row(["trust", &trust_path.display().to_string(), "for everybody who verifies"]);
    }
    text.push_str(&lines.render(&[]));
    if kind == KeyKind::Root && origin.is_none() {
        let trust = json!({ "issuer": "…", "environment": "…", "roots": [key.public()] });
        let _ = writeln!(text, "{} {trust}", style.paint(Tone::Faint, "trust files that name it look like this:"));
    }
    let _ =
        writeln!(text, "{} {}", style.paint(Tone::Faint, "next:"), next(kind, &options.out, &trust_path, &public_path));
    Ok(Report::text(text, Exit::Yes))
}

fn keep(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Root => "keep it offline: whoever has it can publish as you",
        KeyKind::Fleet => "keep it with the publisher",
        KeyKind::Slice => "keep it where slices are signed",
    }
}

fn next(kind: KeyKind, out: &Path, trust: &Path, public: &Path) -> String {
    let word = |path: &Path| quoted(&path.to_string_lossy());
    match kind {
        KeyKind::Root => "leasehold keygen fleet --out FILE".to_owned(),
        KeyKind::Fleet => {
            let cert = word(&out.with_extension("cert"));
            let trust = word(trust);
            format!("leasehold certify {} --root ROOT_KEY --trust {trust} --out {cert}", word(public))
        }
        KeyKind::Slice => format!("leasehold build … --slice-key {}", word(public)),
    }
}
