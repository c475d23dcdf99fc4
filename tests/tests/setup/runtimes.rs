//! Works without a tokio runtime, and in each kind of them.

use crate::process::run;

macro_rules! delivers {
    ($($program:ident)*) => {$(
        #[test]
        fn $program() {
            assert_eq!(run(stringify!($program), &[]).names(), ["work"]);
        }
    )*};
}

delivers! {
    no_runtime
    current_thread
    current_thread_blocked
    one_worker
    one_worker_dropped
    runtime_ends_first
}
