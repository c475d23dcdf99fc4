use super::*;
use crate::setup::sampling::Sampler;

fn given() -> Given {
    Given { service: "planner".to_owned(), ..Given::default() }
}

fn read_with(given: &Given, variables: &[(&str, &str)]) -> Result<Settings, SetupError> {
    let fixed = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    resolve(given, &Environment::Fixed(fixed))
}

fn read(variables: &[(&str, &str)]) -> Settings {
    read_with(&given(), variables).unwrap()
}

fn warnings(settings: &Settings) -> Vec<String> {
    settings.config.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_means_the_documented_defaults() {
    let settings = read(&[]);
    assert!(settings.enabled);
    assert_eq!(settings.exporters, [Exporter::Console]);
    assert_eq!(settings.sampler, Sampler::ParentBasedAlwaysOn);
    assert_eq!(settings.propagators, [Format::TraceContext, Format::Baggage]);
    assert_eq!(settings.limits, SpanLimits::default());
    assert_eq!((settings.queue_bytes, settings.queue_spans, settings.batch_size), (16 << 20, None, 512));
    assert_eq!(settings.export_timeout, Duration::from_secs(60));
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(5));
    assert_eq!(warnings(&settings), [""; 0]);
}

#[test]
fn unknown_exporter_is_an_error_that_lists_the_known_ones() {
    let error = read_with(&given(), &[("TRACING_EXPORTER", "otpl")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "TRACING_EXPORTER is `otpl`; expected `console`, `otlp`, `jaeger`, `datadog`, `zipkin`, `database`, `kafka` or `none`, \
         several with commas between"
    );
    assert!(read_with(&given(), &[("OTEL_TRACES_EXPORTER", "console,x")]).is_err());
}

#[test]
fn exporter_variables_rank_before_the_alias_and_code() {
    let given = Given { exporters: Some(vec![Exporter::None]), ..given() };
    let both = [("OTEL_TRACES_EXPORTER", "Console"), ("TRACING_EXPORTER", "otpl")];
    assert_eq!(read_with(&given, &both).unwrap().exporters, [Exporter::Console]);
    assert_eq!(read_with(&given, &[("TRACING_EXPORTER", "console")]).unwrap().exporters, [Exporter::Console]);
    assert_eq!(read_with(&given, &[]).unwrap().exporters, []);
}

#[cfg(feature = "otlp")]
#[test]
fn endpoint_alone_chooses_otlp() {
    assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]).exporters, [Exporter::Otlp]);
    let list = read(&[("TRACING_EXPORTER", "otlp, console,otlp,none")]);
    assert_eq!(list.exporters, [Exporter::Otlp, Exporter::Console]);
    assert_eq!(warnings(&list).len(), 1);
}

#[cfg(not(feature = "otlp"))]
#[test]
fn otlp_without_the_feature_is_an_error() {
    let error = read_with(&given(), &[("TRACING_EXPORTER", "otlp")]).unwrap_err().to_string();
    assert!(
        error.starts_with("TRACING_EXPORTER asks for the exporter `otlp`, which needs the feature `otlp`"),
        "{error}"
    );
}

#[test]
fn ratio_outside_its_range_is_a_warning_and_records_everything() {
    let settings = read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")]);
    assert_eq!(settings.sampler, Sampler::Ratio(1.0));
    assert_eq!(
        warnings(&settings),
        ["OTEL_TRACES_SAMPLER_ARG is `1.5`; expected a number from 0 to 1; it is treated as unset"]
    );
    let given = Given { sampler: Some(Sampler::ParentBasedRatio(1.5)), ..given() };
    let settings = read_with(&given, &[]).unwrap();
    assert_eq!(settings.sampler, Sampler::ParentBasedAlwaysOn);
    assert_eq!(warnings(&settings).len(), 1);
}

#[test]
fn sampler_of_the_environment_beats_code() {
    let given = Given { sampler: Some(Sampler::Custom), ..given() };
    assert_eq!(read_with(&given, &[]).unwrap().sampler, Sampler::Custom);
    let settings = read_with(&given, &[("OTEL_TRACES_SAMPLER", "always_off")]).unwrap();
    assert_eq!(settings.sampler, Sampler::AlwaysOff);
    assert_eq!(settings.config.get("sampler").unwrap().source, Source::Variable("OTEL_TRACES_SAMPLER"));
}

