//! The configuration of a server: a file, and variables of the environment above it.

use crate::duration::Duration as Span;
use crate::failure::Failure;
use crate::files;
use axum::http::HeaderValue;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A configuration file that says everything and changes nothing, with what each line is for.
pub(crate) const EXAMPLE: &str = include_str!("leasehold.example.toml");

/// Longest configuration that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A text that may hold a password. It is never printed by accident.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Hidden {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The configuration as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) database_url: Option<Hidden>,
    pub(crate) trust: Option<PathBuf>,
    pub(crate) publisher: PublisherSettings,
    pub(crate) access: AccessSettings,
    pub(crate) limits: Limits,
    pub(crate) history: History,
    pub(crate) telemetry: Telemetry,
}

/// The publisher, and whether this server is one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PublisherSettings {
    /// Whether this server publishes. One that does not needs no fleet key; another one has to.
    pub(crate) enabled: bool,
    pub(crate) fleet_key: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    /// How long heads are fresh.
    pub(crate) fresh_for: Span,
    /// How long a write waits to be published before it answers without its revision.
    pub(crate) wait: Span,
    /// Where what is published is copied to, for a CDN to carry: `file:///path`, or `s3://bucket/prefix`.
    pub(crate) mirror: Option<String>,
    /// Options of that bucket, as `endpoint`; the variables `AWS_*` of the environment come before them.
    pub(crate) mirror_options: BTreeMap<String, Hidden>,
}

impl Default for PublisherSettings {
    fn default() -> Self {
        let (fleet_key, certificate) = (None, None);
        Self {
            enabled: true,
            fleet_key,
            certificate,
            fresh_for: Span::from_ms(24 * 3_600_000),
            wait: Span::from_ms(5_000),
            mirror: None,
            mirror_options: BTreeMap::new(),
        }
    }
}

/// Who may ask from where, and how often.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessSettings {
    /// Networks from which HQ's own interface is reached.
    pub(crate) allow: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Origins of pages that may ask tenants' interfaces for decisions, slices and flags.
    pub(crate) allowed_origins: Vec<Origin>,
    /// How long somebody stays signed in.
    pub(crate) session: Span,
    /// Requests of one token or session each second, over time.
    pub(crate) requests_per_second: NonZeroU32,
    /// Requests of one token or session at once, after a rest.
    pub(crate) burst: NonZeroU32,
}

impl Default for AccessSettings {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            allow: loopback.iter().filter_map(|net| net.parse().ok()).collect(),
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            session: Span::from_ms(12 * 3_600_000),
            requests_per_second: const { NonZeroU32::new(500).unwrap() },
            burst: const { NonZeroU32::new(2_000).unwrap() },
        }
    }
}

/// Where a page comes from, as browsers say it: `https://app.example`, without a path, and with a port only where it is not
/// the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(HeaderValue);

impl Origin {
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |extra: &'static [u8]| {
            move |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || extra.contains(&byte)
        };
        let good = text.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty()
                && scheme.bytes().all(plain(b"+-."))
                && !host.is_empty()
                && host.bytes().all(plain(b"-._:[]"))
                && !(scheme == "https" && host.ends_with(":443") || scheme == "http" && host.ends_with(":80"))
        });
        match HeaderValue::from_str(text) {
            Ok(value) if good => Ok(Self(value)),
            _ => Err(format!("`{text}` is not an origin: write it as browsers do, as in `https://app.example`")),
        }
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How much is taken from whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Longest body of a request, in bytes.
    pub(crate) body_bytes: NonZeroUsize,
    /// How long a request may take.
    pub(crate) request: Span,
    /// How long a client may take to send its headers, or its next request.
    pub(crate) headers: Span,
    /// Connections at once.
    pub(crate) connections: NonZeroUsize,
    /// Requests at once, followers of events aside.
    pub(crate) requests: NonZeroUsize,
    /// How long a shutdown waits for what is under way.
    pub(crate) shutdown: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: const { NonZeroUsize::new(4 << 20).unwrap() },
            request: Span::from_ms(30_000),
            headers: Span::from_ms(30_000),
            connections: const { NonZeroUsize::new(8_192).unwrap() },
            requests: const { NonZeroUsize::new(512).unwrap() },
            shutdown: Span::from_ms(10_000),
        }
    }
}

/// What is remembered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct History {
    /// For how many days the past can be asked about.
    pub(crate) days: NonZeroU32,
}

impl Default for History {
    fn default() -> Self {
        Self { days: const { NonZeroU32::new(400).unwrap() } }
    }
}

