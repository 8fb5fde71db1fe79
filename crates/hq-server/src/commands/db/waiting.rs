//! `--wait`: until what a command changes is published, by whoever publishes.

use crate::duration::Duration;
use crate::failure::Failure;
use crate::report::Exit;
use leasehold::Revision;
use leasehold_postgres::hq::Hq;
use serde_json::{Value, json};

/// Whether a command waits.
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// Wait until it is published, for so long at the most; exits with 1 where it is not by then, and with 3 where it is
    /// kept back
    #[arg(long, value_name = "TIME")]
    wait: Option<Duration>,
}

/// What came of waiting.
pub(super) enum Outcome {
    NotAsked,
    /// Nothing is on its way.
    Nothing,
    Published(Revision),
    TimedOut(Duration),
}

impl Wait {
    /// Waits for a change, where that is asked for. One that is kept back is a failure.
    pub(super) async fn outcome(&self, hq: &Hq, change: Option<i64>) -> Result<Outcome, Failure> {
        let Some(limit) = self.wait else { return Ok(Outcome::NotAsked) };
        let Some(change) = change else { return Ok(Outcome::Nothing) };
        let time = std::time::Duration::from_millis(u64::try_from(limit.ms).unwrap_or_default());
        match tokio::time::timeout(time, hq.published(change)).await {
            Ok(published) => Ok(Outcome::Published(published?)),
            Err(_) => Ok(Outcome::TimedOut(limit)),
        }
    }
}

impl Outcome {
    pub(super) fn exit(&self) -> Exit {
        Exit::yes_if(!matches!(self, Self::TimedOut(_)))
    }

    /// A line about it, where somebody waited.
    pub(super) fn line(&self) -> String {
        match self {
            Self::NotAsked => String::new(),
            Self::Nothing => "nothing of it is to be published\n".to_owned(),
            Self::Published(revision) => format!("published as revision {revision}\n"),
            Self::TimedOut(limit) => format!("not published within {limit}; it is on its way still\n"),
        }
    }

    /// Adds it to an answer, where somebody waited.
    pub(super) fn told_in(&self, mut answer: Value) -> Value {
        let (revision, timed_out) = match self {
            Self::NotAsked => return answer,
            Self::Nothing => (None, false),
            Self::Published(revision) => (Some(revision), false),
            Self::TimedOut(_) => (None, true),
        };
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("revision".to_owned(), json!(revision));
            fields.insert("timed_out".to_owned(), json!(timed_out));
        }
        answer
    }
}
