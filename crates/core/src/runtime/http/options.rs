//! Where HQ is, and how patient to be with it.

use crate::runtime::following::random;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, PemItem, parse_pem};

/// Where HQ is, who asks, and how patiently.
///
/// ```
/// use leasehold::HttpOptions;
/// let options = HttpOptions::new("https://hq.example", "lh_engine_4f1c")?;
/// assert!(!format!("{options:?}").contains("4f1c"));
/// # Ok::<(), leasehold::InvalidHttpOptions>(())
/// ```
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Without the slash at its end.
    pub(super) base_url: String,
    pub(super) token: Token,
    pub(super) patience: HttpPatience,
    /// Who vouches for HQ; nothing where those do who vouch for the web.
    pub(super) roots: Option<Arc<Vec<Certificate<'static>>>>,
}

/// How patient to be with HQ, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpPatience {
    /// For a connection, for an answer to begin, and between two pieces of it. A head has to be here whole by then.
    pub answer_ms: u64,
    /// For a content, or for a pack of all of them, until it is here whole.
    pub content_ms: u64,
    /// Without an event, until the connection that brings them counts as lost. HQ sends one every 15 seconds.
    pub silence_ms: u64,
    /// Before connecting for events again. Doubles with every attempt that brings no event; half of it is left to chance.
    pub pause_min_ms: u64,
    /// After many attempts.
    pub pause_max_ms: u64,
}

impl Default for HttpPatience {
    fn default() -> Self {
        Self { answer_ms: 10_000, content_ms: 120_000, silence_ms: 40_000, pause_min_ms: 500, pause_max_ms: 30_000 }
    }
}

/// Pauses between attempts: each twice as long as the one before, half of it left to chance.
#[derive(Debug)]
pub(super) struct Pauses {
    patience: HttpPatience,
    next_ms: u64,
}

impl Pauses {
    pub(super) fn of(patience: HttpPatience) -> Self {
        Self { patience, next_ms: patience.pause_min_ms.max(1) }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Duration {
        let half = self.next_ms / 2;
        let pause = ms(half + random() % (half + 1));
        self.next_ms = self.next_ms.saturating_mul(2).min(self.longest_ms());
        pause
    }

    /// It went well: the next one is a short one.
    pub(super) fn reset(&mut self) {
        *self = Self::of(self.patience);
    }

    pub(super) fn longest_ms(&self) -> u64 {
        self.patience.pause_max_ms.max(1)
    }
}

/// What is wrong with where HQ is said to be, or with who asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHttpOptions {
    /// The base URL is none.
    #[error("`{url}` is not the base URL of an HQ: {why}")]
    BaseUrl {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The base URL is `http`, on another machine.
    #[error(
        "over `{url}` anybody on the way can read the token: use `https`, or say that the way is safe with \
         `HttpOptions::over_safe_network`"
    )]
    Insecure {
        /// What was given.
        url: String,
    },
    /// The certificates are none.
    #[error("the root certificates cannot be read: {0}; give them as PEM")]
    Roots(String),
    /// The token is empty, or cannot stand in a header.
    #[error("the token is {0}: take the one that HQ gave out for this engine")]
    Token(&'static str),
}

impl InvalidHttpOptions {
    /// The stable code of this error, the same in every language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BaseUrl { .. } => "invalid_base_url",
            Self::Insecure { .. } => "insecure_base_url",
            Self::Roots(_) => "invalid_root_certificates",
            Self::Token(_) => "invalid_token",
        }
    }
}

impl HttpOptions {
    /// An HQ by its base URL, such as `https://hq.example` or `http://127.0.0.1:8750`, and the token that it gave out for
    /// this engine.
    ///
    /// # Errors
    /// `invalid_base_url` where the URL is not `http` or `https`, has no host, or has a user, a query or a fragment;
    /// `insecure_base_url` where it is `http` and not this machine; `invalid_token` where the token is empty or holds
    /// anything but visible ASCII.
    pub fn new(base_url: impl Into<String>, token: impl Into<String>) -> Result<Self, InvalidHttpOptions> {
        let base_url = base_url.into();
        let options = Self::over_safe_network(base_url.clone(), token)?;
        match Uri::from_str(&base_url) {
            Ok(url) if url.scheme_str() == Some("http") && !is_here(url.host().unwrap_or_default()) => {
                Err(InvalidHttpOptions::Insecure { url: base_url })
            }
            _ => Ok(options),
        }
    }

    /// The same, where nobody else reads what goes over the network between here and HQ: plain `http` will do.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), without `insecure_base_url`.
    pub fn over_safe_network(
        base_url: impl Into<String>,
        token: impl Into<String>,
    ) -> Result<Self, InvalidHttpOptions> {
        let (base_url, token) = (base_url.into(), token.into());
        if let Err(why) = check_base_url(&base_url) {
            let url = base_url.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(InvalidHttpOptions::BaseUrl { url, why });
        }
        if token.is_empty() {
            return Err(InvalidHttpOptions::Token("empty"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidHttpOptions::Token("not made of visible ASCII characters"));
        }
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { base_url, token: Token(token), patience: HttpPatience::default(), roots: None })
    }

    /// The same, for an HQ whose certificate these authorities vouch for, and no others: those of a company, as PEM.
    ///
    /// # Errors
    /// `invalid_root_certificates` where the text is not PEM, or holds no certificate.
    pub fn with_root_certificates(self, pem: &[u8]) -> Result<Self, InvalidHttpOptions> {
        let mut roots = Vec::new();
        for item in parse_pem(pem) {
            if let PemItem::Certificate(root) = item.map_err(|error| InvalidHttpOptions::Roots(error.to_string()))? {
                roots.push(root);
            }
        }
        if roots.is_empty() {
            return Err(InvalidHttpOptions::Roots("there is no certificate in it".to_owned()));
        }
        Ok(Self { roots: Some(Arc::new(roots)), ..self })
    }

    /// The same, with other patience.
    #[must_use]
    pub fn with_patience(self, patience: HttpPatience) -> Self {
        Self { patience, ..self }
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn check_base_url(text: &str) -> Result<(), &'static str> {
    let url = Uri::from_str(text).map_err(|_| "it cannot be read as a URL")?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err("it begins with neither `http://` nor `https://`");
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => return Err("a user in it would be sent to nobody"),
        Some(authority) if !authority.host().is_empty() => {}
        _ => return Err("it has no host"),
    }
    if url.query().is_some() || text.contains(['?', '#']) {
        return Err("paths are added to it, so that it can have neither query nor fragment");
    }
    Ok(())
}

/// What proves who asks. It is written into one header, and nowhere else.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    /// As a header has it.
    pub(super) fn header(&self) -> Result<HeaderValue, ureq::http::Error> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A text of somebody else, without the token should they have repeated it, in one line of at most so many
    /// characters.
    pub(super) fn removed_from(&self, text: &str, most: usize) -> String {
        let text = text.replace(&self.0, "[token]");
        text.chars().take(most).map(|char| if char.is_control() { ' ' } else { char }).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
