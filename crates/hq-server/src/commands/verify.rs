//! `leasehold verify`: whether something published is what its publisher signed, whole, and of use to an engine.

use crate::context::Context;
use crate::documents::{Document, claimed, statements};
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::snapshots::{Held, Place, head_document};
use crate::style::Tone;
use crate::table::Grid;
use crate::trust::{TrustFile, Trusted};
use crate::words;
use leasehold::follow::Follower;
use leasehold::wire::{Certificate, Pack, SignedHead, Trust};
use leasehold::{Environment, Hash, Issuer, Region, Revision, Snapshot, TenantId, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
A directory of snapshots and a pack are verified with everything that they hold, and compiled; of a head alone, what it names is not looked at. Exits with 1 where something is not to be believed. That it is stale at the instant of --at is said, and is no failure.

Examples:
  leasehold verify snapshots --trust trust.json
  leasehold verify oman.pack --trust trust.json --stream GCC-OM
  leasehold verify old.head --trust trust.json --seen snapshots/heads/GCC-OM.head
  leasehold verify sparkle.slice --trust trust.json --tenant om-muscat-sparkle";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A directory of snapshots, a pack, a head, a slice or a certificate
    path: PathBuf,
    /// Whom a slice must be about; without it, anybody
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Refuse what an engine refuses that has seen this head (or pack, or directory) already
    #[arg(long, value_name = "HEAD")]
    seen: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
}

/// What was verified.
#[derive(Debug, Serialize)]
struct Verified {
    what: &'static str,
    issuer: Issuer,
    environment: Environment,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    root_key: String,
    fleet_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    slice_key: Option<String>,
    certified: Certified,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    definitions: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
}

/// For how long the root key lets the fleet key sign.
#[derive(Debug, Serialize)]
struct Certified {
    from: Timestamp,
    until: Option<Timestamp>,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let trust = TrustFile::named(&options.trusted, &options.path)?;
    if Place::at_directory(&options.path).is_some() {
        about_no_one("a directory", options)?;
    }
    let mut items: Vec<(String, Result<Verified, Failure>)> = Vec::new();
    if let Some(place @ Place::Directory(_)) = Place::at_directory(&options.path) {
        let streams = place.streams()?;
        let chosen = match trust.chosen(&options.trusted) {
            Some(_) => vec![trust.choose(&options.trusted, &streams, &options.path)?.stream],
            None if streams.is_empty() => return Err(Failure::no_snapshots(&options.path)),
            None => streams,
        };
        for stream in chosen {
            let found = directory(options, &trust.of(stream.clone()), context);
            items.push((stream.to_string(), found));
        }
    } else {
        let found = file(options, &trust, context);
        items.push((options.path.display().to_string(), found));
    }
    // What cannot even be looked at is neither verified nor refused.
    let unread = items.iter().position(|(_, found)| found.as_ref().is_err_and(|failure| !failure.refuses()));
    if let Some((_, Err(failure))) = unread.map(|at| items.swap_remove(at)) {
        return Err(failure);
    }
    let exit = Exit::yes_if(items.iter().all(|(_, found)| found.is_ok()));
    if context.json() {
        let item = |(name, found): &(String, Result<Verified, Failure>)| match found {
            Ok(verified) => {
                let mut fields = json!(verified);
                if let Some(fields) = fields.as_object_mut() {
                    fields.insert("verified".to_owned(), json!(true));
                }
                fields
            }
            Err(failure) => json!({ "item": name, "verified": false, "error": failure.to_json().get("error") }),
        };
        let items: Vec<Value> = items.iter().map(item).collect();
        let path = options.path.display().to_string();
        return Report::json(&json!({ "path": path, "verified": exit == Exit::Yes, "items": items }), exit);
    }
    let mut text = String::new();
    for (name, found) in &items {
        match found {
            Ok(verified) => text.push_str(&page(verified, name, options, context)),
            Err(failure) => {
                let title = format!("not verified: {}", words::printable(name));
                let _ = write!(text, "{}\n{}", context.style.paint(Tone::Bad, &title), failure.to_text(context.style));
            }
        }
    }
    Ok(Report::text(text, exit))
}

