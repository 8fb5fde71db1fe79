//! The database, as it is named on the command line.

use crate::failure::Failure;
use clap::Args;
use leasehold_postgres::hq::Hq;
use leasehold_postgres::schema::{self, Part};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

/// Which database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct Database {
    /// Where the database is: postgresql://USER:PASSWORD@HOST/NAME
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl Database {
    /// HQ's authoring store in it.
    pub(crate) async fn hq(&self) -> Result<Hq, Failure> {
        Ok(Hq::connect(self.options()?).await?)
    }

    fn options(&self) -> Result<PgConnectOptions, Failure> {
        let Some(url) = &self.database_url else {
            let failure = Failure::database_required();
            return Err(failure.hint("name it with --database-url, or set DATABASE_URL"));
        };
        parse(url)
    }

    /// Does something with a connection to a database of any schema.
    pub(crate) fn connected<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let options = self.options()?;
        wait(async {
            let mut connection = PgConnection::connect_with(&options).await.map_err(leasehold_postgres::Error::from)?;
            let done = work(&mut connection).await;
            // What was done is done; that the goodbye is not heard changes nothing.
            let _ = connection.close().await;
            done
        })
    }

    /// Does something with a connection to a database that has the schema of this build.
    pub(crate) fn checked<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.connected(async |connection| {
            schema::check(connection, Part::Hq).await?;
            work(connection).await
        })
    }
}

/// The database that a URL names.
pub(crate) fn parse(url: &str) -> Result<PgConnectOptions, Failure> {
    // What is wrong with the text is not said: it may hold a password.
    let of_postgres = url.starts_with("postgresql://") || url.starts_with("postgres://");
    let options = url.parse().ok().filter(|_| of_postgres);
    options.ok_or_else(|| {
        Failure::usage("the database's URL is none of Postgres")
            .hint("it looks like postgresql://USER:PASSWORD@HOST/NAME")
    })
}

/// Does something that waits for a database.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::internal(format!("there is no runtime: {error}")))?.block_on(work)
}

/// Which part of the schema, as it is typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PartArg {
    /// All of it
    #[default]
    Hq,
    /// The usage ledger alone, for an app's own database
    Ledger,
}

impl From<PartArg> for Part {
    fn from(part: PartArg) -> Self {
        match part {
            PartArg::Hq => Self::Hq,
            PartArg::Ledger => Self::Ledger,
        }
    }
}
