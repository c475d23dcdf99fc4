//! Who we are: the resource that every span carries.
//!
//! Attributes follow the resource conventions for service, host, OS, process, container, deployment and telemetry.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};

use super::effective::{Resolver, Source};
use super::environment::Environment;
use super::parse;

const SERVICE_NAME: &str = "service.name";
const DEPLOYMENT: &str = "deployment.environment.name";

/// Puts the resource together. Later layers win: what the process shows, `ENVIRONMENT`, `OTEL_RESOURCE_ATTRIBUTES`,
/// code; `service.name` has its own order.
pub(super) fn resolve(resolver: &mut Resolver<'_>, service: &str, code: &[KeyValue]) -> Resource {
    let variable = "OTEL_RESOURCE_ATTRIBUTES";
    let from_environment = match resolver.text(variable).map(|text| parse::resource_attributes(&text)) {
        Some(Ok(attributes)) => attributes,
        Some(Err(expected)) => {
            resolver.warn(variable, format!("is discarded as a whole; expected {expected}"));
            Vec::new()
        }
        None => Vec::new(),
    };
    let (name, source) = service_name(resolver, service, code, &from_environment);
    resolver.push(SERVICE_NAME, name.clone(), source);

    let mut layers = detected(resolver.environment);
    if let Some(environment) = resolver.text("ENVIRONMENT") {
        layers.push(KeyValue::new(DEPLOYMENT, environment));
    }
    layers.extend(from_environment.into_iter().map(|(key, value)| KeyValue::new(key, value)));
    layers.extend(code.iter().cloned());
    layers.push(KeyValue::new(SERVICE_NAME, name));

    let resource = Resource::builder_empty()
        .with_attributes(
            TelemetryResourceDetector.detect().iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())),
        )
        .with_attributes(layers)
        .build();
    if let Some(deployment) = resource.get(&DEPLOYMENT.into()) {
        let source = if code.iter().any(|attribute| attribute.key.as_str() == DEPLOYMENT) {
            Source::Code
        } else if resolver.environment.text("ENVIRONMENT").is_some_and(|text| Value::from(text) == deployment)
        {
            Source::Variable("ENVIRONMENT")
        } else {
            Source::Variable(variable)
        };
        resolver.push(DEPLOYMENT, deployment.to_string(), source);
    }
    resource
}

fn service_name(
    resolver: &mut Resolver<'_>,
    argument: &str,
    code: &[KeyValue],
    from_environment: &[(String, String)],
) -> (String, Source) {
    if let Some(name) = resolver.text("OTEL_SERVICE_NAME") {
        return (name, Source::Variable("OTEL_SERVICE_NAME"));
    }
    if let Some((_, name)) =
        from_environment.iter().rfind(|(key, value)| key == SERVICE_NAME && !value.is_empty())
    {
        return (name.clone(), Source::Variable("OTEL_RESOURCE_ATTRIBUTES"));
    }
    if let Some(name) = resolver.text("TRACING_SERVICE_NAME") {
        return (name, Source::Variable("TRACING_SERVICE_NAME"));
    }
    let argument = argument.trim();
    if !argument.is_empty() {
        return (argument.to_owned(), Source::Code);
    }
    if let Some(attribute) = code.iter().rfind(|attribute| attribute.key.as_str() == SERVICE_NAME) {
        return (attribute.value.to_string(), Source::Code);
    }
    (
        executable().map_or_else(|| "unknown_service".to_owned(), |e| format!("unknown_service:{e}")),
        Source::Default,
    )
}

fn executable() -> Option<String> {
    Some(std::env::current_exe().ok()?.file_stem()?.to_string_lossy().into_owned())
}

fn detected(environment: &Environment) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("service.instance.id", instance_id()),
        KeyValue::new("host.arch", architecture()),
        KeyValue::new("os.type", operating_system()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("telemetry.distro.name", "throughline"),
        KeyValue::new("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
    ];
    if let Some(name) = executable() {
        attributes.push(KeyValue::new("process.executable.name", name));
    }
    if let Some(host) = host_name(environment) {
        attributes.push(KeyValue::new("host.name", host));
    }
    if let Some(container) = container_id() {
        attributes.push(KeyValue::new("container.id", container));
    }
    attributes
}

