#[allow(unused_braces)]
fn build(&self, id: u64) -> Result<Record, Error> {
    let mut span = ::throughline::__private::OwnedSpan::idle({
        static SITE: ::throughline::__private::Site = ::throughline::__private::Site::new(
            "send",
            ::throughline::__private::Kind::Producer,
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
    let mut producing = ::throughline::__private::kafka::Producing::idle();
    if ::throughline::__private::kafka::open_produce(
        &mut span,
        &mut producing,
        (),
        {
            use ::throughline::__private::kafka::look::*;
            (&&&&::throughline::__private::kafka::TypeOf::<Result<Record, Error>>::new())
                .creates()
        },
        || ::throughline::__private::kafka::ProducerOptions::new(),
    ) {}
    ::throughline::__private::kafka::produce_sync::<
        Result<Record, Error>,
        _,
        _,
        _,
    >(
        ::throughline::__private::kafka::scope(span, producing),
        move || { Record::of(id) },
        |r| {
            use ::throughline::__private::{kafka::probe_kafka::*, probe::*};
            (&&&&&&::throughline::__private::Probe(r)).outcome()
        },
        |value, cx| {
            use ::throughline::__private::kafka::look::*;
            if let ::core::option::Option::Some(cx) = cx {
                (&&&&::throughline::__private::kafka::Made::new(&mut *value)).write(cx);
            }
            (&&&&::throughline::__private::kafka::Placed(&*value)).place()
        },
    )
}
