//! The process span of a consumed message or batch.
//!
//! `#[kafka_consumer("name", group = "billing", context = parent, key = off, headers("x-tenant" = "app.tenant", "x-flow"))]`
//! expands like `#[traced_span]`, but for the call that opens the span (`RT` is `::throughline::__private`):
//!
//! ```text
//! static SITE: RT::Site = RT::Site::new("process", RT::Kind::Consumer, KEYS, SCOPE, file!(), line!(), ..);
//! let mut span = RT::Span::idle(&SITE);                                       // async: RT::OwnedSpan::idle(&SITE)
//! if RT::kafka::enter(&mut span, &message, || RT::kafka::ProcessOptions::new()    // async: RT::kafka::open(..)
//!         .name("name")                                                       // positional name and `name = EXPR`
//!         .group("billing")
//!         .context(RT::kafka::ContextMode::Parent)
//!         .key(RT::kafka::KeyText::Off)
//!         .headers(const { &[RT::kafka::CapturedHeader::new("x-tenant", "app.tenant"),
//!                            RT::kafka::CapturedHeader::new("x-flow", "throughline.messaging.header.x-flow")] })
//! ) { RT::set(&mut span, 0, &task_id); }
//! // from here on as in #[traced_span]: RT::in_span(..) or RT::traced(..)
//! ```
//!
//! | argument | call |
//! |---|---|
//! | `topic`, `group`, `client_id`, `template`, `operation` `= EXPR` | `.topic(EXPR)` and so on, `Into<Cow<'static, str>>` |
//! | `context = parent_or_link, link, parent, new_root` | `.context(RT::kafka::ContextMode::{ParentOrLink, Link, Parent, NewRoot})` |
//! | `parent_max_age = "1h"`, `none` | `.parent_max_age(Some(RT::Duration::from_millis(3_600_000)))`, `.parent_max_age(None)` |
//! | `key = utf8(max = 64)`, `off`, `with(path)` | `.key(RT::kafka::KeyText::Utf8 { max_bytes: 64 })`, `::Off`, `::With(path)` |
//! | `message_id`, `conversation_id = "header"` | `.message_id("header")`, `.conversation_id("header")` |
//! | `baggage = attach`, `off`; `queue_time`, `sizes` `= on`, `off` | `.baggage(true)` and so on |
//! | `links = EXPR`, `scope = EXPR` | `.links(EXPR)`, `.scope(EXPR)` as in `RT::Options` |
//!
//! `&message` is a reference to the parameter as written, so it may be a reference to a reference: `enter` and `open`
//! take `&M` with `M: ConsumedMessage`, which is implemented for `BorrowedMessage`, `OwnedMessage` and references,
//! boxes and `Arc`s of them. For a batch the call is `RT::kafka::enter_batch(&mut span, &messages, || ..)` or
//! `RT::kafka::open_batch(..)` with `B: AsRef<[M]>`, so `&[M]` and `Vec<M>` go in as they are written.