fn page(verified: &Verified, name: &str, options: &Options, context: &Context) -> String {
    let style = context.style;
    let title = format!("verified: {} {name}", verified.what);
    let mut lines = Grid::new(style, &[]);
    let mut line = |name: &str, text: String| lines.row([name.to_owned(), text]);
    line("issuer", format!("{}, {}", verified.issuer, verified.environment));
    if let Some(tenant) = &verified.tenant {
        line("tenant", tenant.to_string());
    }
    match (&verified.revision, &verified.stream) {
        (Some(revision), Some(stream)) => {
            line("revision", format!("{revision} of {stream}, in epoch {}", verified.epoch));
        }
        _ => line("epoch", verified.epoch.to_string()),
    }
    let until = verified.certified.until.map_or_else(|| "the epoch ends".to_owned(), |until| until.to_string());
    let (root, fleet) = (&verified.root_key, &verified.fleet_key);
    line("keys", format!("root {root} certifies fleet {fleet} from {} until {until}", verified.certified.from));
    if let Some(key) = &verified.slice_key {
        line("slice key", key.clone());
    }
    if let Some(issued_at) = verified.issued_at {
        line("issued at", issued_at.to_string());
    }
    if let Some(expires_at) = verified.expires_at {
        let fresh = if verified.fresh == Some(true) { "fresh until" } else { "stale since" };
        line(fresh, format!("{expires_at} (asked at {})", context.now));
    }
    if let Some(definitions) = verified.definitions {
        line("definitions", definitions.to_string());
    }
    if let Some(candidate) = &verified.candidate {
        let text =
            |field: &str| candidate.get(field).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        line("candidate", format!("{} for {} of 1,000 engines", text("definitions"), text("share_permille")));
    }
    if let (Some(chunks), Some(bytes)) = (verified.chunks, verified.bytes) {
        line("contents", format!("{}, {} bytes", words::number(chunks as u64), words::number(bytes)));
    }
    if let Some(tenants) = verified.tenants {
        line("tenants", words::number(tenants as u64));
    }
    if let Some(revisions) = verified.history {
        line("history", format!("{}, heads verified", words::count(revisions, "revision")));
    }
    if let Some(seen) = &verified.seen {
        line("not older than", format!("{} ({seen})", options.seen.as_deref().unwrap_or(Path::new("")).display()));
    }
    if verified.what == "head" {
        line("note", "what it names was not looked at: verify the directory or the pack for that".to_owned());
    }
    format!("{}\n{}", style.paint(Tone::Good, &words::printable(&title)), lines.render(&[]))
}

/// One stream of a directory, with its history.
fn directory(options: &Options, trust: &Trust, context: &Context) -> Result<Verified, Failure> {
    let place = Place::required(&options.path)?;
    let head = place.head(trust)?;
    let Place::Directory(directory) = &place else { return Err(Failure::no_snapshots(&options.path)) };
    // Everything is read and hashed, that which no engine needs at the moment too.
    directory.pack(&head)?;
    let history = directory.root().join("history").join(trust.stream.as_str());
    let history = if history.is_dir() { Some(directory.history(trust)?.len()) } else { None };
    let held = Held { place, trust: trust.clone(), head };
    Ok(Verified { history, ..whole("stream", &held, options, context)? })
}

/// A head with everything that it names, compiled.
fn whole(what: &'static str, held: &Held, options: &Options, context: &Context) -> Result<Verified, Failure> {
    let snapshot = held.snapshot(None, context.now)?;
    let contents = held.contents()?;
    if let Some(candidate) = &held.head.head().candidate {
        let staged = held.definitions(Some(candidate))?;
        let compiled = Snapshot::compile(&staged, held.head.head().stamp());
        compiled.map_err(|found| Failure::refused(found.into_vec()))?;
    }
    Ok(Verified {
        definitions: Some(contents.definitions.0.hash),
        chunks: Some(contents.all().len()),
        bytes: Some(contents.bytes()),
        tenants: Some(snapshot.tenant_count()),
        ..of_head(what, &held.head, &held.trust, options, context)?
    })
}

fn file(options: &Options, trust: &TrustFile, context: &Context) -> Result<Verified, Failure> {
    let path = &options.path;
    if let Some(place @ Place::Pack(_)) = Place::at(path)? {
        about_no_one("a pack", options)?;
        let held = Held::open(path, place, &options.trusted, None)?;
        return whole("pack", &held, options, context);
    }
    if path.is_dir() {
        return Err(Failure::no_snapshots(path));
    }
    let bytes = files::read(path, leasehold::wire::MAX_CHUNK_BYTES)?;
    if matches!(Document::of(&bytes), Document::SecretKey) {
        return Err(Failure::key("secret_key", format!("`{}` is a secret key", path.display()))
            .hint("there is nothing to verify about it, and nobody should be sent it"));
    }
    let (claims, rest) = statements(&bytes);
    let claimed_stream = claimed(&claims, "head", "stream").and_then(|stream| stream.parse().ok());
    let stream = trust.chosen(&options.trusted).cloned().or(claimed_stream);
    let trust = stream.map_or_else(|| trust.any().clone(), |stream| trust.of(stream));
    let kinds: Vec<&str> = claims.iter().map(|claim| claim.kind).collect();
    match kinds.as_slice() {
        ["certificate", "head", "slice"] => slice(&bytes, &trust, options, context),
        ["certificate", "head"] if rest.starts_with(b"leasehold-slice/") => slice(&bytes, &trust, options, context),
        ["certificate"] if rest.is_empty() => {
            about_no_one("a certificate", options)?;
            if options.seen.is_some() {
                return Err(Failure::usage("a certificate has no revision").hint("leave out --seen, or name a head"));
            }
            certificate(&bytes, &trust)
        }
        _ => {
            let head = trust.head(&bytes)?;
            about_no_one("a head", options)?;
            of_head("head", &head, &trust, options, context)
        }
    }
}

