//! Who may ask HQ for what, what engines report, and how a trial goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use crate::support;
use crate::support::fleet::*;
use leasehold::build::Terms;
use leasehold::follow::Report;
use leasehold::model::{Feature, Kill, Plan};
use leasehold::wire::{Fault, FaultCode, SecretKey, SliceKey, Stage};
use leasehold::{EngineId, FeatureKey, Hash, PlanKey, RecordId, Region, Revision, Timestamp};
use leasehold_postgres::access::{ACCESS_CHANNEL, NewToken, StaffChange};
use leasehold_postgres::hq::{Actor, Hq, Request};
use leasehold_postgres::publish::{Publication, Publisher};
use serde_json::{Value, json};
use sqlx::postgres::PgListener;

const HOUR_MS: i64 = 60 * 60 * 1000;

fn in_hours(hours: i64) -> Timestamp {
    Timestamp::from_ms(now().as_ms() + hours * HOUR_MS).unwrap()
}

fn secret(text: &str) -> [u8; 32] {
    *Hash::of(text.as_bytes()).as_bytes()
}

/// What HQ's chain tells of a subject: who did what.
async fn told_of(database: &support::Database, subject: &str) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT actor, action FROM leasehold.sys_audit_log WHERE tenant_org_id = ''
             AND convert_from(body, 'UTF8')::jsonb ->> 'subject' = $1 ORDER BY seq",
    )
    .bind(subject)
    .fetch_all(&database.admin)
    .await
    .unwrap()
}

fn told(actions: &[(&str, &str)]) -> Vec<(String, String)> {
    actions.iter().map(|(actor, action)| ((*actor).to_owned(), (*action).to_owned())).collect()
}

fn token<'t>(id: &'t str, scopes: &'t [String]) -> NewToken<'t> {
    NewToken { id, name: "CI", secret_hash: secret(id), scopes, region: None, tenant: None, expires_at: None }
}

#[tokio::test]
async fn tokens_are_made_found_and_revoked() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let scopes = ["read".to_owned(), "tenants:write".to_owned()];
    let (gulf, sparkle) = (region("GCC-OM"), id("om-muscat-sparkle"));
    let expires_at = in_hours(1);
    let new = NewToken {
        region: Some(&gulf),
        tenant: Some(&sparkle),
        expires_at: Some(expires_at),
        ..token("00000000000000aa", &scopes)
    };
    let made = hq.create_token(&new, &ada()).await.unwrap();
    assert_eq!((&*made.name, &*made.scopes, &*made.created_by), ("CI", &scopes[..], "ada"));
    assert_eq!((made.region.as_ref(), made.tenant.as_ref()), (Some(&gulf), Some(&sparkle)));
    assert_eq!((made.expires_at, made.revoked_at), (Some(expires_at), None));
    let (found, hash) = hq.token(&made.id).await.unwrap().unwrap();
    assert_eq!((&found, &*hash), (&made, &new.secret_hash[..]));
    assert_eq!(hq.token("00000000000000ff").await.unwrap(), None);

    // It is there once, and what cannot be is refused.
    assert_eq!(code(hq.create_token(&new, &ben()).await), "already_exists");
    for wrong in [
        token("no-token", &scopes),
        token("00000000000000ab", &[]),
        NewToken { name: "", ..token("00000000000000ab", &scopes) },
    ] {
        assert_eq!(code(hq.create_token(&wrong, &ada()).await), "constraint_violated", "{wrong:?}");
    }
    for other in ["00000000000000cc", "00000000000000bb"] {
        hq.create_token(&token(other, &scopes), &ada()).await.unwrap();
    }
    let listed = async |after: Option<&str>, at_most| -> Vec<String> {
        hq.tokens(after, at_most).await.unwrap().into_iter().map(|token| token.id).collect()
    };
    assert_eq!(listed(None, 2).await, ["00000000000000aa", "00000000000000bb"]);
    assert_eq!(listed(Some("00000000000000bb"), 2).await, ["00000000000000cc"]);

    // Servers that remember it are told; and revoked it stays as it was revoked first.
    let mut listener = PgListener::connect_with(&database.hq).await.unwrap();
    listener.listen(ACCESS_CHANNEL).await.unwrap();
    // Nobody forgets anything because somebody signs in, or because a session came to its end long ago.
    hq.add_staff("dan", "auditor", "hash", &ada()).await.unwrap();
    let ended = "INSERT INTO leasehold.sys_staff_sessions (secret_hash, staff_id, expires_at)
        VALUES (sha256('ended'), 'dan', now() - interval '1 hour')";
    sqlx::query(ended).execute(&database.admin).await.unwrap();
    hq.sign_in("dan", None, [7; 32], Timestamp::MAX, &Actor::new("dan")).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.sys_staff_sessions WHERE expires_at < now()")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert_eq!(left, 0);
    let heard = tokio::time::timeout(std::time::Duration::from_millis(200), listener.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    let revoked = hq.revoke_token(&made.id, &ben()).await.unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(listener.recv().await.unwrap().channel(), ACCESS_CHANNEL);
    assert_eq!(hq.revoke_token(&made.id, &ada()).await.unwrap(), revoked);
    assert_eq!(code(hq.revoke_token("00000000000000ff", &ada()).await), "not_found");
    assert_eq!(told_of(&database, &made.id).await, told(&[("ada", "token.created"), ("ben", "token.revoked")]));
}

