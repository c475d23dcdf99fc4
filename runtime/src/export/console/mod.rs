//! Spans on standard output: a [`Tree`] per trace for people, or a JSON object per line for programs.
//!
//! The tree renderer is a function of the spans that it is given and can be used by itself:
//!
//! ```
//! use throughline::export::console::{Tree, TreeSpan};
//! # use opentelemetry::trace::{SpanId, TraceId};
//! let mut plan = TreeSpan::new(TraceId::from(7_u128), SpanId::from(1_u64), "planning.generate_plan");
//! plan.service = "planner".into();
//! let mut task = TreeSpan::new(TraceId::from(7_u128), SpanId::from(2_u64), "planning.analyze_task");
//! task.service = "planner".into();
//! task.parent_span_id = plan.span_id;
//! assert_eq!(
//!     Tree::snapshot().render(&[task, plan]),
//!     "planning.generate_plan\n└─ planning.analyze_task\n"
//! );
//! ```

mod attributes;
mod exporter;
mod forest;
mod text;
mod tree;

pub(crate) use exporter::{json_lines, tree};
pub use tree::{Tree, TreeSpan};
