//! Answers as OpenFeature has them: flags with values, variants and reasons, made of decisions.

use crate::compile::{Effect, FeatureIx, FeatureRule, Profile, Setting};
use crate::decide::{Code, Evaluation, Evaluations, FlagMetadata, OpenFeatureError, Payload, Silent, Variant};
use crate::model::{Action, BlockKind, Kind, MAX_INTEGER};
use crate::{Error, FeatureRef, PinnedTenant, Timestamp};
use serde_json::{Map, Value};

impl PinnedTenant<'_> {
    /// A feature as a flag of OpenFeature's, for action `use`.
    ///
    /// # Errors
    /// `unknown_feature`.
    pub fn evaluate(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp) -> Result<Evaluation, Error> {
        let ix = feature.locate(self.snapshot)?;
        let rule = self.rule(ix)?;
        if let Some(profile) = self.profile_at(now)
            && let Some((code, payload)) = resolved(profile, ix, rule)
        {
            return Ok(self.evaluation(rule, code, payload, profile.block, now));
        }
        let standing = self.standing(now);
        let (code, fold) = standing.resolve(ix, rule, Action::Use, &mut Silent);
        let block = standing.block.map(|block| block.kind);
        Ok(self.evaluation(rule, code, fold.payload(), block, now))
    }

    /// All features as flags of OpenFeature's, for action `use`, and how long they hold.
    #[must_use]
    pub fn evaluate_all(&self, now: Timestamp) -> Evaluations {
        let (holds, provenance) = (self.holds(now), self.snapshot.provenance(now));
        let flags = self.with_profile(now, |profile| {
            let numbered = self.snapshot.rules.numbered();
            let evaluated = numbered.filter_map(|(ix, rule)| {
                let (code, payload) = resolved(profile, ix, rule)?;
                Some(self.evaluation(rule, code, payload, profile.block, now))
            });
            evaluated.collect()
        });
        Evaluations {
            revision: provenance.revision,
            freshness: provenance.freshness,
            definitions: provenance.definitions,
            from: holds.from(),
            until: holds.until(),
            flags,
        }
    }

    fn evaluation(
        &self,
        rule: &FeatureRule,
        code: Code,
        payload: Payload<'_>,
        block: Option<BlockKind>,
        now: Timestamp,
    ) -> Evaluation {
        let decision = code.decision(block, self.snapshot.provenance(now));
        let (variant, value) = if decision.enabled { on(payload) } else { (Variant::Off, off(rule)) };
        Evaluation {
            key: rule.key.clone(),
            value,
            variant,
            reason: decision.reason.open_feature(decision.source, rule.is_static),
            metadata: FlagMetadata {
                kind: rule.kind,
                reason: decision.reason,
                source: decision.source,
                block: decision.block,
                revision: decision.revision,
                freshness: decision.freshness,
                definitions: decision.definitions,
            },
        }
    }
}

/// The flag of a feature that is on.
fn on(payload: Payload<'_>) -> (Variant, Value) {
    match payload {
        Payload::Switch(on) => (Variant::On, Value::Bool(on)),
        Payload::Value(value) => (Variant::On, Value::clone(value)),
        Payload::Limit { amount, .. } => match amount.finite() {
            Some(amount) => (Variant::On, amount.into()),
            // Used and requested amounts go no further either: compared with it, nothing is ever too much.
            None => (Variant::Unlimited, MAX_INTEGER.into()),
        },
    }
}

/// What a profile says of a feature, whether it is on or not.
fn resolved<'p>(profile: &'p Profile, ix: FeatureIx, rule: &FeatureRule) -> Option<(Code, Payload<'p>)> {
    let payload = match rule.kind {
        Kind::Switch => Payload::Switch(true),
        Kind::Value => Payload::Value(profile.value(rule.ordinal)?),
        Kind::Limit => {
            let terms = profile.limit(rule.ordinal)?;
            Payload::Limit { amount: terms.amount, mode: terms.mode, thresholds: terms.thresholds.as_ref() }
        }
    };
    Some((profile.code(ix, Action::Use)?, payload))
}

/// What a feature comes to when it is off: nothing, of its own type.
fn off(rule: &FeatureRule) -> Value {
    match (rule.kind, &rule.default) {
        (Kind::Switch, _) => Value::Bool(false),
        (Kind::Value, Effect::Set(Setting::Value(default)) | Effect::Pin(Setting::Value(default))) => empty(default),
        (Kind::Limit | Kind::Value, _) => 0.into(),
    }
}

