"""Kafka through confluent-kafka and its OpenTelemetry instrumentation, commanded by a test.

    confluent.py BROKER produce TOPIC VALUE      sends one message below a span of its own
    confluent.py BROKER consume TOPIC            takes one message
    confluent.py BROKER forward TOPIC TO         takes one message and sends it on with its headers

Prints one JSON object: the messages that it took, with their headers, and all spans.
"""

import json
import sys

import confluent_kafka
from opentelemetry import trace
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

DEADLINE = 30.0


def ids(context):
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def described(span):
    return {
        "name": span.name,
        "kind": span.kind.name,
        **ids(span.context),
        "parent": ids(span.parent) if span.parent else None,
        "links": [ids(link.context) for link in span.links],
    }


def printable(value):
    return None if value is None else value.decode("latin-1")


def send(broker, topic, value, headers=None):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker})
    failures = []
    report = lambda error, message: failures.append(error) if error else None
    producer.produce(topic, value, on_delivery=report, headers=headers)
    left = producer.flush(DEADLINE)
    if left or failures:
        sys.exit(f"not delivered: {left} {failures}")


def take(broker, topic):
    settings = {"bootstrap.servers": broker, "group.id": f"python-{topic}", "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(settings)
    consumer.subscribe([topic])
    message = consumer.poll(DEADLINE)
    if message is None or message.error():
        sys.exit(f"no message in {topic}: {message and message.error()}")
    return consumer, message


def main(broker, command, topic, *rest):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    ConfluentKafkaInstrumentor().instrument()

    messages = []
    if command == "produce":
        with trace.get_tracer("peer").start_as_current_span("python"):
            send(broker, topic, rest[0].encode(), [("x-from", b"python")])
    else:
        consumer, message = take(broker, topic)
        headers = message.headers() or []
        messages.append({"value": printable(message.value()), "headers": [[k, printable(v)] for k, v in headers]})
        if command == "forward":
            send(broker, rest[0], message.value(), list(headers))
        # Ends the span of the last message, too.
        consumer.close()
    print(json.dumps({"messages": messages, "spans": [described(span) for span in exporter.get_finished_spans()]}))


main(*sys.argv[1:])
