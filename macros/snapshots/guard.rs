#[allow(unused_braces)]
fn load(id: u64) {
    let mut span = ::throughline::__private::Span::idle({
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
    if ::throughline::__private::enter(&mut span) {}
    { body(id) }
}
