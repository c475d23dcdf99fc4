use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "two words", codek = Json)]
struct Order {
    #[kafka(key)]
    id: f32,
    #[kafka(key)]
    other: u64,
    #[kafka(header = "baggage")]
    plan: String,
    #[kafka(colour)]
    colour: u8,
    #[kafka(trace)]
    trace: String,
}

fn main() {}
