//! Callbacks of the user, called by librdkafka's threads: a panic in one must end neither the thread nor the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic in a callback would end the thread that polls, and with it every delivery.
pub(super) fn guarded(callback: impl FnOnce()) {
    // The hook has told the panic already; there is nobody to hand it to.
    let _ = catch_unwind(AssertUnwindSafe(callback));
}

/// What `callback` gives, or `otherwise` if it panics.
pub(super) fn guarded_or<T>(otherwise: T, callback: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or(otherwise)
}

/// `ClientContext` by the context in `self.user`, each call guarded.
macro_rules! client_context {
    ([$($generics:tt)*] $context:ty, $user:ident) => {
        impl<$($generics)*> rdkafka::ClientContext for $context {
            const ENABLE_REFRESH_OAUTH_TOKEN: bool = $user::ENABLE_REFRESH_OAUTH_TOKEN;

            fn log(&self, level: rdkafka::config::RDKafkaLogLevel, fac: &str, log_message: &str) {
                $crate::kafka::guarded::guarded(|| self.user.log(level, fac, log_message));
            }

            fn stats(&self, statistics: rdkafka::statistics::Statistics) {
                $crate::kafka::guarded::guarded(|| self.user.stats(statistics));
            }

            fn stats_raw(&self, statistics: &[u8]) {
                $crate::kafka::guarded::guarded(|| self.user.stats_raw(statistics));
            }

            fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
                $crate::kafka::guarded::guarded(|| self.user.error(error, reason));
            }

            fn generate_oauth_token(
                &self,
                oauthbearer_config: Option<&str>,
            ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
                $crate::kafka::guarded::guarded_or(Err("the callback panicked".into()), || {
                    self.user.generate_oauth_token(oauthbearer_config)
                })
            }
        }
    };
}
pub(super) use client_context;
