//! The janitor: partitions ahead, retention. One process at a time.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::calendar::Period;
use super::connection::failed;
use super::{partition, run};
use crate::store::answer::Maintained;
use crate::store::error::StoreError;
use crate::store::options::StoreOptions;
use crate::store::span::nanoseconds;

use super::values::Time;

/// `througlj` as a number: who holds it is the janitor.
const LOCK: i64 = 0x7468_726f_7567_6c6a;

/// Partitions made beside the present one.
const AHEAD: usize = 2;

/// Summaries removed in one transaction.
const SLICE: i64 = 5_000;

pub(super) async fn maintain(
    client: &mut Client,
    now_ns: i64,
    options: &StoreOptions,
) -> Result<Maintained, StoreError> {
    if !elected(client).await? {
        return Ok(Maintained { busy: true, ..Maintained::default() });
    }
    let done = work(client, now_ns, options).await;
    // The connection ends with this call, and the lock with it; behind a pooler it would stay.
    let _ = client.query_typed("select pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)]).await;
    done
}

/// Whether we are the janitor: the lock is taken, and held by the very connection that goes on.
async fn elected(client: &Client) -> Result<bool, StoreError> {
    let sql = "select pg_try_advisory_lock($1)";
    let rows = client.query_typed(sql, &[(&LOCK, Type::INT8)]).await.map_err(failed)?;
    if !rows.first().map(|row| row.try_get::<_, bool>(0)).transpose().map_err(failed)?.unwrap_or(false) {
        return Ok(false);
    }
    let sql = "select 1 from pg_locks where locktype = 'advisory' and granted and pid = pg_backend_pid() \
               and classid::int8 = ($1::int8 >> 32) and objid::int8 = ($1::int8 & 4294967295) and objsubid = 1";
    let held = client.query_typed(sql, &[(&LOCK, Type::INT8)]).await.map_err(failed)?;
    Ok(!held.is_empty())
}

async fn work(client: &mut Client, now_ns: i64, options: &StoreOptions) -> Result<Maintained, StoreError> {
    let mut maintained = Maintained::default();
    // Whoever waits for a table's lock makes all others wait behind him: better to come again later.
    run(client, "set lock_timeout = '2s'").await?;
    let mut period = Period::of(now_ns, options.partition);
    let mut starts = vec![now_ns];
    for _ in 0..AHEAD {
        period = period.next(options.partition);
        starts.push(period.ns().0);
    }
    maintained.partitions_made = partition::make(client, starts, options.partition).await?;

    let Some(retention) = options.retention else { return Ok(maintained) };
    let oldest = now_ns.saturating_sub(nanoseconds(retention));
    finish_detached(client).await?;
    let mut kept_from = oldest;
    for (table, period) in partition::periods(client).await? {
        if period.ns().1 <= oldest {
            detach(client, &table).await?;
            run(client, &format!("drop table {table}")).await?;
            maintained.partitions_dropped.push(table);
        } else {
            kept_from = kept_from.min(period.ns().0);
        }
    }
    // Summaries of traces whose spans are all gone.
    loop {
        let sql = "with going as (select trace_id from trace_summaries where end_ns < $1 and start_ns < $1 \
                   order by start_ns limit $2) \
                   delete from trace_summaries t using going where t.trace_id = going.trace_id returning 1";
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&kept_from, Type::INT8), (&SLICE, Type::INT8)];
        let removed = client.query_typed(sql, &params).await.map_err(failed)?.len() as u64;
        maintained.traces_removed += removed;
        if removed < SLICE.unsigned_abs() {
            break;
        }
    }
    // A day more: names are noted once a day.
    let noted = Time(oldest.saturating_sub(86_400_000_000_000));
    for table in ["trace_operations", "execution_trace_resources"] {
        let sql = format!("delete from {table} where last_seen < $1");
        client.query_typed(&sql, &[(&noted, Type::TIMESTAMPTZ)]).await.map_err(failed)?;
    }
    Ok(maintained)
}

/// Without stopping readers and writers; in one go where that is not possible.
async fn detach(client: &Client, table: &str) -> Result<(), StoreError> {
    let concurrently = format!("alter table execution_traces detach partition {table} concurrently");
    match client.batch_execute(&concurrently).await {
        Ok(()) => Ok(()),
        Err(error) if error.code().is_some_and(|code| matches!(code.code(), "25001" | "55P03" | "0A000")) => {
            run(client, &format!("alter table execution_traces detach partition {table}")).await
        }
        Err(error) => Err(failed(error)),
    }
}

/// What a janitor before us was interrupted at: its partition is detached halfway, and cannot be dropped before.
async fn finish_detached(client: &Client) -> Result<(), StoreError> {
    let sql = "select format('%I.%I', n.nspname, c.relname) from pg_inherits i join pg_class c on c.oid = i.inhrelid \
               join pg_namespace n on n.oid = c.relnamespace \
               where i.inhparent = to_regclass('execution_traces') and i.inhdetachpending";
    let rows = client.query_typed(sql, &[]).await.map_err(failed)?;
    for row in &rows {
        let table: String = row.try_get(0).map_err(failed)?;
        run(client, &format!("alter table execution_traces detach partition {table} finalize")).await?;
        run(client, &format!("drop table {table}")).await?;
    }
    Ok(())
}
