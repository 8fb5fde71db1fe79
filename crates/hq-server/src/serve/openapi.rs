//! The document of the interface, and the pages that show it.

use super::api;
use super::problem::ProblemDocument;
use super::state::Shared;
use axum::Router;
use leasehold::model::{Definitions, without_null};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::PartialSchema;
use utoipa_swagger_ui::SwaggerUi;

/// What may be answered to any request, beside what each one says.
const ANSWERS: &[(&str, &str)] = &[
    ("400", "The request is not one that can be answered."),
    ("401", "Nobody says who asks, or not so that it can be believed."),
    ("403", "Whoever asks may not do this, or not to this tenant, region, or from this network."),
    ("404", "There is no such thing."),
    ("409", "It cannot be done as things are."),
    ("412", "Somebody else has changed it since it was read."),
    ("413", "The body is too long."),
    ("415", "The body is none that is taken here."),
    ("422", "What was sent is refused, with all that is wrong with it."),
    ("428", "It has to say which version it changes."),
    ("429", "Whoever asks does so too often: `Retry-After` says when to ask again."),
    ("503", "It cannot be answered now: `Retry-After` says when to ask again."),
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(make);

/// The document, as OpenAPI 3.1 has it.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

#[expect(clippy::indexing_slicing, reason = "members of an object come into being where they are written")]
fn make() -> Value {
    let (_, api) = api::described().split_for_parts();
    let mut document = json!(api);
    document["info"] = json!({
        "title": "Leasehold HQ",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "What HQ's staff, tenants' apps and browsers ask HQ. Conventions: docs/api.md.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http", "scheme": "bearer",
            "description": "An API token, or the token of a session. The permission that is needed stands with each request.",
        },
    });
    let schemas = &mut document["components"]["schemas"];
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.insert("Problem".to_owned(), json!(ProblemDocument::schema()));
        schemas.extend(of_answers());
        schemas.extend(of_definitions());
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        methods.as_object_mut().into_iter().flatten().map(move |(method, operation)| (method, path, operation))
    });
    for (method, path, operation) in operations {
        // Handlers of several rooms have one name.
        operation["operationId"] = json!(id_of(method, path));
        if let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            for (status, description) in ANSWERS {
                answers.entry(*status).or_insert_with(|| {
                    let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
                    json!({ "description": description, "content": { "application/problem+json": problem } })
                });
            }
        }
    }
    document
}

/// What clients that are generated call an operation: `put_tenants_by_tenant` for `PUT /v1/tenants/{tenant}`.
fn id_of(method: &str, path: &str) -> String {
    let path = path.trim_start_matches("/v1").replace('{', "by_").replace('}', "");
    let path = path.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    format!("{method}{path}")
}

/// The schemas of definitions, as they are read.
fn of_definitions() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    schemas(settings.with_transform(RecursiveTransform(without_null)), |generator| {
        let _ = generator.subschema_for::<Definitions>();
    })
}

/// The schemas of answers, as they are written.
fn of_answers() -> Map<String, Value> {
    schemas(SchemaSettings::draft2020_12().for_serialize(), answers::make)
}

fn schemas(settings: SchemaSettings, make: impl FnOnce(&mut SchemaGenerator)) -> Map<String, Value> {
    let settings = settings.with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    make(&mut generator);
    generator.take_definitions(true)
}

/// Types by the names of their schemas, which come from the engine's own types.
macro_rules! stand_ins {
    ($($name:ident),* $(,)?) => {
        $(
            #[derive(Debug)]
            pub(in crate::serve) struct $name;
            impl utoipa::PartialSchema for $name {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                    utoipa::openapi::Ref::from_schema_name(stringify!($name)).into()
                }
            }
            impl utoipa::ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*
    };
    ($($name:ident = $of:ty),* $(,)?) => {
        stand_ins!($($name),*);

        /// Makes the schemas of all of them, and of what is in them.
        pub(super) fn make(generator: &mut schemars::SchemaGenerator) {
            $(let _ = generator.subschema_for::<$of>();)*
        }
    };
}

/// Records of definitions.
pub(super) mod authored {
    stand_ins!(
        Feature,
        Plan,
        PlanVersion,
        AddOn,
        Guard,
        Workflow,
        Kill,
        Tenant,
        Phase,
        Licence,
        Override,
        Block,
        Preferences,
        TenantWorkflow,
    );
}

/// What the engine answers.
pub(super) mod answers {
    stand_ins!(
        Blocker = leasehold::workflow::Blocker,
        Decision = leasehold::Decision,
        Diagnostic = leasehold::model::Diagnostic,
        DiffGroup = leasehold::DiffGroup,
        Entitlements = leasehold::Entitlements,
        Evaluation = leasehold::Evaluation,
        Explanation = leasehold::Explanation,
        FeatureDiff = leasehold::FeatureDiff,
        Freshness = leasehold::Freshness,
        Hash = leasehold::Hash,
        LimitAnswer = leasehold::LimitAnswer,
        RecordId = leasehold::RecordId,
        Revision = leasehold::Revision,
        TenantId = leasehold::TenantId,
        Timestamp = leasehold::Timestamp,
        TransitionAnswer = leasehold::workflow::TransitionAnswer<'static>,
        WhatIf = leasehold::WhatIf,
    );
}

/// `/openapi.json`, and pages at `/docs` that need nothing from elsewhere.
pub(super) fn routes() -> Router<Shared> {
    let pages = SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document().clone());
    Router::new().merge(pages)
}

/// The templates of all paths that something is at: what the document describes, and what [`routes`] are for.
pub(super) fn templates() -> impl Iterator<Item = &'static str> {
    let described = document().get("paths").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    described.map(String::as_str).chain(["/openapi.json", "/docs", "/docs/", "/docs/{*rest}"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::Schema;
    use schemars::transform::Transform as _;

    fn place(name: &str) -> Value {
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// What stands in the place of a name is what is meant by it everywhere.
    #[test]
    fn a_name_has_one_schema() {
        let (_, api) = api::described().split_for_parts();
        let api = json!(api);
        let described = api.pointer("/components/schemas").and_then(Value::as_object);
        let described = described.expect("there are schemas");
        let (definitions, answers) = (of_definitions(), of_answers());
        for name in definitions.keys().chain(answers.keys()) {
            assert!(described.get(name).is_none_or(|held| *held == place(name)), "`{name}` is described twice");
        }
        // Of definitions within answers, what is absent is left out as well.
        for (name, schema) in &answers {
            let mut schema = Schema::try_from(schema.clone()).expect("it is one");
            RecursiveTransform(without_null).transform(&mut schema);
            assert!(definitions.get(name).is_none_or(|held| held == schema.as_value()), "`{name}` is two things");
        }
    }

    #[test]
    fn every_operation_is_described_under_a_name_of_its_own() {
        let mut ids = std::collections::BTreeSet::new();
        for (path, methods) in document()["paths"].as_object().expect("there are paths") {
            for (method, operation) in methods.as_object().expect("a path has methods") {
                assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
                let summary = operation["summary"].as_str().unwrap_or_default();
                assert!(!summary.is_empty(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_name_leads_to_a_schema() {
        fn look(document: &Value, value: &Value) {
            if let Some(place) = value.get("$ref").and_then(Value::as_str) {
                let named = document.pointer(place.trim_start_matches('#'));
                assert!(named.is_some_and(|named| named.get("$ref").is_none()), "{place}");
            }
            match value {
                Value::Object(members) => members.values().for_each(|value| look(document, value)),
                Value::Array(items) => items.iter().for_each(|value| look(document, value)),
                _ => {}
            }
        }
        look(document(), document());
    }
}
