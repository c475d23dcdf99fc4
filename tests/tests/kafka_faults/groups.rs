//! Rows G1 to G5: groups whose members come and go, with and without saying so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use throughline::kafka::{Backoff, RunnerHandle, RunnerState, tracked};
use throughline_tests::kafka::verdict::Order;

use super::load::{How, Load, Protocol, alone};
use super::support::WAIT;

const PAUSE: Duration = Duration::from_millis(2);
const TICK: Duration = Duration::from_millis(100);

/// What handlers of members do who may be killed at any moment: some take a while.
fn some_take_a_while(number: usize, _: u32) -> How {
    if number.is_multiple_of(50) { How::TakesTime(Duration::from_millis(30)) } else { How::Handles }
}

fn busy_member(load: &Load) -> RunnerHandle {
    load.member_with(some_take_a_while, |consumer| consumer.commit(tracked(TICK, 100)))
}

/// Waits until the members have all partitions among them.
async fn all_assigned(load: &Load, members: &[RunnerHandle], partitions: usize) {
    load.until("all partitions are assigned", || {
        members.iter().map(|member| member.health().partitions).sum::<usize>() == partitions
    })
    .await;
}

/// G1: members join, leave, and are killed, all in one process; so often.
pub(crate) async fn churn(load: &mut Load, rounds: u32) -> Vec<RunnerHandle> {
    let mut members = vec![busy_member(load), busy_member(load)];
    for round in 0..rounds {
        all_assigned(load, &members, 6).await;
        load.flows(100).await;
        members.push(busy_member(load));
        all_assigned(load, &members, 6).await;
        load.flows(100).await;
        // The oldest goes: members are numbered as they come.
        let leaves = members.remove(0);
        if round % 2 == 0 {
            leaves.close(WAIT).await.unwrap();
        } else {
            // Cut off first, so that nobody hears of it.
            load.proxy().sever(&format!("member-{round}"));
            drop(leaves);
            load.flows(100).await;
        }
    }
    all_assigned(load, &members, 6).await;
    members
}

async fn g1(protocol: Protocol) {
    let mut load = Load::start(protocol, 6);
    load.produce(8, PAUSE);
    let members = churn(&mut load, 3).await;
    let _ = load.judged(Order::Partition, members).await;
}

