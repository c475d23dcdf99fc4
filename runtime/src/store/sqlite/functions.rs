//! What SQLite cannot compute by itself.

use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};

use crate::store::bloom::Bloom;

pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    connection.create_aggregate_function("nearest_ranks", 1, flags, NearestRanks)?;
    connection.create_aggregate_function("sum_text", 1, flags, SumText)?;
    // Of a trace that was stored before there were such bits, null.
    connection.create_scalar_function("bits_of_both", 2, flags, |context| {
        let both = bits(context, 0)?.zip(bits(context, 1)?);
        Ok(both.map(|(one, other)| one.union(&other).as_bytes().to_vec()))
    })?;
    connection.create_scalar_function("has_bits", 2, flags, |context| {
        let both = bits(context, 0)?.zip(bits(context, 1)?);
        Ok(both.map(|(bits, wanted)| bits.contains(&wanted)))
    })
}

/// An argument that is the filter of a trace's attributes.
fn bits(context: &Context<'_>, index: usize) -> rusqlite::Result<Option<Bloom>> {
    Ok(context.get_raw(index).as_blob_or_null()?.and_then(Bloom::from_bytes))
}

/// The percentiles 50, 90, 95 and 99 by nearest rank, as `percentile_disc` of PostgreSQL has them, and in its notation
/// of arrays.
struct NearestRanks;

impl Aggregate<Vec<i64>, Option<String>> for NearestRanks {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Vec<i64>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, values: &mut Vec<i64>) -> rusqlite::Result<()> {
        values.push(context.get(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, values: Option<Vec<i64>>) -> rusqlite::Result<Option<String>> {
        let mut values = values.unwrap_or_default();
        values.sort_unstable();
        let ranks = [50, 90, 95, 99].map(|percent| nearest_rank(&values, percent));
        let texts: Option<Vec<String>> = ranks.iter().map(|rank| rank.map(|rank| rank.to_string())).collect();
        Ok(texts.map(|texts| format!("{{{}}}", texts.join(","))))
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn nearest_rank(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// A sum that cannot overflow.
struct SumText;

impl Aggregate<i128, Option<String>> for SumText {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<i128> {
        Ok(0)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut i128) -> rusqlite::Result<()> {
        *sum += i128::from(context.get::<i64>(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<i128>) -> rusqlite::Result<Option<String>> {
        Ok(sum.map(|sum| sum.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::nearest_rank;

    #[test]
    fn ranks_are_those_of_the_definition() {
        assert_eq!(nearest_rank(&[], 50), None);
        assert_eq!(nearest_rank(&[7], 99), Some(7));
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(
            [50, 90, 95, 99].map(|p| nearest_rank(&hundred, p)),
            [Some(50), Some(90), Some(95), Some(99)]
        );
        assert_eq!(nearest_rank(&[15, 20, 35, 40, 50], 50), Some(35));
    }
}
