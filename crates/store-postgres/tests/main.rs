//! The store on a real server. One program, because each links for as long as it runs.

mod access;
mod attacks;
mod audit;
mod authoring;
mod catalog;
mod cluster;
mod definitions;
mod following;
mod ledger;
mod ledger_faults;
mod ledger_model;
mod publishing;
mod schema;
mod support;
mod workflow;
