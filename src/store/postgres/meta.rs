//! The table `meta`: what the store knows about itself.

use tokio_postgres::Client;

use crate::store::Result;
use crate::store::fault::corrupt;
use crate::store::postgres::pool::Work;
use crate::store::rows::random_word;

const EPOCH: &str = "epoch";
const STORE_ID: &str = "store_id";
const REVOCATION_HEAD: &str = "revocation_head";

/// What a new store needs to know.
pub async fn begin(client: &Client) -> Result<()> {
    for (key, value) in
        [(EPOCH, random_word()), (STORE_ID, random_word()), (REVOCATION_HEAD, "0".to_owned())]
    {
        let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        client.execute(sql, &[&key, &value]).await?;
    }
    Ok(())
}

pub async fn epoch(client: &Client) -> Result<String> {
    get(client, EPOCH).await
}

/// What tells this store from all others.
pub async fn store_id(client: &Client) -> Result<String> {
    get(client, STORE_ID).await
}

async fn get(client: &Client, key: &str) -> Result<String> {
    let sql = "SELECT value FROM meta WHERE key = $1";
    match client.query_opt(sql, &[&key]).await? {
        Some(row) => Ok(row.try_get(0)?),
        None => corrupt("meta", key, "is missing"),
    }
}

/// The epoch of the store that this one takes the place of.
pub async fn set_epoch(client: &Client, epoch: &str) -> Result<()> {
    let sql = "UPDATE meta SET value = $2 WHERE key = $1";
    client.execute(sql, &[&EPOCH, &epoch]).await?;
    Ok(())
}

pub async fn renew_epoch(work: &Work<'_>) -> Result<String> {
    let epoch = random_word();
    work.execute("UPDATE meta SET value = $2 WHERE key = $1", &[&EPOCH, &epoch]).await?;
    Ok(epoch)
}
