//! A tenant's context in the database: there is none but in a transaction that is open.

use crate::Error;
use leasehold::TenantId;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

/// A transaction within the context of one tenant: row level security shows and takes the rows of that tenant alone.
///
/// The context ends with the transaction. Dropped without [`commit`](Self::commit), all of it is undone.
#[derive(Debug)]
pub struct TenantTransaction {
    transaction: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl TenantTransaction {
    /// Begins a transaction for a tenant, `READ COMMITTED`. Whether there is such a tenant is not looked at.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn begin(pool: &PgPool, tenant: &TenantId) -> Result<Self, Error> {
        // Whoever waited for a row reads what the one before left in it, whatever a login has for its default.
        let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        sqlx::query("SELECT set_config('app.current_tenant_id', $1, true)")
            .bind(tenant.as_str())
            .execute(&mut *transaction)
            .await?;
        Ok(Self { transaction, tenant: tenant.clone() })
    }

    /// Whose context it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What statements are executed on.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Puts all of it in force.
    ///
    /// # Errors
    /// [`Error::Contended`] where others changed the same rows, [`Error::Constraint`] where a deferred rule refuses it,
    /// [`Error::Unreachable`] where nobody knows whether it is in force.
    pub async fn commit(self) -> Result<(), Error> {
        Ok(self.transaction.commit().await?)
    }

    /// Undoes all of it.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; it is undone then too.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(self.transaction.rollback().await?)
    }

    /// Undoes all of it at once, for an error. Where a transaction is dropped instead, it holds its rows until its
    /// connection has come back to the pool, and others pass over them meanwhile.
    #[cfg(feature = "ledger")]
    pub(crate) async fn refuse<T>(self, error: Error) -> Result<T, Error> {
        self.rollback().await?;
        Err(error)
    }
}
