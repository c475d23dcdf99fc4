//! The OpenAPI document.

use throughline_tests::store::Fixture;

use crate::support::Server;

crate::on_both!(document_is_served_and_whole);

const GUIDE: &str = include_str!("../../../runtime/docs/api.md");

async fn document_is_served_and_whole(f: Fixture) {
    let document = Server::start(&f).await.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(GUIDE.contains(&format!("{path}`")), "the guide says nothing of {path}");
        for (method, operation) in methods.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{what}");
            assert!(operation["responses"]["200"].is_object(), "{what}");
            assert!(operation["responses"]["401"].is_object(), "{what}");
            assert!(operation["operationId"].is_string(), "{what}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                // There is no way to write null into a query.
                let schema = parameter["schema"].to_string();
                assert!(!schema.contains("null"), "{what}: {parameter}");
                assert!(parameter["description"].is_string(), "{what}: {parameter}");
            }
        }
    }
}