/// A token whose bounds cannot be read reaches nobody, and no more than it may.
#[tokio::test]
async fn a_token_whose_bounds_cannot_be_read_is_none() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let scopes = ["read".to_owned()];
    hq.create_token(&token("00000000000000aa", &scopes), &ada()).await.unwrap();
    sqlx::query("UPDATE leasehold.sys_api_tokens SET tenant = 'not an id'").execute(&database.admin).await.unwrap();
    assert_eq!(code(hq.token("00000000000000aa").await), "invalid_argument");
}

#[tokio::test]
async fn somebody_is_left_who_administers_the_others() {
    let database = support::database().await;
    let hq = hq(&database).await;
    assert!(!hq.has_staff().await.unwrap());
    let cleo = hq.add_staff("cleo", "super_admin", "hash-1", &ada()).await.unwrap();
    assert_eq!((&*cleo.role, &*cleo.created_by, cleo.disabled_at), ("super_admin", "ada", None));
    assert!(hq.has_staff().await.unwrap());
    assert_eq!(code(hq.add_staff("cleo", "auditor", "hash", &ada()).await), "already_exists");
    assert_eq!(code(hq.add_staff("dan", "emperor", "hash", &ada()).await), "constraint_violated");
    assert_eq!(code(hq.add_staff("Dan Brown", "auditor", "hash", &ada()).await), "constraint_violated");
    assert_eq!(code(hq.change_staff("nobody", &StaffChange::Disable, &ada()).await), "not_found");

    // The last one stays.
    let leave = [StaffChange::Disable, StaffChange::Role("auditor".to_owned())];
    for change in &leave {
        assert_eq!(code(hq.change_staff("cleo", change, &ada()).await), "invalid_argument", "{change:?}");
    }
    hq.add_staff("dan", "super_admin", "hash-2", &ada()).await.unwrap();
    hq.change_staff("cleo", &leave[1], &ada()).await.unwrap();
    assert_eq!(code(hq.change_staff("dan", &StaffChange::Disable, &ada()).await), "invalid_argument");
    let (dan, hash) = hq.staff_member("dan").await.unwrap();
    assert_eq!((dan.disabled_at, &*hash), (None, "hash-2"));
    let names: Vec<String> = hq.staff(None, 10).await.unwrap().into_iter().map(|member| member.id).collect();
    assert_eq!(names, ["cleo", "dan"]);
    assert_eq!(hq.staff(Some("cleo"), 10).await.unwrap().len(), 1);
    assert_eq!(
        told_of(&database, "cleo").await,
        told(&[("ada", "staff.added"), ("ada", "staff.role_changed")]),
        "what was refused is not told as done"
    );
}

