fn expression() {
    {
        if ::throughline::__private::current::is_recording() {
            ::throughline::__private::current::record_value(
                "id",
                ::throughline::__private::to_value(&id),
            );
            ::throughline::__private::current::record_value(
                "x",
                ::throughline::__private::FieldValue::display(&x),
            );
            ::throughline::__private::current::record_value(
                "a.b",
                ::throughline::__private::FieldValue::Static("text"),
            );
        }
    }
}
