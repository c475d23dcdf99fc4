use throughline::traced_span;

trait Orders {
    #[traced_span]
    fn load(&self) -> u64;
}

fn main() {}
