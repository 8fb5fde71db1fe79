//! The peers: each loads the world in its own form, and hands out closures that answer the n-th question. Whatever can be
//! made before the question comes is made here, outside of what is measured.

mod casbin;
mod cedar;
mod cel;
mod eppo;
mod regorus;
mod unleash;
mod zen;

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::measure::Ask;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A switch that is on or off for everybody.
    Static,
    /// A switch, for a tenant.
    Tenant,
    /// The same, of the rule alone.
    Expression,
    /// Another user, of a limit.
    Limit,
    /// The same, of the rule alone.
    LimitExpression,
}

pub type Asks = Vec<(Asked, Box<dyn Ask>)>;
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How to load each peer, by the name of its crate.
pub const PEERS: [(&str, fn() -> Result<Asks>); 7] = [
    ("casbin", casbin::load),
    ("cedar-policy", cedar::load),
    ("cel", cel::load),
    ("eppo_core", eppo::load),
    ("regorus", regorus::load),
    ("unleash-yggdrasil", unleash::load),
    ("zen-engine", zen::load),
];

fn asked(what: Asked, ask: impl FnMut(usize) -> Option<bool> + 'static) -> (Asked, Box<dyn Ask>) {
    (what, Box::new(ask))
}

/// What comes of a future that waits for nothing: polled once, which costs less than any runtime.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
