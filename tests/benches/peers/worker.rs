//! One candidate in a process of its own.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::candidates::{self, Candidate, Mode};

fn cpu_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Reads `mode traces` lines, answers each with `wall thread_cpu process_cpu exported lost`.
pub(crate) fn serve(name: &str) -> ExitCode {
    let candidate = candidates::start(name);
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Some((mode, traces)) = line.split_once(' ') else { break };
        let (Some(mode), Ok(traces)) = (Mode::from_word(mode), traces.parse()) else { break };
        let exported_before = candidates::exported();
        let process = cpu_ns(ClockId::ProcessCPUTime);
        let (wall, thread, done) = match mode {
            Mode::TwoThreads => two_threads(&candidate, traces),
            _ => one_thread(&candidate, mode, traces),
        };
        (candidate.flush)();
        let process = cpu_ns(ClockId::ProcessCPUTime) - process;
        let exported = candidates::exported() - exported_before;
        let lost = (candidate.spans_per_trace * done).saturating_sub(exported);
        println!("{wall} {thread} {process} {exported} {lost}");
        let _ = std::io::stdout().flush();
    }
    if candidates::malformed() > 0 {
        eprintln!("{name}: {} malformed spans", candidates::malformed());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn one_thread(candidate: &Candidate, mode: Mode, traces: u64) -> (u64, u64, u64) {
    let (wall, cpu) = timed(|| candidate.run(mode, traces));
    (wall, cpu, traces)
}

fn two_threads(candidate: &Candidate, traces: u64) -> (u64, u64, u64) {
    const WARM_UP: u64 = 20;
    let barrier = Barrier::new(2);
    let times: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    candidate.run(Mode::OneThread, WARM_UP);
                    barrier.wait();
                    timed(|| candidate.run(Mode::OneThread, traces))
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let wall = times.iter().map(|time| time.0).max().unwrap_or(0);
    let cpu = times.iter().map(|time| time.1).sum::<u64>() / 2;
    (wall, cpu, 2 * (traces + WARM_UP))
}

fn timed(work: impl FnOnce()) -> (u64, u64) {
    let (wall, cpu) = (Instant::now(), cpu_ns(ClockId::ThreadCPUTime));
    work();
    let cpu = cpu_ns(ClockId::ThreadCPUTime) - cpu;
    (u64::try_from(wall.elapsed().as_nanos()).unwrap_or(u64::MAX), cpu)
}

/// Runs once under callgrind, which counts inside [`measured_region`] only.
pub(crate) fn once(name: &str, traces: u64) -> ExitCode {
    let candidate = candidates::start(name);
    candidate.run(Mode::OneThread, 20);
    measured_region(&candidate, traces);
    (candidate.flush)();
    ExitCode::SUCCESS
}

#[inline(never)]
fn measured_region(candidate: &Candidate, traces: u64) {
    candidate.run(Mode::OneThread, std::hint::black_box(traces));
}
