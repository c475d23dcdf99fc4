use throughline::{record, span};

struct Client;

impl Client {
    async fn send(&self, n: u64) -> Result<u64, std::fmt::Error> {
        Ok(n)
    }
}

async fn fetch(client: &Client, id: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let first = span!("fetch", kind = client, async { client.send(id).await }).await?;
    let second = span!("send", fields(id, first), client.send(id)).await?;
    let name = format!("orders.{id}");
    let third = span!(name = name, root, async move { Ok::<_, std::fmt::Error>(second) });
    let joined = futures_util::future::join(third, span!("ready", std::future::ready(1)));
    let (third, _) = joined.await;
    let future = client.send(id);
    let fourth = span!("variable", future).await?;
    Ok(first + third? + fourth)
}

fn sync(id: u64) -> Result<u64, std::num::ParseIntError> {
    let parsed = span!("parse", fields(id), || "1".parse::<u64>())?;
    let typed = span!("typed", || -> Result<u64, std::num::ParseIntError> { Ok("1".parse::<u64>()?) })?;
    let mut list = vec![1];
    span!("by_reference", || list.push(2));
    let moved = span!("moved", move || list.len());
    let unit = span!("nothing", || {});
    let () = unit;
    let _guard = span!("rest", leaf, fields(moved));
    record!(parsed, %typed, "a.b" = ?moved, {KEY} = "x", none = None::<u8>);
    Ok(parsed + typed)
}

const KEY: &str = "key";

fn main() {
    sync(1).unwrap();
    drop(fetch(&Client, 1));
}