/// Two who take leave of each other at once leave one of them.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_one_is_left_however_fast_they_are() {
    let database = support::database().await;
    let hq = hq(&database).await;
    for round in 0..8 {
        for name in ["cleo", "dan"] {
            match round {
                0 => drop(hq.add_staff(name, "super_admin", "hash", &ada()).await.unwrap()),
                _ => drop(hq.change_staff(name, &StaffChange::Enable, &ada()).await.unwrap()),
            }
        }
        let (actor, change) = (ada(), StaffChange::Disable);
        let (one, two) =
            tokio::join!(hq.change_staff("cleo", &change, &actor), hq.change_staff("dan", &change, &actor));
        let refused = if one.is_ok() { two } else { one };
        assert_eq!(code(refused), "invalid_argument");
    }
}

#[tokio::test]
async fn sessions_end_by_themselves_and_with_what_changes_about_somebody() {
    let database = support::database().await;
    let hq = hq(&database).await;
    for (name, role) in [("cleo", "super_admin"), ("dan", "biz_admin")] {
        hq.add_staff(name, role, "hash", &ada()).await.unwrap();
    }
    let until = in_hours(8);
    let sign_in = async |name: &str, session: &str, until: Timestamp| {
        hq.sign_in(name, None, secret(session), until, &Actor::new(name)).await
    };
    let whose = async |session: &str| hq.session(secret(session)).await.unwrap().map(|(staff, _)| staff.id);
    sign_in("dan", "first", until).await.unwrap();
    let (staff, ends) = hq.session(secret("first")).await.unwrap().unwrap();
    assert_eq!((&*staff.id, &*staff.role, ends), ("dan", "biz_admin", until));
    assert_eq!(whose("never").await, None);
    assert_eq!(code(sign_in("nobody", "second", until).await), "not_found");

    // One that is over is nobody's, and is forgotten with the next.
    sign_in("dan", "short", Timestamp::from_ms(now().as_ms() - 1).unwrap()).await.unwrap();
    assert_eq!(whose("short").await, None);
    sign_in("dan", "second", until).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.sys_staff_sessions")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert_eq!(kept, 2);
    hq.sign_out(secret("second")).await.unwrap();
    assert_eq!((whose("first").await.as_deref(), whose("second").await), (Some("dan"), None));

    // Another role, another password, and being disabled: whoever is signed in as them is not any more.
    for change in
        [StaffChange::Role("auditor".to_owned()), StaffChange::Password("another".to_owned()), StaffChange::Disable]
    {
        sign_in("dan", "next", until).await.unwrap();
        sign_in("cleo", "hers", until).await.unwrap();
        hq.change_staff("dan", &change, &ada()).await.unwrap();
        assert_eq!((whose("next").await, whose("hers").await.as_deref()), (None, Some("cleo")), "{change:?}");
        hq.sign_out(secret("hers")).await.unwrap();
    }
    assert_eq!(code(sign_in("dan", "next", until).await), "not_found");
    // By hand, past the call that ends sessions.
    sign_in("cleo", "hers", until).await.unwrap();
    sqlx::query("UPDATE leasehold.sys_staff SET disabled_at = now()").execute(&database.admin).await.unwrap();
    assert_eq!(whose("hers").await, None);
}

