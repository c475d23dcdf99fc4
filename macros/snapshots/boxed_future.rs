#[allow(unused_braces)]
fn load(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    let mut span = ::throughline::__private::OwnedSpan::idle({
        static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
            "load",
            ::throughline::__private::Kind::Internal,
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
    if ::throughline::__private::on()
        && ::throughline::__private::open_with(
            &mut span,
            ::throughline::__private::Options::new().name(format!("load.{id}")).root(),
        )
    {}
    let future = ::throughline::__private::future_in::<
        u64,
        Pin<Box<dyn Future<Output = u64> + Send>>,
        _,
    >(
        &mut span,
        move || {
            let n = id;
            Box::pin(async move { n })
        },
    );
    ::throughline::__private::boxed(
        ::throughline::__private::traced(
            span,
            future,
            |r| {
                use ::throughline::__private::probe::*;
                (&&&&&::throughline::__private::Probe(r)).outcome()
            },
        ),
    )
}
