//! Who may do what: permissions, the roles of staff, the scopes of tokens, and the extractors that enforce them.

mod access;
mod secret;

pub(crate) use access::{Access, Password};
pub(crate) use secret::{Secret, SecretKind};

use super::problem::Problem;
use super::state::Shared;
use super::{about, gauges};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use leasehold::{Region, TenantId};
use leasehold_postgres::Error;
use leasehold_postgres::hq::Actor;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

/// Who asks, and what they may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// As the audit log names them.
    pub(crate) name: String,
    pub(crate) rights: Rights,
    /// The only region that they reach.
    pub(crate) region: Option<Region>,
    /// The only tenant that they reach.
    pub(crate) tenant: Option<TenantId>,
    /// What tells them from others, for limits of rate.
    pub(crate) id: String,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// What a role of staff may.
    Role(Role),
    /// What a token is for.
    Scopes(Vec<Scope>),
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        $(#[$meta])*
        pub(crate) enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(word: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or(())
            }
        }
    };
}

words! {
    /// A role of HQ's staff.
    #[schema(as = StaffRole)]
    Role {
        /// Everything, staff and tokens among it.
        SuperAdmin = "super_admin",
        /// Definitions, publishing, the fleet.
        TechAdmin = "tech_admin",
        /// Plans and tenants.
        BizAdmin = "biz_admin",
        /// Reads everything, the audit log among it.
        Auditor = "auditor",
        /// Reads what concerns tenants.
        SupportReadonly = "support_readonly",
    }
}

words! {
    /// What a token may be used for.
    Scope {
        /// To read definitions, tenants, proposals and the fleet.
        HqRead = "hq:read",
        /// To write definitions and tenants, and to propose.
        HqWrite = "hq:write",
        /// To ask what tenants may do.
        DecisionsRead = "decisions:read",
        /// To evaluate flags by OFREP.
        FlagsEvaluate = "flags:evaluate",
        /// To read and count what tenants use.
        UsageWrite = "usage:write",
        /// To read the audit log.
        AuditRead = "audit:read",
        /// To follow snapshots: heads, contents, packs, events.
        SnapshotsRead = "snapshots:read",
        /// To read the slice of a tenant.
        SlicesRead = "slices:read",
        /// To report what an engine applied or refused.
        EnginesReport = "engines:report",
        /// To read metrics.
        MetricsRead = "metrics:read",
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal: roles [$($role:ident),*], scopes [$($scope:ident),*], $layer:ident;)*) => {
        /// Something that may be allowed or not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The roles that have it.
            pub(crate) fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[$(Role::$role),*],)* }
            }

            /// The scopes that have it.
            pub(crate) fn scopes(self) -> &'static [Scope] {
                match self { $(Self::$name => &[$(Scope::$scope),*],)* }
            }

            /// Whose interface it belongs to.
            pub(crate) fn layer(self) -> Layer {
                match self { $(Self::$name => Layer::$layer,)* }
            }
        }

        /// Permissions as types, for extractors.
        pub(crate) mod to {
            $($(#[$doc])* #[derive(Debug)] pub(crate) struct $name;
            impl super::Needs for $name { const PERMISSION: super::Permission = super::Permission::$name; })*
        }
    };
}

/// Whose interface something belongs to (SPEC A1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// HQ's own: bound to the allowed networks.
    Hq,
    /// Tenants' apps' and browsers': open to all networks.
    Tenant,
}