/// What is empty, of the same JSON type.
fn empty(like: &Value) -> Value {
    match like {
        Value::Null => Value::Null,
        Value::Bool(_) => Value::Bool(false),
        Value::Number(_) => 0.into(),
        Value::String(_) => Value::String(String::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
    }
}

impl Error {
    /// The error in OpenFeature's words.
    #[must_use]
    pub fn open_feature(&self) -> OpenFeatureError {
        match self {
            Self::UnknownFeature(_) => OpenFeatureError::FlagNotFound,
            Self::UnknownTenant(_) | Self::NotInSlice(_) => OpenFeatureError::InvalidContext,
            Self::WrongKind { .. } => OpenFeatureError::TypeMismatch,
            _ => OpenFeatureError::General,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::model::Source;
    use crate::{Layer, OpenFeatureReason, Reason, Revision, Snapshot, Stamp};
    use serde_json::json;

    #[test]
    fn every_reason_has_one_word_of_open_features() {
        use OpenFeatureReason::{Default, Disabled, Stale, Static, TargetingMatch};
        use Reason::{
            Blocked, Granted, Killed, LimitReached, NotGranted, Preference, Prerequisite, Revoked, SwitchedOff,
        };
        let cases = [
            (Granted, Some(Layer::Default), Default),
            (Granted, Some(Layer::Plan), TargetingMatch),
            (Granted, Some(Layer::AddOn), TargetingMatch),
            (Granted, Some(Layer::Tenant), TargetingMatch),
            (Reason::Stale, None, Stale),
            (Killed, None, Disabled),
            (Blocked, None, Disabled),
            (Revoked, None, Disabled),
            (NotGranted, None, Default),
            (SwitchedOff, None, TargetingMatch),
            (Prerequisite, None, Disabled),
            (Preference, None, TargetingMatch),
            (LimitReached, Some(Layer::Default), Default),
            (LimitReached, Some(Layer::Plan), TargetingMatch),
            (LimitReached, Some(Layer::AddOn), TargetingMatch),
            (LimitReached, Some(Layer::Tenant), TargetingMatch),
        ];
        for (reason, source, expected) in cases {
            assert_eq!(reason.open_feature(source, false), expected, "{reason} of {source:?}");
            let of_static = if expected == Default { Static } else { expected };
            assert_eq!(reason.open_feature(source, true), of_static, "{reason} of {source:?}");
        }
        for reason in Reason::ALL {
            assert!(cases.iter().any(|(tried, ..)| tried == reason), "{reason}");
        }
    }

    #[test]
    fn every_error_has_one_word_of_open_features() {
        for (error, expected) in [
            (Error::UnknownFeature("x".into()), "FLAG_NOT_FOUND"),
            (Error::UnknownTenant("x".into()), "INVALID_CONTEXT"),
            (Error::NotInSlice("x".into()), "INVALID_CONTEXT"),
            (Error::WrongKind { feature: "x".into(), expected: Kind::Switch, actual: Kind::Limit }, "TYPE_MISMATCH"),
            (Error::AmountOutOfRange(-1), "GENERAL"),
        ] {
            assert_eq!(error.open_feature().as_str(), expected);
        }
    }

    /// Every kind and type of feature, killed during the 2nd second; one tenant that has everything, until it is blocked in
    /// the 4th.
    fn snapshot() -> Snapshot {
        let named = |kind: Value| {
            let mut feature = json!({ "name": "F", "name2": "F", "group": "x" });
            feature.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            feature
        };
        let value = |of: &str, default: Value| named(json!({ "kind": "value", "type": of, "default": default }));
        let limit = |default: Value| named(json!({ "kind": "limit", "unit": "u", "default": default }));
        let features = json!({
            "any": named(json!({ "kind": "switch" })), "common": named(json!({ "kind": "switch", "default": true })),
            "denied": named(json!({ "kind": "switch", "default": true })),
            "lists": value("json", json!([1])), "nulls": value("json", Value::Null), "flags": value("json", json!(true)),
            "number": value("integer", json!(-7)), "object": value("json", json!({ "a": [1] })),
            "text": value("string", json!("plain")), "endless": limit(json!({ "amount": "unlimited" })),
            "few": limit(json!({ "amount": 0 })), "most": limit(json!({ "amount": MAX_INTEGER })),
        });
        let kills: Map<String, Value> = features
            .as_object()
            .unwrap()
            .keys()
            .map(|key| {
                let (since, until) = ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z");
                let kill = json!({ "feature": key, "since": since, "until": until, "reason": "r", "actor": "a" });
                (key.clone(), kill)
            })
            .collect();
        let mine = |feature: &str, value: Value| json!({ "feature": feature, "op": "set", "value": value, "reason": "r", "actor": "a" });
        let tenant = json!({
            "name": "T", "name2": "T", "region": "R", "anchor": "2026-01-01T00:00:00Z",
            "overrides": { "1": mine("text", json!("mine")), "2": mine("denied", json!(false)), "3": mine("few", json!({ "amount": 3 })) },
            "blocks": { "b": { "kind": "suspended", "laid_by": "billing", "since": "1970-01-01T00:00:03Z", "reason": "r" } },
        });
        let file = json!({ "features": features, "kills": kills, "tenants": { "t": tenant } });
        let source = Source { name: "file".into(), bytes: file.to_string().into_bytes() };
        let stamp = Stamp { revision: Revision::new(5).unwrap(), issued_at: at(0), expires_at: None };
        Snapshot::from_sources(&[source], stamp).unwrap()
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms).unwrap()
    }

    #[test]
    fn features_are_flags_of_their_own_type_on_and_off() {
        let snapshot = snapshot();
        let tenant = snapshot.tenant("t").unwrap();
        let cases = [
            ("any", json!(false), "off", "STATIC", "not_granted", json!(false)),
            ("common", json!(true), "on", "STATIC", "granted", json!(false)),
            ("denied", json!(false), "off", "TARGETING_MATCH", "switched_off", json!(false)),
            ("lists", json!([1]), "on", "STATIC", "granted", json!([])),
            ("nulls", Value::Null, "on", "STATIC", "granted", Value::Null),
            ("flags", json!(true), "on", "STATIC", "granted", json!(false)),
            ("number", json!(-7), "on", "STATIC", "granted", json!(0)),
            ("object", json!({ "a": [1] }), "on", "STATIC", "granted", json!({})),
            ("text", json!("mine"), "on", "TARGETING_MATCH", "granted", json!("")),
            ("endless", json!(MAX_INTEGER), "unlimited", "STATIC", "granted", json!(0)),
            ("few", json!(3), "on", "TARGETING_MATCH", "granted", json!(0)),
            ("most", json!(MAX_INTEGER), "on", "STATIC", "granted", json!(0)),
        ];
        assert_eq!(cases.len(), snapshot.features().count());
        for (key, value, variant, reason, word, off) in cases {
            let told = |ms| json!(tenant.evaluate(key, at(ms)).unwrap());
            let (open, killed, blocked) = (told(0), told(1_000), told(3_000));
            assert_eq!(open["value"], value, "{key}");
            assert_eq!((&open["variant"], &open["reason"]), (&json!(variant), &json!(reason)), "{key}");
            assert_eq!(open["metadata"]["reason"], json!(word), "{key}");
            for (closed, reason) in [(killed, "killed"), (blocked, "blocked")] {
                assert_eq!(closed["value"], off, "{key} {reason}");
                assert_eq!((&closed["variant"], &closed["reason"]), (&json!("off"), &json!("DISABLED")), "{key}");
                assert_eq!(closed["metadata"]["reason"], json!(reason), "{key}");
            }
        }
    }

    #[test]
    fn metadata_is_flat_and_says_where_an_answer_comes_from() {
        let snapshot = snapshot();
        let tenant = snapshot.tenant("t").unwrap();
        let told = |ms| json!(tenant.evaluate("text", at(ms)).unwrap().metadata);
        let (kind, revision, freshness, definitions) = ("value", 5, "fresh", snapshot.definitions());
        assert_eq!(
            told(0),
            json!({ "kind": kind, "reason": "granted", "source": "tenant", "revision": revision, "freshness": freshness, "definitions": definitions })
        );
        assert_eq!(
            told(3_000),
            json!({ "kind": kind, "reason": "blocked", "block": "suspended", "revision": revision, "freshness": freshness, "definitions": definitions })
        );
    }

    #[test]
    fn all_flags_are_those_that_are_asked_for_one_by_one() {
        let snapshot = snapshot();
        let tenant = snapshot.tenant("t").unwrap();
        for (now, from, until) in [
            (0, None, Some(1_000)),
            (999, None, Some(1_000)),
            (1_500, Some(1_000), Some(2_000)),
            (3_000, Some(3_000), None),
        ] {
            let all = tenant.evaluate_all(at(now));
            let one_by_one: Vec<_> =
                snapshot.features().map(|(key, _)| tenant.evaluate(key, at(now)).unwrap()).collect();
            assert_eq!(all.flags, one_by_one);
            assert_eq!((all.from, all.until), (from.map(at), until.map(at)), "at {now}");
        }
    }
}