/// Refuses a tenant that is named where it would change nothing.
fn about_no_one(what: &str, options: &Options) -> Result<(), Failure> {
    match options.tenant {
        None => Ok(()),
        Some(_) => {
            Err(Failure::usage(format!("{what} is about no one tenant")).hint("leave out --tenant, or name a slice"))
        }
    }
}

fn of_head(
    what: &'static str,
    head: &SignedHead,
    trust: &Trust,
    options: &Options,
    context: &Context,
) -> Result<Verified, Failure> {
    let seen = options.seen.as_deref().map(|path| admit(head, path, trust)).transpose()?;
    let said = head.head();
    Ok(Verified {
        stream: Some(said.stream.clone()),
        revision: Some(said.revision),
        issued_at: Some(said.issued_at),
        expires_at: Some(said.expires_at),
        fresh: Some(context.now < said.expires_at),
        candidate: said.candidate.as_ref().map(|candidate| {
            json!({ "definitions": candidate.definitions.hash, "share_permille": candidate.share_permille })
        }),
        seen,
        ..of_certificate(what, head.certificate(), head.bytes())
    })
}

/// Compares a head with one that was seen before; gives the latter's revision in words.
fn admit(head: &SignedHead, path: &Path, trust: &Trust) -> Result<String, Failure> {
    let seen = trust.head(&head_document(path, Some(&trust.stream))?)?;
    seen.mark().admit(head)?;
    Ok(format!("revision {} in epoch {}, issued at {}", seen.head().revision, seen.head().epoch, seen.head().issued_at))
}

fn of_certificate(what: &'static str, certificate: &Certificate, document: &[u8]) -> Verified {
    let (claims, _) = statements(document);
    Verified {
        what,
        issuer: certificate.issuer.clone(),
        environment: certificate.environment.clone(),
        stream: None,
        tenant: None,
        epoch: certificate.epoch,
        revision: None,
        root_key: claims.first().map(|claim| claim.key.to_owned()).unwrap_or_default(),
        fleet_key: certificate.key.id().to_string(),
        slice_key: None,
        certified: Certified { from: certificate.valid_from, until: certificate.valid_until },
        issued_at: None,
        expires_at: None,
        fresh: None,
        definitions: None,
        candidate: None,
        chunks: None,
        bytes: None,
        tenants: None,
        history: None,
        seen: None,
    }
}

fn certificate(bytes: &[u8], trust: &Trust) -> Result<Verified, Failure> {
    let certificate = Certificate::verify(bytes, &trust.roots)?;
    Ok(of_certificate("certificate", &certificate, bytes))
}

fn slice(bytes: &[u8], trust: &Trust, options: &Options, context: &Context) -> Result<Verified, Failure> {
    let (claims, _) = statements(bytes);
    let about = claimed(&claims, "slice", "tenant").and_then(|tenant| tenant.parse().ok());
    let tenant = options.tenant.clone().or(about);
    let tenant = tenant.ok_or_else(|| {
        Failure::usage("the slice does not say whom it is about").hint("name the tenant with --tenant")
    })?;
    let slice = trust.slice(bytes, &tenant)?;
    let envelope = slice.envelope();
    let whole = slice.content().is_some();
    if whole {
        let mut follower = Follower::of_slice(trust.clone(), tenant.clone());
        follower.open(Pack { head: bytes.to_vec(), chunks: BTreeMap::new() }, context.now)?;
    }
    let of_head = of_head(if whole { "slice" } else { "envelope" }, slice.head(), trust, options, context)?;
    Ok(Verified {
        tenant: Some(tenant),
        slice_key: claims.get(2).map(|claim| claim.key.to_owned()),
        expires_at: Some(envelope.expires_at),
        fresh: Some(context.now < envelope.expires_at),
        definitions: Some(envelope.definitions),
        bytes: Some(envelope.content.length),
        chunks: Some(usize::from(whole)),
        candidate: None,
        ..of_head
    })
}
