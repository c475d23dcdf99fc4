//! The runner on librdkafka's embedded cluster.

mod policies;
