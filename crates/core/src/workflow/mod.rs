//! Workflows: a tenant's machine for a service category, what it answers, and what can be said of it.
//!
//! Templates come in immutable versions ([`model::Workflow`]). A [`Machine`] is made of them on demand, in layers, the more
//! specific later: the version, its override for the service category, the tenant's patch, the tenant's patch for that
//! category. Settings fill the guards. [`Machine::check`] and [`Machine::transitions`] say what may be done now, and all
//! that stands against it.
//!
//! ```
//! use leasehold::workflow::{Context, Input};
//! use leasehold::{Revision, Snapshot, Stamp, Timestamp, model::{Source, load}};
//! # let file = Source { name: "demo.json".into(), bytes: r#"{
//! #   "workflows": { "order": { "name": "Order", "name2": "طلب", "versions": { "1": {
//! #     "stages": {
//! #       "ready": { "name": "Ready", "name2": "جاهز", "initial": true },
//! #       "closed": { "name": "Closed", "name2": "مغلق", "final": true }
//! #     },
//! #     "transitions": { "close": { "name": "Close", "name2": "إغلاق", "from": "ready", "event": "close", "to": "closed",
//! #       "guards": { "requires_invoice": {} } } }
//! #   } } } },
//! #   "tenants": { "t1": { "name": "One", "name2": "واحد", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" } }
//! # }"#.into() };
//! # let issued_at: Timestamp = "2026-03-01T08:00:00Z".parse()?;
//! # let stamp = Stamp { revision: Revision::default(), issued_at, expires_at: None };
//! # let snapshot = Snapshot::compile(&load(&[file])?, stamp)?;
//! let machine = snapshot.tenant("t1")?.machine("order", None)?;
//! let open = Context { inputs: &[("invoice_issued", Input::Bool(false))], roles: &[] };
//! assert_eq!(machine.check("ready", "closed", &open).unwrap_err().code(), "guard_failed");
//! let paid = Context { inputs: &[("invoice_issued", Input::Bool(true))], roles: &[] };
//! assert_eq!(machine.check("ready", "closed", &paid)?.transition.as_str(), "close");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anatomy;
mod answer;
mod ask;
mod compare;
mod context;
mod draw;
mod finding;
pub mod guard;
mod layers;
mod lint;
mod machine;
pub mod picture;
mod replay;
mod simulate;
mod templates;
mod upgrade;

#[cfg(doc)]
use crate::model;
pub use anatomy::{MachineGuard, MachineTransition, TenantTemplate};
pub use answer::{
    Allowed, Blocker, BlockerCode, ConsideredGuard, ConsideredRole, ConsideredTransition, FilledSetting, Layer,
    MoveExplanation, SettingSource, TransitionAnswer, TransitionState,
};
pub use compare::{Compatibility, VersionChange, VersionChangeKind, VersionComparison};
pub use context::{Context, JsonInputs};
pub use draw::Language;
pub(crate) use finding::{Finding, Place};
pub use guard::Input;
pub(crate) use lint::Truths;
pub use machine::{Machine, MachineStage};
pub use replay::{LoggedInput, LoggedMove, RefusedMove, Replay};
pub use simulate::{CoveringPath, CoveringPaths, PathStep};
pub(crate) use templates::{Templates, needs};
pub use upgrade::{Upgrade, UpgradeConflict};
