//! The global meter provider, and instruments that follow it when it is replaced.
//!
//! OpenTelemetry's instruments belong for ever to the provider that made them, and before one is set there is a no-op
//! provider whose instruments stay silent. So they are not made once: each measurement looks at the global provider
//! and makes the instruments anew if it is another one. A program may set its provider at any time.

use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::global;
use opentelemetry::metrics::{Meter, MeterProvider};

use crate::span::Scope;

type Provider = Arc<dyn MeterProvider + Send + Sync>;

/// The global provider; `None` while it is the one that does nothing.
#[inline]
pub(super) fn current() -> Option<Provider> {
    let provider = global::meter_provider();
    // The API has no question for "does this record?"; its no-op provider is the one without any state.
    (size_of_val(&*provider) != 0).then_some(provider)
}

/// Instruments, made once per meter provider.
pub(in crate::kafka) struct PerProvider<T> {
    make: fn(&Meter) -> T,
    made: RwLock<Option<(Provider, Arc<T>)>>,
}

impl<T> PerProvider<T> {
    pub(in crate::kafka) const fn new(make: fn(&Meter) -> T) -> Self {
        PerProvider { make, made: RwLock::new(None) }
    }

    /// The instruments of the present provider; `None` while measurements go nowhere.
    pub(in crate::kafka) fn get(&self) -> Option<Arc<T>> {
        let provider = current()?;
        if let Some((of, instruments)) = &*self.made.read().unwrap_or_else(PoisonError::into_inner)
            && Arc::ptr_eq(of, &provider)
        {
            return Some(Arc::clone(instruments));
        }
        // Outside of the lock: the provider is code of others. Two threads may both do it, and then have equal ones.
        let meter = provider.meter_with_scope(Scope::THROUGHLINE.to_instrumentation_scope());
        let instruments = Arc::new((self.make)(&meter));
        let before = self
            .made
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .replace((provider, Arc::clone(&instruments)));
        drop(before);
        Some(instruments)
    }
}
