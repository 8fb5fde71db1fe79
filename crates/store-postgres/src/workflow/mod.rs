//! Items of workflows: where they are, and how they move.
//!
//! An item moves in one transaction: the item, the log, the audit entry, the event and the idempotency key are written
//! together or not at all. There are two ways, with the same outcomes. [`move_item`] and [`transition`] ask the engine, and
//! are for a service whose login may decide (role `leasehold_hq`). The function `hq_transition` of the database is for
//! everybody who speaks SQL (role `leasehold_app`); it decides by SQL that was made of the typed form of guards, and says
//! `guard_needs_engine` where that is not enough.
//!
//! The database knows machines as the engine resolved them: [`put_machines`] writes them, in the transaction in which
//! what they are made of is published.

mod document;
mod items;
mod machines;

pub use items::{Item, Move, Moved, NewItem, create_item, item, move_item, transition};
pub use machines::{MachinesPut, drop_idle_machines, put_machines};
