use throughline::traced_span;

struct Orders {
    id: u64,
}

impl Orders {
    #[traced_span(fields(self.id))]
    fn load(&self) -> u64 {
        self.id
    }
}

fn main() {}
// tokio-rs/tracing#650 #664 #3124 #3458
