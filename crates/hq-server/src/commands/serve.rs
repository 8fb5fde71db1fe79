//! `leasehold serve`: HQ as a server.

use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::serve::{Config, EXAMPLE, Ready, Server, openapi_document, start_telemetry};
use crate::style::Tone;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) const EXAMPLES: &str = "\
Needs a database (DATABASE_URL), a trust file, a fleet key and its certificate; docs/serving.md is the guide. The first start creates an administrator and prints their password, once.

Examples:
  leasehold serve --example > leasehold.toml
  leasehold serve --config leasehold.toml
  leasehold serve --openapi > openapi.json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The configuration; without it, what the environment says
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Print a configuration that changes nothing, with what each line is for
    #[arg(long)]
    example: bool,
    /// Print the OpenAPI document of the interface
    #[arg(long, conflicts_with = "example")]
    openapi: bool,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    context.refuse_instant("a server answers as of now")?;
    if options.example {
        return Ok(Report::text(EXAMPLE.to_owned(), Exit::Yes));
    }
    if options.openapi {
        return Report::json(openapi_document(), Exit::Yes);
    }
    let config = Config::read(options.config.as_deref(), |name| std::env::var(name).ok().filter(|it| !it.is_empty()))?;
    let telemetry = config.telemetry.clone();
    let ready = Ready::of(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::internal(format!("there is no runtime: {error}")))?;
    runtime.block_on(async {
        let telling = start_telemetry(&telemetry)?;
        let server = Server::start(ready).await?;
        tracing::info!(address = %server.address, "serving");
        if let Some((name, password)) = &server.first {
            let title = context.style.paint(Tone::Strong, "the first administrator, shown this once");
            let text = format!("{title}\n  name      {name}\n  password  {password}\n");
            Report::text(text, Exit::Yes).print();
        }
        stopped().await?;
        tracing::info!("stopping");
        server.stop().await;
        drop(telling);
        Ok(Report::text(String::new(), Exit::Yes))
    })
}

/// Waits until somebody wants it to end.
pub(super) async fn stopped() -> Result<(), Failure> {
    let wanted = |kind| signal(kind).map_err(|error| Failure::internal(format!("signals are not heard: {error}")));
    let (mut interrupt, mut terminate) = (wanted(SignalKind::interrupt())?, wanted(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
