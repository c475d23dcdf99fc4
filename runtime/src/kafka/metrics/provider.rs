//! The global meter provider, and instruments that follow it when it is replaced.
//!
//! OpenTelemetry's instruments belong for ever to the provider that made them, and before one is set there is a no-op
//! provider whose instruments stay silent. So they are not made once: each measurement looks at the global provider
//! and makes the instruments anew if it is another one. A program may set its provider at any time.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

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

/// Whether the global provider is one that does something.
///
/// Asking for it takes a lock and a count, which would be the most of what a message costs where nothing is measured. So
/// the one that does nothing is remembered, weakly: as long as exactly one owner is left, that is the global variable.
/// Somebody else may have become that owner, who took it before it was replaced; a thread finds that out after
/// [`TRUSTED`] looks.
#[inline]
pub(super) fn is_set() -> bool {
    let is_as_before = !FOUND.load(Ordering::Relaxed)
        && NONE.get().is_some_and(|none| none.strong_count() == 1)
        && LOOKS.try_with(|looks| looks.replace(looks.get().wrapping_add(1)) < TRUSTED).unwrap_or(false);
    !is_as_before && look()
}

/// Looks in a row that trust the count of owners.
const TRUSTED: u8 = 127;

/// The provider that does nothing, which OpenTelemetry makes once.
static NONE: OnceLock<Weak<dyn MeterProvider + Send + Sync>> = OnceLock::new();

/// Another one was found: from then on each look is a real one.
static FOUND: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LOOKS: Cell<u8> = const { Cell::new(0) };
}

#[inline(never)]
fn look() -> bool {
    let _ = LOOKS.try_with(|looks| looks.set(0));
    let provider = global::meter_provider();
    let is_set = size_of_val(&*provider) != 0;
    if is_set {
        FOUND.store(true, Ordering::Relaxed);
    } else {
        let _ = NONE.get_or_init(|| Arc::downgrade(&provider));
    }
    is_set
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
