//! Ways to end: the guard, a second shutdown, a panic, a signal.

use crate::process::run;

// tracing-opentelemetry#122 #159, otel-rust#542 #1961: spans are not lost at the end of the program.
#[test]
fn dropping_the_guard_flushes() {
    let ended = run("guard_is_dropped", &[]);
    assert_eq!(ended.names(), ["work"]);
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
}

#[test]
fn dropping_the_guard_at_once_is_warned_of() {
    let ended = run("guard_is_dropped_at_once", &[]);
    assert!(ended.stderr.contains("keep what setup_tracing returns in a variable"), "{}", ended.stderr);
}

#[test]
fn shutdown_is_idempotent() {
    assert_eq!(run("shutdown_twice", &[]).names(), ["work"]);
}

#[test]
fn flush_delivers_and_goes_on() {
    assert_eq!(run("flush_keeps_going", &[]).names(), ["work", "work"]);
}

/// The hanging one would hold these programs for ever.
#[test]
fn deadline_holds_with_an_exporter_that_hangs() {
    for program in ["hanging_exporter", "hanging_exporter_current_thread", "hanging_exporter_one_worker"] {
        assert_eq!(run(program, &[]).names(), ["work"], "{program}");
    }
}

#[test]
fn dropping_the_guard_says_what_did_not_arrive() {
    let ended = run("hanging_exporter_dropped", &[]);
    assert_eq!(ended.names(), ["work"]);
    assert!(ended.stderr.contains("not all spans arrived before the shutdown"), "{}", ended.stderr);
    assert!(ended.stderr.contains("Hanging: 0 exported, 1 undelivered"), "{}", ended.stderr);
}

#[test]
fn panic_hook_records_the_message() {
    let span = run("panics_with_hook", &[]).span("breaks");
    assert_eq!(span["attributes"]["error.type"], "panic");
    let events = span["events"].to_string();
    assert!(events.contains("out of paper") && events.contains("programs.rs"), "{events}");
}

#[cfg(unix)]
mod signals {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

    use crate::process::command;

    /// A program that says when it is ready for a signal.
    struct Running {
        child: Child,
        output: BufReader<ChildStdout>,
    }

    impl Running {
        fn start(program: &str) -> Self {
            let mut child = command(program).stdout(Stdio::piped()).spawn().expect("the program runs");
            let output = BufReader::new(child.stdout.take().expect("piped"));
            Self { child, output }
        }

        /// Sends SIGTERM when the program has printed this line.
        fn terminate_at(mut self, ready: &str) -> Self {
            let mut line = String::new();
            while line.trim_end() != ready {
                line.clear();
                assert_ne!(self.output.read_line(&mut line).expect("text"), 0, "the program ended early");
            }
            let id = self.child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
            self
        }

        /// How it ended, and what else it printed.
        fn end(mut self) -> (ExitStatus, String) {
            let mut rest = String::new();
            self.output.read_to_string(&mut rest).expect("text");
            (self.child.wait().expect("an end"), rest)
        }
    }

    fn terminate(program: &str) -> (ExitStatus, String) {
        Running::start(program).terminate_at("ready").end()
    }

    #[test]
    fn second_signal_ends_the_program_at_once() {
        let (status, _) =
            Running::start("ends_slowly").terminate_at("ready").terminate_at("ready for another").end();
        assert_eq!(status.signal(), Some(15), "{status}");
    }

    #[test]
    fn signal_that_nobody_waits_for_any_more_ends_the_program() {
        assert_eq!(terminate("waits_no_more").0.signal(), Some(15));
    }

    #[test]
    fn signal_flushes_and_then_ends_the_program_as_ever() {
        let (status, output) = terminate("flushes_on_signal");
        assert_eq!(status.signal(), Some(15), "{status}");
        assert!(output.contains("\"work\""), "{output}");
    }

    #[test]
    fn shutdown_signal_lets_the_program_end_by_itself() {
        let (status, output) = terminate("waits_for_signal");
        assert!(status.success(), "{status}");
        assert!(output.contains("ended gracefully") && output.contains("\"work\""), "{output}");
    }
}
