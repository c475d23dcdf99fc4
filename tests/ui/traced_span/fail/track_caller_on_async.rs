use throughline::traced_span;

#[traced_span]
#[track_caller]
async fn load(id: u64) -> u64 {
    id
}

fn main() {}
