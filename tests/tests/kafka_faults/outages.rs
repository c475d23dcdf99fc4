//! Rows B1, B2, B5 and B7: brokers that fail under a runner that works.

use std::time::Duration;

use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use throughline::kafka::{RunnerState, tracked};
use throughline_tests::kafka::proxy::Fault;
use throughline_tests::kafka::verdict::Order;

use super::load::{GROUP, How, Load, Protocol, alone};
use super::support::{TOPIC, WAIT};

const PAUSE: Duration = Duration::from_millis(2);

fn coordinator(load: &Load, broker: i32) {
    load.mock().coordinator(MockCoordinator::Group(GROUP.to_owned()), broker).unwrap();
}

/// Moves the partitions of one broker to another.
fn move_leaders(load: &Load, partitions: impl IntoIterator<Item = i32>, to: Option<i32>) {
    for partition in partitions {
        load.mock().partition_leader(TOPIC, partition, to).unwrap();
    }
}

alone! {
    /// B1: one of three brokers goes and comes back; its partitions move. The embedded cluster moves no leader by itself.
    async fn b1_a_broker_goes_and_comes_back() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        coordinator(&load, 1);
        load.produce(8, PAUSE);
        let members = vec![load.member(), load.member()];
        load.flows(200).await;
        load.mock().broker_down(2).unwrap();
        move_leaders(&load, [1, 4], Some(3));
        load.flows(300).await;
        load.mock().broker_up(2).unwrap();
        move_leaders(&load, [1, 4], Some(2));
        load.flows(300).await;
        let judged = load.judged(Order::Partition, members).await;
        assert!(judged.records.sends.len() == judged.verdict.acknowledged, "no send failed in the end");
    }

    /// B1: while a partition has no leader the others flow, and afterwards it does.
    async fn b1_a_partition_without_leader_holds_up_no_other() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        coordinator(&load, 1);
        // The embedded broker reads the leader of a partition that has none in the answers of later versions.
        load.mock().apiversion(RDKafkaApiKey::Produce, Some(0), Some(9)).unwrap();
        load.mock().apiversion(RDKafkaApiKey::Fetch, Some(0), Some(11)).unwrap();
        // Each is held up when it comes to the partition, so there are many.
        load.produce(200, PAUSE);
        let members = vec![load.member()];
        load.flows(200).await;
        move_leaders(&load, [0], None);
        load.flows(300).await;
        move_leaders(&load, [0], Some(1));
        load.flows(300).await;
        let _ = load.judged(Order::Partition, members).await;
    }

    /// B1: the coordinator moves from broker to broker.
    async fn b1_the_coordinator_moves() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let members = vec![load.member(), load.member()];
        load.flows(100).await;
        for broker in [1, 2, 3, 1] {
            coordinator(&load, broker);
            load.flows(150).await;
        }
        let _ = load.judged(Order::Partition, members).await;
    }

    /// B1: the coordinator is gone at the moment at which members ask for the offsets of their new partitions.
    async fn b1_the_coordinator_moves_in_a_rebalance() within 150 {
        coordinator_gone_in_a_rebalance(Protocol::CooperativeSticky).await;
    }

    /// B1: the same where all partitions go and come at once.
    async fn b1_the_coordinator_moves_in_an_eager_rebalance() within 150 {
        coordinator_gone_in_a_rebalance(Protocol::Range).await;
    }

    /// B1: without a coordinator the runner is joining, and neither ready nor gone.
    async fn b1_no_coordinator_at_start() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
        load.mock().request_errors(RDKafkaApiKey::FindCoordinator, &[none; 10_000]);
        load.produce(4, PAUSE);
        let member = load.member();
        load.until("sends are acknowledged", || load.checker.progress().acknowledged > 200).await;
        let health = member.health();
        assert_eq!((health.state, health.ready, health.live), (RunnerState::Joining, false, true), "{health:?}");
        load.mock().clear_request_errors(RDKafkaApiKey::FindCoordinator);
        load.until("the runner is ready", || member.health().ready).await;
        load.flows(200).await;
        let _ = load.judged(Order::Partition, vec![member]).await;
    }

    /// B1: every request takes two seconds more.
    async fn b1_slow_brokers() within 150 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(32, PAUSE);
        let number = load.next_member();
        let mut config = load.config(number);
        config
            .set("session.timeout.ms", "20000")
            .set("heartbeat.interval.ms", "1000")
            .set("socket.timeout.ms", "10000");
        let member = load.member_of(config, number, false, |_, _| How::Handles, |consumer| consumer);
        load.flows(200).await;
        load.mock().broker_round_trip_time(-1, Duration::from_secs(2)).unwrap();
        load.flows(60).await;
        load.mock().broker_round_trip_time(-1, Duration::ZERO).unwrap();
        load.flows(200).await;
        let _ = load.judged(Order::Partition, vec![member]).await;
    }

    /// B1: connections that are reset, half-open, cut in the middle of a response, slow to close, throttled.
    async fn b1_broken_connections() within 150 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let members = vec![load.member(), load.member()];
        load.flows(200).await;
        for _ in 0..3 {
            load.proxy().reset();
            load.flows(100).await;
        }
        load.proxy().set(Fault::CutResponses(50));
        load.proxy().has_happened(10).await;
        load.proxy().set(Fault::None);
        load.flows(200).await;
        load.proxy().set(Fault::HalfOpen);
        // As long as the fault lasts: beyond the sessions of the members.
        tokio::time::sleep(Duration::from_secs(2)).await;
        load.proxy().set(Fault::None);
        load.flows(200).await;
        load.proxy().set(Fault::SlowClose(Duration::from_secs(1)));
        load.mock().broker_down(2).unwrap();
        move_leaders(&load, [1, 4], Some(3));
        load.flows(200).await;
        load.mock().broker_up(2).unwrap();
        load.proxy().set(Fault::Throttle(200_000));
        load.flows(200).await;
        load.proxy().set(Fault::None);
        let _ = load.judged(Order::Partition, members).await;
    }

    /// B2: brokers that start tell of topics before they know of one another. librdkafka takes that as an order to forget all
    /// brokers, and often does not come back to those of its configuration by itself.
    async fn b2_metadata_that_names_no_broker() within 150 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let number = load.next_member();
        let mut config = load.config(number);
        config.set("statistics.interval.ms", "500");
        let member = load.member_of(config, number, false, |_, _| How::Handles, |consumer| consumer);
        load.flows(200).await;
        for _ in 0..5 {
            let before = load.proxy().happened();
            load.proxy().set(Fault::NoBrokers("member-0"));
            load.proxy().has_happened(before + 1).await;
            load.proxy().set(Fault::None);
            load.flows(200).await;
        }
        let _ = load.judged(Order::Partition, vec![member]).await;
    }

    /// B2: all brokers away, and back.
    async fn b2_all_brokers_away() within 150 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let member = load.member();
        load.flows(200).await;
        load.mock().broker_down(-1).unwrap();
        load.until("the runner is not ready", || !member.health().ready).await;
        // No busy loop: the whole process, producers included, has next to nothing to do.
        let (worked, idle) = (cpu_time(), Duration::from_secs(2));
        tokio::time::sleep(idle).await;
        let worked = cpu_time() - worked;
        assert!(worked < idle / 2, "{worked:?} of work in {idle:?} without brokers");
        let health = member.health();
        assert!(health.live && matches!(health.state, RunnerState::Joining | RunnerState::Running), "{health:?}");
        load.mock().broker_up(-1).unwrap();
        load.flows(200).await;
        load.until("the runner is ready", || member.health().ready).await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        assert!(judged.records.sends.len() == judged.verdict.acknowledged, "no send failed in the end");
    }

    /// B3: an error in the answer to a request is no end of anything. The embedded broker keeps no order in its groups
    /// where JoinGroup and SyncGroup fail, so those two are left out.
    async fn b3_errors_in_every_answer_under_load() within 150 {
        use RDKafkaApiKey::*;
        use RDKafkaRespErr::*;
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let members = vec![load.member(), load.member()];
        load.flows(200).await;
        for (request, error) in [
            (Fetch, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION),
            (Fetch, RD_KAFKA_RESP_ERR_UNKNOWN),
            (Fetch, RD_KAFKA_RESP_ERR__TRANSPORT),
            (Metadata, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE),
            (Metadata, RD_KAFKA_RESP_ERR__TRANSPORT),
            // For the assignment after the member has to join anew, two faults later.
            (OffsetFetch, RD_KAFKA_RESP_ERR_NOT_COORDINATOR),
            (Heartbeat, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
            (Heartbeat, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS),
            (Heartbeat, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID),
            (ListOffsets, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION),
            (FindCoordinator, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
            (OffsetCommit, RD_KAFKA_RESP_ERR_NOT_COORDINATOR),
            (OffsetCommit, RD_KAFKA_RESP_ERR__TRANSPORT),
            (Produce, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        ] {
            load.mock().request_errors(request, &[error, error]);
            load.flows(100).await;
        }
        let _ = load.judged(Order::Partition, members).await;
    }

    /// B5: a topic that appears later is consumed when it does.
    async fn b5_a_topic_that_appears_later_is_consumed() within 100 {
        let load = Load::start(Protocol::CooperativeSticky, 2);
        let member = load.member_with(|_, _| How::Handles, |consumer| consumer.topics(["later"]));
        load.until("the runner is ready", || member.health().ready).await;
        load.until("the group has its partitions", || member.health().partitions == 2).await;
        load.mock().create_topic("later", 3, 1).unwrap();
        load.until("the topic has appeared", || member.health().partitions == 5).await;
        assert!(member.health().ready);
        let _ = load.judged(Order::Partition, vec![member]).await;
    }

    /// B7: commits that fail are repaired by the next one; the watermark is kept.
    async fn b7_commits_that_fail_are_repaired() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let tick = Duration::from_millis(100);
        let member = load.member_with(|_, _| How::Handles, |consumer| consumer.commit(tracked(tick, 500)));
        load.flows(200).await;
        let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
        load.mock().request_errors(RDKafkaApiKey::OffsetCommit, &[denied; 3]);
        load.until("commits fail", || member.health().commits_failing_ms.is_some()).await;
        load.until("commits work again", || member.health().commits_failing_ms.is_none()).await;
        load.flows(200).await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        assert!(judged.reports[0].failed_commits >= 1, "{:?}", judged.reports);
        assert!(judged.seen.commits.iter().any(|error| error.as_deref() == Some("GROUP_AUTHORIZATION_FAILED")));
        assert!(judged.seen.commits.iter().any(Option::is_none));
        assert_eq!(judged.verdict.duplicates, 0);
    }

    /// B7: what the group committed is gone from the log. `auto.offset.reset` says where it goes on.
    async fn b7_an_offset_out_of_range_is_reset_and_counted() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 1);
        load.produce(4, PAUSE);
        let member = load.member();
        load.flows(50).await;
        load.rests().await;
        member.close(WAIT).await.unwrap();
        // the embedded broker keeps 5 MiB of a partition.
        let first_kept = load.fill(8 << 20).await;
        let committed = load.committed().await[0];
        assert!((50..first_kept).contains(&committed), "{committed} of {first_kept}");
        let member = load.member();
        load.until("the runner goes on behind the gap", || {
            let records = load.checker.records();
            records.deliveries.iter().any(|delivery| delivery.place.offset >= first_kept)
        })
        .await;
        let first = load.checker.records().deliveries.into_iter().find(|delivery| delivery.member == 1).unwrap();
        assert_eq!(first.place.offset, first_kept, "`earliest` was asked for");
        let report = member.close(WAIT).await.unwrap();
        assert_eq!(report.offset_resets, 1, "{report:?}");
    }
}

