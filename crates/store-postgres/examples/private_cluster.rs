//! A Postgres for as long as something runs:
//!
//! ```text
//! cargo run -p leasehold-postgres --example private_cluster --features cluster -- [--migrate] [--durable] [command …]
//! ```
//!
//! The command finds the server in `DATABASE_URL`. Where the variable is set already, that server is used, and no cluster is
//! started. Without a command it says where the server is and keeps it until its input ends; a line `crash` there stops the
//! server as a crash would, `resume` starts it again, and either is answered with the same word when it is done. `--migrate`
//! brings the database to the schema of this build first; with `--durable` commits wait for the disk, as in production.
#![expect(clippy::print_stdout, reason = "it answers on standard output")]

use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::schema::{self, Part};
use sqlx::Connection;
use std::error::Error;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let (mut migrates, mut durability) = (false, Durability::ProcessOnly);
    while let Some(option) = arguments.next_if(|argument| argument.starts_with("--")) {
        match option.as_str() {
            "--migrate" => migrates = true,
            "--durable" => durability = Durability::Full,
            other => return Err(format!("there is no option `{other}`").into()),
        }
    }
    let (cluster, url) = match std::env::var("DATABASE_URL") {
        Ok(url) => (None, url),
        Err(_) => {
            let cluster = Cluster::start(durability)?;
            let url = cluster.url("postgres");
            (Some(cluster), url)
        }
    };
    if migrates {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(migrate(&url))?;
    }
    let Some(program) = arguments.next() else {
        println!("{url}");
        for line in std::io::stdin().lines() {
            let line = line?;
            let cluster = cluster.as_ref().ok_or("DATABASE_URL names a server that is somebody else's")?;
            match line.as_str() {
                "crash" => cluster.crash()?,
                "resume" => cluster.resume(durability)?,
                other => return Err(format!("there is no word `{other}`").into()),
            }
            println!("{line}");
        }
        return Ok(ExitCode::SUCCESS);
    };
    let status = Command::new(program).args(arguments).env("DATABASE_URL", &url).status()?;
    drop(cluster);
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

async fn migrate(url: &str) -> Result<(), Box<dyn Error>> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    schema::migrate(&mut connection, Part::Hq).await?;
    Ok(connection.close().await?)
}
