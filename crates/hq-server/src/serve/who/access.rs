//! How callers are told: tokens and sessions, remembered until the database says that something has changed.

use super::{Caller, Permission, Rights, Role, Scope, Secret, SecretKind};
use crate::serve::about;
use crate::serve::config::AccessSettings;
use crate::serve::problem::Problem;
use crate::serve::state::{Peer, now};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use leasehold::Timestamp;
use leasehold_postgres::hq::Hq;
use moka::sync::Cache;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How many callers are remembered.
const MOST_REMEMBERED: u64 = 10_000;
/// How many of those who read metrics.
const MOST_WATCHERS: u64 = 100;
/// How many are looked up at the same time.
const LOOKING: usize = 4;
/// For how long at the most, whatever the database says.
const LONGEST_REMEMBERED: Duration = Duration::from_secs(60);
/// For how long after they were looked up callers may still read metrics while the database is away: it is then that somebody
/// needs to be told.
const WATCHES: Duration = Duration::from_secs(3600);
/// How many secrets that are nobody's an address may send: each second over time, and at once after a rest.
const UNKNOWN: (NonZeroU32, NonZeroU32) = (NonZeroU32::new(20).unwrap(), NonZeroU32::new(50).unwrap());
/// For how long an address is turned away that sent more; and for how long such a secret is refused without a look-up.
const TURNED_AWAY: Duration = Duration::from_secs(1);
/// How often in a minute somebody may try to sign in under a name, and how often from an address.
const SIGN_INS: (NonZeroU32, NonZeroU32) = (NonZeroU32::new(10).unwrap(), NonZeroU32::new(30).unwrap());
/// The part of an IPv6 address that its holder does not choose.
const NETWORK: u128 = u128::MAX << 64;

/// Turns at Argon2: each takes 19 MiB and a processor for a while.
static HASHING: Semaphore = Semaphore::const_new(2);

/// What somebody's secret is known to mean, and until when.
#[derive(Debug, Clone)]
struct Known {
    caller: Arc<Caller>,
    until: Option<Timestamp>,
}

impl Known {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What somebody sends as their secret.
fn sent(parts: &Parts) -> Result<&str, Problem> {
    let sent = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scheme = sent.and_then(|sent| sent.split_once(' '));
    let bearer = scheme.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    bearer.ok_or_else(Problem::unauthorized)
}

/// Under what somebody is remembered: the hash of the text that they send, which is not taken apart for it. A table of hashes
/// tells nothing by its time.
fn key(sent: &str) -> [u8; 32] {
    *leasehold::Hash::of(sent.as_bytes()).as_bytes()
}

/// Tells who asks.
#[derive(Debug)]
pub(crate) struct Access {
    hq: Hq,
    settings: AccessSettings,
    known: Cache<[u8; 32], Known>,
    /// Those of them who asked for metrics. They are remembered without a database that tells of changes.
    watchers: Cache<[u8; 32], Known>,
    /// Secrets that were looked up a moment ago, and are nobody's.
    unknown: Cache<[u8; 32], ()>,
    /// Whether the database can tell that something has changed. Otherwise nothing is remembered.
    told: AtomicBool,
    /// Grows with every change, so that what was looked up before it is not remembered after it.
    changes: watch::Sender<u64>,
    rate: DefaultKeyedRateLimiter<String>,
    /// By address: secrets that are nobody's.
    strangers: DefaultKeyedRateLimiter<IpAddr>,
    /// Addresses from which too many of them came.
    turned_away: Cache<IpAddr, ()>,
    sign_ins: DefaultKeyedRateLimiter<String>,
    sign_ins_from: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    /// Turns of those who are looked up, as many as there are connections for it.
    looking: Semaphore,
}

/// The other end of the connection.
fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<Peer>().map(|peer| peer.0.to_canonical())
}

fn too_often(seconds: u64, detail: &'static str) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds)
}

