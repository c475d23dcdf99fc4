//! What Jaeger's clients are answered: by us alone, and side by side with a real Jaeger that got the same spans.
//!
//! The comparison runs when `THROUGHLINE_TEST_JAEGER` names a server, as in
//! `tests/peers/jaeger -- cargo test -p throughline-tests --test jaeger`.

mod compared;
mod differences;
mod hostile;
mod limits;
mod only_ours;
mod plain;
mod requests;
mod server;
mod spans;

use throughline_tests::on_both;
