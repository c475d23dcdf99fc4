const _: () = {
    const __THROUGHLINE_TOPIC: &::core::primitive::str = ::throughline::__private::kafka::derived::topic(
        "orders",
    );
    #[allow(dead_code)]
    #[derive(::throughline::__private::serde::Serialize)]
    #[serde(crate = "::throughline::__private::serde", remote = "OrderPlaced")]
    #[serde(rename = "OrderPlaced")]
    #[serde(bound = "")]
    struct __ThroughlineWritten<T>
    where
        T: Serialize + DeserializeOwned,
    {
        #[serde(rename = "value")]
        amount: T,
        #[serde(skip)]
        __throughline_generics: ::core::marker::PhantomData<
            (fn() -> ::core::marker::PhantomData<T>,),
        >,
    }
    #[derive(::throughline::__private::serde::Deserialize)]
    #[serde(crate = "::throughline::__private::serde")]
    #[serde(rename = "OrderPlaced")]
    #[serde(bound = "")]
    pub struct __ThroughlineRead<T>
    where
        T: Serialize + DeserializeOwned,
    {
        #[serde(rename = "value")]
        amount: T,
        #[serde(skip)]
        __throughline_generics: ::core::marker::PhantomData<
            (fn() -> ::core::marker::PhantomData<T>,),
        >,
    }
    #[automatically_derived]
    impl<T> ::throughline::__private::kafka::derived::SerdeBody for OrderPlaced<T>
    where
        T: Serialize + DeserializeOwned,
    {
        type Read = __ThroughlineRead<T>;
        fn write<__S: ::throughline::__private::serde::Serializer>(
            &self,
            serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            __ThroughlineWritten::<T>::serialize(self, serializer)
        }
    }
    #[automatically_derived]
    impl<T> ::throughline::__private::kafka::KafkaMessage for OrderPlaced<T>
    where
        T: Serialize + DeserializeOwned,
    {
        const TOPIC: &'static str = __THROUGHLINE_TOPIC;
        fn to_record(
            &self,
        ) -> ::core::result::Result<
            ::throughline::__private::kafka::Record,
            ::throughline::__private::kafka::EncodeError,
        > {
            #[allow(unused_mut)]
            let mut write = ::throughline::__private::kafka::derived::Write::new(
                <Self as ::throughline::__private::kafka::KafkaMessage>::TOPIC,
                &["event", "version", "x-tenant", "x-plan"],
            );
            write.constant("event", "order.placed");
            write.constant("version", "2");
            write
                .key(
                    &self.order_id,
                    &{
                        use ::throughline::__private::kafka::derived::form::{
                            IsBytes as _, IsNeither as _, IsText as _,
                        };
                        (&&&::throughline::__private::kafka::derived::form::Probe::<
                            OrderId,
                        >::new())
                            .form()
                    },
                );
            write
                .each_header(
                    "x-tenant",
                    &self.tenant,
                    &::throughline::__private::kafka::derived::form::With::new(
                        |value: &Tenant| hex::to_bytes(value),
                        |bytes: &[::core::primitive::u8]| hex::from_bytes(bytes),
                    ),
                );
            write.optional_baggage("x-plan", &self.plan);
            write.timestamp(&self.at);
            write.trace(&self.trace);
            write.headers(&self.rest);
            write.body::<::throughline::__private::kafka::Json, Self>(self)
        }
        fn from_message<
            __M: ::throughline::__private::kafka::ConsumedMessage
                + ?::core::marker::Sized,
        >(
            message: &__M,
        ) -> ::core::result::Result<Self, ::throughline::__private::kafka::DecodeError> {
            let read = ::throughline::__private::kafka::derived::Read::new(
                message,
                &["event", "version", "x-tenant", "x-plan"],
            );
            read.event("order.placed")?;
            let body = read.body::<::throughline::__private::kafka::Json, Self>()?;
            ::core::result::Result::Ok(Self {
                order_id: read
                    .key(
                        &{
                            use ::throughline::__private::kafka::derived::form::{
                                IsBytes as _, IsNeither as _, IsText as _,
                            };
                            (&&&::throughline::__private::kafka::derived::form::Probe::<
                                OrderId,
                            >::new())
                                .form()
                        },
                    )?,
                tenant: read
                    .each_header(
                        "x-tenant",
                        &::throughline::__private::kafka::derived::form::With::new(
                            |value: &Tenant| hex::to_bytes(value),
                            |bytes: &[::core::primitive::u8]| hex::from_bytes(bytes),
                        ),
                    )?,
                plan: read.optional_baggage("x-plan")?,
                at: read.timestamp()?,
                trace: read.trace(),
                rest: read.headers(),
                amount: body.amount,
            })
        }
    }
    #[automatically_derived]
    impl<T> ::throughline::__private::TraceContext for OrderPlaced<T>
    where
        T: Serialize + DeserializeOwned,
    {
        fn inject_context(
            &mut self,
            cx: &::throughline::__private::opentelemetry::Context,
        ) {
            ::throughline::__private::kafka::derived::inject(cx, &mut self.trace)
        }
        fn extract_trace_context(
            &self,
        ) -> ::throughline::__private::opentelemetry::Context {
            ::throughline::__private::kafka::derived::extract(&self.trace)
        }
    }
};