/// Who signs in with a password that they have no more is not signed in, however fast they are.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_outlives_its_password() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.add_staff("cleo", "super_admin", "hash-0", &ada()).await.unwrap();
    let cleo = Actor::new("cleo");
    let sign_in = async |verified: &str, session: &str| {
        hq.sign_in("cleo", Some(verified), secret(session), in_hours(8), &cleo).await
    };
    sign_in("hash-0", "hers").await.unwrap();
    assert!(hq.session(secret("hers")).await.unwrap().is_some());
    assert_eq!(code(sign_in("hash-1", "guessed").await), "not_found");
    for round in 0..8 {
        let (old, new) = (format!("hash-{round}"), format!("hash-{}", round + 1));
        let (change, actor) = (StaffChange::Password(new.clone()), ada());
        let (signed_in, changed) = tokio::join!(sign_in(&old, &old), hq.change_staff("cleo", &change, &actor));
        changed.unwrap();
        assert!(signed_in.is_ok() || code(signed_in) == "not_found");
        assert_eq!(hq.session(secret(&old)).await.unwrap(), None, "the password is {new} by now");
        assert_eq!(code(sign_in(&old, "late").await), "not_found");
    }
}

/// A key that a server offers is certified by heads that are young, and by the next publication; one that is over is not.
#[tokio::test]
async fn slice_keys_that_are_offered_are_in_heads() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let key = |seed: u8, from: Timestamp, until: Timestamp| SliceKey {
        key: SecretKey::from_seed(&[seed; 32]).public(),
        valid_from: from,
        valid_until: until,
    };
    let certified = async || -> Vec<Vec<SliceKey>> {
        let (heads, _) = read_back(&database).await;
        heads.values().map(|head| head.head().slice_keys.clone()).collect()
    };
    let offered = key(50, in_hours(-1), in_hours(22));
    assert!(publisher.heartbeat(i64::MAX).await.unwrap().is_empty());
    let mut listener = PgListener::connect_with(&database.hq).await.unwrap();
    listener.listen("leasehold_publish").await.unwrap();
    hq.offer_slice_key(&offered).await.unwrap();
    listener.recv().await.unwrap();
    assert_eq!(publisher.heartbeat(i64::MAX).await.unwrap().len(), 3);
    assert!(certified().await.iter().all(|keys| *keys == [offered.clone()]));
    // Once is enough, be it offered again.
    hq.offer_slice_key(&offered).await.unwrap();
    assert!(publisher.heartbeat(i64::MAX).await.unwrap().is_empty());
    // A publication certifies it as well.
    let second = key(51, in_hours(-1), in_hours(20));
    hq.offer_slice_key(&second).await.unwrap();
    hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    let (heads, _) = read_back(&database).await;
    assert!(heads["GCC-OM"].head().slice_keys.contains(&second));
    publisher.heartbeat(i64::MAX).await.unwrap();

    assert_eq!(code(hq.offer_slice_key(&key(52, in_hours(-1), in_hours(24))).await), "constraint_violated");
    // One that is over is certified by nobody, and forgotten.
    let over = key(53, in_hours(-3), in_hours(-2));
    hq.offer_slice_key(&over).await.unwrap();
    assert!(publisher.heartbeat(i64::MAX).await.unwrap().is_empty());
    hq.offer_slice_key(&key(54, in_hours(-1), in_hours(21))).await.unwrap();
    assert_eq!(publisher.heartbeat(i64::MAX).await.unwrap().len(), 3);
    assert!(certified().await.iter().all(|keys| keys.len() == 3 && !keys.contains(&over)));
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM leasehold.sys_slice_keys").fetch_one(&database.admin).await.unwrap();
    assert_eq!(kept, 3);
}

/// However many keys servers take, heads stay small, and certify the newest.
#[tokio::test]
async fn heads_certify_no_more_slice_keys_than_there_is_room_for() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let ends = in_hours(1).as_ms();
    let mut newest = None;
    for number in 0..100 {
        let key = SliceKey {
            key: SecretKey::from_seed(&[100 + number; 32]).public(),
            valid_from: in_hours(-1),
            valid_until: Timestamp::from_ms(ends + 1000 * i64::from(number)).unwrap(),
        };
        publisher.hq().offer_slice_key(&key).await.unwrap();
        assert_eq!(publisher.heartbeat(i64::MAX).await.unwrap().len(), 3, "{number}");
        newest = Some(key);
    }
    let (heads, _) = read_back(&database).await;
    for head in heads.values().map(|head| head.head()) {
        assert_eq!(head.slice_keys.len(), Terms::MOST_SLICE_KEYS);
        assert!(newest.as_ref().is_some_and(|newest| head.slice_keys.contains(newest)));
        let first = head.slice_keys.iter().map(|key| key.valid_until.as_ms()).min();
        assert_eq!(first, Some(ends + 1000 * 68), "those that end first are left out");
    }
    // What there is no room for is not waited for, and a publication has room too.
    assert!(publisher.heartbeat(i64::MAX).await.unwrap().is_empty());
    publisher.hq().change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    let (heads, _) = read_back(&database).await;
    assert!(heads["GCC-OM"].head().slice_keys.len() <= Terms::MOST_SLICE_KEYS);
}

