//! One file per command: what it takes, what it asks the engine, and how it prints the answer.

pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod certify;
pub(crate) mod check;
pub(crate) mod codegen;
pub(crate) mod completions;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod entitlements;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod generate;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod limit;
pub(crate) mod lint;
pub(crate) mod rotate;
pub(crate) mod serve;
pub(crate) mod slice;
pub(crate) mod verify;
pub(crate) mod what_if;
pub(crate) mod workflow;

use leasehold::model::Action;

/// What is done with a feature, as it is typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ActionArg {
    #[default]
    Use,
    Read,
}

impl From<ActionArg> for Action {
    fn from(action: ActionArg) -> Self {
        match action {
            ActionArg::Use => Self::Use,
            ActionArg::Read => Self::Read,
        }
    }
}
