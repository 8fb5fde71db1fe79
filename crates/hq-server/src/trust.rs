//! Whom to believe, and about which stream.

use crate::failure::Failure;
use crate::files;
use crate::suggest::nearest;
use clap::Args;
use leasehold::wire::Trust;
use leasehold::{EngineId, Region, Timestamp};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const MOST: u64 = 1 << 20;

/// What every command takes that reads something signed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Published snapshots")]
pub(crate) struct Trusted {
    /// Whom to believe: a JSON file with issuer, environment and root keys, as `keygen root` writes it
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_TRUST", hide_env_values = true)]
    pub(crate) trust: Option<PathBuf>,
    /// Which stream (region), where there are several
    #[arg(long, value_name = "REGION")]
    pub(crate) stream: Option<Region>,
}

/// What commands take that answer from definitions or from what was published.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Published snapshots")]
pub(crate) struct Published {
    #[command(flatten)]
    pub(crate) trusted: Trusted,
    /// Answer from what was published at this instant; for directories of snapshots
    #[arg(long, value_name = "TIME")]
    pub(crate) known_at: Option<Timestamp>,
    /// Answer as this engine does: from the candidate's definitions where it is in the share
    #[arg(long, value_name = "ID", conflicts_with = "known_at")]
    pub(crate) engine_id: Option<EngineId>,
}

impl Published {
    /// The same choices, to be typed again.
    pub(crate) fn typed(&self) -> String {
        let mut words = String::new();
        if let Some(trust) = &self.trusted.trust {
            words.push_str(&format!(" --trust {}", quoted(&trust.to_string_lossy())));
        }
        if let Some(stream) = &self.trusted.stream {
            words.push_str(&format!(" --stream {stream}"));
        }
        if let Some(known_at) = self.known_at {
            words.push_str(&format!(" --known-at {known_at}"));
        }
        if let Some(engine) = &self.engine_id {
            words.push_str(&format!(" --engine-id {engine}"));
        }
        words
    }
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "/._-~".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A trust file. It may leave the stream open, for whoever looks at several.
#[derive(Debug, Clone)]
pub(crate) struct TrustFile {
    trust: Trust,
    stream: Option<Region>,
}

impl TrustFile {
    /// The trust file that was named.
    pub(crate) fn named(trusted: &Trusted, needed_for: &Path) -> Result<Self, Failure> {
        match &trusted.trust {
            Some(path) => Self::read(path),
            None => Err(Failure::trust_required(needed_for)),
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, MOST)?;
        let mut text = bytes;
        let mut open = false;
        // Anything but a missing stream is for the engine to complain about.
        if let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(&text)
            && !fields.contains_key("stream")
        {
            open = true;
            fields.insert("stream".to_owned(), json!("any"));
            text = Value::Object(fields).to_string().into_bytes();
        }
        let trust = Trust::from_json(&text).map_err(|fault| Failure::bad_trust(path, &fault))?;
        let stream = (!open).then(|| trust.stream.clone());
        Ok(Self { trust, stream })
    }

    /// Trust in one stream.
    pub(crate) fn of(&self, stream: Region) -> Trust {
        Trust { stream, ..self.trust.clone() }
    }

    /// Trust in whatever stream the file names, or none that matters.
    pub(crate) fn any(&self) -> &Trust {
        &self.trust
    }

    /// The stream that is chosen by the option, by the file, or by being the only one.
    pub(crate) fn choose(&self, trusted: &Trusted, streams: &[Region], at: &Path) -> Result<Trust, Failure> {
        match self.chosen(trusted) {
            Some(stream) if streams.contains(stream) => Ok(self.of(stream.clone())),
            Some(stream) => Err(unknown_stream(stream, streams, at)),
            None => only(streams, at).map(|stream| self.of(stream.clone())),
        }
    }

    /// The stream that is chosen by the option or by the file.
    pub(crate) fn chosen<'t>(&'t self, trusted: &'t Trusted) -> Option<&'t Region> {
        trusted.stream.as_ref().or(self.stream.as_ref())
    }
}

pub(crate) fn unknown_stream(stream: &Region, streams: &[Region], at: &Path) -> Failure {
    let failure = Failure::unknown_stream(stream.as_str(), at);
    match nearest(stream.as_str(), streams.iter().map(Region::as_str)) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint(format!("its streams are {}", listed(streams))),
    }
}

/// The only stream there is.
pub(crate) fn only<'s>(streams: &'s [Region], at: &Path) -> Result<&'s Region, Failure> {
    match streams {
        [only] => Ok(only),
        [] => Err(Failure::no_snapshots(at)),
        several => {
            let failure = Failure::stream_required(at, several.len());
            Err(failure.hint(format!("choose one with --stream: {}", listed(several))))
        }
    }
}

pub(crate) fn listed(streams: &[Region]) -> String {
    let names: Vec<&str> = streams.iter().map(Region::as_str).collect();
    names.join(", ")
}
