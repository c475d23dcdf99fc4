#[allow(unused_braces, clippy::async_yields_async)]
async fn send(
    producer: &FutureProducer,
    mut record: FutureRecord<'_, K, P>,
    attempt: u8,
) -> OwnedDeliveryResult {
    ::throughline::__private::kafka::produce(
            {
                let mut span = ::throughline::__private::OwnedSpan::idle({
                    static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
                        "send",
                        ::throughline::__private::Kind::Producer,
                        &["attempt"],
                        ::throughline::__private::Scope::new(
                            ::core::option_env!("CARGO_PKG_NAME"),
                            ::core::option_env!("CARGO_PKG_VERSION"),
                        ),
                        ::core::file!(),
                        ::core::line!(),
                        {
                            fn f() {}
                            || ::throughline::__private::path_of(f)
                        },
                    );
                    &SITE
                });
                let mut producing = ::throughline::__private::kafka::Producing::idle();
                if ::throughline::__private::kafka::open_produce(
                    &mut span,
                    &mut producing,
                    ::throughline::__private::kafka::InRecord(&mut record),
                    false,
                    || {
                        ::throughline::__private::kafka::ProducerOptions::new()
                            .topic("orders")
                            .existing(::throughline::__private::kafka::Existing::Keep)
                    },
                ) {
                    ::throughline::__private::set(&mut span, 0usize, &attempt);
                }
                ::throughline::__private::kafka::scope(span, producing)
            },
            async move {
                if false {
                    return ::throughline::__private::edge::<OwnedDeliveryResult>();
                }
                { producer.send(record, WAIT).await }
            },
            |r| {
                use ::throughline::__private::{kafka::probe_kafka::*, probe::*};
                (&&&&&&::throughline::__private::Probe(r)).outcome()
            },
            |value, cx| {
                use ::throughline::__private::kafka::look::*;
                if let ::core::option::Option::Some(cx) = cx {
                    (&&&&::throughline::__private::kafka::Made::new(&mut *value))
                        .write(cx);
                }
                (&&&&::throughline::__private::kafka::Placed(&*value)).place()
            },
        )
        .await
}