impl Access {
    pub(crate) fn new(hq: Hq, settings: AccessSettings) -> Self {
        let quota = |per_second, burst| Quota::per_second(per_second).allow_burst(burst);
        let rate = RateLimiter::keyed(quota(settings.requests_per_second, settings.burst));
        let strangers = RateLimiter::keyed(quota(UNKNOWN.0, UNKNOWN.1));
        // Guessing is slow, whoever is guessed at, and whoever guesses.
        let sign_ins = RateLimiter::keyed(Quota::per_minute(SIGN_INS.0));
        let sign_ins_from = RateLimiter::keyed(Quota::per_minute(SIGN_INS.1));
        let known = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(LONGEST_REMEMBERED).build();
        let watchers = Cache::builder().max_capacity(MOST_WATCHERS).time_to_live(WATCHES).build();
        let unknown = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(TURNED_AWAY).build();
        let turned_away = Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(TURNED_AWAY).build();
        let (told, changes, clock) = (AtomicBool::new(false), watch::Sender::new(0), DefaultClock::default());
        Self {
            hq,
            settings,
            known,
            watchers,
            unknown,
            told,
            changes,
            rate,
            strangers,
            turned_away,
            sign_ins,
            sign_ins_from,
            looking: Semaphore::new(LOOKING),
            clock,
        }
    }

    /// Somebody's rights have changed: nothing that is remembered holds, and who waits for changes is woken.
    pub(crate) fn forget(&self) {
        self.watchers.invalidate_all();
        self.forget_callers();
    }

    fn forget_callers(&self) {
        // Before: what is being looked up now is not remembered. Nobody is woken yet.
        self.changes.send_if_modified(|changes| {
            *changes = changes.wrapping_add(1);
            false
        });
        self.known.invalidate_all();
        self.unknown.invalidate_all();
        // After: who hears of it finds nothing that was remembered.
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Hears of it whenever somebody's rights may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The database can, or cannot, tell of changes from now on.
    pub(crate) fn listening(&self, told: bool) {
        self.told.store(told, Ordering::SeqCst);
        if told { self.forget() } else { self.forget_callers() }
    }

    /// Refuses HQ's own interface to networks that are not allowed.
    pub(crate) fn network(&self, parts: &Parts) -> Result<(), Problem> {
        let refused = |detail: &str| Err(Problem::forbidden("network_not_allowed", detail));
        let forwarded = ["x-forwarded-for", "forwarded"].iter().any(|name| parts.headers.contains_key(*name));
        if forwarded && peer(parts).is_none_or(|peer| !self.is_proxy(peer)) {
            // The address would be that of the proxy, whoever asks.
            return refused("a proxy that is not known forwards this; name it in `trusted_proxies` of [access]");
        }
        match self.address(parts) {
            Some(address) if self.settings.allow.iter().any(|net| net.contains(&address)) => Ok(()),
            Some(_) => refused("HQ is not reached from this network"),
            None => refused("nothing says whence this comes; the proxy has to name it in `X-Forwarded-For`"),
        }
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|net| net.contains(&address))
    }

    /// Where a request comes from: the other end, or whom a proxy that is trusted names. Nothing where it names nobody,
    /// or what cannot be read.
    fn address(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = peer(parts)?;
        if !self.is_proxy(peer) {
            return Some(peer);
        }
        let mut named = Vec::new();
        for value in parts.headers.get_all("x-forwarded-for") {
            named.extend(value.to_str().ok()?.split(',').map(str::trim));
        }
        // From the nearest on: the first that is no proxy of ours is who asked. What lies beyond may be invented.
        for one in named.into_iter().rev() {
            let address = one.parse::<IpAddr>().ok()?.to_canonical();
            if !self.is_proxy(address) {
                return Some(address);
            }
        }
        None
    }

    /// The address by which attempts are counted. Of IPv6 it is the network: who has an address there has as many as
    /// they like.
    fn counted(&self, parts: &Parts) -> Option<IpAddr> {
        let address = self.address(parts).or_else(|| peer(parts))?;
        let IpAddr::V6(six) = address else { return Some(address) };
        Some(Ipv6Addr::from_bits(six.to_bits() & NETWORK).into())
    }

