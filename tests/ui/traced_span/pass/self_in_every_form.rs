use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use throughline::traced_span;

struct Order {
    id: String,
    items: Vec<u8>,
}

impl Order {
    #[traced_span(fields(id = self.id))]
    fn by_ref(&self) -> &str {
        &self.id
    }

    #[traced_span]
    fn by_mut(&mut self) -> Option<u8> {
        self.items.pop()
    }

    #[traced_span(fields(id = self.id))]
    fn moved_out_of(self) -> String {
        let Self { id, .. } = self;
        id
    }

    #[traced_span]
    fn partially_moved(self: Box<Self>) -> (String, Vec<u8>) {
        (self.id, self.items)
    }

    #[traced_span]
    fn rc(self: Rc<Self>) -> usize {
        Rc::strong_count(&self)
    }

    #[traced_span]
    async fn arc(self: Arc<Self>) -> usize {
        Arc::strong_count(&self)
    }

    #[traced_span]
    fn pinned(self: Pin<&mut Self>) -> Pin<&mut Self> {
        self
    }

    #[traced_span]
    fn mutable(mut self) -> Self {
        self.items.clear();
        self
    }

    #[traced_span]
    async fn consumed(self) -> Self {
        self
    }
}

fn main() {
    let mut order = Order { id: "a".into(), items: vec![1] };
    assert_eq!(order.by_ref(), "a");
    order.by_mut();
    drop(Pin::new(&mut order).pinned());
    let order = order.mutable();
    assert_eq!(order.moved_out_of(), "a");
    let order = || Order { id: "a".into(), items: vec![1] };
    Box::new(order()).partially_moved();
    Rc::new(order()).rc();
    drop(Arc::new(order()).arc());
    drop(order().consumed());
}
