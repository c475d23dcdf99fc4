use throughline::record;

fn main() {
    let (id, text) = (1u64, "a");
    record!(id, text, "a.b" = id + 1, c.d = %text, { KEY } = ?id,);
}

const KEY: &str = "key";
