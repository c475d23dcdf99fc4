#[automatically_derived]
impl<T> ::throughline::__private::TraceContext for Order<T>
where
    T: Copy,
{
    fn inject_context(&mut self, cx: &::throughline::__private::opentelemetry::Context) {
        ::throughline::__private::inject_context(
            cx,
            &mut ::throughline::__private::FieldsMut::new()
                .traceparent(&mut self.parent)
                .baggage(&mut self.baggage),
        )
    }
    fn extract_trace_context(&self) -> ::throughline::__private::opentelemetry::Context {
        ::throughline::__private::extract_trace_context(
            &::throughline::__private::Fields::new()
                .traceparent(&self.parent)
                .baggage(&self.baggage),
        )
    }
}