fn engine(name: &str) -> EngineId {
    name.parse().unwrap()
}

fn ack(revision: u64, candidate: bool) -> Report {
    let (revision, definitions) = (Revision::new(revision).unwrap(), Hash::of(b"definitions"));
    Report::Ack { epoch: 1, revision, definitions, candidate, persisted: true }
}

fn nack(revision: Option<u64>) -> Report {
    let fault = Fault::new(Stage::Verify, FaultCode::BadSignature, "head", "it was changed");
    Report::Nack { epoch: Some(1), revision: revision.and_then(Revision::new), fault }
}

#[tokio::test]
async fn what_engines_report_is_kept_until_they_report_something_newer() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let (om, eu) = (region("GCC-OM"), region("EU"));
    let report = async |name: &str, stream: &Region, report: &Report| {
        hq.engine_reported(&engine(name), stream, report).await.unwrap();
        let all = hq.engines(None, 100).await.unwrap();
        all.into_iter().find(|it| it.engine == engine(name) && it.stream == *stream).unwrap()
    };
    // One that has refused all that it saw has nothing in force.
    let status = report("one", &om, &nack(Some(3))).await;
    assert_eq!((status.revision, status.applied_at), (None, None));
    let refused = status.refused.unwrap();
    assert_eq!(refused.revision.map(Revision::get), Some(3));
    assert_eq!((&refused.fault["code"], &refused.fault["stage"]), (&json!("bad_signature"), &json!("verify")));
    // An older head does not mend that; the same revision or a newer one does.
    let status = report("one", &om, &ack(2, true)).await;
    assert_eq!((status.revision.map(Revision::get), status.epoch, status.candidate), (Some(2), Some(1), true));
    assert!(status.persisted && status.applied_at.is_some() && status.refused.is_some());
    assert_eq!(status.definitions, Some(Hash::of(b"definitions")));
    let status = report("one", &om, &ack(3, false)).await;
    assert!(status.refused.is_none() && !status.candidate);
    // What is refused later does not hide what is in force; a head that could not be read has no revision.
    let status = report("one", &om, &nack(None)).await;
    assert_eq!((status.revision.map(Revision::get), status.refused.unwrap().revision), (Some(3), None));
    assert!(report("one", &om, &ack(3, false)).await.refused.is_none());

    // By stream, then by id; an engine may follow several.
    report("two", &eu, &ack(3, false)).await;
    report("one", &eu, &ack(3, false)).await;
    let listed = async |after: Option<(&Region, &EngineId)>, at_most| -> Vec<(String, String)> {
        let page = hq.engines(after, at_most).await.unwrap();
        page.into_iter().map(|it| (it.stream.to_string(), it.engine.to_string())).collect()
    };
    let all = [("EU", "one"), ("EU", "two"), ("GCC-OM", "one")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(listed(None, 10).await, all);
    assert_eq!(listed(Some((&eu, &engine("one"))), 1).await, all[1..2]);
    assert!(hq.forget_engine(&engine("one"), &ada()).await.unwrap());
    assert!(!hq.forget_engine(&engine("one"), &ada()).await.unwrap());
    assert_eq!(listed(None, 10).await, all[1..2]);
    assert_eq!(told_of(&database, "one").await, told(&[("ada", "engine.forgotten")]));
}

