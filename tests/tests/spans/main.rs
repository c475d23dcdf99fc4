//! What the macros record, read from exported spans: every shape of function with every ending, and every argument.

mod arguments;
mod cancelled;
mod endings;
mod fields;
mod fragments;
mod functions;
mod inline;
mod leaf_arguments;
mod outcome;
mod support;
mod unwinding;
