create table execution_traces (
  id integer primary key,
  trace_id blob not null,
  span_id integer not null,
  parent_span_id integer,
  operation_name text not null,
  service_name text not null,
  kind integer not null,
  status integer not null,
  error_message text,
  error_type text,
  start_ns integer not null,
  duration_ns integer not null,
  task_id text,
  plan_id text,
  agent_id text,
  tool_id text,
  attributes text not null,
  events text,
  links text,
  resource_id integer not null,
  trace_state text,
  flags integer not null,
  dropped_attributes integer not null,
  dropped_events integer not null,
  dropped_links integer not null,
  created_us integer not null
);
create unique index execution_traces_span on execution_traces (trace_id, span_id, start_ns);
create index execution_traces_service on execution_traces (service_name, start_ns desc);
create index execution_traces_operation on execution_traces (operation_name, start_ns desc);
create index execution_traces_start on execution_traces (start_ns desc);
create index execution_traces_task on execution_traces (task_id, start_ns desc) where task_id is not null;
create index execution_traces_plan on execution_traces (plan_id, start_ns desc) where plan_id is not null;
create index execution_traces_agent on execution_traces (agent_id, start_ns desc) where agent_id is not null;
create index execution_traces_tool on execution_traces (tool_id, start_ns desc) where tool_id is not null;
create index execution_traces_error on execution_traces (start_ns desc) where status = 2;

create table execution_trace_resources (
  resource_id integer primary key,
  resource text not null,
  scope text not null,
  last_seen_us integer not null
);

create table trace_summaries (
  trace_id blob primary key,
  start_ns integer not null,
  end_ns integer not null,
  root_is_stored integer not null,
  root_start_ns integer not null,
  root_span_id integer not null,
  root_service text not null,
  root_operation text not null,
  root_status integer not null,
  span_count integer not null,
  error_count integer not null,
  services text not null
) without rowid;
create index trace_summaries_start on trace_summaries (start_ns desc, trace_id desc);

create table trace_operations (
  service text not null,
  operation text not null,
  kind integer not null,
  last_seen_us integer not null,
  primary key (service, operation, kind)
) without rowid;

create view execution_traces_readable as
select
  lower(hex(t.trace_id)) as trace_id,
  printf('%016x', t.span_id) as span_id,
  case when t.parent_span_id is not null then printf('%016x', t.parent_span_id) end as parent_span_id,
  t.service_name,
  t.operation_name,
  case t.kind when 1 then 'internal' when 2 then 'server' when 3 then 'client' when 4 then 'producer'
    when 5 then 'consumer' else 'unspecified' end as kind,
  case t.status when 1 then 'ok' when 2 then 'error' else 'unset' end as status,
  t.error_message,
  t.error_type,
  strftime('%Y-%m-%dT%H:%M:%fZ', t.start_ns / 1000000000.0, 'unixepoch') as start_time,
  t.duration_ns / 1000000.0 as duration_ms,
  t.task_id,
  t.plan_id,
  t.agent_id,
  t.tool_id,
  t.attributes,
  coalesce(t.events, '[]') as events,
  coalesce(t.links, '[]') as links,
  r.resource,
  r.scope
from execution_traces t left join execution_trace_resources r on r.resource_id = t.resource_id;