/// Engines that nobody hears of any more are forgotten, and that is told once.
#[tokio::test]
async fn engines_that_are_silent_are_forgotten() {
    let database = support::database().await;
    let hq = hq(&database).await;
    for (name, days) in [("lost", 40), ("gone", 31), ("away", 29), ("here", 0)] {
        hq.engine_reported(&engine(name), &region("EU"), &ack(1, false)).await.unwrap();
        sqlx::query(
            "UPDATE leasehold.sys_engines SET reported_at = now() - make_interval(days => $2) WHERE engine_id = $1",
        )
        .bind(name)
        .bind(days)
        .execute(&database.admin)
        .await
        .unwrap();
    }
    assert_eq!(hq.forget_silent_engines(u32::MAX, &ada()).await.unwrap(), 0);
    assert_eq!(hq.forget_silent_engines(30, &ada()).await.unwrap(), 2);
    assert_eq!(hq.forget_silent_engines(30, &ada()).await.unwrap(), 0);
    let left: Vec<String> =
        hq.engines(None, 10).await.unwrap().into_iter().map(|status| status.engine.to_string()).collect();
    assert_eq!(left, ["away", "here"]);
    assert_eq!(told_of(&database, "silent engines").await, told(&[("ada", "engine.forgotten")]));
}

/// An approved proposal that gives a feature another label.
async fn relabelled(publisher: &Publisher, text: &str) -> i64 {
    let key: FeatureKey = "max_users".parse().unwrap();
    let mut feature = publisher.hq().read::<Feature>(&key).await.unwrap();
    feature.record.name = text.to_owned();
    publisher.hq().update(&key, &feature, &ada()).await.unwrap();
    let proposal = publisher.archive().propose(text, &ada()).await.unwrap();
    publisher.hq().approve(proposal.id, proposal.binding, &ben()).await.unwrap().id
}

/// With how many engines of a thousand heads have something on trial.
async fn shares(database: &support::Database) -> Vec<Option<u16>> {
    let (heads, _) = read_back(database).await;
    heads.values().map(|head| head.head().candidate.as_ref().map(|it| it.share_permille)).collect()
}

/// A trial from its beginning to its end: halted by an engine, resumed, given up; and to its other end, in force.
#[tokio::test]
async fn a_trial_is_halted_resumed_and_given_up() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    assert_eq!(hq.rollout().await.unwrap(), None);
    for nothing in [publisher.halt(&ada()).await, publisher.unstage(&ada()).await] {
        assert_eq!(code(nothing), "not_found");
    }
    let proposal = relabelled(&publisher, "People").await;
    publisher.stage(proposal, 100, &ben()).await.unwrap();
    let rollout = hq.rollout().await.unwrap().unwrap();
    assert_eq!((rollout.proposal, rollout.share_permille, &rollout.halted_by), (proposal, 100, &None));
    assert_eq!(shares(&database).await, [Some(100); 3]);

    publisher.halt(&Actor::new("engine-7")).await.unwrap();
    let halted = hq.rollout().await.unwrap().unwrap();
    assert_eq!((halted.share_permille, halted.halted_by.as_deref()), (100, Some("engine-7")));
    assert!(halted.halted_at.is_some());
    assert_eq!(shares(&database).await, [None; 3]);
    assert_eq!(code(publisher.halt(&ada()).await), "not_found");
    // Tenants flow meanwhile, and it stays halted.
    hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    assert_eq!(hq.rollout().await.unwrap(), Some(halted));

    publisher.stage(proposal, 300, &ben()).await.unwrap();
    let resumed = hq.rollout().await.unwrap().unwrap();
    assert_eq!((resumed.share_permille, resumed.halted_at), (300, None));
    assert_eq!(shares(&database).await, [Some(300); 3]);
    // While it is under way, giving it up is a publication; while it is halted, there is nothing to publish.
    let Publication { revision: before, .. } = publisher.halt(&ada()).await.unwrap();
    let given_up = publisher.unstage(&ben()).await.unwrap();
    assert_eq!((given_up.revision, given_up.streams.len()), (before, 0));
    assert_eq!(hq.rollout().await.unwrap(), None);
    let told = told_of(&database, "halted trial").await;
    assert_eq!(told, self::told(&[("ben", "definitions.unstaged")]));

    publisher.stage(proposal, 1000, &ben()).await.unwrap();
    publisher.publish_proposal(proposal, &ben()).await.unwrap();
    assert_eq!((hq.rollout().await.unwrap(), shares(&database).await), (None, vec![None; 3]));
    assert_published(&database, hq).await;
    // Going back ends a trial too.
    let next = relabelled(&publisher, "Persons").await;
    publisher.stage(next, 10, &ben()).await.unwrap();
    publisher.rollback(Revision::new(1).unwrap(), &ben()).await.unwrap();
    assert_eq!((hq.rollout().await.unwrap(), shares(&database).await), (None, vec![None; 3]));
}

