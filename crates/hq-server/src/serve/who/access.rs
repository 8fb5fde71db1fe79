//! How callers are told: tokens and sessions, remembered until the database says that something has changed.

use super::{Caller, Rights, Role, Scope, Secret, SecretKind};
use crate::serve::config::AccessSettings;
use crate::serve::problem::Problem;
use crate::serve::state::{Peer, Shared};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use leasehold::Timestamp;
use leasehold_postgres::hq::Hq;
use moka::sync::Cache;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How many callers are remembered.
const MOST_REMEMBERED: u64 = 10_000;
/// For how long at the most, whatever the database says.
const LONGEST_REMEMBERED: Duration = Duration::from_secs(60);

/// What somebody's secret is known to mean, and until when.
#[derive(Debug, Clone)]
struct Known {
    caller: Arc<Caller>,
    until: Option<Timestamp>,
}

/// Tells who asks.
#[derive(Debug)]
pub(crate) struct Access {
    hq: Hq,
    settings: AccessSettings,
    known: Cache<[u8; 32], Known>,
    /// Whether the database can tell that something has changed. Otherwise nothing is remembered.
    told: AtomicBool,
    /// Grows with every change, so that what was looked up before it is not remembered after it.
    changes: AtomicU64,
    rate: DefaultKeyedRateLimiter<String>,
    sign_ins: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl Access {
    pub(crate) fn new(hq: Hq, settings: AccessSettings) -> Self {
        let quota = |per_second: u32, burst: u32| {
            let of = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
            Quota::per_second(of(per_second)).allow_burst(of(burst))
        };
        let rate = RateLimiter::keyed(quota(settings.requests_per_second, settings.burst));
        // Guessing is slow, whoever is guessed at.
        let sign_ins = RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN)));
        let known = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(LONGEST_REMEMBERED).build();
        let (told, changes, clock) = (AtomicBool::new(false), AtomicU64::new(0), DefaultClock::default());
        Self { hq, settings, known, told, changes, rate, sign_ins, clock }
    }

    /// Somebody's rights have changed: nothing that is remembered holds.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.known.invalidate_all();
    }

    /// The database can, or cannot, tell of changes from now on.
    pub(crate) fn listening(&self, told: bool) {
        self.told.store(told, Ordering::SeqCst);
        self.forget();
    }

    /// Refuses HQ's own interface to networks that are not allowed.
    pub(crate) fn network(&self, parts: &Parts) -> Result<(), Problem> {
        let address = self.address(parts);
        if address.is_some_and(|address| self.settings.allow.iter().any(|net| net.contains(&address))) {
            return Ok(());
        }
        Err(Problem::forbidden("network_not_allowed", "HQ is not reached from this network"))
    }

    /// Where a request comes from: the other end, or whom a proxy that is trusted names.
    pub(crate) fn address(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<Peer>()?.0.to_canonical();
        if !self.settings.trusted_proxies.iter().any(|net| net.contains(&peer)) {
            return Some(peer);
        }
        let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        // From the nearest on: the first that is no proxy of ours is who asked. What lies beyond may be invented.
        for one in named.iter().rev() {
            let address: IpAddr = one.parse().ok()?;
            let address = address.to_canonical();
            if !self.settings.trusted_proxies.iter().any(|net| net.contains(&address)) {
                return Some(address);
            }
        }
        Some(peer)
    }

    /// Who asks.
    ///
    /// # Errors
    /// `unauthorized`, whatever is wrong; `rate_limited`; `database_unreachable` where nobody can be told.
    pub(crate) async fn caller(&self, parts: &Parts, shared: &Shared) -> Result<Arc<Caller>, Problem> {
        let sent = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let scheme = sent.and_then(|sent| sent.split_once(' '));
        let bearer = scheme.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let secret = bearer.and_then(Secret::read).ok_or_else(Problem::unauthorized)?;
        let caller = self.known(&secret).await?;
        if let Err(wait) = self.rate.check_key(&caller.id) {
            let seconds = wait.wait_time_from(self.clock.now()).as_secs() + 1;
            shared.metrics().rate_limited();
            let detail = "this token or session asks too often; wait, and ask again";
            return Err(
                Problem::new(axum::http::StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds)
            );
        }
        tracing::Span::current().record("caller", caller.name.as_str());
        Ok(caller)
    }

    async fn known(&self, secret: &Secret) -> Result<Arc<Caller>, Problem> {
        let now: Timestamp = SystemTime::now().into();
        let good = |known: &Known| known.until.is_none_or(|until| now < until);
        let key = secret.hash();
        if self.told.load(Ordering::SeqCst)
            && let Some(known) = self.known.get(&key)
        {
            return if good(&known) { Ok(known.caller) } else { Err(Problem::unauthorized()) };
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let known = self.looked_up(secret).await?.filter(good).ok_or_else(Problem::unauthorized)?;
        if self.told.load(Ordering::SeqCst) {
            self.known.insert(key, known.clone());
            // What changed meanwhile may be about this one.
            if self.changes.load(Ordering::SeqCst) != changes {
                self.known.invalidate(&key);
            }
        }
        Ok(known.caller)
    }

    async fn looked_up(&self, secret: &Secret) -> Result<Option<Known>, Problem> {
        match secret.kind {
            SecretKind::Session => {
                let Some((staff, until)) = self.hq.session(secret.hash()).await? else { return Ok(None) };
                // A role that this build does not know may do nothing.
                let Ok(role) = staff.role.parse::<Role>() else { return Ok(None) };
                let id = format!("session {}", secret.id);
                let caller = Caller { name: staff.id, rights: Rights::Role(role), region: None, tenant: None, id };
                Ok(Some(Known { caller: Arc::new(caller), until: Some(until) }))
            }
            SecretKind::Token => {
                let Some((token, kept)) = self.hq.token(&secret.id).await? else { return Ok(None) };
                if !secret.is(&kept) || token.revoked_at.is_some() {
                    return Ok(None);
                }
                let scopes: Vec<Scope> = token.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
                let caller = Caller {
                    name: format!("token {} ({})", token.id, token.name),
                    rights: Rights::Scopes(scopes),
                    region: token.region,
                    tenant: token.tenant,
                    id: format!("token {}", token.id),
                };
                Ok(Some(Known { caller: Arc::new(caller), until: token.expires_at }))
            }
        }
    }

    /// Refuses somebody who tries passwords too often, from wherever they try.
    pub(crate) fn may_sign_in(&self, name: &str) -> Result<(), Problem> {
        self.sign_ins.check_key(&name.to_owned()).map_err(|wait| {
            let seconds = wait.wait_time_from(self.clock.now()).as_secs() + 1;
            let detail = "too many attempts to sign in under this name; wait, and try again";
            Problem::new(axum::http::StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds)
        })
    }

    /// Lets go of callers that have not asked for a while.
    pub(crate) fn sweep(&self) {
        self.rate.retain_recent();
        self.sign_ins.retain_recent();
    }
}

