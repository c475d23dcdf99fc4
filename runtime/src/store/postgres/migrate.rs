//! Migrations: each step in one transaction, under a lock that ends with it and so passes any pooler.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::failed;
use super::{MIGRATIONS, run};
use crate::store::error::StoreError;
use crate::store::migration::{missing, newest};

/// `througlm` as a number: nobody else's advisory lock.
pub(super) const LOCK: i64 = 0x7468_726f_7567_6c6d;

/// The version of the schema; 0 for none.
pub(super) async fn version(client: &Client) -> Result<i32, StoreError> {
    let sql = "select to_regclass('throughline_migrations') is not null";
    let exists = client.query_typed(sql, &[]).await.map_err(failed)?;
    if !exists.first().map(|row| row.try_get::<_, bool>(0)).transpose().map_err(failed)?.unwrap_or(false) {
        return Ok(0);
    }
    let sql = "select coalesce(max(version), 0) from throughline_migrations";
    let rows = client.query_typed(sql, &[]).await.map_err(failed)?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)?.unwrap_or(0))
}

/// Takes the lock for the rest of the transaction, and looks whether it is held: a proxy may have sent us elsewhere.
pub(super) async fn lock(client: &Client) -> Result<(), StoreError> {
    client.query_typed("select pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await.map_err(failed)?;
    let sql = "select 1 from pg_locks where locktype = 'advisory' and granted and pid = pg_backend_pid() \
               and classid::int8 = ($1::int8 >> 32) and objid::int8 = ($1::int8 & 4294967295) and objsubid = 1";
    let held = client.query_typed(sql, &[(&LOCK, Type::INT8)]).await.map_err(failed)?;
    if held.is_empty() {
        return Err(StoreError::unavailable(
            "the lock for changes of the schema was not kept by the connection",
        ));
    }
    Ok(())
}

pub(super) async fn migrate(client: &mut Client, index_attributes: bool) -> Result<i32, StoreError> {
    // Most of the time nothing is to do, and then nobody waits for a lock.
    let found = version(client).await?;
    if found > newest(MIGRATIONS) {
        return Ok(found);
    }
    loop {
        let transaction = client.transaction().await.map_err(failed)?;
        lock(transaction.client()).await?;
        run(
            transaction.client(),
            "create table if not exists throughline_migrations (version int4 primary key, checksum text not null, \
             at timestamptz not null default now())",
        )
        .await?;
        let sql = "select version, checksum from throughline_migrations";
        let rows = transaction.query_typed(sql, &[]).await.map_err(failed)?;
        let applied = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<Vec<(i32, String)>, _>>()
            .map_err(failed)?;
        let missing = missing(MIGRATIONS, &applied)?;
        let Some(step) = missing.first() else {
            transaction.commit().await.map_err(failed)?;
            break;
        };
        run(transaction.client(), step.sql).await?;
        let sql = "insert into throughline_migrations (version, checksum) values ($1, $2)";
        let checksum = step.checksum();
        transaction
            .query_typed(sql, &[(&step.version, Type::INT4), (&checksum, Type::TEXT)])
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    if index_attributes {
        let transaction = client.transaction().await.map_err(failed)?;
        lock(transaction.client()).await?;
        run(
            transaction.client(),
            "create index if not exists execution_traces_attributes on execution_traces using gin (attributes jsonb_path_ops)",
        )
        .await?;
        transaction.commit().await.map_err(failed)?;
    }
    version(client).await
}
