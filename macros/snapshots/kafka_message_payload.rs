const _: () = {
    const __THROUGHLINE_TOPIC: &::core::primitive::str = ::throughline::__private::kafka::derived::topic(
        TOPIC,
    );
    #[automatically_derived]
    impl ::throughline::__private::kafka::KafkaMessage for Blob {
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
                &[],
            );
            write
                .optional_payload::<
                    ::throughline::__private::kafka::Raw,
                    Vec<u8>,
                >(&self.data)
        }
        fn from_message<
            __M: ::throughline::__private::kafka::ConsumedMessage
                + ?::core::marker::Sized,
        >(
            message: &__M,
        ) -> ::core::result::Result<Self, ::throughline::__private::kafka::DecodeError> {
            let read = ::throughline::__private::kafka::derived::Read::new(message, &[]);
            ::core::result::Result::Ok(Self {
                data: read
                    .optional_payload::<::throughline::__private::kafka::Raw, Vec<u8>>()?,
            })
        }
    }
};
