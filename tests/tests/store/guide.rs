//! The SQL of the guide runs as it stands there.

use crate::support::{Fixture, begin, rows, span};

crate::on_both!(statements_of_the_guide_run);

const GUIDE: &str = include_str!("../../../runtime/docs/store.md");

async fn statements_of_the_guide_run(f: Fixture) {
    let spans = [
        span(1, 1, 0, begin()).attribute("task_id", "t-17").attribute("http.route", "/x").fails("io"),
        span(1, 2, 1, begin()).service("bank"),
    ];
    f.store.write(rows(spans)).await.unwrap();
    let mark = if f.is_postgres() { "-- PostgreSQL: " } else { "-- SQLite: " };
    let blocks: Vec<&str> = GUIDE
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.starts_with(mark))
        .collect();
    assert!(blocks.len() >= 5, "the guide has statements");
    for block in blocks {
        f.execute(block).await;
    }
}
