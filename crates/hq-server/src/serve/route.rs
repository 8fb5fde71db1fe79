//! What a request is for: the template of its path. Logs, traces and metrics tell of every request by it, also of those that
//! nothing is there for; so it is found before the request is routed.

use axum::extract::Request;
use leasehold::TenantId;
use matchit::{InsertError, Router};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What all routes about one tenant begin with.
const TENANTS: &str = "/v1/tenants/";

/// All routes that there are.
#[derive(Debug)]
pub(crate) struct Routes {
    known: Router<Route>,
    none: Route,
}

impl Routes {
    /// # Errors
    /// Two of the templates are for the same paths.
    pub(crate) fn of(templates: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, InsertError> {
        let mut known = Router::new();
        for (before, template) in templates.into_iter().enumerate() {
            let template = template.as_ref();
            known.insert(template, Route::new(before + 1, template))?;
        }
        Ok(Self { known, none: Route::new(0, "none") })
    }

    /// What a request is for; `none` where nothing is there.
    pub(crate) fn find(&self, request: &Request) -> Route {
        self.known.at(request.uri().path()).map_or(&self.none, |found| found.value).clone()
    }
}

/// What a request is for: the template of its path, as `/v1/tenants/{tenant}`; `none` where nothing is there. A route is told
/// from others of the same [`Routes`] by its number.
#[derive(Debug, Clone)]
pub(crate) struct Route(Arc<Template>);

#[derive(Debug)]
struct Template {
    number: usize,
    path: String,
    is_probe: bool,
    /// Whether a tenant's id is the first thing that it names.
    is_of_tenant: bool,
}

impl Route {
    fn new(number: usize, path: &str) -> Self {
        Self(Arc::new(Template {
            number,
            path: path.to_owned(),
            is_probe: matches!(path, "/healthz" | "/readyz" | "/metrics"),
            is_of_tenant: path.strip_prefix(TENANTS).is_some_and(|rest| rest.starts_with("{tenant}")),
        }))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0.path
    }

    /// Whether it only asks whether the server lives, and how it does.
    pub(crate) fn is_probe(&self) -> bool {
        self.0.is_probe
    }

    /// The tenant that a path of this route names, where it has one.
    pub(crate) fn tenant(&self, path: &str) -> Option<TenantId> {
        let rest = path.strip_prefix(TENANTS).filter(|_| self.0.is_of_tenant)?;
        rest.split('/').next()?.parse().ok()
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use axum::body::Body;

    /// A route of nothing.
    pub(crate) fn none() -> Route {
        Routes::of([""; 0]).unwrap().none
    }

    #[test]
    fn a_request_is_for_what_its_path_fits() {
        let routes = Routes::of(["/v1/tenants", "/v1/tenants/{tenant}", "/docs/{*rest}"]).unwrap();
        for (path, expected) in [
            ("/v1/tenants?limit=2", "/v1/tenants"),
            ("/v1/tenants/a", "/v1/tenants/{tenant}"),
            ("/docs/a/b", "/docs/{*rest}"),
            ("/v1/tenants/", "none"),
            ("/v1/tenants/a/b", "none"),
            ("*", "none"),
        ] {
            let found = routes.find(&Request::builder().uri(path).body(Body::empty()).unwrap());
            assert_eq!(found.as_str(), expected, "{path}");
            assert_eq!(found == routes.none, expected == "none", "{path}");
        }
        assert!(Routes::of(["/{a}", "/{b}"]).is_err());
    }

    #[test]
    fn the_tenant_is_where_the_route_has_it() {
        for (route, path, tenant) in [
            ("/v1/tenants/{tenant}", "/v1/tenants/om-muscat", Some("om-muscat")),
            ("/v1/tenants/{tenant}/blocks/{id}", "/v1/tenants/t1/blocks/t2", Some("t1")),
            ("/v1/tenants/{tenant}", "/v1/tenants/no%20tenant", None),
            ("/v1/tenants", "/v1/tenants", None),
            ("none", "/v1/tenants/t1", None),
        ] {
            let found = Route::new(1, route).tenant(path);
            assert_eq!(found.as_ref().map(TenantId::as_str), tenant, "{path}");
        }
    }
}
