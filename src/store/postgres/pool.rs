//! The connections for everything but appends: a few, each used by one at a time.
//!
//! A [`Reader`] reads one statement at a time, each of which sees one moment of the store; a
//! [`Work`] is one transaction. Statements are prepared once a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool as Connections, RecyclingMethod, Runtime, Timeouts,
    Transaction,
};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::store::postgres::connection::Address;
use crate::store::{Error, Result};

/// Reads and small writes at the same time, which also bounds the pages in memory.
pub const CONNECTIONS_MAX: usize = 8;
/// How long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than a statement may take there: the connection is as good as lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(35);

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

pub struct Pool(Connections);

/// A connection for reading.
pub struct Reader {
    client: Option<Client>,
    /// It did not answer, and does not go back to the pool.
    is_silent: AtomicBool,
}

/// One open transaction.
pub struct Work<'c>(Transaction<'c>);

impl Pool {
    pub fn new(address: &Address) -> Result<Self> {
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(
            address.config.clone(),
            address.tls.clone(),
            ManagerConfig { recycling_method },
        );
        let timeouts =
            Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
        let pool = Connections::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build();
        pool.map(Self).map_err(|error| Error::Other(format!("the pool: {error}")))
    }

    pub async fn reader(&self) -> Result<Reader> {
        Ok(Reader { client: Some(self.0.get().await?), is_silent: AtomicBool::new(false) })
    }

    /// Does some work in a transaction of its own. It is durable when this returns with success.
    pub async fn write<T>(&self, work: impl AsyncFnOnce(&Work<'_>) -> Result<T>) -> Result<T> {
        let mut client = self.0.get().await?;
        let working = async {
            let transaction = Work(client.transaction().await?);
            let done = work(&transaction).await?;
            transaction.0.commit().await?;
            Ok(done)
        };
        let outcome = timeout(ANSWER_PATIENCE, working).await;
        outcome.unwrap_or_else(|_| {
            drop(Client::take(client));
            Err(silent())
        })
    }

    pub fn close(&self) {
        self.0.close();
    }
}

impl Reader {
    pub async fn rows(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        self.ask(async |client| {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query(&statement, parameters).await?)
        })
        .await
    }

    pub async fn row(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>> {
        self.ask(async |client| {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query_opt(&statement, parameters).await?)
        })
        .await
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
        let Some(client) = &self.client else { return Err(silent()) };
        timeout(ANSWER_PATIENCE, question(client)).await.unwrap_or_else(|_| {
            self.is_silent.store(true, Ordering::Relaxed);
            Err(silent())
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.is_silent.load(Ordering::Relaxed) {
            drop(self.client.take().map(Client::take));
        }
    }
}

fn silent() -> Error {
    Error::Unavailable("PostgreSQL does not answer".to_owned())
}

impl Work<'_> {
    pub async fn row(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query_opt(&statement, parameters).await?)
    }

    pub async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, parameters).await?)
    }
}
