//! Changes of tenants as people and programs give them: the JSON that a [`TenantChange`] is written as.

use super::TenantChange;
use crate::Error;
use leasehold::model::{Diagnostic, DiagnosticCode, Diagnostics, LaidBy, Severity, Source, Tenant, load};
use leasehold::{RecordId, TenantId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// A change, whose records only the reader of definitions can read.
#[derive(Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "records are read from the text; here it is seen that they are there, and nothing else")]
enum Given {
    Create { tenant: IgnoredAny },
    Replace { tenant: IgnoredAny },
    Remove {},
    PutPhase { id: String, phase: IgnoredAny },
    RemovePhase { id: String },
    PutLicence { id: String, licence: IgnoredAny },
    RemoveLicence { id: String },
    PutOverride { id: String, r#override: IgnoredAny },
    RemoveOverride { id: String },
    LayBlock { id: String, block: IgnoredAny },
    LiftBlock { id: String, by: String, at: String, reason: String },
    SetPreferences { preferences: IgnoredAny },
    PutWorkflow { workflow: String, laid: IgnoredAny },
    RemoveWorkflow { workflow: String },
}

impl TenantChange {
    /// Reads a change of a tenant, as `{"change": "put_phase", "id": "p1", "phase": {…}}`: what is in it is written as in a
    /// file of definitions. `file` is where it comes from, for messages.
    ///
    /// # Errors
    /// [`Error::Refused`] with all that is wrong with it.
    pub fn from_json(tenant: &TenantId, file: &str, json: &[u8]) -> Result<Self, Error> {
        let reader = Reader { tenant, file: file.into() };
        let hint = "a change is an object with the key \"change\", which says what else it has";
        let wrong = |error: serde_json::Error| reader.wrong(DiagnosticCode::InvalidJson, "", error.to_string(), hint);
        let text = std::str::from_utf8(json).map_err(|error| {
            let message = format!("the change is not UTF-8 from byte {} on", error.valid_up_to());
            reader.wrong(DiagnosticCode::InvalidUtf8, "", message, "save it as UTF-8")
        })?;
        let given = serde_json::from_str(text).map_err(wrong)?;
        // Records go on as they came: what stands twice in them is for the reader of definitions to refuse.
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(wrong)?;
        let member = |name: &str| members.get(name).map_or("null", |value| value.get());
        Ok(match given {
            Given::Create { .. } => Self::Create { tenant: reader.tenant("/tenant", "", member("tenant"))? },
            Given::Replace { .. } => Self::Replace { tenant: reader.tenant("/tenant", "", member("tenant"))? },
            Given::Remove {} => Self::Remove,
            Given::PutPhase { id, .. } => {
                let id = reader.id(&id)?;
                let (id, phase) =
                    reader.record("phase", "phases", id, member("phase"), |of, id| of.phases.remove(id))?;
                Self::PutPhase { id, phase }
            }
            Given::RemovePhase { id } => Self::RemovePhase { id: reader.id(&id)? },
            Given::PutLicence { id, .. } => {
                let id = reader.id(&id)?;
                let (id, licence) =
                    reader.record("licence", "licences", id, member("licence"), |of, id| of.licences.remove(id))?;
                Self::PutLicence { id, licence }
            }
            Given::RemoveLicence { id } => Self::RemoveLicence { id: reader.id(&id)? },
            Given::PutOverride { id, .. } => {
                let id = reader.id(&id)?;
                let (id, r#override) =
                    reader.record("override", "overrides", id, member("override"), |of, id| of.overrides.remove(id))?;
                Self::PutOverride { id, r#override }
            }
            Given::RemoveOverride { id } => Self::RemoveOverride { id: reader.id(&id)? },
            Given::LayBlock { id, .. } => {
                let id = reader.id(&id)?;
                let (id, block) =
                    reader.record("block", "blocks", id, member("block"), |of, id| of.blocks.remove(id))?;
                Self::LayBlock { id, block }
            }
            Given::LiftBlock { id, by, at, reason } => Self::LiftBlock {
                id: reader.id(&id)?,
                by: LaidBy::from_word(&by).ok_or_else(|| {
                    let words: Vec<&str> = LaidBy::ALL.iter().map(|by| by.as_str()).collect();
                    let message = format!("`{by}` lays no blocks");
                    reader.wrong(DiagnosticCode::UnknownWord, "/by", message, &format!("one of {}", words.join(", ")))
                })?,
                at: reader.parsed(DiagnosticCode::InvalidTime, "/at", &at)?,
                reason,
            },
            Given::SetPreferences { .. } => {
                let of = reader.tenant("/preferences", "/preferences", &whole("preferences", member("preferences")))?;
                Self::SetPreferences { preferences: of.preferences }
            }
            Given::PutWorkflow { workflow, .. } => {
                let workflow = reader.parsed(DiagnosticCode::InvalidKey, "/workflow", &workflow)?;
                let (workflow, laid) =
                    reader.record("laid", "workflows", workflow, member("laid"), |of, key| of.workflows.remove(key))?;
                Self::PutWorkflow { workflow, laid }
            }
            Given::RemoveWorkflow { workflow } => {
                Self::RemoveWorkflow { workflow: reader.parsed(DiagnosticCode::InvalidKey, "/workflow", &workflow)? }
            }
        })
    }
}

/// A tenant of which nothing is known but one of its members.
fn whole(member: &str, value: &str) -> String {
    format!(r#"{{"name":"–","name2":"–","region":"any","anchor":"2000-01-01T00:00:00Z","{member}":{value}}}"#)
}

struct Reader<'t> {
    tenant: &'t TenantId,
    file: Arc<str>,
}

impl Reader<'_> {
    /// Reads a tenant; what is wrong is told by where it stands in the change, which is `at` for what stands `below` the
    /// tenant.
    fn tenant(&self, at: &str, below: &str, value: &str) -> Result<Tenant, Error> {
        // Ids hold nothing that JSON escapes.
        let document = format!(r#"{{"tenants":{{"{}":{value}}}}}"#, self.tenant);
        let source = Source { name: self.file.clone(), bytes: document.into_bytes() };
        let mut definitions = load(&[source]).map_err(|mut found| {
            let place = format!("/tenants/{}{below}", self.tenant);
            for diagnostic in found.as_mut_slice() {
                if let Some(rest) = diagnostic.path.strip_prefix(&place) {
                    diagnostic.path = format!("{at}{rest}");
                }
            }
            found
        })?;
        definitions.tenants.remove(self.tenant).ok_or_else(|| super::not_found("tenant", self.tenant.as_str()))
    }

    /// Reads a record of a tenant, which stands in the change as `member`.
    fn record<K: AsRef<str>, R>(
        &self,
        member: &'static str,
        section: &str,
        key: K,
        value: &str,
        take: impl FnOnce(&mut Tenant, &str) -> Option<R>,
    ) -> Result<(K, R), Error> {
        let records = format!(r#"{{"{}":{value}}}"#, key.as_ref());
        let below = format!("/{section}/{}", key.as_ref());
        let mut tenant = self.tenant(&format!("/{member}"), &below, &whole(section, &records))?;
        let record = take(&mut tenant, key.as_ref()).ok_or_else(|| super::not_found(member, key.as_ref()))?;
        Ok((key, record))
    }

    fn id(&self, text: &str) -> Result<RecordId, Error> {
        self.parsed(DiagnosticCode::InvalidKey, "/id", text)
    }

    fn parsed<T: FromStr<Err: Display>>(&self, code: DiagnosticCode, path: &str, text: &str) -> Result<T, Error> {
        text.parse().map_err(|error: T::Err| self.wrong(code, path, error.to_string(), "write another one"))
    }

    fn wrong(&self, code: DiagnosticCode, path: &str, message: String, hint: &str) -> Error {
        let (file, path, hint) = (self.file.clone(), path.to_owned(), hint.to_owned());
        let found = Diagnostic { severity: Severity::Error, code, file, path, message, hint };
        match Diagnostics::refuse_if_any(vec![found]) {
            Err(found) => Error::Refused(found),
            Ok(()) => super::not_found("change", self.tenant.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::{Value, json};

    fn read(json: &Value) -> Result<TenantChange, Error> {
        TenantChange::from_json(&"acme".parse().unwrap(), "change.json", json.to_string().as_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let phase = json!({ "kind": "paid", "plan": "growth", "from": "2026-01-01T00:00:00Z" });
        let licence = json!({ "add_on": "sso", "quantity": 2, "from": "2026-01-01T00:00:00Z" });
        let r#override = json!({ "feature": "orders", "op": "set", "value": 3, "reason": "R", "actor": "A" });
        let block = json!({ "kind": "suspended", "laid_by": "staff", "since": "2026-01-01T00:00:00Z",
            "reason": "R" });
        let laid = json!({ "version": 2, "settings": { "paid": { "least": 1 } } });
        let tenant = json!({ "name": "A", "name2": "ا", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z",
            "phases": { "p": phase }, "blocks": { "b": block } });
        let by = block["laid_by"].clone();
        for change in [
            json!({ "change": "create", "tenant": tenant }),
            json!({ "change": "replace", "tenant": tenant }),
            json!({ "change": "remove" }),
            json!({ "change": "put_phase", "id": "p", "phase": phase }),
            json!({ "change": "remove_phase", "id": "p" }),
            json!({ "change": "put_licence", "id": "l", "licence": licence }),
            json!({ "change": "remove_licence", "id": "l" }),
            json!({ "change": "put_override", "id": "o", "override": r#override }),
            json!({ "change": "remove_override", "id": "o" }),
            json!({ "change": "lay_block", "id": "b", "block": block }),
            json!({ "change": "lift_block", "id": "b", "by": by, "at": "2026-02-01T00:00:00Z", "reason": "R" }),
            json!({ "change": "set_preferences", "preferences": { "off": ["orders"] } }),
            json!({ "change": "put_workflow", "workflow": "order", "laid": laid }),
            json!({ "change": "remove_workflow", "workflow": "order" }),
        ] {
            let read = read(&change).unwrap_or_else(|error| panic!("{change}: {error}"));
            assert_eq!(serde_json::to_value(&read).unwrap(), change);
        }
    }

    #[test]
    fn what_stands_twice_is_refused() {
        for (text, code) in [
            (r#"{ "change": "put_licence", "id": "l", "licence": { "add_on": "a", "add_on": "b" } }"#, "duplicate_key"),
            (r#"{ "change": "create", "tenant": { "region": "a", "region": "b" } }"#, "duplicate_key"),
            (r#"{ "change": "remove_phase", "id": "p", "id": "q" }"#, "invalid_json"),
            (r#"{ "change": "remove", "change": "remove" }"#, "invalid_json"),
        ] {
            let error = TenantChange::from_json(&"acme".parse().unwrap(), "change.json", text.as_bytes()).unwrap_err();
            let Error::Refused(found) = &error else { panic!("{text}: {error}") };
            assert!(found.as_slice().iter().any(|one| one.code.as_str() == code), "{text}: {error}");
        }
        let error = TenantChange::from_json(&"acme".parse().unwrap(), "change.json", b"{\"a\":\"\xff\"}").unwrap_err();
        assert!(error.to_string().contains("not UTF-8 from byte 6 on"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (change, said) in [
            (json!([]), "change.json: "),
            (json!({}), "missing field `change` "),
            (json!({ "change": "put_face", "id": "p" }), "unknown variant `put_face`"),
            (json!({ "change": "remove_phase" }), "missing field `id`"),
            (json!({ "change": "remove_phase", "id": "p", "more": 1 }), "unknown field `more`"),
            (json!({ "change": "remove", "id": "p" }), "unknown field `id`"),
            (json!({ "change": "remove_phase", "id": "a b" }), "change.json#/id: "),
            (json!({ "change": "put_phase", "id": "p", "phase": { "plan": "growth" } }), "change.json#/phase"),
            (json!({ "change": "put_phase", "id": "p", "phase": { "kind": "free" } }), "change.json#/phase/kind: "),
            (json!({ "change": "create", "tenant": { "name": 1 } }), "change.json#/tenant/name: "),
            (json!({ "change": "set_preferences", "preferences": [] }), "change.json#/preferences: "),
            (json!({ "change": "put_workflow", "workflow": "order", "laid": { "v": 1 } }), "change.json#/laid"),
            (json!({ "change": "lift_block", "id": "b", "by": "me", "at": "now", "reason": "R" }), "#/by: "),
        ] {
            let error = read(&change).unwrap_err();
            assert_eq!(error.code(), "invalid_definitions");
            assert!(error.to_string().contains(said), "{change}: {error}");
        }
    }
}