/// A request is done once under its key, whatever it asks for, and what it came to is remembered with its effect.
#[tokio::test]
async fn requests_to_hq_are_done_once() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let asked = |text: &str| Actor { request: Some(request(text)), ..ada() };
    let earlier = async |text: &str| hq.earlier(&request(text)).await.unwrap();
    assert_eq!(earlier("add").await, None);
    hq.add_staff("cleo", "super_admin", "hash", &asked("add")).await.unwrap();
    assert_eq!(earlier("add").await.as_deref(), Some("cleo"));
    // Under its key another request is another one.
    let reused = Request { hash: Hash::of(b"another"), ..request("add") };
    let refused = hq.earlier(&reused).await.unwrap_err();
    assert_eq!((refused.code(), refused.to_string().contains("`add`")), ("idempotency_key_reused", true), "{refused}");
    // Callers choose their keys without knowing of each other.
    let of_somebody_else = Request { caller: "ben".to_owned(), ..request("add") };
    assert_eq!(hq.earlier(&of_somebody_else).await.unwrap(), None);
    // Whoever asks again without asking what it came to is refused, and nothing is done twice.
    assert_eq!(code(hq.add_staff("dan", "super_admin", "hash", &asked("add")).await), "contended");
    assert_eq!(
        code(hq.change_staff("cleo", &StaffChange::Password("other".to_owned()), &asked("add")).await),
        "contended"
    );
    assert_eq!(hq.staff_member("cleo").await.unwrap().1, "hash");
    assert_eq!(code(hq.staff_member("dan").await), "not_found");
    // What fails holds no key.
    assert_eq!(code(hq.add_staff("cleo", "auditor", "hash", &asked("again")).await), "already_exists");
    assert_eq!(earlier("again").await, None);

    let scopes = ["read".to_owned()];
    hq.create_token(&token("00000000000000aa", &scopes), &asked("token")).await.unwrap();
    assert_eq!(earlier("token").await.as_deref(), Some("00000000000000aa"));
    let key: FeatureKey = "max_users".parse().unwrap();
    let mut feature = hq.read::<Feature>(&key).await.unwrap();
    feature.record.name = "People".to_owned();
    let row_version = hq.update(&key, &feature, &asked("feature")).await.unwrap().0;
    let answer: Value = serde_json::from_str(&earlier("feature").await.unwrap()).unwrap();
    assert_eq!(answer, json!({ "row_version": row_version, "change": null }));
    let proposal = publisher.archive().propose("People", &asked("propose")).await.unwrap();
    assert_eq!(earlier("propose").await, Some(proposal.id.to_string()));
    let by_ben = |text: &str| Actor { request: Some(request(text)), ..ben() };
    hq.approve(proposal.id, proposal.binding, &by_ben("approve")).await.unwrap();
    assert_eq!(earlier("approve").await, Some(proposal.id.to_string()));
    // Publications: with what they came to.
    let mut published = Revision::default();
    for goal in ["stage", "halt", "unstage", "publish", "rollback"] {
        let actor = by_ben(goal);
        let done = match goal {
            "stage" => publisher.stage(proposal.id, 100, &actor).await,
            "halt" => publisher.halt(&actor).await,
            "unstage" => publisher.unstage(&actor).await,
            "publish" => publisher.publish_proposal(proposal.id, &actor).await,
            _ => publisher.rollback(Revision::new(1).unwrap(), &actor).await,
        };
        let done = done.unwrap();
        let revision = done.revision;
        let came_to: Value = serde_json::from_str(&earlier(goal).await.unwrap()).unwrap();
        let told = json!({
            "revision": revision, "streams": done.streams, "changes": 0, "refused": [], "trial": done.trial,
        });
        assert_eq!(came_to, told, "{goal}");
        assert_eq!(done.trial.is_some(), ["stage", "halt"].contains(&goal), "{goal}");
        if goal == "publish" {
            published = revision;
        }
    }
    // A publication that is asked for again is undone whole.
    let (before, _) = read_back(&database).await;
    assert_eq!(code(publisher.rollback(published, &by_ben("rollback")).await), "contended");
    let (after, _) = read_back(&database).await;
    assert!(before.iter().all(|(stream, head)| after[stream].bytes() == head.bytes()));
}