permissions! {
    /// Who am I, and signing out.
    Identify = "identify": roles [SuperAdmin, TechAdmin, BizAdmin, Auditor, SupportReadonly],
        scopes [HqRead, HqWrite, DecisionsRead, FlagsEvaluate, UsageWrite, AuditRead, SnapshotsRead, SlicesRead,
            EnginesReport, MetricsRead], Tenant;
    /// Features, plans, add-ons, guards, workflows, kill switches, proposals.
    ReadDefinitions = "definitions:read": roles [SuperAdmin, TechAdmin, BizAdmin, Auditor, SupportReadonly],
        scopes [HqRead, HqWrite], Hq;
    /// Authoring them, and proposing.
    WriteDefinitions = "definitions:write": roles [SuperAdmin, TechAdmin, BizAdmin], scopes [HqWrite], Hq;
    /// Kill switches, which come in force at once.
    Kill = "kills:write": roles [SuperAdmin, TechAdmin], scopes [], Hq;
    /// Approving and rejecting proposals.
    Approve = "proposals:approve": roles [SuperAdmin, TechAdmin, BizAdmin], scopes [], Hq;
    /// Publishing, trials, going back.
    Publish = "snapshots:publish": roles [SuperAdmin, TechAdmin], scopes [], Hq;
    /// Tenants as they are authored.
    ReadTenants = "tenants:read": roles [SuperAdmin, TechAdmin, BizAdmin, Auditor, SupportReadonly],
        scopes [HqRead, HqWrite], Hq;
    /// Changing them.
    WriteTenants = "tenants:write": roles [SuperAdmin, BizAdmin], scopes [HqWrite], Hq;
    /// What tenants may do: entitlements, decisions, explanations, what-if.
    ReadDecisions = "decisions:read": roles [SuperAdmin, TechAdmin, BizAdmin, Auditor, SupportReadonly],
        scopes [DecisionsRead, HqRead, HqWrite], Tenant;
    /// Flags by OFREP.
    EvaluateFlags = "flags:evaluate": roles [SuperAdmin, TechAdmin], scopes [FlagsEvaluate], Tenant;
    /// What tenants use of their limits.
    ReadUsage = "usage:read": roles [SuperAdmin, TechAdmin, BizAdmin, Auditor, SupportReadonly],
        scopes [UsageWrite, HqRead], Tenant;
    /// Counting what they use, and moving their items.
    WriteUsage = "usage:write": roles [SuperAdmin], scopes [UsageWrite], Tenant;
    /// The audit log.
    ReadAudit = "audit:read": roles [SuperAdmin, TechAdmin, Auditor], scopes [AuditRead], Hq;
    /// Signing checkpoints of it.
    SignAudit = "audit:sign": roles [SuperAdmin, TechAdmin, Auditor], scopes [], Hq;
    /// What engines report, and how a trial goes.
    ReadFleet = "fleet:read": roles [SuperAdmin, TechAdmin, BizAdmin, Auditor, SupportReadonly], scopes [HqRead], Hq;
    /// Forgetting engines that are gone.
    WriteFleet = "fleet:write": roles [SuperAdmin, TechAdmin], scopes [], Hq;
    /// Tokens of programs.
    ManageTokens = "tokens:write": roles [SuperAdmin, TechAdmin], scopes [], Hq;
    /// Staff.
    ManageStaff = "staff:write": roles [SuperAdmin], scopes [], Hq;
    /// Snapshots: heads, contents, packs, events.
    ReadSnapshots = "snapshots:read": roles [SuperAdmin, TechAdmin], scopes [SnapshotsRead], Tenant;
    /// The slice of a tenant.
    ReadSlices = "slices:read": roles [SuperAdmin, TechAdmin], scopes [SlicesRead], Tenant;
    /// Reporting what an engine applied or refused.
    ReportEngines = "engines:report": roles [], scopes [EnginesReport], Tenant;
    /// Metrics.
    ReadMetrics = "metrics:read": roles [SuperAdmin, TechAdmin, Auditor], scopes [MetricsRead], Hq;
}

impl Caller {
    /// Who does what is under way, for the audit log.
    pub(crate) fn actor(&self) -> Actor {
        about::actor(&self.name)
    }

    /// Whether their role or one of their scopes has a permission.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        match &self.rights {
            Rights::Role(role) => permission.roles().contains(role),
            Rights::Scopes(scopes) => permission.scopes().iter().any(|scope| scopes.contains(scope)),
        }
    }

    /// Whether they have all that a scope is for, and may give it to a token.
    pub(crate) fn may_give(&self, scope: Scope) -> bool {
        let given = Permission::ALL.iter().filter(|permission| permission.scopes().contains(&scope));
        // What no role has is for programs alone, and whoever makes tokens makes those of such programs.
        given.filter(|permission| !permission.roles().is_empty()).all(|permission| self.may(*permission))
    }

    /// Refuses a tenant that they do not reach, for something that needs a permission.
    ///
    /// A tenant that is published is in its region there. For what is authored of it, the region that is authored has to be
    /// the same: while it moves, that is in neither. One that is not published yet is in the region that is authored. One
    /// that is not there at all is in none: what is left of it may be another region's.
    pub(crate) async fn reaches(&self, tenant: &TenantId, needed: Permission, shared: &Shared) -> Result<(), Problem> {
        let other = || Problem::forbidden("other_tenant", "this token reaches another tenant, or another region");
        if self.tenant.as_ref().is_some_and(|own| own != tenant) {
            return Err(other());
        }
        let Some(own) = &self.region else { return Ok(()) };
        let published = shared.streams().region_of(tenant);
        if published.as_ref().is_some_and(|region| region != own) {
            return Err(other());
        }
        let is_authored = matches!(needed, Permission::ReadTenants | Permission::WriteTenants | Permission::ReadAudit);
        if published.is_some() && !is_authored {
            return Ok(());
        }
        match shared.hq().tenant(tenant).await {
            Ok(authored) if authored.record.region == *own => Ok(()),
            // Whoever makes it compares its region with theirs.
            Err(Error::NotFound { .. }) if needed == Permission::WriteTenants => Ok(()),
            Ok(_) | Err(Error::NotFound { .. }) => Err(other()),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses who is bound to one tenant or region, where what is asked for is about all of them.
    pub(crate) fn reaches_all(&self) -> Result<(), Problem> {
        if self.tenant.is_some() || self.region.is_some() {
            return Err(Problem::forbidden(
                "bound_token",
                "this token reaches one tenant or region, and this is about all",
            ));
        }
        Ok(())
    }

    /// Refuses a change that they do not reach.
    pub(crate) fn reaches_change(&self, of: Option<(TenantId, Region)>) -> Result<(), Problem> {
        let Some((tenant, region)) = of else { return self.reaches_all() };
        let is_other = self.tenant.as_ref().is_some_and(|own| *own != tenant);
        if is_other || self.region.as_ref().is_some_and(|own| *own != region) {
            return Err(Problem::forbidden("other_tenant", "this token reaches another tenant, or another region"));
        }
        Ok(())
    }

    /// Refuses a stream that they do not reach.
    pub(crate) fn reaches_stream(&self, stream: &Region) -> Result<(), Problem> {
        if self.tenant.is_some() || self.region.as_ref().is_some_and(|own| own != stream) {
            return Err(Problem::forbidden("other_region", "this token reaches another region"));
        }
        Ok(())
    }
}

/// A permission as a type.
pub(crate) trait Needs: Send + Sync + 'static {
    const PERMISSION: Permission;
    /// Whether a token that is bound to one tenant has it for that.
    const OF_ITS_OWN: bool = true;
}

