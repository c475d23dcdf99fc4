use throughline::kafka::Record;
use throughline::kafka_producer;

#[kafka_producer]
fn build() -> Result<Vec<Record>, std::fmt::Error> {
    Ok(Vec::new())
}

fn main() {}