/// Whoever lays a kill switch again under the same key learns what they learned then: its version, and the change.
#[tokio::test]
async fn records_answer_whole_when_they_are_asked_again() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let asked = |text: &str| Actor { request: Some(request(text)), ..ada() };
    let answer = async |text: &str| -> Value {
        let answer = hq.earlier(&request(text)).await.unwrap();
        serde_json::from_str(&answer.unwrap()).unwrap()
    };
    let stop: RecordId = "stop".parse().unwrap();
    let kill = Kill {
        feature: "delivery".parse().unwrap(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        reason: "wrong invoices".to_owned(),
        actor: "ada".to_owned(),
    };
    let laid = hq.create(&stop, &kill, "kills.json", &asked("lay")).await.unwrap();
    assert_eq!(answer("lay").await, json!({ "row_version": 1, "change": laid.change.unwrap() }));
    let starter: PlanKey = "starter".parse().unwrap();
    let seen = hq.read::<Plan>(&starter).await.unwrap().row_version;
    let retired = hq.retire::<Plan>(&starter, seen, &asked("retire")).await.unwrap();
    assert_eq!(answer("retire").await, json!({ "row_version": retired.0, "change": null }));
    // What is gone has no version.
    hq.remove::<Kill>(&stop, laid.row_version, &asked("remove")).await.unwrap();
    assert_eq!(hq.earlier(&request("remove")).await.unwrap().as_deref(), Some("stop"));
    assert_eq!(told_of(&database, "stop").await.len(), 2, "it is told with the record's own id");
}

/// What requests came to is HQ's alone, and no tenant's.
#[tokio::test]
async fn what_requests_came_to_is_no_tenants() {
    let database = support::database().await;
    let hq: Hq = hq(&database).await;
    hq.add_staff("cleo", "super_admin", "hash", &Actor { request: Some(request("add")), ..ada() }).await.unwrap();
    let seen: Vec<Value> =
        sqlx::query_scalar("SELECT response FROM leasehold.sys_idempotency").fetch_all(&database.hq).await.unwrap();
    assert_eq!(seen, [json!({ "subject": "cleo" })], "HQ sees its own");
    for role in ["app", "engine"] {
        let pool = if role == "app" { &database.app } else { &database.engine };
        let seen = sqlx::query("SELECT FROM leasehold.sys_idempotency").fetch_all(pool).await;
        assert!(seen.map_or(true, |rows| rows.is_empty()), "{role}");
        for call in ["hq_earlier_request('add')", "hq_remember_request('mine', '\\x00', '{}')"] {
            let sql = format!("SELECT * FROM leasehold.{call}");
            let refused = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap_err();
            let said = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(said.as_deref(), Some("42501"), "{call} as {role}");
        }
    }
}
