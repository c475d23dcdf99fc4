//! Ways to end: the guard, a second shutdown, a panic, a signal.

use crate::process::run;

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
    use std::process::{Command, ExitStatus, Stdio};

    use crate::process::command;

    /// Starts the program, sends it SIGTERM when it is ready, gives its end and what it printed after that.
    fn terminate(program: &str) -> (ExitStatus, String) {
        let mut child = command(program).stdout(Stdio::piped()).spawn().expect("the program runs");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.ends_with("ready\n") {
            line.clear();
            assert_ne!(output.read_line(&mut line).expect("text"), 0, "the program ended early");
        }
        let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(kill.success());
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("text");
        (child.wait().expect("an end"), rest)
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
