use throughline::kafka_producer;

use futures_core::Stream;

#[kafka_producer]
fn send() -> impl Stream<Item = u8> {
    async_stream::stream! { yield 1 }
}

fn main() {}