/// Changing whether a tenant is there, and its blocks. It is not for the tenant's own token: a block may be for whoever
/// holds that.
#[derive(Debug)]
pub(crate) struct Standing;

impl Needs for Standing {
    const PERMISSION: Permission = Permission::WriteTenants;
    const OF_ITS_OWN: bool = false;
}

/// Somebody who has a permission, for what concerns more than one tenant. On HQ's own interface they reach all tenants.
#[derive(Debug)]
pub(crate) struct Allowed<P> {
    pub(crate) caller: Arc<Caller>,
    permission: PhantomData<P>,
}

/// The same, bound to a region or a tenant or not: the handler itself refuses what the caller does not reach, with
/// [`Caller::reaches`] and [`Caller::reaches_all`].
#[derive(Debug)]
pub(crate) struct AllowedBound<P> {
    pub(crate) caller: Arc<Caller>,
    permission: PhantomData<P>,
}

/// Somebody who has a permission for the tenant in the path, or in `x-tenant-id` where the path has none.
#[derive(Debug)]
pub(crate) struct AllowedTenant<P> {
    pub(crate) tenant: TenantId,
    pub(crate) caller: Arc<Caller>,
    permission: PhantomData<P>,
}

/// Says who asks, where they may do something.
async fn admit<P: Needs>(parts: &mut Parts, shared: &Shared) -> Result<Arc<Caller>, Problem> {
    if P::PERMISSION.layer() == Layer::Hq {
        shared.access().network(parts)?;
    }
    let caller = match P::PERMISSION {
        Permission::ReadMetrics => shared.access().watcher(parts, gauges::database_answers(shared).await).await?,
        _ => shared.access().caller(parts).await?,
    };
    // Staff work from allowed networks, whatever they ask for.
    if matches!(caller.rights, Rights::Role(_)) {
        shared.access().network(parts)?;
    }
    if !caller.may(P::PERMISSION) {
        let needed = P::PERMISSION.as_str();
        return Err(Problem::forbidden("forbidden", format!("this needs the permission `{needed}`")));
    }
    Ok(caller)
}

impl<P: Needs> FromRequestParts<Shared> for Allowed<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let caller = admit::<P>(parts, shared).await?;
        if P::PERMISSION.layer() == Layer::Hq {
            caller.reaches_all()?;
        }
        Ok(Self { caller, permission: PhantomData })
    }
}

impl<P: Needs> FromRequestParts<Shared> for AllowedBound<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let caller = admit::<P>(parts, shared).await?;
        Ok(Self { caller, permission: PhantomData })
    }
}

impl<P: Needs> FromRequestParts<Shared> for AllowedTenant<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let caller = admit::<P>(parts, shared).await?;
        let in_path = Path::<HashMap<String, String>>::from_request_parts(parts, shared).await.ok();
        let in_path = in_path.and_then(|Path(mut named)| named.remove("tenant"));
        let in_header = parts.headers.get("x-tenant-id").map(|value| value.to_str().unwrap_or_default().to_owned());
        let named = match (in_path, in_header) {
            (Some(path), Some(header)) if path != header => {
                let detail = "`x-tenant-id` names another tenant than the path; leave it out";
                return Err(Problem::bad_request("tenant_mismatch", detail));
            }
            (Some(named), _) | (None, Some(named)) => named,
            (None, None) => match &caller.tenant {
                Some(tenant) => tenant.to_string(),
                None => {
                    let detail = "name the tenant in the header `x-tenant-id`";
                    return Err(Problem::bad_request("tenant_required", detail));
                }
            },
        };
        let tenant: TenantId =
            named.parse().map_err(|error| Problem::bad_request("invalid_tenant", format!("{error}")))?;
        caller.reaches(&tenant, P::PERMISSION, shared).await?;
        if !P::OF_ITS_OWN && caller.tenant.is_some() {
            let detail = "this token reaches one tenant, and changes neither whether it is there nor its blocks";
            return Err(Problem::forbidden("bound_token", detail));
        }
        about::tenant(&tenant);
        Ok(Self { tenant, caller, permission: PhantomData })
    }
}
