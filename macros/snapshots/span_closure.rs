fn expression() {
    {
        let mut span = ::throughline::__private::Span::idle({
            static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
                "load",
                ::throughline::__private::Kind::Internal,
                &["n"],
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
        if ::throughline::__private::enter(&mut span) {
            ::throughline::__private::set(&mut span, 0usize, &n);
        }
        ::throughline::__private::in_span::<
            _,
            _,
            _,
        >(
            &mut span,
            || n + 1,
            |r| {
                use ::throughline::__private::probe::*;
                (&&&&&::throughline::__private::Probe(r)).outcome()
            },
        )
    }
}