alone! {
    /// G1
    async fn g1_range() within 150 {
        g1(Protocol::Range).await;
    }

    /// G1
    async fn g1_round_robin() within 150 {
        g1(Protocol::RoundRobin).await;
    }

    /// G1
    async fn g1_cooperative_sticky() within 150 {
        g1(Protocol::CooperativeSticky).await;
    }

    /// G1: KIP-848, where the broker assigns.
    async fn g1_assigned_by_the_broker() within 150 {
        g1(Protocol::Broker).await;
    }

    /// G1: a partition that its member keeps runs on through the rebalance, in the same generation.
    async fn g1_kept_partitions_run_on() within 100 {
        // while a classic group joins, the embedded broker refuses the commits of those who leave.
        let mut load = Load::start(Protocol::Broker, 6);
        load.produce(8, PAUSE);
        let mut members = vec![busy_member(&load)];
        all_assigned(&load, &members, 6).await;
        load.flows(200).await;
        members.push(busy_member(&load));
        load.until("the second has a share", || members[1].health().partitions > 0).await;
        load.flows(300).await;
        let judged = load.judged(Order::Partition, members).await;
        let mut kept = std::collections::BTreeMap::<i32, std::collections::BTreeSet<u64>>::new();
        for delivery in judged.records.deliveries.iter().filter(|delivery| delivery.member == 0) {
            kept.entry(delivery.place.partition).or_default().insert(delivery.generation);
        }
        assert!(kept.values().any(|generations| generations.len() == 1), "{kept:?}");
        assert_eq!(judged.verdict.duplicates, 0, "all went in peace");
    }

    /// G2: the group has moved on when the commit arrives.
    async fn g2_commits_of_an_old_generation_are_not_repeated() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let member = load.member_with(|_, _| How::Handles, |consumer| consumer.commit(tracked(TICK, 500)));
        load.flows(200).await;
        for error in [
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        ] {
            load.mock().request_errors(RDKafkaApiKey::OffsetCommit, &[error]);
            load.flows(200).await;
            load.until("commits work again", || member.health().commits_failing_ms.is_none()).await;
            load.until("the member has its partitions", || member.health().partitions == 6).await;
        }
        let judged = load.judged(Order::Partition, vec![member]).await;
        assert!(judged.reports[0].failed_commits >= 1, "{:?}", judged.reports);
    }

    /// G3: cut off for longer than its session, a member loses its partitions: it commits nothing of them, and what its
    /// handlers finish later does not count.
    async fn g3_lost_partitions_are_not_committed() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        static HELD: AtomicBool = AtomicBool::new(false);
        let first = load.member_with(|_, _| How::WaitsFor(&HELD), |consumer| consumer.commit(tracked(TICK, 100)));
        all_assigned(&load, std::slice::from_ref(&first), 6).await;
        load.flows(200).await;
        let second = busy_member(&load);
        load.until("both have a share", || first.health().partitions > 0 && second.health().partitions > 0).await;
        load.flows(100).await;
        HELD.store(true, Ordering::Relaxed);
        load.until("a handler is held", || first.health().in_flight > 0).await;
        load.proxy().sever("member-0");
        load.until("the second has all", || second.health().partitions == 6).await;
        load.flows(100).await;
        load.until("the first knows", || first.health().partitions == 0).await;
        HELD.store(false, Ordering::Relaxed);
        load.until("the old handlers have ended", || {
            load.checker.records().deliveries.iter().all(|delivery| delivery.member != 0 || delivery.ended.is_some())
        })
        .await;
        load.proxy().heal("member-0");
        load.until("the first is back", || first.health().partitions > 0).await;
        load.flows(100).await;
        let judged = load.judged(Order::Partition, vec![first, second]).await;
        assert!(judged.reports[0].late_results > 0, "{:?}", judged.reports);
    }

    /// G4: partitions go and come back before anybody looks; again and again.
    async fn g4_revoked_and_assigned_again_at_once() within 150 {
        let mut load = Load::start(Protocol::Broker, 6);
        load.produce(8, PAUSE);
        let first = busy_member(&load);
        load.flows(100).await;
        for _ in 0..3 {
            let other = busy_member(&load);
            load.until("the other has a share", || other.health().partitions > 0).await;
            other.close(WAIT).await.unwrap();
            load.flows(50).await;
        }
        let judged = load.judged(Order::Partition, vec![first]).await;
        assert_eq!(judged.verdict.duplicates, 0, "all went in peace");
    }

    /// G4: a partition is revoked while the runner has it paused, and comes back unpaused (K-7).
    async fn g4_revoked_while_paused() within 150 {
        let mut load = Load::start(Protocol::Range, 6);
        load.produce(8, PAUSE);
        let patience = Backoff::default().initial(Duration::from_secs(600)).max(Duration::from_secs(600)).jitter(false);
        let block = Arc::new(AtomicBool::new(true));
        let blocks = Arc::clone(&block);
        let fails = move |_, attempt| {
            if attempt == 1 && blocks.load(Ordering::Relaxed) { How::Fails } else { How::Handles }
        };
        let first = load.member_with(fails, |consumer| consumer.retry(patience).commit(tracked(TICK, 100)));
        load.until("all is blocked and paused", || first.health().paused == 6).await;
        block.store(false, Ordering::Relaxed);
        let second = busy_member(&load);
        load.until("the second has a share", || second.health().partitions > 0).await;
        load.flows(200).await;
        second.close(WAIT).await.unwrap();
        load.until("the first has all again", || first.health().partitions == 6).await;
        load.flows(200).await;
        assert_eq!(first.health().paused, 0);
        let _ = load.judged(Order::Partition, vec![first]).await;
    }

    /// G5: a handler that takes longer than `max.poll.interval.ms` costs no membership; health tells of it.
    async fn g5_a_slow_handler_keeps_its_member() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        let number = load.next_member();
        let mut config = load.config(number);
        config.set("max.poll.interval.ms", "1500");
        let hold = Arc::new(AtomicBool::new(false));
        let held = Arc::clone(&hold);
        let slow = move |number: usize, _| {
            if number == 0 { held.store(true, Ordering::Relaxed); How::TakesTime(Duration::from_secs(5)) } else { How::Handles }
        };
        let member = load.member_of(config, number, false, slow, |consumer| consumer);
        load.until("the member has all", || member.health().partitions == 6).await;
        load.produce(8, PAUSE);
        load.until("the handler is held", || hold.load(Ordering::Relaxed)).await;
        load.until("it is older than the interval", || {
            let health = member.health();
            assert_eq!((health.state, health.partitions, health.live), (RunnerState::Running, 6, true), "{health:?}");
            health.oldest_in_flight_ms.is_some_and(|age| age > 3_000)
        })
        .await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        // The assignment, and the return of the partitions at the end.
        assert_eq!((judged.verdict.duplicates, judged.reports[0].rebalances), (0, 2), "{:?}", judged.reports);
    }

    /// G5, K-12: the poll thread is held up for longer than the interval, and so is every handler: nothing polls. The
    /// group goes on without the member, which joins again; what its handlers finish late does not count.
    async fn g5_a_member_that_does_not_poll_joins_again() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        let number = load.next_member();
        let mut config = load.config(number);
        config.set("max.poll.interval.ms", "1500");
        let (hold, slow_ones) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (held, begun) = (Arc::clone(&hold), Arc::clone(&slow_ones));
        let slow = move |_, _| {
            if !held.load(Ordering::Relaxed) {
                return How::Handles;
            }
            begun.fetch_add(1, Ordering::Relaxed);
            How::TakesTime(Duration::from_secs(6))
        };
        let member = load.member_of(config, number, false, slow, |consumer| consumer);
        load.produce(8, PAUSE);
        load.flows(100).await;
        hold.store(true, Ordering::Relaxed);
        load.until("every partition has a slow handler", || slow_ones.load(Ordering::Relaxed) == 6).await;
        member.hold_polls(Duration::from_secs(3));
        load.until("it is not live", || !member.health().live).await;
        hold.store(false, Ordering::Relaxed);
        load.until("it has lost its partitions", || load.checker.records().generations() > 6).await;
        load.until("it is live and has its partitions", || {
            member.health().live && member.health().partitions == 6
        })
        .await;
        load.flows(200).await;
        load.until("the old handlers have ended", || {
            load.checker.records().deliveries.iter().take_while(|old| old.generation <= 6).all(|old| old.ended.is_some())
        })
        .await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        let report = &judged.reports[0];
        assert!(report.rebalances >= 4 && report.late_results > 0, "{report:?}");
    }

    /// K-4: a logger that blocks holds up no poll, and nobody's records.
    async fn g5_a_logger_that_blocks_holds_up_nothing() within 100 {
        super::hold::install();
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let member = busy_member(&load);
        load.flows(100).await;
        super::hold::hold_up(Duration::from_secs(20));
        load.until("the logger blocks", || {
            // A connection that ends is worth a line.
            load.proxy().reset();
            !super::hold::is_pending()
        })
        .await;
        // As long as the fault lasts.
        tokio::time::sleep(Duration::from_secs(3)).await;
        load.flows(200).await;
        let polled = member.health().last_poll_age_ms;
        assert!(polled < 2_000, "polled {polled} ms ago");
        assert!(super::hold::is_holding(), "it polled while the logger was blocked");
        super::hold::let_go();
        let _ = load.judged(Order::Partition, vec![member]).await;
    }
}
