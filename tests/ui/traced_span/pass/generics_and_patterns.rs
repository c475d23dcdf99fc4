use std::fmt::{Debug, Display};
use throughline::traced_span;

struct Point {
    x: i64,
    y: i64,
}

#[traced_span(fields(x, %label, ?value, n = N))]
fn load<'a, T: Clone, const N: usize>(
    Point { x, y }: Point,
    (first, mut second): (T, T),
    label: impl Display + 'a,
    value: &'a (dyn Debug + 'a),
    mut count: [u8; N],
) -> Vec<T>
where
    T: Debug,
{
    let _ = (x, y, label.to_string(), value);
    second = second.clone();
    count.reverse();
    vec![first, second]
}

#[traced_span(fields(key))]
async fn load_async<K: throughline::ToValue + Send, E>(key: K, f: impl Fn(&K) -> Result<(), E>) -> Result<K, E> {
    f(&key)?;
    Ok(key)
}

// A generic error is classified by its bounds.
#[traced_span]
fn generic_error<E: Debug>(error: E) -> Result<(), E> {
    Err(error)
}

fn main() {
    load(Point { x: 1, y: 2 }, (1, 2), "label", &3, [1]);
    drop(load_async(1, |_| Ok::<(), ()>(())));
    let _ = generic_error(1);
}
