//! What the macros accept, refuse and expand to, without a compiler.
