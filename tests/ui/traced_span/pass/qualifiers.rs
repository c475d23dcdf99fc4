// M-2: fastrace loses `variadic` and modifiers, apollo-opentelemetry loses `unsafe`.
use throughline::traced_span;

#[traced_span]
unsafe fn unsafe_fn(value: *const u8) -> u8 {
    unsafe { *value }
}

#[traced_span]
async unsafe fn async_unsafe_fn(value: u8) -> u8 {
    value
}

#[traced_span]
extern "C" fn extern_fn(value: u8) -> u8 {
    value
}

#[traced_span]
pub(crate) unsafe extern "C" fn unsafe_extern_fn(value: u8) -> u8 {
    value
}

#[traced_span]
#[must_use]
#[inline]
#[deprecated]
#[doc = "kept"]
fn attributes() -> u8 {
    1
}

/// Inner attributes go to the front.
#[traced_span]
fn inner_attributes() -> u8 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

fn main() {
    assert_eq!(unsafe { unsafe_fn(&1) }, 1);
    drop(unsafe { async_unsafe_fn(1) });
    extern_fn(1);
    assert_eq!(unsafe { unsafe_extern_fn(1) }, 1);
    #[allow(deprecated)]
    let _ = attributes();
    inner_attributes();
}