/// A password, which is nowhere written down.
pub(crate) struct Password(String);

impl<'de> serde::Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    pub(crate) const SHORTEST: usize = 12;
    const LONGEST: usize = 256;

    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Refuses one that is too short to be safe, or too long to be one.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if (Self::SHORTEST..=Self::LONGEST).contains(&self.0.chars().count()) {
            return Ok(());
        }
        let detail = format!("a password has {} to {} characters", Self::SHORTEST, Self::LONGEST);
        Err(Problem::bad_request("unsafe_password", detail))
    }

    /// What Argon2id makes of it, with the crate's costs: 19 MiB, two passes. It takes a while, on a thread of its own.
    pub(crate) async fn hash(self) -> Result<String, Problem> {
        let hashed = tokio::task::spawn_blocking(move || {
            Argon2::default().hash_password(self.0.as_bytes()).map(|hash| hash.to_string())
        });
        hashed.await.ok().and_then(Result::ok).ok_or_else(Problem::internal)
    }

    /// Whether it is the one of which this was kept. Where nothing was kept, it takes as long to say no.
    pub(crate) async fn is(self, kept: Option<String>) -> bool {
        let verified = tokio::task::spawn_blocking(move || {
            let nobody = kept.is_none();
            let kept = kept.unwrap_or_else(|| NOBODY.to_owned());
            let right = PasswordHash::new(&kept)
                .is_ok_and(|hash| Argon2::default().verify_password(self.0.as_bytes(), &hash).is_ok());
            right && !nobody
        });
        verified.await.unwrap_or(false)
    }
}

/// What stands for whom nobody knows, so that names cannot be guessed by the time that it takes.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bGVhc2Vob2xkbm9ib2R5$Q2V0ZW50ZW5kbm9ib2R5aGFzdGhpc3Bhc3N3b3JkIQ";
