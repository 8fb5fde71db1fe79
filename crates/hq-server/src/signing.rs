//! What signs heads, as it is named on the command line.

use crate::context::Context;
use crate::duration::Duration;
use crate::failure::Failure;
use crate::files;
use crate::keys::{self, KeyKind};
use crate::trust::{TrustFile, Trusted};
use clap::Args;
use leasehold::Timestamp;
use leasehold::build::{Signer, Terms};
use leasehold::wire::{MAX_HEAD_BYTES, SecretKey, SliceKey};
use std::path::{Path, PathBuf};

/// The publisher's pen.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing")]
pub(crate) struct Pen {
    /// The fleet key's secret
    #[arg(long, value_name = "FILE")]
    fleet: PathBuf,
    /// The root key's certificate for the fleet key, as `certify` writes it
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Whom engines believe: a JSON file with issuer, environment and root keys
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_TRUST", hide_env_values = true)]
    trust: Option<PathBuf>,
}

/// The publisher's pen, and what heads are signed for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing")]
pub(crate) struct Signing {
    #[command(flatten)]
    pen: Pen,
    /// How long the heads are fresh, such as 30m, 24h or 7d
    #[arg(long, value_name = "TIME", default_value_t = Duration::from_ms(7 * 24 * 3_600_000))]
    fresh_for: Duration,
    /// A slice key's public half, which the heads certify; may be repeated
    #[arg(long = "slice-key", value_name = "PUB")]
    slice_keys: Vec<PathBuf>,
    /// How long those slice keys may sign, 24h at most
    #[arg(long, value_name = "TIME", default_value_t = Duration::from_ms(SliceKey::LONGEST_MS), requires = "slice_keys")]
    slice_key_for: Duration,
}

impl Pen {
    /// The pen, and whom to believe.
    pub(crate) fn signer(&self) -> Result<(Signer, TrustFile), Failure> {
        let trusted = Trusted { trust: self.trust.clone(), stream: None };
        let file = TrustFile::named(&trusted, &self.certificate)?;
        let signer = signer(keys::secret(&self.fleet, KeyKind::Fleet)?, &self.certificate, &file)?;
        Ok((signer, file))
    }
}

/// What signs heads with a fleet key: certified, and for the issuer and environment that are trusted.
pub(crate) fn signer(fleet: SecretKey, certificate: &Path, trust: &TrustFile) -> Result<Signer, Failure> {
    let bytes = files::read(certificate, MAX_HEAD_BYTES as u64)?;
    let trust = trust.any();
    let signer = Signer::new(fleet, bytes, trust.roots.clone()).map_err(|fault| {
        let path = crate::trust::quoted(&certificate.to_string_lossy());
        Failure::fault(&fault).hint(format!("`leasehold inspect {path}` shows which keys it is of and for"))
    })?;
    let said = signer.certificate();
    for (code, what, named, trusted) in [
        ("wrong_issuer", "issuer", said.issuer.as_str(), trust.issuer.as_str()),
        ("wrong_environment", "environment", said.environment.as_str(), trust.environment.as_str()),
    ] {
        if named != trusted {
            let message = format!("the certificate is for {what} `{named}`, and `{trusted}` is trusted");
            return Err(Failure::wrong(code, message).hint("engines would refuse what it signs: certify the key again"));
        }
    }
    Ok(signer)
}

impl Signing {
    /// The pen, and whom to believe.
    pub(crate) fn signer(&self) -> Result<(Signer, TrustFile), Failure> {
        self.pen.signer()
    }

    /// How long the heads are fresh.
    pub(crate) fn fresh_for_ms(&self) -> i64 {
        self.fresh_for.ms
    }

    /// When the heads are signed, and until when.
    pub(crate) fn terms(&self, context: &Context) -> Result<Terms, Failure> {
        if self.slice_key_for.ms > SliceKey::LONGEST_MS {
            let message = format!("a slice key may sign for 24h at most, and {} is asked for", self.slice_key_for);
            return Err(Failure::usage(message).hint("build or rotate every day, with a slice key that lives as long"));
        }
        let valid_from = context.now;
        let valid_until = Timestamp::from_ms(valid_from.as_ms().saturating_add(self.slice_key_for.ms));
        let valid_until = valid_until.map_err(leasehold::Error::from)?;
        let slice_key =
            |path: &PathBuf| Ok(SliceKey { key: keys::public(path, KeyKind::Slice)?, valid_from, valid_until });
        let slice_keys = self.slice_keys.iter().map(slice_key).collect::<Result<Vec<_>, Failure>>()?;
        Ok(Terms { issued_at: context.now, fresh_for_ms: self.fresh_for.ms, slice_keys })
    }
}