    /// Takes a place in a limit of rate.
    fn take<K>(&self, limit: &DefaultKeyedRateLimiter<K>, key: &K, detail: &'static str) -> Result<(), Problem>
    where
        K: Clone + Eq + Hash,
    {
        limit.check_key(key).map_err(|wait| too_often(wait.wait_time_from(self.clock.now()).as_secs() + 1, detail))
    }

    /// Who asks.
    ///
    /// # Errors
    /// `unauthorized`, whatever is wrong; `rate_limited`; `database_unreachable` where nobody can be told.
    pub(crate) async fn caller(&self, parts: &Parts) -> Result<Arc<Caller>, Problem> {
        let known = self.known(sent(parts)?, self.counted(parts)).await?;
        self.admitted(known)
    }

    /// Who asks for metrics. Whoever was let in for that within the last hour is let in while the database is away, too: what
    /// they are told then is that it is.
    ///
    /// # Errors
    /// As [`caller`](Self::caller).
    pub(crate) async fn watcher(&self, parts: &Parts, database_answers: bool) -> Result<Arc<Caller>, Problem> {
        let sent = sent(parts)?;
        let key = key(sent);
        let seen = self.watchers.get(&key).filter(|seen| !database_answers && seen.holds(now()));
        let known = match seen {
            Some(seen) => seen,
            None => {
                let changes = *self.changes.borrow();
                let known = self.known(sent, self.counted(parts)).await?;
                if database_answers && known.caller.may(Permission::ReadMetrics) {
                    self.watchers.insert(key, known.clone());
                    // What changed meanwhile may be about this one.
                    if *self.changes.borrow() != changes {
                        self.watchers.invalidate(&key);
                    }
                }
                known
            }
        };
        self.admitted(known)
    }

    /// Lets somebody in who is known, where they do not ask too often.
    fn admitted(&self, known: Known) -> Result<Arc<Caller>, Problem> {
        let detail = "this token or session asks too often; wait, and ask again";
        self.take(&self.rate, &known.caller.id, detail)?;
        about::caller(&known.caller);
        Ok(known.caller)
    }

    /// Whether whoever asked still may ask at all: for those who are told something for long. No limit of rate counts it.
    ///
    /// # Errors
    /// `unauthorized`; `database_unreachable` where nobody can be told.
    pub(crate) async fn holds(&self, parts: &Parts) -> Result<(), Problem> {
        self.known(sent(parts)?, None).await.map(drop)
    }

    /// What is remembered of a secret; nothing where it has to be looked up.
    fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Option<Result<Known, Problem>> {
        if !self.told.load(Ordering::SeqCst) {
            return None;
        }
        match self.known.get(key) {
            Some(known) if known.holds(now) => Some(Ok(known)),
            Some(_) => Some(Err(Problem::unauthorized())),
            None => self.unknown.contains_key(key).then(|| Err(Problem::unauthorized())),
        }
    }

    async fn known(&self, sent: &str, from: Option<IpAddr>) -> Result<Known, Problem> {
        let (now, key) = (now(), key(sent));
        if let Some(remembered) = self.remembered(&key, now) {
            return remembered;
        }
        let secret = Secret::read(sent).ok_or_else(Problem::unauthorized)?;
        // Who is remembered is not kept waiting by what strangers send from the same address.
        if from.is_some_and(|from| self.turned_away.contains_key(&from)) {
            let detail = "too many tokens that are not good come from this address; wait, and ask again";
            return Err(too_often(TURNED_AWAY.as_secs(), detail));
        }
        // Of many that ask with the same one, a few look it up, and the others find it here.
        let _turn = self.looking.acquire().await.map_err(|_| Problem::internal())?;
        if let Some(remembered) = self.remembered(&key, now) {
            return remembered;
        }
        let changes = *self.changes.borrow();
        let Some(known) = self.looked_up(&secret).await?.filter(|known| known.holds(now)) else {
            // A secret counts once, however many ask with it at the same time.
            if !self.unknown.contains_key(&key)
                && let Some(from) = from
                && self.strangers.check_key(&from).is_err()
            {
                self.turned_away.insert(from, ());
            }
            self.remember(&self.unknown, key, (), changes);
            return Err(Problem::unauthorized());
        };
        self.remember(&self.known, key, known.clone(), changes);
        Ok(known)
    }

    /// Remembers what was looked up, after so many changes.
    fn remember<V>(&self, cache: &Cache<[u8; 32], V>, key: [u8; 32], value: V, changes: u64)
    where
        V: Clone + Send + Sync + 'static,
    {
        if self.told.load(Ordering::SeqCst) {
            cache.insert(key, value);
            // What changed meanwhile may be about this one.
            if *self.changes.borrow() != changes {
                cache.invalidate(&key);
            }
        }
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
        let detail = "too many attempts to sign in under this name; wait, and try again";
        self.take(&self.sign_ins, &name.to_owned(), detail)
    }

    /// The same of whoever tries from one address, under whatever names.
    pub(crate) fn may_sign_in_from(&self, parts: &Parts) -> Result<(), Problem> {
        let Some(from) = self.counted(parts) else { return Ok(()) };
        self.take(&self.sign_ins_from, &from, "too many attempts to sign in from this address; wait, and try again")
    }

    /// Lets go of callers that have not asked for a while.
    pub(crate) fn sweep(&self) {
        self.rate.retain_recent();
        self.strangers.retain_recent();
        self.sign_ins.retain_recent();
        self.sign_ins_from.retain_recent();
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

    /// What Argon2id makes of it, with the crate's costs: 19 MiB, two passes. It takes a while, on a thread of its own,
    /// when it is its turn.
    pub(crate) async fn hash(self) -> Result<String, Problem> {
        let turn = HASHING.acquire().await.map_err(|_| Problem::internal())?;
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = Argon2::default().hash_password(self.0.as_bytes()).map(|hash| hash.to_string());
            // It is over when this is done, not when nobody waits for it any more.
            drop(turn);
            hashed
        });
        hashed.await.ok().and_then(Result::ok).ok_or_else(Problem::internal)
    }