#[test]
fn unknown_sampler_and_a_lonely_argument_are_warnings() {
    let settings = read(&[("OTEL_TRACES_SAMPLER", "jaeger_remote"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")]);
    assert_eq!(settings.sampler, Sampler::ParentBasedAlwaysOn);
    let warnings = warnings(&settings);
    assert!(
        warnings[0].starts_with("OTEL_TRACES_SAMPLER is `jaeger_remote`; expected `always_on`, "),
        "{warnings:?}"
    );
    assert_eq!(warnings[1], "OTEL_TRACES_SAMPLER_ARG has no effect without OTEL_TRACES_SAMPLER");
}

#[test]
fn unknown_propagator_is_left_out() {
    let settings = read(&[("OTEL_PROPAGATORS", "b3,xray,tracecontext,b3")]);
    assert_eq!(settings.propagators, [Format::B3, Format::TraceContext]);
    assert_eq!(
        warnings(&settings),
        ["OTEL_PROPAGATORS names `xray`, which is left out; \
             expected `tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger` or `none`"]
    );
    assert_eq!(read(&[("OTEL_PROPAGATORS", "none")]).propagators, []);
    assert_eq!(read(&[("OTEL_PROPAGATORS", "xray")]).propagators.len(), 2);
}

#[test]
fn switching_off_has_two_names_with_different_words() {
    for (variables, enabled, warned) in [
        (&[("ENABLE_TRACING", "false")][..], false, 0),
        (&[("ENABLE_TRACING", "no")][..], false, 0),
        (&[("ENABLE_TRACING", "nope")][..], true, 1),
        (&[("OTEL_SDK_DISABLED", "true")][..], false, 0),
        (&[("OTEL_SDK_DISABLED", "1")][..], true, 1),
        (&[("OTEL_SDK_DISABLED", "false"), ("ENABLE_TRACING", "false")][..], true, 0),
    ] {
        let settings = read(variables);
        assert_eq!(settings.enabled, enabled, "{variables:?}");
        assert_eq!(warnings(&settings).len(), warned, "{variables:?}");
    }
}

#[test]
fn numbers_that_make_no_sense_are_warnings_and_count_as_unset() {
    for (variable, value) in [
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "soon"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "long"),
        ("THROUGHLINE_QUEUE_BYTES", "10"),
        ("THROUGHLINE_SHUTDOWN_TIMEOUT", "5"),
        ("THROUGHLINE_CONSOLE_FORMAT", "xml"),
        ("THROUGHLINE_LOG_FORMAT", "xml"),
        ("OTEL_LOG_LEVEL", "loud"),
    ] {
        let settings = read(&[(variable, value)]);
        let warnings = warnings(&settings);
        assert_eq!(warnings.len(), 1, "{variable}");
        assert!(warnings[0].starts_with(&format!("{variable} is `{value}`; expected ")), "{warnings:?}");
        let untouched = read(&[]);
        let values = |settings: &Settings| -> Vec<String> {
            settings.config.settings().iter().map(|setting| setting.value.clone()).collect()
        };
        assert_eq!(values(&settings), values(&untouched), "{variable}");
    }
}

#[test]
fn batch_above_the_queue_is_a_warning() {
    let settings = read(&[("OTEL_BSP_MAX_QUEUE_SIZE", "100"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200")]);
    assert_eq!((settings.queue_spans, settings.batch_size), (Some(100), 100));
    assert_eq!(warnings(&settings).len(), 1);
}

#[test]
fn general_limits_stand_behind_the_specific_ones() {
    let settings = read(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
    ]);
    assert_eq!(settings.limits.attributes, 10);
    assert_eq!(settings.limits.value_length, Some(50));
    assert_eq!(settings.limits.events, 0);
}

#[test]
fn without_environment_reads_nothing() {
    let settings = resolve(&given(), &Environment::Nothing).unwrap();
    assert!(settings.config.settings().iter().all(|setting| !matches!(setting.source, Source::Variable(_))));
}
