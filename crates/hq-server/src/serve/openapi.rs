//! The document of the interface, and the pages that show it.

use super::api;
use super::problem::ProblemDocument;
use super::state::Shared;
use axum::Router;
use schemars::generate::SchemaSettings;
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
        authored(schemas);
    }
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
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

/// Puts the schemas of definitions in the place of their names.
fn authored(schemas: &mut Map<String, Value>) {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let _ = generator.subschema_for::<leasehold::model::Definitions>();
    for (name, schema) in generator.take_definitions(true) {
        schemas.insert(name, schema);
    }
}

/// `/openapi.json`, and pages at `/docs` that need nothing from elsewhere.
pub(super) fn routes() -> Router<Shared> {
    let pages = SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document().clone());
    Router::new().merge(pages)
}
