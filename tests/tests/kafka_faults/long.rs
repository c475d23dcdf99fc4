//! What takes minutes: `cargo test -p throughline-tests --test kafka_faults -- --ignored --nocapture long`.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use throughline::kafka::{RunnerHandle, tracked};
use throughline_tests::kafka::verdict::Order;

use super::load::{How, Load, Protocol, on_runtime};
use super::support::WAIT;

/// They would take each other's time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const PARTITIONS: i32 = 12;
const MEMBERS: usize = 4;

/// How many changes of the group each protocol has: joins, leaves and deaths, each of which is a rebalance.
const CHANGES: u32 = 1_000;

fn member(load: &Load) -> RunnerHandle {
    let some_take_a_while = |number: usize, _| {
        if number.is_multiple_of(50) { How::TakesTime(Duration::from_millis(20)) } else { How::Handles }
    };
    load.member_with(some_take_a_while, |consumer| consumer.commit(tracked(Duration::from_millis(100), 100)))
}

/// Four members of which one goes and another comes, again and again, in three ways of going.
async fn changes(protocol: Protocol, changes: u32) {
    let begun = Instant::now();
    let mut load = Load::start(protocol, PARTITIONS);
    // The embedded broker looks for each record from the start of its log, so it takes few of them in so much time.
    load.produce(4, Duration::from_millis(100));
    let mut members: Vec<RunnerHandle> = Vec::new();
    let (mut made, mut oldest, mut rebalances) = (0, 0, 0);
    let mut killed = None;
    while made < changes {
        if members.len() < MEMBERS {
            members.push(member(&load));
        } else {
            let leaves = members.remove(0);
            match oldest % 3 {
                0 => rebalances += leaves.close(WAIT).await.unwrap().rebalances,
                1 => drop(leaves),
                _ => {
                    // Killed: nobody hears of it.
                    let client = format!("member-{oldest}");
                    load.proxy().sever(&client);
                    drop(leaves);
                    killed = Some(client);
                }
            }
            oldest += 1;
        }
        made += 1;
        load.until("all partitions are assigned", || {
            let assigned = members.iter().map(|member| member.health().partitions).sum::<usize>();
            assigned == usize::try_from(PARTITIONS).unwrap()
        })
        .await;
        load.catches_up().await;
        if let Some(client) = killed.take() {
            // The group has gone on: what the dead one still wants to say is refused.
            load.proxy().heal(&client);
        }
        if made.is_multiple_of(100) {
            println!("{protocol:?}: {made} changes, {:?}, {:?}", begun.elapsed(), load.checker.progress());
        }
    }
    let judged = load.judged(Order::Partition, members).await;
    rebalances += judged.reports.iter().map(|report| report.rebalances).sum::<u64>();
    println!(
        "{protocol:?}: {made} changes of the group, {} acquisitions of partitions, {rebalances} assignments and revocations \
         of members that went in peace, in {:?}: {}",
        judged.records.generations(),
        begun.elapsed(),
        judged.verdict
    );
}

fn long(name: &str, limit: Duration, test: impl Future<Output = ()>) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let said = super::alone::run(&format!("{}::{name}", module_path!()), limit, || on_runtime(test));
    for line in said.iter().flat_map(|said| said.out.lines()).filter(|line| line.contains("changes")) {
        println!("{line}");
    }
}

/// 1,000 rebalances of a group with four members, as brokers assign (KIP-848): nothing is lost.
#[test]
#[ignore = "takes minutes"]
fn long_1_000_rebalances_assigned_by_the_broker() {
    long(
        "long_1_000_rebalances_assigned_by_the_broker",
        Duration::from_secs(3_600),
        changes(Protocol::Broker, CHANGES),
    );
}

/// 1,000 rebalances of a group with four members, cooperative-sticky: nothing is lost.
#[test]
#[ignore = "takes minutes"]
fn long_1_000_rebalances_cooperative_sticky() {
    long(
        "long_1_000_rebalances_cooperative_sticky",
        Duration::from_secs(3_600),
        changes(Protocol::CooperativeSticky, CHANGES),
    );
}

/// The short variants: twenty of each.
#[test]
fn short_20_rebalances() {
    let path = concat!(module_path!(), "::short_20_rebalances");
    super::alone::run(path, Duration::from_secs(150), || {
        on_runtime(changes(Protocol::CooperativeSticky, 20));
    });
}

/// All rows, three times in a row.
#[test]
#[ignore = "takes minutes"]
fn long_every_row_three_times_in_a_row() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for run in 1..=3 {
        let begun = Instant::now();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        let result = out.lines().find(|line| line.starts_with("test result")).unwrap_or_default();
        println!("run {run}: {result} ({:?})", begun.elapsed());
        assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
