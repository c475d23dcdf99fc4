"""Two spans of OpenTelemetry's Python SDK, sent by its own OTLP exporters.

    otlp.py http|grpc URL none|gzip

Prints one JSON object: the trace id, and the start of the inner span.
"""

import json
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

protocol, url, compression = sys.argv[1:]
if protocol == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    packing = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
    exporter = OTLPSpanExporter(endpoint=url, insecure=True, compression=packing)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    packing = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    exporter = OTLPSpanExporter(endpoint=url, compression=packing)

provider = TracerProvider(resource=Resource.create({"service.name": "python-planner"}))
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("planner", "1.0")
attributes = {"task_id": "t-17", "ratio": 2.0, "list": ["a", "b"]}
with tracer.start_as_current_span("planning.generate_plan", kind=SpanKind.SERVER, attributes=attributes) as plan:
    try:
        with tracer.start_as_current_span("execution.execute_step") as step:
            raise ValueError("no such step")
    except ValueError:
        pass
provider.shutdown()
print(json.dumps({"trace_id": f"{plan.context.trace_id:032x}", "start_ns": str(step.start_time)}))
