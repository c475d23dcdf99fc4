//! The conservation law under random faults: whatever an exporter does, every span is in exactly one place.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Offer(usize),
    Pass(Duration),
    Flush,
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        4 => Just(Reply::Takes),
        2 => Just(transient()),
        1 => (0_u64..100).prop_map(|seconds| throttled(Duration::from_secs(seconds))),
        1 => Just(permanent()),
        2 => Just(too_large()),
        1 => Just(Reply::Panics),
        1 => Just(Reply::Hangs),
        1 => (0_usize..20).prop_map(Reply::Refuses),
        1 => (0_u64..90_000).prop_map(|millis| Reply::TakesAfter(Duration::from_millis(millis))),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_usize..20).prop_map(Act::Offer),
        3 => (0_u64..40_000).prop_map(|millis| Act::Pass(Duration::from_millis(millis))),
        1 => Just(Act::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_span_is_counted_once_under_random_faults(
        replies in prop::collection::vec(reply(), 0..40),
        acts in prop::collection::vec(act(), 1..60),
        ends_abandoned in any::<bool>(),
    ) {
        quiet_panics();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let share = Share { bytes: 60 * BYTES_PER_SPAN, spans: usize::MAX };
            let mut replies = replies.into_iter();
            let lane = one_lane_of(share, LIMIT, move |spans| match replies.next() {
                Some(Reply::Refuses(count)) => Reply::Refuses(count.min(spans.len())),
                reply => reply.unwrap_or(Reply::Takes),
            });
            let mut offered = 0;
            for act in acts {
                match act {
                    Act::Offer(spans) => {
                        offered += spans as u64;
                        lane.offer(spans);
                    }
                    Act::Pass(time) => lane.pass(time).await,
                    Act::Flush => {
                        lane.lane.ask_flush();
                    }
                }
            }
            lane.lane.ask_flush();
            lane.lane.close();
            if ends_abandoned {
                lane.lane.abandon();
            }
            // Long enough for every batch that can wait to use up its time limit, and for every probe.
            lane.pass(Duration::from_secs(7200)).await;
            lane.offer(3);
            let (collected, accounted) = lane.lane.law();
            assert_eq!((collected, accounted), (offered + 3, offered + 3));
            let report = lane.lane.report();
            assert_eq!(report.exported, lane.seen.taken() as u64, "exported is what the destination took");
            assert_eq!(report.dropped.already_shutdown, 3);
            assert_eq!(report.exported + report.dropped.total() + report.undelivered, collected);
            assert!(lane.lane.wait_stopped(std::time::Instant::now()), "the worker has ended");
        });
    }
}

/// Keeps the panics that the script asks for out of the test's output.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let scripted = info.payload().downcast_ref::<&str>() == Some(&"scripted panic");
            if !scripted {
                usual(info);
            }
        }));
    });
}
