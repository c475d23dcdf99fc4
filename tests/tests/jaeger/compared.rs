//! The same requests to both, the answers field by field.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use throughline_tests::store::Fixture;

use crate::differences::Met;
use crate::plain::{first_difference, plain};
use crate::server::{Answer, Ours, Theirs};
use crate::spans::{ALL, LONG, ODD_SERVICE, ORDER, ORPHAN, SHORT, at_rfc3339, at_us};

crate::on_both!(every_endpoint_answers_as_jaeger_does);

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What is asked of version 1.
fn version_1() -> Vec<String> {
    let mut paths = vec!["/api/services".to_owned()];
    for service in ["gate", "shop", "bank", "nobody", ODD_SERVICE] {
        let service = escaped(service);
        paths.push(format!("/api/services/{service}/operations"));
        paths.push(format!("/api/operations?service={service}"));
        for kind in ["server", "internal", "client", "producer", "consumer", "robot"] {
            paths.push(format!("/api/operations?service={service}&spanKind={kind}"));
        }
    }
    for id in ALL {
        for query in ["", "?raw=true", "?prettyPrint=true", "?start=1&end=2"] {
            paths.push(format!("/api/traces/{id}{query}"));
        }
    }
    let range = format!("start={}&end={}", at_us(-3_600_000_000), at_us(3_600_000_000));
    let mut search = |query: &str| paths.push(format!("/api/traces?{range}&limit=100&{query}"));
    for query in [
        "service=gate",
        "service=shop&raw=true",
        "service=bank&operation=charge",
        "service=bank&operation=nothing",
        "service=nobody",
        "service=gate&operation=GET+%2Forders%2F%7Bid%7D",
        "service=gate&minDuration=500ms",
        "service=gate&maxDuration=0.4s",
        "service=gate&minDuration=400ms&maxDuration=400.001ms",
        "service=gate&minDuration=399.999ms&maxDuration=400.5ms",
        "service=gate&minDuration=-5s",
        "service=gate&maxDuration=-5s",
        "service=gate&minDuration=0s&maxDuration=0",
        "service=gate&tag=text:plain",
        "service=gate&tag=text:plain&tag=whole:200",
        "service=gate&tag=text:other",
        "service=gate&tag=whole:200",
        "service=gate&tag=whole.large:9007199254740993",
        "service=gate&tag=double:0.1",
        "service=gate&tag=double.whole:3",
        "service=gate&tag=yes:true",
        "service=gate&tag=no:true",
        "service=gate&tag=text.empty:",
        "service=bank&tag=error.type:timeout",
        "service=gate&tag=host.name:a1",
        "service=shop&tag=host.name:a1",
        "service=gate&tag=host.cpus:8",
        "service=gate&tag=stable:true",
        "service=gate&tag=cache.key:k1",
        "service=gate&tag=cache.size:3",
        "service=gate&tag=host.name:a1&tag=cache.key:k1&tag=text:plain&tag=stable:true",
        "service=gate&tag=service.name:gate",
        "service=gate&tags=%7B%22text%22%3A%22plain%22%2C%22host.name%22%3A%22a1%22%7D",
        "service=gate&tags=%7B%7D",
        "service=gate&lookback=nonsense",
        "traceID=ab&traceID=1234&traceID=b0000000000000000000000000000004",
        "traceID=00000000000000ab",
        "service=gate&traceID=ab",
    ] {
        search(query);
    }
    search(&format!("service={}", escaped(ODD_SERVICE)));
    let odd = escaped("\"quoted\" \\ \n é 😀 '; drop table spans; --");
    search(&format!("service=gate&tag=text.odd:{odd}"));
    // The time of a span is asked for, not that of its trace.
    for (from, to) in
        [(0, 30_000), (20_000, 21_000), (20_001, 21_000), (19_000, 20_000), (-2_000_000_000, -1_000_000)]
    {
        for service in ["gate", "shop", "bank"] {
            paths.push(format!(
                "/api/traces?service={service}&limit=100&start={}&end={}",
                at_us(from),
                at_us(to)
            ));
        }
    }
    paths.push("/api/traces?service=shop&limit=100".to_owned());
    let now_ms = at_us(3_600_000_000) / 1_000;
    paths.push(format!("/api/dependencies?endTs={now_ms}&lookback=86400000"));
    paths.push(format!("/api/dependencies?endTs={now_ms}&lookback=86400000&service=bank"));
    paths.push(format!("/api/dependencies?endTs={now_ms}&lookback=86400000&service=nobody"));
    paths.push("/api/dependencies".to_owned());
    paths.push("/api/dependencies?endTs=1000&lookback=1000".to_owned());
    for wrong in [
        "/api/operations",
        "/api/traces",
        "/api/traces/1234",
        "/api/traces/xyz",
        "/api/traces/000000000000000000000000000000001",
        "/api/traces/ab?start=x",
        "/api/traces/ab?end=x",
        "/api/traces/ab?raw=x",
        "/api/traces?service=gate&limit=x",
        "/api/traces?service=gate&start=x",
        "/api/traces?service=gate&end=1.5",
        "/api/traces?service=gate&minDuration=5",
        "/api/traces?service=gate&maxDuration=5d",
        "/api/traces?service=gate&minDuration=2s&maxDuration=1s",
        "/api/traces?service=gate&tag=x",
        "/api/traces?service=gate&tags=x",
        "/api/traces?service=gate&tags=%7B%22a%22%3A1%7D",
        "/api/traces?service=gate&raw=x",
        "/api/traces?traceID=x",
        "/api/dependencies?endTs=x",
        "/api/dependencies?lookback=x",
    ] {
        paths.push(wrong.to_owned());
    }
    paths
}

