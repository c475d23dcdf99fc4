#[allow(unused_braces)]
pub(crate) fn handle(order: Order) {
    let mut span = ::throughline::__private::Span::idle({
        static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
            "process",
            ::throughline::__private::Kind::Consumer,
            &["order.id"],
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
    if ::throughline::__private::kafka::enter_any(
        &mut span,
        &mut measure,
        || {
            ::throughline::__private::kafka::ProcessOptions::new()
                .topic("orders")
                .group(GROUP)
                .context(::throughline::__private::kafka::ContextMode::Link)
        },
    ) {
        ::throughline::__private::kafka::set(
            &mut span,
            &measure,
            0usize,
            "order.id",
            &order.id,
        );
    }
    { store(order) }
}
///The runner of `handle`.
#[allow(unused_imports, unreachable_pub)]
pub(crate) mod handle {
    use super::*;
    ///A consumer with the settings of `handle`, which still needs the client's configuration: `consumer().config(config).run(handle)`.
    pub fn consumer() -> ::throughline::__private::kafka::Consumer {
        ::throughline::__private::kafka::Consumer::new()
            .topics(["orders"])
            .group(GROUP)
            .concurrency(::throughline::__private::kafka::by_key(64))
            .retry(
                ::throughline::__private::kafka::Backoff::new()
                    .attempts(5)
                    .when(Error::is_transient),
            )
            .dead_letter("dlq")
            .process(
                ::throughline::__private::kafka::ProcessOptions::new()
                    .topic("orders")
                    .group(GROUP)
                    .context(::throughline::__private::kafka::ContextMode::Link),
            )
    }
}
