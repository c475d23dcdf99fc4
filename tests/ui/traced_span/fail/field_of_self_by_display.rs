use throughline::traced_span;

struct Orders(u64);

impl Orders {
    #[traced_span(fields(%self.0))]
    fn load(&self) -> u64 {
        self.0
    }
}

fn main() {}
