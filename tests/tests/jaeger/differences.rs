//! Where our answers differ from those of Jaeger 2.13.0 on purpose: each with the place in the design that says so.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::server::Answer;

/// Makes one answer of theirs what it would be without the difference.
struct Difference {
    /// What it is about.
    name: &'static str,
    /// Whether the path is concerned.
    concerns: fn(&str) -> bool,
    /// Changes their answer, or both. Whether there was anything to change.
    settle: fn(&mut Answer, &mut Answer) -> bool,
}

const DIFFERENCES: &[Difference] = &[
    // "no services yet | `data: null` | `data: []` or null: accept both".
    Difference {
        name: "peers.md, table, `no services yet`: null where there is an empty list",
        concerns: |path| path.starts_with("/api/services"),
        settle: |theirs, _| {
            let is_null = theirs.status == 200 && theirs.body["data"].is_null();
            if is_null {
                theirs.body["data"] = json!([]);
            }
            is_null
        },
    },
    // "`{"operations": [{"name", "spanKind"}]}`, both required, `internal` when unknown".
    Difference {
        name: "store.md, section 7, `/api/v3/operations`: a kind that is not told is `internal`",
        concerns: |path| path.starts_with("/api/v3/operations"),
        settle: |theirs, _| {
            let operations = theirs.body["operations"].as_array_mut().unwrap().iter_mut();
            let untold: Vec<&mut Value> =
                operations.filter(|operation| operation["spanKind"].is_null()).collect();
            let is_any = !untold.is_empty();
            for operation in untold {
                operation["spanKind"] = "internal".into();
            }
            is_any
        },
    },
    // "self-join on `(trace_id, parent_span_id)` where the service changes, plus CLIENT and PRODUCER spans without a
    // partner, named by `service.peer.name`, `db.namespace`, `messaging.destination.name` or `server.address`".
    Difference {
        name: "store.md, section 5, `dependencies`: calls between services, also to those that make no spans",
        concerns: |path| path.starts_with("/api/dependencies"),
        settle: |theirs, ours| {
            let (Some(of_theirs), Some(of_ours)) =
                (theirs.body["data"].as_array_mut(), ours.body["data"].as_array_mut())
            else {
                return false;
            };
            let before = of_theirs.len() + of_ours.len();
            of_theirs.retain(|edge| edge["parent"] != edge["child"]);
            of_ours.retain(|edge| edge["child"] != "accounts");
            of_theirs.len() + of_ours.len() < before
        },
    },
];

/// Which differences have been met.
#[derive(Debug, Default)]
pub(crate) struct Met(Mutex<BTreeSet<&'static str>>);

impl Met {
    /// Both answers as they would be without the differences.
    pub(crate) fn settle(&self, path: &str, theirs: &mut Answer, ours: &mut Answer) {
        for difference in DIFFERENCES {
            if (difference.concerns)(path) && (difference.settle)(theirs, ours) {
                self.0.lock().unwrap().insert(difference.name);
            }
        }
    }

    /// One that is no difference any more has no place in the list.
    pub(crate) fn assert_all(&self) {
        let met = self.0.lock().unwrap();
        for difference in DIFFERENCES {
            assert!(met.contains(difference.name), "never met: {}", difference.name);
        }
    }
}
