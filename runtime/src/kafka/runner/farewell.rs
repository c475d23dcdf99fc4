//! How the client is closed, and what it says to rebalances meanwhile.
//!
//! librdkafka (2.12) never answers a call that reaches its group after the group has ended and before it refuses calls
//! (confluentinc/librdkafka#4884, #4041), so whoever made it waits for ever. Answers to rebalances are such calls. A client
//! that closes while the group rebalances has two of them in its queue, its own farewell and the one before; the answer to
//! the first may end the group, and the answer to the second then hangs, and with it the close.
//!
//! And a cooperative group that ends without partitions does not leave, but would still, when a late heartbeat tells it that
//! the others rebalance: then it crashes, because it has no coordinator any more (confluentinc/librdkafka#5347).
//!
//! So a member leaves before its client closes. Where it is not to leave (static membership), or its leaving cannot be seen
//! (KIP-848, which always leaves), the client says only what its group waits for, which cannot have ended then:
//!
//! - A cooperative group, and one of KIP-848, waits until the first of its rebalances is answered, and takes each answer for
//!   one to all.
//! - An eager group does not wait for a rebalance from before the close, only for its own farewell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, RebalanceProtocol};

use super::rebalance::RunnerContext;
use super::settings;
use crate::kafka::native;

/// What leaving may take until the request is sent. Nobody is waited for but threads of the client.
const TO_LEAVE: Duration = Duration::from_secs(1);

const OPEN: u8 = 0;
const PASSING: u8 = 1;
const CLOSING: u8 = 2;
const SAID: u8 = 3;

/// Whether the client closes.
#[derive(Debug)]
pub(super) struct Farewell {
    stage: AtomicU8,
    leaves: bool,
}

/// What is said to a rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    AsEver,
    /// All partitions are given up.
    GiveUp,
    Nothing,
}

impl Farewell {
    pub(super) fn of(config: &ClientConfig) -> Self {
        let is_static = config.get("group.instance.id").is_some_and(|id| !id.is_empty());
        Farewell { stage: AtomicU8::new(OPEN), leaves: !is_static && !settings::is_kip_848(config) }
    }

    /// The answer to the next rebalance.
    pub(super) fn answer(&self, is_lost: bool) -> Answer {
        match self.stage.load(Ordering::Relaxed) {
            OPEN => Answer::AsEver,
            // An eager group waits for the answer to a loss all the same.
            PASSING if is_lost => Answer::AsEver,
            CLOSING => {
                self.begin(SAID);
                Answer::GiveUp
            }
            _ => Answer::Nothing,
        }
    }

    fn begin(&self, stage: u8) {
        self.stage.store(stage, Ordering::Relaxed);
    }
}

/// Closes the client, whose last owner this has to be: on the poll thread, because it answers rebalances.
pub(super) fn close(consumer: Arc<BaseConsumer<RunnerContext>>) {
    let farewell = &consumer.context().farewell;
    if farewell.leaves {
        leave(&consumer);
    } else if matches!(consumer.rebalance_protocol(), RebalanceProtocol::Eager) {
        farewell.begin(PASSING);
        // A rebalance of before would look like the farewell.
        for _ in 0..native::queued(consumer.client()) {
            let _ = consumer.poll(Duration::ZERO);
        }
    }
    farewell.begin(CLOSING);
    drop(consumer);
}

/// Asks the group to be left, and answers until it is.
fn leave(consumer: &BaseConsumer<RunnerContext>) {
    let until = Instant::now() + TO_LEAVE;
    consumer.unsubscribe();
    let client = consumer.client();
    while (native::is_member(client) || native::queued(client) > 0) && Instant::now() < until {
        let _ = consumer.poll(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Farewell {
        Farewell::of(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_closing_client_answers_once() {
        let farewell = of(&[]);
        assert_eq!([farewell.answer(false), farewell.answer(true)], [Answer::AsEver; 2]);
        farewell.begin(CLOSING);
        assert_eq!(farewell.answer(false), Answer::GiveUp);
        assert_eq!([farewell.answer(false), farewell.answer(true)], [Answer::Nothing; 2]);
    }

    #[test]
    fn what_an_eager_group_does_not_wait_for_is_passed_over() {
        let farewell = of(&[]);
        farewell.begin(PASSING);
        assert_eq!([farewell.answer(false), farewell.answer(true)], [Answer::Nothing, Answer::AsEver]);
        farewell.begin(CLOSING);
        assert_eq!([farewell.answer(false), farewell.answer(false)], [Answer::GiveUp, Answer::Nothing]);
    }

    #[test]
    fn a_static_member_does_not_leave() {
        assert!(of(&[]).leaves && of(&[("group.instance.id", "")]).leaves);
        assert!(!of(&[("group.instance.id", "one")]).leaves);
        assert!(!of(&[("group.protocol", "consumer")]).leaves);
    }
}
