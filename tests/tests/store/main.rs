//! The store: one suite that runs against SQLite and PostgreSQL, and what is special to either.
//!
//! The PostgreSQL half runs when `THROUGHLINE_TEST_POSTGRES` names a server, as in
//! `tests/peers/postgres -- cargo test -p throughline-tests --test store`.

mod age;
mod exporter;
mod filters;
mod guide;
mod hostile;
mod lists;
mod migrations;
mod model;
mod names;
mod partitions;
mod sqlite_file;
mod statistics;
mod support;
mod tail;
mod writes;

/// Makes two tests of each case: `sqlite::case` and `postgres::case`. A case takes a fixture.
#[macro_export]
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $case() { $crate::support::on_sqlite(|fixture| Box::pin(super::$case(fixture))); })*
        }
        mod postgres {
            $(#[test] fn $case() { $crate::support::on_postgres(|fixture| Box::pin(super::$case(fixture))); })*
        }
    };
}
