//! The publisher's place in a server: the only part that holds the fleet key. Handlers send wishes, and hold no key.

use super::about::{self, About};
use super::metrics::Metrics;
use super::problem::Problem;
use super::telemetry::TraceId;
use leasehold::Revision;
use leasehold::build::Signer;
use leasehold::wire::Trust;
use leasehold_postgres::Error;
use leasehold_postgres::audit::{self, Checkpointed, Since};
use leasehold_postgres::hq::Actor;
use leasehold_postgres::publish::{Publication, Publisher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

/// How many wishes wait before whoever has the next one does.
const QUEUE: usize = 64;

/// What a publisher is asked to do.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Publish what waits.
    Pending,
    /// Publish an approved proposal.
    Proposal(i64),
    /// Put it on trial, with so many engines of a thousand.
    Stage(i64, u16),
    /// End the trial for now.
    Halt,
    /// End the trial.
    Unstage,
    /// Go back to the definitions of a revision.
    Rollback(Revision),
}

impl Wish {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Proposal(_) => "proposal",
            Self::Stage(..) => "stage",
            Self::Halt => "halt",
            Self::Unstage => "unstage",
            Self::Rollback(_) => "rollback",
        }
    }
}

struct Order {
    wish: Wish,
    actor: Actor,
    /// The request that asks for it.
    within: Span,
    trace: Option<TraceId>,
    answer: oneshot::Sender<Result<Option<Publication>, Problem>>,
}

struct Checkpoint(Since, Actor, oneshot::Sender<Result<Checkpointed, Error>>);

/// The way to the publisher.
#[derive(Debug, Clone)]
pub(crate) struct Publishing {
    orders: mpsc::Sender<Order>,
    /// A way of their own: reading all audit chains may take long, and nothing is kept from being published by it.
    checkpoints: mpsc::Sender<Checkpoint>,
}

impl Publishing {
    /// Starts a publisher that goes on until the server ends.
    pub(crate) fn start(
        publisher: Publisher,
        signer: Signer,
        trust: Trust,
        heartbeat: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (orders, mut received) = mpsc::channel(QUEUE);
        let (checkpoints, mut asked) = mpsc::channel(QUEUE);
        let publisher = Arc::new(publisher);
        let runner = publisher.clone();
        metrics.publishes();
        let counted = metrics.clone();
        tokio::spawn(async move {
            runner
                .run(heartbeat, |happened| match happened {
                    Ok(publication) => {
                        counted.published(&publication);
                        if let Some(engine) = &publication.halted_by {
                            counted.trial_halted();
                            tracing::warn!(engine = %engine, "the trial is halted");
                        }
                        log(&publication);
                    }
                    Err(error) => {
                        counted.publish_failed(error.code());
                        tracing::error!(code = error.code(), error = %error, "nothing could be published");
                    }
                })
                .await;
        });
        let reader = publisher.clone();
        tokio::spawn(async move {
            while let Some(Order { wish, actor, within, trace, answer }) = received.recv().await {
                let (wished, trace_id) = (wish.as_str(), actor.trace_id.as_deref());
                let span = tracing::info_span!(parent: &within, "publish", wish = wished, trace_id);
                let about = About::publication(wished, trace);
                let doing = async { told(carry_out(&publisher, wish, &actor).await, &metrics) };
                let done = about.scope(doing.instrument(span)).await;
                // Whoever asked may have gone.
                let _ = answer.send(done);
            }
        });
        tokio::spawn(async move {
            while let Some(Checkpoint(since, actor, answer)) = asked.recv().await {
                let _ = answer.send(checkpoint(&reader, &signer, &trust, since, &actor).await);
            }
        });
        Self { orders, checkpoints }
    }

    /// Asks for something, and waits until it is done.
    pub(crate) async fn ask(&self, wish: Wish, actor: Actor) -> Result<Option<Publication>, Problem> {
        let (answer, answered) = oneshot::channel();
        let (within, trace) = (Span::current(), about::trace());
        self.orders.send(Order { wish, actor, within, trace, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Signs where audit chains end.
    pub(crate) async fn checkpoint(&self, since: Since, actor: Actor) -> Result<Checkpointed, Problem> {
        let (answer, answered) = oneshot::channel();
        self.checkpoints.send(Checkpoint(since, actor, answer)).await.map_err(|_| gone())?;
        Ok(answered.await.map_err(|_| gone())??)
    }
}

fn gone() -> Problem {
    Problem::unavailable("no_publisher", "the publisher of this server has stopped")
}

async fn carry_out(publisher: &Publisher, wish: Wish, actor: &Actor) -> Result<Option<Publication>, Error> {
    match wish {
        Wish::Pending => publisher.publish().await,
        Wish::Proposal(id) => publisher.publish_proposal(id, actor).await.map(Some),
        Wish::Stage(id, share) => publisher.stage(id, share, actor).await.map(Some),
        Wish::Halt => publisher.halt(actor).await.map(Some),
        Wish::Unstage => publisher.unstage(actor).await.map(Some),
        Wish::Rollback(to) => publisher.rollback(to, actor).await.map(Some),
    }
}

async fn checkpoint(
    publisher: &Publisher,
    signer: &Signer,
    trust: &Trust,
    since: Since,
    actor: &Actor,
) -> Result<Checkpointed, Error> {
    let mut connection = publisher.hq().pool().acquire().await?;
    audit::checkpoint(&mut connection, signer, trust, since, (SystemTime::now().into(), &actor.name)).await
}

/// Tells what an order came to. What somebody asked for in vain is no failure of publishing.
fn told(done: Result<Option<Publication>, Error>, metrics: &Metrics) -> Result<Option<Publication>, Problem> {
    match done {
        Ok(publication) => {
            if let Some(publication) = &publication {
                metrics.published(publication);
                log(publication);
            }
            Ok(publication)
        }
        Err(error) => {
            let code = error.code();
            let problem = Problem::from(error);
            if problem.status().is_server_error() {
                metrics.publish_failed(code);
            }
            Err(problem)
        }
    }
}

fn log(publication: &Publication) {
    let (revision, changes) = (publication.revision.get(), publication.changes.len());
    tracing::info!(revision, changes, refused = publication.refused.len(), "published");
    for refusal in &publication.refused {
        let tenant = refusal.tenant.as_ref().map(ToString::to_string);
        let why = refusal.found.first().map(ToString::to_string);
        tracing::warn!(tenant, why, "kept its last published form");
    }
}
