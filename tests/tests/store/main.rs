//! The store: one suite that runs against SQLite and PostgreSQL, and what is special to either.
//!
//! The PostgreSQL half runs when `THROUGHLINE_TEST_POSTGRES` names a server, as in
//! `tests/peers/postgres -- cargo test -p throughline-tests --test store`.

mod age;
mod around_spans;
mod attributes;
mod exporter;
mod filters;
mod guide;
mod hostile;
mod lists;
mod many;
mod migrations;
mod model;
mod names;
mod partitions;
mod sqlite_file;
mod statistics;
mod tail;
mod writes;

use throughline_tests::{on_both, store as support};
