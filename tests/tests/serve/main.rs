//! The OTLP receiver, and the program `throughline` around it.

mod grpc;
mod hostile;
mod http;
mod kafka;
mod program;
mod python;
mod stops;
mod support;
