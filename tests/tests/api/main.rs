//! The endpoints over real HTTP: over SQLite, and over PostgreSQL when `THROUGHLINE_TEST_POSTGRES` names a server.

mod access;
mod answers;
mod document;
mod fuzzer;
mod hostile;
mod lists;
mod problems;
mod spans;
mod stream;
mod support;

use throughline_tests::on_both;