/// A random UUID, version 4: two instances of one service must not look like one.
fn instance_id() -> String {
    let high = RandomState::new().hash_one("service");
    let low = RandomState::new().hash_one("instance");
    let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | (0b10 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The names of the convention where Rust uses others.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc64" => "ppc64",
        "powerpc" => "ppc32",
        other => other,
    }
}

fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" | "ios" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

fn host_name(environment: &Environment) -> Option<String> {
    let from_kernel =
        fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    from_kernel
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| environment.text("HOSTNAME"))
        .or_else(|| environment.text("COMPUTERNAME"))
}

/// The id that the container runtime left in the control group (v1) or the mounts (v2); none outside a container.
fn container_id() -> Option<String> {
    let cgroup = fs::read_to_string("/proc/self/cgroup").ok();
    let found = cgroup.as_deref().and_then(|text| text.lines().find_map(id_of_64_digits));
    found.or_else(|| {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        mounts.lines().filter(|line| line.contains("/containers/")).find_map(id_of_64_digits)
    })
}

fn id_of_64_digits(line: &str) -> Option<String> {
    line.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(variables: &[(&str, &str)], service: &str, code: &[KeyValue]) -> (Resource, usize) {
        let environment =
            Environment::Fixed(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let mut resolver = Resolver::new(&environment);
        let resource = resolve(&mut resolver, service, code);
        (resource, resolver.config.warnings().len())
    }

    fn name_of(variables: &[(&str, &str)], service: &str) -> String {
        resource(variables, service, &[]).0.get(&SERVICE_NAME.into()).unwrap().to_string()
    }

    #[test]
    fn service_name_has_an_order() {
        let all = [
            ("OTEL_SERVICE_NAME", "first"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=second"),
            ("TRACING_SERVICE_NAME", "third"),
        ];
        assert_eq!(name_of(&all, "fourth"), "first");
        assert_eq!(name_of(&all[1..], "fourth"), "second");
        assert_eq!(name_of(&all[2..], "fourth"), "third");
        assert_eq!(name_of(&[], "fourth"), "fourth");
        assert!(name_of(&[], " ").starts_with("unknown_service:"));
    }

    #[test]
    fn code_beats_the_environment_for_other_attributes() {
        let variables = [("OTEL_RESOURCE_ATTRIBUTES", "team=a,tier=gold"), ("ENVIRONMENT", "staging")];
        let (resource, warnings) = resource(&variables, "s", &[KeyValue::new("team", "b")]);
        assert_eq!(resource.get(&"team".into()), Some(Value::from("b")));
        assert_eq!(resource.get(&"tier".into()), Some(Value::from("gold")));
        assert_eq!(resource.get(&DEPLOYMENT.into()), Some(Value::from("staging")));
        assert_eq!(warnings, 0);
    }

    #[test]
    fn environment_does_not_override_a_deployment_that_is_set() {
        let variables =
            [("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod"), ("ENVIRONMENT", "staging")];
        assert_eq!(resource(&variables, "s", &[]).0.get(&DEPLOYMENT.into()), Some(Value::from("prod")));
    }

    #[test]
    fn broken_resource_attributes_are_discarded_whole() {
        let (resource, warnings) = resource(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a,tier")], "s", &[]);
        assert_eq!(resource.get(&"team".into()), None);
        assert_eq!(warnings, 1);
    }

    #[test]
    fn instances_differ_and_are_uuids() {
        let (one, two) = (instance_id(), instance_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&one.as_bytes()[19]));
    }

    #[test]
    fn container_ids_are_found_in_control_groups() {
        let id = "a".repeat(64);
        assert_eq!(id_of_64_digits(&format!("0::/system.slice/docker-{id}.scope")), Some(id));
        assert_eq!(id_of_64_digits("0::/"), None);
    }
}
