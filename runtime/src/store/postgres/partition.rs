//! Making partitions. A new table is filled with nothing and then attached, which locks out no reader and no writer.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::calendar::Period;
use super::connection::failed;
use super::migrate::lock;
use super::run;
use crate::store::error::StoreError;
use crate::store::options::Partition;

/// Makes the partitions for these times that are not there; the names of the new ones.
///
/// Where days were used before months, or months before days, the rest of a month is made of days.
pub(super) async fn make(
    client: &mut Client,
    times_ns: impl IntoIterator<Item = i64>,
    partition: Partition,
) -> Result<Vec<String>, StoreError> {
    let times: BTreeSet<i64> = times_ns.into_iter().collect();
    let transaction = client.transaction().await.map_err(failed)?;
    lock(transaction.client()).await?;
    let mut there = periods(transaction.client()).await?;
    let mut made = Vec::new();
    for time in times {
        let day = Period::of(time, Partition::Day);
        if there.iter().any(|(_, period)| period.from <= day.from && day.to <= period.to) {
            continue;
        }
        let wanted = Period::of(time, partition);
        let is_free = !there.iter().any(|(_, period)| period.from < wanted.to && wanted.from < period.to);
        let period = if is_free { wanted } else { day };
        let (table, (from, to)) = (period.table(), period.bounds());
        run(
            transaction.client(),
            &format!(
                "create table {table} (like execution_traces including defaults including constraints); \
                 alter table execution_traces attach partition {table} for values from ({from}) to ({to})"
            ),
        )
        .await?;
        there.push((table.clone(), period));
        made.push(table);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(made)
}

/// The partitions that there are, by the catalogue: their names may have been given by others.
pub(super) async fn periods(client: &Client) -> Result<Vec<(String, Period)>, StoreError> {
    let sql = r"select format('%I.%I', n.nspname, c.relname), (extract(epoch from b[1]::timestamptz) / 86400)::int8,
          ceil(extract(epoch from b[2]::timestamptz) / 86400)::int8
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_namespace n on n.oid = c.relnamespace
        cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') b
        where i.inhparent = to_regclass('execution_traces') and b is not null and not i.inhdetachpending";
    let rows = client.query_typed(sql, &[]).await.map_err(failed)?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, Period { from: row.try_get(1)?, to: row.try_get(2)? })))
        .collect::<Result<_, _>>()
        .map_err(failed)
}