    /// Whether it is the one of which this was kept. Where nothing was kept, it takes as long to say no.
    pub(crate) async fn is(self, kept: Option<String>) -> bool {
        let Ok(turn) = HASHING.acquire().await else { return false };
        let verified = tokio::task::spawn_blocking(move || {
            let nobody = kept.is_none();
            let kept = kept.unwrap_or_else(|| NOBODY.to_owned());
            let right = PasswordHash::new(&kept)
                .is_ok_and(|hash| Argon2::default().verify_password(self.0.as_bytes(), &hash).is_ok());
            drop(turn);
            right && !nobody
        });
        verified.await.unwrap_or(false)
    }
}

/// What stands for whom nobody knows, so that names cannot be guessed by the time that it takes.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bGVhc2Vob2xkbm9ib2R5$Q2V0ZW50ZW5kbm9ib2R5aGFzdGhpc3Bhc3N3b3JkIQ";

#[cfg(test)]
mod tests {
    use super::*;

    /// Signing in under a name that nobody has costs what a wrong password costs: as much memory, as many passes.
    #[tokio::test]
    async fn timing_of_sign_in_under_an_unknown_name() {
        let costs = |kept: &str| {
            let hash = PasswordHash::new(kept).unwrap();
            (hash.algorithm.to_string(), hash.version, hash.params.to_string())
        };
        let kept = Password::new("a right horse battery".to_owned()).hash().await.unwrap();
        assert_eq!(costs(NOBODY), costs(&kept));
        // And is never right, even for whoever knows what stands there.
        for guess in ["", "a right horse battery", "leaseholdnobody", "CetentenobodyasthisPassword"] {
            assert!(!Password::new(guess.to_owned()).is(None).await);
        }
        assert!(Password::new("a right horse battery".to_owned()).is(Some(kept)).await);
    }
}
