fn expression() {
    ::throughline::__private::traced(
        {
            let mut span = ::throughline::__private::OwnedSpan::idle({
                static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
                    "fetch",
                    ::throughline::__private::Kind::Client,
                    &[],
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
            if ::throughline::__private::open(&mut span) {}
            span
        },
        ::throughline::__private::into_future(client.call(x)),
        |r| {
            use ::throughline::__private::probe::*;
            (&&&&&::throughline::__private::Probe(r)).outcome()
        },
    )
}