/// What is asked of version 3, in the spelling that 2.13 knows.
fn version_3() -> Vec<String> {
    let mut paths = vec!["/api/v3/services".to_owned(), "/api/v3/operations".to_owned()];
    for service in ["gate", "shop", "bank", "nobody", ODD_SERVICE] {
        paths.push(format!("/api/v3/operations?service={}", escaped(service)));
        paths.push(format!("/api/v3/operations?service={}&span_kind=server", escaped(service)));
    }
    for id in ALL.into_iter().chain(["ab", "AB", "00000000000000ab"]) {
        paths.push(format!("/api/v3/traces/{id}"));
    }
    paths.push(format!("/api/v3/traces/{ORDER}?start_time={}&end_time={}", at_rfc3339(0), at_rfc3339(1)));
    let range = |from, to| {
        let (from, to) = (escaped(&at_rfc3339(from)), escaped(&at_rfc3339(to)));
        format!("/api/v3/traces?query.start_time_min={from}&query.start_time_max={to}&query.num_traces=100")
    };
    let wide = range(-3_600_000_000, 3_600_000_000);
    paths.push(wide.clone());
    for query in [
        "query.service_name=gate",
        "query.service_name=shop&query.operation_name=load+order",
        "query.service_name=nobody",
        "query.operation_name=charge",
        "query.service_name=gate&query.duration_min=450ms",
        "query.service_name=gate&query.duration_max=450ms",
        "query.service_name=gate&query.duration_min=-1s",
        "query.duration_max=-1s",
    ] {
        paths.push(format!("{wide}&{query}"));
    }
    for (from, to) in
        [(20_000, 21_000), (20_001, 21_000), (-2_000_000_000, -1_000_000), (-2_000_000_000, -1_900_000_000)]
    {
        paths.push(range(from, to));
    }
    for wrong in [
        "/api/v3/traces/xyz",
        "/api/v3/traces/1234",
        "/api/v3/traces/ab?start_time=x",
        "/api/v3/traces/ab?end_time=x",
        "/api/v3/traces/ab?raw_traces=x",
        "/api/v3/traces",
        "/api/v3/traces?query.service_name=gate",
    ] {
        paths.push(wrong.to_owned());
    }
    for wrong in ["query.duration_min=5", "query.duration_max=x", "query.num_traces=x", "query.raw_traces=x"]
    {
        paths.push(format!("{}&{wrong}", wide.replace("&query.num_traces=100", "")));
    }
    paths
}

async fn every_endpoint_answers_as_jaeger_does(f: Fixture) {
    let Some(theirs) = Theirs::filled().await else { return };
    let ours = Ours::filled(f.store.clone()).await;
    let met = Met::default();
    let mut failures = Vec::new();
    let paths: Vec<String> = version_1().into_iter().chain(version_3()).collect();
    for path in &paths {
        let (mut expected, mut answer) = (theirs.get(path).await, ours.get(path).await);
        met.settle(path, &mut expected, &mut answer);
        let (expected_plain, answer_plain) = (plain(&expected.body), plain(&answer.body));
        if (expected.status, &expected_plain) != (answer.status, &answer_plain) {
            let difference = first_difference(&expected_plain, &answer_plain);
            failures.push(format!("{path}: {}, ours {}, {difference}", expected.status, answer.status));
        }
    }
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), paths.len(), failures.join("\n"));
    met.assert_all();
    // The comparison is of something.
    for id in [ORDER, LONG, ORPHAN, SHORT] {
        let Answer { status, body } = ours.get(&format!("/api/traces/{id}")).await;
        assert_eq!(status, 200);
        assert!(!body["data"][0]["spans"].as_array().unwrap().is_empty());
    }
}