async fn coordinator_gone_in_a_rebalance(protocol: Protocol) {
    let mut load = Load::start(protocol, 6);
    load.produce(8, PAUSE);
    let mut members = vec![load.member()];
    load.flows(100).await;
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    ] {
        load.mock().request_errors(RDKafkaApiKey::OffsetFetch, &[error; 4]);
        members.push(load.member());
        load.until("all partitions are assigned", || {
            members.iter().map(|member| member.health().partitions).sum::<usize>() == 6
        })
        .await;
        load.catches_up().await;
    }
    let _ = load.judged(Order::Partition, members).await;
}

/// What this process has worked so far, on all its threads.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// B5: credentials that are refused end the runner with an error, without a storm of log lines.
#[test]
fn b5_refused_credentials_end_the_runner() {
    let path = concat!(module_path!(), "::b5_refused_credentials_end_the_runner");
    let said = super::alone::run(path, Duration::from_secs(60), || {
        super::load::on_runtime(async {
            let load = Load::start(Protocol::CooperativeSticky, 1);
            let number = load.next_member();
            let mut config = load.config(number);
            config
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.mechanism", "PLAIN")
                .set("sasl.username", "nobody")
                .set("sasl.password", "wrong");
            let member = load.member_of(config, number, false, |_, _| How::Handles, |consumer| consumer);
            let ended = tokio::time::timeout(WAIT, member.wait()).await.expect("it ends by itself");
            let error = ended.unwrap_err();
            assert!(matches!(error, throughline::kafka::RunError::Fatal(_)), "{error}");
            assert_eq!(member.health().state, RunnerState::Failed);
        });
    });
    if let Some(said) = said {
        assert!(said.err.lines().count() < 20, "{}", said.err);
        assert!(!said.err.contains("wrong"), "{}", said.err);
    }
}