/// What is told of what goes on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// What is logged, as `info` or `leasehold=debug,warn`.
    pub(crate) log: Option<String>,
    /// How; without it, lines for people on a terminal and JSON elsewhere.
    pub(crate) log_format: Option<LogFormat>,
    /// Where traces go: the base of an OTLP collector over HTTP, as `http://127.0.0.1:4318`.
    pub(crate) otlp_endpoint: Option<Hidden>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Reads a file, and what the environment says above it.
    pub(crate) fn read(path: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                let bytes = files::read(path, LONGEST)?;
                let text = String::from_utf8(bytes).map_err(|_| wrong(path, "it is not UTF-8"))?;
                let mut config: Self = toml::from_str(&text).map_err(|error| wrong(path, &located(&error, &text)))?;
                config.relative_to(path.parent().unwrap_or(Path::new(".")));
                config
            }
        };
        config.above(variable)?;
        Ok(config)
    }

    /// Paths in a file are meant from where it is.
    fn relative_to(&mut self, folder: &Path) {
        let paths = [&mut self.trust, &mut self.publisher.fleet_key, &mut self.publisher.certificate];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    fn above(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), Failure> {
        fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, Failure> {
            text.parse().map_err(|error| Failure::wrong("bad_configuration", format!("{name} is wrong: {error}")))
        }
        fn listed<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<Vec<T>, Failure> {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(|item| parsed(name, item)).collect()
        }
        if let Some(text) = variable("LEASEHOLD_LISTEN") {
            self.listen = Some(parsed("LEASEHOLD_LISTEN", &text)?);
        }
        if let Some(url) = variable("DATABASE_URL") {
            self.database_url = Some(Hidden(url));
        }
        let paths = [
            ("LEASEHOLD_TRUST", &mut self.trust),
            ("LEASEHOLD_FLEET_KEY", &mut self.publisher.fleet_key),
            ("LEASEHOLD_CERTIFICATE", &mut self.publisher.certificate),
        ];
        for (name, path) in paths {
            if let Some(text) = variable(name) {
                *path = Some(text.into());
            }
        }
        if let Some(url) = variable("LEASEHOLD_MIRROR") {
            self.publisher.mirror = Some(url);
        }
        if let Some(text) = variable("LEASEHOLD_PUBLISHER") {
            self.publisher.enabled = match text.as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(Failure::wrong("bad_configuration", "LEASEHOLD_PUBLISHER is `on` or `off`")),
            };
        }
        if let Some(text) = variable("LEASEHOLD_ALLOW") {
            self.access.allow = listed("LEASEHOLD_ALLOW", &text)?;
        }
        if let Some(text) = variable("LEASEHOLD_ALLOWED_ORIGINS") {
            self.access.allowed_origins = listed("LEASEHOLD_ALLOWED_ORIGINS", &text)?;
        }
        if let Some(text) = variable("LEASEHOLD_LOG") {
            self.telemetry.log = Some(text);
        }
        if let Some(text) = variable("OTEL_EXPORTER_OTLP_ENDPOINT") {
            self.telemetry.otlp_endpoint = Some(Hidden(text));
        }
        Ok(())
    }

    /// How often heads are signed again: three times before they would no longer be fresh.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.publisher.fresh_for.std() / 3
    }
}

/// What is wrong, and in which line. The line itself is not shown: it may hold a password.
fn located(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before.map(|before| before.matches('\n').count() + 1) {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

fn wrong(path: &Path, why: &str) -> Failure {
    let message = format!("`{}` is not a configuration: {}", path.display(), why.trim_end());
    Failure::wrong("bad_configuration", message)
        .hint("`leasehold serve --example` prints one, with what each line is for")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leasehold.toml");
        std::fs::write(&path, text).unwrap();
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, it)| (*it).to_owned());
        Config::read(Some(&path), variable)
    }

    #[test]
    fn what_is_printed_of_a_configuration_holds_no_password() {
        let url = "postgresql://hq:hunter2@127.0.0.1/leasehold";
        let named = format!("database_url = \"{url}\"\n[telemetry]\notlp_endpoint = \"http://hq:hunter2@c:4318\"");
        let (from_file, above) = (read(&named, &[]), read("", &[("DATABASE_URL", url)]));
        for config in [from_file, above].map(Result::unwrap) {
            let shown = format!("{config:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(config.database_url.unwrap().reveal(), url);
        }
        for broken in [format!("database_url = \"{url}\nlisten = 1"), format!("\ndatabase_url = \"{url}\" x")] {
            let error = format!("{:?}", read(&broken, &[]).unwrap_err());
            assert!(error.contains("line") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in ["https://app.example", "http://localhost:3000", "http://[::1]:8080", "capacitor://localhost"] {
            assert_eq!(good.parse::<Origin>().map(|origin| origin.header()), Ok(HeaderValue::from_static(good)));
        }
        for bad in [
            "*",
            "",
            "null",
            "app.example",
            "https://",
            "://app.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example/path",
            "https://a.example,https://b.example",
            "https://*.example",
            "https://me@a.example",
            "https://app.example:443",
            "http://app.example:80",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
