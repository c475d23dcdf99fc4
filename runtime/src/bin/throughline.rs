//! `throughline serve`: receives OTLP, keeps traces in PostgreSQL or SQLite, answers questions about them.
//! `throughline migrate`: makes the tables.

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline::serve::main()
}
