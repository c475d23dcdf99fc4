// tokio-rs/tracing#399 #1219 #3179, autometrics#141 #149
use throughline::traced_span;

#[async_trait::async_trait]
trait Store {
    async fn load(&self, id: u64) -> Result<String, std::fmt::Error>;

    #[traced_span]
    async fn default_body(&mut self, id: u64) -> u64 {
        id
    }
}

struct Memory {
    rows: Vec<String>,
}

#[async_trait::async_trait]
impl Store for Memory {
    #[traced_span("store.load", fields(id, rows = self.rows.len()))]
    async fn load(&self, id: u64) -> Result<String, std::fmt::Error> {
        let index = usize::try_from(id).map_err(|_| std::fmt::Error)?;
        self.rows.get(index).cloned().ok_or(std::fmt::Error)
    }
}

#[async_trait::async_trait(?Send)]
trait Local {
    async fn local(&self);
}

#[async_trait::async_trait(?Send)]
impl Local for Memory {
    #[traced_span]
    async fn local(&self) {
        let shared = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(shared);
    }
}

fn main() {
    let mut store = Memory { rows: vec![] };
    drop(store.load(1));
    drop(store.default_body(1));
    drop(store.local());
}
