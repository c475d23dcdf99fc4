//! The server layer over a real server on the loopback interface.

mod ends;
mod health;
mod parents;
mod spans;
mod support;
