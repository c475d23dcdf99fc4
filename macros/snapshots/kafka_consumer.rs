#[allow(unused_braces, clippy::async_yields_async)]
async fn handle(order: M, attempt: u8) -> Result<(), Error> {
    let mut span = ::throughline::__private::OwnedSpan::idle({
        static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
            "process",
            ::throughline::__private::Kind::Consumer,
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
    let mut measure = ::throughline::__private::kafka::Measure::idle();
    if ::throughline::__private::kafka::open(
        &mut span,
        &mut measure,
        &order,
        {
            static OPTIONS: ::throughline::__private::kafka::ConstantOptions = ::throughline::__private::kafka::ConstantOptions::new(||
            {
                ::throughline::__private::kafka::ProcessOptions::new()
                    .group("billing")
                    .key(::throughline::__private::kafka::KeyText::Off)
                    .headers(const {
                        &[
                            ::throughline::__private::kafka::CapturedHeader::new(
                                "x-flow",
                                "throughline.messaging.header.x-flow",
                            ),
                        ]
                    })
            });
            &OPTIONS
        },
    ) {
        ::throughline::__private::kafka::set(
            &mut span,
            &measure,
            0usize,
            "attempt",
            &attempt,
        );
    }
    ::throughline::__private::kafka::traced(
            (&mut span, measure),
            async move {
                if false {
                    return ::throughline::__private::edge::<Result<(), Error>>();
                }
                { store(order).await }
            },
            |r| {
                use ::throughline::__private::probe::*;
                (&&&&&::throughline::__private::Probe(r)).outcome()
            },
        )
        .await
}
