#[allow(unused_braces, clippy::async_yields_async)]
async fn load<'a, T: Load>(from: &'a T) -> Result<&'a str, Error> {
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
    if ::throughline::__private::open(&mut span) {}
    ::throughline::__private::traced(
            &mut span,
            async move {
                if false {
                    return ::throughline::__private::edge::<Result<&'a str, Error>>();
                }
                { from.load().await }
            },
            |r| ::throughline::__private::outcome_with(r, classify),
        )
        .await
}
