//! What is counted from time to time, beside requests: tenants, engines, and how fast the database answers.

use super::metrics::{EngineState, TenantCounts};
use super::state::{Shared, now};
use leasehold::{Region, Revision, Snapshot, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::fleet::EngineStatus;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How often tenants are counted where nothing is published: their status changes with time, too.
const COUNT: Duration = Duration::from_secs(60);
/// How long there is between two counts where something is; and at least so many times as long as a count takes, so that
/// no more than a hundredth of a processor is counting.
const REST: (Duration, u32) = (Duration::from_secs(1), 100);
/// How often engines are counted.
const FLEET: Duration = Duration::from_secs(30);
/// Engines that have not reported for so long are gone: they report once a minute.
const SILENT_MS: i64 = 10 * 60 * 1000;
/// How many engines are read at once.
const PAGE: u32 = 500;
/// How often the database is asked, and for how long its answer says how it is.
const PING: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// When the database was asked last, and whether it answered. Held while it is being asked: whoever wants to know meanwhile
/// waits for the same answer.
pub(super) type Asked = Mutex<Option<(Instant, bool)>>;

/// Starts to count.
pub(super) fn start(shared: &Shared) {
    tokio::spawn(count_tenants(shared.clone()));
    tokio::spawn(count_engines(shared.clone()));
    tokio::spawn(ask_database(shared.clone()));
}

async fn count_tenants(shared: Shared) {
    let (mut rest, mut seen, mut counted) = (REST.0, Vec::new(), None::<Instant>);
    loop {
        let engines = shared.streams().all().into_iter();
        let snapshots: Vec<_> = engines.map(|stream| (stream.region.clone(), stream.engine().pin())).collect();
        let stamps: Vec<Revision> = snapshots.iter().map(|(_, snapshot)| snapshot.stamp().revision).collect();
        if stamps != seen || counted.is_none_or(|at| at.elapsed() >= COUNT) {
            let began = Instant::now();
            let counts = tokio::task::spawn_blocking(move || count(&snapshots, now())).await;
            if let Ok(counts) = counts {
                shared.metrics().tenants(&counts);
            }
            (seen, counted) = (stamps, Some(Instant::now()));
            rest = (began.elapsed() * REST.1).clamp(REST.0, COUNT);
        }
        tokio::time::sleep(rest).await;
    }
}

fn count(snapshots: &[(Region, Arc<Snapshot>)], now: Timestamp) -> TenantCounts {
    let (mut counts, mut by_plan) = (TenantCounts::default(), HashMap::new());
    for (region, snapshot) in snapshots {
        let mut by_status = HashMap::new();
        for tenant in snapshot.tenants() {
            *by_status.entry(tenant.status(now)).or_insert(0) += 1;
            if let Some(plan) = tenant.plan(now) {
                *by_plan.entry(plan).or_insert(0) += 1;
            }
        }
        counts.by_status.extend(by_status.into_iter().map(|(status, count)| ((region.clone(), status), count)));
    }
    counts.by_plan = by_plan.into_iter().map(|(plan, count)| (plan.clone(), count)).collect();
    counts
}

async fn count_engines(shared: Shared) {
    loop {
        match engines(&shared).await {
            Ok(counts) => shared.metrics().engines(counts),
            // Whether the database answers is told elsewhere.
            Err(error) => tracing::debug!(error = %error, "engines are not counted"),
        }
        tokio::time::sleep(FLEET).await;
    }
}

async fn engines(shared: &Shared) -> Result<HashMap<(Option<Region>, EngineState), i64>, Error> {
    let (mut counts, mut after) = (HashMap::new(), None);
    loop {
        let cursor = after.as_ref().map(|(stream, engine)| (stream, engine));
        let page = shared.hq().engines(cursor, PAGE).await?;
        let Some(last) = page.last() else { return Ok(counts) };
        after = Some((last.stream.clone(), last.engine.clone()));
        let silent = now().as_ms() - SILENT_MS;
        for status in page.iter().filter(|status| status.reported_at.as_ms() > silent) {
            // Engines name their stream by themselves.
            let stream = shared.streams().get(&status.stream);
            let desired = stream.as_ref().map(|stream| stream.current().head.head().revision);
            let stream = stream.map(|stream| stream.region.clone());
            *counts.entry((stream, state(status, desired))).or_insert(0) += 1;
        }
    }
}

fn state(status: &EngineStatus, desired: Option<Revision>) -> EngineState {
    if status.refused.is_some() {
        EngineState::Refused
    } else if status.revision.is_some() && status.revision >= desired {
        EngineState::Converged
    } else {
        EngineState::Behind
    }
}

async fn ask_database(shared: Shared) {
    loop {
        let mut asked = shared.asked().lock().await;
        *asked = Some(ask(&shared).await);
        drop(asked);
        tokio::time::sleep(PING).await;
    }
}

/// Asks the database for nothing: gives when, and whether there were a connection and an answer in time.
async fn ask(shared: &Shared) -> (Instant, bool) {
    let began = Instant::now();
    let asked = sqlx::query("SELECT 1").execute(shared.hq().pool());
    let answered = matches!(tokio::time::timeout(ANSWER, asked).await, Ok(Ok(_)));
    shared.metrics().database(answered.then(|| began.elapsed()));
    (Instant::now(), answered)
}

/// Whether the database answers: as it was seen a moment ago, or else as it is now. However many want to know, it is
/// not asked more often for it.
pub(super) async fn database_answers(shared: &Shared) -> bool {
    let mut asked = shared.asked().lock().await;
    let (at, answered) = match *asked {
        Some((at, answered)) if at.elapsed() < PING => (at, answered),
        _ => ask(shared).await,
    };
    *asked = Some((at, answered));
    answered
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold::model::Source;
    use leasehold::{Stamp, Status};

    #[test]
    fn tenants_are_counted_as_they_stand() {
        let file = br#"{
            "features": { "orders": { "kind": "switch", "name": "O", "name2": "O", "group": "module" } },
            "plans": { "growth": { "name": "G", "name2": "G", "rank": 1,
                "price": { "amount": "1.000", "currency": "OMR", "period": "month" }, "versions": { "1": {
                "effective_from": "2026-01-01T00:00:00Z", "moves": "now" } } } },
            "tenants": {
                "a": { "name": "A", "name2": "A", "region": "R", "anchor": "2026-01-01T00:00:00Z", "phases": {
                    "p": { "kind": "paid", "plan": "growth", "from": "2026-01-01T00:00:00Z" } } },
                "b": { "name": "B", "name2": "B", "region": "R", "anchor": "2026-01-01T00:00:00Z" }
            }
        }"#;
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
        let source = Source { name: "a.json".into(), bytes: file.to_vec() };
        let snapshot = Arc::new(Snapshot::from_sources(&[source], stamp).unwrap());
        let (here, there): (Region, Region) = ("R".parse().unwrap(), "S".parse().unwrap());
        let counts = count(&[(here.clone(), snapshot.clone()), (there.clone(), snapshot)], now);
        let expected = [here, there]
            .into_iter()
            .flat_map(|region| [((region.clone(), Status::Active), 1), ((region, Status::None), 1)]);
        assert_eq!(counts.by_status, expected.collect());
        assert_eq!(counts.by_plan, HashMap::from([("growth".parse().unwrap(), 2)]));
    }
}
