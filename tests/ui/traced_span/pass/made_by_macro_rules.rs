use std::future::Future;
use throughline::traced_span;

macro_rules! functions {
    ($name:ident, $r:ty, $body:block, $async_name:ident, $f:ty, $e:expr) => {
        #[traced_span]
        fn $name(id: u64) -> $r $body

        #[traced_span(fields(id))]
        fn $async_name(id: u64) -> $f {
            let id = id + $e;
            async move { id }
        }
    };
}

functions!(load, u64, { 1 }, load_async, impl Future<Output = u64> + Send, 1);

macro_rules! wrapped {
    ($item:item) => {
        #[traced_span]
        $item
    };
}

wrapped! {
    fn whole(id: u64) -> u64 {
        id
    }
}

macro_rules! field {
    ($value:expr) => {
        #[traced_span(fields(value = $value))]
        fn with_field() -> u64 {
            $value
        }
    };
}

field!(1 + 1);

fn main() {
    load(1);
    whole(1);
    with_field();
    fn assert_send(_: impl Future<Output = u64> + Send) {}
    assert_send(load_async(1));
}
