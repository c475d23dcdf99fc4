//! The OTLP receiver, and the program `throughline` around it.

mod grpc;
mod hostile;
mod http;
mod program;
mod stops;
mod support;
