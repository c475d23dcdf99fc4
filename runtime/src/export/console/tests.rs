use std::sync::{Arc, Mutex};

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;

use super::*;
use crate::testing::samples;

/// Standard output of a test.
#[derive(Clone, Default)]
struct Page {
    text: Arc<Mutex<String>>,
    closed: bool,
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.text.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn take(&self) -> String {
        std::mem::take(&mut self.text.lock().unwrap())
    }
}

fn console(style: Style) -> (Console<Page>, Page) {
    let page = Page::default();
    let mut console = Console::new(style, page.clone());
    console.start(&Resource::builder_empty().with_service_name("planner").build());
    (console, page)
}

fn plain() -> Style {
    Style::Tree(Tree::snapshot())
}

#[tokio::test(start_paused = true)]
async fn trace_is_printed_when_its_root_ends() {
    let (mut console, page) = console(plain());
    console.export(&[samples::span(7, 2, 1, "analyze"), samples::span(8, 2, 1, "other")]).await.unwrap();
    assert_eq!(page.take(), "");
    console.export(&[samples::span(7, 3, 1, "decompose"), samples::span(7, 1, 0, "plan")]).await.unwrap();
    assert_eq!(page.take(), "plan\n├─ analyze\n└─ decompose\n\n");
    console.flush().await;
    assert_eq!(page.take(), "other\n\n");
}

#[tokio::test(start_paused = true)]
async fn span_with_a_remote_parent_ends_the_local_part() {
    let (mut console, page) = console(plain());
    let mut local_root = samples::span(7, 5, 1, "plans process");
    local_root.parent_span_is_remote = true;
    console.export(&[local_root]).await.unwrap();
    assert_eq!(page.take(), "plans process\n\n");
}

#[tokio::test(start_paused = true)]
async fn trace_without_its_root_is_printed_after_two_seconds() {
    let (mut console, page) = console(plain());
    console.export(&[samples::span(7, 2, 1, "analyze")]).await.unwrap();
    assert_eq!(console.wake_in(), Some(PATIENCE));
    tokio::time::advance(PATIENCE / 2).await;
    console.wake();
    assert_eq!(page.take(), "");
    tokio::time::advance(PATIENCE / 2).await;
    console.wake();
    assert_eq!(page.take(), "analyze\n\n");
    assert_eq!(console.wake_in(), None);
}

#[tokio::test(start_paused = true)]
async fn trace_of_a_thousand_spans_is_printed_without_its_root() {
    let (mut console, page) = console(plain());
    let spans: Vec<_> = (2..=1_002).map(|id| samples::span(7, id, 1, "step")).collect();
    console.export(&spans).await.unwrap();
    assert_eq!(page.take().matches("step").count(), 1_001);
    assert_eq!(console.gathered.spans, 0);
}

#[tokio::test]
async fn closed_pipe_turns_the_console_off() {
    let mut console = Console::new(Style::Json, Page { closed: true, ..Page::default() });
    let error = console.export(&[samples::span(1, 1, 0, "a")]).await.unwrap_err();
    assert!(matches!(error, ExportError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn pipe_that_closes_between_batches_is_told_with_the_next() {
    let mut console = Console::new(plain(), Page { closed: true, ..Page::default() });
    console.export(&[samples::span(1, 2, 1, "a")]).await.unwrap();
    console.flush().await;
    let error = console.export(&[samples::span(1, 1, 0, "a")]).await.unwrap_err();
    assert!(matches!(error, ExportError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn json_line_has_the_fields_of_the_rest_api() {
    let (mut console, page) = console(Style::Json);
    let mut span = samples::span(0xabc, 0x12, 0x11, "execution.execute_step");
    span.attributes = vec![
        KeyValue::new("task_id", "t-1"),
        KeyValue::new("gen_ai.agent.id", "a-1"),
        KeyValue::new("step", 3),
        KeyValue::new("share", 0.5),
        KeyValue::new("error.type", "timeout"),
    ];
    span.status = Status::error("took too long");
    console.export(&[span]).await.unwrap();
    let text = page.take();
    assert_eq!(text.matches('\n').count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        line,
        serde_json::json!({
            "id": "00000000000000000000000000000abc-0000000000000012",
            "trace_id": "00000000000000000000000000000abc",
            "span_id": "0000000000000012",
            "parent_span_id": "0000000000000011",
            "task_id": "t-1",
            "plan_id": null,
            "agent_id": "a-1",
            "tool_id": null,
            "operation_name": "execution.execute_step",
            "service_name": "planner",
            "kind": "internal",
            "start_time": "2026-08-01T00:00:00.018000Z",
            "end_time": "2026-08-01T00:00:00.019000Z",
            "duration_ms": 1.0,
            "start_ns": "1785542400018000000",
            "duration_ns": "1000000",
            "status": "timeout",
            "status_code": "ERROR",
            "error_message": "took too long",
            "error_type": "timeout",
            "attributes": {
                "task_id": "t-1", "gen_ai.agent.id": "a-1", "step": 3, "share": 0.5, "error.type": "timeout"
            },
            "events": [],
            "links": [],
            "resource": {"service.name": "planner"},
        })
    );
}
