create table execution_traces (
  trace_id uuid not null,
  span_id int8 not null,
  parent_span_id int8,
  start_ns int8 not null,
  duration_ns int8 not null,
  start_time timestamptz not null,
  end_time timestamptz not null,
  created_at timestamptz not null default now(),
  resource_id int8 not null,
  flags int4 not null,
  dropped_attributes int4 not null,
  dropped_events int4 not null,
  dropped_links int4 not null,
  kind int2 not null,
  status int2 not null,
  service_name text not null,
  operation_name text not null,
  error_message text,
  error_type text,
  task_id text,
  plan_id text,
  agent_id text,
  tool_id text,
  trace_state text,
  attributes jsonb not null,
  events jsonb,
  links jsonb
) partition by range (start_time);
create unique index execution_traces_span on execution_traces (trace_id, span_id, start_time);
create index execution_traces_start on execution_traces using brin (start_time);
create index execution_traces_created on execution_traces using brin (created_at);
create index execution_traces_service on execution_traces (service_name, start_time desc);
create index execution_traces_operation on execution_traces (operation_name, start_time desc);
create index execution_traces_task on execution_traces (task_id, start_time desc) where task_id is not null;
create index execution_traces_plan on execution_traces (plan_id, start_time desc) where plan_id is not null;
create index execution_traces_agent on execution_traces (agent_id, start_time desc) where agent_id is not null;
create index execution_traces_tool on execution_traces (tool_id, start_time desc) where tool_id is not null;
create index execution_traces_error on execution_traces (start_time desc) where status = 2;

create table execution_trace_resources (
  resource_id int8 primary key,
  resource jsonb not null,
  scope jsonb not null,
  last_seen timestamptz not null
);

create table trace_summaries (
  trace_id uuid primary key,
  start_ns int8 not null,
  end_ns int8 not null,
  root_is_stored boolean not null,
  root_start_ns int8 not null,
  root_span_id int8 not null,
  root_service text not null,
  root_operation text not null,
  root_status int2 not null,
  span_count int8 not null,
  error_count int8 not null,
  services text[] not null
) with (fillfactor = 80);
create index trace_summaries_start on trace_summaries (start_ns desc, trace_id desc);

create table trace_operations (
  service text not null,
  operation text not null,
  kind int2 not null,
  last_seen timestamptz not null,
  primary key (service, operation, kind)
);

create view execution_traces_readable as
select
  replace(t.trace_id::text, '-', '') as trace_id,
  lpad(to_hex(t.span_id), 16, '0') as span_id,
  lpad(to_hex(t.parent_span_id), 16, '0') as parent_span_id,
  t.service_name,
  t.operation_name,
  case t.kind when 1 then 'internal' when 2 then 'server' when 3 then 'client' when 4 then 'producer'
    when 5 then 'consumer' else 'unspecified' end as kind,
  case t.status when 1 then 'ok' when 2 then 'error' else 'unset' end as status,
  t.error_message,
  t.error_type,
  t.start_time,
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
from execution_traces t left join execution_trace_resources r using (resource_id);
